package ua

import (
	"errors"
	"fmt"
	"io"

	gosip "github.com/emiago/sipgo/sip"
)

// newParser is sipgo's parser with every header left raw except
// Content-Length, which framing needs: a header that is odd or broken reaches
// the script as it was sent instead of closing the connection.
func newParser() *gosip.Parser {
	all := gosip.DefaultHeadersParser()
	return gosip.NewParser(gosip.WithHeadersParsers(map[string]gosip.HeaderParser{
		"content-length": all["content-length"],
		"l":              all["l"],
	}))
}

// Parse reads one message from a datagram.
func Parse(data []byte) (*Message, error) {
	msg, err := newParser().ParseSIP(data)
	if err != nil {
		return nil, fmt.Errorf("parse SIP message: %w", err)
	}
	return convert(msg)
}

func convert(msg gosip.Message) (*Message, error) {
	m := &Message{Body: msg.Body()}
	var headers []gosip.Header
	switch msg := msg.(type) {
	case *gosip.Request:
		m.Method = string(msg.Method)
		m.URI = msg.Recipient.String()
		headers = msg.Headers()
	case *gosip.Response:
		m.Status = msg.StatusCode
		m.Reason = msg.Reason
		headers = msg.Headers()
	default:
		return nil, errors.New("neither request nor response")
	}
	m.Headers = make([]Header, 0, len(headers))
	for _, h := range headers {
		m.Headers = append(m.Headers, Header{h.Name(), h.Value()})
	}
	if _, method := m.CSeq(); method == "" || m.CallID() == "" || m.Get("Via") == "" {
		return nil, errors.New("message without readable Call-ID, CSeq or Via")
	}
	return m, nil
}

// readStream parses messages from a stream connection until it ends. A broken
// message ends it with the parser's error: there is no way to find the next one.
// CRLF pings (RFC 5626 4.4.1) are given to ping.
func readStream(r io.Reader, deliver func(*Message), ping func()) error {
	stream := newParser().NewSIPStream()
	defer stream.Close()
	buf := make([]byte, 16<<10)
	between := true // no message has been begun
	for {
		n, err := r.Read(buf)
		data := buf[:n]
		for between && len(data) >= 2 && data[0] == '\r' && data[1] == '\n' {
			if len(data) >= 4 && data[2] == '\r' && data[3] == '\n' {
				ping()
				data = data[4:]
				continue
			}
			data = data[2:]
		}
		if len(data) > 0 {
			between = false
			if _, werr := stream.Write(data); werr != nil {
				return werr
			}
		}
		for !between {
			msg, _, perr := stream.ParseNext()
			if errors.Is(perr, io.ErrUnexpectedEOF) || errors.Is(perr, io.EOF) {
				break
			}
			if perr != nil {
				return fmt.Errorf("parse SIP stream: %w", perr)
			}
			if m, cerr := convert(msg); cerr == nil {
				deliver(m)
			}
			between = stream.Buffer().Len() == 0
		}
		if err != nil {
			return err
		}
	}
}
