package main

import (
	"context"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

const outsideNumber = "+12125550123"

// TestCalls plays every kind of call through the real binary's parts: TLS and
// SRTP to the Microsoft emulator, UDP and RTP to the carrier's, rows out of the
// real ClickHouse engine.
func TestCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	s := newStage(t, nil)

	hold := tandem.Duration(1200 * time.Millisecond)
	none := emulate.Fault{}
	cases := []struct {
		name   string
		from   string // "teams" or "carrier" places the call
		spec   emulate.CallSpec
		fault  emulate.Fault
		status int
		check  func(t *testing.T, rows []tandem.CDR)
	}{
		{"InboundIsAnsweredByTeams", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: hold}, none, 200, wantPair("0.000450")}, // 2 s billed as 6: 6 x 0.0045/60
		{"OutboundMetered", "teams", emulate.CallSpec{From: "+14255550101", To: "+442071838750", Hold: hold}, none, 200, wantPair("0.014500")},          // 30 s first: 30 x 0.0290/60
		{"OutboundUnlimitedIsFree", "teams", emulate.CallSpec{From: "+14255550102", To: outsideNumber, Hold: hold}, none, 200, wantPair("0.000000")},
		{"OutboundUnlimitedAbroadIsCharged", "teams", emulate.CallSpec{From: "+14255550102", To: "+4930123456", Hold: hold}, none, 200, wantPair("")},
		{"BusyIsNotFailsafe", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550103"}, none, 486, wantNoForward},
		{"CancelledByCaller", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550104", CancelOnRing: tandem.Duration(300 * time.Millisecond)}, none, 487, wantNoForward},
		{"UnknownDID", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255559999"}, none, 404, nil},
		{"NumberOfNobody", "teams", emulate.CallSpec{From: "+14259990000", To: outsideNumber, Tenant: "contoso.customers.test"}, none, 403, nil},
		{"DeclineIsNotFailsafe", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101"}, emulate.Fault{Kind: "603", Method: "INVITE"}, 603, wantNoForward},
		{"NotFoundIsNotFailsafe", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101"}, emulate.Fault{Kind: "404", Method: "INVITE"}, 404, wantNoForward},
		{"NoSDPTowardsTeams", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101", Body: "this is no SDP", ContentType: "application/sdp"}, none, 400, nil},
		{"EmergencyWithoutOwnedNumber", "teams", emulate.CallSpec{From: "+14259990000", To: "911", Tenant: "contoso.customers.test", Hold: hold}, none, 200, wantPair("0.000000")},
		{"HoldAndResume", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(2 * time.Second),
			HoldAfter: tandem.Duration(400 * time.Millisecond), HoldFor: tandem.Duration(400 * time.Millisecond)}, none, 200, wantPair("")},
		{"DelayedOffer", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: hold, NoSDP: true}, none, 200, wantPair("")},
		{"DelayedOfferThenHold", "carrier", emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(2 * time.Second), NoSDP: true,
			HoldAfter: tandem.Duration(400 * time.Millisecond), HoldFor: tandem.Duration(400 * time.Millisecond)}, none, 200, wantPair("")},
		{"SessionRefreshFromTeams", "teams", emulate.CallSpec{From: "+14255550101", To: outsideNumber, Hold: tandem.Duration(2 * time.Second),
			RefreshAfter: tandem.Duration(500 * time.Millisecond), RefreshNewKey: true}, none, 200, wantPair("")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			if c.fault.Kind != "" {
				if err := s.teams.SetFault(c.fault); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.teams.ClearFaults("", "") }()
			}
			place := s.east.Call
			if c.from == "teams" {
				place = s.teams.Call
			}
			result, err := place(ctx, c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if result.Status != c.status {
				t.Fatalf("status %d %s %s, want %d", result.Status, result.Reason, result.ReasonField, c.status)
			}
			if c.status == 200 && (result.Received == 0 || result.HeardHz == 0) {
				t.Errorf("the caller heard nothing: %d packets, %d Hz", result.Received, result.HeardHz)
			}
			rows := s.rowsOf(t, result)
			if c.check != nil {
				c.check(t, rows)
			}
			if c.status == 200 {
				checkDuration(t, result, rows)
			}
		})
	}
	for _, v := range s.teams.Violations() {
		t.Errorf("Microsoft's rules were broken: %+v", v)
	}
	s.checkNothingLeft(t)
}

// TestFailsafe breaks Microsoft in every way and wants the caller to reach the
// failsafe number in the same call, and hear it. Each case has a fresh node, so that
// none lives on what the one before taught trunk health. TestFailsafeTimed has more cases.
func TestFailsafe(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	invite := "INVITE"
	cases := map[string]struct {
		fault  emulate.Fault
		within time.Duration // from the caller's INVITE to the answer, 200 ms of ringing included
	}{
		"ConnectionRefused":      {emulate.Fault{Kind: emulate.FaultRefuse}, time.Second},
		"Blackholed":             {emulate.Fault{Kind: emulate.FaultBlackhole}, 4700 * time.Millisecond},
		"Unavailable503":         {emulate.Fault{Kind: "503", Method: invite}, time.Second},
		"GatewayTimeout504":      {emulate.Fault{Kind: "504", Method: invite}, time.Second},
		"Timeout408":             {emulate.Fault{Kind: "408", Method: invite}, time.Second},
		"ConnectionDiesAfter100": {emulate.Fault{Kind: emulate.FaultResetTrying, Delay: tandem.Duration(100 * time.Millisecond)}, 2 * time.Second},
		"ConnectionDiesAfter180": {emulate.Fault{Kind: emulate.FaultResetRinging, Delay: tandem.Duration(300 * time.Millisecond)}, 3 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := s.teams.SetFault(c.fault); err != nil {
				t.Fatal(err)
			}
			result, err := s.east.Call(ctx, emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(1200 * time.Millisecond)})
			if err != nil {
				t.Fatal(err)
			}
			if result.Status != 200 || result.Received == 0 {
				t.Fatalf("status %d %s %s, %d packets heard", result.Status, result.Reason, result.ReasonField, result.Received)
			}
			if took := result.AnswerAt.Sub(result.Start); took > c.within {
				t.Errorf("answered after %s, want within %s", took, c.within)
			}
			rows := s.rowsOf(t, result)
			wantFailsafe(t, rows)
			checkDuration(t, result, rows)
			checkForwardHeaders(t, s)
		})
	}
}

