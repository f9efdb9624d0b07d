/*
 * Ending a request before its time.  A cancel names a backend and not a
 * statement, so a fence keeps it from hitting the wrong one: while one is out
 * (worker->n_cancels) or the cancelled statement's result has not been read,
 * lk_worker_is_free() is false and the session gets no further work.
 */
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

/* A cancel can come before the backend has read the statement, or be
 * swallowed by an exception handler in PL/pgSQL: it is repeated, then the
 * session is ended, and when not even that helps (the server hangs, or its
 * host is gone) the worker leaves it. */
#define REPEAT_US	(50 * LK_US_PER_MS)
#define TERMINATE_US	(2 * LK_US_PER_S)
#define LEAVE_US	(4 * LK_US_PER_S)

static bool
is_due(const struct lk_request *req, uint64_t after_us)
{
	return req->core->now_us >= req->cancel_since_us + after_us;
}

/* What the request's worker is at, or only that wait of its. */
static struct lk_cancel *
make_cancel(const struct lk_request *req, const struct lk_wait *wait)
{
	struct lk_cancel *cancel = lk_xcalloc(1, sizeof(*cancel));

	lk_list_init(&cancel->msg.link);
	cancel->msg.kind = LK_MSG_CANCEL;
	cancel->worker = req->worker->index;
	cancel->request = req->id;
	cancel->backend_pid = req->worker->backend_pid;
	if (wait != NULL) {
		memcpy(cancel->waitstart, wait->waitstart,
		    sizeof(cancel->waitstart));
		memcpy(cancel->vxid, wait->vxid, sizeof(cancel->vxid));
	}
	req->worker->n_cancels++;
	req->core->stats.cancels++;
	return cancel;
}

static void
ask(struct lk_request *req, const struct lk_wait *wait)
{
	struct lk_core *core = req->core;
	struct lk_worker *worker = req->worker;
	struct lk_cancel *cancel;

	if (worker->backend_pid == 0)
		return;		/* the session's end is on its way to us */
	cancel = make_cancel(req, wait);
	cancel->terminate = is_due(req, TERMINATE_US);
	if (lk_server_is_watched(worker->server) && !is_due(req, LEAVE_US))
		core->effects->cancel(core->ctx, worker->server->index,
		    &cancel);
	else
		core->effects->cancel_directly(core->ctx, worker->index,
		    &cancel);
}

static void
repeat(struct lk_timer *timer)
{
	struct lk_request *req = lk_container(timer, struct lk_request,
	    cancel_timer);

	if (req->state != LK_REQUEST_RUNNING || !req->why.is_set)
		return;
	/* A watcher that hangs as well may never answer. */
	if (req->worker->n_cancels == 0 || is_due(req, LEAVE_US))
		ask(req, NULL);
	lk_timer_set(&req->core->timers, &req->cancel_timer,
	    req->core->now_us + REPEAT_US);
}

void
lk_cancel_timer_init(struct lk_request *req)
{
	lk_timer_init(&req->cancel_timer, repeat);
}

static void
cancel_queued(struct lk_request *req, struct lk_error *why)
{
	struct lk_tx *tx = req->tx;

	if (req->state == LK_REQUEST_QUEUED) {
		lk_database_dequeue(req);
		if (tx != NULL)
			lk_tx_set_state(tx, LK_TX_IDLE);
	}
	if (req->state == LK_REQUEST_PARKED)
		lk_park_leave(req);
	lk_record_timeout(req, why);
	lk_request_fail(req, why);
}

/* It leaves its batch, which goes on for the others. */
static void
end_apart(struct lk_request *req, struct lk_error *why)
{
	lk_record_timeout(req, why);
	lk_deadlock_ended(req, LK_DEADLOCK_FAILED);
	lk_request_fail(req, why);
}

static void
cancel_running(struct lk_request *req, struct lk_error *why,
    const struct lk_wait *wait)
{
	if (req->is_commit)
		return;		/* it may have committed: its result is awaited */
	/* The first reason stands; but one that falls away with a wait gives
	 * way to one that does not. */
	if (req->why.is_set && (!req->why_is_wait || wait != NULL))
		return;
	if (req->is_parking && req->why.is_set)
		lk_park_give_up(req);
	lk_error_move(&req->why, why);
	req->why_is_wait = wait != NULL;
	if (req->cancel_since_us == 0)
		req->cancel_since_us = req->core->now_us;
	ask(req, wait);
	if (wait == NULL)
		lk_timer_set(&req->core->timers, &req->cancel_timer,
		    req->core->now_us + REPEAT_US);
}

