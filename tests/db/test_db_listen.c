/*
 * The channel listener's thread against a real PostgreSQL, which
 * LK_TEST_CONNINFO names: started as the daemon starts it, and asked through
 * its inbox.
 */
#include "side.h"

#include "db/listen.h"

static struct lk_thread listener;

/* From the listener, which is thread 7. */
static struct lk_msg *
expect_its(enum lk_msg_kind kind)
{
	struct lk_msg *msg = expect_mail(kind);

	assert_int_equal(msg->thread, 7);
	return msg;
}

/* Ask for these, "-name" to be listened to no longer; up to NULL. */
static void
ask(const char *const *names)
{
	struct lk_listen *listen;
	size_t n = 0, i;

	while (names[n] != NULL)
		n++;
	listen = lk_listen_new(n);
	for (i = 0; i < n; i++) {
		listen->items[i].is_on = names[i][0] != '-';
		listen->items[i].channel = strdup(names[i] +
		    !listen->items[i].is_on);
	}
	lk_mailbox_post(&listener.inbox, &listen->msg);
}

#define ASK(...)	ask((const char *const[]){ __VA_ARGS__, NULL })

static struct lk_listen *
next_answer(void)
{
	return lk_container(expect_its(LK_MSG_LISTEN), struct lk_listen, msg);
}

static void
expect_done(void)
{
	struct lk_listen *listen = next_answer();
	size_t i;

	assert_false(listen->was_lost);
	for (i = 0; i < listen->n_items; i++)
		assert_false(listen->items[i].error.is_set);
	lk_listen_free(&listen);
}

static struct lk_heard *
next_heard(void)
{
	return lk_container(expect_its(LK_MSG_HEARD), struct lk_heard, msg);
}

static void
give_back(struct lk_heard *heard)
{
	lk_mailbox_post(&listener.inbox, &heard->msg);
}

static void
expect_heard(const char *channel, const char *payload)
{
	struct lk_heard *heard = next_heard();

	assert_int_equal(heard->n_items, 1);
	assert_string_equal(heard->items[0].channel, channel);
	assert_string_equal(heard->items[0].payload, payload);
	give_back(heard);
}

/* ---- set-up ---- */

static void
start(char *server)
{
	lk_assert_loop();
	args.conninfo = server;
	args.connect_timeout_us = 5000000;
	lk_list_init(&unread);
	assert_int_equal(lk_mailbox_init(&outbox), 0);
	assert_int_equal(lk_thread_start(&listener, 7, "listener",
	    lk_listen_main, &args, &outbox), 0);
}

static void
stop(void)
{
	lk_assert_loop();
	lk_thread_stop(&listener);
	expect_its(LK_MSG_EXITED);
	lk_thread_join(&listener);
	assert_false(has_mail_within(0));
	lk_mailbox_fini(&outbox);
}

static int
set_up(void **state)
{
	(void)state;
	start(getenv("LK_TEST_CONNINFO"));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	stop();
	return 0;
}

/* ---- the tests ---- */

static void
it_hears_what_it_is_told_to_listen_to(void **state)
{
	(void)state;
	expect_up();
	ASK("a", "b\"; --");
	expect_done();
	side_do("NOTIFY c, 'x'");
	side_do("NOTIFY \"b\"\"; --\", 'y'");
	expect_heard("b\"; --", "y");
	ASK("-a", "c");
	expect_done();
	side_do("NOTIFY a, 'x'");
	side_do("NOTIFY c");
	expect_heard("c", "");
	ASK("-c", "-b\"; --");
	expect_done();
	side_do("NOTIFY c");
	assert_false(has_mail_within(100));
}

static void
one_that_is_refused_takes_no_other_with_it(void **state)
{
	struct lk_listen *listen;

	(void)state;
	expect_up();
	ASK("a", "\xff", "c");
	listen = next_answer();
	assert_false(listen->was_lost);
	assert_false(listen->items[0].error.is_set);
	assert_int_equal(listen->items[1].error.kind, LK_ERR_PG);
	assert_string_equal(listen->items[1].error.sqlstate, "22021");
	assert_false(listen->items[2].error.is_set);
	lk_listen_free(&listen);
	side_do("NOTIFY c, 'x'");
	expect_heard("c", "x");
}

