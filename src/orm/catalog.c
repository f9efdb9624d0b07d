/* A snapshot from its first hold to its last, and its filling. */
#include "orm/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "base/list.h"
#include "orm/rules.h"

struct lk_catalog *
lk_catalog_new(void)
{
	struct lk_catalog *catalog = lk_xcalloc(1, sizeof(*catalog));

	catalog->n_holds = 1;
	lk_hash_init(&catalog->models_by_oid);
	lk_hash_init(&catalog->types_by_oid);
	lk_hash_init(&catalog->by_name);
	lk_hash_init(&catalog->by_full_name);
	return catalog;
}

struct lk_catalog *
lk_catalog_hold(struct lk_catalog *catalog)
{
	catalog->n_holds++;
	return catalog;
}

void
lk_relation_free(struct lk_relation **relation)
{
	struct lk_relation *gone = *relation;

	*relation = NULL;
	if (gone == NULL)
		return;
	free(gone->name);
	free(gone->wanted);
	free(gone->from_columns);
	free(gone->to_columns);
	free(gone->near);
	free(gone->far);
	free(gone);
}

void
lk_foreign_key_fini(struct lk_foreign_key *key)
{
	free(key->child_columns);
	free(key->parent_columns);
}

static void
free_texts(char **texts, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void
free_model(struct lk_model *model)
{
	size_t i;

	for (i = 0; i < model->n_columns; i++) {
		free(model->columns[i].name);
		free(model->columns[i].type_name);
		free(model->columns[i].default_text);
	}
	for (i = 0; i < model->n_keys; i++)
		free(model->keys[i].columns);
	for (i = 0; i < model->n_relations; i++)
		lk_relation_free(&model->relations[i]);
	free_texts(model->triggers, model->n_triggers);
	free(model->columns);
	free(model->keys);
	free(model->relations);
	free(model->name);
	free(model->schema);
	free(model->table);
	free(model);
}

static void
free_type(struct lk_catalog_type *type)
{
	size_t i;

	for (i = 0; i < type->n_fields; i++) {
		free(type->fields[i].name);
		free(type->fields[i].type_name);
	}
	free_texts(type->labels, type->n_labels);
	free(type->fields);
	free(type->name);
	free(type);
}

void
lk_catalog_drop(struct lk_catalog **catalog, struct lk_catalog **dead)
{
	struct lk_catalog *c = *catalog;

	*catalog = NULL;
	if (c == NULL || --c->n_holds > 0)
		return;
	c->n_models += c->n_hidden;
	c->next_dead = *dead;
	*dead = c;
}

static bool
free_one(struct lk_catalog *c)
{
	if (c->n_models > 0)
		free_model(c->models[--c->n_models]);
	else if (c->n_types > 0)
		free_type(c->types[--c->n_types]);
	else if (c->n_keys > 0)
		lk_foreign_key_fini(&c->keys[--c->n_keys]);
	else
		return false;
	return true;
}

static void
free_rest(struct lk_catalog *c)
{
	lk_hash_fini(&c->models_by_oid);
	lk_hash_fini(&c->types_by_oid);
	lk_hash_fini(&c->by_name);
	lk_hash_fini(&c->by_full_name);
	free(c->models);
	free(c->types);
	free(c->keys);
	free(c);
}

void
lk_catalog_free_some(struct lk_catalog **dead, size_t n)
{
	struct lk_catalog *c;

	for (; n > 0 && *dead != NULL; n--) {
		c = *dead;
		if (free_one(c))
			continue;
		*dead = c->next_dead;
		free_rest(c);
	}
}

void
lk_catalog_free(struct lk_catalog **catalog)
{
	struct lk_catalog *dead = NULL;

	lk_catalog_drop(catalog, &dead);
	lk_catalog_free_some(&dead, SIZE_MAX);
}

/* ---- what is found by its oid ---- */

static uint64_t
hash_oid(uint32_t oid)
{
	return lk_hash_bytes(0, &oid, sizeof(oid));
}

static bool
is_model(const struct lk_hash_node *node, const void *oid)
{
	return lk_container(node, struct lk_model, by_oid)->oid ==
	    *(const uint32_t *)oid;
}

static bool
is_type(const struct lk_hash_node *node, const void *oid)
{
	return lk_container(node, struct lk_catalog_type, node)->oid ==
	    *(const uint32_t *)oid;
}

struct lk_model *
lk_catalog_model(const struct lk_catalog *catalog, uint32_t oid)
{
	struct lk_hash_node *node = lk_hash_find(&catalog->models_by_oid,
	    hash_oid(oid), is_model, &oid);

	return node != NULL ? lk_container(node, struct lk_model, by_oid) :
	    NULL;
}

struct lk_catalog_type *
lk_catalog_type(const struct lk_catalog *catalog, uint32_t oid)
{
	struct lk_hash_node *node = lk_hash_find(&catalog->types_by_oid,
	    hash_oid(oid), is_type, &oid);

	return node != NULL ?
	    lk_container(node, struct lk_catalog_type, node) : NULL;
}

/* ---- filling ---- */

/* One place more in an array of n. */
static void *
grow(void *array, size_t n, size_t size)
{
	/* Doubled when it is full: n is a power of two then. */
	return n == 0 || (n & (n - 1)) == 0 ?
	    lk_xrealloc(array, (n == 0 ? 1 : 2 * n) * size) : array;
}

static void
add_text(char ***texts, size_t *n, const char *text)
{
	*texts = grow(*texts, *n, sizeof(**texts));
	(*texts)[(*n)++] = lk_xstrdup(text);
}

struct lk_catalog_type *
lk_catalog_add_type(struct lk_catalog *catalog, uint32_t oid,
    const char *name, enum lk_type_kind kind)
{
	struct lk_catalog_type *type = lk_xcalloc(1, sizeof(*type));

	type->oid = oid;
	type->name = lk_xstrdup(name);
	type->kind = kind;
	catalog->types = grow(catalog->types, catalog->n_types,
	    sizeof(struct lk_catalog_type *));
	catalog->types[catalog->n_types++] = type;
	lk_hash_insert(&catalog->types_by_oid, &type->node, hash_oid(oid));
	return type;
}

void
lk_type_add_label(struct lk_catalog_type *type, const char *label)
{
	add_text(&type->labels, &type->n_labels, label);
}

void
lk_type_add_field(struct lk_catalog_type *type, const char *name,
    uint32_t field_type, const char *type_name)
{
	type->fields = grow(type->fields, type->n_fields,
	    sizeof(*type->fields));
	type->fields[type->n_fields++] = (struct lk_type_field){
	    lk_xstrdup(name), field_type, lk_xstrdup(type_name) };
}

struct lk_model *
lk_catalog_add_model(struct lk_catalog *catalog, uint32_t oid,
    const char *schema, const char *table, bool in_search_path)
{
	struct lk_model *model = lk_xcalloc(1, sizeof(*model));
	struct lk_buf name = LK_BUF_INIT;

	if (!in_search_path)
		lk_buf_printf(&name, "%s.", schema);
	lk_buf_puts(&name, table);
	model->name = lk_xstrdup(lk_buf_cstr(&name));
	lk_buf_fini(&name);
	model->schema = lk_xstrdup(schema);
	model->table = lk_xstrdup(table);
	model->oid = oid;
	model->kind = "table";
	model->in_search_path = in_search_path;
	catalog->models = grow(catalog->models, catalog->n_models,
	    sizeof(struct lk_model *));
	catalog->models[catalog->n_models++] = model;
	lk_hash_insert(&catalog->models_by_oid, &model->by_oid, hash_oid(oid));
	return model;
}

struct lk_column *
lk_model_add_column(struct lk_model *model, const char *name, int attnum)
{
	struct lk_column *column;

	model->columns = grow(model->columns, model->n_columns,
	    sizeof(*column));
	column = &model->columns[model->n_columns++];
	memset(column, 0, sizeof(*column));
	column->name = lk_xstrdup(name);
	column->attnum = attnum;
	return column;
}

void
lk_model_add_trigger(struct lk_model *model, const char *name)
{
	add_text(&model->triggers, &model->n_triggers, name);
}

static size_t
find_attnum(const struct lk_model *model, int attnum)
{
	size_t i = 0;

	while (i < model->n_columns && model->columns[i].attnum != attnum)
		i++;
	return i;
}

/* NULL: the model does not have them all. */
static size_t *
find_columns(const struct lk_model *model, const int *attnums, size_t n)
{
	size_t *columns = lk_xcalloc(n, sizeof(*columns));
	size_t i;

	for (i = 0; i < n; i++) {
		columns[i] = find_attnum(model, attnums[i]);
		if (columns[i] == model->n_columns) {
			free(columns);
			return NULL;
		}
	}
	return columns;
}

void
lk_model_add_key(struct lk_model *model, const int *attnums, size_t n,
    bool is_primary)
{
	struct lk_key_columns key = {
		find_columns(model, attnums, n), n, is_primary };
	size_t at = is_primary ? 0 : model->n_keys;

	if (key.columns == NULL)
		return;
	model->keys = grow(model->keys, model->n_keys, sizeof(key));
	memmove(model->keys + at + 1, model->keys + at,
	    (model->n_keys - at) * sizeof(key));
	model->keys[at] = key;
	model->n_keys++;
}

static void
note_indexed(struct lk_model *model, struct lk_column *column, bool is_key)
{
	column->is_indexed = true;
	column->is_key |= is_key;
	model->has_generated_index |= column->is_generated;
	model->has_generated_key |= column->is_generated && is_key;
}

void
lk_model_note_index(struct lk_model *model, const int *attnums, size_t n,
    size_t n_unique)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < model->n_columns; j++) {
			if (attnums[i] == 0 ||
			    model->columns[j].attnum == attnums[i])
				note_indexed(model, &model->columns[j],
				    i < n_unique);
		}
	}
}

