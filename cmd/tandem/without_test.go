package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem"
)

// TestProfilesOnRequestOnly: with http.pprof set, Go's profiles are there.
func TestProfilesOnRequestOnly(t *testing.T) {
	config := DefaultConfig()
	config.Data, config.ClickHouse.Mode = t.TempDir(), "off"
	config.SIP.Listen = []ListenConfig{{Transport: "udp", Address: testNet() + ".1:5060"}}
	config.Media.Address, config.HTTP.Address, config.HTTP.Pprof = testNet()+".1", testNet()+".1:0", testNet()+".1:6060"
	node, err := StartNode(t.Context(), config, newLogger(io.Discard, LogConfig{Level: "info"}))
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + config.HTTP.Pprof + "/debug/pprof/heap?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasPrefix(string(text), "heap profile:") {
		t.Errorf("%v: %.80s", err, text)
	}
}

// TestPassedSDP: what one side says reaches the other as it is.
func TestPassedSDP(t *testing.T) {
	session, err := noMedia{}.OpenMedia(tandem.CallRef{}, tandem.MediaProfile{})
	if err != nil {
		t.Fatal(err)
	}
	offer, err1 := session.Offer(tandem.SideA, []byte("offer"))
	answer, err2 := session.Answer(tandem.SideB, []byte("answer"), true)
	again, err3 := session.Reoffer(tandem.SideA)
	if string(offer) != "offer" || string(answer) != "answer" || string(again) != "answer" || err1 != nil || err2 != nil || err3 != nil {
		t.Errorf("%q %q %q, %v %v %v", offer, answer, again, err1, err2, err3)
	}
}

// TestNoJournalHoldsNothingUp: every fact counts as written.
func TestNoJournalHoldsNothingUp(t *testing.T) {
	written := uint64(0)
	noJournal{}.OnWritten(func(seq uint64) { written = seq })
	if seq := (noJournal{}).Record(0, tandem.FactStart, time.Time{}, nil); seq == 0 || seq > written {
		t.Errorf("fact %d, written %d", seq, written)
	}
}
