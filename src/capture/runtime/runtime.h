/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which runtime a process runs, and how its current task is read.
 *
 *	thread records ─► queue ─► a thread of its own:
 *	   exec, fork, first sight    detect (one file a runtime), again after 50 ms, 250 ms, 1 s, 5 s
 *	                              install the chain for bpf/runtime.bpf.h, attach probes
 *	                              self-test: do the hooks read what a task would be?
 *	                              ─► process record with CLEW_TAG_RUNTIME
 *
 * The reader thread only puts processes into the queue and takes finished records out; it never waits.
 *
 * A runtime is one file here with one entry of type runtime_detect_fn and a row in runtimes.c's table.
 * It gets a process to look at, and answers with a chain of pointers (struct clew_task_chain in
 * bpf/clew.h says how BPF walks it) and the probes it wants. It must never guess: what cannot be read
 * is said to be unsupported, in why_not. A wrong offset may not become a wrong link, so a chain is
 * checked three ways: by the finder against the process's own threads (runtime_threads() gives each
 * thread's fsbase; the runtimes' thread structures hold the kernel's thread id), by guards that BPF
 * compares at each read, and by samples of what the hooks read (learn, plausible).
 *
 * Limits: CLEW_MAX_CHAINS processes with a chain, RUNTIME_MAX_PROCS processes that are known; what
 * did not fit is counted (struct clew_capture_stats).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/slice.h"
#include "bpf/clew.h"
#include "capture/capture.h"

#define RUNTIME_MAX_PROCS  32768
#define RUNTIME_PATH	   256
#define RUNTIME_MAX_PROBES 12
#define RUNTIME_MAX_MAPS   4096 /* mappings of a process that are looked at */

/* One mapping of a file. */
struct runtime_map {
	uint64_t start, end;
	uint64_t offset; /* in the file */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	bool exec;	  /* its pages may be executed */
	bool first;	  /* the file's first mapping: the ELF header is at start */
	const char *path; /* as in /proc/PID/maps; " (deleted)" was cut off */
};

struct runtime_thread {
	uint32_t tid;
	uint64_t fsbase;
};

/* A process that is looked at. Valid during detect and plausible; everything in it is borrowed. */
struct runtime_proc {
	uint32_t tgid;
	uint64_t start_ns;	  /* as in records */
	uint64_t image;		  /* /proc/PID/stat's startstack: another one after exec */
	const char *exe;	  /* path, as the process sees it */
	struct runtime_map *maps; /* files only, by address */
	size_t n_maps;
	struct clew_capture *capture;
	const struct clew_runtime_opts *opts;
};

/** runtime_read() - copy n bytes of the process's memory. 0, or -errno (-EFAULT: not all could be read). */
int runtime_read(const struct runtime_proc *p, uint64_t addr, void *ret, size_t n);
/** runtime_read_u64() - one word. Same returns. */
int runtime_read_u64(const struct runtime_proc *p, uint64_t addr, uint64_t *ret);

/**
 * runtime_map_named() - the first mapping (ELF header at its start) of a file whose last path component
 * begins with prefix ("libpython3", "libjvm.so"). NULL: none.
 */
const struct runtime_map *runtime_map_named(const struct runtime_proc *p, const char *prefix);
/** runtime_map_exe() - that of the executable itself. NULL: not found. */
const struct runtime_map *runtime_map_exe(const struct runtime_proc *p);

/**
 * runtime_threads() - the fsbase of each thread of the process, from the kernel. The threads go on
 * running: what is read behind it may change at any moment.
 * Returns how many were filled in (at most max), or -errno.
 */
int runtime_threads(const struct runtime_proc *p, struct runtime_thread *ret, size_t max);

/* From /proc/PID/status. */
struct runtime_status {
	uint32_t nspid;	 /* its own id for itself */
	uint64_t caught; /* signals that it handles: bit signal - 1 */
};

/** runtime_status() - 0, or -errno (-ESRCH: gone). */
int runtime_status(uint32_t tgid, struct runtime_status *ret);

/*
 * ELF files of a process, read through /proc/PID/map_files or /proc/PID/root (containers). Bad files
 * give errors, never more: they may be anybody's.
 */
struct runtime_elf;

/** runtime_elf_open() - the file behind a mapping. 0; -ENOENT: gone or replaced; -ENOEXEC: no 64-bit
 * ELF file of this machine; -errno. */
int runtime_elf_open(const struct runtime_proc *p, const struct runtime_map *m,
		     struct runtime_elf **ret);
/**
 * runtime_elf_open_with() - a runtime's own file: the library whose name begins with prefix, else the
 * executable. 0 if it has the symbol, else -ENOENT; or as runtime_elf_open().
 */
int runtime_elf_open_with(const struct runtime_proc *p, const char *prefix, const char *symbol,
			  struct runtime_elf **ret, const struct runtime_map **ret_map);
/** runtime_elf_open_path() - any file, as if it were mapped with bias 0 (tests, runtime_elf_path()). */
int runtime_elf_open_path(const char *path, struct runtime_elf **ret);
void runtime_elf_close(struct runtime_elf *e);
CLEW_DEFINE_CLEANUP(struct runtime_elf *, runtime_elf_close)

/** runtime_elf_symbol() - address in the process and size of a symbol (.dynsym, then .symtab). 0 or -ENOENT. */
int runtime_elf_symbol(const struct runtime_elf *e, const char *name, uint64_t *ret_addr,
		       uint64_t *ret_size);
