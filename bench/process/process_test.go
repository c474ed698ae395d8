package process

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestUsedCountsAProcessAndItsChildren(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip("no sleep here:", err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	before := Used(os.Getpid())
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); { // work for the clock of /proc
	}
	after := Used(os.Getpid())
	if after.Main <= before.Main || after.MainRSS <= 0 || after.ChildrenRSS <= 0 || after.CPU() != after.Main+after.Children {
		t.Errorf("%+v, then %+v", before, after)
	}
	if Core("0") <= 0 || Core("none") != 0 {
		t.Errorf("core 0 has worked %s", Core("0"))
	}
}

func TestPeakEndsWithItsWatcher(t *testing.T) {
	stop := make(chan struct{})
	most := Peak(stop, os.Getpid())
	close(stop)
	if u := <-most; u.MainRSS <= 0 {
		t.Errorf("%+v", u)
	}
}
