/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF files of other people's processes: symbols, sections and bytes, by libelf.
 *
 * The file may be broken, made to hurt, or shortened while it is read, so it is never mapped: libelf
 * reads it, and every range is checked here. Source: the System V gABI, chapters 4 and 5.
 */
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "capture/inside.h"
#include "capture/runtime/runtime.h"

#define MAX_FILE (4ull << 30)
#define MAX_SECTION \
	(256ull << 20) /* of one that is read: a file may be made of holes, our memory is not */
#define MAX_SECTIONS 4096
#define MAX_PHDRS    512

struct runtime_elf {
	int fd;
	Elf *elf;
	uint64_t bias;
	char path[RUNTIME_PATH];
	size_t n_phdrs, shstrndx;
	struct clew_buf bytes; /* what runtime_elf_bytes() gave last */
};

void runtime_elf_close(struct runtime_elf *e)
{
	if (!e)
		return;
	elf_end(e->elf);
	closep(&e->fd);
	clew_buf_done(&e->bytes);
	free(e);
}

/* libelf makes something for each section that the file claims to have, as soon as it is opened. */
static int check_n_sections(int fd)
{
	Elf64_Ehdr h;
	Elf64_Shdr first = {0}; /* has the number where the header has no room for it */

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		return -ENOEXEC;
	if (!h.e_shnum && h.e_shoff &&
	    pread(fd, &first, sizeof(first), (off_t)h.e_shoff) != sizeof(first))
		return -ENOEXEC;
	return h.e_shnum > MAX_SECTIONS || first.sh_size > MAX_SECTIONS ? -EFBIG : 0;
}

/* Those that libelf reads at once, and whole. */
static int check_sections(struct runtime_elf *e)
{
	Elf_Scn *s = NULL;
	GElf_Shdr sh;

	while ((s = elf_nextscn(e->elf, s)))
		if (gelf_getshdr(s, &sh) && sh.sh_size > MAX_SECTION &&
		    (sh.sh_type == SHT_SYMTAB || sh.sh_type == SHT_DYNSYM ||
		     sh.sh_type == SHT_STRTAB || sh.sh_type == SHT_DYNAMIC))
			return -EFBIG;
	return 0;
}

static int check_header(struct runtime_elf *e)
{
	GElf_Ehdr h;

	if (elf_kind(e->elf) != ELF_K_ELF || gelf_getclass(e->elf) != ELFCLASS64 ||
	    !gelf_getehdr(e->elf, &h) || h.e_machine != EM_X86_64 ||
	    h.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	if (elf_getphdrnum(e->elf, &e->n_phdrs) || e->n_phdrs > MAX_PHDRS)
		return -ENOEXEC;
	if (elf_getshdrstrndx(e->elf, &e->shstrndx))
		e->shstrndx = 0;
	return check_sections(e);
}

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int check_file(struct runtime_elf *e)
{
	struct stat st;
	int err;

	if (fstat(e->fd, &st) || !S_ISREG(st.st_mode) || st.st_size > (off_t)MAX_FILE)
		return -ENOEXEC;
	err = check_n_sections(e->fd);
	if (err)
		return err;
	elf_version(EV_CURRENT);
	e->elf = elf_begin(e->fd, ELF_C_READ, NULL);
	return e->elf ? check_header(e) : -ENOEXEC;
}

/* fd, or -errno, is what was opened as path; it is taken. */
static int open_file(int fd, const char *path, struct runtime_elf **ret)
{
	struct runtime_elf *e;
	int err = -ENAMETOOLONG;

	if (fd < 0)
		return fd;
	e = calloc(1, sizeof(*e));
	if (!e) {
		close(fd);
		return -ENOMEM;
	}
	e->fd = fd;
	clew_buf_init(&e->bytes, 64 << 20);
	if ((size_t)snprintf(e->path, sizeof(e->path), "%s", path) < sizeof(e->path))
		err = check_file(e);
	if (err) {
		runtime_elf_close(e);
		return err;
	}
	*ret = e;
	return 0;
}

int runtime_elf_open_path(const char *path, struct runtime_elf **ret)
{
	int fd = open(path, OPEN_FLAGS);

	return open_file(fd < 0 ? -errno : fd, path, ret);
}

/* As the process names it: where a link in its container leads elsewhere, it leads there for us. */
static int open_inside(const struct runtime_proc *p, const struct runtime_map *m,
		       struct runtime_elf **ret)
{
	char root[32], path[RUNTIME_PATH];
	struct stat st;
	int err;

	snprintf(root, sizeof(root), "/proc/%u/root", p->tgid);
	if ((size_t)snprintf(path, sizeof(path), "%s%s", root, m->path) >= sizeof(path))
		return -ENAMETOOLONG;
	err = open_file(inside_open(root, m->path, OPEN_FLAGS), path, ret);
	if (err || (!fstat((*ret)->fd, &st) && st.st_ino == m->inode))
		return err;
	runtime_elf_closep(ret);
	*ret = NULL;
	return -ENOENT;
}

static int load_segment(const struct runtime_elf *e, size_t i, GElf_Phdr *ret)
{
	return gelf_getphdr(e->elf, i, ret) && ret->p_type == PT_LOAD ? 0 : -ENOENT;
}

int runtime_elf_open(const struct runtime_proc *p, const struct runtime_map *m,
		     struct runtime_elf **ret)
{
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	char path[sizeof(e->path)];
	uint64_t lowest = UINT64_MAX;
	GElf_Phdr ph;
	int err;

	/* Leads to the very file, also if it was replaced or is in another mount namespace. */
	snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", p->tgid,
		 (unsigned long long)m->start, (unsigned long long)m->end);
	err = runtime_elf_open_path(path, &e);
	/* map_files wants CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE. */
	if (err == -EPERM || err == -EACCES || err == -ENOENT)
		err = open_inside(p, m, &e);
	if (err)
		return err;
	for (size_t i = 0; i < e->n_phdrs; i++)
		if (!load_segment(e, i, &ph) && ph.p_vaddr < lowest)
			lowest = ph.p_vaddr;
	if (lowest == UINT64_MAX)
		return -ENOEXEC;
	e->bias = m->start - (lowest & ~4095ull);
	*ret = clew_steal(e);
	return 0;
}

