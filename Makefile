# A menu: one line a dish. Whatever needs an `if` is in xtask (`cargo xtask help`), so that a laptop and CI run the same.

TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')

.DEFAULT_GOAL := help
.PHONY: help demo build test check bench crash vm setup lint docs clean preflight

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: build ## what Haven does, shown on a private daemon that is gone afterwards (as root)
	cargo xtask setup --demo && HAVEN_BINARY=$(CURDIR)/target/haven cargo run --quiet --locked --package haven-tests --bin haven-demo

build: preflight ## the release binary, static, as target/haven
	cargo build --release --locked --package haven && install -D target/$(TRIPLE)/release/haven target/haven

test: preflight setup lint docs ## everything that must hold, from a clean clone (as root, under 30 minutes on 2 cores)
	cargo build --locked --workspace --bins && cargo test --quiet --locked --workspace --doc && cargo nextest run --locked --workspace

check: lint ## quick: house rules, format, lints, and the tests that need no privilege
	cargo nextest run --locked --workspace --exclude haven-tests

bench: build setup ## Haven beside docker, podman, runc and crun, in the same run
	HAVEN_BINARY=$(CURDIR)/target/haven cargo run --quiet --locked --release --package haven-bench

crash: ## 200 kills of the daemon at random moments under a churn of containers
	cargo build --quiet --locked --package haven && cargo run --quiet --locked --package haven-tests --bin haven-crash -- 200

vm: build ## Haven on Debian's own kernel with cgroup v2 alone, in a virtual machine (as root)
	cargo xtask setup --vm && cargo xtask vm

setup: ## install what testing and measuring need
	cargo xtask setup

lint: ## house rules, format, lints
	cargo xtask tidy && cargo fmt --all --check && cargo clippy --quiet --locked --workspace --all-targets -- --deny warnings

docs: ## the source's documentation, with links checked
	RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --locked --workspace --no-deps --document-private-items

clean: ## remove what was built
	cargo clean

preflight:
	@sh xtask/preflight.sh
