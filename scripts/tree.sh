#!/usr/bin/env bash
# Sees to it that the tests leave the checkout as they found it.
#
#   scripts/tree.sh save     notes how it is
#   scripts/tree.sh check    fails when it is not like that any more
set -euo pipefail
cd "$(dirname "$0")/.."

# A source archive has nothing to compare with.
git rev-parse --verify --quiet HEAD >/dev/null 2>&1 || exit 0

mkdir -p target
state() {
    git status --porcelain --untracked-files=all
    # A file that was changed before may have changed further.
    git diff HEAD
}

case ${1:-} in
save) state >target/tree.before ;;
check)
    state >target/tree.after
    diff -u target/tree.before target/tree.after || {
        echo "tree: the tests have changed the checkout" >&2
        exit 1
    }
    ;;
*)
    echo "usage: scripts/tree.sh save|check" >&2
    exit 2
    ;;
esac
