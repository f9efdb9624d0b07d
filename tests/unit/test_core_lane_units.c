/* Lanes of units: they wait for all rows that their verbs name at once. */
#include "core_lane.h"

static int
begin_with_one(void **state)
{
	(void)state;
	begin_lanes(1, 1);
	return 0;
}

static int
begin_with_two(void **state)
{
	(void)state;
	begin_lanes(2, 2);
	return 0;
}

/* An UPDATE of each row is queued, up to a NULL. */
static void
queue(struct fake_conn *conn, const char *const *keys)
{
	SAY(conn, "MULTI");
	expect(conn, "+OK\r\n");
	for (; *keys != NULL; keys++) {
		SAY(conn, "UPDATE", "users", *keys, "SET", "age", "+=", "1");
		expect(conn, "+QUEUED\r\n");
	}
}

#define QUEUE(conn, ...)						\
	queue(conn, (const char *const[]){ __VA_ARGS__, NULL })
#define UNIT(conn, ...)							\
	do {								\
		QUEUE(conn, __VA_ARGS__);				\
		SAY(conn, "EXEC");					\
	} while (0)

/* The unit whose first verb is of that row is through. */
static void
commit(struct fake_conn *conn, const char *key)
{
	finish(has_key(key), "all");
	expect(conn, "+all\r\n");
}

static void
units_that_cross_go_one_after_another(void **state)
{
	(void)state;
	UNIT(&ann, "1", "2");
	UNIT(&bob, "2", "1");
	UNIT(&eve, "3");
	assert_int_equal(n_running(), 2);
	commit(&ann, "1");
	commit(&bob, "2");
	commit(&eve, "3");
	assert_int_equal(world.core->stats.unit_replays, 0);
}

static void
a_row_that_is_named_twice_is_waited_for_once(void **state)
{
	(void)state;
	UNIT(&ann, "7", "07", "8", "7");
	assert_int_equal(n_running(), 1);
	UNIT(&bob, "8", "7");
	UPDATE(&eve, "e", "7");
	assert_int_equal(n_running(), 1);
	commit(&ann, "7");
	commit(&bob, "8");
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
}

/* Of the same row it needs both. */
static void
the_stronger_of_two_locks_counts(void **state)
{
	char tx[32];

	(void)state;
	begin(&eve, "%e", NULL, tx);
	SAY(&eve, tx, "GET", "users", "7", "FOR", "KEY", "SHARE");
	done(has_key("7"), 1);
	expect(&eve, "+row\r\n");
	QUEUE(&ann, "7");
	SAY(&ann, "DELETE", "users", "7");
	expect(&ann, "+QUEUED\r\n");
	SAY(&ann, "EXEC");
	UNIT(&bob, "7");
	assert_int_equal(n_running(), 1);
	commit(&bob, "7");
	commit_tx(&eve, tx);
	commit(&ann, "7");
}

/* It goes when all are free; who comes later, and wants one of them, after it. */
static void
a_unit_keeps_its_place_for_each_row(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "3");
	UNIT(&bob, "4", "3", "1");
	UPDATE(&eve, "e", "1");
	UPDATE(&eve, "f", "4");
	UPDATE(&ann, "b", "5");
	assert_int_equal(n_running(), 2);
	done(has_key("5"), 1);
	expect_tagged(&ann, "b", "row");
	done(has_key("3"), 1);
	expect_tagged(&ann, "a", "row");
	assert_int_equal(n_running(), 1);
	commit(&bob, "4");
	assert_int_equal(n_running(), 2);
	done(has_key("1"), 1);
	expect_tagged(&eve, "e", "row");
	done(has_key("4"), 1);
	expect_tagged(&eve, "f", "row");
}

