#!/usr/bin/env bash
# Runs the benchmarks of single parts, six times each, about three minutes, and compares them with the results that were committed last by benchstat: what
# it marks "~" is within the noise. With the argument save it makes new ones instead. Results of another machine differ as a whole.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kept=bench/results/go-bench.txt
if [[ ${1:-} == save ]]; then
	new=$kept
else
	new=$(mktemp)
	trap 'rm -f "$new"' EXIT
fi
: >"$new"
run() { go test -run '^$' -count 6 "$@" | tee -a "$new"; }
run -bench Loopback -benchtime 1s ./fasp
run -bench . -benchtime 200ms ./fasp/internal/udp ./fasp/internal/wire ./fasp/vlink
run -bench Zstd -benchtime 200ms ./fasp/transfer
run -bench 'Link$' -benchtime 200ms ./internal/simnet
if [[ $new == "$kept" ]]; then
	echo "kept in $kept"
else
	printf '\n== against %s, of %s\n' "$kept" "$(git log -1 --format=%h -- "$kept")"
	go tool -modfile=tools/go.mod benchstat "$kept" "$new"
fi
