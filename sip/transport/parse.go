package transport

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
)

// parser turns raw messages into sipgo's. It is lenient where a mistake can't
// hurt: a typed header that sipgo can't read stays as a raw one, lines that are
// no headers are dropped. What a call can't do without must be right.
type parser struct {
	sipgo *gosip.Parser
	table gosip.HeadersParser
}

// errors of messages; their text goes into the log, not to the peer.
var (
	errNoHeaderEnd = errors.New("no empty line ends the headers")
	errTruncated   = errors.New("body is shorter than Content-Length")
	errVersion     = errors.New("SIP version is not 2.0")
	errStatusLine  = errors.New("status code is not 100 to 699")
	errScheme      = errors.New("Request-URI is of a scheme that we do not serve (RFC 3261 8.2.2.1)")
	errCSeqMethod  = errors.New("CSeq names another method than the request line (RFC 3261 8.1.1.5)")
)

// newParser prepares the header table: sipgo's typed parsers made lenient, and
// the short names that it does not know (RFC 3261 7.3.3 and the IANA list),
// which come out under their full name.
func newParser() *parser {
	table := make(gosip.HeadersParser, 48)
	for name, parse := range gosip.DefaultHeadersParser() {
		full, ok := fullName[name]
		if !ok {
			full = canonical(name)
		}
		table[name] = lenient(full, parse)
	}
	for short, full := range fullName {
		if _, typed := table[short]; typed {
			continue
		}
		if typed, ok := table[lower(full)]; ok {
			table[short] = typed
		} else {
			table[short] = renamed(full)
		}
	}
	return &parser{sipgo: gosip.NewParser(gosip.WithHeadersParsers(table)), table: table}
}

// fullName holds the registered short header names.
var fullName = map[string]string{
	"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
	"f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
	"n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via",
	"x": "Session-Expires", "y": "Identity",
}

// lenient keeps a header that its parser refuses as a raw one. sipgo signals
// the comma of a list by an unexported error, which must pass.
func lenient(full string, parse gosip.HeaderParser) gosip.HeaderParser {
	return func(name []byte, text string) (gosip.Header, error) {
		h, err := parse(name, text)
		if err == nil || err.Error() == "comma detected" {
			return h, err
		}
		return gosip.NewHeader(full, text), nil
	}
}

func renamed(full string) gosip.HeaderParser {
	return func(_ []byte, text string) (gosip.Header, error) { return gosip.NewHeader(full, text), nil }
}

func lower(s string) string { return string(bytes.ToLower([]byte(s))) }

// canonical writes a lower-case header name as RFC 3261 does.
func canonical(low string) string {
	switch low {
	case "call-id":
		return "Call-ID"
	case "cseq":
		return "CSeq"
	}
	b := []byte(low)
	up := true
	for i, c := range b {
		if up && c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
		up = c == '-'
	}
	return string(b)
}

// datagram parses a whole message of a datagram: the body is what Content-Length
// says, the rest is ignored (RFC 3261 18.3).
func (p *parser) datagram(b []byte) (m gosip.Message, lease sip.Lease, repaired bool, err error) {
	for len(b) >= 2 && b[0] == '\r' && b[1] == '\n' { // RFC 3261 7.5
		b = b[2:]
	}
	i := bytes.Index(b, crlfcrlf)
	if i < 0 {
		return nil, nil, false, errNoHeaderEnd
	}
	return p.message(b[:i+4], b[i+4:], false)
}

// message parses headers and takes the body. On a stream the body is exact; on
// a datagram it may be longer than Content-Length says, or shorter, which is an error.
func (p *parser) message(head, body []byte, stream bool) (m gosip.Message, lease sip.Lease, repaired bool, err error) {
	if b := p.quick(head); b != nil {
		m, lease = b.message, b
	} else if m, repaired, err = p.slow(head); err != nil {
		return nil, nil, repaired, err
	}
	if !stream {
		if cl := m.ContentLength(); cl != nil {
			if int64(*cl) > int64(len(body)) {
				return nil, nil, repaired, errTruncated
			}
			body = body[:*cl]
		} else if m.(headerHolder).GetHeader("Content-Length") != nil {
			return nil, nil, repaired, errFrameLength
		}
	}
	if err := mandatory(m); err != nil {
		return nil, nil, repaired, err
	}
	if len(body) > 0 {
		m.SetBody(bytes.Clone(body))
	}
	return m, lease, repaired, nil
}

// slow parses headers by sipgo's parser, if need be without the lines that are none.
func (p *parser) slow(head []byte) (m gosip.Message, repaired bool, err error) {
	if !cleanLines(head) {
		head, repaired = repair(head), true
	}
	head, reason := cutReason(head)
	m, _, err = p.sipgo.ParseHeaders(head, false)
	if err != nil && !repaired {
		head, repaired = repair(head), true
		m, _, err = p.sipgo.ParseHeaders(head, false)
	}
	if err != nil {
		if foreignScheme(head) {
			err = errScheme
		}
		return nil, repaired, err
	}
	switch m := m.(type) {
	case *gosip.Request:
		// Methods are case-sensitive (RFC 3261 7.1); sipgo writes them in capitals.
		if method, _, _ := bytes.Cut(head, []byte(" ")); string(method) != string(m.Method) {
			m.Method = gosip.RequestMethod(method)
		}
	case *gosip.Response:
		m.Reason += reason
	}
	return m, repaired, nil
}

