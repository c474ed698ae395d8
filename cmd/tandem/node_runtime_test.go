package main

import (
	"math"
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestGoStateKnowsCollections(t *testing.T) {
	before := readGoState()
	runtime.GC()
	after := readGoState()
	if after.GCs <= before.GCs || after.PauseMaximum <= 0 || after.PauseMaximum < after.PauseP50 || after.HeapBytes == 0 || after.Goroutines == 0 {
		t.Errorf("%+v after %+v and a collection", after, before)
	}
}

func TestQuantileIsTheUpperEdge(t *testing.T) {
	h := &metrics.Float64Histogram{Counts: []uint64{0, 98, 1, 1}, Buckets: []float64{0, 1, 2, 3, math.Inf(1)}}
	for q, want := range map[float64]float64{0.5: 2, 0.98: 2, 0.99: 3, 1: 3} {
		if got := quantile(h, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := quantile(&metrics.Float64Histogram{Counts: []uint64{0}, Buckets: []float64{0, 1}}, 0.5); got != 0 {
		t.Errorf("no values give %v", got)
	}
}
