/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of fields: see vmstructs.h.
 *
 * An entry is {type name, field name, type of the field, is static, offset, address}. Where these are in
 * an entry, and how long it is, stands in exported words beside the exported table.
 */
#include <string.h>

#include "capture/runtime/vmstructs.h"

/* The layout of all entries since JDK 6 (vmStructs.hpp); only the hidden table relies on it. */
struct entry {
	uint64_t type, name, field_type;
	int32_t is_static;
	uint32_t pad;
	uint64_t offset, address;
};
_Static_assert(sizeof(struct entry) == 48, "VMStructEntry");

void vm_image_done(struct vm_image *im)
{
	for (size_t i = 0; i < im->n; i++)
		free(im->region[i].data);
	im->n = 0;
}

static bool same_file(const struct runtime_map *a, const struct runtime_map *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/*
 * Code is left out, unless strings are in the same mapping (linked without -z separate-code), and what
 * cannot be read: padding behind the end of the file.
 */
int vm_image_read(const struct runtime_proc *p, const struct runtime_map *m, struct vm_image *ret)
{
	struct vm_image im = {};
	uint64_t total = 0;

	for (size_t i = 0; i < p->n_maps && im.n < VMSTRUCTS_MAX_REGIONS; i++) {
		const struct runtime_map *o = &p->maps[i];
		uint64_t size = o->end - o->start;
		char *data;

		if ((o->exec && !o->first) || !same_file(m, o) ||
		    size > VMSTRUCTS_MAX_IMAGE - total)
			continue;
		data = malloc(size);
		if (!data) {
			vm_image_done(&im);
			return -ENOMEM;
		}
		if (runtime_read(p, o->start, data, size)) {
			free(data);
			continue;
		}
		total += size;
		im.region[im.n++] = (struct vm_region){o->start, size, data};
	}
	if (!im.n)
		return -ENOENT;
	*ret = im;
	return 0;
}

/* n bytes of the copy; NULL: not in it. */
static const void *image_at(const struct vm_image *im, uint64_t addr, size_t n)
{
	for (size_t i = 0; i < im->n; i++) {
		const struct vm_region *r = &im->region[i];

		if (addr >= r->start && addr - r->start < r->size &&
		    n <= r->size - (addr - r->start))
			return r->data + (addr - r->start);
	}
	return NULL;
}

/* The comparison stays inside the copy: all bytes of s and its NUL are asked for. */
static bool string_is(const struct vm_image *im, uint64_t addr, const char *s)
{
	size_t n = strlen(s) + 1;
	const char *at = image_at(im, addr, n);

	return at && !memcmp(at, s, n);
}

static void match(const struct vm_image *im, const struct entry *e, const struct vm_field_row *rows,
		  size_t n_rows, struct vm_field *fields)
{
	for (size_t i = 0; i < n_rows; i++) {
		struct vm_field *f = &fields[rows[i].slot];

		if (f->found || !string_is(im, e->name, rows[i].name) ||
		    !string_is(im, e->type, rows[i].type))
			continue;
		f->found = true;
		f->value = e->is_static ? e->address : e->offset;
	}
}

/* Where things are in an entry of the exported table, in the order of the names below. */
enum { L_STRIDE, L_TYPE, L_NAME, L_STATIC, L_OFFSET, L_ADDRESS, L_MAX };

static const char *const layout_name[L_MAX] = {
	"gHotSpotVMStructEntryArrayStride",	"gHotSpotVMStructEntryTypeNameOffset",
	"gHotSpotVMStructEntryFieldNameOffset", "gHotSpotVMStructEntryIsStaticOffset",
	"gHotSpotVMStructEntryOffsetOffset",	"gHotSpotVMStructEntryAddressOffset",
};

static int exported_word(const struct runtime_proc *p, const struct runtime_elf *elf,
			 const char *name, uint64_t *ret)
{
	uint64_t addr, size;
	int err = runtime_elf_symbol(elf, name, &addr, &size);

	return err ? err : runtime_read_u64(p, addr, ret);
}

static int entry_at(const struct vm_image *im, uint64_t addr, const uint64_t *layout,
		    struct entry *ret)
{
	const char *at = image_at(im, addr, layout[L_STRIDE]);

	if (!at)
		return -EBADMSG;
	memcpy(&ret->type, at + layout[L_TYPE], 8);
	memcpy(&ret->name, at + layout[L_NAME], 8);
	memcpy(&ret->is_static, at + layout[L_STATIC], 4);
	memcpy(&ret->offset, at + layout[L_OFFSET], 8);
	memcpy(&ret->address, at + layout[L_ADDRESS], 8);
	return 0;
}

int vm_fields_exported(const struct runtime_proc *p, const struct vm_image *im,
		       const struct runtime_elf *elf, const struct vm_field_row *rows,
		       size_t n_rows, struct vm_field *fields)
{
	uint64_t table, layout[L_MAX];
	int err = exported_word(p, elf, "gHotSpotVMStructs", &table);

	for (int i = 0; !err && i < L_MAX; i++)
		err = exported_word(p, elf, layout_name[i], &layout[i]);
	if (err)
		return err == -ENOENT ? err : -EAGAIN;
	if (!table || !layout[L_STRIDE])
		return -EAGAIN;
	if (layout[L_STRIDE] < 8 || layout[L_STRIDE] > 256)
		return -EBADMSG;
	for (int i = L_TYPE; i < L_MAX; i++)
		if (layout[i] > layout[L_STRIDE] - 8)
			return -EBADMSG;
	for (int i = 0; i < VMSTRUCTS_MAX_ENTRIES; i++) {
		struct entry e;

		err = entry_at(im, table + i * layout[L_STRIDE], layout, &e);
		if (err)
			return err;
		if (!e.type)
			return 0;
		match(im, &e, rows, n_rows, fields);
	}
	return -EBADMSG;
}

void vm_fields_hidden(const struct vm_image *im, const struct vm_field_row *rows, size_t n_rows,
		      struct vm_field *fields)
{
	for (size_t i = 0; i < im->n; i++) {
		const struct vm_region *r = &im->region[i];

		for (size_t at = 0; at + sizeof(struct entry) <= r->size; at += 8) {
			struct entry e;

			memcpy(&e, r->data + at, sizeof(e));
			if (e.type && e.name && image_at(im, e.type, 1) &&
			    (uint32_t)e.is_static <= 1)
				match(im, &e, rows, n_rows, fields);
		}
	}
}
