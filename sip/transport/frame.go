package transport

import (
	"bytes"
	"errors"
)

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

// Framing errors: after each of them the end of the message, and so the start
// of the next one, is unknown. The connection is closed once it was answered.
var (
	errFrameTooLarge = errors.New("message is larger than the limit")
	errFrameLength   = errors.New("Content-Length is missing, unreadable or given twice with different values (RFC 3261 18.3)")
)

// frame is one message of a stream as raw bytes. It is valid until the next call of the framer.
type frame struct {
	head []byte // start line and headers, with the empty line that ends them
	body []byte
}

// framer cuts a byte stream into messages by Content-Length (RFC 3261 18.3),
// however the bytes are split or joined. It does not parse anything else.
type framer struct {
	max     int
	buf     []byte
	start   int // of the message in progress
	scanned int // from start: no end of headers before it
	end     int
	headLen int // of the message in progress; 0 = not known yet
	bodyLen int
	pings   int // CRLF CRLF seen between messages (RFC 5626 4.4.1), not answered yet
	blank   int // single CRLFs seen in a row between messages
}

func newFramer(max int) *framer { return &framer{max: max, buf: make([]byte, 4096)} }

// space returns room to read into; at least one byte.
func (f *framer) space() []byte {
	if f.start == f.end {
		f.start, f.end = 0, 0
	}
	if f.end == len(f.buf) {
		if f.start > 0 {
			f.end = copy(f.buf, f.buf[f.start:f.end])
			f.start = 0
		} else {
			grown := make([]byte, min(2*len(f.buf), f.max+4096))
			copy(grown, f.buf[:f.end])
			f.buf = grown
		}
	}
	return f.buf[f.end:]
}

// filled tells how much of space was read.
func (f *framer) filled(n int) { f.end += n }

// partial reports whether a message has begun and not ended.
func (f *framer) partial() bool { return f.end > f.start }

// next returns the next whole message. more is true when bytes are missing.
func (f *framer) next() (m frame, more bool, err error) {
	if f.headLen == 0 {
		f.skipBlank()
		pending := f.buf[f.start:f.end]
		if len(pending) == 0 || len(pending) == 1 && pending[0] == '\r' {
			return m, true, nil
		}
		from := max(f.scanned-3, 0) // the empty line may be split across reads
		i := bytes.Index(pending[from:], crlfcrlf)
		if i < 0 {
			f.scanned = len(pending)
			if len(pending) > f.max {
				return frame{head: pending}, false, errFrameTooLarge
			}
			return m, true, nil
		}
		head := pending[:from+i+4]
		f.blank = 0
		n, ok := contentLength(head)
		switch {
		case !ok:
			return frame{head: head}, false, errFrameLength
		case len(head)+n > f.max:
			return frame{head: head}, false, errFrameTooLarge
		}
		f.headLen, f.bodyLen = len(head), n
	}
	if f.end-f.start < f.headLen+f.bodyLen {
		return m, true, nil
	}
	m.head = f.buf[f.start : f.start+f.headLen]
	m.body = f.buf[f.start+f.headLen : f.start+f.headLen+f.bodyLen]
	f.start += f.headLen + f.bodyLen
	f.scanned, f.headLen, f.bodyLen = 0, 0, 0
	return m, false, nil
}

// skipBlank passes over the CRLFs before a start line (RFC 3261 7.5) and counts
// the pairs among them: keep-alive pings.
func (f *framer) skipBlank() {
	for f.end-f.start >= 2 && f.buf[f.start] == '\r' && f.buf[f.start+1] == '\n' {
		f.start += 2
		f.scanned = 0
		if f.blank++; f.blank == 2 {
			f.pings++
			f.blank = 0
		}
	}
}

// takePings returns how many pings wait for their pong.
func (f *framer) takePings() int {
	n := f.pings
	f.pings = 0
	return n
}

// contentLength finds the length of the body that follows a header section. A
// missing Content-Length means 0, unless a Content-Type says that there is a
// body of unknown length.
func contentLength(head []byte) (int, bool) {
	length, typed := -1, false
	for line := range headerLines(head) {
		if line.is("content-length", "l") {
			n, ok := decimal(bytes.TrimSpace(line.value))
			if !ok || length >= 0 && n != length {
				return 0, false
			}
			length = n
		} else if line.is("content-type", "c") {
			typed = true
		}
	}
	if length < 0 {
		return 0, !typed
	}
	return length, true
}

func decimal(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// rawLine is one header line, with its folded continuations, still raw.
type rawLine struct {
	name  []byte // without trailing blanks; nil when the line has no colon
	value []byte // after the colon; folds still contain CRLF
	whole []byte // as received, without the last CRLF
}

// is reports whether the line's name is one of the two, in any case.
func (l rawLine) is(long, short string) bool {
	return equalFold(l.name, long) || equalFold(l.name, short)
}

func equalFold(b []byte, low string) bool {
	if len(b) != len(low) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != low[i] {
			return false
		}
	}
	return true
}

// headerLines walks the header lines after the start line.
func headerLines(head []byte) func(func(rawLine) bool) {
	return func(yield func(rawLine) bool) {
		i := bytes.Index(head, crlf)
		if i < 0 {
			return
		}
		rest := head[i+2:]
		for len(rest) > 0 {
			n := lineEnd(rest)
			whole := rest[:n]
			rest = rest[min(n+2, len(rest)):]
			if len(whole) == 0 {
				return
			}
			l := rawLine{whole: whole}
			if c := bytes.IndexByte(whole, ':'); c > 0 {
				l.name = bytes.TrimRight(whole[:c], " \t")
				l.value = whole[c+1:]
			}
			if !yield(l) {
				return
			}
		}
	}
}

// lineEnd is the length of the first line with its folded continuations (RFC 3261 7.3.1).
func lineEnd(b []byte) int {
	n := 0
	for {
		i := bytes.Index(b[n:], crlf)
		if i < 0 {
			return len(b)
		}
		n += i
		if i == 0 || n+2 >= len(b) || b[n+2] != ' ' && b[n+2] != '\t' {
			return n
		}
		n += 2
	}
}
