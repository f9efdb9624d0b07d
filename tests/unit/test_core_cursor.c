/*
 * Cursors in a world that is made up: what is sent for OPEN, FETCH and CLOSE,
 * and that core knows which are open, after errors and savepoints, too.
 */
#include "core_world.h"
#include "orm_models.h"

static struct fake_conn alice, bob;
static char tx[32];

static int
set_up(void **state)
{
	(void)state;
	lk_assert_loop();
	begin_unread_world(1, 2, 2);
	lk_core_run_timers(world.core);
	answer_catalog(0, orm_catalog());
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	begin(&alice, "%a", NULL, tx);
	return 0;
}

static int
tear_down(void **state)
{
	uint32_t w;

	(void)state;
	vanish(&alice);
	vanish(&bob);
	for (w = 0; w < MAX_WORKERS; w++) {
		if (world.workers[w].job != NULL)
			finish(w, "ROLLBACK");
	}
	end_world();
	return 0;
}

/* A cursor on "select n" is opened and has this number. */
static void
open_cursor(const char *number)
{
	char sql[80], reply[16];

	snprintf(sql, sizeof(sql), "DECLARE lk_cursor_%s NO SCROLL CURSOR FOR "
	    "select n", number);
	snprintf(reply, sizeof(reply), ":%s\r\n", number);
	SAY(&alice, "%a", tx, "OPEN", "SQL", "select n");
	finish(runs(sql), "DECLARE CURSOR");
	expect(&alice, reply);
}

static uint32_t
fetch(const char *number, const char *n_rows)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "FETCH %s FROM lk_cursor_%s", n_rows, number);
	SAY(&alice, "%a", tx, "FETCH", number, n_rows);
	return runs(sql);
}

static void
expect_open(const char *number)
{
	finish(fetch(number, "1"), "FETCH 1");
	expect(&alice, "+FETCH 1\r\n");
}

/* It is not, which the server is not asked. */
static void
expect_closed(const char *number)
{
	char part[48];

	snprintf(part, sizeof(part), "no cursor %s: ", number);
	SAY(&alice, "%a", tx, "FETCH", number, "1");
	expect_error(&alice, "SYNTAX 34000", part);
	SAY(&alice, "%a", tx, "CLOSE", number);
	expect_error(&alice, "SYNTAX 34000", part);
	assert_int_equal(n_running(), 0);
}

/* Of the verbs about savepoints: the statement is done. */
static void
mark(const char *verb, const char *to, const char *name, const char *sql)
{
	if (to != NULL)
		SAY(&alice, "%a", tx, verb, to, name);
	else
		SAY(&alice, "%a", tx, verb, name);
	finish(runs(sql), verb);
	lk_buf_truncate(&alice.got, 0);
}

#define SET(name)	mark("SAVEPOINT", NULL, name, "SAVEPOINT \"" name "\"")
#define RELEASE(name)							\
	mark("RELEASE", NULL, name, "RELEASE SAVEPOINT \"" name "\"")
#define ROLL_BACK(name)							\
	mark("ROLLBACK", "TO", name, "ROLLBACK TO SAVEPOINT \"" name "\"")

/* ---- the three verbs ---- */

static void
a_cursor_is_opened_fetched_from_and_closed(void **state)
{
	uint32_t w;

	(void)state;
	open_cursor("1");
	w = fetch("1", "10");
	assert_int_equal(world.workers[w].job->items[0].shape, LK_SHAPE_FETCH);
	finish(w, "FETCH 3");
	expect(&alice, "+FETCH 3\r\n");
	SAY(&alice, "%a", tx, "CLOSE", "1");
	finish(runs("CLOSE lk_cursor_1"), "CLOSE CURSOR");
	expect(&alice, "+OK\r\n");
	expect_closed("1");
}