void
lk_catalog_add_foreign_key(struct lk_catalog *catalog, uint32_t child,
    const int *child_attnums, uint32_t parent, const int *parent_attnums,
    size_t n)
{
	struct lk_foreign_key key = { lk_catalog_model(catalog, child),
	    lk_catalog_model(catalog, parent), NULL, NULL, n,
	    catalog->n_keys, false };
	size_t i;

	if (key.child == NULL || key.parent == NULL)
		return;
	key.child_columns = find_columns(key.child, child_attnums, n);
	key.parent_columns = find_columns(key.parent, parent_attnums, n);
	if (key.child_columns == NULL || key.parent_columns == NULL) {
		lk_foreign_key_fini(&key);
		return;
	}
	for (i = 0; i < n; i++)
		key.child->columns[key.child_columns[i]].is_referencing = true;
	catalog->keys = grow(catalog->keys, catalog->n_keys, sizeof(key));
	catalog->keys[catalog->n_keys++] = key;
}

void
lk_catalog_set_read_committed(struct lk_catalog *catalog)
{
	catalog->is_read_committed = true;
}

bool
lk_catalog_is_read_committed(const struct lk_catalog *catalog)
{
	return catalog->is_read_committed;
}

/* ---- finishing ---- */

const char *
lk_type_kind_word(enum lk_type_kind kind)
{
	static const char *const words[LK_TYPE__N] = {
#define LK_KIND(symbol, word) [LK_TYPE_##symbol] = word,
		LK_TYPE_KINDS(LK_KIND)
#undef LK_KIND
	};

	return words[kind];
}

