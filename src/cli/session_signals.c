/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What signals do to a session. They are read from a descriptor: by the session's loops, between other work, and by a
 * thread of its own while what was captured is worked on, sent and written at the end, as that may take long:
 *
 *	the first	ends the tracing; under `run` it is the command's
 *	while the export is waited for, one more ends that
 *	one more at the end	ends the process, as if nobody listened, and says what is lost
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "cli/session_internal.h"

int session_open_signals(struct session *s)
{
	sigset_t set;

	/* A pipe whose reader went away (--live | head, --raw -) is an error of the write. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

/* ---- at once ---- */

static void add_lost(struct clew_buf *b, const char *fmt, ...) CLEW_PRINTF(2, 3);
static void add_lost(struct clew_buf *b, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clew_buf_addf(b, "%s%s", b->len ? ", " : "", text);
}

/* What is not written, as far as it is known. */
static void say_lost(struct session *s, int signo)
{
	enum session_stage stage = atomic_load(&s->end.stage);
	uint64_t unwritten = s->end.unwritten;
	struct clew_store_stats store;
	struct clew_export_stats export;
	struct clew_buf b;

	clew_buf_init(&b, 4096);
	if (stage < SESSION_WRITTEN && s->store) {
		clew_store_stats(s->store, &store);
		unwritten = store.unwritten;
	}
	if (unwritten)
		add_lost(&b, "%s%" PRIu64 " span%s for the store",
			 stage == SESSION_WRITTEN ? "up to " : "", unwritten,
			 unwritten == 1 ? "" : "s");
	if (stage < SESSION_WRITTEN && s->export) {
		clew_export_stats(s->export, &export);
		if (export.queued)
			add_lost(&b, "%" PRIu64 " for --export", export.queued);
	}
	if (stage < SESSION_WRITTEN && s->end.has_raw)
		add_lost(&b, "the end of the recording %s", s->opts->raw);
	if (stage == SESSION_DECIDING)
		add_lost(&b, "what was not worked on yet");
	clew_buf_addc(&b, '\0');
	log_error("ended at once by SIG%s; lost: %s", sigabbrev_np(signo),
		  b.err	      ? "not known"
		  : b.len > 1 ? b.data
			      : "nothing");
	clew_buf_done(&b);
}

static void end_at_once(struct session *s, int signo)
{
	sigset_t set;

	say_lost(s, signo);
	signal(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(signo);
	_exit(128 + signo); /* the first process of a namespace outlives it */
}

/* ---- reading ---- */

/*
 * The first signal ends a recording. Under `run` it is the command's, too: a terminal has sent it
 * to both of us, any other sender's is passed on; the tracing ends when the command does. The
 * second signal ends it in any case.
 */
static void on_signal(struct session *s, const struct signalfd_siginfo *info)
{
	int signo = (int)info->ssi_signo, n;

	if (signo == SIGCHLD)
		return;
	s->signal = signo;
	n = atomic_fetch_add(&s->signals, 1) + 1;
	if (s->opts->argv && s->child > 0 && n == 1) {
		if (info->ssi_code != SI_KERNEL)
			kill(s->child, signo);
		return;
	}
	if (s->end.runs && !atomic_exchange(&s->end.export_waits, false) && n > 1)
		end_at_once(s, signo);
	s->stop = true;
}

static void read_signals(struct session *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(s, &info);
}

void session_take_signals(struct session *s, int timeout_ms)
{
	struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};

	if (!s->end.runs && poll(&fd, 1, timeout_ms) > 0)
		read_signals(s);
}

/* ---- the end ---- */

static void *hear(void *arg)
{
	struct session *s = arg;
	struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
			       {.fd = s->end.wake_fd, .events = POLLIN}};

	(void)pthread_setname_np(pthread_self(), "clew-signals");
	while (!fds[1].revents) {
		if (poll(fds, 2, -1) > 0 && fds[0].revents)
			read_signals(s);
	}
	return NULL;
}

void session_end_begin(struct session *s)
{
	if (s->end.runs || s->signal_fd < 0)
		return;
	s->end.wake_fd = eventfd(0, EFD_CLOEXEC);
	if (s->end.wake_fd < 0)
		return; /* then they are heard where the loops look */
	s->end.has_raw = s->raw;
	s->end.runs = true;
	if (pthread_create(&s->end.thread, NULL, hear, s)) {
		s->end.runs = false;
		closep(&s->end.wake_fd);
	}
}

void session_end_stage(struct session *s, enum session_stage stage)
{
	struct clew_store_stats store = {0};

	if (stage == SESSION_WRITTEN && s->store) {
		clew_store_stats(s->store, &store);
		s->end.unwritten = store.unwritten;
	}
	atomic_store(&s->end.stage, stage);
}

void session_end_pause(struct session *s)
{
	if (!s->end.runs)
		return;
	(void)eventfd_write(s->end.wake_fd, 1);
	pthread_join(s->end.thread, NULL);
	closep(&s->end.wake_fd);
	s->end.runs = false;
}
