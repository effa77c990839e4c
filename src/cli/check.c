/* SPDX-License-Identifier: Apache-2.0 */
/* clew check: what this kernel allows. */
#include "capture/capture.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/view.h"

#define CHECK_MAX_FEATURES 128

int cli_check(struct cli *cli)
{
	static struct clew_feature features[CHECK_MAX_FEATURES];
	size_t n = clew_capture_check(features, CHECK_MAX_FEATURES);
	struct out_style st = out_style();
	struct clew_buf b;
	bool works = true;
	int r;

	if (n > CHECK_MAX_FEATURES)
		n = CHECK_MAX_FEATURES;
	for (size_t i = 0; i < n; i++)
		works &= features[i].ok || !features[i].required;
	clew_buf_init(&b, 0);
	if (clew_options_flag(&cli->options, "json"))
		view_check_json(features, n, works, &b);
	else
		view_check(features, n, &st, works, &b);
	r = out_write(&b);
	clew_buf_done(&b);
	return r ? r : works ? 0 : CLI_FAILURE;
}
