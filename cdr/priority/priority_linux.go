package priority

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// shortSlice is the shortest time slice that the kernel takes, in ns.
	shortSlice = 100_000
	// batch and engine are nice values above the one that the process was started
	// with. 4 more leaves a thread three tenths of a processor that both want
	// (sched(7)). Much less would hold up garbage collection, which waits for each
	// thread to come to a stop: at 10 the longest pause was 12 ms, at 4 below 4.
	batch  = 4
	engine = 10
)

// Calls gives all threads of the process, and those that they will start, short
// time slices. Since Linux 6.12 a thread that wakes up takes the processor at once
// from one with a longer slice (EEVDF, PREEMPT_SHORT); otherwise that one runs to
// the end of its own, 3 ms. Older kernels ignore it.
func Calls() { everyThread(func(a *unix.SchedAttr) { a.Runtime = shortSlice }) }

// Batch lowers the calling thread, which must be locked to its goroutine, and gives
// it the system's own time slice.
func Batch() { change(0, func(a *unix.SchedAttr) { lower(a, batch) }) }

// Engine lowers all threads of the process likewise; those that they start inherit
// it. An insert of 5,000 rows keeps a core busy for 60 ms, in threads that the kernel
// would share it out to evenly with calls: at 1,000 calls/s on one core the slowest
// hundredth of set-ups took 40 ms.
func Engine() { everyThread(func(a *unix.SchedAttr) { lower(a, engine) }) }

func lower(a *unix.SchedAttr, by int32) { a.Nice, a.Runtime = min(a.Nice+by, 19), 0 }

func everyThread(wish func(*unix.SchedAttr)) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			change(id, wish)
		}
	}
}

// change leaves threads alone that an operator gave a policy of their own, as
// real time.
func change(thread int, wish func(*unix.SchedAttr)) {
	if a, err := unix.SchedGetAttr(thread, 0); err == nil && a.Policy == unix.SCHED_NORMAL {
		wish(a)
		_ = unix.SchedSetAttr(thread, a, 0)
	}
}
