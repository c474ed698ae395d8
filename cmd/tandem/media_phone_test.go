package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// phone is a running baresip: a user agent that shares no code with ours, with
// its own SIP, SDP, SRTP and G.711. It plays a sound file into its calls and
// records what it hears.
type phone struct {
	t       *testing.T
	name    string
	folder  string
	cmd     *exec.Cmd
	out     *testLog
	control net.Conn

	mu      sync.Mutex
	events  []phoneEvent
	changed chan struct{} // closed and renewed at every event
	exited  chan struct{}
}

// phoneEvent is one message of baresip's control connection.
type phoneEvent struct {
	Type      string `json:"type"` // CALL_ESTABLISHED..., empty in a response
	Direction string `json:"direction"`
	Param     string `json:"param"`
	Response  bool   `json:"response"`
	OK        bool   `json:"ok"`
	Data      string `json:"data"`
}

// phoneOptions are what the phones of a test differ in.
type phoneOptions struct {
	name     string
	address  string // IP address of SIP and media
	sipPort  int    // UDP and TCP; TLS listens on the next one
	rtpPort  int    // first of 100
	user     string // address of record without "sip:"
	params   string // of the account, with leading ';'
	cert, ca string // PEM files, for TLS
	dns      string // ip:port of the name server
	sound    string // the WAV file that it plays
}

// needPhones skips a test on machines without baresip; `make test` installs it.
func needPhones(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("baresip"); err != nil {
		t.Skip("baresip is not installed: run `make setup-test`, or install Debian's baresip-core")
	}
}

// phoneModules are looked for where Debian's package puts them.
const phoneModules = "/usr/lib/baresip/modules"

// startPhone starts a baresip; it ends with the test. The network interface is
// given by address because baresip passes over the loopback interface by name.
func startPhone(t *testing.T, o phoneOptions) *phone {
	t.Helper()
	p := &phone{t: t, name: o.name, folder: t.TempDir(), out: &testLog{}, changed: make(chan struct{}), exited: make(chan struct{})}
	control := net.JoinHostPort(o.address, strconv.Itoa(o.sipPort+4))
	var b strings.Builder
	fmt.Fprintf(&b, "poll_method epoll\nsip_listen %s:%d\nnet_interface %[1]s\n", o.address, o.sipPort)
	if o.dns != "" {
		fmt.Fprintf(&b, "dns_server %s\n", o.dns)
	}
	if o.cert != "" {
		fmt.Fprintf(&b, "sip_certificate %s\nsip_cafile %s\n", o.cert, o.ca)
	}
	fmt.Fprintf(&b, "audio_player aubridge,p\naudio_source aufile,%s\naudio_alert aufile,/dev/null\naudio_level no\n", o.sound)
	b.WriteString("ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\nrtcp_mux no\n")
	// Five packets of delay: what a busy machine wakes up late for is not heard as a gap.
	fmt.Fprintf(&b, "jitter_buffer_delay 5-10\nrtp_ports %d-%d\nmodule_path %s\n", o.rtpPort, o.rtpPort+99, phoneModules)
	for _, m := range []string{"g711", "aufile", "aubridge", "sndfile", "srtp"} {
		fmt.Fprintf(&b, "module %s.so\n", m)
	}
	b.WriteString("module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nmodule_app debug_cmd.so\n")
	fmt.Fprintf(&b, "ctrl_tcp_listen %s\nsnd_path %s\n", control, p.folder)
	p.file("config", b.String())
	p.file("accounts", "<sip:"+o.user+">;regint=0;answermode=auto"+o.params+"\n")
	p.file("contacts", "")
	p.cmd = exec.Command("baresip", "-f", p.folder, "-s", "-t", "300")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() { p.stop() })
	p.connect(control)
	return p
}

func (p *phone) file(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.folder, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// connect opens the control connection as soon as the phone listens.
func (p *phone) connect(address string) {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			p.control = c
			go p.listen(c)
			return
		}
		select {
		case <-p.exited:
			p.t.Fatalf("%s ended: %s", p.name, tail(p.out.String(), 20))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s has no control port: %v\n%s", p.name, err, tail(p.out.String(), 20))
		}
	}
}

