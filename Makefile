# What a developer and the CI run. Every target does its own set-up: nothing needs to be called before another.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOLS := versitygw conformance oras crane regctl spdxread oidcprovider
TOOL_BIN := $(CURDIR)/bin/tools

export CGO_ENABLED := 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build bin/carat, one static binary (TAGS=sigstore: with what verifies keyless signatures)
	go build -trimpath -buildvcs=false -tags '$(TAGS)' -ldflags '-s -w -X main.version=$(VERSION)' -o bin/carat ./cmd/carat

.PHONY: demo
demo: ## Push, verify, pull and show the example model (ONESHOT=1 stops when that has worked)
	@sh examples/demo.sh

# The tests start servers of their own; these are the programs that they need. Only root can install those of the system.
.PHONY: test-setup
test-setup: tools
	@missing=; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$$missing postgresql"; \
	command -v patch >/dev/null || missing="$$missing patch"; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	command -v node >/dev/null && command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo "not installed, so their tests are skipped:$$missing (as root: apt-get install$$missing)"; \
	fi </dev/null

.PHONY: test
test: test-setup ## Run all tests, on SQLite and PostgreSQL, folder and S3, with and without assembly
	@mkdir -p bin
	@echo 'go test ./...'; \
	if { go test -timeout 14m ./... && go test -tags purego ./inference/... && go test -tags sigstore ./provenance/...; } 2>&1 | tee bin/test.log; then \
		echo "PASS: $$(grep -c '^ok' bin/test.log) packages"; \
	else \
		echo; echo 'FAIL: the tests that failed, again:'; \
		grep -E '^\s*--- FAIL|^FAIL|^panic: ' bin/test.log; exit 1; \
	fi

.PHONY: lint
lint: $(TOOL_BIN)/golangci-lint ## Vet, lint, check the import rules and the files of deploy/
	go vet ./...
	go vet -tags sigstore ./provenance/... ./cmd/carat
	GOARCH=arm64 go vet ./inference/kernel
	$(TOOL_BIN)/golangci-lint run ./...
	$(TOOL_BIN)/golangci-lint run --build-tags sigstore ./provenance/...
	go mod tidy -diff
	GOWORK=off go -C examples/embed-go mod tidy -diff
	GOWORK=off go test -C tools/kernelgen ./...
	sh -n examples/demo.sh
	go test . ./deploy

.PHONY: fmt
fmt: $(TOOL_BIN)/golangci-lint ## Format the code
	$(TOOL_BIN)/golangci-lint fmt ./...

BENCH ?= .
BENCHTIME ?= 1s
.PHONY: bench
bench: test-setup ## Run the benchmarks (BENCH=regexp, BENCHTIME=1s)
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./...

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## Run every fuzz target for a short time (FUZZTIME=10s)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package"; \
		done; \
	done

.PHONY: tools
tools: $(TOOLS:%=$(TOOL_BIN)/%) ## Build the pinned programs that tests run

# A program is built again when its pin is newer; internal/toolbin builds with the same command and by the same rule.
$(TOOLS:%=$(TOOL_BIN)/%): $(TOOL_BIN)/%: tools/%/go.mod tools/%/go.sum
	GOWORK=off go build -C tools/$* -trimpath -o $(TOOL_BIN)/ tool
	@touch $@

$(TOOL_BIN)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	GOWORK=off go build -C tools/lint -trimpath -o $(TOOL_BIN)/ tool
	@touch $@

.PHONY: clean
clean: ## Remove what was built, and the demo's data
	rm -rf bin demo-data
