/*
 * core driven as the daemon drives it, in a world that is made up: what may
 * run at once, how replies travel, who gets a slot, how a request is ended
 * early, and what a vanished client leaves behind.
 */
#include "core_pair.h"

static int
set_up_0(void **state)
{
	(void)state;
	return begin_pair(0, 1);
}

static int
set_up_3(void **state)
{
	(void)state;
	return begin_pair(3, 3);
}

static int
set_up_4(void **state)
{
	(void)state;
	return begin_pair(4, 4);
}

/* Two databases on a server each. */
static int
set_up_far(void **state)
{
	(void)state;
	begin_wide_world(2, 2, 2);
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	return 0;
}

/* ---- how replies travel ---- */

static void
untagged_replies_leave_in_order(void **state)
{
	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	SAY(&alice, "%b", "SQL", "select 2");
	finish(runs("select 2"), "two");
	expect_nothing(&alice);
	finish(runs("select 1"), "one");
	expect(&alice, "+one\r\n+two\r\n");
}

static void
tagged_replies_leave_when_ready(void **state)
{
	(void)state;
	SAY(&alice, "@x", "SQL", "select 1");
	SAY(&alice, "@y", "SQL", "select 2");
	finish(runs("select 2"), "two");
	expect(&alice, "*3\r\n+reply\r\n$1\r\ny\r\n+two\r\n");
	finish(runs("select 1"), "one");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nx\r\n+one\r\n");
}

static void
a_tag_in_use_is_refused_and_free_after_its_reply(void **state)
{
	(void)state;
	SAY(&alice, "@x", "SQL", "select 1");
	SAY(&alice, "@x", "SQL", "select 2");
	expect_error(&alice, "SYNTAX", "tag");
	finish(runs("select 1"), "one");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nx\r\n+one\r\n");
	SAY(&alice, "@x", "SQL", "select 2");
	finish(runs("select 2"), "two");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nx\r\n+two\r\n");
}

static void
ping_answers_in_its_place(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 1");
	SAY(&alice, "PING");
	SAY(&alice, "@p", "PING");
	expect(&alice, "*3\r\n+reply\r\n$1\r\np\r\n+PONG\r\n");
	finish(runs("select 1"), "one");
	expect(&alice, "+one\r\n+PONG\r\n");
}

/* ---- what may run at once ---- */

static void
requests_of_the_connection_run_one_by_one(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 1");
	SAY(&alice, "SQL", "select 2");
	assert_int_equal(n_running(), 1);
	finish(runs("select 1"), "one");
	expect(&alice, "+one\r\n");
	finish(runs("select 2"), "two");
	expect(&alice, "+two\r\n");
}

static void
requests_of_one_task_run_one_by_one_tagged_or_not(void **state)
{
	(void)state;
	SAY(&alice, "@x", "%a", "SQL", "select 1");
	SAY(&alice, "%a", "SQL", "select 2");
	SAY(&alice, "@z", "%a", "SQL", "select 3");
	assert_int_equal(n_running(), 1);
	finish(runs("select 1"), "1");
	assert_int_equal(n_running(), 1);
	finish(runs("select 2"), "2");
	assert_int_equal(n_running(), 1);
	finish(runs("select 3"), "3");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nx\r\n+1\r\n+2\r\n"
	    "*3\r\n+reply\r\n$1\r\nz\r\n+3\r\n");
}

static void
one_that_gives_up_waiting_lets_nobody_pass(void **state)
{
	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	SAY(&alice, "%a", "~5", "SQL", "select 2");
	SAY(&alice, "%a", "SQL", "select 3");
	pass_ms(10);
	assert_int_equal(n_running(), 1);
	finish(runs("select 1"), "1");
	finish(runs("select 3"), "3");
	assert_memory_equal(lk_buf_cstr(&alice.got), "+1\r\n-TIMEOUT ", 13);
	lk_buf_truncate(&alice.got, 0);
}

static void
a_held_reply_keeps_nobody_from_running(void **state)
{
	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	SAY(&alice, "%b", "SQL", "select 2");
	SAY(&alice, "%b", "SQL", "select 3");
	finish(runs("select 2"), "2");
	finish(runs("select 3"), "3");
	expect_nothing(&alice);
	finish(runs("select 1"), "1");
	expect(&alice, "+1\r\n+2\r\n+3\r\n");
}

static void
tagged_requests_without_a_task_run_at_once(void **state)
{
	(void)state;
	SAY(&alice, "@x", "SQL", "select 1");
	SAY(&alice, "@y", "SQL", "select 2");
	assert_int_equal(n_running(), 2);
	finish(runs("select 1"), "1");
	finish(runs("select 2"), "2");
}

static void
requests_of_one_tx_run_in_the_order_sent(void **state)
{
	char tx[32];

	(void)state;
	begin(&alice, "%a", "SHARED", tx);
	SAY(&alice, "@x", "%a", tx, "SQL", "select 1");
	SAY(&alice, "@y", "%b", tx, "SQL", "select 2");
	SAY(&alice, "@z", "%c", tx, "SQL", "select 3");
	assert_int_equal(n_running(), 1);
	finish(runs("select 1"), "1");
	finish(runs("select 2"), "2");
	finish(runs("select 3"), "3");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nx\r\n+1\r\n"
	    "*3\r\n+reply\r\n$1\r\ny\r\n+2\r\n"
	    "*3\r\n+reply\r\n$1\r\nz\r\n+3\r\n");
}

/*
 * Two slots: one holds the row, the other's statement waits for it, more wait
 * behind.  All on one connection, none tagged.
 */
static void
commit_overtakes_the_waiters(void **state)
{
	char tx[32];
	uint32_t holder, waiter;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	expect(&alice, "+UPDATE 1\r\n");
	SAY(&alice, "%b", "SQL", "update r again");
	waiter = runs("update r again");
	SAY(&alice, "%c", "SQL", "update r too");
	assert_not_running("update r too");
	SAY(&alice, "%a", tx, "COMMIT");
	assert_int_equal(runs("COMMIT"), holder);
	finish(holder, "COMMIT");
	assert_int_equal(runs("update r too"), holder);
	expect_nothing(&alice);
	finish(waiter, "UPDATE 2");
	finish(holder, "UPDATE 3");
	expect(&alice, "+UPDATE 2\r\n+UPDATE 3\r\n+COMMIT\r\n");
}

/*
 * The next reply is that of a request which joined its transaction late, behind
 * a younger one: that one is not held back however much waits for the reply.
 */
static void
what_the_next_reply_waits_for_is_not_held_back(void **state)
{
	char tx[32], other[32];
	uint32_t w;

	(void)state;
	world.config.limit_output_bytes = 20;
	begin(&alice, "%o", "SHARED", other);
	SAY(&alice, "BEGIN", "HERE");
	snprintf(tx, sizeof(tx), "#%s", lk_buf_cstr(&alice.got) + 1);
	tx[strcspn(tx, "\r")] = '\0';
	lk_buf_truncate(&alice.got, 0);
	SAY(&alice, other, "SQL", "select 1");
	w = runs("select 1");
	SAY(&alice, "SQL", "select 3");
	SAY(&alice, "@p", "%b", tx, "SQL", "select 2");
	finish(w, "1");
	expect(&alice, "+1\r\n");
	SAY(&alice, "PING");
	SAY(&alice, "PING");
	SAY(&alice, "PING");
	SAY(&alice, "@r", other, "ROLLBACK");
	finish(w, "ROLLBACK");
	finish(runs("select 2"), "2");
	finish(runs("select 3"), "3");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nr\r\n+ROLLBACK\r\n"
	    "*3\r\n+reply\r\n$1\r\np\r\n+2\r\n"
	    "+3\r\n+PONG\r\n+PONG\r\n+PONG\r\n");
}

/*
 * So does what is answered on receipt and at length, but nothing waits behind
 * it; and with a tag it has no turn to wait for.
 */
static void
long_replies_on_receipt_wait_when_too_much_is_held(void **state)
{
	uint32_t w;

	(void)state;
	world.config.limit_output_bytes = 20;
	SAY(&alice, "BEGIN", "HERE");
	SAY(&alice, "SQL", "select 1");
	finish(runs("select 1"), "1");
	lk_buf_truncate(&alice.got, 0);
	SAY(&alice, "%b", "SQL", "update");
	w = runs("update");
	SAY(&alice, "ECHO", "more than twenty bytes");
	SAY(&alice, "SHOW", "error");
	SAY(&alice, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	expect_nothing(&alice);
	SAY(&alice, "@t", "SHOW", "error");
	expect(&alice, "*3\r\n+reply\r\n$1\r\nt\r\n$-1\r\n");
	/* It tells of what has failed since it came. */
	fail_with(w, LK_ERR_PG, "22012");
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "the server's words"
	    "\r\n$22\r\nmore than twenty bytes\r\n*"));
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "22012\r\n"));
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "+COMMIT\r\n"));
}

/* ---- BEGIN is lazy ---- */

static void
begin_takes_no_slot_until_the_first_statement(void **state)
{
	char tx[32];

	(void)state;
	begin(&alice, "%a", NULL, tx);
	assert_int_equal(n_running(), 0);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	assert_non_null(world.workers[runs("select 1")].job->begin);
	finish(runs("select 1"), "1");
	SAY(&alice, "%a", tx, "SQL", "select 2");
	assert_null(world.workers[runs("select 2")].job->begin);
	finish(runs("select 2"), "2");
	expect(&alice, "+1\r\n+2\r\n");
}

