#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "resp/encode.h"

static const char *const state_words[LK_REQUEST__N] = {
#define LK_STATE(symbol, word) [LK_REQUEST_##symbol] = word,
	LK_REQUEST_STATES(LK_STATE)
#undef LK_STATE
};

#define BIT(symbol)	(1u << LK_REQUEST_##symbol)

static const unsigned next_states[LK_REQUEST__N] = {
	/* PARKED at once: an equal one is */
	[LK_REQUEST_WAITING] = BIT(QUEUED) | BIT(PARKED) | BIT(LISTENING) |
	    BIT(RUNNING) | BIT(HELD) | BIT(DONE),
	/* back to WAITING: its client reads no replies */
	[LK_REQUEST_QUEUED] = BIT(RUNNING) | BIT(PARKED) | BIT(WAITING) |
	    BIT(HELD) | BIT(DONE),
	/* from a park into a lane; from that back to WAITING: it may be sent to
	 * its transaction's worker, or that has ended; to RUNNING: it is sent
	 * all the same; to ENDING: it is in a deadlock */
	[LK_REQUEST_PARKED] = BIT(WAITING) | BIT(QUEUED) | BIT(PARKED) |
	    BIT(RUNNING) | BIT(ENDING) | BIT(HELD) | BIT(DONE),
	[LK_REQUEST_LISTENING] = BIT(HELD) | BIT(DONE),
	/* back to WAITING: for what it was compiled the catalog is not; to
	 * QUEUED: nothing of it had been sent, or its lock's holder ended
	 * while it was cancelled to be parked */
	[LK_REQUEST_RUNNING] = BIT(WAITING) | BIT(QUEUED) | BIT(PARKED) |
	    BIT(RETRYING) | BIT(ENDING) | BIT(HELD) | BIT(DONE),
	[LK_REQUEST_RETRYING] = BIT(QUEUED) | BIT(PARKED) | BIT(HELD) |
	    BIT(DONE),
	[LK_REQUEST_ENDING] = BIT(HELD) | BIT(DONE),
	[LK_REQUEST_HELD] = BIT(DONE),
	[LK_REQUEST_DONE] = 0,
};

const char *
lk_request_state_word(enum lk_request_state state)
{
	return state_words[state];
}

/* The states that limits.queue counts. */
static unsigned
is_queue(enum lk_request_state state)
{
	return state == LK_REQUEST_WAITING || state == LK_REQUEST_QUEUED ||
	    state == LK_REQUEST_PARKED || state == LK_REQUEST_LISTENING ||
	    state == LK_REQUEST_RETRYING;
}

void
lk_request_set_state(struct lk_request *req, enum lk_request_state state)
{
	lk_assert(next_states[req->state] & (1u << state));
	req->core->n_waiting += is_queue(state);
	req->core->n_waiting -= is_queue(req->state);
	if (req->state == LK_REQUEST_WAITING)
		lk_catalog_leave(req);
	req->state = state;
	req->seq = ++req->core->seq;
}

/* ---- tags ---- */

struct tag_key {
	const struct lk_client	*client;
	const char		*tag;
	size_t			 n;
};

static bool
is_tagged(const struct lk_hash_node *node, const void *arg)
{
	const struct lk_request *req = lk_container(node, struct lk_request,
	    tag_node);
	const struct tag_key *key = arg;

	return req->client == key->client && req->n_tag == key->n &&
	    memcmp(req->tag, key->tag, key->n) == 0;
}

static struct lk_request *
find_tagged(const struct lk_client *client, uint64_t h, const char *tag,
    size_t n)
{
	struct tag_key key = { client, tag, n };
	struct lk_hash_node *node = lk_hash_find(&client->core->tags, h,
	    is_tagged, &key);

	return node != NULL ?
	    lk_container(node, struct lk_request, tag_node) : NULL;
}

struct lk_request *
lk_request_by_tag(struct lk_client *client, const char *tag, size_t n)
{
	return find_tagged(client, lk_hash_bytes(client->id, tag, n), tag, n);
}

bool
lk_request_set_tag(struct lk_request *req, const char *tag, size_t n)
{
	uint64_t h = lk_hash_bytes(req->client->id, tag, n);

	if (find_tagged(req->client, h, tag, n) != NULL)
		return false;
	memcpy(req->tag, tag, n);
	req->n_tag = n;
	req->tag_node.hash = h;
	return true;
}

void
lk_request_take_tag(struct lk_request *req)
{
	lk_hash_insert(&req->core->tags, &req->tag_node, req->tag_node.hash);
}

