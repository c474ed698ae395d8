# Tandem's menu: plain `make` prints it.
GO        ?= go
BIN       := bin/tandem
STATICCHECK_VERSION := v0.8.2
FUZZTIME  ?= 5s
SEED      ?= 0
RATE_CASES ?= 10000000
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -X main.version=$(VERSION)

.PHONY: menu run test test-short race lint crash fuzz torture sim media failsafe bench budgets bench-media microbench rate-proof golden build setup setup-test setup-bench clean

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

crash: setup-test ## the crash proof: kills, disk and ClickHouse faults under load (20 min; SEED=n repeats)
	$(GO) test -timeout 40m $(WHOLE) -run '^TestCrash$$' -v -args -crash -crash.seed=$(SEED) -crash.out=$(CURDIR)/bench/results

fuzz: ## every fuzz target for FUZZTIME (default 5s each; 10000x is a count)
	@scripts/fuzz.sh $(FUZZTIME)

torture: setup-test ## torture messages, hostile sources under load, hostile text; ends with a table
	@scripts/torture.sh

sim: ## 10,000 simulated calls x 100 seeds under faults, with a result table
	@scripts/sim.sh

media: setup-test ## real phones and bit-exact calls through a node, the long form
	TANDEM_MEDIA=full $(GO) test -count=1 -timeout 15m -v -run 'TestMediaProof' ./cmd/tandem

# QUICK=1 is the short form. ARGS goes to the program: go run ./bench/run -help
BENCHOUT = bench/results/$(shell date -u +%Y-%m-%d-%H%M)-$(shell git rev-parse --short HEAD 2>/dev/null).md
bench: setup-bench build ## CPU, memory and latency per call beside sipgo, Kamailio and the floor (35 to 60 min; QUICK=1: 3 min)
	$(GO) run ./bench/run $(if $(QUICK),-quick,-out $(BENCHOUT) -doc docs/performance.md) -tandem $(BIN) $(ARGS)

budgets: ## the allocation budgets of the hot paths: packet, prefix, price, plan, fact, call
	$(GO) test -count=1 -run 'Alloc' ./routing/... ./rating/... ./media/... ./cdr/... ./sip/...

failsafe: setup ## 1,000 calls into every way in which Microsoft can fail, timed (20 min; CALLS=100: 8 min)
	@scripts/failsafe.sh

bench-media: setup-bench build ## CPU per relayed packet beside bare loops in Go and C and rtpengine (5 min)
	$(GO) run ./bench/media -tandem $(BIN) $(ARGS)

microbench: ## the benchmarks beside the code
	$(GO) test -run '^$$' -bench . -benchmem ./...

rate-proof: ## rater against the independent checker on RATE_CASES random calls (default 10,000,000)
	TANDEM_PROOF_CASES=$(RATE_CASES) $(GO) test -count=1 -timeout 2h -run '^TestProof$$' -v ./rating

golden: ## rewrite golden files; review the diff
	$(GO) test ./sip/core/... -update

build: ## bin/tandem
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/tandem

setup: ## what `make run` needs: the ClickHouse library
	@scripts/setup.sh

setup-test: setup ## what `make test` needs besides: SIPp, Chromium, baresip
	@scripts/setup.sh --test

setup-bench: setup ## what `make bench` needs besides: SIPp, Kamailio, rtpengine
	@scripts/setup.sh --bench

clean: ## remove built files and the demo's data folder
	rm -rf bin tandem-data
