/*
 * Waiting for a lock without a slot.  A statement that waits for a lock and may
 * be run again is cancelled, kept here, and run again once the transaction that
 * holds the lock has ended: so a thousand coroutines that want one row cost no
 * slot, or one.
 *
 * The holder is one of our transactions, whose end we see; or another backend or
 * prepared transaction, whose end only a statement of ours that still waits for
 * it can tell: the sentinel, one for each such holder.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "orm/sqltext.h"

bool
lk_park_may_rerun_verb(const struct lk_core *core,
    const struct lk_unit_verb *verb)
{
	enum lk_replay replay = core->config->replay;

	if (verb->may_rerun)
		return true;
	if (verb->plan.sql != NULL)
		return replay != LK_REPLAY_OFF && verb->plan.has_no_trace;
	return replay == LK_REPLAY_DML &&
	    lk_sql_is_dml(verb->args[0].data, verb->args[0].len);
}

bool
lk_park_may_rerun(const struct lk_request *req)
{
	enum lk_replay replay = req->core->config->replay;

	if (req->tx != NULL || req->control != NULL)
		return false;
	if (req->may_rerun)
		return true;
	if (req->unit != NULL)
		return req->unit->may_rerun;
	if (req->plan.sql != NULL)
		return replay != LK_REPLAY_OFF && req->plan.has_no_trace;
	return replay == LK_REPLAY_DML &&
	    lk_sql_is_dml(req->args[0].data, req->args[0].len);
}

/* ---- equal statements ---- */

static uint64_t
hash_statement(const struct lk_request *req)
{
	uint64_t h = (uint64_t)(req->database - req->core->databases);
	size_t i;

	if (req->shape != NULL)
		return lk_hash_bytes(h, &req->shape, sizeof(req->shape));
	for (i = 0; i < req->n_args; i++)
		h = lk_hash_bytes(h, req->args[i].data,
		    req->args[i].data != NULL ? req->args[i].len : 0);
	return h;
}

