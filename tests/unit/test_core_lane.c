/*
 * Lanes: who goes, who waits without a slot, what a transaction has, and rings
 * that are refused as they close.
 */
#include "core_lane.h"

static int
begin_sharing(void **state)
{
	(void)state;
	begin_lanes(4, 4);
	return 0;
}

static int
begin_with_one_slot(void **state)
{
	(void)state;
	begin_lanes(1, 1);
	world.config.group_commit = LK_GROUP_OFF;
	return 0;
}

/* ---- autocommit ---- */

static void
writers_of_one_row_go_one_after_another(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "7");
	UPDATE(&bob, "b", "07");
	UPDATE(&eve, "e", "7");
	assert_int_equal(n_running(), 1);
	done(has_key("7"), 1);
	expect_tagged(&ann, "a", "row");
	assert_int_equal(n_running(), 1);
	done(has_key("07"), 1);
	expect_tagged(&bob, "b", "row");
	done(has_key("7"), 0);
	expect_tagged(&eve, "e", "null");
}

static void
other_rows_are_not_kept_waiting(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "7");
	UPDATE(&ann, "x", "7");
	UPDATE(&bob, "b", "8");
	SAY(&eve, "@e", "UPDATE", "tags", "7", "SET", "word", "=", "x");
	assert_int_equal(n_running(), 3);
}

static void
a_queue_for_one_row_takes_one_slot(void **state)
{
	char tag[16];
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		snprintf(tag, sizeof(tag), "@%d", i);
		SAY(&ann, tag, "DELETE", "users", "7");
	}
	assert_int_equal(n_running(), 1);
	SAY(&bob, "GET", "users", "8");
	assert_int_equal(n_running(), 2);
	for (i = 0; i < 100; i++)
		done(has_key("7"), 1);
	lk_buf_truncate(&ann.got, 0);
}

static void
who_waits_in_a_lane_can_be_cancelled(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "7");
	UPDATE(&bob, "b", "7");
	UPDATE(&eve, "e", "7");
	SAY(&bob, "CANCEL", "b");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "-CANCELED "));
	lk_buf_truncate(&bob.got, 0);
	assert_int_equal(world.n_cancels, 0);
	vanish(&eve);
	done(has_key("7"), 1);
	assert_int_equal(n_running(), 0);
}

static void
a_lock_time_counts_in_a_lane(void **state)
{
	(void)state;
	lk_assert_loop();
	UPDATE(&ann, "a", "7");
	SAY(&bob, "?100", "UPDATE", "users", "7", "SET", "age", "=", "1");
	pass_ms(90);
	expect_nothing(&bob);
	pass_ms(20);
	expect_error(&bob, "LOCKTIMEOUT", "row in users was not to be had "
	    "within 100 ms: held by client");
	/* Who is not to wait goes and is told by PostgreSQL. */
	SAY(&bob, "?0", "UPDATE", "users", "7", "SET", "age", "=", "1");
	assert_int_equal(n_running(), 2);
}

static void
who_reads_nothing_leaves_the_lane_when_its_turn_comes(void **state)
{
	(void)state;
	lk_assert_loop();
	UPDATE(&ann, "a", "7");
	UPDATE(&bob, "b", "7");
	lk_core_client_pause(bob.client, true);
	done(has_key("7"), 1);
	expect_tagged(&ann, "a", "row");
	assert_int_equal(n_running(), 0);
	lk_core_client_pause(bob.client, false);
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
}

static void
a_deadline_passes_in_phase_lock(void **state)
{
	(void)state;
	lk_assert_loop();
	UPDATE(&ann, "a", "7");
	SAY(&bob, "~100", "UPDATE", "users", "7", "SET", "age", "=", "1");
	pass_ms(110);
	expect_error(&bob, "TIMEOUT", "phase lock, waiting 100 ms for row in "
	    "users: held by client");
}

