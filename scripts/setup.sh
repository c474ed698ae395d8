#!/usr/bin/env bash
# Installs what is missing, through the ordinary clients: Debian packages and
# npm. Says exactly what to install when it can't. Idempotent and quick when
# all is there.
#   scripts/setup.sh          what `make run` needs
#   scripts/setup.sh --test   and what `make test` needs
#   scripts/setup.sh --bench  and what `make bench` needs
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

command -v go >/dev/null || { say "Go 1.26 or newer is missing. Install it from your system or go.dev, then run make again."; exit 1; }

# debian COMMAND PACKAGE WHY: makes sure that COMMAND exists.
missing=()
debian() { command -v "$1" >/dev/null || missing+=("$2"); }

command -v node >/dev/null && command -v npm >/dev/null || debian npm npm
if [ "${1:-}" = "--test" ]; then
	debian sipp sip-tester
	debian chromium chromium
	debian baresip baresip-core
fi
if [ "${1:-}" = "--bench" ]; then
	debian sipp sip-tester
	debian taskset util-linux
	debian kamailio kamailio
	debian rtpengine rtpengine-daemon
fi

if [ ${#missing[@]} -gt 0 ]; then
	say "installing Debian packages: ${missing[*]}"
	if ! command -v apt-get >/dev/null; then
		say "apt-get is missing here. Install by hand: ${missing[*]} (Debian package names), then run make again."
		exit 1
	fi
	as_root=()
	if [ "$(id -u)" != 0 ]; then
		if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
			as_root=(sudo -n)
		else
			say "root is needed. Run: sudo apt-get update && sudo apt-get install -y ${missing[*]}"
			exit 1
		fi
	fi
	policy=/usr/sbin/policy-rc.d
	if [ "${1:-}" = "--bench" ] && [ ! -e "$policy" ]; then # we run the rivals by hand: no service of theirs shall take port 5060
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
		"${as_root[@]}" chmod 755 "$policy"
		trap '"${as_root[@]}" rm -f "$policy"' EXIT
	fi
	log=$(mktemp)
	if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
		tail -n 15 "$log"
		say "apt-get could not install: ${missing[*]}. Install them by hand, then run make again. Full log: $log"
		exit 1
	fi
	rm -f "$log"
fi

scripts/install-chdb.sh