static void
parameters_travel_beside_the_query(void **state)
{
	const struct lk_item *item;
	uint32_t w;

	(void)state;
	SAY(&alice, "HELLO", "2", "NULL", "none");
	lk_buf_truncate(&alice.got, 0);
	SAY(&alice, "%a", tx, "OPEN", "SQL", "select $1, $2", "'v", "none");
	w = runs("DECLARE lk_cursor_1 NO SCROLL CURSOR FOR select $1, $2");
	item = &world.workers[w].job->items[0];
	assert_int_equal(item->n_params, 2);
	assert_string_equal(item->params[0].data, "'v");
	assert_int_equal(item->params[0].len, 2);
	assert_null(item->params[1].data);
	assert_false(lk_item_is_typed(item));
	finish(w, "DECLARE CURSOR");
	expect(&alice, ":1\r\n");
}

static void
numbers_are_the_transactions_own_and_never_used_again(void **state)
{
	char other[32];

	(void)state;
	open_cursor("1");
	open_cursor("2");
	SAY(&alice, "%a", tx, "CLOSE", "2");
	finish(runs("CLOSE lk_cursor_2"), "CLOSE CURSOR");
	expect(&alice, "+OK\r\n");
	open_cursor("3");
	begin(&bob, "%b", NULL, other);
	SAY(&bob, "%b", other, "OPEN", "SQL", "select n");
	finish(runs("DECLARE lk_cursor_1 NO SCROLL CURSOR FOR select n"),
	    "DECLARE CURSOR");
	expect(&bob, ":1\r\n");
	SAY(&bob, "%b", other, "FETCH", "3", "1");
	expect_error(&bob, "SYNTAX 34000", "no cursor 3");
}

static void
outside_a_transaction_they_are_notx(void **state)
{
	(void)state;
	SAY(&bob, "OPEN", "SQL", "select n");
	expect_error(&bob, "NOTX", "OPEN needs a transaction");
	SAY(&bob, "FETCH", "1", "1");
	expect_error(&bob, "NOTX", "FETCH needs a transaction");
	SAY(&bob, "CLOSE", "1");
	expect_error(&bob, "NOTX", "CLOSE needs a transaction");
	assert_int_equal(n_running(), 0);
}

static void
what_is_wrong_is_not_sent_and_the_error_says_what_to_type(void **state)
{
	static const struct {
		const char	*verb, *first, *second, *kind, *part;
	} wrong[] = {
		{ "OPEN", "GET", "users", "SYNTAX", "FIND or SQL" },
		{ "OPEN", "SQL", "", "SYNTAX", "empty" },
		{ "OPEN", "SQL", "COMMIT", "SYNTAX", "verb COMMIT" },
		{ "OPEN", "SQL", "update r set v = 1", "SYNTAX",
		    "SELECT, VALUES, TABLE or WITH" },
		{ "OPEN", "SQL", "explain select 1", "SYNTAX",
		    "SELECT, VALUES, TABLE or WITH" },
		{ "FETCH", "all", "1", "SYNTAX 42601", "FETCH cursor n" },
		{ "FETCH", "1", "all", "SYNTAX", "from 1 to 1000000" },
		{ "FETCH", "1", "0", "SYNTAX", "from 1 to 1000000" },
		{ "FETCH", "1", "-1", "SYNTAX", "from 1 to 1000000" },
		{ "FETCH", "1", "1000001", "SYNTAX", "from 1 to 1000000" },
		{ "FETCH", "0", "1", "SYNTAX 34000", "no cursor 0" },
		{ "FETCH", "18446744073709551617", "1", "SYNTAX 34000",
		    "no cursor 18446744073709551615" },
		{ "CLOSE", "all", NULL, "SYNTAX 42601", "CLOSE cursor" },
	};
	size_t i;

	(void)state;
	open_cursor("1");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		SAY(&alice, "%a", tx, wrong[i].verb, wrong[i].first,
		    wrong[i].second);
		expect_error(&alice, wrong[i].kind, wrong[i].part);
	}
	finish(fetch("1", "1000000"), "FETCH 0");
	expect(&alice, "+FETCH 0\r\n");
}

