/* SPDX-License-Identifier: Apache-2.0 */
/* The socket and its client: the same answers with a writer and without one. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../store/util.h"
#include "server/client.h"
#include "server/server.h"

#define API CLEW_API_PREFIX

static int take(void *user, const char *bytes, size_t n)
{
	return clew_buf_add(user, bytes, n);
}

static int ask(const char *dir, const char *method, const char *target, const char *body,
	       struct clew_buf *out, char **error)
{
	clew_buf_clear(out);
	*error = NULL;
	return clew_client_ask(dir, method, target, slice_str(body), take, out, error);
}

static void fill(struct clew_store *st, uint64_t n)
{
	for (uint64_t i = 1; i <= n; i++)
		put_shop(st, i, T0 + i * MS);
	assert_int_equal(clew_store_flush(st), 0);
}

static void test_same_answers(void **state)
{
	static const char *const targets[] = {API "traces", API "spans", API "services", API "map",
					      API "trace/last"};
	char *dir = tmp_dir(), *error;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_buf by_socket[5] = {0}, here = {0};
	struct clew_server *server = NULL;
	struct stat sb;
	char path[300];

	fill(st, 300);
	assert_int_equal(clew_server_start(st, &server, &error), 0);
	snprintf(path, sizeof(path), "%s/" CLEW_SERVER_SOCKET, dir);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(ask(dir, "GET", targets[i], "", &by_socket[i], &error), 0);
	assert_true(by_socket[1].len > 300000);
	assert_int_equal(ask(dir, "POST", API "sql", "select count(*) from spans", &here, &error),
			 0);
	assert_non_null(strstr(here.data, "[900]"));
	assert_int_equal(ask(dir, "GET", API "trace/0000", "", &here, &error), -ENOENT);
	assert_non_null(strstr(error, "there is no trace"));
	free(error);
	assert_int_equal(ask(dir, "GET", API "spans?limit=x", "", &here, &error), -EINVAL);
	free(error);
	assert_int_equal(ask(dir, "POST", API "sql", "drop table c.service", &here, &error),
			 -EINVAL);
	free(error);
	clew_server_stop(server);
	assert_int_equal(stat(path, &sb), -1);
	clew_store_close(st);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(ask(dir, "GET", targets[i], "", &here, &error), 0);
		assert_string_equal(here.data, by_socket[i].data);
		clew_buf_done(&by_socket[i]);
	}
	assert_int_equal(ask(dir, "GET", API "trace/0000", "", &here, &error), -ENOENT);
	free(error);
	clew_buf_done(&here);
	rm_dir(dir);
}

static void test_no_store(void **state)
{
	char *dir = tmp_dir(), *error;
	struct clew_buf out = {0};

	assert_int_equal(ask(dir, "GET", API "traces", "", &out, &error), -ENOENT);
	assert_non_null(strstr(error, "there is no store in"));
	free(error);
	rm_dir(dir);
}

/* Answers that are larger than what is kept in memory, and a body that is too large. */
static void test_sizes(void **state)
{
	char *dir = tmp_dir(), *error, *body;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_server *server = NULL;
	struct clew_buf out = {0};
	size_t lines = 0;

	fill(st, 2000);
	assert_int_equal(clew_server_start(st, &server, &error), 0);
	assert_int_equal(ask(dir, "GET", API "spans", "", &out, &error), 0);
	for (size_t i = 0; i < out.len; i++)
		lines += out.data[i] == '\n';
	assert_int_equal(lines, 6000);
	assert_true(out.len > 1 << 20);
	body = malloc((2 << 20) + 1);
	memset(body, ' ', 2 << 20);
	body[2 << 20] = '\0';
	assert_int_equal(ask(dir, "POST", API "sql", body, &out, &error), -EFBIG);
	free(error);
	free(body);
	clew_server_stop(server);
	clew_store_close(st);
	clew_buf_done(&out);
	rm_dir(dir);
}

static int raw_connect(const char *dir)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/" CLEW_SERVER_SOCKET, dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Clients that go away at the wrong moment, and ones that talk nonsense. */
static void test_bad_clients(void **state)
{
	static const char get[] = "GET " API "spans HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char *const junk[] = {"\x16\x03\x01", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
					   "POST " API "sql HTTP/1.1\r\nHost: x\r\n"
					   "Content-Length: 99999999999\r\n\r\nselect"};
	char *dir = tmp_dir(), *error, byte;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_server *server = NULL;
	struct clew_buf out = {0};

	fill(st, 3000);
	assert_int_equal(clew_server_start(st, &server, &error), 0);
	for (int i = 0; i < 10; i++) {
		int fd = raw_connect(dir);

		assert_true(write(fd, get, sizeof(get) - 1) > 0);
		if (i % 2)
			assert_int_equal(read(fd, &byte, 1), 1);
		close(fd);
	}
	for (size_t i = 0; i < sizeof(junk) / sizeof(*junk); i++) {
		int fd = raw_connect(dir);

		assert_true(write(fd, junk[i], strlen(junk[i])) > 0);
		close(fd);
	}
	assert_int_equal(ask(dir, "GET", API "traces", "", &out, &error), 0);
	clew_server_stop(server);
	clew_store_close(st);
	clew_buf_done(&out);
	rm_dir(dir);
}

