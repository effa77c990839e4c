/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libbpf says while it loads our programs: it tells a reason in warnings only, and returns an errno.
 */
#pragma once

#include <stdbool.h>

/* Of one load. Texts are one line each, empty: there was none. */
struct load_log {
	char first[200];   /* the first warning: those behind it follow from it */
	char program[64];  /* that the verifier refused */
	char verdict[200]; /* the line in which it says why */
};

/**
 * load_log_begin() - from now on libbpf's warnings of this thread go into l, and nowhere else; with CLEW_LIBBPF_LOG in
 * the environment they are printed, too, here and after load_log_end().
 */
void load_log_begin(struct load_log *l);
void load_log_end(void);
/** load_log_add() - one warning, as libbpf gives it: of many lines if it has the verifier's log in it. */
void load_log_add(struct load_log *l, const char *text);
/** load_log_tell() - why the load failed with err, and what to do. Returns err; -EPERM if rights were missing. */
int load_log_tell(const struct load_log *l, int err, char **ret_error);
