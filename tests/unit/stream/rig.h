/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream layer under test: steps go in, a line comes out for each exchange that ended.
 *
 *	PROTO METHOD TARGET STATUS req BYTES/BODY resp BYTES/BODY MARKS
 *
 * The rig keeps the offsets of each direction, so that a step says only what is special about it.
 */
#pragma once

#include "base/buf.h"
#include "stream/stream.h"

enum step_kind { STEP_END, REQ, RESP, REQ_EOF, RESP_EOF, CLOSE, WAIT, FLUSH, GONE };

struct step {
	enum step_kind kind;
	const char *data; /* captured */
	uint64_t unseen;  /* bytes after it that were moved and not captured; of WAIT: ns */
	uint64_t gap;	  /* bytes before it that no record told */
	uint16_t lost;	  /* lost_conn */
	uint32_t flags;
};

struct rig {
	struct clew_stream *s;
	struct clew_buf log;
	enum clew_role role; /* of our end */
	uint64_t cookie;
	uint64_t now;
	uint64_t off[2]; /* by enum clew_dir */
	uint32_t tid;
	unsigned begun, ended, heads, ios, firsts, connects, closes;
	uint64_t last_begun, last_ended;
	struct clew_id128 last_key; /* of the exchange that began last */
	bool last_has_key;
	bool log_ops; /* add the operations' counts to each line */
};

void rig_init(struct rig *r, enum clew_role role, const struct clew_stream_opts *opts);
void rig_done(struct rig *r);
/* The connection's record; REQ and RESP need none. */
void rig_conn(struct rig *r, enum clew_conn_event event, uint64_t tx_offset, uint64_t rx_offset);
void rig_step(struct rig *r, const struct step *st);
void rig_run(struct rig *r, const struct step *steps);

/* Steps and the lines that must come of them, at either end. */
struct rig_case {
	const char *name;
	struct step steps[12];
	const char *want;
};
void rig_cases(const struct rig_case *cases, size_t n);
/* An operation as it is. */
void rig_io(struct rig *r, enum clew_dir dir, uint64_t offset, const void *data, size_t cap,
	    uint32_t bytes, uint16_t lost, uint32_t flags);
enum clew_dir rig_dir(const struct rig *r, bool request);
