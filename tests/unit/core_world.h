/*
 * A world for core, all made up: a clock, worker threads with their sessions,
 * a watcher, connections.  A test says what they do and sees what core does.
 * One world per program.
 */
#ifndef LK_TESTS_CORE_WORLD_H
#define LK_TESTS_CORE_WORLD_H

#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/role.h"
#include "core/core.h"

#define MAX_WORKERS	8
#define MAX_CANCELS	16
#define WATCHER_BIT	0x80000000u	/* of a watcher's thread number */
#define FIRST_PID	1000		/* worker 0's backend */

struct fake_conn {
	struct lk_client *client;	/* NULL: gone */
	struct lk_buf	  got;		/* bytes not yet looked at */
	bool		  is_closed;	/* core asked for it */
};

struct fake_worker {
	bool		  is_started;
	bool		  is_stopping;
	struct lk_job	 *job;		/* in its hands, or NULL */
	bool		  is_cleaning;	/* its LK_NOTE_READY is yet to come */
	int		  pid;		/* of its session; 0: none */
};

/* Everything around core. */
static struct {
	struct lk_config	  config;
	struct lk_config_database databases[1];
	struct lk_core		 *core;
	uint64_t		  now_us;
	struct fake_worker	  workers[MAX_WORKERS];
	struct lk_msg		  exited[MAX_WORKERS];
	bool			  refuses_watcher;	/* no thread for it */
	bool			  has_watcher;
	struct lk_msg		  watcher_exited;
	bool			  watcher_stopped;
	struct lk_look		 *look;		/* asked for, or NULL */
	struct lk_cancel	 *cancels[MAX_CANCELS];
	size_t			  n_cancels;
	/* What reading a socket once more finds; NULL: nothing. */
	bool			  (*drain)(struct fake_conn *conn);
} world;

/* ---- effects ---- */

static inline void
take_reply(void *conn, struct lk_buf *bytes)
{
	struct fake_conn *fake = conn;

	lk_buf_append(&fake->got, bytes->data, bytes->len);
	lk_buf_fini(bytes);
}

static inline void
take_close(void *conn)
{
	((struct fake_conn *)conn)->is_closed = true;
}

static inline bool
drain_conn(void *conn)
{
	return world.drain == NULL || world.drain(conn);
}

static inline int
start_worker(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	(void)ctx;
	(void)database;
	assert_true(index < MAX_WORKERS);
	assert_false(world.workers[index].is_started);
	world.workers[index] = (struct fake_worker){ .is_started = true };
	return 0;
}

static inline bool
has_cancel_out(uint32_t worker)
{
	size_t i;

	for (i = 0; i < world.n_cancels; i++) {
		if (world.cancels[i]->worker == worker)
			return true;
	}
	return false;
}

/* What no session may be given: work it is not ready for. */
static inline void
take_job(void *ctx, uint32_t worker, struct lk_job **job)
{
	struct fake_worker *fake = &world.workers[worker];

	(void)ctx;
	assert_true(fake->is_started && fake->pid != 0);
	assert_false(fake->is_stopping || fake->is_cleaning);
	assert_false(has_cancel_out(worker));
	assert_null(fake->job);
	fake->job = *job;
	*job = NULL;
}

static inline void
stop_worker(void *ctx, uint32_t worker)
{
	(void)ctx;
	assert_true(world.workers[worker].is_started);
	world.workers[worker].is_stopping = true;
}

static inline int
start_watcher(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	(void)ctx;
	(void)database;
	assert_int_equal(index, 0);
	assert_false(world.has_watcher);
	if (world.refuses_watcher)
		return -LK_E_IO;
	world.has_watcher = true;
	return 0;
}

static inline void
take_look(void *ctx, uint32_t watcher, struct lk_look **look)
{
	(void)ctx;
	assert_int_equal(watcher, 0);
	assert_null(world.look);
	world.look = *look;
	*look = NULL;
}

static inline void
take_cancel(void *ctx, uint32_t watcher, struct lk_cancel **cancel)
{
	(void)ctx;
	(void)watcher;
	assert_true(world.n_cancels < MAX_CANCELS);
	world.cancels[world.n_cancels++] = *cancel;
	*cancel = NULL;
}

static inline void
stop_watcher(void *ctx, uint32_t watcher)
{
	(void)ctx;
	(void)watcher;
	world.watcher_stopped = true;
}

