package core

import (
	"strconv"
	"strings"

	"tandem"
	"tandem/sip/header"
)

const anonymous = "anonymous"

// appendTarget prints the Request-URI of an attempt. Towards Microsoft the host
// is the name that is dialled, without a port, and user=phone is advised
// (microsoft-teams-trunk.md 3.1).
func appendTarget(b []byte, v *TrunkView, att *tandem.Attempt) []byte {
	b = append(b, "sip:"...)
	b = append(header.AppendUser(b, att.To), '@')
	port := att.Endpoint.Port
	if v.Kind == tandem.TrunkTeams || port == defaultPort(string(v.Transport)) {
		port = 0
	}
	b = appendHostPort(b, att.Endpoint.Host, port)
	return append(b, ";user=phone"...)
}

// withheld reports whether the caller's number is not to be shown on this attempt.
func (c *Call) withheld(att *tandem.Attempt) bool {
	return c.plan.Private || att.From == "" || strings.EqualFold(att.From, anonymous)
}

// appendFrom prints the From of an attempt without its tag. A caller who asked
// for privacy is anonymous there (RFC 3323 4.1).
func (c *Call) appendFrom(b []byte, att *tandem.Attempt, host string) []byte {
	if c.withheld(att) {
		return append(b, `"Anonymous" <sip:anonymous@anonymous.invalid>`...)
	}
	if name := c.plan.FromName; name != "" {
		b = header.AppendQuoted(b, tandem.Clip(name, 64))
		b = append(b, ' ')
	}
	b = append(b, '<')
	b = appendLocal(b, att.From, host)
	return append(b, ";user=phone>"...)
}

func appendLocal(b []byte, user, host string) []byte {
	b = append(b, "sip:"...)
	b = append(header.AppendUser(b, user), '@')
	return appendHost(b, host)
}

// appendCaller prints P-Asserted-Identity and Privacy (RFC 3325 9.1, 9.3).
func (c *Call) appendCaller(b []byte, v *TrunkView, att *tandem.Attempt, host string) []byte {
	if v.SendPAI && att.From != "" && !strings.EqualFold(att.From, anonymous) {
		b = append(b, "P-Asserted-Identity: <"...)
		b = appendLocal(b, att.From, host)
		b = append(b, ";user=phone>\r\n"...)
	}
	if c.withheld(att) {
		b = append(b, "Privacy: id\r\n"...)
	}
	return b
}

// Reasons for the forward to a failsafe number: Diversion's word (RFC 5806 4)
// and the cause of RFC 4458 2 for "not reachable".
const (
	failsafeReason = "unavailable"
	failsafeCause  = 503
)

// appendRedirection prints who forwarded the call: what the caller's network
// said, and our own forward to the failsafe number on top.
func (c *Call) appendRedirection(b []byte, v *TrunkView, att *tandem.Attempt, host string) []byte {
	forward := att.Failsafe && att.Diverting != ""
	if v.SendDiversion && (forward || c.passed.diversion != "") {
		if forward {
			b = append(b, "Diversion: "...)
			uri := string(appendLocal(nil, string(att.Diverting), host))
			b = header.AppendDiversion(b, uri, failsafeReason, 1)
			b = append(b, crlf...)
		}
		b = appendList(b, "Diversion", c.passed.diversion)
	}
	if v.SendHistoryInfo && (forward || c.passed.history != "") {
		b = appendList(b, "History-Info", c.passed.history)
		if forward {
			index := "1"
			if list, err := header.ParseAddresses("History-Info", c.passed.history); err == nil && len(list) > 0 {
				index = header.NextIndex(list)
			}
			from := string(appendLocal(nil, string(att.Diverting), host))
			to := string(appendLocal(nil, att.To, att.Endpoint.Host))
			b = append(b, "History-Info: "...)
			b = header.AppendHistory(b, from, to, index, failsafeCause)
			b = append(b, crlf...)
		}
	}
	return b
}

// maxPassed bounds how many redirection entries go onward.
const maxPassed = 10

// appendList prints a peer's list again, entry by entry; a list that does not parse is dropped.
func appendList(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	list, err := header.ParseAddresses(name, value)
	if err != nil {
		return b
	}
	for i, a := range list {
		if i == maxPassed {
			break
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = a.Append(b)
		b = append(b, crlf...)
	}
	return b
}

// boundary separates the parts of a multipart body of ours. It cannot occur in
// SDP or XML of a well-meaning peer; a part that holds it is left out.
const boundary = "tandem-part-6f1d3c52"

// appendOffer prints our offer. An emergency call to a carrier keeps its
// location part and Geolocation headers (RFC 6442); Microsoft refuses such
// bodies (microsoft-teams-trunk.md 3.1).
func (c *Call) appendOffer(b []byte, v *TrunkView, sdp []byte) []byte {
	if len(c.location) == 0 || v.Kind == tandem.TrunkTeams || strings.Contains(string(c.location), boundary) {
		return appendBody(b, sdpType, sdp)
	}
	for _, h := range [][2]string{{"Geolocation", c.passed.geolocation}, {"Geolocation-Routing", c.passed.geolocationRouting}} {
		if h[1] != "" {
			b = append(b, h[0]...)
			b = append(b, ": "...)
			b = header.AppendText(b, h[1])
			b = append(b, crlf...)
		}
	}
	body := append([]byte("--"+boundary+"\r\nContent-Type: application/sdp\r\n\r\n"), sdp...)
	body = append(body, "\r\n--"+boundary+crlf...)
	body = append(body, c.location...)
	body = append(body, "\r\n--"+boundary+"--\r\n"...)
	return appendBody(b, `multipart/mixed;boundary="`+boundary+`"`, body)
}

// appendInterval asks for a session timer where the trunk wants one (RFC 4028 7.1).
func appendInterval(b []byte, v *TrunkView, minSE int) []byte {
	seconds := int(v.SessionExpires.D().Seconds())
	if seconds == 0 && minSE == 0 {
		return b
	}
	b = append(b, "Session-Expires: "...)
	b = strconv.AppendInt(b, int64(max(seconds, minSE)), 10)
	b = append(b, crlf...)
	if minSE > 0 {
		b = append(b, "Min-SE: "...)
		b = strconv.AppendInt(b, int64(minSE), 10)
		b = append(b, crlf...)
	}
	return b
}
