/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of an exchange, seen from one host or from two, compute one key, and nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

static const struct clew_id128 boot_a = {{1}}, boot_b = {{2}};

static struct clew_conn tcp(uint8_t net, bool v6)
{
	struct clew_conn c = {.cookie = 1,
			      .role = CLEW_ROLE_CLIENT,
			      .family = v6 ? CLEW_AF_INET6 : CLEW_AF_INET,
			      .lport = 40000,
			      .rport = 80,
			      .netns = 77,
			      .tx_seq0 = 1000,
			      .rx_seq0 = 2000,
			      .seq_known = true};

	if (v6) {
		c.laddr[15] = 1;
		c.raddr[15] = net ? 9 : 1;
	} else {
		c.laddr[10] = c.laddr[11] = c.raddr[10] = c.raddr[11] = 0xff;
		c.laddr[12] = c.raddr[12] = net;
		c.laddr[15] = 1;
		c.raddr[15] = 2;
	}
	return c;
}

static struct clew_conn mirror(const struct clew_conn *c)
{
	struct clew_conn m = *c;

	m.role = c->role == CLEW_ROLE_CLIENT ? CLEW_ROLE_SERVER : CLEW_ROLE_CLIENT;
	m.lport = c->rport;
	m.rport = c->lport;
	memcpy(m.laddr, c->raddr, 16);
	memcpy(m.raddr, c->laddr, 16);
	m.tx_seq0 = c->rx_seq0;
	m.rx_seq0 = c->tx_seq0;
	if (c->family == CLEW_AF_UNIX) {
		m.cookie = c->peer_cookie;
		m.peer_cookie = c->cookie;
	} else {
		m.cookie = 5555;
	}
	return m;
}

static void same(const struct clew_conn *c, uint64_t offset, const struct clew_id128 *there)
{
	struct clew_conn m = mirror(c);
	struct clew_id128 a = clew_wire_key(c, CLEW_DIR_TX, offset, 0, &boot_a);
	struct clew_id128 b = clew_wire_key(&m, CLEW_DIR_RX, offset, 0, there);

	assert_memory_equal(&a, &b, sizeof(a));
}

static void test_mirror(void **state)
{
	struct clew_conn v4 = tcp(10, false), v6 = tcp(1, true), lo4 = tcp(127, false),
			 lo6 = tcp(0, true);
	struct clew_conn un = {.family = CLEW_AF_UNIX, .cookie = 5, .peer_cookie = 9};
	struct clew_conn nu = mirror(&un);

	for (uint64_t off = 0; off < 5ull << 32; off += 0x12345678) {
		/* On two hosts: boot ids differ and are no part of the key. */
		same(&v4, off, &boot_b);
		same(&v6, off, &boot_a);
		same(&lo4, off, &boot_a);
		same(&lo6, off, &boot_a);
		same(&un, off, &boot_a);
		same(&nu, off, &boot_a);
	}
}

static void differ(const struct clew_id128 *a, struct clew_id128 b)
{
	assert_memory_not_equal(a, &b, sizeof(b));
}

static void test_differs(void **state)
{
	struct clew_conn c = tcp(10, false), d;
	struct clew_conn un = {.family = CLEW_AF_UNIX, .cookie = 5, .peer_cookie = 9};
	struct clew_id128 key = clew_wire_key(&c, CLEW_DIR_TX, 7, 0, &boot_a);

	differ(&key, clew_wire_key(&c, CLEW_DIR_RX, 7, 0, &boot_a));
	differ(&key, clew_wire_key(&c, CLEW_DIR_TX, 8, 0, &boot_a));
	differ(&key, clew_wire_key(&c, CLEW_DIR_TX, 7 + (1ull << 32), 0, &boot_a));
	differ(&key, clew_wire_key(&c, CLEW_DIR_TX, 7, 1, &boot_a));
	d = c, d.tx_seq0++;
	differ(&key, clew_wire_key(&d, CLEW_DIR_TX, 7, 0, &boot_a));
	d = c, d.rx_seq0++;
	differ(&key, clew_wire_key(&d, CLEW_DIR_TX, 7, 0, &boot_a));
	d = c, d.lport++;
	differ(&key, clew_wire_key(&d, CLEW_DIR_TX, 7, 0, &boot_a));
	d = c, d.raddr[15]++;
	differ(&key, clew_wire_key(&d, CLEW_DIR_TX, 7, 0, &boot_a));
	/* Loopback of another host, and of another namespace. */
	c = tcp(127, false);
	key = clew_wire_key(&c, CLEW_DIR_TX, 7, 0, &boot_a);
	differ(&key, clew_wire_key(&c, CLEW_DIR_TX, 7, 0, &boot_b));
	c.netns++;
	differ(&key, clew_wire_key(&c, CLEW_DIR_TX, 7, 0, &boot_a));
	/* The two directions of one unix socket, and two hosts. */
	key = clew_wire_key(&un, CLEW_DIR_TX, 7, 0, &boot_a);
	differ(&key, clew_wire_key(&un, CLEW_DIR_RX, 7, 0, &boot_a));
	differ(&key, clew_wire_key(&un, CLEW_DIR_TX, 7, 0, &boot_b));
}

/* The key is stored and compared between versions: it must not change. */
static void test_stable(void **state)
{
	struct clew_conn c = tcp(127, false);
	struct clew_id128 key = clew_wire_key(&c, CLEW_DIR_TX, 7, 0, &boot_a);
	char hex[33];

	clew_hex(key.b, 16, hex);
	assert_string_equal(hex, "bb0e7423c3533d3550570c798194715e");
}

static void test_through_the_stream(void **state)
{
	struct rig a, b;
	struct clew_rec_conn rec = {
		.hdr = {.len = sizeof(rec), .type = CLEW_REC_CONN},
		.conn = 7,
		.tx_seq0 = 1,
		.rx_seq0 = 2,
		.hdr_bytes = sizeof(rec),
		.event = CLEW_CONN_ESTABLISHED,
		.role = CLEW_ROLE_CLIENT,
		.family = CLEW_AF_INET,
		.lport = 3,
		.rport = 4,
		.laddr = {1},
		.raddr = {2},
	};
	static const struct step talk[] = {
		{REQ, "GET /a HTTP/1.1\r\n\r\n"},
		{RESP, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{REQ, "GET /b HTTP/1.1\r\n\r\n"},
		{STEP_END},
	};

	rig_init(&a, CLEW_ROLE_CLIENT, NULL);
	assert_int_equal(clew_stream_feed(a.s, &rec.hdr), 0);
	rig_init(&b, CLEW_ROLE_SERVER, NULL);
	rec.event = CLEW_CONN_ACCEPTED;
	rec.role = CLEW_ROLE_SERVER;
	rec.tx_seq0 = 2, rec.rx_seq0 = 1, rec.lport = 4, rec.rport = 3;
	rec.laddr[0] = 2, rec.raddr[0] = 1;
	assert_int_equal(clew_stream_feed(b.s, &rec.hdr), 0);
	for (int i = 0; talk[i].kind != STEP_END; i++) {
		rig_step(&a, &talk[i]);
		rig_step(&b, &talk[i]);
		assert_true(a.last_has_key && b.last_has_key);
		assert_memory_equal(&a.last_key, &b.last_key, sizeof(a.last_key));
	}
	rig_done(&a);
	rig_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_through_the_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