static void
a_query_may_begin_as_queries_do(void **state)
{
	static const char *const queries[] = { "select n", "VALUES (1)",
		"table r", "with q as (select 1) table q", "(select n)",
		"-- a comment\nselect n" };
	char sql[120];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		snprintf(sql, sizeof(sql), "DECLARE lk_cursor_%zu NO SCROLL "
		    "CURSOR FOR %s", i + 1, queries[i]);
		SAY(&alice, "%a", tx, "OPEN", "SQL", queries[i]);
		finish(runs(sql), "DECLARE CURSOR");
	}
}

/* ---- of a model ---- */

/* Who has the one job that is out. */
static uint32_t
busy(void)
{
	assert_int_equal(n_running(), 1);
	return world.workers[0].job != NULL ? 0 : 1;
}

static const struct lk_item *
item(void)
{
	return &world.workers[busy()].job->items[0];
}

static void
open_find_declares_what_find_would_ask(void **state)
{
	struct lk_buf declare = LK_BUF_INIT;

	(void)state;
	SAY(&alice, "%a", tx, "FIND", "users", "WHERE", "name", "=", "DECLARE",
	    "ORDER", "-age");
	lk_buf_printf(&declare, "DECLARE lk_cursor_1 NO SCROLL CURSOR FOR %s",
	    item()->sql);
	finish(busy(), "rows");
	expect(&alice, "+rows\r\n");
	SAY(&alice, "%a", tx, "OPEN", "find", "users", "WHERE", "name", "=",
	    "DECLARE", "ORDER", "-age");
	assert_string_equal(item()->sql, lk_buf_cstr(&declare));
	assert_int_equal(item()->n_params, 1);
	assert_int_equal(item()->params[0].type, 25);
	assert_string_equal(item()->params[0].data, "DECLARE");
	finish(busy(), "DECLARE CURSOR");
	expect(&alice, ":1\r\n");
	expect_open("1");
	lk_buf_fini(&declare);
}

static void
what_it_does_is_find(void **state)
{
	(void)state;
	SAY(&alice, "%a", tx, "OPEN", "FIND", "tags", "WHERE", "id", "=", "7");
	finish(busy(), "DECLARE CURSOR");
	SAY(&bob, "SHOW", "transactions");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "\r\nOPEN FIND SELECT "
	    "t.\"id\", t.\"word\" FROM \"public\".\"tags\" AS t WHERE "
	    "t.\"id\" = $1\r\n"));
	lk_buf_truncate(&bob.got, 0);
}

static void
what_its_rows_nest_is_asked_by_fetch(void **state)
{
	const struct lk_with *with;

	(void)state;
	SAY(&alice, "%a", tx, "OPEN", "FIND", "users", "FIELDS", "name", "WITH",
	    "posts.author");
	assert_non_null(strstr(item()->sql, "SELECT t.\"name\", t.\"id\" "));
	finish(busy(), "DECLARE CURSOR");
	expect(&alice, ":1\r\n");
	SAY(&alice, "%a", tx, "=table", "FETCH", "1", "5");
	expect_error(&alice, "SYNTAX", "FETCH: WITH posts.author: rows would "
	    "nest 9 deep");
	SAY(&alice, "%a", tx, "FETCH", "1", "5");
	with = &item()->with;
	assert_int_equal(with->n_columns, 1);
	assert_int_equal(with->n_loads, 2);
	assert_string_equal(with->loads[1].name, "author");
	finish(busy(), "FETCH 5");
	expect(&alice, "+FETCH 5\r\n");
}

static void
what_find_refuses_open_find_does(void **state)
{
	(void)state;
	SAY(&alice, "%a", tx, "OPEN", "FIND", "users", "WHERE", "id", "=", "x");
	expect_error(&alice, "SYNTAX", "users.id: \"x\" is no integer");
	SAY(&alice, "%a", tx, "OPEN", "FIND", "users", "WITH", "name");
	expect_error(&alice, "SYNTAX", "WITH");
	SAY(&bob, "OPEN", "FIND", "users");
	expect_error(&bob, "NOTX", "OPEN");
	assert_int_equal(n_running(), 0);
	open_cursor("1");
}