static void
a_tx_without_statements_costs_nothing(void **state)
{
	char one[32], two[32];

	(void)state;
	begin(&alice, "%a", NULL, one);
	begin(&alice, "%b", NULL, two);
	SAY(&alice, "%a", one, "COMMIT");
	SAY(&alice, "%b", two, "ROLLBACK");
	assert_int_equal(n_running(), 0);
	expect(&alice, "+COMMIT\r\n+ROLLBACK\r\n");
	SAY(&alice, "%a", one, "SQL", "select 1");
	expect_error(&alice, "NOTX", one);
}

static void
handles_are_never_given_twice(void **state)
{
	char one[32], two[32];

	(void)state;
	begin(&alice, "%a", NULL, one);
	SAY(&alice, "%a", one, "ROLLBACK");
	expect(&alice, "+ROLLBACK\r\n");
	begin(&alice, "%a", NULL, two);
	assert_string_not_equal(one, two);
}

static void
a_failing_begin_is_the_first_statements_error(void **state)
{
	char tx[32];

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	fail_with(runs("select 1"), LK_ERR_PG, "25001");
	expect_error(&alice, "PG", "25001");
}

static void
only_its_connection_may_use_a_tx(void **state)
{
	char tx[32];

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&bob, "%a", tx, "SQL", "select 1");
	expect_error(&bob, "NOTX", tx);
	SAY(&alice, "%b", tx, "SQL", "select 1");
	expect_error(&alice, "NOTX", tx);
	assert_int_equal(n_running(), 0);
}

/* ---- who gets a slot ---- */

static void
a_tx_keeps_its_worker_though_others_wait(void **state)
{
	char tx[32];
	uint32_t w;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	w = runs("select 1");
	SAY(&bob, "%b", "SQL", "select 2");
	finish(w, "1");
	assert_int_equal(n_running(), 0);
	SAY(&alice, "%a", tx, "SQL", "select 3");
	assert_int_equal(runs("select 3"), w);
	finish(w, "3");
	SAY(&alice, "%a", tx, "COMMIT");
	finish(w, "COMMIT");
	assert_int_equal(runs("select 2"), w);
	finish(w, "2");
	expect(&bob, "+2\r\n");
}

static void
autocommit_work_goes_before_new_txs(void **state)
{
	char tx[32];

	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "select in tx");
	pass_ms(50);
	SAY(&bob, "%c", "SQL", "select outside");
	finish(runs("select 1"), "1");
	finish(runs("select outside"), "2");
	finish(runs("select in tx"), "3");
	expect(&bob, "+3\r\n+2\r\n");
}

static void
a_new_tx_that_waited_long_goes_first(void **state)
{
	char tx[32];

	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "select in tx");
	pass_ms(500);
	SAY(&bob, "%c", "SQL", "select outside");
	finish(runs("select 1"), "1");
	finish(runs("select in tx"), "2");
	assert_not_running("select outside");
	SAY(&bob, "%b", tx, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	finish(runs("select outside"), "3");
}

static void
the_most_recently_used_worker_is_taken(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&alice, "@x", "SQL", "select 1");
	SAY(&alice, "@y", "SQL", "select 2");
	w = runs("select 1");
	finish(runs("select 2"), "2");
	finish(w, "1");
	SAY(&alice, "@x", "SQL", "select 3");
	assert_int_equal(runs("select 3"), w);
	finish(w, "3");
}

static void
a_slot_that_does_not_come_is_a_pooltimeout(void **state)
{
	char tx[32];
	uint32_t w;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	w = runs("select 1");
	finish(w, "1");
	SAY(&bob, "%b", "SQL", "select 2");
	SAY(&bob, "%c", "~40000", "SQL", "select 3");
	pass_ms(29999);
	expect_nothing(&bob);
	pass_ms(1);
	assert_memory_equal(lk_buf_cstr(&bob.got), "-POOLTIMEOUT LK001 ", 19);
	/* It names who holds the slot. */
	assert_non_null(strstr(lk_buf_cstr(&bob.got), tx));
	lk_buf_truncate(&bob.got, 0);
	SAY(&alice, "%a", tx, "COMMIT");
	finish(w, "COMMIT");
	assert_int_equal(n_running(), 0);
	SAY(&bob, "%b", "SQL", "select 4");
	finish(runs("select 4"), "4");
	expect(&bob, "+4\r\n");
}

static void
a_tx_outlives_the_pooltimeout_of_its_first_statement(void **state)
{
	char tx[32];

	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "select 2");
	pass_ms(30000);
	expect_error(&bob, "POOLTIMEOUT", "main");
	finish(runs("select 1"), "1");
	SAY(&bob, "%b", tx, "SQL", "select 3");
	assert_non_null(world.workers[runs("select 3")].job->begin);
	finish(runs("select 3"), "3");
	expect(&bob, "+3\r\n");
}

/* ---- ending a request early ---- */

static void
a_deadline_ends_what_is_queued(void **state)
{
	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	SAY(&bob, "%b", "~20", "SQL", "select 2");
	pass_ms(20);
	expect_error(&bob, "TIMEOUT", "queue");
	finish(runs("select 1"), "1");
	assert_int_equal(n_running(), 0);
}

static void
a_deadline_cancels_what_runs(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "%b", "~20", "SQL", "select 2");
	w = runs("select 2");
	pass_ms(20);
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->backend_pid, world.workers[w].pid);
	answer_cancels(true);
	expect_nothing(&bob);
	die_by_cancel(w);
	expect_error(&bob, "TIMEOUT", "run");
}

/* Nobody can say what it waits for, but its time is up all the same. */
static void
a_deadline_holds_without_a_watcher(void **state)
{
	(void)state;
	world.refuses_watcher = true;
	SAY(&bob, "~20", "SQL", "select 2");
	come_up(0);
	pass_ms(20);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(runs("select 2"));
	expect_error(&bob, "TIMEOUT", "run");
}

static void
a_success_that_beats_the_cancel_is_a_success(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "@x", "SQL", "select 2");
	w = runs("select 2");
	SAY(&bob, "@c", "CANCEL", "x");
	expect(&bob, "*3\r\n+reply\r\n$1\r\nc\r\n:1\r\n");
	finish(w, "2");
	expect(&bob, "*3\r\n+reply\r\n$1\r\nx\r\n+2\r\n");
	answer_cancels(true);
}

static void
cancel_ends_what_is_queued_and_what_waits(void **state)
{
	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	SAY(&bob, "@x", "%b", "SQL", "select 2");
	SAY(&bob, "@y", "%b", "SQL", "select 3");
	SAY(&bob, "CANCEL", "y");
	SAY(&bob, "CANCEL", "x");
	SAY(&bob, "CANCEL", "x");
	finish(runs("select 1"), "1");
	assert_int_equal(n_running(), 0);
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "y\r\n-CANCELED "));
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "x\r\n-CANCELED "));
	assert_non_null(strstr(lk_buf_cstr(&bob.got), ":0\r\n"));
	lk_buf_truncate(&bob.got, 0);
}

/* A cancel that is out may hit whatever its session runs next. */
static void
a_session_with_a_cancel_out_gets_no_work(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "@x", "SQL", "select 2");
	w = runs("select 2");
	SAY(&bob, "CANCEL", "x");
	finish(w, "2");
	SAY(&alice, "SQL", "select 3");
	assert_int_equal(n_running(), 0);
	answer_cancels(true);
	finish(runs("select 3"), "3");
	expect(&alice, "+3\r\n");
}

static void
a_cancel_is_repeated_until_the_result_is_there(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "@x", "SQL", "select 2");
	w = runs("select 2");
	SAY(&bob, "CANCEL", "x");
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	pass_ms(60);
	assert_int_equal(world.n_cancels, 1);
	assert_false(world.cancels[0]->terminate);
	answer_cancels(true);
	pass_ms(1900);
	answer_cancels(true);
	pass_ms(200);
	assert_int_equal(world.n_cancels, 1);
	assert_true(world.cancels[0]->terminate);
	answer_cancels(true);
	die_by_cancel(w);
}

/* The watcher hangs with the cancel, as the server does. */
static void
a_session_that_cannot_be_ended_is_left(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "@x", "SQL", "select 2");
	w = runs("select 2");
	SAY(&bob, "CANCEL", "x");
	pass_ms(3900);
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.n_direct_cancels, 0);
	pass_ms(200);
	assert_true(world.n_direct_cancels > 0);
	assert_true(world.cancels[world.n_cancels - 1]->terminate);
	lose(w, LK_ITEM_LOST);
	answer_cancels(true);
}

/* ---- clients that vanish ---- */

/* Nothing of bob's is left: alice gets the only slot. */
static void
assert_slot_is_free(void)
{
	answer_cancels(true);
	SAY(&alice, "@free", "SQL", "select free");
	finish(runs("select free"), "yes");
	expect(&alice, "*3\r\n+reply\r\n$4\r\nfree\r\n+yes\r\n");
	assert_int_equal(n_running(), 0);
}

static void
a_client_vanishes_with_requests_waiting_and_queued(void **state)
{
	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	SAY(&bob, "%b", "SQL", "select 2");
	SAY(&bob, "%b", "SQL", "select 3");
	SAY(&bob, "@t", "SQL", "select 4");
	vanish(&bob);
	finish(runs("select 1"), "1");
	expect(&alice, "+1\r\n");
	assert_int_equal(n_running(), 0);
	assert_slot_is_free();
}

static void
a_client_vanishes_with_a_statement_running(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "SQL", "select 2");
	SAY(&bob, "SQL", "select 3");
	w = runs("select 2");
	vanish(&bob);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(w);
	assert_slot_is_free();
}

