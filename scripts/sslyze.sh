#!/usr/bin/env bash
# Has sslyze look at the TLS of both listeners, and fails when it finds anything to complain about.
#
# The main listener has an ECDSA certificate; the internal one has RSA and demands a certificate of its
# clients. Both are measured by Mozilla's profile "intermediate", which is TLS 1.2 and 1.3; "modern" is
# 1.3 alone. Nothing is exempt: the certificates are made here, and sslyze is told of their authority.
#
# Not part of `make test`, which asks nothing of PyPI: tests/gateway/tls.rs watches the floor of protocols and suites.
set -euo pipefail
cd "$(dirname "$0")/.."

version=6.3.1
venv=$PWD/target/tools/sslyze-$version
if [[ ! -e $venv/ready ]]; then
    echo "sslyze: installing sslyze $version below target, once" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "sslyze==$version"
    touch "$venv/ready"
fi

cargo build --locked
dir=$(mktemp -d)
server=
stop() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$dir"
}
trap stop EXIT

"$venv/bin/python" scripts/tls_scan.py certificates "$dir"

env USERSECRET_SERVER__TLS__CERT_FILE="$dir/ecdsa.crt" USERSECRET_SERVER__TLS__KEY_FILE="$dir/ecdsa.key" \
    USERSECRET_INTERNAL__LISTEN=127.0.0.1:0 \
    USERSECRET_INTERNAL__TLS__CERT_FILE="$dir/rsa.crt" USERSECRET_INTERNAL__TLS__KEY_FILE="$dir/rsa.key" \
    USERSECRET_INTERNAL__TLS__CLIENT_CA_FILE="$dir/ca.crt" USERSECRET_INTERNAL__TLS__CLIENT_CERTIFICATES=required \
    USERSECRET_LOG__FILTER=warn \
    target/debug/usersecret dev --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/said" &
server=$!

# What the service prints once it listens: `address WORDS`.
address() {
    for _ in $(seq 300); do
        local line
        if line=$(grep "^$1 on https://" "$dir/said"); then
            echo "${line##*//}"
            return
        fi
        kill -0 "$server" || break
        sleep 0.1
    done
    echo "sslyze: the service did not start" >&2
    return 1
}
main=$(address listening)
internal=$(address revealing)

scan() {
    "$venv/bin/python" -W ignore -m sslyze --mozilla_config=intermediate --early_data --resum --certinfo_ca_file "$dir/ca.crt" \
        --json_out "$dir/result.json" "${@:2}" "$1" >"$dir/report" || { cat "$dir/report"; return 1; }
    # The exit status is 0 as well when nobody could be reached.
    grep 'OK - Compliant' "$dir/report" || { cat "$dir/report"; return 1; }
    "$venv/bin/python" scripts/tls_scan.py verdict "$dir/result.json"
}
echo "==> main listener, ECDSA"
scan "$main"
echo "==> internal listener, RSA, client certificates required"
scan "$internal" --cert "$dir/client.crt" --key "$dir/client.key"
echo "sslyze $version finds nothing to complain about"
