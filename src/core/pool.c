#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* A new transaction lets autocommit work pass for so long, and no longer. */
#define NEW_TX_PENALTY_US	(100 * LK_US_PER_MS)

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

static bool
is_given_up(const struct lk_database *db)
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

	fail_ready(db, &db->ready_autocommit);
	fail_ready(db, &db->ready_tx);
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
	lk_timer_init(&db->down_timer, down_for_long);
}

void
lk_database_fini(struct lk_database *db)
{
	lk_assert(db->n_ready == 0);
	free(db->down_text);
}

struct lk_database *
lk_database_named(struct lk_core *core, const struct lk_arg *name)
{
	const char *have;
	size_t i;

	for (i = 0; i < core->n_databases; i++) {
		have = core->databases[i].config->name;
		if (name->data != NULL && strlen(have) == name->len &&
		    memcmp(have, name->data, name->len) == 0)
			return &core->databases[i];
	}
	return NULL;
}

void
lk_database_enqueue(struct lk_database *db, struct lk_request *req)
{
	struct lk_core *core = db->core;

	lk_request_set_state(req, LK_REQUEST_QUEUED);
	req->queued_us = core->now_us;
	if (req->tx != NULL)
		lk_tx_set_state(req->tx, LK_TX_QUEUED);
	lk_list_append(req->tx != NULL ? &db->ready_tx : &db->ready_autocommit,
	    &req->ready_link);
	db->n_ready++;
	if (core->config->timeout_queue_us > 0)
		lk_timer_set(&core->timers, &req->queue_timer,
		    core->now_us + core->config->timeout_queue_us);
	if (is_given_up(db)) {
		down_for_long(&db->down_timer);
		return;
	}
	lk_database_dispatch(db);
	lk_watch_queue(db);
}

/* Out of the queue; the caller changes its state. */
void
lk_database_dequeue(struct lk_request *req)
{
	lk_assert(req->state == LK_REQUEST_QUEUED);
	lk_list_remove(&req->ready_link);
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
 * rank, so that nothing starves.
 */
static struct lk_request *
pick(const struct lk_database *db)
{
	struct lk_request *one = first(&db->ready_autocommit);
	struct lk_request *tx = first(&db->ready_tx);

	if (one == NULL || tx == NULL)
		return one != NULL ? one : tx;
	return one->queued_us <= tx->queued_us + NEW_TX_PENALTY_US ? one : tx;
}

static void
grow(struct lk_database *db)
{
	while (db->n_connecting < db->n_ready &&
	    db->n_workers < db->config->workers_max &&
	    !db->core->is_stopping) {
		if (lk_worker_start(db) == NULL)
			return;
	}
}

void
lk_database_dispatch(struct lk_database *db)
{
	struct lk_worker *worker;
	struct lk_request *req;

	while ((req = pick(db)) != NULL && !lk_list_is_empty(&db->idle)) {
		worker = lk_container(db->idle.next, struct lk_worker, link);
		lk_database_dequeue(req);
		if (req->tx != NULL) {
			req->tx->worker = worker;
			worker->tx = req->tx;
		}
		lk_worker_submit(worker, req);
	}
	grow(db);
}
