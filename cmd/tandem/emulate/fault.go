package emulate

import (
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"

	"tandem"
	"tandem/sip/ua"
)

// FaultKind is a way to misbehave.
type FaultKind string

// The faults. Those of the first group act on connections, of the second on
// requests; a number such as "503" is FaultStatus with that status.
const (
	FaultRefuse      FaultKind = "refuse"              // the port is closed: connection refused; open connections are reset
	FaultClose       FaultKind = "close"               // accepts and closes at once
	FaultRST         FaultKind = "rst"                 // accepts and resets at once
	FaultBlackhole   FaultKind = "blackhole"           // accepts TCP, never answers; open connections fall silent
	FaultTLSAlert    FaultKind = "tls_alert"           // refuses every handshake with an alert
	FaultExpiredCert FaultKind = "expired_certificate" // presents a certificate of last year
	FaultWrongName   FaultKind = "wrong_name"          // presents a certificate for another name
	FaultUnknownCA   FaultKind = "unknown_ca"          // presents a self-signed certificate
	FaultSlowTLS     FaultKind = "slow_tls"            // begins the handshake after Delay

	FaultStatus        FaultKind = "status"          // answers Status, with Retry-After when RetryAfter is not 0; CloseAfter closes the connection
	FaultSilent        FaultKind = "silent"          // connected, but no response at all
	FaultOptionsOnly   FaultKind = "options_only_ok" // OPTIONS answered, INVITE silent (or Status)
	FaultSlowTrying    FaultKind = "slow_trying"     // 100 after Delay, then as usual
	FaultTryingOnly    FaultKind = "trying_only"     // 100, then nothing
	FaultResetTrying   FaultKind = "reset_after_100" // connection reset Delay after 100
	FaultResetRinging  FaultKind = "reset_after_180" // connection reset Delay after 180
	FaultLateCancel200 FaultKind = "late_200"        // rings; answers 200 to the INVITE Delay after the CANCEL
	FaultLateAnswer    FaultKind = "late_answer"     // nothing for Delay, then 200: for a caller that moved on
	FaultNoBye         FaultKind = "no_bye_response" // BYE stays unanswered
	FaultNoAck         FaultKind = "no_ack"          // our own calls never send the ACK to a 200
	FaultLoss          FaultKind = "loss"            // Percent of UDP datagrams, SIP and RTP, vanish in each direction
)

var connectionFaults = map[FaultKind]bool{FaultRefuse: true, FaultClose: true, FaultRST: true, FaultBlackhole: true,
	FaultTLSAlert: true, FaultExpiredCert: true, FaultWrongName: true, FaultUnknownCA: true, FaultSlowTLS: true}

var requestFaults = map[FaultKind]bool{FaultStatus: true, FaultSilent: true, FaultOptionsOnly: true, FaultSlowTrying: true,
	FaultTryingOnly: true, FaultResetTrying: true, FaultResetRinging: true, FaultLateCancel200: true, FaultLateAnswer: true,
	FaultNoBye: true, FaultNoAck: true, FaultLoss: true}

// Fault is one misbehaviour and where it applies.
type Fault struct {
	Kind FaultKind `json:"fault"`
	// Listener limits it to the listener of that name; "" = all.
	Listener string `json:"listener,omitempty"`
	// Method limits a request fault to INVITE or OPTIONS; "" = both.
	Method string `json:"method,omitempty"`
	// Host limits a request fault to one Contact host: down for one tenant only.
	Host   string `json:"host,omitempty"`
	Status int    `json:"status,omitempty"`
	// RetryAfter in seconds for 503.
	RetryAfter int `json:"retry_after,omitempty"`
	// Reason is the value of the Reason header that goes with Status.
	Reason     string          `json:"reason,omitempty"`
	CloseAfter bool            `json:"close_after,omitempty"`
	Delay      tandem.Duration `json:"delay,omitempty"`
	Percent    int             `json:"percent,omitempty"`
	// Count ends the fault after so many hits; 0 = until it is cleared.
	Count int `json:"count,omitempty"`
	Hits  int `json:"hits,omitempty"` // reported, not set
}

