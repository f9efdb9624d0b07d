/* The verbs about models in core: from words to a job, and back. */
#include "core_models.h"

static struct lk_item *
item(void)
{
	assert_non_null(world.workers[0].job);
	assert_int_equal(world.workers[0].job->n_items, 1);
	return &world.workers[0].job->items[0];
}

static struct lk_error *
set_error(const char *sqlstate, const char *message)
{
	struct lk_job *job = world.workers[0].job;

	lk_error_set(&item()->error, LK_ERR_PG, "%s", message);
	lk_error_set_sqlstate(&item()->error, sqlstate);
	item()->outcome = LK_ITEM_FAILED;
	job->after = job->in_tx ? LK_XACT_ERROR : LK_XACT_IDLE;
	return &item()->error;
}

static void
fail_saying(const char *sqlstate, const char *message)
{
	set_error(sqlstate, message);
	hand_back(0);
}

/* The reading that is asked for at the latest in a second comes. */
static void
read_again(struct lk_catalog *catalog)
{
	uint64_t end = world.now_us + LK_US_PER_S;

	lk_assert_loop();
	while (world.readers[0].read == NULL && world.now_us < end) {
		set_now(world.now_us + 10 * LK_US_PER_MS);
		lk_core_run_timers(world.core);
	}
	answer_catalog(0, catalog);
}

static void
expect_param(size_t i, const char *text, uint32_t type)
{
	const struct lk_param *param = &item()->params[i];

	assert_true(i < item()->n_params);
	assert_int_equal(param->len, strlen(text));
	assert_string_equal(param->data, text);
	assert_int_equal(param->type, type);
}

static void
a_verb_becomes_a_statement_with_typed_parameters(void **state)
{
	(void)state;
	SAY(&ann, "UPDATE", "users", "7", "SET", "name", "=", "Bo");
	assert_non_null(strstr(item()->sql, "UPDATE \"public\".\"users\""));
	assert_int_equal(item()->shape, LK_SHAPE_ROW);
	assert_int_equal(item()->n_params, 2);
	assert_true(lk_item_is_typed(item()));
	finish(0, "row");
	expect(&ann, "+row\r\n");
}

/* Keys in a path's own element are parts of it: what follows is no NUL. */
static void
parts_of_an_argument_become_texts_of_their_own(void **state)
{
	(void)state;
	SAY(&ann, "FIND", "users", "WHERE", "meta->a->>b", "=", "c");
	expect_param(0, "a", 25);
	expect_param(1, "b", 25);
	expect_param(2, "c", 25);
	finish(0, "rows");
	expect(&ann, "+rows\r\n");
}

static void
what_is_wrong_never_leaves_the_daemon(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "abc");
	expect_error(&ann, "SYNTAX", "users.id: \"abc\" is no integer");
	assert_int_equal(n_running(), 0);
}

static void
the_text_for_null_is_null_only_as_a_value(void **state)
{
	(void)state;
	SAY(&ann, "HELLO", "NULL", "null");
	lk_buf_truncate(&ann.got, 0);
	SAY(&ann, "FIND", "users", "WHERE", "email", "IS", "null");
	assert_non_null(strstr(item()->sql, "IS NULL"));
	finish(0, "rows");
	expect(&ann, "+rows\r\n");
	SAY(&ann, "UPDATE", "users", "7", "SET", "email", "=", "null");
	expect_param(0, "7", 23);
	assert_null(item()->params[1].data);
	finish(0, "row");
	expect(&ann, "+row\r\n");
}

static void
an_unknown_name_waits_for_a_newer_snapshot(void **state)
{
	struct lk_catalog *catalog = lk_catalog_new();

	(void)state;
	SAY(&ann, "COUNT", "users2");
	expect_nothing(&ann);
	lk_catalog_finish(catalog);
	read_again(catalog);
	expect_error(&ann, "NOMODEL", "no model \"users2\"");
}

static void
a_name_that_has_come_is_used(void **state)
{
	struct lk_catalog *catalog = lk_catalog_new();

	(void)state;
	SAY(&ann, "COUNT", "users2");
	lk_catalog_add_model(catalog, 1, "public", "users2", true);
	lk_catalog_finish(catalog);
	read_again(catalog);
	assert_non_null(strstr(item()->sql, "\"users2\""));
	finish(0, "1");
	expect(&ann, "+1\r\n");
}

