/*
 * Workers: their states, the jobs they are handed and what comes back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

static const char *const state_words[LK_WORKER__N] = {
#define LK_STATE(symbol, word) [LK_WORKER_##symbol] = word,
	LK_WORKER_STATES(LK_STATE)
#undef LK_STATE
};

#define BIT(symbol)	(1u << LK_WORKER_##symbol)

static const unsigned next_states[LK_WORKER__N] = {
	[LK_WORKER_CONNECTING] = BIT(CLEANING) | BIT(STOPPING),
	[LK_WORKER_IDLE] = BIT(BUSY) | BIT(CONNECTING) | BIT(STOPPING),
	[LK_WORKER_BUSY] = BIT(PINNED) | BIT(CLEANING) | BIT(CONNECTING) |
	    BIT(STOPPING),
	[LK_WORKER_PINNED] = BIT(BUSY) | BIT(CONNECTING) | BIT(CLEANING) |
	    BIT(STOPPING),
	[LK_WORKER_CLEANING] = BIT(IDLE) | BIT(CONNECTING) | BIT(STOPPING),
	[LK_WORKER_STOPPING] = 0,
};

const char *
lk_worker_state_word(enum lk_worker_state state)
{
	return state_words[state];
}

static void
idle_for_long(struct lk_timer *timer)
{
	struct lk_worker *worker = lk_container(timer, struct lk_worker,
	    idle_timer);
	struct lk_database *db = worker->database;

	if (db->n_workers > db->config->workers_min)
		lk_worker_retire(worker);
}

void
lk_worker_set_idle_timer(struct lk_worker *worker)
{
	const struct lk_database *db = worker->database;
	uint64_t patience = db->config->workers_idle_us;

	lk_timer_set(&db->core->timers, &worker->idle_timer,
	    patience > 0 && db->n_workers > db->config->workers_min ?
	    worker->since_us + patience : LK_NEVER);
}

static uint32_t
free_index(struct lk_core *core)
{
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] == NULL)
			return i;
	}
	core->workers = lk_xrealloc(core->workers,
	    (core->n_workers + 1) * sizeof(struct lk_worker *));
	core->workers[core->n_workers] = NULL;
	return core->n_workers++;
}

struct lk_worker *
lk_worker_start(struct lk_database *db)
{
	struct lk_core *core = db->core;
	struct lk_worker *worker;
	uint32_t index = free_index(core);

	if (core->effects->worker_start(core->ctx, index, db->config) < 0) {
		lk_log(LK_LOG_ERROR, "%s: no thread for another worker",
		    db->config->name);
		return NULL;
	}
	worker = lk_xcalloc(1, sizeof(*worker));
	lk_list_init(&worker->link);
	lk_list_init(&worker->requests);
	worker->database = db;
	worker->index = index;
	worker->state = LK_WORKER_CONNECTING;
	worker->since_us = core->now_us;
	lk_timer_init(&worker->idle_timer, idle_for_long);
	core->workers[index] = worker;
	db->n_workers++;
	db->n_connecting++;
	return worker;
}

void
lk_worker_retire(struct lk_worker *worker)
{
	struct lk_core *core = worker->database->core;

	lk_worker_set_state(worker, LK_WORKER_STOPPING);
	core->effects->worker_stop(core->ctx, worker->index);
}

static void
leave_state(struct lk_worker *worker)
{
	struct lk_database *db = worker->database;

	if (worker->state == LK_WORKER_CONNECTING)
		db->n_connecting--;
	if (worker->state == LK_WORKER_IDLE) {
		lk_list_remove(&worker->link);
		lk_timer_clear(&db->core->timers, &worker->idle_timer);
	}
}

static void
enter_state(struct lk_worker *worker)
{
	struct lk_database *db = worker->database;

	if (worker->state == LK_WORKER_CONNECTING)
		db->n_connecting++;
	if (worker->state == LK_WORKER_STOPPING)
		db->n_workers--;
	if (worker->state == LK_WORKER_IDLE) {
		lk_list_prepend(&db->idle, &worker->link);
		lk_worker_set_idle_timer(worker);
	}
	/* It may have been the last whose slot would come free by itself. */
	if (worker->state == LK_WORKER_PINNED ||
	    worker->state == LK_WORKER_STOPPING)
		lk_watch_queue(db);
}

