/*
 * The db layer against a real PostgreSQL, which LK_TEST_CONNINFO names: the
 * threads are started as the daemon starts them, and asked through their
 * inboxes.  Uses a schema of its own, made anew and dropped at the end.
 */
#include "side.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "db/watcher.h"
#include "db/worker.h"

#define BIG		(64 * 1024 * 1024)
#define BEGIN		"BEGIN ISOLATION LEVEL READ COMMITTED"

static struct lk_thread	worker, second, watcher;
static int		worker_pid, second_pid;

static void
pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void
await_active(int pid)
{
	char sql[160];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity "
	    "WHERE state = 'active' AND query LIKE '%%pg_sleep%%' "
	    "AND pid = %d", pid);
	side_await(sql);
}

/* The next of that kind; what came before it stays, in order. */
static struct lk_msg *
next_mail_of(enum lk_msg_kind kind)
{
	struct lk_list others;
	struct lk_msg *msg;

	lk_list_init(&others);
	for (msg = next_mail(); msg->kind != kind; msg = next_mail())
		lk_list_append(&others, &msg->link);
	lk_list_splice(&others, &unread);
	lk_list_splice(&unread, &others);
	return msg;
}

/* ---- jobs ---- */

struct want {
	const char	*sql;
	const char	*begin;
	bool		 in_tx;
	bool		 is_control;
	size_t		 n_params;
	struct lk_param	 params[4];
	int		 proto;		/* 0: 3 */
	int		 rows;
	enum lk_shape	 shape;
	size_t		 limit;		/* 0: BIG */
};

static void
fill_item(struct lk_item *item, const struct want *want, uint32_t index)
{
	item->kind = want->is_control ? LK_ITEM_CONTROL : LK_ITEM_SQL;
	item->request = (struct lk_id){ index, 1 };
	item->sql = want->sql;
	item->n_params = want->n_params;
	if (want->n_params > 0) {
		item->params = calloc(want->n_params, sizeof(*item->params));
		memcpy(item->params, want->params,
		    want->n_params * sizeof(*item->params));
	}
	item->format.proto = (uint8_t)(want->proto == 0 ? 3 : want->proto);
	item->format.rows = (uint8_t)want->rows;
	item->shape = want->shape;
}

static struct lk_job *
make_job(const struct want *wants, size_t n)
{
	struct lk_job *job = lk_job_new(n);
	size_t i;

	job->begin = wants[0].begin;
	job->in_tx = wants[0].in_tx;
	job->clean = !job->in_tx;
	job->limit_result = wants[0].limit == 0 ? BIG : wants[0].limit;
	for (i = 0; i < n; i++)
		fill_item(&job->items[i], &wants[i], (uint32_t)i + 1);
	return job;
}

static void
post_job(struct lk_thread *thread, const struct want *want)
{
	lk_mailbox_post(&thread->inbox, &make_job(want, 1)->msg);
}

static struct lk_job *
next_job(void)
{
	return lk_container(expect_mail(LK_MSG_JOB), struct lk_job, msg);
}

/* Run it on the worker, cleaning included. */
static struct lk_job *
run(struct want want)
{
	struct lk_job *job;
	bool clean = !want.in_tx;

	post_job(&worker, &want);
	job = next_job();
	if (clean && job->after != LK_XACT_GONE)
		expect_note(LK_NOTE_READY);
	return job;
}

static void
expect_reply(struct want want, const char *reply)
{
	struct lk_job *job = run(want);
	struct lk_item *item = &job->items[0];

	if (item->outcome != LK_ITEM_DONE)
		fail_msg("%s: %d %s %s", want.sql, (int)item->outcome,
		    item->error.sqlstate, item->error.message);
	assert_string_equal(lk_buf_cstr(&item->reply), reply);
	assert_int_equal(job->after, want.in_tx ? LK_XACT_OPEN : LK_XACT_IDLE);
	lk_job_free(&job);
}

static void
expect_error(struct want want, enum lk_error_kind kind, const char *sqlstate,
    enum lk_xact after)
{
	struct lk_job *job = run(want);
	struct lk_item *item = &job->items[0];

	assert_int_equal(item->outcome, LK_ITEM_FAILED);
	assert_string_equal(item->error.sqlstate, sqlstate);
	assert_int_equal(item->error.kind, kind);
	assert_int_equal(job->after, after);
	assert_int_equal(item->reply.len, 0);
	lk_job_free(&job);
}

static void
expect_tag(const char *sql, const char *tag)
{
	struct lk_job *job = run((struct want){ .sql = sql,
	    .is_control = true });

	assert_int_equal(job->items[0].outcome, LK_ITEM_DONE);
	assert_string_equal(job->items[0].tag, tag);
	assert_int_equal(job->after, LK_XACT_IDLE);
	lk_job_free(&job);
}

#define SQL(text)	((struct want){ .sql = (text) })
#define IN_TX(text)	((struct want){ .sql = (text), .in_tx = true })
#define FIRST_IN_TX(text)						\
	((struct want){ .sql = (text), .in_tx = true, .begin = BEGIN })
#define PARAM(text)	{ .data = (text), .len = sizeof(text) - 1 }

/* ---- set-up ---- */

static void
stop_thread(struct lk_thread *thread)
{
	lk_assert_loop();
	lk_thread_stop(thread);
	expect_mail(LK_MSG_EXITED);
	lk_thread_join(thread);
}

static int
start_threads(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	lk_list_init(&unread);
	assert_int_equal(lk_mailbox_init(&outbox), 0);
	assert_int_equal(lk_thread_start(&worker, 1, "worker",
	    lk_worker_main, &args, &outbox), 0);
	worker_pid = expect_up();
	return 0;
}

static int
stop_threads(void **state)
{
	(void)state;
	lk_assert_loop();
	stop_thread(&worker);
	assert_true(lk_list_is_empty(&unread));
	lk_mailbox_fini(&outbox);
	return 0;
}

static int
start_all(void **state)
{
	start_threads(state);
	lk_assert_loop();
	assert_int_equal(lk_thread_start(&second, 2, "second",
	    lk_worker_main, &args, &outbox), 0);
	second_pid = expect_up();
	return lk_thread_start(&watcher, 3, "watcher", lk_watcher_main, &args,
	    &outbox);
}

static int
stop_all(void **state)
{
	lk_assert_loop();
	stop_thread(&second);
	stop_thread(&watcher);
	return stop_threads(state);
}

static int
make_tables(void)
{
	if (open_schema("lk_test_db") < 0)
		return -1;
	/* What a run that was broken off has left. */
	if (side_int("SELECT count(*) FROM pg_prepared_xacts "
	    "WHERE gid = 'lk test db'") > 0)
		side_do("ROLLBACK PREPARED 'lk test db'");
	side_do("CREATE TABLE r (id int PRIMARY KEY, v int NOT NULL)");
	side_do("INSERT INTO r SELECT i, 0 FROM generate_series(1, 100) i");
	side_do("CREATE TYPE mood AS ENUM ('sad', 'so, so', 'happy')");
	side_do("CREATE DOMAIN small AS int CHECK (VALUE < 100)");
	side_do("CREATE DOMAIN smaller AS small CHECK (VALUE < 10)");
	side_do("CREATE TYPE pair AS (a int, b text)");
	return 0;
}

