/* SPDX-License-Identifier: Apache-2.0 */
/* clew patterns, clew hist, clew diff: what many traces, or two, have in common. */
#include "cli/out.h"
#include "cli/query.h"
#include "cli/view.h"
#include "query/query.h"

typedef int (*view_fn)(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);

/* Ask; people get what view makes of the answer, programs the answer. */
static int show(struct cli *cli, struct clew_buf *target, view_fn view)
{
	struct out_style st = out_style();
	struct clew_buf answer = {0}, text;
	bool json = clew_options_flag(&cli->options, "json");
	int r = json ? query_copy(cli, target) : query_ask(cli, target, NULL, &answer);

	clew_buf_done(target);
	clew_buf_init(&text, 0);
	if (!r && !json)
		r = query_view(view(answer.data, answer.len, &st, &text), &text);
	clew_buf_done(&answer);
	return r;
}

int cli_patterns(struct cli *cli)
{
	struct clew_buf target;

	query_init(&target, "patterns");
	query_filters(&target, cli);
	return show(cli, &target, view_patterns);
}

int cli_hist(struct cli *cli)
{
	struct clew_buf target;

	query_init(&target, "histogram");
	query_filters(&target, cli);
	return show(cli, &target, view_hist);
}

int cli_diff(struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	bool range = clew_options_given(o, "from") || clew_options_given(o, "to");
	struct clew_buf target;

	if (range && o->n_args)
		return cli_usage(cli, "give two traces, or --from and --to, not both");
	if (!range && o->n_args != 2)
		return cli_usage(cli,
				 "compare what? Give two traces, or --from D; clew traces and clew "
				 "hist show what there is");
	for (size_t i = 0; i < o->n_args; i++)
		if (cli_check_trace_id(cli, o->args[i]))
			return CLI_USAGE;
	query_init(&target, range ? "differences" : "compare");
	if (!range) {
		clew_query_param(&target, "a", slice_str(o->args[0]));
		clew_query_param(&target, "b", slice_str(o->args[1]));
	}
	query_filters(&target, cli);
	return show(cli, &target, range ? view_differences : view_compare);
}
