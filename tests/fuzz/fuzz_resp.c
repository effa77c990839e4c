/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the framing of RESP: wherever a message is cut, and whatever of its strings is not seen, it ends where the
 * whole one does.
 *
 * Input: one byte (odd: a command), one byte that says where to cut, then the bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "fuzz.h"
#include "proto/resp.h"

/* Bytes up to the message's end, with pieces of so many; -EAGAIN: it goes on. pass: strings are not seen. */
static ssize_t ends(const uint8_t *p, size_t n, size_t step, bool command, bool pass)
{
	struct clew_resp r;
	size_t at = 0;

	clew_resp_begin(&r, command);
	while (at < n && !r.whole) {
		size_t len = step < n - at ? step : n - at;
		char *piece;
		ssize_t took;

		if (pass && r.left) {
			at += clew_resp_pass(&r, n - at);
			continue;
		}
		piece = malloc(len); /* so that a read past the end is seen */
		FUZZ_CHECK(piece);
		memcpy(piece, p + at, len);
		took = clew_resp_take(&r, slice_of(piece, len));
		free(piece);
		if (took < 0) {
			FUZZ_CHECK(took == -EBADMSG);
			return took;
		}
		FUZZ_CHECK((size_t)took == len || (r.whole && took > 0 && (size_t)took < len));
		FUZZ_CHECK(r.depth <= CLEW_RESP_DEPTH);
		at += (size_t)took;
	}
	return r.whole ? (ssize_t)at : -EAGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool command;
	ssize_t want;

	if (size < 2)
		return 0;
	command = data[0] & 1;
	want = ends(data + 2, size - 2, size, command, false);
	FUZZ_CHECK(ends(data + 2, size - 2, 1 + data[1] % 16, command, false) == want);
	FUZZ_CHECK(ends(data + 2, size - 2, 1 + data[1] % 16, command, true) == want);
	if (clew_resp_is_command(slice_of(data + 2, size - 2)))
		FUZZ_CHECK(data[2] == '*');
	return 0;
}
