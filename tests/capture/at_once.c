/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target whose threads send to one socket at once, or receive from it, with no lock of their own. The first one is
 * called "held", the others "free" (hold.bpf.c).
 *
 *	at_once tcp4|unix write|writev|sendmsg|nonblock CONNECTIONS LINES
 *	at_once tcp4|unix read|readv|recvmsg|recvnb CONNECTIONS LINES
 *	at_once tcp4 splice CONNECTIONS 3
 *
 * Over each connection THREADS threads send LINES lines each, "w3 17 ....\n": whose, which, and dots, as many as
 * the thread likes. Then, alone, a last line "end\n". Prints what the other end received, a JSON line for each
 * connection: {"stream":"..."}; and the writers of each: {"writer":3,"tid":77}.
 *
 * Else THREADS threads receive what the other end sends, THREADS * LINES lines of 16 bytes, each its number; then, alone,
 * a last one. Prints who got which: {"got":17,"tid":77}.
 *
 * splice: one thread splices the first of three lines, another one receives the second; when the first has ended,
 * the other splices the third, and sends an answer.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 4
#define LINE	16

static const char *call;
static int lines, fds[2];
static atomic_int left; /* lines to be received by threads */
static pthread_barrier_t together;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static ssize_t send_once(struct iovec iov[2])
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (!strcmp(call, "writev"))
		return writev(fds[0], iov, 2);
	if (!strcmp(call, "sendmsg"))
		return sendmsg(fds[0], &m, 0);
	if (!strcmp(call, "nonblock"))
		return sendmsg(fds[0], &m, MSG_DONTWAIT);
	return write(fds[0], iov[0].iov_base, iov[0].iov_len + iov[1].iov_len);
}

/* A line is in one buffer, so that write() sends it too. */
static void send_line(char *line, size_t n)
{
	struct iovec iov[2] = {{line, n / 2}, {line + n / 2, n - n / 2}};
	struct pollfd p = {.fd = fds[0], .events = POLLOUT};
	ssize_t r;

	while ((r = send_once(iov)) < 0 && errno == EAGAIN)
		poll(&p, 1, 1000);
	if (r != (ssize_t)n)
		die("send");
}

static void name_me(int me)
{
	prctl(PR_SET_NAME, me ? "free" : "held");
}

static void *writer(void *arg)
{
	int me = (int)(long)arg;
	char line[64];

	name_me(me);
	printf("{\"writer\":%d,\"tid\":%ld}\n", me, syscall(SYS_gettid));
	pthread_barrier_wait(&together);
	for (int i = 0; i < lines; i++) {
		size_t n =
			(size_t)sprintf(line, "w%d %d %.*s\n", me, i, (me + i) % 7 + 1, ".......");

		send_line(line, n);
	}
	return NULL;
}

static void *reader(void *arg)
{
	static char buf[1 << 20];
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(buf) && (n = read(fds[1], buf + got, sizeof(buf) - got)) > 0)
		got += (size_t)n;
	printf("{\"stream\":\"");
	for (size_t i = 0; i < got; i++)
		if (buf[i] == '\n')
			printf("\\n");
		else
			putchar(buf[i]);
	printf("\"}\n");
	return NULL;
}

static ssize_t receive_once(char line[LINE])
{
	struct iovec iov[2] = {{line, 5}, {line + 5, LINE - 5}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (!strcmp(call, "readv"))
		return readv(fds[0], iov, 2);
	if (!strcmp(call, "recvmsg"))
		return recvmsg(fds[0], &m, 0);
	if (!strcmp(call, "recvnb"))
		return recv(fds[0], line, LINE, MSG_DONTWAIT);
	return read(fds[0], line, LINE);
}

/* A line is in the socket whole or not at all. */
static void receive_line(void)
{
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	char line[LINE];
	ssize_t r;

	while ((r = receive_once(line)) < 0 && errno == EAGAIN)
		poll(&p, 1, 1000);
	if (r != LINE)
		die("receive");
	printf("{\"got\":%d,\"tid\":%ld}\n", atoi(line), syscall(SYS_gettid));
}

static void *receiver(void *arg)
{
	name_me((int)(long)arg);
	pthread_barrier_wait(&together);
	while (atomic_fetch_sub(&left, 1) > 0)
		receive_line();
	return NULL;
}

static void *sender(void *arg)
{
	char line[LINE + 1];

	for (int i = 0; i <= lines * THREADS; i++) {
		snprintf(line, sizeof(line), "%*d\n", LINE - 1, i);
		if (write(fds[1], line, LINE) != LINE)
			die("write");
	}
	return NULL;
}

static void connect_tcp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	if (l < 0 || bind(l, (struct sockaddr *)&a, len) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&a, &len))
		die("listen");
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fds[0], (struct sockaddr *)&a, len) ||
	    setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("connect");
	fds[1] = accept(l, NULL, NULL);
	close(l);
}

static void splice_line(void)
{
	int p[2];

	if (pipe(p) || splice(fds[0], NULL, p[1], NULL, LINE, 0) != LINE)
		die("splice");
	close(p[0]);
	close(p[1]);
}

static void *splicer(void *arg)
{
	pthread_barrier_t *two = arg;

	splice_line();
	pthread_barrier_wait(two);
	pthread_barrier_wait(two);
	return NULL;
}

static int count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = -2; /* . and .. */

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static void splices(void)
{
	pthread_barrier_t two;
	pthread_t thread;

	connect_tcp();
	lines = 0;
	for (int i = 0; i < 3; i++)
		sender(NULL);
	if (pthread_barrier_init(&two, NULL, 2) || pthread_create(&thread, NULL, splicer, &two))
		die("thread");
	pthread_barrier_wait(&two);
	receive_line();
	pthread_barrier_wait(&two);
	pthread_join(thread, NULL);
	while (count_threads() > 1) /* it may still be on its way out */
		sched_yield();
	splice_line();
	if (write(fds[0], "answer\n", 7) != 7)
		die("write");
	close(fds[0]);
	close(fds[1]);
}

static bool receives(void)
{
	return call[0] == 'r';
}

static void connection(const char *family)
{
	pthread_t threads[THREADS], other;

	left = lines * THREADS;
	if (!strcmp(family, "tcp4"))
		connect_tcp();
	else if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("socketpair");
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, receives() ? receiver : writer, (void *)i))
			die("thread");
	pthread_barrier_wait(&together);
	if (pthread_create(&other, NULL, receives() ? sender : reader, NULL))
		die("thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (receives()) {
		receive_line();
	} else {
		send_line((char[]){"end\n"}, 4);
		shutdown(fds[0], SHUT_WR);
	}
	pthread_join(other, NULL);
	close(fds[0]);
	close(fds[1]);
}

int main(int argc, char **argv)
{
	if (argc != 5 || pthread_barrier_init(&together, NULL, THREADS + 1))
		return 2;
	call = argv[2];
	lines = atoi(argv[4]);
	for (int i = 0; i < atoi(argv[3]); i++)
		if (!strcmp(call, "splice"))
			splices();
		else
			connection(argv[1]);
	return 0;
}
