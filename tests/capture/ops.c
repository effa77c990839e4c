/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target that does exactly what it is told, one socket operation after another.
 *
 *	ops [-w] [-f] [-n] [-t] [-p PID] tcp4|tcp6|unix|pair OP...
 *
 * Opens a connection to itself (c: the end that connected, s: the one that accepted) and runs each
 * OP, END:CALL:BYTES, e.g. c:send:100 s:recv:60 s:readv:40. Byte i that c sends is 'A' + i % 26,
 * byte i that s sends 'a' + i % 26, so whoever sees bytes can tell whether they are the right ones.
 *
 * Prints a JSON line for each: {"op":"c:send:100","ret":100,"tid":7}. -w: waits for a line on
 * standard input when the connection is open (and says "open"). -f: forks first, the child does it.
 * -n: connects without blocking. -t: each OP in a thread of its own, one after the other. -p PID: all
 * of it is done by a child of this id.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BYTES (32 << 20)
#define IOVS	  3
#define PIECES	  10

struct end {
	int fd;
	char base; /* of what it sends */
	size_t sent;
};

static struct end ends[2] = {{-1, 'A', 0}, {-1, 'a', 0}};
static char *buf;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static void fill(struct end *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = e->base + (e->sent + i) % 26;
}

/* The buffer cut in IOVS pieces, the first one small, one of them empty in the middle. */
static int cut(struct iovec *iov, size_t n)
{
	size_t first = n / 5, second = n / 3;

	iov[0] = (struct iovec){buf, first};
	iov[1] = (struct iovec){buf + first, second};
	iov[2] = (struct iovec){buf + first + second, n - first - second};
	return IOVS;
}

/* ... in more pieces than are captured. */
static ssize_t call_pieces(int fd, size_t n, bool send)
{
	struct iovec iov[PIECES];

	for (int i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){buf + n / PIECES * i, n / PIECES};
	return send ? writev(fd, iov, PIECES) : readv(fd, iov, PIECES);
}

static ssize_t call_mmsg(int fd, size_t n, bool send)
{
	struct iovec iov[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}}};
	int done = send ? sendmmsg(fd, m, 2, 0) : recvmmsg(fd, m, 2, 0, NULL);

	if (done < 0)
		return -1;
	return m[0].msg_len + (done > 1 ? m[1].msg_len : 0);
}

static ssize_t call_sendfile(int fd, size_t n)
{
	int file = memfd_create("ops", 0);
	off_t at = 0;
	ssize_t ret;

	if (file < 0 || write(file, buf, n) != (ssize_t)n)
		die("memfd");
	ret = sendfile(fd, file, &at, n);
	close(file);
	return ret;
}

static ssize_t call_splice(int fd, size_t n, bool send)
{
	int p[2];
	ssize_t ret;

	if (pipe(p))
		die("pipe");
	if (send) {
		if (write(p[1], buf, n) != (ssize_t)n)
			die("pipe write");
		ret = splice(p[0], NULL, fd, NULL, n, 0);
	} else {
		ret = splice(fd, NULL, p[1], NULL, n, 0);
	}
	close(p[0]);
	close(p[1]);
	return ret;
}

