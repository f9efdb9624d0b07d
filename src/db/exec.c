#include "db/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/load.h"
#include "db/prepare.h"
#include "db/run.h"
#include "db/together.h"
#include "db/unit.h"
#include "orm/sqltext.h"

/* Items sent ahead at most; what is not sent when the session dies can go to
 * another. */
#define MAX_IN_FLIGHT	16

/* What has a type for each of its parameters is the daemon's, and reads or
 * writes rows. */
static enum lk_sql_class
class_of(const struct lk_item *item)
{
	if (item->kind != LK_ITEM_SQL)
		return LK_SQL_UTILITY;
	return item->sql == NULL || lk_item_is_typed(item) ? LK_SQL_PLAIN :
	    lk_sql_classify(item->sql, strlen(item->sql));
}

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
	exec->n_runs = job->n_items + (job->together.sql != NULL);
	exec->runs = lk_xcalloc(exec->n_runs, sizeof(*exec->runs));
	for (i = 0; i < exec->n_runs; i++) {
		struct lk_run *run = &exec->runs[i];

		run->exec = exec;
		run->item = i < job->n_items ? &job->items[i] :
		    &exec->together;
		run->whole = run;
		run->sql_class = class_of(run->item);
	}
	lk_pipe_init(&exec->pipe, session, LK_NEVER);
	lk_clean_init(&exec->clean, &exec->pipe);
}

void
lk_exec_fini(struct lk_exec *exec)
{
	size_t i;

	lk_assert_worker();
	for (i = 0; i < exec->n_runs; i++) {
		lk_run_clear(&exec->runs[i]);
		lk_param_types_fini(&exec->runs[i].types_before);
	}
	lk_together_forget(exec);
	free(exec->runs);
	lk_clean_fini(&exec->clean);
	lk_pipe_fini(&exec->pipe);
}

static LK_ON_WORKER bool
has_run(const struct lk_exec *exec, struct lk_id request, bool is_sent)
{
	size_t i;

	for (i = 0; exec->job != NULL && i < exec->job->n_items; i++) {
		struct lk_id id = exec->runs[i].item->request;

		if (id.index == request.index &&
		    id.generation == request.generation &&
		    (!is_sent || exec->runs[i].state == LK_RUN_SENT))
			return true;
	}
	return false;
}

bool
lk_exec_has(const struct lk_exec *exec, struct lk_id request)
{
	lk_assert_worker();
	return has_run(exec, request, false);
}

bool
lk_exec_is_running(const struct lk_exec *exec, struct lk_id request)
{
	lk_assert_worker();
	return has_run(exec, request, true);
}

/* ---- results ---- */

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

static void	on_sync(void *ctx, PGresult **res);
static void	send_more(struct lk_exec *exec) LK_ON_WORKER;

/* ---- sending ---- */

static LK_ON_WORKER void
send_sync(struct lk_run *run)
{
	lk_pipe_sync(&run->exec->pipe, on_sync, run);
}

static LK_ON_WORKER void
send_item(struct lk_run *run)
{
	struct lk_exec *exec = run->exec;

	run->state = LK_RUN_SENT;
	exec->n_in_flight++;
	if (run->was_retried && lk_run_has_begin(run)) {
		lk_pipe_sql(&exec->pipe, "ROLLBACK", lk_run_ignore, run);
		lk_pipe_sync(&exec->pipe, lk_run_ignore, run);
	}
	if (lk_run_has_begin(run))
		lk_pipe_sql(&exec->pipe, exec->job->begin, on_begin, run);
	lk_prepare_send(run);
	if (exec->describing == NULL)
		send_sync(run);
}

/* What has come back for several requests takes as much memory as one reply
 * may; the rest is for another job. */
