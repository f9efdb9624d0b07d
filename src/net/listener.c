#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/log.h"
#include "net/conn.h"
#include "net/socket.h"
#include "resp/encode.h"

/* Connections accepted in one turn, so that a crowd does not hold the loop. */
#define ACCEPT_TURNS	64

/* How long to accept nothing when there is no descriptor to be had. */
#define ACCEPT_WAIT_S	1

struct lk_listener {
	struct lk_conns	 conns;
	struct lk_socket socket;
	struct event	*accepting;	/* the socket is readable */
	struct event	*waiting;	/* until accepting may go on */
	bool		 has_complained; /* since all were accepted */
};

/* One that may not stay is told why, in the first reply it reads. */
static bool
refuse(struct lk_listener *listener, int fd)
{
	struct lk_buf line = LK_BUF_INIT;
	struct lk_error why;

	lk_assert_loop();
	lk_error_init(&why);
	if (lk_core_admit(listener->conns.core, &why) == 0)
		return false;
	lk_enc_error(&line, &why);
	(void)send(fd, line.data, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
	lk_buf_fini(&line);
	lk_error_fini(&why);
	return true;
}

static void
serve(struct lk_listener *listener, int fd)
{
	struct ucred cred;
	struct lk_peer peer;
	socklen_t n = sizeof(cred);

	lk_assert_loop();
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0) {
		close(fd);
		return;
	}
	if (refuse(listener, fd))
		return;
	peer = (struct lk_peer){ cred.pid, cred.uid, cred.gid };
	lk_conn_start(&listener->conns, fd, &peer);
}

/* The connection stays in the socket's queue, which stays readable: asking
 * again at once would fail again, and for ever. */
static void
wait_a_while(struct lk_listener *listener)
{
	const struct timeval wait = { ACCEPT_WAIT_S, 0 };

	if (!listener->has_complained)
		lk_log(LK_LOG_ERROR,
		    "cannot accept connections, trying again each second: %s",
		    strerror(errno));
	listener->has_complained = true;
	event_del(listener->accepting);
	event_add(listener->waiting, &wait);
}

/* Returns whether there may be another. */
static bool
accept_one(struct lk_listener *listener)
{
	int fd = accept4(listener->socket.fd, NULL, NULL,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		serve(listener, fd);
		return true;
	}
	switch (errno) {
	case EINTR:
	case ECONNABORTED:
		return true;
	case EAGAIN:
		listener->has_complained = false;
		return false;
	default:
		wait_a_while(listener);
		return false;
	}
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct lk_listener *listener = arg;
	int i;

	(void)fd, (void)what;
	lk_assert_loop();
	lk_core_set_now(listener->conns.core, lk_clock_us());
	for (i = 0; i < ACCEPT_TURNS && accept_one(listener); i++)
		;
	lk_listener_flush(listener);
}

static void
on_waited(evutil_socket_t fd, short what, void *arg)
{
	struct lk_listener *listener = arg;

	(void)fd, (void)what;
	lk_assert_loop();
	event_add(listener->accepting, NULL);
}

static int
watch_socket(struct lk_listener *listener, struct lk_error *error)
{
	struct event_base *base = listener->conns.base;

	listener->accepting = event_new(base, listener->socket.fd,
	    EV_READ | EV_PERSIST, on_accept, listener);
	listener->waiting = evtimer_new(base, on_waited, listener);
	lk_assert(listener->accepting != NULL && listener->waiting != NULL);
	if (event_add(listener->accepting, NULL) == 0)
		return 0;
	lk_error_set(error, LK_ERR_SYNTAX, "cannot watch the socket: %s",
	    strerror(errno));
	return -LK_E_IO;
}

int
lk_listener_new(struct event_base *base, const struct lk_config *config,
    int inherited_fd, struct lk_core *core, void (*after_input)(void *ctx),
    void *ctx, struct lk_listener **listener_out, struct lk_error *error)
{
	struct lk_listener *listener = lk_xcalloc(1, sizeof(*listener));
	int rc;

	lk_conns_init(&listener->conns, base, config, core, after_input, ctx);
	rc = inherited_fd < 0 ?
	    lk_socket_open(&listener->socket, config->listen_socket,
		(mode_t)config->listen_mode, config->listen_group, error) :
	    lk_socket_inherit(&listener->socket, inherited_fd, error);
	if (rc == 0)
		rc = watch_socket(listener, error);
	if (rc < 0)
		lk_listener_free(&listener);
	else
		*listener_out = listener;
	return rc;
}

void
lk_listener_set_config(struct lk_listener *listener,
    const struct lk_config *config)
{
	lk_conns_set_config(&listener->conns, config);
}

void
lk_listener_flush(struct lk_listener *listener)
{
	lk_conns_flush(&listener->conns);
}

void
lk_listener_stop(struct lk_listener *listener)
{
	if (listener->accepting != NULL)
		event_free(listener->accepting);
	if (listener->waiting != NULL)
		event_free(listener->waiting);
	listener->accepting = listener->waiting = NULL;
	lk_socket_close(&listener->socket);
}

void
lk_listener_free(struct lk_listener **listener)
{
	if (*listener == NULL)
		return;
	lk_listener_stop(*listener);
	lk_conns_fini(&(*listener)->conns);
	free(*listener);
	*listener = NULL;
}
