package priority

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBatchGoesAfterCalls: beside the value that the process was started with, and
// only for the calling thread.
func TestBatchGoesAfterCalls(t *testing.T) {
	done := make(chan [2]int32)
	go func() {
		runtime.LockOSThread() // and end with it
		before, err := unix.SchedGetAttr(0, 0)
		if err != nil || before.Policy != unix.SCHED_NORMAL {
			close(done)
			return
		}
		Batch()
		after, _ := unix.SchedGetAttr(0, 0)
		done <- [2]int32{before.Nice, after.Nice}
	}()
	nice, ok := <-done
	if !ok {
		t.Skip("the test runs under another policy")
	}
	if want := min(nice[0]+batch, 19); nice[1] != want {
		t.Errorf("nice %d became %d, want %d", nice[0], nice[1], want)
	}
}

func TestLowerEndsAtTheLowest(t *testing.T) {
	for _, c := range []struct{ nice, by, want int32 }{{0, 4, 4}, {-15, 4, -11}, {-15, 10, -5}, {12, 10, 19}} {
		a := unix.SchedAttr{Nice: c.nice, Runtime: shortSlice}
		if lower(&a, c.by); a.Nice != c.want || a.Runtime != 0 {
			t.Errorf("%d lowered by %d: %d, slice %d", c.nice, c.by, a.Nice, a.Runtime)
		}
	}
}
