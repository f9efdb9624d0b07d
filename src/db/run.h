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

/* What the answer to its Sync is followed by. */
enum lk_run_again {
	LK_RUN_AGAIN_NO,
	LK_RUN_AGAIN,
	/* Once it is known that its parameters have other types now. */
	LK_RUN_AGAIN_IF_RETYPED,
};

struct lk_load_run;

struct lk_run {
	struct lk_exec	*exec;
	struct lk_item	*item;		/* whose error is set as soon as known */
	/* Itself; of a load, that of the item whose load it is. */
	struct lk_run	*whole;
	size_t		 whose;		/* rows it has, as lk_rows_add() counts */
	enum lk_run_state state;
	enum lk_sql_class sql_class;
	char		 name[LK_STMTS_NAME_MAX];	/* "": not cached */
	bool		 was_cached;	/* prepared by an earlier run */
	bool		 was_executed;	/* sent for that, not only prepared */
	bool		 has_answer;	/* success, if the Sync confirms it */
	bool		 is_fatal;	/* the error ended the session */
	enum lk_run_again again;
	bool		 was_retried;
	struct lk_param_types types_before;	/* for AGAIN_IF_RETYPED */
	bool		 was_retyped;	/* they are others now */
	bool		 is_over;	/* larger than limit_result */
	bool		 was_cancelled;	/* by us, for that reason */
	struct lk_rows	*rows;		/* NULL: it has none */
	size_t		 n_places;	/* items that its rows are for, as their last
					   column says; 0: they are the item's */
	bool		 is_whole;	/* its rows come as one result: they are as
					   few and small as the last time */
	struct lk_load_run *loads;	/* heap, one a load; NULL: not yet sent */
	bool		 is_settled;	/* the item is filled in */
	/* Of a unit's. */
	bool		 keeps_row;
	PGresult	*row;		/* the first, if it keeps that; or NULL */
	struct lk_param	*params;	/* heap; instead of the item's, with values
					   for those that name columns; or NULL */
};

static inline bool
lk_run_is_sql(const struct lk_run *run)
{
	return run->item->kind == LK_ITEM_SQL;
}

static inline const struct lk_param *
lk_run_params(const struct lk_run *run)
{
	return run->params != NULL ? run->params : run->item->params;
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

/* Whether what it has done stays done, if it has done it: of a unit only when
 * all of it is. */
static inline bool
lk_run_has_effect(const struct lk_run *run)
{
	return !run->exec->job->is_unit ||
	    run->exec->runs[run->exec->job->n_items - 1].has_answer;
}

/* A result of its statement, as lk_pipe_fn; and one that nobody looks at. */
void	lk_run_on_result(void *run, PGresult **res);
void	lk_run_ignore(void *run, PGresult **res);

/* A result of its statement: rows, the tag behind them, or an error, which may
 * also come behind success. */
void	lk_run_take_rows(struct lk_run *run, const PGresult *res) LK_ON_WORKER;
void	lk_run_take_tag(struct lk_run *run, PGresult *res) LK_ON_WORKER;
void	lk_run_take_error(struct lk_run *run, const PGresult *res)
	    LK_ON_WORKER;

/* Ask for the types in all runs' rows that the session has not met. */
void	lk_run_look_up_types(struct lk_exec *exec) LK_ON_WORKER;

/* exec's: its statement has been described, and what can be sent was. */
void	lk_exec_described(struct lk_run *run) LK_ON_WORKER;

/* The error for one that was done and whose reply is too large. */
void	lk_run_set_over(struct lk_run *run) LK_ON_WORKER;
/* Fill in the item: outcome, and reply or error. */
void	lk_run_settle(struct lk_run *run) LK_ON_WORKER;
/* Nothing has come back for it. */
void	lk_run_clear(struct lk_run *run) LK_ON_WORKER;
/* Its Sync has been answered, and run->again is set: as if not sent. */
void	lk_run_again(struct lk_run *run) LK_ON_WORKER;

#endif
