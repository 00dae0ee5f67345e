# What people type. Everything that is built or installed stays inside the build folder.

CARGO ?= cargo
TOOLS := tests/tools
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo test test-clients lint bench-target

help: ## Show these lines
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

demo: ## Load 5,000 tickets of a sandbox portal into a throw-away Postgres, change some, load again
	@$(TOOLS)/clients.sh target-postgres postgres
	@$(CARGO) build --release --locked --quiet
	@$(TARGET)/clients/target-postgres/bin/python $(TOOLS)/demo.py

test: ## Run the tests, those against a real Postgres, real Singer targets and HubSpot's own client included
	$(TOOLS)/clients.sh
	$(CARGO) test --locked

test-clients: ## Run what takes longer: the demo from beginning to end, on release binaries
	@$(MAKE) --no-print-directory demo

lint: ## Check formatting, clippy's advice and the documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

bench-target: ## Load 200,000 contacts into an empty sandbox portal and hold the time against HubSpot's quota
	@$(CARGO) build --release --locked --quiet
	@python3 $(TOOLS)/target_bench.py
