#!/bin/sh
# Instructions and allocations per packet of the engine, beside the leanest direct use of the same crates.
# Usage: run.sh [MESSAGES_16K MESSAGES_100]. Exit 1 when a ratio is above the bound. Needs valgrind.
set -eu
cd "$(dirname "$0")"
bound=1.10
large=${1:-2000}
small=${2:-200000}
target=${CARGO_TARGET_DIR:-../../target/bench}
cargo build --release --locked --quiet --target-dir "$target"
bench=$target/release/engine-bench
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

measure() { # kind bytes messages -> "instructions allocations", per packet
    valgrind --tool=callgrind --callgrind-out-file="$out/callgrind" --collect-atstart=no \
        --toggle-collect=steady_state "$bench" "$1" "$2" "$3" >"$out/json" 2>"$out/log"
    instructions=$(sed -n 's/^.*Collected : \([0-9]*\).*/\1/p' "$out/log")
    packets=$(sed -n 's/.*"packets": \([0-9]*\).*/\1/p' "$out/json")
    allocations=$(sed -n 's/.*"allocations": \([0-9]*\).*/\1/p' "$out/json")
    awk -v i="$instructions" -v a="$allocations" -v p="$packets" 'BEGIN { printf "%.0f %.3f", i / p, a / p }'
}

failed=0
for work in "16384 $large" "100 $small"; do
    set -- $work
    base=$(measure baseline "$1" "$2")
    ours=$(measure ours "$1" "$2")
    echo "$base $ours $1" | awk -v bound="$bound" '{
        printf "%6d B: instructions a packet %6d ours, %6d baseline, ratio %.3f; allocations %.2f ours, %.2f baseline, ratio %.3f\n",
            $5, $3, $1, $3 / $1, $4, $2, $4 / $2
        exit ($3 / $1 > bound || $4 / $2 > bound)
    }' || failed=1
done
exit $failed
