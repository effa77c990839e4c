/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end of the accuracy cases: answers each request after a random time, and calls nobody.
 *
 * One thread, epoll, a heap of due answers: never the bottleneck, and answers of one connection come
 * in the order of its requests, as HTTP/1.1 wants it, also where these come before the answers (each begins its
 * pause when the one before it is answered).
 *
 * Environment: PORT; SEEN (a file: each token that came, one a line, so that the harness can tell that
 * no truth was lost); DELAY_MS (mean; uniform between 0 and twice that); FAIL (share of requests that
 * get 503, which clients take for a reason to try again); PIECES (share of answers sent in two writes).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNS 8192
#define MAX_HEAD  65536 /* room for some hundred requests at once */
#define NS	  1000000000ull

struct conn {
	int used, pending, closes;
	uint64_t due;
	unsigned int slot; /* in the heap, while pending */
	size_t len;
	char in[MAX_HEAD];
};

static struct conn conns[MAX_CONNS]; /* by file descriptor */
static int heap[MAX_CONNS];
static unsigned int heap_len;
static char seen[1 << 16];
static size_t seen_len;
static int seen_fd = -1, ep;
static uint64_t rng[2];
static double delay_ns, fail_share, pieces_share;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* 0 to 1, xorshift128+ */
static double chance(void)
{
	uint64_t a = rng[0], b = rng[1];

	rng[0] = b;
	a ^= a << 23;
	rng[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return (double)((rng[1] + b) >> 11) / (double)(1ull << 53);
}

static double env(const char *name, double otherwise)
{
	const char *v = getenv(name);

	return v && *v ? atof(v) : otherwise;
}

/* ---- the heap of answers that are due ---- */

static void put(unsigned int slot, int fd)
{
	heap[slot] = fd;
	conns[fd].slot = slot;
}

static void sift_up(unsigned int slot)
{
	int fd = heap[slot];

	while (slot && conns[heap[(slot - 1) / 2]].due > conns[fd].due) {
		put(slot, heap[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	put(slot, fd);
}

static void sift_down(unsigned int slot)
{
	int fd = heap[slot];

	for (;;) {
		unsigned int kid = slot * 2 + 1;

		if (kid >= heap_len)
			break;
		if (kid + 1 < heap_len && conns[heap[kid + 1]].due < conns[heap[kid]].due)
			kid++;
		if (conns[heap[kid]].due >= conns[fd].due)
			break;
		put(slot, heap[kid]);
		slot = kid;
	}
	put(slot, fd);
}

static void heap_add(int fd)
{
	heap[heap_len] = fd;
	sift_up(heap_len++);
}

static void heap_remove(unsigned int slot)
{
	int last = heap[--heap_len];

	if (slot == heap_len)
		return;
	put(slot, last);
	sift_up(slot);
	sift_down(conns[last].slot);
}

/* ---- connections ---- */

static void drop(int fd)
{
	if (conns[fd].pending)
		heap_remove(conns[fd].slot);
	memset(&conns[fd], 0, offsetof(struct conn, in));
	close(fd);
}

static void seen_flush(void)
{
	if (seen_len && write(seen_fd, seen, seen_len) != (ssize_t)seen_len) {
		perror("backend: SEEN");
		exit(1);
	}
	seen_len = 0;
}

static void note(const char *head)
{
	const char *end = strpbrk(head + 4, " ?\r"), *p = end;

	while (p && p > head && p[-1] != '/')
		p--;
	if (!p || end - p != 32 || seen_fd < 0)
		return;
	if (seen_len + 33 > sizeof(seen))
		seen_flush();
	memcpy(seen + seen_len, p, 32);
	seen[seen_len + 32] = '\n';
	seen_len += 33;
}

/* Takes the next request from what was read, if it is there whole. */
static void take(int fd)
{
	struct conn *c = &conns[fd];
	char *end;

	if (c->pending)
		return;
	c->in[c->len] = 0;
	end = strstr(c->in, "\r\n\r\n");
	if (!end) {
		if (c->len + 1 >= MAX_HEAD)
			drop(fd);
		return;
	}
	*end = 0;
	note(c->in);
	c->closes = strstr(c->in, "HTTP/1.0") || strcasestr(c->in, "\r\nconnection: close");
	end += 4;
	c->len -= (size_t)(end - c->in);
	memmove(c->in, end, c->len);
	c->due = now() + (uint64_t)(chance() * 2 * delay_ns);
	c->pending = 1;
	heap_add(fd);
}

static void answer(int fd)
{
	struct conn *c = &conns[fd];
	static const char *const bodies[] = {"ok\n", "a little more than that\n"};
	const char *body = bodies[chance() < 0.5];
	int fails = chance() < fail_share, n;
	char out[512];
	size_t cut;

	heap_remove(c->slot);
	c->pending = 0;
	n = snprintf(out, sizeof(out),
		     "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
		     fails ? "503 Service Unavailable" : "200 OK", strlen(body),
		     c->closes ? "Connection: close\r\n" : "", body);
	cut = chance() < pieces_share ? (size_t)n - strlen(body) : (size_t)n;
	if (send(fd, out, cut, MSG_NOSIGNAL) != (ssize_t)cut ||
	    (cut < (size_t)n && send(fd, out + cut, (size_t)n - cut, MSG_NOSIGNAL) < 0) ||
	    c->closes) {
		drop(fd);
		return;
	}
	take(fd);
}

static void readable(int fd)
{
	struct conn *c = &conns[fd];
	ssize_t n = recv(fd, c->in + c->len, MAX_HEAD - 1 - c->len, 0);

	if (n > 0) {
		c->len += (size_t)n;
		take(fd);
	} else if (!(n < 0 && (errno == EAGAIN || errno == EINTR))) {
		drop(fd);
	}
}

static void accept_all(int listener)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (fd >= MAX_CONNS) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		memset(&conns[fd], 0, offsetof(struct conn, in));
		conns[fd].used = 1;
		ev.data.fd = fd;
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	}
}

static int listen_on(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096)) {
		perror("backend: PORT");
		exit(1);
	}
	return fd;
}

