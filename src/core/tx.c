#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

static const char *const state_words[LK_TX__N] = {
#define LK_STATE(symbol, word) [LK_TX_##symbol] = word,
	LK_TX_STATES(LK_STATE)
#undef LK_STATE
};

#define BIT(symbol)	(1u << LK_TX_##symbol)

static const unsigned next_states[LK_TX__N] = {
	[LK_TX_IDLE] = BIT(QUEUED) | BIT(RUNNING) | BIT(ENDING) |
	    BIT(ABORTED) | BIT(DONE),
	/* back to IDLE: its first statement ended while still queued */
	[LK_TX_QUEUED] = BIT(RUNNING) | BIT(IDLE) | BIT(DONE),
	/* back to QUEUED: nothing of its first statement had been sent */
	[LK_TX_RUNNING] = BIT(IDLE) | BIT(QUEUED) | BIT(ENDING) |
	    BIT(ABORTED) | BIT(DONE),
	[LK_TX_ENDING] = BIT(ABORTED) | BIT(DONE),
	[LK_TX_ABORTED] = BIT(DONE),
	[LK_TX_DONE] = 0,
};

const char *
lk_tx_state_word(enum lk_tx_state state)
{
	return state_words[state];
}

/* Only one that has begun holds a slot and locks. */
void
lk_tx_set_idle_timer(struct lk_tx *tx)
{
	uint64_t patience = tx->core->config->timeout_idle_tx_us;
	bool is_idle = tx->state == LK_TX_IDLE && tx->worker != NULL;

	lk_timer_set(&tx->core->timers, &tx->idle_timer,
	    is_idle && patience > 0 ? tx->since_us + patience : LK_NEVER);
	if (is_idle && tx->worker->server != NULL)
		lk_watch_soon(tx->worker->server,
		    lk_holder_due(tx->worker->server, tx));
}

void
lk_tx_expire_idle(struct lk_tx *tx, const char *key, uint64_t patience_us,
    const char *also)
{
	struct lk_buf text = LK_BUF_INIT;

	lk_buf_printf(&text, "it held a session of %s (pid %d), idle for longer "
	    "than %s (%llu ms)%s: ", tx->database->config->name,
	    tx->worker->backend_pid, key,
	    (unsigned long long)(patience_us / LK_US_PER_MS), also);
	lk_words_tx(&text, tx, tx->client);
	lk_tx_expire(tx, LK_ERR_TXEXPIRED, lk_buf_cstr(&text));
	lk_buf_fini(&text);
}

static void
idle_for_long(struct lk_timer *timer)
{
	struct lk_tx *tx = lk_container(timer, struct lk_tx, idle_timer);

	lk_tx_expire_idle(tx, "timeouts.idle_in_transaction",
	    tx->core->config->timeout_idle_tx_us, "");
}

void
lk_tx_set_state(struct lk_tx *tx, enum lk_tx_state state)
{
	lk_assert(next_states[tx->state] & (1u << state));
	tx->seq = ++tx->core->seq;
	if (tx->state == LK_TX_QUEUED && state == LK_TX_RUNNING)
		tx->pinned_seq = tx->seq;
	tx->state = state;
	tx->since_us = tx->core->now_us;
	lk_tx_set_idle_timer(tx);
}

static bool
has_handle(const struct lk_hash_node *node, const void *key)
{
	const uint64_t *handle = key;

	return lk_container(node, struct lk_tx, node)->handle == *handle;
}

static uint64_t
hash_handle(uint64_t handle)
{
	return lk_hash_bytes(0, &handle, sizeof(handle));
}

struct lk_tx *
lk_tx_by_handle(struct lk_core *core, uint64_t handle)
{
	struct lk_hash_node *node = lk_hash_find(&core->txs_by_handle,
	    hash_handle(handle), has_handle, &handle);

	return node != NULL ? lk_container(node, struct lk_tx, node) : NULL;
}

/* ---- rounds lost ---- */

/* How long after a deadlock a new transaction counts as another try. */
#define TRY_AGAIN_US	(5 * LK_US_PER_S)

/*
 * The next transaction of a task that has a name is another try of its last.
 * Without one it is the connection's next, whoever sends it: no more is known.
 */
static bool
has_name(const struct lk_task *task)
{
	return task != NULL && task->name != NULL;
}

static void
inherit_rounds(struct lk_tx *tx)
{
	struct lk_task *task = has_name(tx->owner) ? tx->owner :
	    tx->client->task;

	if (task != NULL)
		tx->rounds = lk_task_take_rounds(task);
	tx->age = tx->rounds.n_lost > 0 ? tx->rounds.age : tx->handle;
}

