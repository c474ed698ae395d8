package rating

import (
	"encoding"
	"encoding/json"
	"strconv"
	"sync"
	"time"
)

// String is the JSON form, byte for byte what encoding/json makes of e. The
// usual one is written by hand because every leg has one, and reflection over
// 30 fields cost more than rating the leg.
func (e Explanation) String() string {
	if d := e.Deck; e.Changes != nil || e.Allowance != nil && e.Allowance.Next != nil || d != nil && (d.Timed != nil || d.RateInitial.Given || d.Base.Given) {
		b, err := json.Marshal(e)
		if err != nil {
			return unwritable
		}
		return string(b)
	}
	w := jsonWriters.Get().(*jsonWriter)
	defer jsonWriters.Put(w)
	w.b, w.bad = append(w.b[:0], `{"form":`...), false
	w.b = strconv.AppendInt(w.b, int64(e.Form), 10)
	w.text("rule", string(e.Rule), true)
	w.text("leg", string(e.Leg), false)
	w.text("number", e.Number, false)
	w.text("class", string(e.Class), false)
	w.time("answer_time", e.AnswerTime, false)
	w.int("duration_ms", int64(e.DurationMs))
	if d := e.Deck; d != nil {
		w.open("deck", "id", d.ID)
		w.int("version", int64(d.Version))
		w.text("currency", string(d.Currency), true)
		w.int("row", d.Row)
		w.text("prefix", d.Prefix, true)
		w.text("destination", d.Destination, false)
		w.money("rate", d.Rate)
		w.money("connect_fee", d.ConnectFee)
		w.int("initial_inc", d.InitialInc)
		w.int("next_inc", d.NextInc)
		w.time("effective_from", d.EffectiveFrom, false)
		w.time("effective_to", d.EffectiveTo, false)
		w.text("jurisdiction", string(d.Jurisdiction), false)
		if d.Grace != 0 {
			w.int("grace", d.Grace)
		}
		if d.MinCharge != 0 {
			w.money("min_charge", d.MinCharge)
		}
		w.text("times", d.Times, false)
		w.b = append(w.b, '}')
	}
	if a := e.Allowance; a != nil {
		w.open("allowance", "account", a.Account)
		w.text("did", string(a.DID), true)
		w.time("cycle", a.Cycle, true)
		w.time("cycle_end", a.CycleEnd, true)
		w.int("limit_s", a.LimitS)
		w.int("before_s", a.BeforeS)
		w.int("after_s", a.AfterS)
		w.b = append(w.b, '}')
	}
	w.int("billed_s", e.BilledS)
	w.int("free_s", e.FreeS)
	w.int("charged_s", e.ChargedS)
	w.money("fee", e.Fee)
	w.text("rounding", e.Rounding.String(), true)
	w.money("amount", e.Amount)
	w.text("error", e.Error, false)
	if w.bad {
		return unwritable
	}
	return string(append(w.b, '}'))
}

// unwritable stands for an explanation with a year beyond 9999: all else can be written.
const unwritable = `{"form":2,"rule":"unrated","error":"the explanation can't be written"}`

// jsonWriters are kept: their buffers would be a twentieth of a call's garbage.
var jsonWriters = sync.Pool{New: func() any { return new(jsonWriter) }}

// jsonWriter appends members of an object that has one already.
type jsonWriter struct {
	b   []byte
	bad bool
}

func (w *jsonWriter) key(name string) {
	w.b = append(append(append(w.b, `,"`...), name...), `":`...)
}

// open begins an inner object with its first member.
func (w *jsonWriter) open(name, first, value string) {
	w.key(name)
	w.b = append(append(append(w.b, `{"`...), first...), `":`...)
	w.string(value)
}

// text leaves an empty value out unless always.
func (w *jsonWriter) text(name, value string, always bool) {
	if value != "" || always {
		w.key(name)
		w.string(value)
	}
}

func (w *jsonWriter) string(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			w.bad = w.bad || err != nil
			w.b = append(w.b, quoted...)
			return
		}
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

func (w *jsonWriter) int(name string, v int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *jsonWriter) money(name string, v encoding.TextAppender) {
	w.key(name)
	w.b = append(w.b, '"')
	w.b, _ = v.AppendText(w.b)
	w.b = append(w.b, '"')
}

func (w *jsonWriter) time(name string, t time.Time, always bool) {
	if t.IsZero() && !always {
		return
	}
	w.key(name)
	b, err := t.AppendText(append(w.b, '"'))
	if err != nil {
		w.bad = true
		return
	}
	w.b = append(b, '"')
}
