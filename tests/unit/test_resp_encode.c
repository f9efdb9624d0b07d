/* Golden bytes of every reply form, for both versions of the protocol. */
#include "unit.h"

#include "resp/encode.h"

#define assert_wire(buf, wire)						\
	assert_bytes(buf, wire, sizeof(wire) - 1, __LINE__)

/* Compare, and empty the buffer for the next. */
static void
assert_bytes(struct lk_buf *buf, const char *wire, size_t n, int line)
{
	assert_false(buf->broken);
	if (buf->len != n || memcmp(buf->data, wire, n) != 0)
		fail_msg("line %d: got \"%s\"", line, lk_buf_cstr(buf));
	lk_buf_fini(buf);
}

static void
array_is_the_same_in_both(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_array(&buf, 0);
	assert_wire(&buf, "*0\r\n");
	lk_enc_array(&buf, 1234567);
	assert_wire(&buf, "*1234567\r\n");
}

static void
map_is_flat_in_resp2(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_map(&buf, 2, 3);
	assert_wire(&buf, "*6\r\n");
	lk_enc_map(&buf, 3, 3);
	assert_wire(&buf, "%3\r\n");
	lk_enc_map(&buf, 2, 0);
	assert_wire(&buf, "*0\r\n");
	lk_enc_map(&buf, 3, 0);
	assert_wire(&buf, "%0\r\n");
}

static void
push_is_an_array_in_resp2(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_push(&buf, 2, 2);
	assert_wire(&buf, "*2\r\n");
	lk_enc_push(&buf, 3, 2);
	assert_wire(&buf, ">2\r\n");
}

static void
null(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_null(&buf, 2);
	assert_wire(&buf, "$-1\r\n");
	lk_enc_null(&buf, 3);
	assert_wire(&buf, "_\r\n");
}

static void
bool_is_an_integer_in_resp2(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_bool(&buf, 2, true);
	lk_enc_bool(&buf, 2, false);
	assert_wire(&buf, ":1\r\n:0\r\n");
	lk_enc_bool(&buf, 3, true);
	lk_enc_bool(&buf, 3, false);
	assert_wire(&buf, "#t\r\n#f\r\n");
}

static void
int_covers_all_64_bits(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_int(&buf, 0);
	lk_enc_int(&buf, 7);
	lk_enc_int(&buf, -10);
	assert_wire(&buf, ":0\r\n:7\r\n:-10\r\n");
	lk_enc_int(&buf, INT64_MAX);
	assert_wire(&buf, ":9223372036854775807\r\n");
	lk_enc_int(&buf, INT64_MIN);
	assert_wire(&buf, ":-9223372036854775808\r\n");
}

static void
put_double(struct lk_buf *buf, int proto, const char *text)
{
	lk_enc_double(buf, proto, text, strlen(text));
}

static void
double_is_bulk_in_resp2(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	put_double(&buf, 2, "1.5");
	assert_wire(&buf, "$3\r\n1.5\r\n");
	put_double(&buf, 3, "1.5");
	assert_wire(&buf, ",1.5\r\n");
	put_double(&buf, 3, "-0");
	assert_wire(&buf, ",-0\r\n");
	put_double(&buf, 2, "1e+300");
	assert_wire(&buf, "$6\r\n1e+300\r\n");
	put_double(&buf, 3, "1e+300");
	assert_wire(&buf, ",1e+300\r\n");
}

static void
nan_and_infinities_are_bulk_in_both(void **state)
{
	struct lk_buf	buf = LK_BUF_INIT;
	int		proto;

	(void)state;
	for (proto = 2; proto <= 3; proto++) {
		put_double(&buf, proto, "NaN");
		assert_wire(&buf, "$3\r\nNaN\r\n");
		put_double(&buf, proto, "Infinity");
		assert_wire(&buf, "$8\r\nInfinity\r\n");
		put_double(&buf, proto, "-Infinity");
		assert_wire(&buf, "$9\r\n-Infinity\r\n");
	}
}

