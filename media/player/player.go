package player

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Player.
type Config struct {
	Address netip.Addr // local address of every stream; 127.0.0.1 when invalid
	// PortMin and PortMax bound the RTP ports (even; RTCP is the next one); 0 = the system's choice.
	PortMin, PortMax uint16
	// Record, when not empty, is a folder for one WAV file per stream of what it heard.
	Record string
	// Lost, when not nil, is asked per packet in each direction and drops it by returning true.
	Lost   func() bool
	Logger *slog.Logger
}

// Player sends for all its streams from one goroutine.
type Player struct {
	cfg  Config
	log  *slog.Logger
	next atomic.Uint32

	mu      sync.Mutex
	streams map[*Stream]struct{}
	wake    chan struct{}
	closed  bool
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// New starts a player.
func New(cfg Config) *Player {
	if !cfg.Address.IsValid() {
		cfg.Address = netip.MustParseAddr("127.0.0.1")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Player{cfg: cfg, log: cfg.Logger, streams: map[*Stream]struct{}{}, wake: make(chan struct{}, 1), cancel: cancel}
	p.wg.Add(1)
	go p.run(ctx)
	return p
}

// Close ends every stream and waits.
func (p *Player) Close() {
	p.mu.Lock()
	p.closed = true
	var all []*Stream
	for s := range p.streams {
		all = append(all, s)
	}
	p.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	p.cancel()
	p.wg.Wait()
}

// Streams is the number of open streams.
func (p *Player) Streams() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.streams)
}

// run sends one frame per stream every 20 ms. The clock is the ticker: late
// ticks are caught up, at most five frames, so that the packet rate holds on a busy machine.
func (p *Player) run(ctx context.Context) {
	defer p.wg.Done()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	begun, frames := time.Now(), int64(0)
	var batch []*Stream
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due := int64(time.Since(begun)/(20*time.Millisecond)) - frames
		frames += due
		for range min(due, 5) {
			batch = batch[:0]
			p.mu.Lock()
			for s := range p.streams {
				batch = append(batch, s)
			}
			p.mu.Unlock()
			for _, s := range batch {
				s.tick()
			}
		}
	}
}

// bind takes an even RTP port and the odd one after it.
func (p *Player) bind() (rtp, rtcp *net.UDPConn, err error) {
	if p.cfg.PortMin == 0 {
		for range 20 {
			if rtp, err = p.listen(0); err != nil {
				return nil, nil, err
			}
			port := rtp.LocalAddr().(*net.UDPAddr).Port
			if port%2 == 0 && port < 65535 {
				if rtcp, err = p.listen(port + 1); err == nil {
					return rtp, rtcp, nil
				}
			}
			rtp.Close()
		}
		return nil, nil, errors.New("no pair of free UDP ports found")
	}
	pairs := (uint32(p.cfg.PortMax) - uint32(p.cfg.PortMin) + 1) / 2
	first := (uint32(p.cfg.PortMin) + 1) &^ 1
	for range pairs {
		port := int(first + 2*(p.next.Add(1)%pairs))
		if rtp, err = p.listen(port); err != nil {
			continue
		}
		if rtcp, err = p.listen(port + 1); err == nil {
			return rtp, rtcp, nil
		}
		rtp.Close()
	}
	return nil, nil, fmt.Errorf("no free UDP port pair in %d-%d", p.cfg.PortMin, p.cfg.PortMax)
}

func (p *Player) listen(port int) (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: p.cfg.Address.AsSlice(), Port: port})
	if err != nil {
		return nil, fmt.Errorf("RTP port: %w", err)
	}
	return c, nil
}
