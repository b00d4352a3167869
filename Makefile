# The targets that people and continuous integration use. `make help` lists them.

CARGO ?= cargo
PYTHON ?= python3
# Tools that the checks need are installed here once, outside the checkout.
TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/root-query/tools
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
HELM_VERSION := 3.19.5
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 1200

# Where cargo builds, as a command.
target_dir = $(CARGO) metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'

export PATH := $(TOOLS)/bin:$(PATH)
# The interpreter of tests that compare with Python packages.
export ROOT_QUERY_PYTHON ?= $(TOOLS)/python/bin/python
# The Kubernetes that tests start; a directory with bin/ and root/ that is made elsewhere may be named as well.
export ROOT_QUERY_KUBERNETES ?= $(TOOLS)/kubernetes-1.20.2
# The Helm that tests render charts with; one that is there may be named as well.
export ROOT_QUERY_HELM ?= $(TOOLS)/bin/helm-$(HELM_VERSION)
.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | column -t -s @ 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

.PHONY: demo
demo: packages ## Build the release binary and run the main job on the sample, offline
	$(CARGO) build --release -p root-query
	@ROOT_QUERY="$$($(target_dir))/release/root-query" sh examples/demo.sh

.PHONY: test
test: test-packages ## Everything that CI runs: format, lints, dependencies, tests, documentation
	@$(MAKE) --no-print-directory fmt-check
	@$(MAKE) --no-print-directory clippy
	@$(MAKE) --no-print-directory deny
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory chaos CHAOS_SECONDS=180
	@$(MAKE) --no-print-directory e2e-k8s
	@$(MAKE) --no-print-directory demo-check
	@$(MAKE) --no-print-directory doc

.PHONY: lint
lint: fmt-check clippy ## Format and lints only

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check:
	$(CARGO) fmt --all --check

# Without RUSTFLAGS, which would compile every dependency once more. The tests that run by themselves are no "all targets".
.PHONY: clippy
clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --test e2e --test chaos -- -D warnings

# The examples are modules of the tests and clippy compiles them; linking each would take minutes.
.PHONY: unit
unit: test-packages ## All tests, those in the documentation included
	$(CARGO) test --workspace --no-fail-fast --lib --bins --tests
	$(CARGO) test --workspace --doc

# With the programs that the tests build.
.PHONY: chaos
chaos: test-packages ## A cluster in which everything fails at random for CHAOS_SECONDS; CHAOS_SEED repeats a run
	$(CARGO) test --workspace --no-run --lib --bins --tests
	CHAOS_SECONDS=$(CHAOS_SECONDS) $(CARGO) test --workspace --test chaos

# With the programs that the tests build. Without a kubelet, what can be tried on simulated nodes.
.PHONY: e2e-k8s
e2e-k8s: test-packages ## A cluster on a real Kubernetes in a sandbox, from create to delete, while everything in it dies
	$(CARGO) test --workspace --no-run --lib --bins --tests
	@if scheduler/kubernetes/testbed/node/check; then \
		$(CARGO) test --workspace --test e2e; \
	else \
		echo "so that clusters are tried on simulated nodes, which run no pods"; \
		$(CARGO) test --workspace --test it -- pods:: executors::; \
	fi

# With the binary that the tests have just built.
.PHONY: demo-check
demo-check:
	@ROOT_QUERY="$$($(target_dir))/debug/root-query" DEMO_FILES=10 sh examples/demo.sh >/dev/null && echo "the demo works"

.PHONY: doc
doc: ## The documentation of the crates
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

# The database of advisories is on GitHub. Where it cannot be reached, what was fetched before serves; without any the
# other checks still run, and the output says what was not checked.
.PHONY: deny
deny: $(TOOLS)/bin/cargo-deny-$(CARGO_DENY_VERSION) ## Licences, sources, bans and advisories of the dependencies
	$(CARGO) deny --log-level error check --hide-inclusion-graph bans licenses sources
	@if timeout 120 $(CARGO) deny --log-level off fetch db >/dev/null 2>&1; then \
		$(CARGO) deny --log-level error check --hide-inclusion-graph advisories; \
	elif ls -d "$${CARGO_HOME:-$$HOME/.cargo}"/advisory-dbs/advisory-db-*/ >/dev/null 2>&1; then \
		echo "warning: the database of advisories cannot be reached; an older copy is used"; \
		$(CARGO) deny --offline --log-level error check --hide-inclusion-graph advisories; \
	else \
		echo "warning: advisories were not checked, as their database cannot be reached"; \
	fi

.PHONY: bench
bench: packages $(TOOLS)/bench/bin/uproot-is-here ## Benchmarks beside other readers; BENCH_ARGS goes to benches/run.py
	$(CARGO) build --release -p root-benches -p root-query
	$(TOOLS)/bench/bin/python benches/run.py $(BENCH_ARGS)

