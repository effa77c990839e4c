/* SPDX-License-Identifier: Apache-2.0 */
/* The store: what goes in comes out, once, also after sealing and opening again. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "asked.h"

static struct clew_attr event_attrs[] = {
	{.key = SLICE("exception.type"), .type = CLEW_ATTR_STR, .str = SLICE("Oops \"x\"")},
	{.key = SLICE("n"), .type = CLEW_ATTR_INT, .i = INT64_MIN},
	{.key = SLICE("d"), .type = CLEW_ATTR_DOUBLE, .d = 1.5},
	{.key = SLICE("b"), .type = CLEW_ATTR_BOOL, .b = true},
};
static struct clew_span_event events[] = {
	{.time_ns = T0 + 1, .name = SLICE("exception"), .n_attrs = 4, .attrs = event_attrs},
	{.time_ns = T0 + 2, .name = SLICE("log")},
};

static void check_events(const struct clew_span *s)
{
	assert_int_equal(s->n_events, 2);
	assert_int_equal(s->events[0].time_ns, T0 + 1);
	assert_true(slice_eq(s->events[0].name, SLICE("exception")));
	assert_int_equal(s->events[0].n_attrs, 4);
	assert_true(slice_eq(s->events[0].attrs[0].key, SLICE("exception.type")));
	assert_true(slice_eq(s->events[0].attrs[0].str, SLICE("Oops \"x\"")));
	assert_true(s->events[0].attrs[1].i == INT64_MIN);
	assert_true(s->events[0].attrs[2].d == 1.5);
	assert_true(s->events[0].attrs[3].b);
	assert_int_equal(s->events[1].time_ns, T0 + 2);
	assert_int_equal(s->events[1].n_attrs, 0);
	/* the second link has attributes */
	assert_int_equal(s->links[1].n_attrs, 1);
	assert_true(slice_eq(s->links[1].attrs[0].str, SLICE("Oops \"x\"")));
}

static struct clew_span *full_span(void)
{
	struct clew_span *s = make_span(1, 2, 3, "svc", "op é", CLEW_KIND_PRODUCER, T0, 5);
	struct clew_id128 other = trace_id(50);
	struct clew_id64 span = clew_id64_from(51);

	s->status = CLEW_STATUS_ERROR;
	s->status_message = SLICE("it's broken");
	s->trace_state = SLICE("a=b");
	s->wire_key = trace_id(77);
	s->pid = 12;
	s->tid = 13;
	s->proc_start_ns = 14;
	s->evidence = CLEW_EV_THREAD | CLEW_EV_CONFLICT;
	s->link_class = CLEW_LINK_ORPHAN;
	s->confidence = 0.25f;
	s->incomplete = CLEW_INC_CUT;
	s->sampling_threshold = 1ull << 55;
	s->clock_offset_ns = -42;
	s->times.cpu_ns = 0;
	s->times.other_ns = 7;
	s->dropped_attrs = 1;
	s->dropped_links = 2;
	s->dropped_events = 3;
	s->is_root = true;
	clew_span_set_str(s, "text", SLICE("with 'quote' and \xff"));
	clew_span_set_str(s, "empty", SLICE(""));
	clew_span_set_int(s, "int", -5);
	clew_span_set_double(s, "double", 0.1);
	clew_span_set_bool(s, "bool", true);
	clew_span_add_link(s, &other, &span, 0.5f);
	clew_span_add_link(s, &other, &span, -1);
	s->links[1].n_attrs = 1;
	s->links[1].attrs = event_attrs;
	s->events = events;
	s->n_events = 2;
	return s;
}

