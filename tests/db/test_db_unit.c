/*
 * Units on one worker's session, against a real PostgreSQL, which
 * LK_TEST_CONNINFO names.  Uses a schema of its own, made anew and dropped at
 * the end.
 */
#include "side.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "db/worker.h"

#define BEGIN		"BEGIN ISOLATION LEVEL READ COMMITTED"
#define MAX_ITEMS	8

static struct lk_thread	worker;
static int		worker_pid;

static void
signal_worker(const char *function)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "SELECT %s(%d)::int", function, worker_pid);
	assert_int_equal(side_int(sql), 1);
}

/* ---- units ---- */

/* One of its verbs. */
struct verb {
	const char	*sql;		/* NULL: it is OK */
	enum lk_shape	 shape;
	bool		 is_must;
	size_t		 n_params;
	struct lk_param	 params[2];
};

static size_t limit;	/* of the reply */

static struct lk_job *
make_unit(const struct verb *verbs, size_t n)
{
	struct lk_job *job = lk_job_new(n + 1);
	struct lk_item *item;
	size_t i;

	job->begin = BEGIN;
	job->clean = job->is_unit = true;
	job->limit_result = limit;
	for (i = 0; i < n; i++) {
		item = &job->items[i];
		item->kind = verbs[i].sql != NULL ? LK_ITEM_SQL : LK_ITEM_OK;
		item->request = (struct lk_id){ 1, 1 };
		item->sql = verbs[i].sql;
		item->shape = verbs[i].shape;
		item->is_must = verbs[i].is_must;
		item->format = (struct lk_format){ .proto = 3, .depth = 1 };
		item->n_params = verbs[i].n_params;
		item->params = calloc(2, sizeof(*item->params));
		memcpy(item->params, verbs[i].params,
		    sizeof(verbs[i].params));
	}
	job->items[n].kind = LK_ITEM_CONTROL;
	job->items[n].sql = "COMMIT";
	return job;
}

static struct lk_job *
next_job(void)
{
	struct lk_job *job = lk_container(expect_mail(LK_MSG_JOB),
	    struct lk_job, msg);

	if (job->after != LK_XACT_GONE)
		expect_note(LK_NOTE_READY);
	return job;
}

static struct lk_job *
run(const struct verb *verbs, size_t n)
{
	lk_mailbox_post(&worker.inbox, &make_unit(verbs, n)->msg);
	return next_job();
}

static void
expect_done(const struct verb *verbs, size_t n, const char *reply,
    unsigned n_round_trips)
{
	struct lk_job *job = run(verbs, n);
	struct lk_item *item = lk_job_answer(job);

	if (item->outcome != LK_ITEM_DONE)
		fail_msg("%d %s %s", (int)item->outcome,
		    item->error.sqlstate, item->error.message);
	assert_ptr_equal(item, &job->items[n]);
	assert_int_equal(job->after, LK_XACT_IDLE);
	assert_string_equal(lk_buf_cstr(&item->reply), reply);
	assert_int_equal(job->n_round_trips, n_round_trips);
	lk_job_free(&job);
}

/* It failed at item `at`, counted from 1. */
static void
expect_failed(const struct verb *verbs, size_t n, size_t at,
    enum lk_error_kind kind, const char *part)
{
	struct lk_job *job = run(verbs, n);
	struct lk_item *item = lk_job_answer(job);

	assert_int_equal(item->outcome, LK_ITEM_FAILED);
	if (strstr(item->error.message, part) == NULL)
		fail_msg("not \"%s\": %s", part, item->error.message);
	assert_int_equal(item->error.kind, kind);
	assert_int_equal(item - job->items + 1, at);
	assert_int_equal(job->after, LK_XACT_IDLE);
	lk_job_free(&job);
}

#define DONE(reply, n_round_trips, ...)					\
	do {								\
		const struct verb all[] = { __VA_ARGS__ };		\
		expect_done(all, sizeof(all) / sizeof(all[0]), reply,	\
		    n_round_trips);					\
	} while (0)
