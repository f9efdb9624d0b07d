/*
 * What the encoder must know of a type: its name, and for an array what it is
 * an array of.  PostgreSQL's own types are a table; the rest, which others may
 * create and rename at any time, are looked up by each session now and then.
 */
#ifndef LK_DB_TYPES_H
#define LK_DB_TYPES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/role.h"
#include "db/cell.h"

struct lk_type {
	Oid		 oid;
	Oid		 elem;		/* 0: no array.  A domain's base type */
	char		 delim;		/* between elements */
	const char	*name;		/* as format_type() has it */
};

/* A type can be renamed. */
#define LK_TYPES_MAX_AGE_US	(5 * 1000000ULL)

/* The types that one session has looked up. */
struct lk_types {
	struct lk_hash	 by_oid;
	uint64_t	 since_us;	/* when the first of them may have been */
	bool		 is_old;
};

/*
 * Rows for lk_types_add(), given an array of oids as $1.  Wherever a domain is
 * an array's element, its base type is meant.
 */
extern const char *const lk_types_sql;

void	lk_types_init(struct lk_types *types) LK_ON_WORKER;
void	lk_types_fini(struct lk_types *types) LK_ON_WORKER;
/* Forget all when they are old; nobody may have a pointer to one then. */
void	lk_types_refresh(struct lk_types *types, uint64_t now_us) LK_ON_WORKER;
/* The schema has changed: they are old. */
void	lk_types_age(struct lk_types *types) LK_ON_WORKER;

/* NULL: not known yet. */
const struct lk_type *lk_types_find(const struct lk_types *types, Oid oid)
	    LK_ON_WORKER;
void	lk_types_add(struct lk_types *types, const PGresult *res) LK_ON_WORKER;

enum lk_cell_class lk_type_cell(Oid oid) LK_ON_WORKER;

#endif
