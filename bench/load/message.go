package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The generator reads messages as text: it knows what its own calls look like,
// and the less it costs the more of core 1 is left to play with.

// headers gives all values of a header field, top first.
func headers(text, name string) []string {
	var all []string
	for line := range strings.SplitSeq(text, "\r\n") {
		if line == "" {
			break
		}
		if n, value, ok := strings.Cut(line, ":"); ok && len(n) == len(name) && strings.EqualFold(n, name) {
			all = append(all, strings.TrimSpace(value))
		}
	}
	return all
}

func header(text, name string) string {
	if all := headers(text, name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// uri is what stands between angle brackets, or the value without parameters.
func uri(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		inside, _, _ := strings.Cut(rest, ">")
		return inside
	}
	plain, _, _ := strings.Cut(value, ";")
	return plain
}

// status of a response; 0 for a request.
func status(text string) int {
	if !strings.HasPrefix(text, "SIP/2.0 ") || len(text) < 11 {
		return 0
	}
	n, _ := strconv.Atoi(text[8:11])
	return n
}

func body(text string) string {
	_, b, _ := strings.Cut(text, "\r\n\r\n")
	return b
}

// respond builds a response to a request.
func respond(req, line, tag, extra, sdp string) string {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + line + "\r\n")
	for _, name := range []string{"Via", "Record-Route"} {
		for _, value := range headers(req, name) {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	to := header(req, "To")
	if tag != "" && !strings.Contains(to, ";tag=") {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: %d\r\n\r\n%s",
		header(req, "From"), to, header(req, "Call-ID"), header(req, "CSeq"), extra, len(sdp), sdp)
	return b.String()
}

// readMessage takes one message off a stream (RFC 3261 18.3).
func readMessage(r *bufio.Reader) (string, error) {
	var b strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\r\n" {
			if b.Len() == 0 {
				continue // keep-alive
			}
			b.WriteString(line)
			break
		}
		if value, ok := strings.CutPrefix(line, "Content-Length:"); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > 1<<20 {
				return "", fmt.Errorf("content length %q", value)
			}
		}
		b.WriteString(line)
	}
	if length > 0 {
		rest := make([]byte, length)
		if _, err := io.ReadFull(r, rest); err != nil {
			return "", err
		}
		b.Write(rest)
	}
	return b.String(), nil
}