/* It waits for a newer catalog, and opens nothing while it does. */
static void
a_model_that_is_not_known_is_looked_for_once(void **state)
{
	(void)state;
	SAY(&alice, "%a", tx, "OPEN", "FIND", "invoices");
	expect_nothing(&alice);
	pass_ms(1000);
	answer_catalog(0, orm_catalog());
	expect_error(&alice, "NOMODEL", "invoices");
	assert_int_equal(n_running(), 0);
	open_cursor("1");
}

/* ---- how many ---- */

static void
a_thousand_are_the_most(void **state)
{
	char number[16];
	int i;

	(void)state;
	for (i = 1; i <= 1000; i++) {
		snprintf(number, sizeof(number), "%d", i);
		open_cursor(number);
	}
	SAY(&alice, "%a", tx, "OPEN", "SQL", "select n");
	expect_error(&alice, "OVERLOAD", "1000 cursors open");
	SAY(&alice, "%a", tx, "CLOSE", "7");
	finish(runs("CLOSE lk_cursor_7"), "CLOSE CURSOR");
	expect(&alice, "+OK\r\n");
	open_cursor("1001");
}

/* ---- errors ---- */

static void
what_failed_to_open_is_no_cursor_and_positions_are_the_querys(void **state)
{
	struct lk_item *item;
	uint32_t w;

	(void)state;
	SET("s");
	SAY(&alice, "%a", tx, "OPEN", "SQL", "select nn");
	w = runs("DECLARE lk_cursor_1 NO SCROLL CURSOR FOR select nn");
	item = &world.workers[w].job->items[0];
	/* The server counts from the D of DECLARE. */
	lk_error_set(&item->error, LK_ERR_PG, "no such column");
	lk_error_set_field(&item->error, LK_FIELD_POSITION, "49");
	item->outcome = LK_ITEM_FAILED;
	world.workers[w].job->after = LK_XACT_ERROR;
	post_job(w);
	expect_error(&alice, "PG", "no such column");
	SAY(&alice, "SHOW", "error");
	assert_non_null(strstr(lk_buf_cstr(&alice.got),
	    "position\r\n$1\r\n8\r\n"));
	lk_buf_truncate(&alice.got, 0);
	ROLL_BACK("s");
	expect_closed("1");
	open_cursor("1");
}

static void
a_fetch_that_fails_its_transaction_is_the_end_of_its_cursor(void **state)
{
	(void)state;
	open_cursor("1");
	open_cursor("2");
	SET("s");
	fail_with(fetch("1", "5"), LK_ERR_PG, "22012");
	expect_error(&alice, "PG", "words");
	SAY(&alice, "%a", tx, "FETCH", "1", "5");
	expect_error(&alice, "TXABORTED", "has failed");
	/* This one is refused for what that one did. */
	fail_with(fetch("2", "5"), LK_ERR_TXABORTED, "25P02");
	expect_error(&alice, "TXABORTED", "words");
	ROLL_BACK("s");
	expect_closed("1");
	expect_open("2");
}

static void
a_fetch_that_fails_alone_leaves_its_cursor_open(void **state)
{
	struct lk_job *job;
	uint32_t w;

	(void)state;
	open_cursor("1");
	w = fetch("1", "500");
	job = world.workers[w].job;
	job->items[0].outcome = LK_ITEM_FAILED;
	job->items[0].n_rows = 500;
	lk_error_set(&job->items[0].error, LK_ERR_OVERLOAD, "too large");
	job->after = LK_XACT_OPEN;
	post_job(w);
	expect_error(&alice, "OVERLOAD", "too large");
	SAY(&alice, "SHOW", "tx", tx + 1);
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "fetched\r\n:500\r\n"));
	lk_buf_truncate(&alice.got, 0);
	expect_open("1");
}

