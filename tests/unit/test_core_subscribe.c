/*
 * SUBSCRIBE and what follows from it, in a world that is made up: when it is
 * confirmed and in what order, who gets which message, what the listener is
 * told and when there is one, and what is said of what was missed.
 */
#include "core_world.h"

#define SUBSCRIBED(proto, name, n)					\
	proto "3\r\n$9\r\nsubscribe\r\n$1\r\n" name "\r\n:" #n "\r\n"
#define UNSUBSCRIBED(proto, name, n)					\
	proto "3\r\n$11\r\nunsubscribe\r\n$1\r\n" name "\r\n:" #n "\r\n"
#define MESSAGE(proto, name, text)					\
	proto "3\r\n$7\r\nmessage\r\n$1\r\n" name "\r\n$2\r\n" text "\r\n"
#define TAGGED(tag, value)						\
	"*3\r\n+reply\r\n$1\r\n" tag "\r\n" value

static struct fake_conn alice, bob, carol;

static void
speak_3(struct fake_conn *conn)
{
	SAY(conn, "HELLO", "3");
	lk_buf_truncate(&conn->got, 0);
}

/* bob speaks RESP3, alice and carol RESP2. */
static int
set_up(void **state)
{
	(void)state;
	begin_wide_world(2, 1, 1);
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	connect_as(&carol, 30);
	speak_3(&bob);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	vanish(&alice);
	vanish(&bob);
	vanish(&carol);
	end_world();
	return 0;
}

/* conn hears these of main: one channel of one letter, RESP2. */
static void
subscribe(struct fake_conn *conn, const char *name)
{
	char items[] = "+?";

	SAY(conn, "SUBSCRIBE", name);
	if (!world.listeners[0].is_up)
		listener_up(0);
	items[1] = name[0];
	if (world.listeners[0].asked != NULL)
		answer_listen(items);
	lk_buf_truncate(&conn->got, 0);
}

static struct fake_listener *
listener(void)
{
	return &world.listeners[0];
}

/* ---- confirmations ---- */

static void
it_is_confirmed_once_listen_is_in_force(void **state)
{
	(void)state;
	assert_false(listener()->is_started);
	SAY(&alice, "SUBSCRIBE", "a", "b");
	assert_true(listener()->is_started);
	assert_null(listener()->asked);
	listener_up(0);
	expect_nothing(&alice);
	answer_listen("+a +b");
	expect(&alice, SUBSCRIBED("*", "a", 1) SUBSCRIBED("*", "b", 2));
	/* No other LISTEN for another who wants the same. */
	SAY(&bob, "SUBSCRIBE", "b");
	assert_null(listener()->asked);
	expect(&bob, SUBSCRIBED(">", "b", 1));
}

static void
each_channel_is_confirmed_and_counted_once(void **state)
{
	(void)state;
	SAY(&alice, "SUBSCRIBE", "a", "a");
	listener_up(0);
	answer_listen("+a");
	expect(&alice, SUBSCRIBED("*", "a", 1) SUBSCRIBED("*", "a", 1));
	SAY(&alice, "SUBSCRIBE", "a");
	expect(&alice, SUBSCRIBED("*", "a", 1));
	hear(0, "a", "m1");
	expect(&alice, MESSAGE("*", "a", "m1"));
	SAY(&alice, "UNSUBSCRIBE", "b", "a");
	expect(&alice, UNSUBSCRIBED("*", "b", 1) UNSUBSCRIBED("*", "a", 0));
	hear(0, "a", "m2");
	expect_nothing(&alice);
}

