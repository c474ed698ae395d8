#!/usr/bin/env bash
# The torture proof in its full form: every message of RFC 4475 and 5118, hostile
# sources against a running load, hostile text, RTP of third parties. Ends with a
# table. SECONDS_EACH, LOAD (calls a second each way) and RATE (messages a second
# of a flood) change the hostile sources.
set -uo pipefail
cd "$(dirname "$0")/.."
each=${SECONDS_EACH:-10} load=${LOAD:-10} rate=${RATE:-50000}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "torture: $(date -u +%Y-%m-%dT%H:%MZ), commit $(git describe --tags --always --dirty)"
echo "machine: $(nproc) CPUs, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), load average $(cut -d' ' -f1 /proc/loadavg) at the start, $(go version | cut -d' ' -f3)"
echo "command: SECONDS_EACH=$each LOAD=$load RATE=$rate make torture"
echo
failed=0
part() { # name, package, tests, further arguments
	local name=$1 package=$2 tests=$3
	shift 3
	if go test "$package" -count 1 -timeout 20m -v -run "^($tests)\$" "$@" >"$log" 2>&1; then result=ok; else
		result=FAILED
		failed=1
	fi
	printf '%-34s %5s passed %4s skipped %4s failed  %s\n' "$name" "$(grep -c -- '--- PASS' "$log")" "$(grep -c -- '--- SKIP' "$log")" "$(grep -c -- '--- FAIL' "$log")" "$result"
	grep -E 'known deviation|attack  |load: ' -A 11 "$log" | sed -nE 's/^ +torture_test.go:[0-9]+: (known deviation.*)/    \1/p; s/^ +hostile_test.go:[0-9]+: (load: .*|attack  .*)/    \1/p; /^        [a-z].*[0-9]$/s/^    //p' | awk '!seen[$0]++'
	[ "$result" = ok ] || grep -E '^ +[a-z_]+_test.go' "$log" | head -n 20
}
part "RFC 4475 and 5118, UDP TCP TLS" ./cmd/tandem 'TestTorture|TestTortureCalls|TestTortureDoc'
part "bad messages, streams, offers" ./cmd/tandem 'TestBad.*'
part "hostile text" ./cmd/tandem 'TestInjection.*'
part "hostile sources under load" ./cmd/tandem TestHostileSources -hostile "${each}s" -hostile-load "$load" -hostile-rate "$rate"
part "RTP of third parties, tags, replays" ./media/relay 'TestThirdParty.*|TestBadTags.*|TestReplayed.*|TestPeerSources|TestSymmetricPort|TestMovedPeer'
part "limits of transport, engine, core" ./sip/... 'TestRates|TestQuiet.*|TestSourceOver.*|TestRefused.*|TestUnreadable.*|TestConnectionsAre.*|TestFailedHandshakes.*|TestOneTrunk.*|TestAllowance|TestRefusals.*|TestInvented.*|TestRepeatedHeaders.*|TestTortureFinds'
exit $failed
