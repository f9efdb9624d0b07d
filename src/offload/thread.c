#include "offload/thread.h"

#include <errno.h>
#include <signal.h>

#include "base/die.h"
#include "base/error.h"

static void *
run(void *arg)
{
	struct lk_thread *thread = arg;

	lk_role_enter(LK_ROLE_WORKER);
	lk_assert_worker();
	thread->body(thread);
	lk_thread_post(thread, &thread->exited);
	return NULL;
}

/* Signals are the loop's: a thread starts with all of them blocked. */
static int
create_without_signals(struct lk_thread *thread)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread->handle, NULL, run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = rc;
	return rc == 0 ? 0 : -LK_E_IO;
}

static void
init_msg(struct lk_msg *msg, enum lk_msg_kind kind, uint32_t index)
{
	lk_list_init(&msg->link);
	msg->kind = kind;
	msg->thread = index;
}

int
lk_thread_start(struct lk_thread *thread, uint32_t index, const char *name,
    lk_thread_fn body, void *arg, struct lk_mailbox *outbox)
{
	int rc = lk_mailbox_init(&thread->inbox);

	if (rc < 0)
		return rc;
	thread->index = index;
	thread->outbox = outbox;
	thread->body = body;
	thread->arg = arg;
	init_msg(&thread->stop, LK_MSG_STOP, index);
	init_msg(&thread->exited, LK_MSG_EXITED, index);
	rc = create_without_signals(thread);
	if (rc < 0) {
		lk_mailbox_fini(&thread->inbox);
		return rc;
	}
	pthread_setname_np(thread->handle, name);
	return 0;
}

void
lk_thread_stop(struct lk_thread *thread)
{
	lk_mailbox_post(&thread->inbox, &thread->stop);
}

void
lk_thread_join(struct lk_thread *thread)
{
	struct lk_list unread;

	pthread_join(thread->handle, NULL);
	lk_list_init(&unread);
	lk_mailbox_take(&thread->inbox, &unread);
	lk_assert(lk_list_is_empty(&unread));
	lk_mailbox_fini(&thread->inbox);
}

void
lk_thread_post(struct lk_thread *thread, struct lk_msg *msg)
{
	msg->thread = thread->index;
	lk_mailbox_post(thread->outbox, msg);
}