/* One reading a second tells all who come meanwhile. */
static void
a_misfit_waits_unless_the_snapshot_is_recent(void **state)
{
	(void)state;
	set_now(world.now_us + 2 * LK_US_PER_S);
	SAY(&ann, "GET", "users", "abc");
	expect_nothing(&ann);
	read_again(orm_catalog());
	expect_error(&ann, "SYNTAX", "users.id: \"abc\" is no integer");
	SAY(&ann, "GET", "users", "abc");
	expect_error(&ann, "SYNTAX", "users.id: \"abc\" is no integer");
	assert_null(world.readers[0].read);
}

static void
what_fits_a_type_that_has_changed_is_used(void **state)
{
	struct lk_catalog *catalog = orm_catalog();
	struct lk_column *id = &orm_model(catalog, "users")->columns[0];

	(void)state;
	set_now(world.now_us + 2 * LK_US_PER_S);
	SAY(&ann, "GET", "users", "abc");
	id->type = id->base_type = 25;
	read_again(catalog);
	expect_param(0, "abc", 25);
	finish(0, "row");
	expect(&ann, "+row\r\n");
}

/* Outside a transaction its client does not hear of it. */
static void
what_the_server_does_not_know_is_compiled_anew_once(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "7");
	fail_saying("42703", "column t.name does not exist");
	expect_nothing(&ann);
	read_again(orm_catalog());
	expect_param(0, "7", 23);
	fail_saying("42703", "column t.name does not exist");
	expect_error(&ann, "PG 42703", "column t.name does not exist");
	read_again(orm_catalog());
}

/* It runs when its time is over: there is none left for another try. */
static void
a_deadline_that_has_passed_leaves_no_second_try(void **state)
{
	(void)state;
	lk_assert_loop();
	SAY(&ann, "~30", "GET", "users", "7");
	set_now(world.now_us + 31 * LK_US_PER_MS);
	lk_core_run_timers(world.core);
	fail_saying("42703", "column t.name does not exist");
	expect_error(&ann, "PG 42703", "column t.name does not exist");
	read_again(orm_catalog());
}

static void
inside_a_transaction_the_error_passes(void **state)
{
	char handle[32];

	(void)state;
	begin(&ann, "%t", NULL, handle);
	SAY(&ann, "%t", handle, "GET", "users", "7");
	fail_saying("42703", "column t.name does not exist");
	expect_error(&ann, "PG 42703", "column t.name does not exist");
	read_again(orm_catalog());
}

/* It may be waiting for the snapshot when its client goes. */
static void
who_waits_for_a_snapshot_may_go(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "7");
	fail_saying("42703", "column t.name does not exist");
	vanish(&ann);
	read_again(orm_catalog());
	assert_int_equal(n_running(), 0);
	connect_as(&ann, 11);
}

static void
the_servers_error_names_the_column(void **state)
{
	(void)state;
	SAY(&ann, "FIND", "posts", "WHERE", "day", "=", "xx");
	set_error("22007", "invalid input syntax for type date: \"xx\"")
	    ->param = 1;
	hand_back(0);
	expect_error(&ann, "PG 22007", "posts.day: invalid input syntax");
	SAY(&ann, "UPDATE", "users", "7", "SET", "boss_id", "+=", "1");
	fail_saying("22003", "integer out of range");
	expect_error(&ann, "PG 22003", "users.boss_id: integer out of range");
	/* In a function that it called: whose integer, nobody knows. */
	SAY(&ann, "UPDATE", "users", "7", "SET", "boss_id", "+=", "1");
	set_error("22003", "integer out of range")->is_inner = true;
	hand_back(0);
	expect_error(&ann, "PG 22003", "PG 22003 integer out of range");
}

