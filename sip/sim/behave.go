package sim

import (
	"strconv"
	"strings"
	"time"
)

// crossing is when both sides of many calls do the same thing.
const crossing = 9 * time.Second

// script draws the behaviour of a callee.
func (r *Random) script() Script {
	ring, answer := r.Between(0, 3*time.Second), r.Between(500*time.Millisecond, 20*time.Second)
	s := Answers(ring, answer)
	if r.chance(0.4) {
		s.HangUpAfter = r.Between(time.Millisecond, 3*time.Minute)
	}
	if r.chance(0.2) {
		s.HangUpAfter = crossing
	}
	s.Then = r.then()
	switch r.Pick(24) {
	case 0, 1:
		statuses := []int{486, 480, 404, 408, 500, 503, 504, 603, 302, 401, 488, 422, 600, 487, 410}
		return Refuses(answer, statuses[r.Pick(len(statuses))], "")
	case 2: // never answers, after 100, after 180, or at all
		return Script{Steps: s.Steps[:r.Pick(3)]}
	case 3, 4: // 200 crosses CANCEL
		s.DeafToCancel = true
	case 5: // forks, two of them answer
		s.Steps = []Step{{Status: 100}, {After: ring, Status: 180, Fork: 1}, {After: ring + time.Millisecond, Status: 183, Fork: 2, SDP: true},
			{After: answer, Status: 200, Fork: 2, SDP: true}, {After: answer + r.Between(0, 2*time.Second), Status: 200, Fork: 1, SDP: true}}
	case 6: // three forks, all answer, one of them without having rung
		s.Steps = []Step{{Status: 100}, {After: ring, Status: 180, Fork: 1}, {After: ring, Status: 180, Fork: 2}, {After: answer, Status: 200, Fork: 1, SDP: true},
			{After: answer, Status: 200, Fork: 3, SDP: true}, {After: answer + r.Between(0, 40*time.Second), Status: 200, Fork: 2, SDP: true}}
		s.DeafToCancel = true
	case 7: // answers without ringing, late
		s.Steps = []Step{{After: r.Between(0, 90*time.Second), Status: 200, SDP: true}}
		s.DeafToCancel = true
	case 8: // no media, or media that cannot be
		s.Steps[2].SDP = r.chance(0.5)
		s.Steps[2].Body = map[bool][]byte{true: []byte("v=0\r\nm=nonsense\r\n")}[s.Steps[2].SDP]
	case 9:
		s.Steps = []Step{{Status: 100}, {After: ring, Status: 183, SDP: true}, {After: answer, Status: 200, SDP: true, Extra: "Session-Expires: 90;refresher=uac\r\n"}}
	case 10: // refuses, then answers
		s.Steps = append(Refuses(answer, 486, "").Steps, Step{After: answer + r.Between(0, time.Second), Status: 200, SDP: true, Again: true})
	case 11: // answers, then refuses, then answers again, then rings
		s.Steps = append(s.Steps, Step{After: answer + 40*time.Millisecond, Status: 486, Again: true}, Step{After: answer + 50*time.Millisecond, Status: 200, SDP: true, Again: true},
			Step{After: answer + 60*time.Millisecond, Status: 180, Again: true})
	case 12, 13, 14: // says nonsense besides
		for range 1 + r.Pick(4) {
			s.Steps = append(s.Steps, Step{After: r.Between(0, answer+5*time.Second), Status: []int{100, 180, 183, 200, 486}[r.Pick(5)], SDP: true, Again: true, Spoil: r.spoilResponse()})
		}
	}
	return s
}

// then draws what a side does while the call is up.
func (r *Random) then() []Then {
	if !r.chance(0.25) {
		return nil
	}
	at := r.Between(time.Millisecond, 30*time.Second)
	if r.chance(0.5) {
		at = crossing - 4*time.Second // both sides at once: glare
	}
	switch r.Pick(9) {
	case 0, 1, 2:
		return []Then{{at, func(d *Dialog) { r.insist(d, "INVITE", SDP(3+r.Pick(9)), 3) }}}
	case 3:
		return []Then{{at, func(d *Dialog) { r.insist(d, "UPDATE", SDP(3+r.Pick(9)), 3) }}}
	case 4: // no offer
		return []Then{{at, func(d *Dialog) { r.insist(d, "INVITE", nil, 1) }}}
	case 5:
		return []Then{{at, func(d *Dialog) { r.insist(d, "UPDATE", nil, 1) }}}
	case 6: // hold and resume
		hold := append(SDP(4), "a=inactive\r\n"...)
		return []Then{{at, func(d *Dialog) { r.insist(d, "INVITE", hold, 2) }}, {at + 7*time.Second, func(d *Dialog) { r.insist(d, "INVITE", SDP(5), 2) }}}
	case 7: // two at once
		return []Then{{at, func(d *Dialog) { d.Modify("INVITE", SDP(3), nil) }}, {at + time.Millisecond, func(d *Dialog) { d.Modify("INVITE", SDP(4), nil) }}}
	}
	return []Then{{at, func(d *Dialog) {
		if d.Over || d.byeSent {
			return
		}
		methods := []string{"INFO", "OPTIONS", "PRACK", "REFER", "NOTIFY", "BANANA", "MESSAGE"}
		d.Send(methods[r.Pick(len(methods))], []byte("Signal=5\r\n"), "Content-Type: application/dtmf-relay\r\n", nil)
	}}}
}

