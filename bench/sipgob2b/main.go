// Command sipgob2b is the thin B2BUA that Tandem is measured beside: sipgo as
// its documentation shows it, without media, routing, rating or records. INVITE
// of leg A makes leg B, 180 and 200 are relayed, ACK and BYE of one leg end in
// the other. It is a module of its own, so that its needs aren't the product's.
//
//	sipgob2b -listen 127.0.0.10:5060 -target 127.0.0.30:5080
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

func main() {
	listen := flag.String("listen", "127.0.0.10:5060", "own address")
	target := flag.String("target", "127.0.0.30:5080", "where calls go")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, *target); err != nil {
		fmt.Fprintln(os.Stderr, "sipgob2b:", err)
		os.Exit(1)
	}
}

// b2b joins two legs per call; peers finds the other one.
type b2b struct {
	ctx     context.Context
	target  netip.AddrPort
	servers *sipgo.DialogServerCache
	clients *sipgo.DialogClientCache
	peers   sync.Map
}

func serve(ctx context.Context, listen, target string) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	slog.SetDefault(logger)
	sip.SetDefaultLogger(logger)
	own, err := netip.ParseAddrPort(listen)
	if err != nil {
		return err
	}
	b := &b2b{ctx: ctx}
	if b.target, err = netip.ParseAddrPort(target); err != nil {
		return err
	}
	agent, err := sipgo.NewUA(sipgo.WithUserAgent("b2b"))
	if err != nil {
		return err
	}
	server, err := sipgo.NewServer(agent)
	if err != nil {
		return err
	}
	client, err := sipgo.NewClient(agent, sipgo.WithClientHostname(own.Addr().String()), sipgo.WithClientConnectionAddr(listen))
	if err != nil {
		return err
	}
	contact := sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "b2b", Host: own.Addr().String(), Port: int(own.Port())}}
	b.servers = sipgo.NewDialogServerCache(client, contact)
	b.clients = sipgo.NewDialogClientCache(client, contact)
	server.OnInvite(b.invite)
	server.OnAck(func(req *sip.Request, tx sip.ServerTransaction) { _ = b.servers.ReadAck(req, tx) })
	server.OnBye(func(req *sip.Request, tx sip.ServerTransaction) {
		if b.servers.ReadBye(req, tx) == nil {
			return
		}
		if b.clients.ReadBye(req, tx) != nil {
			_ = tx.Respond(sip.NewResponseFromRequest(req, 481, "No dialog", nil))
		}
	})
	socket, err := receiver().ListenPacket(ctx, "udp", listen)
	if err != nil {
		return err
	}
	go func() { _ = server.ServeUDP(socket) }()
	<-ctx.Done()
	return nil
}

// receiver listens with 4 MiB of buffer, as the other systems do.
func receiver() *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<20)
		})
	}}
}

// invite carries one call from its INVITE to its end.
func (b *b2b) invite(req *sip.Request, tx sip.ServerTransaction) {
	legA, err := b.servers.ReadInvite(req, tx)
	if err != nil {
		return
	}
	defer legA.Close()
	_ = legA.Respond(100, "Trying", nil)
	legB, err := b.dial(req, legA)
	if err != nil {
		_ = legA.Respond(503, "Fail", nil)
		return
	}
	defer legB.Close()
	_ = legB.Ack(b.ctx)
	b.peers.Store(legA.ID, legB)
	b.peers.Store(legB.ID, legA)
	_ = legA.RespondSDP(legB.InviteResponse.Body())
	select {
	case <-legA.Context().Done():
		bye, done := context.WithTimeout(b.ctx, 5*time.Second)
		_ = legB.Bye(bye)
		done()
	case <-legB.Context().Done():
		bye, done := context.WithTimeout(b.ctx, 5*time.Second)
		_ = legA.Bye(bye)
		done()
	}
	b.peers.Delete(legA.ID)
	b.peers.Delete(legB.ID)
}

// dial makes leg B and waits for its answer; 18x goes to leg A as it comes.
func (b *b2b) dial(req *sip.Request, legA *sipgo.DialogServerSession) (*sipgo.DialogClientSession, error) {
	from := req.From()
	to := sip.Uri{Scheme: "sip", User: req.Recipient.User, Host: b.target.Addr().String(), Port: int(b.target.Port())}
	caller := &sip.FromHeader{DisplayName: from.DisplayName, Address: from.Address, Params: sip.NewParams()}
	caller.Params.Add("tag", sip.GenerateTagN(16))
	kind := sip.ContentTypeHeader("application/sdp")
	legB, err := b.clients.Invite(b.ctx, to, req.Body(), caller, &kind)
	if err != nil {
		return nil, err
	}
	err = legB.WaitAnswer(b.ctx, sipgo.AnswerOptions{OnResponse: func(res *sip.Response) error {
		if res.StatusCode > 100 && res.StatusCode < 200 {
			return legA.Respond(res.StatusCode, res.Reason, res.Body())
		}
		return nil
	}})
	if err != nil {
		legB.Close()
		return nil, err
	}
	return legB, nil
}
