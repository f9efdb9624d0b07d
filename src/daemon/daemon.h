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
 * started.  The calling thread becomes the loop's.  *config is the daemon's
 * from here on, whatever is returned, and is read from config_path again when
 * asked for.  0, or a negative error.
 */
int	lk_daemon_new(const char *config_path, struct lk_config **config,
	    struct lk_daemon **daemon_out, struct lk_error *error);
/*
 * Serve until SIGTERM, SIGINT or SHUTDOWN, then until open transactions and
 * all threads have ended.  A second signal ends the transactions at once; the
 * process dies of the third.
 */
void	lk_daemon_run(struct lk_daemon *daemon);
void	lk_daemon_free(struct lk_daemon **daemon);

#endif