static void
a_client_vanishes_with_replies_held(void **state)
{
	(void)state;
	SAY(&bob, "%a", "SQL", "select 1");
	SAY(&bob, "%b", "SQL", "select 2");
	finish(runs("select 2"), "2");
	vanish(&bob);
	answer_cancels(true);
	die_by_cancel(runs("select 1"));
	assert_slot_is_free();
}

static void
a_client_vanishes_with_a_tx_not_begun(void **state)
{
	char tx[32];

	(void)state;
	begin(&bob, "%b", NULL, tx);
	vanish(&bob);
	assert_int_equal(n_running(), 0);
	assert_slot_is_free();
}

static void
a_client_vanishes_with_a_tx_queued(void **state)
{
	char tx[32];

	(void)state;
	SAY(&alice, "%a", "SQL", "select 1");
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "select 2");
	SAY(&bob, "%b", tx, "SQL", "select 3");
	vanish(&bob);
	finish(runs("select 1"), "1");
	expect(&alice, "+1\r\n");
	assert_slot_is_free();
}

/* bob's tx has a session and is between statements. */
static void
open_tx(char tx[32])
{
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "update r");
	finish(runs("update r"), "UPDATE 1");
	expect(&bob, "+UPDATE 1\r\n");
}

static void
a_client_vanishes_with_a_tx_idle(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	vanish(&bob);
	finish(runs("ROLLBACK"), "ROLLBACK");
	assert_slot_is_free();
}

static void
a_client_vanishes_with_a_tx_running(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	SAY(&bob, "%b", tx, "SQL", "update s");
	SAY(&bob, "%b", tx, "SQL", "update t");
	vanish(&bob);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(runs("update s"));
	finish(runs("ROLLBACK"), "ROLLBACK");
	assert_slot_is_free();
}

/* The same, but the cancel's answer comes after the statement's result. */
static void
a_rollback_waits_for_the_cancels_answer(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	SAY(&bob, "%b", tx, "SQL", "update s");
	vanish(&bob);
	die_by_cancel(runs("update s"));
	assert_int_equal(n_running(), 0);
	answer_cancels(true);
	finish(runs("ROLLBACK"), "ROLLBACK");
	assert_slot_is_free();
}

static void
a_client_vanishes_with_commit_sent(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	SAY(&bob, "%b", tx, "COMMIT");
	vanish(&bob);
	assert_int_equal(world.n_cancels, 0);
	finish(runs("COMMIT"), "COMMIT");
	assert_slot_is_free();
}

static void
a_client_vanishes_with_a_tx_aborted(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	SAY(&bob, "%b", tx, "SQL", "update s");
	lose(runs("update s"), LK_ITEM_LOST);
	expect_error(&bob, "CONNLOST", tx);
	SAY(&bob, "%b", tx, "SQL", "update t");
	expect_error(&bob, "TXABORTED", tx);
	vanish(&bob);
	come_up(0);
	assert_slot_is_free();
}

/* The server chose it to end a deadlock; its ROLLBACK is out. */
static void
a_client_vanishes_as_a_victim(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	SAY(&bob, "%b", tx, "SQL", "update s");
	fail_with(runs("update s"), LK_ERR_DEADLOCK, "40P01");
	expect_nothing(&bob);
	vanish(&bob);
	finish(runs("ROLLBACK"), "ROLLBACK");
	assert_slot_is_free();
}

static void
a_client_vanishes_while_its_tasks_await_each_other(void **state)
{
	(void)state;
	SAY(&bob, "AWAIT", "a", "b", "c");
	SAY(&bob, "AWAIT", "b", "ANY", "a", "c");
	SAY(&bob, "AWAIT", "c", "c");
	expect(&bob, "+OK\r\n+OK\r\n+OK\r\n");
	vanish(&bob);
	assert_slot_is_free();
}

static void
a_client_vanishes_and_its_own_tasks_are_forgotten(void **state)
{
	(void)state;
	SAY(&bob, "%b", "SQL", "select 1");
	finish(runs("select 1"), "1");
	SAY(&bob, "AWAIT", "x", "y");
	SAY(&bob, "AWAIT", "x");
	expect(&bob, "+1\r\n+OK\r\n+OK\r\n");
	vanish(&bob);
	assert_slot_is_free();
}

/* ---- sessions that are lost ---- */

static void
what_was_not_sent_goes_to_another_session(void **state)
{
	uint32_t w;

	(void)state;
	SAY(&bob, "SQL", "select 1");
	w = runs("select 1");
	lose(w, LK_ITEM_UNSENT);
	expect_nothing(&bob);
	assert_int_not_equal(runs("select 1"), w);
	finish(runs("select 1"), "1");
	expect(&bob, "+1\r\n");
	come_up(w);
}

static void
what_was_sent_without_an_answer_is_unknown(void **state)
{
	(void)state;
	SAY(&bob, "SQL", "update r");
	lose(runs("update r"), LK_ITEM_LOST);
	expect_error(&bob, "UNKNOWN", "committed");
	come_up(0);
	assert_slot_is_free();
}

static void
a_tx_that_lost_its_session_is_aborted_until_rollback(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	go_down(0);
	expect_nothing(&bob);
	SAY(&bob, "%b", tx, "SQL", "update s");
	expect_error(&bob, "TXABORTED", tx);
	SAY(&bob, "%b", tx, "ROLLBACK");
	expect(&bob, "+ROLLBACK\r\n");
	SAY(&bob, "%b", tx, "ROLLBACK");
	expect_error(&bob, "NOTX", tx);
	come_up(0);
	assert_slot_is_free();
}

static void
a_victim_whose_session_is_lost_gets_its_reply(void **state)
{
	char tx[32];

	(void)state;
	open_tx(tx);
	SAY(&bob, "@v", "%b", tx, "SQL", "update s");
	SAY(&bob, "CANCEL", "v");
	expect(&bob, ":1\r\n");
	fail_with(runs("update s"), LK_ERR_DEADLOCK, "40P01");
	/* The fence is still up, so its ROLLBACK has not been sent. */
	assert_int_equal(n_running(), 0);
	go_down(0);
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "v\r\n-DEADLOCK "));
	lk_buf_truncate(&bob.got, 0);
	answer_cancels(true);
	SAY(&bob, "%b", tx, "ROLLBACK");
	expect(&bob, "+ROLLBACK\r\n");
	come_up(0);
	assert_slot_is_free();
}

/* A new session comes up while the old one's cancel has no answer yet. */
static void
a_new_session_waits_for_the_old_ones_cancel(void **state)
{
	(void)state;
	SAY(&bob, "@x", "SQL", "select 1");
	SAY(&bob, "CANCEL", "x");
	SAY(&alice, "SQL", "select 2");
	lose(0, LK_ITEM_LOST);
	come_up(0);
	answer_cancels(false);
	finish(runs("select 2"), "2");
	expect(&alice, "+2\r\n");
	lk_buf_truncate(&bob.got, 0);
}

/* ---- statements that are run again ---- */

/* Its result was on its way when its cancel was asked for. */
static void
a_statement_that_is_faster_than_its_parking_is_done(void **state)
{
	uint32_t holder, waiter;
	char tx[32];

	(void)state;
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "UPDATE r");
	holder = runs("UPDATE r");
	finish(holder, "UPDATE 1");
	expect(&bob, "+UPDATE 1\r\n");
	SAY(&alice, "SQL", "UPDATE r again");
	SAY(&alice, "%c", "SQL", "select 1");
	waiter = runs("UPDATE r again");
	pass_until_look(20);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	finish(waiter, "UPDATE 1");
	expect(&alice, "+UPDATE 1\r\n");
	answer_cancels(true);
	finish(runs("select 1"), "1");
	SAY(&bob, "%b", tx, "COMMIT");
	finish(holder, "COMMIT");
	expect(&alice, "+1\r\n");
	expect(&bob, "+COMMIT\r\n");
}

/*
 * The one that watches another program's session for others: when that comes
 * to wait for somebody who needs its slot, it goes as well.
 */
static void
a_sentinel_gives_its_slot_when_that_ends_a_deadlock(void **state)
{
	uint32_t holder, sentinel;
	char tx[32];

	(void)state;
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "SQL", "update s");
	holder = runs("update s");
	finish(holder, "UPDATE 1");
	SAY(&alice, "SQL", "UPDATE r");
	sentinel = runs("UPDATE r");
	pass_until_look(20);
	add_wait(world.workers[sentinel].pid, 77, 15 * LK_US_PER_MS);
	answer_look();
	assert_int_equal(world.n_cancels, 0);
	lk_buf_truncate(&bob.got, 0);
	SAY(&bob, "%b", "SQL", "select 1");
	pass_until_look(300);
	add_wait(77, world.workers[holder].pid, 15 * LK_US_PER_MS);
	add_wait(world.workers[sentinel].pid, 77, 270 * LK_US_PER_MS);
	answer_look();
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(sentinel);
	finish(runs("select 1"), "1");
	SAY(&bob, "%b", tx, "COMMIT");
	finish(holder, "COMMIT");
	expect(&bob, "+1\r\n+COMMIT\r\n");
	finish(runs("UPDATE r"), "UPDATE 1");
	expect(&alice, "+UPDATE 1\r\n");
}

/* ---- the essay's deadlock ---- */

/*
 * alice's transaction holds the row; bob, a connection of the same thread,
 * waits for it in a blocking call, and a look is asked for.
 */
