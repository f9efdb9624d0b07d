/*
 * Rows in the form that was asked for, each with the rows of its relations in
 * it.
 */
#ifndef LK_DB_FORM_H
#define LK_DB_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/format.h"
#include "base/role.h"
#include "db/rowset.h"

/* Zeroed memory but for format, sets and limit is ready. */
struct lk_form {
	struct lk_format format;
	struct lk_rowset *sets;		/* the statement's own, then its loads' */
	size_t		 n_sets;
	size_t		 limit;		/* bytes; when out has more it is not whole */
	struct lk_buf	 out;
	struct lk_buf	 json;		/* scratch: the text of one row */
	struct lk_buf	 scratch;	/* of lk_array_walk() */
	struct lk_error	 error;		/* it cannot be said in this form */
};

void	lk_form_fini(struct lk_form *form) LK_ON_WORKER;
/* Larger than its limit, or there was no memory for it. */
bool	lk_form_is_over(const struct lk_form *form) LK_ON_WORKER;

/* A cell of the row at hand of the statement's own, alone. */
void	lk_form_put_cell(struct lk_form *form, size_t column) LK_ON_WORKER;
/* The row at hand of the statement's own.  row: its number among those kept,
 * where there are loads. */
void	lk_form_put_row(struct lk_form *form, size_t row) LK_ON_WORKER;
/* A table's columns and types, up to where its rows go, as set's top. */
void	lk_form_put_top(struct lk_form *form, size_t set) LK_ON_WORKER;

#endif
