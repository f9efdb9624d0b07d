/* Reads by key in core: many in a job, and each request's own. */
#include "core_world.h"
#include "orm_models.h"

static struct fake_conn ann, bob;

static int
begin_each(void **state)
{
	(void)state;
	lk_assert_loop();
	begin_unread_world(1, 3, 3);
	lk_core_run_timers(world.core);
	answer_catalog(0, orm_catalog());
	connect_as(&ann, 11);
	connect_as(&bob, 12);
	return 0;
}

static int
end_each(void **state)
{
	(void)state;
	vanish(&ann);
	vanish(&bob);
	end_world();
	return 0;
}

/* Each item's reply is its first parameter. */
static void
answer_each(uint32_t w)
{
	struct lk_job *job = world.workers[w].job;
	struct lk_item *item;
	size_t i;

	assert_non_null(job);
	for (i = 0; i < job->n_items; i++) {
		item = &job->items[i];
		item->outcome = LK_ITEM_DONE;
		lk_buf_printf(&item->reply, "+%.*s\r\n",
		    (int)item->params[0].len, item->params[0].data);
	}
	job->was_together = job->together.sql != NULL;
	job->after = LK_XACT_IDLE;
	hand_back(w);
}

static void
fail_each(uint32_t w, const char *sqlstate)
{
	struct lk_job *job = world.workers[w].job;
	size_t i;

	assert_non_null(job);
	for (i = 0; i < job->n_items; i++) {
		job->items[i].outcome = LK_ITEM_FAILED;
		lk_error_set(&job->items[i].error, LK_ERR_PG, "its words");
		lk_error_set_sqlstate(&job->items[i].error, sqlstate);
	}
	job->after = LK_XACT_IDLE;
	hand_back(w);
}

/* The worker whose job has the read of this key. */
static uint32_t
reads(const char *key)
{
	const struct lk_job *job;
	uint32_t w;
	size_t i;

	for (w = 0; w < MAX_WORKERS; w++) {
		job = world.workers[w].job;
		for (i = 0; job != NULL && i < job->n_items; i++) {
			if (strcmp(job->items[i].params[0].data, key) == 0)
				return w;
		}
	}
	fail_msg("nobody reads %s", key);
	return 0;
}

static void
expect_reply(struct fake_conn *conn, const char *tag, const char *value)
{
	char text[100];

	snprintf(text, sizeof(text), "*3\r\n+reply\r\n$%zu\r\n%s\r\n%s",
	    strlen(tag), tag, value);
	if (strstr(lk_buf_cstr(&conn->got), text) == NULL)
		fail_msg("no %s in %s", text, lk_buf_cstr(&conn->got));
}

/* What two readers are busy with, so that others gather. */
static void
keep_readers_busy(void)
{
	SAY(&bob, "@x", "GET", "users", "1");
	SAY(&bob, "@y", "GET", "users", "2");
	assert_int_equal(n_running(), 2);
}

/* Those that were kept waiting are in one job now; its worker. */
static uint32_t
free_a_reader(size_t n)
{
	uint32_t w;

	answer_each(runs("SELECT t.\"id\", t.\"name\", t.\"email\", t.\"age\", "
	    "t.\"meta\", t.\"boss_id\" FROM \"public\".\"users\" AS t WHERE "
	    "t.\"id\" = $1"));
	for (w = 0; w < MAX_WORKERS; w++) {
		if (world.workers[w].job != NULL &&
		    world.workers[w].job->n_items == n)
			return w;
	}
	fail_msg("no job of %zu", n);
	return 0;
}

static void
a_read_that_comes_alone_goes_alone(void **state)
{
	struct lk_job *job;

	(void)state;
	SAY(&ann, "GET", "tags", "7");
	job = world.workers[2].job;
	assert_non_null(job);
	assert_int_equal(job->n_items, 1);
	assert_null(job->together.sql);
	assert_false(job->clean);
	answer_each(2);
	expect(&ann, "+7\r\n");
}