void
lk_worker_set_state(struct lk_worker *worker, enum lk_worker_state state)
{
	if (worker->state == state)
		return;
	lk_assert(next_states[worker->state] & (1u << state));
	leave_state(worker);
	worker->state = state;
	worker->since_us = worker->database->core->now_us;
	worker->seq = ++worker->database->core->seq;
	enter_state(worker);
}

/* For its tx's next statement, or for the pool's. */
bool
lk_worker_is_free(const struct lk_worker *worker)
{
	return (worker->state == LK_WORKER_IDLE ||
	    worker->state == LK_WORKER_PINNED) && worker->n_cancels == 0;
}

struct lk_worker *
lk_worker_by_pid(const struct lk_server *server, int pid)
{
	struct lk_core *core = server->core;
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL &&
		    core->workers[i]->server == server &&
		    core->workers[i]->backend_pid == pid)
			return core->workers[i];
	}
	return NULL;
}

struct lk_request *
lk_worker_request_at(const struct lk_list *link)
{
	return lk_container(link, struct lk_request, job_link);
}

struct lk_request *
lk_worker_request(const struct lk_worker *worker)
{
	return lk_list_is_empty(&worker->requests) ? NULL :
	    lk_worker_request_at(worker->requests.next);
}

/* ---- handing over ---- */

static void
fill_params(struct lk_item *item, const struct lk_request *req)
{
	struct lk_param *params = lk_item_new_params(item, req->n_args - 1);
	size_t i;

	for (i = 0; i < item->n_params; i++)
		params[i] = (struct lk_param){
		    .data = req->args[i + 1].data,
		    .len = req->args[i + 1].len };
}

void
lk_worker_fill(struct lk_item *item, const struct lk_request *req)
{
	item->request = req->id;
	item->format = req->format;
	if (req->control != NULL) {
		item->kind = LK_ITEM_CONTROL;
		item->sql = item->text = lk_xstrdup(req->control);
		return;
	}
	item->kind = LK_ITEM_SQL;
	if (req->plan.sql != NULL) {
		lk_orm_fill_item(item, req);
	} else {
		item->sql = req->args[0].data;
		fill_params(item, req);
	}
}

static void
hand_over(struct lk_worker *worker, struct lk_job **job)
{
	struct lk_core *core = worker->database->core;

	lk_assert(!worker->has_job && lk_worker_is_free(worker));
	worker->has_job = true;
	worker->is_clean = !(*job)->clean;
	lk_worker_set_state(worker, LK_WORKER_BUSY);
	core->effects->submit(core->ctx, worker->index, job);
}

static struct lk_job *
make_job(struct lk_request *req)
{
	struct lk_job *job;

	if (req->unit != NULL)
		return lk_unit_job(req);
	job = lk_job_new(1);
	lk_worker_fill(&job->items[0], req);
	return job;
}

/* It goes out with its worker's next job. */
static void
take_along(struct lk_worker *worker, struct lk_request *req)
{
	lk_request_set_state(req, LK_REQUEST_RUNNING);
	req->worker = worker;
	req->sent_us = req->core->now_us;
	lk_list_append(&worker->requests, &req->job_link);
}

/* Whether it leaves nothing in its session, for which there is SQL. */
static bool
is_clean(const struct lk_request *req)
{
	return req->control != NULL || (req->unit != NULL ?
	    lk_unit_is_clean(req->unit) : req->plan.is_clean);
}

void
lk_worker_submit(struct lk_worker *worker, struct lk_request *req)
{
	struct lk_core *core = req->core;
	struct lk_tx *tx = req->tx;
	struct lk_job *job = make_job(req);
	bool ends_tx = tx != NULL && tx->state == LK_TX_ENDING;

	job->limit_result = core->config->limit_result_bytes;
	job->in_tx = tx != NULL && !ends_tx;
	if (tx == NULL)
		job->clean = !is_clean(req);
	else if (ends_tx)
		job->clean = tx->is_soiled;
	else
		tx->is_soiled |= !is_clean(req);
	if (tx != NULL && !tx->is_begun)
		job->begin = tx->begin;
	if (tx != NULL && !ends_tx)
		lk_tx_set_state(tx, LK_TX_RUNNING);
	take_along(worker, req);
	core->stats.statements += job->n_items;
	hand_over(worker, &job);
	lk_watch_statement(req);
}

