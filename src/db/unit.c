#include "db/unit.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "db/bind.h"
#include "db/load.h"
#include "db/pgerror.h"
#include "db/prepare.h"
#include "db/run.h"
#include "db/together.h"
#include "orm/sqltext.h"
#include "resp/encode.h"

/* Statements that the server begins with while others are yet to be sent; it sends
 * their answers while it carries out what follows. */
#define STARTED_AT_ONCE	16

struct unit {
	struct lk_exec	*exec;
	struct lk_run	*commit;	/* the last item's */
	size_t		 n_settled;	/* runs whose replies are known */
	size_t		 n_reply_bytes;	/* of those */
	bool		 awaits_must;	/* one that is not known yet is a MUST */
	bool		 awaits_reply;	/* one of them may fail to be a reply */
};

static size_t
index_of(const struct lk_run *run)
{
	return (size_t)(run - run->exec->runs);
}

static LK_ON_WORKER bool
has_committed(const struct unit *unit)
{
	return unit->commit->has_answer &&
	    strcmp(unit->commit->item->tag, "COMMIT") == 0;
}

/* Of those whose replies are not known: what has come says so. */
static LK_ON_WORKER bool
has_failed(const struct unit *unit)
{
	size_t i;

	for (i = unit->n_settled; i < unit->exec->n_runs; i++) {
		if (unit->exec->runs[i].item->error.is_set)
			return true;
	}
	return false;
}

/* ---- waiting ---- */

/* For all that was sent, or until somebody sets n_unread to 0. */
static LK_ON_WORKER bool
wait_for_answers(struct unit *unit)
{
	struct lk_exec *exec = unit->exec;

	exec->job->n_round_trips++;
	exec->n_unread = 1;
	return lk_pipe_run(&exec->pipe, &exec->n_unread) == 0;
}

static void
on_sync(void *ctx, PGresult **res)
{
	struct lk_run *commit = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		lk_run_take_error(commit, *res);
	else
		commit->exec->n_unread = 0;
}

static LK_ON_WORKER bool
sync(struct unit *unit)
{
	lk_pipe_sync(&unit->exec->pipe, on_sync, unit->commit);
	return wait_for_answers(unit);
}

/* ---- replies ---- */

/* "UPDATE 0", "INSERT 0 0" */
static bool
counts_nothing(const char *tag)
{
	const char *last = strrchr(tag, ' ');

	return last != NULL && strcmp(last, " 0") == 0;
}

static LK_ON_WORKER bool
is_nothing(const struct lk_run *run)
{
	const char *value;

	if (run->rows == NULL)
		return counts_nothing(run->item->tag);
	if (run->row == NULL)
		return true;
	if (run->item->shape != LK_SHAPE_INT &&
	    run->item->shape != LK_SHAPE_BOOL)
		return false;
	value = PQgetvalue(run->row, 0, 0);
	return strcmp(value, "0") == 0 || strcmp(value, "f") == 0;
}

/* False: it has none, and its error says why. */
static LK_ON_WORKER bool
settle(struct lk_run *run)
{
	struct lk_item *item = run->item;

	run->state = LK_RUN_DONE;
	lk_run_settle(run);
	if (item->kind == LK_ITEM_OK)
		lk_enc_simple(&item->reply, "OK");
	if (item->is_must && item->outcome == LK_ITEM_DONE && is_nothing(run)) {
		lk_error_set(&item->error, LK_ERR_UNMET, "the reply is null, "
		    "0, false or empty, and it must not be");
		item->outcome = LK_ITEM_FAILED;
	}
	return item->outcome == LK_ITEM_DONE;
}

static LK_ON_WORKER bool
settle_all(struct unit *unit, size_t end)
{
	struct lk_exec *exec = unit->exec;

	for (; unit->n_settled < end; unit->n_settled++) {
		struct lk_run *run = &exec->runs[unit->n_settled];

		if (exec->pipe.is_lost || !settle(run))
			return false;
		unit->n_reply_bytes += run->item->reply.len;
	}
	exec->n_reply_bytes = unit->n_reply_bytes;
	return true;
}

/*
 * Wait for the answers to all before `end`, and for what the rows of the last of
 * them nest: behind it nothing has been done yet.  Make replies of them.
 */
static LK_ON_WORKER bool
take_answers(struct unit *unit, size_t end)
{
	struct lk_exec *exec = unit->exec;

	do {
		lk_pipe_flush(&exec->pipe);
		if (!wait_for_answers(unit) || has_failed(unit))
			return false;
	} while (lk_load_send(&exec->runs[end - 1]));
	lk_run_look_up_types(exec);
	exec->n_in_flight = 0;
	unit->awaits_must = unit->awaits_reply = false;
	return settle_all(unit, end);
}

/* ---- sending ---- */

/* An INSERT, UPDATE, DELETE or MERGE has rows only where it says this word. */
static bool
has_returning(const char *sql)
{
	size_t n = strlen("returning");

	for (; *sql != '\0'; sql++) {
		if (strncasecmp(sql, "returning", n) == 0)
			return true;
	}
	return false;
}

