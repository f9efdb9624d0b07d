/* Units in core: what is queued between MULTI and EXEC, and what EXEC does. */
#include "core_models.h"

#define QUEUED(conn, ...)						\
	do {								\
		SAY(conn, __VA_ARGS__);					\
		expect(conn, "+QUEUED\r\n");				\
	} while (0)
#define MULTI(conn, ...)						\
	do {								\
		SAY(conn, "MULTI", ##__VA_ARGS__);			\
		expect(conn, "+OK\r\n");				\
	} while (0)

static int
begin_each(void **state)
{
	begin_models(state);
	world.config.replay = LK_REPLAY_DML;
	world.config.deadlock_mode = LK_DEADLOCK_RESOLVE;
	return 0;
}

static struct lk_job *
job(void)
{
	assert_non_null(world.workers[0].job);
	assert_true(world.workers[0].job->is_unit);
	return world.workers[0].job;
}

/* A unit of two updates is out on worker 0. */
static void
begin_unit(struct fake_conn *conn)
{
	MULTI(conn);
	QUEUED(conn, "SQL", "UPDATE a SET v = 1");
	QUEUED(conn, "SQL", "UPDATE b SET v = 2");
	SAY(conn, "EXEC");
	expect_nothing(conn);
}

/* What SHOW unit says of a key. */
static void
expect_shown(struct fake_conn *conn, const char *key, const char *value)
{
	char text[200];

	SAY(conn, "SHOW", "unit");
	snprintf(text, sizeof(text), "$%zu\r\n%s\r\n%s", strlen(key), key,
	    value);
	if (strstr(lk_buf_cstr(&conn->got), text) == NULL)
		fail_msg("no %s in %s", text, lk_buf_cstr(&conn->got));
	lk_buf_truncate(&conn->got, 0);
}

/* ---- one job ---- */

static void
a_unit_is_one_job_of_all_its_verbs(void **state)
{
	(void)state;
	MULTI(&ann);
	QUEUED(&ann, "SQL", "UPDATE r SET v = $1", "5");
	QUEUED(&ann, "UPDATE", "users", "7", "SET", "name", "=", "Bo");
	assert_int_equal(n_running(), 0);
	SAY(&ann, "EXEC");
	assert_int_equal(job()->n_items, 3);
	assert_string_equal(job()->begin, "BEGIN");
	assert_true(job()->clean);
	assert_false(job()->in_tx);
	assert_string_equal(job()->items[0].sql, "UPDATE r SET v = $1");
	assert_string_equal(job()->items[0].params[0].data, "5");
	assert_non_null(strstr(job()->items[1].sql, "\"users\""));
	assert_int_equal(job()->items[1].shape, LK_SHAPE_ROW);
	assert_string_equal(job()->items[1].params[1].data, "Bo");
	assert_int_equal(job()->items[2].kind, LK_ITEM_CONTROL);
	assert_string_equal(job()->items[2].sql, "COMMIT");
	finish(0, "all");
	expect(&ann, "+all\r\n");
	expect_shown(&ann, "ended", "$9\r\ncommitted\r\n");
	expect_shown(&ann, "tries", ":1\r\n");
	SAY(&ann, "SQL", "SELECT 1");	/* it is over */
	finish(0, "one");
	expect(&ann, "+one\r\n");
}

static void
a_unit_without_statements_needs_no_session(void **state)
{
	(void)state;
	MULTI(&ann);
	SAY(&ann, "EXEC");
	expect(&ann, "*0\r\n");
	MULTI(&ann);
	QUEUED(&ann, "UNIT", "RETRY", "1");
	SAY(&ann, "EXEC");
	expect(&ann, "*1\r\n+OK\r\n");
	assert_int_equal(n_running(), 0);
}

static void
options_stand_behind_multi_or_in_unit(void **state)
{
	(void)state;
	MULTI(&ann, "serializable", "RETRY", "0", "REF", "$");
	QUEUED(&ann, "SQL", "SELECT 1 AS id");
	QUEUED(&ann, "MUST", "SQL", "UPDATE r SET v = $1", "$1.id");
	SAY(&ann, "EXEC");
	assert_string_equal(job()->begin, "BEGIN ISOLATION LEVEL SERIALIZABLE");
	assert_int_equal(job()->items[1].params[0].from, 1);
	assert_string_equal(job()->items[1].params[0].data, "id");
	assert_true(job()->items[1].is_must);
	fail_item(0, 1, LK_ERR_SERIALIZE, "40001");
	expect_error(&ann, "SERIALIZE", "verb 2 (MUST SQL): the server's");
	MULTI(&ann);
	QUEUED(&ann, "UNIT", "REPEATABLE", "READ", "REF", "&");
	QUEUED(&ann, "GET", "users", "1");
	QUEUED(&ann, "GET", "users", "&2.boss_id");
	SAY(&ann, "EXEC");
	assert_string_equal(job()->begin,
	    "BEGIN ISOLATION LEVEL REPEATABLE READ");
	assert_int_equal(job()->items[0].kind, LK_ITEM_OK);
	assert_int_equal(job()->items[2].params[0].from, 2);
	assert_string_equal(job()->items[2].params[0].data, "boss_id");
	assert_int_equal(job()->items[2].params[0].type, 23);
	finish(0, "all");
	expect(&ann, "+all\r\n");
}

static void
bad_options_are_refused(void **state)
{
	static const char *const words[][3] = { { "RETRY", "-1" },
	    { "RETRY", "1001" }, { "RETRY" }, { "REF" }, { "REF", "" },
	    { "REF", "12345678901234567" }, { "REF", "\n" }, { "READ" },
	    { "READ", "ONLY" }, { "1" } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		say(&ann, "MULTI", words[i][0], words[i][1], NULL);
		expect_error(&ann, "SYNTAX", "MULTI takes other words");
	}
	SAY(&ann, "EXEC");
	expect_error(&ann, "SYNTAX", "EXEC without MULTI");
}

static void
each_verb_has_its_form(void **state)
{
	(void)state;
	MULTI(&ann);
	QUEUED(&ann, "=json", "SQL", "SELECT 1");
	QUEUED(&ann, "SQL", "SELECT 2");
	SAY(&ann, "=table", "EXEC");
	assert_int_equal(job()->items[0].format.rows, LK_ROWS_JSON);
	assert_int_equal(job()->items[1].format.rows, LK_ROWS_TABLE);
	assert_int_equal(job()->items[1].format.depth, 1);
	finish(0, "all");
	expect(&ann, "+all\r\n");
}

/* ---- whose queue it is ---- */

static void
the_queue_is_its_tasks(void **state)
{
	(void)state;
	SAY(&ann, "@a", "%t1", "MULTI");
	SAY(&ann, "@b", "%t1", "SQL", "UPDATE a SET v = 1");
	lk_buf_truncate(&ann.got, 0);
	/* Another task's, the connection's, and nobody's. */
	SAY(&ann, "%t2", "SQL", "SELECT 2");
	finish(runs("SELECT 2"), "two");
	SAY(&ann, "SQL", "SELECT 3");
	finish(runs("SELECT 3"), "three");
	expect(&ann, "+two\r\n+three\r\n");
	SAY(&ann, "@c", "SQL", "SELECT 4");
	finish(runs("SELECT 4"), "four");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "EXEC");
	expect_error(&ann, "SYNTAX 25P01", "EXEC without MULTI");
	SAY(&ann, "%t1", "EXEC");
	finish(runs("UPDATE a SET v = 1"), "all");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "+all"));
	lk_buf_truncate(&ann.got, 0);
}