static void check_full(const struct clew_span *s)
{
	struct clew_id128 trace = trace_id(1), wire = trace_id(77), other = trace_id(50);
	struct clew_id64 span = clew_id64_from(2), parent = clew_id64_from(3);

	assert_true(clew_id128_eq(&s->trace_id, &trace));
	assert_true(clew_id64_eq(&s->span_id, &span));
	assert_true(clew_id64_eq(&s->parent_span_id, &parent));
	assert_true(clew_id128_eq(&s->wire_key, &wire));
	assert_int_equal(s->kind, CLEW_KIND_PRODUCER);
	assert_int_equal(s->status, CLEW_STATUS_ERROR);
	assert_true(slice_eq(s->name, SLICE("op é")));
	assert_true(slice_eq(s->scope, SLICE("clew")));
	assert_true(slice_eq(s->status_message, SLICE("it's broken")));
	assert_true(slice_eq(s->trace_state, SLICE("a=b")));
	assert_int_equal(s->start_ns, T0);
	assert_int_equal(s->duration_ns, 5);
	assert_int_equal(s->pid, 12);
	assert_int_equal(s->tid, 13);
	assert_int_equal(s->proc_start_ns, 14);
	assert_int_equal(s->evidence, CLEW_EV_THREAD | CLEW_EV_CONFLICT);
	assert_int_equal(s->link_class, CLEW_LINK_ORPHAN);
	assert_true(s->confidence == 0.25f);
	assert_int_equal(s->incomplete, CLEW_INC_CUT);
	assert_true(s->sampling_threshold == 1ull << 55);
	assert_int_equal(s->clock_offset_ns, -42);
	assert_int_equal(s->times.cpu_ns, 0);
	assert_int_equal(s->times.runq_ns, -1);
	assert_int_equal(s->times.other_ns, 7);
	assert_int_equal(s->dropped_attrs, 1);
	assert_int_equal(s->dropped_links, 2);
	assert_int_equal(s->dropped_events, 3);
	assert_true(s->is_root);
	assert_int_equal(s->n_attrs, 5);
	assert_true(slice_eq(clew_span_attr(s, SLICE("text"))->str,
			     SLICE("with 'quote' and \xef\xbf\xbd")));
	assert_int_equal(clew_span_attr(s, SLICE("empty"))->str.n, 0);
	assert_int_equal(clew_span_attr(s, SLICE("int"))->i, -5);
	assert_true(clew_span_attr(s, SLICE("double"))->d == 0.1);
	assert_true(clew_span_attr(s, SLICE("bool"))->b);
	assert_int_equal(s->n_links, 2);
	assert_true(clew_id128_eq(&s->links[0].trace_id, &other));
	assert_true(s->links[0].confidence == 0.5f);
	assert_true(s->links[1].confidence == -1);
	check_events(s);
	assert_true(slice_eq(s->resource->service, SLICE("svc")));
	assert_true(slice_eq(s->resource->host, SLICE("box")));
	assert_int_equal(s->resource->n_attrs, 4);
}

/* Every field, three times: hot, opened again, and sealed. */
static void test_every_field(void **state)
{
	struct clew_span_filter all = {0};
	struct clew_store_opts seal_at_once = {.hot_spans = 1};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	struct clew_span *s;

	put(st, full_span());
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 1);
	check_full(got.v[0]);
	forget(&got);
	clew_store_close(st);

	st = open_store(dir, &seal_at_once);
	assert_int_equal(find(st, &all), 1);
	check_full(got.v[0]);
	s = make_span(5, 6, 0, "svc", "x", CLEW_KIND_SERVER, T0 + 9, 1);
	put(st, s);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 2);
	check_full(got.v[0]);
	assert_int_equal(got.v[1]->n_attrs, 0);
	assert_int_equal(got.v[1]->n_links, 0);
	assert_true(clew_id64_none(&got.v[1]->parent_span_id));
	assert_true(clew_id128_none(&got.v[1]->wire_key));
	forget(&got);
	clew_store_close(st);
	rm_dir(dir);
}

static void test_same_span_twice(void **state)
{
	struct clew_span_filter all = {0};
	struct clew_store_opts opts = {.hot_spans = 40};
	struct clew_store_stats stats;
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);

	/* Twice in one batch, in the next, after sealing, and after opening again. */
	for (int round = 0; round < 3; round++) {
		for (uint64_t n = 1; n <= 10; n++)
			put_shop(st, n, T0 + n);
		for (uint64_t n = 1; n <= 10; n++)
			put_shop(st, n, T0 + n);
		assert_int_equal(clew_store_flush(st), 0);
		assert_int_equal(find(st, &all), 30);
	}
	for (uint64_t n = 11; n <= 20; n++)
		put_shop(st, n, T0 + n);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &stats);
	assert_true(stats.seals > 0);
	for (uint64_t n = 1; n <= 20; n++)
		put_shop(st, n, T0 + n);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 60);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.stored, 60);
	assert_int_equal(stats.duplicates, 10 * 3 * 5 + 60);
	forget(&got);
	clew_store_close(st);
	st = open_store(dir, &opts);
	put_shop(st, 3, T0 + 3);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 60);
	forget(&got);
	clew_store_close(st);
	rm_dir(dir);
}

/* Of many hours at once: what is known of them in memory has an end, and none is stored twice. */
static void test_many_hours_twice(void **state)
{
	const uint64_t hours = KNOWN_RUNS + 4, hour_ns = (uint64_t)HOUR_NS;
	struct clew_store_opts opts = {.hot_spans = 3};
	struct clew_store_stats stats;
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	uint64_t known = 0;

	for (int round = 0; round < 2; round++)
		for (uint64_t n = 1; n <= hours; n++) {
			put_shop(st, n, T0 + n * hour_ns);
			assert_int_equal(clew_store_flush(st), 0);
		}
	clew_store_stats(st, &stats);
	assert_int_equal(stats.seals, hours);
	assert_int_equal(stats.stored, 3 * hours);
	assert_int_equal(stats.duplicates, 3 * hours);
	pthread_mutex_lock(&st->ids_lock);
	for (size_t i = 0; i < st->n_parts; i++)
		known += st->parts[i]->last_ids.cap > 0;
	pthread_mutex_unlock(&st->ids_lock);
	/* What is at rest is forgotten, too: on a slow machine they are fewer. */
	assert_in_range(known, 0, KNOWN_RUNS);
	clew_store_close(st);
	rm_dir(dir);
}

