/*
 * Related rows that a reply nests: which statements ask for them, and which of
 * their rows belongs to which.  Plain data that travels with its request: from
 * the compiler, through core, to the worker that asks and encodes.
 */
#ifndef LK_BASE_WITH_H
#define LK_BASE_WITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Columns that one relation goes by: as many as an index of PostgreSQL's. */
#define LK_LOAD_MAX_KEYS	32

/*
 * One statement for all rows of its parent.  Its parameters are arrays, one for
 * each of the parent's key columns, that together list the different keys among
 * those rows; then the limit, where there is one.  Each row that it returns
 * says to which place in the arrays it belongs, from 1.
 */
struct lk_load {
	char		*name;		/* the relation's; heap */
	char		*sql;		/* heap */
	size_t		 parent;	/* its index plus 1; 0: the statement itself */
	bool		 is_many;	/* else there is one row, or none */
	size_t		 n_keys;
	size_t		 keys[LK_LOAD_MAX_KEYS];	/* columns of the parent */
	uint32_t	 types[LK_LOAD_MAX_KEYS];	/* oids of the arrays */
	int64_t		 limit;		/* rows for one of the parent's; -1: all */
	size_t		 n_columns;	/* that are shown; behind them is the place */
};

struct lk_with {
	size_t		 n_columns;	/* of the statement's own rows that are shown;
					   those behind them are but keys */
	struct lk_load	*loads;		/* heap; each behind its parent */
	size_t		 n_loads;	/* 0: all columns are shown */
};

/* to must hold nothing. */
void	lk_with_copy(struct lk_with *to, const struct lk_with *from);
void	lk_with_fini(struct lk_with *with);

#endif