static bool
is_equal_arg(const struct lk_arg *a, const struct lk_arg *b)
{
	if (a->data == NULL || b->data == NULL)
		return a->data == b->data;
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool
is_equal(const struct lk_hash_node *node, const void *key)
{
	const struct lk_request *a = lk_container(node, struct lk_request,
	    park_node), *b = key;
	size_t i;

	/* Such reads wait for a table, whatever their keys are. */
	if (a->shape != NULL || b->shape != NULL)
		return a->shape == b->shape;
	if (a->database != b->database || a->verb != b->verb ||
	    a->n_args != b->n_args)
		return false;
	for (i = 0; i < a->n_args; i++) {
		if (!is_equal_arg(&a->args[i], &b->args[i]))
			return false;
	}
	return true;
}

/* ---- the wait that a parked request was in ---- */

void
lk_park_forget_wait(struct lk_request *req)
{
	if (req->parked.blockers != NULL)
		free(req->parked.blockers[0].gid);
	free(req->parked.blockers);
	free(req->parked.object);
	req->parked = (struct lk_wait){ 0 };
}

/* A copy, whose only blocker is the holder. */
static void
remember_wait(struct lk_request *req, const struct lk_wait *wait)
{
	const struct lk_park *park = req->park;

	req->parked = *wait;
	req->parked.pid = 0;
	req->parked.object = lk_xstrdup(wait->object);
	req->parked.n_blockers = 1;
	req->parked.blockers = lk_xcalloc(1, sizeof(*req->parked.blockers));
	req->parked.blockers[0] = (struct lk_blocker){
		.pid = park->tx != NULL ? park->tx->worker->backend_pid :
		    park->pid,
		.gid = park->gid != NULL ? lk_xstrdup(park->gid) : NULL,
	};
}

const struct lk_wait *
lk_park_wait(struct lk_request *req)
{
	uint64_t now = req->core->now_us;

	if (lk_lane_has_waiter(req))
		return lk_lane_wait(req);
	req->parked.waited_us = req->spent_us + now - req->parked_us;
	req->parked.blockers[0].age_us = now - req->park->prepared_us;
	return &req->parked;
}

/* ---- its own timer: ?ms, and telling of the wait ---- */

void
lk_park_set_timer(struct lk_request *req)
{
	const struct lk_core *core = req->core;
	uint64_t left_us = lk_request_lock_left(req, 0);
	uint64_t notify_us = core->config->deadlock_notify_us;

	if (!req->was_notified) {
		notify_us -= notify_us < req->spent_us ? notify_us :
		    req->spent_us;
		if (notify_us < left_us)
			left_us = notify_us;
	}
	lk_timer_set(&req->core->timers, &req->queue_timer,
	    left_us == LK_NEVER ? LK_NEVER : req->parked_us + left_us);
}

void
lk_park_time_out(struct lk_request *req)
{
	const struct lk_wait *wait = lk_park_wait(req);
	struct lk_error why;

	if (lk_request_lock_left(req, req->core->now_us - req->parked_us) > 0) {
		req->was_notified = true;
		lk_push_lockwait(req, wait);
		lk_park_set_timer(req);
		return;
	}
	if (req->tx != NULL && req->tx->worker != NULL) {
		/* It is to end as in PostgreSQL, its transaction failed. */
		lk_lane_let_through(req);
		return;
	}
	lk_error_init(&why);
	lk_words_lock_timeout(&why, req, lk_request_server(req), wait);
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}

/* ---- parks ---- */

bool
lk_park_is_of(const struct lk_park *park, const struct lk_server *server,
    const struct lk_park_holder *holder)
{
	if (park->tx != NULL || holder->tx != NULL)
		return park->tx == holder->tx;
	return park->server == server && park->pid == holder->pid &&
	    (park->pid != 0 || (park->gid != NULL && holder->gid != NULL &&
	    strcmp(park->gid, holder->gid) == 0));
}

struct lk_park *
lk_park_get(struct lk_server *server, const struct lk_park_holder *holder)
{
	struct lk_core *core = server->core;
	struct lk_list *it, *next;
	struct lk_park *park;

	LK_LIST_EACH(&core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (lk_park_is_of(park, server, holder))
			return park;
	}
	park = lk_xcalloc(1, sizeof(*park));
	park->core = core;
	park->server = server;
	park->tx = holder->tx;
	park->pid = holder->pid;
	park->gid = holder->gid != NULL ? lk_xstrdup(holder->gid) : NULL;
	park->prepared_us = core->now_us - holder->age_us;
	lk_list_init(&park->requests);
	lk_list_init(&park->coming);
	lk_timer_init(&park->probe_timer, lk_sentinel_probe);
	lk_list_append(&core->parks, &park->link);
	return park;
}

void
lk_park_free_if_empty(struct lk_park *park)
{
	if (!lk_list_is_empty(&park->requests) ||
	    !lk_list_is_empty(&park->coming) || lk_sentinel_of(park) != NULL)
		return;
	lk_timer_clear(&park->core->timers, &park->probe_timer);
	lk_list_remove(&park->link);
	free(park->gid);
	free(park);
}

struct lk_request *
lk_park_at(struct lk_list *link)
{
	return lk_container(link, struct lk_request, park_link);
}

/* ---- into it ---- */

void
lk_park_init(struct lk_request *req)
{
	lk_list_init(&req->park_link);
}

/* In order of their numbers; who comes is mostly the youngest. */
static void
insert(struct lk_park *park, struct lk_request *req)
{
	struct lk_list *at = &park->requests;

	while (at->prev != &park->requests &&
	    lk_park_at(at->prev)->number > req->number)
		at = at->prev;
	lk_list_insert(at, &req->park_link);
}

static void
enter(struct lk_request *req, struct lk_park *park)
{
	struct lk_core *core = req->core;

	lk_request_set_state(req, LK_REQUEST_PARKED);
	req->park = park;
	req->parked_us = core->now_us;
	insert(park, req);
	lk_hash_insert(&core->parked, &req->park_node, hash_statement(req));
	core->stats.parked++;
	lk_park_set_timer(req);
	if (park->tx == NULL)
		lk_sentinel_probe_later(park);
	lk_watch_parked(park->server);
}

bool
lk_park_join(struct lk_request *req)
{
	struct lk_hash_node *node;
	struct lk_request *equal;

	if (req->core->parked.n_nodes == 0 || req->keeps_slot ||
	    req->is_sentinel || req->lock_us == 0 || req->unit != NULL ||
	    !lk_park_may_rerun(req))
		return false;
	node = lk_hash_find(&req->core->parked, hash_statement(req), is_equal,
	    req);
	if (node == NULL)
		return false;
	equal = lk_container(node, struct lk_request, park_node);
	if (req->state == LK_REQUEST_QUEUED)
		lk_database_dequeue(req);
	req->park = equal->park;
	remember_wait(req, &equal->parked);
	enter(req, equal->park);
	return true;
}

static bool
is_for_table(const struct lk_wait *wait)
{
	return strcmp(wait->locktype, "relation") == 0;
}

/* Who holds it; of a table, also who only stands before it in the queue. */
static const struct lk_blocker *
first_holder(const struct lk_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->n_blockers; i++) {
		if (!wait->blockers[i].is_soft)
			return &wait->blockers[i];
	}
	return is_for_table(wait) && wait->n_blockers > 0 ?
	    &wait->blockers[0] : NULL;
}

