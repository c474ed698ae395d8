package tandem

import "testing"

// TestEveryFinalStatusHasACause: a failure without a Q.850 cause would leave a
// hole in the log and in the Reason header.
func TestEveryFinalStatusHasACause(t *testing.T) {
	for s := SIPStatus(200); s < 700; s++ {
		if CauseOf(s) == 0 {
			t.Errorf("status %d has no cause", s)
		}
	}
	if CauseOf(0) != 0 {
		t.Error("no status must give no cause")
	}
}

func TestEveryCauseHasAFinalStatus(t *testing.T) {
	for c := range 128 {
		if s := StatusOf(Cause(c)); s < 400 || s > 699 {
			t.Errorf("cause %d gives status %d", c, s)
		}
	}
}

func TestCommonCauses(t *testing.T) {
	for s, want := range map[SIPStatus]Cause{200: 16, 404: 1, 486: 17, 480: 18, 487: 16, 503: 41, 504: 102, 603: 21, 488: 88, 600: 17} {
		if got := CauseOf(s); got != want {
			t.Errorf("CauseOf(%d) = %d, want %d", s, got, want)
		}
	}
}

func TestEveryKindHasStatuses(t *testing.T) {
	for _, k := range []Kind{KindInvalid, KindNotFound, KindConflict, KindUnauthorized, KindForbidden, KindUnavailable, KindTooLarge, KindInternal} {
		row, ok := kinds[k]
		if !ok || row.http < 400 || row.sip < 400 {
			t.Errorf("kind %s: %+v", k, row)
		}
	}
}

func TestOutcomeSetWords(t *testing.T) {
	set, err := ParseOutcomeSet([]string{"408", "503", "silence", "connection"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Outcome
		want bool
	}{
		"listed status":     {Outcome{Kind: OutcomeStatus, Status: 503}, true},
		"other status":      {Outcome{Kind: OutcomeStatus, Status: 486}, false},
		"listed kind":       {Outcome{Kind: OutcomeSilence}, true},
		"other kind":        {Outcome{Kind: OutcomeNoAnswer}, false},
		"status on silence": {Outcome{Kind: OutcomeNoAnswer, Status: 503}, false},
	} {
		if got := set.Has(c.o); got != c.want {
			t.Errorf("%s: Has(%+v) = %v", name, c.o, got)
		}
	}
	text, _ := set.MarshalText()
	var back OutcomeSet
	if err := back.UnmarshalText(text); err != nil || len(back.Words()) != 4 {
		t.Errorf("%s reads back as %v, %v", text, back, err)
	}
	for _, word := range []string{"200", "700", "busy", "", "cancelled"} {
		if _, err := ParseOutcomeSet([]string{word}); err == nil {
			t.Errorf("word %q accepted", word)
		}
	}
}

func TestLegIDIsDeterministic(t *testing.T) {
	var c CorrelationID
	c[3] = 7
	first, again := LegID(c, 1), LegID(c, 1)
	if first != again || first == LegID(c, 2) || first == LegID(c, 11) {
		t.Error("leg IDs must differ by attempt and repeat for the same leg")
	}
}
