/*
 * A simulation of core: programs, sockets, worker threads, watchers and
 * PostgreSQL servers, all made up, and an oracle that knows of all of them who
 * waits for what.  tests/sim/README says how it is put together.
 *
 * What is called the truth here is the state of these; nothing of it is read
 * out of core but the number of a new verdict and whom it is about.
 */
#ifndef LK_TESTS_SIM_H
#define LK_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/role.h"
#include "core/core.h"

#define MAX_CLIENTS	4
#define MAX_TASKS	8
#define MAX_TXS		12
#define MAX_REQS	32
#define MAX_FOREIGN	2
#define MAX_WORKERS	14
#define MAX_SESSIONS	(MAX_WORKERS + MAX_FOREIGN)	/* workers' first */
#define MAX_ROWS	6
#define MAX_DATABASES	2
#define MAX_MAIL	64
#define MAX_CANCELS	16
#define MAX_SOCKET	16
#define MAX_STATEMENT	3	/* rows of one statement, or of a unit */
#define NONE		(-1)

#define WATCHER_BIT	0x80000000u
#define READER_BIT	0x20000000u

/* ---- PostgreSQL ---- */

enum mode { FREE, SHARE, EXCLUSIVE };

/* Something that can be locked. */
struct row {
	int		 database;
	bool		 is_tuple;	/* its first waiter has a lock of its
					   own, which the others wait for */
	uint32_t	 share[2], excl[2]; /* sessions, by savepoint level */
	int		 queue[MAX_SESSIONS];
	int		 n_queue;
	unsigned	 n_commits;	/* by whom it was changed */
};

struct session {
	int		 pid;		/* 0: not open */
	int		 server;
	bool		 in_tx, is_failed, has_savepoint;
	int		 wait_row;	/* NONE: it does not wait */
	enum mode	 wait_mode;
	unsigned	 wait_serial;	/* in its waitstart */
	bool		 was_detected;	/* deadlock_timeout has come in it */
	uint64_t	 wait_since_us;
};

/* ---- what is around core ---- */

struct worker {
	bool		 is_started, is_stopping;
	int		 database;
	uint64_t	 due_us;	/* of its next step */
	struct lk_job	*job;		/* in its hands, or NULL */
	int		 req;		/* job's; NONE: the daemon's own, or reads */
	unsigned	 others[MAX_REQS]; /* serials: of reads, or of a group's but
					   the first */
	int		 n_others;
	bool		 is_reading;
	int		 tx;		/* whose session it is, or NONE */
	int		 n_locked;	/* rows of the statement asked for */
	bool		 is_cancelled;	/* the signal has come */
	int		 n_mail;	/* of it, not yet delivered */
};

struct mail {
	struct lk_msg	*msg;
	uint32_t	 thread;
	uint64_t	 due_us;
};

struct watcher {
	bool		 is_started, is_stopping;
	int		 server;	/* core numbers them as they come up */
	unsigned	 stuck[MAX_REQS]; /* serials, when it was last read */
	bool		 has_confirmed;	/* pg_blocking_pids was asked */
	uint32_t	 blocking[MAX_SESSIONS];	/* what it said */
	struct lk_look	*look;		/* asked for, not yet answered */
};

/* ---- programs ---- */

enum verb {
	BEGIN, SQL, COMMIT, ROLLBACK, SAVEPOINT, ROLLBACK_TO, AWAIT, GIVE,
	CANCEL,
	EXEC,		/* and all that stands between it and its MULTI */
	READ,		/* GET of a row by its key, many of which may share a job */
};

enum phase {
	UNUSED,
	IN_SOCKET,	/* core has not read it */
	IN_CORE,	/* nor handed to a worker */
	PARKED,		/* taken back from one, until a lock's holder ends */
	RESTING,	/* likewise, until the next try of the unit */
	AT_SERVER,
	ON_ITS_WAY,	/* done there: the result is in the mail */
	ANSWERED,	/* core knows */
};

struct req {
	enum phase	 phase;
	enum verb	 verb;
	unsigned	 serial;	/* in its tag and text */
	int		 client;	/* NONE: gone */
	int		 task;		/* NONE: of nobody's */
	int		 tx;		/* that it runs in, or NONE */
	int		 database;
	struct lk_id	 id;		/* core's, once it was handed over */
	bool		 is_tagged, says_task;
	/* SQL; EXEC, whose statements have a row each */
	int		 rows[MAX_STATEMENT];
	enum mode	 modes[MAX_STATEMENT];
	int		 n_rows;
	bool		 is_select;	/* so it may not be run again */
	bool		 is_verb;	/* READ, or UPDATE of the row by its key and not SQL */
	bool		 is_bad;	/* READ, which the server refuses */
	uint64_t	 run_us;
	uint64_t	 deadline_ms, lock_ms;	/* LK_NEVER: none */
	/* BEGIN, GIVE: the tx; AWAIT, GIVE: the other tasks, as bits */
	int		 what_tx;
	unsigned	 others;
	bool		 is_any, is_shared;
	unsigned	 what_serial;	/* CANCEL */
	unsigned	 n_retries;	/* EXEC: RETRY */
	int		 n_before;	/* EXEC: replies to come before its own */
	/* What has become of it. */
	bool		 was_cancelled;	/* CANCEL was sent for it */
	int		 parked_behind;	/* PARKED: which of txs; NONE: others */
	bool		 is_victim;	/* of a verdict */
	bool		 is_retried;	/* of a verdict, which begins it again */
	unsigned	 n_lost;	/* EXEC: tries that ended so, or by the
					   server's word for the same */
	bool		 is_detected;	/* by PostgreSQL */
	bool		 is_ending;	/* core has asked for its cancel */
	uint64_t	 read_us;	/* by core */
	unsigned	 n_commits;	/* READ: of its row, by then */
	uint64_t	 doomed_us;	/* since when core should see; 0: not */
};

