#!/usr/bin/env bash
# Lets libFuzzer look for requests that the query language does not take well.
#
#   scripts/fuzz.sh [SECONDS]     each target so long; 600 when nothing is said
#
# What is found lies below fuzz/artifacts/, and cargo-fuzz says how to run it again. What has
# shown something new is kept below fuzz/corpus/, where the next run begins.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
tools=$PWD/target/tools
version=0.13.2

command -v c++ >/dev/null || { echo "fuzz: libFuzzer needs a C++ compiler: apt-get install g++" >&2; exit 1; }
[[ -x $tools/bin/cargo-fuzz ]] || cargo install --quiet --locked --root "$tools" "cargo-fuzz@$version"
PATH=$tools/bin:$PATH

for target in lists statistics; do
    printf '\n==> %s\n' "$target"
    # Without a sanitizer: there is no unsafe code here, and so no nightly compiler is needed.
    cargo fuzz run --sanitizer none "$target" -- \
        -max_total_time="$seconds" -max_len=2048 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
