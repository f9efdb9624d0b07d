/*
 * Connections from inside: what blocking calls and tasks want of them beyond
 * lockkeeper.h.
 */
#ifndef LK_CLIENT_CONN_H
#define LK_CLIENT_CONN_H

#include <lockkeeper.h>

#include <sys/types.h>

#include "base/list.h"
#include "client/scope.h"
#include "client/socket.h"

/* Who waits for a reply; in the mux it is the request's arg. */
struct lk_waiter {
	lk_reply_fn	 done;		/* NULL: the reply is dropped */
	void		*arg;
	bool		 is_heap;	/* and goes when the reply comes */
};

struct lk_conn {
	struct lk_options options;	/* its strings are on the heap */
	bool		 is_blocking;	/* MODE blocking */
	bool		 is_closed;	/* by the program */
	bool		 is_raw;	/* lk_send() was used */
	enum lk_state	 state;
	int		 fd;		/* -1 */
	bool		 is_deaf;	/* the daemon takes nothing more */
	struct lk_mux	*mux;		/* of this connection, or the next */
	struct lk_mux	*greeter;	/* until HELLO is answered; or NULL */
	struct lk_reply	*hello;		/* or NULL */
	unsigned	 epoch;		/* counts connections */
	unsigned	 n_failed;	/* attempts without any reply since */
	uint64_t	 retry_us;	/* next attempt; LK_NEVER */
	uint64_t	 give_up_us;	/* those who wait for one fail then */
	uint64_t	 greet_us;	/* HELLO's reply must be here */
	char		*why;		/* heap; of the last loss or failure */
	int		 last_errno;	/* of connect(2), 0 when it worked */
	pid_t		 thread;	/* whose text was said */
	lk_change_fn	 on_change;
	void		*change_arg;
	unsigned	 depth;		/* functions of ours on the stack */
	struct lk_list	 tasks;		/* struct lk_task */
	unsigned	 n_tasks;	/* that there ever were */
	struct lk_scope	 scope;		/* of blocking calls */
	struct lk_reply	**strays;	/* heap; for lk_read() */
	size_t		 n_strays;
	size_t		 cap_strays;
};

/* As lk_submit() and lk_submit_unit(), with the caller's waiter. */
uint64_t lk_conn_submit(struct lk_conn *conn,
	    const struct lk_envelope *envelope, size_t n_words,
	    const char *const *words, const size_t *lens,
	    struct lk_waiter *waiter);
uint64_t lk_conn_submit_unit(struct lk_conn *conn,
	    const struct lk_envelope *envelope, const struct lk_unit *unit,
	    struct lk_waiter *waiter);
/* As lk_submit(), when nobody wants the reply; not while there is none. */
void	lk_conn_tell(struct lk_conn *conn, const struct lk_envelope *envelope,
	    size_t n_words, const char *const *words);
/* The connection is of no use any more; the next attempt comes soon. */
void	lk_conn_drop(struct lk_conn *conn, const char *why);
/* The calling thread is the one that waits: say so if it is another. */
void	lk_conn_say_thread(struct lk_conn *conn);
/* As lk_conn_new(), in either mode. */
struct lk_conn *lk_conn_make(const struct lk_options *options,
	    bool is_blocking);

#endif
