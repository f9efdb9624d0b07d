#include "db/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/load.h"
#include "db/pgerror.h"
#include "db/prepare.h"
#include "resp/encode.h"

/* Types to look up at once: as many columns as a row can have. */
#define MAX_UNKNOWN	1664

/* ---- errors ---- */

void
lk_run_take_error(struct lk_run *run, const PGresult *res)
{
	enum lk_severity severity = lk_pgerror_severity(res);
	struct lk_run	*whole = run->whole;

	lk_assert_worker();
	if (severity == LK_SEVERITY_ERROR)
		lk_prepare_judge(run, res);
	/* In a PANIC it may have been the commit's record that was written. */
	if (whole->item->error.is_set || severity == LK_SEVERITY_PANIC)
		return;
	whole->is_fatal = severity == LK_SEVERITY_FATAL;
	lk_pgerror_set(&whole->item->error, res);
	if (run != whole) {	/* a load's parameters are not the item's */
		whole->item->error.param = 0;
		whole->item->error.is_inner = true;
	}
}

/* ---- results ---- */

/* A unit's replies are one.  Each of a group's may be so large, and what is larger
 * is not kept: twice as much is for what goes before their rows. */
static LK_ON_WORKER size_t
limit_of(const struct lk_run *whole)
{
	const struct lk_exec *exec = whole->exec;
	size_t limit = exec->job->limit_result;

	if (exec->job->is_group && whole->n_places > 0)
		return 2 * whole->n_places * limit;
	return limit - (exec->n_reply_bytes < limit ? exec->n_reply_bytes :
	    limit);
}

static LK_ON_WORKER struct lk_rows *
new_rows(const struct lk_run *whole)
{
	const struct lk_item *item = whole->item;
	struct lk_rows *rows = lk_rows_new(item->format, item->shape,
	    &item->with, &whole->exec->session->types, limit_of(whole));

	if (whole->n_places > 0)
		lk_rows_set_places(rows, whole->n_places,
		    whole->exec->job->limit_result);
	return rows;
}

void
lk_run_take_rows(struct lk_run *run, const PGresult *res)
{
	struct lk_exec	*exec = run->exec;
	struct lk_run	*whole = run->whole;

	lk_assert_worker();
	if (whole->is_over || !lk_run_is_sql(run))
		return;
	if (whole->rows == NULL)
		whole->rows = new_rows(whole);
	if (run->keeps_row && run->row == NULL && PQntuples(res) > 0)
		run->row = PQcopyResult(res, PG_COPYRES_ATTRS |
		    PG_COPYRES_TUPLES);
	if (lk_rows_add(whole->rows, run->whose, res) == 0)
		return;
	whole->is_over = true;
	lk_rows_free(&whole->rows);
	/* With more behind it, the cancel could hit that: read it all then.
	 * A FETCH has an end soon, and would take its transaction along. */
	if (PQresultStatus(res) == PGRES_SINGLE_TUPLE &&
	    exec->n_in_flight == 1 && whole->item->shape != LK_SHAPE_FETCH)
		whole->was_cancelled = lk_pipe_cancel_wait(&exec->pipe);
}

/* A simple string's bytes, whatever the server sent. */
static void
copy_tag(char *to, size_t size, const char *tag)
{
	for (; *tag != '\0' && size > 1; tag++, size--)
		*to++ = (char)(*tag < ' ' || *tag > '~' ? '?' : *tag);
	*to = '\0';
}

static bool
begins(const char *tag, const char *word)
{
	return strncmp(tag, word, strlen(word)) == 0;
}

/* What was prepared before, and what is known of types, is old then; also when
 * the change is taken back. */
static LK_ON_WORKER void
note_schema(struct lk_session *session, const char *tag)
{
	bool is_change = begins(tag, "CREATE ") || begins(tag, "ALTER ") ||
	    begins(tag, "DROP ") || strcmp(tag, "DO") == 0;

	session->changed_schema |= is_change;
	if (!is_change &&
	    !(session->changed_schema && begins(tag, "ROLLBACK")))
		return;
	lk_stmts_age(&session->stmts);
	lk_types_age(&session->types);
}

void
lk_run_take_tag(struct lk_run *run, PGresult *res)
{
	struct lk_item	*item = run->item;
	const char	*tag = PQcmdStatus(res);

	lk_assert_worker();
	run->has_answer = true;
	if (run->exec->job->is_unit && !run->exec->job->is_group &&
	    run->rows != NULL)
		run->exec->n_reply_bytes += lk_rows_bytes(run->rows);
	copy_tag(item->tag, sizeof(item->tag), tag);
	item->n_rows = strtoull(PQcmdTuples(res), NULL, 10);
	if (lk_run_is_sql(run) && (begins(tag, "DEALLOCATE") ||
	    strcmp(tag, "DISCARD ALL") == 0))
		lk_stmts_doubt(&run->exec->session->stmts);
	note_schema(run->exec->session, tag);
}

void
lk_run_on_result(void *ctx, PGresult **res)
{
	struct lk_run *run = ctx;

	lk_assert_worker();
	switch (PQresultStatus(*res)) {
	case PGRES_SINGLE_TUPLE:
		lk_run_take_rows(run, *res);
		break;
	case PGRES_TUPLES_OK:
		lk_run_take_rows(run, *res);
		lk_run_take_tag(run, *res);
		break;
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		lk_run_take_tag(run, *res);
		break;
	case PGRES_FATAL_ERROR:
		lk_run_take_error(run, *res);
		break;
	default:	/* PIPELINE_ABORTED: its error came before */
		break;
	}
}