// ParseFault completes a fault: "503" becomes FaultStatus with that status.
func ParseFault(f Fault) (Fault, error) {
	if n, err := strconv.Atoi(string(f.Kind)); err == nil {
		f.Kind, f.Status = FaultStatus, n
	}
	if !connectionFaults[f.Kind] && !requestFaults[f.Kind] {
		return f, &tandem.Error{Kind: tandem.KindInvalid, Field: "fault", Message: fmt.Sprintf("%q is unknown", tandem.Clip(string(f.Kind), 40)),
			Mend: "use a SIP status or one of " + fmt.Sprint(FaultKinds())}
	}
	if f.Kind == FaultStatus && (f.Status < 300 || f.Status > 699) {
		return f, &tandem.Error{Kind: tandem.KindInvalid, Field: "status", Message: fmt.Sprintf("%d is not a SIP failure status", f.Status), Mend: "use 300 to 699"}
	}
	if !ua.Clean(f.Reason) {
		return f, &tandem.Error{Kind: tandem.KindInvalid, Field: "reason", Message: "the reason holds CR, LF or NUL", Mend: "write it on one line"}
	}
	if f.Percent < 0 || f.Percent > 100 || (f.Kind == FaultLoss && f.Percent == 0) {
		return f, &tandem.Error{Kind: tandem.KindInvalid, Field: "percent", Message: fmt.Sprintf("%d per cent", f.Percent), Mend: "use 1 to 100"}
	}
	if f.Delay < 0 || f.Delay.D() > time.Hour || f.Count < 0 || f.RetryAfter < 0 {
		return f, &tandem.Error{Kind: tandem.KindInvalid, Field: "delay", Message: "delay, count and retry_after must not be negative, nor the delay over an hour", Mend: "correct the number"}
	}
	f.Hits = 0
	return f, nil
}

// FaultKinds lists the words.
func FaultKinds() []string {
	var words []string
	for k := range connectionFaults {
		words = append(words, string(k))
	}
	for k := range requestFaults {
		words = append(words, string(k))
	}
	sort.Strings(words)
	return words
}

// faultTable holds the faults in force, one per kind and listener.
type faultTable struct {
	mu   sync.Mutex
	list []*Fault
}

func (t *faultTable) set(f Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, old := range t.list {
		if old.Kind == f.Kind && old.Listener == f.Listener && old.Method == f.Method && old.Host == f.Host {
			t.list[i] = &f
			return
		}
	}
	t.list = append(t.list, &f)
}

// clear removes the faults of a kind and listener; "" = any.
func (t *faultTable) clear(kind FaultKind, listener string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.list[:0]
	for _, f := range t.list {
		if (kind != "" && f.Kind != kind) || (listener != "" && f.Listener != listener) {
			kept = append(kept, f)
		}
	}
	t.list = kept
}

func (t *faultTable) all() []Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Fault, 0, len(t.list))
	for _, f := range t.list {
		out = append(out, *f)
	}
	return out
}

// take finds the first fault in force that match accepts and counts a hit.
func (t *faultTable) take(listener string, match func(*Fault) bool) (Fault, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.list {
		if f.Listener != "" && f.Listener != listener || f.Count > 0 && f.Hits >= f.Count || !match(f) {
			continue
		}
		f.Hits++
		return *f, true
	}
	return Fault{}, false
}

// has is take without a hit.
func (t *faultTable) has(listener string, kinds ...FaultKind) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.list {
		if f.Listener != "" && f.Listener != listener || f.Count > 0 && f.Hits >= f.Count {
			continue
		}
		for _, k := range kinds {
			if f.Kind == k {
				return true
			}
		}
	}
	return false
}

// request finds the fault for a request; host is its Contact host.
func (t *faultTable) request(listener, method, host string) (Fault, bool) {
	return t.take(listener, func(f *Fault) bool {
		switch {
		case !requestFaults[f.Kind] || f.Kind == FaultLoss || f.Kind == FaultNoAck || f.Kind == FaultNoBye:
			return false
		case f.Host != "" && f.Host != host:
			return false
		case f.Kind == FaultOptionsOnly || f.Kind == FaultSlowTrying || f.Kind == FaultTryingOnly || f.Kind == FaultResetTrying ||
			f.Kind == FaultResetRinging || f.Kind == FaultLateCancel200 || f.Kind == FaultLateAnswer:
			return method == "INVITE"
		}
		return f.Method == "" || f.Method == method
	})
}

// lossPercent is the rate of FaultLoss; packets are not counted as hits.
func (t *faultTable) lossPercent() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.list {
		if f.Kind == FaultLoss {
			return f.Percent
		}
	}
	return 0
}
