/* SPDX-License-Identifier: Apache-2.0 */
/* Reads TraceQL, and the older tags. What a query says is put together here, term by term, and made a
 * filter of in traceql_case.c. */
#include "server/traceql_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"

/* A query's bytes at most. */
#define MAX_QUERY 16384u
/* "(" in "(" at most. */
#define MAX_DEPTH 16
/* Bytes that text may be made of: each comes at most twice, "^(?:)$" and 17 digits for each term. */
#define TEXT_BYTES(n) (4 * (n) + 64 * TRACEQL_MAX_TERMS)

int traceql_bad(struct reader *rd, const char *what)
{
	int at = (int)(rd->p - rd->all.p), left = (int)(rd->end - rd->p);

	return api_fail(
		rd->c, 400, -EINVAL,
		"q: %s, at byte %d: '%.*s' (docs/server.md says what of TraceQL is understood)",
		what, at, left < 32 ? left : 32, rd->p);
}

static void blanks(struct reader *rd)
{
	while (rd->p < rd->end && strchr(" \t\r\n", *rd->p) && *rd->p)
		rd->p++;
}

/* Takes the sign if it comes next. */
static bool sign(struct reader *rd, const char *text)
{
	size_t n = strlen(text);

	blanks(rd);
	if ((size_t)(rd->end - rd->p) < n || memcmp(rd->p, text, n))
		return false;
	rd->p += n;
	return true;
}

/* ---- words ---- */

static bool in_word(char c)
{
	return c && (unsigned char)c > ' ' && !strchr("{}()=!<>~&|\"`,", c);
}

static struct slice word(struct reader *rd)
{
	const char *from;

	blanks(rd);
	from = rd->p;
	while (rd->p < rd->end && in_word(*rd->p))
		rd->p++;
	return slice_of(from, (size_t)(rd->p - from));
}

/* Between quotes: "with \" escapes", `without`. Into q->text, which was made large enough. */
static int quoted(struct reader *rd, struct slice *ret)
{
	struct clew_buf *b = &rd->q->text;
	size_t at = b->len;
	char quote = *rd->p++;

	for (; rd->p < rd->end && *rd->p != quote; rd->p++) {
		char c = *rd->p;

		if (c == '\\' && quote == '"' && rd->p + 1 < rd->end) {
			c = *++rd->p;
			if (c == 'n' || c == 't')
				c = c == 'n' ? '\n' : '\t';
			else if (c != '"' && c != '\\' && c != '\'')
				clew_buf_addc(b, '\\');
		}
		clew_buf_addc(b, c);
	}
	if (rd->p == rd->end)
		return traceql_bad(rd, "a quote is not closed");
	rd->p++;
	if (b->err)
		return b->err;
	*ret = slice_of(b->data + at, b->len - at);
	return 0;
}

/* ---- fields ---- */

static const struct {
	const char *name, *own;
} own_fields[] = {
	{"name", "name"},
	{"span:name", "name"},
	{"status", "status"},
	{"span:status", "status"},
	{"statusMessage", "status_message"},
	{"span:statusMessage", "status_message"},
	{"kind", "kind"},
	{"span:kind", "kind"},
	{"duration", "duration"},
	{"span:duration", "duration"},
};

static const struct {
	const char *name;
	enum traceql_of_trace of;
} trace_fields[] = {
	{"rootName", TRACEQL_ROOT_NAME},	   {"trace:rootName", TRACEQL_ROOT_NAME},
	{"rootServiceName", TRACEQL_ROOT_SERVICE}, {"trace:rootService", TRACEQL_ROOT_SERVICE},
	{"traceDuration", TRACEQL_DURATION},	   {"trace:duration", TRACEQL_DURATION},
};

static const struct {
	const char *prefix;
	enum clew_filter_scope scope;
} scopes[] = {
	{"span.", CLEW_SCOPE_SPAN},
	{"resource.", CLEW_SCOPE_RESOURCE},
	{".", CLEW_SCOPE_ANY},
};

int traceql_field(struct slice name, enum clew_filter_scope *ret_scope, struct slice *ret_key)
{
	for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++) {
		struct slice prefix = slice_str(scopes[i].prefix);

		if (!slice_starts(name, prefix) || name.n == prefix.n)
			continue;
		*ret_scope = scopes[i].scope;
		*ret_key = slice_of(name.p + prefix.n, name.n - prefix.n);
		return 0;
	}
	for (size_t i = 0; i < sizeof(own_fields) / sizeof(*own_fields); i++)
		if (slice_eq(name, slice_str(own_fields[i].name))) {
			*ret_scope = CLEW_SCOPE_FIELD;
			*ret_key = slice_str(own_fields[i].own);
			return 0;
		}
	return -ENOENT;
}

