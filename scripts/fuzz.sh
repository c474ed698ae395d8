#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the time or count given
# (default 5s; 10000x is a count and never ends in the middle of an input), and
# ends with a table. PARALLEL workers per target (default 2); ONLY narrows the
# targets by an extended regular expression on "package target".
set -uo pipefail
cd "$(dirname "$0")/.."
limit=${1:-5s}
parallel=${PARALLEL:-2}
only=${ONLY:-.}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
ran=0
while IFS=: read -r file target; do
	dir=./$(dirname "$file")
	echo "$dir $target" | grep -qE "$only" || continue
	log=$folder/log
	# Making an interesting input smaller takes up to a minute each by default, and
	# where goroutines make coverage vary there is no end of interesting inputs.
	began=$(date +%s)
	result=ok
	if ! go test "$dir" -run '^$' -fuzz "^${target}\$" -fuzztime "$limit" -fuzzminimizetime 20x -parallel "$parallel" >"$log" 2>&1; then
		# go test reports the end of -fuzztime as a failure now and then (golang.org/issue/75804): no input is written then.
		if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
			result="ok (time ran out in the middle of an input)"
		else
			result=FAILED
			failed=$((failed + 1))
			cat "$log"
		fi
	fi
	execs=$(grep -oE 'execs: [0-9]+' "$log" | tail -n 1 | tr -dc 0-9)
	fresh=$(grep -oE 'new interesting: [0-9]+' "$log" | tail -n 1 | tr -dc 0-9)
	seconds=$(($(date +%s) - began))
	echo "fuzz: $dir $target ($limit): ${execs:-0} execs, $result"
	printf '%-26s %-24s %10s %8s %5ss  %s\n' "$dir" "$target" "${execs:-0}" "${fresh:-0}" "$seconds" "$result" >>"$folder/table"
	ran=$((ran + 1))
done < <(grep -rHoE --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' . | sed -E 's/^\.\///; s/:func /:/' | sort)
echo
printf '%-26s %-24s %10s %8s %6s  %s\n' package target execs corpus+ time result
sort "$folder/table"
echo "fuzz: $ran targets for $limit each, $failed failed"
[ "$failed" -eq 0 ]
