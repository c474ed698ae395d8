#!/usr/bin/env bash
# The long simulation: the whole product under virtual time, 10,000 calls a seed,
# 100 seeds. Prints machine, commit, command, a line a seed, and the
# result table; a seed that fails prints how to reproduce it and its ladder.
#   scripts/sim.sh [calls [seeds]]     THREADS=4 runs four seeds at a time, default 2
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-10000}
seeds=${2:-100}
export GOGC=400 GOMAXPROCS=${THREADS:-2}
command="GOGC=400 GOMAXPROCS=$GOMAXPROCS go test ./sip/sim -run TestSim\$ -count 1 -timeout 3h -parallel $GOMAXPROCS -v -calls $calls -seeds $seeds"
echo "date:    $(date -u '+%Y-%m-%d %H:%M UTC')"
echo "machine: $(awk -F ': ' '/^model name/ {print $2; exit}' /proc/cpuinfo), $(nproc) CPUs, $(awk '/^MemTotal/ {printf "%.0f GB", $2 / 1e6}' /proc/meminfo), load $(cut -d ' ' -f 1 /proc/loadavg), $(go version | cut -d ' ' -f 3)"
echo "commit:  $(git describe --always --dirty)"
echo "command: $command"
echo
go test ./sip/sim -run 'TestSim$' -count 1 -timeout 3h -parallel "$GOMAXPROCS" -v -calls "$calls" -seeds "$seeds" | grep --line-buffered -v '^=== '
