package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tandem/media/srtp"
)

const (
	// batch is how many ready ports one turn handles.
	batch = 64
	// group is how many of them go through the thread together.
	group = 16
	// waitMillis bounds a turn, so that a stop is seen even if its wake-up were lost.
	waitMillis = 500
	wakeMark   = -1
)

// native is the network of media threads.
type native struct {
	pool    *Pool
	threads []*thread
	done    sync.WaitGroup
	mu      sync.Mutex
	all     []*rawPort
}

// thread is one media thread, by the thread that its goroutine keeps busy: its own
// epoll set, its own buffers, no allocation.
type thread struct {
	pool    *Pool
	epoll   int
	wake    int
	events  [batch]unix.EpollEvent
	work    *srtp.Scratch
	from    unix.RawSockaddrAny
	size    uint32
	touched int // keeps warm's reads in the program

	arrivals [group]arrival
}

// arrival is a packet on its way through a thread.
type arrival struct {
	pair *pair
	rtcp bool // came to the RTCP port
	n    int
	from netip.AddrPort
	out  onward
	buf  [srtp.MaxPacket + srtp.Overhead]byte
}

func newNative(p *Pool) (network, error) {
	n := &native{pool: p}
	for range p.cfg.Threads {
		t := &thread{pool: p, epoll: -1, wake: -1, work: srtp.NewScratch()}
		n.threads = append(n.threads, t)
		if err := t.start(); err != nil {
			for _, t := range n.threads {
				t.close()
			}
			return nil, fmt.Errorf("start media thread: %w", err)
		}
	}
	for _, t := range n.threads {
		n.done.Add(1)
		go func() {
			defer n.done.Done()
			t.run()
		}()
	}
	return n, nil
}

func (t *thread) start() (err error) {
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if t.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	return unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, t.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Pad: wakeMark})
}

// close frees the descriptors; those of a thread that never started are -1.
func (t *thread) close() {
	for _, fd := range []int{t.epoll, t.wake} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// run is the loop. The goroutine is not locked to its thread: it keeps the thread
// anyway as long as its waits are raw (see wait), and the runtime's monitor, which
// interrupts it up to 100 times a second, then costs one pass of the scheduler
// instead of handing the processor to another thread and back.
func (t *thread) run() {
	for t.turn(t.wait()) {
	}
}

// turn handles one packet of each of the n ready ports, so that a flooded port
// can't starve the others; false when the pool has closed.
func (t *thread) turn(n int) bool {
	now := t.pool.now()
	for first := 0; first < n; first += group {
		if !t.handle(t.events[first:min(n, first+group)], now) {
			return false
		}
	}
	return true
}

// handle receives the packets of some ports, then opens and protects them, then
// sends them: each step finds its code in the near cache from the packet before,
// while receiving and sending in turn would push each other out.
func (t *thread) handle(ready []unix.EpollEvent, now time.Duration) bool {
	t.warm(ready)
	k := 0
	for i := range ready {
		ev := &ready[i]
		if ev.Pad == wakeMark {
			select {
			case <-t.pool.stop:
				return false
			default:
			}
			continue
		}
		p := t.pool.banks[ev.Pad].table[ev.Fd>>1].Load()
		if p == nil {
			continue
		}
		a := &t.arrivals[k]
		a.pair, a.rtcp = p, ev.Fd&1 == 1
		if t.receive(a) {
			k++
		}
	}
	arrivals := t.arrivals[:k]
	for i := range arrivals {
		if o := arrivals[i].pair.owner.Load(); o != nil {
			if r := o.rx.Load(); r != nil {
				r.Warm(t.work)
			}
			if s := o.tx.Load(); s != nil {
				s.Warm(t.work)
			}
		}
	}
	for i := range arrivals {
		a := &arrivals[i]
		a.out = a.pair.take(t.work, a.buf[:], a.n, a.rtcp, a.from, now)
	}
	for i := range arrivals {
		a := &arrivals[i]
		a.out.ship(a.buf[:], now)
		a.out = onward{} // an idle thread keeps no call
	}
	return true
}

// wait blocks until ports are ready and says how many.
//
// By RawSyscall the thread keeps its processor, which saves a hand-off per
// wake-up, but the scheduler can't take a goroutine off a raw system call. What
// saves the garbage collector from waiting for ever: its preemption signal ends
// the wait (EINTR), and the next call of wait sees the request at its entry,
// where every function that may be preempted looks. Hence noinline: this call is
// the yield point of the loop.
//
//go:noinline
func (t *thread) wait() int {
	if !t.pool.cfg.OwnProcessors {
		n, err := unix.EpollWait(t.epoll, t.events[:], waitMillis)
		if err != nil {
			return 0
		}
		return n
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&t.events[0])), batch, waitMillis, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// warm touches what the packets of this turn will need. The memory of a call has
// left the near caches since its last packet; asked for all together, the lines
// arrive side by side instead of one after the other.
func (t *thread) warm(ready []unix.EpollEvent) {
	touched := 0
	for i := range ready {
		ev := &ready[i]
		if ev.Pad == wakeMark {
			continue
		}
		if p := t.pool.banks[ev.Pad].table[ev.Fd>>1].Load(); p != nil {
			touched += p.rtp.(*rawPort).fd
			if o := p.owner.Load(); o != nil {
				touched += o.out.Load().rtp.(*rawPort).fd
			}
		}
	}
	t.touched = touched
}

// receive receives one packet. MSG_TRUNC makes the kernel tell the true length,
// so that an oversize packet is dropped and not relayed cut off.
func (t *thread) receive(a *arrival) bool {
	port := a.pair.rtp
	if a.rtcp {
		port = a.pair.rtcp
	}
	t.size = unix.SizeofSockaddrAny
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(port.(*rawPort).fd), uintptr(unsafe.Pointer(&a.buf[0])), srtp.MaxPacket,
		unix.MSG_TRUNC, uintptr(unsafe.Pointer(&t.from)), uintptr(unsafe.Pointer(&t.size)))
	if errno != 0 {
		return false // EAGAIN, or the ICMP error of an earlier send, which is cleared by this
	}
	a.n, a.from = int(n), source(&t.from)
	return true
}

