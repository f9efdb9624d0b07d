/*
 * When the catalog of a database is read, who waits for that, and how waiting
 * for it ends.
 */
#include "core_world.h"

#include "core/internal.h"

static struct fake_conn alice, bob;
static struct lk_buf taken;

static struct lk_database *
main_db(void)
{
	return &world.core->databases[0];
}

/* With models of these names, up to NULL. */
static struct lk_catalog *
catalog_of(const char *first, ...)
{
	struct lk_catalog *catalog = lk_catalog_new();
	const char *name;
	uint32_t oid = 1;
	va_list ap;

	va_start(ap, first);
	for (name = first; name != NULL; name = va_arg(ap, const char *))
		lk_catalog_add_model(catalog, oid++, "public", name, true);
	va_end(ap);
	lk_catalog_finish(catalog);
	return catalog;
}

static int
set_up(void **state)
{
	(void)state;
	begin_unread_world(1, 1, 1);
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (alice.client != NULL)
		vanish(&alice);
	vanish(&bob);
	end_world();
	return 0;
}

static void
run_timers(void)
{
	lk_assert_loop();
	lk_core_run_timers(world.core);
}

static bool
is_reading(void)
{
	return world.readers[0].read != NULL;
}

/* The first reading, with one model: users. */
static void
read_first(void)
{
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(1000);
	assert_false(is_reading());
}

static void
expect_description(struct fake_conn *conn, const char *model)
{
	char text[100];

	snprintf(text, sizeof(text), "*20\r\n$5\r\nmodel\r\n$%zu\r\n%s\r\n",
	    strlen(model), model);
	assert_non_null(strstr(lk_buf_cstr(&conn->got), text));
	lk_buf_truncate(&conn->got, 0);
}

/* ---- when it is read ---- */

static void
test_it_is_read_at_the_start_and_not_again(void **state)
{
	(void)state;
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(3600 * 1000);
	assert_false(is_reading());
	assert_int_equal(world.core->stats.catalogs, 1);
}

static void
test_one_that_fails_is_tried_again_ever_more_rarely(void **state)
{
	uint64_t n;

	(void)state;
	run_timers();
	for (n = 1; n < 100 && world.now_us < 3600 * LK_US_PER_S; n++) {
		assert_int_equal(world.core->stats.catalogs, n);
		fail_catalog(0, "too many clients");
		pass_ms(1900);
		assert_false(is_reading());
		while (!is_reading())
			pass_ms(100);
	}
	/* 2, 4, 8, 16, 32, then every 64 s for an hour. */
	assert_in_range(n, 55, 63);
	assert_int_equal(world.core->stats.catalogs_failed, n - 1);
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(200 * 1000);
	assert_false(is_reading());
}

static void
test_it_is_tried_at_once_when_sessions_can_be_opened(void **state)
{
	int i;

	(void)state;
	run_timers();
	for (i = 0; i < 10; i++) {
		fail_catalog(0, "no server");
		while (!is_reading())
			pass_ms(1000);
	}
	fail_catalog(0, "no server");
	pass_ms(2000);
	assert_false(is_reading());
	go_down(0);
	come_up(0);
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
}

static void
test_without_a_thread_it_is_tried_again(void **state)
{
	(void)state;
	world.refuses_reader = true;
	run_timers();
	pass_ms(500);
	assert_false(is_reading());
	assert_int_equal(world.core->stats.catalogs_failed, 1);
	world.refuses_reader = false;
	pass_ms(2000);
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
}

static void
test_a_reload_reads_it_again_but_twice_in_no_second(void **state)
{
	(void)state;
	read_first();
	world.next_config = &world.config;
	vanish(&bob);
	world.uid = 0;
	connect_as(&bob, 30);
	SAY(&bob, "RELOAD");
	expect(&bob, "+OK\r\n");
	run_timers();
	assert_true(is_reading());
	SAY(&bob, "RELOAD");
	expect(&bob, "+OK\r\n");
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(999);
	assert_false(is_reading());
	pass_ms(1);
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(10000);
	assert_false(is_reading());
}

