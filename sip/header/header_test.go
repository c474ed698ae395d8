package header

import (
	"reflect"
	"strings"
	"testing"
)

func TestLookupKnowsCaseAndShortForms(t *testing.T) {
	for name, want := range map[string]ID{
		"Supported": Supported, "k": Supported, "K": Supported, "SESSION-EXPIRES": SessionExpires, "x": SessionExpires,
		"p-asserted-identity": PAssertedIdentity, "X-MS-TenantID": TenantID, "r": ReferTo, "b": ReferredBy, "o": Event, "e": ContentEncoding,
		"": 0, "X-Nothing": 0, strings.Repeat("a", 100): 0, "Via": 0,
	} {
		if got := Lookup(name); got != want {
			t.Errorf("Lookup(%q) = %d, want %d", name, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Lookup("P-Asserted-Identity") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParseAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []Address
		ok   bool
	}{
		"OK sip and tel": {`"Ann, B" <sip:+14255550100@a.example;user=phone>, <tel:+14255550100>`,
			[]Address{{"Ann, B", "sip:+14255550100@a.example;user=phone", ""}, {"", "tel:+14255550100", ""}}, true},
		"OK glued name":   {`John Doe<sip:+1@x>;index=1.1`, []Address{{"John Doe", "sip:+1@x", "index=1.1"}}, true},
		"OK addr-spec":    {`sip:+1@x;reason=unavailable`, []Address{{"", "sip:+1@x", "reason=unavailable"}}, true},
		"OK escaped":      {`"a \"b\"" <sip:x@y>`, []Address{{`a "b"`, "sip:x@y", ""}}, true},
		"OK empty item":   {`, <sip:x@y>,`, []Address{{"", "sip:x@y", ""}}, true},
		"OK reason in it": {`<sip:+1@x?Reason=SIP%3Bcause%3D302>;index=1`, []Address{{"", "sip:+1@x?Reason=SIP%3Bcause%3D302", "index=1"}}, true},
		"ErrEmpty":        {``, nil, false},
		"ErrNotClosed":    {`<sip:x@y`, nil, false},
		"ErrNoURI":        {`hello`, nil, false},
		"ErrLineFeed":     {"<sip:x@y>;a=b\nEvil: 1", nil, false},
		"ErrTail":         {`<sip:x@y> tail`, nil, false},
		"ErrSpaceInURI":   {`<sip:x y@z>`, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAddresses("PAI", c.in)
			if (err == nil) != c.ok || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q: %+v, %v", c.in, got, err)
			}
		})
	}
}

