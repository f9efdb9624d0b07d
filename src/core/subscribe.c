/*
 * SUBSCRIBE and UNSUBSCRIBE, and who is subscribed; PUBLISH.
 *
 * Both take effect when their turn on the connection comes, with the
 * confirmations that are their replies.  SUBSCRIBE is LISTENING until all its
 * channels are listened to, then HELD like any other that is answered; up to its
 * turn what it asks for is no more than a reason to listen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* PostgreSQL cuts longer names; two that differ behind the cut would be one. */
#define MAX_CHANNEL	63
/* pg_type.dat gives it this for ever. */
#define TEXT_OID	25
/* Channels of one connection. */
#define MAX_SUBSCRIPTIONS	10000

/* ---- subscriptions ---- */

struct key {
	const struct lk_client	*client;
	const struct lk_channel	*channel;
};

static bool
is_of(const struct lk_hash_node *node, const void *arg)
{
	const struct lk_subscription *sub = lk_container(node,
	    struct lk_subscription, node);
	const struct key *key = arg;

	return sub->client == key->client && sub->channel == key->channel;
}

static uint64_t
hash_of(const struct key *key)
{
	return lk_hash_bytes(0, key, sizeof(*key));
}

static struct lk_subscription *
find(const struct lk_client *client, const struct lk_channel *channel)
{
	const struct key key = { client, channel };
	struct lk_hash_node *node = lk_hash_find(&client->core->subscriptions,
	    hash_of(&key), is_of, &key);

	return node != NULL ?
	    lk_container(node, struct lk_subscription, node) : NULL;
}

static void
ask_for(struct lk_request *req, const struct lk_arg *name)
{
	struct lk_subscription *sub = lk_xcalloc(1, sizeof(*sub));

	sub->channel = lk_channel_get(req->database, name->data, name->len);
	sub->client = req->client;
	sub->request = req;
	lk_list_append(&sub->channel->subscriptions, &sub->channel_link);
	lk_list_append(&req->subscriptions, &sub->client_link);
	req->client->n_asked++;
	lk_channel_settle(sub->channel);
}

/* It was asked for, and from here on its client gets messages. */
static void
put_in_force(struct lk_subscription *sub)
{
	struct lk_client *client = sub->client;
	const struct key key = { client, sub->channel };

	lk_list_remove(&sub->client_link);
	lk_list_append(&client->subscriptions, &sub->client_link);
	sub->request = NULL;
	client->n_asked--;
	client->n_subscriptions++;
	lk_hash_insert(&client->core->subscriptions, &sub->node,
	    hash_of(&key));
}

static void
end_subscription(struct lk_subscription *sub)
{
	struct lk_client *client = sub->client;
	struct lk_channel *channel = sub->channel;

	if (sub->request != NULL) {
		client->n_asked--;
	} else {
		client->n_subscriptions--;
		lk_hash_remove(&client->core->subscriptions, &sub->node);
	}
	lk_list_remove(&sub->channel_link);
	lk_list_remove(&sub->client_link);
	free(sub);
	lk_channel_settle(channel);
}

static void
end_all(struct lk_list *subscriptions)
{
	while (!lk_list_is_empty(subscriptions))
		end_subscription(lk_container(subscriptions->next,
		    struct lk_subscription, client_link));
}

/* What the listeners are to know of all this. */
static void
serve_all(struct lk_core *core)
{
	size_t i;

	for (i = 0; i < core->n_databases; i++)
		lk_channels_serve(&core->databases[i]);
}

void
lk_subscribe_leave(struct lk_request *req)
{
	if (lk_list_is_empty(&req->subscriptions))
		return;
	end_all(&req->subscriptions);
	serve_all(req->core);
}


/* ---- confirmations ---- */

static void
confirm(struct lk_buf *out, const struct lk_client *client, const char *kind,
    const char *channel, size_t n)
{
	lk_enc_push(out, client->format.proto, 3);
	lk_enc_text(out, kind);
	if (channel != NULL)
		lk_enc_bulk(out, channel, n);
	else
		lk_enc_null(out, client->format.proto);
	lk_enc_int(out, client->n_subscriptions);
}

