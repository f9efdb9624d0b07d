#include "unit.h"

#include <libpq-fe.h>

#include "base/error.h"
#include "base/role.h"
#include "db/rows.h"
#include "db_result.h"

#define BIG	(1 << 20)

enum { INT8 = 20, INT4 = 23, TEXT = 25, BOOL = 16, INT4_ARRAY = 1007,
	INT8_ARRAY = 1016, MOOD_ARRAY = 70000 };

static const struct lk_with	 no_with;
static struct lk_buf		 reply;
static struct lk_types		 types;
static struct lk_error		 error;

static int
begin(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_WORKER);
	lk_assert_worker();
	lk_types_init(&types);
	lk_buf_init(&reply);
	lk_error_init(&error);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	lk_assert_worker();
	lk_types_fini(&types);
	lk_buf_fini(&reply);
	lk_error_fini(&error);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

static struct lk_rows *
make(int form, int proto, size_t limit)
{
	struct lk_format format = { .proto = (uint8_t)proto,
	    .rows = (uint8_t)form };

	lk_assert_worker();
	return lk_rows_new(format, LK_SHAPE_ANY, &no_with, &types, limit);
}

static void
expect(struct lk_rows *rows, const char *expected)
{
	lk_assert_worker();
	assert_int_equal(lk_rows_finish(rows, &reply, &error), 0);
	assert_string_equal(lk_buf_cstr(&reply), expected);
	lk_buf_fini(&reply);
	lk_rows_free(&rows);
}

/* Three columns, two rows: numbers and texts with a NULL. */
static PGresult *
sample(void)
{
	static const char *const names[] = { "id", "name", "id" };
	static const Oid oids[] = { INT4, TEXT, INT4_ARRAY };
	PGresult *res = result(3, names, oids);

	set(res, 0, 0, "-1");
	set(res, 0, 1, "a\"b");
	set(res, 0, 2, "{1,NULL}");
	set(res, 1, 0, "2147483647");
	set(res, 1, 1, NULL);
	set(res, 1, 2, "{}");
	return res;
}

static void
rows_are_maps(void **state)
{
	struct lk_rows *rows = make(LK_ROWS_MAPS, 3, BIG);
	PGresult *res = sample();

	(void)state;
	lk_assert_worker();
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	PQclear(res);
	expect(rows, "*2\r\n"
	    "%3\r\n$2\r\nid\r\n:-1\r\n$4\r\nname\r\n$3\r\na\"b\r\n"
	    "$4\r\nid_2\r\n*2\r\n:1\r\n_\r\n"
	    "%3\r\n$2\r\nid\r\n:2147483647\r\n$4\r\nname\r\n_\r\n"
	    "$4\r\nid_2\r\n*0\r\n");
}

static void
maps_are_flat_on_resp2(void **state)
{
	static const char *const names[] = { "b" };
	static const Oid oids[] = { BOOL };
	struct lk_rows *rows = make(LK_ROWS_MAPS, 2, BIG);
	PGresult *res = result(1, names, oids);

	(void)state;
	lk_assert_worker();
	set(res, 0, 0, "t");
	set(res, 1, 0, NULL);
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	PQclear(res);
	expect(rows, "*2\r\n*2\r\n$1\r\nb\r\n:1\r\n*2\r\n$1\r\nb\r\n$-1\r\n");
}

static void
rows_are_a_table(void **state)
{
	struct lk_rows *rows = make(LK_ROWS_TABLE, 3, BIG);
	PGresult *res = sample();

	(void)state;
	lk_assert_worker();
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	PQclear(res);
	expect(rows, "%3\r\n"
	    "$7\r\ncolumns\r\n*3\r\n$2\r\nid\r\n$4\r\nname\r\n$4\r\nid_2\r\n"
	    "$5\r\ntypes\r\n*3\r\n$7\r\ninteger\r\n$4\r\ntext\r\n"
	    "$9\r\ninteger[]\r\n"
	    "$4\r\nrows\r\n*2\r\n"
	    "*3\r\n:-1\r\n$3\r\na\"b\r\n*2\r\n:1\r\n_\r\n"
	    "*3\r\n:2147483647\r\n_\r\n*0\r\n");
}

