/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/units.h"

struct clew_option_value {
	enum clew_option_source source;
	char **texts;	/* NULL-terminated; the last is the value of what is not repeatable */
	uint64_t *nums; /* beside texts */
	size_t n;
};

/* How an option is named in a message: "--db", "CLEW_DB", "/etc/clew/clew.conf:3: db". */
struct origin {
	enum clew_option_source source;
	const char *name;
};

static int fail(struct clew_options *o, const char *fmt, ...) CLEW_PRINTF(2, 3);

static int fail(struct clew_options *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->error, sizeof(o->error), fmt, ap);
	va_end(ap);
	/* One line, and nothing that a terminal would obey, whatever was in argv. */
	for (char *c = o->error; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return -EINVAL;
}

static void value_clear(struct clew_option_value *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->texts[i]);
	free(v->texts);
	free(v->nums);
	*v = (struct clew_option_value){0};
}

static int value_add(struct clew_option_value *v, const char *text, uint64_t num)
{
	char **texts = reallocarray(v->texts, v->n + 2, sizeof(*texts));
	uint64_t *nums;

	if (!texts)
		return -ENOMEM;
	v->texts = texts;
	texts[v->n] = NULL;
	nums = reallocarray(v->nums, v->n + 1, sizeof(*nums));
	if (!nums)
		return -ENOMEM;
	v->nums = nums;
	texts[v->n] = strdup(text);
	if (!texts[v->n])
		return -ENOMEM;
	nums[v->n++] = num;
	texts[v->n] = NULL;
	return 0;
}

/* One of "a|b|c"? */
static bool is_choice(const char *choices, const char *text)
{
	size_t n = strlen(text);

	for (const char *c = choices; *c;) {
		size_t len = strcspn(c, "|");

		if (len == n && !strncmp(c, text, n))
			return true;
		c += len + (c[len] == '|');
	}
	return false;
}

/* "a, b or c" */
static const char *print_choices(const char *choices, char *out, size_t size)
{
	size_t n = 0;

	for (const char *c = choices; *c && n < size;) {
		size_t len = strcspn(c, "|");
		const char *sep = c == choices ? "" : strchr(c, '|') ? ", " : " or ";

		n += (size_t)snprintf(out + n, size - n, "%s%.*s", sep, (int)len, c);
		c += len + (c[len] == '|');
	}
	return out;
}

static int parse_flag(const char *text, uint64_t *ret)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < 4; i++) {
		if (!strcasecmp(text, yes[i]))
			return *ret = 1, 0;
		if (!strcasecmp(text, no[i]))
			return *ret = 0, 0;
	}
	return -EINVAL;
}

/* A number, size or duration within the row's limits. */
static int check_limits(struct clew_options *o, const struct clew_option *row, const char *name,
			const char *text, uint64_t v)
{
	char min[CLEW_UNITS_TEXT], max[CLEW_UNITS_TEXT];

	if (v >= row->min && (!row->max || v <= row->max))
		return 0;
	if (row->type == CLEW_OPT_SIZE) {
		clew_format_size(row->min, min);
		clew_format_size(row->max, max);
	} else if (row->type == CLEW_OPT_DURATION) {
		clew_format_duration(row->min, min);
		clew_format_duration(row->max, max);
	} else {
		snprintf(min, sizeof(min), "%llu", (unsigned long long)row->min);
		snprintf(max, sizeof(max), "%llu", (unsigned long long)row->max);
	}
	if (!row->max)
		return fail(o, "%s: '%s' is too small; write %s or more", name, text, min);
	return fail(o, "%s: '%s' is out of range; write a value from %s to %s", name, text, min,
		    max);
}

static int parse_number(struct clew_options *o, const struct clew_option *row, const char *name,
			const char *text, uint64_t *ret)
{
	int r = clew_parse_u64(text, UINT64_MAX, ret);

	if (r == -EINVAL)
		return fail(o, "%s: '%s' is not a number; write digits only, e.g. %s", name, text,
			    row->def ? row->def : "8080");
	if (r < 0)
		*ret = UINT64_MAX;
	return check_limits(o, row, name, text, *ret);
}

