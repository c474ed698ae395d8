package portal

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"tandem"
)

// functions are how templates print values.
func functions() template.FuncMap {
	return template.FuncMap{
		"instant":  instant,
		"instants": func(t time.Time) string { return instant(&t) },
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"ms":       func(ms uint32) string { return clock(time.Duration(ms) * time.Millisecond) },
		"seconds":  func(s int64) string { return clock(time.Duration(s) * time.Second) },
		"age":      age,
		"money":    func(c tandem.Charge) string { return strings.TrimSpace(c.Amount.String() + " " + string(c.Currency)) },
		"status":   status,
		"cause":    cause,
		"words":    func(s any) string { return strings.ReplaceAll(fmt.Sprint(s), "_", " ") },
		"short":    func(s string) string { return s[:min(8, len(s))] },
		"facts":    facts,
		"headline": headline,
	}
}

// fact is one value of a part's state.
type fact struct{ Name, Value string }

// facts takes a part's state apart as its JSON form shows it: an object gives
// its members by name, one within another by both names, anything else one
// value without a name.
func facts(state any) []fact {
	text, err := json.Marshal(state)
	if err != nil {
		return []fact{{Value: "unreadable"}}
	}
	return members("", text)
}

func members(name string, text json.RawMessage) []fact {
	var inner map[string]json.RawMessage
	if json.Unmarshal(text, &inner) != nil || inner == nil {
		return []fact{{name, plain(text)}}
	}
	var out []fact
	for _, key := range slices.Sorted(maps.Keys(inner)) {
		out = append(out, members(strings.TrimSpace(name+" "+spaced(key)), inner[key])...)
	}
	return out
}

// spaced writes a member's name as words: LastError and last_error are "last error".
func spaced(name string) string {
	var b strings.Builder
	capital := true
	for _, r := range name {
		upper := unicode.IsUpper(r)
		if r == '_' || upper && !capital {
			b.WriteByte(' ')
		}
		if r != '_' {
			b.WriteRune(unicode.ToLower(r))
		}
		capital = upper || r == '_'
	}
	return b.String()
}

// headline is what of a part's state is worth a look every time: how much waits
// or runs, and every sign of trouble that there is.
func headline(state any) []fact {
	var out []fact
	for _, f := range facts(state) {
		switch f.Name {
		case "", "backlog", "up", "accepting", "sessions", "core calls", "conns":
			out = append(out, f)
		case "last error", "reason", "restarts", "quarantined", "retries", "lost facts", "dropped", "refused", "barrier alarms", "panics", "core panics",
			"write errors", "sync errors", "damaged", "missing", "send failures", "dial failures", "handshake failures", "unknown source", "cert errors":
			if f.Value != "0" && f.Value != "–" {
				out = append(out, f)
			}
		}
	}
	return out
}

// plain is a JSON value as people read it.
func plain(text json.RawMessage) string {
	var s string
	if json.Unmarshal(text, &s) != nil {
		s = string(text)
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		s = instant(&t)
	}
	if s == "" || s == "null" {
		return "–"
	}
	return s
}

// instant prints a moment in UTC; the column says so.
func instant(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// clock prints a duration as h:mm:ss, rounded down.
func clock(d time.Duration) string {
	s := int64(d / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// age prints how long ago a moment was, in its largest unit.
func age(now, t time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "–"
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	default:
		return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
	}
}

// status is a SIP status with its phrase (RFC 3261 21); 0 is none.
func status(s tandem.SIPStatus) string {
	if s == 0 {
		return "–"
	}
	phrase := map[tandem.SIPStatus]string{200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
		410: "Gone", 480: "Temporarily Unavailable", 481: "No Such Transaction", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete",
		486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error", 502: "Bad Gateway",
		503: "Service Unavailable", 504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist"}[s]
	return strings.TrimSpace(fmt.Sprintf("%d %s", s, phrase))
}

// cause is a Q.850 cause with its name; 0 is none.
func cause(c tandem.Cause) string {
	if c == 0 {
		return "–"
	}
	name := map[tandem.Cause]string{1: "unallocated number", 16: "normal clearing", 17: "user busy", 18: "no user responding", 19: "no answer", 21: "call rejected",
		22: "number changed", 27: "destination out of order", 28: "invalid number", 31: "normal, unspecified", 34: "no circuit", 38: "network out of order",
		41: "temporary failure", 42: "congestion", 47: "resource unavailable", 58: "bearer not available", 79: "not implemented", 88: "incompatible destination",
		102: "timer expired", 127: "interworking"}[c]
	return strings.TrimSpace(fmt.Sprintf("%d %s", c, name))
}
