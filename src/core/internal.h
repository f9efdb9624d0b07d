/*
 * core's own structs and the functions between its files.  All of it is the
 * loop's and is entered only through core.h.
 */
#ifndef LK_CORE_INTERNAL_H
#define LK_CORE_INTERNAL_H

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/list.h"
#include "core/core.h"
#include "core/graph.h"
#include "resp/encode.h"

/* Watchers share the thread numbers of messages with workers. */
#define LK_WATCHER_BIT	0x80000000u

/* ---- a PostgreSQL server (a running cluster) and its watcher ---- */

struct lk_server {
	struct lk_core	*core;
	uint32_t	 index;
	char		 id[LK_SERVER_ID_MAX];
	bool		 has_watcher;	/* its thread runs */
	bool		 look_is_out;
	bool		 is_blind;	/* the last look failed */
	bool		 wants_look;	/* soon, whatever was looked at before */
	struct lk_look	*last;		/* the last that did not, or NULL */
	struct lk_timer	 timer;		/* the next look */
	double		 tokens;	/* looks that may be asked at once */
	uint64_t	 tokens_us;	/* when tokens was true */
	uint64_t	 looked_us;	/* when the last look was asked */
};

/* ---- databases and their workers ---- */

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

struct lk_worker {
	struct lk_list	 link;		/* in database->idle, most recent first */
	struct lk_database *database;
	uint32_t	 index;
	enum lk_worker_state state;
	struct lk_server *server;	/* NULL without a session */
	int		 backend_pid;	/* 0 without a session */
	struct lk_tx	*tx;		/* pinned to it, or NULL */
	struct lk_request *request;	/* whose job is out; NULL: none, or ours */
	bool		 has_job;
	bool		 is_clean;	/* may serve somebody else */
	unsigned	 n_cancels;	/* out: the fence is up while not 0 */
	uint64_t	 since_us;	/* of state */
	struct lk_timer	 idle_timer;
	uint32_t	 node_number;	/* in the wait graph */
};

struct lk_database {
	struct lk_core	*core;
	const struct lk_config_database *config;
	struct lk_server *server;	/* NULL until a session was open */
	struct lk_list	 idle;		/* workers */
	struct lk_list	 ready_autocommit; /* requests waiting for a slot */
	struct lk_list	 ready_tx;	/* the same, first of a new tx */
	size_t		 n_ready;
	uint32_t	 n_workers;	/* threads that are not STOPPING */
	uint32_t	 n_connecting;
	uint64_t	 down_since_us;	/* 0 while a session is open */
	struct lk_timer	 down_timer;
	char		*down_text;	/* the server's last words, or NULL */
	uint32_t	 node_number;	/* "any slot of it", in the wait graph */
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

struct lk_task {
	struct lk_list	 link;		/* core->tasks */
	struct lk_hash_node node;	/* core->tasks_by_name, when named */
	struct lk_list	 client_link;	/* client->tasks */
	struct lk_core	*core;
	struct lk_client *client;	/* that last used it; NULL: gone */
	uint64_t	 id;
	uint64_t	 scope;
	char		*name;		/* NULL: the connection's, or one request's */
	struct lk_list	 requests;	/* to be run, as sent: the first may be */
	struct lk_list	 held;		/* answered, their replies not yet sent */
	struct lk_list	 txs;		/* that it owns */
	struct lk_list	 awaits;	/* struct lk_await by from_link */
	struct lk_list	 awaited_by;	/* struct lk_await by to_link */
	bool		 await_any;	/* one of awaits will do */
	uint64_t	 await_seq;	/* core->seq when awaits last changed */
	uint32_t	 node_number;	/* in the wait graph being built */
};

/* ---- requests ---- */

#define LK_REQUEST_STATES(X)						\
	X(WAITING, "waiting")	/* behind one of its task or tx */	\
	X(QUEUED, "queued")	/* for a slot */			\
	X(RUNNING, "running")	/* its job is out */			\
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
	struct lk_database *database;
	struct lk_worker *worker;	/* while RUNNING */
	struct lk_list	 client_link, order_link, task_link, tx_link;
	struct lk_list	 ready_link;	/* database->ready_*, while QUEUED */
	struct lk_list	 todo_link;	/* core->todo */
	struct lk_hash_node tag_node;	/* core->tags, when tagged */
	char		*arena;		/* heap; what args point into; the job's
					   while RUNNING */
	struct lk_arg	*args;		/* after the verb; heap */
	size_t		 n_args;
	char		*control;	/* heap; the daemon's own text to run
					   instead of args, or NULL */
	char		 tag[64];
	size_t		 n_tag;		/* 0: untagged */
	struct lk_format format;
	bool		 rows_said;	/* = was given */
	bool		 tx_said;	/* # was given */
	bool		 may_rerun;	/* ! was given */
	bool		 is_commit;	/* sent as such: cancels come too late */
	uint64_t	 deadline_us;	/* absolute; LK_NEVER: none */
	uint64_t	 deadline_ms;	/* as said */
	uint64_t	 lock_us;	/* wait for locks at most; LK_NEVER: for ever */
	uint64_t	 arrived_us, queued_us, sent_us;
	struct lk_timer	 deadline_timer, queue_timer, cancel_timer;
	char		*doing;		/* verb and redacted text; heap; once sent */
	struct lk_buf	 reply;		/* while HELD */
	/* Ending it before its time. */
	struct lk_error	 why;		/* is_set: what to say when it was cancelled */
	bool		 want_look;	/* deadline passed: cancel at the next look */
	bool		 is_victim;	/* of a verdict, and not ended yet */
	bool		 was_reported;	/* found once; not again in this wait */
	uint64_t	 cancel_since_us;	/* first cancel, for termination */
	/* What the last look saw. */
	bool		 is_waiting;
	bool		 was_notified;	/* lockwait was pushed for waitstart */
	uint64_t	 waited_us, wait_since_us;
	uint64_t	 lock_due_us;	/* look again for ?ms; LK_NEVER: not */
	char		 waitstart[40];
	uint32_t	 node_number, reply_number;	/* in the wait graph */
};