#define FAILED(at, kind, part, ...)					\
	do {								\
		const struct verb all[] = { __VA_ARGS__ };		\
		expect_failed(all, sizeof(all) / sizeof(all[0]), at,	\
		    LK_ERR_##kind, part);				\
	} while (0)
#define V(...)		{ .sql = __VA_ARGS__ }
#define VALUE(text)	{ .data = (text), .len = sizeof(text) - 1 }
#define INT4(text)	{ .data = (text), .len = sizeof(text) - 1, .type = 23 }
#define COLUMN(n, name)	{ .data = (name), .len = sizeof(name) - 1, .from = (n) }

#define ADD(id)		V("UPDATE r SET v = v + 1 WHERE id = " #id)
#define BAD		V("INSERT INTO r VALUES (1, 1)")

static int
value_of(int id)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "SELECT v FROM r WHERE id = %d", id);
	return side_int(sql);
}

/* ---- set-up ---- */

static int
start_thread(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	limit = 64 << 20;
	side_do("TRUNCATE r");
	side_do("INSERT INTO r SELECT i, 0 FROM generate_series(1, 9) i");
	lk_list_init(&unread);
	assert_int_equal(lk_mailbox_init(&outbox), 0);
	assert_int_equal(lk_thread_start(&worker, 1, "worker",
	    lk_worker_main, &args, &outbox), 0);
	worker_pid = expect_up();
	return 0;
}

static int
stop_thread(void **state)
{
	(void)state;
	lk_assert_loop();
	lk_thread_stop(&worker);
	expect_mail(LK_MSG_EXITED);
	lk_thread_join(&worker);
	assert_true(lk_list_is_empty(&unread));
	lk_mailbox_fini(&outbox);
	return 0;
}

static int
make_tables(void **state)
{
	(void)state;
	if (open_schema("lk_test_unit") < 0)
		return -1;
	side_do("CREATE TABLE r (id int PRIMARY KEY, v int)");
	side_do("CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY "
	    "DEFERRED)");
	side_do("CREATE TYPE mood AS ENUM ('sad', 'happy')");
	return 0;
}

static int
drop_tables(void **state)
{
	(void)state;
	drop_schema("lk_test_unit");
	return 0;
}

/* ---- what is done, and in how many round trips ---- */

static void
statements_that_need_no_answer_and_commit_go_at_once(void **state)
{
	(void)state;
	DONE("*3\r\n+UPDATE 1\r\n+UPDATE 1\r\n+INSERT 0 1\r\n", 1,
	    ADD(1), ADD(2), V("INSERT INTO r VALUES (10, 0)"));
	assert_int_equal(value_of(1) + value_of(2) + value_of(10), 2);
	/* Its types are said, and its one row is a reply whatever it is. */
	DONE("*2\r\n:9\r\n%2\r\n$2\r\nid\r\n:2\r\n$1\r\nv\r\n:4\r\n", 1,
	    V("SELECT count(*) FROM r WHERE id < $1", .n_params = 1,
	    .params = { INT4("10") }, .shape = LK_SHAPE_INT),
	    V("UPDATE r SET v = 4 WHERE id = $1 RETURNING *", .n_params = 1,
	    .params = { INT4("2") }, .shape = LK_SHAPE_ROW));
}

static void
what_is_no_statement_replies_ok(void **state)
{
	(void)state;
	DONE("*2\r\n+OK\r\n+UPDATE 1\r\n", 1, V(NULL), ADD(1));
}

static void
parameters_without_types_are_described_once(void **state)
{
	(void)state;
	DONE("*2\r\n+UPDATE 1\r\n+UPDATE 1\r\n", 2, ADD(1),
	    V("UPDATE r SET v = $1 WHERE id = 2", .n_params = 1,
	    .params = { VALUE("7") }));
	DONE("*2\r\n+UPDATE 1\r\n+UPDATE 1\r\n", 1, ADD(1),
	    V("UPDATE r SET v = $1 WHERE id = 2", .n_params = 1,
	    .params = { VALUE("8") }));
	assert_int_equal(value_of(2), 8);
}

static void
commit_waits_for_replies_that_may_be_none(void **state)
{
	(void)state;
	DONE("*2\r\n+UPDATE 1\r\n*1\r\n%1\r\n$1\r\nv\r\n:1\r\n", 2, ADD(1),
	    V("SELECT v FROM r WHERE id = 1"));
	/* That is waited for once. */
	DONE("*3\r\n*1\r\n%1\r\n$1\r\nv\r\n:1\r\n+UPDATE 1\r\n"
	    "*1\r\n%1\r\n$1\r\nv\r\n:2\r\n", 2,
	    V("SELECT v FROM r WHERE id = 1"), ADD(1),
	    V("UPDATE r SET v = v WHERE id = 1 ReTuRNing v"));
	FAILED(2, UNMET, "no such row", ADD(1),
	    V("SELECT v FROM r WHERE id = 0", .shape = LK_SHAPE_ONE));
	assert_int_equal(value_of(1), 2);
}

