#include "unit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/role.h"
#include "db/array.h"

/* What was told, as [count:…] with elements as <text> and ~ for NULL. */
static struct lk_buf told;

static void
tell_open(void *ctx, size_t n)
{
	assert_ptr_equal(ctx, &told);
	lk_buf_printf(&told, "[%zu:", n);
}

static void
tell_close(void *ctx)
{
	assert_ptr_equal(ctx, &told);
	lk_buf_putc(&told, ']');
}

static void
tell_element(void *ctx, const char *data, size_t n)
{
	assert_ptr_equal(ctx, &told);
	if (data == NULL)
		lk_buf_putc(&told, '~');
	else
		lk_buf_printf(&told, "<%.*s>", (int)n, data);
}

static int
walk(const char *text, size_t n, char delim)
{
	struct lk_array_sink sink = { tell_open, tell_close, tell_element,
	    &told };
	struct lk_buf scratch = LK_BUF_INIT;
	int rc;

	lk_assert_worker();
	lk_buf_truncate(&told, 0);
	rc = lk_array_walk(text, n, delim, &sink, &scratch);
	lk_buf_fini(&scratch);
	return rc;
}

static void
expect(const char *text, const char *what)
{
	assert_int_equal(walk(text, strlen(text), ','), 0);
	assert_string_equal(lk_buf_cstr(&told), what);
}

static void
expect_invalid(const char *text)
{
	if (walk(text, strlen(text), ',') != -LK_E_INVAL)
		fail_msg("%s was taken for an array", text);
}

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
	lk_buf_fini(&told);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

static void
elements_come_in_order(void **state)
{
	(void)state;
	expect("{1,2,-3}", "[3:<1><2><-3>]");
	expect("{x}", "[1:<x>]");
	expect("{a b,c}", "[2:<a b><c>]");
}

static void
an_empty_array_has_no_element(void **state)
{
	(void)state;
	expect("{}", "[0:]");
}

static void
null_is_told_from_its_quoted_word(void **state)
{
	(void)state;
	expect("{NULL,\"NULL\",nullx}", "[3:~<NULL><nullx>]");
	expect("{\"\",NULL}", "[2:<>~]");
}

static void
quotes_and_escapes_are_undone(void **state)
{
	(void)state;
	expect("{\"a,b\",\"{}\",\"say \\\"hi\\\"\",\"back\\\\slash\"}",
	    "[4:<a,b><{}><say \"hi\"><back\\slash>]");
	expect("{\"\\\\x00ff\"}", "[1:<\\x00ff>]");
}

static void
dimensions_nest(void **state)
{
	(void)state;
	expect("{{1,2},{3,NULL}}", "[2:[2:<1><2>][2:<3>~]]");
	expect("{{{{{{1}}}}}}", "[1:[1:[1:[1:[1:[1:<1>]]]]]]");
	expect("{{\"}\",\",\"},{\"{\",x}}", "[2:[2:<}><,>][2:<{><x>]]");
}

static void
lower_bounds_are_passed_over(void **state)
{
	(void)state;
	expect("[2:3]={1,2}", "[2:<1><2>]");
	expect("[0:0][-1:0]={{a,b}}", "[1:[2:<a><b>]]");
}

static void
the_delimiter_is_the_types(void **state)
{
	(void)state;
	assert_int_equal(walk("{(1,2),(0,0);(3,4),(1,1)}", 25, ';'), 0);
	assert_string_equal(lk_buf_cstr(&told),
	    "[2:<(1,2),(0,0)><(3,4),(1,1)>]");
}

static void
what_is_no_array_is_refused(void **state)
{
	(void)state;
	expect_invalid("");
	expect_invalid("1,2");
	expect_invalid("{");
	expect_invalid("{1");
	expect_invalid("{1,");
	expect_invalid("{1,}");
	expect_invalid("{,1}");
	expect_invalid("{1}x");
	expect_invalid("{\"a}");
	expect_invalid("{\"a\"b}");
	expect_invalid("{{1,2}");
	expect_invalid("{1}}");
	expect_invalid("{{{{{{{1}}}}}}}");
	expect_invalid("[1:2]");
	expect_invalid("{a{b}");
}

/* Nothing beyond n is looked at: sanitizers watch. */
static void
every_prefix_is_refused(void **state)
{
	const char *text = "[1:2][1:2]={{\"a\\\"\",NULL},{x,\"{,}\"}}";
	size_t n, whole = strlen(text);

	(void)state;
	for (n = 0; n < whole; n++) {
		char *copy = malloc(n + 1);

		memcpy(copy, text, n);
		assert_int_equal(walk(copy, n, ','), -LK_E_INVAL);
		free(copy);
	}
	assert_int_equal(walk(text, whole, ','), 0);
}

static void
dims_count_the_braces(void **state)
{
	(void)state;
	lk_assert_worker();
	assert_int_equal(lk_array_dims("{}", 2), 1);
	assert_int_equal(lk_array_dims("{1}", 3), 1);
	assert_int_equal(lk_array_dims("{\"{{\"}", 6), 1);
	assert_int_equal(lk_array_dims("{{{1}}}", 7), 3);
	assert_int_equal(lk_array_dims("[1:1][5:5]={{1}}", 16), 2);
	assert_int_equal(lk_array_dims("x", 1), 0);
	assert_int_equal(lk_array_dims("", 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_in_order),
		cmocka_unit_test(an_empty_array_has_no_element),
		cmocka_unit_test(null_is_told_from_its_quoted_word),
		cmocka_unit_test(quotes_and_escapes_are_undone),
		cmocka_unit_test(dimensions_nest),
		cmocka_unit_test(lower_bounds_are_passed_over),
		cmocka_unit_test(the_delimiter_is_the_types),
		cmocka_unit_test(what_is_no_array_is_refused),
		cmocka_unit_test(every_prefix_is_refused),
		cmocka_unit_test(dims_count_the_braces),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
