/* SPDX-License-Identifier: Apache-2.0 */
/* clew map: who calls whom. */
#include "cli/out.h"
#include "cli/query.h"
#include "cli/view.h"

int cli_map(struct cli *cli)
{
	const struct clew_options *o = &cli->options;
	bool json = clew_options_flag(o, "json"), dot = clew_options_flag(o, "dot");
	struct out_style st = out_style();
	struct clew_buf target, answer = {0}, text;
	int r;

	if (json && dot)
		return cli_usage(cli, "give --json or --dot, not both");
	query_init(&target, "map");
	r = json ? query_copy(cli, &target) : query_ask(cli, &target, NULL, &answer);
	clew_buf_done(&target);
	clew_buf_init(&text, 0);
	if (!r && !json)
		r = query_view(dot ? view_map_dot(answer.data, answer.len, &text)
				   : view_map(answer.data, answer.len, &st, &text),
			       &text);
	clew_buf_done(&answer);
	return r;
}