/* Whether what the server answers could still not be a reply. */
static bool
may_be_no_reply(const struct lk_item *item)
{
	switch (item->shape) {
	case LK_SHAPE_ROW:
	case LK_SHAPE_INT:
	case LK_SHAPE_BOOL:
	case LK_SHAPE_COUNT:
		return false;
	case LK_SHAPE_ONE:
	case LK_SHAPE_ROWS:
	case LK_SHAPE_FETCH:
		return true;
	case LK_SHAPE_ANY:
		break;
	}
	return !lk_sql_is_dml(item->sql, strlen(item->sql)) ||
	    has_returning(item->sql);
}

/* What must be described first is waited for: nothing goes out before it. */
static LK_ON_WORKER bool
send_statement(struct unit *unit, struct lk_run *run)
{
	struct lk_exec *exec = unit->exec;

	if (!lk_bind_columns(run))
		return false;
	run->state = LK_RUN_SENT;
	exec->n_in_flight++;
	exec->job->n_statements++;
	unit->awaits_must |= run->item->is_must;
	unit->awaits_reply |= may_be_no_reply(run->item);
	lk_prepare_send(run);
	if (exec->describing != NULL)
		return wait_for_answers(unit) && !has_failed(unit);
	return !run->item->error.is_set;
}

static void
on_begin(void *ctx, PGresult **res)
{
	struct lk_run *commit = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		lk_run_take_error(commit, *res);
}

static LK_ON_WORKER bool
send_statements(struct unit *unit)
{
	struct lk_exec *exec = unit->exec;
	struct lk_run *run;

	for (run = exec->runs; run < unit->commit; run++) {
		if (run->item->kind == LK_ITEM_OK)
			continue;
		if ((unit->awaits_must ||
		    lk_bind_waits(run, unit->n_settled)) &&
		    !take_answers(unit, index_of(run)))
			return false;
		if (!send_statement(unit, run))
			return false;
		if (exec->n_in_flight % STARTED_AT_ONCE == 0)
			lk_pipe_start(&exec->pipe);
		if (lk_load_is_due(run) &&
		    !take_answers(unit, index_of(run) + 1))
			return false;
	}
	return true;
}

static LK_ON_WORKER void
send_all(struct unit *unit)
{
	struct lk_exec *exec = unit->exec;

	lk_pipe_sql(&exec->pipe, exec->job->begin, on_begin, unit->commit);
	if (exec->job->together.sql != NULL ? !lk_together_send(exec) :
	    !send_statements(unit))
		return;
	if ((unit->awaits_must || unit->awaits_reply) &&
	    !take_answers(unit, index_of(unit->commit)))
		return;
	unit->commit->state = LK_RUN_SENT;
	unit->commit->was_executed = true;
	exec->n_in_flight++;
	lk_pipe_sql(&exec->pipe, unit->commit->item->sql, lk_run_on_result,
	    unit->commit);
}

/* ---- how it ends ---- */

static LK_ON_WORKER bool
is_open(const struct unit *unit)
{
	PGTransactionStatusType status =
	    PQtransactionStatus(unit->exec->session->conn);

	return !unit->exec->pipe.is_lost &&
	    (status == PQTRANS_INTRANS || status == PQTRANS_INERROR);
}

static void
mark_answered(struct unit *unit)
{
	size_t i;

	for (i = 0; i < unit->exec->n_runs; i++) {
		if (unit->exec->runs[i].state == LK_RUN_SENT)
			unit->exec->runs[i].state = LK_RUN_DONE;
	}
}

/*
 * Cancels that were meant for the unit may still come, one after the other, and
 * one may hit a ROLLBACK.
 */
static LK_ON_WORKER void
roll_back(struct unit *unit)
{
	struct lk_pipe *pipe = &unit->exec->pipe;
	uint64_t due_us = pipe->due_us;

	pipe->due_us = lk_clock_us() + LK_EXEC_GIVE_UP_US;
	while (is_open(unit)) {
		lk_pipe_sql(pipe, "ROLLBACK", lk_run_ignore, NULL);
		sync(unit);
	}
	pipe->due_us = due_us;
}

static LK_ON_WORKER void
try_once(struct unit *unit)
{
	send_all(unit);
	if (sync(unit))
		mark_answered(unit);
	roll_back(unit);
}

/* ---- once more ---- */

static LK_ON_WORKER struct lk_run *
find_stale(const struct unit *unit)
{
	size_t i;

	for (i = unit->n_settled; i < unit->exec->n_runs; i++) {
		if (unit->exec->runs[i].again != LK_RUN_AGAIN_NO)
			return &unit->exec->runs[i];
	}
	return NULL;
}

static LK_ON_WORKER bool
is_stale(struct unit *unit)
{
	struct lk_run *run = find_stale(unit);

	if (unit->exec->pipe.is_lost || has_committed(unit) || run == NULL)
		return false;
	if (run->again == LK_RUN_AGAIN)
		return true;
	lk_prepare_compare(run);
	return sync(unit) && run->was_retyped;
}

