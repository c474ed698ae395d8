// Package reply makes responses to requests that get no transaction: OPTIONS
// outside a dialog, refusals before a call exists. Where they go follows RFC
// 3261 18.2.2 and RFC 3581.
package reply

import (
	"hash/fnv"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

// To makes the response to a parsed request and tells where it goes. extra are
// further header lines, each ended by CRLF; they must be ours, not a peer's.
// The To tag is derived from the request, so that a retransmission is answered
// the same (RFC 3261 8.2.7).
func To(flow sip.Flow, req *gosip.Request, status int, phrase, extra string) (sip.Target, []byte) {
	var b strings.Builder
	b.Grow(512 + len(extra))
	b.WriteString("SIP/2.0 ")
	b.WriteString(strconv.Itoa(status))
	b.WriteByte(' ')
	b.WriteString(phrase)
	b.WriteString("\r\n")
	first := true
	for _, h := range req.Headers() {
		via, ok := h.(*gosip.ViaHeader)
		if !ok {
			continue
		}
		if first {
			via, first = marked(via, flow), false
		}
		b.WriteString(via.String())
		b.WriteString("\r\n")
	}
	b.WriteString(req.From().String())
	b.WriteString("\r\n")
	b.WriteString(req.To().String())
	if tag, ok := req.To().Params.Get("tag"); !ok || tag == "" {
		b.WriteString(";tag=")
		b.WriteString(tagOf(req))
	}
	b.WriteString("\r\n")
	b.WriteString(req.CallID().String())
	b.WriteString("\r\n")
	b.WriteString(req.CSeq().String())
	b.WriteString("\r\n")
	b.WriteString(extra)
	b.WriteString("Content-Length: 0\r\n\r\n")
	return target(flow, req.Via()), []byte(b.String())
}

// marked is the top Via with what it lacks: received when its host is not the
// source, and the value of an empty rport (RFC 3581 4).
func marked(via *gosip.ViaHeader, flow sip.Flow) *gosip.ViaHeader {
	via = via.Clone()
	source := flow.Source.Addr().String()
	value, asked := via.Params.Get("rport")
	asked = asked && value == ""
	if asked || strings.Trim(via.Host, "[]") != source {
		via.Params.Add("received", source)
	}
	if asked {
		via.Params.Add("rport", strconv.Itoa(int(flow.Source.Port())))
	}
	return via
}

func target(flow sip.Flow, via *gosip.ViaHeader) sip.Target {
	t := sip.Target{Trunk: flow.Trunk, Transport: flow.Transport, Conn: flow.Conn, Addr: flow.Source.Addr(), Port: flow.Source.Port()}
	if flow.Transport == tandem.UDP {
		if _, rport := via.Params.Get("rport"); !rport {
			t.Port = 5060
			if via.Port > 0 && via.Port < 65536 {
				t.Port = uint16(via.Port)
			}
		}
	}
	return t
}

func tagOf(req *gosip.Request) string {
	h := fnv.New64a()
	h.Write([]byte(req.CallID().Value()))
	if branch, ok := req.Via().Params.Get("branch"); ok {
		h.Write([]byte(branch))
	}
	return "td" + strconv.FormatUint(h.Sum64(), 16)
}
