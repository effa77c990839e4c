/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.x heads. Lines are found with memchr(); only field names that matter for framing are
 * looked at twice, so a head of ten fields costs a few hundred ns.
 */
#include "proto/http1.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* tchar of RFC 9110, 5.6.2. */
static const bool tchar[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,	    ['&'] = 1,	       ['\''] = 1,
	['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,	    ['^'] = 1,	       ['_'] = 1,
	['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

static const struct clew_http1_head empty_head = {.content_length = -1};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Sixteen bytes at a time, where so many are left: a bit for each byte. What follows is done a byte at a time, and
 * so is all of it on other machines.
 */
#define BLOCK 16

#ifdef __SSE2__
typedef __m128i block;

static block block_at(const char *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

static uint32_t is(block b, char c)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, _mm_set1_epi8(c)));
}

/* Bytes from lo on to hi, both below 128. */
static uint32_t within(block b, char lo, char hi)
{
	const __m128i low = _mm_cmpgt_epi8(b, _mm_set1_epi8((char)(lo - 1)));
	const __m128i high = _mm_cmplt_epi8(b, _mm_set1_epi8((char)(hi + 1)));

	return (uint32_t)_mm_movemask_epi8(_mm_and_si128(low, high));
}

/* What nearly all field names are made of: letters, digits, '-'. */
static uint32_t plain(block b)
{
	return within(_mm_or_si128(b, _mm_set1_epi8(0x20)), 'a', 'z') | within(b, '0', '9') |
	       is(b, '-');
}
#else
typedef const char *block;

static block block_at(const char *p)
{
	return p;
}

static uint32_t within(block b, char lo, char hi)
{
	uint32_t bits = 0;

	for (int i = 0; i < BLOCK; i++)
		bits |= (uint32_t)(b[i] >= lo && b[i] <= hi) << i;
	return bits;
}

static uint32_t is(block b, char c)
{
	return within(b, c, c);
}

static uint32_t plain(block b)
{
	return within(b, 'a', 'z') | within(b, 'A', 'Z') | within(b, '0', '9') | is(b, '-');
}
#endif

/* The first byte of [p, end) that may not be in a target: white space and controls, or end. */
static const char *target_end(const char *p, const char *end)
{
	for (; end - p >= BLOCK; p += BLOCK) {
		const block b = block_at(p);
		uint32_t bits = within(b, 0, ' ') | is(b, 0x7f);

		if (bits)
			return p + __builtin_ctz(bits);
	}
	while (p < end && (uint8_t)*p > ' ' && *p != 0x7f)
		p++;
	return p;
}

/* Lines are short: a call of memchr() costs more than looking. NULL: there is none. */
static const char *newline(const char *p, const char *end)
{
	for (; end - p >= BLOCK; p += BLOCK) {
		uint32_t bits = is(block_at(p), '\n');

		if (bits)
			return p + __builtin_ctz(bits);
	}
	for (; p < end; p++)
		if (*p == '\n')
			return p;
	return NULL;
}

/* The first byte from p on that is no tchar; there is one, as the line has an end. */
static const char *token_end(const char *p, const char *end)
{
	while (end - p >= BLOCK) {
		uint32_t others = ~plain(block_at(p)) & 0xffff;
		int n = others ? __builtin_ctz(others) : BLOCK;

		p += n;
		if (n < BLOCK && !tchar[(uint8_t)*p])
			return p;
		p += n < BLOCK;
	}
	while (tchar[(uint8_t)*p])
		p++;
	return p;
}

/* CRLF or LF at p: returns what follows it, or NULL with *err set. */
static const char *line_end(const char *p, const char *end, int *err)
{
	if (p < end && *p == '\r')
		p++;
	if (p == end) {
		*err = -EAGAIN;
		return NULL;
	}
	if (*p != '\n') {
		*err = -EBADMSG;
		return NULL;
	}
	return p + 1;
}

/* "HTTP/1." and a digit. Returns what follows it, or NULL with *err set. */
static const char *version(const char *p, const char *end, uint8_t *minor, int *err)
{
	static const char name[] = "HTTP/1.";
	size_t len = sizeof(name) - 1, have = (size_t)(end - p) < len ? (size_t)(end - p) : len;

	if (have == len ? memcmp(p, name, sizeof(name) - 1) : memcmp(p, name, have)) {
		*err = -EBADMSG;
		return NULL;
	}
	p += have;
	if (p == end) {
		*err = -EAGAIN;
		return NULL;
	}
	if (!is_digit(*p)) {
		*err = -EBADMSG;
		return NULL;
	}
	*minor = (uint8_t)(*p - '0');
	return p + 1;
}

/* The head's fields that the line has not stay as they are. */
static ssize_t request_line(struct slice in, struct clew_http1_head *h)
{
	const char *p = in.p, *end = in.n ? in.p + in.n : in.p, *word;
	int err = 0;

	if (!in.n)
		return -EAGAIN;
	while (p < end && tchar[(uint8_t)*p] && p - in.p <= CLEW_HTTP1_METHOD_MAX)
		p++;
	if (p - in.p > CLEW_HTTP1_METHOD_MAX)
		return -EBADMSG;
	if (p == end)
		return -EAGAIN;
	if (*p != ' ' || p == in.p)
		return -EBADMSG;
	h->method = slice_of(in.p, (size_t)(p - in.p));

	word = ++p;
	p = target_end(p, end);
	if (p == end)
		return -EAGAIN;
	if (*p != ' ' || p == word)
		return -EBADMSG;
	h->target = slice_of(word, (size_t)(p - word));

	p = version(p + 1, end, &h->minor, &err);
	if (p)
		p = line_end(p, end, &err);
	return p ? p - in.p : err;
}

static ssize_t status_line(struct slice in, struct clew_http1_head *h)
{
	const char *p, *end = in.n ? in.p + in.n : in.p, *nl;
	int err = 0;

	if (!in.n)
		return -EAGAIN;
	p = version(in.p, end, &h->minor, &err);
	if (!p)
		return err;
	if (p == end)
		return -EAGAIN;
	if (*p++ != ' ')
		return -EBADMSG;
	for (int i = 0; i < 3; i++, p++) {
		if (p == end)
			return -EAGAIN;
		if (!is_digit(*p))
			return -EBADMSG;
		h->status = (uint16_t)(h->status * 10 + (*p - '0'));
	}
	if (h->status < 100)
		return -EBADMSG;
	if (p == end)
		return -EAGAIN;
	/* The reason may be missing, and some leave out its space too. */
	if (*p != ' ' && *p != '\r' && *p != '\n')
		return -EBADMSG;
	nl = newline(p, end);
	return nl ? nl + 1 - in.p : -EAGAIN;
}

ssize_t clew_http1_request_line(struct slice in, struct clew_http1_head *ret)
{
	struct clew_http1_head h = empty_head;
	ssize_t n = request_line(in, &h);

	if (n >= 0)
		*ret = h;
	return n;
}

ssize_t clew_http1_status_line(struct slice in, struct clew_http1_head *ret)
{
	struct clew_http1_head h = empty_head;
	ssize_t n = status_line(in, &h);

	if (n >= 0)
		*ret = h;
	return n;
}

int clew_http1_request_start(struct slice in, struct clew_http1_head *ret)
{
	/* None ends another: a line that was cut in its method is not taken for one of these. */
	static const struct slice known[] = {
		SLICE("GET "),	   SLICE("POST "),     SLICE("PUT "),	    SLICE("HEAD "),
		SLICE("DELETE "),  SLICE("PATCH "),    SLICE("TRACE "),	    SLICE("OPTIONS "),
		SLICE("CONNECT "), SLICE("PROPFIND "), SLICE("PROPPATCH "), SLICE("MKCOL "),
		SLICE("COPY "),	   SLICE("MOVE "),     SLICE("REPORT "),    SLICE("PURGE "),
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct clew_http1_head h = empty_head;
		struct slice rest;
		const char *sp;

		if (!slice_starts(in, known[i]))
			continue;
		rest = slice_of(in.p + known[i].n, in.n - known[i].n);
		sp = rest.n ? memchr(rest.p, ' ', rest.n) : NULL;
		if (sp)
			rest.n = (size_t)(sp - rest.p);
		if (!slice_starts(rest, SLICE("/")) && !slice_starts(rest, SLICE("http")) &&
		    !slice_eq(known[i], SLICE("CONNECT ")) && !slice_eq(rest, SLICE("*")))
			return -EBADMSG;
		for (size_t k = 0; k < rest.n; k++)
			if ((uint8_t)rest.p[k] <= ' ' || rest.p[k] == 0x7f)
				return -EBADMSG;
		h.method = slice_of(in.p, known[i].n - 1);
		h.target = rest;
		h.minor = 1;
		*ret = h;
		return 0;
	}
	return -EBADMSG;
}

size_t clew_http1_blank(struct slice in)
{
	size_t i = 0;

	while (i < in.n && (in.p[i] == '\r' || in.p[i] == '\n'))
		i++;
	return i;
}

bool clew_http1_head_ends(struct slice in, size_t from)
{
	const char *p, *end;

	if (!in.n)
		return false;
	end = in.p + in.n;
	/* An empty line may have begun up to three bytes before what is new. */
	for (p = in.p + (from > 3 ? from - 3 : 0); p < end; p++) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p || p + 1 == end)
			return false;
		if (p[1] == '\n' || (p[1] == '\r' && p + 2 < end && p[2] == '\n'))
			return true;
	}
	return false;
}

