/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a digest's attributes: how many spans have a key, and between what its numbers are. */
#include "store/digest_internal.h"

/* "host:port"; what is longer is cut. */
#define PEER_TEXT 256

static bool pick(const uint32_t *wanted, uint32_t n, const struct digest_attrs *attrs,
		 struct slice *ret)
{
	for (uint32_t k = 0; k < n; k++)
		for (uint32_t i = 0; i < attrs->n; i++)
			if (attrs->keys[i] == wanted[k]) {
				*ret = attrs->values[i];
				return true;
			}
	return false;
}

/* Whom a call went to, where its other end is not seen: "address:port". */
uint32_t digest_find_peer(struct digest *d, const struct digest_attrs *attrs)
{
	struct slice address, port;
	char text[PEER_TEXT];
	uint32_t id = DIGEST_NO_ID;
	int n;

	if (!pick(d->address_keys, d->n_address, attrs, &address))
		return DIGEST_NO_ID;
	if (pick(d->port_keys, d->n_port, attrs, &port))
		n = snprintf(text, sizeof(text), "%.*s:%.*s",
			     (int)(address.n < 200 ? address.n : 200), address.p,
			     (int)(port.n < 20 ? port.n : 20), port.p);
	else
		n = snprintf(text, sizeof(text), "%.*s", (int)(address.n < 200 ? address.n : 200),
			     address.p);
	if (atomic_load(&d->peers.n) >= DIGEST_MAX_PEERS &&
	    dict_find(&d->peers, slice_of(text, (size_t)n), 0, &id) < 0)
		n = snprintf(text, sizeof(text), DIGEST_OTHER_PEERS);
	if (dict_add(&d->peers, slice_of(text, (size_t)n), 0, &id) < 0)
		return DIGEST_NO_ID;
	return id;
}

static int count_key(struct digest *d, uint32_t service, uint32_t key)
{
	struct digest_counter *c;

	if (service >= DIGEST_MAX_COUNTED || key >= DIGEST_MAX_COUNTED)
		return 0;
	if (service >= d->n_counters) {
		uint32_t n = service * 2 + 16;
		struct digest_counter *counters = realloc(d->counters, n * sizeof(*counters));

		if (!counters)
			return -ENOMEM;
		memset(counters + d->n_counters, 0, (n - d->n_counters) * sizeof(*counters));
		d->counters = counters;
		d->n_counters = n;
	}
	c = &d->counters[service];
	if (key >= c->n) {
		uint32_t n = key + 32;
		uint32_t *spans = realloc(c->spans, n * sizeof(*spans));

		if (!spans)
			return -ENOMEM;
		memset(spans + c->n, 0, (n - c->n) * sizeof(*spans));
		c->spans = spans;
		c->n = n;
	}
	c->spans[key]++;
	return 0;
}

/* ---- ranges ---- */

/* The number that a text is, as a search reads it. False: it is too long for one. */
static bool number_of(struct slice text, uint8_t type, double *ret)
{
	size_t i = text.n && text.p[0] == '-';
	char buf[64];
	int64_t v = 0;

	if (!text.n || text.n >= sizeof(buf))
		return false;
	if (type == CLEW_ATTR_INT && text.n < 19) {
		for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
			v = v * 10 + (text.p[i] - '0');
		*ret = text.p[0] == '-' ? -(double)v : (double)v;
		return true;
	}
	memcpy(buf, text.p, text.n);
	buf[text.n] = '\0';
	*ret = type == CLEW_ATTR_INT ? (double)strtoll(buf, NULL, 10) : strtod(buf, NULL);
	return true;
}

static struct digest_range *new_range(struct digest *d, uint32_t key, double v)
{
	if (d->n_ranges == d->cap_ranges) {
		size_t cap = d->cap_ranges ? d->cap_ranges * 2 : 1024;
		struct digest_range *ranges = realloc(d->ranges, cap * sizeof(*ranges));

		if (!ranges)
			return NULL;
		d->ranges = ranges;
		d->cap_ranges = cap;
	}
	d->ranges[d->n_ranges] = (struct digest_range){key, d->block, v, v};
	return &d->ranges[d->n_ranges++];
}

