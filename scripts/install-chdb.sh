#!/usr/bin/env bash
# Fetches the embedded ClickHouse engine (libchdb.so, Apache-2.0) with the npm
# client into .tools/chdb/. Version and checksums are pinned. Idempotent: does
# nothing when the right library is there.
#   scripts/install-chdb.sh            install
#   scripts/install-chdb.sh --check    only say whether it is there
set -euo pipefail
cd "$(dirname "$0")/.."

package="@chdb/lib-linux-x64-gnu"
version="26.5.3"
tarball_sha512="fPrLmRt5Moor9yGz4mazbrNje4t7X9KB2mTGkXFWRxRBs2iKy8yh6jx11xsa0Qr3iDFMU/yHqd+bVdYJXu3QaQ=="
library_sha256="4330da79405733f7572f27c1442f46c03a08301f00859dce0368645731b1e1dc"
folder=".tools/chdb"
library="$folder/libchdb.so"
stamp="$folder/installed"

say() { printf 'install-chdb: %s\n' "$*" >&2; }
fail() {
	say "$1"
	say "Tandem runs without it: calls, rating and journal work, reports wait. To add it by hand: get the npm package"
	say "$package version $version, put its libchdb.so at $library (or set TANDEM_CHDB to its path), or point tandem at a"
	say "ClickHouse server 24.8 or newer instead."
	exit 1
}

# The stamp spares hashing 560 MB each time: it holds the checksum, size and time of the file that was verified.
fingerprint() { printf '%s %s\n' "$library_sha256" "$(stat -c '%s %Y' "$library")"; }
if [ -f "$library" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
	exit 0
fi
if [ -f "$library" ] && printf '%s  %s\n' "$library_sha256" "$library" | sha256sum --check --status; then
	fingerprint >"$stamp"
	exit 0
fi
[ "${1:-}" = "--check" ] && fail "$library is not installed"

[ "$(uname -s)" = Linux ] || fail "the library is made for Linux, this is $(uname -s)"
[ "$(uname -m)" = x86_64 ] || fail "the pinned package is for x86_64, this is $(uname -m)"
command -v npm >/dev/null || fail "npm is missing: install it (Debian: apt-get install npm)"
command -v openssl >/dev/null || fail "openssl is missing: install it (Debian: apt-get install openssl)"

mkdir -p "$folder"
work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "fetching $package $version with npm (160 MB)"
if ! (cd "$work" && npm pack --silent --ignore-scripts "$package@$version" >npm.out 2>npm.err); then
	tail -n 5 "$work/npm.err" >&2
	fail "npm could not fetch $package $version (network, proxy or registry settings: see 'npm config list')"
fi
tarball=$(ls "$work"/*.tgz)
[ "$(openssl dgst -sha512 -binary "$tarball" | base64 -w0)" = "$tarball_sha512" ] || fail "the fetched package has another checksum than the pinned one: not installed"
tar -xzf "$tarball" -C "$work" package/libchdb.so
printf '%s  %s\n' "$library_sha256" "$work/package/libchdb.so" | sha256sum --check --status || fail "the library has another checksum than the pinned one: not installed"
mv -f "$work/package/libchdb.so" "$library"
fingerprint >"$stamp"
say "installed $library"
