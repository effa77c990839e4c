/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing protobuf's wire format (protobuf.dev/programming-guides/encoding): for messages that are
 * flat enough for their sizes to be known before they are written.
 */
#pragma once

#include "base/buf.h"

enum proto_type { PROTO_VARINT = 0, PROTO_I64 = 1, PROTO_LEN = 2 };

/* Of fields 1 to 15: a tag of one byte. */
#define PROTO_TAG(field, type) ((char)((field) << 3 | (type)))

static inline size_t proto_varint_size(uint64_t v)
{
	return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

/* Of a tag, a length and n bytes. */
static inline size_t proto_len_size(size_t n)
{
	return 1 + proto_varint_size(n) + n;
}

static inline char *proto_varint(char *p, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		*p++ = (char)(v | 0x80);
	*p++ = (char)v;
	return p;
}

/* The tag and the length of what follows. */
static inline char *proto_len(char *p, int field, size_t n)
{
	*p++ = PROTO_TAG(field, PROTO_LEN);
	return proto_varint(p, n);
}

static inline char *proto_bytes(char *p, int field, struct slice s)
{
	p = proto_len(p, field, s.n);
	if (s.n)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

static inline char *proto_i64(char *p, int field, uint64_t v)
{
	*p++ = PROTO_TAG(field, PROTO_I64);
	for (int i = 0; i < 8; i++, v >>= 8)
		*p++ = (char)v;
	return p;
}

static inline void proto_add_varint(struct clew_buf *b, int field, uint64_t v)
{
	char *p = clew_buf_room(b, 1 + proto_varint_size(v));

	if (!p)
		return;
	*p++ = PROTO_TAG(field, PROTO_VARINT);
	proto_varint(p, v);
}

static inline void proto_add_i64(struct clew_buf *b, int field, uint64_t v)
{
	char *p = clew_buf_room(b, 9);

	if (p)
		proto_i64(p, field, v);
}

static inline void proto_add_bytes(struct clew_buf *b, int field, struct slice s)
{
	char *p = clew_buf_room(b, proto_len_size(s.n));

	if (p)
		proto_bytes(p, field, s);
}
