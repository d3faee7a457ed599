#!/usr/bin/env bash
# Runs the benchmarks of long links behind docs/performance.md; an hour to an hour and a half on two cores. Let the machine be idle.
# BENCH_DIR is as in run.sh; MATRIX are further flags for the matrix, such as -quick.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=${BENCH_DIR:-.}
say() { printf '\n== %s\n' "$*"; }

say "$(go version), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || true)"
say "matrix in virtual time: models of TCP first, so that the policies are compared with them"
# shellcheck disable=SC2086 # flags are to be split
go run ./fasp/internal/vlab/cmd/matrix -policy cubic,bbr,fixed,fair,high,low ${MATRIX:-}
say "twcp to twnode, 200 MB over 300 Mbit/s, fixed, and fair with no rate given on a path that is new and on one that is known, median of 5 (a relay without root)"
go run ./bench/wan -dir "$dir"
say "other transports on such links, ours beside them (needs root)"
(cd bench/peers && go run . && go run . -local 3 -time 3s -out ../results/local.json)
