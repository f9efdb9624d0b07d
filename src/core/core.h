/*
 * The heart of the daemon: clients, tasks, requests, transactions, workers,
 * the ready queue and the wait graph.  Pure: no I/O, no clock, no threads.
 * What it wants done leaves through struct lk_effects; what happened comes in
 * through the functions below; so a simulator can drive it as the daemon does.
 * src/core/README explains the algorithm.
 *
 * Everything here is the loop's.
 */
#ifndef LK_CORE_CORE_H
#define LK_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/role.h"
#include "offload/cross.h"
#include "resp/request.h"

struct lk_core;
struct lk_client;

/* Who is at the other end of a connection, as the kernel says. */
struct lk_peer {
	pid_t	pid;		/* 0: in another pid namespace */
	uid_t	uid;
	gid_t	gid;
};

/*
 * What core asks of the world.  ctx is lk_core_new()'s; conn is what
 * lk_core_client_new() was given.  None may call back into core, but for
 * drain.
 */
struct lk_effects {
	/* Append these bytes to what the connection sends; takes the contents
	 * and leaves bytes empty. */
	void	(*reply)(void *conn, struct lk_buf *bytes);
	/* Close once all replies have left (or the peer is gone). */
	void	(*close)(void *conn);
	/* Read now what the connection's socket holds and pass all of it to
	 * lk_core_request().  False when that left undecoded bytes or its
	 * reading is paused: then the client counts as alive.  May end in
	 * lk_core_client_gone(). */
	bool	(*drain)(void *conn);
	/* Start the thread that serves worker `index` with sessions of the
	 * database; 0 or -LK_E_IO. */
	int	(*worker_start)(void *ctx, uint32_t index,
		    const struct lk_config_database *database);
	/* Hand over; *job is NULL after. */
	void	(*submit)(void *ctx, uint32_t worker, struct lk_job **job);
	/* Ask the thread to end; its LK_MSG_EXITED follows. */
	void	(*worker_stop)(void *ctx, uint32_t worker);
	/* The same for watchers, one per server. */
	int	(*watcher_start)(void *ctx, uint32_t index,
		    const struct lk_config_database *database);
	void	(*look)(void *ctx, uint32_t watcher, struct lk_look **look);
	/* By the watcher's session, or by the worker's own thread with
	 * PQcancel, where the watcher is away. */
	void	(*cancel)(void *ctx, uint32_t watcher,
		    struct lk_cancel **cancel);
	void	(*cancel_directly)(void *ctx, uint32_t worker,
		    struct lk_cancel **cancel);
	void	(*watcher_stop)(void *ctx, uint32_t watcher);
};

/* config must stay as it is for core's life. */
struct lk_core *lk_core_new(const struct lk_config *config,
	    const struct lk_effects *effects, void *ctx, uint64_t now_us,
	    uint64_t wall_us) LK_ON_LOOP;
/* All clients gone and all threads joined before. */
void	lk_core_free(struct lk_core **core) LK_ON_LOOP;

/* Start the workers that the config wants to have from the start. */
void	lk_core_start(struct lk_core *core) LK_ON_LOOP;
/*
 * Ask every worker and watcher to end.  Callers go on delivering messages
 * until lk_core_is_stopped().
 */
void	lk_core_stop(struct lk_core *core) LK_ON_LOOP;
bool	lk_core_is_stopped(const struct lk_core *core) LK_ON_LOOP;

/* Tell the time: before anything else in a turn of the loop. */
void	lk_core_set_now(struct lk_core *core, uint64_t now_us) LK_ON_LOOP;
/* Fire what is due now. */
void	lk_core_run_timers(struct lk_core *core) LK_ON_LOOP;
/* When lk_core_run_timers() has something to do next; LK_NEVER: not at all. */
uint64_t lk_core_next_due_us(const struct lk_core *core) LK_ON_LOOP;

/* A connection came; conn is handed to the effects. */
struct lk_client *lk_core_client_new(struct lk_core *core, void *conn,
	    const struct lk_peer *peer) LK_ON_LOOP;
/*
 * The connection is gone, however it died: its work is cancelled and its
 * transactions are rolled back.  No effect is called for conn after this.
 */
void	lk_core_client_gone(struct lk_client **client) LK_ON_LOOP;
/* One decoded request; args are copied where they are kept. */
void	lk_core_request(struct lk_client *client, const struct lk_arg *args,
	    size_t n_args) LK_ON_LOOP;
/* Bytes that are no RESP: reply with the error, in order, then close. */
void	lk_core_bad_request(struct lk_client *client,
	    const struct lk_error *error) LK_ON_LOOP;

/* Mail from a worker or watcher; takes msg. */
void	lk_core_deliver(struct lk_core *core, struct lk_msg *msg) LK_ON_LOOP;

#endif
