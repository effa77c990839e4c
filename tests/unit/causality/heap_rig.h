/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of Java's heap share: a server's thread that fills a room with what it makes for its requests, workers
 * whose stacks name these objects, and what is told of both.
 */
#pragma once

#include "rig.h"

#define SERVER	 11
#define WORKER	 20
#define OTHER	 21
#define TASK	 700 /* where a pool's thread keeps what it works on */
#define ITSELF	 600 /* where it keeps itself */
#define DEEPER	 730
#define ROOM	 0x10000000ull
#define ROOM_END (ROOM + 0x1000000)
#define KNOWN	 260 /* tests after which a place is believed */
#define ROUNDS	 190 /* ... after which it is not, but completions are */

/* Where the server makes things, and up to where it has; collections so far. */
extern uint64_t server_room, top;
extern uint32_t collections;

/* What stands at a place of the stack. */
struct word {
	uint32_t slot;
	uint64_t addr;
};

/* What is told before the operation of that exchange (0: none): the thread's room, and what its stack names. */
void tell(const struct fab_thread *t, uint64_t id, uint64_t room, uint64_t used,
	  const struct word *words, uint16_t n);
/* No operation, but the thread was seen in this room. */
void tell_room(const struct fab_thread *t, uint64_t room, uint64_t used);
/* The server reads a request and makes something for it: its address. */
uint64_t take(struct fab_exchange *f, uint64_t id, struct fab_thread *server);
uint64_t room_of(const struct fab_thread *t);
void call_with(struct fab_exchange *f, uint64_t id, struct fab_thread *t,
	       const struct word *words, uint16_t n);
/* A worker answers, with these in its stack. */
void answer_with(struct fab_exchange *f, struct fab_thread *t, const struct word *words,
		 uint16_t n);
/* The server answers what it had read. */
void keep(struct fab_exchange *f, struct fab_thread *server);
/* n requests, each for a worker that calls and answers; itself: the worker was made for the first of them. */
uint64_t learn(uint64_t id, uint32_t n, struct fab_thread *server, struct fab_thread *worker,
	       uint64_t itself);
void begin(uint32_t without);
void finish(void);
