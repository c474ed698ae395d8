package relay

import "golang.org/x/sys/unix"

// reserved files are for everything else: connections, journal, store, engine.
const reserved = 1024

// socketLimit is RLIMIT_NOFILE, which Go raises to its hard limit at the start,
// less the reserve, or less an eighth where that is little.
func socketLimit() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	most := int64(limit.Cur)
	return most - min(most/8, reserved)
}