static void
give_tag_back(struct lk_request *req)
{
	if (req->n_tag == 0 || req->client == NULL)
		return;
	lk_hash_remove(&req->core->tags, &req->tag_node);
}

struct lk_server *
lk_request_server(const struct lk_request *req)
{
	if (req->state == LK_REQUEST_RUNNING)
		return req->worker->server;
	if (lk_lane_has_waiter(req))
		return req->database->server;
	return req->state == LK_REQUEST_PARKED ? req->park->server : NULL;
}

uint64_t
lk_request_lock_left(const struct lk_request *req, uint64_t waited_us)
{
	if (req->lock_us == LK_NEVER)
		return LK_NEVER;
	waited_us += req->spent_us;
	return req->lock_us > waited_us ? req->lock_us - waited_us : 0;
}

/* ---- from its coming to its going ---- */

static void
deadline_passed(struct lk_timer *timer)
{
	struct lk_request *req = lk_container(timer, struct lk_request,
	    deadline_timer);
	struct lk_buf phase = LK_BUF_INIT;
	struct lk_error why;

	if (req->state == LK_REQUEST_HELD || req->state == LK_REQUEST_ENDING)
		return;
	if (req->state == LK_REQUEST_RUNNING &&
	    lk_server_is_watched(req->worker->server)) {
		/* One look first, to say whether and for whom it waits. */
		req->want_look = true;
		lk_watch_now(req->worker->server);
		return;
	}
	lk_error_init(&why);
	if (req->state == LK_REQUEST_RUNNING)
		lk_buf_puts(&phase, "run");
	else if (req->state == LK_REQUEST_PARKED)
		lk_words_lock(&phase, lk_request_server(req),
		    lk_park_wait(req), req->client);
	else
		lk_words_queue(&phase, req);
	lk_error_set(&why, LK_ERR_TIMEOUT,
	    "the deadline of %llu ms passed in phase %s",
	    (unsigned long long)req->deadline_ms, lk_buf_cstr(&phase));
	lk_buf_fini(&phase);
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}

static void
queue_timeout_passed(struct lk_timer *timer)
{
	struct lk_request *req = lk_container(timer, struct lk_request,
	    queue_timer);
	struct lk_buf text = LK_BUF_INIT;
	struct lk_error why;

	if (req->state == LK_REQUEST_PARKED) {
		lk_park_time_out(req);
		return;
	}
	if (req->state == LK_REQUEST_WAITING) {
		lk_catalog_time_out(req);
		return;
	}
	if (req->state == LK_REQUEST_RETRYING) {
		lk_exec_try_again(req);
		return;
	}
	lk_error_init(&why);
	if (req->state == LK_REQUEST_LISTENING) {
		lk_channels_say_down(req->database, &why);
	} else if (req->database->down_since_us != 0) {
		lk_database_say_down(req->database, &why);
	} else {
		lk_words_slots(&text, req->database, req->client);
		lk_error_set(&why, LK_ERR_POOLTIMEOUT,
		    "no slot of %s became free within %llu ms; %s",
		    req->database->config->name, (unsigned long long)
		    (req->core->config->timeout_queue_us / LK_US_PER_MS),
		    lk_buf_cstr(&text));
	}
	lk_buf_fini(&text);
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}

struct lk_request *
lk_request_new(struct lk_client *client)
{
	struct lk_core *core = client->core;
	struct lk_request *req = lk_pool_take(&core->request_pool);

	req->core = core;
	req->id = lk_idtab_add(&core->request_ids, req);
	req->number = core->next_number++;
	req->client = client;
	req->format = client->format;
	req->state = LK_REQUEST_WAITING;
	req->seq = req->came_seq = ++core->seq;
	req->arrived_us = core->now_us;
	req->deadline_us = req->lock_us = req->lock_due_us = LK_NEVER;
	if (core->config->timeout_lock_us > 0)
		req->lock_us = core->config->timeout_lock_us;
	lk_list_append(&client->requests, &req->client_link);
	req->is_late = core->is_draining;
	client->n_outstanding++;
	core->n_requests++;
	core->n_waiting++;
	lk_list_init(&req->order_link);
	lk_list_init(&req->task_link);
	lk_list_init(&req->tx_link);
	lk_list_init(&req->ready_link);
	lk_list_init(&req->job_link);
	lk_list_init(&req->shape_link);
	lk_list_init(&req->todo_link);
	lk_list_init(&req->catalog_link);
	lk_list_init(&req->subscriptions);
	lk_timer_init(&req->deadline_timer, deadline_passed);
	lk_timer_init(&req->queue_timer, queue_timeout_passed);
	lk_cancel_timer_init(req);
	lk_park_init(req);
	return req;
}