static void
what_a_unit_makes_it_can_use(void **state)
{
	(void)state;
	DONE("*3\r\n+CREATE TABLE\r\n+INSERT 0 1\r\n"
	    "*1\r\n%2\r\n$1\r\na\r\n:5\r\n$1\r\nm\r\n$5\r\nhappy\r\n", 4,
	    V("CREATE TABLE made (a int, m mood)"),
	    V("INSERT INTO made VALUES ($1, 'happy')", .n_params = 1,
	    .params = { VALUE("5") }),
	    V("SELECT * FROM made"));
	side_do("DROP TABLE made");
}

/* ---- what fails ---- */

static void
a_failed_unit_leaves_nothing(void **state)
{
	(void)state;
	FAILED(2, PG, "duplicate key", ADD(1), BAD, ADD(2));
	FAILED(1, PG, "duplicate key", BAD, ADD(2));
	FAILED(2, SYNTAX, "NUL byte", ADD(1), V("UPDATE r SET v = 1 WHERE "
	    "id::text = $1", .n_params = 1, .params = { VALUE("a\0b") }),
	    ADD(2));
	/* At COMMIT, which is its own. */
	FAILED(3, PG, "late_pkey", ADD(1),
	    V("INSERT INTO late VALUES (1), (1)"));
	assert_int_equal(value_of(1) + value_of(2), 0);
	DONE("*1\r\n+UPDATE 1\r\n", 1, ADD(1));
}

static void
a_must_is_met_or_nothing_is_done(void **state)
{
	(void)state;
	FAILED(2, UNMET, "must not be", ADD(1),
	    V("UPDATE r SET v = 1 WHERE id = 0", .is_must = true));
	FAILED(1, UNMET, "must not be", V("SELECT 1 WHERE false",
	    .is_must = true), ADD(1));
	FAILED(1, UNMET, "must not be", V("SELECT * FROM r WHERE id = 0",
	    .is_must = true, .shape = LK_SHAPE_ROW), ADD(1));
	FAILED(1, UNMET, "must not be", V("SELECT count(*) FROM r WHERE id = 0",
	    .is_must = true, .shape = LK_SHAPE_INT), ADD(1));
	FAILED(1, UNMET, "must not be", V("SELECT false", .is_must = true,
	    .shape = LK_SHAPE_BOOL), ADD(1));
	FAILED(1, UNMET, "must not be", V("DELETE FROM r WHERE id = 0",
	    .is_must = true, .shape = LK_SHAPE_COUNT), ADD(1));
	assert_int_equal(value_of(1), 0);
	/* Nothing behind it is sent before it is met. */
	FAILED(2, UNMET, "must not be", ADD(1),
	    V("UPDATE r SET v = 1 WHERE id = 0", .is_must = true), BAD);
	DONE("*4\r\n+UPDATE 1\r\n:10\r\n#t\r\n+CREATE TABLE\r\n", 5,
	    V("UPDATE r SET v = 1 WHERE id = 1", .is_must = true),
	    V("SELECT 10::int8", .is_must = true, .shape = LK_SHAPE_INT),
	    V("SELECT true", .is_must = true, .shape = LK_SHAPE_BOOL),
	    V("CREATE TEMP TABLE t (a int)", .is_must = true));
}

