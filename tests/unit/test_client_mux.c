/* Requests as they leave, and replies in whatever pieces and order they come. */
#include "unit.h"

#include <stdlib.h>

#include <lockkeeper.h>

#include "base/error.h"
#include "client/verb.h"

static int
set_up(void **state)
{
	*state = lk_mux_new();
	return *state == NULL;
}

static int
tear_down(void **state)
{
	lk_mux_free((struct lk_mux **)state);
	return 0;
}

static void
assert_output(struct lk_mux *mux, const char *wanted)
{
	const char *bytes;
	size_t n = lk_mux_output(mux, &bytes);

	assert_int_equal(n, strlen(wanted));
	assert_memory_equal(bytes, wanted, n);
	lk_mux_sent(mux, n);
}

static void
send_all(struct lk_mux *mux)
{
	const char *bytes;

	lk_mux_sent(mux, lk_mux_output(mux, &bytes));
}

/* A request of one word. */
static uint64_t
submit(struct lk_mux *mux, const char *word, void *arg)
{
	return lk_mux_submit(mux, NULL, 1, &word, NULL, arg);
}

static void
feed(struct lk_mux *mux, const char *bytes)
{
	assert_int_equal(lk_mux_feed(mux, bytes, strlen(bytes)), 0);
}

static void
assert_nothing(struct lk_mux *mux)
{
	struct lk_reply *reply;
	void *arg;

	assert_int_equal(lk_mux_next(mux, &reply, &arg), LK_MUX_NOTHING);
	assert_null(reply);
}

static struct lk_reply *
take(struct lk_mux *mux, enum lk_mux_event wanted, void *wanted_arg)
{
	struct lk_reply *reply;
	void *arg;

	assert_int_equal(lk_mux_next(mux, &reply, &arg), wanted);
	assert_ptr_equal(arg, wanted_arg);
	assert_non_null(reply);
	return reply;
}

static void
assert_text(struct lk_mux *mux, void *arg, const char *text)
{
	struct lk_reply *reply = take(mux, LK_MUX_REPLY, arg);

	assert_string_equal(lk_reply_text(reply, NULL), text);
	lk_reply_free(&reply);
	assert_null(reply);
}

static void
assert_kind(struct lk_mux *mux, void *arg, enum lk_kind kind)
{
	struct lk_reply *reply = take(mux, LK_MUX_REPLY, arg);

	assert_int_equal(lk_reply_kind(reply), kind);
	assert_true(lk_reply_is_local(reply));
	lk_reply_free(&reply);
}

/* ---- out ---- */

static void
words_travel_as_they_are_and_null_as_null(void **state)
{
	const char *words[] = { "SQL", "a\0b", "", NULL };
	const size_t lens[] = { 3, 3, 0, 99 };
	static const char wanted[] = "*5\r\n$2\r\n@0\r\n$3\r\nSQL\r\n"
	    "$3\r\na\0b\r\n$0\r\n\r\n$-1\r\n";
	struct lk_mux *mux = *state;
	const char *bytes;

	assert_int_not_equal(lk_mux_submit(mux, NULL, 4, words, lens, NULL),
	    0);
	assert_int_equal(lk_mux_output(mux, &bytes), sizeof(wanted) - 1);
	assert_memory_equal(bytes, wanted, sizeof(wanted) - 1);
}

static void
the_envelope_stands_before_the_verb(void **state)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	const char *words[] = { "PING" };
	struct lk_mux *mux = *state;

	envelope.task = "c 1";
	envelope.database = "db";
	envelope.tx = 91;
	envelope.deadline_ms = 5;
	envelope.lock_ms = 7;
	envelope.rows = "table";
	envelope.flags = LK_REPLAY;
	assert_int_not_equal(lk_mux_submit(mux, &envelope, 1, words, NULL,
	    NULL), 0);
	assert_output(mux, "*9\r\n$2\r\n@0\r\n$4\r\n%c 1\r\n$3\r\n/db\r\n"
	    "$3\r\n#91\r\n$2\r\n~5\r\n$2\r\n?7\r\n$6\r\n=table\r\n$1\r\n!\r\n"
	    "$4\r\nPING\r\n");
	envelope = (struct lk_envelope)LK_ENVELOPE_INIT;
	envelope.lock_ms = LK_NOWAIT;
	envelope.flags = LK_IN_ORDER;
	lk_mux_submit(mux, &envelope, 1, words, NULL, NULL);
	assert_output(mux, "*2\r\n$2\r\n?0\r\n$4\r\nPING\r\n");
}