static void
a_tagged_multi_needs_a_task(void **state)
{
	(void)state;
	SAY(&ann, "@a", "MULTI");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-SYNTAX 42601 a tagged "
	    "MULTI needs a task"));
	lk_buf_truncate(&ann.got, 0);
}

static void
the_queue_is_its_connections(void **state)
{
	(void)state;
	SAY(&bob, "HELLO", "GROUP", "g");
	lk_buf_truncate(&bob.got, 0);
	vanish(&ann);
	connect_as(&ann, 12);
	SAY(&ann, "HELLO", "GROUP", "g");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "%t", "MULTI");
	expect(&ann, "+OK\r\n");
	SAY(&bob, "%t", "SQL", "SELECT 1");
	expect_error(&bob, "SYNTAX", "another connection has opened");
	SAY(&bob, "%t", "EXEC");
	expect_error(&bob, "SYNTAX", "another connection");
	SAY(&ann, "%t", "EXEC");
	expect_error(&ann, "EXECABORT", "another connection has opened");
	assert_int_equal(n_running(), 0);
}

static void
what_names_a_transaction_is_not_queued(void **state)
{
	char handle[32];

	(void)state;
	begin(&ann, "%t", NULL, handle);
	SAY(&ann, "%t", "MULTI");
	expect(&ann, "+OK\r\n");
	SAY(&ann, handle, "SQL", "SELECT 1");
	finish(0, "one");
	expect(&ann, "+one\r\n");
	SAY(&ann, handle, "COMMIT");
	finish(0, "COMMIT");
	expect(&ann, "+COMMIT\r\n");
	SAY(&ann, "%t", "EXEC");
	expect(&ann, "*0\r\n");
}

static void
a_unit_is_none_inside_a_transaction(void **state)
{
	char handle[32];

	(void)state;
	begin(&ann, "=maps", "HERE", handle);
	SAY(&ann, "MULTI");
	expect_error(&ann, "SYNTAX 25001", "in a transaction already");
	SAY(&ann, handle, "MULTI");
	expect_error(&ann, "SYNTAX", "leave out #");
	SAY(&ann, "ROLLBACK");
	expect(&ann, "+ROLLBACK\r\n");
}

