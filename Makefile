# Needs GNU make, bash and Go; make check also needs gcc, for the race detector.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# How long each fuzz target runs.
FUZZTIME ?= 10s
# What one package may take: several times of what the largest does on two idle processors.
TIMEOUT ?= 20m
# What make fuzz searches for fuzz targets.
PKG ?= ./...
TOOL := $(GO) tool -modfile=tools/go.mod

.PHONY: help build test testservers demo-s3 check fmt format vet staticcheck race tidy apidoc apidoc-check cross fuzz bench bench-save bench-wan demo vuln clean

help:
	@echo 'make build       build all programs into bin/'
	@echo 'make test        run all tests; those that need servers which are not installed are skipped, and say so'
	@echo 'make testservers install those servers (minutes, once): MinIO, versitygw, moto, rclone'
	@echo 'make check       formatting, vet, staticcheck, race detector, go.mod, docs/api.md, other systems'
	@echo 'make fmt         format the source'
	@echo 'make apidoc      make docs/api.md of cluster/api/openapi.yaml'
	@echo 'make fuzz        run each fuzz target for FUZZTIME (10s); PKG=./fasp/... limits where'
	@echo 'make bench       run the benchmarks; those of single parts are compared with the results that are kept'
	@echo 'make bench-save  keep new results of single parts, to compare with'
	@echo 'make bench-wan   long links: the matrix in virtual time, twcp over emulated links, other transports beside ours, and per processor second without a link (root)'
	@echo 'make demo        run the demonstration; STORE=s3://host/bucket sends into that bucket'
	@echo 'make demo-s3     install and start a MinIO, and run the demonstration into it'
	@echo 'make vuln        look up known vulnerabilities (needs the network)'
	@echo 'make clean       remove what make build built'

build:
	$(GO) build -o bin/ ./cmd/...

test:
	$(GO) test -shuffle=on -timeout $(TIMEOUT) ./...

testservers:
	$(GO) run ./internal/testservers/cmd/testservers install

check: format vet staticcheck tidy apidoc-check cross race

fmt:
	$(TOOL) gofumpt -w .

format:
	@echo 'gofumpt -l .'
	@files=$$($(TOOL) gofumpt -l .); \
	if [[ -n $$files ]]; then echo "$$files"; echo 'not formatted; run make fmt'; exit 1; fi

# bench/peers is a module of its own, whose dependencies nobody needs who does not run it. Where tests may not be skipped, it may not either.
vet:
	$(GO) vet ./...
	@cd bench/peers; if [[ -n $${TRADEWIND_REQUIRE:-} ]] || $(GO) list -deps . >/dev/null 2>&1; then \
		echo 'go vet ./... (bench/peers)'; $(GO) vet ./...; \
	else echo 'bench/peers: SKIPPED, the modules it needs are not here and cannot be fetched'; fi

staticcheck:
	$(TOOL) staticcheck ./...

race:
	$(GO) test -race -short -timeout $(TIMEOUT) ./...

tidy:
	$(GO) mod tidy -diff

APIDOC := cluster/api/openapi.yaml docs/api.md

apidoc:
	$(GO) run ./internal/apidoc/cmd/apidoc $(APIDOC)

apidoc-check:
	$(GO) run ./internal/apidoc/cmd/apidoc --check $(APIDOC)

cross:
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...
	GOOS=linux GOARCH=arm64 $(GO) build ./...

# go test runs one fuzz target of one package at a time. It lists the targets of
# a package and then a line "ok PACKAGE"; packages without tests get a line "?".
fuzz:
	@list=$$($(GO) test -run '^$$' -list '^Fuzz' $(PKG)); \
	names=(); count=0; \
	while read -r word package rest; do \
		case $$word in \
		Fuzz*) names+=("$$word");; \
		ok) for f in "$${names[@]}"; do \
				echo "== $$package $$f"; \
				$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$package"; \
				count=$$((count+1)); \
			done; names=();; \
		esac; \
	done <<<"$$list"; \
	echo "$$count fuzz targets, $(FUZZTIME) each"

bench:
	./bench/micro.sh
	./bench/run.sh

bench-save:
	./bench/micro.sh save

bench-wan:
	./bench/wan.sh

demo:
	$(GO) run ./internal/demo $(if $(STORE),-store '$(STORE)')

demo-s3:
	$(GO) run ./internal/testservers/cmd/testservers install minio
	$(GO) run ./internal/demo -minio

vuln:
	$(TOOL) govulncheck ./...

clean:
	rm -rf bin
