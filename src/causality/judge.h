/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call's link is. See judge.c.
 */
#pragma once

#include <stdbool.h>

#include "causality/model.h"

struct clew_causality;
struct clew_link;
struct node;

/* No request was open in the process: nobody's work but its own. */
bool judge_is_root(const struct node *n);

/*
 * VERDICT_PASS and VERDICT_FAIL: *l is the link, of an orphan where it fails. VERDICT_WAIT: more will tell; not
 * answered when final. settled: the answer is SETTLE_NS old.
 */
enum verdict judge(struct clew_causality *c, struct node *n, bool final, bool settled,
		   struct clew_link *l);
