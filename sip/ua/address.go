package ua

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// Param is a parameter of a header value, outside the angle brackets; "" when
// absent. Names compare without case.
func Param(value, name string) string {
	if i := strings.LastIndexByte(value, '>'); i >= 0 {
		value = value[i+1:]
	}
	for part := range strings.SplitSeq(value, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}

// URIOf is the URI inside a name-addr or addr-spec value, byte for byte.
func URIOf(value string) string {
	value = afterName(value)
	if i := strings.IndexByte(value, '<'); i >= 0 {
		rest := value[i+1:]
		if j := strings.IndexByte(rest, '>'); j >= 0 {
			return rest[:j]
		}
		return rest
	}
	uri, _, _ := strings.Cut(strings.TrimSpace(value), ";")
	return uri
}

// afterName cuts a quoted display name off: what stands in it is no URI.
func afterName(value string) string {
	value = strings.TrimSpace(value)
	if !strings.HasPrefix(value, `"`) {
		return value
	}
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			return value[i+1:]
		}
	}
	return value
}

// URI is a SIP or tel URI taken apart.
type URI struct {
	Scheme string
	User   string
	Host   string
	Port   int
	Params string // raw, without the leading ';'
}

// ParseURI reads a URI; ok is false when it is not one.
func ParseURI(s string) (u URI, ok bool) {
	var parsed gosip.Uri
	if err := gosip.ParseUri(s, &parsed); err != nil {
		return URI{}, false
	}
	u = URI{Scheme: parsed.Scheme, User: parsed.User, Host: parsed.Host, Port: parsed.Port}
	if parsed.UriParams != nil {
		u.Params = parsed.UriParams.ToString(';')
	}
	if raw := parsed.Raw(); raw != "" { // tel:+1...
		u.User, u.Params, _ = strings.Cut(raw, ";")
	}
	return u, true
}

// AddressOf parses the URI inside a header value.
func AddressOf(value string) (URI, bool) { return ParseURI(URIOf(value)) }

// IsIP reports whether the host is an address literal.
func (u URI) IsIP() bool { return net.ParseIP(strings.Trim(u.Host, "[]")) != nil }

// splitList splits a comma-separated header value outside quotes and brackets.
func splitList(s string) []string {
	var out []string
	quoted, depth, start := false, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			depth++
		case c == '>' && depth > 0:
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[start:]))
}

// NewTag gives 64 unpredictable bits as text, for tags, branches and Call-IDs.
func NewTag() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Phrase is the usual reason phrase of a status.
func Phrase(status int) string {
	if p, ok := phrases[status]; ok {
		return p
	}
	return "Status " + strconv.Itoa(status)
}

var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress", 200: "OK", 202: "Accepted",
	302: "Moved Temporarily", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	408: "Request Timeout", 410: "Gone", 415: "Unsupported Media Type", 420: "Bad Extension", 422: "Session Interval Too Small",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete",
	486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error",
	501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline",
	604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}