/* The row is another's by the time that there is a slot. */
static void
a_turn_keeps_until_there_is_a_slot(void **state)
{
	(void)state;
	SAY(&ann, "SQL", "slow");
	UPDATE(&bob, "b", "7");
	UPDATE(&eve, "e", "7");
	assert_int_equal(n_running(), 1);
	finish(0, "slow");
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
}

static void
who_waits_and_for_whom_is_to_be_seen(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "7");
	UPDATE(&bob, "b", "7");
	SAY(&eve, "SHOW", "lanes");
	assert_non_null(strstr(lk_buf_cstr(&eve.got), "no key update"));
	assert_non_null(strstr(lk_buf_cstr(&eve.got), "\r\nusers\r\n"));
	lk_buf_truncate(&eve.got, 0);
	SAY(&eve, "SHOW", "waits");
	assert_non_null(strstr(lk_buf_cstr(&eve.got), "row in users"));
	lk_buf_truncate(&eve.got, 0);
}

/* Nobody has looked at pg_locks yet. */
static void
a_transactions_waiters_are_to_be_seen_before_any_look(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	assert_int_equal(world.n_looks, 0);
	SAY(&eve, "SHOW", "waits");
	assert_non_null(strstr(lk_buf_cstr(&eve.got), "held by #"));
	lk_buf_truncate(&eve.got, 0);
	SAY(&eve, "SHOW", "lanes");
	assert_non_null(strstr(lk_buf_cstr(&eve.got), "of task a"));
	lk_buf_truncate(&eve.got, 0);
}

static int
begin_without_sessions(void **state)
{
	(void)state;
	begin_lanes(0, 1);
	return 0;
}

static void
who_waits_for_the_first_session_is_to_be_seen(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "7");
	UPDATE(&bob, "b", "7");
	SAY(&eve, "SHOW", "waits");
	assert_non_null(strstr(lk_buf_cstr(&eve.got),
	    "behind one that has no slot yet"));
	lk_buf_truncate(&eve.got, 0);
	SAY(&eve, "SHOW", "lanes");
	assert_non_null(strstr(lk_buf_cstr(&eve.got), "client 1"));
	lk_buf_truncate(&eve.got, 0);
	come_up(0);
	assert_int_equal(world.workers[0].job->n_items, 3);
}

/* ---- what a transaction has ---- */

static void
a_row_is_a_transactions_until_that_ends(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	assert_int_equal(n_running(), 0);
	SAY(&ann, tx, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
}

static void
its_own_row_is_free_to_it(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	LOCK(&ann, tx, "7");
}

static void
a_savepoint_gives_back_what_was_locked_since(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "6");
	SAY(&ann, tx, "SAVEPOINT", "s");
	finish(runs("SAVEPOINT \"s\""), "SAVEPOINT");
	lk_buf_truncate(&ann.got, 0);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "6");
	UPDATE(&eve, "e", "7");
	assert_int_equal(n_running(), 0);
	SAY(&ann, tx, "ROLLBACK", "TO", "s");
	finish(runs("ROLLBACK TO SAVEPOINT \"s\""), "ROLLBACK");
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
	expect_nothing(&bob);
}

static void
a_failed_transaction_has_no_rows(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	SAY(&ann, tx, "SQL", "wrong");
	fail_with(runs("wrong"), LK_ERR_PG, "22012");
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
}

static void
a_row_that_was_not_found_is_nobodys(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	SAY(&ann, tx, "UPDATE", "users", "7", "SET", "age", "=", "1", "IF",
	    "age", "=", "3");
	done(has_key("7"), 0);
	expect(&ann, "+null\r\n");
	UPDATE(&bob, "b", "7");
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
}

