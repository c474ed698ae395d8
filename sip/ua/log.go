package ua

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Direction of a logged message.
type logDirection bool

const (
	sent     logDirection = true
	received logDirection = false
)

// LogEntry is one message of a call as it went over the wire, repetitions included.
type LogEntry struct {
	At        time.Time `json:"at"`
	Sent      bool      `json:"sent"`
	Transport string    `json:"transport"`
	Local     string    `json:"local"`
	Remote    string    `json:"remote"`
	Summary   string    `json:"summary"`
	Text      string    `json:"text,omitempty"`
}

// maxLog bounds one call's log: a refresh every few minutes for a day fits.
const maxLog = 500

// Log is the ladder of one Call-ID.
type Log struct {
	mu      sync.Mutex
	entries []LogEntry
	skipped int
}

// Entries copies the log.
func (l *Log) Entries() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]LogEntry(nil), l.entries...)
}

// String draws the ladder: seconds since the first message, direction, peer, start line.
func (l *Log) String() string {
	entries := l.Entries()
	var b strings.Builder
	for _, en := range entries {
		arrow := "<--"
		if en.Sent {
			arrow = "-->"
		}
		fmt.Fprintf(&b, "%9.3f %s %-3s %-21s %s\n", en.At.Sub(entries[0].At).Seconds(), arrow, en.Transport, en.Remote, en.Summary)
	}
	if l.skipped > 0 {
		fmt.Fprintf(&b, "... and %d more\n", l.skipped)
	}
	return b.String()
}

// logFor makes or finds the log of a Call-ID. It lives until dropLog.
func (e *Endpoint) logFor(callID string) *Log {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.logs[callID]
	if l == nil {
		l = &Log{}
		e.logs[callID] = l
	}
	return l
}

func (e *Endpoint) dropLog(callID string) {
	e.mu.Lock()
	delete(e.logs, callID)
	e.mu.Unlock()
}

// trace adds a message to its call's log, if there is one.
func (e *Endpoint) trace(dir logDirection, c *Conn, m *Message, text []byte) {
	if dir == sent {
		e.stats.Sent.Add(1)
	}
	callID := m.CallID()
	e.mu.Lock()
	l := e.logs[callID]
	e.mu.Unlock()
	if l != nil {
		l.add(dir, c, m, text, time.Now(), e.cfg.KeepText)
	}
}

func (l *Log) add(dir logDirection, c *Conn, m *Message, text []byte, at time.Time, keepText bool) {
	en := LogEntry{At: at, Sent: bool(dir), Transport: string(c.Transport), Local: c.Local.String(), Remote: c.Remote.String(), Summary: m.Summary()}
	if keepText {
		if text == nil {
			text = m.Bytes(false)
		}
		en.Text = string(text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxLog {
		l.skipped++
		return
	}
	l.entries = append(l.entries, en)
}