/*
 * From a wait for a row or a table along those that wait before it to whoever
 * waits for nothing.  None is found where the way leads in a circle, nor where it
 * ends at a statement of ours that has a row: that ends soon.
 */
bool
lk_park_find_holder(const struct lk_server *server, const struct lk_wait *wait,
    struct lk_park_holder *holder)
{
	bool is_long = is_for_table(wait);
	const struct lk_blocker *blocker;
	const struct lk_worker *worker;
	size_t n;

	if (!is_long && strcmp(wait->locktype, "transactionid") != 0 &&
	    strcmp(wait->locktype, "tuple") != 0)
		return false;
	for (n = 0; wait != NULL && n <= server->last->n_waits; n++) {
		blocker = first_holder(wait);
		if (blocker == NULL)
			return false;
		*holder = (struct lk_park_holder){ NULL, blocker->pid, blocker->gid,
		    blocker->age_us };
		if (blocker->pid == 0)
			return blocker->gid != NULL;
		worker = lk_worker_by_pid(server, blocker->pid);
		if (worker != NULL && worker->tx != NULL) {
			holder->tx = worker->tx;
			return worker->tx->state == LK_TX_IDLE ||
			    worker->tx->state == LK_TX_RUNNING;
		}
		wait = lk_look_find(server->last, blocker->pid);
		if (wait == NULL)
			return worker == NULL || is_long;
	}
	return false;
}

const struct lk_wait *
lk_park_wait_of(const struct lk_request *req)
{
	if (req == NULL || req->state != LK_REQUEST_RUNNING ||
	    req->worker->is_batch || req->client == NULL || !req->is_waiting ||
	    req->waitstart[0] == '\0' || req->why.is_set)
		return NULL;
	return lk_request_wait(req);
}

void
lk_park_behind(struct lk_request *req, const struct lk_wait *wait,
    const struct lk_park_holder *holder)
{
	struct lk_error why;

	if (req->is_sentinel)
		lk_sentinel_resign(req);
	req->is_parking = true;
	req->park = lk_park_get(req->worker->server, holder);
	lk_list_append(&req->park->coming, &req->park_link);
	remember_wait(req, wait);
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_CANCELED,
	    "the statement was cancelled, to be run again");
	lk_cancel_request(req, &why, wait);
	lk_error_fini(&why);
}

bool
lk_park_can(const struct lk_request *req)
{
	const struct lk_wait *wait = lk_park_wait_of(req);
	struct lk_park_holder holder;

	return wait != NULL && lk_park_may_rerun(req) &&
	    lk_park_find_holder(req->worker->server, wait, &holder);
}