/* The block's range of a key, made if need be. */
static int widen(struct digest *d, uint32_t key, double v)
{
	uint32_t at = (key * 0x9e3779b1u) >> (32 - DIGEST_RANGE_BITS);
	size_t n = d->n_ranges - d->block_ranges;
	struct digest_range *r = NULL;

	/* Whoever makes more keys of numbers in one block than the table has room for waits for it. */
	for (size_t i = d->block_ranges; n >= DIGEST_RANGE_SLOTS / 2 && i < d->n_ranges && !r; i++)
		r = d->ranges[i].key == key ? &d->ranges[i] : NULL;
	for (; n < DIGEST_RANGE_SLOTS / 2 && !r; at = (at + 1) % DIGEST_RANGE_SLOTS) {
		if (d->range_slots[at] == NO_ROW) {
			d->range_slots[at] = (uint32_t)d->n_ranges;
			break;
		}
		if (d->ranges[d->range_slots[at]].key == key)
			r = &d->ranges[d->range_slots[at]];
	}
	if (!r)
		return new_range(d, key, v) ? 0 : -ENOMEM;
	r->lo = v < r->lo ? v : r->lo;
	r->hi = v > r->hi ? v : r->hi;
	return 0;
}

/* A block with few ranges tells of each service, and of how many rows; of another one they are left out. */
static int end_block(struct digest *d)
{
	size_t kept = d->block_ranges;

	if (!d->block_rows)
		return 0;
	if (d->n_ranges - d->block_ranges <= DIGEST_MAX_RANGES)
		return new_range(d, RANGE_TOLD, d->block_rows) ? 0 : -ENOMEM;
	for (size_t i = d->block_ranges; i < d->n_ranges; i++)
		if (!(d->ranges[i].key & RANGE_BY_SERVICE))
			d->ranges[kept++] = d->ranges[i];
	d->n_ranges = kept;
	return 0;
}

static int begin_block(struct digest *d, uint32_t block)
{
	int r = end_block(d);

	d->block = block;
	d->block_rows = 0;
	d->block_ranges = d->n_ranges;
	memset(d->range_slots, 0xff, sizeof(d->range_slots));
	return r;
}

static int add_range(struct digest *d, uint32_t service, uint32_t key, struct slice text,
		     uint8_t type)
{
	double v;
	int r;

	if (!number_of(text, type, &v))
		return 0;
	r = widen(d, key, v);
	if (r == 0 && d->n_ranges - d->block_ranges <= DIGEST_MAX_RANGES)
		r = widen(d, range_key(service, key), v);
	return r;
}

int digest_sum_attrs(struct digest *d, uint32_t service, uint32_t block,
		     const struct digest_attrs *attrs)
{
	int r = block != d->block ? begin_block(d, block) : 0;

	d->block_rows++;
	for (uint32_t i = 0; r == 0 && i < attrs->n; i++) {
		uint32_t key = attrs->keys[i];
		const struct dict_entry *e = dict_get(&d->st->dicts[DICT_KEY], key);

		r = count_key(d, service, key);
		if (r == 0 && e && (e->type == CLEW_ATTR_INT || e->type == CLEW_ATTR_DOUBLE))
			r = add_range(d, service, key, attrs->values[i], e->type);
	}
	return r;
}

int digest_finish_attrs(struct digest *d)
{
	size_t n = 0;

	if (end_block(d) < 0)
		return -ENOMEM;
	for (uint32_t s = 0; s < d->n_counters; s++)
		for (uint32_t k = 0; k < d->counters[s].n; k++)
			n += d->counters[s].spans[k] != 0;
	d->counts = malloc((n + 1) * sizeof(*d->counts));
	if (!d->counts)
		return -ENOMEM;
	for (uint32_t s = 0; s < d->n_counters; s++)
		for (uint32_t k = 0; k < d->counters[s].n; k++)
			if (d->counters[s].spans[k])
				d->counts[d->n_counts++] =
					(struct digest_count){s, k, d->counters[s].spans[k]};
	return 0;
}
