#include "db/together.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/heap.h"
#include "db/array.h"
#include "db/load.h"
#include "db/prepare.h"
#include "db/run.h"

/* Without a group's COMMIT. */
static size_t
n_items(const struct lk_exec *exec)
{
	return exec->job->n_items - exec->job->is_group;
}

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
	    stmt->row_bytes <= WHOLE_BYTES / n_items(exec);
}

static LK_ON_WORKER void
note_size(struct lk_exec *exec, const struct lk_rows *rows)
{
	struct lk_stmt *stmt = statement_of(exec);

	if (stmt != NULL)
		stmt->row_bytes = lk_rows_largest(rows);
}

/* ---- whose values are the same ---- */

static bool
has_same_values(const struct lk_item *a, const struct lk_item *b)
{
	const struct lk_param *one, *other;
	size_t i;

	for (i = 0; i < a->n_params; i++) {
		one = &a->params[i];
		other = &b->params[i];
		if (one->len != other->len ||
		    memcmp(one->data, other->data, one->len) != 0)
			return false;
	}
	return true;
}

static uint64_t
hash_values(const struct lk_item *item)
{
	uint64_t hash = 0;
	size_t i;

	for (i = 0; i < item->n_params; i++)
		hash = lk_hash_bytes(hash, item->params[i].data,
		    item->params[i].len);
	return hash;
}

/* In order of the first item with each, so a hot row is asked for once. */
static LK_ON_WORKER void
share_places(struct lk_exec *exec)
{
	const struct lk_item *items = exec->job->items;
	struct lk_places *places = &exec->places;
	size_t n = n_items(exec), n_seen = 2, i, at;
	size_t *seen;		/* places, from 1, by hash; never full */

	while (n_seen < 2 * n)
		n_seen *= 2;
	seen = lk_xcalloc(n_seen, sizeof(*seen));
	for (i = 0; i < n; i++) {
		at = hash_values(&items[i]) & (n_seen - 1);
		while (seen[at] != 0 && !has_same_values(&items[i],
		    &items[places->item[seen[at] - 1]]))
			at = (at + 1) & (n_seen - 1);
		if (seen[at] == 0) {
			places->item[places->n++] = i;
			seen[at] = places->n;
		}
		places->of_item[i] = seen[at] - 1;
	}
	free(seen);
}

/* Who writes twice is not who writes once. */
static LK_ON_WORKER void
find_places(struct lk_exec *exec)
{
	struct lk_places *places = &exec->places;
	size_t n = n_items(exec);

	*places = (struct lk_places){ lk_xcalloc(n, sizeof(size_t)),
	    lk_xcalloc(n, sizeof(size_t)), 0 };
	if (!exec->job->is_group) {
		share_places(exec);
		return;
	}
	for (; places->n < n; places->n++)
		places->of_item[places->n] = places->item[places->n] =
		    places->n;
}

/* ---- asking ---- */

static LK_ON_WORKER void
put_array(struct lk_buf *array, const struct lk_exec *exec, size_t param)
{
	const struct lk_param *value;
	size_t i;

	for (i = 0; i < exec->places.n; i++) {
		value = &exec->job->items[exec->places.item[i]].params[param];
		lk_array_put(array, value->data, value->len);
	}
	lk_buf_putc(array, '}');
}

/* With parameters that need not stay. */
static LK_ON_WORKER void
send_arrays(struct lk_run *whole)
{
	const struct lk_job *job = whole->exec->job;
	size_t n = job->items[0].n_params, i;
	struct lk_buf *arrays = lk_xcalloc(n, sizeof(*arrays));
	struct lk_item *item = whole->item;

	item->params = lk_xcalloc(n, sizeof(*item->params));
	item->n_params = n;
	for (i = 0; i < n; i++) {
		put_array(&arrays[i], whole->exec, i);
		item->params[i] = (struct lk_param){
		    .data = lk_buf_cstr(&arrays[i]), .len = arrays[i].len,
		    .type = job->together.types[i] };
	}
	whole->state = LK_RUN_SENT;
	lk_prepare_send(whole);
	for (i = 0; i < n; i++)
		lk_buf_fini(&arrays[i]);
	free(arrays);
	free(item->params);
	item->params = NULL;
	item->n_params = 0;
}

void
lk_together_forget(struct lk_exec *exec)
{
	lk_assert_worker();
	exec->together.with = (struct lk_with){ 0 };
	free(exec->places.of_item);
	free(exec->places.item);
	exec->places = (struct lk_places){ 0 };
	lk_error_fini(&exec->together.error);
}