void
lk_park_begin(struct lk_request *req)
{
	const struct lk_wait *wait = lk_park_wait_of(req);
	struct lk_park_holder holder;

	if (wait != NULL && lk_park_find_holder(req->worker->server, wait, &holder))
		lk_park_behind(req, wait, &holder);
}

void
lk_park_give_up(struct lk_request *req)
{
	struct lk_park *park = req->park;

	req->is_parking = false;
	req->park = NULL;
	lk_list_remove(&req->park_link);
	lk_park_forget_wait(req);
	if (park != NULL)
		lk_park_free_if_empty(park);
}

void
lk_park_arrive(struct lk_request *req)
{
	struct lk_park *park = req->park;

	if (req->unit != NULL)
		lk_exec_note_try(req, &req->why);
	req->worker = NULL;
	req->is_parking = false;
	req->spent_us += req->core->now_us - req->wait_since_us;
	req->waitstart[0] = '\0';
	req->was_reported = false;
	req->cancel_since_us = 0;
	lk_timer_clear(&req->core->timers, &req->cancel_timer);
	lk_error_fini(&req->why);
	lk_deadlock_ended(req, LK_DEADLOCK_REPLAYED);
	lk_list_remove(&req->park_link);
	if (park != NULL) {
		enter(req, park);
		return;
	}
	/* The holder has ended meanwhile. */
	lk_park_forget_wait(req);
	lk_database_enqueue_again(req->database, req);
	lk_request_put_back(req);
	lk_database_serve(req->database);
}

/* ---- and out ---- */

static void
leave(struct lk_request *req)
{
	uint64_t waited_us = req->core->now_us - req->parked_us;

	req->spent_us += waited_us;
	req->locked_us += waited_us;
	req->park = NULL;
	lk_list_remove(&req->park_link);
	lk_hash_remove(&req->core->parked, &req->park_node);
	lk_timer_clear(&req->core->timers, &req->queue_timer);
	lk_park_forget_wait(req);
}

void
lk_park_leave(struct lk_request *req)
{
	struct lk_park *park = req->park;

	if (lk_lane_has_waiter(req)) {
		lk_lane_leave(req);
		return;
	}
	leave(req);
	lk_park_free_if_empty(park);
}

void
lk_park_requeue(struct lk_request *req)
{
	leave(req);
	lk_database_enqueue_again(req->database, req);
	lk_request_put_back(req);	/* its client may be paused by now */
}

static void
serve(struct lk_core *core)
{
	size_t i;

	for (i = 0; i < core->n_databases; i++)
		lk_database_serve(&core->databases[i]);
}

/* From the last to the first, since each goes before the younger ones. */
void
lk_park_release_all(struct lk_park *park)
{
	struct lk_core *core = park->core;
	struct lk_request *req;

	while (!lk_list_is_empty(&park->coming)) {
		req = lk_park_at(park->coming.next);
		req->park = NULL;
		lk_list_remove(&req->park_link);
	}
	while (!lk_list_is_empty(&park->requests))
		lk_park_requeue(lk_park_at(park->requests.prev));
	lk_park_free_if_empty(park);
	serve(core);
}

void
lk_park_release(struct lk_tx *tx)
{
	struct lk_list *it, *next;
	struct lk_park *park;

	LK_LIST_EACH(&tx->core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (park->tx == tx) {
			lk_park_release_all(park);
			return;
		}
	}
}

void
lk_park_prove(struct lk_request *req)
{
	struct lk_park *park = req->park;

	if (lk_lane_has_waiter(req)) {
		lk_lane_let_through(req);
		return;
	}
	req->keeps_slot = true;
	lk_park_requeue(req);
	lk_park_free_if_empty(park);
	lk_database_serve(req->database);
}

/* ---- what others ask ---- */

bool
lk_park_is_used(const struct lk_server *server)
{
	struct lk_list *it, *next;
	const struct lk_park *park;

	LK_LIST_EACH(&server->core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (park->server == server && !lk_list_is_empty(&park->requests))
			return true;
	}
	LK_LIST_EACH(&server->core->laned, it, next) {
		if (lk_park_at(it)->database->server == server)
			return true;
	}
	return false;
}