static const struct lk_effects effects = {
	.reply = take_reply,
	.close = take_close,
	.drain = drain_conn,
	.worker_start = start_worker,
	.submit = take_job,
	.worker_stop = stop_worker,
	.watcher_start = start_watcher,
	.look = take_look,
	.cancel = take_cancel,
	.cancel_directly = take_cancel,
	.watcher_stop = stop_watcher,
};

/* ---- mail from worker threads ---- */

static inline void
deliver(struct lk_msg *msg, enum lk_msg_kind kind, uint32_t thread)
{
	lk_assert_loop();
	lk_list_init(&msg->link);
	msg->kind = kind;
	msg->thread = thread;
	lk_core_deliver(world.core, msg);
}

static inline struct lk_note *
new_note(enum lk_note_kind kind)
{
	struct lk_note *note = calloc(1, sizeof(*note));

	assert_non_null(note);
	note->kind = kind;
	return note;
}

/* Worker w has opened a session. */
static inline void
come_up(uint32_t w)
{
	struct lk_note *note = new_note(LK_NOTE_UP);

	assert_true(world.workers[w].is_started);
	world.workers[w].pid = FIRST_PID + (int)w;
	note->backend_pid = world.workers[w].pid;
	strcpy(note->server_id, "7000/2026-01-01");
	deliver(&note->msg, LK_MSG_NOTE, w);
}

/* Worker w has lost its session, or could not open one. */
static inline void
go_down(uint32_t w)
{
	struct lk_note *note = new_note(LK_NOTE_DOWN);

	world.workers[w].pid = 0;
	world.workers[w].is_cleaning = false;
	lk_error_set(&note->error, LK_ERR_CONNLOST, "no more session");
	deliver(&note->msg, LK_MSG_NOTE, w);
}

/* Hand w's job back. */
static inline void
post_job(uint32_t w)
{
	struct fake_worker *fake = &world.workers[w];
	struct lk_job *job = fake->job;

	assert_non_null(job);
	fake->is_cleaning = job->clean && job->after != LK_XACT_GONE;
	fake->job = NULL;
	deliver(&job->msg, LK_MSG_JOB, w);
}

/* The session has been cleaned behind the last job. */
static inline void
post_ready(uint32_t w)
{
	assert_null(world.workers[w].job);
	world.workers[w].is_cleaning = false;
	deliver(&new_note(LK_NOTE_READY)->msg, LK_MSG_NOTE, w);
}

static inline void
hand_back(uint32_t w)
{
	post_job(w);
	if (world.workers[w].is_cleaning)
		post_ready(w);
}

/* Worker w's statement is done; text is the reply's value. */
static inline void
finish(uint32_t w, const char *text)
{
	struct lk_job *job = world.workers[w].job;
	struct lk_item *item;

	assert_non_null(job);
	item = &job->items[0];
	item->outcome = LK_ITEM_DONE;
	snprintf(item->tag, sizeof(item->tag), "%s", text);
	lk_buf_printf(&item->reply, "+%s\r\n", text);
	job->after = job->in_tx ? LK_XACT_OPEN : LK_XACT_IDLE;
	hand_back(w);
}

/* Worker w's statement failed. */
static inline void
fail_with(uint32_t w, enum lk_error_kind kind, const char *sqlstate)
{
	struct lk_job *job = world.workers[w].job;

	assert_non_null(job);
	job->items[0].outcome = LK_ITEM_FAILED;
	lk_error_set(&job->items[0].error, kind, "the server's words");
	lk_error_set_sqlstate(&job->items[0].error, sqlstate);
	job->after = job->in_tx ? LK_XACT_ERROR : LK_XACT_IDLE;
	hand_back(w);
}

static inline void
die_by_cancel(uint32_t w)
{
	fail_with(w, LK_ERR_PG, "57014");
}

/* Worker w's session dies with its job in hand. */
static inline void
lose(uint32_t w, enum lk_item_outcome outcome)
{
	struct lk_job *job = world.workers[w].job;

	assert_non_null(job);
	job->items[0].outcome = outcome;
	lk_error_set(&job->items[0].error, LK_ERR_CONNLOST, "it is gone");
	job->after = LK_XACT_GONE;
	hand_back(w);
	go_down(w);
}