static void
queues_end_with_discard_reset_and_connections(void **state)
{
	(void)state;
	MULTI(&ann);
	QUEUED(&ann, "SQL", "SELECT 1");
	SAY(&ann, "DISCARD");
	expect(&ann, "+OK\r\n");
	SAY(&ann, "DISCARD");
	expect_error(&ann, "SYNTAX 25P01", "DISCARD without MULTI");
	MULTI(&ann);
	QUEUED(&ann, "SQL", "SELECT 1");
	SAY(&ann, "RESET");
	expect(&ann, "+RESET\r\n");
	SAY(&ann, "EXEC");
	expect_error(&ann, "SYNTAX 25P01", "EXEC without MULTI");
	MULTI(&ann);
	QUEUED(&ann, "SQL", "SELECT 1");
	vanish(&ann);
	connect_as(&ann, 11);
	MULTI(&ann);
	QUEUED(&ann, "SQL", "SELECT 1");
	SAY(&ann, "QUIT");
	expect(&ann, "+OK\r\n");
	assert_true(ann.is_closed);
	assert_int_equal(n_running(), 0);
}

static void
multi_does_not_nest(void **state)
{
	(void)state;
	MULTI(&ann);
	SAY(&ann, "MULTI");
	expect_error(&ann, "SYNTAX 25001", "MULTI does not nest");
	QUEUED(&ann, "SQL", "SELECT 1");
	SAY(&ann, "EXEC");
	finish(0, "all");
	expect(&ann, "+all\r\n");
}

/* ---- errors while queueing ---- */

static void
expect_abort(const char *kind, const char *part)
{
	expect_error(&ann, kind, part);
	SAY(&ann, "EXEC");
	expect_error(&ann, "EXECABORT 25P02", part);
	assert_int_equal(n_running(), 0);
	expect_shown(&ann, "tries", ":0\r\n");
}

#define ABORTS(kind, part, ...)						\
	do {								\
		MULTI(&ann, "REF", "$");				\
		QUEUED(&ann, "SQL", "UPDATE a SET v = 1");		\
		SAY(&ann, __VA_ARGS__);					\
		expect_abort(kind, part);				\
	} while (0)

static void
what_is_wrong_is_said_at_once_and_spoils_the_unit(void **state)
{
	(void)state;
	ABORTS("SYNTAX", "unknown verb", "NONSENSE");
	ABORTS("SYNTAX", "SQL takes more arguments", "SQL");
	ABORTS("SYNTAX", "the form of rows", "=no", "SQL", "SELECT 1");
	ABORTS("SYNTAX", "COMMIT", "SQL", "COMMIT");
	ABORTS("SYNTAX", "users.id: \"x\" is no integer", "GET", "users", "x");
	ABORTS("SYNTAX", "refers to no verb", "SQL", "SELECT $1", "$2.id");
	ABORTS("SYNTAX", "refers to no verb", "GET", "users", "$3.id");
	ABORTS("SYNTAX", "does not stand between", "BEGIN");
	ABORTS("SYNTAX", "does not stand between", "COMMIT");
	ABORTS("SYNTAX", "does not stand between", "HELLO");
	ABORTS("SYNTAX", "does not stand between", "USE", "main");
	ABORTS("SYNTAX", "does not stand between", "OPEN", "SQL", "SELECT 1");
	ABORTS("SYNTAX", "MUST stands before SQL,", "MUST", "BEGIN");
	ABORTS("SYNTAX", "MUST stands before SQL,", "MUST", "PING");
	ABORTS("SYNTAX", "MUST stands before SQL,", "MUST", "EXEC");
	ABORTS("SYNTAX", "MUST stands before SQL,", "MUST", "UNIT");
	ABORTS("SYNTAX", "MUST stands before SQL,", "MUST", "MUST", "SQL");
	ABORTS("SYNTAX", "MUST stands before SQL,", "MUST");
	ABORTS("SYNTAX", "unknown verb", "MUST", "NONSENSE");
	ABORTS("SYNTAX", "first verb of a unit or none", "UNIT");
	ABORTS("SYNTAX", "in front of EXEC", "~100", "SQL", "SELECT 1");
	ABORTS("SYNTAX", "in front of EXEC", "?0", "SQL", "SELECT 1");
}

static void
a_name_that_is_not_known_is_looked_up_anew_first(void **state)
{
	(void)state;
	MULTI(&ann);
	SAY(&ann, "GET", "nobody", "1");
	expect_nothing(&ann);
	pass_ms(1100);
	answer_catalog(0, orm_catalog());
	expect_abort("NOMODEL", "nobody");
}

static void
what_is_answered_on_receipt_is(void **state)
{
	(void)state;
	MULTI(&ann);
	SAY(&ann, "PING");
	expect(&ann, "+PONG\r\n");
	SAY(&ann, "PING", "a", "b");
	expect_error(&ann, "SYNTAX", "PING takes fewer");
	SAY(&ann, "EXEC");
	expect(&ann, "*0\r\n");
}

static void
a_refused_verb_spoils_the_unit_it_was_sent_for(void **state)
{
	(void)state;
	/* Nothing of this has had its turn when the bad one comes. */
	SAY(&ann, "SQL", "SELECT 1");
	SAY(&ann, "MULTI");
	SAY(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "NONSENSE");
	SAY(&ann, "EXEC");
	SAY(&ann, "MULTI");
	SAY(&ann, "SQL", "UPDATE b SET v = 1");
	SAY(&ann, "EXEC");
	finish(runs("SELECT 1"), "one");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "+one\r\n+OK\r\n"
	    "+QUEUED\r\n-SYNTAX 42601 unknown verb 'NONSENSE'"));
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-EXECABORT 25P02"));
	finish(runs("UPDATE b SET v = 1"), "all");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "+QUEUED\r\n+all\r\n"));
	lk_buf_truncate(&ann.got, 0);
}