// insist tries a modification again after glare (RFC 3261 14.1).
func (r *Random) insist(d *Dialog, method string, sdp []byte, tries int) {
	d.Modify(method, sdp, func(status int) {
		if status == 491 && tries > 1 {
			r.After(r.Between(0, 4*time.Second), func() { r.insist(d, method, sdp, tries-1) })
		}
	})
}

// onModify draws how a re-INVITE or UPDATE is answered.
func (r *Random) onModify() (int, time.Duration) {
	switch r.Pick(20) {
	case 0:
		return 488, 0
	case 1:
		return []int{491, 500, 503, 481, 408, 603}[r.Pick(6)], r.Between(0, time.Second)
	case 2:
		return 200, r.Between(time.Millisecond, 20*time.Second)
	case 3:
		if r.chance(0.3) {
			return 0, -1
		}
	}
	return 200, 0
}

// spoilResponse draws how a response becomes nonsense.
func (r *Random) spoilResponse() func(string) string {
	r.Count.Nonsense++
	n := strconv.Itoa(r.Pick(1 << 20))
	swap := func(old, new string) func(string) string {
		return func(m string) string { return strings.Replace(m, old, new, 1) }
	}
	list := []func(string) string{
		swap("SIP/2.0 2", "SIP/2.0 9"),
		swap("SIP/2.0 18", "SIP/2.0 19"),
		swap("SIP/2.0 200", "SIP/2.0 299"),
		swap(" INVITE\r\n", " BYE\r\n"),
		swap(" INVITE\r\n", " CANCEL\r\n"),
		swap("branch=z9hG4bK", "branch=z9hG4bK"+n),
		swap("Call-ID: ", "Call-ID: x"+n),
		swap("CSeq: ", "CSeq: 9"),
		swap("Contact: <sip:peer@", "X-Contact: <sip:peer@"),
		swap("Contact: <sip:peer@", "Contact: <sip:peer@%00"),
		swap("application/sdp", "text/plain"),
		swap("application/sdp", "multipart/mixed;boundary=x"),
		swap("Content-Length: ", "Session-Expires: 99999999999\r\nContent-Length: "),
		swap("Content-Length: ", "Record-Route: <sip:203.0.113."+strconv.Itoa(r.Pick(250))+":1;lr>\r\nContent-Length: "),
		swap("Content-Length: ", "Retry-After: -1\r\nRequire: everything\r\nReason: ;;cause=\r\nContent-Length: "),
		swap("m=audio", "m=nonsense"),
		swap(";tag=", ";gat="),
		func(m string) string { // no To tag
			head, rest, ok := strings.Cut(m, "\r\nTo: ")
			to, rest, more := strings.Cut(rest, "\r\n")
			if !ok || !more {
				return m
			}
			to, _, _ = strings.Cut(to, ";tag=")
			return head + "\r\nTo: " + to + "\r\n" + rest
		},
	}
	return list[r.Pick(len(list))]
}

// spoilRequest draws how an INVITE becomes nonsense.
func (r *Random) spoilRequest() func(string) string {
	r.Count.Nonsense++
	list := [][2]string{
		{"Max-Forwards: 70", "Max-Forwards: 0"},
		{"Contact: <", "X-Contact: <"},
		{"application/sdp", "text/plain"},
		{"INVITE sip:", "INVITE http:"},
		{"Supported: timer", "Require: banana"},
		{"m=audio", "m=nonsense"},
		{"Supported: timer", "Supported: timer\r\nSession-Expires: 5"},
	}
	pair := list[r.Pick(len(list))]
	return func(m string) string { return strings.Replace(m, pair[0], pair[1], 1) }
}
