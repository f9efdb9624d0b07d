#include "db/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/pgerror.h"
#include "resp/encode.h"

/* Types to look up at once: as many columns as a row can have. */
#define MAX_UNKNOWN	1664

/* ---- errors ---- */

/*
 * Our statement is not on the server, or no longer fits the tables: known by
 * its name in the message, and by the function that says so.
 */
static LK_ON_WORKER bool
is_stale(const struct lk_run *run, const PGresult *res)
{
	const char *sqlstate = lk_pgerror_sqlstate(res);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	if (!run->was_cached)
		return false;
	if (strcmp(sqlstate, "26000") == 0)
		return message != NULL && strstr(message, run->name) != NULL;
	return strcmp(sqlstate, "0A000") == 0 && function != NULL &&
	    strcmp(function, "RevalidateCachedQuery") == 0;
}

static LK_ON_WORKER void
forget_stale(struct lk_run *run, const PGresult *res)
{
	struct lk_stmts *stmts = &run->exec->session->stmts;

	if (strcmp(lk_pgerror_sqlstate(res), "26000") == 0)
		lk_stmts_doubt(stmts);
	else
		lk_stmts_forget(stmts, run->item->sql, true);
	/* Nothing but BEGIN was done before it, or nothing at all. */
	run->wants_retry = !run->was_retried && (lk_run_has_begin(run) ||
	    !lk_run_is_inside(run->exec->job));
}

void
lk_run_take_error(struct lk_run *run, const PGresult *res)
{
	enum lk_severity severity = lk_pgerror_severity(res);

	lk_assert_worker();
	if (is_stale(run, res))
		forget_stale(run, res);
	/* In a PANIC it may have been the commit's record that was written. */
	if (run->item->error.is_set || severity == LK_SEVERITY_PANIC)
		return;
	run->is_fatal = severity == LK_SEVERITY_FATAL;
	lk_pgerror_set(&run->item->error, res);
}

/* ---- results ---- */

void
lk_run_take_rows(struct lk_run *run, const PGresult *res)
{
	struct lk_exec *exec = run->exec;

	lk_assert_worker();
	if (run->is_over || !lk_run_is_sql(run))
		return;
	if (run->rows == NULL)
		run->rows = lk_rows_new(run->item->format,
		    &exec->session->types, exec->job->limit_result);
	if (lk_rows_add(run->rows, res) == 0)
		return;
	run->is_over = true;
	lk_rows_free(&run->rows);
	/* With more behind it, the cancel could hit that: read it all then. */
	if (PQresultStatus(res) == PGRES_SINGLE_TUPLE &&
	    exec->n_in_flight == 1)
		run->was_cancelled = lk_session_cancel(exec->session);
}

void
lk_run_take_tag(struct lk_run *run, PGresult *res)
{
	struct lk_item	*item = run->item;
	const char	*tag = PQcmdStatus(res);

	lk_assert_worker();
	run->has_answer = true;
	snprintf(item->tag, sizeof(item->tag), "%s", tag);
	item->n_rows = strtoull(PQcmdTuples(res), NULL, 10);
	if (lk_run_is_sql(run) && (strncmp(tag, "DEALLOCATE", 10) == 0 ||
	    strcmp(tag, "DISCARD ALL") == 0))
		lk_stmts_doubt(&run->exec->session->stmts);
}

/* ---- outcomes ---- */

static LK_ON_WORKER void
set_over(struct lk_run *run, bool was_done)
{
	struct lk_error *error = &run->item->error;

	lk_error_set(error, LK_ERR_OVERLOAD, "the result is larger than "
	    "limits.result (%zu bytes); %s", run->exec->job->limit_result,
	    was_done ? "the statement itself took effect" :
	    "nothing was done: ask for fewer rows");
	if (was_done)
		error->retry = LK_RETRY_NO;
}

static LK_ON_WORKER void
encode(struct lk_run *run)
{
	struct lk_item	*item = run->item;
	int		 rc;

	if (!lk_run_is_sql(run))
		return;
	if (run->rows == NULL) {
		lk_enc_simple(&item->reply, item->tag);
		return;
	}
	rc = lk_rows_finish(run->rows, &item->reply, &item->error);
	if (rc == -LK_E_LIMIT)
		set_over(run, true);
}