static void
unsubscribe_alone_ends_all(void **state)
{
	(void)state;
	subscribe(&bob, "a");
	subscribe(&bob, "b");
	SAY(&bob, "UNSUBSCRIBE");
	expect(&bob, UNSUBSCRIBED(">", "a", 1) UNSUBSCRIBED(">", "b", 0));
	SAY(&bob, "UNSUBSCRIBE");
	expect(&bob, ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
	SAY(&alice, "UNSUBSCRIBE");
	expect(&alice, "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
}

static void
confirmations_leave_in_turn_and_nothing_is_heard_before(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	SAY(&bob, "%x", "SQL", "select 1");
	SAY(&bob, "%y", "SUBSCRIBE", "a");
	SAY(&bob, "%y", "PING");
	hear(0, "a", "m1");
	expect_nothing(&bob);
	finish(runs("select 1"), "one");
	expect(&bob, "+one\r\n" SUBSCRIBED(">", "a", 1) "+PONG\r\n");
	hear(0, "a", "m2");
	expect(&bob, MESSAGE(">", "a", "m2"));
}

static void
they_are_counted_in_the_order_in_which_they_leave(void **state)
{
	(void)state;
	SAY(&bob, "%x", "SUBSCRIBE", "a");
	listener_up(0);
	SAY(&bob, "%y", "SUBSCRIBE", "b");
	SAY(&bob, "%z", "UNSUBSCRIBE", "b");
	SAY(&carol, "SUBSCRIBE", "c");
	answer_listen("+a");
	expect(&bob, SUBSCRIBED(">", "a", 1));
	answer_listen("+b +c");
	expect(&bob, SUBSCRIBED(">", "b", 2) UNSUBSCRIBED(">", "b", 1));
}

static void
what_is_answered_keeps_its_task_from_nothing(void **state)
{
	char handle[32];

	(void)state;
	subscribe(&alice, "a");
	begin(&bob, "%y", NULL, handle);
	SAY(&bob, "%x", "SQL", "select 1");
	SAY(&bob, "%y", "SUBSCRIBE", "a");
	SAY(&bob, "@c", "%y", handle, "COMMIT");
	expect(&bob, TAGGED("c", "+COMMIT\r\n"));
	finish(runs("select 1"), "one");
	expect(&bob, "+one\r\n" SUBSCRIBED(">", "a", 1));
}

static void
with_a_tag_they_leave_at_once_and_the_count_follows(void **state)
{
	(void)state;
	SAY(&bob, "SQL", "select 1");
	SAY(&bob, "@s", "SUBSCRIBE", "a", "b");
	listener_up(0);
	answer_listen("+a +b");
	expect(&bob, SUBSCRIBED(">", "a", 1) SUBSCRIBED(">", "b", 2)
	    TAGGED("s", ":2\r\n"));
	SAY(&bob, "@u", "UNSUBSCRIBE", "a");
	expect(&bob, UNSUBSCRIBED(">", "a", 1) TAGGED("u", ":1\r\n"));
	finish(runs("select 1"), "one");
	expect(&bob, "+one\r\n");
}

static void
names_that_are_none_are_refused(void **state)
{
	char name[65];

	(void)state;
	lk_assert_loop();
	memset(name, 'x', 64);
	name[64] = '\0';
	SAY(&alice, "SUBSCRIBE", "a", "");
	expect_error(&alice, "SYNTAX", "1 to 63 bytes");
	SAY(&alice, "SUBSCRIBE", name);
	expect_error(&alice, "SYNTAX", "1 to 63 bytes");
	lk_core_request(alice.client, (struct lk_arg[]){ { "SUBSCRIBE", 9 },
	    { "a\0b", 3 } }, 2);
	expect_error(&alice, "SYNTAX", "none of them NUL");
	lk_core_request(alice.client, (struct lk_arg[]){ { "UNSUBSCRIBE", 11 },
	    { NULL, 0 } }, 2);
	expect_error(&alice, "SYNTAX", "a channel's name");
	assert_false(listener()->is_started);
	name[63] = '\0';
	SAY(&alice, "SUBSCRIBE", name);
	assert_true(listener()->is_started);
}

static void
a_connection_has_so_many_channels_and_no_more(void **state)
{
	static struct lk_arg args[10001];
	size_t i;

	(void)state;
	lk_assert_loop();
	args[0] = (struct lk_arg){ "SUBSCRIBE", 9 };
	for (i = 1; i < 10001; i++)
		args[i] = (struct lk_arg){ "a", 1 };
	lk_core_request(alice.client, args, 10001);
	expect_nothing(&alice);
	SAY(&alice, "@x", "SUBSCRIBE", "b");
	assert_non_null(strstr(lk_buf_cstr(&alice.got),
	    "-OVERLOAD 53400 a connection has at most 10000 channels"));
	lk_buf_truncate(&alice.got, 0);
	listener_up(0);
	answer_listen("+a");
	SAY(&alice, "SUBSCRIBE", "b");
	answer_listen("+b");
}

static void
reset_ends_what_is_not_confirmed_yet(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	subscribe(&bob, "b");
	SAY(&bob, "%x", "SQL", "select 1");
	SAY(&bob, "%y", "SUBSCRIBE", "a");
	SAY(&bob, "%y", "UNSUBSCRIBE", "b");
	SAY(&bob, "RESET");
	answer_cancels(true);
	die_by_cancel(runs("select 1"));
	expect(&bob, "-CANCELED 57014 ended by RESET\r\n"
	    SUBSCRIBED(">", "a", 2) UNSUBSCRIBED(">", "b", 1) "+RESET\r\n");
	hear(0, "a", "m1");
	hear(0, "b", "m2");
	expect(&alice, MESSAGE("*", "a", "m1"));
	expect_nothing(&bob);
	SAY(&bob, "UNSUBSCRIBE");
	expect(&bob, "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
	answer_listen("-b");
}

/* ---- RESP2's subscriber mode ---- */

static void
on_resp2_little_else_goes_while_subscribed(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	SAY(&alice, "SQL", "select 1");
	expect_error(&alice, "SYNTAX", "Can't execute 'SQL': only SUBSCRIBE / "
	    "UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context");
	SAY(&alice, "SHOW", "stats");
	expect_error(&alice, "SYNTAX", "Can't execute 'SHOW'");
	SAY(&alice, "PING");
	expect(&alice, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	SAY(&alice, "PING", "hi");
	expect(&alice, "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n");
	SAY(&alice, "UNSUBSCRIBE");
	expect(&alice, UNSUBSCRIBED("*", "a", 0));
	SAY(&alice, "PING", "hi");
	expect(&alice, "$2\r\nhi\r\n");
	end_listener(0);
	subscribe(&alice, "b");
	SAY(&alice, "QUIT");
	expect(&alice, "+OK\r\n");
	assert_true(alice.is_closed);
}

static void
on_resp3_everything_goes(void **state)
{
	(void)state;
	subscribe(&bob, "a");
	SAY(&bob, "PING");
	expect(&bob, "+PONG\r\n");
	SAY(&bob, "SQL", "select 1");
	hear(0, "a", "m1");
	finish(runs("select 1"), "one");
	expect(&bob, MESSAGE(">", "a", "m1") "+one\r\n");
}

/* ---- messages ---- */

static void
they_go_to_all_who_hear_that_channel_in_its_database(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	subscribe(&bob, "a");
	subscribe(&carol, "b");
	SAY(&carol, "/far", "SUBSCRIBE", "a");
	listener_up(FAR);
	answer_listen_with(FAR, "+a", false);
	lk_buf_truncate(&carol.got, 0);
	hear(0, "a", "m1");
	expect(&alice, MESSAGE("*", "a", "m1"));
	expect(&bob, MESSAGE(">", "a", "m1"));
	expect_nothing(&carol);
	hear(FAR, "a", "m2");
	expect_nothing(&alice);
	expect(&carol, MESSAGE("*", "a", "m2"));
	hear(0, "z", "m3");
	assert_int_equal(world.listeners[0].n_given_back, 2);
	assert_int_equal(world.listeners[FAR].n_given_back, 1);
}

static void
who_leaves_too_much_unread_is_told_later_that_it_missed(void **state)
{
	(void)state;
	lk_assert_loop();
	subscribe(&alice, "a");
	subscribe(&bob, "a");
	subscribe(&bob, "b");
	lk_core_client_pause(alice.client, true);
	lk_core_client_pause(bob.client, true);
	hear(0, "a", "m1");
	hear(0, "a", "m2");
	expect_nothing(&alice);
	expect_nothing(&bob);
	lk_core_client_pause(alice.client, false);
	expect(&alice, "*4\r\n$8\r\npmessage\r\n$6\r\nmissed\r\n$1\r\na\r\n"
	    "$92\r\nthe connection had left more than limits.output unread: "
	    "what was published meanwhile is lost\r\n");
	lk_core_client_pause(bob.client, false);
	expect(&bob, ">2\r\n$6\r\nmissed\r\n%3\r\n$8\r\ndatabase\r\n"
	    "$4\r\nmain\r\n$8\r\nchannels\r\n*1\r\n$1\r\na\r\n$4\r\ntext\r\n"
	    "$92\r\nthe connection had left more than limits.output unread: "
	    "what was published meanwhile is lost\r\n");
	hear(0, "a", "m3");
	expect(&alice, MESSAGE("*", "a", "m3"));
	/* Once. */
	lk_core_client_pause(alice.client, true);
	lk_core_client_pause(alice.client, false);
	expect_nothing(&alice);
}

/* ---- what the listener is told ---- */

static void
what_comes_while_it_is_busy_goes_together(void **state)
{
	(void)state;
	SAY(&alice, "SUBSCRIBE", "a");
	listener_up(0);
	SAY(&bob, "SUBSCRIBE", "b", "c");
	SAY(&carol, "SUBSCRIBE", "c");
	answer_listen("+a");
	expect_nothing(&carol);
	SAY(&alice, "UNSUBSCRIBE");
	answer_listen("+b +c");
	expect(&carol, SUBSCRIBED("*", "c", 1));
	answer_listen("-a");
	assert_null(listener()->asked);
}

static void
who_wants_it_again_while_it_is_given_up_waits_for_listen(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	subscribe(&bob, "b");
	SAY(&alice, "UNSUBSCRIBE");
	SAY(&carol, "SUBSCRIBE", "a");
	expect_nothing(&carol);
	answer_listen("-a");
	expect_nothing(&carol);
	answer_listen("+a");
	expect(&carol, SUBSCRIBED("*", "a", 1));
}

static void
who_is_gone_before_the_answer_leaves_nothing(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	SAY(&carol, "SUBSCRIBE", "b");
	vanish(&carol);
	answer_listen("+b");
	answer_listen("-b");
	assert_null(listener()->asked);
}

static void
there_is_one_only_while_somebody_is_subscribed(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	subscribe(&bob, "a");
	vanish(&alice);
	assert_false(listener()->is_stopping);
	SAY(&bob, "RESET");
	expect(&bob, "+RESET\r\n");
	assert_true(listener()->is_stopping);
	/* While it ends nothing is asked of it, and what it says is nothing. */
	SAY(&carol, "SUBSCRIBE", "a");
	hear(0, "a", "m1");
	listener_down(0);
	end_listener(0);
	assert_true(listener()->is_started);
	listener_up(0);
	answer_listen("+a");
	expect(&carol, SUBSCRIBED("*", "a", 1));
}

static void
one_that_ends_while_asked_forgets_it(void **state)
{
	(void)state;
	SAY(&alice, "SUBSCRIBE", "a");
	listener_up(0);
	vanish(&alice);
	assert_true(listener()->is_stopping);
	SAY(&carol, "SUBSCRIBE", "a");
	answer_listen("+a");
	expect_nothing(&carol);
	end_listener(0);
	listener_up(0);
	answer_listen("+a");
	expect(&carol, SUBSCRIBED("*", "a", 1));
}

static void
many_channels_go_in_several_rounds(void **state)
{
	static struct lk_arg args[1102];
	static char names[1102][8];
	struct lk_listen *first;
	size_t i;

	(void)state;
	lk_assert_loop();
	args[0] = (struct lk_arg){ "SUBSCRIBE", 9 };
	for (i = 1; i < 1102; i++) {
		snprintf(names[i], sizeof(names[i]), "c%zu", i);
		args[i] = (struct lk_arg){ names[i], strlen(names[i]) };
	}
	lk_core_request(bob.client, args, 1102);
	listener_up(0);
	first = listener()->asked;
	listener()->asked = NULL;
	assert_int_equal(first->n_items, 1000);
	deliver(&first->msg, LK_MSG_LISTEN, LISTENER_BIT);
	expect_nothing(&bob);
	first = listener()->asked;
	listener()->asked = NULL;
	assert_int_equal(first->n_items, 101);
	deliver(&first->msg, LK_MSG_LISTEN, LISTENER_BIT);
	assert_true(bob.got.len > 1101 * 25);
	lk_buf_truncate(&bob.got, 0);
}

/* ---- when it does not listen ---- */

static void
a_lost_session_is_told_of_once_it_is_made_good(void **state)
{
	static const char text[] = "$92\r\nthe session that listens was lost, "
	    "and was opened anew: what was published meanwhile is lost\r\n";
	struct lk_buf expected = LK_BUF_INIT;

	(void)state;
	subscribe(&alice, "a");
	subscribe(&bob, "a");
	subscribe(&bob, "b");
	listener_down(0);
	expect_nothing(&bob);
	SAY(&carol, "SUBSCRIBE", "a");
	listener_down(0);
	listener_up(0);
	expect_nothing(&alice);
	answer_listen("+a +b");
	lk_buf_printf(&expected, "*4\r\n$8\r\npmessage\r\n$6\r\nmissed\r\n"
	    "$1\r\na\r\n%s", text);
	expect(&alice, lk_buf_cstr(&expected));
	lk_buf_truncate(&expected, 0);
	lk_buf_printf(&expected, ">2\r\n$6\r\nmissed\r\n%%3\r\n$8\r\n"
	    "database\r\n$4\r\nmain\r\n$8\r\nchannels\r\n*2\r\n$1\r\na\r\n"
	    "$1\r\nb\r\n$4\r\ntext\r\n%s", text);
	expect(&bob, lk_buf_cstr(&expected));
	lk_buf_fini(&expected);
	/* Who comes to it meanwhile has missed nothing. */
	expect(&carol, SUBSCRIBED("*", "a", 1));
	hear(0, "a", "m1");
	expect(&alice, MESSAGE("*", "a", "m1"));
	lk_buf_truncate(&bob.got, 0);
	lk_buf_truncate(&carol.got, 0);
}

static void
an_answer_that_is_lost_with_the_session_is_asked_for_again(void **state)
{
	(void)state;
	SAY(&alice, "SUBSCRIBE", "a");
	listener_up(0);
	assert_non_null(listener()->asked);
	listener_down(0);
	expect_nothing(&alice);
	listener_up(0);
	answer_listen("+a");
	expect(&alice, SUBSCRIBED("*", "a", 1));
}

static void
who_was_answered_and_not_confirmed_is_told_as_well(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	SAY(&bob, "%x", "SQL", "select 1");
	SAY(&bob, "%y", "SUBSCRIBE", "a");
	listener_down(0);
	finish(runs("select 1"), "one");
	expect(&bob, "+one\r\n" SUBSCRIBED(">", "a", 1));
	listener_up(0);
	answer_listen("+a");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "missed"));
	lk_buf_truncate(&bob.got, 0);
	lk_buf_truncate(&alice.got, 0);
}

static void
a_paused_client_is_told_when_it_reads(void **state)
{
	(void)state;
	lk_assert_loop();
	subscribe(&bob, "a");
	lk_core_client_pause(bob.client, true);
	listener_down(0);
	listener_up(0);
	answer_listen("+a");
	expect_nothing(&bob);
	lk_core_client_pause(bob.client, false);
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "was lost"));
	lk_buf_truncate(&bob.got, 0);
}

