package trunk

import (
	"strings"
	"testing"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "120 (busy)", "18000;duration=3600", "", "-1", "99999999999999999999", "soon"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		res := gosip.NewResponse(503, "x")
		res.AppendHeader(gosip.NewHeader("Retry-After", value))
		if d := retryAfter(res); d < 0 || d > 1<<31*time.Second {
			t.Fatalf("%q gives %v", value, d)
		}
	})
}

func FuzzBranch(f *testing.F) {
	for _, s := range []string{branchPrefix + "1.ff", branchPrefix + ".", branchPrefix, "z9hG4bKtd00.1", branchPrefix + "ffffffffffffffffff.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, branch string) {
		if _, ok := txOf(branch); ok && !strings.HasPrefix(branch, branchPrefix) {
			t.Fatalf("%q is not ours", branch)
		}
	})
}