static void
a_lock_wait_in_a_fetch_is_one_of_its_statement(void **state)
{
	char other[32];
	uint32_t holder, waiter;

	(void)state;
	begin(&bob, "%b", NULL, other);
	SAY(&bob, "%b", other, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	open_cursor("1");
	SAY(&alice, "%a", tx, "?20", "FETCH", "1", "5");
	waiter = runs("FETCH 5 FROM lk_cursor_1");
	pass_until_look(30);
	answer_look_with_wait(waiter, holder, 25 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	die_by_cancel(waiter);
	answer_cancels(true);
	expect_error(&alice, "LOCKTIMEOUT", other);
	SAY(&alice, "%a", tx, "FETCH", "1", "5");
	expect_error(&alice, "TXABORTED", "has failed");
}

/* ---- the end of a transaction ---- */

static void
they_end_with_their_transaction(void **state)
{
	char before[32];
	uint32_t w;

	(void)state;
	open_cursor("1");
	SAY(&alice, "%a", tx, "COMMIT");
	w = runs("COMMIT");
	finish(w, "COMMIT");
	expect(&alice, "+COMMIT\r\n");
	memcpy(before, tx, sizeof(before));
	begin(&alice, "%a", NULL, tx);
	expect_closed("1");
	SAY(&alice, "%a", before, "FETCH", "1", "1");
	expect_error(&alice, "NOTX", before + 1);
}

static void
they_end_with_their_session(void **state)
{
	(void)state;
	open_cursor("1");
	lose(fetch("1", "5"), LK_ITEM_LOST);
	expect_error(&alice, "CONNLOST", "lost");
	SAY(&alice, "%a", tx, "FETCH", "1", "5");
	expect_error(&alice, "TXABORTED", "session was lost");
	SAY(&alice, "SHOW", "tx", tx + 1);
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "cursors\r\n*0\r\n"));
	lk_buf_truncate(&alice.got, 0);
	SAY(&alice, "%a", tx, "ROLLBACK");
	expect(&alice, "+ROLLBACK\r\n");
}

static void
an_open_that_was_not_sent_goes_to_another_session(void **state)
{
	const char *sql = "DECLARE lk_cursor_1 NO SCROLL CURSOR FOR select $1";
	uint32_t w;

	(void)state;
	SAY(&alice, "%a", tx, "OPEN", "SQL", "select $1", "v");
	lose(runs(sql), LK_ITEM_UNSENT);
	w = runs(sql);
	assert_string_equal(world.workers[w].job->begin, "BEGIN");
	assert_string_equal(world.workers[w].job->items[0].params[0].data, "v");
	finish(w, "DECLARE CURSOR");
	expect(&alice, ":1\r\n");
	expect_open("1");
}

/* ---- savepoints ---- */

static void
rolling_back_to_a_savepoint_closes_the_younger_ones(void **state)
{
	(void)state;
	open_cursor("1");
	SET("s");
	open_cursor("2");
	open_cursor("3");
	ROLL_BACK("s");
	expect_open("1");
	expect_closed("2");
	expect_closed("3");
	/* It is still there. */
	open_cursor("4");
	ROLL_BACK("s");
	expect_open("1");
	expect_closed("4");
}

static void
a_savepoint_that_is_released_closes_nothing(void **state)
{
	(void)state;
	SET("s");
	open_cursor("1");
	SET("t");
	open_cursor("2");
	RELEASE("t");
	expect_open("2");
	ROLL_BACK("s");
	expect_closed("1");
	expect_closed("2");
}

static void
of_savepoints_with_one_name_the_youngest_is_meant(void **state)
{
	(void)state;
	SET("s");
	open_cursor("1");
	SET("s");
	open_cursor("2");
	ROLL_BACK("s");
	expect_open("1");
	expect_closed("2");
	RELEASE("s");
	expect_open("1");
	ROLL_BACK("s");
	expect_closed("1");
}

static void
rolling_back_to_an_older_savepoint_forgets_those_behind_it(void **state)
{
	(void)state;
	SET("s");
	open_cursor("1");
	SET("t");
	open_cursor("2");
	ROLL_BACK("s");
	SET("u");
	open_cursor("3");
	/* The server knows no t any more. */
	SAY(&alice, "%a", tx, "ROLLBACK", "TO", "t");
	fail_with(runs("ROLLBACK TO SAVEPOINT \"t\""), LK_ERR_PG, "3B001");
	expect_error(&alice, "PG", "words");
	ROLL_BACK("u");
	expect_closed("3");
}

