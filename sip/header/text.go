package header

import "strings"

// Clean reports whether s may stand in a header line: no control character but HTAB.
func Clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// AppendText appends s with every control character as a space: the last
// barrier against header injection for text that is not quoted.
func AppendText(b []byte, s string) []byte {
	if Clean(s) {
		return append(b, s...)
	}
	for i := 0; i < len(s); i++ {
		ch := s[i]
		if ch < ' ' || ch == 0x7f {
			ch = ' '
		}
		b = append(b, ch)
	}
	return b
}

// AppendQuoted appends s as a quoted-string (RFC 3261 25.1): quotes and
// backslashes escaped, control characters dropped.
func AppendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case ch < ' ' || ch == 0x7f:
		case ch == '"' || ch == '\\':
			b = append(b, '\\', ch)
		default:
			b = append(b, ch)
		}
	}
	return append(b, '"')
}

// AppendUser appends s as the user part of a SIP URI, what RFC 3261 25.1 does
// not allow there percent-encoded.
func AppendUser(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if ch := s[i]; isUserByte(ch) {
			b = append(b, ch)
		} else {
			b = append(b, '%', hex[ch>>4], hex[ch&15])
		}
	}
	return b
}

func isUserByte(ch byte) bool {
	switch {
	case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9':
		return true
	}
	return strings.IndexByte("-_.!~*'()&=+$,;?/", ch) >= 0
}

// Unescape resolves percent escapes; a malformed escape stays as it is.
func Unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(ch byte) int {
	switch {
	case ch >= '0' && ch <= '9':
		return int(ch - '0')
	case ch >= 'a' && ch <= 'f':
		return int(ch-'a') + 10
	case ch >= 'A' && ch <= 'F':
		return int(ch-'A') + 10
	}
	return -1
}

// Unquote takes the quotes and escapes off a quoted-string; other text is only trimmed.
func Unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// cut is like strings.Cut at the first sep that stands outside quotes and angle brackets.
func cut(s string, sep byte) (before, after string, found bool) {
	quoted, angle := false, false
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case quoted && ch == '\\':
			i++
		case ch == '"' && !angle:
			quoted = !quoted
		case quoted:
		case ch == '<':
			angle = true
		case ch == '>':
			angle = false
		case ch == sep && !angle:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// HasToken reports whether a comma list has a token; case does not matter.
func HasToken(list, token string) bool {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(strings.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// Param finds a parameter in a list such as "a=1;b;c=\"x\"". Case of the name does not matter.
func Param(params, name string) (value string, ok bool) {
	for params != "" {
		var item string
		item, params, _ = cut(params, ';')
		k, v, _ := strings.Cut(item, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return Unquote(v), true
		}
	}
	return "", false
}
