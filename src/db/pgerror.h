/* What PostgreSQL and libpq say, as struct lk_error. */
#ifndef LK_DB_PGERROR_H
#define LK_DB_PGERROR_H

#include <libpq-fe.h>

#include "base/error.h"
#include "base/role.h"

enum lk_severity {
	LK_SEVERITY_ERROR,
	LK_SEVERITY_FATAL,	/* the session ends */
	LK_SEVERITY_PANIC,	/* the server restarts: a COMMIT may have been
				   written */
};

/*
 * From a server's ERROR or FATAL, with its SQLSTATE and fields.  FATAL is
 * CONNLOST: the session died of it.  Several statements in one text are SYNTAX.
 */
void	lk_pgerror_set(struct lk_error *error, const PGresult *res)
	    LK_ON_WORKER;
/* From libpq's words for the end of a session: CONNLOST, message and detail. */
void	lk_pgerror_set_lost(struct lk_error *error, const char *words)
	    LK_ON_WORKER;

/* error->param and is_inner, by what the server says of where it arose, in its
 * CONTEXT, in whatever language; NULL: nothing. */
void	lk_pgerror_locate(struct lk_error *error, const char *context);

enum lk_severity lk_pgerror_severity(const PGresult *res) LK_ON_WORKER;
/* "" when the server did not say it, but libpq did. */
const char *lk_pgerror_sqlstate(const PGresult *res) LK_ON_WORKER;

#endif
