// Package sim runs the call core in virtual time: scripted peers, a network
// with seeded faults, a media relay and a journal in memory. Nothing sleeps and
// nothing is shared between goroutines, so a run is a pure function of its seed.
//
//	w := sim.New(sim.Config{Seed: 1})
//	caller := w.AddPeer(carrier, "192.0.2.10:5060")
//	callee := w.AddPeer(teams, "192.0.2.20:5061")
//	w.Plan = func(r *tandem.RouteRequest) tandem.Plan { ... }
//	callee.Script = func(*Incoming) Script { return Script{Steps: Ring(time.Second).Answer(5 * time.Second)} }
//	call := caller.Call(CallSpec{To: "+14255550100", HangUpAfter: time.Minute})
//	w.RunIdle(time.Hour)
//	problems := w.Check()
//
// Check states the invariants: every call ends; one final fact a call and one
// record a leg and attempt; every 2xx ACKed and every BYE answered; nothing left.
package sim