struct reader {
	const char *dir;
	_Atomic bool *stop;
	_Atomic uint64_t asked;
};

static void *read_on(void *arg)
{
	static const char *const targets[] = {API "traces?sort=duration", API "services", API "map",
					      API "spans?service=back"};
	struct reader *r = arg;
	struct clew_buf out = {0};
	char *error;

	while (!*r->stop) {
		int e = ask(r->dir, "GET", targets[r->asked % 4], "", &out, &error);

		if (e < 0)
			fprintf(stderr, "reader: %d %s\n", e, error ? error : "");
		if (e < 0)
			break;
		r->asked++;
	}
	clew_buf_done(&out);
	return NULL;
}

static bool all_asked(const struct reader *readers, size_t n, uint64_t least)
{
	for (size_t i = 0; i < n; i++)
		if (readers[i].asked < least)
			return false;
	return true;
}

/* Four readers do not keep the writer from writing. */
static void test_readers_beside_writer(void **state)
{
	struct clew_store_opts opts = {.hot_spans = 3000, .flush_ns = 20 * MS};
	char *dir = tmp_dir(), *error;
	struct clew_store *st = open_store(dir, &opts);
	struct clew_server *server = NULL;
	struct clew_store_stats stats;
	_Atomic bool stop = false;
	struct reader readers[4];
	pthread_t threads[4];
	uint64_t n;

	fill(st, 1000);
	assert_int_equal(clew_server_start(st, &server, &error), 0);
	for (int i = 0; i < 4; i++) {
		readers[i] = (struct reader){dir, &stop, (uint64_t)i};
		pthread_create(&threads[i], NULL, read_on, &readers[i]);
	}
	for (n = 1001; n <= 4000 || !all_asked(readers, 4, 8); n++) {
		put_shop(st, n, T0 + n * MS);
		if (n % 100 == 0)
			nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
	}
	assert_int_equal(clew_store_flush(st), 0);
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.stored, 3 * (n - 1));
	assert_int_equal(stats.failures, 0);
	clew_server_stop(server);
	clew_store_close(st);
	rm_dir(dir);
}

/* A reader without a writer is stopped by a writer that comes, and asks that one instead. */
static void test_writer_comes(void **state)
{
	char *dir = tmp_dir(), *error;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_server *server = NULL;
	_Atomic bool stop = false;
	struct reader r = {dir, &stop, 0};
	pthread_t thread;

	fill(st, 1000);
	clew_store_close(st);
	pthread_create(&thread, NULL, read_on, &r);
	for (int i = 0; i < 5 || !r.asked; i++) {
		st = open_store(dir, NULL);
		assert_int_equal(clew_server_start(st, &server, &error), 0);
		put_shop(st, 2000 + (uint64_t)i, T0);
		assert_int_equal(clew_store_flush(st), 0);
		clew_server_stop(server);
		clew_store_close(st);
	}
	stop = true;
	pthread_join(thread, NULL);
	rm_dir(dir);
}

/* A writer that was killed leaves its socket: readers are not led astray, the next writer replaces
 * it. */
static void test_stale_socket(void **state)
{
	char *dir = tmp_dir(), *error;
	struct clew_server *server = NULL;
	struct clew_buf out = {0};
	struct clew_store *st;
	int pipefd[2], status;
	pid_t pid;
	char byte;

	assert_int_equal(pipe(pipefd), 0);
	pid = fork();
	if (pid == 0) {
		st = open_store(dir, NULL);
		if (clew_server_start(st, &server, &error) < 0)
			_exit(1);
		fill(st, 10);
		if (write(pipefd[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	assert_int_equal(read(pipefd[0], &byte, 1), 1);
	assert_int_equal(ask(dir, "GET", API "traces", "", &out, &error), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(ask(dir, "GET", API "traces", "", &out, &error), 0);
	assert_int_equal(strncmp(out.data, "{\"trace_id\"", 11), 0);
	st = open_store(dir, NULL);
	assert_int_equal(clew_server_start(st, &server, &error), 0);
	assert_int_equal(ask(dir, "GET", API "stats", "", &out, &error), 0);
	clew_server_stop(server);
	clew_store_close(st);
	clew_buf_done(&out);
	close(pipefd[0]);
	close(pipefd[1]);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale_socket), cmocka_unit_test(test_same_answers),
		cmocka_unit_test(test_no_store),     cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bad_clients),  cmocka_unit_test(test_readers_beside_writer),
		cmocka_unit_test(test_writer_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
