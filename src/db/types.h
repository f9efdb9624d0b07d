/*
 * What the encoder must know of a type: its name, and for an array what it is
 * an array of.  PostgreSQL's own types are a table; the rest, which others may
 * create at any time, are looked up once a session.
 */
#ifndef LK_DB_TYPES_H
#define LK_DB_TYPES_H

#include <libpq-fe.h>

#include "base/hash.h"
#include "base/role.h"
#include "db/cell.h"

struct lk_type {
	Oid		 oid;
	Oid		 elem;		/* 0: no array.  A domain's base type */
	char		 delim;		/* between elements */
	const char	*name;		/* as format_type() has it */
};

/* The types that one session has looked up. */
struct lk_types {
	struct lk_hash	 by_oid;
};

/*
 * Rows for lk_types_add(), given an array of oids as $1.  Wherever a domain is
 * an array's element, its base type is meant.
 */
extern const char *const lk_types_sql;

void	lk_types_init(struct lk_types *types) LK_ON_WORKER;
void	lk_types_fini(struct lk_types *types) LK_ON_WORKER;
/* NULL: not known yet. */
const struct lk_type *lk_types_find(const struct lk_types *types, Oid oid)
	    LK_ON_WORKER;
void	lk_types_add(struct lk_types *types, const PGresult *res) LK_ON_WORKER;

enum lk_cell_class lk_type_cell(Oid oid) LK_ON_WORKER;

#endif