void
lk_worker_submit_batch(struct lk_worker *worker, struct lk_request **reqs,
    size_t n, struct lk_job *job)
{
	struct lk_core *core = worker->database->core;
	size_t i;

	job->limit_result = core->config->limit_result_bytes;
	job->clean = false;
	for (i = 0; i < n; i++) {
		job->clean |= !reqs[i]->plan.is_clean;
		take_along(worker, reqs[i]);
	}
	worker->is_batch = true;
	core->stats.statements += job->together.sql != NULL ? 1 : n;
	hand_over(worker, &job);
	for (i = 0; i < n; i++)
		lk_watch_statement(reqs[i]);
}

/* Of a request that leaves: its item still points into them. */
static void
keep_args(struct lk_worker *worker, struct lk_request *req)
{
	lk_words_keep(req);
	worker->left = lk_xrealloc(worker->left,
	    (worker->n_left + 1) * sizeof(*worker->left));
	worker->left[worker->n_left++] =
	    (struct lk_left){ req->args, req->shape };
	req->args = NULL;
	req->n_args = 0;
	if (req->shape != NULL)
		lk_keyed_forget_plan(&req->plan);
	req->shape = NULL;
}

static void
free_left(struct lk_worker *worker)
{
	struct lk_left *left;

	while (worker->n_left > 0) {
		left = &worker->left[--worker->n_left];
		free(left->args);
		lk_shape_let_go(&left->shape);
	}
	free(worker->left);
	worker->left = NULL;
}

bool
lk_worker_lets_go(struct lk_request *req)
{
	struct lk_worker *worker = req->worker;

	/* Who writes may have written by now. */
	if (!worker->is_batch || req->plan.is_write ||
	    worker->requests.next == worker->requests.prev)
		return false;
	lk_record_answered(req, UINT64_MAX);
	lk_list_remove(&req->job_link);
	keep_args(worker, req);
	return true;
}

void
lk_worker_submit_rollback(struct lk_worker *worker)
{
	struct lk_job *job = lk_job_new(1);

	job->items[0].kind = LK_ITEM_CONTROL;
	job->items[0].sql = "ROLLBACK";
	job->clean = true;
	hand_over(worker, &job);
}

/* ---- coming back ---- */

static void
lose_session(struct lk_worker *worker)
{
	if (worker->backend_pid != 0) {
		worker->lost = lk_about_worker(worker);
		lk_server_note_gone(worker->server, worker->backend_pid);
	}
	worker->server = NULL;
	worker->backend_pid = 0;
	worker->is_clean = true;
}

/*
 * A worker moves on only behind its fence: while a cancel of its is out, that
 * could still hit whatever ran next.
 */
void
lk_worker_settle(struct lk_worker *worker)
{
	struct lk_database *db = worker->database;
	struct lk_tx *tx = worker->tx;

	if (worker->has_job || worker->state == LK_WORKER_STOPPING)
		return;
	if (worker->backend_pid == 0) {
		lk_worker_set_state(worker, LK_WORKER_CONNECTING);
		return;
	}
	if (tx != NULL) {
		lk_worker_set_state(worker, LK_WORKER_PINNED);
		if (worker->n_cancels > 0)
			return;
		if (tx->wants_rollback)
			lk_tx_rollback(tx);
		else if (!lk_list_is_empty(&tx->requests))
			lk_request_todo(lk_container(tx->requests.next,
			    struct lk_request, tx_link));
		return;
	}
	lk_worker_set_state(worker, LK_WORKER_CLEANING);
	if (!worker->is_clean || worker->n_cancels > 0)
		return;
	/* One was lent, or max is less than it was. */
	if (db->n_workers > db->config->workers_max && db->n_lent == 0) {
		lk_worker_retire(worker);
		return;
	}
	lk_worker_set_state(worker, LK_WORKER_IDLE);
	lk_database_dispatch(db);
}

static void
requeue(struct lk_request *req)
{
	struct lk_database *db = req->database;
	struct lk_tx *tx = req->tx;

	lk_lane_leave(req);
	req->worker = NULL;
	if (tx != NULL) {
		tx->worker->tx = NULL;
		tx->worker = NULL;
	}
	lk_database_enqueue(db, req);
}

/* Nothing of it reached the server: it may go to another session. */
static bool
may_requeue(const struct lk_request *req, const struct lk_item *item)
{
	return item->outcome == LK_ITEM_UNSENT && req->client != NULL &&
	    !req->why.is_set && (req->tx == NULL || !req->tx->is_begun) &&
	    !req->core->is_stopping;
}

