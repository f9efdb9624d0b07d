#include "offload/cross.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"

static void
init_msg(struct lk_msg *msg, enum lk_msg_kind kind)
{
	lk_list_init(&msg->link);
	msg->kind = kind;
}

struct lk_job *
lk_job_new(size_t n_items)
{
	struct lk_job *job = lk_xcalloc(1, sizeof(*job) +
	    n_items * sizeof(job->items[0]));

	init_msg(&job->msg, LK_MSG_JOB);
	job->n_items = n_items;
	return job;
}

struct lk_param *
lk_item_new_params(struct lk_item *item, size_t n)
{
	item->n_params = n;
	item->params = n <= LK_ITEM_FEW ? item->few :
	    lk_xcalloc(n, sizeof(*item->params));
	return item->params;
}

static void
fini_item(struct lk_item *item)
{
	free(item->text);
	if (item->params != item->few)
		free(item->params);
	lk_with_fini(&item->with);
	lk_buf_fini(&item->reply);
	lk_error_fini(&item->error);
}

void
lk_job_free(struct lk_job **job)
{
	size_t i;

	if (*job == NULL)
		return;
	for (i = 0; i < (*job)->n_items; i++)
		fini_item(&(*job)->items[i]);
	free((*job)->together.sql);
	free((*job)->together.types);
	free(*job);
	*job = NULL;
}

struct lk_note *
lk_note_new(enum lk_note_kind kind)
{
	struct lk_note *note = lk_xcalloc(1, sizeof(*note));

	init_msg(&note->msg, LK_MSG_NOTE);
	note->kind = kind;
	return note;
}

struct lk_item *
lk_job_answer(struct lk_job *job)
{
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		if (job->items[i].outcome == LK_ITEM_FAILED ||
		    job->items[i].outcome == LK_ITEM_LOST)
			return &job->items[i];
	}
	return &job->items[job->n_items - 1];
}

void
lk_note_free(struct lk_note **note)
{
	if (*note == NULL)
		return;
	lk_error_fini(&(*note)->error);
	free(*note);
	*note = NULL;
}

struct lk_look *
lk_look_new(void)
{
	struct lk_look *look = lk_xcalloc(1, sizeof(*look));

	init_msg(&look->msg, LK_MSG_LOOK);
	return look;
}

static void
fini_wait(struct lk_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->n_blockers; i++)
		free(wait->blockers[i].gid);
	free(wait->blockers);
	free(wait->object);
}

static void
fini_backend(struct lk_backend *backend)
{
	free(backend->application);
	free(backend->user);
	free(backend->database);
	free(backend->state);
	free(backend->query);
}

void
lk_look_free(struct lk_look **look)
{
	size_t i;

	if (*look == NULL)
		return;
	for (i = 0; i < (*look)->n_waits; i++)
		fini_wait(&(*look)->waits[i]);
	for (i = 0; i < (*look)->n_backends; i++)
		fini_backend(&(*look)->backends[i]);
	free((*look)->asked);
	free((*look)->waits);
	free((*look)->backends);
	lk_error_fini(&(*look)->error);
	free(*look);
	*look = NULL;
}

void
lk_cancel_free(struct lk_cancel **cancel)
{
	free(*cancel);
	*cancel = NULL;
}

struct lk_catalog_read *
lk_catalog_read_new(const char *database, struct lk_config_models *models)
{
	struct lk_catalog_read *read = lk_xcalloc(1, sizeof(*read));

	init_msg(&read->msg, LK_MSG_CATALOG);
	read->database = lk_xstrdup(database);
	read->models = lk_config_models_hold(models);
	return read;
}

void
lk_catalog_read_free(struct lk_catalog_read **read)
{
	if (*read == NULL)
		return;
	lk_assert((*read)->catalog == NULL);
	lk_config_models_free(&(*read)->models);
	lk_buf_fini(&(*read)->said);
	free((*read)->database);
	lk_error_fini(&(*read)->error);
	free(*read);
	*read = NULL;
}

struct lk_listen *
lk_listen_new(size_t n_items)
{
	struct lk_listen *listen = lk_xcalloc(1, sizeof(*listen));

	init_msg(&listen->msg, LK_MSG_LISTEN);
	listen->items = lk_xcalloc(n_items, sizeof(*listen->items));
	listen->n_items = n_items;
	return listen;
}

void
lk_listen_free(struct lk_listen **listen)
{
	size_t i;

	if (*listen == NULL)
		return;
	for (i = 0; i < (*listen)->n_items; i++) {
		free((*listen)->items[i].channel);
		lk_error_fini(&(*listen)->items[i].error);
	}
	free((*listen)->items);
	free(*listen);
	*listen = NULL;
}

struct lk_heard *
lk_heard_new(void)
{
	struct lk_heard *heard = lk_xcalloc(1, sizeof(*heard));

	init_msg(&heard->msg, LK_MSG_HEARD);
	return heard;
}

void
lk_heard_add(struct lk_heard *heard, const char *channel, const char *payload)
{
	size_t n_channel = strlen(channel) + 1, n_payload = strlen(payload) + 1;
	struct lk_notification *item;

	if (heard->n_items == heard->cap_items) {
		heard->cap_items = heard->cap_items > 0 ?
		    2 * heard->cap_items : 16;
		heard->items = lk_xrealloc(heard->items,
		    heard->cap_items * sizeof(*heard->items));
	}
	item = &heard->items[heard->n_items++];
	item->channel = lk_xmalloc(n_channel + n_payload);
	item->payload = item->channel + n_channel;
	memcpy(item->channel, channel, n_channel);
	memcpy(item->payload, payload, n_payload);
	heard->n_bytes += n_channel + n_payload;
}

void
lk_heard_free(struct lk_heard **heard)
{
	size_t i;

	if (*heard == NULL)
		return;
	for (i = 0; i < (*heard)->n_items; i++)
		free((*heard)->items[i].channel);
	free((*heard)->items);
	free(*heard);
	*heard = NULL;
}
