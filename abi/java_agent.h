/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the agent in a JVM and clew (src/capture/agent/java_agent.c) share. clew finds it by its name among the
 * library's symbols, reads it, and writes `until_ns` alone.
 */
#pragma once

#include <stdint.h>

#define CLEW_JAVA_MAGIC	  0x6176616a77656c63ull /* "clewjava" */
#define CLEW_JAVA_VERSION 1

struct clew_java_state {
	uint64_t magic;
	uint32_t version;
	uint32_t
		key; /* pthread key of a thread's cell, whose first word is the number of its work */
	uint64_t until_ns; /* CLOCK_MONOTONIC; somebody listens until then; 0: nobody */
	uint64_t dropped;  /* tasks that found no slot in the agent's table */
};

/* What Agent_OnAttach returns. */
enum clew_java_result {
	CLEW_JAVA_OK = 0,
	CLEW_JAVA_NO_JVMTI = 100, /* the VM refuses what the agent needs */
	CLEW_JAVA_NO_KEY = 101,	  /* no pthread key */
	CLEW_JAVA_THERE = 102,	  /* its classes are there already: another version's */
	CLEW_JAVA_CLASSES = 103,  /* the VM does not take its classes */
	CLEW_JAVA_METHODS = 104,  /* none of the JDK's methods could be changed */
};
