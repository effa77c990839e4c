/* SPDX-License-Identifier: Apache-2.0 */
/* The page's files as they are built in: made by tools/embed-ui. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct page_file {
	const char *path; /* "/assets/index-3fa9.js" */
	const char *type;
	const char *etag; /* with its quotes */
	const char *gz;	  /* compressed */
	size_t gz_n, plain_n;
	bool hashed; /* the name changes with the content */
};

/* Ends with a row whose path is NULL. */
extern const struct page_file page_files[];
