/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clew-spawn: many short processes, one after the other on each of JOBS threads of execution.
 *
 *	clew-spawn N JOBS [PORT EVERY]
 *
 * Each of the N processes is this program again, which ends at once; each EVERYth sends a request to
 * 127.0.0.1:PORT first and waits for the answer. Standard output gets the count every tenth of N.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int call(const char *port)
{
	static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)atoi(port)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[4096];

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
		return 1;
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		;
	close(fd);
	return 0;
}

static void begin(char *self, char *port)
{
	char *args[] = {self, "--one", port, NULL};
	pid_t pid;
	int r = posix_spawn(&pid, self, NULL, NULL, args, environ);

	if (r) {
		fprintf(stderr, "clew-spawn: %s\n", strerror(r));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	unsigned long n, jobs, every, failed = 0;
	int status;

	if (argc >= 2 && !strcmp(argv[1], "--one"))
		return argc > 2 ? call(argv[2]) : 0;
	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: clew-spawn N JOBS [PORT EVERY]\n");
		return 2;
	}
	n = strtoul(argv[1], NULL, 10);
	jobs = strtoul(argv[2], NULL, 10);
	every = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
	for (unsigned long i = 0, out = 0; i < n || out;) {
		if (i < n && out < jobs) {
			begin(argv[0], every && i % every == 0 ? argv[3] : NULL);
			i++;
			out++;
			if (i % (n / 10 ? n / 10 : 1) == 0) {
				printf("%lu\n", i);
				fflush(stdout);
			}
			continue;
		}
		if (wait(&status) < 0)
			break;
		failed += status != 0;
		out--;
	}
	if (failed)
		fprintf(stderr, "clew-spawn: %lu of %lu did not get an answer\n", failed, n);
	return failed > 0;
}