static void
what_comes_with_the_answers_is_heard(void **state)
{
	int i;

	(void)state;
	expect_up();
	ASK("a");
	expect_done();
	for (i = 0; i < 200; i++) {
		struct lk_msg *first;
		struct lk_list *link;

		ASK("b");
		side_do("NOTIFY a, 'x'");
		/* In whichever order; neither may stay away. */
		assert_true(has_mail_within(PATIENCE_MS));
		link = unread.next;
		first = lk_container(link, struct lk_msg, link);
		if (first->kind == LK_MSG_HEARD) {
			expect_heard("a", "x");
			expect_done();
		} else {
			expect_done();
			expect_heard("a", "x");
		}
	}
}

static void
it_forgets_with_its_session_and_comes_back(void **state)
{
	int pid;

	(void)state;
	pid = expect_up();
	ASK("a");
	expect_done();
	kill_backend(pid);
	expect_down("terminating connection");
	assert_true(expect_up() != pid);
	side_do("NOTIFY a, 'nobody hears this'");
	ASK("a");
	expect_done();
	side_do("NOTIFY a, 'x'");
	expect_heard("a", "x");
}

static void
it_hands_over_no_more_until_it_got_the_last_back(void **state)
{
	struct lk_heard *first, *second;
	size_t n = 0;

	(void)state;
	expect_up();
	ASK("a");
	expect_done();
	side_do("NOTIFY a, 'first'");
	first = next_heard();
	side_do("SELECT pg_notify('a', i || repeat('x', 1000)) "
	    "FROM generate_series(1, 20000) i");
	assert_false(has_mail_within(300));
	give_back(first);
	while (n < 20000) {
		second = next_heard();
		/* A round of reading more than it wants ahead, at most. */
		assert_in_range(second->n_bytes, 1000, 512 * 1024);
		assert_int_equal(atoi(second->items[0].payload), n + 1);
		n += second->n_items;
		give_back(second);
	}
	assert_int_equal(n, 20000);
}

static void
it_ends_whatever_is_under_way(void **state)
{
	(void)state;
	expect_up();
	ASK("a");
	expect_done();
	side_do("NOTIFY a, 'x'");
	lk_heard_free(&(struct lk_heard *){ next_heard() });
	side_do("NOTIFY a, 'y'");
}

static void
without_a_session_it_says_so(void **state)
{
	char nobody[1024];
	struct lk_listen *listen;

	(void)state;
	snprintf(nobody, sizeof(nobody), "%s user=nobody_",
	    getenv("LK_TEST_CONNINFO"));
	start(nobody);
	expect_down("role \"nobody_\" does not exist");
	ASK("a");
	listen = next_answer();
	assert_true(listen->was_lost);
	lk_listen_free(&listen);
	expect_down("role \"nobody_\" does not exist");
	stop();
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_hears_what_it_is_told_to_listen_to),
		TEST(one_that_is_refused_takes_no_other_with_it),
		TEST(what_comes_with_the_answers_is_heard),
		TEST(it_forgets_with_its_session_and_comes_back),
		TEST(it_hands_over_no_more_until_it_got_the_last_back),
		TEST(it_ends_whatever_is_under_way),
		cmocka_unit_test(without_a_session_it_says_so),
	};
	int rc;

	if (getenv("LK_TEST_CONNINFO") == NULL)
		return 77;
	lk_role_enter(LK_ROLE_LOOP);
	lk_log_set_level(LK_LOG_ERROR);
	side = PQconnectdb(getenv("LK_TEST_CONNINFO"));
	assert_int_equal(PQstatus(side), CONNECTION_OK);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	PQfinish(side);
	return rc;
}