/* ---- values ---- */

static void
values_have_their_types(void **state)
{
	(void)state;
	expect_reply(SQL("SELECT 1 AS i, 'x' AS t, true AS b, 1.5::float8 AS f, "
	    "NULL::int AS n, 2.50 AS d, 9::int8 AS l, 'NaN'::float4 AS nan"),
	    "*1\r\n%8\r\n$1\r\ni\r\n:1\r\n$1\r\nt\r\n$1\r\nx\r\n"
	    "$1\r\nb\r\n#t\r\n$1\r\nf\r\n,1.5\r\n$1\r\nn\r\n_\r\n"
	    "$1\r\nd\r\n$4\r\n2.50\r\n$1\r\nl\r\n:9\r\n"
	    "$3\r\nnan\r\n$3\r\nNaN\r\n");
	expect_reply((struct want){ .sql = "SELECT false AS b, 1.5::float8 AS f, "
	    "NULL AS n", .proto = 2 },
	    "*1\r\n*6\r\n$1\r\nb\r\n:0\r\n$1\r\nf\r\n$3\r\n1.5\r\n"
	    "$1\r\nn\r\n$-1\r\n");
}

static void
session_settings_are_fixed(void **state)
{
	(void)state;
	expect_reply(SQL("SELECT '2020-01-02 03:04+02'::timestamptz AS a, "
	    "'1 day 2 hours'::interval AS b"),
	    "*1\r\n%2\r\n$1\r\na\r\n$22\r\n2020-01-02 01:04:00+00\r\n"
	    "$1\r\nb\r\n$14\r\n1 day 02:00:00\r\n");
}

static void
columns_of_one_name_are_numbered(void **state)
{
	(void)state;
	expect_reply(SQL("SELECT 1 AS id, 2 AS id, 3 AS id_2, 4 AS id"),
	    "*1\r\n%4\r\n$2\r\nid\r\n:1\r\n$4\r\nid_3\r\n:2\r\n"
	    "$4\r\nid_2\r\n:3\r\n$4\r\nid_4\r\n:4\r\n");
}

static void
statements_without_rows_reply_their_tag(void **state)
{
	struct lk_job *job = run(SQL("UPDATE r SET v = v WHERE id <= 3"));

	(void)state;
	assert_string_equal(lk_buf_cstr(&job->items[0].reply),
	    "+UPDATE 3\r\n");
	assert_int_equal(job->items[0].n_rows, 3);
	assert_string_equal(job->items[0].tag, "UPDATE 3");
	lk_job_free(&job);
	expect_reply(SQL("SELECT 1 AS x WHERE false"), "*0\r\n");
}

static void
rows_as_table(void **state)
{
	(void)state;
	expect_reply((struct want){ .sql = "SELECT i AS id, 'a'::text AS t "
	    "FROM generate_series(1, 11) i", .rows = LK_ROWS_TABLE },
	    "%3\r\n$7\r\ncolumns\r\n*2\r\n$2\r\nid\r\n$1\r\nt\r\n"
	    "$5\r\ntypes\r\n*2\r\n$7\r\ninteger\r\n$4\r\ntext\r\n"
	    "$4\r\nrows\r\n*11\r\n"
	    "*2\r\n:1\r\n$1\r\na\r\n*2\r\n:2\r\n$1\r\na\r\n"
	    "*2\r\n:3\r\n$1\r\na\r\n*2\r\n:4\r\n$1\r\na\r\n"
	    "*2\r\n:5\r\n$1\r\na\r\n*2\r\n:6\r\n$1\r\na\r\n"
	    "*2\r\n:7\r\n$1\r\na\r\n*2\r\n:8\r\n$1\r\na\r\n"
	    "*2\r\n:9\r\n$1\r\na\r\n*2\r\n:10\r\n$1\r\na\r\n"
	    "*2\r\n:11\r\n$1\r\na\r\n");
	expect_reply((struct want){ .sql = "SELECT 'sad'::mood AS m, "
	    "ARRAY['sad'::mood] AS a", .rows = LK_ROWS_TABLE },
	    "%3\r\n$7\r\ncolumns\r\n*2\r\n$1\r\nm\r\n$1\r\na\r\n"
	    "$5\r\ntypes\r\n*2\r\n$4\r\nmood\r\n$6\r\nmood[]\r\n"
	    "$4\r\nrows\r\n*1\r\n*2\r\n$3\r\nsad\r\n*1\r\n$3\r\nsad\r\n");
}

static void
rows_as_json(void **state)
{
	const char *text = "{\"i\":1,\"t\":\"a\\\"\\\\\\u000ab\",\"b\":true,"
	    "\"n\":null,\"d\":2.50,\"f\":\"NaN\",\"j\":{\"k\": [1]},"
	    "\"a\":[[1,null],[2,3]],\"x\":\"\\\\x00ff\",\"e\":[\"so, so\"]}";
	char reply[256];

	(void)state;
	snprintf(reply, sizeof(reply), "*1\r\n$%zu\r\n%s\r\n", strlen(text),
	    text);
	expect_reply((struct want){ .sql = "SELECT 1 AS i, E'a\"\\\\\\nb' AS t, "
	    "true AS b, NULL AS n, 2.50 AS d, 'NaN'::float8 AS f, "
	    "'{\"k\": [1]}'::jsonb AS j, ARRAY[[1,NULL],[2,3]] AS a, "
	    "'\\x00ff'::bytea AS x, ARRAY['so, so'::mood] AS e",
	    .rows = LK_ROWS_JSON }, reply);
}

