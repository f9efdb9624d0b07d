#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* A new transaction lets autocommit work pass for so long, and no longer. */
#define NEW_TX_PENALTY_US	(100 * LK_US_PER_MS)
/* How long the reserve rests when a session for it could not be opened. */
#define LEND_AGAIN_US		LK_US_PER_S

void
lk_database_say_down(const struct lk_database *db, struct lk_error *error)
{
	lk_error_set(error, LK_ERR_CONNLOST, "no session of %s could be "
	    "opened: %s", db->config->name, db->down_text);
	lk_error_set_field(error, LK_FIELD_DETAIL, db->down_text);
}

static void
fail_ready(struct lk_database *db, struct lk_list *ready)
{
	struct lk_error error;
	struct lk_request *req;

	while (!lk_list_is_empty(ready)) {
		req = lk_container(ready->next, struct lk_request, ready_link);
		lk_error_init(&error);
		lk_database_say_down(db, &error);
		lk_cancel_request(req, &error, NULL);
	}
}

bool
lk_database_is_given_up(const struct lk_database *db)
{
	uint64_t patience = db->core->config->timeout_connect_us;

	return db->down_since_us != 0 && patience > 0 &&
	    db->core->now_us >= db->down_since_us + patience;
}

static void
down_for_long(struct lk_timer *timer)
{
	struct lk_database *db = lk_container(timer, struct lk_database,
	    down_timer);

	fail_ready(db, &db->ready_lent);
	fail_ready(db, &db->ready_reads);
	fail_ready(db, &db->ready_autocommit);
	fail_ready(db, &db->ready_tx);
	lk_catalog_give_up(db);
}

void
lk_database_init(struct lk_database *db, struct lk_core *core,
    const struct lk_config_database *config)
{
	db->core = core;
	db->config = config;
	lk_list_init(&db->idle);
	lk_list_init(&db->ready_autocommit);
	lk_list_init(&db->ready_tx);
	lk_list_init(&db->ready_lent);
	lk_timer_init(&db->down_timer, down_for_long);
	lk_batch_init(db);
	lk_catalog_init(db);
	lk_channels_init(&db->channels);
}

void
lk_database_fini(struct lk_database *db)
{
	lk_assert(db->n_ready == 0 && db->n_readers == 0);
	lk_batch_fini(db);
	lk_catalog_fini(db);
	lk_channels_fini(&db->channels);
	free(db->down_text);
}

struct lk_database *
lk_database_named(struct lk_core *core, const struct lk_arg *name,
    struct lk_error *error)
{
	const char *have;
	size_t i;

	for (i = 0; i < core->n_databases; i++) {
		have = core->databases[i].config->name;
		if (name->data != NULL && strlen(have) == name->len &&
		    memcmp(have, name->data, name->len) == 0)
			return &core->databases[i];
	}
	lk_error_set(error, LK_ERR_SYNTAX, "no database %.*s here; HELLO lists "
	    "those of the config", (int)(name->data != NULL ? name->len : 0),
	    name->data != NULL ? name->data : "");
	return NULL;
}

static struct lk_list *
ready_list(struct lk_database *db, const struct lk_request *req)
{
	if (req->tx != NULL)
		return &db->ready_tx;
	return lk_batch_takes(req) ? &db->ready_reads : &db->ready_autocommit;
}

/* It waits from now on, in the place before `where`; or in the lane of its row. */
static void
put_in_queue(struct lk_database *db, struct lk_request *req,
    struct lk_list *where)
{
	struct lk_core *core = db->core;

	if (!lk_lane_enter(req))
		return;
	lk_request_set_state(req, LK_REQUEST_QUEUED);
	req->queued_us = core->now_us;
	if (req->tx != NULL)
		lk_tx_set_state(req->tx, LK_TX_QUEUED);
	lk_list_insert(where, &req->ready_link);
	if (lk_batch_takes(req))
		lk_batch_enter(req);
	db->n_ready++;
	if (core->config->timeout_queue_us > 0)
		lk_timer_set(&core->timers, &req->queue_timer,
		    core->now_us + core->config->timeout_queue_us);
}

void
lk_database_serve(struct lk_database *db)
{
	if (db->n_ready > 0 && lk_database_is_given_up(db)) {
		down_for_long(&db->down_timer);
		return;
	}
	lk_database_dispatch(db);
	lk_watch_queue(db);
}

void
lk_database_enqueue(struct lk_database *db, struct lk_request *req)
{
	put_in_queue(db, req, ready_list(db, req));
	lk_database_serve(db);
}

void
lk_database_enqueue_again(struct lk_database *db, struct lk_request *req)
{
	struct lk_list *ready = ready_list(db, req), *at = ready->next;

	while (at != ready && lk_container(at, struct lk_request,
	    ready_link)->number < req->number)
		at = at->next;
	put_in_queue(db, req, at);
}

/* Workers that those in the queue could use. */
static size_t
demand(const struct lk_database *db)
{
	return db->n_ready - db->n_reads + lk_batch_wants(db);
}

bool
lk_database_is_short(const struct lk_database *db)
{
	/* Those on their way to a session will serve as many. */
	return demand(db) > db->n_connecting && lk_list_is_empty(&db->idle) &&
	    db->n_workers >= db->config->workers_max;
}

