#include "ops/config.h"

#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

#include "base/die.h"
#include "ops/conftext.h"
#include "ops/key.h"

struct reader {
	const char	*path;
	struct lk_error	*error;
};

/* A group in the file and the struct that its keys fill. */
struct place {
	const char	*group;		/* as in ops/config.def; "": the file */
	config_setting_t *setting;	/* NULL when the file leaves it out */
	unsigned	 line;
	enum lk_key_scope scope;
	void		*base;
};

static int
fail(const struct reader *reader, unsigned line, const char *group,
    const char *key, const char *what)
{
	const char *dot = *group != '\0' && *key != '\0' ? "." : "";

	lk_error_set(reader->error, LK_ERR_SYNTAX, "%s:%u: %s%s%s: %s",
	    reader->path, line, group, dot, key, what);
	return -LK_E_INVAL;
}

static const char *
kind_in_words(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "an integer";
	case CONFIG_TYPE_FLOAT:
		return "a fraction";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "a boolean";
	case CONFIG_TYPE_ARRAY:
		return "an array";
	default:
		return "a list";
	}
}

/* The value's text in buf; false when it is of another type than the key's. */
static bool
setting_text(const struct lk_key *key, const config_setting_t *setting,
    struct lk_buf *buf)
{
	int type = config_setting_type(setting);

	if (lk_key_is_integer(key)) {
		if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
			return false;
		lk_buf_printf(buf, "%lld", config_setting_get_int64(setting));
		return true;
	}
	if (type != CONFIG_TYPE_STRING)
		return false;
	lk_buf_puts(buf, config_setting_get_string(setting));
	return true;
}

static int
read_value(const struct reader *reader, const struct place *place,
    const struct lk_key *key, const config_setting_t *setting)
{
	struct lk_buf text = LK_BUF_INIT, what = LK_BUF_INIT;
	int rc = -LK_E_INVAL;

	if (!setting_text(key, setting, &text))
		lk_buf_printf(&what, "is %s", kind_in_words(setting));
	else
		rc = lk_key_set(key, place->base, lk_buf_cstr(&text), &what);
	if (rc < 0) {
		lk_buf_puts(&what, "; accepted: ");
		lk_key_describe(key, &what);
		fail(reader, config_setting_source_line(setting), place->group,
		    key->key, lk_buf_cstr(&what));
	}
	lk_buf_fini(&text);
	lk_buf_fini(&what);
	return rc;
}

static int
set_default(const struct reader *reader, const struct place *place,
    const struct lk_key *key)
{
	struct lk_buf what = LK_BUF_INIT;
	int rc = 0;

	if (key->initial != NULL) {
		lk_assert(lk_key_set(key, place->base, key->initial,
		    &what) == 0);
	} else {
		lk_buf_puts(&what, "is missing; needed: ");
		lk_key_describe(key, &what);
		rc = fail(reader, place->line, place->group, key->key,
		    lk_buf_cstr(&what));
	}
	lk_buf_fini(&what);
	return rc;
}

/*
 * What of this row may stand in the group: its key, or the name of the next
 * group inside; NULL when the row is of elsewhere.
 */
static const char *
member_of(const struct lk_key *key, const char *group, size_t *n_out)
{
	size_t n = strlen(group);
	const char *inside = key->group;

	if (n > 0 && strncmp(key->group, group, n) != 0)
		return NULL;
	if (n > 0 && key->group[n] == '\0') {
		*n_out = strlen(key->key);
		return key->key;
	}
	if (n > 0) {
		if (key->group[n] != '.')
			return NULL;
		inside += n + 1;
	}
	*n_out = strcspn(inside, ".");
	return inside;
}

static bool
is_member(const char *group, const char *name)
{
	const char *member;
	size_t i, n;

	for (i = 0; i < lk_n_keys; i++) {
		member = member_of(&lk_keys[i], group, &n);
		if (member != NULL && strlen(name) == n &&
		    strncmp(name, member, n) == 0)
			return true;
	}
	return false;
}

static void
list_members(const char *group, struct lk_buf *out)
{
	const char *member, *before = NULL;
	size_t i, n, n_before = 0;

	for (i = 0; i < lk_n_keys; i++) {
		member = member_of(&lk_keys[i], group, &n);
		if (member == NULL || (before != NULL && n == n_before &&
		    strncmp(before, member, n) == 0))
			continue;
		lk_buf_printf(out, "%s%.*s", before != NULL ? ", " : "", (int)n,
		    member);
		before = member;
		n_before = n;
	}
}

static int
check_names(const struct reader *reader, const struct place *place)
{
	struct lk_buf what = LK_BUF_INIT;
	config_setting_t *member;
	int i, rc = 0;

	for (i = 0; i < config_setting_length(place->setting); i++) {
		member = config_setting_get_elem(place->setting, (unsigned)i);
		if (is_member(place->group, config_setting_name(member)))
			continue;
		lk_buf_puts(&what, "is not known; accepted here: ");
		list_members(place->group, &what);
		rc = fail(reader, config_setting_source_line(member),
		    place->group, config_setting_name(member),
		    lk_buf_cstr(&what));
		break;
	}
	lk_buf_fini(&what);
	return rc;
}

/* Fill the fields of a group's own keys. */
static int
read_place(const struct reader *reader, const struct place *place)
{
	const config_setting_t *setting;
	int rc = 0;
	size_t i;

	if (place->setting != NULL && !config_setting_is_group(place->setting))
		return fail(reader, place->line, place->group, "",
		    "is no group; accepted: { key = value; … }");
	if (place->setting != NULL)
		rc = check_names(reader, place);
	for (i = 0; i < lk_n_keys && rc == 0; i++) {
		if (lk_keys[i].scope != place->scope ||
		    strcmp(lk_keys[i].group, place->group) != 0)
			continue;
		setting = place->setting == NULL ? NULL :
		    config_setting_get_member(place->setting, lk_keys[i].key);
		rc = setting != NULL ?
		    read_value(reader, place, &lk_keys[i], setting) :
		    set_default(reader, place, &lk_keys[i]);
	}
	return rc;
}

