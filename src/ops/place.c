#include "ops/place.h"

#include <string.h>

#include "base/die.h"

int
lk_place_fail(const struct lk_reader *reader, unsigned line, const char *group,
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

/* False where it holds anything but texts of one line. */
static bool
join_names(const config_setting_t *setting, struct lk_buf *buf)
{
	const char *name;
	int i;

	for (i = 0; i < config_setting_length(setting); i++) {
		name = config_setting_get_string_elem(setting, i);
		if (name == NULL || strchr(name, '\n') != NULL)
			return false;
		lk_buf_printf(buf, "%s%s", i > 0 ? "\n" : "", name);
	}
	return true;
}

/* The value's text in buf; false when it is of another type than the key's. */
static bool
setting_text(const struct lk_key *key, const config_setting_t *setting,
    struct lk_buf *buf)
{
	int type = config_setting_type(setting);

	switch (lk_key_form(key)) {
	case LK_KEY_INTEGER:
		if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
			return false;
		lk_buf_printf(buf, "%lld", config_setting_get_int64(setting));
		return true;
	case LK_KEY_BOOLEAN:
		lk_buf_puts(buf, type == CONFIG_TYPE_BOOL &&
		    config_setting_get_bool(setting) ? "true" : "false");
		return type == CONFIG_TYPE_BOOL;
	case LK_KEY_NAMES:
		return (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST)
		    && join_names(setting, buf);
	case LK_KEY_STRING:
		break;
	}
	if (type != CONFIG_TYPE_STRING)
		return false;
	lk_buf_puts(buf, config_setting_get_string(setting));
	return true;
}

static int
read_value(const struct lk_reader *reader, const struct lk_place *place,
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
		lk_place_fail(reader, config_setting_source_line(setting),
		    place->group, key->key, lk_buf_cstr(&what));
	}
	lk_buf_fini(&text);
	lk_buf_fini(&what);
	return rc;
}

static int
set_default(const struct lk_reader *reader, const struct lk_place *place,
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
		rc = lk_place_fail(reader, place->line, place->group, key->key,
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

	if (strncmp(key->group, group, n) != 0)
		return NULL;
	if (key->group[n] == '\0') {
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

int
lk_place_check(const struct lk_reader *reader, const struct lk_place *place)
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
		rc = lk_place_fail(reader, config_setting_source_line(member),
		    place->group, config_setting_name(member),
		    lk_buf_cstr(&what));
		break;
	}
	lk_buf_fini(&what);
	return rc;
}

/* Fill the fields of a group's own keys. */
int
lk_place_read(const struct lk_reader *reader, const struct lk_place *place)
{
	const config_setting_t *setting;
	int rc = 0;
	size_t i;

	if (place->setting != NULL && !config_setting_is_group(place->setting))
		return lk_place_fail(reader, place->line, place->group, "",
		    "is no group; accepted: { key = value; … }");
	if (place->setting != NULL)
		rc = lk_place_check(reader, place);
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

struct lk_place
lk_place_inside(const struct lk_place *outer, const char *name,
    const char *group)
{
	struct lk_place inner = *outer;

	inner.group = group;
	if (outer->setting != NULL)
		inner.setting = config_setting_get_member(outer->setting, name);
	if (inner.setting != NULL)
		inner.line = config_setting_source_line(inner.setting);
	return inner;
}

unsigned
lk_place_line(const struct lk_place *place, const char *key)
{
	config_setting_t *member = place->setting == NULL ? NULL :
	    config_setting_get_member(place->setting, key);

	return member != NULL ? config_setting_source_line(member) :
	    place->line;
}

int
lk_place_list(const struct lk_reader *reader, config_setting_t *list,
    const char *group, const char *what, size_t *n_out)
{
	struct lk_buf text = LK_BUF_INIT;
	int rc = 0;

	*n_out = 0;
	if (list == NULL)
		return 0;
	if (config_setting_is_list(list)) {
		*n_out = (size_t)config_setting_length(list);
		return 0;
	}
	lk_buf_printf(&text, "is no list; accepted: %s", what);
	rc = lk_place_fail(reader, config_setting_source_line(list), group, "",
	    lk_buf_cstr(&text));
	lk_buf_fini(&text);
	return rc;
}
