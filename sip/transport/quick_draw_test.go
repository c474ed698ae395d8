package transport

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// messageText draws a message out of the pieces that real ones are made of, each
// now and then replaced by something odd, so that most are plain but for one place.
func messageText(t *rapid.T) string {
	pick := func(list ...string) string { return rapid.SampledFrom(list).Draw(t, "") }
	// A draw of the largest number: rapid favours small ones, and makes a failing
	// message plainer by them.
	rare := func() bool { return rapid.IntRange(0, 99).Draw(t, "") == 99 && rapid.Bool().Draw(t, "") }
	odd := func(usual string, others ...string) string {
		if rare() {
			return pick(others...)
		}
		return usual
	}
	word := func() string {
		return rapid.StringOfN(rapid.RuneFrom([]rune("ab0Z.-_!~*'()%&$+@[]|/:=;?,<>\" \t\f\\é")), 0, 6, -1).Draw(t, "")
	}
	name := func() string { return odd(pick("a", "+14255550101", "alice", "sbc1"), word(), "") }
	host := func() string {
		return odd(pick("192.0.2.1", "sbc.example.net", "h"), "[2001:db8::1]", "*", "", word(), "192.0.2.1 ", "h%")
	}
	port := func() string {
		return odd(pick("", ":5060", ":443"), ":", ":0", ":99999999999", ":5x", " :5060", ":05060")
	}
	params := func(names ...string) (s string) {
		for range rapid.IntRange(0, 4).Draw(t, "") {
			s += odd(";", " ; ", ";;", "; ", " ;", ",") + odd(pick(names...), word(), "") +
				odd(pick("", "=z9hG4bK1", "=UDP", "=1"), "=", "= 1", `="q"`, `="q;r"`, "="+word(), " =1")
		}
		return s
	}
	uri := func() string {
		user := pick("", name()+"@")
		if user != "" {
			user = odd(user, name()+":pw@", name()+";cpc=x@", "@")
		}
		return odd(pick("sip:", "sips:"), "tel:", "SIP:", "sip:", "", "sip://") + user + host() + port() +
			params("transport", "user", "lr", "x-i", "maddr") + odd("", "?h=v", "?", "?a=b&c=d")
	}
	address := func() string {
		shown := odd(pick("", `"Alice" `, "Alice ", "Alice B ", `""`), `"A \" B" `, `"A, B" `, `"<x>" `, word(), `"a`, "a\"b\" ")
		if rare() {
			return uri() + params("tag")
		}
		return shown + odd("<", "< ", "") + uri() + odd(">", " >", "") + odd("", " ", "x") + params("tag", "q", "+sip.instance", "expires")
	}
	list := func(one func() string) string {
		s := one()
		for rare() {
			s += odd(",", " , ", ", ", ",,") + one()
		}
		return s
	}
	method := pick("INVITE", "BYE", "OPTIONS", "FOO", "ACK")
	var b strings.Builder
	if rapid.Bool().Draw(t, "") {
		b.WriteString(odd(method, strings.ToLower(method), word(), "") + odd(" ", "  ", "") + uri() + odd(" SIP/2.0", " SIP/3.0", " sip/2.0", " SIP/2.0 ", ""))
	} else {
		b.WriteString(odd("SIP/2.0 ", "SIP/2.0  ", "sip/2.0 ", "SIP/3.0 ") + odd(pick("100 ", "200 ", "488 "), "99 ", "0200 ", "700 ", "200", "2x0 ") +
			odd(pick("OK", "", "Not Acceptable Here", "SIP-Codec"), "sip", "SIPS x", word(), " "))
	}
	b.WriteString("\r\n")
	header := func(names []string, value func() string) {
		b.WriteString(odd(pick(names...), " "+names[0], names[0]+" ", names[0]+"\t", strings.ToUpper(names[0]), "\f"+names[0], word(), "X") +
			odd(": ", ":", " : ", ":\t", "") + value() + odd("", " ", "\t", "\f", "\v") + odd("\r\n", "\n", "\r\n ", "\r\n\t"))
	}
	via := func() string {
		return odd("SIP/2.0/", "SIP / 2.0 / ", "SIP/3.0/", "sip/2.0/", "") + odd(pick("UDP", "TLS", "TCP"), "udp", "", word()) + odd(" ", "  ", "\t", "") +
			host() + port() + params("branch", "rport", "received", "alias", "maddr")
	}
	for _, h := range []func(){
		func() { header([]string{"Via", "v", "VIA"}, func() string { return list(via) }) },
		func() { header([]string{"From", "f"}, address) },
		func() { header([]string{"To", "t"}, address) },
		func() {
			header([]string{"Call-ID", "i", "CALL-ID"}, func() string { return odd("1-29500@192.0.2.9", word(), "") })
		},
		func() {
			header([]string{"CSeq", "CSEQ"}, func() string {
				return odd(pick("1", "314159"), "", "99999999999", "-1", "01", "4294967295", "2147483648") + odd(" ", "  ", "\t", "") + odd(method, "INVITE", word(), "")
			})
		},
	} {
		if !rare() {
			h()
		}
		if rare() {
			h()
		}
	}
	for range rapid.IntRange(0, 6).Draw(t, "") {
		switch rapid.IntRange(0, 8).Draw(t, "") {
		case 0:
			header([]string{"Contact", "m"}, func() string { return list(address) })
		case 1:
			header([]string{"Record-Route", "Route"}, func() string { return list(address) })
		case 2:
			header([]string{"Content-Type", "c"}, func() string { return odd("application/sdp", "a/b;c=d", "multipart/mixed; boundary=\"x\"", word(), "") })
		case 3:
			header([]string{"Content-Length", "l"}, func() string { return odd("0", "17", " 0", "-1", "0x1", "99999999999", "", "1 2") })
		case 4:
			header([]string{"Max-Forwards"}, func() string { return odd("70", "0", "-1", "300", "70 ", "", "99999999999") })
		case 5:
			header([]string{"Supported", "k", "Session-Expires", "x"}, func() string { return odd("timer", word(), "") })
		case 6:
			header([]string{"Refer-To", "r", "Referred-By", "b"}, address)
		case 7:
			header([]string{"Via"}, via)
		default:
			header([]string{"P-Asserted-Identity", "User-Agent", "Allow", "X-MS-SBC"}, func() string { return odd("a b, c", word(), "") })
		}
	}
	return b.String() + "\r\n"
}

// TestQuickReadsDrawnMessages: FuzzQuick by structure instead of by octets.
func TestQuickReadsDrawnMessages(t *testing.T) {
	p := newParser()
	read, plain := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		head := []byte(messageText(rt))
		taken, where := bothWays(p, head)
		if where != "" {
			rt.Fatalf("%s differs in\n%q", where, head)
		}
		read++
		if taken {
			plain++
		}
	})
	if plain == 0 {
		t.Errorf("not one of %d messages was plain", read)
	}
	t.Logf("%d of %d messages were plain", plain, read)
}
