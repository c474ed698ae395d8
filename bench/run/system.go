package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A system is what is measured. Each run starts it anew.
type system interface {
	name() string
	// start runs it and returns when it takes calls.
	start(ctx context.Context, r *rig) error
	pids() []int // the main process first
	// settle returns when everything that the calls so far cause is done, and
	// what the system itself counted.
	settle(ctx context.Context) (counts, error)
	stop() // also after a start that failed
}

// counts is what a system says about itself.
type counts struct {
	Rows      int     `json:"rows,omitempty"`             // in ClickHouse
	Facts     int     `json:"facts,omitempty"`            // in the journal
	Inserts   int     `json:"inserts,omitempty"`          // into ClickHouse
	Objects   float64 `json:"objects_per_call,omitempty"` // on the heap; settle gives the sums, measure the share of a call
	Bytes     float64 `json:"bytes_per_call,omitempty"`
	GCUs      float64 `json:"gc_us_per_call,omitempty"`
	GCs       int     `json:"gcs,omitempty"`
	GCPauseMs float64 `json:"gc_pause_p99_ms,omitempty"`
	GCMaxMs   float64 `json:"gc_pause_max_ms,omitempty"`
	Complaint string  `json:"complaint,omitempty"` // why the counts are wrong
}

// rig is what all runs share: addresses, built programs, folders.
type rig struct {
	net  string // the first three bytes of every address
	root string // the repository
	work string // a scratch folder on a real disk
	sipg string // built programs
	fwd  string
	load string
}

func (r *rig) system() string { return r.net + ".10:5060" }
func (r *rig) caller() string { return r.net + ".20:5070" }
func (r *rig) callee() string { return r.net + ".30:5080" }
func (r *rig) prober() string { return r.net + ".20:5072" }
func (r *rig) teams() string  { return r.net + ".30:5061" }

// systemTLS is where the system takes Microsoft's connections.
func (r *rig) systemTLS() string { return r.net + ".10:5061" }

// profiles is where a node serves them.
func (r *rig) profiles() string { return r.net + ".10:6060" }

// probed is where the prober's calls go: the floor can't tell calls apart, so
// it has a second socket for them.
func (r *rig) probed(s system) string {
	if s.name() == "floor" {
		return r.net + ".10:5062"
	}
	return r.system()
}

// folder makes a new scratch folder.
func (r *rig) folder(name string) (string, error) { return os.MkdirTemp(r.work, name+"-") }

// awaitUDP waits until an address is bound. It looks into the kernel's table:
// binding it ourselves for a try could be in the program's way.
func awaitUDP(ctx context.Context, c *child, address string) error {
	own, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := own.Addr().As4()
	// The kernel prints the address as a number of the machine's own byte order.
	entry := fmt.Sprintf(" %08X:%04X ", binary.NativeEndian.Uint32(ip[:]), own.Port())
	for {
		table, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			return err
		}
		if strings.Contains(string(table), entry) {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %v\n%s", c.cmd.Args, c.err, c.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s\n%s", c.cmd.Args, address, c.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// plain is a system that is one program without any state to wait for.
type plain struct {
	title   string
	command func(r *rig, dir string) ([]string, error)
	process *child
}

func (p *plain) name() string { return p.title }
func (p *plain) pids() []int  { return []int{p.process.pid()} }
func (p *plain) stop()        { p.process.end(3 * time.Second) }

func (p *plain) start(ctx context.Context, r *rig) error {
	dir, err := r.folder(p.title)
	if err != nil {
		return err
	}
	command, err := p.command(r, dir)
	if err != nil {
		return err
	}
	if p.process, err = startChild(systemCore, dir, dir, command[0], command[1:]...); err != nil {
		return err
	}
	return awaitUDP(ctx, p.process, r.system())
}

func (p *plain) settle(context.Context) (counts, error) {
	if p.process.ended() {
		return counts{}, fmt.Errorf("%s ended: %v\n%s", p.title, p.process.err, p.process.tail())
	}
	return counts{}, nil
}

// floor moves datagrams unread.
func floor() system {
	return &plain{title: "floor", command: func(r *rig, _ string) ([]string, error) {
		return []string{r.fwd, "-listen", r.system(), "-a", r.caller(), "-b", r.callee(), "-listen2", r.net + ".10:5062", "-a2", r.prober()}, nil
	}}
}

// thinSipgo is the feature-less B2BUA.
func thinSipgo() system {
	return &plain{title: "sipgo", command: func(r *rig, _ string) ([]string, error) {
		return []string{r.sipg, "-listen", r.system(), "-target", r.callee()}, nil
	}}
}

// kamailio is Debian's, as a dialog-stateful proxy.
func kamailio() system { return kamailioWith("kamailio") }

func kamailioWith(title string, args ...string) *plain {
	return &plain{title: title, command: func(r *rig, dir string) ([]string, error) {
		modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules")
		program, err := exec.LookPath("kamailio")
		if err != nil || len(modules) == 0 {
			return nil, fmt.Errorf("kamailio is not installed: run `make setup-bench`, or leave it out with -systems")
		}
		text, err := os.ReadFile(filepath.Join(r.root, "bench", "scenarios", "kamailio.cfg"))
		if err != nil {
			return nil, err
		}
		config := strings.ReplaceAll(string(text), "127.0.0.", r.net+".")
		config = strings.ReplaceAll(config, "/usr/lib/x86_64-linux-gnu/kamailio/modules/", modules[0]+"/")
		file := filepath.Join(dir, "kamailio.cfg")
		if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
			return nil, err
		}
		return append([]string{program, "-DD", "-E", "-f", file, "-Y", dir, "-w", dir, "-P", filepath.Join(dir, "pid"), "-m", "512"}, args...), nil
	}}
}
