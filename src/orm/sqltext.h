/*
 * What a client's SQL begins with, found without parsing it.  Enough to refuse
 * what would change the daemon's idea of the transaction.  Pure.
 */
#ifndef LK_ORM_SQLTEXT_H
#define LK_ORM_SQLTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum lk_sql_class {
	LK_SQL_EMPTY,		/* nothing but blanks, comments, semicolons */
	LK_SQL_PLAIN,		/* SELECT, INSERT, UPDATE, DELETE, MERGE, WITH,
				   VALUES, TABLE: worth preparing */
	LK_SQL_UTILITY,		/* all else */
	LK_SQL_REFUSED,		/* transaction control and COPY */
	LK_SQL_OUTSIDE_ONLY,	/* COMMIT PREPARED, ROLLBACK PREPARED */
};

/* Looks past blanks, nested comments, semicolons and opening parentheses. */
enum lk_sql_class lk_sql_classify(const char *sql, size_t n);

/* Whether it is an INSERT, UPDATE, DELETE or MERGE, by its first word. */
bool	lk_sql_is_dml(const char *sql, size_t n);

/* Whether it is a SELECT, VALUES, TABLE or WITH, likewise. */
bool	lk_sql_is_query(const char *sql, size_t n);

/*
 * 0 when the daemon may send this text with so many parameters; else -LK_E_INVAL and a SYNTAX error
 * that names the verb to use instead.
 */
int	lk_sql_check(const char *sql, size_t n, size_t n_params, bool in_tx,
	    struct lk_error *error);

/* The text for other people's eyes: literals out, blanks folded, cut at
 * max_bytes at a character's boundary.  Appends to out. */
struct lk_buf;
void	lk_sql_redact(const char *sql, size_t n, size_t max_bytes,
	    struct lk_buf *out);

#endif