/* ---- transactions ---- */

#define LK_TX_STATES(X)							\
	X(IDLE, "idle")		/* between statements */		\
	X(QUEUED, "queued")	/* its first statement waits for a slot */ \
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
	bool		 is_begun;	/* BEGIN was sent with a statement */
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
	char		*victim;
	const char	*action;	/* "failing", then how it ended */
	struct lk_id	 request;
	uint64_t	*client_ids;	/* members, to be told at its end; heap */
	size_t		 n_clients;
	uint64_t	 closed_us;	/* when the victim was sent */
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

/* A cycle in the residue, and the request to fail for it. */
struct lk_cycle {
	struct lk_request *req;
	bool		 is_own_thread;	/* the essay's case */
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
	struct lk_idtab	 request_ids;
	struct lk_list	 todo;		/* requests that may be able to start */
	bool		 is_pumping;
	bool		 is_stopping;
	uint32_t	 n_waiting;	/* requests WAITING or QUEUED */
	uint64_t	 next_number;	/* clients, tasks, requests, scopes */
	uint64_t	 next_handle;
	struct lk_database *databases;
	size_t		 n_databases;
	struct lk_worker **workers;	/* by thread index; NULL: free */
	uint32_t	 n_workers;
	struct lk_server **servers;
	uint32_t	 n_servers;
	uint32_t	 n_watchers;	/* threads that run */
	struct lk_graph	 graph;
	struct lk_ref	*refs;		/* by node number */
	uint32_t	 cap_refs;
	struct lk_deadlock deadlocks[LK_DEADLOCKS_KEPT];
	uint64_t	 n_deadlocks;
	struct lk_stats	 stats;
};

/* core.c */
void	lk_core_pump(struct lk_core *core);
uint64_t lk_core_wall_ms(const struct lk_core *core, uint64_t at_us);

/* client.c */
bool	lk_client_same_thread(const struct lk_client *a,
	    const struct lk_client *b);
struct lk_task *lk_client_task(struct lk_client *client);
/* An empty name is none. */
void	lk_client_set_name(struct lk_client *client, const struct lk_arg *name);
/* As when it had just connected, but for `by`, the request that asks. */
void	lk_client_reset(struct lk_client *client, struct lk_request *by);
void	lk_client_join_group(struct lk_client *client, const char *group,
	    size_t n);

/* task.c */
struct lk_task *lk_task_new(struct lk_core *core, struct lk_client *client);
/* Found or made; what another client of its group made stays that one's. */
struct lk_task *lk_task_named(struct lk_client *client, const char *name,
	    size_t n);
void	lk_task_set_client(struct lk_task *task, struct lk_client *client);
void	lk_task_await(struct lk_task *task, bool any, struct lk_task **others,
	    size_t n);
/* Free it when nobody needs it any more. */
void	lk_task_forget(struct lk_task *task);

/* request.c */
struct lk_request *lk_request_new(struct lk_client *client);
/* From here on lk_request_by_tag() finds it. */
void	lk_request_take_tag(struct lk_request *req);
void	lk_request_set_state(struct lk_request *req,
	    enum lk_request_state state);
