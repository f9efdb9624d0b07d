#include "ops/key.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/die.h"
#include "base/error.h"
#include "ops/mask.h"

/* PostgreSQL's of a column. */
#define MAX_NAME	63

/* A unit of a quantity, largest first in its table. */
struct unit {
	const char	*name;
	uint64_t	 factor;
};

static const struct unit duration_units[] = {
	{ "h", 3600000000 },
	{ "min", 60000000 },
	{ "s", 1000000 },
	{ "ms", 1000 },
	{ "us", 1 },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "GiB", 1 << 30 },
	{ "MiB", 1 << 20 },
	{ "KiB", 1 << 10 },
	{ "B", 1 },
	{ NULL, 0 },
};

static const struct unit count_units[] = {
	{ "", 1 },
	{ NULL, 0 },
};

static const char *const deadlock_modes[] = {
	[LK_DEADLOCK_RESOLVE] = "resolve",
	[LK_DEADLOCK_REPORT] = "report",
	[LK_DEADLOCK_OFF] = "off",
	NULL,
};

static const char *const booleans[] = { "false", "true", NULL };

static const char *const replays[] = {
	[LK_REPLAY_DML] = "dml",
	[LK_REPLAY_VERBS] = "verbs",
	[LK_REPLAY_OFF] = "off",
	NULL,
};

static const char *const group_commits[] = {
	[LK_GROUP_SAFE] = "safe",
	[LK_GROUP_ALWAYS] = "always",
	[LK_GROUP_OFF] = "off",
	NULL,
};

static const char *const log_levels[] = {
	[LK_LOG_ERROR] = "error",
	[LK_LOG_WARNING] = "warning",
	[LK_LOG_INFO] = "info",
	[LK_LOG_DEBUG] = "debug",
	NULL,
};

static const char *const log_formats[] = {
	[LK_LOG_TEXT] = "text",
	[LK_LOG_JSON] = "json",
	NULL,
};

struct lk_key_type {
	const char	*name;
	enum lk_key_form form;
	const struct unit *units;	/* of a quantity */
	const char	*const *words;	/* of a choice, by value */
	size_t		 field_bytes;	/* of a quantity or choice */
	int	(*set)(const struct lk_key *key, void *field, const char *text,
		    struct lk_buf *why);
	void	(*print)(const struct lk_key *key, const void *field,
		    struct lk_buf *out);
	void	(*describe)(const struct lk_key *key, struct lk_buf *out);
};

/* ---- numbers: counts, durations, sizes ---- */

static void
store_number(const struct lk_key *key, void *field, uint64_t value)
{
	uint32_t small = (uint32_t)value;
	bool is_true = value != 0;

	if (key->type->field_bytes == sizeof(is_true))
		memcpy(field, &is_true, sizeof(is_true));
	else if (key->type->field_bytes == sizeof(small))
		memcpy(field, &small, sizeof(small));
	else
		memcpy(field, &value, sizeof(value));
}

static uint64_t
load_number(const struct lk_key *key, const void *field)
{
	uint32_t small;
	uint64_t value;
	bool is_true;

	if (key->type->field_bytes == sizeof(is_true)) {
		memcpy(&is_true, field, sizeof(is_true));
		return is_true;
	}
	if (key->type->field_bytes == sizeof(small)) {
		memcpy(&small, field, sizeof(small));
		return small;
	}
	memcpy(&value, field, sizeof(value));
	return value;
}

/* NULL, or what is wrong with text. */
static const char *
parse_quantity(const struct unit *units, const char *text, uint64_t *value_out)
{
	const struct unit *unit;
	const char *end;
	uint64_t n = 0;

	if (strcmp(text, "0") == 0) {
		*value_out = 0;
		return NULL;
	}
	for (end = text; *end >= '0' && *end <= '9'; end++) {
		if (end - text == 9)
			return "has more than nine digits";
		n = n * 10 + (uint64_t)(*end - '0');
	}
	if (end == text)
		return "does not begin with a digit";
	for (unit = units; unit->name != NULL; unit++) {
		if (strcmp(end, unit->name) == 0) {
			*value_out = n * unit->factor;
			return NULL;
		}
	}
	return *end == '\0' ? "has no unit" : "has an unknown unit";
}

static uint64_t
bound(const struct lk_key *key, const char *text)
{
	const struct unit *units = key->type->units;
	uint64_t value;

	lk_assert(parse_quantity(units != NULL ? units : count_units, text,
	    &value) == NULL);
	return value;
}

