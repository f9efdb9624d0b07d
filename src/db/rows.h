/*
 * The reply of a statement that has rows: PGresults in, one RESP value out, in
 * the form that the request asked for.  Rows are encoded as they come.  When a
 * column's type is not known yet they are kept as text until lk_rows_finish(),
 * before which the caller looks up lk_rows_unknown().
 */
#ifndef LK_DB_ROWS_H
#define LK_DB_ROWS_H

#include <libpq-fe.h>

#include "base/error.h"
#include "base/format.h"
#include "db/types.h"

struct lk_rows;

/* Replies nest so deep at most: ready clients stop at 7 to 9. */
#define LK_ROWS_MAX_DEPTH	7

/* types must outlive it; limit is in bytes of the reply. */
struct lk_rows *lk_rows_new(struct lk_format format,
	    const struct lk_types *types, size_t limit) LK_ON_WORKER;
void	lk_rows_free(struct lk_rows **rows) LK_ON_WORKER;

/*
 * Take what libpq hands out: single rows, then the empty result that ends
 * them.  0, or -LK_E_LIMIT: larger than limit, nothing of it is kept.
 */
int	lk_rows_add(struct lk_rows *rows, const PGresult *res) LK_ON_WORKER;

/* Types to be looked up: how many, and up to max of them. */
size_t	lk_rows_unknown(const struct lk_rows *rows, Oid *oids_out, size_t max)
	    LK_ON_WORKER;

/*
 * The reply into out, which must hold nothing.  0; or -LK_E_LIMIT; or
 * -LK_E_INVAL with error: it cannot be encoded in this form.
 */
int	lk_rows_finish(struct lk_rows *rows, struct lk_buf *out,
	    struct lk_error *error) LK_ON_WORKER;

#endif
