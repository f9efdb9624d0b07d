/*
 * core's own structs: all that the daemon knows.  The loop's alone; the
 * functions that work on them are in core/internal.h.
 */
#ifndef LK_CORE_STATE_H
#define LK_CORE_STATE_H

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/pool.h"
#include "core/core.h"
#include "core/graph.h"
#include "orm/keyed.h"
#include "orm/verb.h"
#include "resp/encode.h"

/* Watchers, listeners and readers share the thread numbers of messages with
 * workers. */
#define LK_WATCHER_BIT	0x80000000u
#define LK_LISTENER_BIT	0x40000000u
#define LK_READER_BIT	0x20000000u

/* ---- a PostgreSQL server (a running cluster) and its watcher ---- */

/* Who holds up others, by the last look. */
struct lk_holder {
	int		 pid;		/* 0: a prepared transaction */
	uint64_t	 number;	/* handle of our tx; of a prepared one, its
					   gid's hash; 0: another program's */
	size_t		 n_waiters;	/* in its queues, too; 0: kept for what
					   was said of it */
	uint64_t	 seen_us;	/* when it last held up somebody */
	bool		 is_ours;	/* it is, or one of those who wait */
	uint64_t	 told_us;	/* when blocking was pushed; 0: not yet */
	uint64_t	 logged_us;	/* likewise, as suspect to the log */
	const struct lk_blocker *root;	/* NULL: a cycle of other programs' */
	const struct lk_wait *longest, *counted;	/* of server->last, or of a
					   parked request's: good until a socket
					   is read */
};

/* A session of ours that has ended: looks asked before saw it as it was. */
struct lk_gone {
	int		 pid;
	uint64_t	 seq;		/* core->seq at its end */
};

struct lk_server {
	struct lk_core	*core;
	uint32_t	 index;
	char		 id[LK_SERVER_ID_MAX];
	bool		 has_watcher;	/* its thread runs */
	bool		 look_is_out;
	bool		 is_blind;	/* the last look failed */
	bool		 wants_look;	/* soon, whatever was looked at before */
	bool		 was_confirming;	/* the last one asked for */
	struct lk_look	*last;		/* the last that did not, or NULL */
	struct lk_holder *holders;	/* in it; heap */
	size_t		 n_holders;
	struct lk_gone	*gone;		/* since the last look was asked; heap */
	size_t		 n_gone, cap_gone;
	struct lk_timer	 timer;		/* the next look */
	double		 tokens;	/* looks that may be asked at once */
	uint64_t	 tokens_us;	/* when tokens was true */
	uint64_t	 looked_us;	/* when the last look was asked that was not
					   confirming */
	uint32_t	 first_foreign;	/* node of last->waits[0] */
};

/* ---- workers ---- */

#define LK_WORKER_STATES(X)						\
	X(CONNECTING, "connecting")	/* no session, on its way to one */ \
	X(IDLE, "idle")			/* in database->idle */		\
	X(BUSY, "busy")			/* a job is in its hands */	\
	X(PINNED, "pinned")		/* its tx is between statements */ \
	X(CLEANING, "cleaning")		/* behind a reply, or fenced */	\
	X(STOPPING, "stopping")		/* told to end */

enum lk_worker_state {
#define LK_STATE(symbol, word) LK_WORKER_##symbol,
	LK_WORKER_STATES(LK_STATE)
#undef LK_STATE
	LK_WORKER__N,
};

/* What the item of a request that has left its job points into. */
struct lk_left {
	struct lk_arg	*args;
	struct lk_key_shape *shape;	/* a hold, or NULL */
};

struct lk_worker {
	struct lk_list	 link;		/* in database->idle, most recent first */
	struct lk_database *database;
	uint32_t	 index;
	enum lk_worker_state state;
	struct lk_server *server;	/* NULL without a session */
	int		 backend_pid;	/* 0 without a session */
	struct lk_log_about lost;	/* with its session; pid 0: no news */
	struct lk_tx	*tx;		/* pinned to it, or NULL */
	struct lk_list	 requests;	/* whose job is out, as its items stand;
					   empty: none is, or ours */
	bool		 has_job;
	bool		 is_batch;	/* each of its items is its request's own
					   affair */
	bool		 is_reader;	/* a job of reads by key is out, and has not
					   been for long */
	bool		 is_breaking;	/* a batch that is being cancelled, to be
					   asked again one by one */
	struct lk_left	*left;		/* what those who have left it let it; heap */
	size_t		 n_left;
	bool		 is_clean;	/* may serve somebody else */
	unsigned	 n_cancels;	/* out: the fence is up while not 0 */
	uint64_t	 since_us;	/* of state */
	uint64_t	 seq;		/* core->seq when that last changed */
	struct lk_timer	 idle_timer;
	uint32_t	 node_number;	/* in the wait graph */
};

