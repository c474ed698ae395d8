package transport

import (
	"strings"
	"sync"

	gosip "github.com/emiago/sipgo/sip"
)

// The quick parser makes sipgo's message from the plain form that nearly every
// peer sends, with a third of the allocations: the headers are cut out of one
// string, and those with a type of their own stand in one block. Where a header
// is not plain (quotes with escapes, lists, blanks around separators, IPv6,
// passwords) sipgo's own parser reads it; where the message is not, quick gives
// up and all of it goes the slow way. It never reads anything otherwise than
// sipgo: FuzzQuick compares the two.

// block is one message: the typed headers, their parameters, and what sipgo
// makes of them. Most live for some microseconds, until the call core has taken
// what it needs, and then serve again (Return).
type block struct {
	message     gosip.Message // &request or &response
	request     gosip.Request
	response    gosip.Response
	via         gosip.ViaHeader
	from        gosip.FromHeader
	to          gosip.ToHeader
	contact     gosip.ContactHeader
	cseq        gosip.CSeqHeader
	callID      gosip.CallIDHeader
	contentType gosip.ContentTypeHeader
	maxForwards gosip.MaxForwardsHeader
	length      gosip.ContentLengthHeader
	has         uint16 // bits of the fields that are taken
	used        int
	params      [6]gosip.HeaderKV // the first ones; most messages have no more
	list        [maxPlain]gosip.Header
	listed      int
}

// maxPlain is how many headers a plain message has at most.
const maxPlain = 32

var blocks = sync.Pool{New: func() any { return new(block) }}

// Return implements sip.Lease.
func (b *block) Return() {
	*b = block{}
	blocks.Put(b)
}

// Bits of block.has.
const (
	hasVia = 1 << iota
	hasFrom
	hasTo
	hasContact
	hasCSeq
	hasCallID
	hasContentType
	hasMaxForwards
	hasLength
)

// quick parses start line and headers, up to and with the empty line; nil when
// they are not plain enough.
func (p *parser) quick(head []byte) *block {
	b := blocks.Get().(*block)
	if !b.parse(p, head) {
		b.Return()
		return nil
	}
	return b
}

func (b *block) parse(p *parser, head []byte) bool {
	text := string(head)
	if strings.IndexByte(text, 0) >= 0 {
		return false
	}
	line, rest, ok := cutLine(text)
	if !ok || !b.startLine(line) {
		return false
	}
	var spill []gosip.Header
	for {
		line, rest, ok = cutLine(rest)
		if !ok {
			return false
		}
		if line == "" {
			b.fill()
			return true
		}
		if rest != "" && (rest[0] == ' ' || rest[0] == '\t') { // folded
			return false
		}
		colon := strings.IndexByte(line, ':')
		if colon <= 0 || b.listed == len(b.list) {
			return false
		}
		name, value := trim(line[:colon]), trim(line[colon+1:])
		h := b.header(name, value)
		if h == nil && p.untyped(name) {
			h = gosip.NewHeader(name, strings.TrimSpace(value))
		}
		if h != nil {
			b.list[b.listed] = h
			b.listed++
			continue
		}
		// What is not plain goes through the table of the slow way.
		at := len(text) - len(rest) - len(line) - 2
		var err error
		if spill, err = p.table.ParseHeader(spill[:0], head[at:at+len(line)]); err != nil || len(spill) > len(b.list)-b.listed {
			return false
		}
		b.listed += copy(b.list[b.listed:], spill)
	}
}

// fill puts the headers into the message, all at once: the list is made in its
// right size. But where Via, Route or Record-Route come more than once, only one
// after the other leaves the first as the one that the message's methods give.
func (b *block) fill() {
	list := b.list[:b.listed]
	var vias, routes, recorded int
	for _, h := range list {
		switch h.(type) {
		case *gosip.ViaHeader:
			vias++
		case *gosip.RouteHeader:
			routes++
		case *gosip.RecordRouteHeader:
			recorded++
		}
	}
	if max(vias, routes, recorded) <= 1 {
		b.message.PrependHeader(list...)
		return
	}
	for _, h := range list {
		b.message.AppendHeader(h)
	}
}

// untyped reports that the table of the slow way has no parser for a header, nor
// another name. A name that is not plain is left to it: sipgo takes off more kinds
// of blanks (form feeds, say) before it looks one up.
func (p *parser) untyped(name string) bool {
	var low [32]byte
	if len(name) > len(low) || !plain(name, isParam) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	_, known := p.table[string(low[:len(name)])]
	return !known
}

// cutLine takes a line that ends in CRLF and holds no other CR or LF.
func cutLine(s string) (line, rest string, ok bool) {
	i := strings.IndexByte(s, '\r')
	if i < 0 || i+1 >= len(s) || s[i+1] != '\n' || strings.IndexByte(s[:i], '\n') >= 0 {
		return "", "", false
	}
	return s[:i], s[i+2:], true
}

