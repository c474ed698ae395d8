package header

import (
	"strings"
	"testing"
)

// What parses prints as something clean that parses to the same entries.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{`"A" <sip:+1@x;user=phone>;index=1, tel:+1`, `<sip:a@b?Reason=SIP%3Bcause%3D302>`, "<", `"\`, ",,,", "sip:;", "<sip:%0d%0a@x>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseAddresses("X", s)
		if err != nil {
			return
		}
		for _, a := range list {
			_ = a.User()
			out := string(a.Append(nil))
			if !Clean(out) {
				t.Fatalf("%q prints %q", s, out)
			}
			again, err := ParseAddresses("X", out)
			if err != nil || len(again) < 1 || again[0].URI != a.URI {
				t.Fatalf("%q prints %q, reads back %+v, %v", s, out, again, err)
			}
		}
	})
}

func FuzzReason(f *testing.F) {
	for _, s := range []string{`Q.850;cause=16;text="x"`, `SIP ;cause=200 ;text="Call completed elsewhere"`, `;;;`, `"`, `a;text="\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range ParseReason(s) {
			if out := string(r.Append(nil)); !Clean(out) {
				t.Fatalf("%q prints %q", s, out)
			}
		}
	})
}

func FuzzSmallHeaders(f *testing.F) {
	for _, s := range []string{"1800;refresher=uac", "90", "id;critical", "1 2 INVITE", "5 (comment);x", "Supported"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseSessionExpires(s); err == nil && (v.Seconds < 0 || v.Seconds > maxInterval) {
			t.Fatalf("%q: %d", s, v.Seconds)
		}
		if n, err := ParseMinSE(s); err == nil && n < 0 {
			t.Fatal(n)
		}
		if n, err := ParseRetryAfter(s); err == nil && n < 0 {
			t.Fatal(n)
		}
		_, _ = ParseRAck(s)
		_ = ParsePrivacy(s)
		_ = Lookup(s)
		_ = HasToken(s, "x")
		_ = Unescape(s)
		if !Clean(string(AppendQuoted(nil, s))) || !Clean(string(AppendText(nil, s))) || !Clean(string(AppendUser(nil, s))) {
			t.Fatalf("%q prints unclean", s)
		}
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add("multipart/mixed;boundary=b", "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--")
	f.Add(`multipart/mixed;boundary="--"`, "------\n\n----")
	f.Add("multipart/mixed;boundary=b", "--b--b\n--b\n--b")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		parts, err := SplitMultipart(contentType, []byte(body))
		if err != nil {
			return
		}
		for _, p := range parts {
			if !strings.Contains(body, string(p.Raw)) || !strings.Contains(string(p.Raw), string(p.Body)) {
				t.Fatal("a part is not of the body")
			}
		}
	})
}

// What is made of addresses that were received is clean and reads back.
func FuzzRedirection(f *testing.F) {
	f.Add("<sip:a@b>;index=1, <sip:c@d>;index=1.1", "sip:+1@x?Reason=a%0d%0ab", "302")
	f.Add(`"x" <sip:a@b;p="q">;index=1.2.3.4.5;index="1"`, `sip:a"b<c>@x`, "unknown")
	f.Add("<sip:a@b>;index=99999999999999999999", "tel:+1;phone-context=x", `a"b`)
	f.Fuzz(func(t *testing.T, list, uri, reason string) {
		entries, _ := ParseAddresses("History-Info", list)
		next := NextIndex(entries)
		if !validIndex(next) {
			t.Fatalf("index %q after %q", next, list)
		}
		for _, out := range [][]byte{AppendHistory(nil, uri, uri, next, len(reason)), AppendDiversion(nil, uri, reason, len(list)%100)} {
			if !Clean(string(out)) {
				t.Fatalf("%q %q print %q", uri, reason, out)
			}
		}
		_ = URIUser(uri)
		mediaType, params := MediaType(list)
		_, _ = Param(params, "boundary")
		_, _ = Param(list, mediaType)
		_ = Unquote(reason)
	})
}
