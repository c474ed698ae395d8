package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestLongRequestsHaveAProcessor: one is taken while a request is long, and given
// back; a panic of the handler gives it back too.
func TestLongRequestsHaveAProcessor(t *testing.T) {
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic(http.ErrAbortHandler) }} {
		t.Run(name, func(t *testing.T) {
			changes, goOn := make(chan int), make(chan struct{})
			handler := besideCalls(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				<-goOn
				end()
			}), func(by int) { changes <- by })
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}()
			if by := <-changes; by != 1 {
				t.Errorf("change by %d", by)
			}
			close(goOn)
			if by := <-changes; by != -1 {
				t.Errorf("change by %d", by)
			}
			<-done
		})
	}
}

// TestProcessorsAddUp: what everyone takes counts on top of GOMAXPROCS, and comes back.
func TestProcessorsAddUp(t *testing.T) {
	var p processors
	p.change(0)
	base := p.base
	for _, step := range []struct{ by, more int }{{1, 1}, {2, 3}, {-1, 2}, {-2, 0}} {
		if p.change(step.by); p.more != step.more || p.base != base {
			t.Errorf("after %+d: %d more than %d", step.by, p.more, p.base)
		}
	}
}

// TestGarbageIsCollectedBeforeABatch: before the first one, when there is enough.
func TestGarbageIsCollectedBeforeABatch(t *testing.T) {
	var p processors
	collections := make(chan struct{}, 10)
	due := false
	b := &batches{processors: &p, due: func() bool { return due }, collect: func() { collections <- struct{}{} }}
	for _, step := range []struct {
		name    string
		due     bool
		by      int
		collect bool
	}{
		{"nothing to collect", false, 1, false},
		{"a second batch beside it", true, 1, false},
		{"one done", true, -1, false},
		{"both done", true, -1, false},
		{"the first again", true, 1, true},
		{"and done", true, -1, false},
	} {
		due = step.due
		b.change(step.by)
		if step.collect {
			<-collections
		}
		if len(collections) > 0 {
			t.Errorf("%s: garbage was collected", step.name)
		}
		if p.more != b.atWork {
			t.Errorf("%s: %d more processors for %d batches", step.name, p.more, b.atWork)
		}
	}
}
