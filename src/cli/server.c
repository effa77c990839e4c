/* SPDX-License-Identifier: Apache-2.0 */
/* clew server: the store and its ports, without a capture. */
#include "cli/session_opts.h"

int cli_server(struct cli *cli)
{
	struct session_opts s;
	int r = session_opts_init(&s, cli);

	if (!r)
		r = clew_session_run(&s.session);
	session_opts_done(&s);
	return r;
}
