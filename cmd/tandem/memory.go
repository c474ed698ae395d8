package main

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// tuneMemory trades memory for CPU: a garbage collection marks all that lives,
// and at Go's default a busy node of some 20 MB live runs one per second, a
// sixth of its CPU. 400 lets the heap grow to five times what lives; half of the
// machine's memory is the limit from which on it collects as often as it takes.
// GOGC and GOMEMLIMIT in the environment win.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	var info unix.Sysinfo_t
	if os.Getenv("GOMEMLIMIT") == "" && unix.Sysinfo(&info) == nil {
		debug.SetMemoryLimit(int64(info.Totalram) * int64(info.Unit) / 2)
	}
}
