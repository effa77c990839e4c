/* SPDX-License-Identifier: Apache-2.0 */
/* clew replay: the pipeline over a recording. */
#include "cli/session_opts.h"

int cli_replay(struct cli *cli)
{
	struct session_opts s;
	int r = session_opts_init(&s, cli);

	if (!r) {
		s.session.replay = cli->options.args[0];
		r = clew_session_run(&s.session);
	}
	session_opts_done(&s);
	return r;
}