static void
what_is_no_request_is_refused(void **state)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	const char *words[] = { "PING" }, *bytes;
	struct lk_mux *mux = *state;

	assert_int_equal(lk_mux_submit(mux, NULL, 0, words, NULL, NULL), 0);
	envelope.size = 0;
	assert_int_equal(lk_mux_submit(mux, &envelope, 1, words, NULL, NULL),
	    0);
	envelope.size = sizeof(envelope) + 1;	/* of a later library */
	assert_int_equal(lk_mux_submit(mux, &envelope, 1, words, NULL, NULL),
	    0);
	assert_int_equal(lk_mux_output(mux, &bytes), 0);
	assert_int_equal(lk_mux_outstanding(mux), 0);
}

static void
sending_goes_on_where_it_stopped(void **state)
{
	struct lk_mux *mux = *state;
	const char *bytes;
	size_t n;

	submit(mux, "PING", NULL);
	lk_mux_output(mux, &bytes);
	lk_mux_sent(mux, 10);
	submit(mux, "PONG", NULL);
	n = lk_mux_output(mux, &bytes);
	assert_memory_equal(bytes, "\r\n$4\r\nPING", 10);
	assert_int_equal(n, 2 * strlen("*2\r\n$2\r\n@0\r\n$4\r\nPING\r\n") -
	    10);
}

/* ---- in ---- */

static void
replies_find_their_requests_in_any_order(void **state)
{
	struct lk_mux *mux = *state;
	int a, b, c;

	submit(mux, "A", &a);
	submit(mux, "B", &b);
	submit(mux, "C", &c);
	assert_int_equal(lk_mux_outstanding(mux), 3);
	feed(mux, "*3\r\n+reply\r\n$1\r\n2\r\n+third\r\n"
	    "*3\r\n+reply\r\n$1\r\n0\r\n+first\r\n"
	    ">3\r\n+reply\r\n$1\r\n1\r\n+second\r\n");
	assert_text(mux, &c, "third");
	assert_text(mux, &a, "first");
	assert_text(mux, &b, "second");
	assert_nothing(mux);
	assert_int_equal(lk_mux_outstanding(mux), 0);
}

static void
replies_without_tags_come_in_order_beside_those_with(void **state)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	const char *word = "X";
	struct lk_mux *mux = *state;
	int a, b, c;

	envelope.flags = LK_IN_ORDER;
	lk_mux_submit(mux, &envelope, 1, &word, NULL, &a);
	submit(mux, "T", &b);
	lk_mux_submit(mux, &envelope, 1, &word, NULL, &c);
	feed(mux, "+one\r\n*3\r\n+reply\r\n$1\r\n1\r\n+two\r\n+three\r\n");
	assert_text(mux, &a, "one");
	assert_text(mux, &b, "two");
	assert_text(mux, &c, "three");
}

