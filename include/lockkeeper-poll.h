/*
 * liblockkeeper in a program's own loop around poll(2), with any number of
 * connections; see lk_conn(3).  For a single one there is lk_conn_wait().
 */
#ifndef LOCKKEEPER_POLL_H
#define LOCKKEEPER_POLL_H

#include <lockkeeper.h>

#include <poll.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Before poll(2): fill pfd in, and lower *timeout_ms, which is poll's, to what
 * the connection needs.  pfd->fd is -1, which poll ignores, while there is
 * nothing to wait for.
 */
static inline void
lk_poll_prepare(const struct lk_conn *conn, struct pollfd *pfd,
    int *timeout_ms)
{
	int due_ms = lk_conn_timeout_ms(conn), events = lk_conn_events(conn);

	pfd->fd = lk_conn_fd(conn);
	pfd->events = 0;
	pfd->revents = 0;
	if (events & LK_READ)
		pfd->events = (short)(pfd->events | POLLIN);
	if (events & LK_WRITE)
		pfd->events = (short)(pfd->events | POLLOUT);
	if (due_ms >= 0 && (*timeout_ms < 0 || due_ms < *timeout_ms))
		*timeout_ms = due_ms;
}

/* After it, whatever it returned. */
static inline void
lk_poll_handle(struct lk_conn *conn, const struct pollfd *pfd)
{
	int events = 0;

	if (pfd->revents & ~POLLOUT)
		events |= LK_READ;
	if (pfd->revents & POLLOUT)
		events |= LK_WRITE;
	lk_conn_handle(conn, events);
}

#ifdef __cplusplus
}
#endif

#endif