static void
block_the_thread(uint32_t *holder_out, uint32_t *waiter_out)
{
	SAY(&alice, "HELLO", "2", "MODE", "blocking", "THREAD", "t1");
	vanish(&bob);
	connect_as(&bob, 10);
	SAY(&bob, "HELLO", "2", "MODE", "blocking", "THREAD", "t1");
	SAY(&alice, "BEGIN");
	SAY(&alice, "SQL", "update r");
	*holder_out = runs("update r");
	finish(*holder_out, "UPDATE 1");
	SAY(&bob, "SQL", "update r again");
	*waiter_out = runs("update r again");
	pass_until_look(20);
	lk_buf_truncate(&alice.got, 0);
	lk_buf_truncate(&bob.got, 0);
}

static void
the_essays_deadlock_is_proven_and_ended(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	block_the_thread(&holder, &waiter);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->backend_pid,
	    world.workers[waiter].pid);
	/* Only while it still is that wait. */
	assert_string_equal(world.cancels[0]->vxid, "3/14");
	answer_cancels(true);
	die_by_cancel(waiter);
	expect_error(&bob, "DEADLOCK", "accounts");
	SAY(&alice, "COMMIT");
	finish(holder, "COMMIT");
	expect(&alice, "+COMMIT\r\n");
}

static bool
find_alices_commit(struct fake_conn *conn)
{
	if (conn == &alice)
		SAY(&alice, "COMMIT");
	return true;
}

static void
an_unread_commit_prevents_the_verdict(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	block_the_thread(&holder, &waiter);
	world.drain = find_alices_commit;
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	world.drain = NULL;
	assert_int_equal(world.n_cancels, 0);
	finish(holder, "COMMIT");
	finish(waiter, "UPDATE 1");
	expect(&alice, "+COMMIT\r\n");
	expect(&bob, "+UPDATE 1\r\n");
}

static bool
find_the_end(struct fake_conn *conn)
{
	if (conn == &alice)
		vanish(conn);
	return true;
}

static void
a_holder_that_died_prevents_the_verdict(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	block_the_thread(&holder, &waiter);
	world.drain = find_the_end;
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	world.drain = NULL;
	assert_int_equal(world.n_cancels, 0);
	finish(holder, "ROLLBACK");
	finish(waiter, "UPDATE 1");
	expect(&bob, "+UPDATE 1\r\n");
}

static bool
have_bytes_left(struct fake_conn *conn)
{
	(void)conn;
	return false;
}

/* Asked again soon, and proven then. */
static void
undecoded_bytes_put_the_verdict_off(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	block_the_thread(&holder, &waiter);
	world.drain = have_bytes_left;
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	world.drain = NULL;
	assert_int_equal(world.n_cancels, 0);
	pass_until_look(300);
	answer_look_with_wait(waiter, holder, 30 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(waiter);
	expect_error(&bob, "DEADLOCK", "accounts");
}

/* The transaction has moved between the asking and the answer. */
static void
what_is_younger_than_the_look_is_alive(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	block_the_thread(&holder, &waiter);
	SAY(&alice, "SQL", "select 1");
	finish(holder, "1");
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 0);
	pass_until_look(300);
	answer_look_with_wait(waiter, holder, 270 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(waiter);
	expect_error(&bob, "DEADLOCK", "accounts");
}

/*
 * alice's transaction holds the row and its task awaits x, which carol, on the
 * thread that bob blocks, was the first to name.
 */
static void
await_a_task_that_the_threads_own_named_first(struct fake_conn *carol,
    uint32_t *holder_out, uint32_t *waiter_out)
{
	char tx[32];

	vanish(&bob);
	connect_as(&bob, 10);
	connect_as(carol, 10);
	SAY(&alice, "HELLO", "2", "GROUP", "g");
	SAY(&bob, "HELLO", "2", "MODE", "blocking", "THREAD", "t1");
	SAY(carol, "HELLO", "2", "THREAD", "t1", "GROUP", "g");
	SAY(carol, "AWAIT", "c", "x");
	lk_buf_truncate(&alice.got, 0);
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	*holder_out = runs("update r");
	finish(*holder_out, "UPDATE 1");
	SAY(&alice, "AWAIT", "a", "x");
	SAY(&bob, "SQL", "update r again");
	*waiter_out = runs("update r again");
	pass_until_look(20);
	lk_buf_truncate(&bob.got, 0);
	lk_buf_truncate(&carol->got, 0);
}

static void
look_again(uint32_t waiter, uint32_t holder, size_t n_cancels)
{
	pass_until_look(300);
	answer_look_with_wait(waiter, holder, 270 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, n_cancels);
}

/*
 * x may live anywhere, until a request of its own says where; and when it has
 * nothing open, it may be over.
 */
static void
an_awaited_task_is_on_its_thread_while_it_is_under_way(void **state)
{
	uint32_t holder, waiter;
	struct fake_conn carol;

	(void)state;
	await_a_task_that_the_threads_own_named_first(&carol, &holder,
	    &waiter);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 0);
	SAY(&carol, "%x", "SQL", "select 1");
	finish(runs("select 1"), "1");
	look_again(waiter, holder, 0);
	SAY(&carol, "%x", "BEGIN");
	look_again(waiter, holder, 1);
	answer_cancels(true);
	die_by_cancel(waiter);
	expect_error(&bob, "DEADLOCK", "accounts");
	vanish(&carol);
}

static void
in_mode_report_nobody_is_failed(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	world.config.deadlock_mode = LK_DEADLOCK_REPORT;
	block_the_thread(&holder, &waiter);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 0);
	SAY(&alice, "SHOW", "deadlocks");
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "reported"));
}

/* The cancel found that it no longer waited: nothing is wrong any more. */
static void
a_victim_that_got_its_lock_goes_on(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	block_the_thread(&holder, &waiter);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(false);
	finish(waiter, "UPDATE 1");
	expect(&bob, "+UPDATE 1\r\n");
}

/* The cancel for that wait comes too late for it, but the client's does not. */
static void
a_client_cancels_what_got_its_lock_after_the_lock_timeout(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	SAY(&alice, "%a", "SQL", "update r");
	holder = runs("update r");
	SAY(&bob, "@t", "?1", "SQL", "update r again");
	waiter = runs("update r again");
	pass_until_look(20);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	assert_string_equal(world.cancels[0]->vxid, "3/14");
	SAY(&bob, "CANCEL", "t");
	expect(&bob, ":1\r\n");
	assert_int_equal(world.n_cancels, 2);
	assert_string_equal(world.cancels[1]->vxid, "");
	answer_cancels(false);
	pass_ms(60);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(waiter);
	lk_buf_consume(&bob.got, strlen("*3\r\n+reply\r\n$1\r\nt\r\n"));
	expect_error(&bob, "CANCELED", "CANCEL");
	finish(holder, "UPDATE 1");
	expect(&alice, "+UPDATE 1\r\n");
}

/* What it waits for is no longer of interest: it is to end. */
static void
a_gone_clients_statement_is_cancelled_whatever_it_waits_for(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	SAY(&alice, "%a", "SQL", "update r");
	holder = runs("update r");
	SAY(&bob, "?1", "SQL", "update r again");
	waiter = runs("update r again");
	pass_until_look(20);
	vanish(&bob);
	assert_int_equal(world.n_cancels, 1);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	pass_ms(60);
	assert_int_equal(world.n_cancels, 1);
	assert_string_equal(world.cancels[0]->vxid, "");
	answer_cancels(true);
	die_by_cancel(waiter);
	finish(holder, "UPDATE 1");
}

/* The same, but the client has not said that it blocks. */
static void
its_undeclared_twin_is_left_alone(void **state)
{
	char tx[32];
	uint32_t holder, waiter;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	lk_buf_truncate(&alice.got, 0);
	SAY(&alice, "%b", "SQL", "update r again");
	waiter = runs("update r again");
	pass_until_look(20);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	pass_until_look(300);
	answer_look_with_wait(waiter, holder, 265 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 0);
	SAY(&alice, "%a", tx, "COMMIT");
	finish(holder, "COMMIT");
	finish(waiter, "UPDATE 1");
	expect(&alice, "+UPDATE 1\r\n+COMMIT\r\n");
}

static void
a_lock_wait_that_is_too_long_is_a_locktimeout(void **state)
{
	char tx[32];
	uint32_t holder, waiter;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	lk_buf_truncate(&alice.got, 0);
	SAY(&bob, "?50", "SQL", "update r again");
	waiter = runs("update r again");
	pass_until_look(20);
	answer_look_with_wait(waiter, holder, 10 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 0);
	pass_until_look(45);
	answer_look_with_wait(waiter, holder, 51 * LK_US_PER_MS);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(waiter);
	expect_error(&bob, "LOCKTIMEOUT", tx);
}

/*
 * x waits behind bob's statement for alice's row, and alice's task awaits x.
 * bob's session ends while a look is out that still saw it wait.
 */
static void
a_session_that_has_ended_since_the_look_holds_up_nobody(void **state)
{
	char tx[32];
	uint32_t holder, first, second;
	int pid;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	SAY(&bob, "SQL", "select r for update");
	first = runs("select r for update");
	pid = world.workers[first].pid;
	SAY(&alice, "@x", "%x", "SQL", "update r again");
	second = runs("update r again");
	SAY(&alice, "AWAIT", "a", "x");
	pass_until_look(20);
	lose(first, LK_ITEM_LOST);
	add_wait(pid, world.workers[holder].pid, 15 * LK_US_PER_MS);
	add_wait(world.workers[second].pid, pid, 15 * LK_US_PER_MS);
	answer_look();
	assert_int_equal(world.n_cancels, 0);
}

/* ---- a deadlock over two servers ---- */

