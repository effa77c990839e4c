/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/session.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/recording.h"
#include "cli/cli.h"
#include "cli/session_internal.h"
#include "server/server.h"

/* What the reader saw in the rings is worked on this often; they have room for far longer. */
#define POLL_MS 25
/*
 * Who works without a stop makes a thread that wakes on its processor wait for the scheduler's next tick (4 ms), and
 * services that wait for each other then all wait, processors idle. Yielding, niceness and SCHED_IDLE do not help: the
 * scheduler shares between groups (sessions, cgroups) first. So we rest after each spell, as long as
 * we keep up.
 */
#define SPELL_NS     300000ull
#define REST_NS	     150000
#define RESTS_FOR_NS 25000000ull
#define FEW_RECORDS  64
/* Then signals are looked at again. */
#define ROUND_NS 100000000ull
/* How long a first look at the processes that run may take before we say that we trace. */
#define RUNTIMES_NS	300000000ull
#define AGENTS_NS	15000000000ull
#define MAX_DESCRIPTORS 16384u

/* The exporter becomes one more owner; the store takes them. */
void session_flush_spans(struct session *s)
{
	if (s->n_spans && s->export)
		clew_export_append(s->export, s->spans, s->n_spans);
	if (s->n_spans && s->store)
		clew_store_append(s->store, s->spans, s->n_spans);
	for (size_t i = 0; i < s->n_spans && !s->store; i++)
		clew_span_free(s->spans[i]);
	s->n_spans = 0;
}

void session_take_span(struct session *s, struct clew_span *span)
{
	if (!s->store && !s->export) {
		clew_span_free(span);
		return;
	}
	s->spans[s->n_spans++] = span;
	if (s->n_spans == SESSION_BATCH)
		session_flush_spans(s);
}

static void on_span(void *user, struct clew_span *span)
{
	struct session *s = user;

	if (!session_join_span(s, span))
		session_take_span(s, span);
}

static void on_trace(void *user, const struct clew_trace_done *trace)
{
	session_print_live(trace);
}

/* A recording that cannot be written any more ends; the tracing goes on, and the exit status tells.
 */
static void write_raw(struct session *s, const struct clew_rec *rec)
{
	int r = clew_recording_write(s->raw, rec);

	if (r >= 0)
		return;
	log_error("--raw: cannot write %s: %s; the recording ends here%s", s->opts->raw,
		  strerror(-r), s->opts->capture_only ? "" : ", tracing goes on");
	clew_recording_close(s->raw);
	s->raw = NULL;
	s->failed = true;
	/* Nothing else was asked for: tracing on would be for nothing. */
	if (s->opts->capture_only)
		s->stop = true;
}

static int on_record(void *user, const struct clew_rec *rec)
{
	struct session *s = user;

	if (rec->type == CLEW_REC_IO)
		s->operations++;
	if (s->raw)
		write_raw(s, rec);
	return s->pipeline ? clew_pipeline_feed(s->pipeline, rec) : 0;
}

/* ---- setting up ---- */