/* The session was, before the statement or in the middle of it. */
static void
say_lost_with(struct lk_request *req, const struct lk_item *item)
{
	struct lk_error why;

	lk_error_init(&why);
	if (item->outcome == LK_ITEM_UNSENT)
		lk_error_set(&why, LK_ERR_CONNLOST, "the session was lost before "
		    "the statement was sent: %s",
		    item->error.is_set ? item->error.message : "");
	else if (lk_orm_only_reads(req))
		lk_error_set(&why, LK_ERR_CONNLOST, "the session was lost while "
		    "the statement ran, which only reads: nothing was changed");
	else
		lk_error_set(&why, LK_ERR_UNKNOWN, "the session was lost while "
		    "the statement ran: whether it committed is not known");
	lk_error_set_field(&why, LK_FIELD_DETAIL, item->error.message);
	lk_request_fail(req, &why);
}

static void
statement_done(struct lk_request *req, struct lk_item *item)
{
	if (item->outcome == LK_ITEM_DONE)
		lk_request_reply(req, &item->reply);
	else if (item->outcome == LK_ITEM_FAILED ||
	    lk_cancel_has_hit(req, item))
		lk_request_fail(req, lk_cancel_reason(req, item));
	else
		say_lost_with(req, item);
}

/* What the worker has sent, beyond what it was handed. */
static void
count_statements(struct lk_core *core, const struct lk_job *job)
{
	size_t i;

	if (job->is_group)
		core->stats.folded += job->was_together ? job->n_items - 1 : 0;
	else if (job->was_together)
		core->stats.coalesced += job->n_items;
	else if (job->together.sql != NULL)
		core->stats.statements += job->n_items;
	for (i = 0; i < job->n_items; i++)
		core->stats.statements += job->items[i].n_loaded;
}

static void
autocommit_done(struct lk_request *req, struct lk_job *job,
    struct lk_item *item)
{
	if (req->is_parking && item->outcome == LK_ITEM_FAILED &&
	    lk_cancel_has_hit(req, item)) {
		lk_park_arrive(req);
		return;
	}
	if (req->is_parking) {	/* it was faster than its cancel */
		lk_park_give_up(req);
		lk_error_fini(&req->why);
	}
	if (req->unit != NULL)
		lk_exec_done(req, job);
	else
		statement_done(req, item);
}

static void
note_answer(struct lk_request *req, struct lk_job *job, struct lk_item *item)
{
	req->task->ran_seq = ++req->core->seq;
	lk_record_answered(req, job->run_us);
	if (req->is_sentinel)
		lk_sentinel_gone(req, !lk_cancel_has_hit(req, item));
	else if (req->keeps_slot && item->outcome == LK_ITEM_DONE)
		lk_sentinel_probe_through(req);
	if (req->unit != NULL)
		lk_unit_note_try(req, job);
	if (req->tx == NULL)
		lk_lane_leave(req);
	lk_list_remove(&req->job_link);
}

/* Of a job that was all its request's, or the daemon's own. */
static void
job_done(struct lk_worker *worker, struct lk_request *req, struct lk_job *job)
{
	struct lk_item *item = lk_job_answer(job);

	if (req != NULL && may_requeue(req, item)) {
		lk_worker_settle(worker);
		requeue(req);
	} else if (req != NULL && lk_orm_goes_back(req, item)) {
		;	/* it is on its way again */
	} else if (worker->tx != NULL) {
		lk_tx_job_done(worker->tx, worker, req, job);
	} else if (req != NULL) {
		autocommit_done(req, job, item);
	}
	lk_worker_settle(worker);
}

static struct lk_request *
request_of(const struct lk_worker *worker, const struct lk_item *item)
{
	return lk_idtab_get(&worker->database->core->request_ids,
	    item->request);
}

/* NULL: it has left the job, and the item is of no use to anybody. */
static struct lk_request *
carried(const struct lk_worker *worker, const struct lk_item *item)
{
	struct lk_request *req = request_of(worker, item);

	return req != NULL && req->worker == worker &&
	    lk_list_is_linked(&req->job_link) ? req : NULL;
}

/*
 * The batch was cancelled since it waited for a lock, which may be one that this
 * request does not want: it is to have a session and an end of its own.
 */
static bool
is_broken_off(const struct lk_request *req, const struct lk_item *item)
{
	return item->outcome == LK_ITEM_FAILED &&
	    strcmp(item->error.sqlstate, "57014") == 0 &&
	    req->client != NULL && !req->why.is_set && !req->core->is_stopping;
}

