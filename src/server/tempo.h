/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of Tempo's API share. */
#pragma once

#include "server/traceql.h"

/** tempo_times() - start and end, in seconds, into the filter. */
int tempo_times(struct api_call *c, struct clew_span_filter *f);

/* tempo_search.c */
int tempo_search(struct api_call *c);
/* tempo_tags.c */
int tempo_tags(struct api_call *c);
int tempo_tags_v2(struct api_call *c);
int tempo_values(struct api_call *c);
int tempo_values_v2(struct api_call *c);
