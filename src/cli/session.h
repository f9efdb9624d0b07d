/* Finding the daemon and being connected to it. */
#ifndef LK_CLI_SESSION_H
#define LK_CLI_SESSION_H

#include "cli/cli.h"

#define LK_DEFAULT_SOCKET	"/run/lockkeeper/lockkeeper.sock"

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
	uint64_t	 timeout_us;	/* of each wait for a reply; 0: none */
};

/*
 * Connect and say HELLO, whose reply goes to *hello_out unless that is NULL;
 * pushes go to stderr.  NULL, and said why, when that fails.
 */
struct lk_client *lk_session_open(const struct lk_session_options *options,
	    struct lk_value *hello_out);

/*
 * The verbs of the daemon at that socket, or at the default one when it is
 * NULL, with their syntax; where to read of them when there is no daemon.
 */
void	lk_cli_print_verbs(const char *socket);

#endif
