package core

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestStateTable prints the transition table, which the documents include, and
// checks its shape: every state but the last has a way to end and a bound, and
// nothing leads out of Ended.
func TestStateTable(t *testing.T) {
	tab := newTable()
	cfg := DefaultConfig()
	var b strings.Builder
	b.WriteString("| state | event | next | does |\n|---|---|---|---|\n")
	for s := State(0); s < numStates; s++ {
		out := false
		for e := event(0); e < numEvents; e++ {
			st := tab[s][e]
			if st.do == nil {
				continue
			}
			out = true
			name := runtime.FuncForPC(reflect.ValueOf(st.do).Pointer()).Name()
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s, e, st.to, name[strings.LastIndexByte(name, '.')+1:])
		}
		if out == (s == Ended) {
			t.Errorf("state %s: leads on %v", s, out)
		}
		if s != Routing && s != Ended {
			if cfg.bound(s) == 0 {
				t.Errorf("state %s has no bound", s)
			}
			if tab[s][evExpire].do == nil {
				t.Errorf("state %s does nothing when its bound runs out", s)
			}
		}
		if s != Ended && tab[s][evPanic].do == nil {
			t.Errorf("state %s does not survive a panic", s)
		}
	}
	b.WriteString("\n| state | bound |\n|---|---|\n")
	for s := State(0); s < numStates; s++ {
		if d := cfg.bound(s); d > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", s, d)
		} else {
			fmt.Fprintf(&b, "| %s | - |\n", s)
		}
	}
	const file = "testdata/states.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(golden) {
		t.Errorf("the table changed; run go test ./sip/core -run TestStateTable -update and review\n%s", b.String())
	}
}
