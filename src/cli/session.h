/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: what `clew run`, `clew record`, `clew replay` and `clew server` do once their options
 * are read. It wires a source of records (a capture or a recording; a server needs none) to the
 * pipeline, a store, an exporter and a recording, and opens the store's server:
 *
 *	capture or recording ─► [raw file] ─► pipeline ─► store, --export, --live
 *
 * One thread reads and reasons; the store and the exporter work on their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "export/export.h"
#include "server/server.h"

struct clew_session_opts {
	struct clew_capture_opts capture; /* targets, payload, ring; unused by replay */
	char *const *argv;		  /* run: the command, NULL-terminated; else NULL */
	const char *user;		  /* run: --user, or NULL */
	const char *replay;		  /* replay: the recording; else NULL */
	const char *db;			  /* the store's directory; NULL: --db none */
	const char *raw;		  /* --raw, or NULL */
	bool capture_only;		  /* --capture-only: records only (with raw) */
	bool live;
	bool quiet;
	bool verbose;
	uint64_t duration_ns;	      /* 0: until the end */
	uint32_t without;	      /* --without: enum clew_source */
	char *const *name_rules;      /* --name, NULL-terminated or NULL */
	char *const *capture_headers; /* --capture-header, NULL-terminated or NULL */
	bool serve_only;	      /* `clew server`: the store and its server, no records */
	const struct clew_server_opts *server; /* what to open beside the socket, or NULL */
	const struct clew_export_opts *export; /* where to send spans, or NULL */
};

/**
 * clew_session_run() - do it all and print the summary on standard error.
 * Returns the exit status of the process: for `run` the command's own, or 125 to 127 for our
 * failures and 128+n for a signal; else 0 or 1.
 */
int clew_session_run(const struct clew_session_opts *opts);
