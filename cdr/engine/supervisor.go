package engine

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"tandem"
)

// Config of a Supervisor.
type Config struct {
	Library   string // explicit path of libchdb.so; empty: Locate searches
	DataDir   string // the engine's folder; the journal and store live elsewhere
	SearchDir string // data folder of the product, for Locate
	MaxMemory int64  // bytes one query may use; 0 = 2 GiB
	// Command makes the child's command line; nil = this binary's `engine`
	// subcommand with --library, --dir and --max-memory.
	Command func(library string) *exec.Cmd
	// RestartMin and RestartMax bound the pause before a restart.
	RestartMin, RestartMax time.Duration
	StartTimeout           time.Duration
}

// Deps of a Supervisor.
type Deps struct {
	Logger *slog.Logger
}

// State is what the supervisor knows of its child.
type State struct {
	Up       bool
	PID      int
	Address  string
	Restarts int
	Since    time.Time
	Reason   string // why it is not up, for people
}

// Supervisor keeps a child running. Make it with NewSupervisor, then Run it.
type Supervisor struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex
	state   State
	token   string
	changed chan struct{}
}

// NewSupervisor checks that the library exists; its error says how to install it.
func NewSupervisor(cfg Config, deps Deps) (*Supervisor, error) {
	library, err := Locate(cfg.Library, cfg.SearchDir)
	if err != nil {
		return nil, err
	}
	cfg.Library = library
	if cfg.RestartMin <= 0 {
		cfg.RestartMin = 100 * time.Millisecond
	}
	if cfg.RestartMax <= 0 {
		cfg.RestartMax = 15 * time.Second
	}
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = 30 * time.Second
	}
	if cfg.Command == nil {
		cfg.Command = func(library string) *exec.Cmd {
			binary, err := os.Executable()
			if err != nil {
				binary = os.Args[0]
			}
			return exec.Command(binary, "engine", "--library", library, "--dir", cfg.DataDir, "--max-memory", strconv.FormatInt(cfg.MaxMemory, 10))
		}
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{cfg: cfg, log: deps.Logger, changed: make(chan struct{}), state: State{Reason: "starting"}}, nil
}

// State is the present state.
func (s *Supervisor) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Ready waits until the child serves queries.
func (s *Supervisor) Ready(ctx context.Context) error {
	for {
		s.mu.Lock()
		state, changed := s.state, s.changed
		s.mu.Unlock()
		if state.Up {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the ClickHouse engine: %w (%s)", ctx.Err(), state.Reason)
		}
	}
}

// Run keeps a child up until ctx is done, and then ends it.
func (s *Supervisor) Run(ctx context.Context) {
	pause := s.cfg.RestartMin
	for {
		began := time.Now()
		err := s.runChild(ctx)
		if ctx.Err() != nil {
			s.set(State{Reason: "stopped"}, "")
			return
		}
		if time.Since(began) > 20*time.Second {
			pause = s.cfg.RestartMin
		}
		s.mu.Lock()
		restarts := s.state.Restarts + 1
		s.mu.Unlock()
		s.set(State{Restarts: restarts, Reason: err.Error()}, "")
		s.log.Warn("engine: child ended, it is started again", "err", err, "pause", pause, "restarts", restarts)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, s.cfg.RestartMax)
	}
}

func (s *Supervisor) set(state State, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state.Restarts = max(state.Restarts, s.state.Restarts)
	s.state, s.token = state, token
	close(s.changed)
	s.changed = make(chan struct{})
}

// runChild runs one child from start to end.
func (s *Supervisor) runChild(ctx context.Context) error {
	secret := make([]byte, 32)
	rand.Read(secret)
	token := hex.EncodeToString(secret)
	cmd := s.cfg.Command(s.cfg.Library)
	// Its own group: Ctrl-C in a terminal reaches tandem, which ends the child in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	tail := &tailWriter{}
	cmd.Stderr = tail
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	fmt.Fprintln(stdin, token)

	address := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(stdout)
		for first := true; lines.Scan(); first = false {
			if first {
				address <- lines.Text()
			}
		}
	}()
	exited := make(chan error, 1)
	go func() {
		<-drained // Wait closes the pipe: read it to its end before
		exited <- cmd.Wait()
	}()
	stop := func(grace time.Duration) {
		stdin.Close()
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-exited:
		case <-t.C:
			cmd.Process.Kill()
			<-exited
		}
	}
	starting := time.NewTimer(s.cfg.StartTimeout)
	defer starting.Stop()
	for {
		select {
		case a := <-address:
			starting.Stop()
			s.set(State{Up: true, PID: cmd.Process.Pid, Address: a, Since: time.Now()}, token)
			s.log.Info("engine: up", "pid", cmd.Process.Pid)
		case err := <-exited:
			stdin.Close()
			text := tail.String()
			if err == nil {
				err = errors.New("exit status 0")
			}
			if text != "" {
				return fmt.Errorf("engine ended: %w: %s", err, text)
			}
			return fmt.Errorf("engine ended: %w", err)
		case <-starting.C:
			stop(0)
			return fmt.Errorf("engine did not start within %v", s.cfg.StartTimeout)
		case <-ctx.Done():
			stop(5 * time.Second)
			return ctx.Err()
		}
	}
}

// RoundTripper sends requests to the present child, whatever address they name.
func (s *Supervisor) RoundTripper() http.RoundTripper {
	return &transport{s: s, next: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, DisableCompression: true}}
}

type transport struct {
	s    *Supervisor
	next *http.Transport
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.s.mu.Lock()
	state, token := t.s.state, t.s.token
	t.s.mu.Unlock()
	if !state.Up {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, &tandem.Error{Kind: tandem.KindUnavailable, Message: "the ClickHouse engine is not up: " + tandem.Clip(state.Reason, 300), Mend: "it is started again by itself; see tandem doctor"}
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "http", state.Address, state.Address
	r.Header.Set(tokenHeader, token)
	return t.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (t *transport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// tailWriter keeps the last 2 KB of what the child complains about.
type tailWriter struct {
	mu sync.Mutex
	b  []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - 2048; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tailWriter) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
