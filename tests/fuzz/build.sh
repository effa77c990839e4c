#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh SOURCE_ROOT TARGET OUTPUT [FLAG...]: one fuzz target, with libFuzzer and the sanitizers.
# SOURCE_ROOT is the project or a patched copy of it; the target itself is this folder's.
set -eu
root=$1 target=$2 out=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
clang=${CLANG:-$(command -v clang-19 || command -v clang)} || {
	echo "clang with libFuzzer is needed: apt-get install clang-19 llvm-19 libclang-rt-19-dev" >&2
	exit 1
}
otlp=
if [ "$target" = otlp ] || [ "$target" = ask ]; then # protobuf-c's code is made, as the build makes it
	made=$(dirname "$out")
	"$here/../../tools/otlp-c" "$here/../../.deps/otlp/otlp.desc" "$made/otlp.pb-c.c" "$made/otlp.pb-c.h"
	otlp="-w -isystem $made $made/otlp.pb-c.c $(echo "$root"/src/model/*.c) -lprotobuf-c -lm"
fi
[ "$target" != ask ] || otlp="$otlp $root/src/server/traceql.c"
# shellcheck disable=SC2086
exec "$clang" -std=gnu17 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "$@" \
	-I"$root" -I"$root/src" -I"$here" "$here/fuzz_$target.c" \
	"$root"/src/base/*.c \
	"$root"/src/proto/*.c "$root"/src/stream/*.c \
	"$root"/src/capture/recording.c "$root"/src/capture/record_check.c "$root"/src/capture/record_json.c \
	$otlp -lxxhash -ljansson -o "$out"
