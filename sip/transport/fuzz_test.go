package transport

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
	"tandem/sip/core"
	"tandem/sip/sim"
)

// intoCore is a handler that gives every message to a call core, as the engine does.
type intoCore struct {
	w    *sim.World
	last uint32 // CSeq number of the last message
}

func (h *intoCore) Receive(f sip.Flow, m gosip.Message, lease sip.Lease, _ time.Time) {
	h.last = m.CSeq().SeqNo
	h.w.Core.Handle(core.Event{Kind: core.EventMessage, At: h.w.Now, Flow: f, Msg: m})
	if lease != nil {
		lease.Return()
	}
}
func (*intoCore) SentOn(sip.SendRef, sip.ConnID, time.Time) {}
func (*intoCore) SendFailed(sip.SendRef, error, time.Time)  {}
func (h *intoCore) ConnClosed(conn sip.ConnID, at time.Time) {
	h.w.Core.Handle(core.Event{Kind: core.EventConnClosed, At: h.w.Now, Conn: conn})
}

// newIntoCore is a core with one trunk and a route for every call.
func newIntoCore() *intoCore {
	w := sim.New(sim.Config{Seed: 1})
	w.AddTrunk(core.TrunkView{Trunk: tandem.Trunk{ID: "peer", Kind: tandem.TrunkCarrier, Transport: tandem.UDP, FQDN: "sbc.example.com", SendPAI: true, SendDiversion: true,
		SendHistoryInfo: true}, ViaHost: "192.0.2.1", ViaPort: 5060})
	p := w.AddPeer("peer", "192.0.2.10:5060", tandem.UDP)
	w.Plan = func(*tandem.RouteRequest) tandem.Plan {
		return tandem.Plan{Direction: tandem.Inbound, Account: "acme", From: "+12065550111", To: "+14255550100", Attempts: []tandem.Attempt{{
			Trunk: "peer", Endpoint: p.Endpoint(), Technology: tandem.Phone, To: "+14255550100", From: "+12065550111", LocalHost: "sbc.example.com",
			ResponseTimeout: time.Second, AnswerTimeout: time.Minute}}}
	}
	return &intoCore{w: w}
}

// fuzzTransport is a transport that is never served: the fuzz targets call its readers themselves.
func fuzzTransport(f *testing.F, h sip.Handler) *Transport {
	t, err := New(DefaultConfig(), Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	t.SetTrunks([]Trunk{{Trunk: tandem.Trunk{ID: "peer", Transport: tandem.UDP, Sources: loopback}, Local: netip.MustParseAddrPort("127.0.0.1:5060")}})
	t.handler = h
	close(t.served)
	f.Cleanup(t.Close)
	return t
}

// addTorture seeds with the messages of RFC 4475 and 5118.
func addTorture(f *testing.F, add func([]byte)) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "testdata", "torture", "*", "*.dat"))
	if len(files) < 61 {
		f.Fatal("torture messages are missing")
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(b)
	}
}

// FuzzDatagram: no datagram makes transport or core panic; what is answered is
// answered by clean lines; and the good request after it is read and served.
func FuzzDatagram(f *testing.F) {
	addTorture(f, func(b []byte) { f.Add(b) })
	good := []byte(request("REGISTER", 9, "", ""))
	h := newIntoCore()
	t := fuzzTransport(f, h)
	flow := sip.Flow{Trunk: "peer", Transport: tandem.UDP, Source: netip.MustParseAddrPort("127.0.0.1:5999"), Local: netip.MustParseAddrPort("127.0.0.1:5060")}
	f.Fuzz(func(tt *testing.T, data []byte) {
		*h = *newIntoCore()
		if answer, ok := t.receive(flow, data, nil, false); !ok && answer != nil && (!cleanLines(answer) || bytes.Count(answer, crlfcrlf) != 1) {
			tt.Fatalf("answer is not clean: %q", answer)
		}
		h.w.RunIdle(24 * time.Hour)
		h.last = 0
		if _, ok := t.receive(flow, good, nil, false); !ok || h.last != 9 {
			tt.Fatal("the good request after it is not taken")
		}
		h.w.RunIdle(time.Hour)
		checkFuzzed(tt, t, h)
	})
}

func checkFuzzed(tt *testing.T, t *Transport, h *intoCore) {
	tt.Helper()
	s := h.w.Core.Stats()
	if s.Panics != 0 || t.count.panics.Load() != 0 {
		tt.Fatal("a panic")
	}
	if s.Calls+s.Legs+s.ClientTx+s.ServerTx+s.Timers+s.SetUps != 0 {
		tt.Fatalf("left over: %+v", s)
	}
}

// pieces is a connection that is read in pieces of a size; what is written is lost.
type pieces struct {
	net.Conn
	data []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.size)], p.data)
	p.data = p.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
func (*pieces) Write(b []byte) (int, error)      { return len(b), nil }
func (*pieces) Close() error                     { return nil }
func (*pieces) SetReadDeadline(time.Time) error  { return nil }
func (*pieces) SetWriteDeadline(time.Time) error { return nil }
func (*pieces) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5060} }
func (*pieces) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5999} }

// FuzzStream: no stream, however it is cut into pieces, makes transport or core
// panic; and where the stream has not lost its place, the good request behind it is served.
func FuzzStream(f *testing.F) {
	addTorture(f, func(b []byte) { f.Add(b, uint16(1000)) })
	f.Add([]byte("\r\n\r\n"+request("INVITE", 1, "", "v=0")+"\r\n"+request("ACK", 1, "", "")), uint16(3))
	f.Add(bytes.Repeat([]byte("garbage\r\n\r\n"), 15), uint16(7))
	good := request("REGISTER", 9, "", "")
	h := newIntoCore()
	t := fuzzTransport(f, h)
	f.Fuzz(func(tt *testing.T, data []byte, size uint16) {
		*h = *newIntoCore()
		c := t.newConn(&pieces{data: append(bytes.Clone(data), good...), size: int(size) + 1}, tandem.TCP, "peer", nil)
		c.read()
		if c.t.conns.find(c.id) != nil {
			tt.Fatal("a connection that ended stays in the table")
		}
		if readable(data, t.cfg.MaxMessage) && (h.last != 9) {
			tt.Fatal("the good request behind it is not taken")
		}
		h.w.RunIdle(24 * time.Hour)
		checkFuzzed(tt, t, h)
	})
}

// readable reports whether a stream ends between two messages and has fewer of
// them than any connection survives.
func readable(data []byte, limit int) bool {
	fr := newFramer(limit)
	for messages := 0; len(data) > 0; {
		n := copy(fr.space(), data)
		fr.filled(n)
		data = data[n:]
		for {
			_, more, err := fr.next()
			if err != nil {
				return false
			}
			if more {
				break
			}
			if messages++; messages >= maxGarbage {
				return false
			}
		}
	}
	return !fr.partial()
}
