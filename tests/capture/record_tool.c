/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capture layer by itself, for the tests of this folder: records as JSON lines on standard
 * output.
 *
 *	record_tool [-p PID]... [-c CGROUP]... [-e GLOB]... [-P PORT]... [-n NETNS]... [-a]
 *		    [-b PAYLOAD] [-r RING_BYTES] [-S] [-k] [-i POLL_MS] [-o RECORDING] [-j FILE] [--
 * CMD ARG...]
 *
 * The lines go to FILE, else to standard output. Says "ready" on standard error when tracing has
 * begun. Ends on SIGINT or SIGTERM, and with -- CMD when no target lives; then the last line is
 * {"stats":...}. -S: program statistics only, no records. -k: print the features of this kernel and
 * end.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "base/buf.h"
#include "capture/capture.h"
#include "capture/record_json.h"
#include "capture/recording.h"

#define MAX_LIST 16

struct tool {
	char *cgroups[MAX_LIST + 1], *exes[MAX_LIST + 1], *netns[MAX_LIST + 1];
	uint32_t pids[MAX_LIST];
	uint16_t ports[MAX_LIST];
	size_t n_cgroups, n_exes, n_netns;
	struct clew_capture_opts opts;
	struct clew_recording_writer *out;
	FILE *lines;
	const char *user;
	bool silent;
	int poll_ms;
	uint64_t n_io, n_payload;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static int on_record(void *user, const struct clew_rec *rec)
{
	struct tool *t = user;
	struct clew_buf line;
	int err = clew_record_check(rec, rec->len);

	if (err) {
		fprintf(stderr, "malformed record of type %u, %u bytes\n", rec->type, rec->len);
		return err;
	}
	if (rec->type == CLEW_REC_IO) {
		t->n_io++;
		t->n_payload += !!((const struct clew_rec_io *)rec)->cap_len;
	}
	if (t->out)
		return clew_recording_write(t->out, rec);
	if (t->silent)
		return 0;
	clew_buf_init(&line, 0);
	err = clew_record_json(rec, &line);
	if (!err)
		fprintf(t->lines, "%s\n", line.data);
	clew_buf_done(&line);
	return err;
}

static int check(void)
{
	struct clew_feature f[64];
	size_t n = clew_capture_check(f, 64);
	int bad = 0;

	for (size_t i = 0; i < n && i < 64; i++) {
		printf("%-22s %-3s %-8s %s\n", f[i].name, f[i].ok ? "yes" : "no",
		       f[i].required ? "required" : "optional", f[i].detail);
		bad |= f[i].required && !f[i].ok;
	}
	return bad;
}

static void print_stats(struct tool *t, struct clew_capture *c)
{
	struct clew_capture_stats s;

	clew_capture_stats(c, &s);
	fprintf(t->lines,
		"{\"stats\":{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"io\":%" PRIu64
		",\"payload\":%" PRIu64 ",\"lost_ring\":%" PRIu64 ",\"lost_not_run\":%" PRIu64
		",\"lost_task_state\":%" PRIu64
		",\"lost_sock_state\":%" PRIu64 ",\"lost_payload\":%" PRIu64
		",\"kernel_ns\":%" PRIu64 ",\"kernel_runs\":%" PRIu64 "}}\n",
		s.records, s.bytes, t->n_io, t->n_payload, s.lost_ring, s.lost_not_run,
		s.lost_task_state, s.lost_sock_state, s.lost_payload, s.kernel_ns, s.kernel_runs);
}

static int run(struct tool *t, char **argv)
{
	struct clew_capture *c = NULL;
	char *error = NULL;
	pid_t child = 0;
	int err = clew_capture_open(&t->opts, &c, &error), status = 0;

	if (!err && *argv) {
		child = clew_capture_spawn(c, argv, t->user, &error);
		err = child < 0 ? child : 0;
	}
	if (err) {
		fprintf(stderr, "error %d: %s\n", err, error ? error : "");
		free(error);
		clew_capture_free(c);
		return 1;
	}
	fprintf(stderr, "ready\n");
	while (!stop && !(child && !clew_capture_targets_alive(c))) {
		struct timespec pause = {.tv_nsec = t->poll_ms * 1000000l};

		err = clew_capture_poll(c, on_record, t);
		if (err < 0)
			break;
		fflush(t->lines);
		nanosleep(&pause, NULL);
	}
	clew_capture_stop(c);
	if (err >= 0)
		err = clew_capture_poll(c, on_record, t);
	if (child)
		waitpid(child, &status, 0);
	print_stats(t, c);
	clew_capture_free(c);
	if (t->out)
		clew_recording_close(t->out);
	return err < 0;
}

static int add(char **list, size_t *n, char *value)
{
	if (*n == MAX_LIST)
		return -1;
	list[(*n)++] = value;
	return 0;
}

int main(int argc, char **argv)
{
	struct tool t = {.opts = {.payload_bytes = 4096, .ring_bytes = 16 << 20}, .poll_ms = 5};
	struct clew_target_opts *o = &t.opts.targets;
	int opt;

	while ((opt = getopt(argc, argv, "+p:c:e:P:n:ab:r:Ski:o:j:u:")) != -1) {
		int bad = 0;

		switch (opt) {
		case 'p':
			t.pids[o->n_pids++ % MAX_LIST] = atoi(optarg);
			break;
		case 'P':
			t.ports[o->n_ports++ % MAX_LIST] = atoi(optarg);
			break;
		case 'c':
			bad = add(t.cgroups, &t.n_cgroups, optarg);
			break;
		case 'e':
			bad = add(t.exes, &t.n_exes, optarg);
			break;
		case 'n':
			bad = add(t.netns, &t.n_netns, optarg);
			break;
		case 'a':
			o->all = true;
			break;
		case 'b':
			t.opts.payload_bytes = atoi(optarg);
			break;
		case 'r':
			t.opts.ring_bytes = atoll(optarg);
			break;
		case 'S':
			t.silent = true;
			break;
		case 'i':
			t.poll_ms = atoi(optarg);
			break;
		case 'o':
			bad = clew_recording_create(optarg, &t.out);
			break;
		case 'j':
			t.lines = fopen(optarg, "we");
			bad = !t.lines;
			break;
		case 'u':
			t.user = optarg;
			break;
		case 'k':
			return check();
		default:
			bad = -1;
		}
		if (bad)
			return 2;
	}
	if (!t.lines)
		t.lines = stdout;
	o->pids = t.pids;
	o->ports = t.ports;
	o->cgroups = t.cgroups;
	o->exes = t.exes;
	o->netns = t.netns;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	return run(&t, argv + optind);
}