static int
set_quantity(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	uint64_t value = 0;
	const char *wrong = NULL;

	if (*text == '-' && key->type->form == LK_KEY_INTEGER)
		wrong = "is too small";
	else
		wrong = parse_quantity(key->type->units, text, &value);
	if (wrong == NULL && value < bound(key, key->min))
		wrong = "is too small";
	if (wrong == NULL && value > bound(key, key->max))
		wrong = "is too large";
	if (wrong != NULL) {
		lk_buf_printf(why, "\"%.40s\" %s", text, wrong);
		return -LK_E_INVAL;
	}
	store_number(key, field, value);
	return 0;
}

static void
print_quantity(const struct lk_key *key, const void *field, struct lk_buf *out)
{
	uint64_t value = load_number(key, field);
	const struct unit *unit = key->type->units;

	if (value == 0) {
		lk_buf_putc(out, '0');
		return;
	}
	while (value % unit->factor != 0)
		unit++;
	lk_buf_printf(out, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

static void
describe_count(const struct lk_key *key, struct lk_buf *out)
{
	lk_buf_printf(out, "a whole number from %s to %s", key->min, key->max);
}

static void
describe_quantity(const struct lk_key *key, struct lk_buf *out)
{
	bool can_be_off = strcmp(key->min, "0") == 0;
	const struct unit *unit;
	const char *before = "";

	lk_buf_printf(out, "a %s in quotes %s%s to %s, with a unit (",
	    key->type->name, can_be_off ? "up" : "from ",
	    can_be_off ? "" : key->min, key->max);
	for (unit = key->type->units; unit->name != NULL; unit++) {
		lk_buf_printf(out, "%s%s", before, unit->name);
		before = ", ";
	}
	lk_buf_puts(out, can_be_off ? "), or \"0\" for off" : ")");
}

/* ---- permission bits ---- */

static int
set_mode(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	size_t n = strlen(text);

	if (n < 3 || n > 4 || strspn(text, "01234567") != n ||
	    strtoul(text, NULL, 8) > 0777) {
		lk_buf_printf(why, "\"%.40s\" is no such mode", text);
		return -LK_E_INVAL;
	}
	store_number(key, field, strtoul(text, NULL, 8));
	return 0;
}

static void
print_mode(const struct lk_key *key, const void *field, struct lk_buf *out)
{
	lk_buf_printf(out, "%04" PRIo64, load_number(key, field));
}

static void
describe_mode(const struct lk_key *key, struct lk_buf *out)
{
	lk_buf_printf(out, "an octal mode in quotes up to %s, as \"%s\"",
	    key->max, key->initial);
}

/* ---- one word of several ---- */

static int
set_choice(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	const char *const *words = key->type->words;
	uint32_t i;

	for (i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0) {
			store_number(key, field, i);
			return 0;
		}
	}
	lk_buf_printf(why, "\"%.40s\" is none of its words", text);
	return -LK_E_INVAL;
}

static void
print_choice(const struct lk_key *key, const void *field, struct lk_buf *out)
{
	lk_buf_puts(out, key->type->words[load_number(key, field)]);
}

static void
describe_boolean(const struct lk_key *key, struct lk_buf *out)
{
	(void)key;
	lk_buf_puts(out, "true or false, without quotes");
}

static void
describe_choice(const struct lk_key *key, struct lk_buf *out)
{
	const char *const *word;

	lk_buf_puts(out, "one of");
	for (word = key->type->words; *word != NULL; word++)
		lk_buf_printf(out, "%s \"%s\"",
		    word == key->type->words ? "" : ",", *word);
}

/* ---- texts ---- */

static int
store_text(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	char *copy;

	/* The text itself stays out of the message: it may be a password. */
	if (strlen(text) < bound(key, key->min)) {
		lk_buf_puts(why, *text == '\0' ? "is empty" : "is too short");
		return -LK_E_INVAL;
	}
	if (strlen(text) > bound(key, key->max)) {
		lk_buf_puts(why, "is too long");
		return -LK_E_INVAL;
	}
	copy = lk_xstrdup(text);
	memcpy(field, &copy, sizeof(copy));
	return 0;
}

static int
set_text(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	const char *p;

	for (p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			lk_buf_puts(why, "has a control character in it");
			return -LK_E_INVAL;
		}
	}
	return store_text(key, field, text, why);
}

static const char *
load_text(const void *field)
{
	const char *text;

	memcpy(&text, field, sizeof(text));
	return text;
}

static void
print_text(const struct lk_key *key, const void *field, struct lk_buf *out)
{
	(void)key;
	lk_buf_puts(out, load_text(field));
}

static void
print_conninfo(const struct lk_key *key, const void *field, struct lk_buf *out)
{
	(void)key;
	lk_mask_conninfo(load_text(field), out);
}

static void
describe_text(const struct lk_key *key, struct lk_buf *out)
{
	lk_buf_printf(out, "a string of %s to %s bytes", key->min, key->max);
}

