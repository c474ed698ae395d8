// Command load places a bounded number of calls through a system between two
// sides of its own: a carrier (UDP, RTP) and Microsoft (TLS, SRTP with -srtp; UDP
// with -plain). One process plays both ends, so it knows set-up times to the
// microsecond and every packet's fate.
//
//	load -certs DIR -make-certs -teams 127.0.0.30:5061     makes ca.pem, sbc.*, teams.*
//	load -system 127.0.0.10:5060 -system-tls 127.0.0.10:5061 -carrier 127.0.0.20:5070 -teams 127.0.0.30:5061 \
//	    -certs DIR -srtp -rate 200 -calls 2000 -hold 1s
//	load ... -talk 10s -pid 4711      all calls up, then 20 ms frames both ways; CPU of the process tree over the window
//	load ... -probe                   calls only: someone else answers
//
// It prints one line of JSON. A message is never sent twice: one that is lost is
// a failed call.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"tandem/bench/process"
)

// order is what a run is to do.
type order struct {
	system, systemTLS, carrier, teams netip.AddrPort
	certs                             string
	srtp, plain, probe, outbound      bool
	rate, calls                       int
	hold, learn, talk                 time.Duration
	pids                              []int
}

// outcome is what a run found.
type outcome struct {
	Placed   int         `json:"placed"`
	OK       int         `json:"ok"`
	Failed   int         `json:"failed"`
	Statuses map[int]int `json:"statuses,omitempty"`
	P50      float64     `json:"setup_p50_ms"`
	P99      float64     `json:"setup_p99_ms"`
	Max      float64     `json:"setup_max_ms"`
	Late     int         `json:"placed_late"`
	Seconds  float64     `json:"seconds"`
	*traffic
	// CPU of -pid and its children over the window, and of the children alone.
	CPU        float64 `json:"cpu_us,omitempty"`
	ClickHouse float64 `json:"of_which_children_us,omitempty"`
	RSS        int64   `json:"rss_kb,omitempty"` // of the first process
	Children   int64   `json:"children_rss_kb,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	var o order
	f.TextVar(&o.system, "system", netip.MustParseAddrPort("127.0.0.10:5060"), "the system's UDP address")
	f.TextVar(&o.systemTLS, "system-tls", netip.MustParseAddrPort("127.0.0.10:5061"), "the system's TLS address")
	f.TextVar(&o.carrier, "carrier", netip.MustParseAddrPort("127.0.0.20:5070"), "the carrier's address")
	f.TextVar(&o.teams, "teams", netip.MustParseAddrPort("127.0.0.30:5061"), "Microsoft's address")
	f.StringVar(&o.certs, "certs", "", "folder of the certificates")
	makeCerts := f.Bool("make-certs", false, "make the certificates and end")
	f.BoolVar(&o.srtp, "srtp", false, "SRTP on Microsoft's side")
	f.BoolVar(&o.plain, "plain", false, "UDP and RTP on Microsoft's side too")
	f.BoolVar(&o.probe, "probe", false, "only call; someone else answers")
	f.BoolVar(&o.outbound, "both", false, "every second call is placed by Microsoft's side")
	f.IntVar(&o.rate, "rate", 100, "calls a second")
	f.IntVar(&o.calls, "calls", 100, "calls in all")
	f.DurationVar(&o.hold, "hold", time.Second, "length of a call")
	f.DurationVar(&o.learn, "learn", 2*time.Second, "media before what -talk measures: the system learns addresses")
	f.DurationVar(&o.talk, "talk", 0, "send media for so long once all calls are up, then hang up")
	f.Func("pid", "the system's process, for its CPU over the media window; may be repeated", func(text string) error {
		pid, err := strconv.Atoi(text)
		o.pids = append(o.pids, pid)
		return err
	})
	if err := f.Parse(args); err != nil {
		return err
	}
	if *makeCerts {
		return makeCertificates(o.certs, o.teams.Addr().String())
	}
	if o.rate < 1 || o.calls < 1 || o.calls > 1_000_000 || o.talk > time.Minute || o.calls > 5000 && o.talk > 0 {
		return fmt.Errorf("%d calls at %d a second, %s of media: out of bounds", o.calls, o.rate, o.talk)
	}
	result, err := o.play()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// sides opens what the order needs.
func (o order) sides(p *phones) (carrier, teams *side, err error) {
	carrier = &side{name: "carrier", own: o.carrier, system: o.system, receive: p.receive}
	teams = &side{name: "teams", own: o.teams, system: o.systemTLS, tls: !o.plain, secure: o.srtp, receive: p.receive}
	if o.talk > 0 {
		carrier.ports = &ports{addr: o.carrier.Addr(), next: 20000}
		teams.ports = &ports{addr: o.teams.Addr(), next: 20000}
	}
	if err := carrier.openUDP(); err != nil {
		return nil, nil, err
	}
	switch {
	case o.probe:
	case o.plain:
		teams.system = o.system
		err = teams.openUDP()
	default:
		settings, fault := teamsTLS(o.certs)
		if fault != nil {
			return nil, nil, fault
		}
		err = teams.openTLS(settings, o.outbound)
	}
	return carrier, teams, err
}

// play places the calls and follows them to their end.
func (o order) play() (*outcome, error) {
	p := newPhones(o.hold, o.calls)
	carrier, teams, err := o.sides(p)
	if err != nil {
		return nil, err
	}
	defer carrier.close()
	defer teams.close()
	if o.talk == 0 {
		go p.hangUp()
	}
	begun := time.Now()
	for i := range o.calls {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(o.rate))
		time.Sleep(time.Until(due))
		if time.Since(due) > 20*time.Millisecond {
			p.late++
		}
		outside, did := fmt.Sprintf("+1212555%04d", 100+i%100), fmt.Sprintf("+1425555010%d", i%10)
		if o.outbound && i%2 == 1 {
			p.place(teams, i, did, outside, fmt.Sprintf("contoso.bench.test:%d", o.systemTLS.Port()))
		} else {
			p.place(carrier, i, outside, did, o.system.String())
		}
	}
	r := &outcome{Placed: o.calls}
	if o.talk > 0 {
		if err := o.media(p, carrier, teams, r); err != nil {
			return nil, err
		}
	}
	deadline := time.Now().Add(o.hold + 10*time.Second)
	for p.done() < o.calls && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Seconds, r.Statuses, r.Late = time.Since(begun).Seconds(), p.statuses, p.late
	r.OK = p.ended
	for _, n := range p.statuses {
		r.OK -= n
	}
	r.Failed = o.calls - r.OK
	setups := make([]int64, len(p.setups))
	for i, d := range p.setups {
		setups[i] = d.Nanoseconds()
	}
	r.P50, r.P99, r.Max = quantile(setups, 50)/1e3, quantile(setups, 99)/1e3, quantile(setups, 100)/1e3
	return r, nil
}

// media waits until all calls are up, lets them talk, and hangs up.
func (o order) media(p *phones, carrier, teams *side, r *outcome) error {
	up := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.setups)
	}
	for deadline := time.Now().Add(10 * time.Second); up() < o.calls; {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d calls are up, refused: %v", up(), o.calls, p.statuses)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, side := range []*side{carrier, teams} {
		if side.ports.fault != nil {
			return side.ports.fault
		}
	}
	var marks []process.Usage
	t, err := talk(append(slices.Clone(carrier.ports.all), teams.ports.all...), o.learn, o.talk, func() {
		marks = append(marks, process.Used(o.pids...))
	})
	if err != nil {
		return err
	}
	r.traffic = &t
	if len(o.pids) > 0 && t.Heard > 0 {
		per := float64(t.Heard)
		r.CPU = float64((marks[1].CPU() - marks[0].CPU()).Microseconds()) / per
		r.ClickHouse = float64((marks[1].Children - marks[0].Children).Microseconds()) / per
		r.RSS, r.Children = marks[1].MainRSS, marks[1].ChildrenRSS
	}
	close(p.hangups)
	for c := range p.hangups {
		p.bye(c)
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// quantile of nanoseconds, in microseconds.
func quantile(all []int64, percent int) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	i := min(len(all)-1, len(all)*percent/100)
	return math.Round(float64(all[i])/10) / 100
}
