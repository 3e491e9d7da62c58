#!/usr/bin/env bash
# Builds Kryoptic as a PKCS#11 module, and prints where it is. Later calls find it built.
#
# It has a target folder of its own, so that no other build waits for it or is undone by it.
set -euo pipefail
cd "$(dirname "$0")/../kryoptic-module"

target=$PWD/../target/kryoptic
CARGO_TARGET_DIR=$target cargo build --quiet --locked >&2
echo "$(realpath "$target")/debug/libkryoptic_module.so"