static void
values_come_from_rows_before_them(void **state)
{
	(void)state;
	DONE("*3\r\n%2\r\n$2\r\nid\r\n:20\r\n$4\r\nid_2\r\n:21\r\n"
	    "+INSERT 0 1\r\n+UPDATE 2\r\n", 2,
	    V("INSERT INTO r VALUES (20, 21) RETURNING id, v AS id",
	    .shape = LK_SHAPE_ROW),
	    V("INSERT INTO r VALUES ($1, 5)", .n_params = 1,
	    .params = { { .data = "id_2", .len = 4, .type = 23, .from = 1 } }),
	    V("UPDATE r SET v = 30 WHERE id IN ($1, $2)", .n_params = 2,
	    .params = { { .data = "id", .len = 2, .type = 23, .from = 1 },
	    { .data = "21", .len = 2, .type = 23 } }));
	assert_int_equal(value_of(20) + value_of(21), 60);
	FAILED(2, UNMET, "verb 1 is to be a value, and that verb gave no row",
	    V("SELECT 1 AS a WHERE false"), V("UPDATE r SET v = $1",
	    .n_params = 1, .params = { COLUMN(1, "a") }));
	FAILED(3, SYNTAX, "column b of verb 2", ADD(1), V("SELECT 1 AS a"),
	    V("UPDATE r SET v = $1", .n_params = 1,
	    .params = { COLUMN(2, "b") }));
	FAILED(2, UNMET, "gave no row", ADD(1), V("UPDATE r SET v = $1",
	    .n_params = 1, .params = { COLUMN(1, "v") }));
	assert_int_equal(value_of(1), 0);
}

static void
values_from_rows_keep_what_they_are(void **state)
{
	(void)state;
	DONE("*2\r\n*1\r\n%2\r\n$1\r\nx\r\n$2\r\n\001\377\r\n$1\r\nn\r\n_\r\n"
	    "*1\r\n%2\r\n$1\r\nx\r\n$2\r\n\001\377\r\n$1\r\nm\r\n#t\r\n", 4,
	    V("SELECT '\\x01ff'::bytea AS x, NULL AS n"),
	    V("SELECT $1::bytea AS x, $2::text IS NULL AS m", .n_params = 2,
	    .params = { COLUMN(1, "x"), COLUMN(1, "n") }));
}

/* ---- limits ---- */

static void
a_reply_that_is_too_large_fails_the_unit(void **state)
{
	(void)state;
	limit = 10000;
	FAILED(2, OVERLOAD, "nothing was done", ADD(1),
	    V("SELECT repeat('x', 6000) FROM r"), ADD(2));
	FAILED(1, OVERLOAD, "nothing was done",
	    V("SELECT repeat('x', 6000) FROM r, r b, r c, r d"));
	/* All of them are one. */
	FAILED(3, OVERLOAD, "nothing was done", ADD(1),
	    V("SELECT repeat('x', 6000)"), V("SELECT repeat('x', 6000)"));
	assert_int_equal(value_of(1), 0);
}

static void
a_row_that_is_too_large_is_an_error_in_the_reply(void **state)
{
	(void)state;
	limit = 1000;
	DONE("*2\r\n-OVERLOAD 53400 the result is larger than limits.result "
	    "(1000 bytes); the statement itself took effect\r\n+UPDATE 1\r\n",
	    1, V("UPDATE r SET v = 5 WHERE id = 2 RETURNING "
	    "repeat('x', 5000)", .shape = LK_SHAPE_ROW), ADD(1));
	assert_int_equal(value_of(1) + value_of(2), 6);
}

static void
replies_nest_as_deep_as_others_do(void **state)
{
	(void)state;
	DONE("*1\r\n*1\r\n%1\r\n$1\r\na\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 2,
	    V("SELECT ARRAY[[[[1]]]] AS a"));
	FAILED(1, OVERLOAD, "nest", V("SELECT ARRAY[[[[[1]]]]] AS a"));
}

/* ---- what was prepared in other times ---- */

static void
a_stale_statement_runs_the_unit_once_more(void **state)
{
	struct verb select = V("SELECT * FROM s WHERE a = $1", .n_params = 1,
	    .params = { INT4("1") });

	(void)state;
	side_do("CREATE TABLE s (a int); INSERT INTO s VALUES (1)");
	DONE("*2\r\n+UPDATE 1\r\n*1\r\n%1\r\n$1\r\na\r\n:1\r\n", 2, ADD(1),
	    select);
	side_do("ALTER TABLE s ADD b int");
	DONE("*2\r\n+UPDATE 1\r\n*1\r\n%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n",
	    2, ADD(1), select);
	assert_int_equal(value_of(1), 2);
	side_do("DROP TABLE s");
}