/* Workers: whose transaction has the row, and whose statement wants it. */
static struct {
	uint32_t main_holder, main_waiter, far_holder, far_waiter;
	char	 tx[32];	/* alice's, on main */
} cross;

/*
 * alice's task a has a row on main and awaits x, which wants bob's on far.
 * bob's task b has a row on far.
 */
static void
cross_half(void)
{
	begin(&alice, "%a", NULL, cross.tx);
	SAY(&alice, "%a", cross.tx, "SQL", "main r");
	cross.main_holder = runs("main r");
	finish(cross.main_holder, "UPDATE 1");
	SAY(&bob, "%b", "/far", "BEGIN", "HERE");
	SAY(&bob, "%b", "SQL", "far r");
	cross.far_holder = runs("far r");
	finish(cross.far_holder, "UPDATE 1");
	SAY(&alice, "@x", "%x", "/far", "SQL", "far r again");
	cross.far_waiter = runs("far r again");
	SAY(&alice, "AWAIT", "a", "x");
	lk_buf_truncate(&alice.got, 0);
	lk_buf_truncate(&bob.got, 0);
}

/* And wants alice's on main. */
static void
cross_whole(void)
{
	SAY(&bob, "@b", "%b", "/main", "SQL", "main r again");
	cross.main_waiter = runs("main r again");
}

static void
answer_look_as_crossed(void)
{
	answer_look_with_wait(cross.main_waiter, cross.main_holder,
	    15 * LK_US_PER_MS);
}

/* The wait that has begun in that second. */
static void
answer_far_look_since(char second)
{
	struct lk_wait *wait = add_wait_to(world.far_look,
	    world.workers[cross.far_waiter].pid,
	    world.workers[cross.far_holder].pid, 15 * LK_US_PER_MS);

	wait->waitstart[strlen("2026-01-01 00:00:0")] = second;
	answer_far_look();
}

/* Far is read, main is, and far is asked once more. */
static void
cross_and_read(void)
{
	cross_half();
	pass_until_far_look(20);
	answer_far_look_since('1');
	cross_whole();
	pass_until_look(20);
	assert_null(world.far_look);
	answer_look_as_crossed();
	assert_int_equal(world.n_cancels, 0);
	assert_null(world.look);
	assert_non_null(world.far_look);
}

/* Of the two statements bob's goes: both cost nothing, and it is younger. */
static void
expect_bob_fails(void)
{
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->backend_pid,
	    world.workers[cross.main_waiter].pid);
	answer_cancels(true);
	die_by_cancel(cross.main_waiter);
	lk_buf_consume(&bob.got, strlen("*3\r\n+reply\r\n$1\r\nb\r\n"));
	expect_error(&bob, "DEADLOCK", cross.tx);
}

static void
a_cycle_over_two_servers_is_read_again_and_ended(void **state)
{
	(void)state;
	cross_and_read();
	answer_far_look_since('1');
	expect_bob_fails();
}

/* Asked at once, neither look is known to have come before the other. */
static void
looks_of_two_servers_at_once_prove_nothing(void **state)
{
	(void)state;
	cross_half();
	cross_whole();
	pass_until_look(20);
	assert_non_null(world.far_look);
	answer_far_look_since('1');
	answer_look_as_crossed();
	assert_int_equal(world.n_cancels, 0);
	assert_true((world.look == NULL) != (world.far_look == NULL));
	if (world.far_look != NULL) {
		answer_far_look_since('1');
		assert_int_equal(world.n_cancels, 0);
		answer_look_as_crossed();
	} else {
		answer_look_as_crossed();
		assert_int_equal(world.n_cancels, 0);
		answer_far_look_since('1');
	}
	expect_bob_fails();
}

/* Far's wait was over for a while: perhaps just when main's was there. */
static void
a_wait_that_began_anew_proves_nothing(void **state)
{
	(void)state;
	cross_and_read();
	answer_far_look_since('2');
	assert_int_equal(world.n_cancels, 0);
	answer_look();		/* bob does not wait any more */
	assert_int_equal(world.n_cancels, 0);
	assert_null(world.far_look);
}

/* But if main's is still there now, it is with the new one. */
static void
a_wait_that_began_anew_may_be_a_deadlock_as_well(void **state)
{
	(void)state;
	cross_and_read();
	answer_far_look_since('2');
	answer_look_as_crossed();
	expect_bob_fails();
}

/* Reads that confirm nothing end, until there is a cause for another. */
static void
waits_that_come_and_go_are_not_read_for_ever(void **state)
{
	char second;

	(void)state;
	cross_and_read();
	for (second = '2'; second < '9' && (world.far_look != NULL ||
	    world.look != NULL); second++) {
		if (world.far_look != NULL)
			answer_far_look_since(second);
		if (world.look != NULL) {
			add_wait(world.workers[cross.main_waiter].pid,
			    world.workers[cross.main_holder].pid, 0);
			world.look->waits[0].waitstart[18] = second;
			answer_look();
		}
	}
	assert_true(second <= '4');
	assert_int_equal(world.n_cancels, 0);
}

/* A server that cannot be seen holds nobody, until it is seen again. */
static void
a_server_that_goes_blind_proves_nothing(void **state)
{
	(void)state;
	cross_and_read();
	lk_error_set(&world.far_look->error, LK_ERR_CONNLOST, "it is gone");
	world.far_look->failed = true;
	answer_far_look();
	assert_int_equal(world.n_cancels, 0);
	pass_until_look(300);
	answer_look_as_crossed();
	assert_int_equal(world.n_cancels, 0);
	assert_null(world.look);
	pass_until_far_look(1100);
	answer_far_look_since('1');
	answer_look_as_crossed();	/* asked before far's answer */
	assert_int_equal(world.n_cancels, 0);
	answer_look_as_crossed();
	expect_bob_fails();
}

static bool
find_the_far_ones_commit(struct fake_conn *conn)
{
	if (conn == &alice)
		SAY(&alice, "%a", cross.tx, "COMMIT");
	return true;
}

static void
an_unread_commit_prevents_the_verdict_over_servers(void **state)
{
	(void)state;
	cross_and_read();
	world.drain = find_the_far_ones_commit;
	answer_far_look_since('1');
	world.drain = NULL;
	assert_int_equal(world.n_cancels, 0);
	finish(cross.main_holder, "COMMIT");
	expect(&alice, "+COMMIT\r\n");
}

/* bob has sent it after main was asked: it need not have been there then. */
static void
what_is_younger_than_the_instant_is_alive_over_servers(void **state)
{
	(void)state;
	cross_half();
	pass_until_far_look(20);
	answer_far_look_since('1');
	cross_whole();
	pass_until_look(20);
	SAY(&alice, "AWAIT", "a");
	SAY(&alice, "AWAIT", "a", "x");
	answer_look_as_crossed();
	answer_far_look_since('1');
	assert_int_equal(world.n_cancels, 0);
	answer_look_as_crossed();
	expect_bob_fails();
}

/* ---- soft edges ---- */

#define SOMEBODY	77	/* a session of another program */

/* Pids: whose transaction has read t, who wants to alter it, who to read it. */
static struct {
	uint32_t holder_w, ddl_w, reader_w;
	int	 holder, ddl, reader;
	char	 tx[32];	/* alice's */
} queue;

static void
queue_up(bool ddl_is_ours)
{
	begin(&alice, "%c1", NULL, queue.tx);
	SAY(&alice, "%c1", queue.tx, "SQL", "select t");
	queue.holder_w = runs("select t");
	queue.holder = world.workers[queue.holder_w].pid;
	finish(queue.holder_w, "1");
	queue.ddl = SOMEBODY;
	if (ddl_is_ours) {
		SAY(&bob, "%d", "SQL", "alter t");
		queue.ddl_w = runs("alter t");
		queue.ddl = world.workers[queue.ddl_w].pid;
	}
	SAY(&alice, "@c2", "%c2", "SQL", "select t again");
	queue.reader_w = runs("select t again");
	queue.reader = world.workers[queue.reader_w].pid;
	lk_buf_truncate(&alice.got, 0);
}

static void
queue_up_and_await(bool ddl_is_ours)
{
	queue_up(ddl_is_ours);
	SAY(&alice, "AWAIT", "c1", "c2");
	expect(&alice, "+OK\r\n");
}

/* One waits only because another stands before it, as the server confirms. */
static struct lk_wait *
add_soft_wait(int waiter, int before, bool confirms)
{
	struct lk_wait *wait = add_wait_to(world.look, waiter, before, 0);
	size_t i;

	wait->blockers[0].is_soft = true;
	for (i = 0; i < world.look->n_asked; i++)
		wait->was_asked |= (int)world.look->asked[i] == waiter;
	wait->blockers[0].is_confirmed = wait->was_asked && confirms;
	return wait;
}

static void
answer_look_with_queue(bool confirms)
{
	add_wait(queue.ddl, queue.holder, 0);
	add_soft_wait(queue.reader, queue.ddl, confirms);
	answer_look();
}

/* The first look; it is asked whether the edge is as it seems. */
static void
see_queue(void)
{
	pass_until_look(20);
	assert_int_equal(world.look->n_asked, 0);
	answer_look_with_queue(true);
	assert_int_equal(world.n_cancels, 0);
	assert_non_null(world.look);
	assert_int_equal(world.look->n_asked, 1);
	assert_int_equal(world.look->asked[0], queue.reader);
}

static void
a_queue_that_is_confirmed_costs_who_is_in_the_way(void **state)
{
	(void)state;
	queue_up_and_await(true);
	see_queue();
	answer_look_with_queue(true);
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->backend_pid, queue.ddl);
	answer_cancels(true);
	die_by_cancel(queue.ddl_w);
	expect_error(&bob, "DEADLOCK", "before them in the queue");
	finish(queue.reader_w, "1");
}

