/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json_lines.h"

#include <errno.h>
#include <string.h>

int json_lines_next(const char *text, size_t len, size_t *at, json_t **ret)
{
	while (*at < len) {
		const char *line = text + *at, *end = memchr(line, '\n', len - *at);
		size_t n = end ? (size_t)(end - line) : len - *at;
		json_t *o;

		*at += n + (end ? 1 : 0);
		if (!n)
			continue;
		o = json_loadb(line, n, JSON_ALLOW_NUL, NULL);
		if (!json_is_object(o)) {
			json_decref(o);
			return -EBADMSG;
		}
		*ret = o;
		return 1;
	}
	return 0;
}

const char *json_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

uint64_t json_u64(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_real(v))
		return json_real_value(v) > 0 ? (uint64_t)json_real_value(v) : 0;
	return json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
}

int json_lines_all(const char *text, size_t len, json_t **ret)
{
	json_t *all = json_array(), *o;
	size_t at = 0;
	int r;

	if (!all)
		return -ENOMEM;
	while ((r = json_lines_next(text, len, &at, &o)) > 0)
		json_array_append_new(all, o);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	*ret = all;
	return 0;
}
