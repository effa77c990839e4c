/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP, the protocol of Redis and Valkey: where a message ends, and no more.
 *
 *	command   *2\r\n$3\r\nGET\r\n$1\r\nk\r\n		an array of strings, each with its length before it
 *	reply     +OK\r\n   :7\r\n   $2\r\nhi\r\n   *1\r\n:7\r\n	a line, a string, or so many values
 *
 * Clients send many commands before they read a reply; replies come in the order of the commands. So whoever knows where
 * each message ends knows which reply is whose.
 *
 * Bytes go in as they come, in any pieces; nothing is allocated or kept of them. Bytes that nobody saw can be passed
 * over inside a string, whose length is known.
 *
 * Source: the Redis serialization protocol specification, RESP2 and RESP3 (without streamed values, which no server
 * sends). Inline commands (a line of words, as typed into telnet) are not taken for RESP.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

#define CLEW_RESP_DEPTH 8 /* values within values; a message with more is not followed */

/* Where in a message its next byte is. */
struct clew_resp {
	uint64_t left;	 /* bytes of a string that are still to come, its line's end included */
	uint64_t number; /* of the line at hand, as far as it was read */
	uint32_t need
		[CLEW_RESP_DEPTH]; /* values that are still to come, of those that hold values */
	uint8_t depth;
	uint8_t digits;
	char type; /* of the line at hand; 0: at the beginning of one */
	bool minus;
	bool cr;
	bool command;
	bool push;  /* a message that answers nothing (a subscription's) */
	bool whole; /* the message is over */
};

/** clew_resp_begin() - the next byte is the first one of a command, or else of a reply. */
void clew_resp_begin(struct clew_resp *r, bool command);

/**
 * clew_resp_take() - read on.
 * @in: borrowed; may end anywhere.
 *
 * Returns the bytes consumed: all of them, or those up to the message's end (r->whole is set then); -EBADMSG when this
 * is not RESP. No bytes may be given to a message that is whole or was bad.
 */
ssize_t clew_resp_take(struct clew_resp *r, struct slice in);

/** clew_resp_pass() - n bytes were not seen. Returns for how many of them it is known what they were: of a string. */
uint64_t clew_resp_pass(struct clew_resp *r, uint64_t n);

/** clew_resp_is_command() - surely: an array's head, and that of its first string. */
bool clew_resp_is_command(struct slice in);
