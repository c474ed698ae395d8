package transport

import (
	"bytes"
	"hash/fnv"
	"strconv"

	gosip "github.com/emiago/sipgo/sip"
)

// rejection makes a response to a request that can't be taken, from its raw
// header lines and without a transaction. It returns nil when none is due: for
// responses, for ACK (RFC 3261 17: never answered) and when Via, From, To,
// Call-ID or CSeq is missing, because the sender could not match it.
func rejection(head []byte, status int, reason string) []byte {
	if bytes.HasPrefix(head, []byte("SIP/")) {
		return nil
	}
	method, _, ok := bytes.Cut(head, []byte(" "))
	if !ok || !token(string(method)) || bytes.EqualFold(method, []byte("ACK")) {
		return nil
	}
	out := make([]byte, 0, 512)
	out = append(out, "SIP/2.0 "...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(append(append(out, ' '), reason...), crlf...)
	var vias int
	var from, to, callID, cseq []byte
	for line := range headerLines(head) {
		if !cleanLines(line.whole) {
			continue
		}
		value := bytes.TrimSpace(unfold(line.value))
		if len(value) == 0 {
			continue
		}
		once := func(into *[]byte) {
			if *into == nil {
				*into = value
			}
		}
		switch {
		case line.is("via", "v"):
			vias++
			out = append(append(append(out, "Via: "...), value...), crlf...)
		case line.is("from", "f"):
			once(&from)
		case line.is("to", "t"):
			once(&to)
		case line.is("call-id", "i"):
			once(&callID)
		case line.is("cseq", "cseq"):
			once(&cseq)
		}
	}
	if vias == 0 || from == nil || to == nil || callID == nil || cseq == nil {
		return nil
	}
	out = append(append(append(out, "From: "...), from...), crlf...)
	out = append(append(out, "To: "...), to...)
	if !bytes.Contains(bytes.ToLower(to), []byte(";tag=")) {
		// The same request gets the same tag again (RFC 3261 8.2.7).
		h := fnv.New64a()
		h.Write(callID)
		h.Write(cseq)
		out = strconv.AppendUint(append(out, ";tag=x"...), h.Sum64(), 16)
	}
	out = append(out, crlf...)
	out = append(append(append(out, "Call-ID: "...), callID...), crlf...)
	out = append(append(append(out, "CSeq: "...), cseq...), crlf...)
	return append(out, "Content-Length: 0\r\n\r\n"...)
}

// statusFor is how a message that did not parse is answered.
func statusFor(err error) (int, string) {
	switch err {
	case errFrameTooLarge:
		return gosip.StatusRequestEntityTooLarge, "Request Entity Too Large"
	case errScheme:
		return 416, "Unsupported URI Scheme"
	case errVersion:
		return gosip.StatusVersionNotSupported, "Version Not Supported"
	}
	return gosip.StatusBadRequest, "Bad Request"
}

// unfold joins the continuations of a folded line (RFC 3261 7.3.1).
func unfold(value []byte) []byte {
	if !bytes.Contains(value, crlf) {
		return value
	}
	return bytes.ReplaceAll(value, crlf, nil)
}
