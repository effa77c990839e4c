/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection table: cookie to connection, open addressing with linear probing. It grows by
 * doubling; beyond opts.max_conns the least recently used connection is closed
 * (stats.dropped_conns).
 */
#include <errno.h>
#include <stdlib.h>

#include "stream/internal.h"

#define MIN_SLOTS 64

static uint32_t slot_of(const struct stream *s, uint64_t cookie)
{
	return (uint32_t)((cookie * 0x9e3779b97f4a7c15ull) >> 32) & (s->n_slots - 1);
}

struct conn *conn_find(const struct stream *s, uint64_t cookie)
{
	struct conn *c;

	if (!s->n_slots)
		return NULL;
	for (uint32_t i = slot_of(s, cookie); (c = s->slots[i]); i = (i + 1) & (s->n_slots - 1))
		if (c->pub.cookie == cookie)
			return c;
	return NULL;
}

static void slot_put(struct stream *s, struct conn *c)
{
	uint32_t i = slot_of(s, c->pub.cookie);

	while (s->slots[i])
		i = (i + 1) & (s->n_slots - 1);
	s->slots[i] = c;
}

static int grow(struct stream *s)
{
	uint32_t old_n = s->n_slots, n = old_n ? old_n * 2 : MIN_SLOTS;
	struct conn **old = s->slots, **slots = calloc(n, sizeof(struct conn *));

	if (!slots)
		return -ENOMEM;
	s->slots = slots;
	s->n_slots = n;
	for (uint32_t i = 0; i < old_n; i++)
		if (old[i])
			slot_put(s, old[i]);
	free(old);
	return 0;
}

/* Remove without a tombstone: whoever was pushed past the hole moves back into it. */
static void slot_del(struct stream *s, const struct conn *c)
{
	uint32_t mask = s->n_slots - 1, i = slot_of(s, c->pub.cookie), k;

	while (s->slots[i] != c)
		i = (i + 1) & mask;
	for (k = (i + 1) & mask; s->slots[k]; k = (k + 1) & mask) {
		uint32_t home = slot_of(s, s->slots[k]->pub.cookie);

		if (((k - home) & mask) >= ((k - i) & mask)) {
			s->slots[i] = s->slots[k];
			i = k;
		}
	}
	s->slots[i] = NULL;
}

struct conn *conn_new(struct stream *s, uint64_t cookie)
{
	struct conn *c;

	if (s->n_conns >= s->opts.max_conns) {
		s->stats.dropped_conns++;
		conn_close(list_conn(s->lru.next, lru), CLEW_INC_LIMIT);
	}
	if ((s->n_conns + 1) * 2 > s->n_slots && grow(s))
		return NULL;
	c = clew_pool_take0(&s->heap->pool, sizeof(*c));
	if (!c)
		return NULL;
	c->heap = s->heap;
	c->heap->refs++;
	c->pub.cookie = cookie;
	c->s = s;
	c->refs = 1;
	c->open_tail = &c->open;
	list_init(&c->lru);
	list_init(&c->idle);
	list_init(&c->linger);
	list_init(&c->busy);
	list_move_tail(&s->lru, &c->lru);
	slot_put(s, c);
	s->n_conns++;
	s->stats.conns++;
	s->stats.conns_open++;
	return c;
}

void conn_close(struct conn *c, uint32_t incomplete)
{
	struct stream *s = c->s;
	struct held *h;

	conn_end_all(c, incomplete, true);
	while ((h = c->held)) {
		c->held = h->next;
		free(h->io);
		free(h);
	}
	list_del(&c->lru);
	list_del(&c->idle);
	list_del(&c->linger);
	list_del(&c->busy);
	slot_del(s, c);
	s->n_conns--;
	s->stats.conns_open--;
	if (s->ops.close)
		s->ops.close(s->user, &c->pub);
	c->s = NULL;
	conn_unref(c);
}

void heap_unref(struct heap *h)
{
	if (!h || --h->refs)
		return;
	clew_pool_done(&h->pool);
	free(h);
}

struct clew_conn *clew_conn_ref(struct clew_conn *c)
{
	((struct conn *)c)->refs++;
	return c;
}

void clew_conn_unref(struct clew_conn *c)
{
	conn_unref((struct conn *)c);
}

void conn_unref(struct conn *c)
{
	struct heap *h = c->heap;

	if (--c->refs)
		return;
	free(c->pub.path);
	clew_pool_give(&h->pool, c, sizeof(*c));
	heap_unref(h);
}
