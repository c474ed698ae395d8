#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the time given (default 5s).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}
ran=0
while IFS=: read -r file target; do
	dir=./$(dirname "$file")
	echo "fuzz: $dir $target ($time)"
	go test "$dir" -run '^$' -fuzz "^${target}\$" -fuzztime "$time" -parallel 2 | tail -n 1
	ran=$((ran + 1))
done < <(grep -rHoE --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' . | sed -E 's/^\.\///; s/:func /:/')
echo "fuzz: $ran targets, no failure"
