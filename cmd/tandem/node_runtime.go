package main

import (
	"math"
	"runtime/metrics"
)

// goState is what the Go runtime says about itself, since the start.
type goState struct {
	Goroutines uint64  `json:"goroutines"`
	HeapBytes  uint64  `json:"heap_bytes"`  // objects, dead ones not yet swept included
	TotalBytes uint64  `json:"total_bytes"` // mapped, without what was given back
	Objects    uint64  `json:"allocated_objects"`
	Bytes      uint64  `json:"allocated_bytes"`
	GCs        uint64  `json:"gcs"`
	GCCPU      float64 `json:"gc_cpu_s"`
	// Pauses stop every goroutine, media threads included.
	PauseP50     float64 `json:"gc_pause_p50_ms"`
	PauseP99     float64 `json:"gc_pause_p99_ms"`
	PauseMaximum float64 `json:"gc_pause_max_ms"`
}

// readGoState samples the runtime's metrics; it doesn't stop the world.
func readGoState() goState {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/allocs:objects"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	number := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	s := goState{Goroutines: number(0), HeapBytes: number(1), TotalBytes: number(2) - number(3), Objects: number(4), GCs: number(5), Bytes: number(8)}
	if v := samples[6].Value; v.Kind() == metrics.KindFloat64 {
		s.GCCPU = v.Float64()
	}
	if v := samples[7].Value; v.Kind() == metrics.KindFloat64Histogram {
		h := v.Float64Histogram()
		s.PauseP50, s.PauseP99, s.PauseMaximum = 1e3*quantile(h, 0.5), 1e3*quantile(h, 0.99), 1e3*quantile(h, 1)
	}
	return s
}

// quantile is the upper edge of the bucket that holds the q-th part; 0 = no values.
func quantile(h *metrics.Float64Histogram, q float64) float64 {
	var total, seen uint64
	for _, n := range h.Counts {
		total += n
	}
	want := uint64(math.Ceil(q * float64(total)))
	for i, n := range h.Counts {
		if seen += n; n > 0 && seen >= want {
			if edge := h.Buckets[i+1]; !math.IsInf(edge, 1) {
				return edge
			}
			return h.Buckets[i]
		}
	}
	return 0
}
