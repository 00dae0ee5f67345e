# What people type. Everything that is built or installed stays inside the build folder.

CARGO ?= cargo
TOOLS := tests/tools
TARGET := $(or $(CARGO_TARGET_DIR),target)
DENY_VERSION := 0.20.2
DENY := $(TARGET)/tools/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

.PHONY: help demo demo-meltanolabs test test-clients image lint bench bench-loader bench-target advisories

help: ## Show these lines
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 19

demo: ## Load 5,000 tickets of a sandbox portal into a throw-away Postgres, change some, load again
	@$(TOOLS)/postgres.sh programs >/dev/null 2>&1 || $(TOOLS)/clients.sh postgres
	@[ -e $(TARGET)/quick ] || echo "Building the programs, which takes some minutes the first time."
	@$(CARGO) build --profile quick --locked --quiet
	@$(TOOLS)/demo.sh

demo-meltanolabs: ## The same through the target-postgres of meltanolabs, to compare
	@$(TOOLS)/clients.sh target-postgres postgres
	@$(CARGO) build --profile quick --locked --quiet
	@$(TOOLS)/demo.sh target-postgres

test: ## Run the tests, those against a real Postgres, real Singer targets and HubSpot's own client included
	$(TOOLS)/clients.sh
	@rm -rf $(TARGET)/tmp/figures
	$(CARGO) test --locked
	@echo; cat $(TARGET)/tmp/figures/*

test-clients: ## Run what takes longer: Meltano, PyAirbyte, Airflow, the wheel, the image, a thousand tenants, the demo
	$(TOOLS)/clients.sh target-postgres postgres meltano airbyte clusters
	$(CARGO) build --profile quick --locked
	@rm -rf $(TARGET)/tmp/figures
	$(CARGO) test --locked --test it -- --ignored
	@echo; cat $(TARGET)/tmp/figures/*
	@$(MAKE) --no-print-directory demo demo-meltanolabs

image: ## Build the container image tap-hubspot-tickets, with the tap, target-pg and all other programs
	@$(TOOLS)/image.sh build

bench: ## Measure the tap against the sandbox: all benchmarks, or BENCH="idle quota"; BENCH=page writes docs/performance.*
	@$(TOOLS)/clients.sh singer-io postgres
	@$(CARGO) bench --locked --quiet --bench tap -- $(BENCH)

lint: $(DENY) ## Check formatting, clippy's advice, the documentation, the workflow files and what the dependencies bring
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	@$(CARGO) fetch --locked --quiet
	$(DENY) --workspace --offline --locked check licenses bans sources
	@$(TOOLS)/clients.sh workflows
	$(TARGET)/clients/workflows/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(TARGET)/clients/workflows/bin/zizmor --quiet --offline --config .github/zizmor.yml .github/workflows

advisories: $(DENY) ## Hold the dependencies against RustSec's advisories; fetches its database from GitHub
	$(DENY) --workspace --locked check advisories

$(DENY):
	$(CARGO) install cargo-deny --quiet --locked --version $(DENY_VERSION) --root $(TARGET)/tools/cargo-deny-$(DENY_VERSION) --target-dir $(TARGET)/tools/build

bench-loader: ## Hold target-pg against psql's \copy and against the target-postgres of meltanolabs and pipelinewise
	@$(TOOLS)/clients.sh target-postgres pipelinewise-target-postgres postgres
	@$(CARGO) build --release --locked --quiet
	@$(TARGET)/clients/target-postgres/bin/python $(TOOLS)/loader_bench.py

bench-target: ## Load contacts, deals and tickets into a sandbox portal and hold the time against HubSpot's quota
	@$(CARGO) build --release --locked --quiet
	@python3 $(TOOLS)/target_bench.py
