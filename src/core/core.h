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
	/* Append these, a few, which stay the caller's. */
	void	(*reply_head)(void *conn, const void *bytes, size_t n);
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
	/* Start the thread that reads the database's catalog, once, and hand
	 * over what it is to fill; 0, or -LK_E_IO and *read stays. */
	int	(*catalog_read)(void *ctx, uint32_t index,
		    const struct lk_config_database *database,
		    struct lk_catalog_read **read);
	/* To be called once for each that was started. */
	void	(*reader_stop)(void *ctx, uint32_t index);
	/* The same for channel listeners, at most one per database, whose
	 * index in the config is theirs. */
	int	(*listener_start)(void *ctx, uint32_t index,
		    const struct lk_config_database *database);
	void	(*listen)(void *ctx, uint32_t listener,
		    struct lk_listen **listen);
	/* What it had heard has been taken: it may hand over more. */
	void	(*heard)(void *ctx, uint32_t listener,
		    struct lk_heard **heard);
	void	(*listener_stop)(void *ctx, uint32_t listener);
	/* How long the connection has taken nothing of its replies while it
	 * is not read for their sake; 0 while it is read. */
	uint64_t (*stalled_us)(void *conn);
	/* End the connection, with what it has not taken. */
	void	(*drop)(void *conn);
	/*
	 * Read the configuration again and put it in force everywhere but in
	 * core.  0 and *config_out, which stays the owner's and is good until
	 * the next one is in force; or a negative error, and nothing changed.
	 */
	int	(*reload)(void *ctx, const struct lk_config **config_out,
		    struct lk_error *error);
};

/* config must stay as it is until effects->reload() gives another. */
struct lk_core *lk_core_new(const struct lk_config *config,
	    const struct lk_effects *effects, void *ctx, uint64_t now_us,
	    uint64_t wall_us) LK_ON_LOOP;
/* All clients gone and all threads joined before. */
void	lk_core_free(struct lk_core **core) LK_ON_LOOP;

/* Start the workers that the config wants to have from the start, and have the
 * catalogs read. */
void	lk_core_start(struct lk_core *core) LK_ON_LOOP;
/*
 * Ask every thread to end.  Callers go on delivering messages
 * until lk_core_is_stopped().
 */
void	lk_core_stop(struct lk_core *core) LK_ON_LOOP;
bool	lk_core_is_stopped(const struct lk_core *core) LK_ON_LOOP;

/*
 * No new work from now on: what is open may finish within patience_us (0: none
 * may, LK_NEVER: for ever), then it is ended with CLOSING.  A further call sets
 * another end.  Clients are told.  The caller goes on serving until
 * lk_core_is_drained(), then closes the connections and calls lk_core_stop().
 */
void	lk_core_drain(struct lk_core *core, uint64_t patience_us) LK_ON_LOOP;
bool	lk_core_is_draining(const struct lk_core *core) LK_ON_LOOP;
bool	lk_core_is_drained(const struct lk_core *core) LK_ON_LOOP;
/* timeouts.drain as lk_core_drain() takes it. */
uint64_t lk_core_drain_us(const struct lk_core *core) LK_ON_LOOP;

/* effects->reload(), and what comes of it here.  As that; logged either way. */
int	lk_core_reload(struct lk_core *core, struct lk_error *error) LK_ON_LOOP;

/* Tell the time: before anything else in a turn of the loop. */
void	lk_core_set_now(struct lk_core *core, uint64_t now_us) LK_ON_LOOP;
/* Fire what is due now. */
void	lk_core_run_timers(struct lk_core *core) LK_ON_LOOP;
/* When lk_core_run_timers() has something to do next; LK_NEVER: not at all. */
uint64_t lk_core_next_due_us(const struct lk_core *core) LK_ON_LOOP;

/*
 * Whether one more connection may come.  0; or -LK_E_LIMIT with what it is to
 * be told before it is closed.
 */
int	lk_core_admit(struct lk_core *core, struct lk_error *error) LK_ON_LOOP;
/* A connection came; conn is handed to the effects. */
struct lk_client *lk_core_client_new(struct lk_core *core, void *conn,
	    const struct lk_peer *peer) LK_ON_LOOP;
/* Its number, as SHOW clients and the log have it. */
uint64_t lk_core_client_id(const struct lk_client *client) LK_ON_LOOP;
/*
 * The connection is gone, however it died: its work is cancelled and its
 * transactions are rolled back.  No effect is called for conn after this.
 */
void	lk_core_client_gone(struct lk_client **client) LK_ON_LOOP;
/*
 * It leaves more than limits.output of its replies unread, or no longer does:
 * meanwhile no statement of its is begun, since each would add to them.
 */
void	lk_core_client_pause(struct lk_client *client, bool is_paused)
	    LK_ON_LOOP;
/* Its connection ends for not reading its replies: count it and say so. */
void	lk_core_client_stalled(const struct lk_client *client) LK_ON_LOOP;
/* One decoded request; args are copied where they are kept. */
void	lk_core_request(struct lk_client *client, const struct lk_arg *args,
	    size_t n_args) LK_ON_LOOP;
/* Bytes that are no RESP: reply with the error, in order, then close. */
void	lk_core_bad_request(struct lk_client *client,
	    const struct lk_error *error) LK_ON_LOOP;

/* Mail from a thread; takes msg. */
void	lk_core_deliver(struct lk_core *core, struct lk_msg *msg) LK_ON_LOOP;

#endif
