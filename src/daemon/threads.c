#include "daemon/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/die.h"

/* With its end, what pthread_setname_np() takes. */
#define NAME_BYTES	16

void
lk_threads_fini(struct lk_threads *threads)
{
	uint32_t i;

	for (i = 0; i < threads->n_threads; i++)
		lk_assert(threads->threads[i] == NULL);
	free(threads->threads);
	threads->threads = NULL;
	threads->n_threads = 0;
}

static struct lk_thread **
slot_of(struct lk_threads *threads, uint32_t index)
{
	uint32_t i;

	lk_assert(index < threads->mark || threads->mark == 0);
	if (index >= threads->n_threads) {
		threads->threads = lk_xrealloc(threads->threads,
		    ((size_t)index + 1) * sizeof(*threads->threads));
		for (i = threads->n_threads; i <= index; i++)
			threads->threads[i] = NULL;
		threads->n_threads = index + 1;
	}
	return &threads->threads[index];
}

int
lk_threads_start(struct lk_threads *threads, uint32_t index, void *arg)
{
	struct lk_thread **slot = slot_of(threads, index);
	char name[NAME_BYTES];
	int rc;

	lk_assert(*slot == NULL);
	*slot = lk_xcalloc(1, sizeof(**slot));
	snprintf(name, sizeof(name), "%s-%" PRIu32, threads->name, index);
	rc = lk_thread_start(*slot, index | threads->mark, name, threads->body,
	    arg, threads->outbox);
	if (rc < 0) {
		free(*slot);
		*slot = NULL;
	}
	return rc;
}

static struct lk_thread *
get_thread(struct lk_threads *threads, uint32_t index)
{
	struct lk_thread *thread = *slot_of(threads, index);

	lk_assert(thread != NULL);
	return thread;
}

void
lk_threads_post(struct lk_threads *threads, uint32_t index, struct lk_msg *msg)
{
	msg->thread = index | threads->mark;
	lk_mailbox_post(&get_thread(threads, index)->inbox, msg);
}

void
lk_threads_stop(struct lk_threads *threads, uint32_t index)
{
	lk_thread_stop(get_thread(threads, index));
}

struct lk_thread *
lk_threads_join(struct lk_threads *threads, uint32_t index)
{
	struct lk_thread *thread = get_thread(threads, index);

	*slot_of(threads, index) = NULL;
	lk_thread_join(thread);
	return thread;
}