/* ---- channels of a database, and who hears them ---- */

#define LK_LISTENER_STATES(X)						\
	X(NONE, "none")			/* nobody is subscribed: no thread */ \
	X(CONNECTING, "connecting")	/* no session, on its way to one */ \
	X(LISTENING, "listening")	/* it has one */		\
	X(STOPPING, "stopping")		/* told to end */

enum lk_listener_state {
#define LK_STATE(symbol, word) LK_LISTENER_##symbol,
	LK_LISTENER_STATES(LK_STATE)
#undef LK_STATE
	LK_LISTENER__N,
};

/* All of a database's channels, and the thread that listens to them. */
struct lk_channels {
	enum lk_listener_state state;
	struct lk_hash	 by_name;
	struct lk_list	 all;
	struct lk_list	 unsettled;	/* to be listened to and not yet, or the
					   other way round */
	uint32_t	 n_wanted;	/* of all, by at least one client */
	bool		 has_asked;	/* a struct lk_listen is out */
	int		 backend_pid;	/* 0 without a session */
	char		*why_down;	/* the server's last words, or NULL */
	struct lk_timer	 retry_timer;	/* set: the server has refused some */
};

struct lk_channel {
	struct lk_list	 link;		/* channels->all */
	struct lk_list	 unsettled_link;
	struct lk_hash_node node;	/* channels->by_name */
	struct lk_database *database;
	struct lk_list	 subscriptions;	/* those asked for, too */
	bool		 is_wanted;	/* there are some */
	bool		 is_listened;	/* LISTEN is in force */
	bool		 is_asked;	/* it is in the struct lk_listen */
	bool		 was_lost;	/* it was in force, and is not since then */
	size_t		 n_name;
	char		 name[];	/* with a NUL behind it */
};

/* A client and a channel. */
struct lk_subscription {
	struct lk_list	 channel_link;	/* channel->subscriptions */
	struct lk_list	 client_link;	/* client->subscriptions, or with request
					   that one's */
	struct lk_hash_node node;	/* core->subscriptions, without request */
	struct lk_channel *channel;
	struct lk_client *client;
	struct lk_request *request;	/* the SUBSCRIBE that asks for it and has
					   no reply yet; NULL: it is in force */
	bool		 has_missed;	/* messages, of which its client is told */
};

/* ---- databases ---- */