static void
arrays_are_nested_arrays(void **state)
{
	(void)state;
	expect_reply(SQL("SELECT ARRAY[1,NULL,3] AS a, '{}'::int[] AS e, "
	    "ARRAY[['a b','NULL'],[NULL,'\"']] AS t, '[2:3]={t,f}'::bool[] AS b"),
	    "*1\r\n%4\r\n$1\r\na\r\n*3\r\n:1\r\n_\r\n:3\r\n$1\r\ne\r\n*0\r\n"
	    "$1\r\nt\r\n*2\r\n*2\r\n$3\r\na b\r\n$4\r\nNULL\r\n"
	    "*2\r\n_\r\n$1\r\n\"\r\n$1\r\nb\r\n*2\r\n#t\r\n#f\r\n");
	/* Asked once for each session, then known. */
	expect_reply(SQL("SELECT ARRAY['sad','so, so']::mood[] AS m, "
	    "ARRAY[3]::smaller[] AS d, ARRAY[(1,'x')::pair] AS p"),
	    "*1\r\n%3\r\n$1\r\nm\r\n*2\r\n$3\r\nsad\r\n$6\r\nso, so\r\n"
	    "$1\r\nd\r\n*1\r\n:3\r\n$1\r\np\r\n*1\r\n$5\r\n(1,x)\r\n");
	expect_reply(FIRST_IN_TX("SELECT ARRAY['sad']::mood[] AS m"),
	    "*1\r\n%1\r\n$1\r\nm\r\n*1\r\n$3\r\nsad\r\n");
	expect_reply(IN_TX("SELECT ROW(1)::text AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n$3\r\n(1)\r\n");
	expect_tag("COMMIT", "COMMIT");
}

static void
deep_arrays_are_refused(void **state)
{
	(void)state;
	expect_reply(SQL("SELECT ARRAY[[[[[1]]]]] AS five"),
	    "*1\r\n%1\r\n$4\r\nfive\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n");
	expect_error(SQL("SELECT ARRAY[[[[[[1]]]]]] AS six"),
	    LK_ERR_OVERLOAD, "53400", LK_XACT_IDLE);
}

static void
bytea_goes_both_ways(void **state)
{
	unsigned char bytes[256];
	char head[64];
	size_t i, n;
	struct lk_job *job;
	struct want want = { .sql = "SELECT $1::bytea AS x, "
	    "length($2::text) AS n", .n_params = 2,
	    .params = { { .data = (char *)bytes, .len = sizeof(bytes) },
	    PARAM("four") } };

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	for (i = 0; i < 2; i++) {	/* described, and known */
		job = run(want);
		assert_int_equal(job->items[0].outcome, LK_ITEM_DONE);
		n = (size_t)snprintf(head, sizeof(head),
		    "*1\r\n%%2\r\n$1\r\nx\r\n$256\r\n");
		assert_memory_equal(job->items[0].reply.data, head, n);
		assert_memory_equal(job->items[0].reply.data + n, bytes, 256);
		assert_string_equal(lk_buf_cstr(&job->items[0].reply) + n + 256,
		    "\r\n$1\r\nn\r\n:4\r\n");
		lk_job_free(&job);
	}
	expect_reply(SQL("SELECT ARRAY['\\x41','\\x0d']::bytea[] AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n*2\r\n$1\r\nA\r\n$1\r\n\r\r\n");
	expect_reply(FIRST_IN_TX("SET LOCAL bytea_output = escape"),
	    "+SET\r\n");
	expect_reply(IN_TX("SELECT '\\x015c41'::bytea AS x, "
	    "ARRAY['\\x5c']::bytea[] AS a"),
	    "*1\r\n%2\r\n$1\r\nx\r\n$3\r\n\001\\A\r\n"
	    "$1\r\na\r\n*1\r\n$1\r\n\\\r\n");
	expect_tag("COMMIT", "COMMIT");
}

static void
nul_in_other_parameters_is_refused(void **state)
{
	struct want want = { .sql = "SELECT $1::text, $2::text",
	    .n_params = 2, .params = { PARAM("ok"), PARAM("a\0b") } };
	struct lk_job *job;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		job = run(want);
		assert_int_equal(job->items[0].outcome, LK_ITEM_FAILED);
		assert_int_equal(job->items[0].error.kind, LK_ERR_SYNTAX);
		assert_non_null(strstr(job->items[0].error.message, "$2"));
		lk_job_free(&job);
	}
	want.begin = BEGIN;
	want.in_tx = true;
	expect_error(want, LK_ERR_SYNTAX, "42601", LK_XACT_OPEN);
	expect_tag("ROLLBACK", "ROLLBACK");
	expect_reply((struct want){ .sql = "CREATE TABLE utility AS SELECT $1 "
	    "AS x", .n_params = 1, .params = { PARAM("a") } },
	    "+SELECT 1\r\n");
	expect_reply((struct want){ .sql = "SELECT $1::int + 1 AS x",
	    .n_params = 1, .params = { { .data = NULL } } },
	    "*1\r\n%1\r\n$1\r\nx\r\n_\r\n");
}

/* ---- results ---- */

static void
big_results_come_whole(void **state)
{
	struct lk_job *job = run(SQL("SELECT i AS id, repeat('x', 1000) AS x "
	    "FROM generate_series(1, 10000) i"));

	(void)state;
	assert_int_equal(job->items[0].outcome, LK_ITEM_DONE);
	assert_true(job->items[0].reply.len > 10 * 1000 * 1000);
	assert_memory_equal(job->items[0].reply.data, "*10000\r\n%2\r\n", 12);
	lk_job_free(&job);
	job = run((struct want){ .sql = "SELECT length($1::text) AS n",
	    .n_params = 1, .params = { { .data = calloc(1, 1) } } });
	free((char *)job->items[0].params[0].data);
	lk_job_free(&job);
}

static void
big_parameters_go_whole(void **state)
{
	size_t n = 8 * 1024 * 1024;
	char *text = malloc(n + 1);

	(void)state;
	memset(text, 'x', n);
	text[n] = '\0';
	/* Sent and echoed: neither side may wait for the other to read. */
	expect_reply((struct want){ .sql = "SELECT length($1 || $2) AS n",
	    .n_params = 2, .params = { { .data = text, .len = n },
	    { .data = text, .len = n } } },
	    "*1\r\n%1\r\n$1\r\nn\r\n:16777216\r\n");
	free(text);
}

static void
results_are_limited(void **state)
{
	uint64_t start_us = lk_clock_us();
	struct lk_job *job = run((struct want){ .sql = "SELECT "
	    "repeat('x', 1000) FROM r a, r b, r c, r d",
	    .limit = 1000 * 1000 });
	struct lk_error *error = &job->items[0].error;

	(void)state;
	assert_int_equal(job->items[0].outcome, LK_ITEM_FAILED);
	assert_int_equal(error->kind, LK_ERR_OVERLOAD);
	assert_non_null(strstr(error->message, "limits.result (1000000 bytes); "
	    "nothing was done"));
	assert_true(lk_clock_us() - start_us < 5 * LK_US_PER_S);
	lk_job_free(&job);
	/* What is done before the first row leaves cannot be taken back. */
	job = run((struct want){ .sql = "INSERT INTO r VALUES (1000, 1) "
	    "RETURNING repeat('x', 5000)", .limit = 1000 });
	error = &job->items[0].error;
	assert_int_equal(error->kind, LK_ERR_OVERLOAD);
	assert_int_equal(side_int("SELECT count(*) FROM r WHERE id = 1000"),
	    strstr(error->message, "took effect") != NULL);
	lk_job_free(&job);
	side_do("DELETE FROM r WHERE id = 1000");
	expect_reply(SQL("SELECT 1 AS x"), "*1\r\n%1\r\n$1\r\nx\r\n:1\r\n");
}

/* A cancel would fail it, and the cursor cannot go back anyway. */
static void
a_fetch_that_is_too_large_leaves_its_transaction_open(void **state)
{
	struct lk_error *error;
	struct lk_job *job;

	(void)state;
	expect_reply(FIRST_IN_TX("DECLARE c NO SCROLL CURSOR FOR SELECT i, "
	    "repeat('x', 1000) FROM generate_series(1, 100002) i"),
	    "+DECLARE CURSOR\r\n");
	job = run((struct want){ .sql = "FETCH 100000 FROM c", .in_tx = true,
	    .shape = LK_SHAPE_FETCH, .limit = 1000 * 1000 });
	error = &job->items[0].error;
	assert_int_equal(job->items[0].outcome, LK_ITEM_FAILED);
	assert_int_equal(error->kind, LK_ERR_OVERLOAD);
	assert_int_equal(error->retry, LK_RETRY_NO);
	assert_non_null(strstr(error->message, "FETCH fewer"));
	assert_int_equal(job->after, LK_XACT_OPEN);
	assert_int_equal(job->items[0].n_rows, 100000);
	lk_job_free(&job);
	job = run((struct want){ .sql = "FETCH 10 FROM c", .in_tx = true,
	    .shape = LK_SHAPE_FETCH });
	assert_memory_equal(lk_buf_cstr(&job->items[0].reply),
	    "*2\r\n%2\r\n$1\r\ni\r\n:100001\r\n", 24);
	lk_job_free(&job);
	expect_tag("ROLLBACK", "ROLLBACK");
}

static void
notices_are_nobodys(void **state)
{
	(void)state;
	expect_reply(SQL("DO $$BEGIN RAISE WARNING 'w'; RAISE NOTICE 'n'; END$$"),
	    "+DO\r\n");
}

static void
statements_that_need_no_transaction_run(void **state)
{
	(void)state;
	expect_reply(SQL("VACUUM r"), "+VACUUM\r\n");
	expect_reply(SQL("CREATE INDEX CONCURRENTLY r_v ON r (v)"),
	    "+CREATE INDEX\r\n");
	expect_reply(SQL("CREATE PROCEDURE halves() LANGUAGE plpgsql AS $$BEGIN "
	    "UPDATE r SET v = v; COMMIT; UPDATE r SET v = v; END$$"),
	    "+CREATE PROCEDURE\r\n");
	expect_reply(SQL("CALL halves()"), "+CALL\r\n");
}

/* ---- transactions ---- */

static void
a_transaction_stays_open_between_jobs(void **state)
{
	(void)state;
	expect_reply(FIRST_IN_TX("UPDATE r SET v = 7 WHERE id = 1"),
	    "+UPDATE 1\r\n");
	assert_int_equal(side_int("SELECT v FROM r WHERE id = 1"), 0);
	expect_reply(IN_TX("SELECT v FROM r WHERE id = 1"),
	    "*1\r\n%1\r\n$1\r\nv\r\n:7\r\n");
	expect_tag("COMMIT", "COMMIT");
	assert_int_equal(side_int("SELECT v FROM r WHERE id = 1"), 7);
	side_do("UPDATE r SET v = 0 WHERE id = 1");
}

static void
commit_of_a_failed_transaction_says_rollback(void **state)
{
	(void)state;
	expect_error(FIRST_IN_TX("SELECT 1 / 0"), LK_ERR_PG, "22012",
	    LK_XACT_ERROR);
	expect_error(IN_TX("SELECT 1"), LK_ERR_TXABORTED, "25P02",
	    LK_XACT_ERROR);
	expect_tag("COMMIT", "ROLLBACK");
}

static void
a_failing_begin_runs_nothing(void **state)
{
	struct want wants[] = {
		{ .sql = "UPDATE r SET v = 9 WHERE id = 1", .in_tx = true,
		  .begin = "BEGIN ISOLATION LEVEL NONSENSE" },
		{ .sql = "UPDATE r SET v = 9 WHERE id = 2" },
	};
	struct lk_job *job = make_job(wants, 2);

	(void)state;
	lk_mailbox_post(&worker.inbox, &job->msg);
	job = next_job();
	assert_int_equal(job->items[0].outcome, LK_ITEM_FAILED);
	assert_string_equal(job->items[0].error.sqlstate, "42601");
	assert_int_equal(job->items[1].outcome, LK_ITEM_UNSENT);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_down("no transaction open");
	worker_pid = expect_up();
	assert_int_equal(side_int("SELECT count(*) FROM r WHERE v = 9"), 0);
}

static void
a_deferred_constraint_replaces_the_reply(void **state)
{
	(void)state;
	side_do("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY "
	    "DEFERRED)");
	side_do("INSERT INTO late VALUES (1)");
	expect_error(SQL("INSERT INTO late VALUES (1)"), LK_ERR_PG, "23505",
	    LK_XACT_IDLE);
	expect_error(SQL("INSERT INTO late VALUES (1) RETURNING id"), LK_ERR_PG,
	    "23505", LK_XACT_IDLE);
	expect_reply(FIRST_IN_TX("INSERT INTO late VALUES (1)"),
	    "+INSERT 0 1\r\n");
	expect_error((struct want){ .sql = "COMMIT", .is_control = true },
	    LK_ERR_PG, "23505", LK_XACT_IDLE);
	assert_int_equal(side_int("SELECT count(*) FROM late"), 1);
}

static void
errors_carry_their_fields(void **state)
{
	struct lk_job *job = run(SQL("INSERT INTO r VALUES (1, 1)"));
	struct lk_error *error = &job->items[0].error;

	(void)state;
	assert_string_equal(error->sqlstate, "23505");
	assert_string_equal(error->fields[LK_FIELD_TABLE], "r");
	assert_string_equal(error->fields[LK_FIELD_CONSTRAINT], "r_pkey");
	assert_non_null(strstr(error->fields[LK_FIELD_DETAIL], "(1)"));
	lk_job_free(&job);
	job = run(SQL("SELECT nocolumn FROM r"));
	assert_string_equal(job->items[0].error.fields[LK_FIELD_POSITION], "8");
	lk_job_free(&job);
}

static void
several_statements_are_refused(void **state)
{
	(void)state;
	expect_error(SQL("UPDATE r SET v = 9; COMMIT"), LK_ERR_SYNTAX, "42601",
	    LK_XACT_IDLE);
	expect_error(SQL("SELECT 1 +"), LK_ERR_PG, "42601", LK_XACT_IDLE);
	assert_int_equal(side_int("SELECT count(*) FROM r WHERE v = 9"), 0);
}

static void
each_item_has_its_own_outcome(void **state)
{
	struct want wants[40];
	struct lk_job *job;
	size_t i;

	(void)state;
	for (i = 0; i < 40; i++)
		wants[i] = (struct want){ .sql = i % 7 == 3 ? "SELECT 1 / $1" :
		    "SELECT $1::int AS x", .n_params = 1,
		    .params = { PARAM("0") } };
	job = make_job(wants, 40);
	lk_mailbox_post(&worker.inbox, &job->msg);
	job = next_job();
	expect_note(LK_NOTE_READY);
	for (i = 0; i < 40; i++) {
		assert_int_equal(job->items[i].outcome,
		    i % 7 == 3 ? LK_ITEM_FAILED : LK_ITEM_DONE);
		if (i % 7 != 3)
			assert_string_equal(lk_buf_cstr(&job->items[i].reply),
			    "*1\r\n%1\r\n$1\r\nx\r\n:0\r\n");
	}
	lk_job_free(&job);
}

static void
a_transaction_is_not_continued_on_another_session(void **state)
{
	struct lk_job *job = run((struct want){ .sql = "COMMIT",
	    .is_control = true });

	(void)state;
	assert_int_equal(job->items[0].outcome, LK_ITEM_UNSENT);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_down("gone");
	worker_pid = expect_up();
}

/* ---- prepared statements ---- */

static void
statements_are_prepared_and_survive_ddl(void **state)
{
	int i;

	(void)state;
	side_do("CREATE TABLE shape (a int)");
	side_do("INSERT INTO shape VALUES (1)");
	expect_reply(SQL("SELECT * FROM shape"),
	    "*1\r\n%1\r\n$1\r\na\r\n:1\r\n");
	side_do("ALTER TABLE shape ADD b int DEFAULT 2");
	expect_reply(SQL("SELECT * FROM shape"),
	    "*1\r\n%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n");
	side_do("ALTER TABLE shape DROP a");
	expect_reply(FIRST_IN_TX("SELECT * FROM shape"),
	    "*1\r\n%1\r\n$1\r\nb\r\n:2\r\n");
	side_do("BEGIN; SET LOCAL lock_timeout = 0; COMMIT");
	expect_reply(IN_TX("SELECT count(*)::int AS n FROM "
	    "pg_prepared_statements WHERE statement LIKE '%shape'"),
	    "*1\r\n%1\r\n$1\r\nn\r\n:2\r\n");
	expect_tag("COMMIT", "COMMIT");
	side_do("ALTER TABLE shape ADD c int DEFAULT 3");
	expect_reply(FIRST_IN_TX("SELECT 1 AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n:1\r\n");
	expect_error(IN_TX("SELECT * FROM shape"), LK_ERR_PG, "0A000",
	    LK_XACT_ERROR);
	expect_tag("ROLLBACK", "ROLLBACK");
	for (i = 0; i < 2; i++)
		expect_reply(SQL("SELECT * FROM shape"),
		    "*1\r\n%2\r\n$1\r\nb\r\n:2\r\n$1\r\nc\r\n:3\r\n");
	/* The ones given up are gone from the server, too. */
	expect_reply(SQL("SELECT count(*)::int AS n FROM "
	    "pg_prepared_statements WHERE statement LIKE '%shape'"),
	    "*1\r\n%1\r\n$1\r\nn\r\n:1\r\n");
}

static void
deallocated_statements_are_prepared_anew(void **state)
{
	(void)state;
	expect_reply(SQL("SELECT 11 AS x"), "*1\r\n%1\r\n$1\r\nx\r\n:11\r\n");
	expect_reply(SQL("DEALLOCATE ALL"), "+DEALLOCATE ALL\r\n");
	expect_reply(SQL("SELECT 11 AS x"), "*1\r\n%1\r\n$1\r\nx\r\n:11\r\n");
	expect_reply(SQL("DISCARD ALL"), "+DISCARD ALL\r\n");
	expect_reply(SQL("SELECT 11 AS x"), "*1\r\n%1\r\n$1\r\nx\r\n:11\r\n");
	/* Behind our back. */
	expect_reply(SQL("DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$"),
	    "+DO\r\n");
	expect_reply(FIRST_IN_TX("SELECT 11 AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n:11\r\n");
	expect_reply(IN_TX("SELECT 11 AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n:11\r\n");
	expect_tag("COMMIT", "COMMIT");
	expect_error(SQL("EXECUTE nosuch"), LK_ERR_PG, "26000", LK_XACT_IDLE);
}

static void
prepared_statements_are_bounded(void **state)
{
	char sql[64], reply[64];
	int i;

	(void)state;
	for (i = 0; i < 600; i++) {
		snprintf(sql, sizeof(sql), "SELECT %d AS x", 1000 + i);
		snprintf(reply, sizeof(reply),
		    "*1\r\n%%1\r\n$1\r\nx\r\n:%d\r\n", 1000 + i);
		expect_reply(i == 0 ? FIRST_IN_TX(sql) : IN_TX(sql), reply);
	}
	expect_tag("COMMIT", "COMMIT");
	/* And the one that this one has pushed out, until it is cleaned. */
	expect_reply(SQL("SELECT count(*) <= 256 + 1 AS x FROM "
	    "pg_prepared_statements"), "*1\r\n%1\r\n$1\r\nx\r\n#t\r\n");
}

/* ---- cleaning ---- */

static void
nothing_is_left_for_the_next_job(void **state)
{
	(void)state;
	expect_reply(SQL("SET search_path = pg_catalog"), "+SET\r\n");
	expect_reply(SQL("SELECT set_config('work_mem', '77MB', false) AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n$4\r\n77MB\r\n");
	expect_reply(SQL("SELECT pg_advisory_lock(42)::text AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n$0\r\n\r\n");
	expect_reply(SQL("CREATE TEMP TABLE leftover (x int)"),
	    "+CREATE TABLE\r\n");
	expect_reply(SQL("PREPARE \"Left over\" AS SELECT 1"),
	    "+PREPARE\r\n");
	expect_reply(SQL("DO $$BEGIN EXECUTE 'LISTEN left_over'; END$$"),
	    "+DO\r\n");
	expect_reply(SQL("SET timezone = 'Asia/Tokyo'"), "+SET\r\n");
	expect_reply(SQL("SELECT current_setting('search_path') AS a, "
	    "current_setting('work_mem') = '77MB' AS b, "
	    "current_setting('timezone') AS c, "
	    "(SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') "
	    "AS d, to_regclass('leftover') IS NULL AS e, "
	    "(SELECT count(*)::int FROM pg_prepared_statements WHERE from_sql) "
	    "AS f, (SELECT count(*)::int FROM pg_listening_channels()) AS g"),
	    "*1\r\n%7\r\n$1\r\na\r\n$10\r\nlk_test_db\r\n$1\r\nb\r\n#f\r\n"
	    "$1\r\nc\r\n$3\r\nUTC\r\n$1\r\nd\r\n:0\r\n$1\r\ne\r\n#t\r\n"
	    "$1\r\nf\r\n:0\r\n$1\r\ng\r\n:0\r\n");
}

static void
a_transaction_keeps_its_state_until_it_ends(void **state)
{
	(void)state;
	expect_reply(FIRST_IN_TX("SET work_mem = '77MB'"), "+SET\r\n");
	expect_reply(IN_TX("SHOW work_mem"),
	    "*1\r\n%1\r\n$8\r\nwork_mem\r\n$4\r\n77MB\r\n");
	expect_tag("COMMIT", "COMMIT");
	expect_reply(SQL("SELECT current_setting('work_mem') = '77MB' AS x"),
	    "*1\r\n%1\r\n$1\r\nx\r\n#f\r\n");
}

/* ---- sessions that die ---- */

static void
a_session_killed_while_idle_is_opened_again(void **state)
{
	int before = worker_pid;

	(void)state;
	kill_backend(worker_pid);
	expect_down("terminating connection due to administrator command");
	worker_pid = expect_up();
	assert_int_not_equal(worker_pid, before);
	expect_reply(SQL("SELECT 1 AS x"), "*1\r\n%1\r\n$1\r\nx\r\n:1\r\n");
}

static void
a_session_killed_in_a_statement_is_said(void **state)
{
	struct lk_job *job;
	struct want want = SQL("SELECT pg_sleep(60)");

	(void)state;
	post_job(&worker, &want);
	await_active(worker_pid);
	kill_backend(worker_pid);
	job = next_job();
	assert_int_equal(job->items[0].outcome, LK_ITEM_FAILED);
	assert_string_equal(job->items[0].error.sqlstate, "57P01");
	assert_int_equal(job->items[0].error.kind, LK_ERR_CONNLOST);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_down("terminating connection");
	worker_pid = expect_up();
}

static void
a_commit_without_an_answer_is_lost(void **state)
{
	struct lk_job *job;
	struct want want = { .sql = "COMMIT", .is_control = true };

	(void)state;
	side_do("CREATE TABLE slow (x int)");
	side_do("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
	    "$$BEGIN PERFORM pg_sleep(60); RETURN NULL; END$$");
	side_do("CREATE CONSTRAINT TRIGGER t AFTER INSERT ON slow DEFERRABLE "
	    "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()");
	expect_reply(FIRST_IN_TX("INSERT INTO slow VALUES (1) "
	    "/* pg_sleep */"), "+INSERT 0 1\r\n");
	post_job(&worker, &want);
	pause_ms(200);
	kill_backend(worker_pid);
	job = next_job();
	assert_int_equal(job->items[0].outcome, LK_ITEM_LOST);
	assert_int_equal(job->after, LK_XACT_GONE);
	assert_true(job->items[0].error.is_set);
	lk_job_free(&job);
	expect_down("terminating connection");
	worker_pid = expect_up();
}

static void
a_session_left_without_its_transaction_is_discarded(void **state)
{
	struct lk_job *job;

	(void)state;
	job = run((struct want){ .sql = "SELECT 1", .in_tx = true,
	    .begin = "SET work_mem = '1MB'" });
	assert_int_equal(job->items[0].outcome, LK_ITEM_DONE);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_down("no transaction open");
	worker_pid = expect_up();
}

static void
a_job_that_crosses_a_lost_session_comes_back(void **state)
{
	struct want want = IN_TX("UPDATE r SET v = 5 WHERE id = 5");
	struct lk_job *job;

	(void)state;
	kill_backend(worker_pid);
	pause_ms(20);
	post_job(&worker, &want);
	expect_down("terminating connection");
	while ((job = NULL) == NULL) {
		struct lk_msg *msg = next_mail();
		struct lk_note *note = lk_container(msg, struct lk_note, msg);

		if (msg->kind == LK_MSG_JOB) {
			job = lk_container(msg, struct lk_job, msg);
			break;
		}
		lk_note_free(&note);	/* up already: then down again */
	}
	assert_int_equal(job->items[0].outcome, LK_ITEM_UNSENT);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_note(LK_NOTE_DOWN);
	worker_pid = expect_up();
}

/* ---- connecting ---- */

static void
a_server_that_is_not_there_is_tried_again(void **state)
{
	struct lk_db_args nowhere = { "host=/nonexistent", 0 };
	struct want want = SQL("SELECT 1");
	struct lk_thread other;
	struct lk_job *job;

	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	lk_list_init(&unread);
	assert_int_equal(lk_mailbox_init(&outbox), 0);
	assert_int_equal(lk_thread_start(&other, 9, "other", lk_worker_main,
	    &nowhere, &outbox), 0);
	expect_down("/nonexistent");
	post_job(&other, &want);
	job = next_job();
	assert_int_equal(job->items[0].outcome, LK_ITEM_UNSENT);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_down("/nonexistent");
	expect_down("/nonexistent");
	stop_thread(&other);
	lk_mailbox_fini(&outbox);
}

static void
conninfo_must_parse(void **state)
{
	struct lk_db_args bad = { "nonsense=1", 0 };
	struct lk_thread other;

	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	lk_list_init(&unread);
	assert_int_equal(lk_mailbox_init(&outbox), 0);
	assert_int_equal(lk_thread_start(&other, 9, "other", lk_worker_main,
	    &bad, &outbox), 0);
	expect_down("nonsense");
	stop_thread(&other);
	lk_mailbox_fini(&outbox);
}

/* A server that takes connections and says nothing: "host=DIR" reaches it. */
static int
listen_silently(char *directory, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(directory, size, "/tmp/lkdbXXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path),
	    "%s/.s.PGSQL.5432", directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void
a_silent_server_is_given_up_in_time(void **state)
{
	char directory[64], info[128], path[96];
	struct lk_db_args silent = { info, 200 * LK_US_PER_MS };
	struct lk_thread other;
	uint64_t start_us;
	int fd = listen_silently(directory, sizeof(directory));

	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	lk_list_init(&unread);
	assert_int_equal(lk_mailbox_init(&outbox), 0);
	snprintf(info, sizeof(info), "host=%s port=5432 user=x", directory);
	assert_int_equal(lk_thread_start(&other, 9, "other", lk_worker_main,
	    &silent, &outbox), 0);
	expect_down("in time");
	stop_thread(&other);
	/* Without a limit it waits, but not when it is told to stop. */
	silent.connect_timeout_us = 0;
	assert_int_equal(lk_thread_start(&other, 9, "other", lk_worker_main,
	    &silent, &outbox), 0);
	assert_false(has_mail_within(500));
	start_us = lk_clock_us();
	stop_thread(&other);
	assert_true(lk_clock_us() - start_us < LK_US_PER_S);
	lk_mailbox_fini(&outbox);
	close(fd);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", directory);
	unlink(path);
	rmdir(directory);
}

/* ---- looks and cancels ---- */

static struct lk_look *
look_and_ask(int pid)
{
	struct lk_look *asked = lk_look_new();
	struct lk_msg *msg;

	if (pid != 0) {
		asked->asked = calloc(1, sizeof(*asked->asked));
		assert_non_null(asked->asked);
		asked->asked[asked->n_asked++] = (uint32_t)pid;
	}
	lk_mailbox_post(&watcher.inbox, &asked->msg);
	msg = next_mail_of(LK_MSG_LOOK);
	asked = lk_container(msg, struct lk_look, msg);
	if (asked->failed)
		fail_msg("look failed: %s", asked->error.message);
	return asked;
}

static struct lk_look *
look(void)
{
	return look_and_ask(0);
}

static const struct lk_wait *
wait_of(const struct lk_look *seen, int pid)
{
	size_t i;

	for (i = 0; i < seen->n_waits; i++) {
		if (seen->waits[i].pid == pid)
			return &seen->waits[i];
	}
	return NULL;
}

/* Posted to the watcher, or to a worker; returns whether it was sent. */
static bool
cancel(struct lk_thread *thread, int pid, const struct lk_wait *wait,
    bool terminate)
{
	struct lk_cancel *asked = calloc(1, sizeof(*asked));
	struct lk_msg *msg;
	bool sent;

	asked->msg.kind = LK_MSG_CANCEL;
	lk_list_init(&asked->msg.link);
	asked->backend_pid = pid;
	asked->request = (struct lk_id){ 1, 1 };
	asked->terminate = terminate;
	if (wait != NULL) {
		memcpy(asked->waitstart, wait->waitstart,
		    sizeof(asked->waitstart));
		memcpy(asked->vxid, wait->vxid, sizeof(asked->vxid));
	}
	lk_mailbox_post(&thread->inbox, &asked->msg);
	msg = next_mail_of(LK_MSG_CANCEL);
	asked = lk_container(msg, struct lk_cancel, msg);
	assert_false(asked->failed);
	sent = asked->sent;
	lk_cancel_free(&asked);
	return sent;
}

static void
expect_canceled(enum lk_xact after)
{
	struct lk_job *job = next_job();

	assert_int_equal(job->items[0].outcome, LK_ITEM_FAILED);
	assert_string_equal(job->items[0].error.sqlstate, "57014");
	assert_int_equal(job->after, after);
	lk_job_free(&job);
}

static void
a_quiet_server_shows_no_waits(void **state)
{
	struct lk_look *seen = look();

	(void)state;
	assert_int_equal(seen->n_waits, 0);
	assert_int_equal(seen->n_backends, 0);
	lk_look_free(&seen);
}

static void
a_row_wait_is_seen_and_cancelled(void **state)
{
	struct want want = SQL("UPDATE r SET v = 1 WHERE id = 3");
	const struct lk_wait *wait;
	struct lk_look *seen;
	struct lk_wait old;
	unsigned page, tuple;
	char table[8];

	(void)state;
	expect_reply(FIRST_IN_TX("UPDATE r SET v = length('secret') "
	    "WHERE id = 3"), "+UPDATE 1\r\n");
	post_job(&second, &want);
	await_lock_wait(second_pid);
	seen = look();
	assert_int_equal(seen->n_waits, 1);
	wait = wait_of(seen, second_pid);
	assert_non_null(wait);
	assert_string_equal(wait->locktype, "transactionid");
	assert_string_equal(wait->mode, "ShareLock");
	assert_int_equal(sscanf(wait->object, "row (%u,%u) of %7s", &page,
	    &tuple, table), 3);
	assert_string_equal(table, "r");
	assert_true(wait->waited_us > 0);
	assert_int_equal(wait->n_blockers, 1);
	assert_int_equal(wait->blockers[0].pid, worker_pid);
	assert_false(wait->blockers[0].is_soft);
	assert_int_equal(seen->n_backends, 2);
	assert_string_equal(seen->backends[worker_pid > second_pid].state,
	    "idle in transaction");
	assert_string_equal(seen->backends[0].application, "lockkeeper");
	assert_null(strstr(seen->backends[worker_pid > second_pid].query,
	    "secret"));
	old = *wait;
	old.waitstart[18] ^= 1;		/* some other wait */
	assert_false(cancel(&watcher, second_pid, &old, false));
	old = *wait;
	old.vxid[0] ^= 1;
	assert_false(cancel(&watcher, second_pid, &old, false));
	assert_false(has_mail_within(50));
	assert_true(cancel(&watcher, second_pid, wait, false));
	expect_canceled(LK_XACT_IDLE);
	expect_note(LK_NOTE_READY);
	assert_false(cancel(&watcher, second_pid, wait, false));
	lk_look_free(&seen);
	expect_tag("ROLLBACK", "ROLLBACK");
}

static void
queued_waits_have_soft_blockers(void **state)
{
	struct want alter = SQL("ALTER TABLE r ADD w int");
	struct want read = SQL("SELECT 1 FROM r WHERE id = 1");
	const struct lk_wait *wait;
	struct lk_look *seen;

	(void)state;
	side_do("BEGIN; LOCK TABLE r IN ACCESS SHARE MODE");
	post_job(&worker, &alter);
	await_lock_wait(worker_pid);
	post_job(&second, &read);
	await_lock_wait(second_pid);
	seen = look();
	wait = wait_of(seen, worker_pid);
	assert_string_equal(wait->object, "table r");
	assert_int_equal(wait->n_blockers, 1);
	assert_int_equal(wait->blockers[0].pid, PQbackendPID(side));
	wait = wait_of(seen, second_pid);
	assert_int_equal(wait->n_blockers, 1);
	assert_int_equal(wait->blockers[0].pid, worker_pid);
	assert_true(wait->blockers[0].is_soft);
	assert_false(wait->was_asked || wait->blockers[0].is_confirmed);
	assert_int_equal(seen->n_backends, 3);
	lk_look_free(&seen);
	seen = look_and_ask(second_pid);
	wait = wait_of(seen, second_pid);
	assert_true(wait->was_asked && wait->blockers[0].is_confirmed);
	assert_false(wait_of(seen, worker_pid)->was_asked);
	assert_true(cancel(&watcher, worker_pid, wait_of(seen, worker_pid),
	    false));
	lk_look_free(&seen);
	side_do("ROLLBACK");
}

static void
collect_both_jobs(int n_failed)
{
	int n_jobs = 0, n_ready = 0;

	while (n_jobs < 2 || n_ready < 2) {
		struct lk_msg *msg = next_mail();

		if (msg->kind == LK_MSG_JOB) {
			struct lk_job *job = lk_container(msg, struct lk_job,
			    msg);

			n_jobs++;
			n_failed -= job->items[0].outcome == LK_ITEM_FAILED;
			lk_job_free(&job);
		} else {
			struct lk_note *note = lk_container(msg,
			    struct lk_note, msg);

			assert_int_equal(note->kind, LK_NOTE_READY);
			n_ready++;
			lk_note_free(&note);
		}
	}
	assert_int_equal(n_failed, 0);
}

static void
a_queue_behind_ddl_is_soft(void **state)
{
	queued_waits_have_soft_blockers(state);
	collect_both_jobs(1);
}

static void
a_prepared_transaction_is_named(void **state)
{
	struct want want = SQL("UPDATE r SET v = 1 WHERE id = 4");
	struct lk_look *seen;

	(void)state;
	if (side_int("SELECT current_setting('max_prepared_transactions')")
	    == 0) {
		print_message("max_prepared_transactions is 0\n");
		skip();
	}
	side_do("BEGIN; UPDATE r SET v = 1 WHERE id = 4");
	side_do("PREPARE TRANSACTION 'lk test db'");
	post_job(&worker, &want);
	await_lock_wait(worker_pid);
	seen = look();
	assert_int_equal(seen->n_waits, 1);
	assert_int_equal(seen->waits[0].n_blockers, 1);
	assert_int_equal(seen->waits[0].blockers[0].pid, 0);
	assert_string_equal(seen->waits[0].blockers[0].gid, "lk test db");
	lk_look_free(&seen);
	side_do("ROLLBACK PREPARED 'lk test db'");
	lk_job_free(&(struct lk_job *){ next_job() });
	expect_note(LK_NOTE_READY);
}

static void
a_running_statement_is_cancelled_by_the_worker(void **state)
{
	struct want want = FIRST_IN_TX("SELECT pg_sleep(60)");

	(void)state;
	post_job(&worker, &want);
	await_active(worker_pid);
	assert_false(cancel(&worker, worker_pid + 1, NULL, false));
	assert_true(cancel(&worker, worker_pid, NULL, false));
	expect_canceled(LK_XACT_ERROR);
	assert_false(cancel(&worker, worker_pid, NULL, false));
	expect_tag("ROLLBACK", "ROLLBACK");
}

static void
a_session_is_terminated_by_the_watcher(void **state)
{
	struct want want = SQL("SELECT pg_sleep(60)");
	struct lk_job *job;

	(void)state;
	post_job(&worker, &want);
	await_active(worker_pid);
	assert_true(cancel(&watcher, worker_pid, NULL, true));
	job = next_job();
	assert_string_equal(job->items[0].error.sqlstate, "57P01");
	lk_job_free(&job);
	expect_down("terminating connection");
	worker_pid = expect_up();
}

static void
a_session_is_given_up_by_the_worker(void **state)
{
	struct want want = SQL("SELECT pg_sleep(60)");
	struct lk_job *job;

	(void)state;
	post_job(&worker, &want);
	await_active(worker_pid);
	assert_true(cancel(&worker, worker_pid, NULL, true));
	job = next_job();
	assert_int_equal(job->items[0].outcome, LK_ITEM_LOST);
	assert_int_equal(job->after, LK_XACT_GONE);
	lk_job_free(&job);
	expect_down("gave the session up");
	worker_pid = expect_up();
}

/*
 * Somebody's cancels, at any moment: what they hit is the statement or the
 * cleaning, and that is done again; never the next statement, which is sent
 * only when the cancel's sender has its answer.
 */
static void
cancels_at_any_moment_leave_the_session_clean(void **state)
{
	struct want want = SQL("SELECT set_config('work_mem', '77MB', false)");
	char sql[64];
	int i, n_canceled = 0;

	(void)state;
	snprintf(sql, sizeof(sql), "SELECT pg_cancel_backend(%d)", worker_pid);
	for (i = 0; i < 400; i++) {
		struct lk_job *job;

		if (i % 2 == 0)
			assert_int_equal(PQsendQuery(side, sql), 1);
		post_job(&worker, &want);
		if (i % 2 == 1)
			assert_int_equal(PQsendQuery(side, sql), 1);
		job = next_job();
		PQclear(PQgetResult(side));
		assert_null(PQgetResult(side));
		n_canceled += job->items[0].outcome == LK_ITEM_FAILED;
		lk_job_free(&job);
		expect_note(LK_NOTE_READY);
		expect_reply(SQL("SELECT current_setting('work_mem') = '77MB' "
		    "AS x"), "*1\r\n%1\r\n$1\r\nx\r\n#f\r\n");
	}
	print_message("%d of 400 cancels hit the statement\n", n_canceled);
}

static void
a_watcher_that_lost_its_session_opens_another(void **state)
{
	struct lk_look *asked;
	struct lk_msg *msg;
	int i;
	bool failed = true;

	(void)state;
	side_do("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
	    "WHERE application_name = 'lockkeeper watcher'");
	for (i = 0; i < 300 && failed; i++) {
		asked = lk_look_new();
		lk_mailbox_post(&watcher.inbox, &asked->msg);
		msg = next_mail();
		asked = lk_container(msg, struct lk_look, msg);
		failed = asked->failed;
		assert_true(!failed || asked->error.is_set);
		lk_look_free(&asked);
		pause_ms(10);
	}
	assert_false(failed);
}

int
main(void)
{
	const struct CMUnitTest connecting[] = {
		cmocka_unit_test(a_server_that_is_not_there_is_tried_again),
		cmocka_unit_test(conninfo_must_parse),
		cmocka_unit_test(a_silent_server_is_given_up_in_time),
	};
	const struct CMUnitTest jobs[] = {
		cmocka_unit_test(values_have_their_types),
		cmocka_unit_test(session_settings_are_fixed),
		cmocka_unit_test(columns_of_one_name_are_numbered),
		cmocka_unit_test(statements_without_rows_reply_their_tag),
		cmocka_unit_test(rows_as_table),
		cmocka_unit_test(rows_as_json),
		cmocka_unit_test(arrays_are_nested_arrays),
		cmocka_unit_test(deep_arrays_are_refused),
		cmocka_unit_test(bytea_goes_both_ways),
		cmocka_unit_test(nul_in_other_parameters_is_refused),
		cmocka_unit_test(big_results_come_whole),
		cmocka_unit_test(big_parameters_go_whole),
		cmocka_unit_test(results_are_limited),
		cmocka_unit_test(
		    a_fetch_that_is_too_large_leaves_its_transaction_open),
		cmocka_unit_test(notices_are_nobodys),
		cmocka_unit_test(statements_that_need_no_transaction_run),
		cmocka_unit_test(a_transaction_stays_open_between_jobs),
		cmocka_unit_test(commit_of_a_failed_transaction_says_rollback),
		cmocka_unit_test(a_failing_begin_runs_nothing),
		cmocka_unit_test(a_deferred_constraint_replaces_the_reply),
		cmocka_unit_test(errors_carry_their_fields),
		cmocka_unit_test(several_statements_are_refused),
		cmocka_unit_test(each_item_has_its_own_outcome),
		cmocka_unit_test(
		    a_transaction_is_not_continued_on_another_session),
		cmocka_unit_test(statements_are_prepared_and_survive_ddl),
		cmocka_unit_test(deallocated_statements_are_prepared_anew),
		cmocka_unit_test(prepared_statements_are_bounded),
		cmocka_unit_test(nothing_is_left_for_the_next_job),
		cmocka_unit_test(a_transaction_keeps_its_state_until_it_ends),
		cmocka_unit_test(a_session_killed_while_idle_is_opened_again),
		cmocka_unit_test(a_session_killed_in_a_statement_is_said),
		cmocka_unit_test(a_commit_without_an_answer_is_lost),
		cmocka_unit_test(
		    a_session_left_without_its_transaction_is_discarded),
		cmocka_unit_test(a_job_that_crosses_a_lost_session_comes_back),
	};
	const struct CMUnitTest looks[] = {
		cmocka_unit_test(a_quiet_server_shows_no_waits),
		cmocka_unit_test(a_row_wait_is_seen_and_cancelled),
		cmocka_unit_test(a_queue_behind_ddl_is_soft),
		cmocka_unit_test(a_prepared_transaction_is_named),
		cmocka_unit_test(a_running_statement_is_cancelled_by_the_worker),
		cmocka_unit_test(a_session_is_terminated_by_the_watcher),
		cmocka_unit_test(a_session_is_given_up_by_the_worker),
		cmocka_unit_test(cancels_at_any_moment_leave_the_session_clean),
		cmocka_unit_test(a_watcher_that_lost_its_session_opens_another),
	};
	int failed;

	if (make_tables() < 0)
		return 1;
	failed = cmocka_run_group_tests(connecting, NULL, NULL);
	failed += cmocka_run_group_tests(jobs, start_threads, stop_threads);
	failed += cmocka_run_group_tests(looks, start_all, stop_all);
	drop_schema("lk_test_db");
	return failed != 0;
}
