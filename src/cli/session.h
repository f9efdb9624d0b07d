/* Finding the daemon and being connected to it. */
#ifndef LK_CLI_SESSION_H
#define LK_CLI_SESSION_H

#include "cli/cli.h"

/*
 * Where `lockkeeper dev` points others at the socket of the one of this user's
 * that was started last: a symbolic link beside the directory that it uses
 * where none is named.  On the heap.
 */
char	*lk_session_dev_link(void);
/* The folder of both; NULL (and said why) when there is no home.  Heap. */
char	*lk_session_data_dir(void);

/*
 * The socket to use when -s gives none: $LOCKKEEPER_SOCKET, the system's, or,
 * when there is no such file, that of the user's `lockkeeper dev`.  Heap.
 */
char	*lk_session_default_socket(void);

struct lk_session_options {
	const char	*socket;	/* of -s, or NULL */
	int		 proto;		/* 2 or 3 */
	int		 timeout_ms;	/* of each wait for a reply; 0: none */
	lk_push_fn	 on_push;	/* NULL: lk_session_print_push() */
	void		*arg;		/* of that */
};

/*
 * Connect and say HELLO.  NULL, and said why, when that fails.
 */
struct lk_conn *lk_session_open(const struct lk_session_options *options);
/* To stderr. */
void	lk_session_print_push(void *arg, struct lk_conn *conn,
	    const struct lk_reply *push);

/*
 * Ask for words, up to NULL.  The reply when it is no error; else NULL, and
 * said why.
 */
struct lk_reply *lk_session_ask(struct lk_conn *conn, const char *who,
	    const char *const *words);

/*
 * The verbs of the daemon at that socket, or at the default one when it is
 * NULL, with their syntax; where to read of them when there is no daemon.
 */
void	lk_cli_print_verbs(const char *socket);

#endif
