#include "db/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/run.h"
#include "orm/sqltext.h"

/* Items sent ahead at most; what is not sent when the session dies can go to
 * another. */
#define MAX_IN_FLIGHT	16
/* PostgreSQL counts them in 16 bits. */
#define MAX_PARAMS	65535

void
lk_exec_init(struct lk_exec *exec, struct lk_session *session,
    struct lk_job *job)
{
	size_t i;

	lk_assert_worker();
	memset(exec, 0, sizeof(*exec));
	exec->session = session;
	exec->job = job;
	exec->n_left = job->n_items;
	exec->runs = lk_xcalloc(job->n_items, sizeof(*exec->runs));
	for (i = 0; i < job->n_items; i++) {
		struct lk_run *run = &exec->runs[i];

		run->exec = exec;
		run->item = &job->items[i];
		run->sql_class = lk_run_is_sql(run) ? lk_sql_classify(
		    run->item->sql, strlen(run->item->sql)) : LK_SQL_UTILITY;
	}
	lk_pipe_init(&exec->pipe, session, LK_NEVER);
	lk_clean_init(&exec->clean, &exec->pipe);
}

void
lk_exec_fini(struct lk_exec *exec)
{
	lk_assert_worker();
	free(exec->runs);
	lk_clean_fini(&exec->clean);
	lk_pipe_fini(&exec->pipe);
}

bool
lk_exec_is_running(const struct lk_exec *exec, struct lk_id request)
{
	size_t i;

	lk_assert_worker();
	if (exec->job == NULL)
		return false;
	for (i = 0; i < exec->job->n_items; i++) {
		const struct lk_run *run = &exec->runs[i];

		if (run->state == LK_RUN_SENT &&
		    run->item->request.index == request.index &&
		    run->item->request.generation == request.generation)
			return true;
	}
	return false;
}

/* ---- results ---- */

static void
on_result(void *ctx, PGresult **res)
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

static void
on_begin(void *ctx, PGresult **res)
{
	struct lk_run *run = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) != PGRES_FATAL_ERROR)
		return;
	lk_run_take_error(run, *res);
	run->exec->has_begin_failed = true;
}

static void
on_prepare(void *ctx, PGresult **res)
{
	struct lk_run *run = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_COMMAND_OK)
		return;
	if (run->name[0] != '\0')
		lk_stmts_forget(&run->exec->session->stmts, run->item->sql,
		    false);
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		lk_run_take_error(run, *res);
}

static void	on_describe(void *ctx, PGresult **res);
static void	on_sync(void *ctx, PGresult **res);
static void	send_more(struct lk_exec *exec) LK_ON_WORKER;

/* ---- sending ---- */

static LK_ON_WORKER void
send_sync(struct lk_run *run)
{
	lk_pipe_sync(&run->exec->pipe, on_sync, run);
}

/* Which parameter cannot be sent as text, counted from 1; 0: none. */
static size_t
find_nul(const struct lk_item *item, const struct lk_param_formats *formats)
{
	size_t i;

	for (i = 0; i < item->n_params; i++) {
		const struct lk_param *param = &item->params[i];

		if (param->data != NULL &&
		    (i >= formats->n || formats->formats[i] == 0) &&
		    memchr(param->data, '\0', param->len) != NULL)
			return i + 1;
	}
	return 0;
}

static LK_ON_WORKER void
send_params(struct lk_run *run, const struct lk_param_formats *known)
{
	struct lk_item	*item = run->item;
	size_t		 n = item->n_params, i;
	const char	**values = lk_xcalloc(n + 1, sizeof(*values));
	int		*lengths = lk_xcalloc(n + 1, sizeof(*lengths));
	int		*formats = lk_xcalloc(n + 1, sizeof(*formats));

	for (i = 0; i < n; i++) {
		values[i] = item->params[i].data;
		lengths[i] = (int)item->params[i].len;
		formats[i] = i < known->n ? known->formats[i] : 0;
	}
	lk_pipe_prepared(&run->exec->pipe, run->name, (int)n, values, lengths,
	    formats, on_result, run);
	free(values);
	free(lengths);
	free(formats);
}

static LK_ON_WORKER void
send_bound(struct lk_run *run, const struct lk_param_formats *known)
{
	size_t bad = find_nul(run->item, known);

	if (bad > 0)
		lk_error_set(&run->item->error, LK_ERR_SYNTAX, "parameter $%zu "
		    "holds a NUL byte, which only bytea can", bad);
	else
		send_params(run, known);
}

