/* SPDX-License-Identifier: Apache-2.0 */
#include "server/traceql.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"

/* A query's bytes at most. */
#define MAX_QUERY 16384u
/* "(" in "(" at most. */
#define MAX_DEPTH 16

enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_MATCH, OP_NO_MATCH };

enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_DURATION, VALUE_BOOL, VALUE_NIL, VALUE_WORD };

struct value {
	enum value_kind kind;
	struct slice text; /* in q->text: unquoted, or as it stands */
	uint64_t ns;
	double number;
};

struct field {
	enum { FIELD_ATTR, FIELD_OWN, FIELD_TRACE, FIELD_PARENT } kind;
	enum clew_filter_scope scope;
	struct slice name; /* of an attribute; of a field of its own: as below */
	enum traceql_of_trace of;
};

struct parser {
	struct api_call *c;
	struct traceql *q;
	struct slice all;
	const char *p, *end;
	int depth;
	uint32_t kinds; /* that are left; all bits at first */
};

static int bad(struct parser *ps, const char *what)
{
	int at = (int)(ps->p - ps->all.p), left = (int)(ps->end - ps->p);

	return api_fail(
		ps->c, 400, -EINVAL,
		"q: %s, at byte %d: '%.*s' (docs/server.md says what of TraceQL is understood)",
		what, at, left < 32 ? left : 32, ps->p);
}

static void blanks(struct parser *ps)
{
	while (ps->p < ps->end && strchr(" \t\r\n", *ps->p) && *ps->p)
		ps->p++;
}

/* Takes the sign if it comes next. */
static bool sign(struct parser *ps, const char *text)
{
	size_t n = strlen(text);

	blanks(ps);
	if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, text, n))
		return false;
	ps->p += n;
	return true;
}

/* ---- words ---- */

static bool in_word(char c)
{
	return c && (unsigned char)c > ' ' && !strchr("{}()=!<>~&|\"`,", c);
}

static struct slice word(struct parser *ps)
{
	const char *from;

	blanks(ps);
	from = ps->p;
	while (ps->p < ps->end && in_word(*ps->p))
		ps->p++;
	return slice_of(from, (size_t)(ps->p - from));
}