static void
rows_are_json_texts(void **state)
{
	struct lk_rows *rows = make(LK_ROWS_JSON, 3, BIG);
	PGresult *res = sample();

	(void)state;
	lk_assert_worker();
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	PQclear(res);
	expect(rows, "*2\r\n"
	    "$39\r\n{\"id\":-1,\"name\":\"a\\\"b\",\"id_2\":[1,null]}\r\n"
	    "$39\r\n{\"id\":2147483647,\"name\":null,\"id_2\":[]}\r\n");
}

/* However many digits the number of rows has. */
static void
single_rows_add_up(void **state)
{
	static const char *const names[] = { "i" };
	static const Oid oids[] = { INT4 };
	static const int counts[] = { 0, 1, 9, 10, 99, 100, 1000 };
	size_t i;
	int row;

	(void)state;
	lk_assert_worker();
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct lk_rows *rows = make(LK_ROWS_TABLE, 3, BIG);
		PGresult *res = result(1, names, oids);
		struct lk_buf expected = LK_BUF_INIT;

		assert_int_equal(lk_rows_add(rows, 0, res), 0);
		lk_buf_printf(&expected, "%%3\r\n$7\r\ncolumns\r\n*1\r\n"
		    "$1\r\ni\r\n$5\r\ntypes\r\n*1\r\n$7\r\ninteger\r\n"
		    "$4\r\nrows\r\n*%d\r\n", counts[i]);
		set(res, 0, 0, "5");
		for (row = 0; row < counts[i]; row++) {
			assert_int_equal(lk_rows_add(rows, 0, res), 0);
			lk_buf_puts(&expected, "*1\r\n:5\r\n");
		}
		PQclear(res);
		expect(rows, lk_buf_cstr(&expected));
		lk_buf_fini(&expected);
		lk_buf_fini(&reply);
	}
}

static void
unknown_types_are_asked_for_and_then_known(void **state)
{
	static const char *const names[] = { "i", "m" };
	static const Oid oids[] = { INT4, MOOD_ARRAY };
	static const char *const answer_names[] = { "oid", "elem", "delim",
	    "name" };
	static const Oid answer_oids[] = { TEXT, TEXT, TEXT, TEXT };
	struct lk_rows *rows = make(LK_ROWS_MAPS, 3, BIG);
	PGresult *res = result(2, names, oids);
	PGresult *answer = result(4, answer_names, answer_oids);
	Oid unknown[2];

	(void)state;
	lk_assert_worker();
	set(res, 0, 0, NULL);
	set(res, 0, 1, "{sad,\"so so\"}");
	set(res, 1, 0, "2");
	set(res, 1, 1, NULL);
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	assert_int_equal(lk_rows_unknown(rows, unknown, 2), 1);
	assert_int_equal(unknown[0], MOOD_ARRAY);
	set(answer, 0, 0, "70000");
	set(answer, 0, 1, "69999");
	set(answer, 0, 2, ",");
	set(answer, 0, 3, "mood[]");
	lk_types_add(&types, answer);
	PQclear(answer);
	expect(rows, "*2\r\n"
	    "%2\r\n$1\r\ni\r\n_\r\n$1\r\nm\r\n*2\r\n$3\r\nsad\r\n"
	    "$5\r\nso so\r\n"
	    "%2\r\n$1\r\ni\r\n:2\r\n$1\r\nm\r\n_\r\n");
	/* The next time it is encoded as it comes. */
	rows = make(LK_ROWS_MAPS, 3, BIG);
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	assert_int_equal(lk_rows_unknown(rows, unknown, 2), 0);
	lk_rows_free(&rows);
	PQclear(res);
}

static void
types_that_stay_unknown_are_text(void **state)
{
	static const char *const names[] = { "m" };
	static const Oid oids[] = { MOOD_ARRAY };
	struct lk_rows *rows = make(LK_ROWS_TABLE, 3, BIG);
	PGresult *res = result(1, names, oids);

	(void)state;
	lk_assert_worker();
	set(res, 0, 0, "{sad}");
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	PQclear(res);
	expect(rows, "%3\r\n$7\r\ncolumns\r\n*1\r\n$1\r\nm\r\n"
	    "$5\r\ntypes\r\n*1\r\n$5\r\n70000\r\n"
	    "$4\r\nrows\r\n*1\r\n*1\r\n$5\r\n{sad}\r\n");
}