struct tx {
	bool		 is_used;
	unsigned long long handle;
	int		 client;	/* NONE: gone */
	int		 owner;		/* task; NONE: anybody */
	int		 user;		/* the task that works in it */
	int		 database;
	int		 worker;	/* NONE: has none */
	bool		 is_here, is_shared;
	bool		 has_savepoint;
	bool		 is_failed;	/* a statement of it has failed */
	bool		 is_doomed;	/* core rolls it back */
	bool		 is_ending;	/* COMMIT or ROLLBACK was sent */
	bool		 is_over;
	int		 n_giving;	/* GIVE under way */
	uint64_t	 idle_us;	/* when its last reply came */
};

struct task {
	int		 client;
	char		 name[16];	/* "": the connection's own */
	int		 n_steps;	/* to go */
	bool		 is_finished;
	int		 n_out;		/* requests that it waits for */
	uint64_t	 ready_us;	/* when it has thought enough */
	bool		 awaits;
	bool		 await_any;
	unsigned	 others;	/* whom, as bits */
	int		 n_awaiting;	/* AWAIT not yet read */
	unsigned	 said_others;	/* as core has read it */
};

struct client {
	struct lk_client *client;	/* NULL: gone */
	pid_t		 pid;
	bool		 is_blocking, tags;
	int		 thread;	/* NONE: not said */
	int		 socket[MAX_SOCKET];	/* requests core has not read */
	int		 n_socket;
	bool		 is_dying;	/* and behind them, its end */
	struct lk_buf	 got;
};

struct foreign {
	int		 n_steps;	/* 0: it has left */
	int		 next_row;
	uint64_t	 ready_us;
};

/* ---- a schedule ---- */

struct counts {
	unsigned long	 verdicts, slots, own_threads, crossing, dissolved;
	unsigned long	 in_the_way, far, replays, lent, parked, detected;
	unsigned long	 moves, checks, searches, doomed;
	unsigned long	 requests, timeouts, lock_timeouts, cancels, deaths;
	unsigned long	 units, retries, serializations, unit_verdicts;
	unsigned long	 laned, laned_units, refused;
	unsigned long	 reads, batches, batched, groups, grouped;
};

struct sim {
	uint64_t	 seed, index;
	bool		 is_verbose;
	uint64_t	 rng;
	uint64_t	 now_us;
	struct lk_core	*core;
	struct lk_config config;
	struct lk_config_database databases[MAX_DATABASES];
	int		 server_of[MAX_DATABASES];
	uint32_t	 verbs_percent;	/* of statements that name a row, where they
					   can be verbs */
	uint32_t	 reads_percent;	/* of what is done outside of transactions */
	int		 n_servers, n_rows, n_tasks, n_clients, n_foreign;
	int		 n_reqs;	/* in use */
	unsigned	 serial;
	int		 next_pid;
	struct row	 rows[MAX_ROWS];
	struct session	 sessions[MAX_SESSIONS];
	struct worker	 workers[MAX_WORKERS];
	struct lk_msg	 exited[MAX_WORKERS];
	struct watcher	 watchers[MAX_DATABASES];
	struct lk_msg	 watcher_exited[MAX_DATABASES];
	struct lk_msg	 reader_exited[MAX_DATABASES];
	struct mail	 mail[MAX_MAIL];
	int		 n_mail;
	struct lk_cancel *cancels[MAX_CANCELS];
	int		 n_cancels;	/* not yet at the server */
	struct client	 clients[MAX_CLIENTS];
	struct task	 tasks[MAX_TASKS];
	struct tx	 txs[MAX_TXS];
	struct req	 reqs[MAX_REQS];
	struct foreign	 foreigns[MAX_FOREIGN];
	uint64_t	 bound_from_us;	/* nothing need be found before */
	uint64_t	 given_up_us;	/* when somebody last did, or was failed
					   by PostgreSQL */
	unsigned long	 n_verdicts;	/* that core has recorded */
	unsigned long	 n_refused;	/* of these, as their ring closed */
	struct counts	 counts;	/* over all schedules */
};