static void
a_queue_that_is_not_confirmed_is_none(void **state)
{
	(void)state;
	queue_up_and_await(true);
	see_queue();
	answer_look_with_queue(false);
	assert_int_equal(world.n_cancels, 0);
	assert_null(world.look);
	/* And once more with the next look. */
	pass_until_look(300);
	answer_look_with_queue(false);
	assert_int_equal(world.look->n_asked, 1);
	answer_look_with_queue(true);
	assert_int_equal(world.n_cancels, 1);
}

/* The answer may have been about the wait before. */
static void
a_confirmed_wait_that_began_anew_proves_nothing(void **state)
{
	(void)state;
	queue_up_and_await(true);
	see_queue();
	add_wait(queue.ddl, queue.holder, 0);
	add_soft_wait(queue.reader, queue.ddl, true)->waitstart[18] = '1';
	answer_look();
	assert_int_equal(world.n_cancels, 0);
	assert_null(world.look);
}

/* The holder's coroutine awaits nobody and can go on. */
static void
a_queue_behind_who_can_move_is_not_asked_about(void **state)
{
	(void)state;
	queue_up(true);
	pass_until_look(20);
	answer_look_with_queue(true);
	assert_int_equal(world.n_cancels, 0);
	assert_null(world.look);
}

static void
somebody_elses_ddl_is_not_touched(void **state)
{
	(void)state;
	queue_up_and_await(false);
	see_queue();
	answer_look_with_queue(true);
	assert_int_equal(world.n_cancels, 1);
	assert_int_equal(world.cancels[0]->backend_pid, queue.reader);
}

static bool
find_c1s_commit(struct fake_conn *conn)
{
	if (conn == &alice)
		SAY(&alice, "%c1", queue.tx, "COMMIT");
	return true;
}

static void
an_unread_commit_prevents_the_verdict_on_a_queue(void **state)
{
	(void)state;
	queue_up_and_await(true);
	see_queue();
	world.drain = find_c1s_commit;
	answer_look_with_queue(true);
	world.drain = NULL;
	assert_int_equal(world.n_cancels, 0);
	finish(queue.holder_w, "COMMIT");
}

/*
 * Two have read a table each, two want to alter these, and now the readers
 * want to read the other's.  PostgreSQL lets one reader pass.
 */
static void
a_circle_inside_the_server_is_left_to_it(void **state)
{
	char tx[2][32];
	uint32_t readers[2], ddls[2];
	int look;

	(void)state;
	begin(&alice, "%r0", NULL, tx[0]);
	begin(&alice, "%r1", NULL, tx[1]);
	SAY(&alice, "%r0", tx[0], "SQL", "select t0");
	readers[0] = runs("select t0");
	SAY(&alice, "@r1", "%r1", tx[1], "SQL", "select t1");
	readers[1] = runs("select t1");
	finish(readers[0], "1");
	finish(readers[1], "1");
	SAY(&bob, "@d0", "%d0", "SQL", "alter t0");
	ddls[0] = runs("alter t0");
	SAY(&bob, "@d1", "%d1", "SQL", "alter t1");
	ddls[1] = runs("alter t1");
	SAY(&alice, "@r0", "%r0", tx[0], "SQL", "select t1");
	SAY(&alice, "@r1", "%r1", tx[1], "SQL", "select t0");
	pass_until_look(20);
	for (look = 0; look < 2; look++) {
		add_wait(FIRST_PID + (int)ddls[0], FIRST_PID + (int)readers[0],
		    0);
		add_wait(FIRST_PID + (int)ddls[1], FIRST_PID + (int)readers[1],
		    0);
		add_soft_wait(FIRST_PID + (int)readers[0],
		    FIRST_PID + (int)ddls[1], true);
		add_soft_wait(FIRST_PID + (int)readers[1],
		    FIRST_PID + (int)ddls[0], true);
		assert_int_equal(world.look->n_asked, look == 0 ? 0 : 2);
		answer_look();
		assert_int_equal(world.n_cancels, 0);
	}
	assert_null(world.look);
}

/* ---- transactions that others wait for ---- */

/*
 * alice's transaction has changed a row and is idle from now on, which may last
 * 100 ms while somebody waits.  Returns its worker.
 */
static uint32_t
hold(char *tx)
{
	uint32_t holder;

	world.config.timeout_idle_holder_us = 100 * LK_US_PER_MS;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	lk_buf_truncate(&alice.got, 0);
	return holder;
}

static void
answer_look_with_foreign_wait(uint32_t holder)
{
	add_wait(77, world.workers[holder].pid, 10 * LK_US_PER_MS);
	answer_look();
}

static void
an_idle_holder_is_ended_for_another_program(void **state)
{
	char tx[32];
	uint32_t holder;

	(void)state;
	holder = hold(tx);
	pass_until_look(50);
	answer_look_with_foreign_wait(holder);
	assert_null(world.workers[holder].job);
	pass_until_look(50);
	answer_look_with_foreign_wait(holder);
	assert_string_equal(world.workers[holder].job->items[0].sql,
	    "ROLLBACK");
	finish(holder, "ROLLBACK");
	SAY(&alice, "%a", tx, "COMMIT");
	expect_error(&alice, "TXEXPIRED", "backend 77 of another program");
}

static void
an_idle_tx_that_nobody_waits_for_is_looked_at_and_stays(void **state)
{
	char tx[32];
	uint32_t holder;

	(void)state;
	holder = hold(tx);
	pass_ms(10000);
	assert_null(world.workers[holder].job);
	SAY(&alice, "%a", tx, "COMMIT");
	finish(holder, "COMMIT");
	expect(&alice, "+COMMIT\r\n");
}

static void
an_idle_tx_is_not_looked_at_while_it_may_be_idle_for_ever(void **state)
{
	char tx[32];

	(void)state;
	lk_assert_loop();
	hold(tx);
	world.config.timeout_idle_holder_us = 0;
	pass_ms(60000);
	assert_true(lk_core_next_due_us(world.core) == LK_NEVER);
	vanish(&alice);
	finish(0, "ROLLBACK");
}

static void
an_unread_commit_keeps_an_idle_holder(void **state)
{
	uint32_t holder;

	(void)state;
	world.config.timeout_idle_holder_us = 100 * LK_US_PER_MS;
	SAY(&alice, "BEGIN", "HERE");
	SAY(&alice, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	lk_buf_truncate(&alice.got, 0);
	pass_until_look(50);
	answer_look();
	pass_until_look(50);
	world.drain = find_alices_commit;
	answer_look_with_foreign_wait(holder);
	world.drain = NULL;
	finish(holder, "COMMIT");
	expect(&alice, "+COMMIT\r\n");
}

static void
an_idle_holder_whose_client_is_found_gone_ends_once(void **state)
{
	char tx[32];
	uint32_t holder;

	(void)state;
	holder = hold(tx);
	pass_until_look(50);
	answer_look();
	pass_until_look(50);
	world.drain = find_the_end;
	answer_look_with_foreign_wait(holder);
	world.drain = NULL;
	finish(holder, "ROLLBACK");
	assert_null(world.workers[holder].job);
}

/* What the look saw of the session may have been the one before. */
static void
a_tx_younger_than_the_look_is_not_ended(void **state)
{
	char tx[32];
	uint32_t holder;

	(void)state;
	holder = hold(tx);
	pass_until_look(50);
	SAY(&alice, "%a", tx, "SQL", "update r again");
	finish(holder, "UPDATE 1");
	lk_buf_truncate(&alice.got, 0);
	set_now(world.now_us + 200 * LK_US_PER_MS);
	answer_look_with_foreign_wait(holder);
	assert_null(world.workers[holder].job);
	SAY(&alice, "%a", tx, "COMMIT");
	finish(holder, "COMMIT");
	expect(&alice, "+COMMIT\r\n");
}

/* ---- the reserve ---- */

/*
 * Two slots: alice's task holds the row, bob waits for it, and alice's task
 * asks for something outside its transaction.  A look has seen it.
 */
static void
fill_the_slots(uint32_t reserve, uint32_t *holder_out, char tx[32])
{
	uint32_t waiter;

	world.databases[0].workers_reserve = reserve;
	world.config.replay = LK_REPLAY_OFF;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	*holder_out = runs("update r");
	finish(*holder_out, "UPDATE 1");
	lk_buf_truncate(&alice.got, 0);
	SAY(&bob, "SQL", "update r again");
	waiter = runs("update r again");
	SAY(&alice, "@asks", "%a", "SQL", "select 42");
	pass_until_look(20);
	answer_look_with_wait(waiter, *holder_out, 15 * LK_US_PER_MS);
}

static void
let_it_end(uint32_t holder, const char *tx)
{
	SAY(&alice, "%a", tx, "COMMIT");
	finish(holder, "COMMIT");
	finish(runs("update r again"), "UPDATE 1");
	expect(&alice, "+COMMIT\r\n");
	expect(&bob, "+UPDATE 1\r\n");
}

static void
expect_answer_to_asks(void)
{
	expect(&alice, "*3\r\n+reply\r\n$4\r\nasks\r\n+42\r\n");
}

/* SHOW deadlocks has these words. */
static void
expect_shown(const char *action, const char *words)
{
	SAY(&alice, "@d", "SHOW", "deadlocks");
	assert_non_null(strstr(lk_buf_cstr(&alice.got), action));
	assert_non_null(strstr(lk_buf_cstr(&alice.got), words));
	lk_buf_truncate(&alice.got, 0);
}

static void
a_request_for_a_slot_is_lent_a_worker_and_nobody_fails(void **state)
{
	uint32_t holder;
	char tx[32];

	(void)state;
	fill_the_slots(1, &holder, tx);
	assert_true(world.workers[2].is_started);
	expect_shown("lending", "of the reserve is lent to task a");
	assert_not_running("select 42");
	come_up(2);
	assert_int_equal(runs("select 42"), 2);
	expect_shown("lent", "waits for one of the 2 slots");
	finish(2, "42");
	assert_true(world.workers[2].is_stopping);
	expect_answer_to_asks();
	let_it_end(holder, tx);
	assert_int_equal(world.n_cancels, 0);
}

static void
without_a_reserve_the_request_for_a_slot_fails(void **state)
{
	uint32_t holder;
	char tx[32];

	(void)state;
	fill_the_slots(0, &holder, tx);
	assert_false(world.workers[2].is_started);
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "-DEADLOCK "));
	assert_non_null(strstr(lk_buf_cstr(&alice.got),
	    "workers.reserve is 0"));
	lk_buf_truncate(&alice.got, 0);
	let_it_end(holder, tx);
}

