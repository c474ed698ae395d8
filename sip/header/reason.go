package header

import (
	"strconv"
	"strings"
)

// ReasonValue is one value of a Reason header (RFC 3326): why a request was
// sent, or (RFC 6432) which Q.850 cause stands behind a response.
type ReasonValue struct {
	Protocol string // "Q.850", "SIP"...
	Cause    int    // 0 when absent
	Text     string
}

// ParseReason reads a Reason header. Values that make no sense are skipped: a
// peer's odd reason must never hurt a call.
func ParseReason(value string) []ReasonValue {
	var list []ReasonValue
	for rest, more := value, true; more && len(list) < maxEntries; {
		var item string
		item, rest, more = cut(rest, ',')
		protocol, params, _ := cut(item, ';')
		protocol = strings.TrimSpace(protocol)
		if protocol == "" {
			continue
		}
		r := ReasonValue{Protocol: protocol}
		if v, ok := Param(params, "cause"); ok {
			if n, err := strconv.Atoi(v); err == nil && n >= 0 && n <= 999 {
				r.Cause = n
			}
		}
		r.Text, _ = Param(params, "text")
		list = append(list, r)
	}
	return list
}

// Q850 is the first Q.850 value with a cause of 1 to 127.
func Q850(list []ReasonValue) (ReasonValue, bool) {
	for _, r := range list {
		if strings.EqualFold(r.Protocol, "Q.850") && r.Cause >= 1 && r.Cause <= 127 {
			return r, true
		}
	}
	return ReasonValue{}, false
}

// Append prints the value.
func (r ReasonValue) Append(b []byte) []byte {
	b = AppendText(b, r.Protocol)
	b = append(b, ";cause="...)
	b = strconv.AppendInt(b, int64(r.Cause), 10)
	if r.Text != "" {
		b = append(b, ";text="...)
		b = AppendQuoted(b, r.Text)
	}
	return b
}