/* Who may have its row for long keeps nobody else waiting by that. */
static void
who_waits_for_a_transaction_keeps_no_other_row(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "2");
	UNIT(&bob, "1", "2", "3");
	UPDATE(&eve, "e", "1");
	done(has_key("1"), 1);
	expect_tagged(&eve, "e", "row");
	LOCK(&ann, tx, "3");
	UPDATE(&eve, "f", "1");
	assert_int_equal(n_running(), 1);
	commit_tx(&ann, tx);
	assert_int_equal(n_running(), 1);
	done(has_key("1"), 1);
	expect_tagged(&eve, "f", "row");
	commit(&bob, "1");
}

/* So it is when a transaction gets the row that it waits for already. */
static void
its_places_are_given_back_when_a_transaction_comes(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "9");
	UPDATE(&eve, "x", "3");
	UNIT(&bob, "3", "4");
	UPDATE(&eve, "e", "4");
	assert_int_equal(n_running(), 1);
	UPDATE_IN(&ann, "a", tx, "3");	/* it has a worker, and may pass */
	assert_int_equal(n_running(), 3);
	done(has_key("4"), 1);
	expect_tagged(&eve, "e", "row");
	done(has_key("3"), 1);
	expect_tagged(&eve, "x", "row");
	done(has_key("3"), 1);
	expect_tagged(&ann, "a", "row");
	assert_int_equal(n_running(), 0);
	commit_tx(&ann, tx);
	commit(&bob, "3");
}

static void
who_ends_before_its_turn_gives_its_rows_back(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "2");
	UNIT(&bob, "1", "2");
	UPDATE(&eve, "e", "1");
	assert_int_equal(n_running(), 1);
	vanish(&bob);
	assert_int_equal(n_running(), 2);
	done(has_key("2"), 1);
	expect_tagged(&ann, "a", "row");
	QUEUE(&ann, "2", "1");
	SAY(&ann, "?100", "EXEC");
	pass_ms(120);
	expect_error(&ann, "LOCKTIMEOUT", "row in users was not to be had "
	    "within 100 ms: held by client");
	done(has_key("1"), 1);
	expect_tagged(&eve, "e", "row");
}

/* Scenario 31, with a unit whose turn it is. */
static void
transactions_pass_a_unit_that_has_no_slot(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "1");
	UNIT(&bob, "6", "7");
	LOCK(&ann, tx, "7");
	UPDATE(&eve, "e", "6");
	assert_int_equal(n_running(), 0);
	commit_tx(&ann, tx);
	commit(&bob, "6");
	done(has_key("6"), 1);
	expect_tagged(&eve, "e", "row");
}

/* So it does when a slot comes while the transaction has its row; and keeps
 * nobody from its other row any more. */
static void
a_unit_that_was_passed_waits_again(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&eve, "%e", NULL, other);
	LOCK(&ann, tx, "1");
	LOCK(&eve, other, "2");
	UNIT(&bob, "6", "7");
	LOCK(&ann, tx, "7");
	assert_int_equal(n_running(), 0);
	commit_tx(&eve, other);
	assert_int_equal(n_running(), 0);
	UPDATE(&eve, "e", "6");
	assert_int_equal(n_running(), 1);
	done(has_key("6"), 1);
	expect_tagged(&eve, "e", "row");
	commit_tx(&ann, tx);
	commit(&bob, "6");
}

/*
 * bob's statement, which has row 3, waits in PostgreSQL for ann's transaction;
 * eve's unit waits for row 3, and came before ann's task asked for row 4, which
 * the unit wants, too.  PostgreSQL would let it have that.
 */
static void
a_ring_may_lead_through_a_place_that_is_kept(void **state)
{
	uint32_t holder, waiter;
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	SAY(&ann, tx, "SQL", "update users");
	holder = runs("update users");
	finish(holder, "UPDATE 1");
	lk_buf_truncate(&ann.got, 0);
	UPDATE(&bob, "b", "3");
	waiter = has_key("3");
	UNIT(&eve, "3", "4");
	SAY(&ann, "@a", "%a", "UPDATE", "users", "4", "SET", "age", "+=", "1");
	assert_int_equal(n_running(), 1);
	pass_until_look(100);
	answer_look_with_wait(waiter, holder, 15 * LK_US_PER_MS);
	assert_int_equal(n_running(), 2);
	done(has_key("4"), 1);
	expect_tagged(&ann, "a", "row");
	commit_tx(&ann, tx);
	done(waiter, 1);
	expect_tagged(&bob, "b", "row");
	commit(&eve, "3");
}

