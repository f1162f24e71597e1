#!/bin/sh
# What must be there before cargo can run anything: a compiler. Silent and quick when it is.
set -eu

missing=''
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v make >/dev/null 2>&1 || missing="$missing make"
if ! command -v cargo >/dev/null 2>&1; then
    command -v curl >/dev/null 2>&1 || missing="$missing curl ca-certificates"
fi

if [ -n "$missing" ]; then
    install="apt-get update && apt-get install --yes --no-install-recommends$missing"
    if [ "$(id -u)" != 0 ]; then
        printf 'error: this host lacks%s\ntry: sudo sh -c "%s"\n' "$missing" "$install" >&2
        exit 1
    fi
    echo "setup: $install"
    sh -c "$install"
fi

if ! command -v cargo >/dev/null 2>&1; then
    cat >&2 <<'TEXT'
error: this host has no cargo
try: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal && . "$HOME/.cargo/env"
     (the toolchain named in rust-toolchain.toml is fetched on first use)
TEXT
    exit 1
fi
