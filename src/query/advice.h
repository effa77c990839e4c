/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would settle a service's orphans. From facts only: the runtime and whether its tasks are
 * seen, what was asked of the tracer, what stood in the way of the orphans.
 */
#pragma once

#include "store/store.h"

struct advice {
	const char *option; /* as on the command line; NULL: none would help */
	double up_to;	/* share of the service's links that it might settle; 0 without option */
	char text[240]; /* a sentence */
};

void advice_make(const struct clew_service_model *m, struct advice *ret);