static void
free_request(struct lk_request *req)
{
	struct lk_core *core = req->core;

	lk_timer_clear(&core->timers, &req->deadline_timer);
	lk_timer_clear(&core->timers, &req->queue_timer);
	lk_timer_clear(&core->timers, &req->cancel_timer);
	lk_exec_end(req);
	if (req->client != NULL)
		req->client->n_outstanding--;
	core->n_requests--;
	lk_list_remove(&req->client_link);
	lk_list_remove(&req->order_link);
	lk_idtab_remove(&core->request_ids, req->id);
	lk_error_fini(&req->why);
	lk_buf_fini(&req->reply);
	free(req->control);
	lk_orm_forget(req);
	free(req->doing);
	free(req->args);
	lk_pool_give(&core->request_pool, req);
}

/* Its place in task and tx is free: those behind it may be able to start. */
static void
leave_tx(struct lk_request *req)
{
	struct lk_tx *tx = req->tx;

	if (tx == NULL)
		return;
	lk_list_remove(&req->tx_link);
	req->tx = NULL;
	if (!lk_list_is_empty(&tx->requests))
		lk_request_todo(lk_container(tx->requests.next,
		    struct lk_request, tx_link));
}

static void
wake_first_of_task(struct lk_task *task)
{
	if (!lk_list_is_empty(&task->requests))
		lk_request_todo(lk_container(task->requests.next,
		    struct lk_request, task_link));
}

static void
leave_task(struct lk_request *req)
{
	struct lk_task *task = req->task;

	if (task == NULL)
		return;
	lk_unit_passed(req);
	lk_list_remove(&req->task_link);
	req->task = NULL;
	wake_first_of_task(task);
	lk_task_forget(task);
}

/* It is answered: the task's next may run, though this reply is held. */
static void
hold_in_task(struct lk_request *req)
{
	if (req->task == NULL)
		return;
	lk_unit_passed(req);
	lk_list_remove(&req->task_link);
	lk_list_append(&req->task->held, &req->task_link);
	wake_first_of_task(req->task);
}

static void
end_request(struct lk_request *req)
{
	lk_request_set_state(req, LK_REQUEST_DONE);
	if (req->is_sentinel)
		lk_sentinel_gone(req, false);
	lk_lane_leave(req);
	lk_list_remove(&req->todo_link);
	lk_subscribe_leave(req);
	leave_tx(req);
	leave_task(req);
	give_tag_back(req);
	free_request(req);
}

void
lk_request_todo(struct lk_request *req)
{
	if (!lk_list_is_linked(&req->todo_link))
		lk_list_append(&req->core->todo, &req->todo_link);
}

/*
 * Requests of one tx run in the order of their coming; but one that joins late
 * (the connection's current tx) passes none that has begun.
 */
void
lk_request_join(struct lk_request *req, struct lk_tx *tx)
{
	struct lk_list *at = tx->requests.prev;
	const struct lk_request *last;

	while (at != &tx->requests) {
		last = lk_container(at, struct lk_request, tx_link);
		if (last->number < req->number ||
		    last->state != LK_REQUEST_WAITING)
			break;
		at = at->prev;
	}
	lk_list_insert(at->next, &req->tx_link);
	req->tx = tx;
	req->database = tx->database;
	req->seq = ++req->core->seq;
}

static bool
is_first_of_task(const struct lk_request *req)
{
	return req->task->requests.next == &req->task_link;
}

static void
join_current(struct lk_request *req)
{
	struct lk_client *client = req->client;

	if (req->tx == NULL && !req->tx_said && req->n_tag == 0 &&
	    (req->verb->flags & LK_VERB_TX) && client->current != NULL &&
	    req->task == client->current->owner)
		lk_request_join(req, client->current);
}

/*
 * What replies wait for is older, as is all that that may wait for; except that
 * it may have joined its transaction late, behind one that is younger.
 */
static bool
is_newer_than_turn(const struct lk_request *req)
{
	const struct lk_list *order = &req->client->order;
	const struct lk_request *turn;

	if (lk_list_is_empty(order))
		return false;
	turn = lk_container(order->next, struct lk_request, order_link);
	return turn->number < req->number &&
	    (turn->tx == NULL || turn->tx != req->tx);
}

/*
 * Its reply would add to too many that are kept for its client.  What ends a
 * transaction goes on, and frees its locks.
 */