static void
a_retyped_parameter_runs_the_unit_once_more(void **state)
{
	struct verb insert = V("INSERT INTO s VALUES ($1)", .n_params = 1,
	    .params = { VALUE("1") });

	(void)state;
	side_do("CREATE TABLE s (a int)");
	DONE("*2\r\n+UPDATE 1\r\n+INSERT 0 1\r\n", 2, ADD(1), insert);
	insert.params[0] = (struct lk_param)VALUE("one");
	FAILED(2, PG, "invalid input syntax", ADD(1), insert);
	side_do("ALTER TABLE s ALTER a TYPE text");
	DONE("*2\r\n+UPDATE 1\r\n+INSERT 0 1\r\n", 1, ADD(1), insert);
	assert_int_equal(value_of(1), 2);
	side_do("DROP TABLE s");
}

static void
nothing_is_left_for_the_next_unit(void **state)
{
	(void)state;
	DONE("*2\r\n+SET\r\n+CREATE TABLE\r\n", 2, V("SET work_mem = '77kB'"),
	    V("CREATE TEMP TABLE tmp (a int)"));
	DONE("*1\r\n*1\r\n%2\r\n$1\r\nw\r\n#f\r\n$1\r\nt\r\n_\r\n", 2,
	    V("SELECT current_setting('work_mem') = '77kB' AS w, "
	    "to_regclass('tmp') AS t"));
}

/* ---- sessions and cancels ---- */

/* The unit waits for row 1 with its second statement. */
static void
post_waiting(const struct verb *third)
{
	struct verb verbs[3] = { ADD(2), ADD(1), *third };

	side_do("BEGIN");
	side_do("UPDATE r SET v = 100 WHERE id = 1");
	lk_mailbox_post(&worker.inbox, &make_unit(verbs, 3)->msg);
	await_lock_wait(worker_pid);
}

static void
a_cancelled_unit_leaves_nothing(void **state)
{
	struct lk_job *job;

	(void)state;
	post_waiting(&(struct verb)ADD(3));
	signal_worker("pg_cancel_backend");
	job = next_job();
	side_do("ROLLBACK");
	assert_ptr_equal(lk_job_answer(job), &job->items[1]);
	assert_string_equal(job->items[1].error.sqlstate, "57014");
	assert_int_equal(job->after, LK_XACT_IDLE);
	lk_job_free(&job);
	assert_int_equal(value_of(1) + value_of(2) + value_of(3), 0);
}

static struct lk_item *
next_lost(struct lk_job **job_out)
{
	*job_out = next_job();
	assert_int_equal((*job_out)->after, LK_XACT_GONE);
	side_do("ROLLBACK");
	expect_note(LK_NOTE_DOWN);
	worker_pid = expect_up();
	return lk_job_answer(*job_out);
}

static void
a_session_that_says_its_end_has_committed_nothing(void **state)
{
	struct lk_job *job;
	struct lk_item *item;

	(void)state;
	post_waiting(&(struct verb)ADD(3));
	signal_worker("pg_terminate_backend");
	item = next_lost(&job);
	assert_ptr_equal(item, &job->items[1]);
	assert_int_equal(item->outcome, LK_ITEM_FAILED);
	assert_int_equal(item->error.kind, LK_ERR_CONNLOST);
	lk_job_free(&job);
	assert_int_equal(value_of(1) + value_of(2) + value_of(3), 0);
}

/* The worker's line to the server is dead from one moment to the next. */
static void
cut_line(void)
{
	struct sockaddr_un name;
	socklen_t size;
	int fd, n = 0;

	for (fd = 0; fd < 100; fd++) {
		size = sizeof(name);
		if (fd != PQsocket(side) && getpeername(fd,
		    (struct sockaddr *)&name, &size) == 0 &&
		    name.sun_family == AF_UNIX &&
		    strstr(name.sun_path, ".s.PGSQL.") != NULL)
			n += shutdown(fd, SHUT_RDWR) == 0;
	}
	assert_int_equal(n, 1);
}

