#!/usr/bin/env bash
# REST by curl: each method at both places, and what is refused. ADDRESS and the tokens come from the environment.
set -euo pipefail

# ask STATUS CURL-ARGUMENT...: the body of an answer that must have this status
ask() {
    local want=$1 answer
    shift
    answer=$(curl --silent --show-error --max-time 20 --write-out '\n%{http_code}' "$@")
    if [[ ${answer##*$'\n'} != "$want" ]]; then
        echo "curl: $want was expected of ${*: -1}: $answer" >&2
        return 1
    fi
    printf '%s' "${answer%$'\n'*}"
}

# has TEXT BODY
has() {
    if [[ $2 != *"$1"* ]]; then
        echo "curl: $1 is not in $2" >&2
        return 1
    fi
}

# is TEXT BODY
is() {
    if [[ $2 != "$1" ]]; then
        echo "curl: $1 was expected, not $2" >&2
        return 1
    fi
}

as=(--header "Authorization: Bearer $TOKEN")
http=http://$ADDRESS
for place in secret/v1/user-secret secret/user-secret; do
    call() { ask "$1" "${as[@]}" --json "$3" "$http/$place/$2"; }
    made=$(call 200 create '{"name": "curl", "data": {"key": "s3cret"}, "schemaId": "aws", "tags": {"env": "dev"}}')
    id=$(grep -o 'user-secret-[0-9a-f]\{12\}' <<<"$made")
    is "$made" "$(call 200 get "{\"user_secret_id\": \"$id\"}")"
    has '"total_count":1}' "$(call 200 list '{"query": {"filter": [{"k": "tags.env", "v": "dev", "o": "eq"}]}}')"
    is '{"results":["curl"]}' "$(call 200 stat '{"query": {"distinct": "name"}}')"
    has '"name":"renamed"' "$(call 200 update "{\"user_secret_id\": \"$id\", \"name\": \"renamed\"}")"
    is '{}' "$(call 200 update-data "{\"user_secret_id\": \"$id\", \"data\": {\"key\": \"n3w\"}}")"
    has '(key = name)' "$(call 400 create '{"data": {"key": "s3cret"}}')"
    has ERROR_INVALID_PARAMETER "$(call 400 list 'no JSON')"
    is '{"detail":"Not Found"}' "$(call 404 get-data "{\"user_secret_id\": \"$id\"}")"
    # As a system: delete alone.
    has ERROR_PERMISSION_DENIED "$(ask 403 --header "Authorization: Bearer $SYSTEM" --json '{}' "$http/$place/list")"
    as_system=(--header "Authorization: Bearer $SYSTEM" --header "X-Domain-Id: $DOMAIN")
    is '{}' "$(ask 200 "${as_system[@]}" --json "{\"user_secret_id\": \"$id\"}" "$http/$place/delete")"
    has ERROR_NOT_FOUND "$(call 404 delete "{\"user_secret_id\": \"$id\"}")"
    has ERROR_AUTHENTICATE_FAILURE "$(ask 401 --json '{}' "$http/$place/list")"
    has '{"detail":"Method Not Allowed"}' "$(ask 405 "${as[@]}" "$http/$place/list")"
    head -c 2000000 /dev/zero | tr '\0' ' ' | has ERROR_RESOURCE_EXHAUSTED "$(ask 413 "${as[@]}" --json @- "$http/$place/list")"
done
has '"openapi":"3.1.0"' "$(ask 200 "$http/openapi.json")"
is '{"detail":"Not Found"}' "$(ask 404 "$http/nowhere")"
# Without a body: who is refused may get the answer before it is sent, and curl before 8 then takes the whole for an error.
headers=$(ask 401 --http2-prior-knowledge --dump-header - --output /dev/null --request POST "$http/secret/user-secret/list")
has 'HTTP/2 401' "$headers"
has 'www-authenticate: Bearer' "$headers"
has 'x-trace-id: ' "$headers"
is '{}' "$(ask 200 --http2-prior-knowledge "${as[@]}" --json '{}' "$http/secret/user-secret/list")"