static struct slice trim(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return slice_of(p, (size_t)(end - p));
}

/* The next member of a comma-separated list; false at its end. */
static bool list_next(struct slice *list, struct slice *ret)
{
	const char *comma, *end;

	if (!list->p)
		return false;
	end = list->p + list->n;
	/* short: a call would cost more than the bytes */
	for (comma = list->p; comma < end && *comma != ','; comma++)
		;
	if (comma == end)
		comma = NULL;
	*ret = trim(list->p, comma ? comma : end);
	*list = comma ? slice_of(comma + 1, (size_t)(end - comma - 1)) : (struct slice){NULL, 0};
	return true;
}

/* 1*DIGIT, or the same number several times as a list (RFC 9110, 8.6). */
static int content_length(struct slice value, int64_t *len)
{
	struct slice item;

	while (list_next(&value, &item)) {
		int64_t n = 0;

		if (!item.n)
			return -EBADMSG;
		for (size_t i = 0; i < item.n; i++) {
			if (!is_digit(item.p[i]) || __builtin_mul_overflow(n, 10, &n) ||
			    __builtin_add_overflow(n, item.p[i] - '0', &n))
				return -EBADMSG;
		}
		if (*len >= 0 && *len != n)
			return -EBADMSG;
		*len = n;
	}
	return 0;
}

