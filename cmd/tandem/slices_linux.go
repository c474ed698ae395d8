package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// shortSlice is the shortest time slice that the kernel takes, in ns.
const shortSlice = 100_000

// shortSlices asks for short time slices for the threads of this process, and for
// those that they will start. Since Linux 6.12 a thread that wakes up takes the
// processor at once from one with a longer slice (EEVDF, PREEMPT_SHORT); otherwise
// that one runs to the end of its own, 3 ms. So a message of a call need not wait for
// pricing, delivery, or the engine's threads. Older kernels ignore it.
func shortSlices() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil && attr.Policy == unix.SCHED_NORMAL {
			attr.Runtime = shortSlice
			_ = unix.SchedSetAttr(id, attr, 0)
		}
	}
}