static void
locks_that_agree_are_held_together(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	SAY(&ann, tx, "GET", "users", "7", "FOR", "KEY", "SHARE");
	done(has_key("7"), 1);
	SAY(&bob, other, "GET", "users", "7", "FOR", "SHARE");
	done(has_key("7"), 1);
	/* Beside a key share, not beside a share. */
	UPDATE(&eve, "e", "7");
	assert_int_equal(n_running(), 0);
	SAY(&bob, other, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
	SAY(&eve, "@f", "DELETE", "users", "7");
	assert_int_equal(n_running(), 0);
	SAY(&ann, tx, "ROLLBACK");
	finish(runs("ROLLBACK"), "ROLLBACK");
	done(has_key("7"), 1);
	expect_tagged(&eve, "f", "row");
	lk_buf_truncate(&ann.got, 0);
	lk_buf_truncate(&bob.got, 0);
}

static void
a_lost_session_frees_its_rows(void **state)
{
	char tx[32];
	uint32_t w;

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	for (w = 0; world.core->workers[w]->tx == NULL; w++)
		;
	go_down(w);
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
}

static void
a_dead_clients_rows_are_free(void **state)
{
	char tx[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	vanish(&ann);
	finish(runs("ROLLBACK"), "ROLLBACK");
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
}

static void
with_nothing_resolved_transactions_keep_nobody_waiting_here(void **state)
{
	char tx[32];

	(void)state;
	world.config.deadlock_mode = LK_DEADLOCK_REPORT;
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	assert_int_equal(n_running(), 1);	/* it waits in PostgreSQL */
	UPDATE(&eve, "e", "7");
	assert_int_equal(n_running(), 1);	/* behind another statement */
}

/* Nobody would end a ring of theirs any more. */
static void
a_new_configuration_may_let_them_go(void **state)
{
	static struct lk_config next;
	struct lk_error error;
	char tx[32];

	(void)state;
	lk_assert_loop();
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	assert_int_equal(n_running(), 0);
	next = world.config;
	next.deadlock_mode = LK_DEADLOCK_OFF;
	world.next_config = &next;
	lk_error_init(&error);
	assert_int_equal(lk_core_reload(world.core, &error), 0);
	assert_int_equal(n_running(), 1);
}

/* ---- transactions that wait ---- */

static void
a_transactions_statement_waits_for_another_transaction(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	LOCK(&ann, tx, "7");
	LOCK(&bob, other, "8");
	UPDATE_IN(&bob, "b", other, "7");
	assert_int_equal(n_running(), 0);
	SAY(&ann, tx, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
	lk_buf_truncate(&ann.got, 0);
}

/* Scenario: its lock time over, all is as if PostgreSQL had said so. */
static void
a_lock_time_fails_the_transaction_on_the_server(void **state)
{
	char tx[32], other[32];

	(void)state;
	lk_assert_loop();
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	LOCK(&ann, tx, "7");
	LOCK(&bob, other, "8");
	SAY(&bob, other, "?100", "UPDATE", "users", "7", "SET", "age", "=",
	    "1");
	assert_int_equal(n_running(), 0);
	pass_ms(100);
	assert_int_equal(n_running(), 1);
	pass_until_look(20);
	answer_look_with_wait(has_key("7"), 0, 2 * LK_US_PER_MS);
	answer_cancels(true);
	die_by_cancel(has_key("7"));
	expect_error(&bob, "LOCKTIMEOUT", "row in accounts");
	assert_int_equal(lk_buf_cstr(&bob.got)[0], '\0');
}

static void
a_cancel_in_a_transaction_reaches_the_server(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	LOCK(&ann, tx, "7");
	LOCK(&bob, other, "8");
	UPDATE_IN(&bob, "b", other, "7");
	SAY(&bob, "CANCEL", "b");
	lk_buf_truncate(&bob.got, 0);
	assert_int_equal(world.n_cancels, 1);
	answer_cancels(true);
	die_by_cancel(has_key("7"));
	expect_tagged_error(&bob, "CANCELED", "");
}

/* Scenario 31. */
static void
transactions_pass_who_has_no_slot(void **state)
{
	char tx[32], other[32];

	(void)state;
	world.databases[0].workers_max = 2;
	vanish(&eve);
	connect_as(&eve, 13);
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	LOCK(&ann, tx, "1");
	LOCK(&bob, other, "2");
	SAY(&eve, "@x", "SQL", "slow");
	SAY(&eve, "@y", "SQL", "slower");
	UPDATE(&eve, "e", "7");		/* its turn, and no slot */
	LOCK(&ann, tx, "7");
	UPDATE_IN(&bob, "b", other, "7");
	SAY(&ann, tx, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	done(has_key("7"), 1);
	lk_buf_truncate(&bob.got, 0);
	SAY(&bob, other, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	finish(runs("slow"), "slow");
	finish(runs("slower"), "slower");
	lk_buf_truncate(&eve.got, 0);
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
	lk_buf_truncate(&ann.got, 0);
	lk_buf_truncate(&bob.got, 0);
}

/* And has its place in the queue there, which comes, however many there are. */
static void
who_has_been_passed_for_long_goes_to_postgresql(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&eve, "%e", NULL, other);
	LOCK(&ann, tx, "1");
	LOCK(&eve, other, "2");
	LOCK(&ann, tx, "7");
	UPDATE(&bob, "b", "7");
	UPDATE_IN(&eve, "e", other, "7");
	commit_tx(&ann, tx);
	done(has_key("7"), 1);
	begin(&ann, "%a", NULL, tx);
	LOCK(&ann, tx, "1");
	UPDATE_IN(&ann, "a", tx, "7");
	assert_int_equal(n_running(), 0);
	pass_ms(99);
	commit_tx(&eve, other);
	assert_int_equal(n_running(), 1);
	done(has_key("7"), 1);
	begin(&eve, "%e", NULL, other);
	LOCK(&eve, other, "2");
	UPDATE_IN(&eve, "e", other, "7");
	pass_ms(1);
	commit_tx(&ann, tx);
	assert_int_equal(n_running(), 2);
	done(has_key("7"), 1);
	done(has_key("7"), 1);
	expect_tagged(&bob, "b", "row");
	commit_tx(&eve, other);
}

/* ---- rings ---- */

static void
cross(char tx[32], char other[32], const char *option)
{
	begin(&ann, "%a", option, tx);
	begin(&bob, "%b", option, other);
	LOCK(&ann, tx, "1");
	LOCK(&bob, other, "2");
	UPDATE_IN(&ann, "a", tx, "2");
	expect_nothing(&ann);
	UPDATE_IN(&bob, "b", other, "1");
}

/* Scenario 5. */
static void
a_ring_is_refused_as_it_closes(void **state)
{
	char tx[32], other[32];

	(void)state;
	cross(tx, other, NULL);
	assert_null(world.look);
	expect_nothing(&bob);	/* it is rolled back first */
	finish(runs("ROLLBACK"), "ROLLBACK");
	expect_tagged_error(&bob, "DEADLOCK", "task b of client");
	done(has_key("2"), 1);
	expect_tagged(&ann, "a", "row");
	SAY(&bob, other, "COMMIT");
	expect_error(&bob, "TXABORTED", "");
	assert_int_equal(world.core->n_deadlocks, 1);
	assert_int_equal(world.core->stats.deadlock_victims, 1);
}

static void
who_has_done_more_is_spared(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	LOCK(&ann, tx, "1");
	LOCK(&bob, other, "2");
	LOCK(&bob, other, "3");
	UPDATE_IN(&ann, "a", tx, "2");
	UPDATE_IN(&bob, "b", other, "1");
	finish(runs("ROLLBACK"), "ROLLBACK");
	expect_tagged_error(&ann, "DEADLOCK", "");
	done(has_key("1"), 1);
	expect_tagged(&bob, "b", "row");
}

/* Nobody is refused: all are sent for PostgreSQL to say. */
static void
expect_proof(const char *key)
{
	expect_nothing(&ann);
	expect_nothing(&bob);
	assert_int_equal(n_running(), 0);
	pass_until_look(20);
	answer_look();
	assert_int_equal(n_running(), 1);
	assert_int_equal(world.n_cancels, 0);
	done(has_key(key), 1);
}

static void
a_row_made_in_the_same_transaction_proves_nothing(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	SAY(&ann, tx, "CREATE", "users", "name", "=", "x");
	finish(has_key("x"), "row");
	lk_buf_truncate(&ann.got, 0);
	LOCK(&ann, tx, "1");
	LOCK(&bob, other, "2");
	UPDATE_IN(&ann, "a", tx, "2");
	UPDATE_IN(&bob, "b", other, "1");
	pass_until_look(20);
	answer_look();
	assert_int_equal(n_running(), 1);
	assert_int_equal(world.core->n_deadlocks, 0);
}

static void
a_condition_proves_nothing(void **state)
{
	char tx[32], other[32];

	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&bob, "%b", NULL, other);
	LOCK(&ann, tx, "1");
	LOCK(&bob, other, "2");
	SAY(&ann, "@a", tx, "DELETE", "users", "2", "IF", "age", "=", "3");
	UPDATE_IN(&bob, "b", other, "1");
	expect_proof("2");
	assert_int_equal(world.core->n_deadlocks, 0);
	expect_tagged(&ann, "a", "row");
}

static void
an_older_snapshot_proves_nothing(void **state)
{
	char tx[32], other[32];

	(void)state;
	cross(tx, other, "SERIALIZABLE");
	assert_int_equal(world.core->n_deadlocks, 0);
	expect_proof("2");
}

/* ---- many ---- */

static void
a_million_keys_cost_no_memory_once_they_are_free(void **state)
{
	char key[16];
	int i;

	(void)state;
	for (i = 0; i < 1000000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		SAY(&ann, "DELETE", "users", key);
		done(has_key(key), 1);
		lk_buf_truncate(&ann.got, 0);
		assert_true(world.core->lanes.n_nodes <= 1);
	}
	assert_true(world.core->lanes.n_buckets <= 16);
}

static void
a_transaction_keeps_so_many_rows_and_no_more(void **state)
{
	char tx[32], key[16];
	int i;

	(void)state;
	begin(&ann, "%a", NULL, tx);
	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		LOCK(&ann, tx, key);
	}
	assert_int_equal(world.core->lanes.n_nodes, 1000);
	/* Of the others PostgreSQL knows. */
	UPDATE(&bob, "b", "2999");
	assert_int_equal(n_running(), 1);
}

/* ---- group commit ---- */

/* The worker that has the group; n statements and COMMIT. */
static uint32_t
has_group(size_t n)
{
	uint32_t w = runs("COMMIT");
	const struct lk_job *job = world.workers[w].job;

	assert_true(job->is_unit && job->is_group);
	assert_int_equal(job->n_items, n + 1);
	assert_string_equal(job->begin,
	    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
	return w;
}

/* It has committed; each statement has a reply of its own. */
static void
finish_group(uint32_t w)
{
	struct lk_job *job = world.workers[w].job;
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		job->items[i].outcome = LK_ITEM_DONE;
		job->items[i].n_rows = 1;
		lk_buf_printf(&job->items[i].reply, "+%zu\r\n", i);
	}
	job->after = LK_XACT_IDLE;
	hand_back(w);
}

/* One out, and three that wait for its row. */
static void
begin_group(void)
{
	UPDATE(&ann, "a", "7");
	UPDATE(&ann, "x", "7");
	UPDATE(&bob, "b", "7");
	UPDATE(&eve, "e", "7");
	done(has_key("7"), 1);
	expect_tagged(&ann, "a", "row");
}

static void
those_who_wait_share_a_commit(void **state)
{
	(void)state;
	begin_group();
	assert_int_equal(n_running(), 1);
	expect_nothing(&bob);
	UPDATE(&bob, "c", "7");
	finish_group(has_group(3));
	expect_tagged(&ann, "x", "0");
	expect_tagged(&bob, "b", "1");
	expect_tagged(&eve, "e", "2");
	done(has_key("7"), 1);
	expect_tagged(&bob, "c", "row");
	assert_int_equal(world.core->stats.groups, 1);
	assert_int_equal(world.core->stats.grouped, 3);
}

static void
a_group_has_batch_max_statements(void **state)
{
	(void)state;
	world.config.batch_max = 2;
	begin_group();
	finish_group(has_group(2));
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
}

/* What fails of it fails alone, and the others get what is theirs. */
static void
a_failed_group_is_sent_again_one_by_one(void **state)
{
	uint32_t w;
	size_t i;

	(void)state;
	begin_group();
	w = has_group(3);
	for (i = 0; i < 4; i++)
		world.workers[w].job->items[i].outcome = LK_ITEM_UNSENT;
	fail_item(w, 1, LK_ERR_PG, "23514");
	expect_nothing(&bob);
	done(has_key("7"), 1);
	expect_tagged(&ann, "x", "row");
	expect_nothing(&bob);
	fail_with(has_key("7"), LK_ERR_PG, "23514");
	expect_tagged_error(&bob, "PG 23514", "");
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
	assert_int_equal(world.core->stats.group_replays, 1);
}

static void
after_a_failed_group_a_lane_has_none_for_a_while(void **state)
{
	uint32_t w;

	(void)state;
	lk_assert_loop();
	begin_group();
	w = has_group(3);
	fail_item(w, 3, LK_ERR_PG, "40001");
	UPDATE(&ann, "a", "7");
	UPDATE(&ann, "y", "7");
	for (w = 0; w < 4; w++) {
		assert_int_equal(world.workers[has_key("7")].job->n_items, 1);
		done(has_key("7"), 1);
	}
	assert_int_equal(world.workers[has_key("7")].job->n_items, 1);
	UPDATE(&ann, "z", "7");
	UPDATE(&ann, "w", "7");
	set_now(world.now_us + LK_US_PER_S);
	lk_core_run_timers(world.core);
	done(has_key("7"), 1);
	finish_group(has_group(2));
	lk_buf_truncate(&ann.got, 0);
	lk_buf_truncate(&bob.got, 0);
	lk_buf_truncate(&eve.got, 0);
}

static void
a_cancelled_member_has_done_nothing(void **state)
{
	uint32_t w;

	(void)state;
	begin_group();
	w = has_group(3);
	SAY(&bob, "CANCEL", "b");
	lk_buf_truncate(&bob.got, 0);
	answer_cancels(true);
	fail_item(w, 0, LK_ERR_PG, "57014");
	expect_tagged_error(&bob, "CANCELED", "");
	done(has_key("7"), 1);
	expect_tagged(&ann, "x", "row");
	done(has_key("7"), 1);
	expect_tagged(&eve, "e", "row");
}

static int
begin_sharing_two_slots(void **state)
{
	(void)state;
	begin_lanes(2, 2);
	return 0;
}

/* They are to be sent again, and until then others may have the slot. */
static void
who_shares_with_one_that_is_being_ended_is_in_no_deadlock(void **state)
{
	char tx[32], other[32];
	uint32_t holder, group;

	lk_assert_loop();
	(void)state;
	begin(&ann, "%a", NULL, tx);
	begin(&ann, "%a", NULL, other);
	SAY(&ann, "%a", tx, "SQL", "lock");
	holder = runs("lock");
	finish(holder, "locked");
	expect(&ann, "+locked\r\n");
	UPDATE(&bob, "p", "7");
	UPDATE(&bob, "b", "7");
	UPDATE(&eve, "e", "7");
	done(has_key("7"), 1);
	expect_tagged(&bob, "p", "row");
	group = has_group(2);
	SAY(&ann, "%a", other, "SQL", "more");
	pass_until_look(100);
	SAY(&bob, "CANCEL", "b");
	expect(&bob, ":1\r\n");
	answer_look_with_wait(group, holder, 90 * LK_US_PER_MS);
	assert_int_equal(world.core->n_deadlocks, 0);
	expect_nothing(&ann);
	answer_cancels(true);
	die_by_cancel(group);
	expect_tagged_error(&bob, "CANCELED", "");
	finish(runs("more"), "more");
	expect(&ann, "+more\r\n");
}

static void
a_group_that_may_have_committed_is_unknown(void **state)
{
	uint32_t w;

	(void)state;
	begin_group();
	w = has_group(3);
	world.workers[w].job->items[3].outcome = LK_ITEM_LOST;
	lk_error_set(&world.workers[w].job->items[3].error, LK_ERR_CONNLOST,
	    "it is gone");
	world.workers[w].job->after = LK_XACT_GONE;
	hand_back(w);
	go_down(w);
	expect_tagged_error(&bob, "UNKNOWN", "whether it committed");
	expect_tagged_error(&eve, "UNKNOWN", "whether it committed");
	assert_int_equal(n_running(), 0);
}

/* DELETE, a column in an index, and whatever the configuration says. */
static void
only_what_nothing_hangs_on_shares_a_commit(void **state)
{
	(void)state;
	UPDATE(&ann, "a", "7");
	SAY(&bob, "@b", "DELETE", "users", "7");
	SAY(&bob, "@c", "UPDATE", "users", "7", "SET", "email", "=", "x");
	UPDATE(&eve, "e", "7");
	done(has_key("7"), 1);
	assert_int_equal(world.workers[has_key("7")].job->n_items, 1);
	world.config.group_commit = LK_GROUP_ALWAYS;
	done(has_key("7"), 1);
	finish_group(has_group(2));
	lk_buf_truncate(&ann.got, 0);
	lk_buf_truncate(&bob.got, 0);
	lk_buf_truncate(&eve.got, 0);
	world.config.group_commit = LK_GROUP_OFF;
	begin_group();
	assert_int_equal(world.workers[has_key("7")].job->n_items, 1);
}

/* ---- those that are one statement ---- */

/* n that wait behind one that is out; the last adds to another column. */
static void
begin_alike(size_t n, bool has_other)
{
	struct lk_column *columns = orm_model(
	    world.core->databases[0].catalog, "users")->columns;
	char tag[16];
	size_t i;

	columns[3].type = columns[3].base_type = 23;
	for (i = 0; i < n + 1; i++) {
		snprintf(tag, sizeof(tag), "@%zu", i);
		SAY(&bob, tag, "UPDATE", "users", "7", "SET", "age",
		    i == n && has_other ? "-=" : "+=", "1");
	}
	done(has_key("7"), 1);
	expect_tagged(&bob, "0", "row");
}

static void
those_of_one_shape_are_one_statement(void **state)
{
	static const char last[] = "*3\r\n+reply\r\n$2\r\n16\r\n+15\r\n";
	struct lk_job *job;
	uint32_t w;

	(void)state;
	begin_alike(16, false);
	w = has_group(16);
	job = world.workers[w].job;
	assert_non_null(strstr(job->together.sql, "UPDATE"));
	assert_int_equal(job->together.types[0], 1007);
	assert_int_equal(job->together.types[1], 1007);
	job->was_together = true;
	finish_group(w);
	assert_string_equal(lk_buf_cstr(&bob.got) + bob.got.len -
	    strlen(last), last);
	lk_buf_truncate(&bob.got, 0);
	assert_int_equal(world.core->stats.grouped, 16);
	assert_int_equal(world.core->stats.folded, 16);
	assert_int_equal(world.core->stats.coalesced, 0);
}

static void
few_are_not(void **state)
{
	(void)state;
	begin_alike(15, false);
	assert_null(world.workers[has_group(15)].job->together.sql);
	finish_group(has_group(15));
	assert_int_equal(world.core->stats.folded, 0);
	lk_buf_truncate(&bob.got, 0);
}

static void
nor_those_of_several_shapes(void **state)
{
	(void)state;
	begin_alike(20, true);
	assert_null(world.workers[has_group(20)].job->together.sql);
	finish_group(has_group(20));
	assert_int_equal(world.core->stats.folded, 0);
	lk_buf_truncate(&bob.got, 0);
}

/* What has kept it from being one may be what the snapshot does not know. */
static void
one_that_fails_has_the_catalog_read_anew(void **state)
{
	uint64_t n_read;
	uint32_t w;
	size_t i;

	(void)state;
	lk_assert_loop();
	begin_alike(16, false);
	n_read = world.core->stats.catalogs;
	w = has_group(16);
	for (i = 0; i < 16; i++)
		world.workers[w].job->items[i].outcome = LK_ITEM_UNSENT;
	fail_item(w, 16, LK_ERR_PG, "22012");
	expect_nothing(&bob);
	for (i = 1; i < 17; i++) {
		assert_int_equal(world.workers[has_key("7")].job->n_items, 1);
		done(has_key("7"), 1);
	}
	lk_buf_truncate(&bob.got, 0);
	assert_int_equal(world.core->stats.group_replays, 1);
	assert_int_equal(world.core->stats.folded, 0);
	set_now(world.now_us + 2 * LK_US_PER_S);
	lk_core_run_timers(world.core);
	assert_int_equal(world.core->stats.catalogs, n_read + 1);
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, begin_each, end_each)
#define SHARING(name)							\
	cmocka_unit_test_setup_teardown(name, begin_sharing, end_each)
	const struct CMUnitTest tests[] = {
		TEST(writers_of_one_row_go_one_after_another),
		TEST(other_rows_are_not_kept_waiting),
		TEST(a_queue_for_one_row_takes_one_slot),
		TEST(who_waits_in_a_lane_can_be_cancelled),
		TEST(a_lock_time_counts_in_a_lane),
		TEST(who_reads_nothing_leaves_the_lane_when_its_turn_comes),
		TEST(a_deadline_passes_in_phase_lock),
		cmocka_unit_test_setup_teardown(
		    a_turn_keeps_until_there_is_a_slot, begin_with_one_slot,
		    end_each),
		TEST(who_waits_and_for_whom_is_to_be_seen),
		TEST(a_transactions_waiters_are_to_be_seen_before_any_look),
		cmocka_unit_test_setup_teardown(
		    who_waits_for_the_first_session_is_to_be_seen,
		    begin_without_sessions, end_each),
		TEST(a_row_is_a_transactions_until_that_ends),
		TEST(its_own_row_is_free_to_it),
		TEST(a_savepoint_gives_back_what_was_locked_since),
		TEST(a_failed_transaction_has_no_rows),
		TEST(a_row_that_was_not_found_is_nobodys),
		TEST(locks_that_agree_are_held_together),
		TEST(a_lost_session_frees_its_rows),
		TEST(a_dead_clients_rows_are_free),
		TEST(with_nothing_resolved_transactions_keep_nobody_waiting_here),
		TEST(a_new_configuration_may_let_them_go),
		TEST(a_transactions_statement_waits_for_another_transaction),
		TEST(a_lock_time_fails_the_transaction_on_the_server),
		TEST(a_cancel_in_a_transaction_reaches_the_server),
		TEST(transactions_pass_who_has_no_slot),
		TEST(who_has_been_passed_for_long_goes_to_postgresql),
		TEST(a_ring_is_refused_as_it_closes),
		TEST(who_has_done_more_is_spared),
		TEST(a_row_made_in_the_same_transaction_proves_nothing),
		TEST(a_condition_proves_nothing),
		TEST(an_older_snapshot_proves_nothing),
		SHARING(those_who_wait_share_a_commit),
		SHARING(a_group_has_batch_max_statements),
		SHARING(a_failed_group_is_sent_again_one_by_one),
		SHARING(after_a_failed_group_a_lane_has_none_for_a_while),
		SHARING(a_cancelled_member_has_done_nothing),
		cmocka_unit_test_setup_teardown(
		    who_shares_with_one_that_is_being_ended_is_in_no_deadlock,
		    begin_sharing_two_slots, end_each),
		SHARING(a_group_that_may_have_committed_is_unknown),
		SHARING(only_what_nothing_hangs_on_shares_a_commit),
		SHARING(those_of_one_shape_are_one_statement),
		SHARING(few_are_not),
		SHARING(nor_those_of_several_shapes),
		SHARING(one_that_fails_has_the_catalog_read_anew),
		TEST(a_million_keys_cost_no_memory_once_they_are_free),
		TEST(a_transaction_keeps_so_many_rows_and_no_more),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
