/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's exporter: opened, watched, brought to its end. What is lost on the way to a receiver is
 * said and counted, and changes no exit status: the traced command has nothing to do with it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/session_internal.h"

/* How often a signal is looked for meanwhile. */
#define LOOK_MS 100

int session_open_export(struct session *s)
{
	_cleanup_(freep) char *error = NULL;
	int r;

	if (!s->opts->export)
		return 0;
	r = clew_export_open(s->opts->export, &s->export, &error);
	if (r < 0)
		log_error("--export %s: %s", s->opts->export->url, error ? error : strerror(-r));
	return r;
}

void session_watch_export(struct session *s)
{
	struct clew_export_stats st;

	if (!s->export)
		return;
	clew_export_stats(s->export, &st);
	if (st.refused && !s->export_refused) {
		log_error("--export %s: spans were refused: %s", clew_export_url(s->export),
			  st.last_error);
		s->export_refused = true;
	} else if (st.failing && !s->export_failing && !st.refused) {
		log_warn("--export %s: %s; spans wait, it is tried again",
			 clew_export_url(s->export), st.last_error);
	} else if (!st.failing && s->export_failing) {
		log_info("--export %s: spans are taken again", clew_export_url(s->export));
		s->export_refused = false;
	}
	s->export_failing = st.failing;
}

/* A receiver that cannot be reached does not hold up a replay: what does not fit is lost and counted. */
void session_wait_for_export(struct session *s)
{
	if (!s->export)
		return;
	while (!s->stop && !clew_export_wait_room(s->export, LOOK_MS))
		session_take_signals(s, 0);
}

void session_finish_export(struct session *s)
{
	uint64_t limit_ns;
	int signals = s->signals;

	if (!s->export)
		return;
	limit_ns =
		s->opts->export->timeout_ns ? s->opts->export->timeout_ns : CLEW_EXPORT_TIMEOUT_NS;
	clew_export_finish(s->export, clew_mono_ns() + limit_ns);
	s->end.export_waits = true;
	while (!clew_export_wait_finished(s->export, LOOK_MS)) {
		session_watch_export(s);
		session_take_signals(s, 0);
		if (s->signals > signals)
			clew_export_finish(s->export, 0);
	}
	s->end.export_waits = false;
	session_watch_export(s);
}