static void
on_describe(void *ctx, PGresult **res)
{
	struct lk_run	*run = ctx;
	struct lk_stmt	*stmt;
	struct lk_param_formats known = { false, NULL, 0 };

	lk_assert_worker();
	run->exec->describing = NULL;
	if (PQresultStatus(*res) == PGRES_COMMAND_OK) {
		lk_param_formats_set(&known, *res);
		stmt = run->name[0] == '\0' ? NULL : lk_stmts_find(
		    &run->exec->session->stmts, run->item->sql);
		if (stmt != NULL)
			lk_param_formats_set(&stmt->params, *res);
		send_bound(run, &known);
		lk_param_formats_fini(&known);
	} else if (PQresultStatus(*res) == PGRES_FATAL_ERROR) {
		lk_run_take_error(run, *res);
	}
	send_sync(run);
	send_more(run->exec);
}

/* Under the name of an earlier run, or under one that it gets now. */
static LK_ON_WORKER struct lk_stmt *
prepare(struct lk_run *run)
{
	struct lk_stmts	*stmts = &run->exec->session->stmts;
	const char	*sql = run->item->sql;
	struct lk_stmt	*stmt = NULL;

	run->name[0] = '\0';
	run->was_cached = false;
	if (run->sql_class == LK_SQL_PLAIN) {
		stmt = lk_stmts_find(stmts, sql);
		run->was_cached = stmt != NULL;
		if (stmt == NULL)
			stmt = lk_stmts_add(stmts, sql);
	}
	if (stmt != NULL)
		memcpy(run->name, stmt->name, sizeof(run->name));
	if (!run->was_cached && (stmt != NULL || run->item->n_params > 0))
		lk_pipe_prepare(&run->exec->pipe, run->name, sql, on_prepare,
		    run);
	return stmt;
}

static LK_ON_WORKER void
send_statement(struct lk_run *run)
{
	struct lk_item	*item = run->item;
	struct lk_exec	*exec = run->exec;
	struct lk_stmt	*stmt = prepare(run);
	struct lk_param_formats none = { true, NULL, 0 };

	if (item->n_params == 0 && stmt == NULL) {
		lk_pipe_rows(&exec->pipe, item->sql, on_result, run);
	} else if (item->n_params == 0) {
		send_bound(run, &none);
	} else if (stmt != NULL && stmt->params.is_known) {
		send_bound(run, &stmt->params);
	} else {
		exec->describing = run;
		lk_pipe_describe(&exec->pipe, run->name, on_describe, run);
	}
}

static void
ignore(void *ctx, PGresult **res)
{
	(void)ctx;
	(void)res;
}

static LK_ON_WORKER void
send_item(struct lk_run *run)
{
	struct lk_exec *exec = run->exec;

	run->state = LK_RUN_SENT;
	exec->n_in_flight++;
	if (run->was_retried && lk_run_has_begin(run)) {
		lk_pipe_sql(&exec->pipe, "ROLLBACK", ignore, NULL);
		lk_pipe_sync(&exec->pipe, ignore, NULL);
	}
	if (lk_run_has_begin(run))
		lk_pipe_sql(&exec->pipe, exec->job->begin, on_begin, run);
	if (lk_run_is_sql(run) && run->sql_class != LK_SQL_PLAIN)
		exec->session->ran_utility = true;
	if (run->item->n_params > MAX_PARAMS)
		lk_error_set(&run->item->error, LK_ERR_SYNTAX, "%zu parameters "
		    "are more than %d", run->item->n_params, MAX_PARAMS);
	else
		send_statement(run);
	if (exec->describing == NULL)
		send_sync(run);
}

/*
 * Behind a BEGIN nothing goes out before it has succeeded: it would run
 * outside the transaction.
 */
