package trunk

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tandem"
	"tandem/sip/core"
)

// A refusal for the trunk's configuration is an alarm of that address and name,
// told once, until a call under the name gets through; the state stays.
func TestRefusedTrunkIsAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &bench{net: &network{}}
		b.Monitor = New(DefaultConfig(), Deps{Sender: b.net, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer b.Close()
		b.SetTrunks([]core.TrunkView{teams})
		first, second := teams.Endpoints[0], teams.Endpoints[1]
		end := func(e tandem.Endpoint, kind tandem.OutcomeKind, status tandem.SIPStatus, name string) {
			b.Outcome("teams", e, tandem.Outcome{Kind: kind, Status: status, LocalHost: name, Text: "guid;510532 no\ntrunk"}, time.Now())
			synctest.Wait()
		}
		alarm := func(i int) string { return b.Health()["teams"][i].Alarm }

		end(first, tandem.OutcomeMisconfigured, 403, "a.test")
		end(first, tandem.OutcomeMisconfigured, 403, "a.test")
		end(first, tandem.OutcomeMisconfigured, 403, "b.test")
		if a := alarm(0); !strings.Contains(a, "b.test") || !strings.Contains(a, "a.test") || !strings.Contains(a, "510532 no?trunk") || alarm(1) != "" {
			t.Errorf("alarms %q and %q", a, alarm(1))
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 2 {
			t.Errorf("%d errors for two names:\n%s", n, log.String())
		}
		if states := b.states(); strings.Contains(states, "down") || strings.Contains(states, "demoted") || strings.Contains(states, "misconfigured") {
			t.Errorf("states %s", states)
		}
		end(first, tandem.OutcomeStatus, 403, "a.test") // a user's 403 proves nothing
		end(second, tandem.OutcomeAnswered, 200, "b.test")
		if a := alarm(0); !strings.Contains(a, "a.test") || strings.Contains(a, "b.test") {
			t.Errorf("b.test got through, alarm %q", a)
		}
		time.Sleep(alarmLife + time.Minute)
		end(second, tandem.OutcomeAnswered, 200, "b.test")
		if a := alarm(0); a != "" {
			t.Errorf("an hour later: %q", a)
		}
	})
}
