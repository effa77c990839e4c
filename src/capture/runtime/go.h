/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading Go executables: what goes for the tests too.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

struct go_version {
	unsigned major, minor;
	char text[40]; /* "1.26.8" */
};

/**
 * go_buildinfo_version() - the Go version in the bytes of .go.buildinfo. 0; -EBADMSG: no build
 * information, or broken; -ENOTSUP: made by Go before 1.18, which keeps it elsewhere.
 * Source: Go's src/debug/buildinfo/buildinfo.go.
 */
int go_buildinfo_version(struct slice section, struct go_version *ret);

/**
 * go_pclntab_find() - where a function begins, relative to the beginning of Go's text.
 * @table: the bytes of .gopclntab. 0; -ENOENT: there is none of this name; -EBADMSG.
 * Source: Go's src/debug/gosym/pclntab.go, layout of 1.20 and later.
 */
int go_pclntab_find(struct slice table, const char *name, uint64_t *ret_offset);

/**
 * go_pclntab_end() - where the function that begins at offset ends: the next one begins there.
 * 0; -ENOENT: none begins there; -EBADMSG.
 */
int go_pclntab_end(struct slice table, uint64_t offset, uint64_t *ret_end);

/**
 * go_find_call() - the next CALL of a function, from *at on. code: bytes that lie at address `here`;
 * *at: where in it to begin, and where it was found. -ENOENT: there is none.
 */
int go_find_call(struct slice code, uint64_t here, uint64_t callee, uint64_t *at);

/**
 * go_find_push() - how far behind a function's first byte its PUSHQ BP is: there the arguments are
 * still in registers, and a probe is cheap as the kernel emulates the instruction.
 * @code: its first bytes. -ENOENT: it begins otherwise than functions with a frame do.
 */
int go_find_push(struct slice code, uint32_t *ret_at);
