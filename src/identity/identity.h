/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes to resources: which service a process is, which instance, on which host.
 *
 * Works from process and meta records alone, so that a replay names the same. Service name, the
 * first that is known of: --name, container or unit name, jar, script or module, executable.
 */
#pragma once

#include <stdint.h>

#include "abi/record.h"
#include "model/span.h"

struct clew_identity;

/** clew_identity_new() - empty. Returns 0, -ENOMEM. */
int clew_identity_new(struct clew_identity **ret);
void clew_identity_free(struct clew_identity *id);

/**
 * clew_identity_name_rule() - a --name rule, "PID=SERVICE" or "EXE=SERVICE" (EXE: a base name, a
 * path or a glob over either). Returns 0; -EINVAL if it is not of this form; -ENOMEM.
 */
int clew_identity_name_rule(struct clew_identity *id, const char *rule);

/** clew_identity_record() - learn from a meta, process or thread record; others are ignored. */
int clew_identity_record(struct clew_identity *id, const struct clew_rec *rec);

/**
 * clew_identity_resource() - the resource of a process, borrowed until the next call that changes
 * it. Never NULL but for want of memory: an unknown process is "unknown_service:COMM" or
 * "unknown_service".
 */
struct clew_resource *clew_identity_resource(struct clew_identity *id, uint32_t tgid,
					     uint64_t proc_start_ns);

/** clew_identity_boot_id() - from the meta record; zeros before it. */
struct clew_id128 clew_identity_boot_id(const struct clew_identity *id);