int runtime_elf_open_with(const struct runtime_proc *p, const char *prefix, const char *symbol,
			  struct runtime_elf **ret, const struct runtime_map **ret_map)
{
	const struct runtime_map *m = runtime_map_named(p, prefix);
	_cleanup_(runtime_elf_closep) struct runtime_elf *e = NULL;
	uint64_t at, size;
	int err;

	if (!m)
		m = runtime_map_exe(p);
	if (!m)
		return -ENOENT;
	err = runtime_elf_open(p, m, &e);
	if (err)
		return err;
	if (runtime_elf_symbol(e, symbol, &at, &size))
		return -ENOENT;
	*ret_map = m;
	*ret = clew_steal(e);
	return 0;
}

uint64_t runtime_elf_bias(const struct runtime_elf *e)
{
	return e->bias;
}

const char *runtime_elf_path(const struct runtime_elf *e)
{
	return e->path;
}

static Elf_Scn *section(const struct runtime_elf *e, const char *name, uint32_t type,
			GElf_Shdr *ret)
{
	Elf_Scn *s = NULL;

	for (int i = 0; i < MAX_SECTIONS && (s = elf_nextscn(e->elf, s)); i++) {
		const char *own;

		if (!gelf_getshdr(s, ret))
			return NULL;
		if (type && ret->sh_type != type)
			continue;
		own = name ? elf_strptr(e->elf, e->shstrndx, ret->sh_name) : NULL;
		if (!name || (own && !strcmp(own, name)))
			return s;
	}
	return NULL;
}

int runtime_elf_section(const struct runtime_elf *e, const char *name, struct slice *ret,
			uint64_t *ret_addr)
{
	GElf_Shdr sh;
	Elf_Scn *s = section(e, name, 0, &sh);
	Elf_Data *data;

	if (!s)
		return -ENOENT;
	if (sh.sh_type != SHT_NOBITS && sh.sh_size > MAX_SECTION)
		return -EFBIG;
	data = sh.sh_type == SHT_NOBITS ? NULL : elf_rawdata(s, NULL);
	*ret = data && data->d_buf ? slice_of(data->d_buf, data->d_size) : (struct slice){0};
	*ret_addr = sh.sh_addr ? sh.sh_addr + e->bias : 0;
	return 0;
}

static int find_symbol(const struct runtime_elf *e, uint32_t type, const char *name, GElf_Sym *ret)
{
	GElf_Shdr sh;
	Elf_Scn *s = section(e, NULL, type, &sh);
	Elf_Data *data = s ? elf_getdata(s, NULL) : NULL;
	size_t n = data ? data->d_size / sizeof(Elf64_Sym) : 0;

	for (size_t i = 0; i < n && i < INT32_MAX; i++) {
		const char *own;

		if (!gelf_getsym(data, (int)i, ret) || ret->st_shndx == SHN_UNDEF)
			continue;
		own = elf_strptr(e->elf, sh.sh_link, ret->st_name);
		if (own && !strcmp(own, name))
			return 0;
	}
	return -ENOENT;
}

int runtime_elf_symbol(const struct runtime_elf *e, const char *name, uint64_t *ret_addr,
		       uint64_t *ret_size)
{
	GElf_Sym sym;

	if (find_symbol(e, SHT_DYNSYM, name, &sym) && find_symbol(e, SHT_SYMTAB, name, &sym))
		return -ENOENT;
	/* A thread-local's value is an offset in its block. */
	*ret_addr = sym.st_value + (GELF_ST_TYPE(sym.st_info) == STT_TLS ? 0 : e->bias);
	*ret_size = sym.st_size;
	return 0;
}

