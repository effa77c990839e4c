/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of Jaeger's first API share. */
#pragma once

#include "server/api.h"

/** jaeger_trace() - append one trace as Jaeger's page has it; spans: of one trace, oldest first. */
int jaeger_trace(struct api_call *c, const struct api_spans *spans);

/* jaeger_metrics.c */
int jaeger_latencies(struct api_call *c);
int jaeger_calls(struct api_call *c);
int jaeger_errors(struct api_call *c);
int jaeger_min_step(struct api_call *c);
