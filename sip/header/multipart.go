package header

import (
	"bytes"
	"strings"
)

// maxParts bounds a multipart body: an emergency call has two parts.
const maxParts = 8

// Part is one part of a multipart body. Raw is the whole part with its headers.
type Part struct {
	Type string // media type in lower case, without parameters
	Body []byte
	Raw  []byte
}

// MediaType is the type of a Content-Type value in lower case, and its parameters.
func MediaType(value string) (mediaType, params string) {
	mediaType, params, _ = strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(mediaType)), params
}

// SplitMultipart reads a multipart body by the rules of RFC 2046 5.1, not by
// the position of its parts. The slices share the body.
func SplitMultipart(contentType string, body []byte) ([]Part, error) {
	_, params := MediaType(contentType)
	boundary, ok := Param(params, "boundary")
	if !ok || boundary == "" || len(boundary) > 70 {
		return nil, syntax("Content-Type", "no usable boundary (RFC 2046 5.1.1)")
	}
	delimiter := []byte("--" + boundary)
	var parts []Part
	rest, found := nextPart(body, delimiter)
	for found && len(parts) < maxParts {
		if bytes.HasPrefix(rest, []byte("--")) { // the closing delimiter
			return parts, nil
		}
		nl := bytes.IndexByte(rest, '\n')
		if nl < 0 {
			break
		}
		rest = rest[nl+1:]
		end := indexDelimiter(rest, delimiter)
		if end < 0 {
			return nil, syntax("body", "multipart is not closed (RFC 2046 5.1.1)")
		}
		parts = append(parts, newPart(trimEOL(rest[:end])))
		rest, found = nextPart(rest[end:], delimiter)
	}
	return nil, syntax("body", "multipart is not closed (RFC 2046 5.1.1)")
}

// nextPart is what follows the next delimiter line's dashes and boundary.
func nextPart(b, delimiter []byte) ([]byte, bool) {
	i := indexDelimiter(b, delimiter)
	if i < 0 {
		return nil, false
	}
	return b[i+len(delimiter):], true
}

// indexDelimiter finds a delimiter at the beginning of a line.
func indexDelimiter(b, delimiter []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], delimiter)
		if i < 0 {
			return -1
		}
		i += from
		if i == 0 || b[i-1] == '\n' {
			return i
		}
		from = i + 1
	}
}

func trimEOL(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

func newPart(raw []byte) Part {
	p := Part{Raw: raw}
	rest := raw
	for len(rest) > 0 {
		line := rest
		if nl := bytes.IndexByte(rest, '\n'); nl >= 0 {
			line, rest = rest[:nl], rest[nl+1:]
		} else {
			rest = nil
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			p.Body = rest
			return p
		}
		if name, value, ok := strings.Cut(string(line), ":"); ok {
			if n := strings.TrimSpace(name); strings.EqualFold(n, "Content-Type") || strings.EqualFold(n, "c") {
				p.Type, _ = MediaType(value)
			}
		}
	}
	return p
}