.PHONY: bench-remote
bench-remote: test-packages ## Reading over root:// beside raw TCP and xrdcp; BENCH_FILE=FILE:tree also measures a query over it
	$(CARGO) build --release -p root-remote-benches -p root-query
	@bin="$$($(target_dir))/release"; \
	"$$bin/root-remote-bench" sequential $(BENCH_ARGS) && "$$bin/root-remote-bench" latency \
		&& { [ -z "$(BENCH_FILE)" ] || "$$bin/root-remote-bench" query --program "$$bin/root-query" "$(BENCH_FILE)"; }

.PHONY: bench-cluster
bench-cluster: packages ## Queries on processes of this machine beside one process, short tasks, and a scheduler with 1,000 idle executors
	$(CARGO) build --release -p root-cluster-benches -p root-scheduler -p root-executor
	@bin="$$($(target_dir))/release/root-cluster-bench"; file="$(or $(BENCH_FILE),examples/data/Run2012B_SingleMu_1000.root:Events)"; \
	"$$bin" latency "$$file" && "$$bin" queries "$$file" benches/queries/*.sql && "$$bin" tasks && "$$bin" simulate $(BENCH_ARGS)

$(TOOLS)/bench/bin/uproot-is-here: benches/data/requirements.txt
	$(PYTHON) -m venv $(TOOLS)/bench
	$(TOOLS)/bench/bin/python -m pip install --quiet -r $<
	@touch $@

.PHONY: fixtures
fixtures: ## Write the test files of root-reader again (needs Go, Python 3.11 and the network)
	root-reader/tests/fixtures/generate/generate.sh

.PHONY: fuzz
fuzz: packages ## Run every fuzz target for FUZZ_SECONDS (needs a nightly toolchain)
	@$(MAKE) --no-print-directory $(TOOLS)/bin/cargo-fuzz-$(CARGO_FUZZ_VERSION)
	@for crate in root-reader eos-io/xrootd engine/physics engine/hist; do (cd $$crate && for target in $$($(CARGO) +nightly fuzz list); do \
		mkdir -p "fuzz/corpus/$$target" "fuzz/seeds/$$target"; \
		$(CARGO) +nightly fuzz run "$$target" "fuzz/corpus/$$target" "fuzz/seeds/$$target" \
			-- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done) || exit 1; done

.PHONY: packages
packages:
	@sh .ci/packages

.PHONY: test-packages
test-packages:
	@sh .ci/packages test
	@$(MAKE) --no-print-directory $(TOOLS)/python/bin/packages-are-here
	@$(MAKE) --no-print-directory kubernetes
	@$(MAKE) --no-print-directory helm

$(TOOLS)/python/bin/packages-are-here: .ci/python.txt
	$(PYTHON) -m venv $(TOOLS)/python
	$(TOOLS)/python/bin/python -m pip install --quiet -r $<
	@touch $@

.PHONY: kubernetes
kubernetes: $(ROOT_QUERY_KUBERNETES)/bin ## The Kubernetes that tests start, built once (12 minutes of processor time, Debian 12 only)

# No part of it is newer than the whole: it is moved here when it is complete.
$(ROOT_QUERY_KUBERNETES)/bin:
	@sh .ci/kubernetes

.PHONY: helm
helm: $(ROOT_QUERY_HELM) ## The Helm that tests use, built once (3 minutes of processor time, Go 1.24 or later)

$(ROOT_QUERY_HELM):
	@sh .ci/helm $(HELM_VERSION) $@

.PHONY: manifests
manifests: packages ## Write deploy/manifests again, from deploy/cluster.yaml
	WRITE_MANIFESTS=1 $(CARGO) test -p root-kubernetes --test it manifests_are_what_is_made

.PHONY: clean
clean: ## Remove what cargo built
	$(CARGO) clean

# A tool is only run, not measured: light optimisation halves the time to build it.
$(TOOLS)/bin/cargo-%: export CARGO_PROFILE_RELEASE_OPT_LEVEL = 1
$(TOOLS)/bin/cargo-%: export CARGO_PROFILE_RELEASE_LTO = off
$(TOOLS)/bin/cargo-%: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS = 16
$(TOOLS)/bin/cargo-%: export CARGO_PROFILE_RELEASE_DEBUG = false
$(TOOLS)/bin/cargo-deny-$(CARGO_DENY_VERSION) $(TOOLS)/bin/cargo-fuzz-$(CARGO_FUZZ_VERSION): | packages
	cd / && $(CARGO) install --locked --quiet --root $(TOOLS) --target-dir $(TOOLS)/target \
		$(patsubst %-$(lastword $(subst -, ,$(@F))),%,$(@F))@$(lastword $(subst -, ,$(@F)))
	@rm -rf $(TOOLS)/target
	@touch $@