/* Between quotes: "with \" escapes", `without`. Into q->text, which was made large enough. */
static int quoted(struct parser *ps, struct slice *ret)
{
	struct clew_buf *b = &ps->q->text;
	size_t at = b->len;
	char quote = *ps->p++;

	for (; ps->p < ps->end && *ps->p != quote; ps->p++) {
		char c = *ps->p;

		if (c == '\\' && quote == '"' && ps->p + 1 < ps->end) {
			c = *++ps->p;
			if (c == 'n' || c == 't')
				c = c == 'n' ? '\n' : '\t';
			else if (c != '"' && c != '\\' && c != '\'')
				clew_buf_addc(b, '\\');
		}
		clew_buf_addc(b, c);
	}
	if (ps->p == ps->end)
		return bad(ps, "a quote is not closed");
	ps->p++;
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

static int read_field(struct parser *ps, struct field *ret)
{
	struct slice w = word(ps);

	*ret = (struct field){.kind = FIELD_ATTR};
	for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++)
		if (slice_eq(w, slice_str(scopes[i].prefix)) && ps->p < ps->end && *ps->p == '"') {
			ret->scope = scopes[i].scope;
			return quoted(ps, &ret->name);
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
	ps->p -= w.n;
	return bad(ps, "not a field that is known (span.x, resource.x, .x, name, status, "
		       "statusMessage, kind, duration, rootName, rootServiceName, traceDuration)");
}

static int read_op(struct parser *ps, enum op *ret)
{
	static const struct {
		const char *text;
		enum op op;
	} ops[] = {{"!=", OP_NE}, {"!~", OP_NO_MATCH}, {"=~", OP_MATCH}, {"<=", OP_LE},
		   {">=", OP_GE}, {"<", OP_LT},	       {">", OP_GT},	 {"=", OP_EQ}};

	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (sign(ps, ops[i].text)) {
			*ret = ops[i].op;
			return 0;
		}
	return bad(ps, "an operator is missing (=, !=, <, <=, >, >=, =~, !~)");
}

/* ---- values ---- */

static int read_value(struct parser *ps, struct value *ret)
{
	char text[64], *tail;

	*ret = (struct value){.kind = VALUE_TEXT};
	blanks(ps);
	if (ps->p < ps->end && (*ps->p == '"' || *ps->p == '`'))
		return quoted(ps, &ret->text);
	ret->text = word(ps);
	if (!ret->text.n || ret->text.n >= sizeof(text)) {
		ps->p -= ret->text.n;
		return bad(ps, "a value is missing (text stands in quotes)");
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
		ps->p -= ret->text.n;
		return bad(ps, "neither a number nor a duration such as 100ms");
	}
	return 0;
}

/* A text that outlives the parameters' and may be longer than what was sent. */
static struct slice keep(struct parser *ps, const char *fmt, int n, const char *p)
{
	struct clew_buf *b = &ps->q->text;
	size_t at = b->len;

	clew_buf_addf(b, fmt, n, p);
	return slice_of(b->data ? b->data + at : "", b->len - at);
}

/* As the store has it: whole numbers in digits, others in 17. */
static struct slice number_text(struct parser *ps, const struct value *v)
{
	char text[40];

	if (v->kind == VALUE_DURATION)
		snprintf(text, sizeof(text), "%" PRIu64, v->ns);
	else if (v->number == trunc(v->number) && !memchr(v->text.p, '.', v->text.n) &&
		 !memchr(v->text.p, 'e', v->text.n))
		return v->text;
	else
		snprintf(text, sizeof(text), "%.17g", v->number);
	return keep(ps, "%.*s", (int)strlen(text), text);
}

/* ---- conditions ---- */

static const enum clew_where_op where_ops[] = {
	[OP_NE] = CLEW_WHERE_NE,
	[OP_LT] = CLEW_WHERE_LT,
	[OP_LE] = CLEW_WHERE_LE,
	[OP_GT] = CLEW_WHERE_GT,
	[OP_GE] = CLEW_WHERE_GE,
	[OP_MATCH] = CLEW_WHERE_MATCH,
	[OP_NO_MATCH] = CLEW_WHERE_NO_MATCH,
};

static int add_where(struct parser *ps, const struct field *f, enum clew_where_op op,
		     struct slice value)
{
	struct clew_filter_where w = {.op = op, .key = f->name, .value = value, .scope = f->scope};

	return api_add_where(ps->c, &ps->q->filter, &w);
}

/* TraceQL's expressions match the whole value, ours a part. */
static struct slice whole(struct parser *ps, const struct value *v)
{
	return keep(ps, "^(?:%.*s)$", (int)v->text.n, v->text.p);
}

static int add_attr(struct parser *ps, const struct field *f, enum op op, const struct value *v)
{
	struct traceql *q = ps->q;
	struct slice text = v->text;

	if (q->n_shown < sizeof(q->shown) / sizeof(*q->shown))
		q->shown[q->n_shown++] = (struct traceql_shown){f->scope, f->name};
	if (v->kind == VALUE_WORD)
		return bad(ps, "text stands in quotes");
	if (v->kind == VALUE_NIL) {
		if (op != OP_EQ && op != OP_NE)
			return bad(ps, "nil takes = and != only");
		return add_where(ps, f, op == OP_EQ ? CLEW_WHERE_ABSENT : CLEW_WHERE_EXISTS,
				 SLICE(""));
	}
	if (op == OP_MATCH || op == OP_NO_MATCH) {
		if (v->kind != VALUE_TEXT)
			return bad(ps, "a regular expression stands in quotes");
		return add_where(ps, f, where_ops[op], whole(ps, v));
	}
	if (v->kind == VALUE_NUMBER || v->kind == VALUE_DURATION)
		text = number_text(ps, v);
	if (op != OP_EQ)
		return add_where(ps, f, where_ops[op], text);
	/* The index of services is better than that of attributes. */
	if (slice_eq(f->name, SLICE("service.name")) && f->scope != CLEW_SCOPE_SPAN &&
	    !q->filter.service.p) {
		q->filter.service = text;
		return 0;
	}
	if (q->filter.n_attrs == CLEW_FILTER_MAX_ATTRS)
		return bad(ps, "too many conditions");
	q->filter.attrs[q->filter.n_attrs++] =
		(struct clew_filter_attr){.key = f->name, .value = text, .scope = f->scope};
	return 0;
}

static int add_text_field(struct parser *ps, const struct field *f, enum op op,
			  const struct value *v)
{
	bool regex = op == OP_MATCH || op == OP_NO_MATCH;

	if (v->kind != VALUE_TEXT)
		return bad(ps, "text stands in quotes");
	if (op == OP_EQ && slice_eq(f->name, SLICE("name")) && !ps->q->filter.name.p) {
		ps->q->filter.name = v->text;
		return 0;
	}
	if (op != OP_EQ)
		return add_where(ps, f, where_ops[op], regex ? whole(ps, v) : v->text);
	/* There is no "=" among the conditions: from and to. */
	if (add_where(ps, f, CLEW_WHERE_GE, v->text) < 0)
		return -EINVAL;
	return add_where(ps, f, CLEW_WHERE_LE, v->text);
}

static int add_status(struct parser *ps, const struct field *f, enum op op, const struct value *v)
{
	static const char *const numbers[] = {"0", "1", "2"};
	unsigned i = 0;

	while (i < 3 && (v->kind != VALUE_WORD ||
			 !slice_eq(v->text, slice_str(clew_status_name((enum clew_status)i)))))
		i++;
	if (i == 3 || (op != OP_EQ && op != OP_NE))
		return bad(ps, "status takes = and !=, and error, ok or unset");
	if (op == OP_NE)
		return add_where(ps, f, CLEW_WHERE_NE, slice_str(numbers[i]));
	if (i == CLEW_STATUS_ERROR) {
		ps->q->filter.error = true;
		return 0;
	}
	if (add_where(ps, f, CLEW_WHERE_GE, slice_str(numbers[i])) < 0)
		return -EINVAL;
	return add_where(ps, f, CLEW_WHERE_LE, slice_str(numbers[i]));
}

static int add_kind(struct parser *ps, enum op op, const struct value *v)
{
	int k = v->kind == VALUE_WORD ? api_kind(v->text) : -EINVAL;

	if (k < 0 || (op != OP_EQ && op != OP_NE))
		return bad(ps, "kind takes = and !=, and server, client, internal, producer, "
			       "consumer or unspecified");
	ps->kinds &= op == OP_EQ ? 1u << k : ~(1u << k);
	return 0;
}

static int get_ns(struct parser *ps, const struct value *v, uint64_t *ret)
{
	if (v->kind == VALUE_NUMBER && v->number >= 0 && v->number < 9e18)
		*ret = (uint64_t)v->number;
	else if (v->kind == VALUE_DURATION)
		*ret = v->ns;
	else
		return bad(ps, "a duration such as 100ms is wanted");
	return 0;
}

static int add_duration(struct parser *ps, const struct field *f, enum op op, const struct value *v)
{
	struct clew_span_filter *to = &ps->q->filter;
	uint64_t ns = 0, low, high;
	int r = get_ns(ps, v, &ns);

	if (r < 0)
		return r;
	if (op == OP_MATCH || op == OP_NO_MATCH)
		return bad(ps, "a duration takes =, !=, <, <=, >, >=");
	if (op == OP_NE || (op == OP_LE && !ns) || (op == OP_EQ && !ns)) {
		struct value number = {.kind = VALUE_DURATION, .ns = ns};

		return add_where(ps, f, op == OP_NE ? CLEW_WHERE_NE : CLEW_WHERE_LE,
				 number_text(ps, &number));
	}
	low = op == OP_GT ? ns + 1 : op == OP_GE || op == OP_EQ ? ns : 0;
	high = op == OP_LT ? ns - !!ns : op == OP_LE || op == OP_EQ ? ns : UINT64_MAX;
	if (op == OP_LT && ns <= 1) {
		ps->q->never = ps->q->never || !ns;
		return ns ? add_where(ps, f, CLEW_WHERE_LE, SLICE("0")) : 0;
	}
	if (low > to->min_duration_ns)
		to->min_duration_ns = low;
	if (high != UINT64_MAX && (!to->max_duration_ns || high < to->max_duration_ns))
		to->max_duration_ns = high;
	if (to->max_duration_ns && to->min_duration_ns > to->max_duration_ns)
		ps->q->never = true;
	return 0;
}

static int add_trace(struct parser *ps, const struct field *f, enum op op, const struct value *v)
{
	struct traceql *q = ps->q;
	struct traceql_trace_condition t = {.of = f->of, .text = v->text};

	if (q->n_trace == TRACEQL_MAX_TRACE_CONDITIONS)
		return bad(ps, "too many conditions");
	if (op == OP_MATCH || op == OP_NO_MATCH)
		return bad(ps, "a field of the whole trace takes no regular expression");
	t.op = op == OP_EQ ? CLEW_WHERE_EXISTS : where_ops[op];
	if (f->of == TRACEQL_DURATION) {
		if (get_ns(ps, v, &t.ns) < 0)
			return -EINVAL;
	} else if (v->kind != VALUE_TEXT || (op != OP_EQ && op != OP_NE)) {
		return bad(ps, "a name of the root takes = and !=, and text in quotes");
	}
	q->trace[q->n_trace++] = t;
	return 0;
}

/* "nestedSetParent < 0" is how Grafana asks for roots. */
static int add_parent(struct parser *ps, enum op op, const struct value *v)
{
	bool root = (op == OP_LT && v->number == 0) || (op == OP_EQ && v->number == -1);

	if (v->kind != VALUE_NUMBER || !root)
		return bad(ps, "nestedSetParent takes < 0 only");
	ps->q->filter.root = true;
	return 0;
}

static int add(struct parser *ps, const struct field *f, enum op op, const struct value *v)
{
	switch (f->kind) {
	case FIELD_ATTR:
		return add_attr(ps, f, op, v);
	case FIELD_TRACE:
		return add_trace(ps, f, op, v);
	case FIELD_PARENT:
		return add_parent(ps, op, v);
	case FIELD_OWN:
		break;
	}
	if (slice_eq(f->name, SLICE("status")))
		return add_status(ps, f, op, v);
	if (slice_eq(f->name, SLICE("kind")))
		return add_kind(ps, op, v);
	if (slice_eq(f->name, SLICE("duration")))
		return add_duration(ps, f, op, v);
	return add_text_field(ps, f, op, v);
}

static int conditions(struct parser *ps);

static int condition(struct parser *ps)
{
	const char *from;
	struct field f;
	struct value v;
	enum op op = OP_EQ;
	int r;

	if (sign(ps, "(")) {
		if (++ps->depth > MAX_DEPTH)
			return bad(ps, "nested too deeply");
		r = conditions(ps);
		ps->depth--;
		if (r == 0 && !sign(ps, ")"))
			return bad(ps, "a ) is missing");
		return r;
	}
	blanks(ps);
	from = ps->p;
	if (slice_eq(word(ps), SLICE("true")))
		return 0;
	ps->p = from;
	if (sign(ps, "!"))
		return bad(ps, "! is not understood: use != or !~");
	r = read_field(ps, &f);
	if (r == 0)
		r = read_op(ps, &op);
	if (r == 0)
		r = read_value(ps, &v);
	return r < 0 ? r : add(ps, &f, op, &v);
}

static int conditions(struct parser *ps)
{
	int r;

	do {
		r = condition(ps);
	} while (r == 0 && sign(ps, "&&"));
	if (r == 0 && sign(ps, "||"))
		return bad(ps, "|| is not understood: use =~ \"a|b\", or ask twice");
	return r;
}

static void finish(struct traceql *q)
{
	const struct clew_span_filter *f = &q->filter;

	q->all = !f->service.p && !f->name.p && !f->kinds && !f->error && !f->root && !f->n_attrs &&
		 !f->n_where && !f->min_duration_ns && !f->max_duration_ns;
}

int traceql_parse(struct api_call *c, struct slice query, struct traceql *ret)
{
	struct parser ps = {c, ret, query, query.p, query.p + query.n, 0, ~0u};
	const uint32_t all = (2u << CLEW_KIND_CONSUMER) - 1;
	int r = 0;

	*ret = (struct traceql){0};
	if (query.n > MAX_QUERY)
		return api_fail(c, 400, -EINVAL, "q: longer than %u bytes", MAX_QUERY);
	/* Slices point into it: it must not move. Each byte comes at most twice, "^(?:)$" and 17
	 * digits for each condition. */
	clew_buf_init(&ret->text, 0);
	r = clew_buf_addf(&ret->text, "%*s", (int)(4 * query.n + 4096), "");
	ret->text.len = 0;
	if (r < 0)
		return r;
	if (!sign(&ps, "{"))
		return bad(&ps, "a query begins with {");
	if (!sign(&ps, "}")) {
		r = conditions(&ps);
		if (r == 0 && !sign(&ps, "}"))
			r = bad(&ps, "&& or } is missing");
	}
	blanks(&ps);
	if (r == 0 && ps.p < ps.end)
		r = bad(&ps, "only one set of spans is understood, without a pipeline behind it");
	if ((ps.kinds & all) != all) {
		ret->filter.kinds = ps.kinds & all;
		ret->never = ret->never || !ret->filter.kinds;
	}
	finish(ret);
	return r;
}

void traceql_done(struct traceql *q)
{
	clew_buf_done(&q->text);
}

/* ---- tags ---- */

static int add_tag(struct parser *ps, struct slice key, struct slice value)
{
	struct field f = {.kind = FIELD_ATTR, .name = key};
	struct clew_buf *b = &ps->q->text;
	size_t at = b->len;

	if (slice_eq(key, SLICE("error")) && slice_eq(value, SLICE("true"))) {
		ps->q->filter.error = true;
		return 0;
	}
	if (slice_eq(key, SLICE("name")))
		f.scope = CLEW_SCOPE_FIELD;
	/* As it stands, in either case. */
	clew_buf_adds(b, "(?i)");
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] && strchr("\\.+*?()|[]{}^$", value.p[i]))
			clew_buf_addc(b, '\\');
		clew_buf_addc(b, value.p[i]);
	}
	if (b->err)
		return b->err;
	return add_where(ps, &f, CLEW_WHERE_MATCH, slice_of(b->data + at, b->len - at));
}

