#!/usr/bin/env bash
# Runs the benchmarks behind docs/performance.md; about 18 minutes. Let the machine be idle.
# BENCH_DIR says where the work folder goes (default: here): a disk, not memory. With BENCH_OBJSTORE=1 the object storage
# client is compared with others, too: ten minutes more, and MinIO must be installed (internal/testservers).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=${BENCH_DIR:-.}
say() { printf '\n== %s\n' "$*"; }

say "$(go version), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || true)"
say "matrix in virtual time, quick, each policy; make bench-wan runs all of it"
go run ./fasp/internal/vlab/cmd/matrix -quick -policy fixed,fair,high,low -out "$(mktemp -d)"
say "loopback, memory to memory, at a fixed rate, and many sessions on one endpoint, and on a node"
go test -run '^$' -bench Loopback -benchtime 3s ./fasp -loopback.rate 5000
go test -run '^$' -bench Sessions -benchtime 1x ./fasp
go run ./bench/sessions -rounds 1
say "the relay by itself"
go test -run '^$' -bench Relay ./internal/wanlink
say "transfer layer by itself, over a session in memory"
go test -run '^$' -bench . -benchtime 2x ./fasp/transfer
say "twcp to twnode, 200 MB over 300 Mbit/s, fixed, and fair with no rate given on a new path, median of 3 (a relay without root); make bench-wan runs all of it"
go run ./bench/wan -dir "$dir" -cells 10/0,100/1,300/5,500/10,500/30 -modes fixed,fair-cold -runs 3 -out ''
say "twnode to twcp (download), policy fixed, median of 3"
go run ./bench/wan -dir "$dir" -download -cells 100/1,500/30 -modes fixed -runs 3 -out ''
say "compression beside none"
go run ./bench/compress -size 50000000 -loopback 1000000000
say "sizes of reads and of writes beside the default, and O_DIRECT beside the page cache"
go run ./bench/iosize -dir "$dir" -size 500000000
if [ "$(uname)" = Linux ]; then go run ./bench/iosize -dir "$dir" -direct -size 1073741824; fi
say "20,000 files of 4 KB, 300 Mbit/s, 100 ms, 1 %, durability session, median of 5"
go run ./bench/wan -dir "$dir" -small 20000 -cells 100/1 -modes fixed -out ''
if [ "${BENCH_OBJSTORE:-}" = 1 ]; then
	say "objstore beside minio-go and rclone on one MinIO, data in memory, in turns, median of 5"
	go run ./bench/objstore
fi
