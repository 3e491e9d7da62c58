#!/usr/bin/env bash
# Checks licences, sources, duplicate and banned crates, and security advisories
# of every dependency, as deny.toml says.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
# Where cargo-deny looks, below the db-path of deny.toml: the name comes from the repository's address.
db=target/advisory-db/advisory-db-3157b0e258782691
origin=https://github.com/RustSec/advisory-db
# A copy of the advisories that machines without network may have beside the checkout.
bundle=../shared/data/advisory-db.tar.gz

say() { echo "deny: $1" >&2; }

# Inside a git hook these would turn the commands below on the checkout itself.
# shellcheck disable=SC2046
unset $(git rev-parse --local-env-vars)

unpack() {
    rm -rf "$db"
    mkdir -p "$db"
    tar --extract --gzip --file "$bundle" --directory "$db" --strip-components=1 --no-same-owner
    git -C "$db" init --quiet --initial-branch=main
    git -C "$db" remote add origin "$origin"
    git -C "$db" add --all --force
    git -C "$db" -c user.name=usersecret -c user.email=usersecret@localhost \
        -c commit.gpgsign=false -c core.hooksPath=/dev/null commit --quiet --message=Bundle
}

export PATH="$PWD/target/tools/bin:$PATH"
if [[ $(cargo-deny --version 2>/dev/null) != "cargo-deny ${version%.*}."* ]]; then
    say "building cargo-deny $version, once; it takes a minute"
    # A debug build without debug information: the check takes seconds either way.
    CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install cargo-deny --version "$version" --locked --debug --quiet --root target/tools
fi

# The checkout, and what the tests' module is made of.
deny() {
    local manifest
    for manifest in Cargo.toml kryoptic-module/Cargo.toml; do
        cargo-deny --locked --manifest-path "$manifest" "$@"
    done
}
deny check bans licenses sources

if [[ -f $bundle ]]; then
    unpack
elif ! GIT_TERMINAL_PROMPT=0 timeout 120 cargo-deny --locked fetch db; then
    say "NOT CHECKED: security advisories. They cannot be fetched and there is no copy of them."
    exit 0
fi
newest=$(grep -rhoE '^date = "[0-9-]+"' "$db/crates" | sort | tail -n 1)
say "newest advisory: ${newest//\"/}"
# Offline, or it would fetch the advisories again.
deny --offline check advisories