static void
it_waits_for_a_server_that_is_down_for_so_long(void **state)
{
	(void)state;
	SAY(&alice, "SUBSCRIBE", "a");
	SAY(&bob, "SUBSCRIBE", "a");
	listener_down(0);
	pass_ms(20000);
	SAY(&carol, "SUBSCRIBE", "a");
	expect_nothing(&alice);
	pass_ms(10000);
	expect_error(&alice, "CONNLOST", "the channels of main could not be "
	    "listened to: the server's last words");
	expect_error(&bob, "CONNLOST", "the server's last words");
	expect_nothing(&carol);
	listener_up(0);
	answer_listen("+a");
	expect(&carol, SUBSCRIBED("*", "a", 1));
	pass_ms(30000);
	expect_nothing(&carol);
	SAY(&carol, "PING");
	expect(&carol, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

static void
it_can_be_ended_while_it_waits(void **state)
{
	(void)state;
	SAY(&alice, "~50", "SUBSCRIBE", "a");
	pass_ms(50);
	expect_error(&alice, "TIMEOUT", "phase queue, no session of main "
	    "listening yet");
	SAY(&alice, "@x", "SUBSCRIBE", "a");
	SAY(&alice, "CANCEL", "x");
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "CANCELED"));
	lk_buf_truncate(&alice.got, 0);
	SAY(&alice, "SUBSCRIBE", "a");
	SAY(&alice, "RESET");
	assert_non_null(strstr(lk_buf_cstr(&alice.got), "CANCELED"));
	lk_buf_truncate(&alice.got, 0);
	assert_true(listener()->is_stopping);
}

