#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# planted.sh [SECONDS]: does each target find the bug that is planted for it? Each patch in planted/ is
# applied to a copy of the sources; the target, named before the first dash, must crash within the limit
# (default 300 s) from the committed seeds alone.
set -eu
limit=${1:-300}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
missed=0

for patch in "$here"/planted/*.patch; do
	name=$(basename "$patch" .patch)
	target=${name%%-*}
	dir=$work/$name
	mkdir -p "$dir/root" "$dir/corpus" "$dir/seeds"
	cp -r "$root/abi" "$root/bpf" "$root/src" "$dir/root/"
	patch -s -d "$dir/root" -p1 <"$patch"
	sh "$here/build.sh" "$dir/root" "$target" "$dir/fuzz"
	cp "$here/corpus/$target"/seed-* "$dir/seeds/"
	start=$(date +%s)
	if (cd "$dir" && nice -n 19 ./fuzz -seed=1 -max_total_time="$limit" -artifact_prefix=./ corpus seeds) \
		>"$dir/log" 2>&1; then
		echo "$name: NOT FOUND in $limit s"
		missed=1
	else
		what=$(grep -m1 -E 'not true|ERROR: |runtime error' "$dir/log" | cut -c1-140)
		echo "$name: found in $(($(date +%s) - start)) s: $what"
	fi
done
exit $missed
