package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem"
	"tandem/media/sdp"
	"tandem/media/srtp"
	"tandem/provisioning/api/client"
	"tandem/sip/ua"
)

func netAddr(m sdp.Media) netip.AddrPort { return netip.AddrPortFrom(m.Addr, m.Port) }

// node is Tandem with its whole path on. Side 0 is the carrier that calls, side
// 1 Microsoft's, which answers and is secured when wanted.
type node struct {
	program string
	srtp    bool
	p       *process
	ep      *ua.Endpoint
	plan    *plan

	mu    sync.Mutex
	links []link
	calls []*ua.Call
}

func (n *node) pid() int { return n.p.cmd.Process.Pid }

// end hangs up, which also shows that the calls lived to the end, and stops the node.
func (n *node) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	gone := 0
	for _, c := range n.calls {
		if m, err := c.Request(ctx, "BYE", nil); err != nil || m.Status != 200 {
			gone++
		}
	}
	if gone > 0 {
		fmt.Fprintf(os.Stderr, "bench/media: %d calls were gone at the end\n", gone)
	}
	n.p.stop()
	if n.ep != nil {
		n.ep.Close()
	}
}

func (n *node) start(ctx context.Context, p *plan) ([]link, error) {
	n.plan, n.links = p, make([]link, p.calls)
	if err := n.startNode(ctx); err != nil {
		return nil, err
	}
	n.ep = ua.New(ua.Config{Handler: n.called})
	var carrier *ua.Listener
	for _, at := range []string{p.net + ".20:5070", p.net + ".30:5080"} {
		l, err := n.ep.Listen(ua.ListenConfig{Name: at, Transport: tandem.UDP, Address: netip.MustParseAddrPort(at)})
		if err != nil {
			return nil, err
		}
		if carrier == nil {
			carrier = l
		}
	}
	for i := range p.calls {
		if err := n.call(ctx, i, carrier); err != nil {
			return nil, fmt.Errorf("call %d: %w\n%s", i, err, n.p.tail())
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links, nil
}

// startNode starts the process and provisions it.
func (n *node) startNode(ctx context.Context) error {
	p := n.plan
	library, mode := "", "off"
	if path, err := filepath.Abs(filepath.Join(".tools", "chdb", "libchdb.so")); err == nil {
		if _, err := os.Stat(path); err == nil {
			library, mode = path, "embedded"
		}
	}
	_ = os.RemoveAll(filepath.Join(p.dir, "data"))
	config := fmt.Sprintf("node: bench\ndata: data\nsip:\n  listen:\n    - {transport: udp, address: \"%[1]s.10:5060\"}\nmedia: {address: %[1]s.10, ports: 30000-38000}\nhttp: {address: \"%[1]s.10:8080\"}\nclickhouse: {mode: %q, library: %q}\n",
		p.net, mode, library)
	if err := os.WriteFile(filepath.Join(p.dir, "tandem.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	customers, err := os.ReadFile(filepath.Join("bench", "scenarios", "customers.yaml"))
	if err != nil {
		return fmt.Errorf("start in the repository's folder: %w", err)
	}
	text := strings.ReplaceAll(string(customers), "@NET@", p.net)
	if n.srtp {
		text = strings.Replace(text, `srtp: "off"`, "srtp: required", 1)
	}
	file := filepath.Join(p.dir, "customers.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	program, err := filepath.Abs(n.program)
	if err != nil {
		return err
	}
	if n.p, err = startProcess(p, program, "serve", "-c", "tandem.yaml"); err != nil {
		return err
	}
	var api *client.Client
	err = n.p.await("start", func() bool {
		token, err := os.ReadFile(filepath.Join(p.dir, "data", "api-token"))
		if err != nil {
			return false
		}
		api = client.New("http://"+p.net+".10:8080", strings.TrimSpace(string(token)), &http.Client{Timeout: 10 * time.Second})
		return api.Get(ctx, "/api/v1/status", nil, &struct{}{}) == nil
	})
	if err != nil {
		return err
	}
	_, err = api.Apply(ctx, file, false)
	return err
}

// caller is the number of a call's caller, by which the called side knows the call.
func caller(i int) string { return fmt.Sprintf("+1206556%04d", i) }

// side makes our end of a side of call i.
func (n *node) side(i, k int) (side, error) {
	s := side{local: n.plan.load(i, k)}
	if n.srtp && k == 1 {
		key, err := srtp.NewKey(srtp.AESCM80, rand.Reader)
		if err != nil {
			return s, err
		}
		s.send = &key
	}
	return s, nil
}

// call places call i and waits until it is up.
func (n *node) call(ctx context.Context, i int, from *ua.Listener) error {
	s, err := n.side(i, 0)
	if err != nil {
		return err
	}
	to := netip.MustParseAddrPort(n.plan.net + ".10:5060")
	m := &ua.Message{Method: "INVITE", URI: fmt.Sprintf("sip:+142555501%02d@%s", i%10, to), Body: describe(s, 1)}
	m.Add("From", fmt.Sprintf("<sip:%s@%s>;tag=%s", caller(i), from.Addr(), ua.NewTag()))
	m.Add("To", "<"+m.URI+">")
	m.Add("Contact", fmt.Sprintf("<sip:%s>", from.Addr()))
	m.Add("Content-Type", "application/sdp")
	c, err := n.ep.Invite(ctx, ua.Target{Transport: tandem.UDP, Addr: to, Listener: from}, m)
	if err != nil {
		return err
	}
	for limit := time.After(10 * time.Second); ; {
		select {
		case ev := <-c.Events():
			switch {
			case ev.Kind == ua.EventFailed:
				return ev.Err
			case ev.Kind != ua.EventResponse || ev.Msg.Status < 200:
				continue
			case ev.Msg.Status > 299:
				return errors.New(ev.Msg.Summary() + " " + ev.Msg.Get("Reason"))
			}
			if _, err := s.hear(ev.Msg.Body); err != nil {
				return err
			}
			n.mu.Lock()
			n.links[i][0] = s
			n.calls = append(n.calls, c)
			n.mu.Unlock()
			return c.Ack(ctx, ev.Msg, nil)
		case <-limit:
			return errors.New("no answer")
		}
	}
}

// called answers on Microsoft's side.
func (n *node) called(tx *ua.ServerTx) {
	if tx.Req.Method != "INVITE" {
		_ = tx.Reply(200, "")
		return
	}
	c := n.ep.Accept(tx)
	u, _ := ua.AddressOf(tx.Req.Get("From"))
	i, err := strconv.Atoi(strings.TrimPrefix(u.User, "+1206556"))
	if err != nil || i >= len(n.links) {
		_ = tx.Reply(404, "")
		return
	}
	s, err := n.side(i, 1)
	tag := 1
	if err == nil {
		tag, err = s.hear(tx.Req.Body)
	}
	if err != nil {
		_ = tx.Reply(488, "")
		return
	}
	n.mu.Lock()
	n.links[i][1] = s
	n.mu.Unlock()
	contact := ua.Header{Name: "Contact", Value: fmt.Sprintf("<sip:%s.30:5080>", n.plan.net)}
	_ = c.Respond(ua.Answer{Status: 200, Headers: []ua.Header{contact, {Name: "Content-Type", Value: "application/sdp"}}, Body: describe(s, tag)})
	for {
		select {
		case ev := <-c.Events():
			if ev.Kind == ua.EventRequest {
				_ = c.AnswerRequest(ev.Tx, 200, nil)
				if ev.Msg.Method == "BYE" {
					return
				}
			}
		case <-n.ep.Context().Done():
			return
		}
	}
}
