/*
 * A catalog to compile verbs against: for tests/unit and tests/fuzz.
 */
#ifndef LK_TESTS_ORM_MODELS_H
#define LK_TESTS_ORM_MODELS_H

#include <string.h>

#include "base/die.h"
#include "orm/catalog.h"
#include "orm/verb.h"

static const struct {
	const char	*model;		/* NULL: the one before */
	const char	*column;
	uint32_t	 type;
	const char	*type_name;
	bool		 is_not_null;
} orm_columns[] = {
	{ "users", "id", 23, "integer", true },
	{ NULL, "name", 25, "text", true },
	{ NULL, "email", 1043, "character varying(40)", false },
	{ NULL, "age", 21, "smallint", false },
	{ NULL, "meta", 3802, "jsonb", false },
	{ NULL, "boss_id", 23, "integer", false },
	{ "posts", "id", 20, "bigint", true },
	{ NULL, "author_id", 23, "integer", false },
	{ NULL, "title", 25, "text", true },
	{ NULL, "tags", 1009, "text[]", true },
	{ NULL, "day", 1082, "date", false },
	{ NULL, "at", 1184, "timestamp with time zone", false },
	{ NULL, "score", 701, "double precision", true },
	{ NULL, "is_public", 16, "boolean", true },
	{ NULL, "picture", 17, "bytea", false },
	{ "tags", "id", 23, "integer", true },
	{ NULL, "word", 25, "text", true },
	{ "post_tags", "post_id", 20, "bigint", true },
	{ NULL, "tag_id", 23, "integer", true },
	{ "profiles", "user_id", 23, "integer", true },
	{ NULL, "motto", 25, "text", false },
	{ "items", "order_no", 26, "oid", true },
	{ NULL, "item no", 23, "integer", true },
	{ NULL, "price", 700, "real", true },
	{ "parcels", "id", 23, "integer", true },
	{ NULL, "order_no", 26, "oid", false },
	{ NULL, "item_no", 23, "integer", false },
	{ "recent", "id", 20, "bigint", false },
	{ NULL, "title", 25, "text", false },
	{ "Odd \"one\"", "id", 23, "integer", true },
	{ NULL, "a.b", 25, "text", false },
	{ NULL, "limit", 25, "text", false },
	{ NULL, "-x,\"y", 25, "text", false },
	{ NULL, "not", 16, "boolean", false },
	{ "words", "word", 25, "text", true },
	{ NULL, "n", 23, "integer", true },
};

static inline struct lk_model *
orm_model(struct lk_catalog *catalog, const char *name)
{
	size_t i;

	for (i = 0; i < lk_catalog_n_models(catalog); i++) {
		if (strcmp(lk_catalog_model_at(catalog, i)->table, name) == 0)
			return (struct lk_model *)(uintptr_t)
			    lk_catalog_model_at(catalog, i);
	}
	lk_assert(!"a model");
	return NULL;
}

static inline void
orm_key(struct lk_catalog *catalog, const char *name, int first, int second,
    bool is_primary)
{
	int attnums[] = { first, second };
	size_t n = second != 0 ? 2 : 1;

	lk_model_add_key(orm_model(catalog, name), attnums, n, is_primary);
	lk_model_note_index(orm_model(catalog, name), attnums, n, n);
}

static inline void
orm_foreign_key(struct lk_catalog *catalog, const char *child, int attnum,
    const char *parent)
{
	int one = 1;

	lk_catalog_add_foreign_key(catalog, orm_model(catalog, child)->oid,
	    &attnum, orm_model(catalog, parent)->oid, &one, 1);
}

/* Of PostgreSQL's own those that are keys here. */
static inline void
orm_add_types(struct lk_catalog *catalog)
{
	static const struct {
		uint32_t	 oid, array;
		const char	*name;
	} types[] = {
		{ 20, 1016, "bigint" },
		{ 23, 1007, "integer" },
		{ 26, 1028, "oid" },
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		lk_catalog_add_type(catalog, types[i].oid, types[i].name,
		    LK_TYPE_BASE)->array = types[i].array;
}

static inline struct lk_catalog *
orm_catalog(void)
{
	static const int order[] = { 2, 3 }, item[] = { 1, 2 };
	struct lk_catalog *catalog = lk_catalog_new();
	struct lk_model *model = NULL;
	struct lk_column *column;
	int attnum = 0;
	size_t i;

	orm_add_types(catalog);
	for (i = 0; i < sizeof(orm_columns) / sizeof(orm_columns[0]); i++) {
		if (orm_columns[i].model != NULL) {
			attnum = 0;
			model = lk_catalog_add_model(catalog,
			    (uint32_t)(16384 + i), "public",
			    orm_columns[i].model, true);
			model->is_alone = true;
		}
		column = lk_model_add_column(model, orm_columns[i].column,
		    ++attnum);
		column->type = column->base_type = orm_columns[i].type;
		column->type_name = lk_xstrdup(orm_columns[i].type_name);
		column->is_not_null = orm_columns[i].is_not_null;
	}
	orm_model(catalog, "recent")->is_view = true;
	orm_model(catalog, "recent")->is_alone = false;
	/* A domain over integer, and one over bytea. */
	orm_model(catalog, "users")->columns[3].type = 16400;
	orm_model(catalog, "posts")->columns[8].type = 16401;
	orm_key(catalog, "users", 1, 0, true);
	orm_key(catalog, "users", 3, 0, false);
	orm_key(catalog, "posts", 1, 0, true);
	orm_key(catalog, "tags", 1, 0, true);
	orm_key(catalog, "post_tags", 1, 2, true);
	orm_key(catalog, "profiles", 1, 0, true);
	orm_key(catalog, "items", 1, 2, true);
	orm_key(catalog, "parcels", 1, 0, true);
	orm_key(catalog, "Odd \"one\"", 1, 0, true);
	orm_key(catalog, "words", 1, 0, true);
	orm_foreign_key(catalog, "users", 6, "users");
	orm_foreign_key(catalog, "posts", 2, "users");
	orm_foreign_key(catalog, "post_tags", 1, "posts");
	orm_foreign_key(catalog, "post_tags", 2, "tags");
	orm_foreign_key(catalog, "profiles", 1, "users");
	lk_catalog_add_foreign_key(catalog, orm_model(catalog, "parcels")->oid,
	    order, orm_model(catalog, "items")->oid, item, 2);
	lk_catalog_finish(catalog);
	return catalog;
}

/* As a group's set-up, for a test's state; and its end. */
static inline int
make_catalog(void **state)
{
	*state = orm_catalog();
	return 0;
}

static inline int
free_catalog(void **state)
{
	struct lk_catalog *catalog = *state;

	lk_catalog_free(&catalog);
	return 0;
}

static inline int
compile_call(const struct lk_catalog *catalog, enum lk_orm_verb verb,
    const struct lk_arg *args, size_t n_args, bool in_tx, struct lk_plan *plan,
    struct lk_error *error)
{
	struct lk_verb_call call = { .verb = verb, .args = args,
	    .n_args = n_args, .in_tx = in_tx };

	return lk_verb_compile(catalog, &call, plan, error);
}

#endif