static void
what_the_server_refuses_is_an_error_for_those_who_asked(void **state)
{
	(void)state;
	SAY(&alice, "SUBSCRIBE", "a", "a", "b");
	listener_up(0);
	SAY(&bob, "SUBSCRIBE", "c");
	answer_listen_with(0, "+a +b", true);
	expect_error(&alice, "PG", "the server's refusal");
	answer_listen("+c");
	expect(&bob, SUBSCRIBED(">", "c", 1));
	assert_null(listener()->asked);
}

static void
the_last_who_asked_may_be_refused_one_channel_of_several(void **state)
{
	struct lk_listen *asked;

	(void)state;
	SAY(&alice, "SUBSCRIBE", "a", "b");
	listener_up(0);
	asked = listener()->asked;
	listener()->asked = NULL;
	lk_error_set(&asked->items[0].error, LK_ERR_PG, "no");
	deliver(&asked->msg, LK_MSG_LISTEN, LISTENER_BIT);
	expect_error(&alice, "PG", "no");
	/* Then b is of no use either, though it was listened to. */
	assert_true(listener()->is_stopping);
	SAY(&bob, "SUBSCRIBE", "b");
	expect_nothing(&bob);
	end_listener(0);
	listener_up(0);
	answer_listen("+b");
	expect(&bob, SUBSCRIBED(">", "b", 1));
}

