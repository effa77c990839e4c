#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh [SECONDS [TARGET...]]: fuzz each target for so long, one after the other on one core, then say
# what the corpus covers. It begins with the corpus that is kept in corpus/TARGET (seeds, and found.pack with
# what fuzzing added). What is found lies in build-fuzz/TARGET; run.sh --keep writes a new found.pack.
# Exits 1 when something was found.
set -eu
keep=
if [ "${1:-}" = --keep ]; then
	keep=1
	shift
fi
seconds=${1:-60}
[ $# -gt 0 ] && shift
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${FUZZ_OUT:-$root/build-fuzz}
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ $# -gt 0 ] || set -- http1 resp stream recording otlp ask grpc elf memory text log
cov=$(command -v llvm-cov-19 || command -v llvm-cov)
profdata=$(command -v llvm-profdata-19 || command -v llvm-profdata)
found=0

sources() {
	case $1 in
	http1 | resp) echo "$root/src/proto" ;;
	stream) echo "$root/src/stream $root/src/proto" ;;
	recording) echo "$root/src/capture" ;;
	otlp) echo "$root/src/model" ;;
	ask) echo "$root/src/server/traceql.c $root/src/server/tail_match.c $root/src/model/otlp_answer_in.c
		$root/src/query/params.c $root/src/export/answer.c" ;;
	grpc) echo "$root/src/server/grpc_call.c $root/src/server/grpc_conn.c" ;;
	elf) echo "$root/src/capture/runtime/elf.c $root/src/capture/runtime/go.c" ;;
	memory) echo "$root/src/capture/runtime" ;;
	text) echo "$root/src/span $root/src/identity $root/src/capture/redact.c $root/src/base/option.c" ;;
	log) echo "$root/src/store/hot.c $root/src/store/hot_log.c" ;;
	esac
}

for target in "$@"; do
	work=$out/$target
	mkdir -p "$work/corpus" "$work/found"
	kept=$here/corpus/$target/found.pack
	[ ! -f "$kept" ] || python3 "$here/pack.py" unpack "$kept" "$work/corpus"
	rm -rf "$work/seeds"
	mkdir -p "$work/seeds"
	cp "$here/corpus/$target"/seed-* "$work/seeds/"
	sh "$here/build.sh" "$root" "$target" "$work/fuzz"
	echo "== $target: $seconds s"
	if ! (cd "$work" && nice -n 19 ./fuzz -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix=found/ corpus "$work/seeds") \
		>"$work/log" 2>&1; then
		found=1
		echo "FOUND something: $work/log, $work/found"
		tail -n 30 "$work/log"
	fi
	grep -E '^stat::(number_of_executed_units|average_exec_per_sec|new_units_added)' "$work/log" || true
	# The smallest set of inputs that covers the same, and what it covers.
	rm -rf "$work/min"
	mkdir -p "$work/min"
	"$work/fuzz" -merge=1 "$work/min" "$work/seeds" "$work/corpus" >"$work/merge.log" 2>&1 || true
	if [ -n "$keep" ]; then
		python3 "$here/pack.py" pack "$work/min" "$kept"
	fi
	sh "$here/build.sh" "$root" "$target" "$work/cov" -fprofile-instr-generate -fcoverage-mapping
	LLVM_PROFILE_FILE=$work/cov.raw "$work/cov" -runs=0 "$work/min" "$work/seeds" \
		>"$work/cov.log" 2>&1 || true
	"$profdata" merge -o "$work/cov.prof" "$work/cov.raw"
	# shellcheck disable=SC2046
	"$cov" report "$work/cov" -instr-profile="$work/cov.prof" $(sources "$target") |
		awk 'NR == 1 || /\.c |TOTAL/ {
			n = NF; printf "%-28s lines %s missed %s: %s\n", $1, $8, $9, $10 }' | tail -n +2
done
exit $found