static void
a_statement_that_alters_makes_the_snapshot_old(void **state)
{
	char handle[32];

	(void)state;
	SAY(&ann, "SQL", "ALTER TABLE users ADD note text");
	world.workers[0].job->changed_schema = true;
	finish(0, "ALTER TABLE");
	read_again(orm_catalog());
	lk_buf_truncate(&ann.got, 0);
	/* What a transaction alters is altered at its end. */
	begin(&ann, "%t", NULL, handle);
	SAY(&ann, "%t", handle, "SQL", "ALTER TABLE users ADD note text");
	world.workers[0].job->changed_schema = true;
	finish(0, "ALTER TABLE");
	pass_ms(1500);
	assert_null(world.readers[0].read);
	SAY(&ann, "%t", handle, "COMMIT");
	world.workers[0].job->changed_schema = true;
	finish(0, "COMMIT");
	read_again(orm_catalog());
}

static void
an_old_snapshot_is_read_anew_when_it_is_used(void **state)
{
	(void)state;
	pass_ms(10001);
	assert_null(world.readers[0].read);
	SAY(&ann, "GET", "users", "7");
	expect_param(0, "7", 23);	/* without waiting */
	read_again(orm_catalog());
	finish(0, "row");
	expect(&ann, "+row\r\n");
}

/* Cancels that are sent when a verb waits for a row while slots are short. */
static size_t
n_parked(const char *model)
{
	char handle[32];
	size_t n;

	begin(&ann, "%t", NULL, handle);
	SAY(&ann, "%t", handle, "SQL", "lock");
	finish(0, "lock");
	SAY(&bob, "@b", "UPDATE", model, "7", "SET", "name", "=", "Bo");
	come_up(1);
	SAY(&ann, "@q", "SQL", "more");	/* there is no slot for it */
	pass_until_look(100);
	answer_look_with_wait(1, 0, 20 * LK_US_PER_MS);
	n = world.n_cancels;
	answer_cancels(true);
	if (n > 0)
		die_by_cancel(1);
	else
		finish(1, "row");
	SAY(&ann, "%t", handle, "ROLLBACK");
	finish(0, "ROLLBACK");
	return n;
}

static void
a_verb_that_leaves_no_trace_waits_without_a_slot(void **state)
{
	(void)state;
	world.config.replay = LK_REPLAY_VERBS;
	assert_int_equal(n_parked("users"), 1);
}

static void
one_on_a_table_with_triggers_keeps_its_slot(void **state)
{
	struct lk_catalog *catalog = orm_catalog();

	(void)state;
	world.config.replay = LK_REPLAY_VERBS;
	orm_model(catalog, "users")->has_triggers = true;
	SAY(&ann, "SQL", "ALTER");
	world.workers[0].job->changed_schema = true;
	finish(0, "ALTER TABLE");
	expect(&ann, "+ALTER TABLE\r\n");
	read_again(catalog);
	assert_int_equal(n_parked("users"), 0);
}

/* ---- sessions that are lost ---- */

/* The server has ended it, and says so. */
static void
be_terminated(void)
{
	lk_error_set(&item()->error, LK_ERR_CONNLOST, "terminated");
	lk_error_set_sqlstate(&item()->error, "57P01");
	item()->outcome = LK_ITEM_FAILED;
	world.workers[0].job->after = LK_XACT_GONE;
	hand_back(0);
	go_down(0);
}

/* The worker has a session again, and the statement that was lost. */
static void
come_back(void)
{
	pass_ms(10);
	come_up(0);
	expect_param(0, "7", 23);
}

static void
a_read_whose_session_is_lost_runs_again(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "7");
	lose(0, LK_ITEM_LOST);
	expect_nothing(&ann);
	come_back();
	finish(0, "row");
	expect(&ann, "+row\r\n");
}

static void
one_that_the_server_has_ended_does_too(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "7");
	be_terminated();
	expect_nothing(&ann);
	come_back();
	fail_saying("22012", "division by zero");
	expect_error(&ann, "PG 22012", "division by zero");
}

static void
once_and_then_nothing_was_done(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "7");
	lose(0, LK_ITEM_LOST);
	come_back();
	lose(0, LK_ITEM_LOST);
	expect_error(&ann, "CONNLOST", "nothing was changed");
	come_up(0);
	assert_int_equal(n_running(), 0);
}