static void
a_refused_verb_of_another_spoils_nothing(void **state)
{
	(void)state;
	MULTI(&ann);
	SAY(&ann, "%t", "NONSENSE");
	expect_error(&ann, "SYNTAX", "unknown verb");
	SAY(&ann, "@a", "~x", "SQL");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "#77", "SQL", "SELECT 1");
	expect_error(&ann, "NOTX", "#77");
	SAY(&ann, "EXEC");
	expect(&ann, "*0\r\n");
	/* But one of its own, wherever that is said. */
	SAY(&ann, "%t", "MULTI");
	expect(&ann, "+OK\r\n");
	SAY(&ann, "~x", "%t", "SQL", "SELECT 1");
	expect_error(&ann, "SYNTAX", "milliseconds");
	SAY(&ann, "%t", "EXEC");
	expect_error(&ann, "EXECABORT", "milliseconds");
}

static void
one_cancelled_while_it_waits_spoils_the_unit(void **state)
{
	(void)state;
	SAY(&ann, "%t", "SQL", "SELECT 1");
	SAY(&ann, "%t", "MULTI");
	SAY(&ann, "@q", "%t", "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "CANCEL", "q");
	SAY(&ann, "%t", "EXEC");
	finish(runs("SELECT 1"), "one");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-EXECABORT"));
	lk_buf_truncate(&ann.got, 0);
	assert_int_equal(n_running(), 0);
}

/* What was queued is not run, and what follows is in no unit. */
static void
an_exec_that_is_cancelled_before_its_turn_ends_the_unit(void **state)
{
	(void)state;
	SAY(&ann, "%t", "SQL", "SELECT 1");
	SAY(&ann, "%t", "MULTI");
	SAY(&ann, "%t", "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "@e", "%t", "EXEC");
	SAY(&ann, "CANCEL", "e");
	SAY(&ann, "%t", "SQL", "SELECT 2");
	finish(runs("SELECT 1"), "one");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "+QUEUED"));
	finish(runs("SELECT 2"), "two");
	assert_int_equal(n_running(), 0);
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "%t", "DISCARD");
	expect_error(&ann, "SYNTAX", "without MULTI");
}

/* So does one that is cancelled too, or nothing before it is left. */
static void
who_was_to_end_a_unit_may_be_cancelled_as_well(void **state)
{
	(void)state;
	SAY(&ann, "%t", "SQL", "SELECT 1");
	SAY(&ann, "%t", "MULTI");
	SAY(&ann, "@q", "%t", "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "@e", "%t", "EXEC");
	SAY(&ann, "CANCEL", "e");
	SAY(&ann, "CANCEL", "q");
	SAY(&ann, "%t", "SQL", "SELECT 2");
	finish(runs("SELECT 1"), "one");
	finish(runs("SELECT 2"), "two");
	lk_buf_truncate(&ann.got, 0);
	MULTI(&ann);
	QUEUED(&ann, "SQL", "SELECT 3");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "EXEC", "now");
	expect_error(&ann, "SYNTAX", "fewer");
	SAY(&ann, "SQL", "SELECT 4");
	finish(runs("SELECT 4"), "four");
	assert_int_equal(n_running(), 0);
}

static void
units_are_bounded(void **state)
{
	char text[600];

	(void)state;
	world.config.limit_request_bytes = 1000;
	memset(text, ' ', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "SELECT 1", 8);
	MULTI(&ann);
	QUEUED(&ann, "SQL", text);
	SAY(&ann, "SQL", text);
	expect_abort("OVERLOAD", "limits.request (1000 bytes)");
	world.config.limit_queue = 3;
	MULTI(&ann);
	QUEUED(&ann, "SQL", "SELECT 1");
	QUEUED(&ann, "SQL", "SELECT 1");
	SAY(&ann, "SQL", "SELECT 1");
	expect(&ann, "+QUEUED\r\n");
	SAY(&ann, "SQL", "SELECT 1");
	expect_error(&ann, "OVERLOAD", "limits.queue (3)");
	/* What ends it goes through, and so does what begins one. */
	SAY(&bob, "MULTI");
	expect(&bob, "+OK\r\n");
	SAY(&bob, "SQL", "SELECT 1");
	expect_error(&bob, "OVERLOAD", "limits.queue (3)");
	SAY(&ann, "EXEC");
	expect_error(&ann, "EXECABORT", "limits.queue (3)");
	SAY(&bob, "EXEC");
	expect_error(&bob, "EXECABORT", "limits.queue (3)");
	SAY(&ann, "SQL", "SELECT 1");
	finish(0, "one");
	expect(&ann, "+one\r\n");
}

/* ---- what EXEC ends with ---- */