static void
the_limit_counts_the_reply(void **state)
{
	const char *whole = "*1\r\n%1\r\n$1\r\nt\r\n$5\r\nhello\r\n";
	static const char *const names[] = { "t" };
	static const Oid oids[] = { TEXT };
	struct lk_rows *rows = make(LK_ROWS_MAPS, 3, strlen(whole));
	PGresult *res = result(1, names, oids);

	(void)state;
	lk_assert_worker();
	set(res, 0, 0, "hello");
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	expect(rows, whole);
	lk_buf_fini(&reply);
	rows = make(LK_ROWS_MAPS, 3, strlen(whole) - 1);
	assert_int_equal(lk_rows_add(rows, 0, res), -LK_E_LIMIT);
	assert_int_equal(lk_rows_add(rows, 0, res), -LK_E_LIMIT);
	assert_int_equal(lk_rows_finish(rows, &reply, &error), -LK_E_LIMIT);
	assert_int_equal(reply.len, 0);
	lk_rows_free(&rows);
	PQclear(res);
}

static void
arrays_nest_as_deep_as_replies_may(void **state)
{
	static const char *const names[] = { "a" };
	static const Oid oids[] = { INT4_ARRAY };
	static const struct {
		int		 form;
		const char	*array;
		bool		 fits;
	} cases[] = {
		{ LK_ROWS_MAPS, "{{{{{1}}}}}", true },
		{ LK_ROWS_MAPS, "{{{{{{1}}}}}}", false },
		{ LK_ROWS_TABLE, "{{{{1}}}}", true },
		{ LK_ROWS_TABLE, "{{{{{1}}}}}", false },
		{ LK_ROWS_JSON, "{{{{{{1}}}}}}", true },
	};
	size_t i;

	(void)state;
	lk_assert_worker();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lk_rows *rows = make(cases[i].form, 3, BIG);
		PGresult *res = result(1, names, oids);

		set(res, 0, 0, cases[i].array);
		assert_int_equal(lk_rows_add(rows, 0, res), 0);
		assert_int_equal(lk_rows_finish(rows, &reply, &error),
		    cases[i].fits ? 0 : -LK_E_INVAL);
		assert_int_equal(error.is_set, !cases[i].fits);
		if (error.is_set)
			assert_non_null(strstr(error.message,
			    "column \"a\""));
		lk_error_fini(&error);
		lk_buf_fini(&reply);
		lk_rows_free(&rows);
		PQclear(res);
	}
}

static void
int8_is_text_for_who_asked(void **state)
{
	static const char *const names[] = { "l", "a", "i" };
	static const Oid oids[] = { INT8, INT8_ARRAY, INT4 };
	struct lk_format format = { .proto = 3, .rows = LK_ROWS_MAPS,
	    .int8_text = true };
	PGresult *res = result(3, names, oids);
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	set(res, 0, 0, "9007199254740993");
	set(res, 0, 1, "{1}");
	set(res, 0, 2, "2");
	rows = lk_rows_new(format, LK_SHAPE_ANY, &no_with, &types, BIG);
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	PQclear(res);
	expect(rows, "*1\r\n%3\r\n$1\r\nl\r\n$16\r\n9007199254740993\r\n"
	    "$1\r\na\r\n*1\r\n$1\r\n1\r\n$1\r\ni\r\n:2\r\n");
}

/* As sample(), but only its first n rows, in that shape. */
static void
add_some(struct lk_rows *rows, int n)
{
	PGresult *all = sample(), *one;
	int row, column;

	lk_assert_worker();
	for (row = 0; row < n; row++) {
		one = PQcopyResult(all, PG_COPYRES_ATTRS);
		for (column = 0; column < 3; column++)
			set(one, 0, column, PQgetisnull(all, row, column) ?
			    NULL : PQgetvalue(all, row, column));
		assert_int_equal(lk_rows_add(rows, 0, one), 0);
		PQclear(one);
	}
	one = PQcopyResult(all, PG_COPYRES_ATTRS);
	assert_int_equal(lk_rows_add(rows, 0, one), 0);
	PQclear(one);
	PQclear(all);
}