void
lk_cancel_request(struct lk_request *req, struct lk_error *why,
    const struct lk_wait *wait)
{
	/* In a transaction it is to fail as in PostgreSQL, which then has failed. */
	if (req->state == LK_REQUEST_PARKED && req->tx != NULL &&
	    req->tx->worker != NULL)
		lk_lane_let_through(req);
	switch (req->state) {
	case LK_REQUEST_WAITING:
	case LK_REQUEST_QUEUED:
	case LK_REQUEST_PARKED:
	case LK_REQUEST_LISTENING:
	case LK_REQUEST_RETRYING:
		cancel_queued(req, why);
		break;
	case LK_REQUEST_RUNNING:
		if (lk_worker_lets_go(req))
			end_apart(req, why);
		else
			cancel_running(req, why, wait);
		break;
	case LK_REQUEST_ENDING:
	case LK_REQUEST_HELD:
	case LK_REQUEST_DONE:
	case LK_REQUEST__N:
		break;
	}
}

/* Each look that still sees the wait asks again, so nothing repeats it. */
void
lk_cancel_batch(struct lk_worker *worker, const struct lk_wait *wait)
{
	struct lk_core *core = worker->database->core;
	const struct lk_request *first = lk_worker_request(worker);
	struct lk_cancel *cancel;

	if (first == NULL || worker->n_cancels > 0)
		return;
	worker->is_breaking = true;
	cancel = make_cancel(first, wait);
	core->effects->cancel(core->ctx, worker->server->index, &cancel);
}

/* Whatever has become of its session. */
static bool
has_done_nothing(const struct lk_request *req, const struct lk_item *item)
{
	return item->outcome == LK_ITEM_UNSENT ||
	    (item->outcome == LK_ITEM_LOST && lk_orm_only_reads(req));
}

bool
lk_cancel_has_hit(const struct lk_request *req, const struct lk_item *item)
{
	const char *sqlstate = item->error.sqlstate;

	return req->why.is_set && (strcmp(sqlstate, "57014") == 0 ||
	    strcmp(sqlstate, "57P01") == 0 || has_done_nothing(req, item));
}

struct lk_error *
lk_cancel_reason(struct lk_request *req, struct lk_item *item)
{
	if (!lk_cancel_has_hit(req, item))
		return &item->error;
	lk_record_timeout(req, &req->why);
	lk_deadlock_ended(req, LK_DEADLOCK_FAILED);
	return &req->why;
}

/* What the answer says of the request, if that is still running. */
static void
learn(struct lk_request *req, const struct lk_cancel *cancel)
{
	if (req->state != LK_REQUEST_RUNNING || !req->why.is_set)
		return;
	if (!cancel->sent && !cancel->failed && cancel->waitstart[0] != '\0') {
		/* It no longer waits so: that reason is none any more. */
		lk_deadlock_ended(req, LK_DEADLOCK_DISSOLVED);
		req->was_reported = false;
		if (req->unit != NULL)
			req->unit->is_hopeless = false;
		if (!req->why_is_wait)
			return;		/* another has come since */
		if (req->is_parking)
			lk_park_give_up(req);
		lk_error_fini(&req->why);
		req->cancel_since_us = 0;
		return;
	}
	lk_timer_set(&req->core->timers, &req->cancel_timer,
	    req->core->now_us + REPEAT_US);
}

static void
say_failed(const struct lk_request *req, const struct lk_cancel *cancel)
{
	struct lk_log_about about = { 0 };

	if (req != NULL)
		about = lk_about_request(req);
	about.pid = cancel->backend_pid;
	lk_log_about(&about, LK_LOG_WARNING, "a cancel could not be sent");
}

void
lk_cancel_answered(struct lk_core *core, struct lk_cancel *cancel)
{
	struct lk_worker *worker = core->workers[cancel->worker];
	struct lk_request *req = lk_idtab_get(&core->request_ids,
	    cancel->request);

	if (cancel->failed)
		say_failed(req, cancel);
	if (req != NULL)
		learn(req, cancel);
	if (worker != NULL) {
		lk_assert(worker->n_cancels > 0);
		worker->n_cancels--;
		if (worker->n_cancels == 0)
			lk_worker_settle(worker);
	}
	lk_cancel_free(&cancel);
}
