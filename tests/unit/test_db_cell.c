#include "unit.h"

#include "base/buf.h"
#include "base/role.h"
#include "db/cell.h"

static struct lk_buf out;

static int
enter(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_WORKER);
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	lk_buf_fini(&out);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

static void
expect_resp(int proto, enum lk_cell_class cls, const char *text,
    const char *expected)
{
	lk_assert_worker();
	lk_buf_truncate(&out, 0);
	lk_cell_resp(&out, proto, cls, text, text == NULL ? 0 : strlen(text));
	assert_string_equal(lk_buf_cstr(&out), expected);
}

static void
expect_json(enum lk_cell_class cls, const char *text, const char *expected)
{
	lk_assert_worker();
	lk_buf_truncate(&out, 0);
	lk_cell_json(&out, cls, text, text == NULL ? 0 : strlen(text));
	assert_string_equal(lk_buf_cstr(&out), expected);
}

static void
resp3_has_types(void **state)
{
	(void)state;
	expect_resp(3, LK_CELL_TEXT, NULL, "_\r\n");
	expect_resp(3, LK_CELL_TEXT, "", "$0\r\n\r\n");
	expect_resp(3, LK_CELL_BOOL, "t", "#t\r\n");
	expect_resp(3, LK_CELL_BOOL, "f", "#f\r\n");
	expect_resp(3, LK_CELL_INT, "0", ":0\r\n");
	expect_resp(3, LK_CELL_INT, "9223372036854775807",
	    ":9223372036854775807\r\n");
	expect_resp(3, LK_CELL_INT, "-9223372036854775808",
	    ":-9223372036854775808\r\n");
	expect_resp(3, LK_CELL_DOUBLE, "1e-05", ",1e-05\r\n");
	expect_resp(3, LK_CELL_DOUBLE, "-Infinity", "$9\r\n-Infinity\r\n");
	expect_resp(3, LK_CELL_NUMERIC, "1.50", "$4\r\n1.50\r\n");
	expect_resp(3, LK_CELL_JSON, "{}", "$2\r\n{}\r\n");
}

static void
resp2_has_fewer(void **state)
{
	(void)state;
	expect_resp(2, LK_CELL_INT, NULL, "$-1\r\n");
	expect_resp(2, LK_CELL_BOOL, "t", ":1\r\n");
	expect_resp(2, LK_CELL_DOUBLE, "1.5", "$3\r\n1.5\r\n");
}

static void
bytea_is_its_bytes(void **state)
{
	(void)state;
	lk_assert_worker();
	expect_resp(3, LK_CELL_BYTEA, "\\x", "$0\r\n\r\n");
	expect_resp(3, LK_CELL_BYTEA, "\\x0aFf41", "$3\r\n\n\xff" "A\r\n");
	/* The form that bytea_output = escape gives. */
	expect_resp(3, LK_CELL_BYTEA, "a\\\\x\\012", "$4\r\na\\x\n\r\n");
	lk_buf_truncate(&out, 0);
	lk_cell_resp(&out, 3, LK_CELL_BYTEA, "\\x00", 4);
	assert_int_equal(out.len, 7);
	assert_memory_equal(out.data, "$1\r\n\0\r\n", 7);
}

/* Never what would be taken for the next reply. */
static void
numbers_that_are_none_are_text(void **state)
{
	(void)state;
	expect_resp(3, LK_CELL_INT, "", "$0\r\n\r\n");
	expect_resp(3, LK_CELL_INT, "-", "$1\r\n-\r\n");
	expect_resp(3, LK_CELL_INT, "1\r\n:2", "$5\r\n1\r\n:2\r\n");
	expect_resp(3, LK_CELL_INT, "12345678901234567890",
	    "$20\r\n12345678901234567890\r\n");
	expect_resp(3, LK_CELL_DOUBLE, "1\r\n+x", "$5\r\n1\r\n+x\r\n");
	expect_resp(3, LK_CELL_DOUBLE, "1e", "$2\r\n1e\r\n");
	expect_json(LK_CELL_DOUBLE, "1e", "\"1e\"");
	expect_json(LK_CELL_NUMERIC, "1.5.6", "\"1.5.6\"");
	expect_json(LK_CELL_INT, "1,2", "\"1,2\"");
}

static void
json_has_its_own(void **state)
{
	(void)state;
	expect_json(LK_CELL_INT, NULL, "null");
	expect_json(LK_CELL_INT, "-12", "-12");
	expect_json(LK_CELL_BOOL, "t", "true");
	expect_json(LK_CELL_BOOL, "f", "false");
	expect_json(LK_CELL_NUMERIC, "1.50", "1.50");
	expect_json(LK_CELL_NUMERIC, "NaN", "\"NaN\"");
	expect_json(LK_CELL_DOUBLE, "1e+300", "1e+300");
	expect_json(LK_CELL_DOUBLE, "-Infinity", "\"-Infinity\"");
	expect_json(LK_CELL_JSON, "{\"a\": [1, 2]}", "{\"a\": [1, 2]}");
	expect_json(LK_CELL_BYTEA, "\\x00ff", "\"\\\\x00ff\"");
	expect_json(LK_CELL_TEXT, "12", "\"12\"");
	expect_json(LK_CELL_TEXT, "q\" b\\ t\t n\n e\x1b \xc3\xa9",
	    "\"q\\\" b\\\\ t\\u0009 n\\u000a e\\u001b \xc3\xa9\"");
}

static void
a_number_ends_with_its_cell(void **state)
{
	(void)state;
	assert_int_equal(lk_cell_number(&(struct lk_cell){ "1234", 2 }), 12);
	assert_int_equal(lk_cell_number(&(struct lk_cell){ "7x", 2 }), 7);
	assert_int_equal(lk_cell_number(&(struct lk_cell){ "x", 1 }), 0);
	assert_int_equal(lk_cell_number(&(struct lk_cell){ "9", 0 }), 0);
	assert_int_equal(lk_cell_number(&(struct lk_cell){ NULL, 0 }), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resp3_has_types),
		cmocka_unit_test(resp2_has_fewer),
		cmocka_unit_test(bytea_is_its_bytes),
		cmocka_unit_test(numbers_that_are_none_are_text),
		cmocka_unit_test(json_has_its_own),
		cmocka_unit_test(a_number_ends_with_its_cell),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
