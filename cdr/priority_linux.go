package cdr

import "syscall"

// lowerPriority gives the calling thread a tenth of the processor time of one
// that sets up calls, where both want it (sched(7)); it is a wish.
func lowerPriority() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), 10) }
