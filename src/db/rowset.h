/*
 * The rows of one statement: the one at hand, and those that are kept until
 * everything is there that the reply needs.  Where they are a relation's, also
 * which of them belong to which row of its parent.
 */
#ifndef LK_DB_ROWSET_H
#define LK_DB_ROWSET_H

#include <libpq-fe.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/role.h"
#include "base/with.h"
#include "db/cell.h"
#include "db/head.h"

/* The rows of one key, in the order in which they came. */
struct lk_group {
	size_t		 first, last;	/* where n > 0 */
	size_t		 n;
};

/* Empty: zeroed memory but for load, n_shown, depth, head's format and types. */
struct lk_rowset {
	const struct lk_load *load;	/* NULL: the statement's own rows */
	size_t		 n_shown;	/* columns; what follows is for keys */
	struct lk_head	 head;
	unsigned	 depth;		/* levels of the reply above its cells */
	struct lk_buf	 top;		/* of a table: what goes before the rows;
					   empty before the first of them */
	struct lk_cell	*cells;		/* the row at hand; heap */
	size_t		 n_cells;
	struct lk_buf	 bytes;		/* of kept rows: length (UINT32_MAX: NULL)
					   and bytes of each cell */
	struct lk_buf	 rows;		/* of struct kept_row */
	size_t		 n_rows;
	size_t		*group_of;	/* each of the parent's rows; heap */
	struct lk_group	*groups;	/* heap; the first is for rows without a key,
					   and stays empty */
	size_t		 n_groups;
};

void	lk_rowset_fini(struct lk_rowset *set) LK_ON_WORKER;
/* Before the first row. */
void	lk_rowset_start(struct lk_rowset *set, const PGresult *res)
	    LK_ON_WORKER;

/* A result's row is the one at hand, while the result is there. */
void	lk_rowset_take(struct lk_rowset *set, const PGresult *res, int row)
	    LK_ON_WORKER;
/* Keep the one at hand.  Returns how many bytes that takes. */
size_t	lk_rowset_keep(struct lk_rowset *set) LK_ON_WORKER;
/* One that was kept is the one at hand, until the next one is kept. */
void	lk_rowset_get(struct lk_rowset *set, size_t row) LK_ON_WORKER;

/*
 * The load's parameters, once all of its parent's rows are kept: a text for
 * each of the load's keys, an array of PostgreSQL's.  Returns how many keys
 * each of them has; with 0 there is nothing to be asked.
 */
size_t	lk_rowset_ask(struct lk_rowset *set, struct lk_rowset *parent,
	    struct lk_buf *arrays) LK_ON_WORKER;
/* The row that comes behind this one in its group. */
size_t	lk_rowset_next(const struct lk_rowset *set, size_t row) LK_ON_WORKER;

#endif