static int parse_quantity(struct clew_options *o, const struct clew_option *row, const char *name,
			  const char *text, uint64_t *ret)
{
	int r;

	switch (row->type) {
	case CLEW_OPT_SIZE:
		r = clew_parse_size(text, ret);
		if (r == -EINVAL)
			return fail(o,
				    "%s: '%s' is not a size; write a number with an optional unit, "
				    "e.g. 4096 or 4KiB",
				    name, text);
		if (r == -ERANGE)
			*ret = UINT64_MAX;
		return check_limits(o, row, name, text, *ret);
	case CLEW_OPT_DURATION:
		r = clew_parse_duration(text, ret);
		if (r == -EINVAL)
			return fail(
				o,
				"%s: '%s' is not a duration; write a number and a unit (ns, us, "
				"ms, s, m, h, d), e.g. 250ms or 1m30s",
				name, text);
		if (r == -ERANGE)
			return fail(o, "%s: '%s' is too long; durations end at 292 years", name,
				    text);
		return check_limits(o, row, name, text, *ret);
	default:
		r = clew_parse_time(text, o->now_ns, ret);
		if (r == -EINVAL)
			return fail(o,
				    "%s: '%s' is not a time; write RFC 3339, e.g. "
				    "2026-01-31T12:00:00Z, or an age, e.g. 5m",
				    name, text);
		if (r == -ERANGE)
			return fail(
				o,
				"%s: '%s' is not a time that exists between 1970 and 2262; write "
				"RFC 3339 or an age, e.g. 5m",
				name, text);
		return 0;
	}
}

/* Check the text against the row's type. */
static int parse_value(struct clew_options *o, const struct clew_option *row, const char *name,
		       const char *text, uint64_t *ret)
{
	char words[160];
	const char *eq;

	*ret = 0;
	if (!*text)
		return fail(o, "%s: the value is empty; write %s", name,
			    row->arg ? row->arg : "yes or no");
	switch (row->type) {
	case CLEW_OPT_FLAG:
		if (parse_flag(text, ret) < 0)
			return fail(o, "%s: '%s' is neither yes nor no; write yes or no", name,
				    text);
		return 0;
	case CLEW_OPT_STRING:
		return 0;
	case CLEW_OPT_NUMBER:
		return parse_number(o, row, name, text, ret);
	case CLEW_OPT_CHOICE:
		if (!is_choice(row->choices, text))
			return fail(o, "%s: '%s' is not known; write %s", name, text,
				    print_choices(row->choices, words, sizeof(words)));
		return 0;
	case CLEW_OPT_PAIR:
		eq = strchr(text, '=');
		if (!eq || eq == text || !eq[1])
			return fail(o, "%s: '%s' is not %s; write a name, '=' and a value", name,
				    text, row->arg);
		return 0;
	default:
		return parse_quantity(o, row, name, text, ret);
	}
}

/* Take a value from origin, unless a stronger origin has given one. */
static int set_value(struct clew_options *o, const struct clew_option *row,
		     const struct origin *origin, const char *text)
{
	struct clew_option_value *v = &o->values[row - o->table];
	uint64_t num;
	int r = parse_value(o, row, origin->name, text, &num);

	if (r < 0)
		return r;
	if (v->source > origin->source)
		return 0;
	if (v->source < origin->source || !row->repeat)
		value_clear(v);
	if (v->n >= CLEW_OPTION_MAX_VALUES)
		return fail(o, "%s: more than %d values; give fewer", origin->name,
			    CLEW_OPTION_MAX_VALUES);
	v->source = origin->source;
	return value_add(v, text, num);
}

int clew_options_init(struct clew_options *o, const struct clew_option *table, uint32_t command,
		      const char *what, uint64_t now_ns)
{
	*o = (struct clew_options){
		.table = table, .command = command, .what = what, .now_ns = now_ns};
	while (table[o->n].name)
		o->n++;
	o->values = calloc(o->n + 1, sizeof(*o->values));
	if (!o->values)
		return -ENOMEM;
	for (size_t i = 0; i < o->n; i++) {
		struct origin origin = {CLEW_OPT_DEFAULT, table[i].name};
		int r;

		if (!table[i].def || table[i].later)
			continue;
		r = set_value(o, &table[i], &origin, table[i].def);
		assert(r != -EINVAL);
		if (r < 0)
			return r;
	}
	return 0;
}

void clew_options_done(struct clew_options *o)
{
	if (o->values)
		for (size_t i = 0; i < o->n; i++)
			value_clear(&o->values[i]);
	free(o->values);
	free(o->args);
	*o = (struct clew_options){0};
}

/*
 * The row called name[0..n). Commands may give one name different meanings: the parsed command's
 * row comes first, for a file if it is a key there, else another command's that is one; failing that
 * any, for a better message.
 */
static const struct clew_option *find_row(const struct clew_options *o, const char *name, size_t n,
					  bool in_file)
{
	const struct clew_option *found = NULL;

	for (const struct clew_option *row = o->table; row->name; row++) {
		size_t len = strlen(row->name);
		bool ending = row->name[len - 1] == '*' && n >= len - 1;

		if (strncmp(row->name, name, ending ? len - 1 : n) || (!ending && len != n))
			continue;
		if ((row->commands & o->command) && (!in_file || row->config))
			return row;
		if (!found || (in_file && row->config && !found->config))
			found = row;
	}
	return found;
}

