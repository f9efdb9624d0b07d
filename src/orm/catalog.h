/*
 * What a database's catalog knows, as the verbs need it: models (tables, views),
 * their columns and keys, and the relations that foreign keys make.  A snapshot:
 * filled once, then read-only, and counted, so that whoever still has an old one
 * may go on with it when another is in force.
 *
 * Pure: filling it from a session is db/catalog.h's.
 */
#ifndef LK_ORM_CATALOG_H
#define LK_ORM_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/error.h"
#include "base/hash.h"

/* ---- as the catalog has it: what the filler gives ---- */

#define LK_TYPE_KINDS(X)						\
	X(BASE, "base")							\
	X(ENUM, "enum")							\
	X(DOMAIN, "domain")						\
	X(COMPOSITE, "composite")					\
	X(ARRAY, "array")						\
	X(RANGE, "range")		/* a multirange, too */		\
	X(PSEUDO, "pseudo")

enum lk_type_kind {
#define LK_KIND(symbol, word) LK_TYPE_##symbol,
	LK_TYPE_KINDS(LK_KIND)
#undef LK_KIND
	LK_TYPE__N,
};

struct lk_type_field {
	char		*name;
	uint32_t	 type;
	char		*type_name;	/* as a column's */
};

/* PostgreSQL's own, and those that somebody has made. */
struct lk_catalog_type {
	struct lk_hash_node node;	/* by its oid */
	uint32_t	 oid;
	char		*name;		/* format_type(): "integer[]" */
	enum lk_type_kind kind;
	uint32_t	 of;		/* an array's elements, a domain's base, what
					   a range is of; 0: none of these */
	uint32_t	 array;		/* the type of arrays of it; 0: there is none */
	uint32_t	 relation;	/* COMPOSITE: whose rows are of it */
	bool		 is_not_null;	/* of a domain */
	char		**labels;	/* of an enum, in their order; heap */
	size_t		 n_labels;
	struct lk_type_field *fields;	/* COMPOSITE that is no table's; heap */
	size_t		 n_fields;
};

struct lk_column {
	char		*name;		/* heap, as all text here */
	int		 attnum;
	uint32_t	 type;		/* oid, as declared */
	uint32_t	 base_type;	/* of a domain, what it rests on; else type */
	uint32_t	 element_type;	/* of an array; 0: none */
	char		*type_name;	/* format_type(): "character varying(40)" */
	enum lk_type_kind kind;
	bool		 is_not_null;
	bool		 has_default;	/* identity and serial, too */
	char		*default_text;	/* the expression; NULL: none, or unknown */
	bool		 is_generated;	/* GENERATED ALWAYS AS (…) STORED */
	bool		 is_identity;
	bool		 is_identity_always;
	bool		 is_indexed;	/* some index has it, or may have */
	bool		 is_key;	/* a unique one has that a foreign key could
					   refer to */
	bool		 is_referencing;	/* it is in a foreign key */
};

/* A primary key, or a unique one that ON may name. */
struct lk_key_columns {
	size_t		*columns;	/* indices into model->columns; heap */
	size_t		 n;
	bool		 is_primary;
};

enum lk_relation_kind {
	LK_RELATION_ONE,	/* its row has the foreign key: at most one row */
	LK_RELATION_MANY,	/* the others' rows have it */
	LK_RELATION_THROUGH,	/* a join table has both */
};

/*
 * From a row of `from` to rows of `to`: those in which each to_columns[i] equals
 * its from_columns[i].  THROUGH: those joined to it by rows of `through`, in
 * which near[i] equals from_columns[i] and far[i] equals to_columns[i].
 */
struct lk_relation {
	char		*name;
	char		*wanted;	/* that it would have, were it alone; NULL: it
					   has it, or there is none */
	enum lk_relation_kind kind;
	const struct lk_model *from, *to, *through;
	size_t		*from_columns, *to_columns;	/* indices; heap */
	size_t		 n_columns;	/* of from_columns; and of to_columns unless
					   THROUGH */
	size_t		*near, *far;	/* of through's columns; heap; or NULL */
	size_t		 n_near, n_far;
	bool		 is_given;	/* by the configuration */
	bool		 is_unique;	/* MANY of which there is one at most: the
					   foreign key is unique */
};

struct lk_model {
	char		*name;		/* "users", or "shop.orders" when its schema
					   is not in the search path */
	char		*schema, *table;
	uint32_t	 oid;
	bool		 in_search_path;
	bool		 is_renamed, is_hidden;	/* by the configuration */
	const char	*kind;		/* static: "table", "view" … */
	bool		 is_view;	/* or anything else that has no key */
	bool		 has_triggers;	/* user triggers, rules or row security: what
					   its statements do is not all known */
	bool		 is_alone;	/* an ordinary table, neither a part of others
					   nor made of parts, by inheritance too */
	bool		 has_checks;	/* CHECK constraints of its own */
	bool		 has_generated_key, has_generated_index;
					/* a column of that kind is generated, from
					   whatever others */
	bool		 has_own_types;	/* columns of types that somebody has made of
					   nothing that is PostgreSQL's: with those,
					   any operator may be a function of theirs */
	char		**triggers;	/* names of its own user triggers; heap */
	size_t		 n_triggers;
	struct lk_column *columns;	/* in the order of attnum; heap */
	size_t		 n_columns;
	struct lk_key_columns *keys;	/* the primary one first, if any; heap */
	size_t		 n_keys;
	struct lk_relation **relations;	/* that begin here, by name; heap */
	size_t		 n_relations;
	struct lk_hash_node by_oid, by_name, by_full_name;	/* catalog's */
};