void
lk_run_ignore(void *ctx, PGresult **res)
{
	(void)ctx;
	(void)res;
}

/* ---- outcomes ---- */

static LK_ON_WORKER void
set_over(struct lk_run *run, bool was_done)
{
	struct lk_error *error = &run->item->error;
	const char *advice = "nothing was done: ask for fewer rows, or OPEN a "
	    "cursor and FETCH them";

	was_done &= lk_run_has_effect(run);
	if (run->item->shape == LK_SHAPE_FETCH)
		advice = "these rows are lost to the cursor, which stands "
		    "behind them: FETCH fewer at a time";
	else if (was_done)
		advice = "the statement itself took effect";
	lk_error_set(error, LK_ERR_OVERLOAD, "the result is larger than "
	    "limits.result (%zu bytes); %s", run->exec->job->limit_result,
	    advice);
	if (was_done)
		error->retry = LK_RETRY_NO;
}

void
lk_run_set_over(struct lk_run *run)
{
	lk_assert_worker();
	set_over(run, true);
}

static LK_ON_WORKER void
encode(struct lk_run *run)
{
	struct lk_item	*item = run->item;
	int		 rc;

	if (!lk_run_is_sql(run))
		return;
	if (item->shape == LK_SHAPE_COUNT) {
		lk_enc_int(&item->reply, (int64_t)item->n_rows);
		return;
	}
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
 * CALL, which may commit halfway.  Nor does what was only being prepared
 * commit.
 */
static LK_ON_WORKER void
settle_lost(struct lk_run *run)
{
	struct lk_item	*item = run->item;
	struct lk_job	*job = run->exec->job;
	bool		 is_certain = !run->was_executed ||
	    (lk_run_is_sql(run) && !run->has_answer &&
	    (run->sql_class == LK_SQL_PLAIN || job->in_tx));
	bool		 has_failed = item->error.is_set ?
	    !run->is_fatal || is_certain : !run->was_executed;

	item->outcome = has_failed ? LK_ITEM_FAILED : LK_ITEM_LOST;
	if (!item->error.is_set)
		lk_pgerror_set_lost(&item->error,
		    run->exec->pipe.error.message);
}

void
lk_run_settle(struct lk_run *run)
{
	lk_assert_worker();
	run->is_settled = true;
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
	if (!run->keeps_row)
		lk_rows_free(&run->rows);
}

void
lk_run_clear(struct lk_run *run)
{
	lk_assert_worker();
	lk_rows_free(&run->rows);
	PQclear(run->row);
	free(run->params);
	lk_load_forget(run);
	run->row = NULL;
	run->params = NULL;
	run->again = LK_RUN_AGAIN_NO;
	run->has_answer = run->was_executed = run->is_settled = false;
	run->is_over = run->was_cancelled = false;
	run->state = LK_RUN_WAITING;
}

void
lk_run_again(struct lk_run *run)
{
	lk_assert_worker();
	/* If it has the same types again, its error stands. */
	if (run->again == LK_RUN_AGAIN)
		lk_error_fini(&run->item->error);
	run->again = LK_RUN_AGAIN_NO;
	run->was_retried = true;
	run->has_answer = false;
	run->was_executed = false;
	run->state = LK_RUN_WAITING;
	lk_rows_free(&run->rows);
	lk_load_forget(run);
}

/* ---- types that the session has not met ---- */

static LK_ON_WORKER size_t
list_unknown(struct lk_exec *exec, struct lk_buf *text)
{
	Oid	oids[MAX_UNKNOWN];
	size_t	n = 0, i, j, n_of_run;

	for (i = 0; i < exec->n_runs; i++) {
		struct lk_run *run = &exec->runs[i];

		if (run->rows == NULL || run->is_settled ||
		    run->item->error.is_set)
			continue;
		n_of_run = lk_rows_unknown(run->rows, oids, MAX_UNKNOWN);
		for (j = 0; j < n_of_run && j < MAX_UNKNOWN; j++)
			lk_buf_printf(text, "%s%u", n++ == 0 ? "{" : ",",
			    oids[j]);
	}
	if (n > 0)
		lk_buf_putc(text, '}');
	return n;
}

static LK_ON_WORKER void
fail_unknown(struct lk_exec *exec, struct lk_error *error)
{
	size_t	i;
	Oid	oid;

	for (i = 0; i < exec->n_runs; i++) {
		struct lk_run *run = &exec->runs[i];

		if (run->rows != NULL && !run->is_settled &&
		    !run->item->error.is_set &&
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
		exec->job->n_round_trips++;
		rc = lk_pipe_query(&exec->pipe, lk_types_sql, 1, &value, &res,
		    &error);
		if (rc == 0)
			lk_types_add(&exec->session->types, res);
		else if (rc == -LK_E_INVAL && PQtransactionStatus(
		    exec->session->conn) == PQTRANS_INERROR)
			fail_unknown(exec, &error);
	}
	PQclear(res);
	lk_error_fini(&error);
	lk_buf_fini(&oids);
}

