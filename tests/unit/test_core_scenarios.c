/*
 * core driven as the daemon drives it, in a world that is made up: what may
 * run at once, how replies travel, who gets a slot, how a request is ended
 * early, and what a vanished client leaves behind.
 */
#include "core_world.h"

static struct fake_conn alice, bob;

static int
set_up(uint32_t n_min, uint32_t n_max)
{
	begin_world(n_min, n_max);
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	return 0;
}

static int
set_up_0(void **state)
{
	(void)state;
	return set_up(0, 1);
}

static int
set_up_1(void **state)
{
	(void)state;
	return set_up(1, 1);
}

static int
set_up_2(void **state)
{
	(void)state;
	return set_up(2, 2);
}

static int
tear_down(void **state)
{
	(void)state;
	vanish(&alice);
	vanish(&bob);
	end_world();
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
		TWO(the_essays_deadlock_is_proven_and_ended),
		TWO(an_unread_commit_prevents_the_verdict),
		TWO(a_holder_that_died_prevents_the_verdict),
		TWO(undecoded_bytes_put_the_verdict_off),
		TWO(what_is_younger_than_the_look_is_alive),
		TWO(in_mode_report_nobody_is_failed),
		TWO(a_victim_that_got_its_lock_goes_on),
		TWO(its_undeclared_twin_is_left_alone),
		TWO(a_lock_wait_that_is_too_long_is_a_locktimeout),
		ONE(with_nothing_to_do_nothing_is_asked),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
