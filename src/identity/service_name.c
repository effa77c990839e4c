/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/service_name.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>

static struct slice base_name(struct slice path)
{
	for (size_t i = path.n; i > 0; i--)
		if (path.p[i - 1] == '/')
			return slice_of(path.p + i, path.n - i);
	return path;
}

static struct slice strip_end(struct slice s, struct slice end)
{
	if (s.n > end.n && slice_ends(s, end))
		s.n -= end.n;
	return s;
}

/* "cart-1.4.2-SNAPSHOT" is cart: a version begins at the first dash before a digit. */
static struct slice strip_version(struct slice s)
{
	for (size_t i = 1; i + 1 < s.n; i++)
		if (s.p[i] == '-' && isdigit((unsigned char)s.p[i + 1]))
			return slice_of(s.p, i);
	return s;
}

/* Units that hold a person's session or a whole container runtime say nothing of the service. */
static bool unit_says_nothing(struct slice unit)
{
	static const char *const generic[] = {"user@",	"session-", "docker",  "containerd",
					      "podman", "crio",	    "kubelet", "ssh",
					      "sshd",	"getty@"};

	for (size_t i = 0; i < sizeof(generic) / sizeof(*generic); i++) {
		struct slice g = slice_str(generic[i]);

		if (g.p[g.n - 1] == '@' || g.p[g.n - 1] == '-' ? slice_starts(unit, g)
							       : slice_eq(unit, g))
			return true;
	}
	return false;
}

static struct slice part_name(struct slice part)
{
	struct slice name;

	if (slice_starts(part, SLICE("lxc.payload.")))
		return slice_of(part.p + 12, part.n - 12);
	if (slice_starts(part, SLICE("machine-")) && slice_ends(part, SLICE(".scope")))
		return slice_of(part.p + 8, part.n - 8 - 6);
	if (!slice_ends(part, SLICE(".service")))
		return SLICE("");
	name = strip_end(part, SLICE(".service"));
	return unit_says_nothing(name) ? SLICE("") : name;
}

struct slice clew_unit_name(const char *cgroup)
{
	struct slice found = SLICE("");
	const char *p = cgroup;

	while (p && *p) {
		size_t n = strcspn(p, "/");
		struct slice name = part_name(slice_of(p, n));

		if (name.n)
			found = name; /* the innermost */
		p += n;
		p += strspn(p, "/");
	}
	return found;
}

/* Is this interpreter's option followed by a value of its own? */
static bool takes_value(const char *const *options, const char *arg)
{
	for (; options && *options; options++)
		if (!strcmp(*options, arg))
			return true;
	return false;
}

/* The first argument that is no option, from i on; n_args if there is none. */
static size_t first_operand(const struct clew_command *c, size_t i, const char *const *valued)
{
	for (; i < c->n_args; i++) {
		if (!strcmp(c->args[i], "--"))
			return i + 1;
		if (c->args[i][0] != '-' || !c->args[i][1])
			return i;
		if (takes_value(valued, c->args[i]))
			i++;
	}
	return c->n_args;
}

static struct slice java_name(const struct clew_command *c)
{
	static const char *const valued[] = {"-cp",	    "-classpath",    "--class-path",
					     "-p",	    "--module-path", "--add-modules",
					     "--add-opens", "--add-exports", NULL};
	struct slice name;
	size_t i;

	for (i = 1; i < c->n_args && c->args[i][0] == '-'; i++) {
		bool is_module = !strcmp(c->args[i], "-m") || !strcmp(c->args[i], "--module");

		if (i + 1 < c->n_args && !strcmp(c->args[i], "-jar")) {
			name = base_name(slice_str(c->args[i + 1]));
			return strip_version(strip_end(name, SLICE(".jar")));
		}
		if (i + 1 < c->n_args && is_module) {
			i++;
			break;
		}
		if (takes_value(valued, c->args[i]))
			i++;
	}
	if (i >= c->n_args)
		return SLICE("");
	name = base_name(slice_str(c->args[i]));
	for (size_t k = name.n; k > 0; k--)
		if (name.p[k - 1] == '.')
			return slice_of(name.p + k, name.n - k);
	return strip_end(name, SLICE(".java"));
}

/* "shop.web:create_app()" of gunicorn and its kind: the module that holds the application. */
static struct slice wsgi_app(const struct clew_command *c, size_t i)
{
	for (; i < c->n_args; i++) {
		const char *a = c->args[i], *colon = strchr(a, ':');
		const char *p = a;

		if (!colon || colon == a || !(isalpha((unsigned char)colon[1]) || colon[1] == '_'))
			continue;
		if (!isalpha((unsigned char)*a) && *a != '_')
			continue;
		while (p < colon && (isalnum((unsigned char)*p) || *p == '_' || *p == '.'))
			p++;
		if (p == colon && strncmp(a, "unix:", 5) && strncmp(a, "fd:", 3))
			return slice_of(a, (size_t)(colon - a));
	}
	return SLICE("");
}

static bool runs_apps(struct slice tool)
{
	static const char *const tools[] = {"gunicorn", "uvicorn",	  "hypercorn",
					    "daphne",	"waitress-serve", "granian"};

	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++)
		if (slice_eq(tool, slice_str(tools[i])))
			return true;
	return false;
}

