#!/usr/bin/env bash
# Real clients, all by others, against a service that this script starts and ends.
#
#   scripts/clients.sh               on SQLite
#   scripts/clients.sh --postgres    on a PostgreSQL of its own
#
# Not part of `make test`, which asks nothing of PyPI. Versions are pinned in scripts/clients/*.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    '') database=SQLite ;;
    --postgres) database=PostgreSQL ;;
    *)
        echo "usage: scripts/clients.sh [--postgres]" >&2
        exit 2
        ;;
esac
tools=$PWD/target/tools/clients

# environment NAME: a virtual environment with what NAME.txt pins; made anew when the list has changed
environment() {
    local list=scripts/clients/$1.txt
    if ! cmp --silent "$list" "$tools/$1/ready"; then
        echo "clients: installing $list below target, once" >&2
        rm -rf "${tools:?}/$1"
        python3 -m venv "$tools/$1"
        # The lists are whole. Nothing is built: each package comes as a wheel.
        "$tools/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --requirement "$list"
        cp "$list" "$tools/$1/ready"
    fi
}
environment stubs
environment connector
environment openapi

cargo build --locked
dir=$(mktemp -d)
server=
stop() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    if [[ $database == PostgreSQL ]]; then NAME=clients scripts/postgres.sh stop; fi
    rm -rf "$dir"
}
trap stop EXIT

# The clients have tokens as the original's identity service makes them.
"$tools/connector/bin/python" scripts/clients/tokens.py "$dir" >"$dir/variables"
# shellcheck source=/dev/null
source "$dir/variables"

start=(target/debug/usersecret dev --data-dir "$dir/data" --listen 127.0.0.1:0)
if [[ $database == PostgreSQL ]]; then start+=(--database-url "$(NAME=clients scripts/postgres.sh start)"); fi
USERSECRET_LOG__FILTER=warn "${start[@]}" >"$dir/said" 2>"$dir/log" &
server=$!
for _ in $(seq 300); do
    grep -q '^listening on ' "$dir/said" && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
ADDRESS=$(sed -n 's|^listening on http://||p' "$dir/said")
if [[ -z $ADDRESS ]]; then
    echo "clients: the service did not start" >&2
    cat "$dir/log" >&2
    exit 1
fi
export ADDRESS

# step WORDS COMMAND...: one line when the command succeeds, what it said and the end when it does not
steps=0
step() {
    if ! "${@:2}" >"$dir/report" 2>&1; then
        cat "$dir/report" >&2
        echo "clients: failed: $1" >&2
        exit 1
    fi
    steps=$((steps + 1))
    echo "ok  $1"
}

# What schemathesis asks for must be there. It is started where its configuration is, and leaves things there.
seed() {
    for number in $(seq 20); do
        curl --silent --fail --header "Authorization: Bearer $TOKEN" "http://$ADDRESS/secret/v1/user-secret/create" --data \
            "{\"name\": \"seed $number\", \"data\": {\"a\": 1}, \"tags\": {\"env\": \"dev\", \"n\": $number, \"l\": [{\"a\": 1}, 2]}}" |
            grep -o '"user-secret-[0-9a-f]*"'
    done >"$dir/ids"
    cp scripts/clients/schemathesis.toml "$dir"
}

version() { sed -n "s/^$1==/$1 /p" scripts/clients/*.txt | head -n 1; }
echo "==> $database, $(python3 --version)"
step "$(version spaceone-api), $(version grpcio): eight methods, errors" "$tools/stubs/bin/python" scripts/clients/stubs.py
step "$(version spaceone-core): SpaceConnector, by reflection" "$tools/connector/bin/python" scripts/clients/connector.py
step "$(curl --version | head -n 1 | cut -d ' ' -f 1-2): REST at both places, HTTP/1.1 and HTTP/2" scripts/clients/rest.sh
curl --silent --fail --output "$dir/openapi.json" "http://$ADDRESS/openapi.json"
step "$(version openapi-spec-validator): the document" "$tools/openapi/bin/openapi-spec-validator" "$dir/openapi.json"
seed
step "$(version schemathesis): all checks on the document's operations" \
    env --chdir "$dir" "$tools/openapi/bin/st" run --no-color "http://$ADDRESS/openapi.json"
grep -o '[0-9]* generated, .*' "$dir/report" | sed 's/^/    /'
echo "clients: $steps of $steps steps, on $database"
