/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the indexes leave out has no match: spans drawn by lot, sealed in runs that end within blocks, are asked
 * for by two or three things at once, by numbers and by things that never meet, and counted by hand as well.
 */
#include <stddef.h>

#include "util.h"

#define SPANS	 30000u
#define SERVICES 4u

struct drawn {
	uint8_t service, method, peer;
	int16_t size; /* -1: it has none */
	uint16_t code;
	bool client;
};

static struct drawn drawn[SPANS];
static uint64_t state = 1;

static uint32_t below(uint32_t n)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % n);
}

/* A service's peers are its own; clients have another key for them than servers; one service has few sizes. */
static struct clew_span *draw(uint32_t i)
{
	struct drawn d = {.service = (uint8_t)below(SERVICES),
			  .method = (uint8_t)below(3),
			  .client = below(2),
			  .code = below(400) ? 200 : (uint16_t)(500 + below(4))};
	char service[16], text[16];
	struct clew_span *s;

	d.peer = (uint8_t)(d.service * 3 + below(3));
	d.size = d.service == 3 && below(50) ? -1 : (int16_t)below(d.service == 3 ? 10 : 20000);
	snprintf(service, sizeof(service), "s%u", d.service);
	s = make_span(i / 5, i + 1, 0, service, d.client ? "call" : "serve",
		      d.client ? CLEW_KIND_CLIENT : CLEW_KIND_SERVER, T0 + i * 100000, MS);
	snprintf(text, sizeof(text), "m%u", d.method);
	clew_span_set_str(s, "method", slice_str(text));
	snprintf(text, sizeof(text), "p%u", d.peer);
	clew_span_set_str(s, d.client ? "server.address" : "client.address", slice_str(text));
	clew_span_set_int(s, "code", d.code);
	if (d.size >= 0)
		clew_span_set_int(s, "size", d.size);
	drawn[i] = d;
	return s;
}

/* A question: -1 or 0 where it does not ask. */
struct question {
	int service, method, peer, over, under, code_over;
	bool of_client;
};

static struct question ask_by_lot(void)
{
	struct question q = {-1, -1, -1, -1, -1, -1, below(2)};

	if (below(4))
		q.service = (int)below(SERVICES);
	if (below(3) == 0)
		q.method = (int)below(3);
	if (below(2) == 0)
		q.peer = (int)below(SERVICES * 3);
	switch (below(4)) {
	case 0:
		q.over = 19980 + (int)below(18);
		break;
	case 1:
		q.under = (int)below(12);
		break;
	case 2:
		q.code_over = 499 + (int)below(4);
	}
	return q;
}

static bool matches(const struct question *q, const struct drawn *d)
{
	return (q->service < 0 || q->service == d->service) &&
	       (q->method < 0 || q->method == d->method) &&
	       (q->peer < 0 || (q->peer == d->peer && q->of_client == d->client)) &&
	       (q->over < 0 || d->size > q->over) &&
	       (q->under < 0 || (d->size >= 0 && d->size < q->under)) &&
	       (q->code_over < 0 || d->code > q->code_over);
}

static int count(void *user, struct clew_span *s)
{
	++*(uint64_t *)user;
	clew_span_free(s);
	return 0;
}

static void add_attr(struct clew_span_filter *f, const char *key, char text[16], int value)
{
	snprintf(text, 16, "%c%d", key[0] == 'm' ? 'm' : 'p', value);
	f->attrs[f->n_attrs++] = (struct clew_filter_attr){slice_str(key), slice_str(text)};
}

static void add_where(struct clew_span_filter *f, enum clew_where_op op, const char *key,
		      char text[16], int value)
{
	snprintf(text, 16, "%d", value);
	f->where[f->n_where++] = (struct clew_filter_where){
		.op = op, .key = slice_str(key), .value = slice_str(text)};
}

static uint64_t found(struct clew_store *st, const struct question *q, uint64_t limit)
{
	char service[16], method[16], peer[16], over[16], under[16], code[16], *error = NULL;
	struct clew_span_filter f = {.limit = limit, .sort = CLEW_SORT_START};
	uint64_t n = 0;

	if (q->service >= 0) {
		snprintf(service, sizeof(service), "s%d", q->service);
		f.service = slice_str(service);
	}
	if (q->method >= 0)
		add_attr(&f, "method", method, q->method);
	if (q->peer >= 0)
		add_attr(&f, q->of_client ? "server.address" : "client.address", peer, q->peer);
	if (q->over >= 0)
		add_where(&f, CLEW_WHERE_GT, "size", over, q->over);
	if (q->under >= 0)
		add_where(&f, CLEW_WHERE_LT, "size", under, q->under);
	if (q->code_over >= 0)
		add_where(&f, CLEW_WHERE_GT, "code", code, q->code_over);
	if (clew_store_find_spans(st, &f, count, &n, &error) < 0)
		fail_msg("%s", error ? error : "?");
	return n;
}

static void ask_many(struct clew_store *st, int questions)
{
	uint32_t none = 0, some = 0;

	for (int i = 0; i < questions; i++) {
		struct question q = ask_by_lot();
		uint64_t want = 0, limit = below(2) ? 20 : 0;

		for (uint32_t k = 0; k < SPANS; k++)
			want += matches(&q, &drawn[k]);
		none += !want;
		some += want > 0;
		want = limit && want > limit ? limit : want;
		if (found(st, &q, limit) != want)
			fail_msg("service %d method %d peer %d over %d under %d code %d: %d "
				 "instead of %d",
				 q.service, q.method, q.peer, q.over, q.under, q.code_over,
				 (int)found(st, &q, limit), (int)want);
	}
	assert_true(none > 10 && some > 10);
}

static void test_nothing_is_left_out(void **state_)
{
	struct clew_store_opts opts = {.hot_spans = 9000, .batch_spans = 1000};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct clew_store_stats stats;

	for (uint32_t i = 0; i < SPANS; i++)
		put(st, draw(i));
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.stored, SPANS);
	assert_true(stats.seals >= 3);
	ask_many(st, 150);
	clew_store_close(st);
	st = open_store(dir, NULL);
	ask_many(st, 50);
	clew_store_close(st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