static void
send_more(struct lk_exec *exec)
{
	size_t i, n_waiting = 0;

	for (i = 0; i < exec->job->n_items; i++) {
		struct lk_run *run = &exec->runs[i];

		if (exec->describing != NULL ||
		    exec->n_in_flight == MAX_IN_FLIGHT ||
		    (i > 0 && exec->job->begin != NULL &&
		    exec->runs[0].state != LK_RUN_DONE))
			return;
		if (run->state == LK_RUN_WAITING)
			send_item(run);
		if (run->state == LK_RUN_WAITING)
			n_waiting++;
	}
	if (exec->describing == NULL && n_waiting == 0 &&
	    exec->job->clean && !exec->job->in_tx && !exec->is_clean_sent) {
		exec->is_clean_sent = true;
		lk_clean_send(&exec->clean);
	}
}

static LK_ON_WORKER void
run_again(struct lk_run *run)
{
	run->wants_retry = false;
	run->was_retried = true;
	run->has_answer = false;
	run->state = LK_RUN_WAITING;
	lk_error_fini(&run->item->error);
	lk_rows_free(&run->rows);
	/* It is to be cleaned up behind, too. */
	run->exec->is_clean_sent = false;
}

static void
on_sync(void *ctx, PGresult **res)
{
	struct lk_run	*run = ctx;
	struct lk_exec	*exec = run->exec;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR) {
		lk_run_take_error(run, *res);
		return;
	}
	exec->n_in_flight--;
	if (run->wants_retry) {
		run_again(run);
	} else {
		run->state = LK_RUN_DONE;
		exec->n_left--;
	}
	if (exec->has_begin_failed)
		exec->n_left = 0;
	else
		send_more(exec);
}

/* ---- the job ---- */

static LK_ON_WORKER bool
is_open(const struct lk_exec *exec)
{
	PGTransactionStatusType status =
	    PQtransactionStatus(exec->session->conn);

	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

static LK_ON_WORKER bool
has_failed_item(const struct lk_exec *exec)
{
	size_t i;

	for (i = 0; i < exec->job->n_items; i++) {
		if (exec->runs[i].state != LK_RUN_DONE ||
		    exec->runs[i].item->error.is_set)
			return true;
	}
	return false;
}

/*
 * While the cleaning is out libpq does not tell the status.  It need not: what
 * succeeded under its own Sync has left no transaction.  What failed may have
 * (a COMMIT that was cancelled before it began): then wait.
 */
static LK_ON_WORKER void
find_status(struct lk_exec *exec)
{
	struct lk_job *job = exec->job;

	job->after = LK_XACT_GONE;
	if (exec->pipe.is_lost)
		return;
	if (exec->clean.n_left > 0 && !has_failed_item(exec)) {
		job->after = LK_XACT_IDLE;
		return;
	}
	if (lk_pipe_run(&exec->pipe, &exec->clean.n_left) < 0)
		return;
	if (is_open(exec) != job->in_tx) {
		lk_pipe_lose(&exec->pipe, job->in_tx ?
		    "the session has no transaction open" :
		    "the session was left in a transaction");
		return;
	}
	if (PQtransactionStatus(exec->session->conn) == PQTRANS_INERROR)
		job->after = LK_XACT_ERROR;
	else
		job->after = job->in_tx ? LK_XACT_OPEN : LK_XACT_IDLE;
}

/*
 * A job can cross with the news that its session is gone, and then meet
 * another one: what belongs into the lost transaction must not run there.
 */
static LK_ON_WORKER void
check_start(struct lk_exec *exec)
{
	if (!lk_session_read(exec->session))
		lk_pipe_lose(&exec->pipe, lk_session_words(exec->session));
	else if (is_open(exec) != lk_run_is_inside(exec->job))
		lk_pipe_lose(&exec->pipe, "the session of the transaction is "
		    "gone");
}

void
lk_exec_run(struct lk_exec *exec)
{
	struct lk_job	*job = exec->job;
	uint64_t	 start_us = lk_clock_us();
	size_t		 i;

	lk_assert_worker();
	check_start(exec);
	if (!exec->pipe.is_lost) {
		send_more(exec);
		(void)lk_pipe_run(&exec->pipe, &exec->n_left);
	}
	lk_run_look_up_types(exec);
	job->run_us = lk_clock_us() - start_us;
	find_status(exec);
	for (i = 0; i < job->n_items; i++)
		lk_run_settle(&exec->runs[i]);
	exec->job = NULL;
}

int
lk_exec_finish(struct lk_exec *exec)
{
	lk_assert_worker();
	if (exec->pipe.is_lost)
		return -LK_E_IO;
	return exec->is_clean_sent ? lk_clean_finish(&exec->clean) : 0;
}