static void
what_may_leave_a_trace_may_have_committed(void **state)
{
	struct lk_catalog *catalog = orm_catalog();

	(void)state;
	SAY(&ann, "DELETE", "users", "7");
	lose(0, LK_ITEM_LOST);
	expect_error(&ann, "UNKNOWN", "whether it committed is not known");
	come_up(0);
	SAY(&ann, "PUBLISH", "news", "7");
	lose(0, LK_ITEM_LOST);
	expect_error(&ann, "UNKNOWN", "whether it committed is not known");
	come_up(0);
	SAY(&ann, "SQL", "SELECT 7");
	lose(0, LK_ITEM_LOST);
	expect_error(&ann, "UNKNOWN", "whether it committed is not known");
	come_up(0);
	/* Row security may call what it likes. */
	orm_model(catalog, "users")->has_triggers = true;
	SAY(&ann, "SQL", "ALTER");
	world.workers[0].job->changed_schema = true;
	finish(0, "ALTER TABLE");
	expect(&ann, "+ALTER TABLE\r\n");
	read_again(catalog);
	SAY(&ann, "GET", "users", "7");
	lose(0, LK_ITEM_LOST);
	expect_error(&ann, "UNKNOWN", "whether it committed is not known");
}

static void
who_rests_may_be_cancelled(void **state)
{
	(void)state;
	SAY(&ann, "@a", "GET", "users", "7");
	lose(0, LK_ITEM_LOST);
	SAY(&ann, "CANCEL", "a");
	expect(&ann, "*3\r\n+reply\r\n$1\r\na\r\n-CANCELED 57014 "
	    "ended by CANCEL of its client\r\n:1\r\n");
	pass_ms(1000);
	come_up(0);
	assert_int_equal(n_running(), 0);
}

static void
a_deadline_may_pass_between_two_tries(void **state)
{
	(void)state;
	SAY(&ann, "~1", "GET", "users", "7");
	lose(0, LK_ITEM_LOST);
	pass_ms(1);
	expect_error(&ann, "TIMEOUT", "queue, its session having been lost");
	SAY(&ann, "~500", "GET", "users", "7");
	come_up(0);
	lose(0, LK_ITEM_LOST);
	pass_ms(500);
	expect_error(&ann, "TIMEOUT", "no slot of main being free");
}

static void
who_rests_may_go(void **state)
{
	(void)state;
	SAY(&ann, "GET", "users", "7");
	lose(0, LK_ITEM_LOST);
	vanish(&ann);
	pass_ms(1000);
	come_up(0);
	assert_int_equal(n_running(), 0);
	connect_as(&ann, 11);
}

/* What its client has asked for is no reason to begin it anew. */
static void
who_was_to_end_does_not_run_again(void **state)
{
	(void)state;
	SAY(&ann, "@a", "GET", "users", "7");
	SAY(&ann, "CANCEL", "a");
	answer_cancels(true);
	lk_buf_truncate(&ann.got, 0);
	lose(0, LK_ITEM_LOST);
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-CANCELED 57014 "));
	come_up(0);
	assert_int_equal(n_running(), 0);
	lk_buf_truncate(&ann.got, 0);
	/* Nor is what was not even sent. */
	SAY(&ann, "@a", "SQL", "DELETE FROM users");
	SAY(&ann, "CANCEL", "a");
	answer_cancels(true);
	lose(0, LK_ITEM_UNSENT);
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-CANCELED 57014 "));
	come_up(0);
	assert_int_equal(n_running(), 0);
	lk_buf_truncate(&ann.got, 0);
	/* The daemon itself has ended the session. */
	SAY(&ann, "@a", "GET", "users", "7");
	SAY(&ann, "CANCEL", "a");
	answer_cancels(true);
	be_terminated();
	assert_non_null(strstr(lk_buf_cstr(&ann.got), "-CANCELED 57014 "));
	come_up(0);
	assert_int_equal(n_running(), 0);
	lk_buf_truncate(&ann.got, 0);
}

static void
doing_has_no_values(void **state)
{
	(void)state;
	SAY(&ann, "UPDATE", "users", "7", "SET", "name", "=", "Secret");
	SAY(&bob, "SHOW", "tasks");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "UPDATE users: UPDATE"));
	assert_null(strstr(lk_buf_cstr(&bob.got), "Secret"));
	lk_buf_truncate(&bob.got, 0);
	finish(0, "row");
	expect(&ann, "+row\r\n");
}

