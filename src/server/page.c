/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The web page: its files, built in and compressed, or those of a folder (--ui-dir, for its
 * developers). A path without an extension is one of the page's own views: index.html.
 */
#include "server/page.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <zlib.h>

#include "server/internal.h"

#define FILE_MAX_BYTES (64u << 20)

struct page {
	int dir_fd; /* -1: built in */
};

static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
	"img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'";

static const char not_built[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>clew</title>\n"
	"<h1>clew</h1>\n"
	"<p>This build of clew has no page: its files were not there when it was built.</p>\n"
	"<p>To build it: <code>npm ci &amp;&amp; npm run build</code> in <code>ui/</code>, then "
	"<code>make</code>.\n"
	"Or start <code>clew server --ui-dir ui/dist</code>.</p>\n"
	"<p>The APIs are here all the same: <a href=\"/api/clew/v1/services\">"
	"/api/clew/v1/services</a>, <a href=\"/api/clew/v1/traces\">/api/clew/v1/traces</a>.</p>\n"
	"</html>\n";

int page_open(struct clew_server *s, const char *dir, char **ret_error)
{
	s->page = calloc(1, sizeof(*s->page));
	if (!s->page)
		return -ENOMEM;
	s->page->dir_fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir && s->page->dir_fd < 0)
		return server_fail(ret_error, -errno, "--ui-dir %s: %s", dir, strerror(errno));
	return 0;
}

void page_close(struct clew_server *s)
{
	if (s->page)
		closep(&s->page->dir_fd);
	free(s->page);
	s->page = NULL;
}

static enum MHD_Result send_page(struct request *rq, int status, const char *type, bool hashed,
				 struct MHD_Response *response)
{
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Security-Policy", policy);
	MHD_add_response_header(response, "Cache-Control",
				hashed ? "public, max-age=31536000, immutable" : "no-cache");
	return answer_send(rq, status, type, response);
}

/* ---- a folder ---- */

static const char *type_of(const char *path)
{
	static const char *const types[][2] = {
		{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".json", "application/json"},
		{".map", "application/json"},
		{".png", "image/png"},
		{".woff2", "font/woff2"},
		{".ico", "image/x-icon"},
		{".txt", "text/plain; charset=utf-8"},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (slice_ends(slice_str(path), slice_str(types[i][0])))
			return types[i][1];
	return "application/octet-stream";
}

/* Nothing outside the folder, whatever the path and its links say. */
static int open_below(int dir_fd, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
}

/* MHD_NO with errno 0: there is no such file. */
static enum MHD_Result send_file(struct request *rq, const char *path)
{
	int fd = open_below(rq->server->page->dir_fd, path + 1);
	struct stat sb;

	if (fd >= 0 && fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && sb.st_size < FILE_MAX_BYTES)
		return send_page(rq, 200, type_of(path), false,
				 MHD_create_response_from_fd64((uint64_t)sb.st_size, fd));
	closep(&fd);
	errno = 0;
	return MHD_NO;
}

/* ---- built in ---- */

static bool takes_gzip(struct request *rq)
{
	const char *takes =
		MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Accept-Encoding");

	return takes && strstr(takes, "gzip") && !strstr(takes, "gzip;q=0");
}

static struct MHD_Response *plain_response(const struct page_file *f)
{
	unsigned char *plain = malloc(f->plain_n ? f->plain_n : 1);
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)f->gz,
		      .avail_in = (unsigned)f->gz_n,
		      .next_out = plain,
		      .avail_out = (unsigned)f->plain_n};
	struct MHD_Response *response;

	if (!plain || inflateInit2(&z, 15 + 16) != Z_OK) {
		free(plain);
		return NULL;
	}
	inflate(&z, Z_FINISH);
	inflateEnd(&z);
	response = MHD_create_response_from_buffer(f->plain_n, plain, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(plain);
	return response;
}

static enum MHD_Result send_built_in(struct request *rq, const struct page_file *f)
{
	const char *known = MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "If-None-Match");
	struct MHD_Response *response;
	int status = 200;

	if (known && strstr(known, f->etag)) {
		status = MHD_HTTP_NOT_MODIFIED;
		response = MHD_create_response_from_buffer(0, (char[]){""}, MHD_RESPMEM_MUST_COPY);
	} else if (takes_gzip(rq)) {
		response = MHD_create_response_from_buffer(f->gz_n, (void *)(uintptr_t)f->gz,
							   MHD_RESPMEM_PERSISTENT);
		if (response)
			MHD_add_response_header(response, "Content-Encoding", "gzip");
	} else {
		response = plain_response(f);
	}
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "ETag", f->etag);
	MHD_add_response_header(response, "Vary", "Accept-Encoding");
	return send_page(rq, status, f->type, f->hashed, response);
}

static const struct page_file *find(struct slice path)
{
	for (const struct page_file *f = page_files; f->path; f++)
		if (slice_eq(path, slice_str(f->path)))
			return f;
	return NULL;
}

static enum MHD_Result send_index(struct request *rq)
{
	const struct page_file *f = find(SLICE("/index.html"));
	enum MHD_Result r;

	if (rq->server->page->dir_fd < 0) {
		if (f)
			return send_built_in(rq, f);
	} else {
		r = send_file(rq, "/index.html");
		if (r != MHD_NO || errno)
			return r;
	}
	return send_page(rq, 200, "text/html; charset=utf-8", false,
			 MHD_create_response_from_buffer(strlen(not_built),
							 (void *)(uintptr_t)not_built,
							 MHD_RESPMEM_PERSISTENT));
}

enum MHD_Result page_answer(struct request *rq)
{
	const char *last = memrchr(rq->path.p, '/', rq->path.n);
	struct slice name = slice_of(last + 1, rq->path.n - (size_t)(last + 1 - rq->path.p));
	_cleanup_(freep) char *path = NULL;
	const struct page_file *f;
	enum MHD_Result r;

	if (!memchr(name.p, '.', name.n))
		return send_index(rq);
	if (rq->server->page->dir_fd < 0) {
		f = find(rq->path);
		if (f)
			return send_built_in(rq, f);
	} else {
		path = strndup(rq->path.p, rq->path.n);
		r = path ? send_file(rq, path) : MHD_NO;
		if (r != MHD_NO || errno)
			return r;
	}
	return answer_error(rq, MHD_HTTP_NOT_FOUND, "there is no such file");
}
