/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two pages with random words are put into a pipe (vmsplice() takes the pages themselves), so that the kernel has a struct
 * page for each whose frame we know from /proc/self/pagemap. The walk compares what it finds with the words, so a layout
 * that is not as it thinks leaves the feature off.
 */
#include "capture/pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "capture/internal.h"
#include "clew.skel.h"

#define PAGE	      (1ul << CLEW_PAGE_SHIFT)
#define FRAME_MASK    ((1ull << 55) - 1)
#define FRAME_PRESENT (1ull << 63)
/* sizeof(struct page) is a power of two in all that we support, mostly 64. */
#define SHIFT_MIN 5
#define SHIFT_MAX 7

static int frames_of(const char *pages, __u64 ret[2])
{
	_cleanup_(closep) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry[2];

	if (fd < 0)
		return -errno;
	if (pread(fd, entry, sizeof(entry), (off_t)((uintptr_t)pages / PAGE * sizeof(*entry))) !=
	    sizeof(entry))
		return -EIO;
	for (int i = 0; i < 2; i++) {
		ret[i] = entry[i] & FRAME_MASK;
		if (!(entry[i] & FRAME_PRESENT) || !ret[i])
			return -EPERM;
	}
	return 0;
}

/* Both pages into the pipe, what they hold and their frames into *a. */
static int ask(char *pages, int pipe, struct clew_pages_asked *a)
{
	const struct iovec iov = {pages, 2 * PAGE};

	for (int i = 0; i < 2; i++) {
		if (getrandom(a->words[i], sizeof(a->words[i]), 0) != sizeof(a->words[i]))
			return -EIO;
		memcpy(pages + i * PAGE, a->words[i], sizeof(a->words[i]));
	}
	if (vmsplice(pipe, &iov, 1, 0) != 2 * PAGE)
		return -errno;
	a->fd = pipe;
	return frames_of(pages, a->frame);
}

static int measure(struct clew_capture *c, char *pages, const int pipe[2])
{
	struct clew_pages_asked *a = &c->skel->bss->pages_asked;
	int err = ask(pages, pipe[1], a);

	for (uint32_t log = SHIFT_MIN; !err && log <= SHIFT_MAX; log++) {
		a->shift = CLEW_PAGE_SHIFT - log;
		err = targets_walk_self(c->skel->progs.walk_pages);
	}
	*a = (struct clew_pages_asked){0};
	if (!err && !c->skel->bss->sent_pages.shift)
		err = -ENOENT;
	return err;
}

void pages_find(struct clew_capture *c)
{
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int pipe[2] = {-1, -1}, err;

	if (pages == MAP_FAILED)
		return;
	if (sysconf(_SC_PAGESIZE) != PAGE)
		err = -ENOTSUP;
	else if (mlock(pages, 2 * PAGE) < 0 || pipe2(pipe, O_CLOEXEC) < 0)
		err = -errno;
	else
		err = measure(c, pages, pipe);
	if (err)
		log_debug("what is sent is read from the programs' memory: %s", strerror(-err));
	closep(&pipe[0]);
	closep(&pipe[1]);
	munmap(pages, 2 * PAGE);
}