// trim takes blanks off both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

const version = "SIP/2.0"

// startLine begins the message of a plain start line.
func (b *block) startLine(line string) bool {
	if status, ok := strings.CutPrefix(line, version+" "); ok {
		if len(status) < 4 || status[3] != ' ' {
			return false
		}
		code, ok := digits(status[:3])
		if !ok {
			return false
		}
		b.response.SipVersion, b.response.StatusCode, b.response.Reason = version, int(code), status[4:]
		b.message = &b.response
		return true
	}
	name, rest, ok := strings.Cut(line, " ")
	if !ok {
		return false
	}
	method, ok := methodOf(name)
	if !ok {
		return false
	}
	uri, ok := strings.CutSuffix(rest, " "+version)
	if !ok || strings.IndexByte(uri, ' ') >= 0 || !b.plainURI(uri, &b.request.Recipient) {
		return false
	}
	b.request.SipVersion, b.request.Method = version, method
	b.message = &b.request
	return true
}

// methodOf gives the methods that we serve as constants: a transaction keeps its
// method, and must not keep the text of the whole message alive by it.
func methodOf(name string) (gosip.RequestMethod, bool) {
	for _, m := range [...]gosip.RequestMethod{gosip.INVITE, gosip.ACK, gosip.BYE, gosip.CANCEL, gosip.OPTIONS, gosip.UPDATE, gosip.INFO, gosip.PRACK} {
		if name == string(m) {
			return m, true
		}
	}
	return gosip.RequestMethod(strings.Clone(name)), upper(name)
}

// header reads a header of a type that nearly every message has, in plain form;
// nil for all others.
func (b *block) header(name, value string) gosip.Header {
	var bit uint16
	switch len(name) {
	case 1:
		switch name[0] | 0x20 {
		case 'v':
			bit = hasVia
		case 'f':
			bit = hasFrom
		case 't':
			bit = hasTo
		case 'm':
			bit = hasContact
		case 'i':
			bit = hasCallID
		case 'c':
			bit = hasContentType
		case 'l':
			bit = hasLength
		}
	case 2:
		if strings.EqualFold(name, "To") {
			bit = hasTo
		}
	case 3:
		if strings.EqualFold(name, "Via") {
			bit = hasVia
		}
	case 4:
		switch {
		case strings.EqualFold(name, "From"):
			bit = hasFrom
		case strings.EqualFold(name, "CSeq"):
			bit = hasCSeq
		}
	case 7:
		switch {
		case strings.EqualFold(name, "Contact"):
			bit = hasContact
		case strings.EqualFold(name, "Call-ID"):
			bit = hasCallID
		}
	case 12:
		switch {
		case strings.EqualFold(name, "Max-Forwards"):
			bit = hasMaxForwards
		case strings.EqualFold(name, "Content-Type"):
			bit = hasContentType
		}
	case 14:
		if strings.EqualFold(name, "Content-Length") {
			bit = hasLength
		}
	}
	if bit == 0 || b.has&bit != 0 || value == "" {
		return nil
	}
	if h := b.read(bit, value); h != nil {
		b.has |= bit
		return h
	}
	return nil
}

func (b *block) read(bit uint16, value string) gosip.Header {
	switch bit {
	case hasVia:
		if b.plainVia(value) {
			return &b.via
		}
	case hasFrom:
		if b.plainAddress(value, &b.from.DisplayName, &b.from.Address, &b.from.Params) {
			return &b.from
		}
	case hasTo:
		if b.plainAddress(value, &b.to.DisplayName, &b.to.Address, &b.to.Params) {
			return &b.to
		}
	case hasContact:
		if b.plainAddress(value, &b.contact.DisplayName, &b.contact.Address, &b.contact.Params) {
			return &b.contact
		}
	case hasCSeq:
		number, name, _ := strings.Cut(value, " ")
		if n, ok := digits(number); ok {
			if method, ok := methodOf(name); ok {
				b.cseq = gosip.CSeqHeader{SeqNo: n, MethodName: method}
				return &b.cseq
			}
		}
	case hasCallID:
		if plain(value, isWord) {
			b.callID = gosip.CallIDHeader(value)
			return &b.callID
		}
	case hasContentType:
		if plain(value, isWord) {
			b.contentType = gosip.ContentTypeHeader(value)
			return &b.contentType
		}
	case hasMaxForwards:
		if n, ok := digits(value); ok {
			b.maxForwards = gosip.MaxForwardsHeader(n)
			return &b.maxForwards
		}
	case hasLength:
		if n, ok := digits(value); ok {
			b.length = gosip.ContentLengthHeader(n)
			return &b.length
		}
	}
	return nil
}

