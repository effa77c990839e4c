/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/out.h"

#include <langinfo.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include "base/id.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/cli.h"

/* Colours of the 256-colour palette that read well on black and on white, and are not red. */
static const uint8_t palette[] = {33, 37,  71,	99,  133, 136, 166, 30,
				  68, 107, 140, 173, 31,  97,  64,  172};

struct out_style out_style(void)
{
	const char *columns = getenv("COLUMNS"), *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE");
	bool tty = isatty(STDOUT_FILENO);
	struct out_style st = {.width = 100};
	struct winsize ws;
	uint64_t n;

	if (columns && clew_parse_u64(columns, 1000, &n) == 0 && n)
		st.width = (unsigned)n;
	else if (tty && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) && ws.ws_col)
		st.width = ws.ws_col;
	if (st.width < 40)
		st.width = 40;
	st.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	st.color = tty && term && strcmp(term, "dumb") != 0;
	if (force && *force && strcmp(force, "0") != 0)
		st.color = true;
	if (no_color && *no_color)
		st.color = false;
	return st;
}

static bool reader_gone;

bool out_closed(void)
{
	return reader_gone;
}

int out_raw(const void *p, size_t n, bool *ret_closed)
{
	const char *s = p;

	if (ret_closed)
		*ret_closed = false;
	while (n) {
		ssize_t w = write(STDOUT_FILENO, s, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && errno == EPIPE) {
			reader_gone = true;
			if (ret_closed)
				*ret_closed = true;
			return 0;
		}
		if (w < 0) {
			log_error("standard output: %s", strerror(errno));
			return CLI_FAILURE;
		}
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

int out_write(struct clew_buf *b)
{
	int r;

	if (b->err) {
		log_error(
			"the output is too long for memory; ask for less with filters or --limit");
		return CLI_FAILURE;
	}
	r = out_raw(b->data, b->len, NULL);
	clew_buf_clear(b);
	return r;
}

/* The next character of s: its bytes and its columns; bad: it must not be shown as it is. */
static size_t next_char(const char *s, unsigned *ret_cols, bool *ret_bad)
{
	unsigned char c = (unsigned char)*s;
	wchar_t wc;
	mbstate_t state = {0};
	size_t n;
	int w;

	*ret_cols = 1;
	*ret_bad = c < 0x20 || c == 0x7f;
	if (c < 0x80)
		return 1;
	n = mbrtowc(&wc, s, strnlen(s, 4), &state);
	if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
		*ret_bad = true;
		return 1;
	}
	w = wcwidth(wc);
	/* Not printable, and what turns the direction of writing around. */
	*ret_bad = w < 0 || (wc >= 0x202a && wc <= 0x202e) || (wc >= 0x2066 && wc <= 0x2069) ||
		   wc == 0x200e || wc == 0x200f;
	*ret_cols = *ret_bad ? 1 : (unsigned)w;
	return n;
}

unsigned out_text_width(const struct out_style *st, const char *s)
{
	unsigned total = 0, cols;
	bool bad;

	for (; *s; total += cols)
		s += next_char(s, &cols, &bad);
	return total;
}

unsigned out_text(struct clew_buf *b, const struct out_style *st, const char *s, unsigned width)
{
	bool cut = out_text_width(st, s) > width, bad;
	unsigned room = cut && width ? width - 1 : width, used = 0, cols;

	while (*s) {
		size_t n = next_char(s, &cols, &bad);

		if (used + cols > room)
			break;
		if (bad)
			clew_buf_adds(b, st->utf8 ? "\xef\xbf\xbd" : "?");
		else
			clew_buf_add(b, s, n);
		used += cols;
		s += n;
	}
	if (cut && width) {
		clew_buf_adds(b, st->utf8 ? "\xe2\x80\xa6" : "~");
		used++;
	}
	return used;
}

void out_pad(struct clew_buf *b, unsigned n)
{
	while (n--)
		clew_buf_addc(b, ' ');
}

void out_left(struct clew_buf *b, const struct out_style *st, const char *s, unsigned width)
{
	out_pad(b, width - out_text(b, st, s, width));
}

void out_right(struct clew_buf *b, const struct out_style *st, const char *s, unsigned width)
{
	unsigned w = out_text_width(st, s);

	if (w < width)
		out_pad(b, width - w);
	out_text(b, st, s, width);
}

const char *out_duration(const struct out_style *st, uint64_t ns, char *out)
{
	size_t n;

	clew_format_duration(ns, out);
	n = strlen(out);
	if (st->utf8 && n > 2 && !strcmp(out + n - 2, "us"))
		strcpy(out + n - 2, "\xc2\xb5s");
	return out;
}

void out_color(struct clew_buf *b, const struct out_style *st, int color)
{
	static const char *const codes[] = {"0", "1", "2", "31", "32", "33"};

	if (!st->color)
		return;
	if (color < OUT_SERVICE)
		clew_buf_addf(b, "\x1b[%sm", codes[color]);
	else
		clew_buf_addf(b, "\x1b[38;5;%um", palette[color - OUT_SERVICE]);
}

#define N_PALETTE (sizeof(palette) / sizeof(palette[0]))

/* Whose each colour is in this drawing: a hash of the name, 0 for nobody's. */
static uint64_t owners[N_PALETTE];

void out_service_colors_begin(void)
{
	memset(owners, 0, sizeof(owners));
}

int out_service_color(const char *service)
{
	uint64_t h = clew_hash64(service, strlen(service), 0) | 1;
	size_t first = (size_t)(h >> 8) % N_PALETTE;

	for (size_t i = 0; i < N_PALETTE; i++) {
		/* A step that has no factor in common with the size meets every colour, far ones
		 * first. */
		size_t at = (first + i * 5) % N_PALETTE;

		if (!owners[at])
			owners[at] = h;
		if (owners[at] == h)
			return OUT_SERVICE + (int)at;
	}
	return OUT_SERVICE + (int)first;
}
