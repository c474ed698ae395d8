package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a measured program on its core.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func startProcess(p *plan, program string, args ...string) (*process, error) {
	if _, err := exec.LookPath("taskset"); err == nil {
		args = append([]string{"-c", strconv.Itoa(systemCore), program}, args...)
		program = "taskset"
	}
	c := &process{cmd: exec.Command(program, args...), log: filepath.Join(p.dir, "log"), done: make(chan struct{})}
	c.cmd.Dir = p.dir
	file, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	c.cmd.Stdout, c.cmd.Stderr = file, file
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait()
		_ = file.Close()
		close(c.done)
	}()
	return c, nil
}

// await polls until ready says yes, 20 s at most.
func (c *process) await(what string, ready func() bool) error {
	for deadline := time.Now().Add(20 * time.Second); !ready(); {
		select {
		case <-c.done:
			return fmt.Errorf("%s: the process ended\n%s", what, c.tail())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s takes more than 20 s\n%s", what, c.tail())
		}
	}
	return nil
}

func (c *process) tail() string {
	text, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// stop ends the process; taskset has become it, so this is its own id.
func (c *process) stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(15 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}