static int read_field(struct reader *rd, struct field *ret)
{
	struct slice w = word(rd);

	*ret = (struct field){.kind = FIELD_ATTR};
	for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++)
		if (slice_eq(w, slice_str(scopes[i].prefix)) && rd->p < rd->end && *rd->p == '"') {
			ret->scope = scopes[i].scope;
			return quoted(rd, &ret->name);
		}
	if (traceql_field(w, &ret->scope, &ret->name) == 0) {
		ret->kind = ret->scope == CLEW_SCOPE_FIELD ? FIELD_OWN : FIELD_ATTR;
		return 0;
	}
	for (size_t i = 0; i < sizeof(trace_fields) / sizeof(*trace_fields); i++)
		if (slice_eq(w, slice_str(trace_fields[i].name))) {
			ret->kind = FIELD_TRACE;
			ret->of = trace_fields[i].of;
			return 0;
		}
	if (slice_eq(w, SLICE("nestedSetParent"))) {
		ret->kind = FIELD_PARENT;
		return 0;
	}
	rd->p -= w.n;
	return traceql_bad(
		rd, "not a field that is known (span.x, resource.x, .x, name, status, "
		    "statusMessage, kind, duration, rootName, rootServiceName, traceDuration)");
}

static int read_op(struct reader *rd, enum op *ret)
{
	static const struct {
		const char *text;
		enum op op;
	} ops[] = {{"!=", OP_NE}, {"!~", OP_NO_MATCH}, {"=~", OP_MATCH}, {"<=", OP_LE},
		   {">=", OP_GE}, {"<", OP_LT},	       {">", OP_GT},	 {"=", OP_EQ}};

	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (sign(rd, ops[i].text)) {
			*ret = ops[i].op;
			return 0;
		}
	return traceql_bad(rd, "an operator is missing (=, !=, <, <=, >, >=, =~, !~)");
}

/* ---- values ---- */

static int read_value(struct reader *rd, struct value *ret)
{
	char text[64], *tail;

	*ret = (struct value){.kind = VALUE_TEXT};
	blanks(rd);
	if (rd->p < rd->end && (*rd->p == '"' || *rd->p == '`'))
		return quoted(rd, &ret->text);
	ret->text = word(rd);
	if (!ret->text.n || ret->text.n >= sizeof(text)) {
		rd->p -= ret->text.n;
		return traceql_bad(rd, "a value is missing (text stands in quotes)");
	}
	memcpy(text, ret->text.p, ret->text.n);
	text[ret->text.n] = '\0';
	ret->kind = VALUE_WORD;
	if (!strcmp(text, "true") || !strcmp(text, "false"))
		ret->kind = VALUE_BOOL;
	else if (!strcmp(text, "nil"))
		ret->kind = VALUE_NIL;
	if (!strchr("-.0123456789", text[0]))
		return 0;
	ret->number = strtod(text, &tail);
	if (!*tail && isfinite(ret->number)) {
		ret->kind = VALUE_NUMBER;
	} else if (clew_parse_duration(text, &ret->ns) == 0) {
		ret->kind = VALUE_DURATION;
	} else {
		rd->p -= ret->text.n;
		return traceql_bad(rd, "neither a number nor a duration such as 100ms");
	}
	return 0;
}

/* A text that outlives the parameters' and may be longer than what was sent. */
static struct slice keep(struct reader *rd, const char *fmt, int n, const char *p)
{
	struct clew_buf *b = &rd->q->text;
	size_t at = b->len;

	clew_buf_addf(b, fmt, n, p);
	return slice_of(b->data ? b->data + at : "", b->len - at);
}

/* As the store has it: whole numbers in digits, others in 17. */
static struct slice number_text(struct reader *rd, const struct value *v)
{
	char text[40];

	if (v->kind == VALUE_DURATION)
		snprintf(text, sizeof(text), "%" PRIu64, v->ns);
	else if (v->number == trunc(v->number) && !memchr(v->text.p, '.', v->text.n) &&
		 !memchr(v->text.p, 'e', v->text.n))
		return v->text;
	else
		snprintf(text, sizeof(text), "%.17g", v->number);
	return keep(rd, "%.*s", (int)strlen(text), text);
}

