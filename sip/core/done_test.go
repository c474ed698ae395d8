package core

import (
	"fmt"
	"testing"
	"time"
)

func TestDoneTransactionsAreRememberedForTheirTimerAndNotLonger(t *testing.T) {
	const life = 32 * time.Second
	d := newDoneSet(life)
	for at := time.Duration(0); at < 3*time.Minute; at += 700 * time.Millisecond {
		d.add(at, fmt.Sprint("tx", at), 200)
		for back := time.Duration(0); back <= at; back += 700 * time.Millisecond {
			status, ok := d.find(at, fmt.Append(nil, "tx", at-back))
			switch {
			case back <= life && (!ok || status != 200):
				t.Fatalf("forgotten after %s", back)
			case back > life+life/4 && ok:
				t.Fatalf("still known after %s", back)
			}
		}
	}
	if _, ok := d.find(time.Hour, []byte("tx2m59.9s")); ok {
		t.Error("known after an hour of rest")
	}
	d.add(time.Hour, "late", 200)
	if _, ok := d.find(time.Hour+life, []byte("late")); !ok {
		t.Error("forgotten early after a rest")
	}
	if d.find(time.Hour, []byte("other")); len(d.gens[1]) > 0 {
		t.Error("a rest leaves old entries")
	}
}