static void
after_commit_was_sent_the_outcome_is_not_known(void **state)
{
	struct lk_job *job;
	struct lk_item *item;
	int i;

	(void)state;
	post_waiting(&(struct verb)ADD(3));
	cut_line();
	item = next_lost(&job);
	assert_ptr_equal(item, &job->items[3]);
	assert_int_equal(item->outcome, LK_ITEM_LOST);
	lk_job_free(&job);
	/* For the server had it. */
	for (i = 0; i < PATIENCE_MS / 10 && value_of(3) == 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(value_of(1) + value_of(2) + value_of(3), 3);
}

static void
before_commit_is_sent_nothing_was_committed(void **state)
{
	struct lk_job *job;
	struct lk_item *item;

	(void)state;
	post_waiting(&(struct verb)V("SELECT 1", .is_must = true));
	cut_line();
	item = next_lost(&job);
	assert_ptr_equal(item, &job->items[3]);
	assert_int_equal(item->outcome, LK_ITEM_FAILED);
	assert_int_equal(item->error.kind, LK_ERR_CONNLOST);
	lk_job_free(&job);
	side_do("BEGIN; LOCK TABLE r; COMMIT");	/* it has ended */
	assert_int_equal(value_of(1) + value_of(2), 0);
}

/* ---- groups whose items are one statement ---- */

static struct lk_job *
run_together(const struct verb *verbs, size_t n)
{
	struct lk_job *job = make_unit(verbs, n);

	job->is_group = true;
	job->together.sql = strdup("SELECT k.c, k.n FROM unnest($1) WITH "
	    "ORDINALITY AS k(c, n)");
	job->together.types = calloc(1, sizeof(*job->together.types));
	job->together.types[0] = 1009;	/* text[] */
	lk_mailbox_post(&worker.inbox, &job->msg);
	return next_job();
}

#define TEXT(data)							\
	{ "SELECT $1", LK_SHAPE_ROW, false, 1,				\
	    { { data, sizeof(data) - 1, 25, 0 } } }

static void
one_statement_replies_to_each_of_a_group(void **state)
{
	static const struct verb verbs[] = { TEXT("a"), TEXT("b"), TEXT("a") };
	struct lk_job *job = run_together(verbs, 3);

	(void)state;
	assert_int_equal(job->items[3].outcome, LK_ITEM_DONE);
	assert_true(job->was_together);
	assert_string_equal(lk_buf_cstr(&job->items[1].reply),
	    "%1\r\n$1\r\nc\r\n$1\r\nb\r\n");
	assert_string_equal(lk_buf_cstr(&job->items[2].reply),
	    lk_buf_cstr(&job->items[0].reply));
	lk_job_free(&job);
}

/* Else COMMIT would have said that all of it is done. */
static void
what_cannot_be_sent_is_none_of_it_done(void **state)
{
	static const struct verb verbs[] = { TEXT("a"), TEXT("b\0c") };
	struct lk_job *job = run_together(verbs, 2);
	size_t i;

	(void)state;
	assert_false(job->was_together);
	for (i = 0; i < job->n_items; i++)
		assert_int_equal(job->items[i].outcome, LK_ITEM_UNSENT);
	assert_int_equal(job->after, LK_XACT_IDLE);
	lk_job_free(&job);
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, start_thread, stop_thread)
	const struct CMUnitTest tests[] = {
		TEST(statements_that_need_no_answer_and_commit_go_at_once),
		TEST(what_is_no_statement_replies_ok),
		TEST(parameters_without_types_are_described_once),
		TEST(commit_waits_for_replies_that_may_be_none),
		TEST(what_a_unit_makes_it_can_use),
		TEST(a_failed_unit_leaves_nothing),
		TEST(a_must_is_met_or_nothing_is_done),
		TEST(values_come_from_rows_before_them),
		TEST(values_from_rows_keep_what_they_are),
		TEST(a_reply_that_is_too_large_fails_the_unit),
		TEST(a_row_that_is_too_large_is_an_error_in_the_reply),
		TEST(replies_nest_as_deep_as_others_do),
		TEST(a_stale_statement_runs_the_unit_once_more),
		TEST(a_retyped_parameter_runs_the_unit_once_more),
		TEST(nothing_is_left_for_the_next_unit),
		TEST(a_cancelled_unit_leaves_nothing),
		TEST(a_session_that_says_its_end_has_committed_nothing),
		TEST(after_commit_was_sent_the_outcome_is_not_known),
		TEST(before_commit_is_sent_nothing_was_committed),
		TEST(one_statement_replies_to_each_of_a_group),
		TEST(what_cannot_be_sent_is_none_of_it_done),
	};
#undef TEST

	return cmocka_run_group_tests(tests, make_tables, drop_tables);
}
