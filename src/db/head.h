/*
 * The columns of a statement's rows: their names, each of which is another's in
 * no row, their types, and how they look in the reply.
 */
#ifndef LK_DB_HEAD_H
#define LK_DB_HEAD_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/format.h"
#include "base/hash.h"
#include "base/role.h"
#include "db/cell.h"
#include "db/types.h"

struct lk_head_column {
	char		*name;		/* heap */
	struct lk_hash_node node;	/* in names, while they are given */
	unsigned	 n_same;	/* columns of this name so far, itself
					   included */
	Oid		 oid;
	const struct lk_type *type;	/* NULL: not known */
	enum lk_cell_class cls;		/* an array's elements' */
	bool		 is_array;
	size_t		 key_at, key_len; /* in keys: what goes before a value */
};

/* Zeroed memory has no columns. */
struct lk_head {
	struct lk_format format;
	const struct lk_types *types;
	struct lk_head_column *columns;	/* heap; NULL: not read yet */
	size_t		 n_columns;
	struct lk_buf	 keys;
};

void	lk_head_fini(struct lk_head *head) LK_ON_WORKER;
/* The first n columns of the result, or as many as it has. */
void	lk_head_read(struct lk_head *head, const PGresult *res, size_t n)
	    LK_ON_WORKER;
/* Types of columns that are not known yet. */
bool	lk_head_has_unknown(const struct lk_head *head) LK_ON_WORKER;
/* Look them up among those that have become known. */
void	lk_head_find_types(struct lk_head *head) LK_ON_WORKER;
/* What goes before a value of that name. */
void	lk_head_put_key(struct lk_buf *out, enum lk_rows_form form,
	    const char *name) LK_ON_WORKER;
void	lk_head_put_type(struct lk_buf *out,
	    const struct lk_head_column *column) LK_ON_WORKER;

#endif