struct lk_database {
	struct lk_core	*core;
	const struct lk_config_database *config;
	struct lk_server *server;	/* NULL until a session was open */
	struct lk_list	 idle;		/* workers */
	struct lk_list	 ready_autocommit; /* requests waiting for a slot */
	struct lk_list	 ready_tx;	/* the same, first of a new tx */
	struct lk_list	 ready_lent;	/* the same, with a reserve worker on
					   its way: served first */
	struct lk_list	 ready_reads;	/* the same, reads by key: for a reader */
	size_t		 n_ready;	/* in all four */
	size_t		 n_reads;	/* in ready_reads */
	uint32_t	 n_readers;	/* workers that are is_reader */
	struct lk_timer	 read_timer;	/* one of them may have become slow */
	struct lk_hash	 shapes;	/* of the catalog in force */
	struct lk_list	 all_shapes;
	size_t		 n_shapes;
	uint32_t	 n_lent;	/* in ready_lent */
	bool		 wants_serve;	/* some have come to be ready */
	uint64_t	 lend_again_us;	/* not before: none could be opened */
	uint32_t	 n_workers;	/* threads that are not STOPPING */
	uint32_t	 n_connecting;
	uint64_t	 down_since_us;	/* 0 while a session is open */
	struct lk_timer	 down_timer;
	char		*down_text;	/* the server's last words, or NULL */
	uint32_t	 node_number;	/* "any slot of it", in the wait graph */
	struct lk_channels channels;
	/* What the verbs know of it (catalog.c). */
	struct lk_catalog *catalog;	/* in force; NULL: none was read yet */
	uint64_t	 catalog_hash;	/* of the reading that it was made of, */
	struct lk_config_models *catalog_models; /* and of these; a hold */
	uint64_t	 catalog_seq;	/* core->seq when its reading was asked */
	uint64_t	 catalog_asked_us;	/* likewise, the time */
	uint64_t	 catalog_us;	/* when it came */
	uint64_t	 doubt_seq;	/* core->seq when it last was said that what
					   was read before is old */
	bool		 is_reload;	/* RELOAD has asked for the next reading */
	bool		 is_reading;	/* its reader's thread runs */
	bool		 is_reader_stopped;	/* has been told to end */
	uint64_t	 reading_seq, reading_us;	/* when the last was asked; seq
					   0: none was */
	uint64_t	 reading_cost_us; /* what that took */
	unsigned	 n_unread;	/* readings that failed since */
	char		*unread_text;	/* why the last one did; NULL: it did not */
	char		*catalog_said;	/* what the last one that did not had to say
					   of the configuration; NULL: none yet */
	struct lk_list	 catalog_waiters; /* requests */
	struct lk_timer	 catalog_timer;	/* the next reading */
	struct lk_catalog *dead_catalogs; /* to be freed, some at a time */
	struct lk_timer	 dead_timer;
};

/*
 * Reads by key of one shape, or UPDATEs of a row.  Lives as long as its database
 * knows it or a request is of it.
 */
struct lk_key_shape {
	struct lk_list	 link;		/* database->all_shapes */
	struct lk_hash_node node;	/* database->shapes */
	struct lk_database *database;
	unsigned	 n_holds;
	struct lk_catalog *catalog;	/* held */
	struct lk_keyed	*keyed;
	struct lk_list	 ready;		/* reads in ready_reads, in order */
};

/* ---- clients and tasks ---- */

struct lk_client {
	struct lk_list	 link;		/* core->clients */
	struct lk_core	*core;
	void		*conn;
	uint64_t	 id;
	struct lk_peer	 peer;
	struct lk_format format;
	bool		 is_blocking;	/* MODE blocking */
	bool		 tags_push;	/* HELLO TAGS push: replies as pushes */
	bool		 error_blobs;	/* HELLO ERRORS blob; RESP3 only */
	bool		 is_closing;	/* QUIT or PROTO: no more requests */
	bool		 is_paused;	/* reads no replies: no statement begins */
	bool		 is_full;	/* too much is held: none begins that is
					   newer than what it waits for */
	uint64_t	 n_held_bytes;	/* of replies that wait for their turn */
	char		*name;		/* HELLO NAME, or NULL */
	char		*thread;	/* HELLO THREAD, or NULL */
	char		*null_text;	/* HELLO NULL: this text means SQL NULL */
	uint64_t	 scope;		/* of its task names */
	struct lk_database *database;
	struct lk_task	*task;		/* the connection's own, or NULL yet */
	struct lk_tx	*current;	/* BEGIN HERE, or NULL */
	struct lk_list	 requests;	/* outstanding, all */
	struct lk_list	 order;		/* outstanding untagged, as sent */
	struct lk_list	 tasks;		/* that it is the client of */
	struct lk_list	 txs;		/* that it opened */
	struct lk_list	 subscriptions;	/* in force, the first first */
	uint32_t	 n_subscriptions;
	uint32_t	 n_asked;	/* of all its SUBSCRIBEs without a reply */
	const char	*missed;	/* static text: why it has missed messages,
					   and is to be told; or NULL */
	struct lk_list	 units;		/* that wait for their EXEC */
	struct lk_unit	*last_unit;	/* that has ended; NULL: none yet */
	struct lk_error	*last_error;	/* NULL: none yet */
	uint64_t	 since_us;
	uint64_t	 n_requests;
	uint32_t	 n_outstanding;	/* requests */
};

struct lk_await {
	struct lk_list	 from_link;	/* from->awaits */
	struct lk_list	 to_link;	/* to->awaited_by */
	struct lk_task	*from;
	struct lk_task	*to;
};

/*
 * Deadlocks that some work was the victim of, each time in a transaction of its
 * own: when it first began, and until when the next one still counts as a try.
 */