bool
lk_together_send(struct lk_exec *exec)
{
	struct lk_run *whole = whole_of(exec);
	const struct lk_item *like = &exec->job->items[0];
	size_t i;

	lk_assert_worker();
	lk_together_forget(exec);	/* it may have been sent before */
	exec->together.kind = LK_ITEM_SQL;
	exec->together.sql = exec->job->together.sql;
	exec->together.format = like->format;
	exec->together.shape = like->shape;
	exec->together.with = like->with;	/* the item's */
	find_places(exec);
	whole->n_places = exec->places.n;
	whole->is_whole = were_small(exec);
	/* Whoever asks for one of them means all. */
	for (i = 0; i < n_items(exec); i++)
		exec->runs[i].state = LK_RUN_SENT;
	/* Never cancelled for its size: what follows could be hit. */
	exec->n_in_flight = exec->job->n_items;
	send_arrays(whole);
	return !exec->together.error.is_set;
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
		send_arrays(whole);
		lk_pipe_sync(&whole->exec->pipe, on_sync, whole);
	} else {
		whole->state = LK_RUN_DONE;
		whole->exec->n_unread = 0;
	}
}

static LK_ON_WORKER void
ask(struct lk_exec *exec)
{
	(void)lk_together_send(exec);	/* the Sync tells */
	exec->n_unread = 1;
	lk_pipe_sync(&exec->pipe, on_sync, whole_of(exec));
	(void)lk_pipe_run(&exec->pipe, &exec->n_unread);
	exec->n_in_flight = exec->n_unread = 0;
}

/* ---- answering ---- */

static void
copy_error(struct lk_item *item, const struct lk_error *why)
{
	lk_error_set(&item->error, why->kind, "%s", why->message);
	lk_error_set_sqlstate(&item->error, why->sqlstate);
}

static LK_ON_WORKER void
finish_place(struct lk_exec *exec, size_t place)
{
	struct lk_run *run = &exec->runs[exec->places.item[place]];
	struct lk_item *item = run->item;
	int rc = lk_rows_finish_place(whole_of(exec)->rows, place, &item->reply,
	    &item->error);

	if (rc == -LK_E_LIMIT)
		lk_run_set_over(run);
	item->outcome = rc == 0 ? LK_ITEM_DONE : LK_ITEM_FAILED;
}

/* What the first with the same values has got. */
static void
copy_answer(struct lk_item *item, const struct lk_item *first)
{
	item->outcome = first->outcome;
	lk_buf_append(&item->reply, first->reply.data, first->reply.len);
	if (first->error.is_set)
		copy_error(item, &first->error);
}

/* False: one of them is none that could be said here. */
static LK_ON_WORKER bool
encode(struct lk_exec *exec)
{
	struct lk_run *whole = whole_of(exec);
	struct lk_item *items = exec->job->items;
	size_t i, first;

	if (whole->rows == NULL ||
	    lk_rows_divide(whole->rows, &exec->together.error) < 0)
		return false;
	note_size(exec, whole->rows);
	for (i = 0; i < exec->places.n; i++)
		finish_place(exec, i);
	for (i = 0; i < n_items(exec); i++) {
		first = exec->places.item[exec->places.of_item[i]];
		if (first != i)
			copy_answer(&items[i], &items[first]);
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
	size_t i;

	for (i = 0; i < exec->job->n_items; i++) {
		copy_error(&exec->job->items[i], &exec->together.error);
		exec->runs[i].state = LK_RUN_DONE;
	}
}

/* It has been done, and there is no telling what came of it. */
static LK_ON_WORKER void
fail_done(struct lk_exec *exec)
{
	size_t i;

	for (i = 0; i < n_items(exec); i++) {
		if (exec->together.error.is_set)
			copy_error(&exec->job->items[i],
			    &exec->together.error);
		else
			lk_run_set_over(&exec->runs[i]);
		exec->job->items[i].outcome = LK_ITEM_FAILED;
		exec->runs[i].is_settled = true;
	}
	exec->job->was_together = true;
}

void
lk_together_settle(struct lk_exec *exec)
{
	lk_assert_worker();
	if (!encode(exec))
		fail_done(exec);
}

static bool
was_cancelled(const struct lk_exec *exec)
{
	return exec->together.error.is_set &&
	    strcmp(exec->together.error.sqlstate, "57014") == 0;
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
	return is_over;
}