/* ---- to be seen ---- */

static void
what_is_done_names_the_cursors_query_without_its_literals(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&alice, "%a", tx, "OPEN", "SQL", "select 'secret' from r");
	w = runs("DECLARE lk_cursor_1 NO SCROLL CURSOR FOR "
	    "select 'secret' from r");
	SAY(&bob, "SHOW", "transactions");
	assert_non_null(strstr(lk_buf_cstr(&bob.got),
	    "\r\nOPEN SQL select ? from r\r\n"));
	lk_buf_truncate(&bob.got, 0);
	finish(w, "DECLARE CURSOR");
	expect(&alice, ":1\r\n");
	w = fetch("1", "5");
	SAY(&bob, "SHOW", "transactions");
	assert_non_null(strstr(lk_buf_cstr(&bob.got),
	    "\r\nFETCH 5 of cursor 1: SQL select ? from r\r\n"));
	lk_buf_truncate(&bob.got, 0);
	finish(w, "FETCH 5");
}

static void
open_ones_are_shown_and_their_queries_to_the_same_user_only(void **state)
{
	struct fake_conn carol;
	uint32_t w;

	(void)state;
	open_cursor("1");
	open_cursor("2");
	w = fetch("2", "5");
	world.workers[w].job->items[0].n_rows = 5;
	finish(w, "FETCH 5");
	SAY(&bob, "SHOW", "tx", tx + 1);
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "$7\r\ncursors\r\n*2\r\n"
	    "*6\r\n$6\r\ncursor\r\n:1\r\n$9\r\nstatement\r\n$12\r\n"
	    "SQL select n\r\n$7\r\nfetched\r\n:0\r\n"
	    "*6\r\n$6\r\ncursor\r\n:2\r\n$9\r\nstatement\r\n$12\r\n"
	    "SQL select n\r\n$7\r\nfetched\r\n:5\r\n"));
	lk_buf_truncate(&bob.got, 0);
	world.uid = 2;
	connect_as(&carol, 30);
	SAY(&carol, "SHOW", "tx", tx + 1);
	assert_null(strstr(lk_buf_cstr(&carol.got), "select"));
	assert_non_null(strstr(lk_buf_cstr(&carol.got), "statement\r\n$-1\r\n"));
	vanish(&carol);
}

#define TEST(test)	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cursor_is_opened_fetched_from_and_closed),
		TEST(parameters_travel_beside_the_query),
		TEST(numbers_are_the_transactions_own_and_never_used_again),
		TEST(outside_a_transaction_they_are_notx),
		TEST(what_is_wrong_is_not_sent_and_the_error_says_what_to_type),
		TEST(a_query_may_begin_as_queries_do),
		TEST(open_find_declares_what_find_would_ask),
		TEST(what_it_does_is_find),
		TEST(what_its_rows_nest_is_asked_by_fetch),
		TEST(what_find_refuses_open_find_does),
		TEST(a_model_that_is_not_known_is_looked_for_once),
		TEST(a_thousand_are_the_most),
		TEST(what_failed_to_open_is_no_cursor_and_positions_are_the_querys),
		TEST(a_fetch_that_fails_its_transaction_is_the_end_of_its_cursor),
		TEST(a_fetch_that_fails_alone_leaves_its_cursor_open),
		TEST(a_lock_wait_in_a_fetch_is_one_of_its_statement),
		TEST(they_end_with_their_transaction),
		TEST(they_end_with_their_session),
		TEST(an_open_that_was_not_sent_goes_to_another_session),
		TEST(rolling_back_to_a_savepoint_closes_the_younger_ones),
		TEST(a_savepoint_that_is_released_closes_nothing),
		TEST(of_savepoints_with_one_name_the_youngest_is_meant),
		TEST(rolling_back_to_an_older_savepoint_forgets_those_behind_it),
		TEST(what_is_done_names_the_cursors_query_without_its_literals),
		TEST(open_ones_are_shown_and_their_queries_to_the_same_user_only),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
