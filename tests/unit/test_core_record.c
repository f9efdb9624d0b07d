/*
 * What core says to the log: whom records are about, what took a slow
 * statement how long, and that nothing of a client's values is in them.
 */
#include "core_pair.h"

static struct lk_buf taken;

static int
begin_logged(uint32_t n_workers)
{
	begin_pair(n_workers, n_workers);
	world.config.log_slow_us = 100 * LK_US_PER_MS;
	lk_log_set_level(LK_LOG_INFO);
	lk_log_attach();
	return 0;
}

static int
begin_1(void **state)
{
	(void)state;
	return begin_logged(1);
}

static int
begin_2(void **state)
{
	(void)state;
	return begin_logged(2);
}

static int
end_logged(void **state)
{
	const struct lk_log_form form = { LK_LOG_TEXT, false };
	uint64_t n_dropped;

	(void)state;
	end_pair();
	lk_log_detach();
	lk_log_take(&form, &taken, &n_dropped);
	lk_buf_fini(&taken);
	return 0;
}

/* All that was logged since the last time. */
static const char *
logged(enum lk_log_format format)
{
	const struct lk_log_form form = { format, false };
	uint64_t n_dropped;

	lk_buf_truncate(&taken, 0);
	lk_log_take(&form, &taken, &n_dropped);
	assert_int_equal(n_dropped, 0);
	return lk_buf_cstr(&taken);
}

static void
expect_logged(const char *part)
{
	if (strstr(lk_buf_cstr(&taken), part) == NULL)
		fail_msg("not logged: %s\nbut: %s", part, lk_buf_cstr(&taken));
}

static void
expect_not_logged(const char *part)
{
	if (strstr(lk_buf_cstr(&taken), part) != NULL)
		fail_msg("logged: %s\n%s", part, lk_buf_cstr(&taken));
}

static void
expect_nothing_logged(void)
{
	assert_string_equal(logged(LK_LOG_TEXT), "");
}

/* " client N" or " tx N" or " pid N" of what is known here by other names. */
static void
expect_about(const char *what, unsigned long long number)
{
	char part[64];

	snprintf(part, sizeof(part), " %s %llu", what, number);
	expect_logged(part);
}

/* ---- slow statements ---- */

static void
waiting_for_a_slot_is_queue_time(void **state)
{
	(void)state;
	lk_assert_loop();
	SAY(&alice, "SQL", "select 1");
	SAY(&bob, "%b", "SQL", "select 'v' from r");
	pass_ms(90);
	finish(runs("select 1"), "one");
	expect_nothing_logged();
	pass_ms(30);
	finish(runs("select 'v' from r"), "two");
	logged(LK_LOG_TEXT);
	expect_logged("slow: 120 ms (queue 90, lock 0, run 30) in main, "
	    "task b: SQL select ? from r\n");
	expect_about("client", lk_core_client_id(bob.client));
	expect_about("pid", FIRST_PID);
}

static void
waiting_behind_ones_own_task_is_queue_time(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 1");
	SAY(&alice, "SQL", "select 2");
	pass_ms(200);
	finish(runs("select 1"), "one");
	pass_ms(40);
	finish(runs("select 2"), "two");
	logged(LK_LOG_TEXT);
	expect_logged("slow: 200 ms (queue 0, lock 0, run 200)");
	expect_logged("slow: 240 ms (queue 200, lock 0, run 40)");
}

/* The worker that holds what bob's, which goes into waiter_out, waits for. */
static uint32_t
block_bob(char tx[32], uint32_t *waiter_out)
{
	uint32_t holder;

	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	SAY(&bob, "SQL", "update r again");
	*waiter_out = runs("update r again");
	pass_until_look(15);
	return holder;
}

static void
end_tx(const char *tx, uint32_t holder)
{
	SAY(&alice, "%a", tx, "ROLLBACK");
	finish(holder, "ROLLBACK");
}

static void
waiting_for_a_lock_is_lock_time_until_the_answer(void **state)
{
	uint32_t holder, waiter;
	char tx[32];

	(void)state;
	holder = block_bob(tx, &waiter);
	answer_look_with_wait(waiter, holder, 12 * LK_US_PER_MS);
	pass_until_look(250);
	answer_look_with_wait(waiter, holder, 262 * LK_US_PER_MS);
	pass_ms(35);
	finish(waiter, "UPDATE 1");
	logged(LK_LOG_TEXT);
	expect_logged("slow: 300 ms (queue 0, lock 297, run 3)");
	end_tx(tx, holder);
}

