# `make help` lists the targets. Everything but the install steps is plain cargo.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The steps share one target folder and one order, whatever -j says.
.NOTPARALLEL:

ARGS ?=
STEPS := install-test tree-save fmt clippy doc deny kryoptic cargo-test schema tree-check
step = @printf '\n==> %s\n' '$@'

.PHONY: help run install install-bench bench bench-hsm oracles tenants rows fuzz soak test tls-scan clients $(STEPS)

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: install ## Builds the service and starts it under .usersecret/; ARGS="--listen 127.0.0.1:8081" adds options
	cargo run -- dev --data-dir .usersecret $(ARGS)

test: $(STEPS) ## Runs every check and every test, in the order below
	@printf '\n==> all passed\n'

bench: install-bench ## Measures the service and the floors below it, about half an hour; ARGS="--only sqlite" adds options
	cargo build --release --locked
	cargo run --release --locked -p bench -- run $(ARGS)

oracles: install-bench ## Looks for answers that must be alike and differ in time, about a quarter of an hour; ARGS="--only sqlite" adds options
	cargo build --release --locked
	cargo run --release --locked -p bench -- oracles $(ARGS)

tenants: install-bench ## Looks at what grows with the number of tenants, up to 100,000; ARGS="--sizes 1000,10000" adds options
	cargo build --release --locked
	cargo run --release --locked -p bench -- tenants $(ARGS)

rows: install-bench ## Looks at what grows with the number of secrets, up to 5 million, about an hour; ARGS="--sizes 10000,100000" adds options
	cargo build --release --locked
	cargo run --release --locked -p bench -- rows $(ARGS)

bench-hsm: install-bench ## Measures the engine beside its HSM: latencies, homes, cold keys, rewraps, faults, a quarter of an hour; ARGS="--parts heal" adds options
	cargo build --release --locked
	cargo run --release --locked -p bench -- hsm $(ARGS)

fuzz: install ## Looks for requests that the query language does not take well, ten minutes for each target; ARGS=60 for so many seconds
	@scripts/fuzz.sh $(ARGS)

soak: install-test ## Asks 100,000 lists and 25,000 statistics of either database and of a reference; ARGS=1000000 for so many
	FILTER_QUERIES=$(or $(ARGS),100000) scripts/postgres.sh run cargo test --profile soak --workspace --locked --test gateway chance
	FILTER_QUERIES=$(or $(ARGS),100000) TEST_DATABASE=postgres scripts/postgres.sh run cargo test --profile soak --workspace --locked --test gateway chance

tls-scan: install ## Has sslyze, from PyPI, look at the service's TLS; it fails when there is anything to complain about
	@scripts/sslyze.sh

clients: install ## Has clients by others, from PyPI, use gRPC, REST and its description; ARGS=--postgres for PostgreSQL
	@scripts/clients.sh $(ARGS)

install: ## Installs the packages that `make run` needs and that are missing
	@scripts/install.sh run

install-bench: ## Installs the packages that the benchmark needs and that are missing
	@scripts/install.sh bench

install-test: ## Installs the packages that the tests need and that are missing
	$(step)
	@scripts/install.sh test

tree-save: ## Notes the state of the checkout
	$(step)
	@scripts/tree.sh save

fmt: ## Formatting
	$(step)
	cargo fmt --all --check
	cargo fmt --manifest-path kryoptic-module/Cargo.toml --check

clippy: ## Lints; a warning fails
	$(step)
	cargo clippy --workspace --all-targets --locked -- -D warnings

doc: ## Documentation of the code; a warning fails
	$(step)
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny: ## Advisories, licences and sources of the dependencies
	$(step)
	@scripts/deny.sh

kryoptic: ## Kryoptic as a PKCS#11 module, for the tests; about half a minute, once
	$(step)
	@scripts/kryoptic.sh

# CI and INSTA_UPDATE: a snapshot that differs fails and is never written. The whole workspace each time: a package alone
# has other features, and would be built again.
cargo-test: ## Tests, on SQLite and on PostgreSQL
	$(step)
	CI=true INSTA_UPDATE=no scripts/postgres.sh run cargo test --workspace --locked
	CI=true INSTA_UPDATE=no TEST_DATABASE=postgres scripts/postgres.sh run cargo test --workspace --locked --test gateway

# By the program that the tests were built with: alone it has other features, and would be built again.
schema: ## schema.graphql is what the service serves
	$(step)
	@mkdir -p target
	cargo test --workspace --locked --quiet --no-run --test gateway
	"$${CARGO_TARGET_DIR:-target}/debug/usersecret" schema >target/schema.graphql
	@diff -u schema.graphql target/schema.graphql || { \
		echo 'schema: refresh it with: cargo run --quiet -- schema >schema.graphql' >&2; exit 1; }

tree-check: ## The tests have left the checkout as it was
	$(step)
	@scripts/tree.sh check
