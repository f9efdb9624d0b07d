/* Replies as people and programs get to see them. */
#include "unit.h"

#include "cli/print.h"
#include "cli/text.h"

typedef void (*print_fn)(struct lk_buf *out, const struct lk_reply *value);

static void
print_narrow(struct lk_buf *out, const struct lk_reply *value)
{
	lk_print_human(out, value, 10);
}

static void
print_wide(struct lk_buf *out, const struct lk_reply *value)
{
	lk_print_human(out, value, 0);
}

static void
check(print_fn print, const char *reply, size_t n, const char *wanted)
{
	struct lk_buf out = LK_BUF_INIT;
	struct lk_mux *mux = lk_mux_new();
	struct lk_reply *value;
	void *arg;

	assert_int_equal(lk_mux_feed(mux, reply, n), 0);
	assert_int_not_equal(lk_mux_next(mux, &value, &arg), LK_MUX_NOTHING);
	print(&out, value);
	assert_string_equal(lk_buf_cstr(&out), wanted);
	lk_reply_free(&value);
	lk_mux_free(&mux);
	lk_buf_fini(&out);
}

#define CHECK(print, reply, wanted)	\
	check((print), (reply), sizeof(reply) - 1, (wanted))

static void
scalars_look_as_in_redis_cli(void **state)
{
	(void)state;
	CHECK(print_wide, "+UPDATE 3\r\n", "UPDATE 3\n");
	CHECK(print_wide, ":42\r\n", "(integer) 42\n");
	CHECK(print_wide, ",1.5\r\n", "(double) 1.5\n");
	CHECK(print_wide, "#t\r\n", "(true)\n");
	CHECK(print_wide, "_\r\n", "(null)\n");
	CHECK(print_wide, "$4\r\na\"b\n\r\n", "\"a\\\"b\\n\"\n");
	CHECK(print_wide, "*0\r\n", "(0 rows)\n");
	CHECK(print_wide, "*2\r\n:1\r\n*1\r\n+x\r\n",
	    "1) (integer) 1\n2) [\"x\"]\n");
}

#define ACCOUNTS	"*2\r\n"					\
	"%3\r\n+id\r\n:1\r\n+owner\r\n$4\r\n\xc3\x85" "da\r\n+at\r\n"	\
	"$10\r\n2026-01-31\r\n"						\
	"%3\r\n+id\r\n:22\r\n+owner\r\n_\r\n+at\r\n$0\r\n\r\n"

static void
rows_are_a_table(void **state)
{
	(void)state;
	CHECK(print_wide, ACCOUNTS,
	    " id | owner | at\n"
	    "----+-------+------------\n"
	    "  1 | \xc3\x85" "da   | 2026-01-31\n"
	    " 22 | NULL  |\n"
	    "(2 rows)\n");
}

static void
rows_too_wide_for_the_terminal_are_blocks(void **state)
{
	(void)state;
	CHECK(print_narrow, ACCOUNTS,
	    "-- 1 --\n"
	    "id     1\n"
	    "owner  \xc3\x85" "da\n"
	    "at     2026-01-31\n"
	    "-- 2 --\n"
	    "id     22\n"
	    "owner  NULL\n"
	    "at\n"
	    "(2 rows)\n");
}

static void
rows_of_different_columns_are_a_list(void **state)
{
	(void)state;
	CHECK(print_wide, "*2\r\n%1\r\n+a\r\n:1\r\n%1\r\n+b\r\n:2\r\n",
	    "1) {\"a\":1}\n2) {\"b\":2}\n");
}

static void
a_map_is_a_list_of_pairs(void **state)
{
	(void)state;
	CHECK(print_wide, "%2\r\n+kind\r\n$2\r\nPG\r\n+tx\r\n_\r\n",
	    "kind  PG\ntx    NULL\n");
}

static void
a_tagged_reply_names_its_tag(void **state)
{
	(void)state;
	CHECK(print_wide, "*3\r\n+reply\r\n$2\r\nt1\r\n:5\r\n",
	    "@t1:\n(integer) 5\n");
}

static void
a_message_is_a_line(void **state)
{
	(void)state;
	CHECK(print_wide, ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\nx\n\"y"
	    "\r\n", "message \"a\" \"x\\n\\\"y\"\n");
	CHECK(lk_print_json, ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n",
	    "[\"unsubscribe\",null,0]");
}