/* As by a standby, to which the daemon has been sent. */
static void
what_it_refuses_to_those_who_had_it_is_asked_for_again(void **state)
{
	(void)state;
	subscribe(&bob, "a");
	listener_down(0);
	listener_up(0);
	answer_listen_with(0, "+a", true);
	expect_nothing(&bob);
	assert_null(listener()->asked);
	pass_ms(1000);
	answer_listen("+a");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "missed"));
	lk_buf_truncate(&bob.got, 0);
}

static void
who_was_answered_gets_it_although_it_is_refused_later(void **state)
{
	(void)state;
	subscribe(&alice, "a");
	SAY(&bob, "%x", "SQL", "select 1");
	SAY(&bob, "%y", "SUBSCRIBE", "a");
	vanish(&alice);
	listener_down(0);
	listener_up(0);
	SAY(&carol, "SUBSCRIBE", "a");
	answer_listen_with(0, "+a", true);
	expect_error(&carol, "PG", "the server's refusal");
	finish(runs("select 1"), "one");
	expect(&bob, "+one\r\n" SUBSCRIBED(">", "a", 1));
	pass_ms(1000);
	answer_listen("+a");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "missed"));
	lk_buf_truncate(&bob.got, 0);
}

static void
without_a_thread_it_fails_in_time_and_is_tried_again(void **state)
{
	(void)state;
	world.refuses_listener = true;
	SAY(&alice, "SUBSCRIBE", "a");
	pass_ms(30000);
	expect_error(&alice, "CONNLOST", "no thread could be started");
	world.refuses_listener = false;
	SAY(&alice, "SUBSCRIBE", "a");
	listener_up(0);
	answer_listen("+a");
	expect(&alice, SUBSCRIBED("*", "a", 1));
}