static void
another_try_waits_for_its_rows_again(void **state)
{
	lk_assert_loop();
	(void)state;
	UNIT(&ann, "1", "2");
	UPDATE(&bob, "b", "2");
	UPDATE(&eve, "e", "1");
	fail_item(has_key("1"), 1, LK_ERR_SERIALIZE, "40001");
	assert_int_equal(n_running(), 2);
	pass_ms(200);
	assert_int_equal(n_running(), 2);
	done(has_key("1"), 1);
	expect_tagged(&eve, "e", "row");
	assert_int_equal(n_running(), 1);
	done(has_key("2"), 1);
	expect_tagged(&bob, "b", "row");
	commit(&ann, "1");
}

/* What a reference says, and what SQL locks, PostgreSQL alone knows. */
static void
what_is_not_known_is_in_no_lane(void **state)
{
	struct fake_conn *const both[] = { &ann, &bob };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		SAY(both[i], "MULTI", "REF", "$");
		SAY(both[i], "GET", "users", "1");
		SAY(both[i], "UPDATE", "users", "$1.id", "SET", "age", "=",
		    "1");
		SAY(both[i], "SQL", "UPDATE users SET age = 2");
		SAY(both[i], "GET", "users", "1", "FOR", "UPDATE", "NOWAIT");
		SAY(both[i], "EXEC");
		lk_buf_truncate(&both[i]->got, 0);
	}
	assert_int_equal(n_running(), 2);
	finish(has_key("1"), "all");
	finish(has_key("1"), "all");
	lk_buf_truncate(&ann.got, 0);
	lk_buf_truncate(&bob.got, 0);
}

static void
of_a_long_unit_the_first_verbs_count(void **state)
{
	char key[16];
	int i;

	(void)state;
	SAY(&ann, "MULTI");
	for (i = 0; i < 65; i++) {
		snprintf(key, sizeof(key), "%d", 100 + i);
		SAY(&ann, "UPDATE", "users", key, "SET", "age", "+=", "1");
	}
	SAY(&ann, "EXEC");
	lk_buf_truncate(&ann.got, 0);
	UPDATE(&bob, "b", "163");
	assert_int_equal(n_running(), 1);
	UPDATE(&bob, "c", "164");
	assert_int_equal(n_running(), 2);
	commit(&ann, "100");
	done(has_key("163"), 1);
	done(has_key("164"), 1);
	lk_buf_truncate(&bob.got, 0);
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, begin_each, end_each)
#define WITH_SLOTS(n, name)						\
	cmocka_unit_test_setup_teardown(name, begin_with_##n, end_each)
	const struct CMUnitTest tests[] = {
		TEST(units_that_cross_go_one_after_another),
		TEST(a_row_that_is_named_twice_is_waited_for_once),
		TEST(the_stronger_of_two_locks_counts),
		TEST(a_unit_keeps_its_place_for_each_row),
		TEST(who_waits_for_a_transaction_keeps_no_other_row),
		TEST(its_places_are_given_back_when_a_transaction_comes),
		TEST(who_ends_before_its_turn_gives_its_rows_back),
		WITH_SLOTS(one, transactions_pass_a_unit_that_has_no_slot),
		WITH_SLOTS(two, a_unit_that_was_passed_waits_again),
		TEST(a_ring_may_lead_through_a_place_that_is_kept),
		TEST(another_try_waits_for_its_rows_again),
		TEST(what_is_not_known_is_in_no_lane),
		TEST(of_a_long_unit_the_first_verbs_count),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
