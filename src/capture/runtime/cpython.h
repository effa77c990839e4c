/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cpython.c uses of the files beside it: who works for whom in CPython where contexts do not tell.
 */
#pragma once

#include "capture/runtime/runtime.h"

/**
 * cpython_add_frames() - how the hooks find the future that a worker thread works for: c->python, for
 * version 3.minor. Left alone where that is not known (before 3.11), or a symbol is missing.
 */
void cpython_add_frames(const struct runtime_elf *e, unsigned minor, struct clew_task_chain *c);

/**
 * cpython_add_loops() - uvloop's queue of writes and greenlets, if the process has loaded these: into ret's
 * chain, probes and task. e: the interpreter's own file. Modules may come later: ask again.
 */
void cpython_add_loops(const struct runtime_proc *p, const struct runtime_elf *e,
		       struct runtime_info *ret);

/**
 * cpython_add_makers() - who makes the locks of futures: a probe on sem_init, if frames are looked at.
 */
void cpython_add_makers(const struct runtime_proc *p, struct runtime_info *ret);

/**
 * cpython_probe_at() - where in a function's first bytes an uprobe is cheapest: at a push or a conditional jump,
 * which the kernel emulates (0.9 us; others run out of line and trap twice), as long as nothing before it
 * changes a register. 0: at the beginning.
 */
unsigned cpython_probe_at(struct slice code);