static void transfer_encoding(struct slice value, struct clew_http1_head *h)
{
	struct slice item;

	h->transfer_encoding = true;
	while (list_next(&value, &item))
		if (item.n)
			h->chunked = slice_ieq(item, SLICE("chunked"));
}

static void connection(struct slice value, struct clew_http1_head *h)
{
	struct slice item;

	while (list_next(&value, &item)) {
		h->connection_close |= slice_ieq(item, SLICE("close"));
		h->connection_keep_alive |= slice_ieq(item, SLICE("keep-alive"));
	}
}

/*
 * The field's name, if it is one that we look at: its letters without their case make one of these.
 * Most are none: their values are not looked at at all.
 */
enum known {
	NONE,
	HOST,
	USER_AGENT,
	TRACE,
	EXPECT,
	UPGRADE,
	CONNECTION,
	CONTENT_LENGTH,
	TRANSFER_ENCODING,
};

/*
 * Is this, of the same length, the name but for the case of its letters? Setting that bit cannot make
 * another token's character equal to one of a name, all of which have it set.
 */
static bool same_name(const char *p, const char *name, size_t n)
{
	const uint64_t bit = 0x2020202020202020ull;
	uint64_t a = 0, b = 0;

	for (; n > 8; p += 8, name += 8, n -= 8) {
		memcpy(&a, p, 8);
		memcpy(&b, name, 8);
		if ((a | bit) != b)
			return false;
	}
	for (size_t i = 0; i < n; i++)
		if ((p[i] | 0x20) != name[i])
			return false;
	return true;
}

static enum known known_field(struct slice name)
{
	static const struct {
		struct slice name;
		enum known what;
	} fields[] = {
		{SLICE("b3"), TRACE},
		{SLICE("host"), HOST},
		{SLICE("expect"), EXPECT},
		{SLICE("upgrade"), UPGRADE},
		{SLICE("connection"), CONNECTION},
		{SLICE("user-agent"), USER_AGENT},
		{SLICE("traceparent"), TRACE},
		{SLICE("x-b3-traceid"), TRACE},
		{SLICE("content-length"), CONTENT_LENGTH},
		{SLICE("transfer-encoding"), TRANSFER_ENCODING},
	};
	/* Of each length the first of the above, 0 where there is none. */
	static const uint8_t by_length[] = {
		[2] = 1,  [4] = 2,  [6] = 3,  [7] = 4,	 [10] = 5,
		[11] = 7, [12] = 8, [14] = 9, [17] = 10,
	};
	size_t i;

	if (name.n >= sizeof(by_length) || !by_length[name.n])
		return NONE;
	for (i = by_length[name.n] - 1u;
	     i < sizeof(fields) / sizeof(*fields) && fields[i].name.n == name.n; i++)
		if (same_name(name.p, fields[i].name.p, name.n))
			return fields[i].what;
	return NONE;
}