static bool
is_full(const struct lk_exec *exec)
{
	return exec->n_answered_bytes > exec->job->limit_result;
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

		if (exec->describing != NULL || is_full(exec) ||
		    exec->n_in_flight == MAX_IN_FLIGHT ||
		    (i > 0 && exec->job->begin != NULL &&
		    exec->runs[0].state != LK_RUN_DONE))
			return;
		if (run->state == LK_RUN_WAITING)
			send_item(run);
		if (run->state == LK_RUN_WAITING || lk_load_is_due(run))
			n_waiting++;
		/* In a transaction they would see what is done behind it. */
		if (exec->job->in_tx && lk_load_is_due(run))
			return;
	}
	if (exec->describing == NULL && n_waiting == 0 &&
	    exec->job->clean && !exec->job->in_tx && !exec->is_clean_sent) {
		exec->is_clean_sent = true;
		lk_clean_send(&exec->clean);
	}
}

void
lk_exec_described(struct lk_run *run)
{
	lk_assert_worker();
	run->exec->describing = NULL;
	run->exec->n_unread = 0;
	if (run->exec->job->is_unit)
		return;
	send_sync(run);
	send_more(run->exec);
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
	if (run->again == LK_RUN_AGAIN_NO && lk_load_send(run)) {
		send_sync(run);
		return;
	}
	exec->n_in_flight--;
	if (run->again != LK_RUN_AGAIN_NO) {
		lk_run_again(run);
		/* It is to be cleaned up behind, too. */
		exec->is_clean_sent = false;
	} else {
		run->state = LK_RUN_DONE;
		exec->n_left--;
		if (run->rows != NULL)
			exec->n_answered_bytes += lk_rows_bytes(run->rows);
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

static LK_ON_WORKER void
limit_time(struct lk_exec *exec)
{
	exec->pipe.due_us = lk_clock_us() + LK_EXEC_GIVE_UP_US;
}

static bool
is_rollback(const struct lk_job *job)
{
	return job->items[0].kind == LK_ITEM_CONTROL &&
	    strcmp(job->items[0].sql, "ROLLBACK") == 0;
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
	job->changed_schema = exec->session->changed_schema;
	if (exec->pipe.is_lost)
		return;
	if (exec->clean.n_left > 0 && !has_failed_item(exec)) {
		job->after = LK_XACT_IDLE;
		return;
	}
	limit_time(exec);
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

/* What follows the rest of a unit must not meet a transaction of its; and where
 * none is asked for there is some now and then. */
static LK_ON_WORKER void
clean_behind(struct lk_exec *exec)
{
	const struct lk_job *job = exec->job;

	if (exec->pipe.is_lost || job->after != LK_XACT_IDLE ||
	    !(job->clean ? job->is_unit : lk_clean_is_due(&exec->clean)))
		return;
	exec->is_clean_sent = true;
	lk_clean_send(&exec->clean);
}

void
lk_exec_run(struct lk_exec *exec)
{
	struct lk_job	*job = exec->job;
	uint64_t	 start_us = lk_clock_us();
	size_t		 i;

	lk_assert_worker();
	lk_types_refresh(&exec->session->types, start_us);
	check_start(exec);
	if (is_rollback(job))
		limit_time(exec);
	if (!exec->pipe.is_lost && job->is_unit) {
		lk_exec_run_unit(exec);
	} else if (!exec->pipe.is_lost && !lk_together_run(exec)) {
		send_more(exec);
		(void)lk_pipe_run(&exec->pipe, &exec->n_left);
		lk_run_look_up_types(exec);
	}
	job->run_us = lk_clock_us() - start_us;
	find_status(exec);
	for (i = 0; i < job->n_items; i++) {
		if (!exec->runs[i].is_settled)
			lk_run_settle(&exec->runs[i]);
	}
	clean_behind(exec);
	exec->job = NULL;
}

int
lk_exec_finish(struct lk_exec *exec)
{
	lk_assert_worker();
	if (exec->pipe.is_lost)
		return -LK_E_IO;
	limit_time(exec);
	return exec->is_clean_sent ? lk_clean_finish(&exec->clean) : 0;
}
