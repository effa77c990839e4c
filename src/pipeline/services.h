/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each service, by its name: processes that come and go add up to one entry.
 *
 *	causality's report of a group of processes ─► identity's name of it ─► entry
 *
 * Groups that are gone were added when they went; those that live are added to a copy when somebody
 * asks. Limit: MAX_SERVICES; what is beyond it counts for one entry called "(others)".
 */
#pragma once

#include "causality/causality.h"
#include "identity/identity.h"
#include "pipeline/pipeline.h"

#define MAX_SERVICES 1024

struct services {
	struct service_entry *v;
	size_t n;
	uint64_t dropped; /* reports that found no memory */
};

/** services_add() - a group of processes is one of the service that identity says. */
void services_add(struct services *s, struct clew_identity *id,
		  const struct clew_service_report *r);
/** services_copy() - 0 or -ENOMEM. */
int services_copy(const struct services *s, struct services *ret);
/** services_each() - in the order of their names. */
void services_each(struct services *s, clew_service_known_fn fn, void *user);
void services_done(struct services *s);
