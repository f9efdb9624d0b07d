/*
 * The effective configuration as plain data, filled by ops/config.h and from
 * then on read-only.  Times are microseconds, 0 meaning "never" where the
 * manual says so; sizes are bytes.  lockkeeper.conf(5) explains each key.
 */
#ifndef LK_BASE_CONFIG_H
#define LK_BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

enum lk_deadlock_mode {
	LK_DEADLOCK_RESOLVE,	/* find and end */
	LK_DEADLOCK_REPORT,	/* find and say, do nothing */
	LK_DEADLOCK_OFF,	/* look only for ?ms and ~ms */
};

struct lk_config_database {
	char		*name;
	char		*conninfo;	/* as libpq takes it */
	uint32_t	 workers_min;	/* sessions kept open */
	uint32_t	 workers_max;
	uint64_t	 workers_idle_us; /* idle ones past min end after this */
};

struct lk_config {
	char		*listen_socket;
	uint32_t	 listen_mode;	/* permission bits of the socket */
	char		*listen_group;	/* "" leaves the group as it is */
	struct lk_config_database *databases;
	size_t		 n_databases;	/* at least 1; the first is the default */
	uint64_t	 timeout_queue_us;	/* waiting for a slot; 0: for ever */
	uint64_t	 timeout_lock_us;	/* `?ms` where none is said; 0: none */
	uint64_t	 timeout_statement_us;	/* `~ms` where none is said; 0: none */
	uint64_t	 timeout_connect_us;	/* opening a session */
	uint64_t	 timeout_idle_tx_us;	/* a tx between statements; 0: for ever */
	enum lk_deadlock_mode deadlock_mode;
	uint64_t	 deadlock_first_look_us;
	uint64_t	 deadlock_notify_us;
	uint32_t	 limit_in_flight;	/* outstanding requests of a client */
	uint32_t	 limit_queue;		/* of all, not yet handed to a worker */
	uint64_t	 limit_request_bytes;
	uint64_t	 limit_result_bytes;
	uint64_t	 limit_output_bytes;	/* unread replies before reading stops */
	enum lk_log_level log_level;
};

#endif
