/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire key: one value for one exchange, computed alike at both ends.
 *
 * It is the 128-bit hash (XXH3, seed 0) of these bytes, integers little endian:
 *
 *	TCP			bytes	unix			bytes
 *	'T'			1	'U'			1
 *	client address		16	the smaller cookie	8
 *	server address		16	the greater cookie	8
 *	client port		2	client is the greater	1
 *	server port		2	offset			8
 *	client's first seq	4	stream id		4
 *	server's first seq	4	boot id			16
 *	offset			8
 *	stream id		4
 *	and if an address is loopback:
 *	boot id			16
 *	network namespace	4
 *
 * The client is the sender of the request; addresses are IPv6 with IPv4 mapped; offset is that of the
 * request's first byte in its direction; the first seq is the sequence number of byte 0.
 */
#include <string.h>

#include "stream/stream.h"

struct key_buf {
	uint8_t b[96];
	size_t n;
};

static void put(struct key_buf *k, const void *p, size_t n)
{
	memcpy(k->b + k->n, p, n);
	k->n += n;
}

static bool is_loopback(const uint8_t a[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t one[16] = {[15] = 1};

	return !memcmp(a, one, 16) || (!memcmp(a, mapped, 12) && a[12] == 127);
}

struct clew_id128 clew_wire_key(const struct clew_conn *c, enum clew_dir dir, uint64_t offset,
				uint32_t stream_id, const struct clew_id128 *boot_id)
{
	bool client = dir == CLEW_DIR_TX;
	struct key_buf k = {.n = 0};

	if (c->family == CLEW_AF_UNIX) {
		uint64_t me = c->cookie, peer = c->peer_cookie;
		uint8_t greater = client ? me > peer : peer > me;

		put(&k, "U", 1);
		put(&k, me < peer ? &me : &peer, 8);
		put(&k, me < peer ? &peer : &me, 8);
		put(&k, &greater, 1);
		put(&k, &offset, 8);
		put(&k, &stream_id, 4);
		put(&k, boot_id->b, 16);
		return clew_hash128(k.b, k.n, 0);
	}
	put(&k, "T", 1);
	put(&k, client ? c->laddr : c->raddr, 16);
	put(&k, client ? c->raddr : c->laddr, 16);
	put(&k, client ? &c->lport : &c->rport, 2);
	put(&k, client ? &c->rport : &c->lport, 2);
	put(&k, client ? &c->tx_seq0 : &c->rx_seq0, 4);
	put(&k, client ? &c->rx_seq0 : &c->tx_seq0, 4);
	put(&k, &offset, 8);
	put(&k, &stream_id, 4);
	if (is_loopback(c->laddr) || is_loopback(c->raddr)) {
		put(&k, boot_id->b, 16);
		put(&k, &c->netns, 4);
	}
	return clew_hash128(k.b, k.n, 0);
}
