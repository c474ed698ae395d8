package header

import (
	"strconv"
	"strings"
)

// maxInterval bounds session intervals to a year: larger numbers would overflow durations.
const maxInterval = 365 * 24 * 3600

// Refresher says who refreshes a session (RFC 4028 4).
type Refresher string

// The refreshers; empty: not said.
const (
	RefresherUAC Refresher = "uac"
	RefresherUAS Refresher = "uas"
)

// SessionInterval is a Session-Expires value.
type SessionInterval struct {
	Seconds   int
	Refresher Refresher
}

// ParseSessionExpires reads a Session-Expires header (RFC 4028 4).
func ParseSessionExpires(value string) (SessionInterval, error) {
	num, params, _ := strings.Cut(value, ";")
	n, err := delta("Session-Expires", num)
	if err != nil {
		return SessionInterval{}, err
	}
	s := SessionInterval{Seconds: n}
	if r, ok := Param(params, "refresher"); ok {
		switch strings.ToLower(r) {
		case "uac":
			s.Refresher = RefresherUAC
		case "uas":
			s.Refresher = RefresherUAS
		}
	}
	return s, nil
}

// ParseMinSE reads a Min-SE header (RFC 4028 5), in seconds.
func ParseMinSE(value string) (int, error) {
	num, _, _ := strings.Cut(value, ";")
	return delta("Min-SE", num)
}

// ParseRetryAfter reads a Retry-After header (RFC 3261 20.33), in seconds.
func ParseRetryAfter(value string) (int, error) {
	if i := strings.IndexAny(value, ";("); i >= 0 {
		value = value[:i]
	}
	return delta("Retry-After", value)
}

func delta(name, s string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	if err != nil {
		return 0, syntax(name, "not a number of seconds")
	}
	return int(min(n, maxInterval)), nil
}

// RAckValue is a RAck header (RFC 3262 7.2).
type RAckValue struct {
	RSeq, CSeq uint32
	Method     string
}

// ParseRAck reads a RAck header.
func ParseRAck(value string) (RAckValue, error) {
	f := strings.Fields(value)
	if len(f) != 3 {
		return RAckValue{}, syntax("RAck", "three values are needed")
	}
	rseq, err1 := strconv.ParseUint(f[0], 10, 32)
	cseq, err2 := strconv.ParseUint(f[1], 10, 32)
	if err1 != nil || err2 != nil || rseq == 0 {
		return RAckValue{}, syntax("RAck", "not a number")
	}
	return RAckValue{RSeq: uint32(rseq), CSeq: uint32(cseq), Method: f[2]}, nil
}