int traceql_tags(struct api_call *c, struct slice tags, struct traceql *ret)
{
	struct parser ps = {c, ret, tags, tags.p, tags.p + tags.n, 0, ~0u};
	int r;

	*ret = (struct traceql){0};
	if (tags.n > MAX_QUERY)
		return api_fail(c, 400, -EINVAL, "tags: longer than %u bytes", MAX_QUERY);
	clew_buf_init(&ret->text, 0);
	r = clew_buf_addf(&ret->text, "%*s", (int)(4 * tags.n + 4096), "");
	ret->text.len = 0;
	for (blanks(&ps); r == 0 && ps.p < ps.end; blanks(&ps)) {
		const char *from = ps.p;
		struct slice key, value;

		while (ps.p < ps.end && *ps.p != '=' && (unsigned char)*ps.p > ' ')
			ps.p++;
		key = slice_of(from, (size_t)(ps.p - from));
		if (!key.n || ps.p == ps.end || *ps.p++ != '=')
			return api_fail(c, 400, -EINVAL, "tags: '%.*s' is not key=value",
					(int)(tags.n < 64 ? tags.n : 64), tags.p);
		if (ps.p < ps.end && *ps.p == '"') {
			r = quoted(&ps, &value);
		} else {
			from = ps.p;
			while (ps.p < ps.end && (unsigned char)*ps.p > ' ')
				ps.p++;
			value = slice_of(from, (size_t)(ps.p - from));
		}
		if (r == 0)
			r = add_tag(&ps, key, value);
	}
	finish(ret);
	return r;
}