/* Milliseconds until the first answer is due, rounded down: the loop looks again rather than late. */
static int next_ms(void)
{
	uint64_t t = now();

	if (!heap_len)
		return -1;
	return conns[heap[0]].due > t ? (int)((conns[heap[0]].due - t + 999999) / 1000000) : 0;
}

int main(void)
{
	struct epoll_event ev = {.events = EPOLLIN}, got[256];
	int listener, sfd, ended = 0, n, i;
	sigset_t set;

	delay_ns = env("DELAY_MS", 4) * 1e6;
	fail_share = env("FAIL", 0);
	pieces_share = env("PIECES", 0);
	if (getrandom(rng, sizeof(rng), 0) != sizeof(rng))
		return 1;
	if (getenv("SEEN"))
		seen_fd = open(getenv("SEEN"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ep = epoll_create1(EPOLL_CLOEXEC);
	listener = ev.data.fd = listen_on((int)env("PORT", 0));
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	sfd = ev.data.fd = signalfd(-1, &set, SFD_CLOEXEC);
	epoll_ctl(ep, EPOLL_CTL_ADD, sfd, &ev);
	while (!ended) {
		n = epoll_wait(ep, got, 256, next_ms());
		for (i = 0; i < n; i++) {
			if (got[i].data.fd == sfd)
				ended = 1;
			else if (got[i].data.fd == listener)
				accept_all(listener);
			else if (conns[got[i].data.fd].used)
				readable(got[i].data.fd);
		}
		while (heap_len && conns[heap[0]].due <= now())
			answer(heap[0]);
		seen_flush();
	}
	seen_flush();
	return 0;
}