// source reads a socket address.
func source(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), network16(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), network16(in.Port))
	}
	return netip.AddrPort{}
}

// network16 turns a port between network order and ours.
func network16(v uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&v))[:])
}

func (n *native) open(b *bank, index int) (*pair, error) {
	t := n.threads[index%len(n.threads)]
	p := &pair{bank: b, index: index}
	rtp, err := bindRaw(netip.AddrPortFrom(b.addr, b.number(index)))
	if err != nil {
		return nil, err
	}
	rtcp, err := bindRaw(netip.AddrPortFrom(b.addr, b.number(index)+1))
	if err != nil {
		rtp.close()
		return nil, err
	}
	p.rtp, p.rtcp = rtp, rtcp
	b.table[index].Store(p) // before the first event can come
	for i, s := range []*rawPort{rtp, rtcp} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index<<1 | i), Pad: int32(b.id)}
		if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, s.fd, &ev); err != nil {
			b.table[index].Store(nil)
			rtp.close()
			rtcp.close()
			return nil, err
		}
	}
	n.mu.Lock()
	n.all = append(n.all, rtp, rtcp)
	n.mu.Unlock()
	return p, nil
}

// close is called with the pool's stop channel closed.
func (n *native) close() {
	one := [8]byte{1}
	for _, t := range n.threads {
		unix.Write(t.wake, one[:])
	}
	n.done.Wait()
	for _, t := range n.threads {
		t.close()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.all {
		s.close()
	}
}

// expedited is DSCP EF (RFC 4594 4.1), which networks give voice.
const expedited = 46 << 2

// rawPort is a UDP socket by its descriptor.
type rawPort struct {
	fd        int
	connected bool
	to        netip.AddrPort // that addr was made for
	addr      unix.RawSockaddrAny
	size      uint32
}

func bindRaw(at netip.AddrPort) (*rawPort, error) {
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("open media socket: %w", err)
	}
	s := &rawPort{fd: fd}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port()), Addr: [4]byte{}}
	// The service class is a wish: a system that refuses it still carries media.
	if family == unix.AF_INET {
		sa.(*unix.SockaddrInet4).Addr = at.Addr().As4()
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, expedited)
	} else {
		sa = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, expedited)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			s.close()
			return nil, fmt.Errorf("open media socket: %w", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		s.close()
		return nil, fmt.Errorf("bind media port %s: %w", at, err)
	}
	return s, nil
}

// aim makes the socket address of a peer.
func (s *rawPort) aim(to netip.AddrPort) {
	s.to = to
	if to.Addr().Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.addr))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: network16(to.Port()), Addr: to.Addr().As4()}
		s.size = unix.SizeofSockaddrInet4
		return
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&s.addr))
	*in = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: network16(to.Port()), Addr: to.Addr().As16()}
	s.size = unix.SizeofSockaddrInet6
}

func (s *rawPort) send(p []byte, to netip.AddrPort) bool {
	var addr unsafe.Pointer
	var size uintptr
	if !s.connected {
		if s.to != to {
			s.aim(to)
		}
		addr, size = unsafe.Pointer(&s.addr), uintptr(s.size)
	}
	for range 2 {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, uintptr(addr), size)
		if errno == 0 {
			return true
		}
		if !errors.Is(errno, unix.ECONNREFUSED) && errno != unix.EINTR {
			return false
		}
		// The ICMP error of an earlier packet is reported once in place of sending: send again.
	}
	return false
}

// connect restricts the socket to one peer: the kernel drops all others and
// needs no route look-up per packet. A failure leaves it open, and the source check still holds.
func (s *rawPort) connect(to netip.AddrPort) {
	s.aim(to)
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&s.addr)), uintptr(s.size))
	s.connected = errno == 0
}

// disconnect opens the socket to everyone again; the port stays bound (connect(2), AF_UNSPEC).
func (s *rawPort) disconnect() {
	if !s.connected {
		return
	}
	var none unix.RawSockaddr
	none.Family = unix.AF_UNSPEC
	unix.RawSyscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
	s.connected, s.to = false, netip.AddrPort{}
}

func (s *rawPort) close() { unix.Close(s.fd) }
