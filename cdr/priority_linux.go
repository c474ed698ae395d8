package cdr

import "golang.org/x/sys/unix"

// lowerPriority gives the calling thread less processor time than one that sets
// up calls, where both want it: three tenths of all (sched(7)). Much less would hold
// up garbage collection, which waits for each thread to come to a stop: at 10 the
// longest pause was 12 ms, at 4 it is below 4. Its time slice is the system's, even
// where those of the threads that set up calls are short. It is a wish.
func lowerPriority() { _ = unix.SchedSetAttr(0, &unix.SchedAttr{Nice: 4}, 0) }
