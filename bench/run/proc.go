package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a system has used: its first process and the ones below it
// apart, because Tandem's child is ClickHouse.
type usage struct {
	main, children       time.Duration // user and system time
	mainRSS, childrenRSS int64         // KB
}

func (u usage) cpu() time.Duration { return u.main + u.children }

// userHZ is the unit of the times in /proc/PID/stat on every Linux that Go
// runs on. The sum of both times is exact, threads that ended included.
const userHZ = 100

// used reads a process and all its descendants.
func used(pid int) usage {
	var u usage
	for i, p := range tree(pid) {
		cpu, rss := readStat(p)
		if i == 0 {
			u.main, u.mainRSS = cpu, rss
		} else {
			u.children += cpu
			u.childrenRSS += rss
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

// peak samples the memory of a system until stop is closed.
func peak(pid int, stop <-chan struct{}) <-chan usage {
	result := make(chan usage, 1)
	go func() {
		var most usage
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			now := used(pid)
			most.mainRSS, most.childrenRSS = max(most.mainRSS, now.mainRSS), max(most.childrenRSS, now.childrenRSS)
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
