/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a session share. */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "capture/reader.h"
#include "capture/recording.h"
#include "cli/session.h"
#include "join/join.h"
#include "pipeline/pipeline.h"
#include "server/server.h"
#include "store/store.h"

/* Spans that go to the store at once. */
#define SESSION_BATCH 256

/* How far a session is in its end. */
enum session_stage {
	SESSION_DECIDING, /* there may be more spans to come */
	SESSION_WRITING,
	SESSION_WRITTEN, /* as far as it could be; the rest is tried again while all is closed */
};

/* Who hears signals while that goes on: session_signals.c. */
struct session_end {
	pthread_t thread;
	int wake_fd; /* ends the thread */
	bool runs;   /* the thread alone reads signal_fd */
	bool has_raw;
	_Atomic enum session_stage stage;
	uint64_t unwritten;	  /* spans for the store, of SESSION_WRITTEN */
	atomic_bool export_waits; /* a signal ends that, and nothing else */
};

struct session {
	const struct clew_session_opts *opts;
	struct clew_capture *capture;
	struct clew_reader *reader;
	struct clew_pipeline *pipeline; /* NULL: --capture-only */
	struct clew_store *store;	/* NULL: --db none */
	struct clew_server *server;
	struct session_joining *joining;     /* NULL: nothing to join */
	struct clew_export *export;	     /* NULL: none */
	bool export_failing, export_refused; /* ... of which the user was told */
	struct clew_recording_writer *raw;   /* NULL: none */
	struct clew_recording_reader *in;    /* what is replayed, or NULL */
	struct clew_span *spans[SESSION_BATCH];
	size_t n_spans;
	uint64_t operations;
	pid_t child; /* 0: none, or it has ended */
	int status;  /* to exit with */
	int signal_fd;
	struct session_end end;
	atomic_int signals; /* that asked us to stop */
	int signal;	    /* the last of them */
	atomic_bool stop;
	bool failed;
	bool behind;		  /* there are records that could have been worked on already */
	uint64_t agents_failed;	  /* of which the user was told */
	uint64_t services_due_ns; /* when what is known of services is kept next; 0: not set */
	bool services_failed;	  /* ... and could not be, last time */
	uint64_t figures_due_ns;  /* when the server is told our figures next */
};

/** session_take_span() - a finished span, to the store and the export; it is theirs. */
void session_take_span(struct session *s, struct clew_span *span);
/** session_flush_spans() - those that were taken go on now. */
void session_flush_spans(struct session *s);

/* session_signals.c */
/** session_open_signals() - from now on they are read from signal_fd; the command starts with none of them blocked
 * (spawn.c). 0 or -errno. */
int session_open_signals(struct session *s);
/** session_take_signals() - wait for one for so many ms; none at the end, when a thread hears them. */
void session_take_signals(struct session *s, int timeout_ms);
/** session_end_begin() - a thread hears signals from now on: one more than the first ends the process at once.
 * session_end_pause() - no more. Both may be called again. */
void session_end_begin(struct session *s);
void session_end_pause(struct session *s);
/** session_end_stage() - what is lost if it ends now. */
void session_end_stage(struct session *s, enum session_stage stage);

/* session_join.c; all of them do nothing in a session that has nothing to join. */
/** session_open_join() - before the ports are open. 0 or -ENOMEM. */
int session_open_join(struct session *s);
/** session_join_ports() - once they are. */
void session_join_ports(struct session *s);
/** session_join_span() - false: the span is still the caller's. */
bool session_join_span(struct session *s, struct clew_span *span);
/** session_join_advance() - hand on what has waited, and tell the store of received spans. */
void session_join_advance(struct session *s);
/** session_join_flush() - hand on all; session_join_tell() when the store has it. */
void session_join_flush(struct session *s);
void session_join_tell(struct session *s);
/** session_join_stats() - false: nothing is joined. */
bool session_join_stats(const struct session *s, struct clew_join_stats *ret);
void session_print_joined(const struct session *s);
void session_close_join(struct session *s);

/** session_print_agents() - warn of agents that could not be put in since the last call. */
void session_print_agents(struct session *s);

/* What was lost in one place. */
struct session_loss {
	uint64_t n;
	char said[96];			    /* in the summary, behind the number */
	const char *metric, *reason, *help; /* of /metrics; metric NULL: told by its own part */
	bool here;			    /* false: this session has no such part */
};
#define SESSION_LOSSES 17

/** session_losses() - all places; those of one metric follow each other. Of no other thread. */
void session_losses(const struct session *s, struct session_loss ret[SESSION_LOSSES]);

/** session_print_summary() - what was seen, what was made of it, and what was lost where; to
 * stderr. */
void session_print_summary(struct session *s);
/** session_print_live() - one line for a finished trace; to stdout. */
void session_print_live(const struct clew_trace_done *trace);
/** session_wait_for_store() - replay only: a recording is read faster than a disk takes it. */
void session_wait_for_store(struct session *s);
/** session_open_export() - Returns 0, or -errno after having said why. */
int session_open_export(struct session *s);
/** session_watch_export() - say when the receiver cannot be reached, when it can again, when it
 * refuses. */
void session_watch_export(struct session *s);
/** session_wait_for_export() - replay only, as for the store; a signal ends it. */
void session_wait_for_export(struct session *s);
/** session_finish_export() - what waits is sent, for as long as --export-timeout says; a signal ends
 * it. */
void session_finish_export(struct session *s);
/** session_keep_services() - what is known of each service into the store, now and then. */
void session_keep_services(struct session *s, uint64_t now_ns);
/** session_keep_services_last() - the same, now: nothing more comes. */
void session_keep_services_last(struct session *s);
/** session_tell_figures() - what was captured, made of it, exported and lost, to the server's /metrics;
 * once a second. */
void session_tell_figures(struct session *s, uint64_t now_ns);