/* TraceQL's expressions match the whole value, ours a part. */
static struct slice as_stored(struct reader *rd, const struct value *v, enum op op)
{
	if (v->kind == VALUE_TEXT && (op == OP_MATCH || op == OP_NO_MATCH))
		return keep(rd, "^(?:%.*s)$", (int)v->text.n, v->text.p);
	if (v->kind == VALUE_NUMBER || v->kind == VALUE_DURATION)
		return number_text(rd, v);
	return v->text;
}

/* ---- conditions ---- */

/* The query as an OR of ANDs: each case is a set of terms, a bit for each. */
struct cases {
	uint64_t v[TRACEQL_MAX_CASES];
	uint32_t n;
};

struct query {
	struct reader rd;
	struct term terms[TRACEQL_MAX_TERMS];
	uint32_t n;
};

static int too_many_cases(struct reader *rd)
{
	return api_fail(rd->c, 400, -EINVAL,
			"q: || makes more than %u cases of it: ask for fewer, or use =~ \"a|b\"",
			TRACEQL_MAX_CASES);
}

static int read_term(struct query *y, struct cases *ret)
{
	struct reader *rd = &y->rd;
	struct traceql *q = rd->q;
	struct term t = {.at = rd->p};
	int r = read_field(rd, &t.field);

	if (r == 0)
		r = read_op(rd, &t.op);
	if (r == 0)
		r = read_value(rd, &t.value);
	if (r < 0)
		return r;
	if (y->n == TRACEQL_MAX_TERMS)
		return traceql_bad(rd, "too many conditions");
	t.value.stored = as_stored(rd, &t.value, t.op);
	if (t.field.kind == FIELD_ATTR)
		q->shown[q->n_shown++] = (struct traceql_shown){t.field.scope, t.field.name};
	*ret = (struct cases){.v = {1ull << y->n}, .n = 1};
	y->terms[y->n++] = t;
	return 0;
}

static int read_any(struct query *y, struct cases *ret);

static int read_condition(struct query *y, struct cases *ret)
{
	struct reader *rd = &y->rd;
	const char *from;
	int r;

	if (sign(rd, "(")) {
		if (++rd->depth > MAX_DEPTH)
			return traceql_bad(rd, "nested too deeply");
		r = read_any(y, ret);
		rd->depth--;
		if (r == 0 && !sign(rd, ")"))
			return traceql_bad(rd, "a ) is missing");
		return r;
	}
	blanks(rd);
	from = rd->p;
	if (slice_eq(word(rd), SLICE("true"))) {
		*ret = (struct cases){.n = 1};
		return 0;
	}
	rd->p = from;
	if (sign(rd, "!"))
		return traceql_bad(rd, "! is not understood: use != or !~");
	return read_term(y, ret);
}

/* Each case of the one with each of the other. */
static int read_all(struct query *y, struct cases *ret)
{
	struct cases all = {.n = 1};

	do {
		struct cases before = all, one;
		int r = read_condition(y, &one);

		if (r < 0)
			return r;
		if (before.n * one.n > TRACEQL_MAX_CASES)
			return too_many_cases(&y->rd);
		all.n = 0;
		for (uint32_t i = 0; i < before.n; i++)
			for (uint32_t k = 0; k < one.n; k++)
				all.v[all.n++] = before.v[i] | one.v[k];
	} while (sign(&y->rd, "&&"));
	*ret = all;
	return 0;
}

static int read_any(struct query *y, struct cases *ret)
{
	struct cases any = {0};

	do {
		struct cases one;
		int r = read_all(y, &one);

		if (r < 0)
			return r;
		if (any.n + one.n > TRACEQL_MAX_CASES)
			return too_many_cases(&y->rd);
		memcpy(any.v + any.n, one.v, one.n * sizeof(*one.v));
		any.n += one.n;
	} while (sign(&y->rd, "||"));
	*ret = any;
	return 0;
}

static int read_query(struct query *y, struct cases *ret)
{
	struct reader *rd = &y->rd;
	int r = 0;

	*ret = (struct cases){.n = 1};
	if (!sign(rd, "{"))
		return traceql_bad(rd, "a query begins with {");
	if (!sign(rd, "}")) {
		r = read_any(y, ret);
		if (r == 0 && !sign(rd, "}"))
			r = traceql_bad(rd, "&&, || or } is missing");
	}
	blanks(rd);
	if (r == 0 && rd->p < rd->end)
		r = traceql_bad(
			rd, "only one set of spans is understood, without a pipeline behind it");
	return r;
}

