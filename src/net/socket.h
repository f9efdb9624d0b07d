/* A listening Unix socket: making it, and removing its file. */
#ifndef LK_NET_SOCKET_H
#define LK_NET_SOCKET_H

#include <sys/types.h>

#include "base/error.h"

struct lk_socket {
	int		 fd;		/* -1 when closed */
	const char	*path;		/* the caller's */
	dev_t		 dev;		/* of the file that we made */
	ino_t		 ino;		/* 0: we made none */
};

/*
 * Bind and listen.  mode: the file's permission bits; group: its group by name
 * or number, "" to leave it.  A socket file that nobody listens on is
 * replaced.  0, or -LK_E_IO with error.
 */
int	lk_socket_open(struct lk_socket *sock, const char *path, mode_t mode,
	    const char *group, struct lk_error *error);
/*
 * Take a Unix stream socket that listens already, as systemd hands it on; its
 * file stays whose it is.  0, or -LK_E_IO with error.
 */
int	lk_socket_inherit(struct lk_socket *sock, int fd,
	    struct lk_error *error);
/* Close, and remove the file unless somebody has put another in its place. */
void	lk_socket_close(struct lk_socket *sock);

#endif