static void
subscribe(struct lk_request *req, struct lk_buf *out)
{
	struct lk_subscription *sub;
	size_t i;

	for (i = 0; i < req->n_args; i++) {
		sub = lk_container(req->subscriptions.next,
		    struct lk_subscription, client_link);
		if (find(sub->client, sub->channel) == NULL)
			put_in_force(sub);
		else
			end_subscription(sub);
		confirm(out, req->client, "subscribe", req->args[i].data,
		    req->args[i].len);
	}
}

static void
unsubscribe(struct lk_request *req, struct lk_buf *out)
{
	const struct lk_arg *name;
	struct lk_channel *channel;
	struct lk_subscription *sub;
	size_t i;

	for (i = 0; i < req->n_args; i++) {
		name = &req->args[i];
		channel = lk_channel_find(req->database, name->data,
		    name->len);
		sub = channel != NULL ? find(req->client, channel) : NULL;
		if (sub != NULL)
			end_subscription(sub);
		confirm(out, req->client, "unsubscribe", name->data,
		    name->len);
	}
}

static void
unsubscribe_all(struct lk_client *client, struct lk_buf *out)
{
	struct lk_subscription *sub;
	struct lk_arg name;
	char text[MAX_CHANNEL];

	if (client->n_subscriptions == 0)
		confirm(out, client, "unsubscribe", NULL, 0);
	while (client->n_subscriptions > 0) {
		sub = lk_container(client->subscriptions.next,
		    struct lk_subscription, client_link);
		name = (struct lk_arg){ text, sub->channel->n_name };
		memcpy(text, sub->channel->name, name.len);
		end_subscription(sub);
		confirm(out, client, "unsubscribe", name.data, name.len);
	}
}

void
lk_subscribe_confirm(struct lk_request *req, struct lk_buf *out)
{
	if (!lk_list_is_empty(&req->subscriptions))
		subscribe(req, out);
	else if (req->n_args > 0)
		unsubscribe(req, out);
	else
		unsubscribe_all(req->client, out);
	serve_all(req->core);
}

/* Those that are answered and wait for their turn have it first: what they ask
 * for ends, too. */
static void
confirm_held(struct lk_client *client)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	LK_LIST_EACH(&client->order, it, next) {
		req = lk_container(it, struct lk_request, order_link);
		if (!req->confirms)
			continue;
		lk_subscribe_confirm(req, &req->reply);
		client->n_held_bytes += req->reply.len;
		req->confirms = false;
	}
}

void
lk_subscribe_end(struct lk_client *client)
{
	confirm_held(client);
	end_all(&client->subscriptions);
	client->missed = NULL;
	serve_all(client->core);
}

/*
 * Without a tag the confirmations are the reply, made when its turn comes; with
 * one they go before it, and it says how many subscriptions there are now.
 */
static void
answer(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;

	if (req->n_tag > 0) {
		lk_subscribe_confirm(req, &out);
		req->core->effects->reply(req->client->conn, &out);
		lk_request_int(req, req->client->n_subscriptions);
	} else {
		req->confirms = true;
		lk_request_reply(req, &out);
	}
	lk_buf_fini(&out);
}

static bool
is_listened_to(const struct lk_request *req)
{
	const struct lk_list *it;

	for (it = req->subscriptions.next; it != &req->subscriptions;
	    it = it->next) {
		if (!lk_container(it, struct lk_subscription,
		    client_link)->channel->is_listened)
			return false;
	}
	return true;
}

void
lk_subscribe_try(struct lk_request *req)
{
	if (is_listened_to(req))
		answer(req);
}

/* ---- the verbs ---- */

static bool
is_channel(const struct lk_arg *name)
{
	return name->data != NULL && name->len >= 1 &&
	    name->len <= MAX_CHANNEL &&
	    memchr(name->data, '\0', name->len) == NULL;
}

/* Its first n arguments; false: it has failed. */
static bool
are_channels(struct lk_request *req, size_t n)
{
	size_t i;

	for (i = 0; i < n && is_channel(&req->args[i]); i++)
		;
	if (i == n)
		return true;
	lk_request_failf(req, LK_ERR_SYNTAX, "a channel's name has 1 to %d "
	    "bytes, none of them NUL: %s", MAX_CHANNEL, req->verb->syntax);
	return false;
}

