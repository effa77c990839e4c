/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of fields that libjvm carries: which field of which class is where.
 *
 * gHotSpotVMStructs is there for debuggers and exported, so stripped builds have it too. A second one, for
 * compilers written in Java (JVMCI), knows other fields; nothing exports it, so it is found by the strings
 * that it points to. libjvm's data is copied once, and all is walked in the copy.
 */
#pragma once

#include "capture/runtime/runtime.h"

#define VMSTRUCTS_MAX_IMAGE   (64u << 20) /* of libjvm's data; a larger part is left out */
#define VMSTRUCTS_MAX_REGIONS 16	  /* mappings of it */
#define VMSTRUCTS_MAX_ENTRIES 16384	  /* of a table */

/* Wanted fields. Several rows may fill one slot: fields moved between classes or were renamed. */
struct vm_field_row {
	unsigned int slot;
	const char *type, *name;
};

struct vm_field {
	bool found;
	uint64_t value; /* offset in the object; of a static field the address */
};

struct vm_image {
	struct vm_region {
		uint64_t start, size;
		char *data;
	} region[VMSTRUCTS_MAX_REGIONS];
	size_t n;
};

/** vm_image_read() - copy the data of the libjvm that is mapped at m. 0, -ENOENT (none), -ENOMEM. */
int vm_image_read(const struct runtime_proc *p, const struct runtime_map *m, struct vm_image *ret);
void vm_image_done(struct vm_image *im);

/**
 * vm_fields_exported() - fill the slots that gHotSpotVMStructs knows. 0; -EAGAIN: the VM has not made the
 * table yet; -ENOENT: libjvm has none; -EBADMSG: it makes no sense.
 */
int vm_fields_exported(const struct runtime_proc *p, const struct vm_image *im,
		       const struct runtime_elf *elf, const struct vm_field_row *rows,
		       size_t n_rows, struct vm_field *fields);

/** vm_fields_hidden() - fill the slots that stand in any table of libjvm's data. */
void vm_fields_hidden(const struct vm_image *im, const struct vm_field_row *rows, size_t n_rows,
		      struct vm_field *fields);
