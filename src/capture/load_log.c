/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/load_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "capture/internal.h"

#define BEGIN_LOG "-- BEGIN PROG LOAD LOG --"
#define END_LOG	  "-- END PROG LOAD LOG --"

static _Thread_local struct load_log *current;
static libbpf_print_fn_t printer; /* libbpf's own; NULL: all is quiet */

static int listen(enum libbpf_print_level level, const char *fmt, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	va_list copy;

	if (current && level == LIBBPF_WARN) {
		va_copy(copy, args);
		if (vasprintf(&text, fmt, copy) < 0)
			text = NULL;
		va_end(copy);
		if (text)
			load_log_add(current, text);
	}
	return printer ? printer(level, fmt, args) : 0;
}

void load_log_begin(struct load_log *l)
{
	libbpf_print_fn_t before = libbpf_set_print(listen);

	if (before != listen)
		printer = getenv("CLEW_LIBBPF_LOG") ? before : NULL;
	*l = (struct load_log){0};
	current = l;
}

void load_log_end(void)
{
	current = NULL;
}

static void copy_line(char *out, size_t size, const char *line, size_t n)
{
	snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), line);
}

/* Instructions, states and sources that it went through, and its sums: "12: (85) call ...", "; R0=...", "from 3 to 7:
 * ...", "processed 80 insns ...". */
static bool is_trace(const char *line, size_t n)
{
	static const char *const begins[] = {
		";", "from ", "processed ", "verification time ", "stack depth ", "mark_precise: "};
	size_t digits = strspn(line, "0123456789");

	if (!n || (digits && line[digits] == ':'))
		return true;
	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++)
		if (!strncmp(line, begins[i], strlen(begins[i])))
			return true;
	return false;
}

/* The last line that is none of those says why. */
static void keep_verdict(struct load_log *l, const char *log)
{
	const char *end = strstr(log, END_LOG), *name = strchr(log, '\'');
	const char *line = strchr(strstr(log, BEGIN_LOG), '\n');

	l->verdict[0] = l->program[0] = '\0';
	if (name && strchr(name + 1, '\''))
		copy_line(l->program, sizeof(l->program), name + 1, strcspn(name + 1, "'"));
	for (; line && line[1] && (!end || line + 1 < end); line = strchr(line + 1, '\n')) {
		size_t n = strcspn(line + 1, "\n");

		if (!is_trace(line + 1, n))
			copy_line(l->verdict, sizeof(l->verdict), line + 1, n);
	}
}

void load_log_add(struct load_log *l, const char *text)
{
	const char *prefix = "libbpf: ";
	size_t n;

	if (strstr(text, BEGIN_LOG))
		keep_verdict(l, text);
	else if (!l->first[0]) {
		text += strncmp(text, prefix, strlen(prefix)) ? 0 : strlen(prefix);
		copy_line(l->first, sizeof(l->first), text, strcspn(text, "\n"));
		n = strlen(l->first);
		if (n && l->first[n - 1] == '.') /* a remedy follows */
			l->first[n - 1] = '\0';
	}
}

/* libbpf tries some things again, and fails with another errno: then the first warning has the true one. */
static bool is_about(const struct load_log *l, int err, int e)
{
	return err == -e || strstr(l->first, strerror(e)) || strstr(l->first, strerrorname_np(e));
}

int load_log_tell(const struct load_log *l, int err, char **ret_error)
{
	const char *remedy = "CLEW_LIBBPF_LOG=1 in the environment shows all that libbpf says";

	if (l->verdict[0])
		return errorf(ret_error, err,
			      "cannot load the BPF programs: the kernel's verifier refuses %s: %s; "
			      "please "
			      "report it, with what CLEW_LIBBPF_LOG=1 `clew check` prints",
			      l->program, l->verdict);
	if (err == -EPERM || err == -EACCES)
		return errorf(
			ret_error, -EPERM,
			"the kernel refuses BPF programs: run as root, or with the capabilities of "
			"docs/capabilities.md");
	if (is_about(l, err, EMFILE))
		remedy = "raise the limit of open files (`ulimit -n`)";
	else if (is_about(l, err, ENOMEM))
		remedy = "a smaller --ring-size or more memory for clew's cgroup may help";
	return errorf(ret_error, err, "cannot load the BPF programs: %s; %s",
		      l->first[0] ? l->first : strerror(-err), remedy);
}