static void
a_failed_unit_names_its_verb(void **state)
{
	(void)state;
	begin_unit(&ann);
	fail_item(0, 1, LK_ERR_PG, "23505");
	expect_error(&ann, "PG 23505", "verb 2 (SQL): the server's words");
	SAY(&ann, "SHOW", "error");
	assert_non_null(strstr(lk_buf_cstr(&ann.got),
	    "$5\r\nindex\r\n$1\r\n2\r\n"));
	lk_buf_truncate(&ann.got, 0);
	begin_unit(&ann);
	fail_item(0, 2, LK_ERR_PG, "23505");
	expect_error(&ann, "PG 23505", "COMMIT: the server's words");
	expect_shown(&ann, "tries", ":1\r\n");
}

static void
unsent(uint32_t w)
{
	struct lk_job *out = world.workers[w].job;
	size_t i;

	for (i = 0; i < out->n_items; i++)
		out->items[i].outcome = LK_ITEM_UNSENT;
	out->after = LK_XACT_GONE;
	hand_back(w);
	go_down(w);
}

static void
a_unit_that_was_not_sent_goes_to_another_session(void **state)
{
	(void)state;
	begin_unit(&ann);
	unsent(0);
	come_up(0);
	assert_int_equal(job()->n_items, 3);
	assert_string_equal(job()->items[1].sql, "UPDATE b SET v = 2");
	finish(0, "all");
	expect(&ann, "+all\r\n");
	expect_shown(&ann, "tries", ":1\r\n");
}

static void
a_unit_whose_session_died_before_commit_is_replayed(void **state)
{
	(void)state;
	begin_unit(&ann);
	job()->after = LK_XACT_GONE;
	job()->items[2].outcome = LK_ITEM_FAILED;
	lk_error_set(&job()->items[2].error, LK_ERR_CONNLOST, "it is gone");
	hand_back(0);
	go_down(0);
	come_up(0);
	expect_nothing(&ann);
	pass_ms(4);
	finish(0, "all");
	expect(&ann, "+all\r\n");
	expect_shown(&ann, "reasons", "*1\r\n$70\r\nCONNLOST 08006 the session "
	    "was lost: nothing of the unit was committed");
}

static void
after_commit_was_sent_the_outcome_is_unknown(void **state)
{
	(void)state;
	begin_unit(&ann);
	job()->after = LK_XACT_GONE;
	job()->items[2].outcome = LK_ITEM_LOST;
	lk_error_set(&job()->items[2].error, LK_ERR_CONNLOST, "it is gone");
	hand_back(0);
	go_down(0);
	come_up(0);
	expect_error(&ann, "UNKNOWN", "after COMMIT of the unit was sent");
	pass_ms(1000);
	assert_int_equal(n_running(), 0);
}

/* ---- replays ---- */

static void
a_loser_is_begun_again_after_a_rest(void **state)
{
	uint32_t tries;

	(void)state;
	begin_unit(&ann);
	for (tries = 1; tries <= 3; tries++) {
		assert_int_equal(n_running(), 1);
		if (tries % 2)
			fail_item(0, 2, LK_ERR_SERIALIZE, "40001");
		else
			fail_item(0, 0, LK_ERR_DEADLOCK, "40P01");
		expect_nothing(&ann);
		assert_int_equal(n_running(), 0);
		SAY(&bob, "SHOW", "tasks");
		assert_non_null(strstr(lk_buf_cstr(&bob.got), "retrying"));
		lk_buf_truncate(&bob.got, 0);
		pass_ms(1);		/* at least half of 4 ms, of 8, … */
		assert_int_equal(n_running(), 0);
		pass_ms(16);
	}
	assert_string_equal(job()->items[0].sql, "UPDATE a SET v = 1");
	finish(0, "all");
	expect(&ann, "+all\r\n");
	expect_shown(&ann, "tries", ":4\r\n");
	expect_shown(&ann, "reasons", "*3\r\n$34\r\nSERIALIZE 40001 the "
	    "server's words\r\n$33\r\nDEADLOCK 40P01 the server's words\r\n");
}

static void
replays_end_with_retry(void **state)
{
	(void)state;
	MULTI(&ann, "RETRY", "1");
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "EXEC");
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	pass_ms(10);
	fail_item(0, 0, LK_ERR_DEADLOCK, "40P01");
	expect_error(&ann, "DEADLOCK", "after 2 tries: verb 1 (SQL): ");
	MULTI(&ann, "RETRY", "0");
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "EXEC");
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	expect_error(&ann, "SERIALIZE", "verb 1 (SQL): ");
}

static void
nothing_else_is_replayed(void **state)
{
	(void)state;
	begin_unit(&ann);
	fail_item(0, 0, LK_ERR_UNMET, "LK002");
	expect_error(&ann, "UNMET", "verb 1 (SQL)");
	begin_unit(&ann);
	fail_item(0, 0, LK_ERR_LOCKTIMEOUT, "55P03");
	expect_error(&ann, "LOCKTIMEOUT", "verb 1 (SQL)");
}