/* Returns 1 if the field takes part in framing, 0, or -EBADMSG. [value, nl): not trimmed. */
static int field(struct slice name, const char *value, const char *nl, struct clew_http1_head *h)
{
	enum known what = known_field(name);
	struct slice v;

	if (what == NONE)
		return 0;
	v = trim(value, nl);
	switch (what) {
	case HOST:
		if (!h->host.p)
			h->host = v;
		return 0;
	case USER_AGENT:
		if (!h->user_agent.p)
			h->user_agent = v;
		return 0;
	case TRACE:
		h->trace = true;
		return 0;
	case EXPECT:
		h->expect_continue = slice_ieq(v, SLICE("100-continue"));
		return 0;
	case UPGRADE:
		h->upgrade = true;
		return 0;
	case CONNECTION:
		connection(v, h);
		return 0;
	case CONTENT_LENGTH:
		return content_length(v, &h->content_length) ? -EBADMSG : 1;
	default:
		transfer_encoding(v, h);
		return 1;
	}
}

/* Field lines up to and with the empty line. Returns bytes consumed from p. */
static ssize_t fields(const char *p, const char *end, struct clew_http1_head *h)
{
	const char *start = p, *nl, *colon;
	int framing = -1; /* -1: no field yet, so nothing that a folded line could continue */

	while (p < end) {
		if (*p == '\n')
			return p + 1 - start;
		if (*p == '\r') {
			if (p + 1 == end)
				return -EAGAIN;
			return p[1] == '\n' ? p + 2 - start : -EBADMSG;
		}
		nl = newline(p, end);
		if (!nl)
			return -EAGAIN;
		if (*p == ' ' || *p == '\t') {
			/* obs-fold, RFC 9112, 5.2: harmless unless it continues a length. */
			if (framing)
				return -EBADMSG;
			p = nl + 1;
			continue;
		}
		colon = token_end(p, end);
		if (*colon != ':' || colon == p)
			return -EBADMSG;
		framing = field(slice_of(p, (size_t)(colon - p)), colon + 1, nl, h);
		if (framing < 0)
			return framing;
		p = nl + 1;
	}
	return -EAGAIN;
}

/* What follows the first line, which was line bytes long. */
static ssize_t head(struct slice in, ssize_t line, struct clew_http1_head *h,
		    struct clew_http1_head *ret)
{
	ssize_t n;

	if (line < 0)
		return line;
	n = fields(in.p + line, in.p + in.n, h);
	if (n < 0)
		return n;
	*ret = *h;
	return line + n;
}

ssize_t clew_http1_request(struct slice in, struct clew_http1_head *ret)
{
	struct clew_http1_head h = empty_head;

	return head(in, request_line(in, &h), &h, ret);
}

ssize_t clew_http1_response(struct slice in, struct clew_http1_head *ret)
{
	struct clew_http1_head h = empty_head;

	return head(in, status_line(in, &h), &h, ret);
}

struct slice clew_http1_field(struct slice in, struct slice name)
{
	const char *p, *end, *nl;

	if (!in.n || !name.n)
		return (struct slice){NULL, 0};
	end = in.p + in.n;
	p = memchr(in.p, '\n', in.n);
	for (p = p ? p + 1 : end; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl || *p == '\n' || *p == '\r')
			break;
		if ((size_t)(nl - p) > name.n && p[name.n] == ':' &&
		    slice_ieq(slice_of(p, name.n), name))
			return trim(p + name.n + 1, nl);
	}
	return (struct slice){NULL, 0};
}

enum clew_http1_body clew_http1_request_body(const struct clew_http1_head *h)
{
	if (h->transfer_encoding)
		return h->chunked && h->minor ? CLEW_HTTP1_BODY_CHUNKED : CLEW_HTTP1_BODY_UNKNOWN;
	return h->content_length > 0 ? CLEW_HTTP1_BODY_LENGTH : CLEW_HTTP1_BODY_NONE;
}

enum clew_http1_body clew_http1_response_body(const struct clew_http1_head *h, struct slice method)
{
	if (h->status == 101)
		return CLEW_HTTP1_BODY_TUNNEL;
	if (h->status < 200 || h->status == 204 || h->status == 304 ||
	    slice_eq(method, SLICE("HEAD")))
		return CLEW_HTTP1_BODY_NONE;
	if (h->status < 300 && slice_eq(method, SLICE("CONNECT")))
		return CLEW_HTTP1_BODY_TUNNEL;
	if (h->transfer_encoding) {
		if (!h->minor)
			return CLEW_HTTP1_BODY_UNKNOWN;
		return h->chunked ? CLEW_HTTP1_BODY_CHUNKED : CLEW_HTTP1_BODY_CLOSE;
	}
	if (h->content_length >= 0)
		return h->content_length ? CLEW_HTTP1_BODY_LENGTH : CLEW_HTTP1_BODY_NONE;
	return CLEW_HTTP1_BODY_CLOSE;
}