static void
pass_rounds_on(struct lk_tx *tx)
{
	if (has_name(tx->owner))
		lk_task_remember(tx->owner, &tx->rounds);
	else if (tx->client != NULL)
		lk_task_remember(lk_client_task(tx->client), &tx->rounds);
	tx->rounds.n_lost = 0;
}

static void
lose_round(struct lk_tx *tx)
{
	tx->rounds.n_lost++;
	tx->rounds.age = tx->age;
	tx->rounds.until_us = tx->core->now_us + TRY_AGAIN_US;
	pass_rounds_on(tx);
}

struct lk_tx *
lk_tx_new(struct lk_client *client, struct lk_task *owner,
    struct lk_database *database, const char *begin)
{
	struct lk_core *core = client->core;
	struct lk_tx *tx = lk_xcalloc(1, sizeof(*tx));
	struct lk_log_about about;

	tx->core = core;
	tx->handle = core->next_handle++;
	tx->state = LK_TX_IDLE;
	tx->seq = ++core->seq;
	tx->client = client;
	tx->database = database;
	tx->begin = begin;
	tx->begun_us = tx->since_us = core->now_us;
	lk_timer_init(&tx->idle_timer, idle_for_long);
	lk_list_init(&tx->requests);
	lk_list_init(&tx->holds);
	lk_cursor_init(tx);
	lk_list_init(&tx->owner_link);
	lk_list_append(&core->txs, &tx->link);
	lk_list_append(&client->txs, &tx->client_link);
	lk_hash_insert(&core->txs_by_handle, &tx->node,
	    hash_handle(tx->handle));
	lk_tx_set_owner(tx, owner);
	inherit_rounds(tx);
	core->stats.transactions++;
	about = lk_about_tx(tx);
	lk_log_about(&about, LK_LOG_DEBUG, "opened in %s: %s",
	    database->config->name, begin);
	return tx;
}

void
lk_tx_set_owner(struct lk_tx *tx, struct lk_task *owner)
{
	struct lk_task *before = tx->owner;

	tx->owner = owner;
	tx->seq = ++tx->core->seq;
	lk_list_remove(&tx->owner_link);
	if (owner != NULL)
		lk_list_append(&owner->txs, &tx->owner_link);
	if (before != NULL)
		lk_task_forget(before);
}

bool
lk_tx_may_use(const struct lk_tx *tx, const struct lk_client *client,
    const struct lk_task *task, bool task_said)
{
	if (tx->client != client)
		return false;
	return !tx->is_named || !task_said || tx->owner == task;
}

static void
fail_queued(struct lk_tx *tx)
{
	struct lk_request *req;

	while (!lk_list_is_empty(&tx->requests)) {
		req = lk_container(tx->requests.next, struct lk_request,
		    tx_link);
		lk_request_failf(req, LK_ERR_NOTX,
		    "#%llu has ended", (unsigned long long)tx->handle);
	}
}

static void
detach(struct lk_tx *tx)
{
	if (tx->worker == NULL)
		return;
	lk_lane_rollback_to(tx, 0);
	lk_park_release(tx);
	tx->worker->tx = NULL;
	tx->worker = NULL;
}

void
lk_tx_done(struct lk_tx *tx)
{
	struct lk_core *core = tx->core;
	struct lk_log_about about = lk_about_tx(tx);

	lk_log_about(&about, LK_LOG_DEBUG, "ended: %llu statements, last %s",
	    (unsigned long long)tx->n_statements,
	    tx->doing != NULL ? tx->doing : "none");
	lk_tx_set_state(tx, LK_TX_DONE);	/* clears its timer, too */
	detach(tx);
	fail_queued(tx);
	/* Unless it has committed, the next one is still another try. */
	if (tx->rounds.n_lost > 0 && core->now_us < tx->rounds.until_us)
		pass_rounds_on(tx);
	if (tx->client != NULL) {
		lk_list_remove(&tx->client_link);
		if (tx->client->current == tx)
			tx->client->current = NULL;
	}
	lk_tx_set_owner(tx, NULL);
	lk_list_remove(&tx->link);
	lk_hash_remove(&core->txs_by_handle, &tx->node);
	lk_cursor_fini(tx);
	lk_error_fini(&tx->why);
	lk_error_fini(&tx->expired);
	free(tx->doing);
	free(tx);
}

/* Those waiting in it are let go, one by one, into TXABORTED. */
static void
wake_first(struct lk_tx *tx)
{
	if (!lk_list_is_empty(&tx->requests))
		lk_request_todo(lk_container(tx->requests.next,
		    struct lk_request, tx_link));
}

bool
lk_tx_is_missing(struct lk_request *req)
{
	if (req->tx != NULL)
		return false;
	lk_request_failf(req, LK_ERR_NOTX, "%s needs a transaction: name one "
	    "with #handle, or open one with BEGIN HERE", req->verb->name);
	return true;
}