static void
a_lent_worker_stays_with_a_tx_until_its_end(void **state)
{
	uint32_t holder;
	char tx[32], inner[32];

	(void)state;
	fill_the_slots(1, &holder, tx);
	come_up(2);
	finish(2, "42");
	end_worker(2);
	expect_answer_to_asks();
	begin(&alice, "%a", NULL, inner);
	SAY(&alice, "@asks", "%a", inner, "SQL", "select 43");
	pass_until_look(300);
	answer_look_with_wait(runs("update r again"), holder,
	    300 * LK_US_PER_MS);
	come_up(2);
	finish(runs("select 43"), "42");
	assert_false(world.workers[2].is_stopping);
	SAY(&alice, "@asks", "%a", inner, "COMMIT");
	finish(2, "42");
	assert_true(world.workers[2].is_stopping);
	lk_buf_truncate(&alice.got, 0);
	let_it_end(holder, tx);
}

/* Somebody rolls back before the session is open. */
static void
whoever_is_free_first_serves_the_lent_request(void **state)
{
	uint32_t holder;
	char tx[32];

	(void)state;
	fill_the_slots(1, &holder, tx);
	finish(runs("update r again"), "UPDATE 1");
	expect(&bob, "+UPDATE 1\r\n");
	assert_int_not_equal(runs("select 42"), holder);
	come_up(2);
	assert_true(world.workers[2].is_stopping);
	finish(runs("select 42"), "42");
	expect_answer_to_asks();
	SAY(&bob, "@x", "SQL", "select 1");
	finish(runs("select 1"), "1");
}

static void
a_lent_request_that_is_given_up_leaves_no_worker(void **state)
{
	uint32_t holder;
	char tx[32];

	(void)state;
	fill_the_slots(1, &holder, tx);
	SAY(&alice, "@c", "CANCEL", "asks");
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "-CANCELED "));
	lk_buf_truncate(&alice.got, 0);
	expect_shown("dissolved", "task a");
	come_up(2);
	assert_true(world.workers[2].is_stopping);
	let_it_end(holder, tx);
}

/* The server has no more connections to give. */
static void
a_reserve_that_cannot_be_opened_is_used_up(void **state)
{
	uint32_t holder;
	char tx[32];

	(void)state;
	fill_the_slots(2, &holder, tx);
	go_down(2);
	assert_true(world.workers[2].is_stopping);
	expect_shown("refused", "task a");
	pass_until_look(300);
	answer_look_with_wait(runs("update r again"), holder,
	    300 * LK_US_PER_MS);
	assert_false(world.workers[3].is_started);
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "-DEADLOCK "));
	assert_non_null(strstr(lk_buf_cstr(&alice.got),
	    "reserve: no more session"));
	lk_buf_truncate(&alice.got, 0);
	/* After a while it is tried again. */
	end_worker(2);
	pass_ms(1000);
	SAY(&alice, "@asks", "%a", "SQL", "select 42");
	pass_until_look(300);
	answer_look_with_wait(runs("update r again"), holder,
	    1500 * LK_US_PER_MS);
	come_up(2);
	finish(2, "42");
	expect_answer_to_asks();
	let_it_end(holder, tx);
}

static void
in_mode_report_nothing_is_lent(void **state)
{
	uint32_t holder;
	char tx[32];

	(void)state;
	world.config.deadlock_mode = LK_DEADLOCK_REPORT;
	fill_the_slots(1, &holder, tx);
	assert_false(world.workers[2].is_started);
	expect_shown("reported", "nothing is done");
	SAY(&alice, "@c", "CANCEL", "asks");
	lk_buf_truncate(&alice.got, 0);
	let_it_end(holder, tx);
}

/* ---- since when it is one ---- */

/* A transaction that has changed so many rows. */
static uint32_t
begin_with_rows(struct fake_conn *conn, const char *task, uint64_t n_rows,
    char tx[32])
{
	uint32_t w;

	begin(conn, task, NULL, tx);
	SAY(conn, task, tx, "SQL", "update first");
	w = runs("update first");
	world.workers[w].job->items[0].n_rows = n_rows;
	finish(w, "UPDATE");
	expect(conn, "+UPDATE\r\n");
	return w;
}

/* The victim has waited for long when the other's wait makes it a deadlock. */
static void
a_deadlock_begins_with_the_last_of_its_waits(void **state)
{
	char much[32], little[32];
	uint32_t a, b;

	(void)state;
	a = begin_with_rows(&alice, "%a", 1000, much);
	b = begin_with_rows(&bob, "%b", 1, little);
	assert_true(a > b);
	SAY(&bob, "%b", little, "SQL", "update second");
	pass_ms(600);
	SAY(&alice, "%a", much, "SQL", "update second");
	pass_until_look(300);
	add_wait(world.workers[b].pid, world.workers[a].pid,
	    600 * LK_US_PER_MS);
	answer_look_with_wait(a, b, 4 * LK_US_PER_MS);
	expect_shown("task b of client", "verdict_us\r\n:4000\r\n");
	answer_cancels(true);
	set_now(world.now_us + 3 * LK_US_PER_MS);
	die_by_cancel(b);
	finish(b, "ROLLBACK");
	expect_error(&bob, "DEADLOCK", much);
	expect_shown("failed", "end_us\r\n:7000\r\n");
}

/* The cycle names the one who gets a worker, and not who asked last. */
static void
used_up_slots_are_a_deadlock_when_the_last_holder_asks(void **state)
{
	char one[32], two[32];

	(void)state;
	world.databases[0].workers_reserve = 1;
	begin_with_rows(&alice, "%a", 1, one);
	begin_with_rows(&bob, "%b", 1, two);
	SAY(&alice, "@asks", "%a", "SQL", "select 42");
	pass_ms(600);
	SAY(&bob, "%b", "SQL", "select 43");
	pass_until_look(300);
	set_now(world.now_us + 2 * LK_US_PER_MS);
	answer_look();
	expect_shown("lent to task a", "verdict_us\r\n:17000\r\n");
	come_up(2);
	finish(runs("select 42"), "42");
	expect_answer_to_asks();
}

/* ---- whose turn it is to lose ---- */

/*
 * alice, who has changed 1,000 rows, and bob, who has changed one, wait for
 * each other.  The victim's task, and its words; the other commits.
 */
static const char *
play_round(const char *much_task, const char *little_task, char words[512])
{
	char much[32], little[32], *lost, *won;
	uint32_t a = begin_with_rows(&alice, much_task, 1000, much);
	uint32_t b = begin_with_rows(&bob, little_task, 1, little);
	struct fake_conn *loser, *winner;
	uint32_t victim, other;

	SAY(&alice, much_task, much, "SQL", "update second");
	SAY(&bob, little_task, little, "SQL", "update second");
	pass_until_look(300);
	add_wait(a < b ? world.workers[a].pid : world.workers[b].pid,
	    a < b ? world.workers[b].pid : world.workers[a].pid, 15000);
	answer_look_with_wait(a < b ? b : a, a < b ? a : b, 15000);
	assert_int_equal(world.n_cancels, 1);
	victim = (uint32_t)(world.cancels[0]->backend_pid - FIRST_PID);
	other = victim == a ? b : a;
	loser = victim == a ? &alice : &bob;
	winner = victim == a ? &bob : &alice;
	lost = victim == a ? much : little;
	won = victim == a ? little : much;
	answer_cancels(true);
	die_by_cancel(victim);
	finish(victim, "ROLLBACK");
	snprintf(words, 512, "%s", strstr(lk_buf_cstr(&loser->got),
	    "is failed"));
	expect_error(loser, "DEADLOCK", won);
	SAY(loser, victim == a ? much_task : little_task, lost, "ROLLBACK");
	expect(loser, "+ROLLBACK\r\n");
	finish(other, "UPDATE 1");
	SAY(winner, victim == a ? little_task : much_task, won, "COMMIT");
	finish(other, "COMMIT");
	expect(winner, "+UPDATE 1\r\n+COMMIT\r\n");
	return victim == a ? "much" : "little";
}

/* So many rounds, the first of which the cheaper one loses. */
static void
assert_little_loses(unsigned n_rounds)
{
	char words[512];

	while (n_rounds-- > 0) {
		assert_string_equal(play_round("%a", "%b", words), "little");
		assert_non_null(strstr(words, "loses the least work"));
	}
}

