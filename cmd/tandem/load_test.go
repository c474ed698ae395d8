package main

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// sippStage is a stage whose carriers are SIPp: they are not probed, because
// SIPp plays one scenario only and does not answer OPTIONS.
func sippStage(t *testing.T) *stage {
	t.Helper()
	needSIPp(t)
	return newStage(t, func(o *stageOptions) {
		o.noCarriers = true
		o.document = unprobedCarriers
		o.teams = quietTeams
	})
}

// unprobedCarriers turns off OPTIONS towards carriers.
func unprobedCarriers(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte("    send_history_info: true\n"), []byte("    send_history_info: true\n    options_interval: 0s\n"))
}

// quietTeams makes the emulator cheap enough for load: no media, no ladders.
func quietTeams(c *emulate.TeamsConfig) {
	c.KeepText, c.KeepCalls = false, 100_000
	c.Behaviour = emulate.Behaviour{Ring: tandem.Duration(50 * time.Millisecond), Media: emulate.MediaNone}
}

// load is how much a load test places; the race detector is some ten times slower.
func load(t *testing.T) (rate, seconds int) {
	if testing.Short() {
		return 10, 6
	}
	return 50, 60
}

// TestLoadBothDirections is the proof: SIPp at 50 calls/s for 60 s each
// way, Microsoft's side over TLS. Every call that SIPp saw connected has exactly
// its two rows, as long as SIPp measured, at the price that a second computation
// gives; and the books agree with the rows.
func TestLoadBothDirections(t *testing.T) {
	s := sippStage(t)
	rate, secs := load(t)
	total := rate * secs
	net := testNet()

	var pairs [][2]string
	for i := range 50 {
		pairs = append(pairs, [2]string{fmt.Sprintf("+1212555%04d", 100+i), []string{"+14255550101", "+14255550102"}[i%2]})
	}
	uas := startUAS(t)
	uac := startSIPp(t, "uac.xml", "-inf", injection(t, pairs...), "-i", net+".21", "-p", "5070", "-mp", "44000",
		"-r", itoa(rate), "-m", itoa(total), net+".1:5060")

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(secs+60)*time.Second)
	defer cancel()
	outbound, err := s.teams.Load(ctx, emulate.LoadSpec{
		CallSpec: emulate.CallSpec{From: "+14255550101", To: "+12125550123", Media: emulate.MediaNone},
		Rate:     float64(rate), For: tandem.Duration(time.Duration(secs) * time.Second), Keep: true,
		Vary: func(i int, spec emulate.CallSpec) emulate.CallSpec {
			spec.From = []string{"+14255550101", "+14255550102"}[i%2]
			spec.To = fmt.Sprintf("+1212555%04d", i%10000)
			spec.Hold = tandem.Duration(time.Duration(200+i*37%2800) * time.Millisecond)
			return spec
		}})
	if err != nil {
		t.Fatal(err)
	}
	uac.wait(t, time.Minute)
	if outbound.Answered != outbound.Placed || outbound.Skipped > 0 {
		t.Errorf("outbound: %d placed, %d answered, %d skipped, statuses %v", outbound.Placed, outbound.Answered, outbound.Skipped, outbound.Statuses)
	}
	t.Logf("outbound: %d calls, set-up p50 %s p99 %s max %s; engine %+v", outbound.Placed, outbound.SetupP50, outbound.SetupP99, outbound.SetupMax, s.node.engine.Stats())

	uas.finish(t)
	callers, callees := uac.history(t), uas.history(t)
	if len(callers) != total {
		t.Errorf("SIPp called %d times, want %d", len(callers), total)
	}
	rows := s.rows(t, tandem.CDRFilter{Connected: true})
	checkHistory(t, callers, rows, 0)
	checkHistory(t, callees, rows, 1)
	if want := 2 * (total + outbound.Answered); len(rows) != want {
		t.Errorf("%d connected rows, want %d", len(rows), want)
	}
	if len(callees) < outbound.Answered*95/100 { // SIPp does not log a call whose ACK it took for a stray
		t.Errorf("SIPp logged %d of %d calls that it answered", len(callees), outbound.Answered)
	}
	checkCharges(t, rows)
	s.checkBooks(t, rows)
	if n, all := plainCount(t, s.node), len(s.rows(t, tandem.CDRFilter{})); n != all {
		t.Errorf("plain count() gives %d rows, FINAL %d: rows were doubled", n, all)
	}
	s.checkNothingLeft(t)
}

