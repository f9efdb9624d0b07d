/*
 * The reply of a statement that has rows: PGresults in, one RESP value out, in
 * the form that the request asked for.  Rows are encoded as they come.  When a
 * column's type is not known yet, or the rows of relations go into them, they
 * are kept as text until lk_rows_finish(), before which the caller looks up
 * lk_rows_unknown().
 */
#ifndef LK_DB_ROWS_H
#define LK_DB_ROWS_H

#include <libpq-fe.h>

#include "base/error.h"
#include "base/format.h"
#include "base/with.h"
#include "db/types.h"

struct lk_rows;

/*
 * with and types must outlive it; limit is in bytes, of the reply and of what is
 * kept until then.
 */
struct lk_rows *lk_rows_new(struct lk_format format, enum lk_shape shape,
	    const struct lk_with *with, const struct lk_types *types,
	    size_t limit) LK_ON_WORKER;
/*
 * Before any row is there: they are for as many replies, of limit_each bytes at
 * most, and the last column of the statement's own, which is not shown, says for
 * which a row is, from 1.
 */
void	lk_rows_set_places(struct lk_rows *rows, size_t n_places,
	    size_t limit_each) LK_ON_WORKER;
void	lk_rows_free(struct lk_rows **rows) LK_ON_WORKER;

/*
 * Take what libpq hands out: single rows, then the empty result that ends
 * them.  whose: 0 for the statement's own, else its load's index plus 1.
 * 0, or -LK_E_LIMIT: larger than limit, nothing of it is kept.
 */
int	lk_rows_add(struct lk_rows *rows, size_t whose, const PGresult *res)
	    LK_ON_WORKER;

/*
 * What to ask for a load, once all rows of its parent have been added: into
 * arrays, which hold nothing, the texts of the arrays that are its parameters.
 * Returns how many keys they list; 0: nothing is to be asked.  To be called
 * once for each load, and for its parent before.
 */
size_t	lk_rows_ask(struct lk_rows *rows, size_t whose, struct lk_buf *arrays)
	    LK_ON_WORKER;

/* Types to be looked up: how many, and up to max of them. */
size_t	lk_rows_unknown(const struct lk_rows *rows, Oid *oids_out, size_t max)
	    LK_ON_WORKER;

/* So far. */
size_t	lk_rows_bytes(const struct lk_rows *rows) LK_ON_WORKER;
/* Which column is called so in the reply, counted from 0; -1: none. */
int	lk_rows_column(const struct lk_rows *rows, const char *name)
	    LK_ON_WORKER;

/*
 * The reply into out, which must hold nothing.  0; or -LK_E_LIMIT; or
 * -LK_E_INVAL with error: it cannot be encoded in this form, or not as many
 * rows came as its shape wants.
 */
int	lk_rows_finish(struct lk_rows *rows, struct lk_buf *out,
	    struct lk_error *error) LK_ON_WORKER;
/*
 * Where there are places, once all rows have been added: divide the rows.  0; or
 * -LK_E_INVAL with error: there is a reply among them that cannot be made; or
 * -LK_E_LIMIT: they are too large together.
 */
int	lk_rows_divide(struct lk_rows *rows, struct lk_error *error)
	    LK_ON_WORKER;
/* The largest row that was divided, in its form. */
size_t	lk_rows_largest(const struct lk_rows *rows) LK_ON_WORKER;
/* Then each of the replies once, as lk_rows_finish() does; i counts from 0. */
int	lk_rows_finish_place(struct lk_rows *rows, size_t i,
	    struct lk_buf *out, struct lk_error *error) LK_ON_WORKER;

#endif
