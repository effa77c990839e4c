/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store, inside.
 *
 *	DIR/catalog.duckdb              names, resources, aliases, fragments, the schema's version
 *	DIR/spans-YYYYMMDDTHH.duckdb    a partition: spans that began in that hour (UTC)
 *	DIR/tmp/                        the engine's spill files
 *	DIR/writer.lock, readers.lock   lock.h
 *	DIR/clew.sock                   the server's
 *
 *	DIR/spans-YYYYMMDDTHH-N.log     its newest spans: hot.h
 *
 * A partition has `span`, runs of spans sorted by trace with a block index, and hot spans as they came, in
 * memory and in a log. Sealing turns a generation of these into a run.
 *
 *	queue ─► writer ─► log and memory ─► sealer ─► run
 *
 * Threads: who appends gives numbers to new names (names_lock), the writer's thread alone writes them into the
 * catalog and changes partitions and their list; the sealer writes one
 * partition's file at a time, while the writer leaves all of these files alone. Queries connect
 * on their own and hold `gate` shared; only recovery, which replaces the engine, takes it
 * exclusively, and interrupts them first.
 *
 *	state.h     what an open store holds
 *	hours.h     partitions and their files
 *	writing.h   what the writer does
 *	asking.h    queries
 *	ids.h       ids and types as the tables have them
 */
#pragma once

#include "store/asking.h"
#include "store/hours.h"
#include "store/ids.h"
#include "store/state.h"
#include "store/writing.h"