static inline void
answer_cancels(bool sent)
{
	struct lk_cancel *cancel;

	while (world.n_cancels > 0) {
		cancel = world.cancels[--world.n_cancels];
		cancel->sent = sent;
		deliver(&cancel->msg, LK_MSG_CANCEL, WATCHER_BIT);
	}
}

/* The look that is out, if any, comes back. */
static inline void
answer_look(void)
{
	struct lk_look *look = world.look;

	if (look == NULL)
		return;
	world.look = NULL;
	deliver(&look->msg, LK_MSG_LOOK, WATCHER_BIT);
}

/* It has seen one backend wait for a row that another has locked.  By pid. */
static inline void
add_wait(int waiter, int holder, uint64_t waited_us)
{
	struct lk_look *look = world.look;
	struct lk_wait *wait;

	assert_non_null(look);
	look->waits = realloc(look->waits,
	    (look->n_waits + 1) * sizeof(*look->waits));
	assert_non_null(look->waits);
	wait = &look->waits[look->n_waits++];
	*wait = (struct lk_wait){ .pid = waiter };
	strcpy(wait->waitstart, "2026-01-01 00:00:00+00");
	strcpy(wait->vxid, "3/14");
	strcpy(wait->locktype, "transactionid");
	strcpy(wait->mode, "ShareLock");
	wait->object = strdup("row in accounts");
	wait->waited_us = waited_us;
	wait->n_blockers = 1;
	wait->blockers = calloc(1, sizeof(*wait->blockers));
	assert_non_null(wait->blockers);
	wait->blockers[0].pid = holder;
}

/* The statement of worker `waiter` waits for `holder`. */
static inline void
answer_look_with_wait(uint32_t waiter, uint32_t holder, uint64_t waited_us)
{
	add_wait(world.workers[waiter].pid, world.workers[holder].pid,
	    waited_us);
	answer_look();
}

/* ---- time ---- */

static inline void
set_now(uint64_t now_us)
{
	lk_assert_loop();
	world.now_us = now_us;
	lk_core_set_now(world.core, now_us);
}

/* Let ms pass, timer by timer; looks find that nobody waits. */
static inline void
pass_ms(uint64_t ms)
{
	uint64_t end = world.now_us + ms * LK_US_PER_MS, due;

	lk_assert_loop();
	for (;;) {
		due = lk_core_next_due_us(world.core);
		if (due > end)
			break;
		if (due > world.now_us)
			set_now(due);
		lk_core_run_timers(world.core);
		answer_look();
	}
	set_now(end);
}

/* Let at most ms pass until core asks for a look. */
static inline void
pass_until_look(uint64_t ms)
{
	uint64_t end = world.now_us + ms * LK_US_PER_MS, due;

	lk_assert_loop();
	while (world.look == NULL) {
		due = lk_core_next_due_us(world.core);
		assert_true(due <= end);
		if (due > world.now_us)
			set_now(due);
		lk_core_run_timers(world.core);
	}
}

/* ---- clients ---- */

static inline void
connect_as(struct fake_conn *conn, pid_t pid)
{
	struct lk_peer peer = { .pid = pid, .uid = 1, .gid = 1 };

	lk_assert_loop();
	*conn = (struct fake_conn){ .got = LK_BUF_INIT };
	conn->client = lk_core_client_new(world.core, conn, &peer);
}

static inline void
vanish(struct fake_conn *conn)
{
	lk_assert_loop();
	if (conn->client != NULL)
		lk_core_client_gone(&conn->client);
	lk_buf_fini(&conn->got);
}

/* Send the words up to NULL as one request. */
static inline void
say(struct fake_conn *conn, ...)
{
	struct lk_arg args[16];
	size_t n = 0;
	const char *word;
	va_list ap;

	lk_assert_loop();
	va_start(ap, conn);
	while ((word = va_arg(ap, const char *)) != NULL) {
		assert_true(n < 16);
		args[n++] = (struct lk_arg){ word, strlen(word) };
	}
	va_end(ap);
	lk_core_request(conn->client, args, n);
}

#define SAY(conn, ...)	say(conn, __VA_ARGS__, NULL)

static inline void
expect(struct fake_conn *conn, const char *bytes)
{
	assert_string_equal(lk_buf_cstr(&conn->got), bytes);
	lk_buf_truncate(&conn->got, 0);
}

static inline void
expect_nothing(struct fake_conn *conn)
{
	expect(conn, "");
}