struct lk_rounds {
	unsigned	 n_lost;	/* 0: none, the rest means nothing */
	uint64_t	 age;		/* tx->age of the first */
	uint64_t	 until_us;
};

struct lk_task {
	struct lk_list	 link;		/* core->tasks */
	struct lk_hash_node node;	/* core->tasks_by_name, when named */
	struct lk_list	 client_link;	/* client->tasks */
	struct lk_core	*core;
	struct lk_client *client;	/* that last used it; NULL: gone */
	bool		 is_placed;	/* on its client's thread; else others
					   have only named it */
	uint64_t	 id;
	uint64_t	 scope;
	char		*name;		/* NULL: the connection's, or one request's */
	char		 short_name[24]; /* where it is when it is short */
	struct lk_list	 requests;	/* to be run, as sent: the first may be */
	struct lk_list	 held;		/* answered, their replies not yet sent */
	struct lk_list	 txs;		/* that it owns */
	struct lk_unit	*unit;		/* between MULTI and EXEC; else NULL */
	struct lk_list	 awaits;	/* struct lk_await by from_link */
	struct lk_list	 awaited_by;	/* struct lk_await by to_link */
	bool		 await_any;	/* one of awaits will do */
	uint64_t	 await_seq;	/* core->seq when awaits last changed */
	uint64_t	 await_us;	/* likewise, the time */
	struct lk_rounds rounds;	/* for its next tx */
	struct lk_timer	 rounds_timer;
	uint64_t	 ran_seq;	/* core->seq when a statement of its last was
					   over */
	uint32_t	 node_number;	/* in the wait graph being built */
};

/* ---- requests ---- */

#define LK_REQUEST_STATES(X)						\
	X(WAITING, "waiting")	/* behind one of its task or tx */	\
	X(QUEUED, "queued")	/* for a slot */			\
	X(PARKED, "parked")	/* for its lock's holder, without a slot */ \
	X(LISTENING, "listening") /* until its channels are listened to */ \
	X(RUNNING, "running")	/* its job is out */			\
	X(RETRYING, "retrying")	/* a unit that lost, or a verb that lost its \
				   session, until its next try */	\
	X(ENDING, "ending")	/* a victim whose tx is being rolled back */ \
	X(HELD, "held")		/* answered; the reply waits its turn */ \
	X(DONE, "done")

enum lk_request_state {
#define LK_STATE(symbol, word) LK_REQUEST_##symbol,
	LK_REQUEST_STATES(LK_STATE)
#undef LK_STATE
	LK_REQUEST__N,
};

struct lk_verb;