static void
end_lending(struct lk_request *req, const char *how)
{
	if (!req->is_lent)
		return;
	req->is_lent = false;
	req->database->n_lent--;
	lk_deadlock_lent(req, how);
}

/* Out of the queue; the caller changes its state. */
void
lk_database_dequeue(struct lk_request *req)
{
	lk_assert(req->state == LK_REQUEST_QUEUED);
	end_lending(req, "dissolved");
	if (req->hold != NULL && req->hold->state == LK_HOLD_CALLED)
		lk_lane_leave(req);
	lk_list_remove(&req->ready_link);
	lk_batch_leave(req);
	lk_timer_clear(&req->core->timers, &req->queue_timer);
	req->database->n_ready--;
}

static struct lk_request *
first(const struct lk_list *ready)
{
	return lk_list_is_empty(ready) ? NULL :
	    lk_container(ready->next, struct lk_request, ready_link);
}

/*
 * Holders need no slot: their worker is theirs.  Then autocommit work, which
 * gives its slot back soon, then new transactions; a head start instead of a
 * rank, so that nothing starves.  Before all of them go those for whom a worker
 * more than max was started: until they are served nobody can go on.
 */
static struct lk_request *
pick(struct lk_database *db)
{
	struct lk_request *lent = first(&db->ready_lent);
	struct lk_request *one = first(&db->ready_autocommit);
	struct lk_request *tx = first(&db->ready_tx);
	struct lk_request *read = lk_batch_next(db);

	if (lent != NULL)
		return lent;
	if (one == NULL || (read != NULL && read->queued_us < one->queued_us))
		one = read;
	if (one == NULL || tx == NULL)
		return one != NULL ? one : tx;
	return one->queued_us <= tx->queued_us + NEW_TX_PENALTY_US ? one : tx;
}

static void
grow(struct lk_database *db)
{
	while (db->n_connecting < demand(db) &&
	    db->n_workers < db->config->workers_max &&
	    !db->core->is_stopping) {
		if (lk_worker_start(db) == NULL)
			return;
	}
}

/* ---- the reserve ---- */

bool
lk_database_may_lend(const struct lk_database *db)
{
	return db->n_workers < db->config->workers_max +
	    db->config->workers_reserve && !db->core->is_stopping &&
	    db->core->now_us >= db->lend_again_us;
}

/*
 * Whichever worker becomes free first serves it, and then the first that is
 * free while there are more than max ends: lk_worker_settle().
 */
bool
lk_database_lend(struct lk_request *req)
{
	struct lk_database *db = req->database;

	lk_assert(req->state == LK_REQUEST_QUEUED && !req->is_lent);
	if (lk_worker_start(db) == NULL) {
		lk_database_cannot_lend(db);
		return false;
	}
	lk_list_remove(&req->ready_link);
	lk_batch_leave(req);
	req->is_alone = true;
	lk_list_append(&db->ready_lent, &req->ready_link);
	req->is_lent = true;
	db->n_lent++;
	db->core->stats.reserve_lent++;
	return true;
}

/* Back to where it stood. */
static void
take_back(struct lk_request *req)
{
	struct lk_list *ready = ready_list(req->database, req);
	struct lk_list *at = ready->next;

	while (at != ready && lk_container(at, struct lk_request,
	    ready_link)->queued_us <= req->queued_us)
		at = at->next;
	lk_list_remove(&req->ready_link);
	lk_list_insert(at, &req->ready_link);
	end_lending(req, "refused");
}

void
lk_database_cannot_lend(struct lk_database *db)
{
	db->lend_again_us = db->core->now_us + LEND_AGAIN_US;
	while (db->n_lent > db->n_connecting)
		take_back(lk_container(db->ready_lent.prev, struct lk_request,
		    ready_link));
	lk_watch_queue(db);
}

/* ---- handing out ---- */

void
lk_database_resize(struct lk_database *db)
{
	struct lk_list *it, *next;
	struct lk_worker *worker;

	while (db->n_workers < db->config->workers_min &&
	    !db->core->is_stopping) {
		if (lk_worker_start(db) == NULL)
			break;
	}
	LK_LIST_EACH(&db->idle, it, next) {
		worker = lk_container(it, struct lk_worker, link);
		if (db->n_workers > db->config->workers_max)
			lk_worker_retire(worker);
		else
			lk_worker_set_idle_timer(worker);
	}
	lk_database_dispatch(db);
}

void
lk_database_dispatch(struct lk_database *db)
{
	struct lk_worker *worker;
	struct lk_request *req;

	while ((req = pick(db)) != NULL && !lk_list_is_empty(&db->idle)) {
		worker = lk_container(db->idle.next, struct lk_worker, link);
		if (lk_list_is_linked(&req->shape_link)) {
			lk_batch_hand_over(worker, req);
			continue;
		}
		if (lk_park_join(req) || !lk_lane_take(req))
			continue;
		end_lending(req, "lent");
		lk_database_dequeue(req);
		if (req->tx != NULL) {
			req->tx->worker = worker;
			worker->tx = req->tx;
		}
		lk_group_submit(worker, req);
	}
	grow(db);
}