/* One operation through a ring of its own. */
static ssize_t call_uring(int fd, size_t n, bool send)
{
	struct io_uring_params p = {0};
	int ring = syscall(SYS_io_uring_setup, 4, &p);
	unsigned int *tail, *array, *cq_head;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	char *sq, *cq;
	ssize_t ret;

	if (ring < 0)
		die("io_uring_setup");
	sq = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		die("io_uring mmap");
	tail = (unsigned int *)(sq + p.sq_off.tail);
	array = (unsigned int *)(sq + p.sq_off.array);
	cq_head = (unsigned int *)(cq + p.cq_off.head);
	cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	sqes[0] = (struct io_uring_sqe){.opcode = send ? IORING_OP_SEND : IORING_OP_RECV,
					.fd = fd,
					.addr = (unsigned long)buf,
					.len = n};
	array[0] = 0;
	__atomic_store_n(tail, 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		die("io_uring_enter");
	ret = cqes[*cq_head & (p.cq_entries - 1)].res;
	munmap(sq, 1 << 16);
	munmap(cq, 1 << 16);
	munmap(sqes, 4096);
	close(ring);
	return ret;
}

static ssize_t do_send(int fd, const char *call, size_t n)
{
	struct iovec iov[IOVS];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = cut(iov, n)};

	if (!strcmp(call, "write"))
		return write(fd, buf, n);
	if (!strcmp(call, "writev"))
		return writev(fd, iov, IOVS);
	if (!strcmp(call, "writemany"))
		return call_pieces(fd, n, true);
	if (!strcmp(call, "pwritev2"))
		return pwritev2(fd, iov, IOVS, -1, 0);
	if (!strcmp(call, "send"))
		return send(fd, buf, n, 0);
	if (!strcmp(call, "sendnb"))
		return send(fd, buf, n, MSG_DONTWAIT);
	if (!strcmp(call, "sendto"))
		return sendto(fd, buf, n, MSG_NOSIGNAL, NULL, 0);
	if (!strcmp(call, "sendmsg"))
		return sendmsg(fd, &m, 0);
	if (!strcmp(call, "sendmmsg"))
		return call_mmsg(fd, n, true);
	if (!strcmp(call, "sendfile"))
		return call_sendfile(fd, n);
	if (!strcmp(call, "splicein"))
		return call_splice(fd, n, true);
	if (!strcmp(call, "uringsend"))
		return call_uring(fd, n, true);
	return -2;
}

static ssize_t do_recv(int fd, const char *call, size_t n)
{
	struct iovec iov[IOVS];
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = cut(iov, n)};

	if (!strcmp(call, "read"))
		return read(fd, buf, n);
	if (!strcmp(call, "readv"))
		return readv(fd, iov, IOVS);
	if (!strcmp(call, "readmany"))
		return call_pieces(fd, n, false);
	if (!strcmp(call, "preadv2"))
		return preadv2(fd, iov, IOVS, -1, 0);
	if (!strcmp(call, "recv"))
		return recv(fd, buf, n, 0);
	if (!strcmp(call, "recvnb"))
		return recv(fd, buf, n, MSG_DONTWAIT);
	if (!strcmp(call, "recvfrom"))
		return recvfrom(fd, buf, n, 0, NULL, NULL);
	if (!strcmp(call, "recvmsg"))
		return recvmsg(fd, &m, 0);
	if (!strcmp(call, "recvmmsg"))
		return call_mmsg(fd, n, false);
	if (!strcmp(call, "peek"))
		return recv(fd, buf, n, MSG_PEEK);
	if (!strcmp(call, "trunc"))
		return recv(fd, buf, n, MSG_TRUNC);
	if (!strcmp(call, "errqueue"))
		return recv(fd, buf, n, MSG_ERRQUEUE | MSG_DONTWAIT);
	if (!strcmp(call, "spliceout"))
		return call_splice(fd, n, false);
	if (!strcmp(call, "uringrecv"))
		return call_uring(fd, n, false);
	return -2;
}

static bool sleeps(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f) {
		(void)!fscanf(f, "%*d (%*[^)]) %c", &state);
		fclose(f);
	}
	return state == 'S';
}

/* Sends n bytes, more than there is room for; a child of ours reads them when the send has to wait. */
static ssize_t big(struct end *e, struct end *other, size_t n)
{
	int room = 256 << 10; /* it would grow with what was read before */
	ssize_t ret;
	pid_t pid;

	if (setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ||
	    setsockopt(other->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)))
		die("setsockopt");
	pid = fork();
	if (!pid) {
		size_t got = 0;
		ssize_t r;

		while (!sleeps(getppid()))
			usleep(1000);
		usleep(50000);
		while (got < n && (r = read(other->fd, buf, 1 << 20)) > 0)
			got += r;
		_exit(0);
	}
	ret = write(e->fd, buf, n);
	waitpid(pid, NULL, 0);
	return ret;
}

