package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"tandem"
)

// startProfiles serves Go's profiles for `go tool pprof`, when http.pprof names
// an address. It asks for no token: the configuration keeps it on the loopback.
func (n *Node) startProfiles(context.Context) error {
	if n.config.HTTP.Pprof == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	listener, err := net.Listen("tcp", n.config.HTTP.Pprof)
	if err != nil {
		return &tandem.Error{Kind: tandem.KindConflict, Field: "http.pprof", Message: n.config.HTTP.Pprof + " can't be listened on",
			Mend: "choose another port, or stop the program that holds it", Err: err}
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	n.goRun(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.logError("serve profiles", err)
		}
	})
	n.onClose(func() { _ = server.Close() })
	n.log.Info("profiles are served", "address", n.config.HTTP.Pprof)
	return nil
}
