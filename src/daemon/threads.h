/*
 * The threads of one kind, workers, watchers, channel listeners or readers, by
 * their index.  All post to one mailbox; their messages carry the index with
 * `mark` in it, by which the kinds are told apart.
 */
#ifndef LK_DAEMON_THREADS_H
#define LK_DAEMON_THREADS_H

#include <stdint.h>

#include "base/role.h"
#include "offload/thread.h"

/* In the thread number of every message from a watcher. */
#define LK_WATCHER_MARK	0x80000000u
/* Likewise, from a channel listener, and from a reader. */
#define LK_LISTENER_MARK	0x40000000u
#define LK_READER_MARK	0x20000000u

struct lk_threads {
	const char	*name;		/* "worker": threads are worker-0 … */
	uint32_t	 mark;
	lk_thread_fn	 body;
	struct lk_mailbox *outbox;
	struct lk_thread **threads;	/* by index; NULL: none */
	uint32_t	 n_threads;
};

/* No thread may run any more. */
void	lk_threads_fini(struct lk_threads *threads) LK_ON_LOOP;
/* 0, or -LK_E_IO. */
int	lk_threads_start(struct lk_threads *threads, uint32_t index, void *arg)
	    LK_ON_LOOP;
void	lk_threads_post(struct lk_threads *threads, uint32_t index,
	    struct lk_msg *msg) LK_ON_LOOP;
/* Ask it to end; its LK_MSG_EXITED follows. */
void	lk_threads_stop(struct lk_threads *threads, uint32_t index) LK_ON_LOOP;
/*
 * After its LK_MSG_EXITED: join it and free its index for another.  The
 * message is inside the struct that is returned, which the caller frees.
 */
struct lk_thread *lk_threads_join(struct lk_threads *threads, uint32_t index)
	    LK_ON_LOOP;

#endif
