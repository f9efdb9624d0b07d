/*
 * The front end: a Unix socket, its connections, and the bytes between them
 * and core.  An idle connection costs one struct and one event; buffers exist
 * only while they hold something.
 */
#ifndef LK_NET_LISTENER_H
#define LK_NET_LISTENER_H

#include "base/config.h"
#include "base/error.h"
#include "base/role.h"
#include "core/core.h"

struct event_base;
struct lk_listener;

/*
 * Bind listen.socket and accept from it, or from inherited_fd, a socket that
 * listens already, unless that is -1; its file is then somebody else's.  A
 * socket file that nobody listens on is replaced; one that somebody does, or a
 * file that is no socket, is an error.  base must know EV_CLOSED (EV_FEATURE_EARLY_CLOSE).  after_input is
 * called once after each batch of input that reached core, and after a
 * connection's end, so that the owner can set its timer anew.  0, or -LK_E_IO
 * with error.
 */
int	lk_listener_new(struct event_base *base, const struct lk_config *config,
	    int inherited_fd, struct lk_core *core,
	    void (*after_input)(void *ctx), void *ctx,
	    struct lk_listener **listener_out, struct lk_error *error)
	    LK_ON_LOOP;
/*
 * Send the replies that core has made since the last call.  The listener does
 * it itself behind a batch of input; the owner after all else that core was
 * told: mail and timers.
 */
void	lk_listener_flush(struct lk_listener *listener) LK_ON_LOOP;
/* What follows is by this config; listen stays what it was. */
void	lk_listener_set_config(struct lk_listener *listener,
	    const struct lk_config *config) LK_ON_LOOP;
/* Stop accepting and remove the socket file. */
void	lk_listener_stop(struct lk_listener *listener) LK_ON_LOOP;
/*
 * Close every connection; then free.  Replies that do not fit into the
 * socket's buffer at once are lost.
 */
void	lk_listener_free(struct lk_listener **listener) LK_ON_LOOP;

/* Core's effects on connections, for struct lk_effects. */
void	lk_conn_reply(void *conn, struct lk_buf *bytes);
void	lk_conn_reply_head(void *conn, const void *bytes, size_t n);
void	lk_conn_close(void *conn);
bool	lk_conn_drain(void *conn);
uint64_t lk_conn_stalled_us(void *conn);
void	lk_conn_drop(void *conn);

#endif