enum runtime_symbol { RUNTIME_SYMBOL_CODE, RUNTIME_SYMBOL_TLS };
/**
 * runtime_elf_symbol_like() - the same for the one symbol of that kind whose (mangled) name has this part. A
 * thread-local's address is its offset in the block. 0; -ENOENT: none; -ENOTUNIQ: several at different places.
 */
int runtime_elf_symbol_like(const struct runtime_elf *e, const char *part, enum runtime_symbol kind,
			    uint64_t *ret_addr, uint64_t *ret_size);
struct runtime_range {
	uint64_t addr, size;
};
/**
 * runtime_elf_code_like() - the functions whose (mangled) names have one of these parts (NULL ends them).
 * Returns how many, -ENOSPC: more than max.
 */
int runtime_elf_code_like(const struct runtime_elf *e, const char *const *parts,
			  struct runtime_range *ret, size_t max);
/** runtime_elf_section() - a section's bytes (borrowed, empty if it has none in the file) and address in
 * the process (0 if it is not loaded). 0 or -ENOENT. */
int runtime_elf_section(const struct runtime_elf *e, const char *name, struct slice *ret,
			uint64_t *ret_addr);
/** runtime_elf_bytes() - n bytes of the file that are mapped at an address of the process. 0 or -EFAULT. */
int runtime_elf_bytes(const struct runtime_elf *e, uint64_t addr, size_t n, struct slice *ret);
/** runtime_elf_offset() - where in the file an address of the process is: what an uprobe wants. 0 or -EFAULT. */
int runtime_elf_offset(const struct runtime_elf *e, uint64_t addr, uint64_t *ret);
/** runtime_elf_tls() - size (of the block in memory) and alignment of the TLS segment. 0 or -ENOENT. */
int runtime_elf_tls(const struct runtime_elf *e, uint64_t *ret_size, uint64_t *ret_align);
/** runtime_elf_needs() - does its dynamic section need a library whose name begins so ("libc.musl")? */
bool runtime_elf_needs(const struct runtime_elf *e, const char *prefix);
/** runtime_elf_bias() - address in the process minus address in the file's headers. */
uint64_t runtime_elf_bias(const struct runtime_elf *e);
/** runtime_elf_path() - a path by which this file can be opened now (for uprobes); borrowed. */
const char *runtime_elf_path(const struct runtime_elf *e);

/* A probe that a finder wants: program of the BPF object by its name, attached to this process only. */
struct runtime_probe {
	const char *program;	 /* function name in bpf/: "on_go_round_trip"; static */
	char path[RUNTIME_PATH]; /* file: runtime_elf_path() */
	uint64_t offset;	 /* in the file: runtime_elf_offset() */
	bool at_return;		 /* a return probe (never in Go: its stacks move) */
};

/* What a finder found. All zero before it is called. */
struct runtime_info {
	char name[24];	  /* process.runtime.name: "go", "cpython" */
	char version[40]; /* "1.26.8" */
	char task
		[40]; /* what a task is: "goroutine", "context", "virtual thread"; "": none is read */
	char why_not[160];	      /* in words, where no task is read or less than could be */
	struct clew_task_chain chain; /* from .kind on; .kind 0: none. .state is runtimes.c's */
	struct runtime_probe probes[RUNTIME_MAX_PROBES];
	size_t n_probes;
	bool go_channels; /* CLEW_GO_CHANNELS is to be set once all of the probes stand */
	bool tokio_wakers; /* chain.tokio.on, the same */
	bool more; /* what the process loads later may add to the chain or the probes: look again */
	/*
	 * The self-test: the chain is trusted after so many samples that plausible() accepted; 0: at once,
	 * as the finder checked it against the process's own threads. Until then records name no task.
	 */
	uint32_t learn;
	/*
	 * Are these ids, read at socket hooks a moment ago, those of tasks? Also called now and then
	 * after the chain is trusted. May be NULL. Returns 0: yes; -EAGAIN: cannot say;
	 * else the chain is removed, and the process stays with its threads.
	 */
	int (*plausible)(const struct runtime_proc *p, const struct clew_task_chain *chain,
			 const uint64_t *ids, size_t n);
	/*
	 * An agent inside the process that the finder attached; NULL: none. It is told every
	 * agent_renew_ns that we live (below 0: it is gone, and the chain with it), and given up
	 * with agent_done when the process is forgotten or the capture stops.
	 */
	void *agent;
	bool agent_failed; /* one was wanted, and why_not says why it is not there */
	uint64_t agent_renew_ns;
	int (*agent_renew)(void *agent);
	void (*agent_done)(void *agent);
};

/** runtime_fail() - put a reason into info->why_not (NULL: nobody asks for it). Returns err. */
int runtime_fail(struct runtime_info *info, int err, const char *fmt, ...) CLEW_PRINTF(3, 4);

/*
 * runtime_detect_fn - what is it?
 * 0: it is this runtime (ret filled in, with a chain or with why_not); -ENOENT: it is not; -EAGAIN: it is,
 * but not initialised yet (ret may have name and why_not): asked again; other: it is, and could not be
 * read (why_not says why).
 */
typedef int (*runtime_detect_fn)(const struct runtime_proc *p, struct runtime_info *ret);

int runtime_detect_cpython(const struct runtime_proc *p, struct runtime_info *ret);
int runtime_detect_go(const struct runtime_proc *p, struct runtime_info *ret);
int runtime_detect_node(const struct runtime_proc *p, struct runtime_info *ret);
int runtime_detect_hotspot(const struct runtime_proc *p, struct runtime_info *ret);
int runtime_detect_tokio(const struct runtime_proc *p, struct runtime_info *ret);
