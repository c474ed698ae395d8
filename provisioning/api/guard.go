package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tandem"
)

// maxBody bounds requests; apply and import, which carry decks, have maxApplyBody.
const (
	importTimeout = time.Minute // of the body
	maxBody       = 1 << 20
	maxApplyBody  = 128 << 20
)

// guard puts what every request must pass before the mux: cheapest check first.
func guard(next http.Handler, cfg Config) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problemOf(&tandem.Error{Kind: tandem.KindForbidden, Message: "the request comes from another site", Mend: "use the portal itself, or send no Origin header"}))
	}))
	inner := origin.Handler(next)
	want := sha256.Sum256([]byte(cfg.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				cfg.Logger.Error("request handler failed", "path", tandem.Clip(r.URL.Path, 100), "err", v, "stack", string(debug.Stack()))
				writeProblem(w, problemOf(&tandem.Error{Kind: tandem.KindInternal}))
			}
		}()
		secureHeaders(w.Header())
		if cfg.Loopback && !localHost(r.Host, cfg.Hosts) {
			writeProblem(w, problemOf(&tandem.Error{Kind: tandem.KindForbidden, Field: "Host", Message: "host " + tandem.Clip(r.Host, 100) + " is not this node",
				Mend: "ask for 127.0.0.1 or localhost"}))
			return
		}
		reading := r.Method == http.MethodGet || r.Method == http.MethodHead || r.URL.Path == "/api/v1/route/explain" || r.URL.Path == "/api/v1/rate/explain"
		if r.URL.Path != "/healthz" && (!cfg.Loopback || !reading) && !authorized(r, cfg.Token, want) {
			if reading {
				w.Header().Set("WWW-Authenticate", `Basic realm="Tandem: any user, API token as password", charset="UTF-8"`)
			} else {
				w.Header().Set("WWW-Authenticate", `Bearer realm="Tandem"`)
			}
			writeProblem(w, problemOf(&tandem.Error{Kind: tandem.KindUnauthorized, Message: "the API token is missing or wrong",
				Mend: "send Authorization: Bearer with the content of the file api-token in the node's data folder"}))
			return
		}
		limit := int64(maxBody)
		if r.URL.Path == applyPath || strings.HasPrefix(r.URL.Path, "/api/v1/decks/") && strings.HasSuffix(r.URL.Path, "/import") {
			limit = maxApplyBody
		}
		if r.ContentLength > limit {
			writeProblem(w, problemOf(tooLarge(limit)))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		inner.ServeHTTP(w, r)
	})
}

// authorized compares in constant time; a node without a token authorizes nobody.
func authorized(r *http.Request, token string, want [sha256.Size]byte) bool {
	if token == "" {
		return false
	}
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		var basic bool
		if _, given, basic = r.BasicAuth(); !basic {
			return false
		}
	}
	have := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(have[:], want[:]) == 1
}

// localHost reports whether a Host header names this machine: a page of
// another site that had its name resolve to 127.0.0.1 would send its own.
func localHost(host string, allowed []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if a, err := netip.ParseAddr(name); err == nil {
		return a.Unmap().IsLoopback()
	}
	name = strings.ToLower(name)
	return name == "localhost" || slices.Contains(allowed, name)
}

func secureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // calls and customers stay out of caches
}