/* One error reply of that kind, whose text holds `part`. */
static inline void
expect_error(struct fake_conn *conn, const char *kind, const char *part)
{
	const char *text = lk_buf_cstr(&conn->got);

	assert_int_equal(text[0], '-');
	assert_memory_equal(text + 1, kind, strlen(kind));
	assert_int_equal(text[1 + strlen(kind)], ' ');
	assert_non_null(strstr(text, part));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	lk_buf_truncate(&conn->got, 0);
}

/* BEGIN with the words given; "#handle" goes into handle. */
static inline void
begin(struct fake_conn *conn, const char *task, const char *option,
    char handle[32])
{
	unsigned long long number;

	say(conn, task, "BEGIN", option, NULL);
	assert_int_equal(sscanf(lk_buf_cstr(&conn->got), ":%llu\r\n", &number),
	    1);
	snprintf(handle, 32, "#%llu", number);
	lk_buf_truncate(&conn->got, 0);
}

/* ---- asking about workers ---- */

/* The worker that runs sql. */
static inline uint32_t
runs(const char *sql)
{
	uint32_t w;

	for (w = 0; w < MAX_WORKERS; w++) {
		if (world.workers[w].job != NULL &&
		    strcmp(world.workers[w].job->items[0].sql, sql) == 0)
			return w;
	}
	fail_msg("nobody runs: %s", sql);
	return 0;
}

static inline size_t
n_running(void)
{
	size_t n = 0;
	uint32_t w;

	for (w = 0; w < MAX_WORKERS; w++)
		n += world.workers[w].job != NULL;
	return n;
}

static inline void
assert_not_running(const char *sql)
{
	uint32_t w;

	for (w = 0; w < MAX_WORKERS; w++)
		assert_true(world.workers[w].job == NULL ||
		    strcmp(world.workers[w].job->items[0].sql, sql) != 0);
}

/* ---- its beginning and its end ---- */

/* At least n_min workers, which have their sessions, and at most n_max. */
static inline void
begin_world(uint32_t n_min, uint32_t n_max)
{
	uint32_t w;

	lk_assert_loop();
	lk_log_set_level(LK_LOG_ERROR);
	memset(&world, 0, sizeof(world));
	world.databases[0] = (struct lk_config_database){
		.name = (char *)"main",
		.conninfo = (char *)"",
		.workers_min = n_min,
		.workers_max = n_max,
		.workers_idle_us = LK_US_PER_S,
	};
	world.config = (struct lk_config){
		.databases = world.databases,
		.n_databases = 1,
		.timeout_queue_us = 30 * LK_US_PER_S,
		.timeout_connect_us = 5 * LK_US_PER_S,
		.deadlock_first_look_us = 15 * LK_US_PER_MS,
		.deadlock_notify_us = 500 * LK_US_PER_MS,
		.limit_result_bytes = 1 << 20,
		.limit_in_flight = 10000,
		.limit_queue = 100000,
		.limit_request_bytes = 1 << 20,
		.limit_output_bytes = 1 << 20,
	};
	world.now_us = LK_US_PER_S;
	world.core = lk_core_new(&world.config, &effects, NULL, world.now_us,
	    1800000000ULL * LK_US_PER_S);
	lk_core_start(world.core);
	for (w = 0; w < n_min; w++)
		come_up(w);
}

static inline void
end_worker(uint32_t w)
{
	struct fake_worker *fake = &world.workers[w];

	assert_true(fake->is_stopping);
	if (fake->job != NULL)
		lose(w, LK_ITEM_LOST);
	*fake = (struct fake_worker){ 0 };
	deliver(&world.exited[w], LK_MSG_EXITED, w);
}

/* All clients have gone: end all threads, and see that nothing is left. */
static inline void
end_world(void)
{
	uint32_t w;

	lk_assert_loop();
	lk_core_stop(world.core);
	answer_cancels(false);
	for (w = 0; w < MAX_WORKERS; w++) {
		if (world.workers[w].is_started)
			end_worker(w);
	}
	answer_cancels(false);
	answer_look();
	assert_true(world.watcher_stopped || !world.has_watcher);
	if (world.has_watcher)
		deliver(&world.watcher_exited, LK_MSG_EXITED, WATCHER_BIT);
	assert_true(lk_core_is_stopped(world.core));
	lk_core_free(&world.core);
}

#endif
