/*
 * The statements that one session has prepared for us: text in, name out.
 * Bounded; the least recently used is given up, and deallocated on the server
 * when the session is cleaned (in a transaction a DEALLOCATE could fail, and
 * with it the client's transaction).
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

/* How parameters are to be sent: 1 (binary) for bytea, else 0 (text). */
struct lk_param_formats {
	bool		 is_known;
	int		*formats;	/* heap */
	size_t		 n;
};

struct lk_stmt {
	struct lk_hash_node node;
	struct lk_list	 lru;
	char		 name[LK_STMTS_NAME_MAX];	/* lk_<n> */
	struct lk_param_formats params;
	char		 sql[];
};

struct lk_stmts {
	struct lk_hash	 by_sql;
	struct lk_list	 lru;		/* most recent first */
	uint64_t	 next_number;
	uint64_t	 dead[LK_STMTS_MAX];	/* given up, still on the server */
	size_t		 n_dead;
	/* What is on the server is not known: all are to be deallocated. */
	bool		 is_doubtful;
};

void	lk_stmts_init(struct lk_stmts *stmts) LK_ON_WORKER;
void	lk_stmts_fini(struct lk_stmts *stmts) LK_ON_WORKER;

/* NULL: not prepared. */
struct lk_stmt *lk_stmts_find(struct lk_stmts *stmts, const char *sql)
	    LK_ON_WORKER;
/*
 * The caller prepares it.  NULL: not to be prepared, since its text is too
 * long or too many wait for being deallocated.
 */
struct lk_stmt *lk_stmts_add(struct lk_stmts *stmts, const char *sql)
	    LK_ON_WORKER;
/* From the description of a prepared statement. */
void	lk_param_formats_set(struct lk_param_formats *params,
	    const PGresult *res) LK_ON_WORKER;
void	lk_param_formats_fini(struct lk_param_formats *params) LK_ON_WORKER;

/* Never use this one again; is_there: the server still has it. */
void	lk_stmts_forget(struct lk_stmts *stmts, const char *sql, bool is_there)
	    LK_ON_WORKER;
/* Nor any of them; which of them the server still has is not known. */
void	lk_stmts_doubt(struct lk_stmts *stmts) LK_ON_WORKER;
/* The server has none. */
void	lk_stmts_reset(struct lk_stmts *stmts) LK_ON_WORKER;

#endif