static LK_ON_WORKER void
start_over(struct unit *unit)
{
	struct lk_exec *exec = unit->exec;
	size_t i;

	for (i = 0; i < exec->n_runs; i++) {
		struct lk_run *run = &exec->runs[i];

		lk_run_clear(run);
		lk_param_types_fini(&run->types_before);
		run->was_retried = true;
		run->item->n_loaded = 0;
		lk_buf_fini(&run->item->reply);
		lk_error_fini(&run->item->error);
	}
	exec->n_in_flight = exec->n_reply_bytes = unit->n_reply_bytes = 0;
	exec->job->n_statements = exec->job->n_round_trips = 0;
	unit->n_settled = 0;
	unit->awaits_must = unit->awaits_reply = false;
}

/* ---- outcomes ---- */

/* The unit took effect: what is no reply is an error in the place of one. */
static LK_ON_WORKER void
settle_committed(struct lk_run *run)
{
	struct lk_item *item = run->item;

	if (run->is_settled || settle(run) || run->exec->job->is_group)
		return;
	lk_enc_error(&item->reply, &item->error);
	lk_error_fini(&item->error);
	item->outcome = LK_ITEM_DONE;
}

static LK_ON_WORKER void
put_reply_together(struct unit *unit)
{
	struct lk_item *commit = unit->commit->item;
	struct lk_error error;
	struct lk_run *run;

	lk_enc_array(&commit->reply, index_of(unit->commit));
	for (run = unit->exec->runs; run < unit->commit; run++) {
		lk_buf_append(&commit->reply, run->item->reply.data,
		    run->item->reply.len);
		commit->reply.broken |= run->item->reply.broken;
		lk_buf_fini(&run->item->reply);
	}
	if (!commit->reply.broken)
		return;
	lk_error_init(&error);
	lk_error_set(&error, LK_ERR_OVERLOAD, "no memory for the reply; the "
	    "unit itself took effect");
	lk_buf_fini(&commit->reply);
	lk_enc_error(&commit->reply, &error);
	lk_error_fini(&error);
}

static LK_ON_WORKER void
finish_committed(struct unit *unit)
{
	struct lk_run *run;

	lk_run_look_up_types(unit->exec);
	if (unit->exec->job->together.sql != NULL)
		lk_together_settle(unit->exec);
	for (run = unit->exec->runs; run < unit->commit; run++)
		settle_committed(run);
	unit->commit->is_settled = true;
	unit->commit->item->outcome = LK_ITEM_DONE;
	if (!unit->exec->job->is_group)
		put_reply_together(unit);
}

/* No statement of it has failed.  A COMMIT that was sent and not answered may
 * have been carried out. */
static LK_ON_WORKER void
fail_commit(struct unit *unit)
{
	struct lk_pipe *pipe = &unit->exec->pipe;
	struct lk_item *item = unit->commit->item;
	bool has_answer = item->error.is_set && !unit->commit->is_fatal;

	item->outcome = pipe->is_lost && unit->commit->was_executed &&
	    !has_answer ? LK_ITEM_LOST : LK_ITEM_FAILED;
	if (!item->error.is_set)
		lk_pgerror_set_lost(&item->error, pipe->is_lost ?
		    pipe->error.message : "COMMIT rolled it back");
}

/* What is too large is what the unit failed of only where it was seen before COMMIT
 * was sent. */
static LK_ON_WORKER bool
is_why(const struct unit *unit, const struct lk_run *run)
{
	return run->item->error.is_set ||
	    (run->is_over && !unit->commit->was_executed);
}

/* The first error is what the unit failed of. */
static LK_ON_WORKER void
finish_failed(struct unit *unit)
{
	struct lk_run *run, *failed = NULL;
	size_t i;

	for (i = 0; i < unit->exec->n_runs; i++) {
		run = &unit->exec->runs[i];
		run->is_settled = true;
		run->item->outcome = LK_ITEM_UNSENT;
		if (run == unit->commit)
			continue;
		if (failed == NULL && is_why(unit, run))
			failed = run;
	}
	if (failed == NULL) {
		fail_commit(unit);
		return;
	}
	if (failed->state == LK_RUN_DONE)
		lk_run_settle(failed);
	failed->item->outcome = LK_ITEM_FAILED;
}

void
lk_exec_run_unit(struct lk_exec *exec)
{
	struct unit unit = { .exec = exec,
	    .commit = &exec->runs[exec->job->n_items - 1] };
	size_t i;

	lk_assert_worker();
	lk_bind_keep_rows(exec);
	for (i = 0; i < exec->n_runs; i++)
		exec->runs[i].keeps_row |= exec->runs[i].item->is_must;
	try_once(&unit);
	if (is_stale(&unit)) {
		start_over(&unit);
		try_once(&unit);
	}
	for (i = 0; i < exec->n_runs; i++)
		exec->job->n_statements += exec->runs[i].item->n_loaded;
	if (has_committed(&unit))
		finish_committed(&unit);
	else
		finish_failed(&unit);
}