static void finish(struct traceql_case *to)
{
	const struct clew_span_filter *f = &to->filter;

	to->all = !f->service.p && !f->name.p && !f->kinds && !f->error && !f->root &&
		  !f->n_attrs && !f->n_where && !f->min_duration_ns && !f->max_duration_ns;
}

static int make_case(struct query *y, uint64_t terms)
{
	const uint32_t all = (2u << CLEW_KIND_CONSUMER) - 1;
	struct reader *rd = &y->rd;
	int r = 0;

	rd->to = &rd->q->cases[rd->q->n++];
	rd->kinds = all;
	for (uint32_t i = 0; r == 0 && i < y->n; i++)
		if (terms & 1ull << i) {
			rd->p = y->terms[i].at;
			r = traceql_add(rd, &y->terms[i]);
		}
	if (rd->kinds != all) {
		rd->to->filter.kinds = rd->kinds;
		rd->to->never = rd->to->never || !rd->kinds;
	}
	finish(rd->to);
	return r;
}

/* Slices point into the text: it must not move. */
static int make_room(struct traceql *q, size_t n)
{
	int r;

	clew_buf_init(&q->text, 0);
	r = clew_buf_addf(&q->text, "%*s", (int)TEXT_BYTES(n), "");
	q->text.len = 0;
	return r;
}

int traceql_parse(struct api_call *c, struct slice query, struct traceql *ret)
{
	struct query y = {
		.rd = {.c = c, .q = ret, .all = query, .p = query.p, .end = query.p + query.n}};
	struct cases cases;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (query.n > MAX_QUERY)
		return api_fail(c, 400, -EINVAL, "q: longer than %u bytes", MAX_QUERY);
	r = make_room(ret, query.n);
	if (r == 0)
		r = read_query(&y, &cases);
	for (uint32_t i = 0; r == 0 && i < cases.n; i++)
		r = make_case(&y, cases.v[i]);
	return r;
}

void traceql_done(struct traceql *q)
{
	clew_buf_done(&q->text);
}

/* ---- tags ---- */

static int add_tag(struct reader *rd, struct slice key, struct slice value)
{
	struct clew_filter_where w = {.op = CLEW_WHERE_MATCH, .key = key};
	struct clew_buf *b = &rd->q->text;
	size_t at = b->len;

	if (slice_eq(key, SLICE("error")) && slice_eq(value, SLICE("true"))) {
		rd->to->filter.error = true;
		return 0;
	}
	if (slice_eq(key, SLICE("name")))
		w.scope = CLEW_SCOPE_FIELD;
	/* As it stands, in either case. */
	clew_buf_adds(b, "(?i)");
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] && strchr("\\.+*?()|[]{}^$", value.p[i]))
			clew_buf_addc(b, '\\');
		clew_buf_addc(b, value.p[i]);
	}
	if (b->err)
		return b->err;
	w.value = slice_of(b->data + at, b->len - at);
	return api_add_where(rd->c, &rd->to->filter, &w);
}

int traceql_tags(struct api_call *c, struct slice tags, struct traceql *ret)
{
	struct reader rd = {.c = c, .q = ret, .all = tags, .p = tags.p, .end = tags.p + tags.n};
	int r;

	memset(ret, 0, sizeof(*ret));
	if (tags.n > MAX_QUERY)
		return api_fail(c, 400, -EINVAL, "tags: longer than %u bytes", MAX_QUERY);
	r = make_room(ret, tags.n);
	rd.to = &ret->cases[ret->n++];
	for (blanks(&rd); r == 0 && rd.p < rd.end; blanks(&rd)) {
		const char *from = rd.p;
		struct slice key, value;

		while (rd.p < rd.end && *rd.p != '=' && (unsigned char)*rd.p > ' ')
			rd.p++;
		key = slice_of(from, (size_t)(rd.p - from));
		if (!key.n || rd.p == rd.end || *rd.p++ != '=')
			return api_fail(c, 400, -EINVAL, "tags: '%.*s' is not key=value",
					(int)(tags.n < 64 ? tags.n : 64), tags.p);
		if (rd.p < rd.end && *rd.p == '"') {
			r = quoted(&rd, &value);
		} else {
			from = rd.p;
			while (rd.p < rd.end && (unsigned char)*rd.p > ' ')
				rd.p++;
			value = slice_of(from, (size_t)(rd.p - from));
		}
		if (r == 0)
			r = add_tag(&rd, key, value);
	}
	finish(rd.to);
	return r;
}