bool
lk_tx_refuses(struct lk_request *req)
{
	const struct lk_tx *tx = req->tx;
	struct lk_error error;

	if (tx == NULL || tx->state != LK_TX_ABORTED)
		return false;
	lk_error_init(&error);
	lk_error_set(&error, tx->why.kind, "%s", tx->why.message);
	lk_error_set_field(&error, LK_FIELD_DETAIL,
	    tx->why.fields[LK_FIELD_DETAIL]);
	lk_request_fail(req, &error);
	return true;
}

void
lk_tx_abort(struct lk_tx *tx, struct lk_error *why)
{
	struct lk_request *victim = tx->victim;

	lk_lane_abort(tx);
	detach(tx);
	lk_cursor_fini(tx);
	lk_error_move(&tx->why, why);
	tx->victim = NULL;
	if (tx->client != NULL)
		lk_tx_set_state(tx, LK_TX_ABORTED);
	if (victim != NULL)
		lk_request_fail(victim, &victim->why);
	if (tx->client == NULL)
		lk_tx_done(tx);
	else
		wake_first(tx);
}

/* By the daemon: at once, or as soon as the worker's fence is down. */
void
lk_tx_rollback(struct lk_tx *tx)
{
	struct lk_worker *worker = tx->worker;

	if (tx->state != LK_TX_ENDING)
		lk_tx_set_state(tx, LK_TX_ENDING);
	if (!lk_worker_is_free(worker)) {
		tx->wants_rollback = true;
		return;
	}
	tx->wants_rollback = false;
	tx->core->stats.rolled_back_by_daemon++;
	lk_worker_submit_rollback(worker);
}

/*
 * Its client is told at its next request; a statement that is out is told
 * now, by a reply of its own, as soon as the transaction is gone.
 */
void
lk_tx_expire(struct lk_tx *tx, enum lk_error_kind kind, const char *text)
{
	struct lk_request *req = NULL;
	struct lk_log_about about = lk_about_tx(tx);
	struct lk_error why;

	if (tx->expired.is_set || tx->state == LK_TX_ENDING ||
	    tx->state == LK_TX_ABORTED)
		return;		/* it ends already */
	lk_error_set(&tx->expired, kind, "#%llu was rolled back: "
	    "%s; ROLLBACK ends it", (unsigned long long)tx->handle, text);
	lk_log_about(&about, LK_LOG_INFO, "rolled back: %s", text);
	lk_push_txexpired(tx);
	if (!lk_list_is_empty(&tx->requests))
		req = lk_container(tx->requests.next, struct lk_request,
		    tx_link);
	if (req != NULL && req->state != LK_REQUEST_WAITING) {
		lk_error_init(&why);
		lk_error_set(&why, kind, "%s", tx->expired.message);
		lk_cancel_request(req, &why, NULL);
		lk_error_fini(&why);
	}
	if (tx->state != LK_TX_IDLE)
		return;		/* lk_tx_job_done() goes on */
	if (tx->worker != NULL)
		lk_tx_rollback(tx);
	else
		lk_tx_abort(tx, &tx->expired);
}

void
lk_tx_abandon(struct lk_tx *tx)
{
	switch (tx->state) {
	case LK_TX_IDLE:
		if (tx->worker != NULL)
			lk_tx_rollback(tx);
		else
			lk_tx_done(tx);
		break;
	case LK_TX_QUEUED:	/* its only request was dropped just now */
	case LK_TX_ABORTED:
		lk_tx_done(tx);
		break;
	case LK_TX_RUNNING:	/* being cancelled: lk_tx_job_done() goes on */
	case LK_TX_ENDING:
	case LK_TX_DONE:
	case LK_TX__N:
		break;
	}
}

/* ---- what comes back ---- */

/*
 * The session is gone and with it the transaction.  COMMIT alone may have been
 * carried out all the same, when it was sent and nothing came back.
 */
static void
lost_session(struct lk_tx *tx, struct lk_request *req, struct lk_item *item)
{
	bool ends = tx->state == LK_TX_ENDING;
	struct lk_error error, why;

	lk_error_init(&error);
	lk_error_init(&why);
	if (req->is_commit && item->outcome == LK_ITEM_LOST)
		lk_error_set(&error, LK_ERR_UNKNOWN, "the session was lost "
		    "after COMMIT of #%llu was sent: whether it committed is "
		    "not known", (unsigned long long)tx->handle);
	else
		lk_error_set(&error, LK_ERR_CONNLOST, "the session of #%llu "
		    "was lost; nothing of the transaction was committed",
		    (unsigned long long)tx->handle);
	lk_error_set_field(&error, LK_FIELD_DETAIL, item->error.message);
	if (ends && !req->is_commit)
		lk_request_simple(req, "ROLLBACK");
	else if (item->outcome == LK_ITEM_FAILED)
		lk_request_fail(req, lk_cancel_reason(req, item));
	else
		lk_request_fail(req, &error);
	lk_error_fini(&error);
	if (ends) {
		lk_tx_done(tx);
		return;
	}
	lk_error_set(&why, LK_ERR_TXABORTED,
	    "#%llu is aborted: its session was lost; ROLLBACK ends it",
	    (unsigned long long)tx->handle);
	lk_tx_abort(tx, &why);
	lk_error_fini(&why);
}

