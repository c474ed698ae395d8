package header

import "strings"

// Address is one entry of a name-addr list: P-Asserted-Identity (RFC 3325),
// Diversion (RFC 5806), History-Info (RFC 7044).
type Address struct {
	Name   string // display name, quotes and escapes taken off
	URI    string // as written, without angle brackets
	Params string // header parameters as written, without the leading ";"
}

// ParseAddresses reads a comma list of name-addr or addr-spec. Entries beyond
// 32 are dropped. name is the header's name, for the error.
func ParseAddresses(name, value string) ([]Address, error) {
	var list []Address
	for rest, more := value, true; more && len(list) < maxEntries; {
		var item string
		item, rest, more = cut(rest, ',')
		item = strings.TrimSpace(item)
		if item == "" {
			continue // empty list elements are tolerated (RFC 7230 7 by custom)
		}
		a, err := parseAddress(name, item)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if len(list) == 0 {
		return nil, syntax(name, "no address in it")
	}
	return list, nil
}

func parseAddress(name, s string) (Address, error) {
	if !Clean(s) {
		return Address{}, syntax(name, "control character in an address")
	}
	display, rest, ok := cutAngle(s)
	if !ok { // addr-spec: what follows ";" are header parameters (RFC 3261 20.10)
		uri, params, _ := strings.Cut(s, ";")
		return checkURI(name, Address{URI: strings.TrimSpace(uri), Params: params})
	}
	uri, after, ok := strings.Cut(rest, ">")
	if !ok {
		return Address{}, syntax(name, "angle bracket is not closed")
	}
	after = strings.TrimSpace(after)
	if after != "" && after[0] != ';' {
		return Address{}, syntax(name, "text after the angle bracket")
	}
	return checkURI(name, Address{Name: Unquote(display), URI: strings.TrimSpace(uri), Params: strings.TrimPrefix(after, ";")})
}

func cutAngle(s string) (before, after string, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '<' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func checkURI(name string, a Address) (Address, error) {
	scheme, rest, ok := strings.Cut(a.URI, ":")
	if !ok || scheme == "" || rest == "" || strings.ContainsAny(a.URI, "<>\" ") {
		return Address{}, syntax(name, "not a URI")
	}
	return a, nil
}

// User is the user part of a sip, sips or tel URI with its escapes resolved
// and its parameters cut: "+14255550100".
func (a Address) User() string { return URIUser(a.URI) }

// URIUser is the user part of a URI, see Address.User.
func URIUser(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	if !strings.EqualFold(scheme, "tel") {
		rest, _, _ = strings.Cut(rest, "?")
		user, _, ok := strings.Cut(rest, "@")
		if !ok {
			return ""
		}
		rest, _, _ = strings.Cut(user, ":") // password
	}
	rest, _, _ = strings.Cut(rest, ";")
	return Unescape(rest)
}

// Param finds a header parameter of the entry.
func (a Address) Param(name string) (string, bool) { return Param(a.Params, name) }

// Append prints the entry as name-addr.
func (a Address) Append(b []byte) []byte {
	if a.Name != "" {
		b = AppendQuoted(b, a.Name)
		b = append(b, ' ')
	}
	b = append(b, '<')
	b = AppendText(b, a.URI)
	b = append(b, '>')
	if a.Params != "" {
		b = append(b, ';')
		b = AppendText(b, a.Params)
	}
	return b
}