/* What takes long is not done again and again for nobody. */
static void
test_a_slow_reading_rests_for_long(void **state)
{
	(void)state;
	run_timers();
	pass_ms(500);
	answer_catalog(0, catalog_of("users", NULL));
	lk_catalog_doubt(main_db());
	pass_ms(9400);
	assert_false(is_reading());
	pass_ms(200);
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
}

static void
test_a_reload_does_not_rest(void **state)
{
	(void)state;
	world.next_config = &world.config;
	run_timers();
	pass_ms(2000);
	answer_catalog(0, catalog_of("users", NULL));
	vanish(&bob);
	world.uid = 0;
	connect_as(&bob, 30);
	SAY(&bob, "RELOAD");
	expect(&bob, "+OK\r\n");
	run_timers();
	assert_true(is_reading());
	pass_ms(2000);
	answer_catalog(0, catalog_of("users", NULL));
	lk_catalog_doubt(main_db());
	pass_ms(2000);
	assert_false(is_reading());
}

static void
test_an_old_one_is_read_again_only_when_it_is_used(void **state)
{
	(void)state;
	read_first();
	pass_ms(8000);
	assert_non_null(lk_catalog_use(main_db()));
	pass_ms(0);
	assert_false(is_reading());
	pass_ms(3000);
	assert_false(is_reading());
	assert_non_null(lk_catalog_use(main_db()));
	pass_ms(0);
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(100 * 1000);
	assert_false(is_reading());
}

static void
test_a_statement_that_changes_the_schema_brings_another(void **state)
{
	char tx[32];

	(void)state;
	read_first();
	SAY(&alice, "SQL", "ALTER TABLE users ADD n int");
	world.workers[0].job->changed_schema = true;
	finish(0, "ALTER TABLE");
	expect(&alice, "+ALTER TABLE\r\n");
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(1000);

	begin(&alice, "%t", NULL, tx);
	SAY(&alice, "%t", tx, "SQL", "CREATE TABLE posts ()");
	world.workers[0].job->changed_schema = true;
	finish(0, "CREATE TABLE");
	run_timers();
	assert_false(is_reading());	/* nobody else sees it yet */
	SAY(&alice, "%t", tx, "COMMIT");
	world.workers[0].job->changed_schema = true;
	finish(0, "COMMIT");
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("users", "posts", NULL));
}

static void
test_each_database_has_its_own(void **state)
{
	(void)state;
	tear_down(NULL);
	begin_unread_world(2, 1, 1);
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	run_timers();
	answer_catalog(FAR, catalog_of("stars", NULL));
	SAY(&alice, "/far", "DESCRIBE", "stars");
	expect_description(&alice, "stars");
	SAY(&bob, "DESCRIBE", "users");
	expect_nothing(&bob);
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&bob, "users");
	tear_down(NULL);
	set_up(NULL);
}

/* ---- who waits ---- */

static void
test_a_name_that_comes_before_the_first_one_waits(void **state)
{
	(void)state;
	SAY(&alice, "DESCRIBE", "users");
	run_timers();
	expect_nothing(&alice);
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
}

static void
test_an_unknown_name_is_looked_for_in_a_newer_one(void **state)
{
	(void)state;
	read_first();
	SAY(&alice, "DESCRIBE", "posts");
	run_timers();
	expect_nothing(&alice);
	answer_catalog(0, catalog_of("posts", "users", NULL));
	expect_description(&alice, "posts");

	SAY(&alice, "DESCRIBE", "tags");
	pass_ms(900);
	expect_nothing(&alice);
	assert_false(is_reading());	/* twice in no second */
	pass_ms(100);
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("posts", "users", NULL));
	expect_error(&alice, "NOMODEL", "no model \"tags\"");
	pass_ms(10000);
	assert_false(is_reading());
}