/* n 1: what is sent waits until n 0. */
static int cork(int fd, int n)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CORK, &n, sizeof(n));
}

static void *run(void *arg)
{
	char *op = arg;
	char end, call[32];
	struct end *e;
	size_t n;
	ssize_t ret;

	if (sscanf(op, "%c:%31[^:]:%zu", &end, call, &n) != 3 || n > MAX_BYTES)
		exit(2);
	e = &ends[end == 's'];
	fill(e, n);
	if (!strcmp(call, "shutdown")) {
		ret = shutdown(e->fd, SHUT_WR);
	} else if (!strcmp(call, "close")) {
		ret = close(e->fd);
	} else if (!strcmp(call, "cork")) {
		ret = cork(e->fd, n);
	} else if (!strcmp(call, "big")) {
		ret = big(e, &ends[end != 's'], n);
		e->sent += ret;
	} else {
		ret = do_send(e->fd, call, n);
		if (ret > 0)
			e->sent += ret;
		if (ret == -2)
			ret = do_recv(e->fd, call, n);
		if (ret == -2)
			exit(2);
	}
	printf("{\"op\":\"%s\",\"ret\":%zd,\"tid\":%ld}\n", op, ret, syscall(SYS_gettid));
	fflush(stdout);
	return NULL;
}

static void run_in_thread(char *op)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, op) || pthread_join(t, NULL))
		die("thread");
}

static void open_tcp(int family, bool nonblock)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t len = family == AF_INET ? sizeof(a4) : sizeof(a6);
	int l = socket(family, SOCK_STREAM, 0);

	if (l < 0 || bind(l, a, len) || listen(l, 5) || getsockname(l, a, &len))
		die("listen");
	ends[0].fd = socket(family, SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0), 0);
	if (connect(ends[0].fd, a, len)) {
		struct pollfd p = {.fd = ends[0].fd, .events = POLLOUT};

		if (errno != EINPROGRESS || poll(&p, 1, 5000) != 1)
			die("connect");
	}
	ends[1].fd = accept(l, NULL, NULL);
	close(l);
}

static void open_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/clew-ops-%d.sock", getpid());
	unlink(a.sun_path);
	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 5))
		die("listen");
	ends[0].fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(ends[0].fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	ends[1].fd = accept(l, NULL, NULL);
	close(l);
	unlink(a.sun_path);
}

/* Goes on in a child of this id. */
static void fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (unsigned long)&pid, .set_tid_size = 1};
	long ret = syscall(SYS_clone3, &args, sizeof(args));
	int status;

	if (ret < 0)
		die("clone3");
	if (!ret)
		return;
	waitpid(ret, &status, 0);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
	bool wait_line = false, do_fork = false, nonblock = false, threads = false;
	char line[16];
	int opt;

	while ((opt = getopt(argc, argv, "+wfntp:")) != -1) {
		wait_line |= opt == 'w';
		do_fork |= opt == 'f';
		nonblock |= opt == 'n';
		threads |= opt == 't';
		if (opt == 'p')
			fork_as(atoi(optarg));
	}
	buf = malloc(MAX_BYTES);
	if (optind >= argc || !buf)
		return 2;
	if (!strcmp(argv[optind], "tcp4") || !strcmp(argv[optind], "tcp6")) {
		open_tcp(argv[optind][3] == '4' ? AF_INET : AF_INET6, nonblock);
	} else if (!strcmp(argv[optind], "unix")) {
		open_unix();
	} else {
		int sv[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
			die("socketpair");
		ends[0].fd = sv[0];
		ends[1].fd = sv[1];
	}
	for (int i = optind + 1; i < argc && !strncmp(argv[i], "pre:", 4); i++, optind++)
		run(argv[i] + 4);
	if (wait_line) {
		printf("{\"open\":%d}\n", getpid());
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 1;
	}
	if (do_fork && fork()) {
		wait(NULL);
		return 0;
	}
	for (int i = optind + 1; i < argc; i++)
		if (threads)
			run_in_thread(argv[i]);
		else
			run(argv[i]);
	return 0;
}
