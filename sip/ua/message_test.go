package ua

import (
	"strings"
	"testing"
)

func TestParam(t *testing.T) {
	for name, c := range map[string]struct{ value, param, want string }{
		"Tag":          {"<sip:a@b>;tag=x", "tag", "x"},
		"InsideURI":    {"<sip:a@b;tag=no>;q=1", "tag", ""},
		"Quoted":       {`<sip:a@b>;reason="user-busy"`, "reason", "user-busy"},
		"Case":         {"<sip:a@b>;TAG=x", "tag", "x"},
		"GluedName":    {"John Doe<sip:+1@b:5061;user=phone>;tag=y", "tag", "y"},
		"Via":          {"SIP/2.0/UDP h:5060;rport;branch=z9", "branch", "z9"},
		"AngleInQuote": {`"a>b" <sip:a@b>;tag=z`, "tag", "z"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Param(c.value, c.param); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestValuesSplitOutsideQuotesAndBrackets(t *testing.T) {
	m := &Message{Headers: []Header{{"History-Info", `<sip:+1@b?Reason=SIP%3Bcause=302,x>;index=1, "a, b" <sip:+2@b>;index=1.1`}, {"history-info", "<sip:+3@b>;index=1.2"}}}
	got := m.Values("History-Info")
	if len(got) != 3 || !strings.HasSuffix(got[1], "index=1.1") {
		t.Errorf("values %q", got)
	}
}

func TestSetDelHas(t *testing.T) {
	m := &Message{Headers: []Header{{"f", "1"}, {"Via", "a"}, {"Via", "b"}}}
	m.Set("From", "2")
	m.Set("Via", "c")
	m.Set("X", "y")
	if m.Get("From") != "2" || len(m.Values("Via")) != 1 || !m.Has("X") {
		t.Errorf("headers %v", m.Headers)
	}
	m.Del("X")
	if m.Has("X") {
		t.Error("X is still there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b>\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/TCP h;branch=z\r\ni: 1\r\nCSeq: 1 INVITE\r\nl: 2\r\n\r\nab"))
	f.Add([]byte("INVITE tel:+1 SIP/2.0\r\nVia: ,\r\nCall-ID: \"\r\nCSeq: 9999999999 x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		m.Values("Record-Route")
		m.FromTag()
		AddressOf(m.Get("Contact"))
		ParseURI(m.URI)
		if m.IsRequest() {
			Response(m, 200, "", "tag").Bytes(true)
		}
		m.Bytes(false)
	})
}

func FuzzReadStream(f *testing.F) {
	f.Add([]byte("\r\n\r\nOPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 1\r\n\r\nx"), 3)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if step < 1 || step > 1<<16 {
			step = 1
		}
		readStream(&stepReader{data, step}, func(m *Message) { m.Summary() }, func() {})
	})
}

func BenchmarkParseAndPrint(b *testing.B) {
	data := []byte("INVITE sip:+14255550100@sip.pstnhub.test;user=phone SIP/2.0\r\nVia: SIP/2.0/TLS h:5061;branch=z9hG4bK1\r\nFrom: <sip:+1@b>;tag=1\r\nTo: <sip:+2@b>\r\n" +
		"Call-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:+1@h:5061;transport=tls>\r\nMax-Forwards: 70\r\nContent-Length: 4\r\n\r\nv=0\n")
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(data)
		if err != nil {
			b.Fatal(err)
		}
		m.Bytes(false)
	}
}

// TestURIOfPassesOverTheDisplayName: a name may hold brackets, escaped quotes
// and backslashes (RFC 3261 25.1).
func TestURIOfPassesOverTheDisplayName(t *testing.T) {
	for value, want := range map[string]string{
		`"a<b>c" <sip:x@h>;tag=1`:            "sip:x@h",
		`"\"<sip:evil@h>\\" <sip:x@h>;tag=1`: "sip:x@h",
		`Name <sip:x@h;lr>;tag=1`:            "sip:x@h;lr",
		`<sip:x@h>`:                          "sip:x@h",
		` sip:x@h;tag=1`:                     "sip:x@h",
		`"never closed <sip:x@h>`:            "sip:x@h",
	} {
		if got := URIOf(value); got != want {
			t.Errorf("URIOf(%s) = %q, want %q", value, got, want)
		}
	}
}
