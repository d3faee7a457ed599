#!/usr/bin/env bash
# Runs the benchmarks of long links behind docs/performance.md; about an hour on two cores. Let the machine be idle.
# BENCH_DIR is as in run.sh; MATRIX are further flags for the matrix, such as -quick.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=${BENCH_DIR:-.}
say() { printf '\n== %s\n' "$*"; }

say "$(go version), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || true)"
say "matrix in virtual time: models of TCP first, so that the policies are compared with them"
# shellcheck disable=SC2086 # flags are to be split
go run ./fasp/internal/vlab/cmd/matrix -policy cubic,bbr,fixed,fair,high,low ${MATRIX:-}
say "twcp to twnode, 200 MB over 300 Mbit/s, policy fixed, median of 5"
go run ./bench/wan -dir "$dir"
say "the same, policy fair, no rate given, on a path that is new and on one that is known, median of 3"
go run ./bench/wan -dir "$dir" -policy fair -runs 3
go run ./bench/wan -dir "$dir" -policy fair -runs 3 -warm
say "other transports on such links, ours beside them (needs root)"
(cd bench/peers && go run .)