static int refuse_later(struct clew_options *o, const char *name)
{
	return fail(o, "%s is kept for later work: this version does not have it; leave it out",
		    name);
}

static int unknown_option(struct clew_options *o, const char *word, size_t n)
{
	const char *names[128], *near;
	char name[64];
	size_t k = 0;

	snprintf(name, sizeof(name), "%.*s", (int)n, word);
	for (const struct clew_option *row = o->table; row->name && k < 127; row++)
		if ((row->commands & o->command) && !row->later)
			names[k++] = row->name;
	names[k] = NULL;
	near = clew_nearest(name, names);
	if (near)
		return fail(o, "unknown option '--%s'; did you mean --%s? (%s --help lists them)",
			    name, near, o->what);
	return fail(o, "unknown option '--%s'; %s --help lists the options", name, o->what);
}

/* argv[*i] is "--name" or "--name=value". */
static int read_long(struct clew_options *o, int argc, char **argv, int *i)
{
	const char *word = argv[*i] + 2, *eq = strchr(word, '='), *text = eq ? eq + 1 : NULL;
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	const struct clew_option *row = find_row(o, word, n, false);
	char name[80];
	struct origin origin = {CLEW_OPT_CMDLINE, name};

	snprintf(name, sizeof(name), "--%.*s", (int)n, word);
	if (row && row->later)
		return refuse_later(o, name);
	if (!row)
		return unknown_option(o, word, n);
	if (!(row->commands & o->command))
		return fail(o, "%s: '%s' has no such option; %s --help lists those that it has",
			    name, o->what, o->what);
	if (!text && row->type == CLEW_OPT_FLAG)
		text = "yes";
	if (!text && *i + 1 < argc)
		text = argv[++*i];
	if (!text)
		return fail(o, "%s: its value is missing; write %s %s", name, name, row->arg);
	return set_value(o, row, &origin, text);
}

static const struct clew_option *find_letter(const struct clew_options *o, char letter)
{
	for (const struct clew_option *row = o->table; row->name; row++)
		if (row->letter == letter && (row->commands & o->command))
			return row;
	return NULL;
}

/* argv[*i] is "-p", "-p5" or letters of flags, "-qv". */
static int read_short(struct clew_options *o, int argc, char **argv, int *i)
{
	for (const char *c = argv[*i] + 1; *c; c++) {
		const struct clew_option *row = find_letter(o, *c);
		char name[3] = {'-', *c, '\0'};
		struct origin origin = {CLEW_OPT_CMDLINE, name};
		const char *text = "yes";
		int r;

		if (!row)
			return fail(o, "unknown option '-%c'; %s --help lists the options", *c,
				    o->what);
		if (row->type != CLEW_OPT_FLAG) {
			text = c[1] ? c + 1 : *i + 1 < argc ? argv[++*i] : NULL;
			if (!text)
				return fail(o, "%s: its value is missing; write %s %s", name, name,
					    row->arg);
		}
		r = set_value(o, row, &origin, text);
		if (r < 0 || row->type != CLEW_OPT_FLAG)
			return r;
	}
	return 0;
}

