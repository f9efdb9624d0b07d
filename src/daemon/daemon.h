/*
 * The daemon: core wired to its sockets, threads and timers, in one event
 * loop.
 */
#ifndef LK_DAEMON_DAEMON_H
#define LK_DAEMON_DAEMON_H

#include "base/config.h"
#include "base/error.h"

struct lk_daemon;

/*
 * Everything up to being ready: the socket is bound and the first threads are
 * started.  The calling thread becomes the loop's.  config must outlive the
 * daemon.  0, or a negative error.
 */
int	lk_daemon_new(const struct lk_config *config,
	    struct lk_daemon **daemon_out, struct lk_error *error);
/*
 * Serve until SIGTERM or SIGINT, then until all threads have ended; a second
 * signal ends the process at once, with status 1.
 */
void	lk_daemon_run(struct lk_daemon *daemon);
void	lk_daemon_free(struct lk_daemon **daemon);

#endif
