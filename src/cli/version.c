/* SPDX-License-Identifier: Apache-2.0 */
/* clew version. */
#include "cli/cli.h"
#include "cli/out.h"

int cli_version(struct cli *cli)
{
	static const char text[] = "clew " CLEW_VERSION "\n";

	return out_raw(text, sizeof(text) - 1, NULL);
}