static void
what_gathers_is_asked_for_in_one_statement(void **state)
{
	struct lk_job *job;
	uint32_t w;

	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "7");
	SAY(&ann, "@b", "GET", "users", "07");
	SAY(&bob, "@c", "GET", "users", "8");
	assert_int_equal(n_running(), 2);	/* though a third is idle */
	w = free_a_reader(3);
	job = world.workers[w].job;
	assert_string_equal(job->together.sql, "SELECT t.*, k.n FROM "
	    "unnest($1) WITH ORDINALITY AS k(c1, n) CROSS JOIN LATERAL (SELECT "
	    "t.\"id\", t.\"name\", t.\"email\", t.\"age\", t.\"meta\", "
	    "t.\"boss_id\" FROM \"public\".\"users\" AS t WHERE t.\"id\" = "
	    "k.c1) AS t");
	assert_int_equal(job->together.types[0], 1007);
	answer_each(w);
	expect_reply(&ann, "a", "+7");
	expect_reply(&ann, "b", "+07");
	expect_reply(&bob, "c", "+8");
	SAY(&ann, "SHOW", "stats");
	assert_non_null(strstr(lk_buf_cstr(&ann.got),
	    "batches\r\n:1\r\n"));
	assert_non_null(strstr(lk_buf_cstr(&ann.got),
	    "batched\r\n:3\r\n"));
	assert_non_null(strstr(lk_buf_cstr(&ann.got),
	    "coalesced\r\n:3\r\n"));
}

static void
a_batch_is_as_large_as_the_config_allows(void **state)
{
	(void)state;
	world.config.batch_max = 2;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&ann, "@b", "GET", "users", "4");
	SAY(&ann, "@c", "GET", "users", "5");
	answer_each(free_a_reader(2));
	answer_each(free_a_reader(1));
	expect_reply(&ann, "c", "+5");
}

static void
another_reads_when_one_is_slow(void **state)
{
	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	pass_ms(4);
	assert_int_equal(n_running(), 2);
	pass_ms(1);
	assert_int_equal(n_running(), 3);
}

static void
reads_are_in_nobodys_way(void **state)
{
	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&ann, "@b", "SQL", "other");
	assert_int_equal(n_running(), 3);
	finish(runs("other"), "other");
	expect_reply(&ann, "b", "+other");
}

static void
those_of_different_shapes_go_one_behind_the_other(void **state)
{
	struct lk_job *job;
	uint32_t w;

	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3", "FIELDS", "id");
	SAY(&ann, "@b", "LOAD", "users", "4", "posts");
	SAY(&ann, "@c", "FIRST", "users", "WHERE", "id", "=", "5");
	w = free_a_reader(3);
	job = world.workers[w].job;
	assert_null(job->together.sql);
	assert_string_not_equal(job->items[0].sql, job->items[1].sql);
	answer_each(w);
	expect_reply(&ann, "a", "+3");
	expect_reply(&ann, "b", "+4");
	expect_reply(&ann, "c", "+5");
}

static void
what_is_no_read_by_key_is_in_no_batch(void **state)
{
	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "FIND", "users", "WHERE", "age", "=", "3");
	assert_int_equal(n_running(), 3);
	SAY(&ann, "@b", "FIND", "users", "WHERE", "age", "=", "4");
	SAY(&ann, "@c", "COUNT", "users");
	answer_each(2);
	assert_int_equal(world.workers[2].job->n_items, 1);
}

static void
an_error_is_its_items_own(void **state)
{
	uint32_t w;

	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&bob, "@b", "GET", "users", "4");
	w = free_a_reader(2);
	lk_buf_puts(&world.workers[w].job->items[1].reply, "+4\r\n");
	world.workers[w].job->items[1].outcome = LK_ITEM_DONE;
	fail_with(w, LK_ERR_PG, "22003");
	expect_reply(&ann, "a", "-PG 22003 the server's words");
	expect_reply(&bob, "b", "+4");
}

static void
who_is_cancelled_leaves_and_the_last_is_cancelled_on_the_server(void **state)
{
	uint32_t w;

	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&bob, "@b", "GET", "users", "4");
	SAY(&bob, "@c", "GET", "users", "5");
	w = free_a_reader(3);
	SAY(&bob, "CANCEL", "b");
	expect_reply(&bob, "b", "-CANCELED 57014");
	assert_int_equal(world.n_cancels, 0);
	vanish(&ann);
	assert_int_equal(world.n_cancels, 0);
	SAY(&bob, "CANCEL", "c");
	assert_int_equal(world.n_cancels, 1);
	assert_null(strstr(lk_buf_cstr(&bob.got), "\r\nc\r\n"));
	answer_cancels(true);
	fail_each(w, "57014");
	expect_reply(&bob, "c", "-CANCELED 57014");
	assert_int_equal(n_running(), 1);
}

