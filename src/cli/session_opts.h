/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From parsed options to a session: what run, record and replay share.
 */
#pragma once

#include "cli/cli.h"
#include "cli/session.h"

struct session_opts {
	struct clew_session_opts session; /* borrows from the rest and from the command's options */
	uint32_t *pids;
	uint16_t *ports;
	char **meta; /* NAME=VALUE, NULL-terminated */
	struct clew_server_opts server;
	struct clew_export_opts export;
};

/**
 * session_opts_init() - read them all and check that they go together.
 * Returns 0, or the exit status after having said why.
 */
int session_opts_init(struct session_opts *s, const struct cli *cli);
void session_opts_done(struct session_opts *s);