// checkForwardHeaders wants the failsafe INVITE to say for whom it was forwarded.
func checkForwardHeaders(t *testing.T, s *stage) {
	t.Helper()
	for _, call := range s.east.Calls() {
		if !call.Incoming {
			continue
		}
		for _, name := range []string{"Diversion", "History-Info"} {
			if !strings.Contains(call.Header(name), "+14255550101") {
				t.Errorf("%s of the failsafe INVITE is %q, want the DID in it", name, call.Header(name))
			}
		}
		return
	}
	t.Error("the carrier got no call")
}

// rowsOf waits for the rows of a call that an emulator placed.
func (s *stage) rowsOf(t *testing.T, result emulate.CallResult) []tandem.CDR {
	t.Helper()
	correlation := ""
	for _, h := range result.Response {
		if strings.EqualFold(h.Name, "X-Correlation-ID") {
			correlation = h.Value
		}
	}
	if correlation == "" {
		t.Fatal("the response carries no X-Correlation-ID")
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if rows := byCall(s.rows(t, tandem.CDRFilter{}))[uuid.MustParse(correlation)]; len(rows) > 0 {
			return rows
		}
		if time.Now().After(deadline) {
			t.Fatalf("no row of call %s", correlation)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// wantPair wants one connected row of each Technology and, unless "", the charge on the Phone row.
func wantPair(charge string) func(*testing.T, []tandem.CDR) {
	return func(t *testing.T, rows []tandem.CDR) {
		t.Helper()
		count := map[tandem.Technology]int{}
		for _, r := range rows {
			if !r.Connected {
				continue
			}
			count[r.Technology]++
			switch {
			case r.Technology == tandem.OperatorConnect && r.Charge.Amount != 0:
				t.Errorf("the Operator Connect row is charged %s", r.Charge.Amount)
			case r.Technology == tandem.Phone && charge != "" && r.Charge.Amount.String() != charge:
				t.Errorf("charged %s, want %s: %s", r.Charge.Amount, charge, r.Charge.Explanation)
			}
		}
		if count[tandem.OperatorConnect] != 1 || count[tandem.Phone] != 1 {
			t.Errorf("connected rows %v, want one of each technology", count)
		}
	}
}

// wantFailsafe wants two connected Phone legs and the failed attempt at Microsoft on record.
func wantFailsafe(t *testing.T, rows []tandem.CDR) {
	t.Helper()
	phone, failed := 0, 0
	for _, r := range rows {
		switch {
		case r.Connected && r.Technology == tandem.Phone:
			phone++
			if r.Failsafe && r.To != "+12065550199" {
				t.Errorf("forwarded to %s", r.To)
			}
		case !r.Connected && r.Technology == tandem.OperatorConnect:
			failed++
		default:
			t.Errorf("unexpected row: %s connected %v", r.Technology, r.Connected)
		}
	}
	if phone != 2 || failed == 0 {
		t.Errorf("%d connected Phone rows and %d failed Operator Connect rows, want 2 and some", phone, failed)
	}
}

func wantNoForward(t *testing.T, rows []tandem.CDR) {
	t.Helper()
	for _, r := range rows {
		if r.Failsafe || r.Connected {
			t.Errorf("unexpected row: %s to %s, connected %v", r.Technology, r.To, r.Connected)
		}
	}
}

// checkDuration compares the rows with the caller's own clock.
func checkDuration(t *testing.T, result emulate.CallResult, rows []tandem.CDR) {
	t.Helper()
	for _, r := range rows {
		if r.Connected {
			if d := (time.Duration(r.DurationMs)*time.Millisecond - result.Duration()).Abs(); d > time.Second {
				t.Errorf("%s row lasts %d ms, the caller measured %s", r.Technology, r.DurationMs, result.Duration())
			}
		}
	}
}

// secondOpinion prices a leg by exact fractions, sharing nothing with package
// rating: increments first/next in seconds, rate per minute, rounded half to even at six decimals.
func secondOpinion(durationMs uint32, first, next int64, rate string) string {
	secs := (int64(durationMs) + 999) / 1000
	if secs == 0 {
		return "0.000000"
	}
	billed := first
	if secs > first {
		billed += (secs - first + next - 1) / next * next
	}
	price, _ := new(big.Rat).SetString(rate)
	price.Mul(price, big.NewRat(billed, 60))
	micro := new(big.Rat).Mul(price, big.NewRat(1_000_000, 1))
	whole, rest := new(big.Int).QuoRem(micro.Num(), micro.Denom(), new(big.Int))
	switch c := rest.Lsh(rest, 1).Cmp(micro.Denom()); {
	case c > 0, c == 0 && whole.Bit(0) == 1:
		whole.Add(whole, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(whole, big.NewInt(1_000_000)).FloatString(6)
}
