/* SPDX-License-Identifier: Apache-2.0 */
/* attributes and attributes/KEY/values: what can be searched for. */
#include <inttypes.h>

#include "query/call.h"

#define DEFAULT_VALUES 50
#define MAX_VALUES     1000

struct writing {
	struct call *c;
	bool more;
};

static const char *type_name(enum clew_attr_type t)
{
	static const char *const names[] = {"string", "int", "double", "bool"};

	return names[t];
}

static int put_key(void *user, const struct clew_attr_key *k)
{
	struct writing *w = user;
	struct call *c = w->c;

	put_str(&c->out, w->more ? ",{\"key\":" : "{\"key\":", k->key);
	w->more = true;
	return clew_buf_addf(&c->out, ",\"type\":\"%s\",\"spans\":%" PRIu64 "}", type_name(k->type),
			     k->spans);
}

static int put_value(void *user, struct slice value, uint64_t spans)
{
	struct writing *w = user;
	struct call *c = w->c;

	put_str(&c->out, w->more ? ",{\"value\":" : "{\"value\":", value);
	w->more = true;
	return clew_buf_addf(&c->out, ",\"spans\":%" PRIu64 "}", spans);
}

int call_attributes(struct call *c)
{
	struct writing w = {.c = c};
	struct slice service = {0}, prefix = {0};
	int r;

	params_get(&c->params, "service", &service);
	params_get(&c->params, "prefix", &prefix);
	r = call_no_params(c);
	clew_buf_adds(&c->out, "{\"keys\":[");
	if (r == 0)
		r = clew_store_attr_keys(c->st, service, prefix, put_key, &w, c->ret_error);
	clew_buf_adds(&c->out, "]}");
	return r < 0 ? r : call_end_line(c);
}

int call_attribute_values(struct call *c)
{
	struct slice service = {0}, prefix = {0}, key = c->rest;
	struct params decoded = {0};
	struct writing w = {.c = c};
	uint64_t limit = DEFAULT_VALUES;
	bool more = false;
	int r = params_u64(&c->params, "limit", &limit, c->ret_error);

	params_get(&c->params, "service", &service);
	params_get(&c->params, "prefix", &prefix);
	if (r == 0)
		r = call_no_params(c);
	if (r < 0)
		return r;
	if (key.n <= 7 || !slice_eq(slice_of(key.p + key.n - 7, 7), SLICE("/values")))
		return call_fail(c, -ENOENT,
				 "there is no such call; of an attribute there is "
				 "attributes/KEY/values");
	/* The path's escapes are those of a parameter. */
	key.n -= 7;
	r = params_parse(&decoded, key, c->ret_error);
	if (r == 0 && decoded.n == 1)
		key = decoded.p[0].key;
	limit = limit && limit < MAX_VALUES ? limit : MAX_VALUES;
	clew_buf_adds(&c->out, "{\"values\":[");
	if (r == 0)
		r = clew_store_attr_values(c->st, key, service, prefix, limit, put_value, &w, &more,
					   c->ret_error);
	clew_buf_addf(&c->out, "],\"truncated\":%s}", more ? "true" : "false");
	params_done(&decoded);
	return r < 0 ? r : call_end_line(c);
}