void
lk_run_subscribe(struct lk_request *req)
{
	const struct lk_client *client = req->client;
	struct lk_core *core = req->core;
	size_t i;

	if (lk_drain_refuses(req) || !are_channels(req, req->n_args))
		return;
	if (client->n_subscriptions + client->n_asked + req->n_args >
	    MAX_SUBSCRIPTIONS) {
		lk_request_failf(req, LK_ERR_OVERLOAD, "a connection has at "
		    "most %d channels: open another", MAX_SUBSCRIPTIONS);
		return;
	}
	lk_request_set_state(req, LK_REQUEST_LISTENING);
	req->queued_us = core->now_us;
	if (core->config->timeout_queue_us > 0)
		lk_timer_set(&core->timers, &req->queue_timer,
		    core->now_us + core->config->timeout_queue_us);
	for (i = 0; i < req->n_args; i++)
		ask_for(req, &req->args[i]);
	lk_channels_serve(req->database);
	lk_request_todo(req);
}

void
lk_run_unsubscribe(struct lk_request *req)
{
	if (are_channels(req, req->n_args))
		answer(req);
}

/* An int4, which no HELLO makes a text. */
static const char publish_sql[] =
    "SELECT 1 FROM pg_catalog.pg_notify($1, $2)";

bool
lk_publish_plan(struct lk_request *req, struct lk_plan *plan)
{
	size_t i;

	if (!are_channels(req, 1))
		return false;
	plan->sql = lk_xstrdup(publish_sql);
	plan->n_params = req->n_args;
	plan->params = lk_xcalloc(plan->n_params, sizeof(*plan->params));
	for (i = 0; i < plan->n_params; i++)
		plan->params[i] = (struct lk_plan_param){
		    .data = req->args[i].data, .len = req->args[i].len,
		    .type = TEXT_OID };
	plan->shape = LK_SHAPE_INT;
	plan->has_no_trace = plan->is_clean = true;
	return true;
}

void
lk_run_publish(struct lk_request *req)
{
	if (lk_tx_refuses(req))
		return;
	lk_orm_forget(req);	/* that of an earlier try */
	if (lk_publish_plan(req, &req->plan))
		lk_run_statement(req);
}

bool
lk_subscribe_is_mode(const struct lk_client *client)
{
	return client->n_subscriptions > 0 && client->format.proto == 2;
}

bool
lk_subscribe_refuses(struct lk_request *req)
{
	if (!lk_subscribe_is_mode(req->client) ||
	    (req->verb->flags & LK_VERB_SUBSCRIBER))
		return false;
	lk_request_failf(req, LK_ERR_SYNTAX, "Can't execute '%s': only "
	    "SUBSCRIBE / UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
	    "context; on RESP3 (HELLO 3) all verbs are", req->verb->name);
	return true;
}

/* ---- what a channel's listener says ---- */

static struct lk_request *
first_that_asks(const struct lk_channel *channel)
{
	const struct lk_list *it;
	struct lk_request *req;

	for (it = channel->subscriptions.next; it != &channel->subscriptions;
	    it = it->next) {
		req = lk_container(it, struct lk_subscription,
		    channel_link)->request;
		/* One that is HELD was told that it will have it. */
		if (req != NULL && req->state == LK_REQUEST_LISTENING)
			return req;
	}
	return NULL;
}

void
lk_subscribe_refused(struct lk_channel *channel, const struct lk_error *why)
{
	struct lk_request *req;
	struct lk_error error;

	/* Each of them goes with all that it asks for. */
	while ((req = first_that_asks(channel)) != NULL) {
		lk_error_init(&error);
		lk_error_set(&error, why->kind, "%s", why->message);
		lk_error_set_sqlstate(&error, why->sqlstate);
		lk_request_fail(req, &error);
	}
}

void
lk_subscribe_listened(struct lk_channel *channel)
{
	struct lk_list *it, *next;
	struct lk_subscription *sub;

	LK_LIST_EACH(&channel->subscriptions, it, next) {
		sub = lk_container(it, struct lk_subscription, channel_link);
		if (sub->request != NULL)
			lk_request_todo(sub->request);
		else if (channel->was_lost)
			lk_message_lost(sub);
	}
}

