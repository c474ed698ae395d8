package main

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// lossyRelay carries TCP connections as a path that loses segments would: a
// lost one, and all that follow it, come later by the sender's retransmission
// times (RFC 6298: 200 ms as Linux has it, doubled with each further loss).
type lossyRelay struct {
	ln   net.Listener
	to   string
	loss float64
	lag  time.Duration

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

const segment = 1448 // payload of one Ethernet frame

func startLossyRelay(t *testing.T, listen, to string, loss float64, lag time.Duration) {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	r := &lossyRelay{ln: ln, to: to, loss: loss, lag: lag}
	r.wg.Add(1)
	go r.accept()
	t.Cleanup(r.close)
}

func (r *lossyRelay) close() {
	_ = r.ln.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *lossyRelay) accept() {
	defer r.wg.Done()
	for {
		near, err := r.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, near, far)
		r.mu.Unlock()
		r.wg.Add(2)
		go r.carry(near, far)
		go r.carry(far, near)
	}
}

// carry moves one direction.
func (r *lossyRelay) carry(from, to net.Conn) {
	defer r.wg.Done()
	type late struct {
		at    time.Time
		bytes []byte
	}
	waiting := make(chan late, 4096)
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		for w := range waiting {
			<-time.After(time.Until(w.at))
			if _, err := to.Write(w.bytes); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	}()
	defer close(waiting)
	var last time.Time
	for {
		buf := make([]byte, segment)
		n, err := from.Read(buf)
		if n > 0 {
			at := time.Now().Add(r.lag)
			for again := 200 * time.Millisecond; rand.Float64() < r.loss; again *= 2 {
				at = at.Add(again)
			}
			if at.Before(last) {
				at = last // TCP keeps the order
			}
			last = at
			waiting <- late{at, buf[:n]}
		}
		if err != nil {
			return
		}
	}
}
