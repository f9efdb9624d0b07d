/* Catalogs of a few tables, for tests of what is made of them. */
#ifndef LK_TESTS_ORM_TABLES_H
#define LK_TESTS_ORM_TABLES_H

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "orm/catalog.h"

#define MAX_COLUMNS	8
#define INT4		23

static struct lk_catalog *catalog;
static uint32_t last_oid;

static inline int
set_up(void **state)
{
	(void)state;
	catalog = lk_catalog_new();
	last_oid = 16384;
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	lk_catalog_free(&catalog);
	assert_null(catalog);
	return 0;
}

/* ---- filling ---- */

/* A table of this schema, in the search path when that is public; columns:
 * "id author_id". */
static inline struct lk_model *
add_table(const char *schema, const char *name, const char *columns)
{
	struct lk_model *model = lk_catalog_add_model(catalog, ++last_oid,
	    schema, name, strcmp(schema, "public") == 0);
	char *copy = lk_xstrdup(columns), *rest = copy, *word;
	struct lk_column *column;
	int attnum = 0;

	while ((word = strsep(&rest, " ")) != NULL) {
		column = lk_model_add_column(model, word, ++attnum);
		column->type = column->base_type = INT4;
		column->type_name = lk_xstrdup("integer");
	}
	free(copy);
	return model;
}

static inline struct lk_model *
table(const char *name, const char *columns)
{
	return add_table("public", name, columns);
}

/* attnums of "a b", as many as are returned. */
static inline size_t
find_columns(const struct lk_model *model, const char *columns, int *attnums)
{
	char *copy = lk_xstrdup(columns), *rest = copy, *word;
	const struct lk_column *column;
	size_t n = 0;

	while ((word = strsep(&rest, " ")) != NULL) {
		column = lk_model_column(model, word, strlen(word));
		assert_non_null(column);
		attnums[n++] = column->attnum;
	}
	free(copy);
	return n;
}

static inline void
add_key(struct lk_model *model, const char *columns, bool is_primary)
{
	int attnums[MAX_COLUMNS];
	size_t n = find_columns(model, columns, attnums);

	lk_model_add_key(model, attnums, n, is_primary);
}

static inline void
refer(struct lk_model *child, const char *columns, struct lk_model *parent,
    const char *parent_columns)
{
	int from[MAX_COLUMNS], to[MAX_COLUMNS];
	size_t n = find_columns(child, columns, from);

	assert_int_equal(find_columns(parent, parent_columns, to), n);
	lk_catalog_add_foreign_key(catalog, child->oid, from, parent->oid, to,
	    n);
}

/* ---- asking ---- */

static inline const char *
names_of(const struct lk_catalog *from, const char *name)
{
	static struct lk_buf text;
	struct lk_error error = { 0 };
	const struct lk_model *model = lk_catalog_find(from, name,
	    strlen(name), &error);
	size_t i;

	assert_non_null(model);
	lk_buf_truncate(&text, 0);
	for (i = 0; i < model->n_relations; i++)
		lk_buf_printf(&text, "%s%s>%s", i > 0 ? " " : "",
		    model->relations[i]->name, model->relations[i]->to->name);
	return lk_buf_cstr(&text);
}

/* "author>users": the relations of a model, by name, and where they lead. */
static inline const char *
relations(const char *name)
{
	return names_of(catalog, name);
}

static inline void
assert_no_model(const char *name, const char *said)
{
	struct lk_error error = { 0 };

	assert_null(lk_catalog_find(catalog, name, strlen(name), &error));
	assert_int_equal(error.kind, LK_ERR_NOMODEL);
	assert_string_equal(error.message, said);
	lk_error_fini(&error);
}

#endif