static struct lk_rows *
shaped(enum lk_shape shape, int form, int n)
{
	struct lk_format format = { .proto = 3, .rows = (uint8_t)form };
	struct lk_rows *rows;

	lk_assert_worker();
	rows = lk_rows_new(format, shape, &no_with, &types, BIG);
	add_some(rows, n);
	return rows;
}

#define FIRST	"%3\r\n$2\r\nid\r\n:-1\r\n$4\r\nname\r\n$3\r\na\"b\r\n" \
		"$4\r\nid_2\r\n*2\r\n:1\r\n_\r\n"

static void
one_row_stands_alone(void **state)
{
	(void)state;
	lk_assert_worker();
	expect(shaped(LK_SHAPE_ROW, LK_ROWS_MAPS, 1), FIRST);
	expect(shaped(LK_SHAPE_ROW, LK_ROWS_MAPS, 2), FIRST);
	expect(shaped(LK_SHAPE_ONE, LK_ROWS_MAPS, 1), FIRST);
	expect(shaped(LK_SHAPE_ROW, LK_ROWS_JSON, 1),
	    "$39\r\n{\"id\":-1,\"name\":\"a\\\"b\",\"id_2\":[1,null]}\r\n");
}

static void
a_table_of_one_row_has_its_columns(void **state)
{
	(void)state;
	lk_assert_worker();
	expect(shaped(LK_SHAPE_ROW, LK_ROWS_TABLE, 2), "%3\r\n"
	    "$7\r\ncolumns\r\n*3\r\n$2\r\nid\r\n$4\r\nname\r\n$4\r\nid_2\r\n"
	    "$5\r\ntypes\r\n*3\r\n$7\r\ninteger\r\n$4\r\ntext\r\n"
	    "$9\r\ninteger[]\r\n"
	    "$4\r\nrows\r\n*1\r\n"
	    "*3\r\n:-1\r\n$3\r\na\"b\r\n*2\r\n:1\r\n_\r\n");
}

static void
no_row_is_null(void **state)
{
	int form;

	(void)state;
	lk_assert_worker();
	for (form = LK_ROWS_MAPS; form <= LK_ROWS_JSON; form++)
		expect(shaped(LK_SHAPE_ROW, form, 0), "_\r\n");
}

static void
one_row_is_not_none_and_not_two(void **state)
{
	struct lk_rows *rows;
	int n;

	(void)state;
	lk_assert_worker();
	for (n = 0; n <= 2; n += 2) {
		rows = shaped(LK_SHAPE_ONE, LK_ROWS_MAPS, n);
		assert_int_equal(lk_rows_finish(rows, &reply, &error),
		    -LK_E_INVAL);
		assert_int_equal(error.kind, LK_ERR_UNMET);
		lk_rows_free(&rows);
	}
}

static void
one_cell_is_the_whole_reply(void **state)
{
	static const char *const names[] = { "count" };
	static const Oid counts[] = { INT8 }, bools[] = { BOOL };
	struct lk_format format = { .proto = 3, .rows = LK_ROWS_TABLE,
	    .int8_text = true };
	PGresult *res = result(1, names, counts);
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	set(res, 0, 0, "12");
	rows = lk_rows_new(format, LK_SHAPE_INT, &no_with, &types, BIG);
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	expect(rows, ":12\r\n");
	PQclear(res);
	res = result(1, names, bools);
	set(res, 0, 0, "t");
	rows = lk_rows_new(format, LK_SHAPE_BOOL, &no_with, &types, BIG);
	assert_int_equal(lk_rows_add(rows, 0, res), 0);
	expect(rows, "#t\r\n");
	PQclear(res);
}

int
main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(rows_are_maps),
		TEST(maps_are_flat_on_resp2),
		TEST(rows_are_a_table),
		TEST(rows_are_json_texts),
		TEST(single_rows_add_up),
		TEST(unknown_types_are_asked_for_and_then_known),
		TEST(types_that_stay_unknown_are_text),
		TEST(the_limit_counts_the_reply),
		TEST(int8_is_text_for_who_asked),
		TEST(one_row_stands_alone),
		TEST(a_table_of_one_row_has_its_columns),
		TEST(no_row_is_null),
		TEST(one_row_is_not_none_and_not_two),
		TEST(one_cell_is_the_whole_reply),
		TEST(arrays_nest_as_deep_as_replies_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