func TestUserPart(t *testing.T) {
	for in, want := range map[string]string{
		"sip:+14255550100;npdi;rn=+1@x": "+14255550100", "tel:+14255550100;phone-context=x": "+14255550100", "sip:%2B1425@x": "+1425",
		"sip:host": "", "sip:a:pw@x": "a", "nothing": "", "sip:911@x?Reason=a@b": "911",
	} {
		if got := URIUser(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestReason(t *testing.T) {
	list := ParseReason(`SIP;cause=480;text="a;b,c", Q.850;cause=16;text="Normal \"x\"", ;cause=3, Q.850;cause=999999`)
	q, ok := Q850(list)
	if !ok || q.Cause != 16 || q.Text != `Normal "x"` || len(list) != 3 {
		t.Errorf("%+v", list)
	}
	if got := string(q.Append(nil)); got != `Q.850;cause=16;text="Normal \"x\""` {
		t.Errorf("prints %s", got)
	}
	if got := string(ReasonValue{Protocol: "Q.850", Cause: 1, Text: "a\r\nX: \"y\\"}.Append(nil)); got != `Q.850;cause=1;text="aX: \"y\\"` {
		t.Errorf("hostile text prints %s", got)
	}
	if _, ok := Q850(ParseReason("Q.850;cause=0")); ok {
		t.Error("cause 0 taken")
	}
}

func TestPrivacy(t *testing.T) {
	for in, want := range map[string]bool{"id": true, "user;id": true, "none": false, "id;none": false, "": false, "critical": false, "header, critical": true, "FULL": true, "history": false} {
		if got := ParsePrivacy(in).Withheld(); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestSessionHeaders(t *testing.T) {
	s, err := ParseSessionExpires(" 1800 ;Refresher=UAC")
	if err != nil || s != (SessionInterval{1800, RefresherUAC}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "x", "-1", "99999999999", ";refresher=uac"} {
		if _, err := ParseSessionExpires(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	if n, err := ParseRetryAfter("120 (busy);duration=3600"); err != nil || n != 120 {
		t.Errorf("Retry-After %d, %v", n, err)
	}
	if n, err := ParseMinSE("4294967295"); err != nil || n != maxInterval {
		t.Errorf("Min-SE %d, %v", n, err)
	}
	if r, err := ParseRAck("776656 1 INVITE"); err != nil || r != (RAckValue{776656, 1, "INVITE"}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "1 2", "0 1 INVITE", "1 x INVITE", "1 2 INVITE x"} {
		if _, err := ParseRAck(bad); err == nil {
			t.Errorf("RAck %q accepted", bad)
		}
	}
}

func TestHistoryIndex(t *testing.T) {
	for in, want := range map[string]string{
		"<sip:a@x>;index=1,<sip:b@x>;index=1.1": "1.1.1", "<sip:a@x>": "1.1", "<sip:a@x>;index=1.x": "1.1", "<sip:a@x>;index=2": "2.1",
	} {
		list, err := ParseAddresses("History-Info", in)
		if err != nil {
			t.Fatal(err)
		}
		if got := NextIndex(list); got != want {
			t.Errorf("%s: next %s, want %s", in, got, want)
		}
	}
	got := string(AppendHistory(nil, "sip:+1@a", "sip:+2@b", "1", 503))
	if got != "<sip:+1@a;user=phone?Reason=SIP%3Bcause%3D503>;index=1,<sip:+2@b;user=phone;cause=503>;index=1.1;mp=1" {
		t.Error(got)
	}
	if list, err := ParseAddresses("History-Info", got); err != nil || len(list) != 2 || list[1].User() != "+2" {
		t.Errorf("reads back as %+v, %v", list, err)
	}
}

func TestMultipart(t *testing.T) {
	body := "preamble\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\nContent-Type: application/pidf+xml; charset=x\r\nContent-ID: <a>\r\n\r\n<p/>\r\n--b--\r\nepilogue"
	parts, err := SplitMultipart(`multipart/mixed; boundary="b"`, []byte(body))
	if err != nil || len(parts) != 2 || parts[0].Type != "application/sdp" || string(parts[0].Body) != "v=0\r\n" || string(parts[1].Body) != "<p/>" {
		t.Fatalf("%+v, %v", parts, err)
	}
	if !strings.Contains(string(parts[1].Raw), "Content-ID: <a>") {
		t.Error("part lost its headers")
	}
	for name, c := range map[string][2]string{
		"ErrNoBoundary": {"multipart/mixed", body}, "ErrNotClosed": {"multipart/mixed;boundary=b", "--b\r\n\r\nx"}, "ErrNoParts": {"multipart/mixed;boundary=zz", body},
	} {
		if _, err := SplitMultipart(c[0], []byte(c[1])); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
}

func TestTextCannotBeginAHeader(t *testing.T) {
	evil := "a\r\nEvil: yes\x00\n"
	for name, got := range map[string][]byte{
		"text": AppendText(nil, evil), "quoted": AppendQuoted(nil, evil), "user": AppendUser(nil, evil), "address": Address{Name: evil, URI: evil, Params: evil}.Append(nil),
		"diversion": AppendDiversion(nil, evil, evil, 1), "history": AppendHistory(nil, evil, evil, evil, 503),
	} {
		if !Clean(string(got)) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