static struct place
place_inside(const struct place *outer, const char *name, const char *group)
{
	struct place inner = *outer;

	inner.group = group;
	if (outer->setting != NULL)
		inner.setting = config_setting_get_member(outer->setting, name);
	if (inner.setting != NULL)
		inner.line = config_setting_source_line(inner.setting);
	return inner;
}

static unsigned
member_line(const struct place *place, const char *name)
{
	config_setting_t *member = place->setting == NULL ? NULL :
	    config_setting_get_member(place->setting, name);

	return member != NULL ? config_setting_source_line(member) :
	    place->line;
}

static int
read_database(const struct reader *reader, struct lk_config *config, size_t i,
    config_setting_t *setting)
{
	struct lk_config_database *db = &config->databases[i];
	struct place place = { "databases", setting,
	    config_setting_source_line(setting), LK_KEY_DATABASE, db };
	struct place workers;
	size_t j;
	int rc = read_place(reader, &place);

	if (rc < 0)
		return rc;
	for (j = 0; j < i; j++) {
		if (strcmp(config->databases[j].name, db->name) == 0)
			return fail(reader, member_line(&place, "name"),
			    "databases", "name", "is that of another database "
			    "too; accepted: a name of its own for each");
	}
	workers = place_inside(&place, "workers", "databases.workers");
	rc = read_place(reader, &workers);
	if (rc == 0 && db->workers_min > db->workers_max)
		rc = fail(reader, member_line(&workers, "min"),
		    "databases.workers", "min",
		    "is more than max; accepted: at most max");
	return rc;
}

static int
read_databases(const struct reader *reader, struct lk_config *config,
    config_setting_t *root)
{
	config_setting_t *list = config_setting_get_member(root, "databases");
	int i, rc = 0, n;

	if (list == NULL)
		return fail(reader, 1, "databases", "", "is missing; needed: "
		    "( { name = \"…\"; conninfo = \"…\"; } )");
	n = config_setting_length(list);
	if (!config_setting_is_list(list) || n == 0)
		return fail(reader, config_setting_source_line(list),
		    "databases", "", n == 0 ? "is empty; needed: at least one "
		    "{ name = \"…\"; conninfo = \"…\"; }" : "is no list; "
		    "accepted: ( { … }, { … } )");
	config->databases = lk_xcalloc((size_t)n, sizeof(*config->databases));
	config->n_databases = (size_t)n;
	for (i = 0; i < n && rc == 0; i++)
		rc = read_database(reader, config, (size_t)i,
		    config_setting_get_elem(list, (unsigned)i));
	return rc;
}

/* Every group of the file but databases, by the rows' groups. */
static int
read_groups(const struct reader *reader, const struct place *file)
{
	struct place place;
	int rc = 0;
	size_t i;

	for (i = 0; i < lk_n_keys && rc == 0; i++) {
		if (lk_keys[i].scope != LK_KEY_ONCE || (i > 0 &&
		    strcmp(lk_keys[i].group, lk_keys[i - 1].group) == 0))
			continue;
		place = place_inside(file, lk_keys[i].group, lk_keys[i].group);
		rc = read_place(reader, &place);
	}
	return rc;
}

static int
read_config(const struct reader *reader, struct lk_config *config,
    config_setting_t *root)
{
	struct place file = { "", root, 1, LK_KEY_ONCE, config };
	int rc = check_names(reader, &file);

	if (rc == 0)
		rc = read_groups(reader, &file);
	if (rc == 0)
		rc = read_databases(reader, config, root);
	return rc;
}

static int
parse_text(const struct reader *reader, struct lk_buf *text, config_t *parsed)
{
	if (config_read_string(parsed, lk_buf_cstr(text)) == CONFIG_TRUE)
		return 0;
	lk_error_set(reader->error, LK_ERR_SYNTAX, "%s:%d: %s; accepted: "
	    "key = value; and group = { key = value; };", reader->path,
	    config_error_line(parsed), config_error_text(parsed));
	return -LK_E_INVAL;
}

int
lk_config_load(const char *path, struct lk_config **config_out,
    struct lk_error *error)
{
	struct reader reader = { path, error };
	struct lk_config *config = lk_xcalloc(1, sizeof(*config));
	struct lk_buf text = LK_BUF_INIT;
	config_t parsed;
	int rc;

	config_init(&parsed);
	rc = lk_conftext_read(path, &text, error);
	if (rc == 0)
		rc = parse_text(&reader, &text, &parsed);
	if (rc == 0)
		rc = read_config(&reader, config, config_root_setting(&parsed));
	if (rc == 0)
		*config_out = config;
	else
		lk_config_free(&config);
	config_destroy(&parsed);
	lk_buf_fini(&text);
	return rc;
}

static void
clear_keys(enum lk_key_scope scope, void *base)
{
	size_t i;

	for (i = 0; i < lk_n_keys; i++) {
		if (lk_keys[i].scope == scope)
			lk_key_clear(&lk_keys[i], base);
	}
}

void
lk_config_free(struct lk_config **config)
{
	size_t i;

	if (*config == NULL)
		return;
	for (i = 0; i < (*config)->n_databases; i++)
		clear_keys(LK_KEY_DATABASE, &(*config)->databases[i]);
	free((*config)->databases);
	clear_keys(LK_KEY_ONCE, *config);
	free(*config);
	*config = NULL;
}
