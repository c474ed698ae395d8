package emulate

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"tandem"
)

// controlled is what the control API drives: both emulators.
type controlled interface {
	starter
	Load(context.Context, LoadSpec) (LoadResult, error)
	Calls() []CallResult
	Find(id string) (CallResult, bool)
	SetFault(Fault) error
	ClearFaults(kind FaultKind, listener string) error
	Faults() []Fault
	Violations() []Violation
	Forget()
	state() any
	files() map[string]string
}

// controlServer is the HTTP control API of one emulator.
type controlServer struct {
	addr   netip.AddrPort
	server *http.Server
	wg     sync.WaitGroup
}

// maxBody bounds a request to the control API.
const maxBody = 1 << 20

func startControl(addr netip.AddrPort, c controlled) (*controlServer, error) {
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &controlServer{addr: ln.Addr().(*net.TCPAddr).AddrPort(), server: &http.Server{
		Handler: local(routes(c)), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}}
	s.server.RegisterOnShutdown(cancel)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer cancel()
		s.server.Serve(ln)
	}()
	return s, nil
}

func (s *controlServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	s.wg.Wait()
}

// local refuses what a web page could make a browser on this machine send: the
// Host of a rebound name, and any request with an Origin.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		ip, err := netip.ParseAddr(host)
		if (host != "localhost" && (err != nil || !ip.IsLoopback())) || r.Header.Get("Origin") != "" {
			reply(w, http.StatusForbidden, map[string]string{"error": "the control API is for this machine: use a loopback address, not from a web page"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func routes(c controlled) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) { reply(w, 200, c.state()) })
	mux.HandleFunc("GET /files", func(w http.ResponseWriter, r *http.Request) { reply(w, 200, c.files()) })
	mux.HandleFunc("GET /violations", func(w http.ResponseWriter, r *http.Request) { reply(w, 200, c.Violations()) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, r *http.Request) { reply(w, 200, c.Faults()) })
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if !read(w, r, &f) {
			return
		}
		if err := c.SetFault(f); err != nil {
			refuse(w, err)
			return
		}
		reply(w, 200, c.Faults())
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, r *http.Request) {
		if err := c.ClearFaults(FaultKind(r.FormValue("fault")), r.FormValue("listener")); err != nil {
			refuse(w, err)
			return
		}
		reply(w, 200, c.Faults())
	})
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		calls := c.Calls()
		if r.FormValue("full") == "" {
			for i := range calls { // the ladder of one call is at /calls/ID
				calls[i].Log, calls[i].Ladder, calls[i].Invite, calls[i].Response, calls[i].Offer, calls[i].Answer = nil, "", nil, nil, "", ""
			}
		}
		reply(w, 200, calls)
	})
	mux.HandleFunc("GET /calls/{id}", func(w http.ResponseWriter, r *http.Request) {
		call, ok := c.Find(r.PathValue("id"))
		if !ok {
			refuse(w, &tandem.Error{Kind: tandem.KindNotFound, Message: "there is no such call", Mend: "see GET /calls"})
			return
		}
		reply(w, 200, call)
	})
	mux.HandleFunc("DELETE /calls", func(w http.ResponseWriter, r *http.Request) {
		c.Forget()
		reply(w, 200, []CallResult{})
	})
	mux.HandleFunc("POST /calls", func(w http.ResponseWriter, r *http.Request) {
		var spec CallSpec
		if !read(w, r, &spec) {
			return
		}
		rec, err := c.begin(spec)
		if err != nil {
			refuse(w, err)
			return
		}
		if r.FormValue("async") != "" {
			reply(w, http.StatusAccepted, rec.snapshot())
			return
		}
		res, err := rec.result(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, 200, res)
	})
	mux.HandleFunc("POST /load", func(w http.ResponseWriter, r *http.Request) {
		var spec LoadSpec
		if !read(w, r, &spec) {
			return
		}
		res, err := c.Load(r.Context(), spec)
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, 200, res)
	})
	return mux
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var known *tandem.Error
		if !errors.As(err, &known) {
			known = &tandem.Error{Kind: tandem.KindInvalid, Message: "the body is not the JSON expected: " + tandem.Clip(err.Error(), 200), Mend: "see the emulate package's documentation"}
		}
		refuse(w, known)
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, err error) {
	reply(w, tandem.KindOf(err).HTTPStatus(), map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(body)
}
