package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The system under test has core 0 for itself, the load core 1. Both go before
// the machine's other work, where we may (root): the figures are theirs, and a
// load that comes late measures the wait for a processor.
const (
	systemCore = "0"
	loadCore   = "1"
	priority   = "-15"
)

// child is one process that we started, pinned to a core, its output in a file.
type child struct {
	cmd    *exec.Cmd
	output string
	done   chan struct{}
	err    error // after done
}

// startChild runs a program on a core in a folder; its output goes to a file in
// logs. It is ended by end, or with its own end.
func startChild(core, dir, logs, name string, args ...string) (*child, error) {
	output := filepath.Join(logs, filepath.Base(name)+".log")
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c := &child{cmd: exec.Command("nice", append([]string{"-n", priority, "taskset", "-c", core, name}, args...)...), output: output, done: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, file, file
	c.cmd.Env = append(os.Environ(), "TERM=dumb")
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a scheduling group of its own, see below
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	// Where the scheduler groups by session, nice values count within the group
	// only (sched(7)). Without the right to raise it the run is as good as the machine is idle.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", c.pid()), []byte(priority), 0)
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// pid is the program's own: nice and taskset become it.
func (c *child) pid() int { return c.cmd.Process.Pid }

// ended tells whether the process is gone by itself.
func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// end asks the process to end, and kills it when it does not within the grace.
func (c *child) end(grace time.Duration) {
	if c == nil || c.ended() {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(grace):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// tail is the end of what the process has said.
func (c *child) tail() string {
	text, _ := os.ReadFile(c.output)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
