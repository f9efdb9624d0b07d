/*
 * A world for core, all made up: a clock, worker threads with their sessions,
 * watchers, channel listeners, connections.  A test says what they do and sees
 * what core does.  One world per program.  It may have a second database, far,
 * on a server of its own.
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
#include "orm/catalog.h"

#define MAX_WORKERS	12
#define MAX_CANCELS	16
#define WATCHER_BIT	0x80000000u	/* of a watcher's thread number */
#define LISTENER_BIT	0x40000000u	/* of a channel listener's */
#define READER_BIT	0x20000000u	/* of a reader's */
#define FIRST_PID	1000		/* worker 0's backend */
#define FAR		1		/* the second database and its server */

struct fake_conn {
	struct lk_client *client;	/* NULL: gone */
	struct lk_buf	  got;		/* bytes not yet looked at */
	bool		  is_closed;	/* core asked for it */
	bool		  is_dropped;	/* likewise */
	uint64_t	  stalled_us;	/* what core is to be told */
};

/* Who reads a database's catalog. */
struct fake_reader {
	bool		  is_started;
	bool		  is_stopping;
	struct lk_catalog_read *read;	/* in its hands, or NULL */
	struct lk_msg	  exited;
};

struct fake_worker {
	bool		  is_started;
	bool		  is_stopping;
	struct lk_job	 *job;		/* in its hands, or NULL */
	uint64_t	  since_us;	/* of job */
	bool		  is_cleaning;	/* its LK_NOTE_READY is yet to come */
	int		  pid;		/* of its session; 0: none */
	bool		  is_far;	/* of the second database */
};

/* Of a database: it has its index. */
struct fake_listener {
	bool		  is_started;
	bool		  is_stopping;
	bool		  is_up;	/* it has a session */
	struct lk_listen *asked;	/* in its hands, or NULL */
	size_t		  n_given_back;	/* of what it has heard */
};