/* Colours, titles and cursor movements from a database stay text. */
static void
no_text_reaches_the_terminal_as_control(void **state)
{
	(void)state;
	CHECK(print_wide, "*1\r\n%1\r\n$1\r\n\t\r\n$7\r\n\x1b[31m\x80\x7f\r\n",
	    " \\t\n------------------\n \\x1b[31m\\x80\\x7f\n(1 row)\n");
}

static void
json_is_json(void **state)
{
	(void)state;
	CHECK(lk_print_json, ACCOUNTS,
	    "[{\"id\":1,\"owner\":\"\xc3\x85" "da\",\"at\":\"2026-01-31\"},"
	    "{\"id\":22,\"owner\":null,\"at\":\"\"}]");
	CHECK(lk_print_json, "*5\r\n,1e+20\r\n$3\r\nNaN\r\n#f\r\n_\r\n"
	    "$6\r\n\"\\\n\x01\xff/\r\n",
	    "[1e+20,\"NaN\",false,null,\"\\\"\\\\\\n\\u0001\\ufffd/\"]");
}

static void
a_lockwait_is_one_sentence(void **state)
{
	(void)state;
	CHECK(lk_print_push, ">2\r\n+lockwait\r\n%3\r\n"
	    "+waiting_ms\r\n:512\r\n"
	    "+object\r\n$7\r\nrow (1)\r\n"
	    "+blockers\r\n*3\r\n"
	    "%6\r\n+pid\r\n:17\r\n+tx\r\n:3\r\n+task\r\n$1\r\nA\r\n"
	    "+client\r\n$15\r\nclient x (pid 9\r\n"
	    "+state\r\n$4\r\nidle\r\n+idle_ms\r\n:600\r\n"
	    "%5\r\n+pid\r\n:18\r\n+tx\r\n_\r\n+client\r\n$4\r\npsql\r\n"
	    "+idle_ms\r\n:0\r\n+doing\r\n$4\r\nCALL\r\n"
	    "%3\r\n+pid\r\n:0\r\n+client\r\n$2\r\ng1\r\n"
	    "+state\r\n$8\r\nprepared\r\n",
	    "lockwait after 512 ms: waiting for row (1), held by "
	    "transaction #3 of task A of client x (pid 9, idle for 600 ms; "
	    "and by backend 18 of psql, doing: CALL; "
	    "and by prepared transaction g1");
	CHECK(lk_print_push, ">2\r\n+closing\r\n%1\r\n+in_ms\r\n:5\r\n",
	    "closing {\"in_ms\":5}");
}

static void
a_blocking_is_one_sentence(void **state)
{
	(void)state;
	CHECK(lk_print_push, ">2\r\n+blocking\r\n%6\r\n"
	    "+tx\r\n:3\r\n+task\r\n$1\r\nA\r\n+waiting_ms\r\n:512\r\n"
	    "+object\r\n$7\r\nrow (1)\r\n+waiters\r\n:10\r\n"
	    "+waiter\r\n%4\r\n+pid\r\n:17\r\n+task\r\n$1\r\nB\r\n"
	    "+client\r\n$8\r\nclient x\r\n+doing\r\n$4\r\nCALL\r\n",
	    "blocking: transaction #3 of task A keeps 10 waiting, longest "
	    "task B of client x, 512 ms for row (1), doing: CALL");
	CHECK(lk_print_push, ">2\r\n+blocking\r\n%3\r\n"
	    "+tx\r\n:3\r\n+task\r\n_\r\n+waiters\r\n:1\r\n",
	    "blocking: transaction #3 keeps 1 waiting");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_look_as_in_redis_cli),
		cmocka_unit_test(rows_are_a_table),
		cmocka_unit_test(rows_too_wide_for_the_terminal_are_blocks),
		cmocka_unit_test(rows_of_different_columns_are_a_list),
		cmocka_unit_test(a_map_is_a_list_of_pairs),
		cmocka_unit_test(a_tagged_reply_names_its_tag),
		cmocka_unit_test(a_message_is_a_line),
		cmocka_unit_test(no_text_reaches_the_terminal_as_control),
		cmocka_unit_test(json_is_json),
		cmocka_unit_test(a_lockwait_is_one_sentence),
		cmocka_unit_test(a_blocking_is_one_sentence),
	};

	lk_text_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
