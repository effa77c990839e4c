/* SPDX-License-Identifier: Apache-2.0 */
/* clew sql: one read-only statement. */
#include "cli/json_lines.h"
#include "cli/out.h"
#include "cli/query.h"
#include "cli/view.h"

static void warn_truncated(const struct clew_buf *answer)
{
	json_t *o = json_loadb(answer->data, answer->len, JSON_ALLOW_NUL, NULL);

	if (json_is_true(json_object_get(o, "truncated")))
		log_warn("there are more rows than these %zu; add LIMIT or narrow the query",
			 json_array_size(json_object_get(o, "rows")));
	json_decref(o);
}

int cli_sql(struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	bool json = clew_options_flag(o, "json"), csv = clew_options_flag(o, "csv");
	struct out_style st = out_style();
	struct clew_buf target, answer = {0}, text;
	int r, v;

	if (json && csv)
		return cli_usage(cli, "give --json or --csv, not both");
	query_init(&target, "sql");
	r = query_ask(cli, &target, o->args[0], &answer);
	clew_buf_done(&target);
	if (!r) {
		clew_buf_init(&text, 0);
		v = json  ? view_sql_json(answer.data, answer.len, &text)
		    : csv ? view_sql_csv(answer.data, answer.len, &text)
			  : view_sql(answer.data, answer.len, &st, &text);
		r = query_view(v, &text);
		warn_truncated(&answer);
	}
	clew_buf_done(&answer);
	return r;
}