/*
 * A server's store has two descriptors an hour, and each client one. Not under `run`: the command
 * would get the higher limit too.
 */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAX_DESCRIPTORS) {
		limit.rlim_cur =
			limit.rlim_max < MAX_DESCRIPTORS ? limit.rlim_max : MAX_DESCRIPTORS;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_store(struct session *s)
{
	struct clew_store_opts o = {.command = s->opts->argv	     ? "clew run"
					       : s->opts->replay     ? "clew replay"
					       : s->opts->serve_only ? "clew server"
								     : "clew record"};
	_cleanup_(freep) char *error = NULL;
	int r;

	if (!s->opts->db || s->opts->capture_only)
		return 0;
	if (s->opts->server && !s->opts->argv)
		raise_descriptors();
	r = clew_store_open(s->opts->db, &o, &s->store, &error);
	if (r < 0) {
		log_error("--db %s: %s", s->opts->db, error ? error : strerror(-r));
		return r;
	}
	r = clew_server_start(s->store, &s->server, &error);
	if (r < 0 && s->opts->server)
		log_error("%s", error ? error : strerror(-r));
	else if (r < 0)
		log_warn("queries of this store must wait until this command ends: %s",
			 error ? error : strerror(-r));
	return s->opts->server ? r : 0;
}

/* The ports that were asked for; and one line that says which they are. */
static int open_ports(struct session *s)
{
	_cleanup_(freep) char *error = NULL;
	struct clew_server_ports p;
	char otlp[96] = "";
	int r;

	if (!s->opts->server)
		return 0;
	r = session_open_join(s);
	if (r == 0)
		r = clew_server_listen(s->server, s->opts->server, &error);
	if (r < 0) {
		log_error("%s", error ? error : strerror(-r));
		return r;
	}
	session_join_ports(s);
	clew_server_ports(s->server, &p);
	if (p.otlp_http)
		snprintf(otlp, sizeof(otlp), ", OTLP on %u (gRPC) and %u (HTTP)", p.otlp_grpc,
			 p.otlp_http);
	if (!s->opts->quiet)
		clew_log_event("listening", "serving http%s://%s:%u/%s, the store %s",
			       p.tls ? "s" : "", p.host, p.http, otlp, s->opts->db);
	return 0;
}

static int open_raw(struct session *s)
{
	int r;

	if (!s->opts->raw)
		return 0;
	r = clew_recording_create(s->opts->raw, &s->raw);
	if (r < 0)
		log_error("--raw %s: %s", s->opts->raw, strerror(-r));
	return r;
}

static int open_pipeline(struct session *s)
{
	const struct clew_pipeline_opts o = {
		.name_rules = s->opts->name_rules,
		.without = s->opts->without,
		.capture_headers = s->opts->capture_headers,
		.on_span = on_span,
		.on_trace = s->opts->live ? on_trace : NULL,
		.user = s,
	};
	const char *bad = NULL;
	int r;

	if (s->opts->capture_only || s->opts->serve_only)
		return 0;
	r = clew_pipeline_new(&o, &s->pipeline, &bad);
	if (r < 0 && bad)
		log_error("--name: '%s' is not of the form PID=SERVICE or EXE=SERVICE", bad);
	else if (r < 0)
		log_error("%s", strerror(-r));
	return r;
}

/* The cgroup that we run in: a unit that holds us names none of our targets. */
static char *own_cgroup_option(void)
{
	_cleanup_(freep) char *line = NULL;
	char *option = NULL;
	size_t cap = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && getline(&line, &cap, f) > 0) {
		char *path = strchr(line, ':');

		path = path ? strchr(path + 1, ':') : NULL;
		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		/* the path that says most, as capture does for its targets */
		if (option && strlen(path + 1) <= strlen(option) - strlen("own-cgroup="))
			continue;
		free(option);
		if (asprintf(&option, "own-cgroup=%s", path + 1) < 0)
			option = NULL;
	}
	if (f)
		fclose(f);
	return option;
}

static int open_capture(struct session *s)
{
	struct clew_capture_opts o = s->opts->capture;
	_cleanup_(freep) char *error = NULL;
	_cleanup_(freep) char *own_cgroup = own_cgroup_option();
	_cleanup_(freep) char **meta = NULL;
	size_t n = 0;
	int r;

	while (o.meta_options && o.meta_options[n])
		n++;
	meta = calloc(n + 2, sizeof(*meta));
	if (!meta)
		return -ENOMEM;
	if (n)
		memcpy(meta, o.meta_options, n * sizeof(*meta));
	meta[n] = own_cgroup;
	o.meta_options = meta;
	r = clew_capture_open(&o, &s->capture, &error);
	if (r < 0)
		log_error("%s", error ? error : strerror(-r));
	return r;
}

/* ---- the command of `clew run` ---- */

static int spawn(struct session *s)
{
	_cleanup_(freep) char *error = NULL;
	pid_t pid;

	if (!s->opts->argv)
		return 0;
	pid = clew_capture_spawn(s->capture, s->opts->argv, s->opts->user, &error);
	if (pid > 0) {
		s->child = pid;
		return 0;
	}
	log_error("%s", error ? error : strerror((int)-pid));
	s->status = pid == -ENOENT ? 127 : pid == -EACCES ? 126 : 125;
	return (int)pid;
}

