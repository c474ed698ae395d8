package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// cut feeds data in pieces and returns the messages found.
func cut(data []byte, pieces func(i int) int, max int) (msgs []string, pings int, err error) {
	f := newFramer(max)
	for i := 0; len(data) > 0; i++ {
		n := min(pieces(i), len(data), len(f.space()))
		copy(f.space(), data[:n])
		f.filled(n)
		data = data[n:]
		for {
			m, more, err := f.next()
			pings += f.takePings()
			if err != nil {
				return msgs, pings, err
			}
			if more {
				break
			}
			msgs = append(msgs, string(m.head)+string(m.body))
		}
	}
	return msgs, pings, nil
}

func TestStreamIsCutWhereverItIsSplit(t *testing.T) {
	one := request("INVITE", 1, "Content-Type: application/sdp\r\n", "v=0\r\n\r\nthis looks like a header end\r\n")
	two := request("ACK", 1, "", "")
	three := strings.Replace(request("BYE", 2, "", "body"), "Content-Length: 4", "L :\r\n  4", 1)
	stream := []byte("\r\n" + one + two + "\r\n\r\n\r\n\r\n" + three + one)
	want := []string{one, two, three, one}
	for size := 1; size <= len(stream); size++ {
		got, pings, err := cut(stream, func(int) int { return size }, 65535)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || pings != 2 {
			t.Fatalf("pieces of %d: %d messages, %d pings, %v", size, len(got), pings, err)
		}
	}
}

func TestFramingRules(t *testing.T) {
	base := "OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n"
	for name, c := range map[string]struct {
		stream string
		n      int
		err    error
	}{
		"OK no length, no type":     {base + "\r\n" + base + "\r\n", 2, nil},
		"OK same length twice":      {base + "Content-Length: 2\r\nl: 2\r\n\r\nab", 1, nil},
		"ErrNoLengthWithType":       {base + "Content-Type: application/sdp\r\n\r\nv=0", 0, errFrameLength},
		"ErrTwoLengths":             {base + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 0, errFrameLength},
		"ErrNegativeLength":         {base + "Content-Length: -1\r\n\r\n", 0, errFrameLength},
		"ErrHugeLength":             {base + "Content-Length: 99999999999999999999\r\n\r\n", 0, errFrameLength},
		"ErrWordLength":             {base + "Content-Length: two\r\n\r\nab", 0, errFrameLength},
		"ErrBodyOverLimit":          {base + "Content-Length: 4000\r\n\r\n", 0, errFrameTooLarge},
		"ErrHeadOverLimit":          {base + strings.Repeat("X: y\r\n", 1000), 0, errFrameTooLarge},
		"ErrLineThatNeverEnds":      {strings.Repeat("z", 6000), 0, errFrameTooLarge},
		"OK name in odd case":       {base + "cOnTeNt-lEnGtH \t: 2\r\n\r\nab", 1, nil},
		"OK length inside a header": {base + "Subject: x\r\n Content-Length: 9\r\n\r\n" + base + "\r\n", 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := cut([]byte(c.stream), func(int) int { return 1 << 20 }, 2048)
			if err != c.err || len(got) != c.n {
				t.Errorf("%d messages, %v; want %d, %v", len(got), err, c.n, c.err)
			}
		})
	}
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte(request("INVITE", 1, "", "v=0")+request("BYE", 2, "", "")), uint8(7))
	f.Add([]byte("\r\n\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), uint8(1))
	f.Add([]byte("x\r\nContent-Length:\r\n 5\r\n\r\n12345"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		whole, pings1, err1 := cut(data, func(int) int { return 1 << 20 }, 4096)
		split, pings2, err2 := cut(data, func(int) int { return int(size)%16 + 1 }, 4096)
		if err1 != err2 && err1 != errFrameTooLarge && err2 != errFrameTooLarge {
			t.Fatalf("errors differ by split: %v, %v", err1, err2)
		}
		if err1 == nil && err2 == nil && (fmt.Sprint(whole) != fmt.Sprint(split) || pings1 != pings2) {
			t.Fatalf("messages differ by split: %q, %q", whole, split)
		}
		var total int
		for _, m := range whole {
			total += len(m)
		}
		if total > len(data) {
			t.Fatal("more bytes out than in")
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(request("INVITE", 1, "k: timer\r\nContact: <<<>\r\n", "v=0")))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z\r\nf: <sip:a>;tag=1\r\nt: <sip:b>\r\ni: 1\r\nCSeq: 1 INVITE\r\nbad line\r\n\r\n"))
	f.Add([]byte("INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: a\nX-Evil: 1\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"))
	p := newParser()
	f.Fuzz(func(t *testing.T, data []byte) {
		m, lease, _, err := p.datagram(data)
		if err != nil {
			if answer := rejection(bytes.TrimLeft(data, "\r\n"), 400, "Bad Request"); answer != nil {
				if !cleanLines(answer) || bytes.Count(answer, crlfcrlf) != 1 {
					t.Fatalf("answer is not clean: %q", answer)
				}
			}
			return
		}
		if lease != nil {
			defer lease.Return()
		}
		if m.Via() == nil || m.From() == nil || m.To() == nil || m.CallID() == nil || m.CSeq() == nil {
			t.Fatal("a message without its mandatory headers passed")
		}
		for _, h := range m.(headerHolder).Headers() {
			if strings.ContainsAny(h.Value(), "\r\n\x00") {
				t.Fatalf("header %s carries a line break: %q", h.Name(), h.Value())
			}
		}
	})
}