/* The snapshot stays, and is as good as a new one. */
static void
test_one_that_finds_nothing_new_answers_too(void **state)
{
	const struct lk_catalog *in_force;

	(void)state;
	run_timers();
	assert_int_equal(world.readers[0].read->known, 0);
	world.readers[0].read->hash = 77;
	answer_catalog(0, catalog_of("users", NULL));
	in_force = main_db()->catalog;
	pass_ms(1000);
	SAY(&alice, "DESCRIBE", "posts");
	run_timers();
	assert_int_equal(world.readers[0].read->known, 77);
	answer_unchanged(0);
	expect_error(&alice, "NOMODEL", "posts");
	SAY(&alice, "DESCRIBE", "users");
	expect_description(&alice, "users");
	assert_ptr_equal(main_db()->catalog, in_force);
	pass_ms(9 * 1000);
	assert_non_null(lk_catalog_use(main_db()));
	pass_ms(100);
	assert_false(is_reading());
	pass_ms(1000);
	assert_non_null(lk_catalog_use(main_db()));
	pass_ms(0);
	assert_int_equal(world.readers[0].read->known, 77);
	fail_catalog(0, "no server");
	assert_ptr_equal(main_db()->catalog, in_force);
	assert_int_equal(world.core->stats.catalogs_failed, 1);
}

/* The same tables may have other names by it. */
static void
test_a_configuration_of_other_models_makes_a_new_one(void **state)
{
	struct lk_config_models models = { 2, NULL, 0 };

	(void)state;
	run_timers();
	world.readers[0].read->hash = 77;
	lk_catalog_doubt(main_db());
	world.config.models = &models;	/* while it is being read */
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(1000);
	run_timers();
	assert_int_equal(world.readers[0].read->known, 0);
	world.readers[0].read->hash = 77;
	answer_catalog(0, catalog_of("people", NULL));
	lk_catalog_doubt(main_db());
	pass_ms(1000);
	run_timers();
	assert_int_equal(world.readers[0].read->known, 77);
	answer_unchanged(0);
	tear_down(NULL);
	assert_int_equal(models.n_holds, 2);
	set_up(NULL);
}

/* It may have been made after that reading began. */
static void
test_a_reading_under_way_is_not_new_enough(void **state)
{
	(void)state;
	read_first();
	SAY(&alice, "DESCRIBE", "posts");
	run_timers();
	SAY(&bob, "DESCRIBE", "tags");
	answer_catalog(0, catalog_of("users", NULL));
	expect_error(&alice, "NOMODEL", "posts");
	expect_nothing(&bob);
	pass_ms(1000);
	run_timers();
	answer_catalog(0, catalog_of("tags", "users", NULL));
	expect_description(&bob, "tags");
}

/* But it may have what somebody else needs. */
static void
test_any_newer_one_is_tried(void **state)
{
	(void)state;
	read_first();
	SAY(&alice, "DESCRIBE", "posts");
	run_timers();
	SAY(&bob, "DESCRIBE", "posts");
	answer_catalog(0, catalog_of("posts", NULL));
	expect_description(&alice, "posts");
	expect_description(&bob, "posts");
	pass_ms(2000);
	assert_false(is_reading());
}

/* What was seen by one who asked before need not be so for one who asks when
 * his turn comes. */
static void
test_it_counts_when_the_turn_comes(void **state)
{
	(void)state;
	read_first();
	SAY(&alice, "SQL", "CREATE TABLE posts ()");
	SAY(&alice, "DESCRIBE", "posts");
	SAY(&bob, "DESCRIBE", "tags");
	run_timers();
	answer_catalog(0, catalog_of("users", NULL));
	expect_error(&bob, "NOMODEL", "tags");
	pass_ms(1500);
	finish(0, "CREATE TABLE");
	expect(&alice, "+CREATE TABLE\r\n");
	run_timers();
	assert_true(is_reading());
	answer_catalog(0, catalog_of("posts", "users", NULL));
	expect_description(&alice, "posts");
}

