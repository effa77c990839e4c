/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: while one call to the back end is out, requests that want one, too, gather; then one call
 * is made for all of them. Who makes it:
 *
 *	leader	the first of those that wait, as databases do: a thread with a request of its own
 *	writer	a thread that does nothing else
 */
#pragma once

#include "flow.h"

struct waiter {
	struct waiter *next;
	const char *token;
	pthread_cond_t turn;
	bool leads, done, ok;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t some; /* writer */
	struct waiter *first, **last;
	bool busy; /* leader: somebody makes a call */
} group = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &group.first, false};

/* Who includes this says how a request is sent and answered; returns the status. */
static int (*group_exchange)(const char *request, int len);

static bool group_writes(void)
{
	return !strcmp(flow.mode, "writer");
}

/* Takes all that wait; the lock is held. */
static struct waiter *group_take(void)
{
	struct waiter *all = group.first;

	group.first = NULL;
	group.last = &group.first;
	return all;
}

/* One call for all of them. */
static bool group_call(const struct waiter *all)
{
	char token[TOKEN + 1], request[256];

	for (int i = 0; i <= flow.retries; i++) {
		flow_fresh(token);
		for (const struct waiter *w = all; w; w = w->next)
			flow_truth(w->token, token, "shared");
		if (group_exchange(request, flow_get(token, request, sizeof(request))) < 400)
			return true;
	}
	return false;
}

/* The lock is held. A waiter is gone as soon as it is done and the lock is free. */
static void group_tell(struct waiter *all, const struct waiter *self, bool ok)
{
	for (struct waiter *w = all, *next; w; w = next) {
		next = w->next;
		w->ok = ok;
		w->done = true;
		if (w != self)
			pthread_cond_signal(&w->turn);
	}
}

static void *group_writer(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&group.lock);
	for (;;) {
		struct waiter *all;
		bool ok;

		while (!group.first)
			pthread_cond_wait(&group.some, &group.lock);
		all = group_take();
		pthread_mutex_unlock(&group.lock);
		ok = group_call(all);
		pthread_mutex_lock(&group.lock);
		group_tell(all, NULL, ok);
	}
	return NULL;
}

/* The lock is held, and nobody makes a call. */
static void group_lead(struct waiter *self)
{
	struct waiter *all = group_take();
	bool ok;

	pthread_mutex_unlock(&group.lock);
	ok = group_call(all);
	pthread_mutex_lock(&group.lock);
	group_tell(all, self, ok);
	if (group.first) {
		group.first->leads = true;
		pthread_cond_signal(&group.first->turn);
	} else {
		group.busy = false;
	}
}

static bool group_commit(const char *token)
{
	struct waiter self = {.token = token, .turn = PTHREAD_COND_INITIALIZER};

	pthread_mutex_lock(&group.lock);
	*group.last = &self;
	group.last = &self.next;
	if (group_writes()) {
		pthread_cond_signal(&group.some);
	} else if (!group.busy) {
		group.busy = true;
		self.leads = true;
	}
	while (!self.done && !self.leads)
		pthread_cond_wait(&self.turn, &group.lock);
	if (!self.done)
		group_lead(&self);
	pthread_mutex_unlock(&group.lock);
	return self.ok;
}
