/*
 * Everything that crosses between the loop and the threads with a PostgreSQL
 * session.  Each struct begins with an lk_msg and has one owner at a time:
 * core, a mailbox, or the thread that took it out.  What a thread received it
 * posts back; core frees.
 */
#ifndef LK_OFFLOAD_CROSS_H
#define LK_OFFLOAD_CROSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/error.h"
#include "base/format.h"
#include "base/id.h"
#include "base/with.h"
#include "offload/mailbox.h"

/* ---- jobs: loop to worker and back ---- */

struct lk_param {
	const char	*data;		/* in the item's text, or kept by who has
					   posted the job until it is back; NULL:
					   SQL NULL */
	size_t		 len;		/* bytes; data[len] is NUL */
	uint32_t	 type;		/* oid, that of all of a statement or of
					   none; 0: the server infers it */
	uint32_t	 from;		/* 0; else data is no value but names a
					   column: of the first row of the unit's
					   item that comes as the from-th */
};

enum lk_item_kind {
	LK_ITEM_SQL,		/* a client's text: any statement that
				   lk_sql_check() let pass */
	LK_ITEM_CONTROL,	/* the daemon's: COMMIT, ROLLBACK, SAVEPOINT … */
	LK_ITEM_OK,		/* nothing is sent, and the reply is OK */
};

enum lk_item_outcome {
	LK_ITEM_UNSENT,		/* nothing of it reached the server */
	LK_ITEM_DONE,		/* SQL: reply is its encoded value; CONTROL: tag */
	LK_ITEM_FAILED,		/* error is what the server, or the encoder, said */
	LK_ITEM_LOST,		/* sent, and the session died without an answer:
				   error has libpq's words */
};

/* One statement of a job, under a Sync of its own unless it is a unit's. */
#define LK_ITEM_FEW	2

struct lk_item {
	enum lk_item_kind  kind;
	struct lk_id	   request;	/* whose it is; none: the daemon's own */
	char		  *text;	/* heap or NULL; what sql and params may
					   point into */
	const char	  *sql;		/* NUL-terminated; kept as params are */
	struct lk_param	  *params;	/* heap, few or NULL */
	struct lk_param	   few[LK_ITEM_FEW];
	size_t		   n_params;
	struct lk_format   format;	/* of the reply */
	enum lk_shape	   shape;	/* likewise; of SQL */
	struct lk_with	   with;	/* what it nests; of SQL that has rows */
	bool		   is_must;	/* of a unit, which fails with UNMET when
					   this reply is null, 0, false or empty */
	/* Filled by the worker. */
	enum lk_item_outcome outcome;
	struct lk_buf	   reply;	/* one whole RESP value */
	struct lk_error	   error;
	char		   tag[64];	/* command tag: "UPDATE 3" */
	uint64_t	   n_rows;	/* affected, by the tag; 0 where it has none */
	size_t		   n_loaded;	/* statements that were sent for with */
};

/* Zeroed, for n, which it has none of yet. */
struct lk_param *lk_item_new_params(struct lk_item *item, size_t n);

static inline bool
lk_item_is_typed(const struct lk_item *item)
{
	return item->n_params > 0 && item->params[0].type != 0;
}

/*
 * One statement that does all of a job's items at once: they differ in the
 * values of their parameters alone.  It has a parameter for each of theirs,
 * which is the array of their values, those of equal reads once; and the last
 * column of its rows is a place in the arrays, from 1.  When it fails each item
 * is asked alone, so that an error is its own; of a group none is done then.
 */
struct lk_together {
	char		*sql;		/* heap; or NULL */
	uint32_t	*types;		/* heap; oids of the arrays, one a parameter */
};

/* The session's transaction status after a job. */
enum lk_xact {
	LK_XACT_IDLE,		/* no transaction */
	LK_XACT_OPEN,		/* in a transaction block */
	LK_XACT_ERROR,		/* in a failed transaction block */
	LK_XACT_GONE,		/* the session is lost: an LK_NOTE_DOWN follows */
};