static void
ask_alone(struct lk_request *req)
{
	req->is_alone = true;
	if (req->want_look)	/* its deadline has passed: now it can end */
		lk_timer_set(&req->core->timers, &req->deadline_timer,
		    req->core->now_us);
	req->want_look = false;
	req->waitstart[0] = '\0';
	req->was_reported = false;
	req->spent_us = req->locked_us;
	requeue(req);
}

/* It has not been done: its transaction was rolled back. */
static void
group_failed(struct lk_request *req, struct lk_item *item)
{
	if (req->why.is_set) {
		lk_record_timeout(req, &req->why);
		lk_deadlock_ended(req, LK_DEADLOCK_FAILED);
		lk_request_fail(req, &req->why);
	} else if (req->client == NULL || req->core->is_stopping) {
		item->outcome = LK_ITEM_UNSENT;
		statement_done(req, item);
	} else {
		ask_alone(req);
	}
}

static const struct lk_item *
commit_of(const struct lk_job *group)
{
	return &group->items[group->n_items - 1];
}

/*
 * None of its items has been done, or nobody knows; each request is to get what
 * it would have got alone.  From the last to the first, so that this one is the
 * first in their lane again.
 */
static void
group_undone(struct lk_worker *worker, struct lk_job *job)
{
	const struct lk_item *commit = commit_of(job);
	struct lk_request *req;
	struct lk_item *item;
	size_t i;

	if (job->after == LK_XACT_GONE)
		lk_worker_settle(worker);
	lk_group_failed(lk_worker_request(worker));
	/* What it was made by may be old. */
	if (job->together.sql != NULL)
		lk_catalog_doubt(worker->database);
	worker->database->core->stats.group_replays++;
	for (i = job->n_items - 1; i-- > 0; ) {
		item = &job->items[i];
		req = carried(worker, item);
		if (req == NULL)
			continue;
		note_answer(req, job, item);
		if (commit->outcome != LK_ITEM_LOST) {
			group_failed(req, item);
			continue;
		}
		item->outcome = LK_ITEM_LOST;
		lk_error_set(&item->error, LK_ERR_CONNLOST, "%s",
		    commit->error.message);
		statement_done(req, item);
	}
	lk_assert(lk_list_is_empty(&worker->requests));
	lk_worker_settle(worker);
}

/* Its session may go on; replies can be made meanwhile. */
static void
note_answers(struct lk_worker *worker, struct lk_job *job)
{
	struct lk_request *req;
	struct lk_item *item;
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		item = &job->items[i];
		req = carried(worker, item);
		if (req != NULL)
			note_answer(req, job, item);
		else
			item->request = LK_ID_NONE;
	}
	lk_assert(lk_list_is_empty(&worker->requests));
	lk_worker_settle(worker);
}

/* Each item is its request's own affair. */
static void
batch_done(struct lk_worker *worker, struct lk_job *job)
{
	bool is_breaking = worker->is_breaking;
	struct lk_request *req;
	struct lk_item *item;
	size_t i;

	worker->is_breaking = false;
	if (job->is_group && commit_of(job)->outcome != LK_ITEM_DONE) {
		group_undone(worker, job);
		return;
	}
	note_answers(worker, job);
	for (i = 0; i < job->n_items; i++) {
		item = &job->items[i];
		req = request_of(worker, item);
		if (req == NULL)
			continue;
		if (job->is_group)
			statement_done(req, item);
		else if (may_requeue(req, item))
			requeue(req);
		else if (is_breaking && is_broken_off(req, item))
			ask_alone(req);
		else if (!lk_orm_goes_back(req, item))
			autocommit_done(req, job, item);
	}
}

void
lk_worker_job_done(struct lk_worker *worker, struct lk_job *job)
{
	struct lk_request *req = worker->is_batch ? NULL :
	    lk_worker_request(worker);
	bool is_batch = worker->is_batch;

	if (req != NULL)
		note_answer(req, job, lk_job_answer(job));
	count_statements(worker->database->core, job);
	if (job->after == LK_XACT_GONE)
		lose_session(worker);
	if (job->after == LK_XACT_IDLE && job->changed_schema)
		lk_catalog_doubt(worker->database);
	worker->has_job = worker->is_batch = false;
	free_left(worker);
	lk_batch_reader_done(worker);
	if (is_batch)
		batch_done(worker, job);
	else
		job_done(worker, req, job);
	lk_job_free(&job);
}

/* Not when it could not be opened, which is tried on and on. */
static void
say_lost(struct lk_worker *worker, const char *why)
{
	if (worker->lost.pid != 0)
		lk_log_about(&worker->lost, LK_LOG_INFO, "%s: session lost: %s",
		    worker->database->config->name, why);
	worker->lost = (struct lk_log_about){ 0 };
}

