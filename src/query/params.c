/* SPDX-License-Identifier: Apache-2.0 */
#include "query/params.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
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

static int add_attr(struct clew_span_filter *f, struct slice v, char **ret_error)
{
	const char *eq = v.n ? memchr(v.p, '=', v.n) : NULL;

	if (!eq || eq == v.p)
		return bad(ret_error, "attr: '%.*s' is not key=value", (int)v.n, v.p);
	if (f->n_attrs == CLEW_FILTER_MAX_ATTRS)
		return bad(ret_error, "attr: more than %d", CLEW_FILTER_MAX_ATTRS);
	f->attrs[f->n_attrs++] = (struct clew_filter_attr){
		.key = slice_of(v.p, (size_t)(eq - v.p)),
		.value = slice_of(eq + 1, v.n - (size_t)(eq - v.p) - 1),
	};
	return 0;
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

static int set(struct clew_span_filter *f, struct slice k, struct slice v, char **ret_error)
{
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = {
		{"min_duration", &f->min_duration_ns},
		{"max_duration", &f->max_duration_ns},
		{"since", &f->since_ns},
		{"until", &f->until_ns},
		{"limit", &f->limit},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (slice_eq(k, slice_str(numbers[i].name)))
			return number(k, v, numbers[i].to, ret_error);
	if (slice_eq(k, SLICE("service")))
		f->service = v;
	else if (slice_eq(k, SLICE("name")))
		f->name = v;
	else if (slice_eq(k, SLICE("error")))
		f->error = !slice_eq(v, SLICE("0")) && !slice_eq(v, SLICE("false"));
	else if (slice_eq(k, SLICE("attr")))
		return add_attr(f, v, ret_error);
	else if (slice_eq(k, SLICE("sort")))
		return set_sort(f, v, ret_error);
	else
		return bad(ret_error,
			   "unknown parameter '%.*s'; there are service, name, min_duration, "
			   "max_duration, error, attr, since, until, limit, sort",
			   (int)k.n, k.p);
	return 0;
}

int params_filter(const struct params *ps, struct clew_span_filter *ret, char **ret_error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ps->n; i++)
		r = set(ret, ps->p[i].key, ps->p[i].value, ret_error);
	return r;
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