/*
 * Work for one session.  With `begin`, that text goes first, under the first
 * item's Sync: when it fails the item fails with its error and nothing runs.
 * The worker posts the job back as soon as every reply is certain (the server
 * was ready again), then cleans the session when `clean` says so, and then
 * posts LK_NOTE_READY; without `clean` the job itself means ready.
 *
 * A session whose status afterwards is not what the job leads to (a
 * transaction left open outside one, none left inside one) is discarded by the
 * worker: after == LK_XACT_GONE.
 *
 * A unit is one transaction: `begin`, all of its items, and COMMIT, which is
 * the last.  When this is DONE its reply is the whole unit's: the array of those
 * of the others.  Else one item is FAILED, and nothing of the unit has been
 * done; or one is LOST, and what has been done is not known; or nothing was sent.
 * Of a group, when COMMIT is DONE, one whose reply could not be made is FAILED all
 * the same, and has been done.
 */
struct lk_job {
	struct lk_msg	 msg;
	struct lk_id	 tx;		/* none for autocommit */
	const char	*begin;		/* static text, or NULL */
	bool		 in_tx;		/* a transaction is to be open afterwards
					   (open or failed); else none */
	bool		 clean;		/* clean the session behind the reply */
	bool		 is_unit;
	bool		 is_group;	/* a unit, each of whose items has a reply of
					   its own; COMMIT's is nobody's */
	size_t		 limit_result;	/* bytes of one reply at most */
	size_t		 n_items;
	struct lk_together together;	/* its sql is NULL: there is none */
	/* Filled by the worker. */
	enum lk_xact	 after;
	bool		 was_together;	/* one statement has answered all items */
	bool		 changed_schema; /* in it or before it in its transaction, as
					   far as the tags say */
	uint64_t	 run_us;	/* from handing to libpq to the last answer */
	/* Of a unit: what was sent, BEGIN and COMMIT not counted, and how often
	 * it waited for answers. */
	unsigned	 n_statements, n_round_trips;
	struct lk_item	 items[];
};

struct lk_job *lk_job_new(size_t n_items);
void	lk_job_free(struct lk_job **job);
/* The item whose outcome is the job's: of several the one that failed or was
 * lost, else the last. */
struct lk_item *lk_job_answer(struct lk_job *job);

/* ---- notes: worker or channel listener to loop ---- */

enum lk_note_kind {
	LK_NOTE_UP,		/* a session is open and ready */
	LK_NOTE_READY,		/* a worker's: cleaned, the next job may come */
	LK_NOTE_DOWN,		/* session lost, or could not be opened; the
				   thread goes on trying until told to stop */
};

#define LK_SERVER_ID_MAX	96

struct lk_note {
	struct lk_msg	  msg;
	enum lk_note_kind kind;
	int		  backend_pid;	/* UP */
	/* UP: "system identifier/postmaster start time", the same for every
	 * session of one running server and for no other. */
	char		  server_id[LK_SERVER_ID_MAX];
	struct lk_error	  error;	/* DOWN: why, in the server's words */
};

struct lk_note *lk_note_new(enum lk_note_kind kind);
void	lk_note_free(struct lk_note **note);

/* ---- looks: loop to watcher and back ---- */

/* Who keeps a wait waiting. */
struct lk_blocker {
	int		 pid;		/* 0: a prepared transaction */
	char		*gid;		/* its name; heap, else NULL */
	uint64_t	 age_us;	/* since it was prepared */
	bool		 is_soft;	/* ahead in the queue, not a holder */
	bool		 is_confirmed;	/* soft, and pg_blocking_pids names it */
};

/* One wait as (pid, waitstart) names it. */
struct lk_wait {
	int		 pid;		/* the parallel leader's, where there is one */
	char		 waitstart[40];	/* timestamptz text; "" for an instant */
	char		 vxid[32];	/* virtualtransaction */
	char		 locktype[24];
	char		 mode[32];	/* ShareLock … */
	char		*object;	/* in words: "row in accounts", "table x",
					   "advisory lock 7"; heap */
	uint64_t	 waited_us;	/* by the server's clock at the look */
	uint64_t	 seen_seq;	/* core's, when it first had seen this wait */
	struct lk_blocker *blockers;	/* heap */
	size_t		 n_blockers;
	bool		 was_asked;	/* pg_blocking_pids, about this pid */
};

/* What the server knows of a backend that is in some wait or blocks one. */
struct lk_backend {
	int		 pid;
	char		*application;	/* heap, never NULL */
	char		*user;
	char		*database;
	char		*state;		/* "idle in transaction" … */
	char		*query;		/* literals out, cut */
	uint64_t	 state_us;	/* how long in that state */
	uint64_t	 xact_us;	/* age of its transaction; 0: none */
};