// listen reads netstrings of JSON until the connection ends.
func (p *phone) listen(c net.Conn) {
	var text []byte
	buf := make([]byte, 65536)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		text = append(text, buf[:n]...)
		for {
			head, rest, ok := bytes.Cut(text, []byte(":"))
			size, err := strconv.Atoi(string(head))
			if !ok || err != nil || len(rest) < size+1 {
				break
			}
			var e phoneEvent
			_ = json.Unmarshal(rest[:size], &e)
			text = append([]byte(nil), rest[size+1:]...)
			p.mu.Lock()
			p.events = append(p.events, e)
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
		}
	}
}

// wait waits for an event after those already seen and returns how many are seen then.
func (p *phone) wait(seen int, what string, is func(phoneEvent) bool) (phoneEvent, int) {
	p.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		p.mu.Lock()
		changed := p.changed
		for i := seen; i < len(p.events); i++ {
			if is(p.events[i]) {
				e := p.events[i]
				p.mu.Unlock()
				return e, i + 1
			}
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.exited:
			p.t.Fatalf("%s ended while waiting for %s\n%s", p.name, what, tail(p.out.String(), 60))
		case <-limit:
			p.t.Fatalf("%s: no %s; events %+v\n%s", p.name, what, p.events, tail(p.out.String(), 80))
		}
	}
}

// event waits for an event of a type.
func (p *phone) event(seen int, kind string) (phoneEvent, int) {
	p.t.Helper()
	return p.wait(seen, kind, func(e phoneEvent) bool { return e.Type == kind })
}

func (p *phone) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// find is the first event of a type since a mark.
func (p *phone) find(since int, kind string) (phoneEvent, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events[since:] {
		if e.Type == kind {
			return e, true
		}
	}
	return phoneEvent{}, false
}

// count counts the events of a type since a mark.
func (p *phone) count(since int, kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.events[since:] {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// do gives a command and waits for its acknowledgement.
func (p *phone) do(command, params string) {
	p.t.Helper()
	seen := p.mark()
	text, _ := json.Marshal(map[string]string{"command": command, "params": params, "token": "t"})
	if _, err := fmt.Fprintf(p.control, "%d:%s,", len(text), text); err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, command, err)
	}
	if e, _ := p.wait(seen, "response to "+command, func(e phoneEvent) bool { return e.Response }); !e.OK {
		p.t.Fatalf("%s: %s %s: %s", p.name, command, params, e.Data)
	}
}

// recordings takes away what the phone has recorded so far: what it sent, what it heard.
func (p *phone) recordings() (sent, heard []int16) {
	p.t.Helper()
	take := func(pattern string) []int16 {
		files, _ := filepath.Glob(filepath.Join(p.folder, pattern))
		if len(files) == 0 {
			p.t.Fatalf("%s has recorded nothing as %s\n%s", p.name, pattern, tail(p.out.String(), 60))
		}
		var all []int16
		for _, f := range files {
			all = append(all, readWAV(p.t, f)...)
			_ = os.Remove(f)
		}
		return all
	}
	return take("dump-*-enc.wav"), take("dump-*-dec.wav")
}

// stop ends the phone and shows its log if the test failed.
func (p *phone) stop() {
	if p.control != nil {
		_ = p.control.Close()
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	if p.t.Failed() {
		p.t.Logf("%s:\n%s", p.name, tail(p.out.String(), 60))
	}
}

// startDNS answers every question for an address by one address, as Microsoft
// finds our trunk by its name.
func startDNS(t *testing.T, at string, host netip.Addr) {
	t.Helper()
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := answerDNS(buf[:n], host); reply != nil {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
}

// answerDNS answers a question of type A; to others the answer is empty (RFC 1035 4.1).
func answerDNS(q []byte, host netip.Addr) []byte {
	const header = 12
	end := header
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	end += 5 // root label, type, class
	if end > len(q) {
		return nil
	}
	r := append([]byte(nil), q[:end]...)
	r[2], r[3] = 0x85, 0x80 // response, authoritative, recursion available
	copy(r[6:header], make([]byte, 6))
	if q[end-3] == 1 {
		r[7] = 1
		r = append(r, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		r = append(r, host.AsSlice()...)
	}
	return r
}