static void
every_byte_may_come_alone(void **state)
{
	static const char bytes[] = ">2\r\n$8\r\nlockwait\r\n%0\r\n"
	    "*3\r\n+reply\r\n$1\r\n0\r\n*1\r\n%2\r\n$2\r\nid\r\n:7\r\n"
	    "$1\r\nv\r\n_\r\n";
	struct lk_mux *mux = *state;
	struct lk_reply *reply;
	const struct lk_reply *row;
	size_t i, n_events = 0;
	void *arg;

	submit(mux, "A", mux);
	for (i = 0; i < sizeof(bytes) - 1; i++) {
		assert_int_equal(lk_mux_feed(mux, bytes + i, 1), 0);
		switch (lk_mux_next(mux, &reply, &arg)) {
		case LK_MUX_PUSH:
			assert_int_equal(n_events++, 0);
			assert_string_equal(lk_reply_text(lk_reply_at(reply,
			    0), NULL), "lockwait");
			break;
		case LK_MUX_REPLY:
			assert_int_equal(n_events++, 1);
			assert_int_equal(lk_reply_count(reply), 1);
			row = lk_reply_at(reply, 0);
			assert_int_equal(lk_reply_int(lk_reply_get(row,
			    "id")), 7);
			assert_true(lk_reply_is_null(lk_reply_get(row, "v")));
			break;
		default:
			assert_null(reply);
		}
		lk_reply_free(&reply);
	}
	assert_int_equal(n_events, 2);
}

static void
tags_are_used_again_and_numbers_are_not(void **state)
{
	struct lk_mux *mux = *state;
	uint64_t first = submit(mux, "A", NULL), second;

	send_all(mux);
	feed(mux, "*3\r\n+reply\r\n$1\r\n0\r\n_\r\n");
	lk_reply_free(&(struct lk_reply *){ take(mux, LK_MUX_REPLY, NULL) });
	second = submit(mux, "B", NULL);
	assert_int_not_equal(first, second);
	assert_output(mux, "*2\r\n$2\r\n@0\r\n$1\r\nB\r\n");
	assert_false(lk_mux_cancel(mux, first));
	assert_true(lk_mux_cancel(mux, second));
	assert_output(mux, "*3\r\n$2\r\n@1\r\n$6\r\nCANCEL\r\n$1\r\n0\r\n");
	assert_int_equal(lk_mux_outstanding(mux), 1);
	feed(mux, "*3\r\n+reply\r\n$1\r\n1\r\n:1\r\n");	/* CANCEL's own */
	assert_nothing(mux);
}

static void
what_nobody_asked_for_is_a_stray(void **state)
{
	struct lk_mux *mux = *state;
	struct lk_reply *reply;

	feed(mux, "-CLOSING 57P03 gone\r\n*3\r\n+reply\r\n$1\r\n7\r\n_\r\n"
	    "*3\r\n+reply\r\n$1\r\nx\r\n_\r\n");
	reply = take(mux, LK_MUX_STRAY, NULL);
	assert_int_equal(lk_reply_kind(reply), LK_KIND_CLOSING);
	lk_reply_free(&reply);
	lk_reply_free(&(struct lk_reply *){ take(mux, LK_MUX_STRAY, NULL) });
	lk_reply_free(&(struct lk_reply *){ take(mux, LK_MUX_STRAY, NULL) });
	assert_nothing(mux);
}

static void
subscribing_is_tagged_since_only_pushes_answer_it(void **state)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	const char *words[] = { "subscribe", "ch" };
	struct lk_mux *mux = *state;
	int a;

	envelope.flags = LK_IN_ORDER;
	lk_mux_submit(mux, &envelope, 2, words, NULL, &a);
	feed(mux, ">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"
	    "*3\r\n+reply\r\n$1\r\n0\r\n:1\r\n");
	lk_reply_free(&(struct lk_reply *){ take(mux, LK_MUX_PUSH, NULL) });
	lk_reply_free(&(struct lk_reply *){ take(mux, LK_MUX_REPLY, &a) });
}

static void
a_reply_beyond_the_limit_breaks_the_stream(void **state)
{
	struct lk_mux *mux = *state;

	lk_mux_set_limit(mux, 16);
	submit(mux, "A", NULL);
	feed(mux, "$10\r\n0123456789\r\n");	/* 17 bytes, and whole */
	assert_nothing(mux);
	assert_non_null(strstr(lk_mux_error(mux), "larger"));
	assert_int_equal(lk_mux_feed(mux, "x", 1), -1);
}

