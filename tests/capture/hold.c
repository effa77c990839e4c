/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches hold.bpf.c, says "ready", and stays until its standard input ends. What is attached after it sees the
 * operations of threads called "held" late.
 */
#include <stdio.h>
#include <unistd.h>

#include "hold.skel.h"

int main(void)
{
	struct hold_bpf *s = hold_bpf__open_and_load();
	char byte;

	if (!s || hold_bpf__attach(s)) {
		perror("hold");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	hold_bpf__destroy(s);
	return 0;
}
