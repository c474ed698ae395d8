# Tandem's menu: plain `make` prints it.
GO        ?= go
BIN       := bin/tandem
STATICCHECK_VERSION := v0.8.2
FUZZTIME  ?= 5s
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -X main.version=$(VERSION)

.PHONY: menu run test test-short race lint fuzz bench golden build setup setup-test clean

menu: ## print this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup build ## install what is missing, then the demo: emulators, calls, report, portal
	@$(BIN) demo

# Whole-program load tests come last and alone: they measure, and want both cores.
WHOLE := ./cmd/tandem
PARTS  = $(shell $(GO) list ./... | grep -v '/cmd/tandem$$')

test: setup-test ## install what the tests need, then run them all
	$(GO) test -timeout 10m $(PARTS)
	$(GO) test -timeout 15m $(WHOLE)

test-short: ## the tests without load, browser and ClickHouse runs
	$(GO) test -short ./...

race: setup-test ## the tests under the race detector (load runs shortened)
	$(GO) test -race -short -timeout 10m $(PARTS)
	$(GO) test -race -short -timeout 15m $(WHOLE)

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run: gofmt -w ."; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...

fuzz: ## every fuzz target for FUZZTIME (default 5s each; 10000x is a count)
	@scripts/fuzz.sh $(FUZZTIME)

bench: ## the benchmarks beside the code
	$(GO) test -run '^$$' -bench . -benchmem ./...

golden: ## rewrite golden files; review the diff
	$(GO) test ./sip/core/... -update

build: ## bin/tandem
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/tandem

setup: ## what `make run` needs: the ClickHouse library
	@scripts/setup.sh

setup-test: setup ## what `make test` needs besides: SIPp, Chromium
	@scripts/setup.sh --test

clean: ## remove built files and the demo's data folder
	rm -rf bin tandem-data
