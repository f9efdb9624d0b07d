/*
 * A worker's or watcher's thread with its two boxes.  The loop starts it,
 * posts to its inbox, and joins it when its LK_MSG_EXITED arrives in the
 * outbox, which all threads share.
 */
#ifndef LK_OFFLOAD_THREAD_H
#define LK_OFFLOAD_THREAD_H

#include <pthread.h>
#include <stdint.h>

#include "base/role.h"
#include "offload/mailbox.h"

struct lk_thread;
typedef void (*lk_thread_fn)(struct lk_thread *thread);

struct lk_thread {
	pthread_t	   handle;
	uint32_t	   index;	/* stamped on all that it posts */
	struct lk_mailbox  inbox;	/* loop to thread */
	struct lk_mailbox *outbox;	/* thread to loop; not owned */
	lk_thread_fn	   body;
	void		  *arg;		/* body's; must outlive the thread */
	struct lk_msg	   stop;	/* used once by lk_thread_stop() */
	struct lk_msg	   exited;
};

/* 0, or -LK_E_IO with errno: the thread does not exist then. */
int	lk_thread_start(struct lk_thread *thread, uint32_t index,
	    const char *name, lk_thread_fn body, void *arg,
	    struct lk_mailbox *outbox) LK_ON_LOOP;
/* Ask it to end: once, as the last that is posted to it. */
void	lk_thread_stop(struct lk_thread *thread) LK_ON_LOOP;
/* After its LK_MSG_EXITED was taken: wait for it and free its inbox. */
void	lk_thread_join(struct lk_thread *thread) LK_ON_LOOP;

/* Post to the loop as this thread. */
void	lk_thread_post(struct lk_thread *thread, struct lk_msg *msg)
	    LK_ON_WORKER;

#endif