static void
a_reply_that_grows_beyond_the_limit_is_not_waited_for(void **state)
{
	struct lk_mux *mux = *state;

	lk_mux_set_limit(mux, 16);
	feed(mux, "$100000\r\n01234567");
	assert_nothing(mux);
	assert_non_null(strstr(lk_mux_error(mux), "larger"));
}

static void
bytes_that_are_no_resp_break_the_stream(void **state)
{
	struct lk_mux *mux = *state;

	assert_null(lk_mux_error(mux));
	feed(mux, "HTTP/1.1 400 Bad Request\r\n");
	assert_nothing(mux);
	assert_non_null(lk_mux_error(mux));
}

/* ---- losses ---- */

static void
a_loss_is_told_as_it_is(void **state)
{
	struct lk_envelope in_tx = LK_ENVELOPE_INIT;
	const char *sql[] = { "SQL", "UPDATE t SET v = 1" };
	const char *get[] = { "GET", "t", "1" };
	const char *commit[] = { "commit" }, *whatever[] = { "NEWVERB" };
	struct lk_mux *mux = *state;
	int outside, inside, reading, committing, unsent, unknown;

	in_tx.tx = 5;
	lk_mux_submit(mux, NULL, 2, sql, NULL, &outside);
	lk_mux_submit(mux, &in_tx, 2, sql, NULL, &inside);
	lk_mux_submit(mux, NULL, 3, get, NULL, &reading);
	lk_mux_submit(mux, &in_tx, 1, commit, NULL, &committing);
	lk_mux_submit(mux, NULL, 1, whatever, NULL, &unknown);
	send_all(mux);
	lk_mux_submit(mux, NULL, 2, sql, NULL, &unsent);
	lk_mux_sent(mux, 5);		/* a part of it is nothing */
	lk_mux_lose(mux, "gone");
	assert_kind(mux, &outside, LK_KIND_UNKNOWN);
	assert_kind(mux, &inside, LK_KIND_CONNLOST);
	assert_kind(mux, &reading, LK_KIND_CONNLOST);
	assert_kind(mux, &committing, LK_KIND_UNKNOWN);
	assert_kind(mux, &unknown, LK_KIND_UNKNOWN);
	assert_kind(mux, &unsent, LK_KIND_CONNLOST);
	assert_nothing(mux);
	assert_int_equal(lk_mux_outstanding(mux), 0);
	assert_int_equal(submit(mux, "PING", NULL), 0);
}

static void
replies_that_came_before_the_loss_count(void **state)
{
	struct lk_mux *mux = *state;
	int a, b;

	submit(mux, "PING", &a);
	submit(mux, "PING", &b);
	send_all(mux);
	feed(mux, "*3\r\n+reply\r\n$1\r\n0\r\n+PONG\r\n*3\r\n+rep");
	lk_mux_lose(mux, "gone");
	assert_text(mux, &a, "PONG");
	assert_kind(mux, &b, LK_KIND_CONNLOST);
	assert_nothing(mux);
}

/* ---- units ---- */

static struct lk_unit *
make_unit(void)
{
	const char *options[] = { "RETRY", "5" };
	const char *verb[] = { "SQL", "UPDATE t SET v = 1" };
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	struct lk_unit *unit = lk_unit_new(2, options, NULL);

	envelope.rows = "json";
	assert_int_equal(lk_unit_add(unit, &envelope, 2, verb, NULL), 0);
	return unit;
}

