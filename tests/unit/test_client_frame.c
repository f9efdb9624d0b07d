/*
 * Where replies end: each is given byte by byte, with bytes of the next behind
 * it, and must end where it does and not before.
 */
#include "unit.h"

#include "client/frame.h"

static void
check_ends_here(const char *reply, size_t n_reply)
{
	char bytes[256];
	struct lk_frame frame;
	size_t n;

	memcpy(bytes, reply, n_reply);
	memcpy(bytes + n_reply, "+x\r\n", 4);
	lk_frame_init(&frame);
	for (n = 0; n < n_reply; n++) {
		if (lk_frame_is_whole(&frame, bytes, n))
			fail_msg("%zu bytes of %zu pass for whole: %s", n,
			    n_reply, reply);
	}
	assert_true(lk_frame_is_whole(&frame, bytes, n_reply));
	assert_int_equal(frame.at, n_reply);

	lk_frame_init(&frame);
	assert_true(lk_frame_is_whole(&frame, bytes, n_reply + 4));
	assert_int_equal(frame.at, n_reply);
}

#define CHECK_ENDS_HERE(text)	check_ends_here((text), sizeof(text) - 1)

static void
scalars_end_with_their_line(void **state)
{
	(void)state;
	CHECK_ENDS_HERE("+OK\r\n");
	CHECK_ENDS_HERE("-DEADLOCK 40P01 nobody moves\r\n");
	CHECK_ENDS_HERE(":-12\r\n");
	CHECK_ENDS_HERE(",1.5\r\n");
	CHECK_ENDS_HERE("#t\r\n");
	CHECK_ENDS_HERE("_\r\n");
}

static void
strings_end_after_their_bytes(void **state)
{
	(void)state;
	CHECK_ENDS_HERE("$0\r\n\r\n");
	CHECK_ENDS_HERE("$-1\r\n");
	CHECK_ENDS_HERE("$7\r\na\r\nb\0\n\n\r\n");
	CHECK_ENDS_HERE("!3\r\nerr\r\n");
}

static void
aggregates_end_with_their_last_value(void **state)
{
	(void)state;
	CHECK_ENDS_HERE("*0\r\n");
	CHECK_ENDS_HERE("*-1\r\n");
	CHECK_ENDS_HERE("%0\r\n");
	CHECK_ENDS_HERE("*2\r\n:1\r\n$2\r\nab\r\n");
	CHECK_ENDS_HERE("*2\r\n%1\r\n+k\r\n*1\r\n_\r\n*0\r\n");
	CHECK_ENDS_HERE(">2\r\n+lockwait\r\n%1\r\n+a\r\n$1\r\nb\r\n");
	CHECK_ENDS_HERE("|1\r\n+ttl\r\n:3\r\n*1\r\n:1\r\n");
}

static void
check_gives_up(const char *bytes)
{
	struct lk_frame frame;

	lk_frame_init(&frame);
	if (!lk_frame_is_whole(&frame, bytes, strlen(bytes)))
		fail_msg("waits for more of: %s", bytes);
}

static void
what_is_no_reply_is_not_waited_for(void **state)
{
	(void)state;
	check_gives_up("hello\r\n");
	check_gives_up("\r\n");
	check_gives_up("+OK\n");
	check_gives_up("$abc\r\n");
	check_gives_up("$-2\r\n");
	check_gives_up("*99999999999999999999\r\n");
	check_gives_up("$9999999999999\r\n");
	check_gives_up("*1000000000000\r\n*1000000000000\r\n*1\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_end_with_their_line),
		cmocka_unit_test(strings_end_after_their_bytes),
		cmocka_unit_test(aggregates_end_with_their_last_value),
		cmocka_unit_test(what_is_no_reply_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
