#include "orm/rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"

static void
say(struct lk_rules *rules, const struct lk_config_model *rule,
    const struct lk_config_relation *relation, const char *what)
{
	lk_buf_printf(rules->said, "models: %s%s%s: %s\n",
	    *rule->table != '\0' ? rule->table : rule->name,
	    relation != NULL ? "." : "", relation != NULL ? relation->name :
	    "", what);
}

/* ---- which models are meant ---- */

/* "schema.table" */
static bool
is_full_name(const struct lk_model *model, const char *name)
{
	size_t n = strlen(model->schema);

	return strncmp(name, model->schema, n) == 0 && name[n] == '.' &&
	    strcmp(name + n + 1, model->table) == 0;
}

static struct lk_model *
find(const struct lk_catalog *catalog, const char *name)
{
	struct lk_model *found = NULL;
	size_t i;

	for (i = 0; i < catalog->n_models; i++) {
		if (strcmp(catalog->models[i]->name, name) == 0)
			return catalog->models[i];
		if (is_full_name(catalog->models[i], name))
			found = catalog->models[i];
	}
	return found;
}

static void
find_all(struct lk_rules *rules, const char *database)
{
	const struct lk_config_model *rule;
	size_t i;

	for (i = 0; i < rules->models->n; i++) {
		rule = &rules->models->list[i];
		if (*rule->database != '\0' &&
		    strcmp(rule->database, database) != 0)
			continue;
		rules->found[i] = find(rules->catalog, *rule->table != '\0' ?
		    rule->table : rule->name);
		if (rules->found[i] == NULL)
			say(rules, rule, NULL, "there is no such table");
	}
}

/* ---- names ---- */

static void
rename_model(struct lk_model *model, const char *name)
{
	free(model->name);
	model->name = lk_xstrdup(name);
	model->is_renamed = true;
}

static bool
is_taken(const struct lk_catalog *catalog, const struct lk_model *model)
{
	size_t i;

	for (i = 0; i < catalog->n_models; i++) {
		if (catalog->models[i] != model &&
		    !catalog->models[i]->is_hidden &&
		    strcmp(catalog->models[i]->name, model->name) == 0)
			return true;
	}
	return false;
}

/* When all have their new ones: two may change names with each other. */
static void
check_names(struct lk_rules *rules)
{
	struct lk_model *model;
	struct lk_buf text = LK_BUF_INIT;
	size_t i;

	for (i = 0; i < rules->models->n; i++) {
		model = rules->found[i];
		if (model == NULL || !model->is_renamed || model->is_hidden ||
		    !is_taken(rules->catalog, model))
			continue;
		lk_buf_printf(&text, "another model is called %s, too",
		    model->name);
		say(rules, &rules->models->list[i], NULL, lk_buf_cstr(&text));
		lk_buf_truncate(&text, 0);
		lk_buf_printf(&text, "%s.%s", model->schema, model->table);
		rename_model(model, lk_buf_cstr(&text));
		lk_buf_fini(&text);
	}
}

void
lk_rules_begin(struct lk_rules *rules, const char *database)
{
	const struct lk_config_model *rule;
	size_t i;

	if (rules->models == NULL)
		return;
	rules->found = lk_xcalloc(rules->models->n, sizeof(*rules->found));
	find_all(rules, database);
	for (i = 0; i < rules->models->n; i++) {
		rule = &rules->models->list[i];
		if (rules->found[i] == NULL)
			continue;
		rules->found[i]->is_hidden |= rule->is_hidden;
		if (*rule->name != '\0' && *rule->table != '\0')
			rename_model(rules->found[i], rule->name);
	}
	check_names(rules);
}

/* ---- relations ---- */

struct making {
	struct lk_rules	*rules;
	const struct lk_config_model *rule;
	const struct lk_config_relation *said;
};

