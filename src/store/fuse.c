/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fuse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TRIES	    100
#define MAX_SEGMENT (1u << 18)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fuse_bytes() are little-endian");

static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 33) * UINT64_C(0xff51afd7ed558ccd);
	v = (v ^ v >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return v ^ v >> 33;
}

static uint64_t hash_of(const struct fuse *f, uint32_t key)
{
	return mix(key + f->seed);
}

static uint16_t fingerprint(uint64_t hash)
{
	return (uint16_t)(hash ^ hash >> 32);
}

static void slots_of(const struct fuse *f, uint64_t hash, uint32_t at[3])
{
	uint64_t first = ((hash >> 32) * ((uint64_t)f->starts * f->segment)) >> 32;

	at[0] = (uint32_t)first;
	at[1] = (uint32_t)(first + f->segment) ^ ((uint32_t)(hash >> 18) & (f->segment - 1));
	at[2] = (uint32_t)(first + 2 * (uint64_t)f->segment) ^ ((uint32_t)hash & (f->segment - 1));
}

bool fuse_has(const struct fuse *f, uint32_t key)
{
	uint64_t hash = hash_of(f, key);
	uint32_t at[3];

	if (!f->n)
		return false;
	slots_of(f, hash, at);
	return (f->slots[at[0]] ^ f->slots[at[1]] ^ f->slots[at[2]]) == fingerprint(hash);
}

/* The paper's sizes: segments grow slowly with n, and small sets need more room. */
static struct fuse *make_empty(uint32_t n)
{
	double log_n = log(n < 2 ? 2 : n);
	double room = 0.875 + 0.25 * log(1e6) / log_n;
	uint32_t segment = 1u << (int)floor(log_n / log(3.33) + 2.25), starts;
	struct fuse *f;

	segment = segment > MAX_SEGMENT ? MAX_SEGMENT : segment;
	room = room < 1.125 ? 1.125 : room;
	starts = (uint32_t)(((double)n * room + segment - 1) / segment);
	starts = starts > 3 ? starts - 2 : 1;
	f = calloc(1, sizeof(*f) + (size_t)(starts + 2) * segment * sizeof(*f->slots));
	if (f) {
		f->n = n;
		f->segment = segment;
		f->starts = starts;
		f->n_slots = (starts + 2) * segment;
	}
	return f;
}

/* While it is filled: of each slot how many keys have it, and their hashes XORed. */
struct filling {
	uint64_t *hashes;
	uint32_t *counts;
	uint32_t *lonely; /* slots with one key, to be looked at */
	uint64_t *taken;  /* hashes, in the order in which they were taken out */
	uint32_t *own;	  /* of each of them: the slot that it decides */
};

static void filling_done(struct filling *w)
{
	free(w->hashes);
	free(w->counts);
	free(w->lonely);
	free(w->taken);
	free(w->own);
}

static int filling_init(struct filling *w, const struct fuse *f)
{
	w->hashes = malloc(f->n_slots * sizeof(*w->hashes));
	w->counts = malloc(f->n_slots * sizeof(*w->counts));
	/* A slot becomes lonely once at most. */
	w->lonely = malloc(f->n_slots * sizeof(*w->lonely));
	w->taken = malloc(((size_t)f->n + 1) * sizeof(*w->taken));
	w->own = malloc(((size_t)f->n + 1) * sizeof(*w->own));
	return w->hashes && w->counts && w->lonely && w->taken && w->own ? 0 : -ENOMEM;
}

/* Take keys out of their lonely slots. Returns how many could be. */
static uint32_t peel(const struct fuse *f, struct filling *w)
{
	uint32_t n_lonely = 0, n = 0;

	for (uint32_t i = 0; i < f->n_slots; i++)
		if (w->counts[i] == 1)
			w->lonely[n_lonely++] = i;
	while (n_lonely) {
		uint32_t slot = w->lonely[--n_lonely], at[3];
		uint64_t hash = w->hashes[slot];

		if (w->counts[slot] != 1)
			continue;
		w->taken[n] = hash;
		w->own[n++] = slot;
		slots_of(f, hash, at);
		for (int k = 0; k < 3; k++) {
			w->hashes[at[k]] ^= hash;
			if (--w->counts[at[k]] == 1)
				w->lonely[n_lonely++] = at[k];
		}
	}
	return n;
}

static void assign(struct fuse *f, const struct filling *w)
{
	for (uint32_t i = f->n; i-- > 0;) {
		uint16_t v = fingerprint(w->taken[i]);
		uint32_t at[3];

		/* Its own slot is still 0. */
		slots_of(f, w->taken[i], at);
		for (int k = 0; k < 3; k++)
			v ^= f->slots[at[k]];
		f->slots[w->own[i]] = v;
	}
}

static bool fill(struct fuse *f, struct filling *w, const uint32_t *keys)
{
	uint32_t at[3];

	memset(w->hashes, 0, f->n_slots * sizeof(*w->hashes));
	memset(w->counts, 0, f->n_slots * sizeof(*w->counts));
	for (uint32_t i = 0; i < f->n; i++) {
		uint64_t hash = hash_of(f, keys[i]);

		slots_of(f, hash, at);
		for (int k = 0; k < 3; k++) {
			w->hashes[at[k]] ^= hash;
			w->counts[at[k]]++;
		}
	}
	if (peel(f, w) < f->n)
		return false;
	assign(f, w);
	return true;
}

int fuse_new(const uint32_t *keys, uint32_t n, struct fuse **ret)
{
	struct fuse *f = make_empty(n);
	struct filling w = {0};
	int r = f ? filling_init(&w, f) : -ENOMEM;
	bool done = false;

	for (uint64_t i = 0; r == 0 && !done && i < TRIES; i++) {
		f->seed = mix(i + 1);
		done = fill(f, &w, keys);
	}
	filling_done(&w);
	if (r == 0 && !done)
		r = -EINVAL;
	if (r < 0)
		free(f);
	else
		*ret = f;
	return r;
}

static size_t size_of(const struct fuse *f)
{
	return sizeof(*f) + (size_t)f->n_slots * sizeof(*f->slots);
}

struct slice fuse_bytes(const struct fuse *f)
{
	return slice_of((const char *)f, size_of(f));
}

int fuse_load(struct slice bytes, struct fuse **ret)
{
	struct fuse head, *f;

	if (bytes.n < sizeof(head))
		return -EBADMSG;
	memcpy(&head, bytes.p, sizeof(head));
	if (!head.segment || head.segment > MAX_SEGMENT || head.segment & (head.segment - 1) ||
	    !head.starts || ((uint64_t)head.starts + 2) * head.segment != head.n_slots ||
	    size_of(&head) != bytes.n)
		return -EBADMSG;
	f = malloc(bytes.n);
	if (!f)
		return -ENOMEM;
	memcpy(f, bytes.p, bytes.n);
	*ret = f;
	return 0;
}
