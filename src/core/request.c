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
	[LK_REQUEST_WAITING] = BIT(QUEUED) | BIT(RUNNING) | BIT(HELD) |
	    BIT(DONE),
	[LK_REQUEST_QUEUED] = BIT(RUNNING) | BIT(HELD) | BIT(DONE),
	/* back to QUEUED: nothing of it had been sent */
	[LK_REQUEST_RUNNING] = BIT(QUEUED) | BIT(ENDING) | BIT(HELD) |
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
	return state == LK_REQUEST_WAITING || state == LK_REQUEST_QUEUED;
}

void
lk_request_set_state(struct lk_request *req, enum lk_request_state state)
{
	lk_assert(next_states[req->state] & (1u << state));
	req->core->n_waiting += is_queue(state);
	req->core->n_waiting -= is_queue(req->state);
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

struct lk_request *
lk_request_by_tag(struct lk_client *client, const char *tag, size_t n)
{
	struct tag_key key = { client, tag, n };
	struct lk_hash_node *node = lk_hash_find(&client->core->tags,
	    lk_hash_bytes(client->id, tag, n), is_tagged, &key);

	return node != NULL ?
	    lk_container(node, struct lk_request, tag_node) : NULL;
}

void
lk_request_take_tag(struct lk_request *req)
{
	if (req->n_tag == 0)
		return;
	lk_hash_insert(&req->core->tags, &req->tag_node,
	    lk_hash_bytes(req->client->id, req->tag, req->n_tag));
}

static void
give_tag_back(struct lk_request *req)
{
	if (req->n_tag == 0 || req->client == NULL)
		return;
	lk_hash_remove(&req->core->tags, &req->tag_node);
}

/* ---- from its coming to its going ---- */

static void
deadline_passed(struct lk_timer *timer)
{
	struct lk_request *req = lk_container(timer, struct lk_request,
	    deadline_timer);
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
	lk_error_set(&why, LK_ERR_TIMEOUT,
	    "the deadline of %llu ms passed in phase %s",
	    (unsigned long long)req->deadline_ms,
	    req->state == LK_REQUEST_RUNNING ? "run" : "queue");
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

	lk_error_init(&why);
	if (req->database->down_since_us != 0) {
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
}

struct lk_request *
lk_request_new(struct lk_client *client)
{
	struct lk_core *core = client->core;
	struct lk_request *req = lk_xcalloc(1, sizeof(*req));

	req->core = core;
	req->id = lk_idtab_add(&core->request_ids, req);
	req->number = core->next_number++;
	req->client = client;
	req->format = client->format;
	req->state = LK_REQUEST_WAITING;
	req->seq = ++core->seq;
	req->arrived_us = core->now_us;
	req->deadline_us = req->lock_us = req->lock_due_us = LK_NEVER;
	if (core->config->timeout_lock_us > 0)
		req->lock_us = core->config->timeout_lock_us;
	lk_list_append(&client->requests, &req->client_link);
	client->n_outstanding++;
	core->n_waiting++;
	lk_list_init(&req->order_link);
	lk_list_init(&req->task_link);
	lk_list_init(&req->tx_link);
	lk_list_init(&req->ready_link);
	lk_list_init(&req->todo_link);
	lk_timer_init(&req->deadline_timer, deadline_passed);
	lk_timer_init(&req->queue_timer, queue_timeout_passed);
	lk_cancel_timer_init(req);
	return req;
}

static void
free_request(struct lk_request *req)
{
	struct lk_core *core = req->core;

	lk_timer_clear(&core->timers, &req->deadline_timer);
	lk_timer_clear(&core->timers, &req->queue_timer);
	lk_timer_clear(&core->timers, &req->cancel_timer);
	if (req->client != NULL)
		req->client->n_outstanding--;
	lk_list_remove(&req->client_link);
	lk_list_remove(&req->order_link);
	lk_idtab_remove(&core->request_ids, req->id);
	lk_error_fini(&req->why);
	lk_buf_fini(&req->reply);
	free(req->control);
	free(req->doing);
	free(req->args);
	free(req->arena);
	free(req);
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
	lk_list_remove(&req->task_link);
	lk_list_append(&req->task->held, &req->task_link);
	wake_first_of_task(req->task);
}

static void
end_request(struct lk_request *req)
{
	lk_request_set_state(req, LK_REQUEST_DONE);
	lk_list_remove(&req->todo_link);
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

void
lk_request_try(struct lk_request *req)
{
	uint8_t rows;

	if (req->state != LK_REQUEST_WAITING || req->client == NULL ||
	    !is_first_of_task(req))
		return;
	join_current(req);
	if (req->tx != NULL) {
		if (req->tx->requests.next != &req->tx_link)
			return;
		/* Its cancel fence is up: lk_worker_settle() comes back. */
		if (req->tx->worker != NULL &&
		    !lk_worker_is_free(req->tx->worker))
			return;
	}
	/* As HELLO says by now, not as it did when this arrived. */
	rows = req->rows_said ? req->format.rows : req->client->format.rows;
	req->format = req->client->format;
	req->format.rows = rows;
	req->verb->run(req);
}

/* ---- replies ---- */

static void
send_tagged(struct lk_request *req, struct lk_buf *value)
{
	struct lk_buf head = LK_BUF_INIT;
	struct lk_client *client = req->client;

	if (client->tags_push && client->format.proto == 3)
		lk_enc_push(&head, 3, 3);
	else
		lk_enc_array(&head, 3);
	lk_enc_simple(&head, "reply");
	lk_enc_bulk(&head, req->tag, req->n_tag);
	req->core->effects->reply(client->conn, &head);
	req->core->effects->reply(client->conn, value);
	lk_buf_fini(&head);
}

/* Send what is ready at the head of the connection's order. */
static void
send_in_order(struct lk_client *client)
{
	struct lk_request *req;

	while (!lk_list_is_empty(&client->order)) {
		req = lk_container(client->order.next, struct lk_request,
		    order_link);
		if (req->state != LK_REQUEST_HELD)
			return;
		client->core->effects->reply(client->conn, &req->reply);
		end_request(req);
	}
	if (client->is_closing)
		client->core->effects->close(client->conn);
}

void
lk_request_reply(struct lk_request *req, struct lk_buf *value)
{
	struct lk_client *client = req->client;

	lk_deadlock_ended(req, false);	/* unless it has failed before this */
	lk_list_remove(&req->todo_link);
	if (client == NULL) {
		end_request(req);
		return;
	}
	if (req->n_tag > 0) {
		send_tagged(req, value);
		end_request(req);
		return;
	}
	lk_request_set_state(req, LK_REQUEST_HELD);
	lk_buf_move(&req->reply, value);
	lk_timer_clear(&req->core->timers, &req->deadline_timer);
	lk_timer_clear(&req->core->timers, &req->queue_timer);
	lk_timer_clear(&req->core->timers, &req->cancel_timer);
	leave_tx(req);
	hold_in_task(req);
	send_in_order(client);
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
	bool is_out = req->state == LK_REQUEST_RUNNING ||
	    req->state == LK_REQUEST_ENDING;

	give_tag_back(req);
	lk_list_remove(&req->client_link);
	lk_list_remove(&req->order_link);
	req->client->n_outstanding--;
	req->client = NULL;
	if (!is_out) {
		if (req->state == LK_REQUEST_QUEUED)
			lk_database_dequeue(req);
		end_request(req);
		return;
	}
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_CANCELED, "the connection was closed");
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}
