#include "db/together.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/array.h"
#include "db/load.h"
#include "db/prepare.h"
#include "db/run.h"

static struct lk_run *
whole_of(struct lk_exec *exec)
{
	return &exec->runs[exec->job->n_items];
}

/*
 * A result for each row costs more than the row.  For all rows at once libpq
 * takes as much memory as they need, so they are asked for so only when they
 * were small the last time.
 */
#define WHOLE_BYTES	(256 * 1024)

static LK_ON_WORKER struct lk_stmt *
statement_of(struct lk_exec *exec)
{
	return lk_stmts_find(&exec->session->stmts, exec->together.sql);
}

static LK_ON_WORKER bool
were_small(struct lk_exec *exec)
{
	const struct lk_stmt *stmt = statement_of(exec);

	return stmt != NULL && stmt->row_bytes > 0 &&
	    stmt->row_bytes <= WHOLE_BYTES / exec->job->n_items;
}

static LK_ON_WORKER void
note_size(struct lk_exec *exec, const struct lk_rows *rows)
{
	struct lk_stmt *stmt = statement_of(exec);

	if (stmt != NULL)
		stmt->row_bytes = lk_rows_largest(rows);
}

/* ---- asking ---- */

static LK_ON_WORKER void
put_array(struct lk_buf *array, const struct lk_job *job, size_t param)
{
	const struct lk_param *value;
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		value = &job->items[i].params[param];
		lk_array_put(array, value->data, value->len);
	}
	lk_buf_putc(array, '}');
}

static void	on_sync(void *ctx, PGresult **res);

/* With these parameters, which need not stay. */
static LK_ON_WORKER void
send(struct lk_run *whole)
{
	const struct lk_job *job = whole->exec->job;
	size_t n = job->items[0].n_params, i;
	struct lk_buf *arrays = lk_xcalloc(n, sizeof(*arrays));
	struct lk_item *item = whole->item;

	item->params = lk_xcalloc(n, sizeof(*item->params));
	item->n_params = n;
	for (i = 0; i < n; i++) {
		put_array(&arrays[i], job, i);
		item->params[i] = (struct lk_param){
		    .data = lk_buf_cstr(&arrays[i]), .len = arrays[i].len,
		    .type = job->together.types[i] };
	}
	whole->state = LK_RUN_SENT;
	lk_prepare_send(whole);
	lk_pipe_sync(&whole->exec->pipe, on_sync, whole);
	for (i = 0; i < n; i++)
		lk_buf_fini(&arrays[i]);
	free(arrays);
	free(item->params);
	item->params = NULL;
	item->n_params = 0;
}

static void
on_sync(void *ctx, PGresult **res)
{
	struct lk_run *whole = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR) {
		lk_run_take_error(whole, *res);
	} else if (whole->again == LK_RUN_AGAIN_NO && lk_load_send(whole)) {
		lk_pipe_sync(&whole->exec->pipe, on_sync, whole);
	} else if (whole->again != LK_RUN_AGAIN_NO) {
		lk_run_again(whole);
		send(whole);
	} else {
		whole->state = LK_RUN_DONE;
		whole->exec->n_unread = 0;
	}
}

static LK_ON_WORKER void
ask(struct lk_exec *exec)
{
	struct lk_run *whole = whole_of(exec);
	const struct lk_item *like = &exec->job->items[0];
	size_t i;

	exec->together.kind = LK_ITEM_SQL;
	exec->together.sql = exec->job->together.sql;
	exec->together.format = like->format;
	exec->together.shape = like->shape;
	exec->together.with = like->with;	/* the item's */
	whole->n_places = exec->job->n_items;
	whole->is_whole = were_small(exec);
	/* Whoever asks for one of them means all. */
	for (i = 0; i < exec->job->n_items; i++)
		exec->runs[i].state = LK_RUN_SENT;
	/* Never cancelled for its size: what follows could be hit. */
	exec->n_in_flight = exec->job->n_items;
	exec->n_unread = 1;
	send(whole);
	(void)lk_pipe_run(&exec->pipe, &exec->n_unread);
	exec->n_in_flight = exec->n_unread = 0;
}

/* ---- answering ---- */

/* False: one of them is none that could be said here. */
static LK_ON_WORKER bool
encode(struct lk_exec *exec)
{
	struct lk_run *whole = whole_of(exec);
	struct lk_item *item;
	size_t i;

	if (whole->rows == NULL || lk_rows_divide(whole->rows) < 0)
		return false;
	note_size(exec, whole->rows);
	for (i = 0; i < exec->job->n_items; i++) {
		item = &exec->job->items[i];
		item->outcome = lk_rows_finish_place(whole->rows, i, &item->reply,
		    &item->error) == 0 ? LK_ITEM_DONE : LK_ITEM_FAILED;
		exec->runs[i].state = LK_RUN_DONE;
		exec->runs[i].is_settled = true;
	}
	exec->job->items[0].n_loaded = whole->item->n_loaded;
	exec->job->was_together = true;
	return true;
}

/* It was to end: each fails for the same reason. */
static LK_ON_WORKER void
fail_all(struct lk_exec *exec)
{
	const struct lk_error *why = &exec->together.error;
	struct lk_item *item;
	size_t i;

	for (i = 0; i < exec->job->n_items; i++) {
		item = &exec->job->items[i];
		lk_error_set(&item->error, why->kind, "%s", why->message);
		lk_error_set_sqlstate(&item->error, why->sqlstate);
		exec->runs[i].state = LK_RUN_DONE;
	}
}

static bool
was_cancelled(const struct lk_exec *exec)
{
	return exec->together.error.is_set &&
	    strcmp(exec->together.error.sqlstate, "57014") == 0;
}

static void
forget(struct lk_exec *exec)
{
	exec->together.with = (struct lk_with){ 0 };
	lk_error_fini(&exec->together.error);
}

bool
lk_together_run(struct lk_exec *exec)
{
	bool is_over = true;
	size_t i;

	lk_assert_worker();
	if (exec->job->together.sql == NULL)
		return false;
	ask(exec);
	if (!exec->pipe.is_lost && !exec->together.error.is_set)
		lk_run_look_up_types(exec);
	/* Without a reason each is lost as one that was sent alone is. */
	if (exec->together.error.is_set && (exec->pipe.is_lost ||
	    was_cancelled(exec)))
		fail_all(exec);
	else if (!exec->pipe.is_lost)
		is_over = !exec->together.error.is_set && encode(exec);
	for (i = 0; i < exec->job->n_items && !is_over; i++)
		exec->runs[i].state = LK_RUN_WAITING;
	lk_rows_free(&whole_of(exec)->rows);
	forget(exec);
	return is_over;
}
