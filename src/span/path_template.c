/* SPDX-License-Identifier: Apache-2.0 */
#include "span/path_template.h"

#include <ctype.h>

/* What a character is. */
#define DIGIT  1u
#define LETTER 2u
#define HEX    4u
#define DASH   8u /* or another that joins words */
#define AT     16u

static const uint8_t kind_of[256] = {
	['0' ... '9'] = DIGIT | HEX,
	['a' ... 'f'] = LETTER | HEX,
	['A' ... 'F'] = LETTER | HEX,
	['g' ... 'z'] = LETTER,
	['G' ... 'Z'] = LETTER,
	['-'] = DASH,
	['_'] = DASH,
	['.'] = DASH,
	['@'] = AT,
};

#define UUID_LEN 36
#define MAX_WORD 48 /* what is longer is no word, even without a digit */

/* What a segment is made of. */
struct census {
	/* runs: changes between letters and digits */
	size_t digits, hex, letters, dashes, others, runs;
};

static struct census count(struct slice s)
{
	struct census c = {0};
	unsigned int last = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned int kind = kind_of[(uint8_t)s.p[i]], now = kind & (DIGIT | LETTER);

		if (now && last && now != last)
			c.runs++;
		if (now)
			last = now;
		c.digits += now == DIGIT;
		c.letters += now == LETTER;
		c.hex += (kind & HEX) != 0;
		c.dashes += kind == DASH;
		c.others += !now && kind != DASH;
	}
	return c;
}

static bool is_uuid(struct slice s)
{
	if (s.n != UUID_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s.p[i] != '-' : !isxdigit((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

/* Is this segment the name of one thing among many? */
static bool is_id(struct slice s)
{
	struct census c;

	if (!s.n || s.n > 4096)
		return s.n != 0;
	c = count(s);
	if (c.digits == s.n)
		return true;
	if (is_uuid(s) || memchr(s.p, '@', s.n))
		return true;
	if (!c.digits)
		return s.n > MAX_WORD;
	/* 2024-05-01, 10.0.0.7, 1_000 and -5 */
	if (!c.letters && !c.others)
		return true;
	/* Commit hashes and the like; "face2face" is a word, so one digit among few is not enough.
	 */
	if (c.hex + c.dashes == s.n && s.n >= 8 && c.digits >= 2)
		return true;
	/* order-12345, u_98123: a word and a number of at least three digits behind it. */
	if (c.runs == 1 && c.dashes && c.digits >= 3 && !c.others &&
	    isdigit((unsigned char)s.p[s.n - 1]))
		return true;
	/* Random-looking: long, and letters and digits change often. */
	if (s.n >= 12 && c.runs >= 3 && c.letters + c.digits + c.dashes == s.n)
		return true;
	return s.n >= 32 && c.digits >= 2;
}

static void put(char *out, size_t *len, const char *p, size_t n)
{
	if (*len + n > CLEW_TEMPLATE_MAX)
		n = CLEW_TEMPLATE_MAX - *len;
	memcpy(out + *len, p, n);
	*len += n;
}

size_t clew_path_template(struct slice path, char *out, bool *ret_folded)
{
	size_t len = 0, i = 0;
	bool folded = false;

	while (i < path.n && len < CLEW_TEMPLATE_MAX) {
		struct slice seg = slice_of(path.p + i, 0);
		unsigned int kinds = 0, kind;
		bool others = false;

		if (path.p[i] == '/') {
			put(out, &len, "/", 1);
			i++;
			continue;
		}
		for (; i + seg.n < path.n && seg.p[seg.n] != '/'; seg.n++) {
			kind = kind_of[(uint8_t)seg.p[seg.n]];
			kinds |= kind;
			others |= !kind;
		}
		i += seg.n;
		/* Most are words or numbers, which is seen at once. A UUID may lack digits. */
		if ((kinds == (DIGIT | HEX) && !others) ||
		    ((kinds & (DIGIT | AT) || seg.n > MAX_WORD || seg.n == UUID_LEN) &&
		     is_id(seg))) {
			put(out, &len, "{id}", 4);
			folded = true;
		} else {
			put(out, &len, seg.p, seg.n);
		}
	}
	if (i < path.n || len == CLEW_TEMPLATE_MAX) {
		memcpy(out + len, "\xe2\x80\xa6", 3);
		len += 3;
	}
	out[len] = '\0';
	*ret_folded = folded;
	return len;
}
