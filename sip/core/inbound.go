package core

import (
	"strings"

	gosip "github.com/emiago/sipgo/sip"

	"tandem/sip"
	"tandem/sip/header"
)

// inbound is the view of one received message: every header that the core
// reads, found in one pass. It lives in the Core and is overwritten by the
// next event, so nothing may keep a pointer to it. "" = the header is absent;
// several headers of one name are joined by commas (RFC 3261 7.3.1).
type inbound struct {
	flow   sip.Flow
	req    *gosip.Request
	res    *gosip.Response
	list   []gosip.Header
	method gosip.RequestMethod // of the request, or of CSeq for a response
	status int
	phrase string

	via     *gosip.ViaHeader
	from    *gosip.FromHeader
	to      *gosip.ToHeader
	contact *gosip.ContactHeader

	callID, fromTag, toTag, branch string
	cseq                           uint32
	cseqMethod                     gosip.RequestMethod
	maxForwards                    int // -1 = absent

	contentType, contentEncoding, contentDisposition string
	supported, require, proxyRequire, allow          string
	reason, retryAfter, sessionExpires, minSE        string
	privacy, pai, diversion, history, tenant         string
	geolocation, geolocationRouting, infoPackage     string
	body                                             []byte

	unclean bool // a control character stands in a header, or one is repeated without end: refused
	joined  int  // headers that were joined to one of their name
}

// read fills the view. It reports false for a message without the headers that
// even a refusal needs.
func (in *inbound) read(ev *Event) bool {
	*in = inbound{flow: ev.Flow, maxForwards: -1}
	switch m := ev.Msg.(type) {
	case *gosip.Request:
		in.req, in.method, in.list = m, m.Method, m.Headers()
	case *gosip.Response:
		in.res, in.status, in.phrase, in.list = m, m.StatusCode, m.Reason, m.Headers()
	default:
		return false
	}
	msg := ev.Msg
	in.body = msg.Body()
	in.via, in.from, in.to = msg.Via(), msg.From(), msg.To()
	callID, cseq := msg.CallID(), msg.CSeq()
	if in.via == nil || in.from == nil || in.to == nil || callID == nil || cseq == nil {
		return false
	}
	in.callID = string(*callID)
	in.cseq, in.cseqMethod = cseq.SeqNo, cseq.MethodName
	if in.res != nil {
		in.method = cseq.MethodName
	}
	in.branch = param(in.via.Params, "branch")
	in.fromTag = param(in.from.Params, "tag")
	in.toTag = param(in.to.Params, "tag")
	for _, h := range in.list {
		in.take(h)
	}
	in.unclean = in.unclean || !header.Clean(in.callID) || !header.Clean(in.branch) || !header.Clean(in.fromTag) || !header.Clean(in.toTag) ||
		!header.Clean(in.from.DisplayName) || !header.Clean(in.from.Address.User) || !header.Clean(in.to.DisplayName) || !header.Clean(in.to.Address.User)
	// Requests of RFC 2543 peers have no branch (RFC 3261 17.2.3; RFC 4475 3.1.1.7).
	return in.callID != "" && (in.branch != "" || in.req != nil) && in.via.Host != "" && in.via.Transport != ""
}

// param finds a parameter whatever case and blanks the peer wrote it with
// (RFC 3261 7.3.1; RFC 4475 3.1.1.1 has such blanks).
func param(params gosip.HeaderParams, name string) string {
	for _, p := range params {
		if p.K == name || strings.EqualFold(strings.TrimSpace(p.K), name) {
			return strings.TrimSpace(p.V)
		}
	}
	return ""
}

