/* SPDX-License-Identifier: Apache-2.0 */
/* clew run: start a command as the target. */
#include "cli/session_opts.h"

int cli_run(struct cli *cli)
{
	struct session_opts s;
	int r = session_opts_init(&s, cli);

	if (!r) {
		s.session.argv = cli->options.args;
		r = clew_session_run(&s.session);
	}
	session_opts_done(&s);
	return r;
}