static void
a_wait_that_is_over_ends_with_the_look_that_misses_it(void **state)
{
	uint32_t holder, waiter;
	char tx[32];

	(void)state;
	holder = block_bob(tx, &waiter);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	pass_until_look(250);
	answer_look();
	pass_ms(100);
	finish(waiter, "UPDATE 1");
	logged(LK_LOG_TEXT);
	expect_logged("slow: 365 ms (queue 0, lock 265, run 100)");
	end_tx(tx, holder);
}

static void
waits_one_after_another_add_up(void **state)
{
	uint32_t holder, waiter;
	char tx[32];

	(void)state;
	holder = block_bob(tx, &waiter);
	answer_look_with_wait(waiter, holder, 10 * LK_US_PER_MS);
	pass_until_look(250);
	/* The first was over, and 100 ms ago the second began. */
	add_wait(world.workers[waiter].pid, world.workers[holder].pid,
	    100 * LK_US_PER_MS);
	strcpy(world.look->waits[0].waitstart, "2026-01-01 00:00:01+00");
	answer_look();
	pass_ms(35);
	finish(waiter, "UPDATE 1");
	logged(LK_LOG_TEXT);
	expect_logged("slow: 300 ms (queue 0, lock 295, run 5)");
	end_tx(tx, holder);
}

static void
json_has_each_time_as_a_key(void **state)
{
	char tx[32];

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	pass_ms(150);
	finish(runs("select 1"), "one");
	logged(LK_LOG_JSON);
	expect_logged(",\"total_ms\":150,\"queue_ms\":0,\"lock_ms\":0,"
	    "\"run_ms\":150,\"database\":\"main\",\"task\":\"a\","
	    "\"doing\":\"SQL select ?\"}\n");
	SAY(&bob, "SQL", "select 2");
	pass_ms(150);
	finish(runs("select 2"), "two");
	logged(LK_LOG_JSON);
	expect_logged("\"tx\":null,");
	expect_logged("\"task\":null,");
}

static void
only_what_took_longer_is_slow(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 1");
	pass_ms(100);
	finish(runs("select 1"), "one");
	expect_nothing_logged();
	world.config.log_slow_us = 0;
	SAY(&alice, "SQL", "select 1");
	pass_ms(1000);
	finish(runs("select 1"), "one");
	expect_nothing_logged();
}

static void
what_is_no_statement_is_not_slow(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 1");
	SAY(&alice, "BEGIN");
	pass_ms(200);
	finish(runs("select 1"), "one");
	logged(LK_LOG_TEXT);
	expect_logged("SQL select ?");
	expect_not_logged("BEGIN");
}

static void
waiting_in_vain_is_slow_and_a_timeout(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 'secret'");
	SAY(&bob, "SQL", "select 'hidden'");
	pass_ms(30000);
	logged(LK_LOG_TEXT);
	expect_logged("info: client ");
	expect_logged(": POOLTIMEOUT: SQL select ?: no slot of main became "
	    "free within 30000 ms");
	expect_logged("slow: 30000 ms (queue 30000, lock 0, run 0) in main: "
	    "SQL select ?\n");
	expect_not_logged("secret");
	expect_not_logged("hidden");
	finish(runs("select 'secret'"), "one");
}

/* ---- whom a record is about ---- */

static void
verdicts_name_the_victim_and_its_times(void **state)
{
	uint32_t holder, waiter;

	(void)state;
	lk_assert_loop();
	SAY(&alice, "HELLO", "2", "MODE", "blocking", "THREAD", "t1");
	vanish(&bob);
	connect_as(&bob, 10);
	SAY(&bob, "HELLO", "2", "MODE", "blocking", "THREAD", "t1");
	SAY(&alice, "BEGIN");
	SAY(&alice, "SQL", "update r");
	holder = runs("update r");
	finish(holder, "UPDATE 1");
	SAY(&bob, "SQL", "update r set v = 'secret'");
	waiter = runs("update r set v = 'secret'");
	pass_until_look(20);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	logged(LK_LOG_JSON);
	expect_logged("\"level\":\"warning\"");
	expect_logged("\"text\":\"deadlock: ");
	expect_logged(",\"total_ms\":15,\"queue_ms\":0,\"lock_ms\":15,"
	    "\"run_ms\":0,\"database\":\"main\",\"task\":null,"
	    "\"doing\":\"SQL update r set v = ?\",\"deadlock\":1,"
	    "\"action\":\"failing\",\"verdict_us\":15000}\n");
	answer_cancels(true);
	die_by_cancel(waiter);
	logged(LK_LOG_TEXT);
	expect_about("client", lk_core_client_id(bob.client));
	expect_about("pid", FIRST_PID + waiter);
	expect_logged(": deadlock 1 failed after ");
	SAY(&alice, "COMMIT");
	finish(holder, "COMMIT");
}