// take notes one header.
func (in *inbound) take(h gosip.Header) {
	switch h := h.(type) {
	case *gosip.ContactHeader:
		if in.contact == nil {
			in.contact = h
		}
		return
	case *gosip.MaxForwardsHeader:
		in.maxForwards = int(min(uint32(*h), 1<<20))
		return
	case *gosip.ContentTypeHeader:
		in.contentType = string(*h)
		in.unclean = in.unclean || !header.Clean(in.contentType)
		return
	case *gosip.ViaHeader, *gosip.FromHeader, *gosip.ToHeader, *gosip.CallIDHeader, *gosip.CSeqHeader,
		*gosip.ContentLengthHeader, *gosip.RouteHeader, *gosip.RecordRouteHeader, *gosip.ReferToHeader, *gosip.ReferredByHeader:
		return
	}
	if field := in.field(header.Lookup(h.Name())); field != nil {
		v := h.Value()
		in.unclean = in.unclean || !header.Clean(v)
		if *field != "" {
			if in.joined++; in.joined > maxJoined {
				in.unclean = true
				return
			}
			v = *field + "," + v
		}
		*field = v
	}
}

// field is where a raw header goes; nil for headers that the core does not read.
func (in *inbound) field(id header.ID) *string {
	switch id {
	case header.ContentEncoding:
		return &in.contentEncoding
	case header.ContentDisposition:
		return &in.contentDisposition
	case header.Supported:
		return &in.supported
	case header.Require:
		return &in.require
	case header.ProxyRequire:
		return &in.proxyRequire
	case header.Allow:
		return &in.allow
	case header.Reason:
		return &in.reason
	case header.RetryAfter:
		return &in.retryAfter
	case header.SessionExpires:
		return &in.sessionExpires
	case header.MinSE:
		return &in.minSE
	case header.Privacy:
		return &in.privacy
	case header.PAssertedIdentity:
		return &in.pai
	case header.Diversion:
		return &in.diversion
	case header.HistoryInfo:
		return &in.history
	case header.TenantID:
		return &in.tenant
	case header.Geolocation:
		return &in.geolocation
	case header.GeolocationRouting:
		return &in.geolocationRouting
	case header.InfoPackage:
		return &in.infoPackage
	}
	return nil
}

// recordRoutes is the route set of the message in its own order, each as "<uri>".
func (in *inbound) recordRoutes() []string {
	var set []string
	for _, h := range in.list {
		if rr, ok := h.(*gosip.RecordRouteHeader); ok && len(set) < maxRoutes {
			set = append(set, string(append(appendURI([]byte{'<'}, &rr.Address), '>')))
		}
	}
	return set
}

// maxJoined bounds how many headers are joined in one message: each join copies
// what came before it.
const maxJoined = 100

// maxRoutes bounds a route set: no real path has more proxies.
const maxRoutes = 16

// sdp is the session description in the body. ok is false when there is a body
// but no session description in it: 415 (RFC 3261 8.2.3). pidf is the location
// part of an emergency call (RFC 6442), with its own headers.
func (in *inbound) sdp() (sdp, pidf []byte, ok bool) {
	if len(in.body) == 0 {
		return nil, nil, true
	}
	if in.contentEncoding != "" && !strings.EqualFold(in.contentEncoding, "identity") {
		return nil, nil, false
	}
	switch mediaType, _ := header.MediaType(in.contentType); mediaType {
	case "application/sdp":
		return in.body, nil, true
	case "multipart/mixed", "multipart/alternative", "multipart/related":
		parts, err := header.SplitMultipart(in.contentType, in.body)
		if err != nil {
			return nil, nil, false
		}
		for _, p := range parts {
			switch {
			case p.Type == "application/sdp" && sdp == nil:
				sdp = p.Body
			case p.Type == "application/pidf+xml" && pidf == nil:
				pidf = p.Raw
			}
		}
		return sdp, pidf, sdp != nil
	}
	return nil, nil, false
}

// q850 is the peer's own cause and text (RFC 3326, RFC 6432).
func (in *inbound) q850() (header.ReasonValue, bool) {
	if in.reason == "" {
		return header.ReasonValue{}, false
	}
	return header.Q850(header.ParseReason(in.reason))
}
