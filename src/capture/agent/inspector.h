/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of V8's inspector: JSON over a WebSocket (Chrome DevTools Protocol, Runtime.evaluate).
 * One expression at a time; every call has a deadline and blocks its thread until then.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/cleanup.h"

struct inspector;

/**
 * inspector_open() - connect to the inspector that listens on this address and port, in the network
 * namespace of the calling thread.
 * Returns 0; -ETIMEDOUT; -ECONNREFUSED; -EPROTO (no inspector answers there); -ENOMEM.
 */
int inspector_open(const char *address, uint16_t port, uint64_t timeout_ns, struct inspector **ret);
/** inspector_close() - takes NULL. */
void inspector_close(struct inspector *i);
CLEW_DEFINE_CLEANUP(struct inspector *, inspector_close)

/**
 * inspector_eval() - the value of an expression; ret_value is the caller's (json_decref), NULL where it
 * has none. Returns 0; -ETIMEDOUT; -EPIPE (connection lost); -EPROTO (the expression threw: *ret_value
 * is a string that says what); -E2BIG.
 */
int inspector_eval(struct inspector *i, const char *expression, uint64_t timeout_ns,
		   json_t **ret_value);
