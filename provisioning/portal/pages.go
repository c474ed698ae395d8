package portal

import (
	"net/http"
	"net/url"
	"strconv"

	"tandem"
	"tandem/provisioning"
)

// rowsPerPage of report and log: 50 calls of two legs.
const rowsPerPage = 100

// listing is a report or log with its filter.
type listing struct {
	Path     string
	Filter   map[string]string // as typed
	Accounts []tandem.Account
	Calls    []call
	Notice   *notice
	Filtered bool
	First    int    // number of the first row shown
	Last     int    // of the last
	Previous string // URLs; empty: none
	Next     string
	CSV      string
}

// call is the rows of one call that stand on this page, in the order of their
// attempts.
type call struct {
	Correlation string
	Rows        []tandem.CDR
}

// overview is what the first page shows beside the report.
type overview struct {
	Trunks []provisioning.TrunkState
	Live   []tandem.LiveCall
	Notice *notice // of trunks
	Report listing
}

var filterKeys = [...]string{"account", "from", "to", "number", "technology"}

// list reads a report or log with the filter of the request.
func (p *Portal) list(r *http.Request, path, api string, connected bool) (listing, int) {
	q := r.URL.Query()
	l := listing{Path: path, Filter: map[string]string{}}
	keep := url.Values{}
	for _, k := range filterKeys {
		if v := q.Get(k); v != "" {
			l.Filter[k] = v
			keep.Set(k, v)
			l.Filtered = true
		}
	}
	l.CSV = api + "?" + withValue(keep, "format", "csv")
	if dir, err := p.ops.Directory(r.Context()); err == nil {
		l.Accounts = dir.Accounts
	}
	f, err := provisioning.ParseFilter(func(k string) string {
		if k == "limit" {
			return ""
		}
		return q.Get(k)
	})
	if err != nil {
		l.Notice = p.noticeOf(err)
		return l, l.Notice.Status
	}
	f.Connected, f.Limit = connected, rowsPerPage+1 // one more tells whether there is another page
	rows, err := p.ops.CDRs(r.Context(), f)
	if err != nil {
		l.Notice = p.noticeOf(err)
		return l, l.Notice.Status
	}
	if len(rows) > rowsPerPage {
		rows = rows[:rowsPerPage]
		l.Next = path + "?" + withValue(keep, "offset", strconv.Itoa(f.Offset+rowsPerPage))
	}
	if f.Offset > 0 {
		l.Previous = path + "?" + withValue(keep, "offset", strconv.Itoa(max(0, f.Offset-rowsPerPage)))
	}
	l.First, l.Last = f.Offset+1, f.Offset+len(rows)
	l.Calls = pair(rows)
	return l, http.StatusOK
}

func withValue(q url.Values, key, value string) string {
	out := url.Values{key: {value}}
	for k, v := range q {
		out[k] = v
	}
	return out.Encode()
}

// pair puts the rows of a call together, at the place of its first row.
func pair(rows []tandem.CDR) []call {
	var calls []call
	at := map[tandem.CorrelationID]int{}
	for _, row := range rows {
		i, known := at[row.Correlation]
		if !known {
			i = len(calls)
			at[row.Correlation] = i
			calls = append(calls, call{Correlation: row.Correlation.String()})
		}
		rows := calls[i].Rows
		j := len(rows)
		for j > 0 && rows[j-1].Attempt > row.Attempt {
			j--
		}
		calls[i].Rows = append(rows[:j:j], append([]tandem.CDR{row}, rows[j:]...)...)
	}
	return calls
}

func (p *Portal) overview(w http.ResponseWriter, r *http.Request) {
	report, status := p.list(r, "/", "/api/v1/report", true)
	if status == http.StatusServiceUnavailable {
		status = http.StatusOK // the rest of the page is there
	}
	o := overview{Report: report}
	var err error
	if o.Trunks, err = p.ops.Trunks(r.Context()); err != nil {
		o.Notice = p.noticeOf(err)
	}
	o.Live, _ = p.ops.Live() // a process without calls shows none
	p.render(w, r, status, "overview.html", page{Title: "Overview", Here: "/", Data: o})
}

func (p *Portal) log(w http.ResponseWriter, r *http.Request) {
	l, status := p.list(r, "/log", "/api/v1/log", false)
	p.render(w, r, status, "log.html", page{Title: "Log", Here: "/log", Data: l})
}

func (p *Portal) call(w http.ResponseWriter, r *http.Request) {
	view, err := p.ops.Call(r.Context(), r.PathValue("correlation_id"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.render(w, r, http.StatusOK, "call.html", page{Title: "Call " + view.Correlation.String(), Data: view})
}
