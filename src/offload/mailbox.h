/*
 * Mailbox: the only way from one thread to another.  Posting hands a message
 * over: the poster keeps no pointer to it.  The receiver learns of mail
 * through lk_mailbox_fd(), readable while there is some; it is written to only
 * when the box was empty, so that a burst costs one wake-up.
 */
#ifndef LK_OFFLOAD_MAILBOX_H
#define LK_OFFLOAD_MAILBOX_H

#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"

enum lk_msg_kind {
	LK_MSG_JOB,	/* struct lk_job, to a worker and back */
	LK_MSG_NOTE,	/* struct lk_note, from a worker or listener */
	LK_MSG_LOOK,	/* struct lk_look, to a watcher and back */
	LK_MSG_CANCEL,	/* struct lk_cancel, to a watcher or worker and back */
	LK_MSG_CATALOG,	/* struct lk_catalog_read, to a reader and back */
	LK_MSG_LISTEN,	/* struct lk_listen, to a channel listener and back */
	LK_MSG_HEARD,	/* struct lk_heard, from a channel listener and back */
	LK_MSG_STOP,	/* bare, to a thread: end */
	LK_MSG_EXITED,	/* bare, from a thread as its last: it may be joined */
};

/* First member of everything that crosses. */
struct lk_msg {
	struct lk_list	 link;
	enum lk_msg_kind kind;
	uint32_t	 thread;	/* who it is from or for: lk_thread.index */
};

struct lk_mailbox {
	struct lk_mutex	mutex;
	struct lk_list	mail;		/* under mutex */
	int		fd;		/* eventfd */
};

/* 0, or -LK_E_IO with errno. */
int	lk_mailbox_init(struct lk_mailbox *box);
void	lk_mailbox_fini(struct lk_mailbox *box);	/* must be empty */
/* Never blocks on I/O, never fails. */
void	lk_mailbox_post(struct lk_mailbox *box, struct lk_msg *msg)
	    LK_ANY_THREAD;
/* Receiver only: move all mail to the end of out. */
void	lk_mailbox_take(struct lk_mailbox *box, struct lk_list *out);
int	lk_mailbox_fd(const struct lk_mailbox *box);

#endif