// cutReason takes a reason phrase off the status line that makes sipgo read it as
// a request line: one word that begins with "SIP", as in "SIP/2.0 488 SIP-Codec".
func cutReason(head []byte) (rest []byte, reason string) {
	line, _, _ := bytes.Cut(head, crlf)
	const before = len(version + " 488 ")
	if len(line) <= before || string(line[:len(version)+1]) != version+" " || line[before-1] != ' ' {
		return head, ""
	}
	phrase := line[before:]
	if len(phrase) < 3 || !bytes.EqualFold(phrase[:3], []byte("sip")) || bytes.IndexByte(phrase, ' ') >= 0 {
		return head, ""
	}
	return slices.Concat(head[:before], head[len(line):]), string(phrase)
}

// foreignScheme reports whether the Request-URI of a message is of a scheme that
// we do not serve; sipgo can't read some that are well-formed (RFC 4475 3.3.3).
func foreignScheme(head []byte) bool {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	scheme, _, ok := bytes.Cut(rest, []byte(":"))
	if !ok || len(scheme) == 0 || len(scheme) > 64 {
		return false
	}
	for i, c := range scheme { // RFC 3986 3.1
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	switch lower(string(scheme)) {
	case "sip", "sips", "tel":
		return false
	}
	return true
}

// headerHolder is what sipgo's messages offer beyond the Message interface.
type headerHolder interface {
	Headers() []gosip.Header
	GetHeader(name string) gosip.Header
}

// mandatory checks what every message must have (RFC 3261 8.1.1) once and only
// once (RFC 4475 3.3.8): without it no transaction or dialog can be found.
func mandatory(m gosip.Message) error {
	switch {
	case m.Via() == nil:
		return errors.New("header Via is missing or unreadable")
	case m.From() == nil:
		return errors.New("header From is missing or unreadable")
	case m.To() == nil:
		return errors.New("header To is missing or unreadable")
	case m.CallID() == nil:
		return errors.New("header Call-ID is missing")
	case m.CSeq() == nil:
		return errors.New("header CSeq is missing or unreadable")
	}
	var from, to, callID, cseq int
	var length *gosip.ContentLengthHeader
	for _, h := range m.(headerHolder).Headers() {
		switch h := h.(type) {
		case *gosip.ContentLengthHeader:
			if length != nil && *length != *h { // RFC 4475 3.3.9; streams are cut before they come here
				return errFrameLength
			}
			length = h
		case *gosip.FromHeader:
			from++
		case *gosip.ToHeader:
			to++
		case *gosip.CallIDHeader:
			callID++
		case *gosip.CSeqHeader:
			cseq++
		case *gosip.ViaHeader:
		default:
			if h.Name() == "Via" { // lenient kept it raw: separators with nothing between (RFC 4475 3.1.2.1)
				return errors.New("header Via is missing or unreadable")
			}
		}
	}
	if from > 1 || to > 1 || callID > 1 || cseq > 1 {
		return errors.New("a header that must stand once stands twice")
	}
	switch m := m.(type) {
	case *gosip.Request:
		if m.SipVersion != "SIP/2.0" {
			return errVersion
		}
		if m.Method == "" || !token(string(m.Method)) {
			return errors.New("method is not a token")
		}
		if m.CSeq().MethodName != m.Method {
			return errCSeqMethod
		}
	case *gosip.Response:
		if m.SipVersion != "SIP/2.0" {
			return errVersion
		}
		if m.StatusCode < 100 || m.StatusCode > 699 {
			return errStatusLine
		}
	default:
		return fmt.Errorf("message of unknown type %T", m)
	}
	return nil
}

// token reports whether s is an RFC 3261 25.1 token.
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || bytes.IndexByte([]byte("-.!%*_+`'~"), c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// cleanLines reports whether CR and LF stand only as CRLF and no NUL stands
// anywhere. A bare LF passes sipgo inside a value and would begin a new header
// at a lenient peer further on.
func cleanLines(head []byte) bool {
	n := bytes.Count(head, crlf)
	return bytes.Count(head, crlf[1:]) == n && bytes.Count(head, crlf[:1]) == n && bytes.IndexByte(head, 0) < 0
}

// repair drops the header lines that are none: without a colon or a name, or
// with CR, LF or NUL in them. The start line is left as it is. An escaped NUL
// may stand in a quoted string (RFC 4475 3.1.1.2); that alone goes.
func repair(head []byte) []byte {
	out := make([]byte, 0, len(head))
	i := bytes.Index(head, crlf)
	if i < 0 {
		return head
	}
	out = append(out, head[:i+2]...)
	for line := range headerLines(head) {
		line.whole = bytes.ReplaceAll(line.whole, []byte("\\\x00"), nil)
		if len(line.name) == 0 || !token(string(line.name)) || !cleanLines(line.whole) {
			continue
		}
		out = append(append(out, line.whole...), crlf...)
	}
	return append(out, crlf...)
}
