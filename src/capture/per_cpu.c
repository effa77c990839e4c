/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/per_cpu.h"

#include <stdbool.h>
#include <string.h>

#include <bpf/btf.h>

/* The place of a variable in the section of per-CPU data. */
static bool place(const struct btf *btf, const struct btf_type *section, const char *name,
		  int64_t *ret)
{
	const struct btf_var_secinfo *in = btf_var_secinfos(section);

	for (int i = 0; i < btf_vlen(section); i++) {
		const struct btf_type *var = btf__type_by_id(btf, in[i].type);

		if (!strcmp(btf__name_by_offset(btf, var->name_off), name)) {
			*ret = in[i].offset;
			return true;
		}
	}
	return false;
}

int64_t per_cpu_distance(const struct btf *btf, const char *from, const char *to)
{
	int id = btf__find_by_name_kind(btf, ".data..percpu", BTF_KIND_DATASEC);
	const struct btf_type *section = id > 0 ? btf__type_by_id(btf, id) : NULL;
	int64_t a, b;

	if (!section || !place(btf, section, from, &a) || !place(btf, section, to, &b))
		return 0;
	return b - a;
}
