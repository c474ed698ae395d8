package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"tandem/media/sdp"
	"tandem/media/srtp"
)

// rtpengine is Debian's, in user space, driven by its own protocol (ng).
type rtpengine struct {
	srtp bool
	p    *process
	conn net.Conn
	asks int
}

func (r *rtpengine) pid() int            { return r.p.cmd.Process.Pid }
func (r *rtpengine) end(context.Context) { r.p.stop() }

func (r *rtpengine) start(ctx context.Context, p *plan) ([]link, error) {
	var err error
	control := p.net + ".10:2223"
	r.p, err = startProcess(p, "rtpengine", "--config-file=none", "--table=-1", "--interface="+p.net+".10", "--listen-ng="+control, "--foreground",
		"--log-stderr", "--log-level=3", "--port-min=30000", "--port-max=38000", "--num-threads=1", "--pidfile="+p.dir+"/rtpengine.pid")
	if err != nil {
		return nil, err
	}
	if r.conn, err = net.Dial("udp", control); err != nil {
		return nil, err
	}
	if err := r.p.await("start", func() bool { _, err := r.ask("d7:command4:pinge"); return err == nil }); err != nil {
		return nil, err
	}
	var links []link
	for i := range p.calls {
		l, err := r.join(p, i)
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, r.p.tail())
		}
		links = append(links, l)
	}
	return links, nil
}

// join makes a call by offer and answer: side 0 is plain, side 1 secured when wanted.
func (r *rtpengine) join(p *plan, i int) (link, error) {
	l := link{{local: p.load(i, 0)}, {local: p.load(i, 1)}}
	protocol := "RTP/AVP"
	if r.srtp {
		protocol = "RTP/SAVP"
		key, err := srtp.NewKey(srtp.AESCM80, rand.Reader)
		if err != nil {
			return l, err
		}
		l[1].send = &key
	}
	id := fmt.Sprintf("call%d", i)
	b := dict("command", "offer", "call-id", id, "from-tag", "a", "sdp", string(describe(l[0], 0)), "transport-protocol", protocol, "ICE", "remove", "DTLS", "off")
	tag, err := r.take(b, &l[1])
	if err != nil {
		return l, err
	}
	b = dict("command", "answer", "call-id", id, "from-tag", "a", "to-tag", "b", "sdp", string(describe(l[1], tag)), "transport-protocol", "RTP/AVP", "ICE", "remove")
	_, err = r.take(b, &l[0])
	return l, err
}

// take sends a command and reads the relay's description for a side; tag is the
// one of its crypto attribute.
func (r *rtpengine) take(command string, s *side) (tag int, err error) {
	reply, err := r.ask(command)
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(reply, "3:sdp")
	size, text, ok2 := strings.Cut(rest, ":")
	n, err := strconv.Atoi(size)
	if !ok || !ok2 || err != nil || n > len(text) {
		return 0, fmt.Errorf("rtpengine said %q", reply)
	}
	return s.hear([]byte(text[:n]))
}

func (r *rtpengine) ask(command string) (string, error) {
	r.asks++ // the cookie: a repeated one would be a retransmission
	if _, err := fmt.Fprintf(r.conn, "%d %s", r.asks, command); err != nil {
		return "", err
	}
	_ = r.conn.SetReadDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 65536)
	n, err := r.conn.Read(buf)
	if err == nil && strings.Contains(string(buf[:n]), "6:result5:error") {
		err = errors.New(string(buf[:n]))
	}
	return string(buf[:n]), err
}

// dict writes a bencoded dictionary of strings.
func dict(pairs ...string) string {
	b := "d"
	for _, s := range pairs {
		b += strconv.Itoa(len(s)) + ":" + s
	}
	return b + "e"
}

// describe is a side's SDP; tag is its crypto attribute's.
func describe(s side, tag int) []byte {
	protocol, key := "RTP/AVP", ""
	if s.send != nil {
		protocol, key = "RTP/SAVP", "a=crypto:"+srtp.Crypto{Tag: tag, Key: *s.send}.String()+"\r\n"
	}
	a := s.local
	return fmt.Appendf(nil, "v=0\r\no=bench 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d %s %d\r\n%sa=rtpmap:%d PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n",
		a.Addr(), a.Addr(), a.Port(), protocol, payloadType, key, payloadType)
}

// hear takes the relay's description for a side and tells the tag of its key.
func (s *side) hear(body []byte) (tag int, err error) {
	d, err := sdp.Parse(body)
	if err != nil {
		return 0, err
	}
	m := d.Media[0]
	s.relay = netAddr(m)
	if s.send == nil {
		return 0, nil
	}
	for i := range m.Crypto {
		if c := &m.Crypto[i]; c.Key.Suite == srtp.AESCM80 {
			s.open = &c.Key
			return c.Tag, nil
		}
	}
	return 0, errors.New("no key from the relay")
}
