/*
 * The effective configuration as plain data, filled by ops/config.h and from
 * then on read-only.  Times are microseconds, 0 meaning "never" where the
 * manual says so; sizes are bytes.  lockkeeper.conf(5) explains each key.
 */
#ifndef LK_BASE_CONFIG_H
#define LK_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

enum lk_deadlock_mode {
	LK_DEADLOCK_RESOLVE,	/* find and end */
	LK_DEADLOCK_REPORT,	/* find and say, do nothing */
	LK_DEADLOCK_OFF,	/* look only for ?ms and ~ms */
};

enum lk_replay {
	LK_REPLAY_DML,		/* also a client's INSERT, UPDATE, DELETE, MERGE */
	LK_REPLAY_VERBS,	/* what the daemon built */
	LK_REPLAY_OFF,		/* only what says `!` */
};

enum lk_group_commit {
	LK_GROUP_SAFE,		/* what nothing else hangs on */
	LK_GROUP_ALWAYS,	/* whatever the daemon has built for one row */
	LK_GROUP_OFF,
};

struct lk_config_database {
	char		*name;
	char		*conninfo;	/* as libpq takes it */
	uint32_t	 workers_min;	/* sessions kept open */
	uint32_t	 workers_max;
	uint32_t	 workers_reserve; /* more than max, to end deadlocks */
	uint64_t	 workers_idle_us; /* idle ones past min end after this */
};

/* Columns of models: names, each followed by a line end but for the last. */

/* A relation that the file gives to a model. */
struct lk_config_relation {
	char		*name;
	char		*to;		/* the model it leads to */
	char		*columns;	/* this one's */
	char		*references;	/* that one's, which equal them; or: */
	char		*through;	/* the model that joins them; "": none */
	char		*near;		/* its columns that equal this one's */
	char		*far;		/* its columns that equal that one's */
};

/* What the file says of a model. */
struct lk_config_model {
	char		*database;	/* the only one where; "": in each */
	char		*table;		/* as the catalog calls it; "": name */
	char		*name;		/* as it is to be called; "": table */
	bool		 is_hidden;
	struct lk_config_relation *relations;
	size_t		 n_relations;
};

/* Counted, so that a reading goes on with what was in force at its start.  The
 * loop takes and drops the holds. */
struct lk_config_models {
	unsigned	 n_holds;
	struct lk_config_model *list;
	size_t		 n;
};

struct lk_config_models *lk_config_models_hold(struct lk_config_models *models);
/* NULL is none. */
void	lk_config_models_free(struct lk_config_models **models);

/* An effective value as text, for SHOW config. */
struct lk_config_row {
	char		*key;		/* "timeouts.queue"; heap */
	char		*value;		/* as in the file, secrets masked; heap */
	const char	*initial;	/* the default; NULL: must be given */
	bool		 reloads;	/* RELOAD applies a change of it */
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
	uint64_t	 timeout_idle_holder_us; /* the same while somebody waits for it;
						   0: for ever */
	uint64_t	 timeout_drain_us;	/* of open work at the end; 0: for ever */
	enum lk_deadlock_mode deadlock_mode;
	uint64_t	 deadlock_first_look_us;
	uint64_t	 deadlock_notify_us;
	enum lk_replay	 replay;
	uint32_t	 batch_max;		/* requests in one job */
	enum lk_group_commit group_commit;
	uint32_t	 batch_readers;		/* sessions that read by key */
	uint32_t	 limit_clients;		/* connections */
	uint32_t	 limit_in_flight;	/* outstanding requests of a client */
	uint32_t	 limit_queue;		/* of all, not yet handed to a worker */
	uint64_t	 limit_request_bytes;
	uint64_t	 limit_result_bytes;
	uint64_t	 limit_output_bytes;	/* unread replies before reading stops */
	uint64_t	 limit_stall_us;	/* a paused client that reads nothing; 0:
						   for ever */
	struct lk_config_models *models;	/* NULL: none */
	enum lk_log_level log_level;
	char		*log_target;	/* "stderr", or the path of a file */
	enum lk_log_format log_format;
	uint64_t	 log_slow_us;	/* slower statements are logged; 0: none */
	struct lk_config_row *rows;	/* all keys, in the order of the file */
	size_t		 n_rows;
};

#endif