/* ---- several that hand spans over ---- */

#define GIVERS	 4u
#define GIVEN	 90u /* by each; every third one has new names */
#define BY_NAMES 3u

struct giver {
	struct clew_store *st;
	uint64_t number;
};

static void name_of(char out[32], const char *what, uint64_t id)
{
	snprintf(out, 32, "%s.%" PRIu64, what, id / BY_NAMES);
}

static struct clew_span *named_span(uint64_t id)
{
	char service[32], operation[32], key[32];
	struct clew_span *s;

	name_of(service, "service", id);
	name_of(operation, "operation", id);
	name_of(key, "key", id);
	s = make_span(id, id, 0, service, operation, CLEW_KIND_SERVER, T0 + id, 5);
	clew_span_set_int(s, clew_span_copy(s, slice_of(key, strlen(key) + 1)).p, (int64_t)id);
	return s;
}

static void wait_for_done(void *user, int r)
{
	atomic_store((_Atomic int *)user, r == 0 ? 1 : r);
}

/* By turns as what was captured and as what somebody waits for. */
static void *give(void *arg)
{
	const struct giver *g = arg;
	struct clew_span *spans[BY_NAMES];

	for (uint64_t i = 0; i < GIVEN; i += BY_NAMES) {
		_Atomic int done = 0;

		for (uint64_t k = 0; k < BY_NAMES; k++)
			spans[k] = named_span((g->number + 1) * 100 * GIVEN + i + k);
		if (i % 2) {
			clew_store_append(g->st, spans, BY_NAMES);
			continue;
		}
		if (clew_store_append_durable(g->st, spans, BY_NAMES, wait_for_done, (void *)&done))
			return "not taken";
		while (!atomic_load(&done)) /* it is on our stack */
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	return NULL;
}

static int check_names(void *user, struct clew_span *s)
{
	char service[32], operation[32], key[32];
	uint64_t id = s->start_ns - T0;

	name_of(service, "service", id);
	name_of(operation, "operation", id);
	name_of(key, "key", id);
	assert_true(slice_eq(s->resource->service, slice_str(service)));
	assert_true(slice_eq(s->name, slice_str(operation)));
	assert_int_equal(s->n_attrs, 1);
	assert_true(slice_eq(s->attrs[0].key, slice_str(key)));
	assert_int_equal(s->attrs[0].i, id);
	++*(uint64_t *)user;
	clew_span_free(s);
	return 0;
}

/* Each span has its own names, whoever came between; also when the catalog is read again. */
static void test_several_at_once(void **state)
{
	struct clew_store_opts opts = {.flush_ns = MS};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct giver givers[GIVERS];
	pthread_t threads[GIVERS];

	for (uint64_t i = 0; i < GIVERS; i++) {
		givers[i] = (struct giver){st, i};
		assert_int_equal(pthread_create(&threads[i], NULL, give, &givers[i]), 0);
	}
	for (uint64_t i = 0; i < GIVERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	for (int opened = 0; opened < 2; opened++) {
		struct clew_span_filter all = {0};
		char *error = NULL;
		uint64_t n = 0;

		assert_int_equal(clew_store_flush(st), 0);
		assert_int_equal(clew_store_find_spans(st, &all, check_names, &n, &error), 0);
		assert_int_equal(n, GIVERS * GIVEN);
		clew_store_close(st);
		st = open_store(dir, &opts);
	}
	clew_store_close(st);
	rm_dir(dir);
}

static void test_modes_and_versions(void **state)
{
	char *dir = tmp_dir(), *sub, *error = NULL, path[300];
	struct clew_store_opts ro = {.read_only = true};
	struct clew_store *st, *second = NULL;
	struct stat sb;

	assert_true(asprintf(&sub, "%s/a/b", dir) > 0);
	assert_int_equal(clew_store_open(sub, &ro, &second, &error), -ENOENT);
	assert_non_null(strstr(error, "there is no store"));
	free(error);
	error = NULL;
	st = open_store(sub, NULL);
	put_shop(st, 1, T0);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(clew_store_open(sub, NULL, &second, &error), -EBUSY);
	assert_non_null(strstr(error, "being written by pid"));
	free(error);
	error = NULL;
	assert_int_equal(clew_store_open(sub, &ro, &second, &error), -EBUSY);
	free(error);
	error = NULL;
	assert_int_equal(stat(sub, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0700);
	clew_store_close(st);
	snprintf(path, sizeof(path), "%s/catalog.duckdb", sub);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	/* two readers beside each other */
	st = open_store(sub, &ro);
	second = open_store(sub, &ro);
	assert_int_equal(find(second, &(struct clew_span_filter){0}), 3);
	forget(&got);
	clew_store_close(st);
	clew_store_close(second);
	rm_dir(dir);
	free(sub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field),	   cmocka_unit_test(test_same_span_twice),
		cmocka_unit_test(test_many_hours_twice),   cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_modes_and_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
