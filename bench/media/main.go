// Command media measures what a relayed RTP packet costs. The whole product
// runs as a process of its own, pinned to one core; calls are set up through
// SIP (UDP, a lab trunk on Microsoft's side), then PCMA runs both ways, a
// packet each 20 ms a side, with RTCP. The load is pinned to another core. In
// the same sitting, in turn, the same load passes a bare relay loop in Go, one
// in C (epoll, connected sockets: the reference) and Debian's rtpengine.
//
//	go run ./bench/media                                    all systems, 3 rounds of 10 s
//	go run ./bench/media -systems tandem,tandem-srtp -rounds 1 -seconds 5
//	go run ./bench/media -tandem old/tandem -tandem2 bin/tandem -systems tandem,tandem2
//
// Start it in the repository's folder. Each run prints one line of JSON (see
// result), the end is a table. A run is paced first and then saturated: sent as fast as it goes.
// Figures compare within one sitting only. C needs gcc, rtpengine Debian's rtpengine-daemon.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// plan is what is to be measured.
type plan struct {
	systems         []string
	calls           int
	rounds, seconds int
	saturated       int
	tandem, tandem2 string
	net             string
	dir             string
	keep            bool
}

// result is one run of one system.
type result struct {
	System  string  `json:"system"`
	Mode    string  `json:"mode"` // paced or saturated
	Calls   int     `json:"calls"`
	Sent    uint64  `json:"sent"`
	Relayed uint64  `json:"relayed"`
	Bad     uint64  `json:"bad"`     // SRTP that does not authenticate
	Rate    float64 `json:"rate"`    // relayed packets a second
	LossPct float64 `json:"loss"`    // percent
	CPU     float64 `json:"cpu_us"`  // user and system time of the process per relayed packet
	User    float64 `json:"user_us"` // of it in user mode
	Busy    float64 `json:"busy_pct"`
	P50     float64 `json:"delay_us_p50"` // one way, from send to receive
	P99     float64 `json:"delay_us_p99"`
}

// system is something that relays.
type system interface {
	// start begins the process and joins the streams of calls.
	start(ctx context.Context, p *plan) ([]link, error)
	pid() int
	end(ctx context.Context)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-as-loop" { // the bare loop, as a child of ours
		loop(os.Args[2:])
		return
	}
	f := flag.NewFlagSet("media", flag.ExitOnError)
	p := &plan{}
	systems := f.String("systems", "c,go,tandem,tandem-srtp,rtpengine,rtpengine-srtp", "what to measure, in this order in each round: c, go, tandem, tandem-srtp, tandem2, tandem2-srtp, rtpengine, rtpengine-srtp")
	f.IntVar(&p.calls, "calls", 200, "calls: 100 packets a second each")
	f.IntVar(&p.rounds, "rounds", 3, "rounds")
	f.IntVar(&p.seconds, "seconds", 10, "seconds of a paced run, 60 at most")
	f.IntVar(&p.saturated, "saturated", 3, "seconds of the saturated run after it; 0 = none")
	f.StringVar(&p.tandem, "tandem", "", "tandem binary; without it the one of this folder is built")
	f.StringVar(&p.tandem2, "tandem2", "", "a second binary, measured as tandem2")
	f.StringVar(&p.net, "net", fmt.Sprintf("127.%d.%d", 64+os.Getpid()>>8&31, os.Getpid()&255), "first three bytes of the loopback addresses")
	f.BoolVar(&p.keep, "keep", false, "keep the folder with the logs")
	_ = f.Parse(os.Args[1:])
	p.systems, p.seconds = strings.Split(*systems, ","), min(p.seconds, 60)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.measure(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench/media:", err)
		os.Exit(1)
	}
}

// Cores of the measured process and of the load.
const (
	systemCore = 0
	loadCore   = 1
)

func (p *plan) measure(ctx context.Context) error {
	var limit unix.Rlimit // 800 sockets
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "bench-media"); err != nil {
		return err
	}
	if !p.keep {
		defer os.RemoveAll(p.dir)
	}
	if p.tandem == "" {
		p.tandem = filepath.Join(p.dir, "tandem")
		if out, err := exec.Command("go", "build", "-trimpath", "-o", p.tandem, "./cmd/tandem").CombinedOutput(); err != nil {
			return fmt.Errorf("build tandem: %w\n%s", err, out)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("# %s, commit %s, load average before %s# go run ./bench/media %s\n", machine(), commit(), load, strings.Join(os.Args[1:], " "))
	var all []result
	for range p.rounds {
		for _, name := range p.systems {
			runs, err := p.one(ctx, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, r := range runs {
				text, _ := json.Marshal(r)
				fmt.Println(string(text))
			}
			all = append(all, runs...)
		}
	}
	p.table(all)
	return nil
}

// one measures a system once.
func (p *plan) one(ctx context.Context, name string) ([]result, error) {
	base, srtp := strings.CutSuffix(name, "-srtp")
	var s system
	switch base {
	case "tandem":
		s = &node{program: p.tandem, srtp: srtp}
	case "tandem2":
		s = &node{program: p.tandem2, srtp: srtp}
	case "go", "c":
		s = &bare{c: base == "c"}
	case "rtpengine":
		s = &rtpengine{srtp: srtp}
	default:
		return nil, fmt.Errorf("unknown system")
	}
	links, err := s.start(ctx, p)
	defer s.end(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	g, err := newGenerator(links)
	if err != nil {
		return nil, err
	}
	defer g.close()
	runs := []result{g.run(ctx, s.pid(), time.Duration(p.seconds)*time.Second, false)}
	if p.saturated > 0 {
		runs = append(runs, g.run(ctx, s.pid(), time.Duration(p.saturated)*time.Second, true))
	}
	for i := range runs {
		runs[i].System, runs[i].Calls = name, p.calls
	}
	return runs, ctx.Err()
}

// table prints minimum, median and maximum of each system.
func (p *plan) table(all []result) {
	fmt.Printf("\n%-16s %-10s %32s %10s %12s %10s %16s\n", "system", "mode", "CPU us/packet min / med / max", "us more", "packets/s", "loss %", "delay p50/p99 us")
	base := map[string]float64{}
	for _, mode := range []string{"paced", "saturated"} {
		for _, name := range p.systems {
			var cpu, rate, loss, p50, p99 []float64
			for _, r := range all {
				if r.System == name && r.Mode == mode {
					cpu, rate, loss = append(cpu, r.CPU), append(rate, r.Rate), append(loss, r.LossPct)
					p50, p99 = append(p50, r.P50), append(p99, r.P99)
				}
			}
			if len(cpu) == 0 {
				continue
			}
			slices.Sort(cpu)
			med := cpu[len(cpu)/2]
			base[mode+name] = med
			more := ""
			if plain, ok := strings.CutSuffix(name, "-srtp"); ok && base[mode+plain] > 0 {
				more = fmt.Sprintf("%+.2f", med-base[mode+plain])
			}
			fmt.Printf("%-16s %-10s %14.2f / %6.2f / %6.2f %10s %12.0f %10.3f %9.0f/%.0f\n", name, mode, cpu[0], med, cpu[len(cpu)-1], more,
				median(rate), median(loss), median(p50), median(p99))
		}
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	return fmt.Sprintf("%s, %d cores, kernel %s, %s, %s", model, runtime.NumCPU(), unix.ByteSliceToString(uts.Release[:]), runtime.Version(),
		time.Now().UTC().Format("2006-01-02 15:04 UTC"))
}

func commit() string {
	out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