static void
bulk_carries_any_bytes(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_bulk(&buf, "a\0\r\n\xff", 5);
	assert_wire(&buf, "$5\r\na\0\r\n\xff\r\n");
	lk_enc_bulk(&buf, NULL, 0);
	assert_wire(&buf, "$0\r\n\r\n");
	lk_enc_text(&buf, "gr\xc3\xbc\xc3\x9f");
	assert_wire(&buf, "$6\r\ngr\xc3\xbc\xc3\x9f\r\n");
}

static void
simple(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_enc_simple(&buf, "OK");
	lk_enc_simple(&buf, "");
	assert_wire(&buf, "+OK\r\n+\r\n");
}

static void
error_is_kind_sqlstate_message(void **state)
{
	struct lk_buf	buf = LK_BUF_INIT;
	struct lk_error	error = { .is_set = false };

	(void)state;
	lk_error_set(&error, LK_ERR_DEADLOCK, "chosen as victim");
	lk_enc_error(&buf, &error);
	assert_wire(&buf, "-DEADLOCK 40P01 chosen as victim\r\n");
	lk_error_set(&error, LK_ERR_PG, "duplicate key");
	lk_error_set_sqlstate(&error, "23505");
	lk_enc_error(&buf, &error);
	assert_wire(&buf, "-PG 23505 duplicate key\r\n");
	lk_error_fini(&error);
}

/* An error that somebody filled by hand still cannot end its line early. */
static void
error_stays_on_one_line(void **state)
{
	char		message[] = "one\r\n+OK\ntwo";
	struct lk_error	error = {
		.kind = LK_ERR_PG, .sqlstate = "XX000", .message = message,
	};
	struct lk_buf	buf = LK_BUF_INIT;

	(void)state;
	lk_enc_error(&buf, &error);
	assert_wire(&buf, "-PG XX000 one  +OK two\r\n");
	error.message = NULL;
	lk_enc_error(&buf, &error);
	assert_wire(&buf, "-PG XX000 \r\n");
}

static void
error_is_utf8_whatever_was_given(void **state)
{
	static const struct {
		const char *message;
		const char *wire;
	} cases[] = {
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		    "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "caf\xe9 au lait", "caf? au lait" },	/* Latin-1 */
		{ "cut \xe2\x82", "cut ??" },
		{ "overlong \xc0\x80", "overlong ??" },
		{ "overlong \xe0\x80\x80", "overlong ???" },
		{ "surrogate \xed\xa0\x80", "surrogate ???" },
		{ "beyond \xf4\x90\x80\x80", "beyond ????" },
		{ "beyond \xf5\x80\x80\x80", "beyond ????" },
		{ "alone \x80", "alone ?" },
	};
	struct lk_error	error = { .is_set = false };
	struct lk_buf	buf = LK_BUF_INIT;
	struct lk_buf	want = LK_BUF_INIT;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lk_error_set(&error, LK_ERR_SYNTAX, "%s", cases[i].message);
		lk_enc_error(&buf, &error);
		lk_buf_printf(&want, "-SYNTAX 42601 %s\r\n", cases[i].wire);
		assert_string_equal(lk_buf_cstr(&buf), lk_buf_cstr(&want));
		lk_buf_fini(&buf);
		lk_buf_fini(&want);
	}
	lk_error_fini(&error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(array_is_the_same_in_both),
		cmocka_unit_test(map_is_flat_in_resp2),
		cmocka_unit_test(push_is_an_array_in_resp2),
		cmocka_unit_test(null),
		cmocka_unit_test(bool_is_an_integer_in_resp2),
		cmocka_unit_test(int_covers_all_64_bits),
		cmocka_unit_test(double_is_bulk_in_resp2),
		cmocka_unit_test(nan_and_infinities_are_bulk_in_both),
		cmocka_unit_test(bulk_carries_any_bytes),
		cmocka_unit_test(simple),
		cmocka_unit_test(error_is_kind_sqlstate_message),
		cmocka_unit_test(error_stays_on_one_line),
		cmocka_unit_test(error_is_utf8_whatever_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
