#include "offload/cross.h"

#include <stdlib.h>

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
	struct lk_job *job = lk_xcalloc(1, sizeof(*job));

	init_msg(&job->msg, LK_MSG_JOB);
	job->items = lk_xcalloc(n_items, sizeof(*job->items));
	job->n_items = n_items;
	return job;
}

static void
fini_item(struct lk_item *item)
{
	free(item->arena);
	free(item->params);
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
	free((*job)->items);
	free(*job);
	*job = NULL;
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
