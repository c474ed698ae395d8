package sim

import (
	"fmt"
	"strings"
)

// The ladder is the message log of a run: one line a message, seen from the
// core. -> leaves it, <- is on its way to it, .. is lost on the way, x> can't be
// sent, xx is a connection that dies, ** is what happens to the process.

func (w *World) log(arrow string, p *Peer, msg []byte, note string) {
	if !w.Logging {
		return
	}
	first, rest, _ := strings.Cut(string(msg), "\r\n")
	cseq, id := "", ""
	for line := range strings.SplitSeq(rest, "\r\n") {
		switch {
		case strings.HasPrefix(line, "CSeq:"):
			cseq = "[" + line + "]"
		case strings.HasPrefix(line, "Call-ID: "):
			id = "{" + line[len("Call-ID: "):] + "}"
		case line == "":
			if strings.Contains(rest, "m=audio") {
				cseq += " +SDP"
			}
		}
		if line == "" {
			break
		}
	}
	w.Ladder = append(w.Ladder, fmt.Sprintf("%s %s %-32s %-46s %s %s %s", w.Now.Format("15:04:05.000"), arrow, string(p.Trunk)+" "+p.name, clip(first, 46), cseq, id, note))
}

func (w *World) logNote(format string, args ...any) {
	if w.Logging {
		w.Ladder = append(w.Ladder, w.Now.Format("15:04:05.000")+" ** "+fmt.Sprintf(format, args...))
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n-1] + "~"
	}
	return s
}

// Suspects is the ladder of the first calls that problems were found in, with
// what happened to the process; the whole ladder when no call could be named.
// It is cut after limit lines.
func (w *World) Suspects(calls, limit int) []string {
	ids := map[string]bool{}
	legs := []map[string]string{w.wire.calls, w.wire.attempts} // Call-ID -> correlation
	for _, id := range w.suspects[:min(calls, len(w.suspects))] {
		ids[id] = true
		for _, of := range legs {
			if correlation, known := of[id]; known {
				ids[correlation] = true
			}
		}
	}
	for _, of := range legs {
		for id, correlation := range of {
			if ids[correlation] {
				ids[id] = true
			}
		}
	}
	var lines []string
	for _, line := range w.Ladder {
		_, id, _ := strings.Cut(line, "{")
		id, _, _ = strings.Cut(id, "}")
		if len(ids) == 0 || ids[id] || strings.Contains(line, " ** ") {
			lines = append(lines, line)
		}
		if len(lines) == limit {
			return append(lines, "...")
		}
	}
	return lines
}
