/*
 * Channels: which of a database's are to be listened to, and the thread that
 * does so.  It remembers none, so each new session of its is told of all.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

/* How many channels the listener is told of at once. */
#define MAX_ITEMS	1000
/* When a server that refuses LISTEN, as a standby does, is asked again. */
#define RETRY_US	LK_US_PER_S

static const char *const state_words[LK_LISTENER__N] = {
#define LK_STATE(symbol, word) [LK_LISTENER_##symbol] = word,
	LK_LISTENER_STATES(LK_STATE)
#undef LK_STATE
};

#define BIT(symbol)	(1u << LK_LISTENER_##symbol)

static const unsigned next_states[LK_LISTENER__N] = {
	[LK_LISTENER_NONE] = BIT(CONNECTING),
	[LK_LISTENER_CONNECTING] = BIT(LISTENING) | BIT(STOPPING),
	[LK_LISTENER_LISTENING] = BIT(CONNECTING) | BIT(STOPPING),
	[LK_LISTENER_STOPPING] = BIT(NONE),
};

const char *
lk_listener_state_word(enum lk_listener_state state)
{
	return state_words[state];
}

static void
set_state(struct lk_channels *channels, enum lk_listener_state state)
{
	lk_assert(next_states[channels->state] & (1u << state));
	channels->state = state;
}

static uint32_t
index_of(const struct lk_database *db)
{
	return (uint32_t)(db - db->core->databases);
}

/* ---- the channels ---- */

static bool
is_named(const struct lk_hash_node *node, const void *key)
{
	const struct lk_channel *channel = lk_container(node,
	    struct lk_channel, node);
	const struct lk_arg *name = key;

	return channel->n_name == name->len &&
	    memcmp(channel->name, name->data, name->len) == 0;
}

struct lk_channel *
lk_channel_find(const struct lk_database *db, const char *name, size_t n)
{
	const struct lk_arg key = { name, n };
	struct lk_hash_node *node = lk_hash_find(&db->channels.by_name,
	    lk_hash_bytes(0, name, n), is_named, &key);

	return node != NULL ?
	    lk_container(node, struct lk_channel, node) : NULL;
}

struct lk_channel *
lk_channel_get(struct lk_database *db, const char *name, size_t n)
{
	struct lk_channel *channel = lk_channel_find(db, name, n);

	if (channel != NULL)
		return channel;
	channel = lk_xcalloc(1, sizeof(*channel) + n + 1);
	channel->database = db;
	channel->n_name = n;
	memcpy(channel->name, name, n);
	lk_list_init(&channel->subscriptions);
	lk_list_init(&channel->unsettled_link);
	lk_list_append(&db->channels.all, &channel->link);
	lk_hash_insert(&db->channels.by_name, &channel->node,
	    lk_hash_bytes(0, name, n));
	return channel;
}

static void
free_channel(struct lk_channel *channel)
{
	lk_list_remove(&channel->link);
	lk_hash_remove(&channel->database->channels.by_name, &channel->node);
	free(channel);
}

void
lk_channel_settle(struct lk_channel *channel)
{
	struct lk_channels *channels = &channel->database->channels;
	bool is_wanted = !lk_list_is_empty(&channel->subscriptions);

	if (is_wanted && !channel->is_wanted)
		channels->n_wanted++;
	if (!is_wanted && channel->is_wanted)
		channels->n_wanted--;
	channel->is_wanted = is_wanted;
	if (channel->is_asked)
		return;		/* its answer leads here again */
	lk_list_remove(&channel->unsettled_link);
	if (is_wanted != channel->is_listened)
		lk_list_append(&channels->unsettled, &channel->unsettled_link);
	else if (!is_wanted)
		free_channel(channel);
}

/* ---- what the listener is told ---- */

static void
fill_item(struct lk_listen_item *item, struct lk_channel *channel)
{
	item->channel = lk_xstrdup(channel->name);
	item->is_on = channel->is_wanted;
	channel->is_asked = true;
	channel->is_listened = false;
	lk_list_remove(&channel->unsettled_link);
}