static void
a_rest_ends_with_deadlines_cancels_and_clients(void **state)
{
	(void)state;
	MULTI(&ann, "RETRY", "9");
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "~1", "EXEC");
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	pass_ms(2);
	expect_error(&ann, "TIMEOUT", "between try 1 of its unit");
	SAY(&ann, "%t", "MULTI");
	expect(&ann, "+OK\r\n");
	SAY(&ann, "%t", "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "@e", "%t", "EXEC");
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	SAY(&ann, "CANCEL", "e");
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-CANCELED 57014"));
	lk_buf_truncate(&ann.got, 0);
	begin_unit(&ann);
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	vanish(&ann);
	connect_as(&ann, 11);
	pass_ms(100);
	assert_int_equal(n_running(), 0);
}

static void
a_running_unit_is_cancelled_and_not_replayed(void **state)
{
	(void)state;
	lk_assert_loop();
	MULTI(&ann);
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "@e", "EXEC");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "DISCARD");
	lk_buf_truncate(&ann.got, 0);
	begin_unit(&ann);
	vanish(&ann);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	fail_item(0, 1, LK_ERR_PG, "57014");
	assert_int_equal(n_running(), 0);
	connect_as(&ann, 11);
	/* What the server says before the cancel comes is the reply. */
	MULTI(&ann);
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "~5", "EXEC");
	pass_until_look(10);
	answer_look();
	assert_int_equal(world.n_cancels, 1);
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	answer_cancels(false);
	expect_error(&ann, "SERIALIZE", "verb 1 (SQL)");
	/* When the deadline has passed, and nothing is on its way yet. */
	MULTI(&ann);
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "~5", "EXEC");
	pass_until_look(10);
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	expect_nothing(&ann);
	lk_core_run_timers(world.core);
	expect_error(&ann, "TIMEOUT", "between try 1 of its unit");
	answer_look();
}

static void
a_paused_clients_unit_waits(void **state)
{
	lk_assert_loop();
	(void)state;
	MULTI(&ann);
	lk_core_client_pause(ann.client, true);
	SAY(&ann, "SQL", "UPDATE a SET v = 1");
	SAY(&ann, "EXEC");
	assert_int_equal(n_running(), 0);
	lk_core_client_pause(ann.client, false);
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	lk_core_client_pause(ann.client, true);
	pass_ms(100);
	assert_int_equal(n_running(), 0);
	lk_core_client_pause(ann.client, false);
	finish(0, "all");
	expect(&ann, "+QUEUED\r\n+all\r\n");
}

/* ---- the catalog ---- */

static void
a_stale_plan_is_made_anew_once(void **state)
{
	(void)state;
	MULTI(&ann, "RETRY", "0");
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	QUEUED(&ann, "GET", "users", "1");
	SAY(&ann, "EXEC");
	fail_item(0, 1, LK_ERR_PG, "42703");
	assert_int_equal(n_running(), 0);
	pass_ms(1100);
	answer_catalog(0, orm_catalog());
	assert_int_equal(n_running(), 1);
	fail_item(0, 1, LK_ERR_PG, "42703");
	expect_error(&ann, "PG 42703", "after 2 tries: verb 2 (GET users): ");
	/* A client's own text may say so as it likes. */
	begin_unit(&ann);
	fail_item(0, 1, LK_ERR_PG, "42703");
	expect_error(&ann, "PG 42703", "verb 2 (SQL): ");
}

static void
what_is_queued_follows_the_catalog(void **state)
{
	struct lk_catalog *empty = lk_catalog_new();

	(void)state;
	lk_catalog_finish(empty);
	MULTI(&ann);
	QUEUED(&ann, "GET", "users", "1");
	SAY(&bob, "RELOAD");
	lk_buf_truncate(&bob.got, 0);
	SAY(&bob, "GET", "nobody", "1");
	pass_ms(1100);
	answer_catalog(0, empty);
	lk_buf_truncate(&bob.got, 0);
	SAY(&ann, "EXEC");
	assert_int_equal(ann.got.len, 0);	/* it asks for a newer one */
	pass_ms(1100);
	answer_catalog(0, lk_catalog_new());
	expect_error(&ann, "NOMODEL", "verb 1 (GET): ");
	assert_int_equal(n_running(), 0);
}

/* ---- deadlocks ---- */

/* ann's unit on worker 0 and bob's on worker 1 wait for each other. */
static void
cross(void)
{
	assert_int_equal(n_running(), 2);
	pass_until_look(300);
	add_wait(FIRST_PID, FIRST_PID + 1, 100);
	add_wait(FIRST_PID + 1, FIRST_PID, 100);
	answer_look();
	pass_until_look(300);
	add_wait(FIRST_PID, FIRST_PID + 1, 200000);
	add_wait(FIRST_PID + 1, FIRST_PID, 200000);
	answer_look();
}

static void
begin_two(const char *retry)
{
	MULTI(&ann, "RETRY", retry);
	QUEUED(&ann, "SQL", "SELECT ann()");
	SAY(&ann, "EXEC");
	MULTI(&bob, "RETRY", retry);
	QUEUED(&bob, "SQL", "SELECT bob()");
	SAY(&bob, "EXEC");
	come_up(1);
}

