/* SPDX-License-Identifier: Apache-2.0 */
/* clew top: the services, again and again. On a terminal the table is drawn over the one before. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/query.h"
#include "cli/view.h"
#include "query/query.h"

static void make_target(struct clew_buf *target, const struct cli *cli)
{
	char since[40];

	snprintf(since, sizeof(since), "-%" PRIu64 "ns", clew_options_u64(&cli->options, "window"));
	query_init(target, "overview");
	clew_query_param(target, "since", slice_str(since));
	clew_query_param(target, "buckets", SLICE("20"));
}

static int draw(struct cli *cli, bool over)
{
	struct out_style st = out_style();
	struct clew_buf target, answer = {0}, text;
	int r;

	make_target(&target, cli);
	r = query_ask(cli, &target, NULL, &answer);
	clew_buf_done(&target);
	clew_buf_init(&text, 0);
	if (over)
		clew_buf_adds(&text, "\x1b[H\x1b[2J"); /* to the top left, and clear */
	if (!r)
		r = query_view(view_top(answer.data, answer.len, &st, &text), &text);
	clew_buf_done(&answer);
	return r;
}

int cli_top(struct cli *cli)
{
	uint64_t wait = clew_options_u64(&cli->options, "interval");
	bool tty = isatty(STDOUT_FILENO), once = clew_options_flag(&cli->options, "once");
	struct clew_buf target;
	int r;

	if (clew_options_flag(&cli->options, "json")) {
		make_target(&target, cli);
		r = query_copy(cli, &target);
		clew_buf_done(&target);
		return r;
	}
	while (!(r = draw(cli, tty && !once)) && !once && !out_closed())
		nanosleep(&(struct timespec){.tv_sec = (time_t)(wait / 1000000000u),
					     .tv_nsec = (long)(wait % 1000000000u)},
			  NULL);
	return r;
}