static void
ask(struct lk_database *db)
{
	struct lk_list *unsettled = &db->channels.unsettled, *it, *next;
	struct lk_listen *listen;
	size_t n = 0;

	for (it = unsettled->next; it != unsettled && n < MAX_ITEMS;
	    it = it->next)
		n++;
	listen = lk_listen_new(n);
	n = 0;
	LK_LIST_EACH(unsettled, it, next) {
		if (n == listen->n_items)
			break;
		fill_item(&listen->items[n++], lk_container(it,
		    struct lk_channel, unsettled_link));
	}
	db->channels.has_asked = true;
	db->core->effects->listen(db->core->ctx, index_of(db), &listen);
}

/* All that it listened to is listened to no more. */
static void
forget_session(struct lk_channels *channels)
{
	struct lk_list *it, *next;
	struct lk_channel *channel;

	channels->backend_pid = 0;
	LK_LIST_EACH(&channels->all, it, next) {
		channel = lk_container(it, struct lk_channel, link);
		if (channel->is_listened)
			channel->was_lost = true;
		channel->is_listened = false;
		lk_channel_settle(channel);
	}
}

static void
start(struct lk_database *db)
{
	struct lk_core *core = db->core;
	struct lk_channels *channels = &db->channels;

	free(channels->why_down);
	channels->why_down = NULL;
	if (core->effects->listener_start(core->ctx, index_of(db),
	    db->config) < 0) {
		channels->why_down = lk_xstrdup("no thread could be started");
		lk_log(LK_LOG_ERROR, "%s: no thread to listen to channels",
		    db->config->name);
		return;
	}
	core->n_listeners++;
	set_state(channels, LK_LISTENER_CONNECTING);
}

static void
stop(struct lk_database *db)
{
	struct lk_channels *channels = &db->channels;

	set_state(channels, LK_LISTENER_STOPPING);
	forget_session(channels);
	lk_timer_clear(&db->core->timers, &channels->retry_timer);
	db->core->effects->listener_stop(db->core->ctx, index_of(db));
}

void
lk_channels_serve(struct lk_database *db)
{
	struct lk_channels *channels = &db->channels;

	switch (channels->state) {
	case LK_LISTENER_NONE:
		if (channels->n_wanted > 0 && !db->core->is_stopping)
			start(db);
		break;
	case LK_LISTENER_CONNECTING:
	case LK_LISTENER_LISTENING:
		if (channels->n_wanted == 0)
			stop(db);
		else if (channels->state == LK_LISTENER_LISTENING &&
		    !channels->has_asked && channels->retry_timer.due_us == LK_NEVER &&
		    !lk_list_is_empty(&channels->unsettled))
			ask(db);
		break;
	case LK_LISTENER_STOPPING:
	case LK_LISTENER__N:
		break;
	}
}

static void
ask_again(struct lk_timer *timer)
{
	lk_channels_serve(lk_container(timer, struct lk_database,
	    channels.retry_timer));
}

void
lk_channels_init(struct lk_channels *channels)
{
	lk_hash_init(&channels->by_name);
	lk_list_init(&channels->all);
	lk_list_init(&channels->unsettled);
	lk_timer_init(&channels->retry_timer, ask_again);
}

void
lk_channels_fini(struct lk_channels *channels)
{
	lk_assert(lk_list_is_empty(&channels->all));
	lk_hash_fini(&channels->by_name);
	free(channels->why_down);
}

void
lk_channels_say_down(const struct lk_database *db, struct lk_error *error)
{
	const char *why = db->channels.why_down;

	if (why == NULL)
		why = "the server has not answered yet";
	lk_error_set(error, LK_ERR_CONNLOST, "the channels of %s could not be "
	    "listened to: %s", db->config->name, why);
	lk_error_set_field(error, LK_FIELD_DETAIL, why);
}

/* ---- what it answers ---- */

