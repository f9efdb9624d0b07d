#include <string.h>

#include "base/die.h"
#include "ops/config.h"
#include "ops/models.h"

/* A string as libconfig reads it. */
static void
put_quoted(struct lk_buf *out, const char *text)
{
	const char *p;

	lk_buf_putc(out, '"');
	for (p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			lk_buf_printf(out, "\\%c", *p);
		else if ((unsigned char)*p < ' ' || *p == 0x7f)
			lk_buf_printf(out, "\\x%02x", (unsigned char)*p);
		else
			lk_buf_putc(out, *p);
	}
	lk_buf_putc(out, '"');
}

/* A line each of text. */
static void
put_names(struct lk_buf *out, const char *text)
{
	struct lk_buf name = LK_BUF_INIT;
	size_t n;

	lk_buf_putc(out, '[');
	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		lk_buf_truncate(&name, 0);
		lk_buf_append(&name, text, n);
		put_quoted(out, lk_buf_cstr(&name));
		if (text[n] == '\n')
			lk_buf_puts(out, ", ");
	}
	lk_buf_putc(out, ']');
	lk_buf_fini(&name);
}

static void
put_value(struct lk_buf *out, const struct lk_key *key, const void *base)
{
	struct lk_buf text = LK_BUF_INIT;

	lk_key_print(key, base, &text);
	switch (lk_key_form(key)) {
	case LK_KEY_INTEGER:
	case LK_KEY_BOOLEAN:
		lk_buf_puts(out, lk_buf_cstr(&text));
		break;
	case LK_KEY_NAMES:
		put_names(out, lk_buf_cstr(&text));
		break;
	case LK_KEY_STRING:
		put_quoted(out, lk_buf_cstr(&text));
		break;
	}
	lk_buf_fini(&text);
}

static void
put_group(struct lk_buf *out, const char *group, const void *base,
    const char *indent)
{
	size_t i;

	for (i = 0; i < lk_n_keys; i++) {
		if (strcmp(lk_keys[i].group, group) != 0)
			continue;
		lk_buf_printf(out, "%s%s = ", indent, lk_keys[i].key);
		put_value(out, &lk_keys[i], base);
		lk_buf_puts(out, ";\n");
	}
}

static void
put_databases(struct lk_buf *out, const struct lk_config *config)
{
	size_t i;

	lk_buf_puts(out, "databases = (\n");
	for (i = 0; i < config->n_databases; i++) {
		const struct lk_config_database *db = &config->databases[i];

		lk_buf_puts(out, "\t{\n");
		put_group(out, "databases", db, "\t\t");
		lk_buf_puts(out, "\t\tworkers = {\n");
		put_group(out, "databases.workers", db, "\t\t\t");
		lk_buf_printf(out, "\t\t};\n\t}%s\n",
		    i + 1 < config->n_databases ? "," : "");
	}
	lk_buf_puts(out, ");\n");
}

static void
put_relations(struct lk_buf *out, const struct lk_config_model *model)
{
	size_t i;

	if (model->n_relations == 0)
		return;
	lk_buf_puts(out, "\t\trelations = (\n");
	for (i = 0; i < model->n_relations; i++) {
		lk_buf_puts(out, "\t\t\t{\n");
		put_group(out, "models.relations", &model->relations[i],
		    "\t\t\t\t");
		lk_buf_printf(out, "\t\t\t}%s\n",
		    i + 1 < model->n_relations ? "," : "");
	}
	lk_buf_puts(out, "\t\t);\n");
}

static void
put_models(struct lk_buf *out, const struct lk_config_models *models)
{
	size_t i;

	lk_buf_puts(out, "models = (\n");
	for (i = 0; i < models->n; i++) {
		lk_buf_puts(out, "\t{\n");
		put_group(out, "models", &models->list[i], "\t\t");
		put_relations(out, &models->list[i]);
		lk_buf_printf(out, "\t}%s\n", i + 1 < models->n ? "," : "");
	}
	lk_buf_puts(out, ");\n");
}

/* What is printed as a whole is with the first of its rows. */
static bool
is_with_row_before(const struct lk_key *key)
{
	if (key->scope == LK_KEY_RELATION)
		return true;
	if (key == lk_keys)
		return false;
	return key->scope != LK_KEY_ONCE ? key[-1].scope == key->scope :
	    strcmp(key->group, key[-1].group) == 0;
}

void
lk_config_show(const struct lk_config *config, struct lk_buf *out)
{
	size_t i;

	for (i = 0; i < lk_n_keys; i++) {
		const struct lk_key *key = &lk_keys[i];

		if (is_with_row_before(key))
			continue;
		if (key->scope == LK_KEY_DATABASE) {
			put_databases(out, config);
			continue;
		}
		if (key->scope == LK_KEY_MODEL) {
			put_models(out, config->models);
			continue;
		}
		if (*key->group == '\0') {
			put_group(out, "", config, "");
			continue;
		}
		lk_buf_printf(out, "%s = {\n", key->group);
		put_group(out, key->group, config, "\t");
		lk_buf_puts(out, "};\n");
	}
}