static void
test_the_requests_behind_wait_too(void **state)
{
	(void)state;
	SAY(&alice, "%t", "@a", "DESCRIBE", "users");
	SAY(&alice, "%t", "@b", "SQL", "SELECT 1");
	SAY(&alice, "%u", "@c", "SQL", "SELECT 2");
	run_timers();
	assert_not_running("SELECT 1");
	assert_int_equal(runs("SELECT 2"), 0);
	finish(0, "SELECT 1");
	assert_int_equal(n_running(), 0);
	answer_catalog(0, catalog_of("users", NULL));
	assert_int_equal(runs("SELECT 1"), 0);
	finish(0, "SELECT 1");
}

static void
test_all_slots_may_be_taken(void **state)
{
	char tx[32];

	(void)state;
	read_first();
	begin(&bob, "%t", NULL, tx);
	SAY(&bob, "%t", tx, "SQL", "SELECT 1");
	SAY(&alice, "DESCRIBE", "posts");
	run_timers();
	answer_catalog(0, catalog_of("posts", NULL));
	expect_description(&alice, "posts");
	finish(0, "SELECT 1");
	SAY(&bob, "%t", tx, "ROLLBACK");
	finish(0, "ROLLBACK");
}

static void
test_what_is_recent_is_said_at_once(void **state)
{
	int i;

	(void)state;
	run_timers();
	answer_catalog(0, catalog_of("users", NULL));
	for (i = 0; i < 9; i++) {
		pass_ms(100);
		SAY(&alice, "DESCRIBE", "users");
		expect_description(&alice, "users");
	}
	lk_catalog_doubt(main_db());
	SAY(&alice, "DESCRIBE", "users");
	expect_nothing(&alice);
	pass_ms(100);
	run_timers();
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
	pass_ms(1000);
	SAY(&alice, "DESCRIBE", "users");
	expect_nothing(&alice);		/* somebody may have altered it */
	run_timers();
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
}

/* However long a reading takes, and whatever is doubted meanwhile. */
static void
test_nobody_waits_for_a_third_one(void **state)
{
	(void)state;
	read_first();
	SAY(&alice, "DESCRIBE", "users");
	SAY(&bob, "DESCRIBE", "posts");
	run_timers();
	lk_catalog_doubt(main_db());
	pass_ms(5000);
	lk_catalog_doubt(main_db());
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
	expect_error(&bob, "NOMODEL", "posts");
	pass_ms(100 * 1000);
	answer_catalog(0, catalog_of("users", NULL));
}

/* ---- how waiting ends ---- */

/* So many that their description is of about 100 KiB. */
static struct lk_catalog *
large_catalog(void)
{
	struct lk_catalog *catalog = lk_catalog_new();
	char name[16];
	uint32_t i;

	for (i = 1; i <= 500; i++) {
		snprintf(name, sizeof(name), "model_%u", (unsigned)i);
		lk_catalog_add_model(catalog, i, "public", name, true);
	}
	lk_catalog_finish(catalog);
	return catalog;
}

/* A turn of the loop has a limit for it, and whoever holds one is waited for. */
static void
test_an_old_one_is_freed_little_by_little(void **state)
{
	struct lk_catalog *held;
	int i;

	(void)state;
	run_timers();
	answer_catalog(0, large_catalog());
	held = lk_catalog_hold(main_db()->catalog);
	lk_catalog_doubt(main_db());
	pass_ms(1000);
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(100);
	assert_null(main_db()->dead_catalogs);
	lk_catalog_let_go(main_db(), &held);
	assert_null(held);
	for (i = 0; i < 4; i++) {
		run_timers();
		run_timers();
		assert_non_null(main_db()->dead_catalogs);
		SAY(&alice, "PING");
		expect(&alice, "+PONG\r\n");
		set_now(world.now_us + LK_US_PER_MS);
	}
	pass_ms(10);
	assert_null(main_db()->dead_catalogs);
}

