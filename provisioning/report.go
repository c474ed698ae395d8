package provisioning

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem"
)

// Limits of one page of a report.
const (
	DefaultRows = 100
	MaxRows     = 10_000
)

// CDRs reads rows: the detailed report (Connected), the log, or one call. A
// limit of 0 is DefaultRows; more than MaxRows are refused.
func (s *Service) CDRs(ctx context.Context, f tandem.CDRFilter) ([]tandem.CDR, error) {
	if f.Limit == 0 {
		f.Limit = DefaultRows
	}
	if err := checkFilter(f); err != nil {
		return nil, err
	}
	var reports Reports
	if s.d.Reports != nil {
		reports = s.d.Reports()
	}
	if reports == nil {
		return nil, absent("reports need ClickHouse, and no engine is running",
			"set clickhouse.mode: embedded in tandem.yaml and install the library with scripts/install-chdb.sh, or mode: server with your server's address; calls are journalled meanwhile and nothing is lost")
	}
	return reports.CDRs(ctx, f)
}

func checkFilter(f tandem.CDRFilter) error {
	switch {
	case f.Limit < 0 || f.Limit > MaxRows+1:
		return refuse("limit", fmt.Sprint(f.Limit), "is out of range", fmt.Sprintf("ask for 1 to %d rows", MaxRows))
	case f.Offset < 0 || f.Offset > 100_000_000:
		return refuse("offset", fmt.Sprint(f.Offset), "is out of range", "use 0 or more")
	case f.Number != "" && (!allDigits(f.Number) || len(f.Number) < 4 || len(f.Number) > 15):
		return refuse("number", f.Number, "can't be searched", "give 4 to 15 digits of the number")
	case f.Technology != "" && f.Technology != tandem.OperatorConnect && f.Technology != tandem.Phone:
		return refuse("technology", string(f.Technology), "is not a technology", "use Operator Connect or Phone")
	case !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To):
		return refuse("from", f.From.Format(time.RFC3339), "is not before to", "swap them")
	}
	return nil
}

// ParseFilter reads the filters of a report as a query carries them: account,
// from, to (dates or instants; a date as "to" includes that day), number (with
// or without + and separators), technology, limit, offset.
func ParseFilter(get func(key string) string) (tandem.CDRFilter, error) {
	f := tandem.CDRFilter{Account: get("account"), Technology: tandem.Technology(get("technology"))}
	var errs []error
	moment := func(key string) time.Time {
		t, err := ParseMoment(get(key))
		if err != nil {
			errs = append(errs, inField(key, err))
		}
		return t
	}
	f.From, f.To = moment("from"), moment("to")
	if len(get("to")) == len(time.DateOnly) && !f.To.IsZero() {
		f.To = f.To.AddDate(0, 0, 1)
	}
	f.Number = strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "", ".", "").Replace(get("number"))
	number := func(key string) int {
		s := get(key)
		if s == "" {
			return 0
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			errs = append(errs, refuse(key, s, "is not a number of rows", "write a whole number"))
		}
		return n
	}
	f.Limit, f.Offset = number("limit"), number("offset")
	if len(errs) == 0 {
		if err := checkFilter(f); err != nil {
			errs = append(errs, err)
		}
	}
	return f, errors.Join(errs...)
}

func inField(field string, err error) error {
	var e *tandem.Error
	if !errors.As(err, &e) {
		return err
	}
	located := *e
	located.Field = field
	return &located
}

// Leg is a row of a call with the reasons for its price in sentences.
type Leg struct {
	CDR       tandem.CDR `json:"cdr"`
	Sentences []string   `json:"sentences" doc:"why this price"`
}

// CallView is one call: its legs and attempts in order, and why it was routed so.
type CallView struct {
	Correlation tandem.CorrelationID `json:"correlation_id"`
	Legs        []Leg                `json:"legs"`
	Trace       []tandem.TraceStep   `json:"trace"`
}

// Call is every leg and attempt of one call; not found when there is none.
func (s *Service) Call(ctx context.Context, id string) (CallView, error) {
	correlation, err := uuid.Parse(id)
	if err != nil || correlation == uuid.Nil {
		return CallView{}, refuse("correlation_id", id, "is not a Correlation ID", "write it as reports show it, as in 3fa85f64-5717-4562-b3fc-2c963f66afa6")
	}
	rows, err := s.CDRs(ctx, tandem.CDRFilter{Correlation: correlation, Limit: MaxRows})
	if err != nil {
		return CallView{}, err
	}
	if len(rows) == 0 {
		return CallView{}, &tandem.Error{Kind: tandem.KindNotFound, Message: "no call has Correlation ID " + correlation.String(),
			Mend: "records of a call appear a few seconds after it ends; until then it is among the calls in progress"}
	}
	slices.SortFunc(rows, func(a, b tandem.CDR) int { return cmp.Compare(a.Attempt, b.Attempt) }) // reports sort by INVITE time
	view := CallView{Correlation: correlation, Trace: []tandem.TraceStep{}}
	for _, row := range rows {
		sentences := []string{}
		if s.d.ExplainCharge != nil {
			sentences = append(sentences, s.d.ExplainCharge(row)...)
		}
		view.Legs = append(view.Legs, Leg{row, sentences})
		if len(view.Trace) == 0 {
			view.Trace = append(view.Trace, Trace(row)...)
		}
	}
	return view, nil
}

// Trace is the stored routing trace of a row; nil when it holds none.
func Trace(row tandem.CDR) []tandem.TraceStep {
	var steps []tandem.TraceStep
	if json.Unmarshal([]byte(row.RouteTrace), &steps) != nil {
		return nil
	}
	return steps
}
