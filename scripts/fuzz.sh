#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the time or count given
# (default 5s; 10000x is a count and never ends in the middle of an input).
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${1:-5s}
ran=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while IFS=: read -r file target; do
	dir=./$(dirname "$file")
	if ! go test "$dir" -run '^$' -fuzz "^${target}\$" -fuzztime "$limit" -parallel 2 >"$log" 2>&1; then
		# go test reports the end of -fuzztime as a failure now and then (golang.org/issue/75804): no input is written then.
		if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
			echo "fuzz: $dir $target: time ran out in the middle of an input"
		else
			cat "$log"
			exit 1
		fi
	fi
	echo "fuzz: $dir $target ($limit): $(grep -oE 'execs: [0-9]+' "$log" | tail -n 1)"
	ran=$((ran + 1))
done < <(grep -rHoE --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' . | sed -E 's/^\.\///; s/:func /:/')
echo "fuzz: $ran targets, no failure"
