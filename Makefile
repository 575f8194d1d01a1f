# What people do with this repository. `make help` lists it.

CARGO ?= cargo
PREFIX ?= $(HOME)/.cargo

# Most tests wait most of the time: for a daemon, a timer, a disk. So more of them run at once than there are cores.
TEST_THREADS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 4)))
# By how much a soak test is longer.
SOAK ?= 20

.PHONY: help build test suites soak demo bench faults fuzz dist lint fmt docs install packages clean

help: ## List these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

build: ## Compile heph and hephd
	$(CARGO) build --locked --release

test: ## Run every test, against real components
	@tests/support/packages.sh test
	$(CARGO) test --locked --no-fail-fast -- --test-threads=$(TEST_THREADS)

suites: ## Run the tests suite by suite, and print how long each takes
	@tests/support/packages.sh test
	@CARGO="$(CARGO)" tests/support/suites.sh $(TEST_THREADS)

soak: ## Run what takes long by nature at twenty times its length: some hours, twelve at most
	@tests/support/packages.sh test
	HEPH_SOAK=$(SOAK) timeout 12h $(CARGO) test --locked --test all -- --test-threads=$(TEST_THREADS) \
		dropout:: hephd::crashes install::crash killed:: restart::

demo: packages ## Show an update, a broken update and its roll-back, in about five minutes
	$(CARGO) run --locked --example demo

bench: packages ## Measure, and write docs/benchmarks.md
	$(CARGO) build --locked --release
	$(CARGO) run --locked --release --example bench

faults: packages ## Seed known faults into a copy and show that the tests catch them, in about half an hour
	$(CARGO) run --locked --example faults

fuzz: ## Fuzz what reads archives and checksums, a minute each (needs nightly Rust and cargo-fuzz)
	cd fuzz && for target in unpack names; do $(CARGO) +nightly fuzz run $$target -- -max_total_time=60 || exit 1; done

dist: ## Make the archive of this release for this machine, in dist/ (signed where MINISIGN_KEY is set)
	./dist.sh

lint: ## Check formatting, lints and documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items

fmt: ## Format the sources
	$(CARGO) fmt

docs: ## Write the man pages and completions anew
	HEPH_UPDATE_DOCS=1 $(CARGO) test --locked --test all docs::

install: ## Install heph and hephd from this checkout
	$(CARGO) install --locked --path . --root "$(PREFIX)"

packages: ## Install the system packages that the tests need, or name them
	@tests/support/packages.sh

clean: ## Remove what was built
	$(CARGO) clean
