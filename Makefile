# Events Aggregator. `make` alone lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The version in the binaries is the go command's own, from the repository's
# tag or commit; where git does not answer (a source archive) there is none.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)

# Pure specs: what these packages test needs no server. Everything else under
# pkg and services does.
UNIT := client event rule action letter notification decision backtest explain silence replay metric sheet user config fault topology telemetry
UNIT_PACKAGES = $(patsubst %,./%/...,$(wildcard $(addprefix pkg/,$(UNIT)) test/arch test/support scripts))

FUZZTIME ?= 30s

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST)) \
		| if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi

# Without debug information linking takes half as long. Traces and profiles do
# not need it; a debugger builds its own.
GO_BUILD = go build -trimpath -ldflags="-s -w"

.PHONY: build
build: ## Build the six binaries into bin/
	@$(GO_BUILD) -buildvcs=$(BUILDVCS) -o bin/ ./cmd/...

# What scripts/run needs beside them.
.PHONY: run-tools
run-tools:
	@$(GO_BUILD) -buildvcs=false -o "$${EA_RUN_DIR:-.run}/bin/" ./test/support/sink/cmd/webhook-sink ./scripts/runreport

.PHONY: run
run: ## Everything on this machine with sample traffic; RUN_SECONDS=30 ends by itself
	@scripts/run

.PHONY: up
up: ## Find or start MongoDB and RabbitMQ
	@scripts/infra up

.PHONY: down
down: ## Stop what was started here, make run's processes too; the data stays in .run/
	@scripts/infra down

.PHONY: mongo-fast
mongo-fast: ## Build secantusd-rs, the fast development database, once (5 minutes)
	@scripts/mongo-fast

.PHONY: test
test: ## All tests, with the race detector, against real servers
	@scripts/test

.PHONY: test-unit
test-unit: ## The pure specs alone: no servers, seconds
	@go test -shuffle=on -timeout 2m $(UNIT_PACKAGES)

.PHONY: test-process
test-process: ## The built binaries: signals, crashes, restarts of the servers
	@scripts/test ./test/process/... ./test/infra/...

.PHONY: lint
lint: ## golangci-lint (built once into the cache)
	@scripts/verify lint

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (30s) each
	@scripts/fuzz $(FUZZTIME)

.PHONY: fuzz-api
fuzz-api: ## schemathesis against a running api, as an admin and as a user (needs Python; 5 minutes)
	@scripts/fuzz-api

.PHONY: bench
bench: ## The product beside its upper bounds, on secantusd-rs; BENCH_ROUNDS=1 BENCH_EVENTS=20000 is a quick try
	@scripts/bench

.PHONY: generate
generate: ## Write the generated files again
	@go generate ./...

.PHONY: dashboard
dashboard: ## Bundle the dashboard (services/api/dashboard, needs Node 20) into services/api/web
	@cd services/api/dashboard && npm ci --ignore-scripts --no-progress && npm run --silent check && npm run --silent build

.PHONY: screenshots
screenshots: ## The product with sample data: README's pictures into deploy/, every view into .run/screenshots
	@go run ./scripts/screenshots

.PHONY: verify
verify: ## gofmt, vet, lint, arch, generated files, go.mod, vulnerabilities
	@scripts/verify

.PHONY: verify-all
verify-all: verify ## verify, all tests twice without cleaning up, then on secantusd-rs
	@echo "== make test, first"
	@EA_MONGO=$${EA_MONGO:-wheel} scripts/test
	@echo "== make test, second, on what the first left"
	@EA_MONGO=$${EA_MONGO:-wheel} scripts/test
	@scripts/mongo-fast
	@echo "== make test on secantusd-rs"
	@EA_MONGO=rust scripts/test
