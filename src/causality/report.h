/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service's calls came to. See report.c.
 */
#pragma once

struct clew_causality;
struct clew_link;
struct group;
struct node;

/* A call of a known context was decided so. */
void report_link(struct clew_causality *c, const struct node *call, const struct clew_link *l);
/* The group is about to be freed. */
void report_gone(struct group *g);
