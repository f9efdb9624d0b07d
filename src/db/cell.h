/*
 * One value of a row: PostgreSQL's text form in, RESP or JSON out.  Pure.
 */
#ifndef LK_DB_CELL_H
#define LK_DB_CELL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/role.h"

enum lk_cell_class {
	LK_CELL_TEXT,		/* as PostgreSQL prints it */
	LK_CELL_BOOL,
	LK_CELL_INT,
	LK_CELL_DOUBLE,
	LK_CELL_NUMERIC,	/* a number in JSON only: RESP has none so exact */
	LK_CELL_JSON,		/* goes into JSON as it is */
	LK_CELL_BYTEA,
};

/* Somebody else's text, with anything behind it; data NULL: a NULL. */
struct lk_cell {
	const char	*data;
	size_t		 n;
};

/* data NULL: a NULL. */
void	lk_cell_resp(struct lk_buf *out, int proto, enum lk_cell_class cls,
	    const char *data, size_t n) LK_ON_WORKER;
void	lk_cell_json(struct lk_buf *out, enum lk_cell_class cls,
	    const char *data, size_t n) LK_ON_WORKER;
/* The number that its digits say; 0: it is NULL, or there are none. */
size_t	lk_cell_number(const struct lk_cell *cell);
/* A JSON string with its quotes. */
void	lk_cell_json_string(struct lk_buf *out, const char *data, size_t n)
	    LK_ON_WORKER;

#endif
