package reply

import (
	"net/netip"
	"strings"
	"testing"

	gosip "github.com/emiago/sipgo/sip"

	"tandem"
	"tandem/sip"
)

func parse(t *testing.T, via string) *gosip.Request {
	t.Helper()
	m, err := gosip.ParseMessage([]byte("OPTIONS sip:a SIP/2.0\r\n" + via + "From: \"A, B\" <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 3 OPTIONS\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*gosip.Request)
}

func TestWhereAnswersGo(t *testing.T) {
	udp := sip.Flow{Trunk: "t", Transport: tandem.UDP, Source: netip.MustParseAddrPort("192.0.2.7:40000")}
	tls := sip.Flow{Trunk: "t", Transport: tandem.TLS, Conn: 9, Source: netip.MustParseAddrPort("192.0.2.7:40000")}
	for name, c := range map[string]struct {
		flow sip.Flow
		via  string
		port uint16
		want string
	}{
		"UDP: the Via's port (RFC 3261 18.2.2)": {udp, "SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1", 5070, "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1\r\n"},
		"UDP: 5060 when it names none":          {udp, "SIP/2.0/UDP host.test;branch=z9hG4bK1", 5060, ";received=192.0.2.7\r\n"},
		"UDP: the source port with rport":       {udp, "SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bK1", 40000, ";rport=40000;branch=z9hG4bK1;received=192.0.2.7\r\n"},
		"UDP: a lying received is replaced":     {udp, "SIP/2.0/UDP host.test;received=10.0.0.1;branch=z9hG4bK1", 5060, ";received=192.0.2.7;branch=z9hG4bK1\r\n"},
		"TLS: the connection":                   {tls, "SIP/2.0/TLS sip.test:5061;branch=z9hG4bK1", 40000, ";received=192.0.2.7\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			req := parse(t, "Via: "+c.via+"\r\nVia: SIP/2.0/UDP inner;branch=z9hG4bKi\r\n")
			to, msg := To(c.flow, req, 200, "OK", "Allow: X\r\n")
			if to.Port != c.port || to.Addr != c.flow.Source.Addr() || to.Conn != c.flow.Conn || to.Host != "" {
				t.Errorf("goes to %+v", to)
			}
			text := string(msg)
			for _, want := range []string{"SIP/2.0 200 OK\r\n", c.want, "Via: SIP/2.0/UDP inner;branch=z9hG4bKi\r\n", "From: \"A, B\" <sip:a@b>;tag=1\r\n", "To: <sip:c@d>;tag=td", "Call-ID: x\r\nCSeq: 3 OPTIONS\r\nAllow: X\r\nContent-Length: 0\r\n\r\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("lacks %q:\n%s", want, text)
				}
			}
			if _, again := To(c.flow, req, 200, "OK", "Allow: X\r\n"); string(again) != text {
				t.Error("a retransmission must be answered the same")
			}
			if v, _ := req.Via().Params.Get("received"); v == "192.0.2.7" {
				t.Error("the request was changed")
			}
		})
	}
}