struct lk_request {
	struct lk_core	*core;
	struct lk_id	 id;
	uint64_t	 number;	/* in order of arrival */
	const struct lk_verb *verb;
	enum lk_request_state state;
	uint64_t	 seq;		/* core->seq when state last changed */
	struct lk_client *client;	/* NULL: gone, nobody wants the reply */
	struct lk_task	*task;
	struct lk_tx	*tx;		/* joined, or NULL */
	uint64_t	 cursor;	/* of tx, that plan is to open, fetch from or
					   close; 0: none */
	struct lk_database *database;
	struct lk_worker *worker;	/* while RUNNING */
	struct lk_list	 job_link;	/* worker->requests, while its job is out */
	struct lk_list	 client_link, order_link, task_link, tx_link;
	struct lk_list	 ready_link;	/* database->ready_*, while QUEUED */
	struct lk_list	 todo_link;	/* core->todo */
	struct lk_list	 catalog_link;	/* database->catalog_waiters */
	uint64_t	 catalog_us;	/* since when it waits there; 0: it does not */
	uint64_t	 came_seq;	/* core->seq when it came */
	struct lk_hash_node tag_node;	/* core->tags, when tagged */
	struct lk_arg	*args;		/* after the verb; heap, one block with what
					   they point into.  So does its job, while
					   that is out */
	size_t		 n_args;
	char		*control;	/* heap; the daemon's own text to run
					   instead of args, or NULL */
	struct lk_catalog *catalog;	/* held; what plan was made with, or
					   NULL */
	struct lk_plan	 plan;		/* to be run instead of args; its sql is
					   NULL: there is none */
	struct lk_key_shape *shape;	/* held; NULL: it is no read by key */
	struct lk_plan_param few_params[LK_KEYED_FEW];	/* plan's, with shape */
	struct lk_list	 shape_link;	/* shape->ready, while in ready_reads */
	bool		 was_recompiled;	/* for the server knew better */
	bool		 is_alone;	/* in no batch: it was in one that waited for
					   a lock, is lent a worker, or is sent to see
					   whether those parked still have to wait */
	bool		 was_lost;	/* with its session, and is run again */
	struct lk_unit	*unit;		/* EXEC's, or NULL */
	bool		 is_must;	/* MUST stands before the verb */
	bool		 breaks_unit;	/* MULTI: a verb behind it has failed */
	bool		 ends_unit;	/* EXEC or DISCARD behind it has failed */
	char		 tag[64];
	size_t		 n_tag;		/* 0: untagged */
	struct lk_format format;
	bool		 rows_said;	/* = was given */
	bool		 tx_said;	/* # was given */
	bool		 time_said, database_said;	/* ~ or ?, and / were */
	bool		 may_rerun;	/* ! was given */
	bool		 is_late;	/* came while the daemon was draining */
	bool		 is_commit;	/* sent as such: cancels come too late */
	uint64_t	 deadline_us;	/* absolute; LK_NEVER: none */
	uint64_t	 deadline_ms;	/* as said */
	uint64_t	 lock_us;	/* wait for locks at most; LK_NEVER: for ever */
	uint64_t	 arrived_us, queued_us, sent_us;
	struct lk_timer	 deadline_timer, queue_timer, cancel_timer;
	char		*doing;		/* verb and redacted text, where args may be
					   gone; heap; NULL: they tell */
	struct lk_buf	 reply;		/* while HELD */
	/* Ending it before its time. */
	struct lk_error	 why;		/* is_set: what to say when it was cancelled */
	bool		 why_is_wait;	/* only while it is in the wait that the
					   cancel names */
	bool		 want_look;	/* deadline passed: cancel at the next look */
	bool		 is_victim;	/* of a verdict, and not ended yet */
	bool		 was_reported;	/* found once; not again in this wait */
	bool		 is_lent;	/* in database->ready_lent */
	uint64_t	 cancel_since_us;	/* first cancel, for termination */
	/* What the last look saw. */
	bool		 is_waiting;
	bool		 was_notified;	/* lockwait was pushed for waitstart */
	uint64_t	 waited_us, wait_since_us;
	uint64_t	 locked_us;	/* in waits that are over */
	uint64_t	 out_us;	/* on its session, once answered */
	uint64_t	 lock_due_us;	/* look again for ?ms; LK_NEVER: not */
	char		 waitstart[40];
	/* SUBSCRIBE and UNSUBSCRIBE (subscribe.c). */
	struct lk_list	 subscriptions;	/* asked for */
	bool		 confirms;	/* its reply is made when its turn comes */
	/* Waiting for a lock without a slot (park.c). */
	bool		 is_parking;	/* being cancelled, to be parked */
	bool		 is_sentinel;	/* it waits on the server for those parked */
	bool		 keeps_slot;	/* not to be parked before a look has seen it */
	struct lk_park	*park;		/* PARKED, is_sentinel, or is_parking; NULL:
					   the holder has ended meanwhile */
	struct lk_hold	*hold;		/* on the row that it is for, while it waits
					   for that or is out, then those on a unit's
					   other rows; NULL: none */
	uint64_t	 turn_us;	/* since when it is its turn in its lanes; 0:
					   it is not */
	struct lk_list	 park_link;	/* of the park's, or core->laned */
	struct lk_hash_node park_node;	/* core->parked, while PARKED */
	struct lk_wait	 parked;	/* the wait that it was in; pid 0, for it has
					   no session now */
	uint64_t	 parked_us;	/* since when it is PARKED */
	uint64_t	 spent_us;	/* of ?ms, in waits before this run */
	uint32_t	 node_number, reply_number;	/* in the wait graph */
};

/* ---- units ---- */

/* A verb between MULTI and EXEC: of a request what is still needed. */
struct lk_unit_verb {
	const struct lk_verb *verb;
	struct lk_arg	*args;		/* as a request's */
	size_t		 n_args;
	struct lk_catalog *catalog;	/* held; NULL: there is no plan */
	struct lk_plan	 plan;
	bool		 rows_said;	/* = was given, */
	uint8_t		 rows;		/* with this form */
	bool		 is_must, may_rerun;
};

