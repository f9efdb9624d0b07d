/*
 * The rhythm of looks: what is looked at when, and what is not.
 */
#include "core_pair.h"

/* The next look is asked for after so long, and finds that nobody waits. */
static void
expect_look_in(uint64_t ms)
{
	uint64_t due = world.now_us + ms * LK_US_PER_MS;

	pass_until_look(ms);
	assert_int_equal(world.now_us, due);
	answer_look();
}

static void
a_statement_is_looked_at_soon_and_then_every_250_ms(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "update r");
	expect_look_in(15);
	expect_look_in(250);
	expect_look_in(250);
}

/* It may have come just before the statement began to wait. */
static void
a_look_soon_after_its_sending_is_not_a_statements_look(void **state)
{
	(void)state;
	SAY(&alice, "SQL", "update r");
	pass_ms(14);
	SAY(&bob, "SQL", "update s");
	expect_look_in(1);
	expect_look_in(15);
	expect_look_in(250);
}

/* ---- who waits for a slot ---- */

/* Worker w does what it runs, for so long. */
static void
work(uint32_t w, uint64_t ms)
{
	pass_ms(ms);
	finish(w, "1");
}

static void
a_queue_for_slots_that_work_is_not_looked_at(void **state)
{
	int i;

	(void)state;
	SAY(&alice, "SQL", "select 1");
	for (i = 0; i < 100; i++) {
		SAY(&bob, "SQL", "select 2");
		work(0, 10);
		SAY(&alice, "SQL", "select 1");
		work(0, 10);
	}
	assert_int_equal(world.n_looks, 0);
	work(0, 1);
}

/* Its slot stands still between any two statements, though not for long. */
static void
a_queue_behind_a_tx_that_goes_on_is_not_looked_at(void **state)
{
	char tx[32];
	int i;

	(void)state;
	begin(&alice, "%a", NULL, tx);
	for (i = 0; i < 100; i++) {
		SAY(&alice, "%a", tx, "SQL", "select 1");
		work(0, 10);
		if (i == 0)
			SAY(&bob, "SQL", "select 2");
		pass_ms(10);
	}
	assert_int_equal(world.n_looks, 0);
	SAY(&alice, "%a", tx, "COMMIT");
	finish(0, "COMMIT");
	finish(0, "2");
}

static void
a_queue_for_slots_that_stand_still_is_looked_at_again(void **state)
{
	char tx[32];

	(void)state;
	begin(&alice, "%a", NULL, tx);
	SAY(&alice, "%a", tx, "SQL", "select 1");
	finish(0, "1");
	SAY(&bob, "SQL", "select 2");
	expect_look_in(15);
	expect_look_in(250);
	expect_look_in(250);
	/* A new one is looked at soon, and the others with it. */
	pass_ms(100);
	SAY(&bob, "@x", "SQL", "select 3");
	expect_look_in(15);
	expect_look_in(250);
	SAY(&alice, "%a", tx, "COMMIT");
	finish(0, "COMMIT");
	finish(0, "2");
	finish(0, "3");
}

/* The task opens a transaction, which has a slot from now on. */
static uint32_t
take_slot(struct fake_conn *conn, const char *task, char tx[32])
{
	uint32_t w;

	begin(conn, task, NULL, tx);
	SAY(conn, task, tx, "SQL", "update first");
	w = runs("update first");
	finish(w, "UPDATE 1");
	expect(conn, "+UPDATE 1\r\n");
	return w;
}

/* The youngest request for a slot has failed, so this deadlock was found. */
static void
expect_deadlock(struct fake_conn *conn)
{
	assert_non_null(strstr(lk_buf_cstr(&conn->got), "-DEADLOCK "));
	lk_buf_truncate(&conn->got, 0);
}

/* Task a goes on once task b has a slot, which a's transaction keeps. */
static void
the_last_slot_to_stand_still_may_close_a_deadlock(void **state)
{
	char tx[32];

	(void)state;
	take_slot(&alice, "%a", tx);
	SAY(&alice, "@long", "%a", tx, "SQL", "select long");
	SAY(&alice, "AWAIT", "a", "b");
	SAY(&alice, "@x", "%b", "SQL", "select 1");
	pass_ms(100);
	finish(runs("select long"), "1");
	expect_look_in(15);
	expect_deadlock(&alice);
}

static void
a_slot_whose_statement_waits_stands_still(void **state)
{
	char tx[32];
	uint32_t holder;

	(void)state;
	world.config.replay = LK_REPLAY_OFF;
	holder = take_slot(&alice, "%a", tx);
	SAY(&bob, "SQL", "update again");
	pass_until_look(15);
	answer_look_with_wait(runs("update again"), holder,
	    15 * LK_US_PER_MS);
	pass_until_look(250);
	answer_look_with_wait(runs("update again"), holder,
	    265 * LK_US_PER_MS);
	set_now(world.now_us + 100 * LK_US_PER_MS);
	SAY(&alice, "@x", "%a", "SQL", "select 1");
	pass_until_look(15);
	answer_look_with_wait(runs("update again"), holder,
	    380 * LK_US_PER_MS);
	expect_deadlock(&alice);
}

/*
 * alice has both slots and asks for a third, while one of the reserve that was
 * lent to her for the second, which then came free, is still on its way: and
 * when it comes it ends, since none may stay.
 */
static void
a_worker_that_ends_may_close_a_deadlock(void **state)
{
	char outer[32], inner[32];
	uint32_t holder;

	(void)state;
	world.config.replay = LK_REPLAY_OFF;
	world.databases[0].workers_reserve = 1;
	holder = take_slot(&alice, "%a", outer);
	SAY(&bob, "SQL", "update again");
	begin(&alice, "%a", NULL, inner);
	SAY(&alice, "%a", inner, "SQL", "select 1");
	pass_until_look(15);
	answer_look_with_wait(runs("update again"), holder,
	    15 * LK_US_PER_MS);
	assert_true(world.workers[2].is_started);
	finish(runs("update again"), "UPDATE 1");
	finish(runs("select 1"), "1");
	expect(&alice, "+1\r\n");
	SAY(&alice, "@x", "%a", "SQL", "select 2");
	expect_look_in(15);	/* the one that follows a verdict */
	world.n_looks = 0;
	pass_ms(400);
	assert_int_equal(world.n_looks, 0);
	world.databases[0].workers_reserve = 0;
	come_up(2);
	assert_true(world.workers[2].is_stopping);
	expect_look_in(15);
	expect_deadlock(&alice);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up_1, tear_down)
#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up_2, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TWO(a_statement_is_looked_at_soon_and_then_every_250_ms),
		TWO(a_look_soon_after_its_sending_is_not_a_statements_look),
		ONE(a_queue_for_slots_that_work_is_not_looked_at),
		ONE(a_queue_behind_a_tx_that_goes_on_is_not_looked_at),
		ONE(a_queue_for_slots_that_stand_still_is_looked_at_again),
		ONE(the_last_slot_to_stand_still_may_close_a_deadlock),
		TWO(a_slot_whose_statement_waits_stands_still),
		TWO(a_worker_that_ends_may_close_a_deadlock),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
