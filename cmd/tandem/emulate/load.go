package emulate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tandem"
)

// LoadSpec is a load to run: Rate calls a second for the time For.
type LoadSpec struct {
	CallSpec
	Rate          float64         `json:"rate"`
	For           tandem.Duration `json:"for"`
	MaxConcurrent int             `json:"max_concurrent,omitempty"` // calls beyond are not placed but counted; 0 = 5,000
	// Vary, when not nil, changes the spec of call i; only in Go.
	Vary func(i int, spec CallSpec) CallSpec `json:"-"`
	// Keep returns every call's result and not only the sums.
	Keep bool `json:"keep,omitempty"`
}

// LoadResult sums a load up. Set-up is INVITE to first 180/183/200, as the caller sees it.
type LoadResult struct {
	Placed   int           `json:"placed"`
	Skipped  int           `json:"skipped"` // over MaxConcurrent
	Answered int           `json:"answered"`
	Failed   int           `json:"failed"` // neither answered nor refused: timeouts, lost connections
	Statuses map[int]int   `json:"statuses"`
	SetupP50 time.Duration `json:"setup_p50_ns"`
	SetupP99 time.Duration `json:"setup_p99_ns"`
	SetupMax time.Duration `json:"setup_max_ns"`
	Took     time.Duration `json:"took_ns"`
	Results  []CallResult  `json:"results,omitempty"`
}

// Load limits: an emulator is no weapon.
const (
	maxRate     = 2000
	maxLoadTime = 24 * time.Hour
)

type starter interface {
	begin(CallSpec) (*record, error)
}

// Load runs a load of calls from users of Teams and waits for the last to end.
func (t *Teams) Load(ctx context.Context, spec LoadSpec) (LoadResult, error) {
	return load(ctx, t, spec)
}

// Load runs a load of calls from the PSTN and waits for the last to end.
func (c *Carrier) Load(ctx context.Context, spec LoadSpec) (LoadResult, error) {
	return load(ctx, c, spec)
}

func load(ctx context.Context, s starter, spec LoadSpec) (LoadResult, error) {
	if spec.Rate <= 0 || spec.Rate > maxRate || spec.For <= 0 || spec.For.D() > maxLoadTime {
		return LoadResult{}, &tandem.Error{Kind: tandem.KindInvalid, Field: "rate", Message: fmt.Sprintf("%g calls/s for %s cannot be run", spec.Rate, spec.For.D()),
			Mend: fmt.Sprintf("use up to %d calls/s for up to %s", maxRate, maxLoadTime)}
	}
	if spec.MaxConcurrent <= 0 {
		spec.MaxConcurrent = 5000
	}
	sum := &loadSum{keep: spec.Keep, res: LoadResult{Statuses: map[int]int{}}}
	slots := make(chan struct{}, spec.MaxConcurrent)
	var wg sync.WaitGroup
	begun := time.Now()
	total := int(spec.Rate * spec.For.D().Seconds())
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	var err error
pace:
	for i := 0; i < total; {
		due := min(int(spec.Rate*time.Since(begun).Seconds())+1, total)
		for ; i < due; i++ {
			one := spec.CallSpec
			if spec.Vary != nil {
				one = spec.Vary(i, one)
			}
			select {
			case slots <- struct{}{}:
			default:
				sum.res.Skipped++
				continue
			}
			var rec *record
			if rec, err = s.begin(one); err != nil {
				break pace
			}
			sum.res.Placed++
			wg.Add(1)
			go func() {
				defer wg.Done()
				<-rec.done
				<-slots
				sum.add(rec.snapshot())
			}()
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
			break pace
		case <-ticker.C:
		}
	}
	wg.Wait()
	return sum.finish(time.Since(begun)), err
}

type loadSum struct {
	mu    sync.Mutex
	keep  bool
	setup []time.Duration
	res   LoadResult
}

func (l *loadSum) add(r CallResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.res.Statuses[r.Status]++
	switch {
	case !r.AnswerAt.IsZero():
		l.res.Answered++
	case r.Status == 0:
		l.res.Failed++
	}
	first := r.RingAt
	if first.IsZero() {
		first = r.AnswerAt
	}
	if !first.IsZero() {
		l.setup = append(l.setup, first.Sub(r.Start))
	}
	if l.keep {
		l.res.Results = append(l.res.Results, r)
	}
}

func (l *loadSum) finish(took time.Duration) LoadResult {
	slices.Sort(l.setup)
	if n := len(l.setup); n > 0 {
		l.res.SetupP50, l.res.SetupP99, l.res.SetupMax = l.setup[n/2], l.setup[min(n*99/100, n-1)], l.setup[n-1]
	}
	l.res.Took = took
	return l.res
}