#define LK_REASONS_KEPT	10

struct lk_unit {
	struct lk_core	*core;
	struct lk_list	 client_link;	/* client->units, until EXEC */
	struct lk_client *client;	/* that opened it; until EXEC */
	struct lk_task	*task;		/* likewise, whose queue it is */
	struct lk_database *database;
	const char	*begin;		/* static text of its BEGIN */
	unsigned	 n_replays_max;	/* RETRY */
	char		*marker;	/* REF; heap or NULL */
	bool		 has_options;	/* UNIT is its first verb */
	struct lk_unit_verb *verbs;	/* heap */
	size_t		 n_verbs, cap_verbs;
	size_t		 n_bytes;	/* of their arguments */
	char		*broken;	/* the first error while queueing, in
					   words; heap or NULL */
	/* From EXEC on. */
	uint64_t	 age;		/* as a transaction's */
	struct lk_rounds rounds;	/* lost so far */
	unsigned	 n_replays;
	bool		 may_rerun;	/* each of its verbs may be run again, and
					   so it may be parked */
	bool		 is_hopeless;	/* running it again ends no deadlock */
	/* For SHOW unit. */
	unsigned	 n_tries;
	char		*reasons[LK_REASONS_KEPT]; /* why tries were given up, the
					   latest last; heap */
	unsigned	 n_reasons;
	unsigned	 n_statements, n_round_trips;	/* of the last */
	uint64_t	 total_us;
	char		*ended;		/* heap */
};

/*
 * Who holds the locks that some statements want, and the statements that wait
 * for it to end without a slot: cancelled, and run again then.
 */
struct lk_park {
	struct lk_list	 link;		/* core->parks */
	struct lk_core	*core;
	struct lk_server *server;
	struct lk_tx	*tx;		/* the holder; NULL: none of ours, but */
	int		 pid;		/* this backend; 0: */
	char		*gid;		/* this prepared transaction; heap */
	uint64_t	 prepared_us;	/* when it was prepared, as far as known */
	struct lk_list	 requests;	/* PARKED, in order of their numbers */
	struct lk_list	 coming;	/* their cancels are out */
	struct lk_id	 sentinel;	/* the one statement that still waits for a
					   holder that is not ours */
	struct lk_id	 probe;		/* the request sent last to see whether it
					   still has to wait */
	uint64_t	 probed;	/* its number */
	struct lk_timer	 probe_timer;
};

/* ---- lanes ---- */

/*
 * A row that statements of ours have locked, or wait for, by its key.  There
 * while anybody has a hold on it or wants one.
 */
struct lk_lane {
	struct lk_hash_node node;	/* core->lanes */
	struct lk_list	 changed_link;	/* core->changed_lanes: somebody may have
					   become able to go on */
	struct lk_database *database;
	struct lk_list	 holds;		/* RESERVED, CALLED and TAKEN */
	struct lk_list	 pinned;	/* WAITING, their workers being their
					   transactions': the first first */
	struct lk_list	 waiters;	/* WAITING, all others */
	size_t		 n_waiters;	/* in both */
	size_t		 n_reserved;	/* of holds */
	size_t		 n_tx_holds;	/* of holds, those of transactions */
	uint64_t	 singly_until_us;	/* its statements are in no groups,
					   since one has failed */
	size_t		 n_key;
	char		 key[];
};

#define LK_HOLD_STATES(X)						\
	X(WAITING, "waiting")	/* in its lane; its request is PARKED */	\
	X(RESERVED, "reserved")	/* its turn, but its unit waits for others */ \
	X(CALLED, "called")	/* its turn, but it has no worker yet */	\
	X(TAKEN, "taken")	/* its statement is out, or has the row */

enum lk_hold_state {
#define LK_STATE(symbol, word) LK_HOLD_##symbol,
	LK_HOLD_STATES(LK_STATE)
#undef LK_STATE
	LK_HOLD__N,
};

