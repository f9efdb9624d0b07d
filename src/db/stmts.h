/*
 * The statements that one session has prepared for us: text in, name out.
 * Bounded; the least recently used is given up, and deallocated on the server
 * when the session is cleaned (in a transaction a DEALLOCATE could fail, and
 * with it the client's transaction).
 *
 * PostgreSQL plans a prepared statement anew when a table has changed, but its
 * parameters keep the types that they had when it was prepared.  Most values
 * then fail, and db/prepare.h knows what to do; but a column that was an
 * integer and is a text now gets 7 when 007 is sent, and nobody is told.  So a
 * statement has an age.
 */
#ifndef LK_DB_STMTS_H
#define LK_DB_STMTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/role.h"

#define LK_STMTS_MAX		256
/* Longer texts are hardly ever sent twice. */
#define LK_STMTS_MAX_TEXT	(16 * 1024)
#define LK_STMTS_NAME_MAX	24
#define LK_STMTS_MAX_AGE_US	(5 * 1000000ULL)

/* The types of a statement's parameters, as the server described them. */
struct lk_param_types {
	bool		 is_known;
	Oid		*oids;		/* heap */
	size_t		 n;
};

struct lk_stmt {
	struct lk_hash_node node;
	struct lk_list	 lru;
	uint64_t	 number;	/* 0: not on the server */
	char		 name[LK_STMTS_NAME_MAX];	/* by which that knows it:
							   lk_<number> */
	uint64_t	 prepared_us;
	struct lk_param_types types;
	size_t		 row_bytes;	/* of the largest, when it was last asked for
					   several requests; 0: not known */
	char		 sql[];
};

struct lk_stmts {
	struct lk_hash	 by_sql;
	struct lk_list	 lru;		/* most recent first */
	uint64_t	 last_number;
	uint64_t	 last_old;	/* numbers up to it are too old */
	uint64_t	 dead[LK_STMTS_MAX];	/* given up, still on the server */
	size_t		 n_dead;
	/* What is on the server is not known: all are to be deallocated. */
	bool		 is_doubtful;
};

void	lk_stmts_init(struct lk_stmts *stmts) LK_ON_WORKER;
void	lk_stmts_fini(struct lk_stmts *stmts) LK_ON_WORKER;

/* NULL: not known. */
struct lk_stmt *lk_stmts_find(struct lk_stmts *stmts, const char *sql)
	    LK_ON_WORKER;
/*
 * The caller prepares it.  NULL: not to be prepared, since its text is too
 * long or too many wait for being deallocated.
 */
struct lk_stmt *lk_stmts_add(struct lk_stmts *stmts, const char *sql,
	    uint64_t now_us) LK_ON_WORKER;

/* Whether it is to be prepared anew. */
bool	lk_stmts_is_old(const struct lk_stmts *stmts,
	    const struct lk_stmt *stmt, uint64_t now_us) LK_ON_WORKER;
/* The schema has changed: all are old now. */
void	lk_stmts_age(struct lk_stmts *stmts) LK_ON_WORKER;

/* Never use this one again; is_there: the server still has it. */
void	lk_stmts_forget(struct lk_stmts *stmts, const char *sql, bool is_there)
	    LK_ON_WORKER;
/* The same, but remember that the text is not worth preparing. */
void	lk_stmts_give_up(struct lk_stmts *stmts, struct lk_stmt *stmt)
	    LK_ON_WORKER;
/* Forget all; which of them the server still has is not known. */
void	lk_stmts_doubt(struct lk_stmts *stmts) LK_ON_WORKER;
/* The server has none. */
void	lk_stmts_reset(struct lk_stmts *stmts) LK_ON_WORKER;

/* From the description of a prepared statement. */
void	lk_param_types_set(struct lk_param_types *types, const PGresult *res)
	    LK_ON_WORKER;
void	lk_param_types_move(struct lk_param_types *to,
	    struct lk_param_types *from) LK_ON_WORKER;
void	lk_param_types_fini(struct lk_param_types *types) LK_ON_WORKER;
bool	lk_param_types_equal(const struct lk_param_types *a,
	    const struct lk_param_types *b) LK_ON_WORKER;
/* Whether parameter i, counted from 0, is bytea: to be sent as its bytes. */
bool	lk_param_types_is_bytea(const struct lk_param_types *types, size_t i)
	    LK_ON_WORKER;

#endif
