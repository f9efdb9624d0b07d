/*
 * A connection: bytes in, requests to core; replies from core, bytes out.
 * Core's effects on connections are declared in net/listener.h.
 */
#ifndef LK_NET_CONN_H
#define LK_NET_CONN_H

#include "base/config.h"
#include "base/list.h"
#include "base/role.h"
#include "core/core.h"
#include "resp/request.h"

struct event_base;

/* What is read from a connection in one turn, at most. */
#define LK_CONN_READ_BYTES	(64 * 1024)

/* All connections, and what they share. */
struct lk_conns {
	struct event_base *base;
	const struct lk_config *config;
	struct lk_core	*core;
	void		(*after_input)(void *ctx);
	void		*ctx;
	struct lk_list	 all;
	struct lk_list	 dirty;		/* for lk_conns_flush() to look at */
	char		*scratch;	/* LK_CONN_READ_BYTES; NULL: in use */
	struct lk_request_decoder *decoder;	/* a spare, or NULL */
};

void	lk_conns_init(struct lk_conns *conns, struct event_base *base,
	    const struct lk_config *config, struct lk_core *core,
	    void (*after_input)(void *ctx), void *ctx);
/* Closes them all. */
void	lk_conns_fini(struct lk_conns *conns) LK_ON_LOOP;
/* Send the new replies, and close what is to be closed. */
void	lk_conns_flush(struct lk_conns *conns) LK_ON_LOOP;

/* What follows is by this config. */
void	lk_conns_set_config(struct lk_conns *conns,
	    const struct lk_config *config) LK_ON_LOOP;

/* Serve this socket, which it closes at its end. */
void	lk_conn_start(struct lk_conns *conns, int fd,
	    const struct lk_peer *peer) LK_ON_LOOP;

#endif