static void
a_lost_session_names_whose_it_was(void **state)
{
	char tx[32];

	(void)state;
	lk_assert_loop();
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	finish(runs("select 1"), "one");
	go_down(0);
	logged(LK_LOG_TEXT);
	expect_about("client", lk_core_client_id(alice.client));
	expect_about("tx", strtoull(tx + 1, NULL, 10));
	expect_logged(" pid 1000: main: session lost: no more session\n");
	/* Trying again in vain is no loss. */
	go_down(0);
	expect_nothing_logged();
	come_up(0);
	logged(LK_LOG_TEXT);
	expect_logged("info: main: sessions can be opened again\n");
	SAY(&alice, "%a", "SQL", "select 2");
	lose(runs("select 2"), LK_ITEM_LOST);
	logged(LK_LOG_TEXT);
	expect_logged("warning: client ");
	expect_logged(" pid 1000: failed: SQL select ?: UNKNOWN 08007 ");
	expect_logged(" pid 1000: main: session lost: ");
}

static void
an_expired_tx_is_told_of(void **state)
{
	char tx[32];

	(void)state;
	world.config.timeout_idle_tx_us = LK_US_PER_S;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 'secret'");
	finish(runs("select 'secret'"), "one");
	pass_ms(1000);
	logged(LK_LOG_TEXT);
	expect_about("tx", strtoull(tx + 1, NULL, 10));
	expect_logged(" pid 1000: rolled back: it held a session of main "
	    "(pid 1000), idle for longer than ");
	expect_not_logged("secret");
	finish(0, "ROLLBACK");
}

/* ---- debug ---- */

static void
debug_tells_the_life_of_a_tx(void **state)
{
	char tx[32];

	(void)state;
	lk_log_set_level(LK_LOG_DEBUG);
	vanish(&bob);
	connect_as(&bob, 20);
	logged(LK_LOG_TEXT);
	expect_logged(": gone after 0 requests\n");
	expect_logged(": connected: process 20 of user 1\n");
	begin(&bob, "%b", NULL, tx);
	SAY(&bob, "@x", "%b", tx, "SQL", "select $1", "value");
	finish(runs("select $1"), "one");
	SAY(&bob, "%b", tx, "COMMIT");
	finish(0, "COMMIT");
	logged(LK_LOG_TEXT);
	expect_logged(": received: %b BEGIN\n");
	expect_logged(": opened in main: BEGIN\n");
	expect_about("tx", strtoull(tx + 1, NULL, 10));
	expect_logged(": received: @x %b SQL select $1\n");
	expect_logged(" pid 1000: ended: 2 statements, last COMMIT\n");
	go_down(0);
	come_up(0);
	logged(LK_LOG_TEXT);
	expect_logged("debug: pid 1000: main: session opened\n");
}

/* They may hold a parameter's value. */
static void
a_servers_words_are_for_debug_only(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "select 1");
	fail_with(0, LK_ERR_PG, "22P02");
	expect_nothing_logged();
	lk_log_set_level(LK_LOG_DEBUG);
	SAY(&alice, "SQL", "select 1");
	fail_with(0, LK_ERR_PG, "22P02");
	logged(LK_LOG_TEXT);
	expect_logged(" pid 1000: failed: SQL select ?: PG 22P02 the server's "
	    "words\n");
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, begin_1, end_logged)
#define TWO(test) cmocka_unit_test_setup_teardown(test, begin_2, end_logged)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(waiting_for_a_slot_is_queue_time),
		TWO(waiting_behind_ones_own_task_is_queue_time),
		TWO(waiting_for_a_lock_is_lock_time_until_the_answer),
		TWO(a_wait_that_is_over_ends_with_the_look_that_misses_it),
		TWO(waits_one_after_another_add_up),
		TWO(json_has_each_time_as_a_key),
		ONE(only_what_took_longer_is_slow),
		TWO(what_is_no_statement_is_not_slow),
		ONE(waiting_in_vain_is_slow_and_a_timeout),
		TWO(verdicts_name_the_victim_and_its_times),
		ONE(a_lost_session_names_whose_it_was),
		ONE(an_expired_tx_is_told_of),
		ONE(debug_tells_the_life_of_a_tx),
		ONE(a_servers_words_are_for_debug_only),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