// checkHistory compares what SIPp logged with the rows of the legs that it was
// on: attempt 0 when it called, the B-leg when it was called.
func checkHistory(t *testing.T, history map[string]sippCall, rows []tandem.CDR, side int) {
	t.Helper()
	calls, mine := byCall(rows), map[string]tandem.CDR{}
	for _, r := range rows {
		if min(r.Attempt, 1) == side {
			if _, twice := mine[r.SIPCallID]; twice {
				t.Errorf("two rows for SIP Call-ID %s", r.SIPCallID)
			}
			mine[r.SIPCallID] = r
		}
	}
	problems := 0
	report := func(format string, args ...any) {
		if problems++; problems <= 10 {
			t.Errorf(format, args...)
		}
	}
	for id, call := range history {
		if call.answered == 0 {
			continue
		}
		row, ok := mine[id]
		if !ok {
			report("no connected row for SIPp's call %s", id)
			continue
		}
		legs := map[tandem.Technology]int{}
		for _, r := range calls[row.Correlation] {
			legs[r.Technology]++
		}
		if legs[tandem.Phone]+legs[tandem.OperatorConnect] != 2 || legs[tandem.Phone] == 0 {
			report("call %s has rows %v", id, legs)
		}
		if call.ended > 0 && !row.Recovered {
			if d := (time.Duration(row.DurationMs)*time.Millisecond - call.length()).Abs(); d > time.Second {
				report("call %s: row %d ms, SIPp %s", id, row.DurationMs, call.length())
			}
		}
	}
	if problems > 10 {
		t.Errorf("... and %d more", problems-10)
	}
}

// checkCharges prices every row a second time, from the example decks as a person reads them.
func checkCharges(t *testing.T, rows []tandem.CDR) {
	t.Helper()
	for _, r := range rows {
		want := "0.000000"
		switch {
		case r.Technology == tandem.OperatorConnect:
		case r.Direction == tandem.Inbound && !r.Failsafe:
			want = secondOpinion(r.DurationMs, 6, 6, "0.0045")
		case r.Failsafe, r.Plan == tandem.Metered:
			want = secondOpinion(r.DurationMs, 60, 60, "0.0125")
		}
		if got := r.Charge.Amount.String(); got != want {
			t.Errorf("%s %s %s %d ms charged %s, want %s: %s", r.Technology, r.Direction, r.Plan, r.DurationMs, got, want, r.Charge.Explanation)
			return
		}
		if r.Charge.BilledS != r.Charge.FreeS+r.Charge.ChargedS {
			t.Errorf("billed %d s = free %d + charged %d does not hold", r.Charge.BilledS, r.Charge.FreeS, r.Charge.ChargedS)
		}
	}
}

// checkBooks: the balance is the negative sum of the charges.
func (s *stage) checkBooks(t *testing.T, rows []tandem.CDR) {
	t.Helper()
	var sum tandem.Amount
	for _, r := range rows {
		sum += r.Charge.Amount
	}
	balances, err := s.node.service.Balances(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := balances["contoso"].Amount; got != -sum {
		t.Errorf("balance %s, rows sum to %s", got, sum)
	}
}

// checkNothingLeft waits until calls, transactions and ports are back to zero.
func (s *stage) checkNothingLeft(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(45 * time.Second) // Timer B, H and L are 32 s
	for {
		calls, media := s.node.engine.Stats().Core, s.node.media.Stats()
		if calls.Calls == 0 && media.Sessions == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left over: %+v, media %+v", calls, media)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// TestTeamsBlackholedMidRun: Microsoft falls silent under load; every new
// inbound call of a DID with a failsafe number is answered by it.
func TestTeamsBlackholedMidRun(t *testing.T) {
	s := sippStage(t)
	rate, secs := 20, 20
	if testing.Short() {
		rate, secs = 5, 10
	}
	net := testNet()
	startUAS(t)
	uac := startSIPp(t, "uac.xml", "-inf", injection(t, [2]string{outsideNumber, "+14255550101"}, [2]string{outsideNumber, "+14255550102"}),
		"-i", net+".21", "-p", "5070", "-mp", "44000", "-r", itoa(rate), "-m", itoa(rate*secs), net+".1:5060")
	<-time.After(time.Duration(secs) * time.Second / 3)
	if err := s.teams.SetFault(emulate.Fault{Kind: emulate.FaultBlackhole}); err != nil {
		t.Fatal(err)
	}
	uac.wait(t, 2*time.Minute) // its exit code says that every call was answered
	_ = s.teams.ClearFaults("", "")

	rows := s.rows(t, tandem.CDRFilter{Connected: true})
	checkHistory(t, uac.history(t), rows, 0)
	teams, failsafe := 0, 0
	for _, r := range rows {
		switch {
		case r.Technology == tandem.OperatorConnect:
			teams++
		case r.Failsafe:
			failsafe++
			if r.To != "+12065550199" {
				t.Errorf("forwarded to %s", r.To)
			}
		}
	}
	t.Logf("%d calls answered by Teams, %d by the failsafe number", teams, failsafe)
	if teams == 0 || failsafe == 0 || teams+failsafe != rate*secs {
		t.Errorf("%d + %d calls, want %d and some of both", teams, failsafe, rate*secs)
	}
}
