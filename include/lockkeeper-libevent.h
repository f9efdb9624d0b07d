/*
 * liblockkeeper in libevent's loop; see lk_conn(3).  The library itself does
 * not use libevent: who includes this links with it.
 *
 * The connection's lk_conn_on_change() is taken by this.
 */
#ifndef LOCKKEEPER_LIBEVENT_H
#define LOCKKEEPER_LIBEVENT_H

#include <lockkeeper.h>

#include <stdlib.h>

#include <event2/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A connection in a loop.  Its fields are its functions' own. */
struct lk_libevent {
	struct lk_conn	*conn;
	struct event	*event;		/* one at a time, armed anew each time */
	struct event_base *base;
	int		 fd;		/* that event is for */
	int		 events;
	bool		 is_busy;	/* in lk_conn_handle() */
	bool		 is_detached;	/* meanwhile */
};

static inline void
lk_libevent_free_(struct lk_libevent *loop)
{
	if (loop->event != NULL)
		event_free(loop->event);
	free(loop);
}

static inline void	lk_libevent_arm_(struct lk_libevent *loop);

static inline void
lk_libevent_fired_(evutil_socket_t fd, short what, void *arg)
{
	struct lk_libevent *loop = (struct lk_libevent *)arg;
	int events = 0;

	(void)fd;
	if (what & EV_READ)
		events |= LK_READ;
	if (what & EV_WRITE)
		events |= LK_WRITE;
	loop->is_busy = true;
	lk_conn_handle(loop->conn, events);
	loop->is_busy = false;
	if (loop->is_detached)
		lk_libevent_free_(loop);
	else
		lk_libevent_arm_(loop);
}

static inline void
lk_libevent_arm_(struct lk_libevent *loop)
{
	int fd = lk_conn_fd(loop->conn), events = lk_conn_events(loop->conn);
	int ms = lk_conn_timeout_ms(loop->conn);
	struct timeval timeout;
	short what = 0;

	if (events & LK_READ)
		what = (short)(what | EV_READ);
	if (events & LK_WRITE)
		what = (short)(what | EV_WRITE);
	if (loop->event == NULL || fd != loop->fd || events != loop->events) {
		if (loop->event != NULL)
			event_free(loop->event);
		loop->event = event_new(loop->base, fd, what,
		    lk_libevent_fired_, loop);
		loop->fd = fd;
		loop->events = events;
	}
	timeout.tv_sec = ms / 1000;
	timeout.tv_usec = ms % 1000 * 1000;
	if (loop->event != NULL)
		event_add(loop->event, ms >= 0 ? &timeout : NULL);
}

static inline void
lk_libevent_changed_(void *arg, struct lk_conn *conn)
{
	struct lk_libevent *loop = (struct lk_libevent *)arg;

	(void)conn;
	if (!loop->is_busy)
		lk_libevent_arm_(loop);
}

/* Let base's loop handle the connection.  NULL: there is no memory. */
static inline struct lk_libevent *
lk_libevent_attach(struct event_base *base, struct lk_conn *conn)
{
	struct lk_libevent *loop =
	    (struct lk_libevent *)calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	loop->base = base;
	loop->conn = conn;
	lk_conn_on_change(conn, lk_libevent_changed_, loop);
	lk_libevent_arm_(loop);
	return loop;
}

/*
 * No longer.  Before lk_conn_free(); from a function of the connection's, too.
 */
static inline void
lk_libevent_detach(struct lk_libevent *loop)
{
	lk_conn_on_change(loop->conn, NULL, NULL);
	loop->is_detached = true;
	if (!loop->is_busy)
		lk_libevent_free_(loop);
}

#ifdef __cplusplus
}
#endif

#endif
