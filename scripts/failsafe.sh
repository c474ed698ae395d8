#!/usr/bin/env bash
# Measures failsafe forwarding: CALLS calls (default 1000) into every way in which
# Microsoft can fail, RATE a second (default 60), with the product's default bounds.
# The table goes to the terminal and to bench/results/failsafe-<date>.txt; the
# exit code says whether every promise was kept.
set -uo pipefail
cd "$(dirname "$0")/.."
calls=${CALLS:-1000}
rate=${RATE:-60}
file=bench/results/failsafe-$(date -u +%Y-%m-%d).txt
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p bench/results
{
	echo "date:    $(date -u +%Y-%m-%dT%H:%M:%SZ)"
	echo "commit:  $(git describe --tags --always --dirty 2>/dev/null || echo unknown)"
	echo "machine: $(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1), $(uname -sr), $(go version | cut -d ' ' -f 3)"
	echo "command: CALLS=$calls RATE=$rate make failsafe"
	echo "load:    $(cut -d ' ' -f 1-3 /proc/loadavg 2>/dev/null) at the start (the figures mean something on a machine that is idle else: see \"stall p99\")"
	echo
	echo "Times are from the call's INVITE, or from Microsoft's death while it rings, to the failsafe INVITE, as the emulators on"
	echo "the same machine see them; \"engine p99\" is the same by the call records. \"first met\": trust in Microsoft's addresses is"
	echo "unbroken for every call; \"known\": it is lost. \"stall p99\" is how late (ms) a goroutine ran that wanted to run each ms."
} >"$file"
cat "$file"
go test ./cmd/tandem -run 'TestFailsafe(Timed|UnderLoss)$' -v -count=1 -timeout 60m -failsafe-calls "$calls" -failsafe-rate "$rate" 2>&1 |
	tee "$log" | grep --line-buffered -vE '^(=== |--- | {4,}|PASS|FAIL|ok )' | tee -a "$file"
code=${PIPESTATUS[0]}
{
	echo
	if [ "$code" -eq 0 ]; then echo "every promise was kept"; else grep -E '^ {4}failsafe_.*(p99|wrong|answered by|statuses|rang)' "$log" | sed 's/^ *failsafe_[a-z_]*.go:[0-9]*: /not kept: /'; fi
} | tee -a "$file"
[ "$code" -eq 0 ] || tail -n 60 "$log"
exit "$code"