/* ---- PUBLISH ---- */

#define NOTIFY	"SELECT 1 FROM pg_catalog.pg_notify($1, $2)"

static void
publish_is_a_statement_with_parameters(void **state)
{
	char handle[32];
	struct lk_job *job;

	(void)state;
	SAY(&alice, "PUBLISH", "a'; --", "\"$2\"");
	job = world.workers[runs(NOTIFY)].job;
	assert_int_equal(job->items[0].n_params, 2);
	assert_string_equal(job->items[0].params[0].data, "a'; --");
	assert_string_equal(job->items[0].params[1].data, "\"$2\"");
	assert_int_equal(job->items[0].shape, LK_SHAPE_INT);
	/* It leaves nothing in its session. */
	assert_false(job->clean);
	finish(runs(NOTIFY), "1");
	expect(&alice, "+1\r\n");
	begin(&alice, "%t", NULL, handle);
	SAY(&alice, "%t", handle, "PUBLISH", "a", "b");
	assert_true(world.workers[runs(NOTIFY)].job->in_tx);
	finish(runs(NOTIFY), "1");
	expect(&alice, "+1\r\n");
	SAY(&alice, "%t", handle, "COMMIT");
	assert_false(world.workers[runs("COMMIT")].job->clean);
	finish(runs("COMMIT"), "COMMIT");
	expect(&alice, "+COMMIT\r\n");
	SAY(&alice, "PUBLISH", "", "x");
	expect_error(&alice, "SYNTAX", "1 to 63 bytes");
}