static void
who_has_lost_three_rounds_wins_the_fourth(void **state)
{
	char words[512];

	(void)state;
	assert_little_loses(3);
	assert_string_equal(play_round("%a", "%b", words), "much");
	assert_non_null(strstr(words, "has lost so often that it is spared"));
	/* It has committed: that work is done. */
	assert_little_loses(1);
}

static void
rounds_are_forgotten_after_five_seconds(void **state)
{
	(void)state;
	assert_little_loses(3);
	pass_ms(5001);
	assert_little_loses(1);
}

static void
rounds_of_one_task_are_not_anothers(void **state)
{
	char words[512];

	(void)state;
	assert_little_loses(3);
	assert_string_equal(play_round("%a", "%c", words), "little");
}

/* Without a name they are the connection's. */
static void
rounds_of_an_unnamed_task_are_its_connections(void **state)
{
	char words[512];
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_string_equal(play_round("!", "!", words), "little");
	assert_string_equal(play_round("!", "!", words), "much");
}

/* A try that ends for another reason is no less a try. */
static void
a_rollback_between_is_no_round_but_no_end_of_them_either(void **state)
{
	char words[512], tx[32];

	(void)state;
	assert_little_loses(3);
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "%b", tx, "ROLLBACK");
	expect(&bob, "+ROLLBACK\r\n");
	assert_string_equal(play_round("%a", "%b", words), "much");
}

static void
of_two_that_have_lost_enough_the_elder_wins(void **state)
{
	char words[512];
	int i, k;

	(void)state;
	for (k = 0; k < 3; k++)
		play_round("%x", "%b", words);
	for (i = 0; i < 3; i++) {
		for (k = 0; k < 3; k++)
			play_round("%x", "%c", words);
		assert_string_equal(play_round("%a", "%c", words), "much");
	}
	/* Both are spared now, and %b began first; it does less, too. */
	assert_string_equal(play_round("%a", "%b", words), "much");
	assert_non_null(strstr(words, "it is spared"));
}

static void
with_nothing_to_do_nothing_is_asked(void **state)
{
	(void)state;
	lk_assert_loop();
	SAY(&alice, "SQL", "select 1");
	finish(runs("select 1"), "1");
	pass_ms(60000);
	assert_true(lk_core_next_due_us(world.core) == LK_NEVER);
	assert_null(world.look);
}

#define NONE(test) cmocka_unit_test_setup_teardown(test, set_up_0, tear_down)
#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up_1, tear_down)
#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up_2, tear_down)
#define FOUR(test) cmocka_unit_test_setup_teardown(test, set_up_4, tear_down)
#define FAR_TOO(test) \
	cmocka_unit_test_setup_teardown(test, set_up_far, tear_down)
#define THREE(test) cmocka_unit_test_setup_teardown(test, set_up_3, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TWO(untagged_replies_leave_in_order),
		TWO(tagged_replies_leave_when_ready),
		TWO(a_tag_in_use_is_refused_and_free_after_its_reply),
		ONE(ping_answers_in_its_place),
		TWO(requests_of_the_connection_run_one_by_one),
		TWO(requests_of_one_task_run_one_by_one_tagged_or_not),
		TWO(one_that_gives_up_waiting_lets_nobody_pass),
		TWO(a_held_reply_keeps_nobody_from_running),
		TWO(tagged_requests_without_a_task_run_at_once),
		TWO(requests_of_one_tx_run_in_the_order_sent),
		TWO(commit_overtakes_the_waiters),
		ONE(what_the_next_reply_waits_for_is_not_held_back),
		TWO(long_replies_on_receipt_wait_when_too_much_is_held),
		ONE(begin_takes_no_slot_until_the_first_statement),
		ONE(a_tx_without_statements_costs_nothing),
		ONE(handles_are_never_given_twice),
		ONE(a_failing_begin_is_the_first_statements_error),
		ONE(only_its_connection_may_use_a_tx),
		ONE(a_tx_keeps_its_worker_though_others_wait),
		ONE(autocommit_work_goes_before_new_txs),
		ONE(a_new_tx_that_waited_long_goes_first),
		TWO(the_most_recently_used_worker_is_taken),
		ONE(a_slot_that_does_not_come_is_a_pooltimeout),
		ONE(a_tx_outlives_the_pooltimeout_of_its_first_statement),
		ONE(a_deadline_ends_what_is_queued),
		ONE(a_deadline_cancels_what_runs),
		NONE(a_deadline_holds_without_a_watcher),
		ONE(a_success_that_beats_the_cancel_is_a_success),
		ONE(cancel_ends_what_is_queued_and_what_waits),
		ONE(a_session_with_a_cancel_out_gets_no_work),
		ONE(a_cancel_is_repeated_until_the_result_is_there),
		ONE(a_session_that_cannot_be_ended_is_left),
		ONE(a_client_vanishes_with_requests_waiting_and_queued),
		ONE(a_client_vanishes_with_a_statement_running),
		TWO(a_client_vanishes_with_replies_held),
		ONE(a_client_vanishes_with_a_tx_not_begun),
		ONE(a_client_vanishes_with_a_tx_queued),
		ONE(a_client_vanishes_with_a_tx_idle),
		ONE(a_client_vanishes_with_a_tx_running),
		ONE(a_rollback_waits_for_the_cancels_answer),
		ONE(a_client_vanishes_with_commit_sent),
		ONE(a_client_vanishes_with_a_tx_aborted),
		ONE(a_client_vanishes_as_a_victim),
		ONE(a_client_vanishes_while_its_tasks_await_each_other),
		ONE(a_client_vanishes_and_its_own_tasks_are_forgotten),
		TWO(what_was_not_sent_goes_to_another_session),
		ONE(what_was_sent_without_an_answer_is_unknown),
		ONE(a_tx_that_lost_its_session_is_aborted_until_rollback),
		ONE(a_victim_whose_session_is_lost_gets_its_reply),
		ONE(a_new_session_waits_for_the_old_ones_cancel),
		TWO(a_statement_that_is_faster_than_its_parking_is_done),
		TWO(a_sentinel_gives_its_slot_when_that_ends_a_deadlock),
		TWO(the_essays_deadlock_is_proven_and_ended),
		TWO(an_unread_commit_prevents_the_verdict),
		TWO(a_holder_that_died_prevents_the_verdict),
		TWO(undecoded_bytes_put_the_verdict_off),
		TWO(what_is_younger_than_the_look_is_alive),
		THREE(an_awaited_task_is_on_its_thread_while_it_is_under_way),
		TWO(in_mode_report_nobody_is_failed),
		TWO(a_victim_that_got_its_lock_goes_on),
		TWO(a_client_cancels_what_got_its_lock_after_the_lock_timeout),
		TWO(a_gone_clients_statement_is_cancelled_whatever_it_waits_for),
		TWO(its_undeclared_twin_is_left_alone),
		TWO(a_lock_wait_that_is_too_long_is_a_locktimeout),
		FOUR(a_session_that_has_ended_since_the_look_holds_up_nobody),
		FAR_TOO(a_cycle_over_two_servers_is_read_again_and_ended),
		FAR_TOO(looks_of_two_servers_at_once_prove_nothing),
		FAR_TOO(a_wait_that_began_anew_proves_nothing),
		FAR_TOO(a_wait_that_began_anew_may_be_a_deadlock_as_well),
		FAR_TOO(waits_that_come_and_go_are_not_read_for_ever),
		FAR_TOO(a_server_that_goes_blind_proves_nothing),
		FAR_TOO(an_unread_commit_prevents_the_verdict_over_servers),
		FAR_TOO(what_is_younger_than_the_instant_is_alive_over_servers),
		FOUR(a_queue_that_is_confirmed_costs_who_is_in_the_way),
		FOUR(a_queue_that_is_not_confirmed_is_none),
		FOUR(a_confirmed_wait_that_began_anew_proves_nothing),
		FOUR(a_queue_behind_who_can_move_is_not_asked_about),
		FOUR(somebody_elses_ddl_is_not_touched),
		FOUR(an_unread_commit_prevents_the_verdict_on_a_queue),
		FOUR(a_circle_inside_the_server_is_left_to_it),
		ONE(an_idle_holder_is_ended_for_another_program),
		ONE(an_idle_tx_that_nobody_waits_for_is_looked_at_and_stays),
		ONE(an_idle_tx_is_not_looked_at_while_it_may_be_idle_for_ever),
		ONE(an_unread_commit_keeps_an_idle_holder),
		ONE(an_idle_holder_whose_client_is_found_gone_ends_once),
		ONE(a_tx_younger_than_the_look_is_not_ended),
		TWO(a_request_for_a_slot_is_lent_a_worker_and_nobody_fails),
		TWO(without_a_reserve_the_request_for_a_slot_fails),
		TWO(a_lent_worker_stays_with_a_tx_until_its_end),
		TWO(whoever_is_free_first_serves_the_lent_request),
		TWO(a_lent_request_that_is_given_up_leaves_no_worker),
		TWO(a_reserve_that_cannot_be_opened_is_used_up),
		TWO(in_mode_report_nothing_is_lent),
		TWO(a_deadlock_begins_with_the_last_of_its_waits),
		TWO(used_up_slots_are_a_deadlock_when_the_last_holder_asks),
		TWO(who_has_lost_three_rounds_wins_the_fourth),
		TWO(rounds_are_forgotten_after_five_seconds),
		TWO(rounds_of_one_task_are_not_anothers),
		TWO(rounds_of_an_unnamed_task_are_its_connections),
		TWO(a_rollback_between_is_no_round_but_no_end_of_them_either),
		TWO(of_two_that_have_lost_enough_the_elder_wins),
		ONE(with_nothing_to_do_nothing_is_asked),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