bool
lk_request_is_held_back(const struct lk_request *req)
{
	if (!lk_verb_is_statement(req->verb) &&
	    !(req->verb->flags & LK_VERB_LONG))
		return false;
	if ((req->verb->flags & LK_VERB_ALWAYS) &&
	    (req->verb->flags & LK_VERB_TX))
		return false;
	return req->client->is_paused ||
	    (req->client->is_full && is_newer_than_turn(req));
}

void
lk_request_put_back(struct lk_request *req)
{
	if (req->state != LK_REQUEST_QUEUED || !lk_request_is_held_back(req))
		return;
	lk_database_dequeue(req);
	lk_request_set_state(req, LK_REQUEST_WAITING);
	if (req->is_sentinel)
		lk_sentinel_gone(req, false);
	/* Its verb makes it anew. */
	free(req->control);
	req->control = NULL;
	if (req->tx != NULL)
		lk_tx_set_state(req->tx, LK_TX_IDLE);
}

void
lk_request_try(struct lk_request *req)
{
	uint8_t rows;

	if (req->state == LK_REQUEST_LISTENING) {
		lk_subscribe_try(req);
		return;
	}
	if (req->state != LK_REQUEST_WAITING || req->client == NULL ||
	    !is_first_of_task(req))
		return;
	if (lk_request_is_held_back(req)) {
		lk_lane_leave(req);
		return;
	}
	/* As HELLO says by now, not as it did when this arrived. */
	rows = req->rows_said ? req->format.rows : req->client->format.rows;
	req->format = req->client->format;
	req->format.rows = rows;
	if (req->verb->flags & LK_VERB_ON_RECEIPT) {
		lk_request_run(req);
		return;
	}
	if (lk_unit_takes(req)) {
		if (!lk_subscribe_refuses(req))
			lk_unit_queue(req);
		return;
	}
	join_current(req);
	if (req->tx != NULL) {
		if (req->tx->requests.next != &req->tx_link)
			return;
		/* Its cancel fence is up: lk_worker_settle() comes back. */
		if (req->tx->worker != NULL &&
		    !lk_worker_is_free(req->tx->worker))
			return;
	}
	lk_request_run(req);
}

void
lk_request_run(struct lk_request *req)
{
	if (!lk_subscribe_refuses(req))
		req->verb->run(req);
}

/* ---- replies ---- */

/* Written by hand into a place that costs nothing: it goes before most replies. */
static void
send_tagged(struct lk_request *req, struct lk_buf *value)
{
	static const char begin[] = "*3\r\n+reply\r\n$";
	struct lk_client *client = req->client;
	char head[sizeof(begin) + 8 + sizeof(req->tag)], *p = head;

	memcpy(p, begin, strlen(begin));
	if (client->tags_push && client->format.proto == 3)
		*p = '>';
	p += strlen(begin);
	lk_assert(req->n_tag <= sizeof(req->tag) && req->n_tag < 100);
	if (req->n_tag >= 10)
		*p++ = (char)('0' + req->n_tag / 10);
	*p++ = (char)('0' + req->n_tag % 10);
	memcpy(p, "\r\n", 2);
	memcpy(p + 2, req->tag, req->n_tag);
	p += 2 + req->n_tag;
	memcpy(p, "\r\n", 2);
	req->core->effects->reply_head(client->conn, head,
	    (size_t)(p + 2 - head));
	req->core->effects->reply(client->conn, value);
}

/* Send what is ready at the head of the connection's order; false: nothing. */
static bool
send_in_order(struct lk_client *client)
{
	struct lk_request *req;
	bool has_sent = false;

	while (!lk_list_is_empty(&client->order)) {
		req = lk_container(client->order.next, struct lk_request,
		    order_link);
		if (req->state != LK_REQUEST_HELD)
			break;
		client->n_held_bytes -= req->reply.len;
		if (req->confirms)
			lk_subscribe_confirm(req, &req->reply);
		client->core->effects->reply(client->conn, &req->reply);
		end_request(req);
		has_sent = true;
	}
	return has_sent;
}

/* As limits.output does for what has left already. */
static void
bound_held(struct lk_client *client, bool has_sent)
{
	uint64_t limit = client->core->config->limit_output_bytes;

	if (client->n_held_bytes > limit && !client->is_full) {
		client->is_full = true;
		lk_client_hold_back(client);
	} else if (client->is_full && has_sent) {
		/* Another may be what they wait for now. */
		client->is_full = client->n_held_bytes > limit;
		lk_client_go_on(client);
	}
}

/* While its reply waits nothing is asked of it but what it did. */
static void
forget_args(struct lk_request *req)
{
	lk_words_keep(req);
	free(req->args);
	req->args = NULL;
	req->n_args = 0;
}