static void
test_long_replies_take_turns_and_go_to_those_who_read(void **state)
{
	size_t one;
	int i;

	(void)state;
	lk_assert_loop();
	read_first();
	for (i = 0; i < 10; i++)
		SAY(&alice, "MODELS");
	SAY(&bob, "DESCRIBE", "model_1");
	run_timers();
	answer_catalog(0, large_catalog());
	one = alice.got.len;
	assert_in_range(one, 65536, 200000);
	expect_nothing(&bob);
	run_timers();
	assert_int_equal(alice.got.len, 2 * one);
	/* What the connection says when it finds so much unread. */
	lk_core_client_pause(alice.client, true);
	run_timers();
	expect_description(&bob, "model_1");
	run_timers();
	assert_int_equal(alice.got.len, 2 * one);
	lk_core_client_pause(alice.client, false);
	for (i = 0; i < 7; i++)
		run_timers();
	assert_int_equal(alice.got.len, 10 * one);
	lk_buf_truncate(&alice.got, 0);
}

static void
test_a_deadline_says_what_was_waited_for(void **state)
{
	(void)state;
	SAY(&alice, "~50", "DESCRIBE", "users");
	run_timers();
	pass_ms(60);
	expect_error(&alice, "TIMEOUT",
	    "queue, waiting for the catalog of main to be read");
	fail_catalog(0, "no server");
	SAY(&alice, "~50", "DESCRIBE", "users");
	pass_ms(60);
	expect_error(&alice, "TIMEOUT",
	    "to be read; the last reading failed: no server");
	pass_ms(1000);
	answer_catalog(0, catalog_of("users", NULL));
	pass_ms(1000);
	SAY(&alice, "~50", "DESCRIBE", "posts");
	pass_ms(60);
	expect_error(&alice, "TIMEOUT", "the catalog of main to be read again");
	answer_catalog(0, catalog_of("users", NULL));
}

static void
test_cancel_ends_it(void **state)
{
	(void)state;
	SAY(&alice, "@a", "DESCRIBE", "users");
	run_timers();
	SAY(&alice, "CANCEL", "a");
	expect(&alice, "*3\r\n+reply\r\n$1\r\na\r\n-CANCELED 57014 "
	    "ended by CANCEL of its client\r\n:1\r\n");
	answer_catalog(0, catalog_of("users", NULL));
	expect_nothing(&alice);
}

static void
test_who_is_gone_waits_no_more(void **state)
{
	(void)state;
	SAY(&alice, "DESCRIBE", "users");
	SAY(&bob, "DESCRIBE", "users");
	run_timers();
	vanish(&alice);
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&bob, "users");
	assert_int_equal(world.core->n_requests, 0);
}

static void
test_timeouts_queue_ends_it_with_the_reason(void **state)
{
	(void)state;
	world.config.timeout_queue_us = 3 * LK_US_PER_S;
	SAY(&alice, "DESCRIBE", "users");
	pass_ms(0);
	SAY(&bob, "@b", "DESCRIBE", "users");
	fail_catalog(0, "too many clients");
	pass_ms(2900);
	expect_nothing(&alice);
	assert_true(is_reading());	/* each second, for them */
	fail_catalog(0, "too many clients already");
	pass_ms(200);
	expect_error(&alice, "CONNLOST", "the catalog of main was not read "
	    "within 3000 ms: too many clients already");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "CONNLOST"));
	assert_int_equal(world.core->n_requests, 0);
}

static void
test_a_server_that_does_not_answer_is_the_reason_too(void **state)
{
	(void)state;
	SAY(&alice, "DESCRIBE", "users");
	pass_ms(30 * 1000);
	run_timers();
	expect_error(&alice, "CONNLOST", "the server has not answered yet");
	fail_catalog(0, "time is up");
}

/* As with those that wait for a slot. */
static void
test_a_database_that_is_away_is_given_up(void **state)
{
	(void)state;
	SAY(&alice, "DESCRIBE", "users");
	pass_ms(0);
	go_down(0);
	fail_catalog(0, "no server");
	pass_ms(4900);
	expect_nothing(&alice);
	fail_catalog(0, "no server");
	pass_ms(200);
	expect_error(&alice, "CONNLOST", "no session of main could be opened: "
	    "no more session");
	SAY(&alice, "DESCRIBE", "users");
	pass_ms(0);
	expect_error(&alice, "CONNLOST", "no session of main");
	come_up(0);
	SAY(&alice, "DESCRIBE", "users");
	while (!is_reading())
		pass_ms(100);
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
}