static void reap(struct session *s)
{
	int status;

	if (s->child <= 0 || waitpid(s->child, &status, WNOHANG) != s->child)
		return;
	s->child = 0;
	s->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- the loop ---- */

static bool targets_ended(const struct session *s)
{
	return s->opts->argv && s->child == 0 &&
	       (s->signals || clew_reader_targets_alive(s->reader) == 0);
}

/* Works on what was seen. 0, or an errno. */
static int take_records(struct session *s, bool rests)
{
	const struct timespec rest = {.tv_nsec = REST_NS};
	uint64_t began_ns = clew_mono_ns(), spell_ns = began_ns, now_ns;
	int n;

	do {
		n = clew_reader_take(s->reader, FEW_RECORDS, on_record, s);
		now_ns = clew_mono_ns();
		if (rests && n == FEW_RECORDS && now_ns - spell_ns > SPELL_NS &&
		    now_ns - began_ns < RESTS_FOR_NS) {
			nanosleep(&rest, NULL);
			spell_ns = clew_mono_ns();
		}
	} while (n == FEW_RECORDS && now_ns - began_ns < ROUND_NS);
	s->behind = n == FEW_RECORDS;
	session_join_advance(s);
	session_flush_spans(s);
	if (s->opts->live)
		fflush(stdout);
	return n < 0 ? n : 0;
}

/*
 * Scripts and tests wait for this line: from here on nothing of the targets is missed. The hooks
 * see everything before; what is waited for is a first look at the runtimes of those that run
 * (and agents, which take a moment each), so that their tasks are read from the first request on.
 */
static bool tell_ready(struct session *s, uint64_t began_ns)
{
	uint64_t patience_ns = s->opts->capture.runtime.agents ? AGENTS_NS : RUNTIMES_NS;

	if (!s->opts->argv && !clew_capture_settled(s->capture) &&
	    clew_mono_ns() - began_ns < patience_ns)
		return false;
	session_print_agents(s);
	if (!s->opts->quiet)
		fprintf(stderr, "clew: tracing%s\n", s->opts->argv ? "" : "; Ctrl-C ends it");
	return true;
}

static int capture_loop(struct session *s)
{
	uint64_t began_ns = clew_mono_ns();
	bool told = false;
	uint64_t end_ns = s->opts->duration_ns ? clew_mono_ns() + s->opts->duration_ns : UINT64_MAX;
	int r = clew_reader_start(s->capture, &s->reader);

	while (!s->stop && r >= 0) {
		told = told || tell_ready(s, began_ns);
		session_take_signals(s, s->behind ? 0 : POLL_MS);
		reap(s);
		if (targets_ended(s) || clew_mono_ns() >= end_ns)
			s->stop = true;
		r = take_records(s, true);
		session_keep_services(s, clew_mono_ns());
		session_tell_figures(s, clew_mono_ns());
		session_watch_export(s);
	}
	if (!s->reader)
		return r;
	session_end_begin(s); /* from here on it may take long */
	clew_reader_stop(s->reader);
	do
		r = r >= 0 ? take_records(s, false) : r;
	while (r >= 0 && s->behind);
	if (r < 0)
		log_error("the tracing ends here: %s", strerror(-r));
	return r < 0 ? r : 0;
}

static int replay_loop(struct session *s)
{
	const struct clew_rec *rec;
	uint64_t n = 0;
	int r = 0;

	while (!s->stop && (r = clew_recording_next(s->in, &rec)) > 0) {
		r = on_record(s, rec);
		if (r < 0)
			break;
		if (++n % 4096 == 0) {
			session_take_signals(s, 0);
			session_watch_export(s);
		}
		if (s->n_spans >= SESSION_BATCH / 2) {
			session_flush_spans(s);
			session_wait_for_export(s);
			session_wait_for_store(s);
		}
	}
	if (r == -ENODATA) {
		log_warn("%s ends inside a record, as after a crash: what comes before it was read",
			 s->opts->replay);
		r = 0;
	} else if (r == -EBADMSG) {
		log_error("%s: malformed record at byte %llu; what comes before it was read",
			  s->opts->replay, (unsigned long long)clew_recording_offset(s->in));
	} else if (r < 0) {
		log_error("%s: %s; what comes before byte %llu was read", s->opts->replay,
			  strerror(-r), (unsigned long long)clew_recording_offset(s->in));
	}
	return r;
}

/* The server's own threads do the work. */
static int serve_loop(struct session *s)
{
	while (!s->stop)
		session_take_signals(s, 1000);
	if (!s->opts->quiet)
		clew_log_event("stopping", "stopping");
	return 0;
}

/* Everything that is open ends, is decided and stored; then the summary. */
static void finish(struct session *s)
{
	int r;

	session_end_begin(s);
	/* What an SDK sends from now on is for who comes next: nobody here would join it. */
	if (s->joining)
		clew_server_end_intake(s->server);
	if (s->pipeline)
		clew_pipeline_flush(s->pipeline);
	session_join_flush(s);
	session_flush_spans(s);
	session_end_stage(s, SESSION_WRITING);
	session_join_tell(s);
	session_finish_export(s);
	if (s->store) {
		r = clew_store_flush(s->store);
		if (r < 0) {
			struct clew_store_stats st;

			clew_store_stats(s->store, &st);
			log_error("not all spans could be stored: %s",
				  st.last_error[0] ? st.last_error : strerror(-r));
			s->failed = true;
		}
		session_keep_services_last(s);
	}
	if (s->raw) {
		r = clew_recording_close(s->raw);
		s->raw = NULL;
		if (r < 0) {
			log_error("--raw %s: %s", s->opts->raw, strerror(-r));
			s->failed = true;
		}
	}
	session_end_stage(s, SESSION_WRITTEN);
	if (!s->opts->quiet && !s->opts->serve_only)
		session_print_summary(s);
	session_end_pause(s);
}

static void close_all(struct session *s)
{
	session_end_stage(s, SESSION_WRITTEN); /* nothing is asked any more of what goes now */
	session_end_begin(s);
	clew_server_stop(s->server);
	session_close_join(s);
	clew_pipeline_free(s->pipeline);
	clew_reader_free(s->reader);
	clew_capture_free(s->capture);
	clew_recording_close(s->raw);
	clew_recording_free(s->in);
	clew_export_close(s->export);
	clew_store_close(s->store);
	session_end_pause(s);
	closep(&s->signal_fd);
}

static int run_session(struct session *s)
{
	int r;

	if ((r = session_open_signals(s)) < 0 || (r = open_pipeline(s)) < 0 ||
	    (r = session_open_export(s)) < 0)
		return r;
	if (s->opts->replay) /* first of all: no store is made for what is no recording */
		r = cli_open_recording(s->opts->replay, &s->in);
	else if (!s->opts->serve_only)
		r = open_capture(s);
	if (r < 0)
		return r;
	if ((r = open_store(s)) < 0 || (r = open_ports(s)) < 0 || (r = open_raw(s)) < 0)
		return r;
	/* Asked to stop before there is a command: it would never hear of it. */
	session_take_signals(s, 0);
	if (s->stop) {
		s->status = 128 + s->signal;
		return 0;
	}
	if ((r = spawn(s)) < 0)
		return r;
	r = s->opts->serve_only ? serve_loop(s)
	    : s->opts->replay	? replay_loop(s)
				: capture_loop(s);
	finish(s);
	return r;
}

/*
 * --duration ends the tracing, not the command: its status is still ours, and the signals that we
 * get are still its.
 */
static void wait_for_command(struct session *s)
{
	while (s->child > 0 && s->signals < 2) {
		reap(s);
		if (s->child > 0)
			session_take_signals(s, 1000);
	}
	if (s->child > 0)
		s->status = 128 + s->signal;
}

int clew_session_run(const struct clew_session_opts *opts)
{
	struct session s = {.opts = opts, .signal_fd = -1, .status = opts->argv ? 125 : 1};
	int r = run_session(&s);

	if (r >= 0)
		wait_for_command(&s);
	close_all(&s);
	if (opts->argv)
		return (r < 0 || s.failed) && s.status == 0 ? 125 : s.status;
	return r < 0 || s.failed ? 1 : 0;
}