/* ---- names, a line each ---- */

/* NULL, or what is wrong with a name. */
static const char *
check_name(const char *name, size_t n)
{
	size_t i;

	if (n == 0)
		return "has an empty name in it";
	if (n > MAX_NAME)
		return "has a name in it that is too long";
	for (i = 0; i < n; i++) {
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return "has a control character in it";
	}
	return NULL;
}

static const char *
check_names(const struct lk_key *key, const char *text)
{
	const char *wrong = NULL, *p = text;
	size_t n_names = 0, n;
	bool has_more = *text != '\0';

	while (wrong == NULL && has_more) {
		n = strcspn(p, "\n");
		wrong = check_name(p, n);
		has_more = p[n] == '\n';
		p += n + has_more;
		n_names++;
	}
	if (wrong == NULL && n_names < bound(key, key->min))
		wrong = "has too few names in it";
	if (wrong == NULL && n_names > bound(key, key->max))
		wrong = "has too many names in it";
	return wrong;
}

static int
set_names(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	const char *wrong = check_names(key, text);
	char *copy;

	if (wrong != NULL) {
		lk_buf_puts(why, wrong);
		return -LK_E_INVAL;
	}
	copy = lk_xstrdup(text);
	memcpy(field, &copy, sizeof(copy));
	return 0;
}

static void
describe_names(const struct lk_key *key, struct lk_buf *out)
{
	lk_buf_printf(out, "%s to %s names of at most %d bytes, as "
	    "[\"one\", \"other\"]", key->min, key->max, MAX_NAME);
}

/* ---- where the log goes ---- */

static int
set_log_target(const struct lk_key *key, void *field, const char *text,
    struct lk_buf *why)
{
	/* A relative path would be relative to what started us. */
	if (*text != '/' && strcmp(text, "stderr") != 0) {
		lk_buf_printf(why, "\"%.40s\" is neither", text);
		return -LK_E_INVAL;
	}
	return set_text(key, field, text, why);
}

static void
describe_log_target(const struct lk_key *key, struct lk_buf *out)
{
	lk_buf_printf(out, "\"stderr\", or the path of a file, from / on, of "
	    "at most %s bytes", key->max);
}

/* ---- the types, and the table ---- */

enum type_index {
	TYPE_TEXT,
	TYPE_CONNINFO,
	TYPE_MODE,
	TYPE_COUNT,
	TYPE_DURATION,
	TYPE_SIZE,
	TYPE_DEADLOCK_MODE,
	TYPE_REPLAY,
	TYPE_GROUP_COMMIT,
	TYPE_LOG_LEVEL,
	TYPE_LOG_TARGET,
	TYPE_LOG_FORMAT,
	TYPE_BOOL,
	TYPE_NAMES,
};

static const struct lk_key_type types[] = {
	[TYPE_TEXT] = {
		.name = "text",
		.set = set_text,
		.print = print_text,
		.describe = describe_text,
	},
	[TYPE_CONNINFO] = {
		.name = "conninfo",
		.set = store_text,
		.print = print_conninfo,
		.describe = describe_text,
	},
	[TYPE_MODE] = {
		.name = "mode",
		.field_bytes = sizeof(uint32_t),
		.set = set_mode,
		.print = print_mode,
		.describe = describe_mode,
	},
	[TYPE_COUNT] = {
		.name = "count",
		.form = LK_KEY_INTEGER,
		.units = count_units,
		.field_bytes = sizeof(uint32_t),
		.set = set_quantity,
		.print = print_quantity,
		.describe = describe_count,
	},
	[TYPE_DURATION] = {
		.name = "duration",
		.units = duration_units,
		.field_bytes = sizeof(uint64_t),
		.set = set_quantity,
		.print = print_quantity,
		.describe = describe_quantity,
	},
	[TYPE_SIZE] = {
		.name = "size",
		.units = size_units,
		.field_bytes = sizeof(uint64_t),
		.set = set_quantity,
		.print = print_quantity,
		.describe = describe_quantity,
	},
	[TYPE_DEADLOCK_MODE] = {
		.name = "word",
		.words = deadlock_modes,
		.field_bytes = sizeof(enum lk_deadlock_mode),
		.set = set_choice,
		.print = print_choice,
		.describe = describe_choice,
	},
	[TYPE_REPLAY] = {
		.name = "word",
		.words = replays,
		.field_bytes = sizeof(enum lk_replay),
		.set = set_choice,
		.print = print_choice,
		.describe = describe_choice,
	},
	[TYPE_GROUP_COMMIT] = {
		.name = "word",
		.words = group_commits,
		.field_bytes = sizeof(enum lk_group_commit),
		.set = set_choice,
		.print = print_choice,
		.describe = describe_choice,
	},
	[TYPE_LOG_LEVEL] = {
		.name = "word",
		.words = log_levels,
		.field_bytes = sizeof(enum lk_log_level),
		.set = set_choice,
		.print = print_choice,
		.describe = describe_choice,
	},
	[TYPE_LOG_TARGET] = {
		.name = "text",
		.set = set_log_target,
		.print = print_text,
		.describe = describe_log_target,
	},
	[TYPE_LOG_FORMAT] = {
		.name = "word",
		.words = log_formats,
		.field_bytes = sizeof(enum lk_log_format),
		.set = set_choice,
		.print = print_choice,
		.describe = describe_choice,
	},
	[TYPE_BOOL] = {
		.name = "word",
		.form = LK_KEY_BOOLEAN,
		.words = booleans,
		.field_bytes = sizeof(bool),
		.set = set_choice,
		.print = print_choice,
		.describe = describe_boolean,
	},
	[TYPE_NAMES] = {
		.name = "names",
		.form = LK_KEY_NAMES,
		.set = set_names,
		.print = print_text,
		.describe = describe_names,
	},
};

