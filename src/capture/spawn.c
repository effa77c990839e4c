/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start a command as a target.
 *
 *	parent			child
 *	fork ---------------->	waits on `go`
 *	marks it (a walk)
 *	writes `go` --------->	becomes the user, execs; on failure writes the errno to `failed`
 *	reads `failed`		(close-on-exec: the end of file means that exec worked)
 *
 * The child stays in our process group, so that the terminal's signals reach it as if no tracer
 * were there.
 */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>

#include "capture/internal.h"
#include "clew.skel.h"

struct start {
	int go[2], failed[2];
	const struct passwd *pw; /* NULL: as we are */
	char *const *argv;
};

static void become(const struct passwd *pw)
{
	if (initgroups(pw->pw_name, pw->pw_gid) || setgid(pw->pw_gid) || setuid(pw->pw_uid))
		return;
	setenv("HOME", pw->pw_dir, 1);
	setenv("USER", pw->pw_name, 1);
	setenv("LOGNAME", pw->pw_name, 1);
	errno = 0;
}

static void child(struct start *s)
{
	sigset_t none;
	char go;
	int err;

	close(s->go[1]);
	close(s->failed[0]);
	if (read(s->go[0], &go, 1) != 1)
		_exit(125);
	/* What a tracer blocks or ignores for itself is none of the command's business. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	errno = 0;
	if (s->pw)
		become(s->pw);
	if (!errno)
		execvp(s->argv[0], s->argv);
	err = errno;
	if (write(s->failed[1], &err, sizeof(err)) < 0)
		_exit(125);
	_exit(err == ENOENT ? 127 : 126);
}

static void close_all(struct start *s)
{
	int *fds[] = {&s->go[0], &s->go[1], &s->failed[0], &s->failed[1]};

	for (size_t i = 0; i < 4; i++)
		closep(fds[i]);
}

static int mark(struct clew_capture *c, uint32_t pid)
{
	uint8_t one = 1;
	int err;

	err = bpf_map__update_elem(c->skel->maps.wanted, &pid, sizeof(pid), &one, sizeof(one),
				   BPF_ANY);
	if (!err)
		err = targets_walk_tasks(c);
	/* Pids are used again: the next process of this number is not wanted. */
	bpf_map__delete_elem(c->skel->maps.wanted, &pid, sizeof(pid), 0);
	return err;
}

/* 0, or the errno with which the command did not start. */
static int start_it(struct clew_capture *c, struct start *s, pid_t pid)
{
	ssize_t n;
	int err = 0;

	c->spawned = pid;
	err = mark(c, pid);
	if (err)
		return err;
	if (write(s->go[1], "g", 1) != 1)
		return -errno;
	do
		n = read(s->failed[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	return n == sizeof(err) ? -err : 0;
}

pid_t clew_capture_spawn(struct clew_capture *c, char *const *argv, const char *user,
			 char **ret_error)
{
	struct start s = {.go = {-1, -1}, .failed = {-1, -1}, .argv = argv};
	pid_t pid;
	int err;

	if (user) {
		s.pw = getpwnam(user);
		if (!s.pw)
			return errorf(ret_error, -EINVAL, "--user %s: no such user", user);
	}
	if (pipe2(s.go, O_CLOEXEC) || pipe2(s.failed, O_CLOEXEC) || (pid = fork()) < 0) {
		err = -errno;
		close_all(&s);
		return errorf(ret_error, err, "cannot start a process: %s", strerror(-err));
	}
	if (!pid)
		child(&s);
	close(s.go[0]);
	close(s.failed[1]);
	s.go[0] = s.failed[1] = -1;
	err = start_it(c, &s, pid);
	close_all(&s);
	if (!err)
		return pid;
	c->spawned = 0;
	waitpid(pid, NULL, 0);
	if (err == -ENOENT && !strchr(argv[0], '/'))
		return errorf(ret_error, err, "cannot run %s: it is in no directory of PATH",
			      argv[0]);
	return errorf(ret_error, err, "cannot run %s: %s", argv[0], strerror(-err));
}