/* Whether that means that its subscribers have missed something. */
static bool
take_answer(struct lk_database *db, struct lk_listen_item *item,
    bool was_lost)
{
	struct lk_channel *channel = lk_channel_find(db, item->channel,
	    strlen(item->channel));
	bool has_missed = false;

	lk_assert(channel != NULL && channel->is_asked);
	if (item->is_on && !was_lost && item->error.is_set) {
		lk_subscribe_refused(channel, &item->error);
		if (channel->is_wanted)
			lk_timer_set(&db->core->timers,
			    &db->channels.retry_timer,
			    db->core->now_us + RETRY_US);
	} else if (item->is_on && !was_lost) {
		lk_subscribe_listened(channel);
		channel->is_listened = true;
		has_missed = channel->was_lost;
		channel->was_lost = false;
	}
	channel->is_asked = false;
	lk_channel_settle(channel);
	return has_missed;
}

static void
take_answers(struct lk_database *db, struct lk_listen *listen)
{
	bool has_missed = false;
	size_t i;

	/* Whoever is refused may have been the last who wanted any. */
	for (i = 0; i < listen->n_items; i++)
		has_missed |= take_answer(db, &listen->items[i],
		    listen->was_lost ||
		    db->channels.state != LK_LISTENER_LISTENING);
	db->channels.has_asked = false;
	lk_listen_free(&listen);
	if (has_missed)
		lk_message_tell_missed(db->core);
	lk_channels_serve(db);
}

static void
session_is_up(struct lk_database *db, const struct lk_note *note)
{
	struct lk_channels *channels = &db->channels;
	struct lk_log_about about = { .pid = note->backend_pid };

	set_state(channels, LK_LISTENER_LISTENING);
	channels->backend_pid = note->backend_pid;
	lk_log_about(&about, channels->why_down != NULL ? LK_LOG_INFO :
	    LK_LOG_DEBUG, "%s: a session listens to channels",
	    db->config->name);
	free(channels->why_down);
	channels->why_down = NULL;
	lk_channels_serve(db);
}

static void
session_is_down(struct lk_database *db, const struct lk_note *note)
{
	struct lk_channels *channels = &db->channels;
	struct lk_log_about about = { .pid = channels->backend_pid };

	if (channels->why_down == NULL)
		lk_log_about(&about, LK_LOG_WARNING, "%s: no session listens "
		    "to channels: %s", db->config->name, note->error.message);
	free(channels->why_down);
	channels->why_down = lk_xstrdup(note->error.message);
	if (channels->state == LK_LISTENER_LISTENING)
		set_state(channels, LK_LISTENER_CONNECTING);
	forget_session(channels);
}

static void
take_note(struct lk_database *db, struct lk_note *note)
{
	if (db->channels.state == LK_LISTENER_STOPPING)
		;		/* its end follows */
	else if (note->kind == LK_NOTE_UP)
		session_is_up(db, note);
	else
		session_is_down(db, note);
	lk_note_free(&note);
}

static void
take_heard(struct lk_database *db, struct lk_heard *heard)
{
	lk_message_heard(db, heard);
	if (db->channels.state == LK_LISTENER_STOPPING)
		lk_heard_free(&heard);
	else
		db->core->effects->heard(db->core->ctx, index_of(db), &heard);
}

static void
listener_exited(struct lk_database *db)
{
	set_state(&db->channels, LK_LISTENER_NONE);
	db->core->n_listeners--;
	lk_channels_serve(db);
}

void
lk_channels_deliver(struct lk_database *db, struct lk_msg *msg)
{
	switch (msg->kind) {
	case LK_MSG_NOTE:
		take_note(db, lk_container(msg, struct lk_note, msg));
		break;
	case LK_MSG_LISTEN:
		take_answers(db, lk_container(msg, struct lk_listen, msg));
		break;
	case LK_MSG_HEARD:
		take_heard(db, lk_container(msg, struct lk_heard, msg));
		break;
	default:
		lk_assert(msg->kind == LK_MSG_EXITED);
		listener_exited(db);
		break;
	}
}