static void
of_two_units_the_younger_is_begun_again(void **state)
{
	(void)state;
	begin_two("3");
	cross();
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->worker, runs("SELECT bob()"));
	answer_cancels(true);
	die_by_cancel(runs("SELECT bob()"));
	expect_nothing(&bob);
	finish(runs("SELECT ann()"), "ann");
	expect(&ann, "+ann\r\n");
	pass_ms(10);
	finish(runs("SELECT bob()"), "bob");
	expect(&bob, "+bob\r\n");
	expect_shown(&bob, "tries", ":2\r\n");
	SAY(&bob, "SHOW", "deadlocks");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "$8\r\nreplayed\r\n"));
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "is rolled back and "
	    "begun again (for the 1. time of at most 3)"));
	lk_buf_truncate(&bob.got, 0);
}

static void
without_tries_left_a_unit_fails(void **state)
{
	(void)state;
	begin_two("0");
	cross();
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(runs("SELECT bob()"));
	expect_error(&bob, "DEADLOCK", "this unit is failed");
	finish(runs("SELECT ann()"), "ann");
	expect(&ann, "+ann\r\n");
}

static void
a_unit_gives_way_rather_than_a_transaction(void **state)
{
	char handle[32];

	(void)state;
	/* It has done nothing yet, and would else be the cheaper. */
	begin(&bob, "%t", NULL, handle);
	begin_unit(&ann);
	SAY(&bob, handle, "SQL", "SELECT bob()");
	come_up(1);
	cross();
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->worker, runs("UPDATE a SET v = 1"));
	answer_cancels(true);
	die_by_cancel(runs("UPDATE a SET v = 1"));
	expect_nothing(&ann);
	finish(runs("SELECT bob()"), "bob");
	expect(&bob, "+bob\r\n");
	SAY(&bob, handle, "ROLLBACK");
	finish(1, "ROLLBACK");
	expect(&bob, "+ROLLBACK\r\n");
	pass_ms(10);
	finish(runs("UPDATE a SET v = 1"), "all");
	expect(&ann, "+all\r\n");
}

/* A transaction of ann's gets what the unit of bob's wants, which wants it. */
static void
cross_with_tx(char handle[32])
{
	begin(&ann, "%t", NULL, handle);
	SAY(&ann, handle, "SQL", "SELECT ann()");
	if (world.workers[1].pid == 0)
		come_up(1);
	pass_ms(130);
	cross();
	assert_int_equal(world.n_cancels, 1);
}

static void
a_unit_that_lost_often_is_spared(void **state)
{
	char handle[32];
	unsigned i;

	(void)state;
	MULTI(&bob, "RETRY", "9");
	QUEUED(&bob, "SQL", "SELECT bob()");
	SAY(&bob, "EXEC");
	for (i = 0; i < 3; i++) {
		cross_with_tx(handle);
		assert_int_equal(world.cancels[0]->worker,
		    runs("SELECT bob()"));
		answer_cancels(true);
		die_by_cancel(runs("SELECT bob()"));
		finish(runs("SELECT ann()"), "ann");
		SAY(&ann, handle, "COMMIT");
		finish(runs("COMMIT"), "COMMIT");
		expect(&ann, "+ann\r\n+COMMIT\r\n");
		expect_nothing(&bob);
	}
	cross_with_tx(handle);
	assert_int_equal(world.cancels[0]->worker, runs("SELECT ann()"));
	answer_cancels(true);
	die_by_cancel(runs("SELECT ann()"));
	finish(runs("ROLLBACK"), "ROLLBACK");
	expect_error(&ann, "DEADLOCK", "another has lost so often");
	finish(runs("SELECT bob()"), "bob");
	expect(&bob, "+bob\r\n");
	SAY(&ann, handle, "ROLLBACK");
	expect(&ann, "+ROLLBACK\r\n");
}

static void
a_unit_that_waits_for_its_own_task_is_not_replayed(void **state)
{
	char handle[32];

	(void)state;
	begin(&ann, "%own", NULL, handle);
	SAY(&ann, handle, "SQL", "SELECT own()");
	finish(0, "own");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "%own", "MULTI");
	SAY(&ann, "%own", "SQL", "SELECT ann()");
	SAY(&ann, "%own", "EXEC");
	lk_buf_truncate(&ann.got, 0);
	come_up(1);
	assert_int_equal(runs("SELECT ann()"), 1);
	pass_until_look(300);
	answer_look_with_wait(1, 0, 100);
	pass_until_look(300);
	answer_look_with_wait(1, 0, 200000);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(1);
	expect_error(&ann, "DEADLOCK", "verb 1 (SQL): deadlock: ");
}

/* ---- parks ---- */