/* One reading of pg_locks: one instant for all contended locks. */
struct lk_look {
	struct lk_msg	 msg;
	uint64_t	 seq;		/* core's sequence number when it was asked */
	uint64_t	 asked_us;	/* lk_clock_us() of asking, set by core */
	uint64_t	 answered_seq, answered_us;	/* of the answer, likewise */
	uint32_t	*asked;		/* pids whose soft blockers are to be confirmed
					   before pg_locks is read; heap or NULL */
	size_t		 n_asked;
	bool		 expects_waits;	/* read pg_locks without asking first whether
					   anybody waits: who does seems not to while
					   he looks for a deadlock himself */
	/* Filled by the watcher. */
	bool		 failed;	/* no look: error says why */
	struct lk_error	 error;
	struct lk_wait	*waits;		/* sorted by pid */
	size_t		 n_waits;
	struct lk_backend *backends;	/* sorted by pid; only when n_waits > 0 */
	size_t		 n_backends;
	uint64_t	 cost_us;
};

struct lk_look *lk_look_new(void);
void	lk_look_free(struct lk_look **look);

/* ---- cancels: loop to watcher (or, when it is away, to the worker) ---- */

struct lk_cancel {
	struct lk_msg	 msg;
	uint32_t	 worker;	/* whose session is meant */
	struct lk_id	 request;
	int		 backend_pid;
	bool		 terminate;	/* pg_terminate_backend instead */
	/* Only while it still is in this wait; waitstart "" drops the condition. */
	char		 waitstart[40];
	char		 vxid[32];
	/* Filled in. */
	bool		 failed;	/* could not even be asked */
	bool		 sent;		/* the server sent the signal */
};

void	lk_cancel_free(struct lk_cancel **cancel);

/* ---- catalogs: loop to reader and back ---- */

struct lk_catalog;

/* One reading of a database's catalog. */
struct lk_catalog_read {
	struct lk_msg	 msg;
	char		*database;	/* as the config calls it; heap */
	struct lk_config_models *models;	/* what that says of its models, only to
					   be read; a hold, or NULL */
	uint64_t	 known;		/* hash of the reading that would change
					   nothing; 0: each does */
	/* Filled by the reader: catalog and said, or is_unchanged, or error. */
	uint64_t	 hash;		/* of all that the server said */
	bool		 is_unchanged;	/* it is known */
	struct lk_catalog *catalog;	/* the receiver's to free, before the rest */
	struct lk_buf	 said;		/* what models names and is not there, a
					   line each */
	struct lk_error	 error;		/* is_set: none was read, and why */
};

/* These two on the loop, for the hold's sake. */
struct lk_catalog_read *lk_catalog_read_new(const char *database,
	    struct lk_config_models *models);
void	lk_catalog_read_free(struct lk_catalog_read **read);

/* ---- channels: loop to channel listener and back ---- */

struct lk_listen_item {
	char		*channel;	/* heap */
	bool		 is_on;		/* LISTEN; else UNLISTEN */
	/* Filled by the listener. */
	struct lk_error	 error;		/* is_set: the server refused */
};

/*
 * Channels to be listened to from now on, or no longer.  One is out at a time.
 * What it brought about is undone by the next LK_NOTE_DOWN, which comes before
 * it when it was_lost.
 */
struct lk_listen {
	struct lk_msg	 msg;
	struct lk_listen_item *items;	/* heap */
	size_t		 n_items;
	/* Filled by the listener. */
	bool		 was_lost;	/* there was no session, or it ended */
};

struct lk_listen *lk_listen_new(size_t n_items);
void	lk_listen_free(struct lk_listen **listen);

/* ---- notifications: channel listener to loop, and back ---- */

struct lk_notification {
	char		*channel;	/* heap, and the payload with it */
	char		*payload;
};

/*
 * Those that came since the last, in order.  The listener reads no more than as
 * many again until it has got it back, so that a loop that is slower than the
 * server does not drown in them.
 */
struct lk_heard {
	struct lk_msg	 msg;
	struct lk_notification *items;	/* heap */
	size_t		 n_items, cap_items;
	size_t		 n_bytes;	/* of channels and payloads */
};

struct lk_heard *lk_heard_new(void);
void	lk_heard_add(struct lk_heard *heard, const char *channel,
	    const char *payload);
void	lk_heard_free(struct lk_heard **heard);

#endif
