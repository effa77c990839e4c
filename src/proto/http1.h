/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.0 and HTTP/1.1: message heads and body framing.
 *
 * Bytes in, slices of them out: nothing is allocated, copied or kept. Every parser returns the
 * bytes that it consumed, -EAGAIN when the input ends inside, or -EBADMSG when it cannot be what it
 * should be. The answer for a whole input and for the same input in pieces is the same.
 *
 * Source: RFC 9112 (HTTP/1.1), RFC 9110 (HTTP semantics). Read leniently where peers are lenient (a
 * bare LF ends a line, empty lines before a request), strictly where framing would be ambiguous.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

/* The longest method that is believed; IANA's longest is 17. */
#define CLEW_HTTP1_METHOD_MAX 24

struct clew_http1_head {
	struct slice method; /* request */
	struct slice target; /* request: as sent */
	uint16_t status;     /* response: 100 to 999; 0 in a request */
	uint8_t minor;	     /* HTTP/1.minor */
	bool transfer_encoding;
	bool chunked; /* the last transfer coding is chunked */
	bool connection_close;
	bool connection_keep_alive;
	bool upgrade; /* an Upgrade field is there */
	bool expect_continue;
	bool trace;		/* a field of a trace is there: traceparent, b3, X-B3-TraceId */
	int64_t content_length; /* -1: none */
	/* Of a whole head, without the white space around them; p is NULL if absent. */
	struct slice host, user_agent;
};

enum clew_http1_body {
	CLEW_HTTP1_BODY_NONE,
	CLEW_HTTP1_BODY_LENGTH, /* content_length bytes */
	CLEW_HTTP1_BODY_CHUNKED,
	CLEW_HTTP1_BODY_CLOSE,	 /* until the connection closes */
	CLEW_HTTP1_BODY_TUNNEL,	 /* what follows is another protocol */
	CLEW_HTTP1_BODY_UNKNOWN, /* faulty framing: RFC 9112, 6.1 */
};

/**
 * clew_http1_request() - read one request head from captured bytes.
 * @in: borrowed; may end anywhere, capture is bounded. Begins with the method (see
 * clew_http1_blank()).
 * @ret: slices into @in; untouched on failure.
 *
 * Returns the bytes consumed, with the empty line; -EAGAIN when the head goes on past @in; -EBADMSG
 * when this cannot be HTTP/1.x or when its lengths conflict. Source: RFC 9112, sections 2, 3, 5, 6.
 */
ssize_t clew_http1_request(struct slice in, struct clew_http1_head *ret);
/** clew_http1_response() - the same for a response head. Source: RFC 9112, section 4. */
ssize_t clew_http1_response(struct slice in, struct clew_http1_head *ret);

/**
 * clew_http1_request_line() - the first line only: the strong signature of a request.
 * Returns the bytes of the line; -EAGAIN while it may still become one; -EBADMSG. Fields of @ret
 * that the line holds are set; the rest is as in a head without fields. Untouched on failure.
 */
ssize_t clew_http1_request_line(struct slice in, struct clew_http1_head *ret);
ssize_t clew_http1_status_line(struct slice in, struct clew_http1_head *ret);

/**
 * clew_http1_request_start() - what a cut request line tells: a known method, a space and the
 * beginning of a target (-EAGAIN from clew_http1_request_line()). Returns 0 and sets method and
 * target, which may be cut; or -EBADMSG: not enough to believe it.
 */
int clew_http1_request_start(struct slice in, struct clew_http1_head *ret);

/** clew_http1_blank() - bytes of the empty lines that may stand before a request (RFC 9112, 2.2).
 */
size_t clew_http1_blank(struct slice in);

/**
 * clew_http1_head_ends() - is there an empty line in @in, looking from @from on? A cheap test
 * before parsing again a head that came in pieces.
 */
bool clew_http1_head_ends(struct slice in, size_t from);

/**
 * clew_http1_field() - the first field of this name in a head that may be cut.
 * @head: from the first line on. Returns its value without the white space around it; p is NULL if
 * it is absent or its line is cut.
 */
struct slice clew_http1_field(struct slice head, struct slice name);

/** clew_http1_request_body() - how the body of this request is framed. Source: RFC 9112, 6.3. */
enum clew_http1_body clew_http1_request_body(const struct clew_http1_head *h);
/** clew_http1_response_body() - the same; @method is the request's, empty if it is not known. */
enum clew_http1_body clew_http1_response_body(const struct clew_http1_head *h, struct slice method);

/* A position in a chunked body. All zeros: at its start. Source: RFC 9112, section 7.1. */
struct clew_http1_chunks {
	uint64_t left;	/* of this chunk's data; of its size while that is being read */
	uint8_t state;	/* enum in http1.c */
	uint8_t digits; /* of the size, read so far */
};

/**
 * clew_http1_chunks_feed() - walk over captured bytes of a chunked body.
 * @ret_data: body bytes without framing among them; not touched on failure.
 *
 * Returns the bytes consumed: all of them, or up to the end of the body (clew_http1_chunks_done()).
 * -EBADMSG where the framing is broken.
 */
ssize_t clew_http1_chunks_feed(struct clew_http1_chunks *c, struct slice in, uint64_t *ret_data);
/**
 * clew_http1_chunks_skip() - go over n bytes that were not captured.
 * Returns how many of them are certain: the rest of a chunk and its line end. Fewer than n: the
 * place is lost there.
 */
uint64_t clew_http1_chunks_skip(struct clew_http1_chunks *c, uint64_t n, uint64_t *ret_data);
/** clew_http1_chunks_at_size() - a chunk is over and nothing of the next was seen. */
bool clew_http1_chunks_at_size(const struct clew_http1_chunks *c);
bool clew_http1_chunks_done(const struct clew_http1_chunks *c);
