/*
 * Results as libpq has them, without a server.
 */
#ifndef LK_TESTS_DB_RESULT_H
#define LK_TESTS_DB_RESULT_H

#include "unit.h"

#include <libpq-fe.h>
#include <string.h>

/* A result of n columns, without a server. */
static inline PGresult *
result(int n, const char *const *names, const Oid *oids)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc columns[8];
	int i;

	memset(columns, 0, sizeof(columns));
	for (i = 0; i < n; i++) {
		columns[i].name = (char *)names[i];
		columns[i].typid = oids[i];
	}
	assert_int_equal(PQsetResultAttrs(res, n, columns), 1);
	return res;
}

static inline void
set(PGresult *res, int row, int column, const char *value)
{
	assert_int_equal(PQsetvalue(res, row, column, (char *)value,
	    value == NULL ? -1 : (int)strlen(value)), 1);
}

#endif
