package core_test

import "flag"

// go test ./sip/... -run Sim -seeds N hands -seeds to every test binary of the
// folder; only the simulator's (sip/sim) acts on it.
var _ = flag.Uint64("seeds", 0, "for the simulator in sip/sim")