struct lk_hold {
	struct lk_list	 link;		/* of its lane's lists, by state */
	struct lk_hold	*next;		/* of the same request */
	struct lk_list	 tx_link;	/* tx->holds, once that has the row */
	struct lk_lane	*lane;
	enum lk_hold_state state;
	struct lk_request *req;		/* whose statement is for it; NULL: that is
					   over, and tx has the row */
	struct lk_tx	*tx;		/* NULL: autocommit */
	struct lk_row_lock lock;
	bool		 wants_more;	/* its unit waits for this row first, and
					   for others once this one is free */
	bool		 is_granted;	/* it has waited, with a worker in hand */
	bool		 is_confirmed;	/* tx has locked the row for certain, and
					   others see that row */
	uint64_t	 seq;		/* core->seq when state last changed */
	uint64_t	 statement;	/* of tx, that locked it; the first is 1 */
};

/* ---- transactions ---- */

/* An open cursor; the server knows it as lk_cursor_<number>. */
struct lk_cursor {
	struct lk_list	 link;		/* tx->cursors, by number */
	uint64_t	 number;	/* in its tx; the first opened is 1 */
	uint64_t	 n_fetched;	/* rows, also those that were too many for a
					   reply */
	char		*what;		/* its query, for others to see; heap */
	struct lk_with	 with;		/* what its rows nest */
};

struct lk_savepoint {
	struct lk_list	 link;		/* tx->savepoints, the youngest last */
	uint64_t	 last_cursor;	/* of its tx, when it was set, */
	uint64_t	 last_statement;	/* likewise */
	size_t		 n;
	char		 name[];
};

#define LK_TX_STATES(X)							\
	X(IDLE, "idle")		/* between statements */		\
	X(QUEUED, "queued")	/* its statement waits, for a slot or a row */ \
	X(RUNNING, "running")	/* a statement is out */		\
	X(ENDING, "ending")	/* COMMIT or ROLLBACK is out */		\
	X(ABORTED, "aborted")	/* over on the server; the client is yet to
				   say ROLLBACK */			\
	X(DONE, "done")

enum lk_tx_state {
#define LK_STATE(symbol, word) LK_TX_##symbol,
	LK_TX_STATES(LK_STATE)
#undef LK_STATE
	LK_TX__N,
};

struct lk_tx {
	struct lk_list	 link;		/* core->txs */
	struct lk_hash_node node;	/* core->txs_by_handle */
	struct lk_list	 client_link, owner_link;
	struct lk_core	*core;
	uint64_t	 handle;
	enum lk_tx_state state;
	uint64_t	 seq;		/* core->seq when state or owner changed */
	uint64_t	 pinned_seq;	/* core->seq when it got its worker */
	struct lk_client *client;	/* that opened it; NULL: gone */
	struct lk_task	*owner;		/* NULL: SHARED */
	bool		 is_named;	/* opened with %task, or given: only it */
	bool		 is_failed;	/* a failed transaction block */
	struct lk_database *database;
	struct lk_worker *worker;	/* from its first statement */
	const char	*begin;		/* static text of its BEGIN */
	struct lk_list	 requests;	/* outstanding, as sent */
	struct lk_request *victim;	/* to be answered once rolled back */
	struct lk_error	 why;		/* ABORTED: what to say */
	char		*doing;		/* its last statement; heap or NULL */
	uint64_t	 begun_us, since_us;
	uint64_t	 n_statements, n_rows;
	struct lk_list	 holds;		/* rows that it has, as far as known */
	uint32_t	 n_holds;
	uint32_t	 created_in;	/* the table in which it may have made rows; 0:
					   in none; UINT32_MAX: in any */
	uint64_t	 lane_mark;	/* of the last search that came by */
	struct lk_list	 cursors, savepoints;
	uint32_t	 n_cursors;
	uint64_t	 last_cursor;	/* the number of the last that was opened */
	uint64_t	 age;		/* its handle, or its first try's */
	struct lk_rounds rounds;	/* lost before this one */
	bool		 is_begun;	/* BEGIN was sent with a statement */
	bool		 is_soiled;	/* its session is to be cleaned behind it */
	bool		 wants_rollback;	/* once its worker is free */
	struct lk_error	 expired;	/* is_set: the daemon ends it, and why */
	struct lk_timer	 idle_timer;	/* timeouts.idle_in_transaction */
	uint32_t	 node_number;	/* in the wait graph */
};

/* ---- deadlocks seen ---- */

#define LK_DEADLOCKS_KEPT	100

