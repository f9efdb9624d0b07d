/* The daemon's own struct, shared by its files. */
#ifndef LK_DAEMON_INTERNAL_H
#define LK_DAEMON_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "core/core.h"
#include "daemon/threads.h"
#include "db/worker.h"
#include "net/listener.h"
#include "offload/mailbox.h"

struct event;
struct event_base;

struct lk_daemon {
	const char	*config_path;
	struct lk_config *config;
	struct lk_config *retired;	/* the one before, until the turn's end */
	struct lk_db_args *db_args;	/* by database */
	struct event_base *base;
	struct lk_core	*core;
	struct lk_listener *listener;	/* NULL once ending */
	struct lk_threads workers;
	struct lk_threads watchers;
	struct lk_threads channel_listeners;	/* by database */
	struct lk_threads readers;	/* by database */
	struct lk_mailbox mailbox;	/* what all threads post to */
	int		 signal_fd;
	int		 timer_fd;
	uint64_t	 timer_us;	/* what it is set to, or LK_NEVER */
	struct event	*on_mail;
	struct event	*on_timer;
	struct event	*on_signal;
	struct event	*on_drained;
	bool		 has_mailbox;
	bool		 is_draining;	/* and has said so */
	bool		 is_hurried;	/* nothing open is waited for any more */
	bool		 is_ending;	/* connections closed, threads ending */
};

/* effects.c: what core asks of the world; ctx is a struct lk_daemon. */
extern const struct lk_effects lk_daemon_effects;

#endif