static void
publish_waits_for_a_session_like_any_statement(void **state)
{
	(void)state;
	lk_assert_loop();
	SAY(&alice, "SQL", "select 1");
	SAY(&bob, "PUBLISH", "a", "b");
	assert_not_running(NOTIFY);
	lk_core_client_pause(bob.client, true);
	finish(runs("select 1"), "one");
	assert_not_running(NOTIFY);
	lk_core_client_pause(bob.client, false);
	finish(runs(NOTIFY), "1");
	expect(&bob, "+1\r\n");
	expect(&alice, "+one\r\n");
}

/* ---- the end ---- */

static void
a_drain_begins_no_subscription_and_ends_those_that_wait(void **state)
{
	(void)state;
	lk_assert_loop();
	subscribe(&alice, "a");
	SAY(&carol, "SUBSCRIBE", "b");
	lk_core_drain(world.core, LK_US_PER_S);
	SAY(&bob, "SUBSCRIBE", "a");
	assert_non_null(strstr(lk_buf_cstr(&bob.got), "-CLOSING"));
	lk_buf_truncate(&bob.got, 0);
	/* Who is subscribed goes on hearing, and keeps nothing from ending. */
	hear(0, "a", "m1");
	expect(&alice, MESSAGE("*", "a", "m1"));
	assert_false(lk_core_is_drained(world.core));
	pass_ms(1000);
	expect_error(&carol, "CLOSING", "shutting down");
	assert_true(lk_core_is_drained(world.core));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_is_confirmed_once_listen_is_in_force),
		TEST(each_channel_is_confirmed_and_counted_once),
		TEST(unsubscribe_alone_ends_all),
		TEST(confirmations_leave_in_turn_and_nothing_is_heard_before),
		TEST(they_are_counted_in_the_order_in_which_they_leave),
		TEST(what_is_answered_keeps_its_task_from_nothing),
		TEST(with_a_tag_they_leave_at_once_and_the_count_follows),
		TEST(names_that_are_none_are_refused),
		TEST(a_connection_has_so_many_channels_and_no_more),
		TEST(reset_ends_what_is_not_confirmed_yet),
		TEST(on_resp2_little_else_goes_while_subscribed),
		TEST(on_resp3_everything_goes),
		TEST(they_go_to_all_who_hear_that_channel_in_its_database),
		TEST(who_leaves_too_much_unread_is_told_later_that_it_missed),
		TEST(what_comes_while_it_is_busy_goes_together),
		TEST(who_wants_it_again_while_it_is_given_up_waits_for_listen),
		TEST(who_is_gone_before_the_answer_leaves_nothing),
		TEST(there_is_one_only_while_somebody_is_subscribed),
		TEST(one_that_ends_while_asked_forgets_it),
		TEST(many_channels_go_in_several_rounds),
		TEST(a_lost_session_is_told_of_once_it_is_made_good),
		TEST(an_answer_that_is_lost_with_the_session_is_asked_for_again),
		TEST(who_was_answered_and_not_confirmed_is_told_as_well),
		TEST(a_paused_client_is_told_when_it_reads),
		TEST(it_waits_for_a_server_that_is_down_for_so_long),
		TEST(it_can_be_ended_while_it_waits),
		TEST(what_the_server_refuses_is_an_error_for_those_who_asked),
		TEST(the_last_who_asked_may_be_refused_one_channel_of_several),
		TEST(what_it_refuses_to_those_who_had_it_is_asked_for_again),
		TEST(who_was_answered_gets_it_although_it_is_refused_later),
		TEST(without_a_thread_it_fails_in_time_and_is_tried_again),
		TEST(publish_is_a_statement_with_parameters),
		TEST(publish_waits_for_a_session_like_any_statement),
		TEST(a_drain_begins_no_subscription_and_ends_those_that_wait),
	};

	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
