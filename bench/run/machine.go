package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine says where figures come from: they only compare on one machine, in
// one sitting.
func machine(root string) string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "unknown kernel"
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		kernel = unix.ByteSliceToString(uts.Release[:])
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d cores, kernel %s, %s, commit %s, load average before %s",
		model, runtime.NumCPU(), kernel, runtime.Version(), commit(root), strings.Join(strings.Fields(string(load))[:1], ""))
}

func commit(root string) string {
	out, err := exec.Command("git", "-C", root, "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// build makes a Go program of the repository.
func build(root, dir, pkg, into string) (string, error) {
	output := filepath.Join(into, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-o", output, ".")
	cmd.Dir = filepath.Join(root, dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, said.String())
	}
	return output, nil
}
