package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// DemoCmd is `tandem demo`.
type DemoCmd struct {
	Data string `default:"tandem-data" type:"path" help:"Folder that everything is kept in; the demo leaves nothing else behind."`
	HTTP string `name:"http" default:"127.0.0.1:8080" help:"Where API and portal are served; another port is taken when this one is in use."`
	Once bool   `help:"End after the report instead of running until interrupted."`
	Log  string `default:"error" help:"Log level: debug, info, warn or error."`
}

// demoCall is one scene of the demo.
type demoCall struct {
	title  string
	expect string // what the caller should meet
	place  func(context.Context, *stage) (emulate.CallResult, error)
	want   func(emulate.CallResult) bool
}

// Run plays the demo.
func (c DemoCmd) Run(env *environment) error {
	if _, ok := logLevels[c.Log]; !ok {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "--log", Message: fmt.Sprintf("%q is not a level", tandem.Clip(c.Log, 20)), Mend: "use debug, info, warn or error"}
	}
	say := func(format string, args ...any) { fmt.Fprintf(env.stdout, "  "+format+"\n", args...) }
	fmt.Fprintln(env.stdout, "Tandem demo: everything on the loopback, nothing leaves this machine.")
	if err := os.MkdirAll(c.Data, 0o750); err != nil {
		return err
	}
	s, err := startStage(env.ctx, stageOptions{
		data: c.Data, net: "127.0.0", log: newLogger(env.stderr, LogConfig{Level: c.Log}), say: say,
		config: func(config *Config) { config.HTTP.Address = freeAddress(c.HTTP) },
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.play(env, s, say); err != nil {
		return err
	}
	if c.Once {
		return nil
	}
	fmt.Fprintf(env.stdout, "\nPortal: %s   (API: %s/openapi.json; tandem cdr, tandem trunks, tandem calls in another terminal)\nRunning until Ctrl-C.\n", s.node.URL(), s.node.URL())
	<-env.ctx.Done()
	fmt.Fprintln(env.stdout, "Stopping.")
	return nil
}

func (c DemoCmd) play(env *environment, s *stage, say func(string, ...any)) error {
	ready, cancel := context.WithTimeout(env.ctx, 20*time.Second)
	defer cancel()
	if err := s.waitHealthy(ready); err != nil {
		return err
	}
	say("all trunk addresses answer OPTIONS")

	fmt.Fprintln(env.stdout, "\nCalls:")
	began := time.Now()
	failed := 0
	for i, scene := range demoCalls() {
		fmt.Fprintf(env.stdout, "  %d. %-72s", i+1, scene.title)
		result, err := scene.place(env.ctx, s)
		switch {
		case err != nil:
			failed++
			fmt.Fprintf(env.stdout, " failed: %v\n", err)
		case !scene.want(result):
			failed++
			fmt.Fprintf(env.stdout, " unexpected: status %d %s, wanted %s\n", result.Status, result.Reason, scene.expect)
		default:
			fmt.Fprintf(env.stdout, " %s\n", scene.expect)
		}
	}

	if err := c.report(env, s, began); err != nil {
		return err
	}
	if failed > 0 {
		fmt.Fprintf(env.stdout, "\n%d calls did not go as they should.\n", failed)
		return errReported
	}
	return nil
}

// report prints what ClickHouse holds of the calls just placed.
func (c DemoCmd) report(env *environment, s *stage, began time.Time) error {
	delivered, cancel := context.WithTimeout(env.ctx, 60*time.Second)
	defer cancel()
	if err := s.waitIdle(delivered); err != nil {
		return err
	}
	if err := s.node.Flush(delivered); err != nil {
		return fmt.Errorf("deliver rows to ClickHouse: %w", err)
	}
	filter := tandem.CDRFilter{From: began.Add(-time.Second), Connected: true}
	rows, err := s.node.service.CDRs(env.ctx, filter)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "\nDetailed report (connected legs; two rows per call, one Correlation ID):")
	printReport(env.stdout, rows)
	filter.Connected = false
	if rows, err = s.node.service.CDRs(env.ctx, filter); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "\nLog (every leg and attempt):")
	printLog(env.stdout, rows)
	return nil
}

// demoCalls are the scenes, in order.
func demoCalls() []demoCall {
	const outside = "+12125550123"
	hold := tandem.Duration(2 * time.Second)
	answered := func(r emulate.CallResult) bool { return r.Status == 200 && r.Received > 0 }
	return []demoCall{
		{"inbound: PSTN -> +14255550101 (Teams user), audio both ways", "answered by Teams",
			func(ctx context.Context, s *stage) (emulate.CallResult, error) {
				return s.east.Call(ctx, emulate.CallSpec{From: outside, To: "+14255550101", Hold: hold})
			}, answered},
		{"outbound, Metered: +14255550101 -> London", "answered by the carrier",
			func(ctx context.Context, s *stage) (emulate.CallResult, error) {
				return s.teams.Call(ctx, emulate.CallSpec{From: "+14255550101", To: "+442071838750", Hold: hold})
			}, answered},
		{"outbound, Unlimited: +14255550102 -> New York, drawn from 4,000 minutes", "answered by the carrier",
			func(ctx context.Context, s *stage) (emulate.CallResult, error) {
				return s.teams.Call(ctx, emulate.CallSpec{From: "+14255550102", To: outside, Hold: hold})
			}, answered},
		{"failsafe: Microsoft black-holed, PSTN -> +14255550101", "answered by the failsafe number +12065550199",
			func(ctx context.Context, s *stage) (emulate.CallResult, error) {
				if err := s.teams.SetFault(emulate.Fault{Kind: emulate.FaultSilent, Method: "INVITE"}); err != nil {
					return emulate.CallResult{}, err
				}
				defer s.teams.ClearFaults(emulate.FaultSilent, "")
				return s.east.Call(ctx, emulate.CallSpec{From: outside, To: "+14255550101", Hold: hold})
			}, answered},
		{"busy: PSTN -> +14255550103; a busy user is no outage, no failsafe", "busy (486)",
			func(ctx context.Context, s *stage) (emulate.CallResult, error) {
				return s.east.Call(ctx, emulate.CallSpec{From: outside, To: "+14255550103"})
			}, func(r emulate.CallResult) bool { return r.Status == 486 }},
		{"cancelled: PSTN -> +14255550104 rings, the caller gives up", "cancelled (487)",
			func(ctx context.Context, s *stage) (emulate.CallResult, error) {
				return s.east.Call(ctx, emulate.CallSpec{From: outside, To: "+14255550104", CancelOnRing: tandem.Duration(time.Second)})
			}, func(r emulate.CallResult) bool { return r.Status == 487 }},
	}
}

// freeAddress is the address itself when it can be listened on, else one with a free port.
func freeAddress(address string) string {
	if tryBind(ListenConfig{Transport: "tcp", Address: address}) == nil {
		return address
	}
	return "127.0.0.1:0"
}
