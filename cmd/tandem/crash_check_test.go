package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"tandem"
	"tandem/provisioning"
)

// rawClickHouse is a connection past our own reports.
func rawClickHouse(t *testing.T, n *Node) driver.Conn {
	t.Helper()
	if err := n.chdb.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{"embedded-engine:8123"},
		TransportFunc: func(*http.Transport) (http.RoundTripper, error) { return n.chdb.RoundTripper(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// witness makes a table that sees every row ever stored and never replaces any:
// merges of cdr itself would swallow doubled rows before they are counted.
func witness(t *testing.T, s *stage) {
	t.Helper()
	s.rows(t, tandem.CDRFilter{}) // the first flush makes the tables
	if _, err := s.node.service.CDRs(t.Context(), tandem.CDRFilter{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	conn := rawClickHouse(t, s.node)
	for _, sql := range []string{
		"CREATE TABLE IF NOT EXISTS crash_seen (cdr_id UUID) ENGINE = MergeTree ORDER BY cdr_id SETTINGS non_replicated_deduplication_window = 10000",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS crash_seen_mv TO crash_seen AS SELECT cdr_id FROM cdr",
	} {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// counted is how many rows were ever stored, and how many different ones.
func counted(t *testing.T, n *Node) (stored, different int) {
	t.Helper()
	var all, distinct uint64
	if err := rawClickHouse(t, n).QueryRow(t.Context(), "SELECT count(), uniqExact(cdr_id) FROM crash_seen").Scan(&all, &distinct); err != nil {
		t.Fatal(err)
	}
	return int(all), int(distinct)
}

// problems counts, and shows the first few of each kind.
type problems struct {
	t     *testing.T
	quiet bool // count only
	seen  map[string]int
	shown []string
}

func (p *problems) add(kind *int, format string, args ...any) {
	*kind++
	if p.quiet && len(p.shown) < 40 {
		p.shown = append(p.shown, fmt.Sprintf(format, args...))
	}
	if p.seen[format]++; p.seen[format] <= 5 && !p.quiet {
		p.t.Helper()
		p.t.Errorf(format, args...)
	}
}

// crashFacts is what a case knows besides the histories.
type crashFacts struct {
	crashes []time.Time // instants of kill -9 of tandem
	stalled bool        // tandem stood still for a while: durations differ from SIPp's
}

// firstAfter is the first crash after an instant; zero = none.
func (f crashFacts) firstAfter(at time.Time) time.Time {
	for _, c := range f.crashes {
		if c.After(at) {
			return c
		}
	}
	return time.Time{}
}

// check compares histories, rows and books, and fills in the result.
func (r *crashResult) check(t *testing.T, s *stage, h histories, facts crashFacts) {
	t.Helper()
	r.compare(&problems{t: t, seen: map[string]int{}}, s, h, facts)
}

// checkDamaged is check where the disk has lost facts: each may take the rows
// of one call, seen from both sides, or its release. Nothing may be doubled.
func (r *crashResult) checkDamaged(t *testing.T, s *stage, h histories, facts crashFacts, lost int) {
	t.Helper()
	p := &problems{t: t, quiet: true, seen: map[string]int{}}
	r.compare(p, s, h, facts)
	if r.missing > 2*lost || r.unmarked > 2*lost || r.doubled > 0 || r.charges > 0 {
		t.Errorf("%d facts were lost at most: %v", lost, p.seen)
		for _, line := range p.shown {
			t.Log(line)
		}
	}
	r.note = fmt.Sprintf("%d facts damaged", lost)
}

func (r *crashResult) compare(p *problems, s *stage, h histories, facts crashFacts) {
	t := p.t
	t.Helper()
	all := s.rows(t, tandem.CDRFilter{})
	var connected []tandem.CDR
	for _, row := range all {
		if row.Connected {
			connected = append(connected, row)
		}
	}
	stored, different := counted(t, s.node)
	r.rows = stored
	if r.doubled += stored - different; stored != different {
		t.Errorf("%d rows were stored, %d different ones", stored, different)
	}
	if different != len(all) {
		t.Errorf("%d different rows were stored, the report has %d", different, len(all))
	}
	calls := byCall(connected)
	r.checkSide(p, h.callers, h.slack, all, 0, facts)
	r.checkSide(p, h.callees, h.slack, all, 1, facts)
	r.checkSide(p, h.teams, h.slack, all, 0, facts)
	for _, rows := range calls {
		if len(rows) != 2 {
			p.add(&r.missing, "call %s has %d connected rows", rows[0].Correlation, len(rows))
		}
	}
	r.checkEnds(p, all, facts)
	r.checkMoney(p, s, connected)
}

// checkSide: each call that a party saw answered has its row on that side, as long as the party measured.
func (r *crashResult) checkSide(p *problems, history map[string]sippCall, slack time.Duration, rows []tandem.CDR, side int, facts crashFacts) {
	p.t.Helper()
	mine, tried := map[string]tandem.CDR{}, map[string]tandem.CDR{}
	for _, row := range rows {
		switch {
		case min(row.Attempt, 1) != side:
		case !row.Connected:
			tried[row.SIPCallID] = row
		default:
			if other, twice := mine[row.SIPCallID]; twice {
				// An INVITE that a caller sent again, to the next process: the first
				// answer never reached it and is on record as recovered.
				if (row.Recovered || other.Recovered) && side == 0 {
					if row.Recovered && (!other.Recovered || other.AnswerTime.After(*row.AnswerTime)) {
						row = other
					}
					mine[row.SIPCallID] = row
					continue
				}
				p.add(&r.doubled, "two rows for SIP Call-ID %s", row.SIPCallID)
			}
			mine[row.SIPCallID] = row
		}
	}
	for id, call := range history {
		if call.answered == 0 {
			continue
		}
		row, ok := mine[id]
		attempt, onRecord := tried[id]
		if !ok && side == 1 && onRecord && call.ended < call.answered+slack {
			// Its 200 came after the caller was gone, or to the next process: it is
			// released at once (RFC 3261 13.2.2.4), on record as an attempt.
			r.late++
			continue
		}
		r.calls++
		if side == 1 && ok && row.Recovered {
			if r.cut++; call.ended > 0 {
				r.released++
			}
		}
		switch {
		case !ok:
			p.add(&r.missing, "no connected row for the call %s (side %d), which its party saw %+v; attempt on record: %t, recovered %t, %s to %s, %q",
				id, side, call, onRecord, attempt.Recovered, attempt.InviteTime, attempt.EndTime, attempt.Reason)
		case call.ended == 0 && !row.Recovered && !facts.stalled && !nearCrash(row.EndTime, facts):
			p.add(&r.unmarked, "call %s was cut for its peer, its row says released by %s at %s", id, row.ReleasedBy, row.EndTime)
		case call.ended > 0 && !row.Recovered && !facts.stalled:
			if d := (time.Duration(row.DurationMs)*time.Millisecond - call.length()).Abs(); d > slack && !nearCrash(row.EndTime, facts) {
				p.add(&r.unmarked, "call %s: row %d ms, its peer %s, more than %s apart", id, row.DurationMs, call.length(), slack)
			}
		}
	}
}

// nearCrash: a release that tandem took part in just before a crash, whose last message the peer never got.
func nearCrash(end time.Time, facts crashFacts) bool {
	c := facts.firstAfter(end.Add(-time.Second))
	return !c.IsZero() && c.Sub(end) < 2*time.Second
}

// checkEnds: a call that a crash cut ends within 5 s of it, never after it.
func (r *crashResult) checkEnds(p *problems, rows []tandem.CDR, facts crashFacts) {
	p.t.Helper()
	for _, row := range rows {
		if !row.Recovered {
			continue
		}
		if row.Connected {
			r.recovered++
		}
		crash := facts.firstAfter(row.InviteTime)
		if d := crash.Sub(row.EndTime); row.Connected && (crash.IsZero() || d > 5*time.Second || d < -100*time.Millisecond) {
			p.add(&r.unmarked, "recovered call %s began %s and ended %s, the crash was at %s", row.Correlation, row.InviteTime, row.EndTime, crash)
		}
	}
}

// checkMoney: each row at the price of a second computation and as the ledger
// booked it, free minutes drawn once, and the balance the sum of the rows.
func (r *crashResult) checkMoney(p *problems, s *stage, rows []tandem.CDR) {
	p.t.Helper()
	var sum tandem.Amount
	free, charged := map[tandem.E164]int64{}, map[tandem.E164]int64{}
	for _, row := range rows {
		c := row.Charge
		sum += c.Amount
		want := "0.000000"
		switch {
		case row.Technology == tandem.OperatorConnect:
		case row.Direction == tandem.Inbound && !row.Failsafe:
			want = secondOpinion(row.DurationMs, 6, 6, "0.0045")
		case row.Failsafe, row.Plan == tandem.Metered:
			want = secondOpinion(row.DurationMs, 60, 60, "0.0125")
		default:
			want = secondOpinion(uint32(c.ChargedS*1000), 60, 60, "0.0125")
			free[row.DID] += c.FreeS
			charged[row.DID] += c.ChargedS
		}
		if got := c.Amount.String(); got != want || c.BilledS != c.FreeS+c.ChargedS {
			p.add(&r.charges, "%s %s %s %d ms charged %s, want %s: %s", row.Technology, row.Direction, row.Plan, row.DurationMs, got, want, c.Explanation)
		}
	}
	const bucket = 4000 * 60
	for did := range free {
		if free[did] > bucket || charged[did] > 0 && free[did] < bucket {
			p.add(&r.charges, "%s drew %d free seconds and was charged for %d", did, free[did], charged[did])
		}
	}
	balances, err := s.node.service.Balances(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if got := balances["contoso"].Amount; got != -sum {
		p.add(&r.charges, "balance %s, rows sum to %s", got, sum)
	}
	if st, err := s.node.service.Statement(p.t.Context(), provisioning.StatementQuery{Account: "contoso", From: time.Unix(0, 0), To: time.Now().Add(time.Hour)}); err != nil || st.Closing != -sum {
		p.add(&r.charges, "statement: %s, %v; rows sum to %s", st.Closing, err, sum)
	}
	err = s.node.store.Books(p.t.Context(), func(tx tandem.LedgerTx) error {
		for _, row := range rows {
			entry, found, err := tx.Entry(row.ID)
			if err != nil {
				return err
			}
			if entry.Charge.Amount != row.Charge.Amount || !found && row.Charge.BilledS > 0 {
				p.add(&r.charges, "leg %s: the ledger says %s, the row %s", row.ID, entry.Charge.Amount, row.Charge.Amount)
			}
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
