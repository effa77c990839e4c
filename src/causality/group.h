/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is learned of a service: the figures of each source, for a process and those that were forked from it without
 * an exec.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "causality/causality.h"

struct heap_slots;

/* ---- what the sources are scored with ---- */

/* How a stretch of work was: kept apart, because each is right or wrong in its own measure. */
enum stretch {
	STRETCH_SLEPT =
		1 << 0, /* the context slept somewhere between a read and what it did next */
	STRETCH_CONNECT = 1 << 1, /* a call in it was born with connect() */
};
#define N_BUCKETS 4

/* One hypothesis for one kind of stretch: how often did it name the request that was then answered? */
struct bucket {
	uint64_t hits, misses;
	uint32_t bits; /* how unlikely the hits since the last miss are, if they are accidents */
	double chance; /* sum over all checkpoints: how likely a random name would have been a hit
			*/
	double false_hits; /* sum over the misses of the hits by accident that go with a miss */
	double info;	   /* bits against the hits being accidents all of them */
};

#define N_STRETCH 16 /* calls in a stretch, the last one: so many or more */
#define N_LATE	  4

/* How a task was seen to end. */
enum done_by {
	DONE_ONE,   /* one worker woke the one who answered */
	DONE_MANY,  /* several did */
	DONE_SELF,  /* the worker answered */
	DONE_BORN,  /* ... a thread that was begun for that request */
	DONE_RELAY, /* the worker told a loop of it, which answered: see relay.c */
	DONE_LED, /* it had been woken for the request, and since for something else: see lead.c */
	DONE_STAGE, /* it woke one that answered, or that woke one that ... */
	N_DONE,
};

/* Stretches of workers up to such an end: see completion.c. */
struct ends {
	uint64_t stretches[N_STRETCH]; /* by their calls */
	uint64_t n, merged_at;	       /* all; when the next ones were computed */
	double merged;
	uint32_t merged_k;
	uint64_t over, same;
	uint64_t begun, begun_empty; /* those after an end that was seen; ... without a call */
	uint64_t woken, woken_empty; /* those after a wake-up that followed a call */
	struct bucket over_there;    /* was the request there before the call before that? */
	/* Where the end before was seen, what calls came after: see again_wrong(). */
	uint64_t calls[2];   /* [1]: that failed */
	uint64_t at_once[2]; /* ... and that another one followed at once, in the stretch */
	uint64_t late
		[N_LATE]; /* ... that failed, and that one followed later than 2, 4, 8, 16 ms after */
	uint64_t first_late[N_LATE], quick; /* first calls, so late after that end; at once */
};

/* Where the owners of a service's requests wait, when workers wake them: see lock.c. */
struct waits {
	uint64_t apart;	  /* ... at an address at which nobody else was woken so far */
	uint64_t several; /* ... at one that has woken others */
};

/* How often leads were true: see lead.c. */
struct leads {
	uint64_t hits;	 /* tasks whose end named the request that had woken the worker */
	uint64_t others; /* requests, and tasks, where who had been woken did other work */
	uint64_t tasks,
		joined; /* ends of tasks whose worker had been woken for them; that had not */
	uint64_t chain_hits, chain_misses; /* answers by workers whom another worker had woken */
};

#define MAX_SCORE 64
#define N_CLEAR	  2

/* What the order in which requests were taken tells: see order.c. */
struct order {
	uint32_t trials[MAX_SCORE], n; /* by their score; all */
	uint32_t first, first_bad;     /* first calls; those that seem to be other work */
	uint64_t in_favour, against;   /* takes in trials */
	/* First calls while somebody took something; [1]: two. Those that are other work. */
	uint32_t clear[N_CLEAR], clear_bad[N_CLEAR];
};

/* When a request was taken, of which a call is known: before that; or soon after what its worker did before had ended. */
enum taken_bound { TAKEN_BY_CALL, TAKEN_SOON, N_TAKEN_BOUNDS };

/* Requests of which it is known by when they were taken; those whose worker was still at something else: see taken.c. */
struct taken {
	uint32_t n, early;
};

/* Times and calls while one request was open, of all its processes together: see alone.c. */
struct alone {
	uint64_t open_ns; /* with a request open, or several */
	uint64_t idle_ns; /* with none, since the first one; of each gap ALONE_GAP_NS at most */
	uint64_t strays;  /* calls while none was open */
	uint64_t calls;	  /* ... while one was */
};

