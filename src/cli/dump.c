/* SPDX-License-Identifier: Apache-2.0 */
/* clew dump: a recording as JSON lines. */
#include <inttypes.h>
#include <signal.h>

#include "capture/record_json.h"
#include "capture/recording.h"
#include "cli/cli.h"
#include "cli/out.h"

/* Lines are written in pieces of this size. */
#define DUMP_PIECE_BYTES (64u << 10)

CLEW_DEFINE_CLEANUP(struct clew_recording_reader *, clew_recording_free)

/* How the reading ended: a file that its writer could not finish is read as far as it goes. */
static int report_end(const char *path, int r, uint64_t offset)
{
	if (r == -ENODATA) {
		log_warn("%s: ends inside a record, at byte %" PRIu64
			 ": its writer was killed, or it is "
			 "still being written",
			 path, offset);
		return 0;
	}
	if (r < 0) {
		log_error("%s: damaged at byte %" PRIu64 "; what came before it was printed", path,
			  offset);
		return CLI_FAILURE;
	}
	return 0;
}

int cli_dump(struct cli *cli)
{
	const char *path = cli->options.args[0];
	_cleanup_(clew_recording_freep) struct clew_recording_reader *reader = NULL;
	_cleanup_(clew_buf_done) struct clew_buf b;
	const struct clew_rec *rec;
	bool closed = false;
	int r = 0, status;

	clew_buf_init(&b, 0);
	signal(SIGPIPE, SIG_IGN);
	status = cli_open_recording(path, &reader) < 0 ? CLI_FAILURE : 0;
	if (status)
		return status;
	while (!status && !closed && (r = clew_recording_next(reader, &rec)) > 0) {
		clew_record_json(rec, &b);
		clew_buf_addc(&b, '\n');
		if (b.err) {
			log_error("out of memory");
			return CLI_FAILURE;
		}
		if (b.len < DUMP_PIECE_BYTES)
			continue;
		status = out_raw(b.data, b.len, &closed);
		clew_buf_clear(&b);
	}
	if (status || closed)
		return status;
	status = out_write(&b);
	return status ? status : report_end(path, r, clew_recording_offset(reader));
}
