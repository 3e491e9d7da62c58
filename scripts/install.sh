#!/usr/bin/env bash
# Installs the Debian packages that are missing, and nothing when none is.
#
#   scripts/install.sh run     what it takes to build and start the service
#   scripts/install.sh test    that, and what the tests need
#   scripts/install.sh bench   that of `run`, and what the benchmark needs
set -euo pipefail

# Where the service looks for SoftHSM, unless told of another module.
softhsm=/usr/lib/softhsm/libsofthsm2.so
missing=()

# need WHY PACKAGE...
need() {
    echo "install: ${*:2}: $1" >&2
    missing+=("${@:2}")
}

have() { command -v "$1" >/dev/null; }

softokn() {
    compgen -G '/usr/lib/*/libsoftokn3.so' >/dev/null || compgen -G '/usr/lib/*/nss/libsoftokn3.so' >/dev/null ||
        [[ -e /usr/lib64/libsoftokn3.so ]]
}

fail() {
    echo "install: $1" >&2
    exit 1
}

have cargo || fail "Rust is missing; get it from https://rustup.rs"
# aws-lc and SQLite are built from C. Neither needs C++, CMake or Perl.
have cc || need "the C compiler for the cryptographic library and SQLite" gcc libc6-dev
[[ -n ${USERSECRET_HSM__MODULE:-} || -e $softhsm ]] ||
    need "the HSM in software that holds the keys" softhsm2
if [[ ${1:-run} == test ]]; then
    [[ -n $(find /usr/lib/postgresql /usr/pgsql-* -maxdepth 2 -name bin 2>/dev/null) ]] || have pg_ctl ||
        need "the other database" postgresql
    have openssl || need "what a recovery does offline" openssl
    have git || need "the security advisories come as a git repository" git
    softokn || need "the second HSM in software that the service is held to" libnss3
    # Kryoptic, the third, is built from Rust against OpenSSL and SQLite of the system; bindings are made by clang.
    have clang || need "Kryoptic's bindings" clang
    have pkg-config || need "Kryoptic finds OpenSSL by it" pkg-config
    pkg-config --exists openssl sqlite3 2>/dev/null || need "Kryoptic's cryptography and its store" libssl-dev libsqlite3-dev
fi
if [[ ${1:-run} == bench ]]; then
    compgen -G '/usr/lib/postgresql/*/bin/pgbench' >/dev/null ||
        need "the benchmark runs a PostgreSQL of its own" postgresql
    softokn || need "an HSM in software that costs little" libnss3
fi

[[ ${#missing[@]} -gt 0 ]] || exit 0

have apt-get || fail "no apt-get here; install what is named above by the system's own means,
install: and when SoftHSM does not lie at $softhsm, name its module in USERSECRET_HSM__MODULE"

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    have sudo || fail "neither root nor sudo; have an administrator run: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

# sudo drops the variable when it is merely exported.
as_root+=(env DEBIAN_FRONTEND=noninteractive)
"${as_root[@]}" apt-get update --quiet
"${as_root[@]}" apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
