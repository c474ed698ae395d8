package provisioning

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"tandem"
)

// outside knows what of each bucket was drawn by other legs than those of a
// replay: all that the books know, less what these drew.
type outside struct {
	s     *Service
	ctx   context.Context
	own   map[tandem.Bucket]int64
	books map[cycleKey]map[tandem.E164]int64
	err   error
}

type cycleKey struct {
	account string
	cycle   time.Time
}

func (s *Service) drawnOutside(ctx context.Context, rows []tandem.CDR) (*outside, error) {
	o := &outside{s: s, ctx: ctx, own: map[tandem.Bucket]int64{}, books: map[cycleKey]map[tandem.E164]int64{}}
	for i := range rows {
		if rows[i].Charge.FreeS == 0 {
			continue
		}
		drawn, err := storedDraws(&rows[i], rows[i].Charge)
		if err != nil {
			return nil, err
		}
		for b, seconds := range drawn {
			o.own[b] += seconds
		}
	}
	return o, nil
}

// storedDraws is what a row drew from which buckets, by the explanation of a charge.
func storedDraws(row *tandem.CDR, c tandem.Charge) (map[tandem.Bucket]int64, error) {
	var e struct {
		Allowance *struct {
			tandem.Bucket
			CycleEnd time.Time `json:"cycle_end"`
			Next     struct {
				Before int64 `json:"before_s"`
				After  int64 `json:"after_s"`
			} `json:"next"`
		} `json:"allowance"`
	}
	if err := json.Unmarshal([]byte(c.Explanation), &e); err != nil || e.Allowance == nil {
		return nil, &tandem.Error{Kind: tandem.KindInternal, Message: "row " + row.ID.String() + " drew minutes and does not say from which bucket", Mend: "see it with tandem rate explain " + row.Correlation.String(), Err: err}
	}
	first, next := utc(e.Allowance.Bucket), e.Allowance.Bucket
	next.Cycle = e.Allowance.CycleEnd.UTC()
	more := e.Allowance.Next.After - e.Allowance.Next.Before
	return map[tandem.Bucket]int64{first: c.FreeS - more, next: more}, nil
}

func (o *outside) before(b tandem.Bucket) int64 {
	key := cycleKey{b.Account, b.Cycle.UTC()}
	used, known := o.books[key]
	if !known {
		var err error
		if used, err = o.s.d.Books.Buckets(o.ctx, b.Account, b.Cycle); err != nil {
			o.err = err
		}
		o.books[key] = used
	}
	b.Cycle = key.cycle
	return max(used[b.DID]-o.own[b], 0)
}

type numberKey struct {
	account string
	did     tandem.E164
}

// sums gathers differences.
type sums struct {
	accounts map[string]*Difference
	numbers  map[numberKey]*Difference
	costs    map[tandem.Currency]*CostDifference
}

func (s *sums) add(row *tandem.CDR, c tandem.Charge, cost tandem.Cost) {
	account, number := s.accounts[row.Account], s.numbers[numberKey{row.Account, row.DID}]
	if account == nil {
		account = &Difference{Account: row.Account, Currency: cmp.Or(c.Currency, row.Charge.Currency)}
		s.accounts[row.Account] = account
	}
	if number == nil {
		number = &Difference{Account: row.Account, DID: row.DID, Currency: account.Currency}
		s.numbers[numberKey{row.Account, row.DID}] = number
	}
	for _, d := range []*Difference{account, number} {
		d.Legs++
		if differs(row.Charge, c) {
			d.Changed++
		}
		if c.Amount == 0 && c.BilledS == 0 && unrated(c) {
			d.Unrated++
		}
		d.Before, d.After = d.Before+row.Charge.Amount, d.After+c.Amount
		d.Difference = d.After - d.Before
		d.FreeBefore, d.FreeAfter = d.FreeBefore+row.Charge.FreeS, d.FreeAfter+c.FreeS
	}
	s.cost(row.Cost).Before += row.Cost.Amount
	s.cost(cost).After += cost.Amount
}

func (s *sums) cost(c tandem.Cost) *CostDifference {
	if s.costs[c.Currency] == nil {
		s.costs[c.Currency] = &CostDifference{Currency: c.Currency}
	}
	return s.costs[c.Currency]
}

// differs reports whether a leg would be charged otherwise.
func differs(a, b tandem.Charge) bool {
	return a.Amount != b.Amount || a.Currency != b.Currency || a.BilledS != b.BilledS || a.FreeS != b.FreeS || a.ChargedS != b.ChargedS
}

// unrated reports whether a charge is 0 because no price was found.
func unrated(c tandem.Charge) bool {
	var e struct {
		Rule string `json:"rule"`
	}
	return json.Unmarshal([]byte(c.Explanation), &e) == nil && e.Rule == "unrated"
}

func (s *sums) list(legs int) Differences {
	out := Differences{Legs: legs, Accounts: []Difference{}, Numbers: []Difference{}, Costs: []CostDifference{}}
	for _, id := range slices.Sorted(maps.Keys(s.accounts)) {
		out.Accounts = append(out.Accounts, *s.accounts[id])
	}
	keys := slices.SortedFunc(maps.Keys(s.numbers), func(a, b numberKey) int { return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.did, b.did)) })
	for _, k := range keys {
		if s.numbers[k].Changed > 0 {
			out.Numbers = append(out.Numbers, *s.numbers[k])
		}
	}
	for _, c := range slices.Sorted(maps.Keys(s.costs)) {
		if c != "" {
			out.Costs = append(out.Costs, *s.costs[c])
		}
	}
	return out
}
