/* SPDX-License-Identifier: Apache-2.0 */
/* clew trace: one trace, drawn or as its document. */
#include "cli/out.h"
#include "cli/query.h"
#include "cli/view.h"
#include "query/query.h"

static int check_id(const struct cli *cli, const char *id, bool last)
{
	if (last && id)
		return cli_usage(cli, "give an id or --last, not both");
	if (last)
		return 0;
	if (!id)
		return cli_usage(cli, "which trace? Give its id or --last; clew traces lists them");
	return cli_check_trace_id(cli, id);
}

int cli_trace(struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	const char *id = o->n_args ? o->args[0] : NULL;
	bool last = clew_options_flag(o, "last");
	struct out_style st = out_style();
	struct clew_buf target, answer = {0}, text;
	int r = check_id(cli, id, last);

	if (r)
		return r;
	query_init(&target, "trace/");
	clew_buf_adds(&target, last ? "last" : id);
	if (clew_options_flag(o, "why"))
		clew_query_param(&target, "why", SLICE("1"));
	if (clew_options_flag(o, "json"))
		r = query_copy(cli, &target);
	else
		r = query_ask(cli, &target, NULL, &answer);
	clew_buf_done(&target);
	clew_buf_init(&text, 0);
	if (!r && !clew_options_flag(o, "json"))
		r = query_view(view_trace(answer.data, answer.len, &st, clew_options_flag(o, "why"),
					  &text),
			       &text);
	clew_buf_done(&answer);
	return r;
}