struct lk_deadlock {
	uint64_t	 number;	/* 1 is the first */
	uint64_t	 wall_ms;	/* since 1970 */
	char		*text;
	char		*members;
	char		*victim;	/* NULL: none, a worker is lent */
	const char	*action;	/* "failing" or "lending", then how it
					   ended */
	struct lk_id	 request;
	uint64_t	*client_ids;	/* members, to be told at its end; heap */
	size_t		 n_clients;
	uint64_t	 closed_us;	/* when the last of its waits began */
	uint64_t	 verdict_us, end_us;	/* durations from closed_us */
};

/* What a node of the wait graph stands for. */
enum lk_ref_kind {
	LK_REF_NONE,
	LK_REF_TASK,
	LK_REF_REQUEST,
	LK_REF_TX,
	LK_REF_FOREIGN,		/* struct lk_wait of somebody else's backend */
};

struct lk_ref {
	enum lk_ref_kind kind;
	void		*object;
};

/* Longer ones are left to PostgreSQL and to timeouts. */
#define LK_CYCLE_MAX	1024

/* A cycle in the residue, and the request to fail for it or to lend to. */
struct lk_cycle {
	struct lk_request *req;
	bool		 is_own_thread;	/* the essay's case */
	bool		 is_in_the_way;	/* only because others queue behind it */
	bool		 is_replay;	/* not to fail it, but to run it again */
	bool		 is_retry;	/* likewise: a unit's next try */
	bool		 lends;		/* it waits for a slot, and gets one of
					   the reserve */
	bool		 spares_elder;	/* another has lost often enough */
	uint32_t	 nodes[LK_CYCLE_MAX];
	size_t		 n;
};

/* Counters of SHOW stats: rows of core/stats.def. */
struct lk_stats {
#define LK_STAT(name, help) uint64_t name;
#include "core/stats.def"
#undef LK_STAT
};

struct lk_core {
	const struct lk_config *config;
	const struct lk_effects *effects;
	void		*ctx;
	uint64_t	 start_us, now_us;
	int64_t		 wall_offset_us;	/* wall clock minus now_us */
	uint64_t	 seq;		/* grows with every change of an edge */
	struct lk_heap	 timers;
	struct lk_list	 clients, tasks, txs;
	struct lk_hash	 tasks_by_name, txs_by_handle, tags, groups;
	struct lk_hash	 subscriptions;	/* in force, by client and channel */
	struct lk_idtab	 request_ids;
	struct lk_pool	 request_pool, task_pool;
	struct lk_list	 todo;		/* requests that may be able to start */
	uint64_t	 n_told_bytes;	/* of LK_VERB_LONG, since turn_timer last fired */
	struct lk_timer	 turn_timer;	/* set: the rest of todo is for the next turn
					   of the loop */
	struct lk_list	 parks;
	struct lk_hash	 parked;	/* requests, by database and statement */
	struct lk_hash	 lanes;		/* by database and key */
	struct lk_list	 laned;		/* requests that wait in one */
	struct lk_list	 changed_lanes;
	uint64_t	 lane_marks;	/* searches so far */
	bool		 is_pumping;
	bool		 is_stopping;
	bool		 is_draining;
	uint64_t	 drain_since_us;
	struct lk_timer	 drain_timer;
	uint32_t	 n_clients;
	uint32_t	 n_requests;	/* without a reply yet, all clients' */
	uint32_t	 n_waiting;	/* of these, WAITING or QUEUED */
	size_t		 n_unit_verbs;	/* that wait for their EXEC */
	uint64_t	 next_number;	/* clients, tasks, requests, scopes */
	uint64_t	 next_handle;
	struct lk_database *databases;
	size_t		 n_databases;
	struct lk_worker **workers;	/* by thread index; NULL: free */
	uint32_t	 n_workers;
	struct lk_server **servers;
	uint32_t	 n_servers;
	uint32_t	 n_watchers;	/* threads that run */
	uint32_t	 n_listeners;	/* likewise */
	struct lk_graph	 graph;
	struct lk_ref	*refs;		/* by node number */
	uint32_t	 cap_refs;
	struct lk_deadlock deadlocks[LK_DEADLOCKS_KEPT];
	uint64_t	 n_deadlocks;
	struct lk_stats	 stats;
};

#endif