/* Answered; the reply waits for its turn. */
static void
hold(struct lk_request *req, struct lk_buf *value)
{
	bool is_next = req->client->order.next == &req->order_link;

	if (!is_next && req->sent_us != 0)
		forget_args(req);
	lk_request_set_state(req, LK_REQUEST_HELD);
	if (req->is_sentinel)
		lk_sentinel_gone(req, false);
	lk_buf_move(&req->reply, value);
	req->client->n_held_bytes += req->reply.len;
	lk_timer_clear(&req->core->timers, &req->deadline_timer);
	lk_timer_clear(&req->core->timers, &req->queue_timer);
	lk_timer_clear(&req->core->timers, &req->cancel_timer);
	leave_tx(req);
	hold_in_task(req);
}

void
lk_request_reply(struct lk_request *req, struct lk_buf *value)
{
	struct lk_client *client = req->client;

	if (req->verb != NULL && (req->verb->flags & LK_VERB_LONG))
		req->core->n_told_bytes += value->len;
	lk_record_slow(req);
	/* Unless it has failed before this. */
	lk_deadlock_ended(req, LK_DEADLOCK_DISSOLVED);
	lk_lane_leave(req);
	lk_list_remove(&req->todo_link);
	if (client == NULL) {
		end_request(req);
		return;
	}
	if (req->n_tag > 0) {
		send_tagged(req, value);
		end_request(req);
	} else {
		hold(req, value);
		bound_held(client, send_in_order(client));
	}
	/* After QUIT or PROTO: whatever came before is owed its reply. */
	if (client->is_closing && client->n_outstanding == 0)
		client->core->effects->close(client->conn);
}

static void
note_tx(const struct lk_request *req, struct lk_error *error)
{
	char text[24];

	if (req->tx == NULL)
		return;
	snprintf(text, sizeof(text), "%llu",
	    (unsigned long long)req->tx->handle);
	lk_error_set_field(error, LK_FIELD_TX, text);
}

void
lk_request_fail(struct lk_request *req, struct lk_error *error)
{
	struct lk_buf value = LK_BUF_INIT;
	struct lk_client *client = req->client;

	req->core->stats.errors++;
	lk_subscribe_leave(req);
	lk_record_failure(req, error);
	lk_exec_note_failure(req, error);
	if (req->task != NULL)
		lk_unit_note_failure(req, req->task, error);
	note_tx(req, error);
	if (client != NULL && client->error_blobs && client->format.proto == 3)
		lk_enc_error_blob(&value, error);
	else
		lk_enc_error(&value, error);
	if (client != NULL) {
		if (client->last_error == NULL)
			client->last_error = lk_xcalloc(1,
			    sizeof(*client->last_error));
		lk_error_move(client->last_error, error);
	}
	lk_error_fini(error);	/* now: it may be the request's own */
	lk_request_reply(req, &value);
	lk_buf_fini(&value);
}

void
lk_request_failf(struct lk_request *req, enum lk_error_kind kind,
    const char *fmt, ...)
{
	struct lk_buf text = LK_BUF_INIT;
	struct lk_error error;
	va_list ap;

	va_start(ap, fmt);
	lk_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	lk_error_init(&error);
	lk_error_set(&error, kind, "%s", lk_buf_cstr(&text));
	lk_buf_fini(&text);
	lk_request_fail(req, &error);
}

void
lk_request_simple(struct lk_request *req, const char *text)
{
	struct lk_buf value = LK_BUF_INIT;

	lk_enc_simple(&value, text);
	lk_request_reply(req, &value);
	lk_buf_fini(&value);
}

void
lk_request_int(struct lk_request *req, int64_t number)
{
	struct lk_buf value = LK_BUF_INIT;

	lk_enc_int(&value, number);
	lk_request_reply(req, &value);
	lk_buf_fini(&value);
}

void
lk_request_drop(struct lk_request *req)
{
	struct lk_error why;
	bool is_out = (req->state == LK_REQUEST_RUNNING &&
	    !lk_worker_lets_go(req)) || req->state == LK_REQUEST_ENDING;

	give_tag_back(req);
	lk_list_remove(&req->client_link);
	lk_list_remove(&req->order_link);
	req->client->n_outstanding--;
	req->client = NULL;
	if (!is_out) {
		if (req->state == LK_REQUEST_QUEUED)
			lk_database_dequeue(req);
		if (req->state == LK_REQUEST_PARKED)
			lk_park_leave(req);
		end_request(req);
		return;
	}
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_CANCELED, "the connection was closed");
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}
