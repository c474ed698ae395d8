package core

import (
	"net/netip"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip/header"
)

// Appenders for the messages that we build. Whatever came from a peer goes
// through header.AppendText, the last barrier against header injection.

const crlf = "\r\n"

// allowed is what we truly support (RFC 3261 20.5). REFER and PRACK are not in
// it: Microsoft chooses its transfer method from this list.
const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"

const allowHeader = "Allow: " + allowed + crlf

func appendURI(b []byte, u *gosip.Uri) []byte {
	scheme := u.Scheme
	if scheme == "" {
		scheme = "sip"
	}
	b = header.AppendText(b, scheme)
	b = append(b, ':')
	if raw := u.Raw(); raw != "" {
		return header.AppendText(b, raw)
	}
	if u.HierarhicalSlashes {
		b = append(b, "//"...)
	}
	if u.User != "" {
		b = header.AppendText(b, u.User)
		if u.Password != "" {
			b = append(b, ':')
			b = header.AppendText(b, u.Password)
		}
		b = append(b, '@')
	}
	b = appendHost(b, u.Host)
	if u.Port > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(u.Port), 10)
	}
	b = appendParams(b, u.UriParams, ';')
	if len(u.Headers) > 0 {
		b = append(b, '?')
		b = append(b, appendParams(nil, u.Headers, '&')[1:]...)
	}
	return b
}

// appendHost brackets a bare IPv6 address.
func appendHost(b []byte, host string) []byte {
	if strings.IndexByte(host, ':') >= 0 && host[0] != '[' {
		b = append(b, '[')
		b = header.AppendText(b, host)
		return append(b, ']')
	}
	return header.AppendText(b, host)
}

func appendHostPort(b []byte, host string, port uint16) []byte {
	b = appendHost(b, host)
	if port == 0 {
		return b
	}
	b = append(b, ':')
	return strconv.AppendUint(b, uint64(port), 10)
}

// appendParams prints parameters, each behind sep. sipgo takes no quotes off
// values, so a quoted value goes out as it came.
func appendParams(b []byte, params gosip.HeaderParams, sep byte) []byte {
	for _, p := range params {
		b = append(b, sep)
		b = header.AppendText(b, p.K)
		if p.V != "" {
			b = append(b, '=')
			b = header.AppendText(b, p.V)
		}
	}
	return b
}

// appendAddress prints a name-addr without its tag.
func appendAddress(b []byte, name string, u *gosip.Uri, params gosip.HeaderParams, withTag bool) []byte {
	if name != "" {
		if quotable(name) {
			b = append(b, '"')
			b = append(b, name...)
			b = append(b, '"')
		} else {
			b = header.AppendQuoted(b, name)
		}
		b = append(b, ' ')
	}
	b = append(b, '<')
	b = appendURI(b, u)
	b = append(b, '>')
	for _, p := range params {
		if !withTag && strings.EqualFold(strings.TrimSpace(p.K), "tag") {
			continue
		}
		b = append(b, ';')
		b = header.AppendText(b, p.K)
		if p.V != "" {
			b = append(b, '=')
			b = header.AppendText(b, p.V)
		}
	}
	return b
}

// quotable reports whether a display name, as sipgo keeps it (escapes in place),
// can stand between quotes as it is.
func quotable(name string) bool {
	for i := 0; i < len(name); i++ {
		switch ch := name[i]; {
		case ch < ' ' || ch == 0x7f || ch == '"':
			return false
		case ch == '\\':
			if i++; i == len(name) || name[i] < ' ' {
				return false
			}
		}
	}
	return true
}

// appendVia prints a received Via. The top one gets received and rport filled
// (RFC 3261 18.2.1, RFC 3581 4).
func appendVia(b []byte, v *gosip.ViaHeader, source netip.AddrPort, top bool) []byte {
	b = append(b, "Via: "...)
	b = header.AppendText(b, v.ProtocolName)
	b = append(b, '/')
	b = header.AppendText(b, v.ProtocolVersion)
	b = append(b, '/')
	b = header.AppendText(b, v.Transport)
	b = append(b, ' ')
	b = appendHost(b, v.Host)
	if v.Port > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(v.Port), 10)
	}
	if !top {
		return append(appendParams(b, v.Params, ';'), crlf...)
	}
	for _, p := range v.Params {
		if p.K == "received" {
			continue
		}
		b = append(b, ';')
		b = header.AppendText(b, p.K)
		switch {
		case p.K == "rport":
			b = append(b, '=')
			b = strconv.AppendUint(b, uint64(source.Port()), 10)
		case p.V != "":
			b = append(b, '=')
			b = header.AppendText(b, p.V)
		}
	}
	b = append(b, ";received="...)
	b = source.Addr().Unmap().AppendTo(b)
	return append(b, crlf...)
}

// appendReason prints a Reason header with a Q.850 cause (RFC 6432).
func appendReason(b []byte, cause tandem.Cause, text string) []byte {
	if cause == 0 {
		return b
	}
	b = append(b, "Reason: "...)
	b = header.ReasonValue{Protocol: "Q.850", Cause: int(cause), Text: tandem.Clip(text, 120)}.Append(b)
	return append(b, crlf...)
}

// appendBody ends the headers and appends a body.
func appendBody(b []byte, contentType string, body []byte) []byte {
	if len(body) > 0 {
		b = append(b, "Content-Type: "...)
		b = header.AppendText(b, contentType)
		b = append(b, crlf...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, crlf+crlf...)
	return append(b, body...)
}

const sdpType = "application/sdp"

// phraseOf is the reason phrase of a status (RFC 3261 21 and extensions).
func phraseOf(status int) string {
	switch status {
	case 100:
		return "Trying"
	case 180:
		return "Ringing"
	case 181:
		return "Call Is Being Forwarded"
	case 182:
		return "Queued"
	case 183:
		return "Session Progress"
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 402:
		return "Payment Required"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 410:
		return "Gone"
	case 413:
		return "Request Entity Too Large"
	case 415:
		return "Unsupported Media Type"
	case 416:
		return "Unsupported URI Scheme"
	case 420:
		return "Bad Extension"
	case 422:
		return "Session Interval Too Small"
	case 480:
		return "Temporarily Unavailable"
	case 481:
		return "Call/Transaction Does Not Exist"
	case 482:
		return "Loop Detected"
	case 483:
		return "Too Many Hops"
	case 484:
		return "Address Incomplete"
	case 485:
		return "Ambiguous"
	case 486:
		return "Busy Here"
	case 487:
		return "Request Terminated"
	case 488:
		return "Not Acceptable Here"
	case 489:
		return "Bad Event"
	case 491:
		return "Request Pending"
	case 500:
		return "Server Internal Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Server Time-out"
	case 505:
		return "Version Not Supported"
	case 600:
		return "Busy Everywhere"
	case 603:
		return "Decline"
	case 604:
		return "Does Not Exist Anywhere"
	case 606:
		return "Not Acceptable"
	}
	switch {
	case status < 200:
		return "Progress"
	case status < 300:
		return "OK"
	}
	return "Failed"
}

// lines walks the header lines of a message of ours, each with its CRLF.
type lines struct{ rest []byte }

func headerLines(msg []byte) *lines { return &lines{msg} }

func (l *lines) next() []byte {
	for i := 0; i+1 < len(l.rest); i++ {
		if l.rest[i] == '\r' && l.rest[i+1] == '\n' {
			line := l.rest[:i+2]
			l.rest = l.rest[i+2:]
			if i == 0 {
				return nil
			}
			return line
		}
	}
	return nil
}

func lineIs(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && string(line[:len(name)]) == name
}
