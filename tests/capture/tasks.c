/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target of threads and processes.
 *
 *	tasks futex	a condition variable hands work to a thread 20 times
 *	tasks eventfd	the same through an eventfd
 *	tasks pipe	the same through a pipe
 *	tasks fork|vfork|clone	makes a child (clone: a thread) that ends with status 7 (a thread:
 * 0) tasks exec PROGRAM ARG...	execs from a second thread tasks line	waits for a line on standard
 * input, then forks a child that says "x" to a socketpair
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static int todo, finished;
static int in_fd, out_fd, back_fd[2];
static _Atomic int worker_tid;

/* Until the worker sleeps: that it is woken is what is tested. */
static void wait_asleep(void)
{
	char path[64], state = 0;

	while (state != 'S') {
		FILE *f;

		usleep(1000);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", worker_tid);
		f = worker_tid ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		(void)!fscanf(f, "%*d (%*[^)]) %c", &state);
		fclose(f);
	}
}

static void *cond_worker(void *arg)
{
	worker_tid = gettid();
	pthread_mutex_lock(&lock);
	for (int i = 0; i < ROUNDS; i++) {
		while (!todo)
			pthread_cond_wait(&work, &lock);
		todo = 0;
		finished = 1;
		pthread_cond_signal(&done);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *fd_worker(void *arg)
{
	uint64_t v;

	worker_tid = gettid();
	for (int i = 0; i < ROUNDS; i++)
		if (read(in_fd, &v, 8) != 8 || write(back_fd[1], "d", 1) != 1)
			break;
	return NULL;
}

static int run_cond(void)
{
	pthread_t t;

	pthread_create(&t, NULL, cond_worker, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		wait_asleep();
		pthread_mutex_lock(&lock);
		todo = 1;
		finished = 0;
		pthread_cond_signal(&work);
		while (!finished)
			pthread_cond_wait(&done, &lock);
		pthread_mutex_unlock(&lock);
	}
	return pthread_join(t, NULL);
}

static int run_fd(int is_pipe)
{
	uint64_t one = 1;
	pthread_t t;
	int p[2];
	char c;

	if (is_pipe && pipe(p))
		return 1;
	in_fd = is_pipe ? p[0] : eventfd(0, 0);
	out_fd = is_pipe ? p[1] : in_fd;
	if (pipe(back_fd))
		return 1;
	pthread_create(&t, NULL, fd_worker, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		wait_asleep();
		if (write(out_fd, &one, 8) != 8 || read(back_fd[0], &c, 1) != 1)
			return 1;
	}
	return pthread_join(t, NULL);
}

static void *nothing(void *arg)
{
	return NULL;
}

static void *exec_it(void *arg)
{
	char **argv = arg;

	execv(argv[0], argv);
	return NULL;
}

static int say_x(void)
{
	char line[16], c;
	int sv[2];

	puts("waiting");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		return 1;
	if (!fork())
		_exit(write(sv[0], "x", 1) != 1);
	return read(sv[1], &c, 1) != 1 || wait(NULL) < 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	pthread_t t;

	if (!strcmp(what, "futex"))
		return run_cond();
	if (!strcmp(what, "eventfd") || !strcmp(what, "pipe"))
		return run_fd(!strcmp(what, "pipe"));
	if (!strcmp(what, "fork") || !strcmp(what, "vfork")) {
		pid_t pid = !strcmp(what, "fork") ? fork() : vfork();

		if (!pid)
			_exit(7);
		return waitpid(pid, NULL, 0) < 0;
	}
	if (!strcmp(what, "clone"))
		return pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL);
	if (!strcmp(what, "exec") && argc > 2) {
		pthread_create(&t, NULL, exec_it, argv + 2);
		pause();
	}
	if (!strcmp(what, "line"))
		return say_x();
	return 2;
}
