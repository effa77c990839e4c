/* SPDX-License-Identifier: Apache-2.0 */
/* clew traces, clew spans, clew services: lists. */
#include "cli/out.h"
#include "cli/query.h"
#include "cli/view.h"

/* Ask for a list; what people see of it is made by view, else the lines go out as they are. */
static int list(struct cli *cli, const char *path, bool filters, bool plain, const char *nothing,
		int (*view)(const struct cli *cli, const struct clew_buf *answer,
			    struct clew_buf *b))
{
	struct clew_buf target, answer = {0}, text;
	int r;

	query_init(&target, path);
	if (filters)
		query_filters(&target, cli);
	r = plain ? query_copy(cli, &target) : query_ask(cli, &target, NULL, &answer);
	clew_buf_done(&target);
	clew_buf_init(&text, 0);
	if (r || plain)
		goto out;
	if (!answer.len)
		log_info("%s", nothing);
	else
		r = query_view(view(cli, &answer, &text), &text);
out:
	clew_buf_done(&answer);
	return r;
}

static int show_traces(const struct cli *cli, const struct clew_buf *answer, struct clew_buf *b)
{
	struct out_style st = out_style();

	return view_traces(answer->data, answer->len, &st, cli->options.now_ns, b);
}

static int show_services(const struct cli *cli, const struct clew_buf *answer, struct clew_buf *b)
{
	struct out_style st = out_style();

	return view_services(answer->data, answer->len, &st, b);
}

static int show_services_why(const struct cli *cli, const struct clew_buf *answer,
			     struct clew_buf *b)
{
	struct out_style st = out_style();

	return view_services_why(answer->data, answer->len, &st, b);
}

int cli_traces(struct cli *cli)
{
	return list(cli, "traces", true, clew_options_flag(&cli->options, "json"),
		    "no trace matches; wait for one to end, or ask for less", show_traces);
}

int cli_spans(struct cli *cli)
{
	return list(cli, "spans", true, true, "", NULL);
}

int cli_services(struct cli *cli)
{
	bool json = clew_options_flag(&cli->options, "json");

	if (clew_options_flag(&cli->options, "why"))
		return list(
			cli, "services/why", false, json,
			"nothing is known yet: it is kept a few seconds after the first calls of "
			"a recording, and when it ends",
			show_services_why);
	return list(cli, "services", false, json, "the store holds no spans yet", show_services);
}