const struct lk_key lk_keys[] = {
#define RELOAD	true
#define START	false
#define LK_CONFIG_KEY(group, key, type, field, initial, min, max, when,	\
    help)								\
	{ LK_KEY_ONCE, group, key, &types[TYPE_##type],			\
	    offsetof(struct lk_config, field), initial, min, max, when, help },
#define LK_DATABASE_KEY(group, key, type, field, initial, min, max,	\
    when, help)								\
	{ LK_KEY_DATABASE, group, key, &types[TYPE_##type],		\
	    offsetof(struct lk_config_database, field), initial, min, max, \
	    when, help },
#define LK_MODEL_KEY(group, key, type, field, initial, min, max, when,	\
    help)								\
	{ LK_KEY_MODEL, group, key, &types[TYPE_##type],		\
	    offsetof(struct lk_config_model, field), initial, min, max,	\
	    when, help },
#define LK_RELATION_KEY(group, key, type, field, initial, min, max,	\
    when, help)								\
	{ LK_KEY_RELATION, group, key, &types[TYPE_##type],		\
	    offsetof(struct lk_config_relation, field), initial, min, max, \
	    when, help },
#include "ops/config.def"
#undef LK_CONFIG_KEY
#undef LK_DATABASE_KEY
#undef LK_MODEL_KEY
#undef LK_RELATION_KEY
#undef RELOAD
#undef START
};

const size_t lk_n_keys = sizeof(lk_keys) / sizeof(lk_keys[0]);

enum lk_key_form
lk_key_form(const struct lk_key *key)
{
	return key->type->form;
}

void
lk_key_put_type(const struct lk_key *key, struct lk_buf *out)
{
	const char *const *word = key->type->words;

	if (word == NULL) {
		lk_buf_puts(out, key->type->name);
		return;
	}
	for (; *word != NULL; word++)
		lk_buf_printf(out, "%s%s", word == key->type->words ? "" : "|",
		    *word);
}

int
lk_key_set(const struct lk_key *key, void *base, const char *text,
    struct lk_buf *why)
{
	return key->type->set(key, (char *)base + key->offset, text, why);
}

bool
lk_key_is_same(const struct lk_key *key, const void *a, const void *b)
{
	const char *x = (const char *)a + key->offset;
	const char *y = (const char *)b + key->offset;

	if (key->type->field_bytes == 0)
		return strcmp(load_text(x), load_text(y)) == 0;
	return memcmp(x, y, key->type->field_bytes) == 0;
}

void
lk_key_copy(const struct lk_key *key, void *to, const void *from)
{
	const char *source = (const char *)from + key->offset;
	char *target = (char *)to + key->offset;
	char *text;

	lk_key_clear(key, to);
	if (key->type->field_bytes != 0) {
		memcpy(target, source, key->type->field_bytes);
		return;
	}
	text = lk_xstrdup(load_text(source));
	memcpy(target, &text, sizeof(text));
}

void
lk_key_clear(const struct lk_key *key, void *base)
{
	char *text, *none = NULL;

	if (key->type->field_bytes != 0)
		return;
	memcpy(&text, (char *)base + key->offset, sizeof(text));
	free(text);
	memcpy((char *)base + key->offset, &none, sizeof(none));
}

void
lk_key_print(const struct lk_key *key, const void *base, struct lk_buf *out)
{
	key->type->print(key, (const char *)base + key->offset, out);
}

void
lk_key_describe(const struct lk_key *key, struct lk_buf *out)
{
	key->type->describe(key, out);
}