extern struct sim sim;

/* From here on keys are refused by the server. */
#define BAD_KEY	1000

/* For so long a transaction that is nobody's is left alone. */
#define TIDY_UP_US	(3 * LK_US_PER_S)

/* ---- chance ---- */

uint32_t below(uint32_t n);
bool	 in_100(uint32_t percent);
/* 1 to max, now and then a hundred times that. */
uint64_t some_us(uint64_t max);

/* ---- what is wrong ends the run; what happens is told with -v ---- */

void	complain(const char *fmt, ...)
	    __attribute__((noreturn, format(printf, 1, 2)));
void	tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define TELL(...)							\
	do {								\
		if (sim.is_verbose)					\
			tell(__VA_ARGS__);				\
	} while (0)

#define REQUIRE(expr)							\
	do {								\
		if (!(expr))						\
			complain("%s:%d: %s", __FILE__, __LINE__, #expr); \
	} while (0)

/* ---- pg.c ---- */

/* Sessions, without that one, whose hold keeps it from this mode. */
uint32_t pg_holders(const struct row *row, int session, enum mode mode);
/* The same of those before it in the queue. */
uint32_t pg_waiters_before(const struct row *row, int session);
/* The one among them that has the tuple's own lock; NONE: none. */
int	pg_first_waiter(const struct row *row, int session);
/* It waits, or has it. */
void	pg_lock(int session, int row, enum mode mode);
void	pg_stop_waiting(int session);
void	pg_savepoint(int session);
void	pg_rollback_to(int session);
/* What it has changed is seen; pg_end_tx() is to follow. */
void	pg_commit(int session);
void	pg_end_tx(int session);
void	pg_close(int session);
bool	pg_holds_any(int session);
uint32_t pg_blocking(int session);
void	pg_fill_look(struct lk_look *look, const struct watcher *watcher);
bool	pg_can_detect(int session);
/* deadlock_timeout is over: true when it must fail. */
bool	pg_detect(int session);
int	pg_session_of_pid(int pid);

/* ---- world.c ---- */

extern const struct lk_effects sim_effects;

void	post(struct lk_msg *msg, enum lk_msg_kind kind, uint32_t thread,
	    uint64_t delay_us);
bool	worker_can_move(int w);
void	move_worker(int w);
void	deliver_mail(int i);
bool	mail_can_move(int i);
void	move_look(int server);
void	move_cancel(int i);
void	move_detector(int session);
/* What has become of those that core keeps. */
void	look_at_parked(void);
struct lk_request;
/* Core's, while it has it; by its tag.  NULL: it has none. */
struct lk_request *request_of(const struct req *req);
/* Whose end it waits for in a lane of core's: requests and transactions, as bits;
 * false: it is in none. */
bool	is_laned(const struct req *req, uint32_t *reqs_out, uint32_t *txs_out);
void	stop_world(void);

/* ---- sim.c ---- */

/* Core has taken something in: what it has refused was a ring. */
void	check_refusals(void);

/* ---- clients.c ---- */

void	connect_client(int c);
/* Let core read n requests of it, and its end if that is next. */
void	read_socket(int c, int n);
void	read_replies(void);
struct req *new_req(enum verb verb, int client, int task);
void	send_req(struct req *req);
void	req_answered(struct req *req);
void	tx_left_worker(int tx);
int	req_by_serial(unsigned serial);
const char *verb_word(enum verb verb);
/* It waits for locks. */
bool	locks_rows(const struct req *req);
/* Likewise, or reads one: it takes a session for as long as it runs. */
bool	is_statement(const struct req *req);

/* ---- tasks.c ---- */

void	plan_tasks(void);
bool	task_can_act(int t);
bool	thread_is_blocked(const struct client *mine);
void	task_acts(int t);
/* Its reply has come: error is NULL, or its kind. */
void	task_hears(struct req *req, const char *error,
	    unsigned long long number);
bool	foreign_can_act(int f);
void	foreign_acts(int f);
void	foreign_gives_up(int f);
void	tidy_up(int tx);

/* ---- oracle.c ---- */

/* What one look at the truth has found.  Requests as bits. */
struct judgement {
	uint32_t	 stuck;		/* none of them can ever move */
	uint32_t	 in_cycle;	/* and waits for itself */
	uint32_t	 helped;	/* units that could move if they were begun
					   again: without what they hold */
};

/*
 * In full; or no more than core is to find by itself, which leaves alone who
 * waits in PostgreSQL's queues only, and takes a task to have ended of which
 * nothing is open.
 */
void	judge(struct judgement *judgement, bool in_full);
/* Those that judge() has found, in full: who is helped. */
void	judge_units(struct judgement *judgement);
/* Keep what is true as this server's pg_locks is read. */
void	note_instant(int server);
bool	was_stuck(const struct req *req);

#endif