/* Everything around core. */
static struct {
	struct lk_config	  config;
	uid_t			  uid;		/* of those who connect */
	const struct lk_config	 *next_config;	/* NULL: it is wrong */
	struct lk_config_database databases[2];
	struct lk_core		 *core;
	uint64_t		  now_us;
	struct fake_worker	  workers[MAX_WORKERS];
	struct lk_msg		  exited[MAX_WORKERS];
	bool			  refuses_watcher;	/* no thread for it */
	bool			  has_watcher, has_far_watcher;
	struct lk_msg		  watcher_exited, far_watcher_exited;
	bool			  watcher_stopped, far_watcher_stopped;
	struct lk_look		 *look;		/* asked for, or NULL */
	struct lk_look		 *far_look;	/* of the second server */
	size_t			  n_looks;	/* of all so far */
	struct fake_listener	  listeners[2];
	struct lk_msg		  listener_exited[2];
	bool			  refuses_listener;	/* no thread for it */
	bool			  refuses_reader;	/* no thread for it */
	struct fake_reader	  readers[2];		/* by database */
	struct lk_cancel	 *cancels[MAX_CANCELS];
	size_t			  n_cancels;
	size_t			  n_direct_cancels;	/* of all so far */
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
take_reply_head(void *conn, const void *bytes, size_t n)
{
	lk_buf_append(&((struct fake_conn *)conn)->got, bytes, n);
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
	assert_true(index < MAX_WORKERS);
	assert_false(world.workers[index].is_started);
	world.workers[index] = (struct fake_worker){
		.is_started = true,
		.is_far = database == &world.databases[FAR],
	};
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
	fake->since_us = world.now_us;
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
	bool *has_watcher = index == FAR ? &world.has_far_watcher :
	    &world.has_watcher;

	(void)ctx;
	(void)database;
	assert_true(index <= FAR);
	assert_false(*has_watcher);
	if (world.refuses_watcher)
		return -LK_E_IO;
	*has_watcher = true;
	return 0;
}

static inline void
take_look(void *ctx, uint32_t watcher, struct lk_look **look)
{
	struct lk_look **out = watcher == FAR ? &world.far_look : &world.look;

	(void)ctx;
	assert_null(*out);
	*out = *look;
	*look = NULL;
	world.n_looks++;
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
take_direct_cancel(void *ctx, uint32_t worker, struct lk_cancel **cancel)
{
	world.n_direct_cancels++;
	take_cancel(ctx, worker, cancel);
}

static inline void
stop_watcher(void *ctx, uint32_t watcher)
{
	(void)ctx;
	*(watcher == FAR ? &world.far_watcher_stopped :
	    &world.watcher_stopped) = true;
}

static inline int
start_listener(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	(void)ctx;
	assert_true(index <= FAR &&
	    database->name == world.databases[index].name);
	assert_false(world.listeners[index].is_started);
	if (world.refuses_listener)
		return -LK_E_IO;
	world.listeners[index] = (struct fake_listener){ .is_started = true };
	return 0;
}

static inline void
take_listen(void *ctx, uint32_t listener, struct lk_listen **listen)
{
	struct fake_listener *fake = &world.listeners[listener];

	(void)ctx;
	assert_true(fake->is_started && !fake->is_stopping);
	assert_null(fake->asked);
	fake->asked = *listen;
	*listen = NULL;
}

static inline void
take_heard_back(void *ctx, uint32_t listener, struct lk_heard **heard)
{
	struct fake_listener *fake = &world.listeners[listener];

	(void)ctx;
	assert_true(fake->is_started && !fake->is_stopping);
	fake->n_given_back++;
	lk_heard_free(heard);
}

static inline void
stop_listener(void *ctx, uint32_t listener)
{
	struct fake_listener *fake = &world.listeners[listener];

	(void)ctx;
	assert_true(fake->is_started && !fake->is_stopping);
	fake->is_stopping = true;
}

static inline int
read_catalog(void *ctx, uint32_t index,
    const struct lk_config_database *database, struct lk_catalog_read **read)
{
	(void)ctx;
	assert_true(index <= FAR && database->name == (index == FAR ?
	    world.databases[FAR].name : world.databases[0].name));
	assert_false(world.readers[index].is_started);
	if (world.refuses_reader)
		return -LK_E_IO;
	world.readers[index].is_started = true;
	world.readers[index].read = *read;
	*read = NULL;
	return 0;
}

static inline void
stop_reader(void *ctx, uint32_t index)
{
	(void)ctx;
	assert_true(world.readers[index].is_started);
	assert_false(world.readers[index].is_stopping);
	world.readers[index].is_stopping = true;
}

static inline uint64_t
stalled_us(void *conn)
{
	return ((struct fake_conn *)conn)->stalled_us;
}

static inline void
drop_conn(void *conn)
{
	((struct fake_conn *)conn)->is_dropped = true;
}

/* What the test has put there. */
static inline int
reload_config(void *ctx, const struct lk_config **config_out,
    struct lk_error *error)
{
	(void)ctx;
	if (world.next_config == NULL) {
		lk_error_set(error, LK_ERR_SYNTAX, "the file is wrong");
		return -LK_E_INVAL;
	}
	*config_out = world.next_config;
	return 0;
}

static const struct lk_effects effects = {
	.stalled_us = stalled_us,
	.drop = drop_conn,
	.reload = reload_config,
	.reply = take_reply,
	.reply_head = take_reply_head,
	.close = take_close,
	.drain = drain_conn,
	.worker_start = start_worker,
	.submit = take_job,
	.worker_stop = stop_worker,
	.watcher_start = start_watcher,
	.look = take_look,
	.cancel = take_cancel,
	.cancel_directly = take_direct_cancel,
	.watcher_stop = stop_watcher,
	.listener_start = start_listener,
	.listen = take_listen,
	.heard = take_heard_back,
	.listener_stop = stop_listener,
	.catalog_read = read_catalog,
	.reader_stop = stop_reader,
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

/* Worker w has opened a session. */
static inline void
come_up(uint32_t w)
{
	struct lk_note *note = lk_note_new(LK_NOTE_UP);

	assert_true(world.workers[w].is_started);
	world.workers[w].pid = FIRST_PID + (int)w;
	note->backend_pid = world.workers[w].pid;
	strcpy(note->server_id, world.workers[w].is_far ?
	    "7001/2026-01-01" : "7000/2026-01-01");
	deliver(&note->msg, LK_MSG_NOTE, w);
}

/* Worker w has lost its session, or could not open one. */
static inline void
go_down(uint32_t w)
{
	struct lk_note *note = lk_note_new(LK_NOTE_DOWN);

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
	job->run_us = world.now_us - fake->since_us;
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
	deliver(&lk_note_new(LK_NOTE_READY)->msg, LK_MSG_NOTE, w);
}

static inline void
hand_back(uint32_t w)
{
	post_job(w);
	if (world.workers[w].is_cleaning)
		post_ready(w);
}

/* Worker w's statement is done, or its unit; text is the reply's value. */
static inline void
finish(uint32_t w, const char *text)
{
	struct lk_job *job = world.workers[w].job;
	struct lk_item *last;
	size_t i;

	assert_non_null(job);
	for (i = 0; i < job->n_items; i++)
		job->items[i].outcome = LK_ITEM_DONE;
	last = &job->items[job->n_items - 1];
	snprintf(last->tag, sizeof(last->tag), "%s",
	    job->is_unit ? "COMMIT" : text);
	lk_buf_printf(&last->reply, "+%s\r\n", text);
	job->after = job->in_tx ? LK_XACT_OPEN : LK_XACT_IDLE;
	hand_back(w);
}

/* Worker w's statement failed; or its unit, of the item with this number. */
static inline void
fail_item(uint32_t w, size_t i, enum lk_error_kind kind, const char *sqlstate)
{
	struct lk_job *job = world.workers[w].job;

	assert_non_null(job);
	assert_true(i < job->n_items);
	job->items[i].outcome = LK_ITEM_FAILED;
	lk_error_set(&job->items[i].error, kind, "the server's words");
	lk_error_set_sqlstate(&job->items[i].error, sqlstate);
	job->after = job->in_tx ? LK_XACT_ERROR : LK_XACT_IDLE;
	hand_back(w);
}

static inline void
fail_with(uint32_t w, enum lk_error_kind kind, const char *sqlstate)
{
	fail_item(w, 0, kind, sqlstate);
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

static inline int
compare_waits(const void *a, const void *b)
{
	return ((const struct lk_wait *)a)->pid -
	    ((const struct lk_wait *)b)->pid;
}

/* A look comes back, if there is one. */
static inline void
answer(struct lk_look **out, uint32_t thread)
{
	struct lk_look *look = *out;

	if (look == NULL)
		return;
	*out = NULL;
	if (look->n_waits > 0)
		qsort(look->waits, look->n_waits, sizeof(*look->waits),
		    compare_waits);
	deliver(&look->msg, LK_MSG_LOOK, thread);
}

/* The look that is out, if any, comes back. */
static inline void
answer_look(void)
{
	answer(&world.look, WATCHER_BIT);
}

static inline void
answer_far_look(void)
{
	answer(&world.far_look, WATCHER_BIT | FAR);
}

/* A look has seen one backend wait for a row that another has locked. */
static inline struct lk_wait *
add_wait_to(struct lk_look *look, int waiter, int holder, uint64_t waited_us)
{
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
	return wait;
}

static inline void
add_wait(int waiter, int holder, uint64_t waited_us)
{
	add_wait_to(world.look, waiter, holder, waited_us);
}

/* The statement of worker `waiter` waits for `holder`. */
static inline void
answer_look_with_wait(uint32_t waiter, uint32_t holder, uint64_t waited_us)
{
	add_wait(world.workers[waiter].pid, world.workers[holder].pid,
	    waited_us);
	answer_look();
}

/* ---- mail from channel listeners ---- */

static inline void
listener_up(uint32_t index)
{
	struct lk_note *note = lk_note_new(LK_NOTE_UP);

	assert_true(world.listeners[index].is_started);
	world.listeners[index].is_up = true;
	note->backend_pid = 500 + (int)index;
	deliver(&note->msg, LK_MSG_NOTE, LISTENER_BIT | index);
}

/* What it was asked comes back undone, as from a thread without a session. */
static inline void
return_listen(uint32_t index)
{
	struct lk_listen *asked = world.listeners[index].asked;

	world.listeners[index].asked = NULL;
	asked->was_lost = true;
	deliver(&asked->msg, LK_MSG_LISTEN, LISTENER_BIT | index);
}

static inline void
listener_down(uint32_t index)
{
	struct lk_note *note = lk_note_new(LK_NOTE_DOWN);

	world.listeners[index].is_up = false;
	lk_error_set(&note->error, LK_ERR_CONNLOST, "the server's last words");
	deliver(&note->msg, LK_MSG_NOTE, LISTENER_BIT | index);
	if (world.listeners[index].asked != NULL)
		return_listen(index);
}

/*
 * It was asked for exactly these, "+a -b" for LISTEN a and UNLISTEN b, and has
 * done so; with `refused`, the server has refused them all.
 */
static inline void
answer_listen_with(uint32_t index, const char *items, bool refused)
{
	struct lk_listen *asked = world.listeners[index].asked;
	struct lk_buf text = LK_BUF_INIT;
	size_t i;

	assert_true(world.listeners[index].is_up);
	assert_non_null(asked);
	for (i = 0; i < asked->n_items; i++) {
		lk_buf_printf(&text, "%s%c%s", i > 0 ? " " : "",
		    asked->items[i].is_on ? '+' : '-',
		    asked->items[i].channel);
		if (refused)
			lk_error_set(&asked->items[i].error, LK_ERR_PG,
			    "the server's refusal");
	}
	assert_string_equal(lk_buf_cstr(&text), items);
	lk_buf_fini(&text);
	world.listeners[index].asked = NULL;
	deliver(&asked->msg, LK_MSG_LISTEN, LISTENER_BIT | index);
}

static inline void
answer_listen(const char *items)
{
	answer_listen_with(0, items, false);
}

static inline void
hear(uint32_t index, const char *channel, const char *payload)
{
	struct lk_heard *heard = lk_heard_new();

	lk_heard_add(heard, channel, payload);
	deliver(&heard->msg, LK_MSG_HEARD, LISTENER_BIT | index);
}

/* It was told to end, and does. */
static inline void
end_listener(uint32_t index)
{
	struct fake_listener *fake = &world.listeners[index];

	assert_true(fake->is_stopping);
	if (fake->asked != NULL)
		return_listen(index);
	*fake = (struct fake_listener){ 0 };
	deliver(&world.listener_exited[index], LK_MSG_EXITED,
	    LISTENER_BIT | index);
}

/* ---- mail from readers ---- */

/* What is in its hands comes back, and then it ends. */
static inline void
end_reader(uint32_t database)
{
	struct fake_reader *reader = &world.readers[database];
	struct lk_msg *msg;

	assert_true(reader->is_started);
	if (reader->read != NULL) {
		msg = &reader->read->msg;
		reader->read = NULL;
		deliver(msg, LK_MSG_CATALOG, READER_BIT | database);
	}
	assert_true(reader->is_stopping);
	reader->is_started = reader->is_stopping = false;
	deliver(&reader->exited, LK_MSG_EXITED, READER_BIT | database);
}

/* The reading that was asked for has found this. */
static inline void
answer_catalog(uint32_t database, struct lk_catalog *catalog)
{
	assert_non_null(world.readers[database].read);
	world.readers[database].read->catalog = catalog;
	end_reader(database);
}

/* It has found what is in force. */
static inline void
answer_unchanged(uint32_t database)
{
	assert_non_null(world.readers[database].read);
	world.readers[database].read->is_unchanged = true;
	end_reader(database);
}

/* It has failed. */
static inline void
fail_catalog(uint32_t database, const char *words)
{
	assert_non_null(world.readers[database].read);
	lk_error_set(&world.readers[database].read->error, LK_ERR_CONNLOST,
	    "%s", words);
	end_reader(database);
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
		answer_far_look();
	}
	set_now(end);
}

/* Let at most ms pass until core has asked for that look. */
static inline void
pass_until(struct lk_look **out, uint64_t ms)
{
	uint64_t end = world.now_us + ms * LK_US_PER_MS, due;

	lk_assert_loop();
	while (*out == NULL) {
		due = lk_core_next_due_us(world.core);
		assert_true(due <= end);
		if (due > world.now_us)
			set_now(due);
		lk_core_run_timers(world.core);
	}
}

static inline void
pass_until_look(uint64_t ms)
{
	pass_until(&world.look, ms);
}

static inline void
pass_until_far_look(uint64_t ms)
{
	pass_until(&world.far_look, ms);
}

/* ---- clients ---- */

static inline void
connect_as(struct fake_conn *conn, pid_t pid)
{
	struct lk_peer peer = { .pid = pid, .uid = world.uid, .gid = 1 };

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
	if (strstr(text, part) == NULL)
		fail_msg("not \"%s\": %s", part, text);
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

static inline bool
has_sql(const struct lk_job *job, const char *sql)
{
	size_t i;

	for (i = 0; job != NULL && i < job->n_items; i++) {
		if (job->items[i].sql != NULL &&
		    strcmp(job->items[i].sql, sql) == 0)
			return true;
	}
	return false;
}

/* The worker that runs sql, alone or in a unit. */
static inline uint32_t
runs(const char *sql)
{
	uint32_t w;

	for (w = 0; w < MAX_WORKERS; w++) {
		if (has_sql(world.workers[w].job, sql))
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
		assert_false(has_sql(world.workers[w].job, sql));
}

/* ---- its beginning and its end ---- */

/*
 * n_databases of at least n_min workers each, which have their sessions, and
 * at most n_max; their catalogs are yet to be read.
 */
static inline void
begin_unread_world(size_t n_databases, uint32_t n_min, uint32_t n_max)
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
	world.databases[FAR] = world.databases[0];
	world.databases[FAR].name = (char *)"far";
	world.config = (struct lk_config){
		.databases = world.databases,
		.n_databases = n_databases,
		.timeout_queue_us = 30 * LK_US_PER_S,
		.timeout_connect_us = 5 * LK_US_PER_S,
		.deadlock_first_look_us = 15 * LK_US_PER_MS,
		.deadlock_notify_us = 500 * LK_US_PER_MS,
		.limit_result_bytes = 1 << 20,
		.limit_clients = 10100,
		.limit_in_flight = 10000,
		.limit_queue = 100000,
		.limit_request_bytes = 1 << 20,
		.limit_output_bytes = 1 << 20,
		.batch_max = 128,
		.batch_readers = 2,
	};
	world.uid = 1;
	world.now_us = LK_US_PER_S;
	world.core = lk_core_new(&world.config, &effects, NULL, world.now_us,
	    1800000000ULL * LK_US_PER_S);
	lk_core_start(world.core);
	for (w = 0; w < n_databases * n_min; w++)
		come_up(w);
}

/* No models: most tests have no use for any. */
static inline void
read_empty_catalogs(size_t n_databases)
{
	struct lk_catalog *catalog;
	uint32_t i;

	lk_assert_loop();
	lk_core_run_timers(world.core);
	for (i = 0; i < n_databases; i++) {
		catalog = lk_catalog_new();
		lk_catalog_finish(catalog);
		answer_catalog(i, catalog);
	}
}

/* The same with catalogs. */
static inline void
begin_wide_world(size_t n_databases, uint32_t n_min, uint32_t n_max)
{
	begin_unread_world(n_databases, n_min, n_max);
	read_empty_catalogs(n_databases);
}

static inline void
begin_world(uint32_t n_min, uint32_t n_max)
{
	begin_wide_world(1, n_min, n_max);
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
	answer_far_look();
	for (w = 0; w <= FAR; w++) {
		if (world.listeners[w].is_started)
			end_listener(w);
		if (world.readers[w].is_started)
			end_reader(w);
	}
	assert_true(world.watcher_stopped || !world.has_watcher);
	assert_true(world.far_watcher_stopped || !world.has_far_watcher);
	if (world.has_watcher)
		deliver(&world.watcher_exited, LK_MSG_EXITED, WATCHER_BIT);
	if (world.has_far_watcher)
		deliver(&world.far_watcher_exited, LK_MSG_EXITED,
		    WATCHER_BIT | FAR);
	assert_true(lk_core_is_stopped(world.core));
	lk_core_free(&world.core);
}

#endif