int clew_options_cmdline(struct clew_options *o, int argc, char **argv, bool stop_early)
{
	bool only_args = false;

	free(o->args);
	o->n_args = 0;
	o->args = calloc((size_t)argc + 1, sizeof(*o->args));
	if (!o->args)
		return -ENOMEM;
	for (int i = 0; i < argc; i++) {
		int r = 0;

		if (!only_args && !strcmp(argv[i], "--")) {
			only_args = true;
		} else if (only_args || argv[i][0] != '-' || !argv[i][1]) {
			o->args[o->n_args++] = argv[i];
			only_args |= stop_early;
		} else if (argv[i][1] == '-') {
			r = read_long(o, argc, argv, &i);
		} else {
			r = read_short(o, argc, argv, &i);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* A repeatable option's variable holds values separated by commas. */
static int read_env_list(struct clew_options *o, const struct clew_option *row,
			 const struct origin *origin, const char *text)
{
	char *copy = strdup(text), *rest = copy, *word;
	int r = copy ? 0 : -ENOMEM;

	while (!r && (word = strsep(&rest, ",")))
		if (*word)
			r = set_value(o, row, origin, word);
	free(copy);
	return r;
}

int clew_options_env(struct clew_options *o)
{
	for (const struct clew_option *row = o->table; row->name; row++) {
		struct origin origin = {CLEW_OPT_ENV, row->env};
		const char *text = row->env ? getenv(row->env) : NULL;
		int r;

		/* An empty variable is one that is not set. */
		if (!text || !*text || !(row->commands & o->command))
			continue;
		r = row->repeat ? read_env_list(o, row, &origin, text)
				: set_value(o, row, &origin, text);
		if (r < 0)
			return r;
	}
	return 0;
}

static char *trim(char *s)
{
	char *end;

	while (*s == ' ' || *s == '\t')
		s++;
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = '\0';
	return s;
}

/* A '#' behind a blank ends the value. */
static char *cut_comment(char *s)
{
	for (char *c = s; *c; c++)
		if (*c == '#' && c > s && (c[-1] == ' ' || c[-1] == '\t'))
			*c = '\0';
	return s;
}

static int read_config_line(struct clew_options *o, const char *where, char *line)
{
	const struct clew_option *row;
	char *key = trim(line), *value, *eq;
	char name[PATH_MAX + 128];
	struct origin origin = {CLEW_OPT_FILE, name};

	if (!*key || *key == '#')
		return 0;
	eq = strchr(key, '=');
	if (!eq)
		return fail(o, "%s: '%s' is not a setting; write key = value", where, key);
	*eq = '\0';
	key = trim(key);
	value = trim(cut_comment(eq + 1));
	snprintf(name, sizeof(name), "%s: %s", where, key);
	row = find_row(o, key, strlen(key), true);
	if (row && row->later)
		return refuse_later(o, name);
	if (!row || !row->config) {
		const char *names[128], *near;
		size_t k = 0;

		for (row = o->table; row->name && k < 127; row++)
			if (row->config && !row->later)
				names[k++] = row->name;
		names[k] = NULL;
		near = clew_nearest(key, names);
		return fail(o, "%s: unknown key '%s'%s%s%s; see clew help config", where, key,
			    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	return set_value(o, row, &origin, value);
}

static int read_whole_file(struct clew_options *o, const char *path, char **ret)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		fail(o, "%s: %s; name a readable file with --config or CLEW_CONFIG", path,
		     strerror(-r));
		return r;
	}
	if (S_ISDIR(st.st_mode))
		return fail(o, "%s: it is a directory; name a file of key = value lines", path);
	text = malloc(CLEW_CONFIG_MAX_BYTES + 1);
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, text + len, CLEW_CONFIG_MAX_BYTES + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(o, "%s: %s", path, strerror(errno));
		len += (size_t)n;
		if (len > CLEW_CONFIG_MAX_BYTES)
			return fail(o, "%s: longer than 1 MiB; name a file of key = value lines",
				    path);
		if (!n)
			break;
	}
	text[len] = '\0';
	if (strlen(text) != len)
		return fail(o, "%s: holds NUL bytes; name a text file of key = value lines", path);
	*ret = clew_steal(text);
	return 0;
}

int clew_options_file(struct clew_options *o, const char *path)
{
	_cleanup_(freep) char *text = NULL;
	char *rest, *line, where[PATH_MAX + 32];
	int r = read_whole_file(o, path, &text);

	if (r < 0)
		return r;
	rest = text;
	for (unsigned no = 1; (line = strsep(&rest, "\n")); no++) {
		snprintf(where, sizeof(where), "%s:%u", path, no);
		r = read_config_line(o, where, line);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct clew_option_value *value_of(const struct clew_options *o, const char *name)
{
	const struct clew_option *row = find_row(o, name, strlen(name), false);

	assert(row);
	return &o->values[row - o->table];
}

enum clew_option_source clew_options_source(const struct clew_options *o, const char *name)
{
	return value_of(o, name)->source;
}

const char *clew_options_str(const struct clew_options *o, const char *name)
{
	const struct clew_option_value *v = value_of(o, name);

	return v->n ? v->texts[v->n - 1] : NULL;
}

uint64_t clew_options_u64(const struct clew_options *o, const char *name)
{
	const struct clew_option_value *v = value_of(o, name);

	return v->n ? v->nums[v->n - 1] : 0;
}

bool clew_options_flag(const struct clew_options *o, const char *name)
{
	return clew_options_u64(o, name);
}

char *const *clew_options_list(const struct clew_options *o, const char *name, size_t *ret_n)
{
	const struct clew_option_value *v = value_of(o, name);

	if (ret_n)
		*ret_n = v->n;
	return v->texts;
}

const uint64_t *clew_options_u64s(const struct clew_options *o, const char *name, size_t *ret_n)
{
	const struct clew_option_value *v = value_of(o, name);

	*ret_n = v->n;
	return v->nums;
}