/* Words of SQL's and of Redis's, and slips. */
static void
a_word_that_is_no_verb_is_answered_with_one(void **state)
{
	static const struct {
		const char *word, *advice;
	} cases[] = {
		{ "insert", "unknown verb 'insert': CREATE model column = "
		    "value" },
		{ "DROP", "send a statement as SQL \"DROP ...\"" },
		{ "WITH", "send a statement as SQL \"WITH ...\"" },
		{ "LISTEN", "SUBSCRIBE" },
		{ "NOTIFY", "PUBLISH" },
		{ "SET", "UPSERT model column = value" },
		{ "DEL", "DELETE model key" },
		{ "HGETALL", "GET model key" },
		{ "HSET", "UPDATE model key SET column = value" },
		{ "INCR", "UPDATE model key SET column += 1" },
		{ "KEYS", "MODELS" },
		{ "MGET", "FIND model WHERE column IN n value ..." },
		{ "EXPIRE", "rows do not expire" },
		{ "WATCH", "MULTI begins a unit" },
		{ "UNWATCH", "nothing is ever watched" },
		{ "TYPE", "DESCRIBE model" },
		{ "SCAN", "AFTER" },
		{ "DBSIZE", "COUNT model" },
		{ "FLUSHALL", "DELETEALL model WHERE ALL" },
		{ "\\d", "MODELS lists the models" },
		/* A letter more, less, other; two that have changed places. */
		{ "FINDD", "unknown verb 'FINDD'; there is FIND: FIND model" },
		{ "fid", "there is FIND:" },
		{ "FUND", "there is FIND:" },
		{ "FNID", "there is FIND:" },
		{ "COMIT", "there is COMMIT:" },
		{ "FIDN2", "COMMAND LIST names the verbs" },
		{ "NONSENSE", "COMMAND LIST names the verbs" },
		{ "X", "COMMAND LIST names the verbs" },
		{ "", "unknown verb ''; COMMAND LIST names the verbs" },
		{ "FIND\r\nX", "unknown verb 'FIND..X'; COMMAND LIST" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SAY(&ann, cases[i].word, "x", "y");
		expect_error(&ann, "SYNTAX", cases[i].advice);
	}
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, begin_models, end_models)
	const struct CMUnitTest tests[] = {
		TEST(a_verb_becomes_a_statement_with_typed_parameters),
		TEST(parts_of_an_argument_become_texts_of_their_own),
		TEST(what_is_wrong_never_leaves_the_daemon),
		TEST(the_text_for_null_is_null_only_as_a_value),
		TEST(an_unknown_name_waits_for_a_newer_snapshot),
		TEST(a_name_that_has_come_is_used),
		TEST(a_misfit_waits_unless_the_snapshot_is_recent),
		TEST(what_fits_a_type_that_has_changed_is_used),
		TEST(what_the_server_does_not_know_is_compiled_anew_once),
		TEST(a_deadline_that_has_passed_leaves_no_second_try),
		TEST(inside_a_transaction_the_error_passes),
		TEST(who_waits_for_a_snapshot_may_go),
		TEST(the_servers_error_names_the_column),
		TEST(a_statement_that_alters_makes_the_snapshot_old),
		TEST(an_old_snapshot_is_read_anew_when_it_is_used),
		TEST(a_verb_that_leaves_no_trace_waits_without_a_slot),
		TEST(one_on_a_table_with_triggers_keeps_its_slot),
		TEST(a_read_whose_session_is_lost_runs_again),
		TEST(one_that_the_server_has_ended_does_too),
		TEST(once_and_then_nothing_was_done),
		TEST(what_may_leave_a_trace_may_have_committed),
		TEST(who_rests_may_be_cancelled),
		TEST(a_deadline_may_pass_between_two_tries),
		TEST(who_rests_may_go),
		TEST(who_was_to_end_does_not_run_again),
		TEST(doing_has_no_values),
		TEST(a_word_that_is_no_verb_is_answered_with_one),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
