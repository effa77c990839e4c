/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output: what is written there, and what it is able to show.
 *
 * A reader that goes away (EPIPE) ends the command quietly, with success: it has seen what it
 * wanted. Any other failed write is reported. Text that was seen on a wire never reaches a terminal
 * as it is: out_text() makes control characters visible, so that no traced program can send it
 * escape sequences.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct out_style {
	unsigned width; /* columns */
	bool utf8;	/* the locale can show it */
	bool color;
};

/**
 * out_style() - width from COLUMNS, else the terminal, else 100. Colour when standard output is a
 * terminal, unless NO_COLOR is set or TERM is dumb; CLICOLOR_FORCE brings it into a pipe.
 */
struct out_style out_style(void);

/** out_write() - all of b to standard output, which b then no longer holds. Returns the exit
 * status: 0, or CLI_FAILURE after having said why. */
int out_write(struct clew_buf *b);

/** out_closed() - a write found that the reader has gone: whoever writes again and again ends. */
bool out_closed(void);

/** out_raw() - the same of n bytes. *ret_closed: the reader has gone, stop writing. May be NULL. */
int out_raw(const void *p, size_t n, bool *ret_closed);

/**
 * out_text() - append at most width columns of s, made safe for a terminal: control characters and
 * invalid UTF-8 become visible stand-ins; what is too long ends in an ellipsis. Returns the columns
 * used. Without utf8, what is not ASCII becomes '?'.
 */
unsigned out_text(struct clew_buf *b, const struct out_style *st, const char *s, unsigned width);

/** out_text_width() - the columns that s takes, not cut. */
unsigned out_text_width(const struct out_style *st, const char *s);

/** out_pad() - n blanks. */
void out_pad(struct clew_buf *b, unsigned n);

/** out_left(), out_right() - s in a field of width columns. */
void out_left(struct clew_buf *b, const struct out_style *st, const char *s, unsigned width);
void out_right(struct clew_buf *b, const struct out_style *st, const char *s, unsigned width);

/** out_duration() - as clew_format_duration(), with the micro sign where it can be shown. */
const char *out_duration(const struct out_style *st, uint64_t ns, char *out);

/* Colours; nothing is written without st->color. */
enum out_color {
	OUT_PLAIN,
	OUT_BOLD,
	OUT_DIM,
	OUT_RED,
	OUT_GREEN,
	OUT_YELLOW,
	OUT_SERVICE, /* this and above: the services' own, OUT_SERVICE + out_service_color() */
};
void out_color(struct clew_buf *b, const struct out_style *st, int color);

/**
 * out_service_color() - by a hash of the name, so that a service has the same colour in every
 * command and on every day, but for a colour that another service of the same drawing has already:
 * then the next that is free. Never red. out_service_colors_begin() begins a drawing.
 */
int out_service_color(const char *service);
void out_service_colors_begin(void);
