/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture: load the BPF programs, keep them to their targets, read the ring.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/record.h"
#include "base/buf.h"

struct clew_target_opts {
	const uint32_t *pids; /* and their descendants */
	size_t n_pids;
	char *const
		*cgroups; /* paths, relative to the v2 mount or absolute; NULL-terminated or NULL */
	char *const *exes;     /* globs, running and future processes */
	const uint16_t *ports; /* processes that listen there, now or later */
	size_t n_ports;
	char *const *netns; /* names (as of ip netns) or paths */
	bool all;	    /* the whole host */
};

/* Agents that clew puts into running processes. */
enum clew_agent {
	CLEW_AGENT_NODE = 1 << 0,
	CLEW_AGENT_JAVA = 1 << 1,
};

/* Which of the runtimes' own tasks are read (docs/causality.md). All zero: the defaults. */
struct clew_runtime_opts {
	bool off;	  /* none: threads stand for themselves */
	bool no_probes;	  /* memory is read at socket operations, nothing is probed */
	bool go_channels; /* follow work through Go's channels: a probe on every send */
	uint32_t
		agents; /* CLEW_AGENT_*: put into every process of that runtime, taken out at the end */
	bool tokio_wakers; /* follow which tokio task wakes or begins which: a probe on each */
	bool python_copies; /* follow asyncio's tasks and to_thread: a probe on PyContext_CopyCurrent */
};

struct clew_capture_opts {
	struct clew_runtime_opts runtime;
	struct clew_target_opts targets; /* at least one, or run_argv */
	uint32_t payload_bytes;	   /* captured of a message's start, over its operations; 0: none */
	uint64_t ring_bytes;	   /* at least; of all CPUs together */
	char *const *meta_options; /* NAME=VALUE for the meta record, NULL-terminated or NULL */
};

struct clew_capture_stats {
	uint64_t records, bytes;
	uint64_t lost_ring, lost_task_state, lost_sock_state, lost_payload;
	uint64_t lost_not_run; /* hooks that the kernel did not run: see CLEW_LOSS_NOT_RUN */
	uint64_t runtimes;	     /* processes whose runtime is known */
	uint64_t runtime_tasks;	     /* of these: their task is read */
	uint64_t runtime_dropped;    /* processes, collections not looked at; no room for a chain */
	uint64_t runtime_distrusted; /* chains that did not read what a task would be */
	uint64_t heap_rooms_unread;  /* of collections that moved more than is looked at */
	uint64_t go_conns_unknown;   /* calls of Go's HTTP client whose socket was not found */
	uint64_t go_conns_full;	     /* or had no room in the table */
	uint64_t go_gifts_unknown;   /* --go-channels: what workers took from unknown senders */
	uint64_t go_gifts_lent;	     /* or was only lent: told of nobody */
	uint64_t
		tokio_wakes_unknown; /* --tokio-wakers: of tasks that were not where they should be */
	uint64_t agents;	     /* that were put in */
	uint64_t agents_failed;	     /* could not be, or left too early; the last one's reason: */
	char agent_why[240];
	uint64_t slow;			 /* looks that found whoever takes far behind */
	uint64_t dropped;		 /* records of our own without memory */
	uint64_t kernel_ns, kernel_runs; /* from bpf_stats_enabled, when it is on */
};

struct clew_capture;

/* One record, valid during the call. A negative errno stops the poll and is returned by it. */
typedef int (*clew_record_fn)(void *user, const struct clew_rec *rec);

/**
 * clew_capture_open() - load and attach for the given targets, adopt what already runs.
 *
 * Emits first the meta, clock, process and thread records of what runs, and adopted connections.
 * ret_error (owned by the caller) says in words what failed and what to do. Returns 0 or -errno: -EPERM
 * without the capabilities of docs/capabilities.md, -ENOENT for a target that does not exist, -EINVAL.
 */
int clew_capture_open(const struct clew_capture_opts *opts, struct clew_capture **ret,
		      char **ret_error);

/**
 * clew_capture_spawn() - start argv as a target, traced with all its descendants from its first
 * instruction. user: run it as that user, or NULL. Returns its pid, or -errno: -EACCES not executable,
 * -ENOENT not found (as exec says), -EINVAL unknown user.
 */
pid_t clew_capture_spawn(struct clew_capture *c, char *const *argv, const char *user,
			 char **ret_error);

/**
 * clew_capture_settled() - were the runtimes of all processes that ran at the start looked at, and
 * agents put into those that want one? Needs polls to get there. Any thread may ask.
 */
bool clew_capture_settled(const struct clew_capture *c);

/**
 * clew_capture_look() - follow the kernel; adds clock records (once a second), process and loss
 * records. To be called every few milliseconds. Waits only once stopped, for 50 ms at the most.
 * Returns 0, or an errno: the tracing cannot go on. Another thread may take meanwhile.
 */
int clew_capture_look(struct clew_capture *c);
/**
 * clew_capture_take() - hand at most max records of what was seen up to a millisecond before the last look to fn, in the
 * order of time; all of it once stopped. Never blocks. Returns the number of records, or -errno
 * from fn.
 */
int clew_capture_take(struct clew_capture *c, int max, clew_record_fn fn, void *user);
/** clew_capture_poll() - look and take in one, for a program of one thread. */
int clew_capture_poll(struct clew_capture *c, clew_record_fn fn, void *user);

/** clew_capture_targets_alive() - how many threads of targets live: 0 when all have ended. */
uint64_t clew_capture_targets_alive(const struct clew_capture *c);
/** clew_capture_stop() - detach; what is in the rings can still be polled. */
void clew_capture_stop(struct clew_capture *c);
void clew_capture_stats(const struct clew_capture *c, struct clew_capture_stats *ret);
void clew_capture_free(struct clew_capture *c);

/* What this kernel allows, for `clew check`. */
struct clew_feature {
	const char *name;
	const char *without; /* what is lost without it */
	bool required;
	bool ok;
	char detail[512]; /* why not, or what was found */
};

/**
 * clew_capture_check() - probe each feature. Fills at most max, returns how many there are.
 * Nothing stays attached.
 */
size_t clew_capture_check(struct clew_feature *features, size_t max);