static void
park_behind(const char *const *sqls, size_t n, bool is_parked)
{
	char handle[32];
	size_t i;

	world.databases[0].workers_max = 2;
	begin(&bob, "%t", NULL, handle);
	SAY(&bob, handle, "SQL", "UPDATE a SET v = 0");
	finish(0, "UPDATE 1");
	lk_buf_truncate(&bob.got, 0);
	MULTI(&ann);
	for (i = 0; i < n; i++)
		QUEUED(&ann, "SQL", sqls[i]);
	SAY(&ann, "EXEC");
	come_up(1);
	SAY(&bob, "@other", "SQL", "SELECT other()");	/* wants a slot */
	pass_until_look(300);
	answer_look_with_wait(1, 0, 100);
	pass_until_look(300);
	answer_look_with_wait(1, 0, 200000);
	assert_int_equal(world.n_cancels, is_parked ? 1 : 0);
	if (is_parked) {
		answer_cancels(true);
		die_by_cancel(1);
		finish(runs("SELECT other()"), "other");
		assert_int_equal(n_running(), 0);
		SAY(&bob, handle, "COMMIT");
		finish(0, "COMMIT");
		expect_nothing(&ann);
	}
	finish(runs(sqls[0]), "all");
	expect(&ann, "+all\r\n");
	if (!is_parked) {
		finish(runs("SELECT other()"), "other");
		SAY(&bob, handle, "COMMIT");
		finish(0, "COMMIT");
	}
	lk_buf_truncate(&bob.got, 0);
}

static void
a_unit_whose_verbs_may_all_be_run_again_is_parked(void **state)
{
	const char *const sqls[] = { "UPDATE a SET v = 1", "DELETE FROM b" };

	(void)state;
	park_behind(sqls, 2, true);
	expect_shown(&ann, "tries", ":2\r\n");
	expect_shown(&ann, "retry", ":3\r\n");
	expect_shown(&ann, "reasons", "*1\r\n$59\r\nCANCELED 57014 the "
	    "statement was cancelled, to be run again");
}

static void
a_unit_with_one_that_may_not_is_not(void **state)
{
	const char *const sqls[] = { "UPDATE a SET v = 1", "SELECT f()" };

	(void)state;
	park_behind(sqls, 2, false);
	expect_shown(&ann, "tries", ":1\r\n");
}

/* ---- draining ---- */

static void
a_unit_queued_before_draining_is_not_begun_after(void **state)
{
	(void)state;
	lk_assert_loop();
	MULTI(&ann);
	QUEUED(&ann, "SQL", "UPDATE a SET v = 1");
	begin_unit(&bob);
	lk_core_drain(world.core, LK_US_PER_S);
	SAY(&ann, "EXEC");
	expect_error(&ann, "CLOSING", "shutting down");
	/* One that was begun goes on. */
	fail_item(0, 0, LK_ERR_SERIALIZE, "40001");
	pass_ms(10);
	finish(0, "all");
	expect(&bob, "+all\r\n");
	assert_true(lk_core_is_drained(world.core));
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, begin_each, end_models)
	const struct CMUnitTest tests[] = {
		TEST(a_unit_is_one_job_of_all_its_verbs),
		TEST(a_unit_without_statements_needs_no_session),
		TEST(options_stand_behind_multi_or_in_unit),
		TEST(bad_options_are_refused),
		TEST(each_verb_has_its_form),
		TEST(the_queue_is_its_tasks),
		TEST(a_tagged_multi_needs_a_task),
		TEST(the_queue_is_its_connections),
		TEST(what_names_a_transaction_is_not_queued),
		TEST(a_unit_is_none_inside_a_transaction),
		TEST(queues_end_with_discard_reset_and_connections),
		TEST(multi_does_not_nest),
		TEST(what_is_wrong_is_said_at_once_and_spoils_the_unit),
		TEST(a_name_that_is_not_known_is_looked_up_anew_first),
		TEST(what_is_answered_on_receipt_is),
		TEST(a_refused_verb_spoils_the_unit_it_was_sent_for),
		TEST(a_refused_verb_of_another_spoils_nothing),
		TEST(one_cancelled_while_it_waits_spoils_the_unit),
		TEST(an_exec_that_is_cancelled_before_its_turn_ends_the_unit),
		TEST(who_was_to_end_a_unit_may_be_cancelled_as_well),
		TEST(units_are_bounded),
		TEST(a_failed_unit_names_its_verb),
		TEST(a_unit_that_was_not_sent_goes_to_another_session),
		TEST(a_unit_whose_session_died_before_commit_is_replayed),
		TEST(after_commit_was_sent_the_outcome_is_unknown),
		TEST(a_loser_is_begun_again_after_a_rest),
		TEST(replays_end_with_retry),
		TEST(nothing_else_is_replayed),
		TEST(a_rest_ends_with_deadlines_cancels_and_clients),
		TEST(a_running_unit_is_cancelled_and_not_replayed),
		TEST(a_paused_clients_unit_waits),
		TEST(a_stale_plan_is_made_anew_once),
		TEST(what_is_queued_follows_the_catalog),
		TEST(of_two_units_the_younger_is_begun_again),
		TEST(without_tries_left_a_unit_fails),
		TEST(a_unit_that_lost_often_is_spared),
		TEST(a_unit_gives_way_rather_than_a_transaction),
		TEST(a_unit_that_waits_for_its_own_task_is_not_replayed),
		TEST(a_unit_whose_verbs_may_all_be_run_again_is_parked),
		TEST(a_unit_with_one_that_may_not_is_not),
		TEST(a_unit_queued_before_draining_is_not_begun_after),
	};
#undef TEST

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