static void
a_unit_leaves_whole_and_has_one_reply(void **state)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	struct lk_unit *unit = make_unit();
	struct lk_mux *mux = *state;
	struct lk_reply *reply;
	int a;

	envelope.database = "db";
	envelope.deadline_ms = 9;
	assert_int_not_equal(lk_mux_submit_unit(mux, &envelope, unit, &a), 0);
	lk_unit_free(&unit);
	assert_output(mux,
	    "*6\r\n$2\r\n@1\r\n$7\r\n%unit-0\r\n$3\r\n/db\r\n$5\r\nMULTI\r\n"
	    "$5\r\nRETRY\r\n$1\r\n5\r\n"
	    "*5\r\n$2\r\n@2\r\n$7\r\n%unit-0\r\n$5\r\n=json\r\n$3\r\nSQL\r\n"
	    "$18\r\nUPDATE t SET v = 1\r\n"
	    "*4\r\n$2\r\n@0\r\n$7\r\n%unit-0\r\n$2\r\n~9\r\n$4\r\nEXEC\r\n");
	assert_int_equal(lk_mux_outstanding(mux), 1);
	feed(mux, "*3\r\n+reply\r\n$1\r\n1\r\n+OK\r\n"
	    "*3\r\n+reply\r\n$1\r\n2\r\n+QUEUED\r\n"
	    "*3\r\n+reply\r\n$1\r\n0\r\n*1\r\n+UPDATE 1\r\n");
	reply = take(mux, LK_MUX_REPLY, &a);
	assert_string_equal(lk_reply_text(lk_reply_at(reply, 0), NULL),
	    "UPDATE 1");
	lk_reply_free(&reply);
	assert_nothing(mux);
}

static void
a_unit_that_cannot_be_queued_says_why(void **state)
{
	struct lk_unit *unit = make_unit();
	struct lk_mux *mux = *state;
	struct lk_reply *reply;
	int a;

	lk_mux_submit_unit(mux, NULL, unit, &a);
	lk_unit_free(&unit);
	feed(mux, "*3\r\n+reply\r\n$1\r\n1\r\n+OK\r\n"
	    "*3\r\n+reply\r\n$1\r\n2\r\n-SYNTAX 42601 no such verb\r\n"
	    "*3\r\n+reply\r\n$1\r\n0\r\n-EXECABORT 25P02 see before\r\n");
	reply = take(mux, LK_MUX_REPLY, &a);
	assert_int_equal(lk_reply_kind(reply), LK_KIND_SYNTAX);
	lk_reply_free(&reply);
	assert_nothing(mux);
}

static void
a_lost_unit_may_have_been_carried_out_only_when_all_was_sent(void **state)
{
	struct lk_unit *unit = make_unit();
	struct lk_mux *mux = *state;
	const char *bytes;
	int a, b;

	lk_mux_submit_unit(mux, NULL, unit, &a);
	send_all(mux);
	lk_mux_submit_unit(mux, NULL, unit, &b);
	lk_unit_free(&unit);
	lk_mux_sent(mux, lk_mux_output(mux, &bytes) - 1);
	lk_mux_lose(mux, "gone");
	assert_kind(mux, &a, LK_KIND_UNKNOWN);
	assert_kind(mux, &b, LK_KIND_CONNLOST);
	assert_nothing(mux);
}

#define TEST(name)	\
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_travel_as_they_are_and_null_as_null),
		TEST(the_envelope_stands_before_the_verb),
		TEST(what_is_no_request_is_refused),
		TEST(sending_goes_on_where_it_stopped),
		TEST(replies_find_their_requests_in_any_order),
		TEST(replies_without_tags_come_in_order_beside_those_with),
		TEST(every_byte_may_come_alone),
		TEST(tags_are_used_again_and_numbers_are_not),
		TEST(what_nobody_asked_for_is_a_stray),
		TEST(subscribing_is_tagged_since_only_pushes_answer_it),
		TEST(a_reply_beyond_the_limit_breaks_the_stream),
		TEST(a_reply_that_grows_beyond_the_limit_is_not_waited_for),
		TEST(bytes_that_are_no_resp_break_the_stream),
		TEST(a_loss_is_told_as_it_is),
		TEST(replies_that_came_before_the_loss_count),
		TEST(a_unit_leaves_whole_and_has_one_reply),
		TEST(a_unit_that_cannot_be_queued_says_why),
		TEST(a_lost_unit_may_have_been_carried_out_only_when_all_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
