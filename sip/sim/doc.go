// Package sim runs the call core in virtual time: scripted peers, a network
// with seeded faults, a media relay in memory and a journal. Nothing sleeps and
// the world has one goroutine, so a run is a pure function of its seed.
//
//	w := sim.New(sim.Config{Seed: 1})
//	caller := w.AddPeer(carrier, "192.0.2.10:5060", tandem.UDP)
//	callee := w.AddPeer(teams, "192.0.2.20:5061", tandem.TLS)
//	w.Plan = func(r *tandem.RouteRequest) tandem.Plan { ... }
//	callee.Script = func(*Incoming) Script { return Answers(time.Second, 5*time.Second) }
//	call := caller.Call(CallSpec{To: "+14255550100", HangUpAfter: time.Minute})
//	w.RunIdle(time.Hour)
//	problems := w.Check()
//
// Random makes worlds full of random calls in a Weather of faults. The tests of
// this package put the real routing table, tariff, journal, rows and ledger
// around it: go test ./sip/... -run Sim -seeds N, or make sim.
//
// What holds in every run is listed by Invariants. It is checked in three
// places: wire.go looks at every message at the core's door, after the network
// has done its worst to it; books.go follows the facts as they are written; the
// peers, which share no code with the core, notice what nobody acknowledges,
// answers or ends. Check adds what may not be left over.
//
// A crash falls into a turn of the core: some of its facts are written, some of
// its messages have left. What is on the journal then is all that the next
// process knows; the peers find out by themselves.
package sim
