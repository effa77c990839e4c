/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz what is made of strangers' texts before they are shown: requests' targets and headers, command lines, cgroups;
 * and the configuration file.
 *
 * A secret that is hidden somewhere in a text never comes out of it.
 *
 * Input: one byte (0 to 2: a kind of clew_redact(), 3: arguments, 4: names and headers, 5: a configuration file), one
 * that says where the secret is, then the text.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/internal.h"
#include "cli/cli.h"
#include "fuzz.h"
#include "identity/service_name.h"
#include "span/path_template.h"
#include "span/redact.h"
#include "span/trace_context.h"

#define SECRET "hunter2"

static void check_hidden(const struct clew_buf *out)
{
	FUZZ_CHECK(!out->len || !memmem(out->data, out->len, SECRET, strlen(SECRET)));
}

/* The text with a secret put into it. */
static void put_secret(struct clew_buf *b, struct slice text, size_t at, struct slice secret)
{
	at = text.n ? at * text.n / 256 : 0;
	clew_buf_add(b, text.p, at);
	clew_buf_add(b, secret.p, secret.n);
	clew_buf_add(b, text.p + at, text.n - at);
}

static void redact(enum clew_redact_kind kind, struct slice text, size_t at)
{
	struct clew_buf in = {0}, out = {0};

	if (text.n && memmem(text.p, text.n, SECRET, strlen(SECRET)))
		return;
	FUZZ_CHECK(!clew_redact(kind, &out, text) || no_memory_failed);
	if (!clew_redact_needed(kind, text))
		FUZZ_CHECK(slice_eq(clew_buf_slice(&out), text) || out.err);
	clew_buf_clear(&out);
	put_secret(&in, text, at, SLICE("token=" SECRET));
	FUZZ_CHECK(!clew_redact(kind, &out, clew_buf_slice(&in)) || no_memory_failed);
	check_hidden(&out);
	clew_buf_done(&in);
	clew_buf_done(&out);
}

static void redact_command(struct slice text, size_t at)
{
	struct clew_buf in = {0}, out = {0};

	if (text.n && memmem(text.p, text.n, SECRET, strlen(SECRET)))
		return;
	/* An argument of its own. */
	put_secret(&in, text, at, SLICE("\0--password=" SECRET "\0"));
	FUZZ_CHECK(!redact_args(in.data, in.len, &out) || no_memory_failed);
	check_hidden(&out);
	clew_buf_done(&in);
	clew_buf_done(&out);
}

static bool inside(struct slice s, const char *text, size_t n)
{
	return s.p >= text && s.p + s.n <= text + n;
}

/* Strings that end with NUL: program, comm, cgroup, arguments. */
static void name_service(const char *text, size_t n)
{
	const char *strings[16] = {NULL};
	struct clew_command c = {0};
	struct slice name;
	size_t k = 0;

	for (size_t i = 0; i < n && k < 16; i += strlen(text + i) + 1)
		strings[k++] = text + i;
	c = (struct clew_command){.exe = strings[0],
				  .comm = strings[1],
				  .cgroup = strings[2],
				  .own_cgroup = strings[3],
				  .args = strings + 4,
				  .n_args = k > 4 ? k - 4 : 0};
	name = clew_service_name(&c);
	FUZZ_CHECK(name.n && (inside(name, text, n) || slice_eq(name, SLICE("unknown_service"))));
	(void)clew_unit_name(strings[2]);
}

static void names(struct slice text)
{
	struct clew_trace_context context;
	char template[CLEW_TEMPLATE_MAX + 4];
	bool folded;
	char *copy;
	size_t n;

	if (!clew_traceparent_parse(text, &context))
		FUZZ_CHECK(!clew_id128_none(&context.trace_id) &&
			   !clew_id64_none(&context.span_id));
	if (text.n && !clew_b3_parse(text, &context))
		FUZZ_CHECK(!clew_id128_none(&context.trace_id) &&
			   !clew_id64_none(&context.span_id));
	n = clew_path_template(text, template, &folded);
	FUZZ_CHECK(n < sizeof(template) && !template[n]);
	(void)clew_header_secret(text);
	copy = malloc(text.n + 1);
	FUZZ_CHECK(copy || no_memory_failed);
	if (!copy)
		return;
	memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	name_service(copy, text.n + 1);
	free(copy);
}

static void config(struct slice text, uint8_t which)
{
	static int fd = -1;
	struct clew_options o;
	char path[64];
	int r;

	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, 0) &&
		   pwrite(fd, text.p, text.n, 0) == (ssize_t)text.n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = clew_options_init(&o, cli_options, 1u << which % 18, "clew it", 1);
	FUZZ_CHECK(r == 0 || (r == -ENOMEM && no_memory_failed));
	if (r < 0)
		return;
	r = clew_options_file(&o, path);
	FUZZ_CHECK(r == 0 || (r == -EINVAL && o.error[0]) || (r == -ENOMEM && no_memory_failed));
	FUZZ_CHECK(memchr(o.error, 0, sizeof(o.error)));
	for (const struct clew_option *row = cli_options; row->name; row++) {
		char *const *list = clew_options_list(&o, row->name, NULL);

		for (; list && *list; list++)
			FUZZ_CHECK(**list);
	}
	clew_options_done(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;

	if (size < 2 || size > 16384)
		return 0;
	text = slice_of(data + 2, size - 2);
	switch (data[0] % 6) {
	case 3:
		redact_command(text, data[1]);
		break;
	case 4:
		names(text);
		break;
	case 5:
		config(text, data[1]);
		break;
	default:
		redact((enum clew_redact_kind)(data[0] % 6), text, data[1]);
	}
	return 0;
}