static void
what_comes_back_for_who_has_left_is_dropped(void **state)
{
	uint32_t w;

	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "~3", "GET", "users", "3");
	SAY(&bob, "@b", "GET", "users", "4");
	w = free_a_reader(2);
	pass_ms(3);
	expect_reply(&ann, "a",
	    "-TIMEOUT 57014 the deadline of 3 ms passed in phase run");
	lk_buf_truncate(&ann.got, 0);
	answer_each(w);
	expect_nothing(&ann);
	expect_reply(&bob, "b", "+4");
}

static void
a_batch_that_waits_for_a_lock_is_asked_again_one_by_one(void **state)
{
	uint32_t w;

	(void)state;
	lk_assert_loop();
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&bob, "@b", "~20", "GET", "users", "4");
	SAY(&bob, "@c", "GET", "users", "5");
	w = free_a_reader(3);
	pass_until_look(100);
	add_wait(world.workers[w].pid, 77, 5 * LK_US_PER_MS);
	answer_look();
	assert_int_equal(world.n_cancels, 1);
	/* Its deadline passes, and nobody is there to see it but the look. */
	set_now(world.now_us + 10 * LK_US_PER_MS);
	lk_core_run_timers(world.core);
	answer_cancels(true);
	fail_each(w, "57014");
	assert_int_equal(world.workers[reads("4")].job->n_items, 1);
	lk_core_run_timers(world.core);
	answer_look();	/* which was asked for before it was sent alone */
	pass_until_look(100);
	answer_look();
	answer_cancels(true);
	die_by_cancel(reads("4"));
	expect_reply(&bob, "b", "-TIMEOUT 57014");
	assert_int_equal(world.workers[reads("3")].job->n_items, 1);
	answer_each(reads("3"));
	assert_int_equal(world.workers[reads("5")].job->n_items, 1);
	answer_each(reads("5"));
	expect_reply(&ann, "a", "+3");
	expect_reply(&bob, "c", "+5");
}

static void
what_was_not_sent_is_queued_again(void **state)
{
	struct lk_job *job;
	uint32_t w;

	(void)state;
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&ann, "@b", "GET", "users", "4");
	w = free_a_reader(2);
	job = world.workers[w].job;
	lk_buf_puts(&job->items[0].reply, "+3\r\n");
	job->items[0].outcome = LK_ITEM_DONE;
	job->items[1].outcome = LK_ITEM_UNSENT;
	job->after = LK_XACT_IDLE;
	hand_back(w);
	expect_reply(&ann, "a", "+3");
	answer_each(reads("4"));
	expect_reply(&ann, "b", "+4");
}

static void
a_task_reads_after_it_has_written(void **state)
{
	(void)state;
	SAY(&ann, "@w", "%t", "SQL", "write");
	SAY(&ann, "@r", "%t", "GET", "users", "3");
	assert_int_equal(n_running(), 1);
	finish(runs("write"), "write");
	assert_int_equal(n_running(), 1);
	answer_each(reads("3"));
	expect_reply(&ann, "r", "+3");
}

static void
a_paused_clients_reads_wait_outside(void **state)
{
	(void)state;
	lk_assert_loop();
	keep_readers_busy();
	SAY(&ann, "@a", "GET", "users", "3");
	SAY(&bob, "@b", "GET", "users", "4");
	lk_core_client_pause(ann.client, true);
	answer_each(free_a_reader(1));
	expect_nothing(&ann);
	expect_reply(&bob, "b", "+4");
	lk_core_client_pause(ann.client, false);
	free_a_reader(1);
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, begin_each, end_each)
	const struct CMUnitTest tests[] = {
		TEST(a_read_that_comes_alone_goes_alone),
		TEST(what_gathers_is_asked_for_in_one_statement),
		TEST(a_batch_is_as_large_as_the_config_allows),
		TEST(another_reads_when_one_is_slow),
		TEST(reads_are_in_nobodys_way),
		TEST(those_of_different_shapes_go_one_behind_the_other),
		TEST(what_is_no_read_by_key_is_in_no_batch),
		TEST(an_error_is_its_items_own),
		TEST(who_is_cancelled_leaves_and_the_last_is_cancelled_on_the_server),
		TEST(what_comes_back_for_who_has_left_is_dropped),
		TEST(a_batch_that_waits_for_a_lock_is_asked_again_one_by_one),
		TEST(what_was_not_sent_is_queued_again),
		TEST(a_task_reads_after_it_has_written),
		TEST(a_paused_clients_reads_wait_outside),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
