/* SPDX-License-Identifier: Apache-2.0 */
#include "query/params.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "query/query.h"

static int CLEW_PRINTF(2, 3) bad(char **ret_error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (ret_error && !*ret_error && vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return -EINVAL;
}

/* Append the decoded bytes; "+" is a space (application/x-www-form-urlencoded). */
static int decode(struct clew_buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t byte;

		if (s.p[i] == '+') {
			clew_buf_addc(out, ' ');
		} else if (s.p[i] != '%') {
			clew_buf_addc(out, s.p[i]);
		} else {
			if (s.n - i < 3 || clew_unhex(s.p + i + 1, 2, &byte, 1) < 0)
				return -EINVAL;
			clew_buf_addc(out, (char)byte);
			i += 2;
		}
	}
	return out->err;
}

static struct slice cut(struct slice *s, char at)
{
	const char *p = s->n ? memchr(s->p, at, s->n) : NULL;
	struct slice head = *s;

	if (p) {
		head.n = (size_t)(p - s->p);
		*s = slice_of(p + 1, s->n - head.n - 1);
	} else {
		*s = slice_of(s->p + s->n, 0);
	}
	return head;
}

int params_parse(struct params *ps, struct slice query, char **ret_error)
{
	size_t at[PARAMS_MAX][3];

	*ps = (struct params){0};
	while (query.n) {
		struct slice value = cut(&query, '&'), key;

		if (!value.n)
			continue;
		if (ps->n == PARAMS_MAX)
			return bad(ret_error, "more than %d parameters", PARAMS_MAX);
		key = cut(&value, '=');
		at[ps->n][0] = ps->text.len;
		if (decode(&ps->text, key) < 0)
			return bad(ret_error, "a parameter with a broken %%-escape");
		at[ps->n][1] = ps->text.len;
		if (decode(&ps->text, value) < 0)
			return bad(ret_error, "a parameter with a broken %%-escape");
		at[ps->n++][2] = ps->text.len;
	}
	/* The buffer does not move any more. */
	for (size_t i = 0; i < ps->n; i++) {
		ps->p[i].key = slice_of(ps->text.data + at[i][0], at[i][1] - at[i][0]);
		ps->p[i].value = slice_of(ps->text.data + at[i][1], at[i][2] - at[i][1]);
		ps->p[i].taken = false;
	}
	return 0;
}

void params_done(struct params *ps)
{
	clew_buf_done(&ps->text);
}

static int number(struct slice key, struct slice v, uint64_t *ret, char **ret_error)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9' || n > (INT64_MAX - 9) / 10)
			v.n = 0;
		else
			n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	if (!v.n)
		return bad(ret_error, "%.*s: not a whole number of 0 or more", (int)key.n, key.p);
	*ret = n;
	return 0;
}

/* "-15m" is an age; without the sign it is Unix time in ns. */
static int time_of(struct slice key, struct slice v, uint64_t *ret, char **ret_error)
{
	char text[CLEW_UNITS_TEXT];
	uint64_t age, now = clew_now_ns();

	if (v.n && v.p[0] != '-' && number(key, v, ret, NULL) == 0)
		return 0;
	snprintf(text, sizeof(text), "%.*s", v.n ? (int)(v.n - 1) : 0, v.n ? v.p + 1 : "");
	if (!v.n || v.p[0] != '-' || v.n > sizeof(text) || clew_parse_duration(text, &age) < 0)
		return bad(ret_error, "%.*s: '%.*s' is neither Unix ns nor an age such as -15m",
			   (int)key.n, key.p, (int)(v.n < 64 ? v.n : 64), v.p);
	*ret = age < now ? now - age : 0;
	return 0;
}

/* ---- one by one ---- */

bool params_get(struct params *ps, const char *key, struct slice *ret)
{
	bool found = false;

	for (size_t i = 0; i < ps->n; i++)
		if (!ps->p[i].taken && slice_eq(ps->p[i].key, slice_str(key))) {
			ps->p[i].taken = found = true;
			*ret = ps->p[i].value;
		}
	return found;
}

int params_u64(struct params *ps, const char *key, uint64_t *ret, char **ret_error)
{
	struct slice v;

	return params_get(ps, key, &v) ? number(slice_str(key), v, ret, ret_error) : 0;
}

int params_flag(struct params *ps, const char *key, bool *ret, char **ret_error)
{
	struct slice v;

	if (!params_get(ps, key, &v))
		return 0;
	*ret = slice_eq(v, SLICE("1")) || slice_eq(v, SLICE("true"));
	if (!*ret && !slice_eq(v, SLICE("0")) && !slice_eq(v, SLICE("false")))
		return bad(ret_error, "%s: '%.*s' is neither 1 nor 0", key,
			   (int)(v.n < 64 ? v.n : 64), v.p);
	return 0;
}

int params_time(struct params *ps, const char *key, uint64_t *ret, char **ret_error)
{
	struct slice v;

	return params_get(ps, key, &v) ? time_of(slice_str(key), v, ret, ret_error) : 0;
}

const struct slice *params_left(const struct params *ps)
{
	for (size_t i = 0; i < ps->n; i++)
		if (!ps->p[i].taken)
			return &ps->p[i].key;
	return NULL;
}

