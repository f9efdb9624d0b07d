/*
 * One item of a job on its way: what has come back for it so far, and in the
 * end its outcome.  db/exec.h's own; nobody else's.
 */
#ifndef LK_DB_RUN_H
#define LK_DB_RUN_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/role.h"
#include "db/exec.h"
#include "db/rows.h"
#include "db/stmts.h"
#include "offload/cross.h"
#include "orm/sqltext.h"

enum lk_run_state {
	LK_RUN_WAITING,
	LK_RUN_SENT,
	LK_RUN_DONE,		/* its Sync has been answered */
};

struct lk_run {
	struct lk_exec	*exec;
	struct lk_item	*item;		/* whose error is set as soon as known */
	enum lk_run_state state;
	enum lk_sql_class sql_class;
	char		 name[LK_STMTS_NAME_MAX];	/* "": not cached */
	bool		 was_cached;	/* prepared by an earlier run */
	bool		 has_answer;	/* success, if the Sync confirms it */
	bool		 is_fatal;	/* the error ended the session */
	bool		 wants_retry;
	bool		 was_retried;
	bool		 is_over;	/* larger than limit_result */
	bool		 was_cancelled;	/* by us, for that reason */
	struct lk_rows	*rows;		/* NULL: it has none */
};

static inline bool
lk_run_is_sql(const struct lk_run *run)
{
	return run->item->kind == LK_ITEM_SQL;
}

/* Whether BEGIN goes out in front of it. */
static inline bool
lk_run_has_begin(const struct lk_run *run)
{
	return run->exec->job->begin != NULL && run == run->exec->runs;
}

/* Whether the job goes on with a transaction that is open already. */
static inline bool
lk_run_is_inside(const struct lk_job *job)
{
	return job->begin == NULL && (job->in_tx ||
	    job->items[0].kind == LK_ITEM_CONTROL);
}

/* A result of its statement: rows, the tag behind them, or an error, which may
 * also come behind success. */
void	lk_run_take_rows(struct lk_run *run, const PGresult *res) LK_ON_WORKER;
void	lk_run_take_tag(struct lk_run *run, PGresult *res) LK_ON_WORKER;
void	lk_run_take_error(struct lk_run *run, const PGresult *res)
	    LK_ON_WORKER;

/* Ask for the types in all runs' rows that the session has not met. */
void	lk_run_look_up_types(struct lk_exec *exec) LK_ON_WORKER;

/* Fill in the item: outcome, and reply or error. */
void	lk_run_settle(struct lk_run *run) LK_ON_WORKER;

#endif
