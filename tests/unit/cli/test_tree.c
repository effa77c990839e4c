/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents to trees, and big trees to rows: each span is drawn or counted exactly once.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "cli/walk.h"

/* A document of n spans; parent(i) is a span's number, or -1. */
static void make(struct clew_buf *b, int n, int (*parent)(int i), const char *(*name)(int i))
{
	clew_buf_init(b, 0);
	clew_buf_adds(b, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");
	for (int i = 0; i < n; i++) {
		clew_buf_addf(
			b,
			"%s{\"traceId\":\"aa\",\"spanId\":\"%016x\",\"name\":\"%s\",\"kind\":2,"
			"\"startTimeUnixNano\":\"%d\",\"endTimeUnixNano\":\"%d\"",
			i ? "," : "", i + 1, name(i), 1000 + i, 1010 + i + i % 5);
		if (parent(i) >= 0)
			clew_buf_addf(b, ",\"parentSpanId\":\"%016x\"", parent(i) + 1);
		clew_buf_addc(b, '}');
	}
	clew_buf_adds(b, "]}]}]}");
	assert_int_equal(b->err, 0);
}

struct count {
	uint64_t rows, folds, hidden, max_depth;
	const struct tree *t;
	char *drawn;
};

static void count_row(void *user, const struct walk_row *row)
{
	struct count *c = user;

	c->rows++;
	c->hidden += row->hidden;
	if (row->depth > c->max_depth)
		c->max_depth = row->depth;
	if (row->folded) {
		c->folds++;
		assert_true(c->drawn[row->span]); /* the slowest comes first */
		return;
	}
	assert_false(c->drawn[row->span]);
	c->drawn[row->span] = 1;
	if (row->depth)
		assert_true(c->drawn[c->t->spans[row->span].parent]);
}

static struct count walk(int n, int (*parent)(int i), const char *(*name)(int i))
{
	struct clew_buf b;
	struct tree t;
	struct count c = {.t = &t};

	make(&b, n, parent, name);
	assert_int_equal(tree_read(b.data, b.len, &t), 0);
	assert_int_equal(t.n, n);
	c.drawn = calloc((size_t)n, 1);
	assert_non_null(c.drawn);
	assert_int_equal(walk_tree(&t, count_row, &c), 0);
	/* Nothing is lost: what has no row is counted by a fold. */
	assert_int_equal(c.rows - c.folds + c.hidden, n);
	free(c.drawn);
	tree_done(&t);
	clew_buf_done(&b);
	return c;
}

static const char *same(int i)
{
	return "GET /";
}

static const char *names_differ(int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "GET /%d", i);
	return name;
}

static int chain(int i)
{
	return i - 1;
}

static int star(int i)
{
	return i ? 0 : -1;
}

/* 0 ─ 1, 2, 3 ...; each odd one has the next one below it. */
static int comb(int i)
{
	return !i ? -1 : i % 2 ? 0 : i - 1;
}

static int ring(int i)
{
	return (i + 1) % 5;
}

static int itself(int i)
{
	return i;
}

static int nobody(int i)
{
	return -1;
}

static int lost(int i)
{
	return i + 100000;
}

static void test_shapes(void **state)
{
	struct count c = walk(20000, chain, same);

	assert_int_equal(c.max_depth, 19999);
	assert_int_equal(c.hidden, 0);
	c = walk(20000, star, same);
	assert_int_equal(c.rows, 3);
	assert_int_equal(c.hidden, 19998);
	c = walk(20001, comb, same);
	assert_int_equal(c.rows, 4);
	assert_int_equal(c.hidden, 19998);
	c = walk(5000, star, names_differ);
	assert_int_equal(c.rows, 5000);
	/* Small traces are drawn whole. */
	c = walk(WALK_FOLD_TRACE, star, same);
	assert_int_equal(c.rows, WALK_FOLD_TRACE);
	c = walk(WALK_FOLD_TRACE + 1, star, same);
	assert_int_equal(c.rows, 3);
	walk(WALK_FOLD_TRACE + 1, nobody, same);
	walk(3, lost, same);
}

static void test_rings(void **state)
{
	struct count c = walk(5, ring, same);

	assert_int_equal(c.max_depth, 4);
	c = walk(3, itself, same);
	assert_int_equal(c.max_depth, 0);
}

static void test_duplicates(void **state)
{
	static const char doc[] =
		"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":["
		"{\"spanId\":\"aa\",\"name\":\"a\"},{\"spanId\":\"aa\",\"name\":\"b\"},"
		"{\"spanId\":\"aa\",\"parentSpanId\":\"aa\"},{\"spanId\":\"bb\",\"parentSpanId\":"
		"\"aa\"}"
		"]}]}]}";
	struct tree t;

	assert_int_equal(tree_read(doc, sizeof(doc) - 1, &t), 0);
	assert_int_equal(t.n, 4);
	tree_done(&t);
}

static void test_fields(void **state)
{
	static const char doc[] =
		"{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
		"\"value\":{"
		"\"stringValue\":\"cart\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"0af7\","
		"\"spanId\":\"01\",\"name\":\"GET\",\"kind\":3,\"startTimeUnixNano\":"
		"\"1790000000000000001\",\"endTimeUnixNano\":1790000000000000005,\"status\":{"
		"\"code\":2,"
		"\"message\":\"m\"},\"attributes\":[{\"key\":\"clew.link.class\",\"value\":{"
		"\"stringValue\":\"orphan\"}},{\"key\":\"clew.link.confidence\",\"value\":{"
		"\"doubleValue\":0.25}},{\"key\":\"server.port\",\"value\":{\"intValue\":\"80\"}}]}"
		"]}]}]}";
	struct tree t;

	assert_int_equal(tree_read(doc, sizeof(doc) - 1, &t), 0);
	assert_string_equal(t.trace_id, "0af7");
	assert_string_equal(t.spans[0].service, "cart");
	assert_true(t.spans[0].start_ns == 1790000000000000001ull);
	assert_true(t.spans[0].end_ns == 1790000000000000005ull);
	assert_int_equal(t.spans[0].peer_port, 80);
	assert_true(t.spans[0].confidence == 0.25);
	assert_string_equal(t.spans[0].error, "m");
	assert_int_equal(t.n_errors, 1);
	assert_int_equal(t.n_orphans, 1);
	assert_int_equal(t.n_services, 1);
	tree_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