static bool
has_session(const struct lk_database *db)
{
	struct lk_core *core = db->core;
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL &&
		    core->workers[i]->database == db &&
		    core->workers[i]->backend_pid != 0)
			return true;
	}
	return false;
}

static void
session_is_up(struct lk_worker *worker, const struct lk_note *note)
{
	struct lk_database *db = worker->database;
	struct lk_core *core = db->core;
	struct lk_log_about about;

	core->stats.sessions_opened++;
	if (db->down_since_us != 0)
		lk_log(LK_LOG_INFO, "%s: sessions can be opened again",
		    db->config->name);
	db->down_since_us = 0;
	lk_timer_clear(&core->timers, &db->down_timer);
	lk_catalog_reachable(db);
	if (worker->state == LK_WORKER_STOPPING)
		return;
	db->server = lk_server_get(core, note->server_id, db);
	worker->server = db->server;
	worker->backend_pid = note->backend_pid;
	worker->is_clean = true;
	core->seq++;
	about = lk_about_worker(worker);
	lk_log_about(&about, LK_LOG_DEBUG, "%s: session opened",
	    db->config->name);
	/* A cancel meant for the session before may still be out. */
	lk_worker_settle(worker);
}

static void
tx_lost_session(struct lk_worker *worker, const char *text)
{
	struct lk_tx *tx = worker->tx;
	struct lk_error why;

	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_TXABORTED, "#%llu is aborted: its session "
	    "was lost (%s); ROLLBACK ends it", (unsigned long long)tx->handle,
	    text);
	lk_tx_abort(tx, &why);
	lk_error_fini(&why);
}

/* One of the reserve is to be there at once, or somebody else gives way. */
static void
give_up_reserve(struct lk_worker *worker)
{
	struct lk_database *db = worker->database;

	if (worker->state != LK_WORKER_CONNECTING || worker->has_job ||
	    worker->n_cancels > 0 || db->n_workers <= db->config->workers_max)
		return;
	lk_worker_retire(worker);
	lk_database_cannot_lend(db);
}

static void
session_is_down(struct lk_worker *worker, const struct lk_note *note)
{
	struct lk_database *db = worker->database;
	struct lk_core *core = db->core;
	const char *text = note->error.message;
	bool was_open = worker->backend_pid != 0 || worker->lost.pid != 0;

	core->stats.sessions_lost++;
	lose_session(worker);
	say_lost(worker, text);
	free(db->down_text);
	db->down_text = lk_xstrdup(text);
	if (worker->tx != NULL)
		tx_lost_session(worker, text);
	if (worker->state != LK_WORKER_STOPPING)
		lk_worker_set_state(worker, LK_WORKER_CONNECTING);
	if (!was_open)
		give_up_reserve(worker);
	if (core->is_stopping || has_session(db) || db->down_since_us != 0)
		return;
	lk_log(LK_LOG_WARNING, "%s: no session: %s", db->config->name, text);
	db->down_since_us = core->now_us;
	if (core->config->timeout_connect_us > 0)
		lk_timer_set(&core->timers, &db->down_timer,
		    core->now_us + core->config->timeout_connect_us);
}

void
lk_worker_note(struct lk_worker *worker, struct lk_note *note)
{
	switch (note->kind) {
	case LK_NOTE_UP:
		session_is_up(worker, note);
		break;
	case LK_NOTE_READY:
		worker->is_clean = true;
		lk_worker_settle(worker);
		break;
	case LK_NOTE_DOWN:
		session_is_down(worker, note);
		break;
	}
	lk_note_free(&note);
}

void
lk_worker_exited(struct lk_worker *worker)
{
	struct lk_core *core = worker->database->core;
	struct lk_log_about about = lk_about_worker(worker);
	struct lk_tx *tx = worker->tx;

	lk_assert(worker->state == LK_WORKER_STOPPING && !worker->has_job);
	if (tx != NULL)		/* only when stopping: closing rolled it back */
		tx_lost_session(worker, "the daemon is stopping");
	lk_log_about(&about, LK_LOG_DEBUG, "%s: session closed",
	    worker->database->config->name);
	if (worker->backend_pid != 0)
		lk_server_note_gone(worker->server, worker->backend_pid);
	lk_timer_clear(&core->timers, &worker->idle_timer);
	core->workers[worker->index] = NULL;
	free(worker);
}