static LK_ON_WORKER void
settle_answered(struct lk_run *run)
{
	struct lk_item *item = run->item;

	if (run->is_over && !item->error.is_set)
		set_over(run, true);
	else if (run->was_cancelled &&
	    strcmp(item->error.sqlstate, "57014") == 0)
		set_over(run, false);
	else if (!item->error.is_set)
		encode(run);
	item->outcome = item->error.is_set ? LK_ITEM_FAILED : LK_ITEM_DONE;
}

/*
 * The session died before the Sync was answered.  An ERROR is an answer: what
 * failed does not commit.  A FATAL is one too when nothing can have been
 * committed before it: not of a COMMIT, which may have been written, nor of a
 * CALL, which may commit halfway.
 */
static LK_ON_WORKER void
settle_lost(struct lk_run *run)
{
	struct lk_item	*item = run->item;
	struct lk_job	*job = run->exec->job;
	bool		 is_certain = lk_run_is_sql(run) && !run->has_answer &&
	    (run->sql_class == LK_SQL_PLAIN || job->in_tx);

	if (item->error.is_set && (!run->is_fatal || is_certain)) {
		item->outcome = LK_ITEM_FAILED;
		return;
	}
	item->outcome = LK_ITEM_LOST;
	if (!item->error.is_set)
		lk_pgerror_set_lost(&item->error,
		    run->exec->pipe.error.message);
}

void
lk_run_settle(struct lk_run *run)
{
	lk_assert_worker();
	switch (run->state) {
	case LK_RUN_WAITING:
		run->item->outcome = LK_ITEM_UNSENT;
		if (run->exec->pipe.is_lost)
			lk_pgerror_set_lost(&run->item->error,
			    run->exec->pipe.error.message);
		break;
	case LK_RUN_SENT:
		settle_lost(run);
		break;
	case LK_RUN_DONE:
		settle_answered(run);
		break;
	}
	lk_rows_free(&run->rows);
}

/* ---- types that the session has not met ---- */

static LK_ON_WORKER size_t
list_unknown(struct lk_exec *exec, struct lk_buf *text)
{
	Oid	oids[MAX_UNKNOWN];
	size_t	n = 0, i, j, n_of_run;

	for (i = 0; i < exec->job->n_items; i++) {
		struct lk_run *run = &exec->runs[i];

		if (run->rows == NULL || run->item->error.is_set)
			continue;
		n_of_run = lk_rows_unknown(run->rows, oids, MAX_UNKNOWN);
		for (j = 0; j < n_of_run && j < MAX_UNKNOWN; j++)
			lk_buf_printf(text, "%s%u", n++ == 0 ? "{" : ",",
			    oids[j]);
	}
	lk_buf_putc(text, '}');
	return n;
}

static LK_ON_WORKER void
fail_unknown(struct lk_exec *exec, struct lk_error *error)
{
	size_t	i;
	Oid	oid;

	for (i = 0; i < exec->job->n_items; i++) {
		struct lk_run *run = &exec->runs[i];

		if (run->rows != NULL && !run->item->error.is_set &&
		    lk_rows_unknown(run->rows, &oid, 1) > 0)
			lk_error_move(&run->item->error, error);
	}
}

/*
 * Behind the Sync, and behind the cleaning if that has been sent.  When the
 * question fails inside a transaction that has failed with it, and then its
 * error is the statement's; outside, the values go as text.
 */
void
lk_run_look_up_types(struct lk_exec *exec)
{
	struct lk_buf	 oids = LK_BUF_INIT;
	struct lk_error	 error;
	PGresult	*res = NULL;
	const char	*value;
	int		 rc;

	lk_assert_worker();
	lk_error_init(&error);
	if (!exec->pipe.is_lost && list_unknown(exec, &oids) > 0 &&
	    PQtransactionStatus(exec->session->conn) != PQTRANS_INERROR) {
		value = lk_buf_cstr(&oids);
		rc = lk_pipe_query(&exec->pipe, lk_types_sql, 1, &value, &res,
		    &error);
		if (rc == 0)
			lk_types_add(&exec->session->types, res);
		else if (rc == -LK_E_INVAL && exec->job->in_tx)
			fail_unknown(exec, &error);
	}
	PQclear(res);
	lk_error_fini(&error);
	lk_buf_fini(&oids);
}