static struct slice script_name(struct slice script)
{
	static const char *const ends[] = {".py", ".js",  ".mjs", ".cjs", ".ts", ".rb",
					   ".pl", ".php", ".sh",  ".dll", ".pyc"};
	struct slice name = base_name(script);

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (name.n > strlen(ends[i]) && slice_ends(name, slice_str(ends[i])))
			return strip_end(name, slice_str(ends[i]));
	return name;
}

static struct slice python_name(const struct clew_command *c)
{
	static const char *const valued[] = {"-W", "-X", "--check-hash-based-pycs", NULL};
	struct slice name, app;
	size_t i = 1;

	for (; i < c->n_args && c->args[i][0] == '-'; i++) {
		if (!strcmp(c->args[i], "-c"))
			return SLICE("");
		if (!strcmp(c->args[i], "-m"))
			break;
		if (takes_value(valued, c->args[i]))
			i++;
	}
	if (i < c->n_args && !strcmp(c->args[i], "-m"))
		i++;
	if (i >= c->n_args)
		return SLICE("");
	name = script_name(slice_str(c->args[i]));
	if (slice_eq(name, SLICE("__main__")))
		name = SLICE("");
	if (!runs_apps(name))
		return name;
	app = wsgi_app(c, i + 1);
	return app.n ? app : name;
}

static struct slice operand_name(const struct clew_command *c, const char *const *valued)
{
	size_t i = first_operand(c, 1, valued);
	struct slice name;

	if (i >= c->n_args)
		return SLICE("");
	name = script_name(slice_str(c->args[i]));
	return slice_eq(name, SLICE(".")) || slice_eq(name, SLICE("-")) ? SLICE("") : name;
}

static struct slice node_name(const struct clew_command *c)
{
	static const char *const valued[] = {
		"-r", "--require",    "--import", "--loader", "--experimental-loader",
		"-C", "--conditions", NULL};

	for (size_t i = 1; i < c->n_args && c->args[i][0] == '-'; i++)
		if (!strcmp(c->args[i], "-e") || !strcmp(c->args[i], "--eval") ||
		    !strcmp(c->args[i], "-p") || !strcmp(c->args[i], "--print"))
			return SLICE("");
	return operand_name(c, valued);
}

static struct slice shell_name(const struct clew_command *c)
{
	if (c->n_args > 1 && c->args[1][0] == '-' && strchr(c->args[1], 'c'))
		return SLICE("");
	return operand_name(c, NULL);
}

static struct slice plain_name(const struct clew_command *c)
{
	return operand_name(c, NULL);
}

static const struct interpreter {
	const char *glob; /* over the executable's base name */
	struct slice (*name)(const struct clew_command *c);
} interpreters[] = {
	{"java", java_name},	   {"python*", python_name}, {"pypy*", python_name},
	{"node", node_name},	   {"nodejs", node_name},    {"bun", plain_name},
	{"ruby*", plain_name},	   {"perl*", plain_name},    {"php", plain_name},
	{"php[0-9]*", plain_name}, {"dotnet", plain_name},   {"sh", shell_name},
	{"bash", shell_name},	   {"dash", shell_name},     {"zsh", shell_name},
};

struct slice clew_program_name(const struct clew_command *c)
{
	struct slice exe = base_name(slice_str(c->exe ? c->exe : c->n_args ? c->args[0] : ""));
	char name[256];

	if (!exe.n || exe.n >= sizeof(name))
		return SLICE("");
	memcpy(name, exe.p, exe.n);
	name[exe.n] = '\0';
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(*interpreters); i++)
		if (!fnmatch(interpreters[i].glob, name, 0))
			return interpreters[i].name(c);
	return SLICE("");
}

/*
 * The name that the program was started by, where it was started through a link to something more
 * general: redis-server is a link to redis-check-rdb, python3 to python3.11. Both the first
 * argument and the thread's name (15 bytes of it) must say so: either alone is what a program may
 * set as it likes.
 */
static struct slice started_as(const struct clew_command *c)
{
	struct slice name;

	if (!c->comm || !c->n_args)
		return SLICE("");
	name = slice_of(c->args[0], strcspn(c->args[0], " :"));
	name = base_name(name);
	if (!name.n || strlen(c->comm) != (name.n < 15 ? name.n : 15) ||
	    memcmp(c->comm, name.p, strlen(c->comm)) != 0)
		return SLICE("");
	return name;
}

struct slice clew_service_name(const struct clew_command *c)
{
	struct slice name = SLICE("");

	if (c->cgroup && !(c->own_cgroup && !strcmp(c->cgroup, c->own_cgroup)))
		name = clew_unit_name(c->cgroup);
	if (!name.n)
		name = clew_program_name(c);
	if (!name.n)
		name = started_as(c);
	if (!name.n && c->exe)
		name = strip_end(base_name(slice_str(c->exe)), SLICE(" (deleted)"));
	if (!name.n)
		name = slice_str(c->comm);
	return name.n ? name : SLICE("unknown_service");
}
