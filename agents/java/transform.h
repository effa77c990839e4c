/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to clew.agent.Work, put at the beginning of methods of the JDK. hooks.c has the table.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * transform_class() - a changed copy of a class file, which the caller frees.
 * @name: internal name of the class.
 *
 * Returns how many methods were changed; 0: none is known, ret is untouched; -1: the class file makes no
 * sense, or there is no memory.
 */
int transform_class(const char *name, const uint8_t *in, size_t n, uint8_t **ret, size_t *ret_n);