int runtime_elf_symbol_like(const struct runtime_elf *e, const char *part, enum runtime_symbol kind,
			    uint64_t *ret_addr, uint64_t *ret_size)
{
	int type = kind == RUNTIME_SYMBOL_TLS ? STT_TLS : STT_FUNC;
	GElf_Shdr sh;
	Elf_Scn *s = section(e, NULL, SHT_SYMTAB, &sh);
	Elf_Data *data = s ? elf_getdata(s, NULL) : NULL;
	size_t n = data ? data->d_size / sizeof(Elf64_Sym) : 0;
	GElf_Sym sym, found;
	bool any = false;

	for (size_t i = 0; i < n && i < INT32_MAX; i++) {
		const char *own;

		if (!gelf_getsym(data, (int)i, &sym) || GELF_ST_TYPE(sym.st_info) != type ||
		    sym.st_shndx == SHN_UNDEF)
			continue;
		own = elf_strptr(e->elf, sh.sh_link, sym.st_name);
		if (!own || !strstr(own, part))
			continue;
		if (any && sym.st_value != found.st_value)
			return -ENOTUNIQ;
		any = true;
		found = sym;
	}
	if (!any)
		return -ENOENT;
	*ret_addr = found.st_value + (type == STT_TLS ? 0 : e->bias);
	*ret_size = found.st_size;
	return 0;
}

static bool has_part(const char *name, const char *const *parts)
{
	for (; name && *parts; parts++)
		if (strstr(name, *parts))
			return true;
	return false;
}

int runtime_elf_code_like(const struct runtime_elf *e, const char *const *parts,
			  struct runtime_range *ret, size_t max)
{
	GElf_Shdr sh;
	Elf_Scn *s = section(e, NULL, SHT_SYMTAB, &sh);
	Elf_Data *data = s ? elf_getdata(s, NULL) : NULL;
	size_t n = data ? data->d_size / sizeof(Elf64_Sym) : 0, found = 0;
	GElf_Sym sym;

	for (size_t i = 0; i < n && i < INT32_MAX; i++) {
		if (!gelf_getsym(data, (int)i, &sym) || GELF_ST_TYPE(sym.st_info) != STT_FUNC ||
		    sym.st_shndx == SHN_UNDEF || !sym.st_size ||
		    !has_part(elf_strptr(e->elf, sh.sh_link, sym.st_name), parts))
			continue;
		if (found == max)
			return -ENOSPC;
		ret[found++] = (struct runtime_range){sym.st_value + e->bias, sym.st_size};
	}
	return (int)found;
}

int runtime_elf_offset(const struct runtime_elf *e, uint64_t addr, uint64_t *ret)
{
	uint64_t at = addr - e->bias;
	GElf_Phdr ph;

	for (size_t i = 0; i < e->n_phdrs; i++) {
		if (load_segment(e, i, &ph) || at < ph.p_vaddr || at - ph.p_vaddr >= ph.p_filesz)
			continue;
		*ret = ph.p_offset + (at - ph.p_vaddr);
		return 0;
	}
	return -EFAULT;
}

int runtime_elf_bytes(const struct runtime_elf *e, uint64_t addr, size_t n, struct slice *ret)
{
	struct clew_buf *b = (struct clew_buf *)&e->bytes;
	uint64_t offset, last;
	size_t have = 0;

	if (!n || runtime_elf_offset(e, addr, &offset) ||
	    runtime_elf_offset(e, addr + n - 1, &last) || last - offset != n - 1)
		return -EFAULT;
	clew_buf_clear(b);
	while (have < n) {
		char chunk[65536];
		size_t want = n - have < sizeof(chunk) ? n - have : sizeof(chunk);
		ssize_t got = pread(e->fd, chunk, want, offset + have);

		if (got <= 0 || clew_buf_add(b, chunk, got))
			return -EFAULT;
		have += got;
	}
	*ret = clew_buf_slice(b);
	return 0;
}

int runtime_elf_tls(const struct runtime_elf *e, uint64_t *ret_size, uint64_t *ret_align)
{
	GElf_Phdr ph;

	for (size_t i = 0; i < e->n_phdrs; i++) {
		if (!gelf_getphdr(e->elf, i, &ph) || ph.p_type != PT_TLS)
			continue;
		*ret_size = ph.p_memsz;
		*ret_align = ph.p_align;
		return 0;
	}
	return -ENOENT;
}

bool runtime_elf_needs(const struct runtime_elf *e, const char *prefix)
{
	GElf_Shdr sh;
	Elf_Scn *s = section(e, NULL, SHT_DYNAMIC, &sh);
	Elf_Data *data = s ? elf_getdata(s, NULL) : NULL;
	size_t n = data ? data->d_size / sizeof(Elf64_Dyn) : 0;

	for (size_t i = 0; i < n && i < INT32_MAX; i++) {
		GElf_Dyn dyn;
		const char *name;

		if (!gelf_getdyn(data, (int)i, &dyn) || dyn.d_tag != DT_NEEDED)
			continue;
		name = elf_strptr(e->elf, sh.sh_link, dyn.d_un.d_val);
		if (name && !strncmp(name, prefix, strlen(prefix)))
			return true;
	}
	return false;
}