// plainVia reads "SIP/2.0/UDP host[:port][;parameters]".
func (b *block) plainVia(s string) bool {
	s, ok := strings.CutPrefix(s, version+"/")
	if !ok {
		return false
	}
	transport, s, ok := strings.Cut(s, " ")
	if !ok || !upper(transport) {
		return false
	}
	hostPort, params, more := strings.Cut(s, ";")
	host, port, ok := plainHostPort(hostPort)
	if !ok {
		return false
	}
	v := gosip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: transport, Host: host, Port: port}
	if more && !b.plainParams(params, &v.Params) {
		return false
	}
	b.via = v
	return true
}

// plainAddress reads `["name"] <uri>[;parameters]`.
func (b *block) plainAddress(s string, name *string, uri *gosip.Uri, params *gosip.HeaderParams) bool {
	open := strings.IndexByte(s, '<')
	if open < 0 {
		return false
	}
	shown := trim(s[:open])
	if shown != "" && shown[0] == '"' {
		if len(shown) < 2 || shown[len(shown)-1] != '"' {
			return false
		}
		shown = shown[1 : len(shown)-1]
		if !plain(shown, isShown) {
			return false
		}
	} else if !plain(shown, isShown) || open > 0 && shown == "" {
		return false
	}
	end := strings.IndexByte(s, '>')
	if end < open {
		return false
	}
	rest := s[end+1:]
	var u gosip.Uri
	if !b.plainURI(s[open+1:end], &u) {
		return false
	}
	var ps gosip.HeaderParams
	if rest != "" && (rest[0] != ';' || !b.plainParams(rest[1:], &ps)) {
		return false
	}
	*name, *uri, *params = shown, u, ps
	return true
}

// plainURI reads "sip:[user@]host[:port][;parameters]".
func (b *block) plainURI(s string, u *gosip.Uri) bool {
	scheme, s, ok := strings.Cut(s, ":")
	if !ok || scheme != "sip" && scheme != "sips" {
		return false
	}
	if at := strings.IndexByte(s, '@'); at >= 0 {
		if at == 0 || !plain(s[:at], isUser) {
			return false
		}
		u.User, s = s[:at], s[at+1:]
	}
	hostPort, params, more := strings.Cut(s, ";")
	host, port, ok := plainHostPort(hostPort)
	if !ok {
		return false
	}
	u.Scheme, u.Host, u.Port = scheme, host, port
	if !more {
		return true
	}
	if u.User == "" && strings.IndexByte(params, '[') >= 0 { // sipgo looks for an IPv6 address there
		return false
	}
	return b.plainParams(params, &u.UriParams)
}

func plainHostPort(s string) (host string, port int, ok bool) {
	host, digitsOf, more := strings.Cut(s, ":")
	if host == "" || !plain(host, isHost) {
		return "", 0, false
	}
	if more {
		n, ok := digits(digitsOf)
		return host, int(n), ok
	}
	return host, 0, true
}

// maxParams is how many parameters a plain header has at most.
const maxParams = 10

// plainParams reads "name[=value];..." into the block's own row while it has room.
func (b *block) plainParams(s string, into *gosip.HeaderParams) bool {
	row := b.params[b.used:b.used]
	for more := true; more; {
		var one string
		one, s, more = strings.Cut(s, ";")
		name, value, _ := strings.Cut(one, "=")
		if name == "" || !plain(name, isParam) || !plain(value, isParam) || len(row) == maxParams {
			return false
		}
		if value == "" && len(one) > len(name) { // "name=": sipgo's readers differ
			return false
		}
		for _, kv := range row {
			if kv.K == name {
				return false
			}
		}
		row = append(row, gosip.HeaderKV{K: name, V: value})
	}
	b.used = min(b.used+len(row), len(b.params))
	*into = row[:len(row):len(row)]
	return true
}

// digits reads a number of at most nine digits.
func digits(s string) (uint32, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	var n uint32
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + uint32(s[i]-'0')
	}
	return n, true
}

func upper(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 'A' || s[i] > 'Z' {
			return false
		}
	}
	return s != ""
}

// Classes of characters that can't be misread in their place.
const (
	isHost  = 1 << iota // letters, digits, dot, hyphen, underscore
	isUser              // of a URI: no colon, semicolon, question mark, bracket
	isParam             // names and values of parameters, unquoted
	isWord              // Call-ID, Content-Type: no blank at the ends, no comma
	isShown             // display names: all but quotes, escapes, angle brackets, separators
)

// classes of the ASCII characters.
var classes = func() (t [128]uint8) {
	set := func(class uint8, chars string) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= class
		}
	}
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(isHost, alnum+".-_")
	set(isUser, alnum+"+-_.!~*'()%#&$")
	set(isParam, alnum+"+-_.!~*'()%#&$/:[]@|")
	set(isWord, alnum+"+-_.!~*'()%#&$/:[]@|=;{}<>?")
	set(isShown, alnum+"+-_.!~*'()%#&$/:[]@| ")
	return t
}()

func plain(s string, class uint8) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 128 || classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}
