/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of hot.h into the engine's vectors, a column at a time. */
#pragma once

#include "store/hot.h"
#include "store/schema.h"

/* Rows that are filled in at once. */
#define HOT_FILL_MAX 2048

/** hot_fill_columns() - the result's columns: span's, and rowid if it is numbered. */
void hot_fill_columns(duckdb_bind_info info, bool numbered);
/** hot_fill() - column col of n rows; N_SPAN_COLUMNS: their numbers. Text is not copied. */
void hot_fill(duckdb_vector vec, idx_t col, const struct hot_row *const *rows, const uint32_t *nums,
	      idx_t n);