/* By which rule a loop takes the turns of its requests: see turn.c. */
enum turn_rule {
	TURN_FIRST,
	TURN_AGAIN,
	TURN_LAST,
	TURN_ONCE,
	N_TURNS,
	TURN_ONCE_ANSWERS = N_TURNS
};

/* How often such a rule named the request that was then answered. */
struct turn_score {
	uint64_t hits, misses;
	uint64_t out_of_order;	/* hits that were not the first in line */
	uint64_t calls, queued; /* named; those that were made in a later round of the loop */
	double false_hits; /* sum over the misses of the hits by accident that go with a miss */
};

#define N_SCALES 3

/* Answers by who was told to go on: see told.c. */
struct told_stats {
	uint64_t far;		/* not of an own response */
	uint64_t near, earlier; /* responses of others right before them; a little earlier */
};

/* ---- the group ---- */

struct group {
	uint32_t refs;
	struct tally *tally;  /* NULL: none of its calls is decided yet */
	uint64_t answers;     /* first bytes of answers written */
	uint64_t foreign;     /* ... by a context that did not read the request */
	uint64_t mux_answers; /* ... by a context that does several things at once */
	uint64_t kept, given; /* ... read by contexts that work for one request at a time: by their
				 readers; by others */
	uint64_t
		alongside; /* ... by their readers, while other requests were open in the process */
	uint64_t strays; /* calls by contexts that serve, but had no request open, while others had
			  */
	uint64_t strays_lone; /* ... and that did not answer another one next that was there */
	uint64_t
		between; /* ... and also if they go on from the answer before, or no other is open */
	uint64_t self_calls; /* calls without cause by contexts that serve requests: timers */
	/* Calls with one request open, of its chain: awake and on the path; after a sleep. */
	uint64_t alone_awake, alone_slept;
	uint64_t reads;		 /* of loops */
	uint64_t reads_slept[2]; /* ... after a sleep; [1]: and a pause of GAP_NS */
	/* Awake: made in one stretch with a call on the path; alone; and after an answer, for no request. */
	uint64_t beside, lone, adrift;
	double late; /* in one stretch with a call on the path, but answered after their request: weighed */
	uint64_t off_calls[2]; /* calls of loops whose response led to no answer; [1]: with
				    connect() */
	uint64_t off_slept[2]; /* ... made after a sleep: what a timer's own calls look like */
	uint64_t links[CLEW_LINK_ORPHAN + 1]; /* its calls, by enum clew_link_class */
	struct bucket buckets[N_BUCKETS];
	struct bucket done[N_DONE];		 /* completions: was the request there? */
	uint64_t done_one, done_many, done_none; /* requests, by the tasks that woke their owners */
	uint64_t done_apart;			 /* ... of different workers */
	uint64_t wakes_one,
		wakes_two; /* tasks, by whether their worker woke two requests' owners */
	uint64_t idle_clean, idle_dirty; /* stretches of workers that then went idle */
	struct ends ends[2];		 /* [1]: where the worker writes the answer */
	struct waits waits;
	struct leads leads;
	struct order order;
	struct taken taken[N_TAKEN_BOUNDS];
	struct heap_slots *heap; /* a JVM's */
	struct alone alone;
	struct turn_score turns[N_TURNS];
	uint64_t coalesced; /* answers by who was told of another's call */
	struct told_stats told[N_SCALES];
	uint64_t far;	      /* answers that were told of no own response */
	uint64_t far_since_ns; /* ... when the first of them was written */
	struct bucket asked;  /* calls for whoever asked a connection's task: was that one told? */
	bool tasks_wake;      /* it is recorded which task wakes which */
	struct bucket forked; /* threads that were begun for a request: did they answer it? */
	uint64_t
		task_mixed; /* answers by a task to a request that waited while it answered another */
	uint64_t task_answers; /* by a runtime's task that did not read the request itself */
	uint64_t task_hits;    /* calls of a task that then answered a request that was there */
	uint64_t task_misses;  /* ... a request that came after the call */
};

/* What came of a group's calls, for the report. */
struct tally {
	struct tally *prev, *next; /* all, oldest first */
	struct clew_causality *c;
	const struct group *group;
	uint32_t tgid; /* of the process that called last: the first may be forgotten by now */
	uint64_t proc_start_ns;
	uint64_t settled[CLEW_EV_N_FOR];
	uint64_t orphaned[CLEW_N_ORPHAN_WHY];
};
