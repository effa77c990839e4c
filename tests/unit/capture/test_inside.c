/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a process whose root is not ours:
 *
 *	top/outside/           is ours, and nothing may be done there
 *	top/root/              is the process's
 *	top/root/there ──► what the test says
 *
 * Linked with --wrap for syscall.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "capture/inside.h"

static char top[64];
static int again; /* so many times the kernel says EAGAIN */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 && again) {
		again--;
		errno = EAGAIN;
		return -1;
	}
	return __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

static const char *path(const char *name)
{
	static char out[2][128];
	static int turn;

	turn = !turn;
	snprintf(out[turn], sizeof(out[turn]), "%s/%s", top, name);
	return out[turn];
}

static int make(void **state)
{
	snprintf(top, sizeof(top), "/tmp/clew-inside.XXXXXX");
	return !mkdtemp(top) || mkdir(path("outside"), 0700) || mkdir(path("root"), 0700) ||
	       mkdir(path("root/own"), 0700);
}

static int clear(void **state)
{
	static const char *const files[] = {"root/there",     "root/own/file", "root/own/link",
					    "root/own/plain", "root/own/sock", "outside/sock"};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		unlink(path(files[i]));
	return rmdir(path("root/own")) || rmdir(path("root")) || rmdir(path("outside")) ||
	       rmdir(top);
}

/* What is opened as /there, a link to where. */
static int open_link(const char *where)
{
	unlink(path("root/there"));
	assert_int_equal(symlink(where, path("root/there")), 0);
	return inside_dir(path("root"), "/there");
}

static bool same(int fd, const char *name)
{
	struct stat a, b;

	assert_int_equal(fstat(fd, &a) || stat(path(name), &b), 0);
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void test_links_stay_inside(void **state)
{
	static const char *const ways[] = {"own", "/own", "../../../own", "/../own"};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		_cleanup_(closep) int fd = open_link(ways[i]);

		assert_true(fd >= 0 && same(fd, "root/own"));
	}
	assert_int_equal(open_link(path("outside")), -ENOENT);
	assert_int_equal(open_link("../outside"), -ENOENT);
	assert_int_equal(open_link("/proc/self/cwd"), -ENOENT);
	assert_int_equal(inside_dir(path("none"), "/there"), -ENOENT);
}

/* While something is renamed the kernel may give up, and is asked again: not for ever. */
static void test_asks_again(void **state)
{
	for (int times = 4; times <= 4000; times += 3996) {
		_cleanup_(closep) int fd = -1;

		again = times;
		fd = inside_dir(path("root"), "/own");
		if (times == 4)
			assert_true(fd >= 0 && same(fd, "root/own"));
		else
			assert_int_equal(fd, -EAGAIN);
	}
	again = 0;
}

static void test_creates_what_was_not_there(void **state)
{
	_cleanup_(closep) int dir = inside_dir(path("root"), "own");
	_cleanup_(closep) int fd = inside_create(dir, "file", 0600);

	assert_true(fd >= 0 && same(fd, "root/own/file"));
	assert_int_equal(inside_create(dir, "file", 0600), -EEXIST);
	assert_int_equal(symlink(path("outside/file"), path("root/own/link")), 0);
	assert_int_equal(inside_create(dir, "link", 0600), -EEXIST);
	assert_int_equal(access(path("outside/file"), F_OK), -1);
}

static int listen_at(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4), 0);
	return fd;
}

static void test_connects_to_sockets_alone(void **state)
{
	_cleanup_(closep) int dir = inside_dir(path("root"), "own");
	_cleanup_(closep) int own = listen_at("root/own/sock");
	_cleanup_(closep) int ours = listen_at("outside/sock");
	_cleanup_(closep) int fd = inside_connect(dir, "sock"), served = -1;

	assert_true(fd >= 0);
	served = accept(own, NULL, NULL);
	assert_true(served >= 0);
	assert_int_equal(symlink(path("outside/sock"), path("root/own/link")), 0);
	assert_int_equal(inside_connect(dir, "link"), -ENOTSOCK);
	close(inside_create(dir, "plain", 0600));
	assert_int_equal(inside_connect(dir, "plain"), -ENOTSOCK);
	assert_int_equal(inside_connect(dir, "none"), -ENOENT);
	assert_true(ours >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_links_stay_inside, make, clear),
		cmocka_unit_test_setup_teardown(test_asks_again, make, clear),
		cmocka_unit_test_setup_teardown(test_creates_what_was_not_there, make, clear),
		cmocka_unit_test_setup_teardown(test_connects_to_sockets_alone, make, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