void	lk_request_todo(struct lk_request *req);
void	lk_request_try(struct lk_request *req);
void	lk_request_join(struct lk_request *req, struct lk_tx *tx);
/* One of these ends a request; the pointer is dead after. */
void	lk_request_reply(struct lk_request *req, struct lk_buf *value);
void	lk_request_fail(struct lk_request *req, struct lk_error *error);
void	lk_request_failf(struct lk_request *req, enum lk_error_kind kind,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void	lk_request_simple(struct lk_request *req, const char *text);
void	lk_request_int(struct lk_request *req, int64_t value);
/* Its client is gone: end it without a reply. */
void	lk_request_drop(struct lk_request *req);
struct lk_request *lk_request_by_tag(struct lk_client *client, const char *tag,
	    size_t n);

/* envelope.c */
int	lk_envelope_parse(struct lk_request *req, const struct lk_arg *args,
	    size_t n_args, size_t *n_used_out, struct lk_error *error);

/* tx.c */
struct lk_tx *lk_tx_new(struct lk_client *client, struct lk_task *owner,
	    struct lk_database *database, const char *begin);
void	lk_tx_set_state(struct lk_tx *tx, enum lk_tx_state state);
struct lk_tx *lk_tx_by_handle(struct lk_core *core, uint64_t handle);
void	lk_tx_set_owner(struct lk_tx *tx, struct lk_task *owner);
bool	lk_tx_may_use(const struct lk_tx *tx, const struct lk_client *client,
	    const struct lk_task *task, bool task_said);
/* Its client is gone: cancel and roll back. */
void	lk_tx_abandon(struct lk_tx *tx);
/* The server has ended it without the client's word. */
void	lk_tx_abort(struct lk_tx *tx, struct lk_error *why);
/* End it against its client's will: TXEXPIRED, with this text. */
void	lk_tx_expire(struct lk_tx *tx, const char *text);
/* Over: whatever is still queued in it gets NOTX.  Frees it. */
void	lk_tx_done(struct lk_tx *tx);
void	lk_tx_rollback(struct lk_tx *tx);
/* A job of its has come back. */
void	lk_tx_job_done(struct lk_tx *tx, struct lk_worker *worker,
	    struct lk_request *req, struct lk_job *job);

/* pool.c */
void	lk_database_init(struct lk_database *db, struct lk_core *core,
	    const struct lk_config_database *config);
void	lk_database_fini(struct lk_database *db);
struct lk_database *lk_database_named(struct lk_core *core,
	    const struct lk_arg *name);
/* Wait for a slot: state becomes QUEUED. */
void	lk_database_enqueue(struct lk_database *db, struct lk_request *req);
/* CONNLOST: no session can be opened, and the server's words for why. */
void	lk_database_say_down(const struct lk_database *db,
	    struct lk_error *error);
void	lk_database_dequeue(struct lk_request *req);
void	lk_database_dispatch(struct lk_database *db);

/* worker.c */
struct lk_worker *lk_worker_start(struct lk_database *db);
void	lk_worker_set_state(struct lk_worker *worker,
	    enum lk_worker_state state);
bool	lk_worker_is_free(const struct lk_worker *worker);
/* Hand the request's statement to its worker. */
void	lk_worker_submit(struct lk_worker *worker, struct lk_request *req);
void	lk_worker_submit_rollback(struct lk_worker *worker);
/* Whatever may be next on it: its tx's statement, or the pool. */
void	lk_worker_settle(struct lk_worker *worker);
void	lk_worker_job_done(struct lk_worker *worker, struct lk_job *job);
void	lk_worker_note(struct lk_worker *worker, struct lk_note *note);
void	lk_worker_exited(struct lk_worker *worker);
struct lk_worker *lk_worker_by_pid(const struct lk_server *server, int pid);

/* cancel.c */
/*
 * End a request before its time.  *why is what its client is told, if the
 * statement does end by it; wait narrows the cancel to that very wait.
 */
void	lk_cancel_request(struct lk_request *req, struct lk_error *why,
	    const struct lk_wait *wait);
/* A failed statement's error: ours when the server's word is our cancel. */
struct lk_error *lk_cancel_reason(struct lk_request *req,
	    struct lk_item *item);
void	lk_cancel_answered(struct lk_core *core, struct lk_cancel *cancel);
void	lk_cancel_timer_init(struct lk_request *req);

/* watch.c */
struct lk_server *lk_server_get(struct lk_core *core, const char *id,
	    struct lk_database *database);
void	lk_server_free(struct lk_server **server);
/* Whether its watcher can be asked to look and to cancel. */
bool	lk_server_is_watched(const struct lk_server *server);
/* A statement went out, or an edge changed: see that a look comes. */
void	lk_watch_statement(struct lk_request *req);
void	lk_watch_now(struct lk_server *server);
void	lk_watch_soon(struct lk_server *server, uint64_t due_us);
void	lk_watch_all_soon(struct lk_core *core);
/* A request waits for a slot. */
void	lk_watch_queue(struct lk_database *db);
void	lk_watch_look(struct lk_server *server, struct lk_look *look);
const struct lk_wait *lk_look_find(const struct lk_look *look, int pid);
const struct lk_backend *lk_look_backend(const struct lk_look *look, int pid);

/* deadlock.c */
void	lk_deadlock_search(struct lk_server *server);
/* The victim has its reply: it failed, or what it waited for came after all. */
void	lk_deadlock_ended(struct lk_request *req, bool failed);
void	lk_deadlock_fini(struct lk_deadlock *deadlock);

/* victim.c */
bool	lk_victim_find(struct lk_server *server, struct lk_cycle *cycle);

/* waits.c: the wait graph of one look, in core->graph and core->refs */
void	lk_waits_build(struct lk_core *core, const struct lk_server *server);

/* words.c: the same story everywhere */
void	lk_words_task(struct lk_buf *out, const struct lk_task *task);
void	lk_words_client(struct lk_buf *out, const struct lk_client *client);
void	lk_words_doing(struct lk_buf *out, const struct lk_request *req,
	    const struct lk_client *viewer);
/* What req->doing is to say: the verb, and the text without its literals. */
void	lk_words_statement(struct lk_buf *out, const struct lk_request *req);
void	lk_words_tx(struct lk_buf *out, const struct lk_tx *tx,
	    const struct lk_client *viewer);
void	lk_words_blocker(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_blocker *blocker, const struct lk_client *viewer);
const struct lk_blocker *lk_words_root(const struct lk_server *server,
	    const struct lk_wait *wait);
void	lk_words_blockers(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_wait *wait, const struct lk_client *viewer);
void	lk_words_slots(struct lk_buf *out, const struct lk_database *db,
	    const struct lk_client *viewer);
bool	lk_words_may_see(const struct lk_client *viewer,
	    const struct lk_client *client);

/* push.c */
void	lk_push_lockwait(struct lk_request *req, const struct lk_wait *wait);
void	lk_push_txexpired(const struct lk_tx *tx);
void	lk_push_deadlock(struct lk_client *client, const char *text,
	    const char *members);

/* show.c */
void	lk_show(struct lk_request *req);

/* hello.c */
void	lk_hello(struct lk_request *req);
/* 1 to 255 bytes without control characters. */
bool	lk_is_printable(const struct lk_arg *arg);

/* verbs.c */
enum {
	LK_VERB_ON_RECEIPT = 1,	/* waits behind nothing */
	LK_VERB_TX = 2,		/* runs in a tx when one is named or current */
	LK_VERB_NO_DEADLINE = 4, /* timeouts.statement is not for it */
	LK_VERB_PARAMS = 8,	/* arguments from the second on are values */
	LK_VERB_ALWAYS = 16,	/* never OVERLOAD: it makes room */
};

struct lk_verb {
	const char	*name;
	size_t		 min_args, max_args;
	unsigned	 flags;
	void		(*run)(struct lk_request *req);
	const char	*syntax, *summary;
};

/* compat.c: what ready Redis clients send */
void	lk_run_command(struct lk_request *req);
void	lk_run_info(struct lk_request *req);
void	lk_run_client(struct lk_request *req);
void	lk_run_select(struct lk_request *req);
void	lk_run_auth(struct lk_request *req);
void	lk_run_use(struct lk_request *req);
void	lk_run_reset(struct lk_request *req);

size_t	lk_verb_count(void);
const struct lk_verb *lk_verb_at(size_t i);	/* NULL: past the last */
const struct lk_verb *lk_verb_find(const char *name, size_t n);
void	lk_verb_unknown(const struct lk_arg *word, struct lk_error *error);
bool	lk_arg_is(const struct lk_arg *arg, const char *word);
int	lk_parse_handle(const struct lk_arg *arg, uint64_t *handle_out);
const char *lk_request_state_word(enum lk_request_state state);
const char *lk_tx_state_word(enum lk_tx_state state);
const char *lk_worker_state_word(enum lk_worker_state state);

#endif
