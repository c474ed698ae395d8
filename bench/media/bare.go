package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loopC is the same loop in C.
//
//go:embed loop.c.txt
var loopC []byte

// bare is a relay loop and nothing else: addresses are fixed, sockets connected,
// no look at the packets. It is what the system calls alone cost.
type bare struct {
	c bool
	p *process
}

// Ports of the bare loop.
const (
	bareFirst = 30000 // two ports apart for each side of a call
	loadFirst = 20000
)

func (b *bare) pid() int            { return b.p.cmd.Process.Pid }
func (b *bare) end(context.Context) { b.p.stop() }

func (b *bare) start(_ context.Context, p *plan) ([]link, error) {
	program, args := os.Args[0], []string{"-as-loop", p.net, strconv.Itoa(p.calls)}
	if b.c {
		source := filepath.Join(p.dir, "loop.c")
		program, args = filepath.Join(p.dir, "loop"), args[1:]
		if err := os.WriteFile(source, loopC, 0o600); err != nil {
			return nil, err
		}
		if out, err := exec.Command("cc", "-O2", "-o", program, source).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compile: %w\n%s", err, out)
		}
	}
	var err error
	if b.p, err = startProcess(p, program, args...); err != nil {
		return nil, err
	}
	var links []link
	for i := range p.calls {
		var l link
		for k := range l {
			l[k] = side{local: p.load(i, k), relay: bareAddress(p.net, i, k)}
		}
		links = append(links, l)
	}
	return links, b.p.await("start", func() bool {
		text, _ := os.ReadFile(b.p.log)
		return len(text) > 0
	})
}

// load is the address of the load's side k of call i.
func (p *plan) load(i, k int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("%s.%d:%d", p.net, 20+10*k, loadFirst+2*i))
}

func bareAddress(net string, i, k int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("%s.10:%d", net, bareFirst+4*i+2*k))
}

// loop is the bare relay in Go: a locked thread that keeps its processor while
// it waits. The raw call needs a point where the collector can stop it (see
// package relay); nothing is collected here, so runtime.Gosched once a turn serves.
func loop(args []string) {
	calls, _ := strconv.Atoi(args[1])
	p := &plan{net: args[0]}
	runtime.GOMAXPROCS(2)
	runtime.LockOSThread()
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		panic(err)
	}
	var fds, out []int32
	for i := range calls {
		for k := range 2 {
			fd, err := connected(bareAddress(p.net, i, k), p.load(i, k))
			if err != nil {
				panic(err)
			}
			fds = append(fds, int32(fd))
			ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(fds) - 1)}
			if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
				panic(err)
			}
		}
		out = append(out, fds[2*i+1], fds[2*i])
	}
	fmt.Println("ready")
	events := make([]unix.EpollEvent, 64)
	buf := make([]byte, 2048)
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 500, 0, 0)
		if e != 0 {
			continue
		}
		for i := range int(n) {
			at := events[i].Fd
			m, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fds[at]), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
			if e == 0 {
				_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(out[at]), uintptr(unsafe.Pointer(&buf[0])), m, 0, 0, 0)
			}
		}
	}
}
