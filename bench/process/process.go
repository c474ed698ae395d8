// Package process reads what processes have used, from /proc.
package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a system has used: its first process and the ones below it
// apart, because Tandem's child is ClickHouse.
type Usage struct {
	Main, Children       time.Duration // user and system time
	MainRSS, ChildrenRSS int64         // KB
}

// CPU is the time of all processes.
func (u Usage) CPU() time.Duration { return u.Main + u.Children }

// userHZ is the unit of the times in /proc/PID/stat on every Linux that Go
// runs on. The sum of both times is exact, threads that ended included.
const userHZ = 100

// Used reads processes and all their descendants; the first one is the main one.
func Used(pids ...int) Usage {
	var u Usage
	for i, pid := range pids {
		for j, p := range tree(pid) {
			cpu, rss := readStat(p)
			if i+j == 0 {
				u.Main, u.MainRSS = cpu, rss
			} else {
				u.Children += cpu
				u.ChildrenRSS += rss
			}
		}
	}
	return u
}

// tree lists a process and its descendants, itself first.
func tree(pid int) []int {
	below := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		fields := statFields(name)
		if len(fields) < 2 {
			continue // the process has ended
		}
		child, _ := strconv.Atoi(strings.Split(name, "/")[2])
		parent, _ := strconv.Atoi(fields[1])
		below[parent] = append(below[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, below[all[i]]...)
	}
	return all
}

// statFields are the fields of /proc/PID/stat after the command's name: state
// is the first, so proc(5)'s field n stands at n-3.
func statFields(name string) []string {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return nil
	}
	return strings.Fields(string(text[end+1:]))
}

func readStat(pid int) (cpu time.Duration, rss int64) {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if len(fields) < 22 {
		return 0, 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	return time.Duration(user+system) * time.Second / userHZ, pages * int64(os.Getpagesize()) / 1024
}

// Peak samples the memory of a system until stop is closed.
func Peak(stop <-chan struct{}, pids ...int) <-chan Usage {
	result := make(chan Usage, 1)
	go func() {
		var most Usage
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			now := Used(pids...)
			most.MainRSS, most.ChildrenRSS = max(most.MainRSS, now.MainRSS), max(most.ChildrenRSS, now.ChildrenRSS)
			select {
			case <-tick.C:
			case <-stop:
				result <- most
				return
			}
		}
	}()
	return result
}

// Core is how long a processor has worked since the machine's start, for
// whomever.
func Core(n string) time.Duration {
	return ticks("cpu"+n, 1, 2, 3, 8) // user, nice, system, stolen by the host
}

// Stolen is how long the processors of this machine together could have worked
// since its start, and the host gave its own to others.
func Stolen() time.Duration { return ticks("cpu", 8) }

// ticks adds up some columns of a line of /proc/stat.
func ticks(line string, columns ...int) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(text)) {
		f := strings.Fields(l)
		if len(f) < 9 || f[0] != line {
			continue
		}
		var sum int64
		for _, i := range columns {
			n, _ := strconv.ParseInt(f[i], 10, 64)
			sum += n
		}
		return time.Duration(sum) * time.Second / userHZ
	}
	return 0
}
