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
src=$root/src
capture="$src/capture/recording.c $src/capture/record_check.c $src/capture/record_json.c"
runtime=$src/capture/runtime
deps=$here/../../.deps
duckdb="-isystem $deps/duckdb"

# protobuf-c's code is made, as the build makes it.
model()
{
	made=$(dirname "$out")
	"$here/../../tools/otlp-c" "$deps/otlp/otlp.desc" "$made/otlp.pb-c.c" "$made/otlp.pb-c.h"
	echo "-w -isystem $made $made/otlp.pb-c.c $src/model/*.c -lprotobuf-c -lm"
}

# What each target needs besides base, proto and stream.
case $target in
http1 | resp | stream) more= ;;
recording) more="$capture -ljansson" ;;
otlp) more="$(model) -ljansson" ;;
ask) more="$(model) -ljansson $duckdb $src/server/traceql.c $src/server/traceql_case.c $src/server/tail_match.c $src/query/params.c $src/export/answer.c" ;;
grpc) more="$(model) -ljansson $duckdb $src/server/grpc_call.c $src/server/grpc_conn.c -lnghttp2 -lz" ;;
elf) more="$src/capture/inside.c $runtime/elf.c $runtime/go.c $runtime/tokio.c $runtime/cpython_loops.c -lelf" ;;
memory) more="$runtime/cpython.c $runtime/cpython_frames.c $runtime/cpython_loops.c $runtime/go.c $runtime/hotspot.c
	$runtime/hotspot_heap.c $runtime/hotspot_moved.c $runtime/tokio.c" ;;
text) more="$src/span/redact.c $src/span/trace_context.c $src/span/path_template.c $src/identity/service_name.c
	$src/capture/redact.c $src/cli/options.c" ;;
log) more="$(model) -ljansson $duckdb $src/store/*.c -L$deps/duckdb -Wl,-rpath,$deps/duckdb -lduckdb" ;;
*)
	echo "build.sh: there is no target '$target'" >&2
	exit 1
	;;
esac
# shellcheck disable=SC2086
exec "$clang" -std=gnu17 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "$@" \
	-I"$root" -I"$root/src" -I"$here" "$here/fuzz_$target.c" \
	"$root"/src/base/*.c "$root"/src/proto/*.c "$root"/src/stream/*.c $more -lxxhash -o "$out"
