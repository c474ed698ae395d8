package srtp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const inline = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"

func TestParseCrypto(t *testing.T) {
	for name, c := range map[string]struct {
		in  string
		tag int
		mki int
		err error
	}{
		"OK":                          {"1 AES_CM_128_HMAC_SHA1_80 " + inline, 1, 0, nil},
		"lifetime":                    {"0 AES_CM_128_HMAC_SHA1_80 " + inline + "|2^31", 0, 0, nil},
		"lifetime and MKI":            {"3 AES_CM_128_HMAC_SHA1_80 " + inline + "|2^31|1:1", 3, 1, nil},
		"MKI alone":                   {"3 AES_CM_128_HMAC_SHA1_32 " + inline + "|1:4", 3, 4, nil},
		"two keys":                    {"1 AES_CM_128_HMAC_SHA1_80 " + inline + "|2^20|1:4;" + inline + "|2^20|2:4", 1, 4, nil},
		"window hint":                 {"1 AES_CM_128_HMAC_SHA1_80 " + inline + " WSH=64", 1, 0, nil},
		"lower case":                  {"1 aes_cm_128_hmac_sha1_80 INLINE:" + inline[7:], 1, 0, nil},
		"ErrSuite":                    {"1 AEAD_AES_128_GCM " + inline, 0, 0, ErrSuite},
		"ErrSessionUnencrypted":       {"1 AES_CM_128_HMAC_SHA1_80 " + inline + " UNENCRYPTED_SRTP", 0, 0, ErrSession},
		"ErrSessionKeyDerivationRate": {"1 AES_CM_128_HMAC_SHA1_80 " + inline + " KDR=1", 0, 0, ErrSession},
		"ErrTag":                      {"x AES_CM_128_HMAC_SHA1_80 " + inline, 0, 0, ErrSyntax},
		"ErrTagTooLong":               {"1234567890 AES_CM_128_HMAC_SHA1_80 " + inline, 0, 0, ErrSyntax},
		"ErrShortKey":                 {"1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", 0, 0, ErrSyntax},
		"ErrBase64":                   {"1 AES_CM_128_HMAC_SHA1_80 inline:!" + inline[8:], 0, 0, ErrSyntax},
		"ErrMethod":                   {"1 AES_CM_128_HMAC_SHA1_80 uri:" + inline[7:], 0, 0, ErrSyntax},
		"ErrMKILength":                {"1 AES_CM_128_HMAC_SHA1_80 " + inline + "|1:999", 0, 0, ErrSyntax},
		"ErrEmpty":                    {"", 0, 0, ErrSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCrypto(c.in)
			if !errors.Is(err, c.err) || err == nil && (got.Tag != c.tag || got.MKI != c.mki) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestCryptoRoundTrip(t *testing.T) {
	k, err := NewKey(AESCM80, bytes.NewReader(bytes.Repeat([]byte{0xA5}, 30)))
	if err != nil {
		t.Fatal(err)
	}
	text := Crypto{Tag: 4, Key: k}.String()
	back, err := ParseCrypto(text)
	if err != nil || !back.Key.Equal(k) || back.Tag != 4 || !strings.HasSuffix(text, "|2^31") {
		t.Errorf("%q reads back as %v, %v", text, back, err)
	}
	if _, err := NewKey(AESCM80, bytes.NewReader(make([]byte, 20))); err == nil {
		t.Error("a short random source must be an error")
	}
}

// TestKeysDoNotPrint: a key in a log is a call anyone can hear.
func TestKeysDoNotPrint(t *testing.T) {
	k := testKey(AESCM80)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, k); strings.Contains(s, "7") && !strings.Contains(s, "hidden") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

func FuzzParseCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 " + inline + "|2^31|1:1")
	f.Add("0 AES_CM_128_HMAC_SHA1_32 " + inline + " WSH=64")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCrypto(s)
		if err != nil {
			return
		}
		back, err := ParseCrypto(c.String())
		if err != nil || !back.Key.Equal(c.Key) || back.Tag != c.Tag {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func FuzzReceiver(f *testing.F) {
	p := packet(1, 2, 20)
	n, _ := NewSender(testKey(AESCM80)).RTP(NewScratch(), p[:cap(p)], len(p))
	f.Add(p[:n])
	f.Add(report(1))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := NewReceiver(testKey(AESCM80), len(p)%5)
		if n, err := r.RTP(NewScratch(), bytes.Clone(p)); err == nil && n > len(p) {
			t.Error("grew")
		}
		if n, err := r.RTCP(NewScratch(), bytes.Clone(p)); err == nil && n > len(p) {
			t.Error("grew")
		}
	})
}
