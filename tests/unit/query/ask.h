/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the calls in a test: one store a program, answers as jansson's values. */
#pragma once

#include <errno.h>
#include <stddef.h>

#include <jansson.h>

#include "../store/util.h"
#include "query/query.h"

#define API CLEW_API_PREFIX

static struct clew_buf out;
static char *error;
static char *dir;
static struct clew_store *st;

static inline int take(void *user, const char *bytes, size_t n)
{
	return clew_buf_add(&out, bytes, n);
}

static inline int ask(const char *method, const char *target, const char *body)
{
	clew_buf_clear(&out);
	free(error);
	error = NULL;
	return clew_query_run(st, slice_str(method), slice_str(target), slice_str(body), take, NULL,
			      &error);
}

/* The answer to a GET: one JSON value a line, as an array. */
static inline json_t *get(const char *target)
{
	json_t *list = json_array();
	int r = ask("GET", target, "");

	if (r < 0)
		fail_msg("%s: %d %s", target, r, error ? error : "");
	for (char *p = out.data; p && *p;) {
		char *end = strchr(p, '\n');
		json_error_t e;
		json_t *v = json_loadb(p, end ? (size_t)(end - p) : strlen(p), 0, &e);

		if (!v)
			fail_msg("%s: not JSON: %s: %s", target, e.text, p);
		json_array_append_new(list, v);
		p = end ? end + 1 : NULL;
	}
	return list;
}

/* The one object of an answer. */
static inline json_t *get_one(const char *target)
{
	json_t *list = get(target), *one = json_incref(json_array_get(list, 0));

	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	return one;
}

static inline json_t *at(json_t *o, const char *key, size_t i)
{
	json_t *v = json_array_get(json_object_get(o, key), i);

	if (!v)
		fail_msg("there is no %s[%zu]", key, i);
	return v;
}

static inline const char *str(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static inline json_int_t num(json_t *o, const char *key)
{
	if (!json_is_integer(json_object_get(o, key)))
		fail_msg("%s is no integer", key);
	return json_integer_value(json_object_get(o, key));
}

/* "trace/{hex}{rest}" */
static inline const char *trace_path(uint64_t n, const char *rest)
{
	static char path[160];
	struct clew_id128 id = trace_id(n);
	char hex[33];

	clew_hex(id.b, 16, hex);
	snprintf(path, sizeof(path), API "trace/%s%s", hex, rest);
	return path;
}

static inline int ask_teardown(void **state)
{
	clew_store_close(st);
	clew_buf_done(&out);
	free(error);
	rm_dir(dir);
	return 0;
}
