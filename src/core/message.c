/*
 * Messages from channels to those who are subscribed; and word of those that
 * could not be had.
 */
#include <string.h>

#include "core/internal.h"

static const char lost_text[] = "the session that listens was lost, and was "
    "opened anew: what was published meanwhile is lost";
static const char unread_text[] = "the connection had left more than "
    "limits.output unread: what was published meanwhile is lost";

static void
note_missed(struct lk_subscription *sub, const char *why)
{
	sub->has_missed = true;
	sub->client->missed = why;
}

void
lk_message_lost(struct lk_subscription *sub)
{
	note_missed(sub, lost_text);
}

/* ---- messages ---- */

static void
put_message(struct lk_buf *out, int proto, const struct lk_channel *channel,
    const char *payload)
{
	lk_enc_push(out, proto, 3);
	lk_enc_text(out, "message");
	lk_enc_bulk(out, channel->name, channel->n_name);
	lk_enc_text(out, payload);
}

static void
send_copy(struct lk_client *client, const struct lk_buf *message)
{
	struct lk_buf copy = LK_BUF_INIT;

	lk_buf_append(&copy, message->data, message->len);
	client->core->effects->reply(client->conn, &copy);
	client->core->stats.messages++;
}

/* Who leaves too much unread gets no more of it, but hears that there was. */
static void
send_message(struct lk_channel *channel, const char *payload)
{
	struct lk_buf messages[] = { LK_BUF_INIT, LK_BUF_INIT };
	struct lk_list *it, *next;
	struct lk_subscription *sub;

	put_message(&messages[0], 2, channel, payload);
	put_message(&messages[1], 3, channel, payload);
	LK_LIST_EACH(&channel->subscriptions, it, next) {
		sub = lk_container(it, struct lk_subscription, channel_link);
		if (sub->request != NULL || sub->client->is_closing)
			continue;
		if (sub->client->is_paused) {
			note_missed(sub, unread_text);
			sub->client->core->stats.messages_missed++;
		} else {
			send_copy(sub->client,
			    &messages[sub->client->format.proto == 3]);
		}
	}
	lk_buf_fini(&messages[0]);
	lk_buf_fini(&messages[1]);
}

void
lk_message_heard(struct lk_database *db, const struct lk_heard *heard)
{
	const struct lk_notification *item;
	struct lk_channel *channel;
	size_t i;

	for (i = 0; i < heard->n_items; i++) {
		item = &heard->items[i];
		db->core->stats.notifications++;
		channel = lk_channel_find(db, item->channel,
		    strlen(item->channel));
		if (channel != NULL)
			send_message(channel, item->payload);
	}
}

/* ---- what was missed ---- */

/*
 * RESP2 has no map that its clients would pass on, and of other shapes than
 * Redis's they lose count: a message of a pattern is one that all know.
 */
static void
put_missed(struct lk_buf *out, const struct lk_client *client)
{
	const struct lk_list *it;
	const struct lk_subscription *sub;

	for (it = client->subscriptions.next; it != &client->subscriptions;
	    it = it->next) {
		sub = lk_container(it, struct lk_subscription, client_link);
		if (!sub->has_missed)
			continue;
		lk_enc_array(out, 4);
		lk_enc_text(out, "pmessage");
		lk_enc_text(out, "missed");
		lk_enc_bulk(out, sub->channel->name, sub->channel->n_name);
		lk_enc_text(out, client->missed);
	}
}

static void
tell_missed(struct lk_client *client)
{
	struct lk_core *core = client->core;
	struct lk_buf out = LK_BUF_INIT;
	struct lk_list *it, *next;
	size_t i;

	if (client->format.proto == 2) {
		put_missed(&out, client);
		core->effects->reply(client->conn, &out);
	} else {
		for (i = 0; i < core->n_databases; i++)
			lk_push_missed(client, &core->databases[i]);
	}
	lk_buf_fini(&out);
	LK_LIST_EACH(&client->subscriptions, it, next)
		lk_container(it, struct lk_subscription,
		    client_link)->has_missed = false;
	client->missed = NULL;
}

void
lk_message_go_on(struct lk_client *client)
{
	if (client->missed != NULL && !client->is_paused &&
	    !client->is_closing)
		tell_missed(client);
}

void
lk_message_tell_missed(struct lk_core *core)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&core->clients, it, next)
		lk_message_go_on(lk_container(it, struct lk_client, link));
}
