/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where CPython keeps a thread's frames, and what leads from a worker's frame to the task that waits for it:
 * offsets for bpf/python_task.bpf.h, which checks the types at the end of that way.
 *
 * Source: the headers of 3.11.7, 3.12.1 and 3.13.0 (offsetof, compiled against each version's Include/internal).
 * Before 3.11 frames are objects of their own, which stand nowhere in particular.
 */
#include "capture/runtime/cpython.h"

#define N_LAYOUTS (sizeof(layouts) / sizeof(*layouts))

static const struct {
	unsigned minor;
	struct clew_python python;
} layouts[] = {
	/* clang-format off */
	{11, {.stack = 296, .frame_code = 32, .frame_locals = 72, .code_size = 76, .code_more = 68,
	      .code_header = 72, .code_name = 128, .text = 48, .closure = 72, .values = -32, .minor = 11}},
	{12, {.stack = 232, .frame_code = 0, .frame_locals = 72, .code_size = 76, .code_name = 128,
	      .text = 40, .closure = 72, .values = -24, .minor = 12}},
	{13, {.stack = 232, .frame_code = 0, .frame_locals = 72, .code_size = 76, .code_name = 128,
	      .text = 40, .closure = 72, .values = 16, .minor = 13}},
	/* clang-format on */
};

void cpython_add_frames(const struct runtime_elf *e, unsigned minor, struct clew_task_chain *c)
{
	uint64_t type, size;

	if (runtime_elf_symbol(e, "PyCFunction_Type", &type, &size))
		return;
	for (size_t i = 0; i < N_LAYOUTS; i++)
		if (layouts[i].minor == minor) {
			c->python = layouts[i].python;
			c->python.function_type = type;
		}
}