/* Who came just before that has all of timeouts.queue. */
static void
test_a_database_that_comes_back_is_waited_for(void **state)
{
	(void)state;
	world.config.timeout_queue_us = 3 * LK_US_PER_S;
	pass_ms(0);
	go_down(0);
	fail_catalog(0, "no server");
	pass_ms(6000);
	if (is_reading())
		fail_catalog(0, "no server");
	SAY(&alice, "DESCRIBE", "users");
	come_up(0);
	while (!is_reading())
		pass_ms(10);
	pass_ms(2000);
	expect_nothing(&alice);
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
}

/* And is told how long that was. */
static void
test_the_time_waited_over_an_outage_is_told(void **state)
{
	(void)state;
	world.config.timeout_queue_us = 3 * LK_US_PER_S;
	pass_ms(0);
	go_down(0);
	fail_catalog(0, "no server");
	pass_ms(6000);
	SAY(&alice, "DESCRIBE", "users");
	come_up(0);
	pass_ms(2900);
	expect_nothing(&alice);
	pass_ms(200);
	expect_error(&alice, "CONNLOST", "was not read within 3000 ms: ");
	if (is_reading())
		fail_catalog(0, "no server");
}

static void
test_the_queue_timeout_does_not_outlive_the_wait(void **state)
{
	(void)state;
	world.config.timeout_queue_us = LK_US_PER_S;
	SAY(&alice, "DESCRIBE", "users");
	pass_ms(0);
	SAY(&alice, "SQL", "SELECT 1");
	pass_ms(900);
	answer_catalog(0, catalog_of("users", NULL));
	expect_description(&alice, "users");
	pass_ms(5000);
	expect_nothing(&alice);
	finish(0, "SELECT 1");
	expect(&alice, "+SELECT 1\r\n");
}

static void
test_the_end_ends_a_reading(void **state)
{
	(void)state;
	SAY(&alice, "DESCRIBE", "users");
	run_timers();
	vanish(&alice);
	assert_true(is_reading());
	tear_down(NULL);
	set_up(NULL);
}

static void
test_the_end_between_answer_and_exit(void **state)
{
	struct lk_msg *msg;

	(void)state;
	run_timers();
	msg = &world.readers[0].read->msg;
	world.readers[0].read->catalog = catalog_of("users", NULL);
	world.readers[0].read = NULL;
	deliver(msg, LK_MSG_CATALOG, READER_BIT);
	assert_true(world.readers[0].is_stopping);
	tear_down(NULL);
	set_up(NULL);
}

/* ---- what the log says ---- */

static const char *
logged(void)
{
	const struct lk_log_form form = { LK_LOG_TEXT, true };
	uint64_t n_dropped;

	lk_buf_truncate(&taken, 0);
	lk_log_take(&form, &taken, &n_dropped);
	return lk_buf_cstr(&taken);
}

static void
test_a_failure_is_logged_once(void **state)
{
	(void)state;
	lk_log_set_level(LK_LOG_INFO);
	lk_log_attach();
	run_timers();
	fail_catalog(0, "no server");
	assert_non_null(strstr(logged(),
	    "main: the catalog could not be read: no server\n"));
	while (!is_reading())
		pass_ms(1000);
	fail_catalog(0, "no server");
	assert_string_equal(logged(), "");
	while (!is_reading())
		pass_ms(1000);
	answer_catalog(0, catalog_of("users", NULL));
	assert_non_null(strstr(logged(), "main: catalog read: 1 models\n"));
	pass_ms(1000);
	lk_catalog_doubt(main_db());
	pass_ms(0);
	answer_catalog(0, catalog_of("users", NULL));
	assert_string_equal(logged(), "");
	lk_log_detach();
	lk_log_set_level(LK_LOG_ERROR);
	lk_buf_fini(&taken);
}

