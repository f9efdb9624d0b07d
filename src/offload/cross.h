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
#include "base/error.h"
#include "base/format.h"
#include "base/id.h"
#include "offload/mailbox.h"

/* ---- jobs: loop to worker and back ---- */

struct lk_param {
	const char	*data;		/* in the item's arena; NULL: SQL NULL */
	size_t		 len;		/* bytes; data[len] is NUL */
};

enum lk_item_kind {
	LK_ITEM_SQL,		/* a client's text: any statement that
				   lk_sql_check() let pass */
	LK_ITEM_CONTROL,	/* the daemon's: COMMIT, ROLLBACK, SAVEPOINT … */
};

enum lk_item_outcome {
	LK_ITEM_UNSENT,		/* nothing of it reached the server */
	LK_ITEM_DONE,		/* SQL: reply is its encoded value; CONTROL: tag */
	LK_ITEM_FAILED,		/* error is what the server, or the encoder, said */
	LK_ITEM_LOST,		/* sent, and the session died without an answer:
				   error has libpq's words */
};

/* One statement of a job, under a Sync of its own. */
struct lk_item {
	enum lk_item_kind  kind;
	struct lk_id	   request;	/* whose it is; none: the daemon's own */
	char		  *arena;	/* heap; what sql and params point into */
	const char	  *sql;		/* NUL-terminated */
	struct lk_param	  *params;	/* heap or NULL */
	size_t		   n_params;
	struct lk_format   format;	/* of the reply */
	/* Filled by the worker. */
	enum lk_item_outcome outcome;
	struct lk_buf	   reply;	/* one whole RESP value */
	struct lk_error	   error;
	char		   tag[64];	/* command tag: "UPDATE 3" */
	uint64_t	   n_rows;	/* affected, by the tag; 0 where it has none */
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
 */
struct lk_job {
	struct lk_msg	 msg;
	struct lk_id	 tx;		/* none for autocommit */
	const char	*begin;		/* static text, or NULL */
	bool		 in_tx;		/* a transaction is to be open afterwards
					   (open or failed); else none */
	bool		 clean;		/* clean the session behind the reply */
	size_t		 limit_result;	/* bytes of one reply at most */
	struct lk_item	*items;
	size_t		 n_items;
	/* Filled by the worker. */
	enum lk_xact	 after;
	uint64_t	 run_us;	/* from handing to libpq to the last answer */
};

struct lk_job *lk_job_new(size_t n_items);
void	lk_job_free(struct lk_job **job);

/* ---- notes: worker to loop ---- */

enum lk_note_kind {
	LK_NOTE_UP,		/* a session is open and ready */
	LK_NOTE_READY,		/* cleaned: the next job may come */
	LK_NOTE_DOWN,		/* session lost, or could not be opened; the
				   worker goes on trying until told to stop */
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

void	lk_note_free(struct lk_note **note);

/* ---- looks: loop to watcher and back ---- */

/* Who keeps a wait waiting. */
struct lk_blocker {
	int		 pid;		/* 0: a prepared transaction */
	char		*gid;		/* its name; heap, else NULL */
	bool		 is_soft;	/* ahead in the queue, not a holder */
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
	struct lk_blocker *blockers;	/* heap */
	size_t		 n_blockers;
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

#endif
