/*
 * What systemd wants of a service, without its library: the notification
 * socket of sd_notify(3) and the inherited socket of sd_listen_fds(3).
 */
#ifndef LK_OPS_SYSTEMD_H
#define LK_OPS_SYSTEMD_H

#include "base/error.h"

/*
 * The listening socket that was handed on in LISTEN_FDS, or -1 for none; the
 * variables are unset.  0; or -LK_E_INVAL with error when it is more than one.
 */
int	lk_systemd_socket(int *fd_out, struct lk_error *error);

/*
 * Tell NOTIFY_SOCKET, if there is one: lines as in sd_notify(3), such as
 * "READY=1\nSTATUS=serving".  Never blocks; what cannot be told is dropped.
 */
void	lk_systemd_notify(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));
/* The beginning of a reload, which the next READY=1 ends. */
void	lk_systemd_notify_reloading(void);

#endif