/* Again only when it is something else. */
static void
test_what_the_configuration_names_in_vain_is_logged(void **state)
{
	static const char *const said[] = { "models: a: no\nmodels: b: no\n",
	    "models: a: no\nmodels: b: no\n", "", "models: a: no\n" };
	/* Until the world's end. */
	static struct lk_config_models models = { 2, NULL, 0 };
	const char *first = "main: models: a: no\n";
	size_t i;

	(void)state;
	world.config.models = &models;
	lk_log_set_level(LK_LOG_WARNING);
	lk_log_attach();
	run_timers();
	for (i = 0; i < 4; i++) {
		assert_ptr_equal(world.readers[0].read->models, &models);
		assert_string_equal(world.readers[0].read->database, "main");
		lk_buf_puts(&world.readers[0].read->said, said[i]);
		answer_catalog(0, catalog_of("users", NULL));
		assert_int_equal(models.n_holds, 3);	/* what made it */
		if (i == 0) {
			assert_non_null(strstr(logged(), first));
			assert_non_null(strstr(lk_buf_cstr(&taken),
			    "main: models: b: no\n"));
		} else if (i == 3) {
			assert_non_null(strstr(logged(), first));
		} else {
			assert_string_equal(logged(), "");
		}
		pass_ms(1000);
		lk_catalog_doubt(main_db());
		pass_ms(0);
	}
	answer_catalog(0, catalog_of("users", NULL));
	lk_log_detach();
	lk_log_set_level(LK_LOG_ERROR);
	lk_buf_fini(&taken);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_it_is_read_at_the_start_and_not_again),
		TEST(test_one_that_fails_is_tried_again_ever_more_rarely),
		TEST(test_it_is_tried_at_once_when_sessions_can_be_opened),
		TEST(test_without_a_thread_it_is_tried_again),
		TEST(test_a_reload_reads_it_again_but_twice_in_no_second),
		TEST(test_a_slow_reading_rests_for_long),
		TEST(test_a_reload_does_not_rest),
		TEST(test_an_old_one_is_read_again_only_when_it_is_used),
		TEST(test_a_statement_that_changes_the_schema_brings_another),
		TEST(test_each_database_has_its_own),
		TEST(test_a_name_that_comes_before_the_first_one_waits),
		TEST(test_an_unknown_name_is_looked_for_in_a_newer_one),
		TEST(test_one_that_finds_nothing_new_answers_too),
		TEST(test_a_configuration_of_other_models_makes_a_new_one),
		TEST(test_a_reading_under_way_is_not_new_enough),
		TEST(test_any_newer_one_is_tried),
		TEST(test_it_counts_when_the_turn_comes),
		TEST(test_the_requests_behind_wait_too),
		TEST(test_all_slots_may_be_taken),
		TEST(test_what_is_recent_is_said_at_once),
		TEST(test_nobody_waits_for_a_third_one),
		TEST(test_an_old_one_is_freed_little_by_little),
		TEST(test_long_replies_take_turns_and_go_to_those_who_read),
		TEST(test_a_deadline_says_what_was_waited_for),
		TEST(test_cancel_ends_it),
		TEST(test_who_is_gone_waits_no_more),
		TEST(test_timeouts_queue_ends_it_with_the_reason),
		TEST(test_a_server_that_does_not_answer_is_the_reason_too),
		TEST(test_a_database_that_is_away_is_given_up),
		TEST(test_a_database_that_comes_back_is_waited_for),
		TEST(test_the_time_waited_over_an_outage_is_told),
		TEST(test_the_queue_timeout_does_not_outlive_the_wait),
		TEST(test_the_end_ends_a_reading),
		TEST(test_the_end_between_answer_and_exit),
		TEST(test_a_failure_is_logged_once),
		TEST(test_what_the_configuration_names_in_vain_is_logged),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