struct lk_catalog;

struct lk_catalog *lk_catalog_new(void);
/* Take hold of it once more; each hold is let go of by one of the two that
 * follow. */
struct lk_catalog *lk_catalog_hold(struct lk_catalog *catalog);
/* What nobody holds any more is freed; NULL is none. */
void	lk_catalog_free(struct lk_catalog **catalog);
/* Likewise, but what nobody holds any more is added to the list *dead, and is
 * freed from there n of its models and types at a time: that of ten thousand
 * takes 40 ms in all.  *dead is NULL when nothing is left. */
void	lk_catalog_drop(struct lk_catalog **catalog, struct lk_catalog **dead);
void	lk_catalog_free_some(struct lk_catalog **dead, size_t n);

/*
 * Filling, before anybody else holds it: types, models, then their columns and
 * keys, then foreign keys; then lk_catalog_finish(), which makes the relations
 * by their rules, says of each column what its type rests on if that is known,
 * and sorts everything for finding.
 */
struct lk_catalog_type *lk_catalog_add_type(struct lk_catalog *catalog,
	    uint32_t oid, const char *name, enum lk_type_kind kind);
void	lk_type_add_label(struct lk_catalog_type *type, const char *label);
void	lk_type_add_field(struct lk_catalog_type *type, const char *name,
	    uint32_t field_type, const char *type_name);
struct lk_model *lk_catalog_add_model(struct lk_catalog *catalog, uint32_t oid,
	    const char *schema, const char *table, bool in_search_path);
/* To be filled; what is added next may move it. */
struct lk_column *lk_model_add_column(struct lk_model *model,
	    const char *name, int attnum);
void	lk_model_add_trigger(struct lk_model *model, const char *name);
/* attnums: of the model's columns; a key is left out, as is a foreign key, of
 * which it does not have all. */
void	lk_model_add_key(struct lk_model *model, const int *attnums, size_t n,
	    bool is_primary);
/* Any index, with the columns in it; of these the first n_unique are one that a
 * foreign key could refer to.  attnum 0 is an expression, of whatever columns. */
void	lk_model_note_index(struct lk_model *model, const int *attnums,
	    size_t n, size_t n_unique);
/* Of the table child to parent, column by column. */
void	lk_catalog_add_foreign_key(struct lk_catalog *catalog, uint32_t child,
	    const int *child_attnums, uint32_t parent,
	    const int *parent_attnums, size_t n);
/* Transactions that name no isolation level have READ COMMITTED. */
void	lk_catalog_set_read_committed(struct lk_catalog *catalog);
void	lk_catalog_finish(struct lk_catalog *catalog);
/*
 * The same as the configuration has it for this database: with models renamed
 * and hidden, and relations added.  What it names and is not there is appended
 * to said, a line each.
 */
void	lk_catalog_finish_as(struct lk_catalog *catalog,
	    const struct lk_config_models *models, const char *database,
	    struct lk_buf *said);

/* ---- asking ---- */

bool	lk_catalog_is_read_committed(const struct lk_catalog *catalog);

/* Without hidden ones. */
size_t	lk_catalog_n_models(const struct lk_catalog *catalog);
/* In the order of their names. */
const struct lk_model *lk_catalog_model_at(const struct lk_catalog *catalog,
	    size_t i);
/* By oid, or NULL; only who fills it may change what this returns. */
struct lk_model *lk_catalog_model(const struct lk_catalog *catalog,
	    uint32_t oid);
struct lk_catalog_type *lk_catalog_type(const struct lk_catalog *catalog,
	    uint32_t oid);
const char *lk_type_kind_word(enum lk_type_kind kind);
/*
 * By the exact name, which may also be given as schema.table where the schema is
 * in the search path.  NULL and NOMODEL, which names the nearest; error may be
 * NULL where nobody is to read that.
 */
const struct lk_model *lk_catalog_find(const struct lk_catalog *catalog,
	    const char *name, size_t n, struct lk_error *error);
/* NULL: none of that name. */
const struct lk_column *lk_model_column(const struct lk_model *model,
	    const char *name, size_t n);
const struct lk_relation *lk_model_relation(const struct lk_model *model,
	    const char *name, size_t n);
/* NOCOLUMN: what was asked for, and which columns and relations there are; or
 * those that would have this name, were they alone. */
void	lk_model_no_column(const struct lk_model *model, const char *name,
	    size_t n, struct lk_error *error);
/* The primary key, or NULL. */
const struct lk_key_columns *lk_model_primary(const struct lk_model *model);

#endif
