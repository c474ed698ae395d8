package ua

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Header is one header line, exactly as it is written or was read.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Message is a SIP request (Method set) or response (Status set). Headers keep
// their order; their values are raw text.
type Message struct {
	Method string
	URI    string
	Status int
	Reason string

	Headers []Header
	Body    []byte

	// Conn, Source and At tell where and when a received message came from.
	Conn   *Conn
	Source netip.AddrPort
	At     time.Time
}

// compact maps the short header names to the long ones (RFC 3261 7.3.3 and later RFCs).
var compact = map[string]string{
	"a": "accept-contact", "b": "referred-by", "c": "content-type", "e": "content-encoding", "f": "from",
	"i": "call-id", "k": "supported", "l": "content-length", "m": "contact", "o": "event", "r": "refer-to",
	"s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}

func sameName(have, want string) bool {
	if strings.EqualFold(have, want) {
		return true
	}
	if len(have) != 1 {
		return false
	}
	long, ok := compact[strings.ToLower(have)]
	return ok && strings.EqualFold(long, want)
}

// IsRequest tells requests from responses.
func (m *Message) IsRequest() bool { return m.Method != "" }

// Get is the first value of a header, by its long name; "" when absent.
func (m *Message) Get(name string) string {
	for _, h := range m.Headers {
		if sameName(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Has reports whether the header is there at all.
func (m *Message) Has(name string) bool {
	for _, h := range m.Headers {
		if sameName(h.Name, name) {
			return true
		}
	}
	return false
}

// Values lists all values of a header; lines with several values separated by
// commas are split outside quotes and angle brackets (RFC 3261 7.3.1).
func (m *Message) Values(name string) []string {
	var values []string
	for _, h := range m.Headers {
		if sameName(h.Name, name) {
			values = append(values, splitList(h.Value)...)
		}
	}
	return values
}

// Set replaces the first header of that name and drops the others, or appends it.
func (m *Message) Set(name, value string) {
	kept := m.Headers[:0]
	done := false
	for _, h := range m.Headers {
		if sameName(h.Name, name) {
			if done {
				continue
			}
			done = true
			h.Value = value
		}
		kept = append(kept, h)
	}
	m.Headers = kept
	if !done {
		m.Add(name, value)
	}
}

// Add appends a header.
func (m *Message) Add(name, value string) { m.Headers = append(m.Headers, Header{name, value}) }

// AddAll appends headers.
func (m *Message) AddAll(headers []Header) { m.Headers = append(m.Headers, headers...) }

// Del removes every header of that name.
func (m *Message) Del(name string) {
	kept := m.Headers[:0]
	for _, h := range m.Headers {
		if !sameName(h.Name, name) {
			kept = append(kept, h)
		}
	}
	m.Headers = kept
}

// Clone copies the message; the body is shared.
func (m *Message) Clone() *Message {
	c := *m
	c.Headers = append([]Header(nil), m.Headers...)
	return &c
}

// CallID is the Call-ID.
func (m *Message) CallID() string { return m.Get("Call-ID") }

// CSeq is the sequence number and method; 0 and "" when unreadable.
func (m *Message) CSeq() (uint32, string) {
	number, method, _ := strings.Cut(strings.TrimSpace(m.Get("CSeq")), " ")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, ""
	}
	return uint32(n), strings.TrimSpace(method)
}

// FromTag and ToTag are the dialog tags.
func (m *Message) FromTag() string { return Param(m.Get("From"), "tag") }

// ToTag is the tag of To; "" outside a dialog.
func (m *Message) ToTag() string { return Param(m.Get("To"), "tag") }

// Summary is the start line, shortened for a ladder.
func (m *Message) Summary() string {
	if m.IsRequest() {
		return m.Method + " " + m.URI
	}
	_, method := m.CSeq()
	return strconv.Itoa(m.Status) + " " + m.Reason + " (" + method + ")"
}

// Bytes prints the message; Content-Length is computed. With upper, header
// names are written in upper case, as Microsoft's proxy does.
func (m *Message) Bytes(upper bool) []byte {
	b := make([]byte, 0, 512+len(m.Body))
	if m.IsRequest() {
		b = append(b, m.Method...)
		b = append(b, ' ')
		b = append(b, m.URI...)
		b = append(b, " SIP/2.0\r\n"...)
	} else {
		b = append(b, "SIP/2.0 "...)
		b = strconv.AppendInt(b, int64(m.Status), 10)
		b = append(b, ' ')
		b = append(b, m.Reason...)
		b = append(b, "\r\n"...)
	}
	for _, h := range m.Headers {
		if sameName(h.Name, "Content-Length") {
			continue
		}
		b = appendHeader(b, h.Name, h.Value, upper)
	}
	b = appendHeader(b, "Content-Length", strconv.Itoa(len(m.Body)), upper)
	b = append(b, "\r\n"...)
	return append(b, m.Body...)
}

func appendHeader(b []byte, name, value string, upper bool) []byte {
	if upper {
		name = strings.ToUpper(name)
	}
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// Clean reports whether a value may stand in a header or start line: a CR, LF
// or NUL from outside would make a header of its own.
func Clean(value string) bool { return !strings.ContainsAny(value, "\r\n\x00") }

func (m *Message) clean() bool {
	if !Clean(m.Method) || !Clean(m.URI) || !Clean(m.Reason) {
		return false
	}
	for _, h := range m.Headers {
		if !Clean(h.Name) || !Clean(h.Value) {
			return false
		}
	}
	return true
}

// Response builds the response to a request with the headers that RFC 3261
// 8.2.6 and 12.1.1 copy; tag, when not empty, becomes the To-tag if there is none yet.
func Response(req *Message, status int, reason, tag string, extra ...Header) *Message {
	if reason == "" {
		reason = Phrase(status)
	}
	r := &Message{Status: status, Reason: reason}
	for _, h := range req.Headers {
		if sameName(h.Name, "Via") {
			r.Headers = append(r.Headers, Header{"Via", h.Value})
		}
	}
	if _, method := req.CSeq(); method == "INVITE" && status > 100 && status < 300 {
		for _, h := range req.Headers {
			if sameName(h.Name, "Record-Route") {
				r.Headers = append(r.Headers, Header{"Record-Route", h.Value})
			}
		}
	}
	to := req.Get("To")
	if tag != "" && Param(to, "tag") == "" && status > 100 {
		to += ";tag=" + tag
	}
	r.Add("From", req.Get("From"))
	r.Add("To", to)
	r.Add("Call-ID", req.CallID())
	r.Add("CSeq", req.Get("CSeq"))
	r.AddAll(extra)
	return r
}