static void
control_ended(struct lk_tx *tx, struct lk_request *req, struct lk_item *item)
{
	bool rolled_back = strcmp(item->tag, "ROLLBACK") == 0;

	if (item->outcome != LK_ITEM_DONE) {
		lk_request_fail(req, &item->error);
	} else if (req->is_commit && rolled_back) {
		lk_request_failf(req, LK_ERR_TXABORTED, "#%llu had failed: "
		    "COMMIT rolled it back", (unsigned long long)tx->handle);
	} else {
		if (rolled_back)
			tx->core->stats.rollbacks++;
		else
			tx->core->stats.commits++;
		if (!rolled_back)
			tx->rounds.n_lost = 0;
		lk_request_simple(req, item->tag);
	}
	lk_tx_done(tx);
}

/*
 * A victim loses the whole transaction, before it is told: inside a savepoint
 * the locks that others wait for would stay.
 */
void
lk_tx_lose(struct lk_request *req, struct lk_error *why)
{
	struct lk_tx *tx = req->tx;

	if (why->kind == LK_ERR_DEADLOCK)
		lose_round(tx);
	if (why != &req->why)
		lk_error_move(&req->why, why);
	lk_lane_leave(req);
	lk_request_set_state(req, LK_REQUEST_ENDING);
	tx->victim = req;
	lk_tx_rollback(tx);
}

static void
statement_failed(struct lk_tx *tx, struct lk_request *req,
    struct lk_item *item)
{
	struct lk_error *error = lk_cancel_reason(req, item);

	if (error->kind == LK_ERR_DEADLOCK || tx->expired.is_set) {
		lk_tx_lose(req, error);
		return;
	}
	lk_tx_set_state(tx, LK_TX_IDLE);
	lk_request_fail(req, error);
}

static void
rollback_done(struct lk_tx *tx)
{
	struct lk_error why;

	if (tx->expired.is_set) {
		lk_tx_abort(tx, &tx->expired);
		return;
	}
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_TXABORTED, "#%llu was rolled back by the "
	    "daemon; ROLLBACK ends it", (unsigned long long)tx->handle);
	if (tx->victim != NULL)
		lk_error_set_field(&why, LK_FIELD_DETAIL,
		    tx->victim->why.message);
	lk_tx_abort(tx, &why);
	lk_error_fini(&why);
}

static void
keep_doing(struct lk_tx *tx, struct lk_request *req)
{
	lk_words_keep(req);
	/* A copy: while its reply is held the request is still shown. */
	free(tx->doing);
	tx->doing = lk_xstrdup(req->doing);
}

void
lk_tx_job_done(struct lk_tx *tx, struct lk_worker *worker,
    struct lk_request *req, struct lk_job *job)
{
	struct lk_item *item = &job->items[0];

	if (req == NULL) {
		rollback_done(tx);
		return;
	}
	tx->n_statements++;
	tx->n_rows += item->n_rows;
	tx->is_begun = true;
	tx->is_failed = job->after == LK_XACT_ERROR;
	keep_doing(tx, req);
	lk_lane_note(tx, req, item);
	if (worker->backend_pid == 0 &&
	    (item->outcome != LK_ITEM_DONE || tx->state != LK_TX_ENDING)) {
		lost_session(tx, req, item);
		return;
	}
	if (tx->state == LK_TX_ENDING) {
		control_ended(tx, req, item);
		return;
	}
	/* A failed block holds no locks any more; ROLLBACK TO gives some back. */
	if (tx->is_failed || strcmp(item->tag, "ROLLBACK") == 0)
		lk_park_release(tx);
	if (tx->is_failed)
		lk_lane_rollback_to(tx, lk_cursor_savepoint(tx));
	lk_cursor_note(req, item);
	if (item->outcome == LK_ITEM_DONE) {
		lk_tx_set_state(tx, LK_TX_IDLE);
		if (req->control != NULL)
			lk_request_simple(req, item->tag);
		else
			lk_request_reply(req, &item->reply);
	} else {
		statement_failed(tx, req, item);
	}
	if (tx->state == LK_TX_IDLE &&
	    (tx->client == NULL || tx->expired.is_set))
		lk_tx_rollback(tx);
}
