package transport

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	gosip "github.com/emiago/sipgo/sip"
)

// sameMessages reports where two messages differ, "" when nowhere. An absent
// and an empty parameter list are the same.
func sameMessages(a, b gosip.Message) string {
	switch x := a.(type) {
	case *gosip.Request:
		y, ok := b.(*gosip.Request)
		if !ok || x.Method != y.Method || x.SipVersion != y.SipVersion || !sameValue(x.Recipient, y.Recipient) {
			return "start line"
		}
	case *gosip.Response:
		y, ok := b.(*gosip.Response)
		if !ok || x.StatusCode != y.StatusCode || x.Reason != y.Reason || x.SipVersion != y.SipVersion {
			return "start line"
		}
	}
	hs, gs := a.(headerHolder).Headers(), b.(headerHolder).Headers()
	if len(hs) != len(gs) {
		return "number of headers"
	}
	for i := range hs {
		if reflect.TypeOf(hs[i]) != reflect.TypeOf(gs[i]) || hs[i].Name() != gs[i].Name() || hs[i].Value() != gs[i].Value() ||
			!sameValue(reflect.ValueOf(hs[i]).Elem().Interface(), reflect.ValueOf(gs[i]).Elem().Interface()) {
			return "header " + hs[i].Name() + ": " + hs[i].Value() + " | " + gs[i].Value()
		}
	}
	for name, same := range map[string]bool{
		"Via": a.Via().Value() == b.Via().Value(), "From": a.From().Value() == b.From().Value(), "To": a.To().Value() == b.To().Value(),
		"Call-ID": *a.CallID() == *b.CallID(), "CSeq": *a.CSeq() == *b.CSeq(), "Contact": reflect.DeepEqual(contactOf(a), contactOf(b)),
	} {
		if !same {
			return "the first " + name
		}
	}
	return ""
}

// bothWays reads a message by the quick parser and by sipgo's. It reports whether
// the quick one takes a message that has what it must, and where the two differ, ""
// when nowhere.
func bothWays(p *parser, head []byte) (taken bool, where string) {
	q := p.quick(head)
	if q == nil {
		return false, ""
	}
	defer q.Return() // the next message has its memory
	if mandatory(q.message) != nil {
		return false, ""
	}
	s, repaired, err := p.slow(head)
	if err != nil || repaired {
		return true, fmt.Sprintf("sipgo does not take it: repaired %v, %v", repaired, err)
	}
	return true, sameMessages(q.message, s)
}

func contactOf(m gosip.Message) string {
	if c := m.(interface{ Contact() *gosip.ContactHeader }).Contact(); c != nil {
		return c.Value()
	}
	return ""
}

func sameValue(a, b any) bool {
	return reflect.DeepEqual(normal(reflect.ValueOf(a)), normal(reflect.ValueOf(b)))
}

// normal copies v without the difference between nil and empty lists.
func normal(v reflect.Value) any {
	if v.Kind() != reflect.Struct {
		return v.Interface()
	}
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Field(i)
		name := v.Type().Field(i).Name
		switch {
		case !v.Type().Field(i).IsExported():
			out[name] = f.String()
		case f.Kind() == reflect.Slice && f.Len() == 0:
		case f.Kind() == reflect.Slice:
			var list []gosip.HeaderKV
			for k := range f.Len() {
				list = append(list, f.Index(k).Interface().(gosip.HeaderKV))
			}
			out[name] = list
		default:
			out[name] = normal(f)
		}
	}
	return out
}

var plainMessages = []string{
	"INVITE sip:+14255550101@192.0.2.1:5060;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-1;rport\r\nFrom: \"Perf Caller\" <sip:+12125550123@192.0.2.9:5070>;tag=1\r\nTo: <sip:+14255550101@192.0.2.1:5060>\r\nCall-ID: 1-29500@192.0.2.9\r\nCSeq: 1 INVITE\r\nContact: <sip:+12125550123@192.0.2.9:5070;transport=UDP>\r\nMax-Forwards: 70\r\nUser-Agent: x\r\nAllow: INVITE, ACK\r\nContent-Type: application/sdp\r\nContent-Length: 0\r\n\r\n",
	"SIP/2.0 200 OK\r\nVIA: SIP/2.0/TLS sbc.example.net:5061;branch=z9hG4bK-2;received=192.0.2.3\r\nFROM: John Doe<sip:+441234@sip.pstnhub.microsoft.com:5061;user=phone>;tag=a\r\nTO: <sip:b>;tag=c\r\nCALL-ID: z\r\nCSEQ: 2 BYE\r\nCONTACT: <sip:api-du-a.example:443;x-i=a-b;x-c=x/d/8/y>\r\nCONTENT-LENGTH: 0\r\n\r\n",
	"BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP one;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP two;branch=z9hG4bK2\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\nRecord-Route: <sip:q1;lr>\r\nRecord-Route: <sip:q2;lr>\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: q\r\nCSeq: 2 BYE\r\n\r\n",
	"SIP/2.0 100 Trying\r\nv: SIP/2.0/UDP h\r\nf: sip:a@b;tag=1\r\nt: <sip:a@b>\r\ni: q\r\nCSeq: 1 INVITE\r\nk: timer\r\nl: 0\r\n\r\n",
}

func TestQuickReadsWhatSipgoReads(t *testing.T) {
	p := newParser()
	for _, text := range plainMessages {
		if taken, where := bothWays(p, []byte(text)); !taken {
			t.Errorf("not plain enough:\n%s", text)
		} else if where != "" {
			t.Errorf("%s differs in\n%s", where, text)
		}
	}
}

// Finds of FuzzQuick, each named after what was read otherwise.
func TestQuickAndSlowReadTheSame(t *testing.T) {
	const via = "v: SIP/2.0/UDP h\r\n"
	const rest = "f: sip:a@b;tag=1\r\nt: <sip:a@b>\r\ni: q\r\nCSeq: 1 INVITE\r\n\r\n"
	for name, text := range map[string]string{
		"form feeds before a name are blanks":  "SIP/2.0 100 \r\n\f\fv: SIP/2.0/UDP h\r\n" + rest,
		"a vertical tab after a name is blank": "SIP/2.0 100 \r\nVia\v: SIP/2.0/UDP h\r\n" + rest,
		"a reason that begins with SIP":        "SIP/2.0 488 SIP-Codec\r\n" + via + rest,
		"a bracket in a parameter of a host":   "SIP/2.0 200 OK\r\nm: A <sip:h;x=a;y[z>\r\n" + via + rest,
	} {
		t.Run(name, func(t *testing.T) {
			if taken, where := bothWays(newParser(), []byte(text)); !taken {
				t.Error("a header that is not plain goes the slow way, not the whole message")
			} else if where != "" {
				t.Errorf("%s differs", where)
			}
		})
	}
}

// FuzzQuick: what the quick parser takes, it reads as sipgo does.
func FuzzQuick(f *testing.F) {
	for _, text := range plainMessages {
		f.Add([]byte(text))
	}
	torture, _ := filepath.Glob("../*/testdata/*/*.dat")
	for _, file := range torture {
		if b, err := os.ReadFile(file); err == nil {
			f.Add(b)
		}
	}
	p := newParser()
	f.Fuzz(func(t *testing.T, b []byte) {
		if i := bytes.Index(b, crlfcrlf); i >= 0 {
			b = b[:i+4] // what the callers give: up to and with the empty line
		}
		if _, where := bothWays(p, b); where != "" {
			t.Fatalf("%s differs in\n%q", where, b)
		}
	})
}