/* ---- a filter ---- */

static int add_attr(struct clew_span_filter *f, struct slice key, struct slice value,
		    char **ret_error)
{
	if (f->n_attrs == CLEW_FILTER_MAX_ATTRS)
		return bad(ret_error, "attr: more than %d", CLEW_FILTER_MAX_ATTRS);
	f->attrs[f->n_attrs++] = (struct clew_filter_attr){.key = key, .value = value};
	return 0;
}

static int parse_attr(struct clew_span_filter *f, struct slice v, char **ret_error)
{
	const char *eq = v.n ? memchr(v.p, '=', v.n) : NULL;

	if (!eq || eq == v.p)
		return bad(ret_error, "attr: '%.*s' is not key=value", (int)v.n, v.p);
	return add_attr(f, slice_of(v.p, (size_t)(eq - v.p)),
			slice_of(eq + 1, v.n - (size_t)(eq - v.p) - 1), ret_error);
}

/* A value in quotes stands for what is between them; \" and \\ there for a quote, a backslash. */
static int unquote(struct slice *v, char **ret_error)
{
	char *out = (char *)(uintptr_t)v->p;
	size_t n = 0;

	if (!v->n || v->p[0] != '"')
		return 0;
	if (v->n < 2 || v->p[v->n - 1] != '"')
		return bad(ret_error, "where: %.*s: the quote is not closed", (int)v->n, v->p);
	for (size_t i = 1; i + 1 < v->n; i++) {
		if (v->p[i] == '\\' && i + 2 < v->n && (v->p[i + 1] == '"' || v->p[i + 1] == '\\'))
			i++;
		out[n++] = v->p[i]; /* in place: it never grows */
	}
	*v = slice_of(out, n);
	return 0;
}

/* The longer signs first: each is looked for at one place. */
static const struct {
	const char *sign;
	int op; /* -1: equality */
} where_signs[] = {
	{"!=", CLEW_WHERE_NE},	  {"!~", CLEW_WHERE_NO_MATCH},
	{"=~", CLEW_WHERE_MATCH}, {"<=", CLEW_WHERE_LE},
	{">=", CLEW_WHERE_GE},	  {"<", CLEW_WHERE_LT},
	{">", CLEW_WHERE_GT},	  {"=", -1},
};

static int add_where(struct clew_span_filter *f, struct slice v, char **ret_error)
{
	struct clew_filter_where w = {.op = CLEW_WHERE_EXISTS, .key = v};
	bool equal = false;

	if (v.n && v.p[0] == '!') {
		w.op = CLEW_WHERE_ABSENT;
		w.key = slice_of(v.p + 1, v.n - 1);
	} else {
		size_t at = 0;

		while (at < v.n && !memchr("=!<>", v.p[at], 4))
			at++;
		w.key.n = at;
		for (size_t i = 0; at < v.n && i < sizeof(where_signs) / sizeof(*where_signs);
		     i++) {
			struct slice sign = slice_str(where_signs[i].sign);

			if (!slice_starts(slice_of(v.p + at, v.n - at), sign))
				continue;
			equal = where_signs[i].op < 0;
			w.op = equal ? w.op : (enum clew_where_op)where_signs[i].op;
			w.value = slice_of(v.p + at + sign.n, v.n - at - sign.n);
			break;
		}
		if (at < v.n && !w.value.p)
			w.key.n = 0;
	}
	if (!w.key.n)
		return bad(
			ret_error,
			"where: '%.*s' is none of key=value, !=, <, <=, >, >=, =~, !~, key, !key",
			(int)v.n, v.p);
	if (unquote(&w.value, ret_error) < 0)
		return -EINVAL;
	if (equal)
		return add_attr(f, w.key, w.value, ret_error);
	if (f->n_where == CLEW_FILTER_MAX_WHERE)
		return bad(ret_error, "where: more than %d", CLEW_FILTER_MAX_WHERE);
	f->where[f->n_where++] = w;
	return 0;
}

/* Conditions that leave the index nothing to narrow must not read a whole store. */
static int check_window(const struct clew_span_filter *f, char **ret_error)
{
	uint64_t until = f->until_ns ? f->until_ns : clew_now_ns();
	bool narrow = f->n_attrs > 0, broad = false;

	for (uint32_t i = 0; i < f->n_where; i++) {
		enum clew_where_op op = f->where[i].op;

		if (op == CLEW_WHERE_EXISTS || (op >= CLEW_WHERE_LT && op <= CLEW_WHERE_GE))
			narrow = true;
		else
			broad = true;
	}
	if (!broad || narrow || (f->since_ns && until <= f->since_ns + PARAMS_MAX_WINDOW_NS))
		return 0;
	return bad(ret_error, "where: !=, =~, !~ and !key read all spans of their time: give since "
			      "(and until) at most 24 h apart, or a condition with = beside them");
}