static const struct lk_model *
find_end(const struct making *making, const char *name)
{
	struct lk_error error = { 0 };
	const struct lk_model *model = lk_catalog_find(making->rules->catalog,
	    name, strlen(name), &error);

	if (model == NULL)
		say(making->rules, making->rule, making->said, error.message);
	lk_error_fini(&error);
	return model;
}

/* Indices of the columns of these names, a line each; heap, or NULL. */
static size_t *
find_columns(const struct making *making, const struct lk_model *model,
    const char *names, size_t *n_out)
{
	size_t *columns = lk_xcalloc(strlen(names) + 1, sizeof(*columns)), n;
	const struct lk_column *column;
	struct lk_error error = { 0 };

	for (*n_out = 0; *names != '\0'; names += n + (names[n] == '\n')) {
		n = strcspn(names, "\n");
		column = lk_model_column(model, names, n);
		if (column == NULL) {
			lk_model_no_column(model, names, n, &error);
			say(making->rules, making->rule, making->said,
			    error.message);
			lk_error_fini(&error);
			free(columns);
			return NULL;
		}
		columns[(*n_out)++] = (size_t)(column - model->columns);
	}
	return columns;
}

static bool
is_key_of(const struct lk_model *model, const size_t *columns, size_t n)
{
	size_t i;

	for (i = 0; i < model->n_keys; i++) {
		if (lk_is_same_columns(model->keys[i].columns,
		    model->keys[i].n, columns, n))
			return true;
	}
	return false;
}

static bool
fill_through(const struct making *making, struct lk_relation *relation)
{
	size_t n_to;

	relation->kind = LK_RELATION_THROUGH;
	relation->through = find_end(making, making->said->through);
	if (relation->through == NULL)
		return false;
	relation->near = find_columns(making, relation->through,
	    making->said->near, &relation->n_near);
	relation->far = find_columns(making, relation->through,
	    making->said->far, &relation->n_far);
	relation->to_columns = find_columns(making, relation->to,
	    making->said->references, &n_to);
	return relation->near != NULL && relation->far != NULL &&
	    relation->to_columns != NULL;
}

static bool
fill_direct(const struct making *making, struct lk_relation *relation)
{
	size_t n_to;

	relation->to_columns = find_columns(making, relation->to,
	    making->said->references, &n_to);
	if (relation->to_columns == NULL)
		return false;
	relation->kind = is_key_of(relation->to, relation->to_columns, n_to) ?
	    LK_RELATION_ONE : LK_RELATION_MANY;
	return true;
}

static bool
fill(const struct making *making, struct lk_relation *relation)
{
	relation->to = find_end(making, making->said->to);
	if (relation->to == NULL)
		return false;
	relation->from_columns = find_columns(making, relation->from,
	    making->said->columns, &relation->n_columns);
	if (relation->from_columns == NULL)
		return false;
	return *making->said->through != '\0' ?
	    fill_through(making, relation) : fill_direct(making, relation);
}

static void
make(const struct making *making, struct lk_model *from)
{
	struct lk_relation *relation = lk_xcalloc(1, sizeof(*relation));
	const char *name = making->said->name;

	relation->from = from;
	relation->is_given = true;
	if (lk_model_column(from, name, strlen(name)) != NULL) {
		say(making->rules, making->rule, making->said,
		    "a column is called so");
	} else if (fill(making, relation)) {
		lk_relation_name(from, relation, name);
		return;
	}
	lk_relation_free(&relation);
}

void
lk_rules_relate(struct lk_rules *rules)
{
	struct making making = { rules, NULL, NULL };
	size_t i, j;

	for (i = 0; rules->models != NULL && i < rules->models->n; i++) {
		making.rule = &rules->models->list[i];
		if (rules->found[i] == NULL || rules->found[i]->is_hidden)
			continue;
		for (j = 0; j < making.rule->n_relations; j++) {
			making.said = &making.rule->relations[j];
			make(&making, rules->found[i]);
		}
	}
}

void
lk_rules_fini(struct lk_rules *rules)
{
	free(rules->found);
}