/* ---- as rows ---- */

struct rows {
	struct lk_config_row *list;	/* heap */
	size_t		 n, cap;
};

static struct lk_config_row *
new_row(struct rows *rows)
{
	if (rows->n == rows->cap) {
		rows->cap = rows->cap == 0 ? 64 : 2 * rows->cap;
		rows->list = lk_xrealloc(rows->list,
		    rows->cap * sizeof(*rows->list));
	}
	return &rows->list[rows->n++];
}

/* As the file has it, but texts without quotes. */
static char *
row_value(const struct lk_key *key, const void *base)
{
	struct lk_buf value = LK_BUF_INIT;
	char *copy;

	if (lk_key_form(key) == LK_KEY_NAMES)
		put_value(&value, key, base);
	else
		lk_key_print(key, base, &value);
	copy = lk_xstrdup(lk_buf_cstr(&value));
	lk_buf_fini(&value);
	return copy;
}

/* All keys of a group; prefix: "timeouts.", "databases.main.workers.". */
static void
add_group(struct rows *rows, const char *group, const char *prefix,
    const void *base)
{
	struct lk_buf name = LK_BUF_INIT;
	const struct lk_key *key;

	for (key = lk_keys; key < lk_keys + lk_n_keys; key++) {
		if (strcmp(key->group, group) != 0)
			continue;
		lk_buf_truncate(&name, 0);
		lk_buf_printf(&name, "%s%s", prefix, key->key);
		*new_row(rows) = (struct lk_config_row){
			.key = lk_xstrdup(lk_buf_cstr(&name)),
			.value = row_value(key, base),
			.initial = key->initial,
			.reloads = key->reloads,
		};
	}
	lk_buf_fini(&name);
}

/* The same, with a prefix of up to three parts. */
static void
add_named(struct rows *rows, const char *group, const char *list,
    const char *name, const char *inside, const void *base)
{
	struct lk_buf prefix = LK_BUF_INIT;

	lk_buf_printf(&prefix, "%s%s.%s", list, name, inside);
	add_group(rows, group, lk_buf_cstr(&prefix), base);
	lk_buf_fini(&prefix);
}

static void
add_databases(struct rows *rows, const struct lk_config *config)
{
	const struct lk_config_database *db;

	for (db = config->databases; db < config->databases +
	    config->n_databases; db++) {
		add_named(rows, "databases", "databases.", db->name, "", db);
		add_named(rows, "databases.workers", "databases.", db->name,
		    "workers.", db);
	}
}

static void
add_models(struct rows *rows, const struct lk_config_models *models)
{
	struct lk_buf list = LK_BUF_INIT;
	const struct lk_config_model *model;
	size_t i;

	for (model = models->list; model < models->list + models->n; model++) {
		add_named(rows, "models", "models.", lk_models_name(model), "",
		    model);
		lk_buf_truncate(&list, 0);
		lk_buf_printf(&list, "models.%s.relations.",
		    lk_models_name(model));
		for (i = 0; i < model->n_relations; i++)
			add_named(rows, "models.relations", lk_buf_cstr(&list),
			    model->relations[i].name, "",
			    &model->relations[i]);
	}
	lk_buf_fini(&list);
}

void
lk_config_fill_rows(struct lk_config *config)
{
	struct rows rows = { NULL, 0, 0 };
	const struct lk_key *key;

	for (key = lk_keys; key < lk_keys + lk_n_keys; key++) {
		if (is_with_row_before(key))
			continue;
		if (key->scope == LK_KEY_DATABASE)
			add_databases(&rows, config);
		else if (key->scope == LK_KEY_MODEL)
			add_models(&rows, config->models);
		else if (*key->group == '\0')
			add_group(&rows, "", "", config);
		else
			add_named(&rows, key->group, "", key->group, "",
			    config);
	}
	lk_config_set_rows(config, rows.list, rows.n);
}

/* ---- the table itself ---- */

static const char *
or_dash(const char *text)
{
	return text != NULL ? text : "-";
}

void
lk_config_dump(struct lk_buf *out)
{
	const struct lk_key *key;

	for (key = lk_keys; key < lk_keys + lk_n_keys; key++) {
		lk_buf_printf(out, "%s\t%s\t",
		    *key->group != '\0' ? key->group : "-", key->key);
		lk_key_put_type(key, out);
		lk_buf_printf(out, "\t%s\t%s\t%s\t%s\t%s\n",
		    or_dash(key->initial), or_dash(key->min),
		    or_dash(key->max), key->reloads ? "yes" : "no", key->help);
	}
}