/* What is known of its type; of a domain, through all that it rests on. */
static void
resolve_type(const struct lk_catalog *catalog, struct lk_column *column)
{
	const struct lk_catalog_type *type = lk_catalog_type(catalog,
	    column->type);

	if (type == NULL)
		return;
	column->kind = type->kind;
	while (type != NULL && type->kind == LK_TYPE_DOMAIN) {
		column->is_not_null |= type->is_not_null;
		type = lk_catalog_type(catalog, type->of);
	}
	if (type == NULL)
		return;
	column->base_type = type->oid;
	column->element_type = type->kind == LK_TYPE_ARRAY ? type->of : 0;
}

/* Oids of what PostgreSQL comes with are below this. */
#define FIRST_OWN	16384

/* Of an enum, a range or an array what it is made of may be PostgreSQL's. */
static bool
is_own(const struct lk_catalog *catalog, uint32_t oid)
{
	const struct lk_catalog_type *type = lk_catalog_type(catalog, oid);

	while (type != NULL && type->of != 0 && oid >= FIRST_OWN) {
		oid = type->of;
		type = lk_catalog_type(catalog, oid);
	}
	return oid >= FIRST_OWN && (type == NULL || type->kind != LK_TYPE_ENUM);
}

static int
compare_models(const void *a, const void *b)
{
	const struct lk_model *const *left = a, *const *right = b;
	int order = strcmp((*left)->name, (*right)->name);

	if ((*left)->is_hidden != (*right)->is_hidden)
		return (*left)->is_hidden - (*right)->is_hidden;
	if (order != 0)
		return order;
	return (*right)->in_search_path - (*left)->in_search_path;
}

static void
resolve_types(const struct lk_catalog *catalog)
{
	struct lk_model *model;
	size_t i, j;

	for (i = 0; i < catalog->n_models; i++) {
		model = catalog->models[i];
		for (j = 0; j < model->n_columns; j++) {
			resolve_type(catalog, &model->columns[j]);
			model->has_own_types |= is_own(catalog,
			    model->columns[j].type);
		}
	}
}

static void
sort_models(struct lk_catalog *catalog)
{
	if (catalog->n_models > 0)
		qsort(catalog->models, catalog->n_models,
		    sizeof(struct lk_model *), compare_models);
	while (catalog->n_models > 0 &&
	    catalog->models[catalog->n_models - 1]->is_hidden) {
		catalog->n_models--;
		catalog->n_hidden++;
	}
}

void
lk_catalog_finish_as(struct lk_catalog *catalog,
    const struct lk_config_models *models, const char *database,
    struct lk_buf *said)
{
	struct lk_rules rules = { catalog, models, NULL, said };

	resolve_types(catalog);
	lk_rules_begin(&rules, database);
	sort_models(catalog);
	lk_catalog_index_names(catalog);
	lk_rules_relate(&rules);
	lk_catalog_relate(catalog);
	lk_rules_fini(&rules);
}

void
lk_catalog_finish(struct lk_catalog *catalog)
{
	lk_catalog_finish_as(catalog, NULL, "", NULL);
}