/* "start-id" in hex, as params_cursor() wrote it. */
static int parse_cursor(struct clew_span_filter *f, struct slice v, char **ret_error)
{
	uint8_t start[8];
	uint64_t ns = 0;

	if (v.n != 16 + 1 + 32 || v.p[16] != '-' || clew_unhex(v.p, 16, start, 8) < 0 ||
	    clew_unhex(v.p + 17, 32, f->after.id.b, 16) < 0)
		return bad(ret_error, "cursor: not one that this call gave");
	for (size_t i = 0; i < sizeof(start); i++)
		ns = ns << 8 | start[i];
	f->after.start_ns = ns;
	f->after.set = true;
	return 0;
}

void params_cursor(uint64_t start_ns, const struct clew_id128 *id, char out[64])
{
	char hex[33];

	clew_hex(id->b, sizeof(id->b), hex);
	snprintf(out, 64, "%016" PRIx64 "-%s", start_ns, hex);
}

/* One of some names into a set of bits. */
static int add_bit(struct slice key, struct slice v, uint32_t *bits, const char *(*name)(unsigned),
		   unsigned n, char **ret_error)
{
	for (unsigned i = 0; i < n; i++)
		if (slice_eq(v, slice_str(name(i)))) {
			*bits |= 1u << i;
			return 0;
		}
	return bad(ret_error, "%.*s: there is no '%.*s'", (int)key.n, key.p,
		   (int)(v.n < 64 ? v.n : 64), v.p);
}

static const char *kind_name(unsigned i)
{
	return clew_kind_name((enum clew_span_kind)i);
}

static const char *class_name(unsigned i)
{
	return clew_link_class_name((uint8_t)i);
}

static int set_sort(struct clew_span_filter *f, struct slice v, char **ret_error)
{
	if (slice_eq(v, SLICE("start")))
		f->sort = CLEW_SORT_START;
	else if (slice_eq(v, SLICE("duration")))
		f->sort = CLEW_SORT_DURATION;
	else
		return bad(ret_error, "sort: '%.*s' is neither start nor duration", (int)v.n, v.p);
	return 0;
}

static bool is_true(struct slice v)
{
	return !slice_eq(v, SLICE("0")) && !slice_eq(v, SLICE("false"));
}

static int set(struct clew_span_filter *f, struct slice k, struct slice v, char **ret_error)
{
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {
		{"min_duration", &f->min_duration_ns},
		{"max_duration", &f->max_duration_ns},
		{"limit", &f->limit},
	};
	const struct {
		const char *name;
		bool *to;
	} flags[] = {
		{"error", &f->error},
		{"incomplete", &f->incomplete},
		{"root", &f->root},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (slice_eq(k, slice_str(numbers[i].name)))
			return number(k, v, numbers[i].to, ret_error);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (slice_eq(k, slice_str(flags[i].name))) {
			*flags[i].to = is_true(v);
			return 0;
		}
	if (slice_eq(k, SLICE("since")))
		return time_of(k, v, &f->since_ns, ret_error);
	if (slice_eq(k, SLICE("until")))
		return time_of(k, v, &f->until_ns, ret_error);
	if (slice_eq(k, SLICE("attr")))
		return parse_attr(f, v, ret_error);
	if (slice_eq(k, SLICE("where")))
		return add_where(f, v, ret_error);
	if (slice_eq(k, SLICE("kind")))
		return add_bit(k, v, &f->kinds, kind_name, CLEW_KIND_CONSUMER + 1, ret_error);
	if (slice_eq(k, SLICE("link_class")))
		return add_bit(k, v, &f->link_classes, class_name, CLEW_LINK_ORPHAN + 1, ret_error);
	if (slice_eq(k, SLICE("sort")))
		return set_sort(f, v, ret_error);
	if (slice_eq(k, SLICE("cursor")))
		return parse_cursor(f, v, ret_error);
	if (slice_eq(k, SLICE("service")))
		f->service = v;
	else if (slice_eq(k, SLICE("name")))
		f->name = v;
	else
		return bad(ret_error,
			   "unknown parameter '%.*s'; there are service, name, min_duration, "
			   "max_duration, error, root, kind, link_class, incomplete, attr, where, "
			   "since, until, limit, sort, cursor, paged",
			   (int)k.n, k.p);
	return 0;
}

int params_filter(struct params *ps, struct clew_span_filter *ret, char **ret_error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ps->n; i++)
		if (!ps->p[i].taken)
			r = set(ret, ps->p[i].key, ps->p[i].value, ret_error);
	if (r == 0 && ret->after.set && ret->sort == CLEW_SORT_DURATION)
		r = bad(ret_error, "cursor: pages are in the order of start only; leave sort out");
	return r < 0 ? r : check_window(ret, ret_error);
}

int clew_query_param(struct clew_buf *target, const char *key, struct slice value)
{
	bool first = !target->len || !memchr(target->data, '?', target->len);

	clew_buf_addf(target, "%c%s=", first ? '?' : '&', key);
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		/* RFC 3986, section 2.3: unreserved characters stand for themselves. */
		if ((c | 0x20u) - 'a' < 26u || (unsigned)c - '0' < 10u || (c && strchr("-._~", c)))
			clew_buf_addc(target, (char)c);
		else
			clew_buf_addf(target, "%%%02X", c);
	}
	return target->err;
}
