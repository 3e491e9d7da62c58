#!/usr/bin/env bash
# A throw-away PostgreSQL of this checkout's own, for tests: reached through a socket only.
#
#   scripts/postgres.sh start        starts it unless it runs, and prints an administrator's URL
#   scripts/postgres.sh restart      stops it as a crash would, and starts it again
#   scripts/postgres.sh stop         stops it and removes its data
#   scripts/postgres.sh run CMD...   starts it, runs CMD, stops it
#   scripts/postgres.sh tool CMD...  runs CMD, a program of PostgreSQL's own, of the same version
#
# NAME=x before it means another one, for a test that must break it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Not below the checkout: PostgreSQL refuses root, and its user may not be able to
# reach it; and the path of a socket must be short.
home=/tmp/usersecret-postgres-$(id -u)-$(pwd | cksum | cut -d ' ' -f 1)${NAME:+-$NAME}
url="postgres://postgres@localhost/postgres?host=$home"

fail() {
    echo "postgres: $1" >&2
    exit 1
}

bin=$(find /usr/lib/postgresql /usr/pgsql-* /usr/local/pgsql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1 || true)
if [[ -z $bin ]]; then
    bin=$(dirname "$(command -v pg_ctl)") || fail 'no PostgreSQL; `make install-test` installs it'
fi

# As an unprivileged user, whoever calls.
as=()
if [[ $(id -u) -eq 0 ]]; then
    id postgres >/dev/null 2>&1 || fail "root cannot run PostgreSQL, and there is no user postgres"
    as=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi

control() { (cd / && "${as[@]}" "$bin/pg_ctl" --pgdata="$home/data" --silent "$@" >/dev/null); }
running() { [[ -d $home/data ]] && control status; }

start() {
    running && return
    if [[ ! -e $home/ready ]]; then
        rm -rf "$home"
        mkdir -m 700 "$home"
        [[ ${#as[@]} -eq 0 ]] || chown postgres: "$home"
        (cd / && "${as[@]}" "$bin/initdb" --pgdata="$home/data" --username=postgres --auth=trust \
            --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null)
        # The data is thrown away, so it need not survive a power cut.
        "${as[@]}" tee -a "$home/data/postgresql.conf" >/dev/null <<EOF
listen_addresses = ''
unix_socket_directories = '$home'
max_connections = 300
fsync = off
full_page_writes = off
EOF
        "${as[@]}" touch "$home/ready"
    fi
    control start --wait --log="$home/log"
}

stop() {
    if running; then control stop --mode=fast --wait; fi
    rm -rf "$home"
}

# One at a time, of all the tests that ask.
exec 9>"/tmp/.usersecret-postgres-$(id -u).lock"
case ${1:-} in
    start)
        flock 9
        # The server must not inherit the lock.
        start 9>&-
        echo "$url"
        ;;
    restart)
        flock 9
        control stop --mode=immediate --wait 9>&-
        control start --wait --log="$home/log" 9>&-
        ;;
    stop)
        flock 9
        stop 9>&-
        ;;
    run)
        shift
        (flock 9 && start 9>&-)
        trap '"$0" stop' EXIT
        exec 9>&-
        "$@"
        ;;
    tool)
        exec 9>&-
        exec "$bin/$2" "${@:3}"
        ;;
    *) fail "usage: start, restart, stop, run CMD..., or tool CMD..." ;;
esac
