/* WITH, without a server: what is asked for, and how the rows nest. */
#include "db_result.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/role.h"
#include "db/rows.h"

#define BIG	(1 << 20)

enum { BYTEA = 17, INT8 = 20, INT4 = 23, TEXT = 25, INT4_ARRAY = 1007,
	MOOD = 70000 };

static struct lk_types		 types;
static struct lk_error		 error;
static struct lk_buf		 arrays[LK_LOAD_MAX_KEYS];

static int
begin(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_WORKER);
	lk_assert_worker();
	lk_types_init(&types);
	lk_error_init(&error);
	return 0;
}

static void
forget_arrays(void)
{
	size_t i;

	for (i = 0; i < LK_LOAD_MAX_KEYS; i++)
		lk_buf_fini(&arrays[i]);
}

static int
end(void **state)
{
	(void)state;
	lk_assert_worker();
	forget_arrays();
	lk_types_fini(&types);
	lk_error_fini(&error);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

/* Rows, each ended by ; and each cell by |: _ is a NULL. */
static void
fill(PGresult *res, const char *text)
{
	char cell[64];
	int row = 0, column = 0;
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == ';') {
			row++;
			column = 0;
		} else if (*text == '|') {
			cell[n] = '\0';
			set(res, row, column++,
			    strcmp(cell, "_") == 0 ? NULL : cell);
			n = 0;
		} else {
			cell[n++] = *text;
		}
	}
}

static int
add(struct lk_rows *rows, size_t whose, int n, const char *const *names,
    const Oid *oids, const char *text)
{
	PGresult *res = result(n, names, oids);
	int rc;

	lk_assert_worker();
	fill(res, text);
	rc = lk_rows_add(rows, whose, res);
	PQclear(res);
	return rc;
}

static const char *const user_names[] = { "id", "name", "boss_id" };
static const Oid user_oids[] = { INT4, TEXT, INT4 };
static const char *const post_names[] = { "id", "title", "n" };
static const Oid post_oids[] = { INT4, TEXT, INT8 };
static const char *const boss_names[] = { "id", "name", "n" };

/* Users, with their posts and their boss, and the posts' tags. */
static struct lk_load loads[] = {
	{ .name = "posts", .is_many = true, .n_keys = 1, .keys = { 0 },
	    .limit = -1, .n_columns = 2 },
	{ .name = "boss", .n_keys = 1, .keys = { 2 }, .limit = -1,
	    .n_columns = 2 },
	{ .name = "tags", .parent = 1, .is_many = true, .n_keys = 1,
	    .keys = { 0 }, .limit = -1, .n_columns = 1 },
};

static struct lk_rows *
make(int form, int proto, enum lk_shape shape, size_t n_loads, size_t limit)
{
	static struct lk_with with;
	struct lk_format format = { .proto = (uint8_t)proto,
	    .rows = (uint8_t)form };

	lk_assert_worker();
	/* Who the boss is, is not shown. */
	with = (struct lk_with){ 2, loads, n_loads };
	return lk_rows_new(format, shape, &with, &types, limit);
}

static void
add_users(struct lk_rows *rows, const char *text)
{
	lk_assert_worker();
	assert_int_equal(add(rows, 0, 3, user_names, user_oids, text), 0);
}

static void
expect_asked(struct lk_rows *rows, size_t whose, size_t n, const char *array)
{
	lk_assert_worker();
	forget_arrays();
	assert_int_equal(lk_rows_ask(rows, whose, arrays), n);
	assert_string_equal(lk_buf_cstr(&arrays[0]), array);
}

static void
expect(struct lk_rows *rows, const char *expected)
{
	struct lk_buf reply = LK_BUF_INIT;

	lk_assert_worker();
	assert_int_equal(lk_rows_finish(rows, &reply, &error), 0);
	assert_string_equal(lk_buf_cstr(&reply), expected);
	lk_buf_fini(&reply);
	lk_rows_free(&rows);
}

static void
expect_over(struct lk_rows *rows)
{
	struct lk_buf reply = LK_BUF_INIT;

	lk_assert_worker();
	assert_int_equal(lk_rows_finish(rows, &reply, &error), -LK_E_LIMIT);
	assert_int_equal(reply.len, 0);
	lk_rows_free(&rows);
}

static void
expect_place(struct lk_rows *rows, size_t i, const char *expected)
{
	struct lk_buf reply = LK_BUF_INIT;

	lk_assert_worker();
	assert_int_equal(lk_rows_finish_place(rows, i, &reply, &error), 0);
	assert_string_equal(lk_buf_cstr(&reply), expected);
	lk_buf_fini(&reply);
}

/* ---- what is asked for ---- */

static void
each_key_is_asked_for_once(void **state)
{
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_MAPS, 3, LK_SHAPE_ROWS, 2, BIG);
	add_users(rows, "7|Ann|_|;8|Bob|7|;9|Cy|7|;10|Di|8|;");
	expect_asked(rows, 1, 4, "{\"7\",\"8\",\"9\",\"10\"}");
	expect_asked(rows, 2, 2, "{\"7\",\"8\"}");
	lk_rows_free(&rows);
}

static void
nothing_is_asked_for_no_row_and_no_key(void **state)
{
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_MAPS, 3, LK_SHAPE_ROWS, 3, BIG);
	add_users(rows, "");
	assert_int_equal(lk_rows_ask(rows, 1, arrays), 0);
	assert_int_equal(lk_rows_ask(rows, 2, arrays), 0);
	assert_int_equal(lk_rows_ask(rows, 3, arrays), 0);
	expect(rows, "*0\r\n");
	forget_arrays();
	rows = make(LK_ROWS_MAPS, 3, LK_SHAPE_ROWS, 2, BIG);
	add_users(rows, "7|Ann|_|;8|Bob|_|;");
	assert_int_equal(lk_rows_ask(rows, 2, arrays), 0);
	lk_rows_free(&rows);
}

/* Of two that ONE finds it is refused, whatever belongs to the first. */
static void
only_rows_of_the_reply_count(void **state)
{
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_MAPS, 3, LK_SHAPE_ROW, 1, BIG);
	add_users(rows, "7|Ann|_|;8|Bob|_|;");
	expect_asked(rows, 1, 1, "{\"7\"}");
	lk_rows_free(&rows);
	forget_arrays();
	rows = make(LK_ROWS_MAPS, 3, LK_SHAPE_ONE, 1, BIG);
	add_users(rows, "7|Ann|_|;8|Bob|_|;");
	assert_int_equal(lk_rows_ask(rows, 1, arrays), 0);
	lk_rows_free(&rows);
}

static void
keys_may_be_any_text(void **state)
{
	static const char *const names[] = { "a", "b" };
	static const Oid oids[] = { TEXT, BYTEA };
	static struct lk_load load = { .name = "x", .n_keys = 2,
	    .keys = { 1, 0 }, .limit = -1, .n_columns = 1 };
	static const struct lk_with with = { 2, &load, 1 };
	struct lk_format format = { .proto = 3, .rows = LK_ROWS_MAPS };
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = lk_rows_new(format, LK_SHAPE_ROWS, &with, &types, BIG);
	assert_int_equal(add(rows, 0, 2, names, oids,
	    "a\"b\\c|\\x00ff|;{,}|\\x|;|NULL|;NULL|\\x00|;_|\\x00|;x|_|;"
	    "\n 'é|\\x00|;ab|c|;a|bc|;ab|c|;"), 0);
	assert_int_equal(lk_rows_ask(rows, 1, arrays), 7);
	assert_string_equal(lk_buf_cstr(&arrays[1]), "{\"a\\\"b\\\\c\","
	    "\"{,}\",\"\",\"NULL\",\"\n 'é\",\"ab\",\"a\"}");
	assert_string_equal(lk_buf_cstr(&arrays[0]), "{\"\\\\x00ff\","
	    "\"\\\\x\",\"NULL\",\"\\\\x00\",\"\\\\x00\",\"c\",\"bc\"}");
	lk_rows_free(&rows);
}

/* ---- how rows nest ---- */

/* Ann has two posts with one tag and none, Bob a post and a boss. */
static struct lk_rows *
family(int form, int proto, enum lk_shape shape)
{
	static const char *const tag_names[] = { "word", "n" };
	static const Oid tag_oids[] = { TEXT, INT8 };
	struct lk_rows *rows = make(form, proto, shape, 3, BIG);

	lk_assert_worker();
	add_users(rows, "7|Ann|_|;8|Bob|7|;");
	expect_asked(rows, 1, shape == LK_SHAPE_ROWS ? 2 : 1,
	    shape == LK_SHAPE_ROWS ? "{\"7\",\"8\"}" : "{\"7\"}");
	/* In the order in which they come, whosever they are. */
	assert_int_equal(add(rows, 1, 3, post_names, post_oids,
	    shape == LK_SHAPE_ROWS ? "3|c|1|;2|b|2|;1|a|1|;" :
	    "3|c|1|;1|a|1|;"), 0);
	forget_arrays();
	if (lk_rows_ask(rows, 2, arrays) > 0)
		assert_int_equal(add(rows, 2, 3, boss_names, post_oids,
		    "7|Ann|1|;"), 0);
	forget_arrays();
	assert_true(lk_rows_ask(rows, 3, arrays) > 0);
	assert_int_equal(add(rows, 3, 2, tag_names, tag_oids, "x|1|;"), 0);
	return rows;
}

#define X	"%1\r\n$4\r\nword\r\n$1\r\nx\r\n"
#define POST(id, title, tags)						\
	"%3\r\n$2\r\nid\r\n:" id "\r\n$5\r\ntitle\r\n$1\r\n" title	\
	"\r\n$4\r\ntags\r\n" tags
#define ANN	"$2\r\nid\r\n:7\r\n$4\r\nname\r\n$3\r\nAnn\r\n"
#define BOB	"$2\r\nid\r\n:8\r\n$4\r\nname\r\n$3\r\nBob\r\n"
#define POSTS	"$5\r\nposts\r\n"
#define BOSS	"$4\r\nboss\r\n"
#define OF_ANN	"%4\r\n" ANN POSTS "*2\r\n" POST("3", "c", "*1\r\n" X)	\
	POST("1", "a", "*0\r\n") BOSS "_\r\n"

static void
rows_nest_in_maps(void **state)
{
	(void)state;
	lk_assert_worker();
	expect(family(LK_ROWS_MAPS, 3, LK_SHAPE_ROWS), "*2\r\n" OF_ANN
	    "%4\r\n" BOB POSTS "*1\r\n" POST("2", "b", "*0\r\n")
	    BOSS "%2\r\n" ANN);
	expect(family(LK_ROWS_MAPS, 3, LK_SHAPE_ROW), OF_ANN);
}

static void
rows_nest_in_flat_maps(void **state)
{
	(void)state;
	lk_assert_worker();
	expect(family(LK_ROWS_MAPS, 2, LK_SHAPE_ROW), "*8\r\n" ANN POSTS
	    "*2\r\n*6\r\n$2\r\nid\r\n:3\r\n$5\r\ntitle\r\n$1\r\nc\r\n"
	    "$4\r\ntags\r\n*1\r\n*2\r\n$4\r\nword\r\n$1\r\nx\r\n"
	    "*6\r\n$2\r\nid\r\n:1\r\n$5\r\ntitle\r\n$1\r\na\r\n"
	    "$4\r\ntags\r\n*0\r\n" BOSS "$-1\r\n");
}

static void
rows_nest_in_json(void **state)
{
	static const char ann[] = "{\"id\":7,\"name\":\"Ann\",\"posts\":["
	    "{\"id\":3,\"title\":\"c\",\"tags\":[{\"word\":\"x\"}]},"
	    "{\"id\":1,\"title\":\"a\",\"tags\":[]}],\"boss\":null}";
	static const char bob[] = "{\"id\":8,\"name\":\"Bob\",\"posts\":["
	    "{\"id\":2,\"title\":\"b\",\"tags\":[]}],"
	    "\"boss\":{\"id\":7,\"name\":\"Ann\"}}";
	struct lk_buf wanted = LK_BUF_INIT;

	(void)state;
	lk_assert_worker();
	lk_buf_printf(&wanted, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
	    strlen(ann), ann, strlen(bob), bob);
	expect(family(LK_ROWS_JSON, 3, LK_SHAPE_ROWS), lk_buf_cstr(&wanted));
	lk_buf_fini(&wanted);
}

#define TABLE(n, columns, types, rows)					\
	"%3\r\n$7\r\ncolumns\r\n*" n "\r\n" columns			\
	"$5\r\ntypes\r\n*" n "\r\n" types "$4\r\nrows\r\n" rows
#define T_INT	"$7\r\ninteger\r\n"
#define T_TEXT	"$4\r\ntext\r\n"
#define T_ROWS	"$6\r\nrowset\r\n"
#define TAGS(rows)	TABLE("1", "$4\r\nword\r\n", T_TEXT, rows)
#define BOSSES(rows)	TABLE("2", "$2\r\nid\r\n$4\r\nname\r\n",	\
			T_INT T_TEXT, rows)

/* A cell is a table, of one row at most, or of many; or null. */
static void
rows_nest_in_tables(void **state)
{
	(void)state;
	lk_assert_worker();
	expect(family(LK_ROWS_TABLE, 3, LK_SHAPE_ROWS),
	    TABLE("4", "$2\r\nid\r\n$4\r\nname\r\n" POSTS BOSS,
	    T_INT T_TEXT T_ROWS T_ROWS, "*2\r\n"
	    "*4\r\n:7\r\n$3\r\nAnn\r\n"
	    TABLE("3", "$2\r\nid\r\n$5\r\ntitle\r\n$4\r\ntags\r\n",
	    T_INT T_TEXT T_ROWS, "*2\r\n"
	    "*3\r\n:3\r\n$1\r\nc\r\n" TAGS("*1\r\n*1\r\n$1\r\nx\r\n")
	    "*3\r\n:1\r\n$1\r\na\r\n" TAGS("*0\r\n"))
	    "_\r\n"
	    "*4\r\n:8\r\n$3\r\nBob\r\n"
	    TABLE("3", "$2\r\nid\r\n$5\r\ntitle\r\n$4\r\ntags\r\n",
	    T_INT T_TEXT T_ROWS, "*1\r\n"
	    "*3\r\n:2\r\n$1\r\nb\r\n" TAGS("*0\r\n"))
	    BOSSES("*1\r\n*2\r\n:7\r\n$3\r\nAnn\r\n")));
}

/* The one whom several have is told of for each of them. */
static void
a_row_can_belong_to_several(void **state)
{
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_JSON, 3, LK_SHAPE_ROWS, 2, BIG);
	add_users(rows, "8|B|7|;9|C|_|;10|D|7|;");
	expect_asked(rows, 1, 3, "{\"8\",\"9\",\"10\"}");
	assert_int_equal(add(rows, 1, 3, post_names, post_oids, ""), 0);
	expect_asked(rows, 2, 1, "{\"7\"}");
	assert_int_equal(add(rows, 2, 3, boss_names, post_oids, "7|A|1|;"), 0);
	expect(rows, "*3\r\n"
	    "$57\r\n{\"id\":8,\"name\":\"B\",\"posts\":[],"
	    "\"boss\":{\"id\":7,\"name\":\"A\"}}\r\n"
	    "$42\r\n{\"id\":9,\"name\":\"C\",\"posts\":[],\"boss\":null}\r\n"
	    "$58\r\n{\"id\":10,\"name\":\"D\",\"posts\":[],"
	    "\"boss\":{\"id\":7,\"name\":\"A\"}}\r\n");
}

static void
what_nobody_asked_for_is_left_out(void **state)
{
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_JSON, 3, LK_SHAPE_ROW, 1, BIG);
	add_users(rows, "8|B|7|;");
	expect_asked(rows, 1, 1, "{\"8\"}");
	assert_int_equal(add(rows, 1, 3, post_names, post_oids,
	    "1|a|0|;2|b|2|;3|c|_|;4|d|-1|;5|e|x|;6|f|1|;"), 0);
	expect(rows, "$50\r\n{\"id\":8,\"name\":\"B\","
	    "\"posts\":[{\"id\":6,\"title\":\"f\"}]}\r\n");
}

static void
types_of_all_levels_are_asked_for(void **state)
{
	static const Oid moody[] = { INT4, MOOD, INT8 };
	struct lk_rows *rows;
	Oid unknown[3];

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_JSON, 3, LK_SHAPE_ROW, 2, BIG);
	add_users(rows, "8|B|7|;");
	expect_asked(rows, 1, 1, "{\"8\"}");
	assert_int_equal(add(rows, 1, 3, post_names, moody, "1|sad|1|;"), 0);
	expect_asked(rows, 2, 1, "{\"7\"}");
	assert_int_equal(add(rows, 2, 3, boss_names, moody, "7|so|1|;"), 0);
	assert_int_equal(lk_rows_unknown(rows, unknown, 3), 2);
	assert_int_equal(unknown[0], MOOD);
	assert_int_equal(unknown[1], MOOD);
	assert_int_equal(lk_rows_unknown(rows, unknown, 0), 2);
	expect(rows, "$80\r\n{\"id\":8,\"name\":\"B\",\"posts\":[{\"id\":1,"
	    "\"title\":\"sad\"}],\"boss\":{\"id\":7,\"name\":\"so\"}}\r\n");
}

static void
arrays_count_below_the_relation_that_they_are_in(void **state)
{
	static const Oid arrays_oids[] = { INT4, INT4_ARRAY, INT8 };
	static const struct {
		int		 form;
		const char	*array;
		bool		 fits;
	} cases[] = {
		{ LK_ROWS_MAPS, "1|{{{1}}}|1|;", true },
		{ LK_ROWS_MAPS, "1|{{{{1}}}}|1|;", false },
		{ LK_ROWS_TABLE, "1|{1}|1|;", true },
		{ LK_ROWS_TABLE, "1|{{1}}|1|;", false },
		{ LK_ROWS_JSON, "1|{{{{{{1}}}}}}|1|;", true },
	};
	struct lk_buf reply = LK_BUF_INIT;
	struct lk_rows *rows;
	size_t i;

	(void)state;
	lk_assert_worker();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rows = make(cases[i].form, 3, LK_SHAPE_ROWS, 1, BIG);
		add_users(rows, "8|B|7|;");
		expect_asked(rows, 1, 1, "{\"8\"}");
		assert_int_equal(add(rows, 1, 3, post_names, arrays_oids,
		    cases[i].array), 0);
		assert_int_equal(lk_rows_finish(rows, &reply, &error),
		    cases[i].fits ? 0 : -LK_E_INVAL);
		assert_int_equal(error.is_set, !cases[i].fits);
		lk_error_fini(&error);
		lk_buf_fini(&reply);
		lk_rows_free(&rows);
	}
}

/* ---- how much ---- */

static void
what_is_kept_is_limited(void **state)
{
	struct lk_rows *rows;
	int i, rc = 0;

	(void)state;
	lk_assert_worker();
	rows = make(LK_ROWS_JSON, 3, LK_SHAPE_ROWS, 1, 1000);
	add_users(rows, "8|B|7|;");
	expect_asked(rows, 1, 1, "{\"8\"}");
	for (i = 0; i < 100 && rc == 0; i++)
		rc = add(rows, 1, 3, post_names, post_oids, "1|a|1|;");
	/* Bookkeeping counts. */
	assert_in_range(i, 10, 40);
	assert_int_equal(rc, -LK_E_LIMIT);
	assert_int_equal(add(rows, 1, 3, post_names, post_oids, "1|a|1|;"),
	    -LK_E_LIMIT);
	expect_over(rows);
}

/* One row that all have is little to keep, and much to say. */
static void
what_is_said_is_limited(void **state)
{
	struct lk_rows *rows;
	int form, i;

	(void)state;
	lk_assert_worker();
	for (form = LK_ROWS_MAPS; form <= LK_ROWS_JSON; form++) {
		rows = make(form, 3, LK_SHAPE_ROWS, 2, 4000);
		for (i = 0; i < 100; i++)
			add_users(rows, "8|B|7|;");
		expect_asked(rows, 1, 1, "{\"8\"}");
		assert_int_equal(add(rows, 1, 3, post_names, post_oids,
		    "1|0123456789012345678901234567890123456789|1|;"), 0);
		expect_asked(rows, 2, 1, "{\"7\"}");
		expect_over(rows);
	}
}

/* What is kept behind the number of a row's place may begin with a digit: the
 * length of the next row's first cell, here 49, which is '1'. */
static void
rows_that_are_kept_find_their_places(void **state)
{
	static const char *const names[] = { "name", "n" };
	static const Oid oids[] = { TEXT, INT8 };
	static const struct lk_with with = { 1, loads, 1 };
	struct lk_format format = { .proto = 3, .rows = LK_ROWS_JSON };
	struct lk_rows *rows;

	(void)state;
	lk_assert_worker();
	rows = lk_rows_new(format, LK_SHAPE_ROW, &with, &types, BIG);
	lk_rows_set_places(rows, 3, BIG);
	assert_int_equal(add(rows, 0, 2, names, oids, "a|1|;"
	    "0123456789012345678901234567890123456789012345678|3|;"), 0);
	expect_asked(rows, 1, 2, "{\"a\","
	    "\"0123456789012345678901234567890123456789012345678\"}");
	assert_int_equal(lk_rows_divide(rows, &error), 0);
	expect_place(rows, 0, "$23\r\n{\"name\":\"a\",\"posts\":[]}\r\n");
	expect_place(rows, 1, "_\r\n");
	expect_place(rows, 2, "$71\r\n{\"name\":\"012345678901234567890123456"
	    "7890123456789012345678\",\"posts\":[]}\r\n");
	lk_rows_free(&rows);
}

int
main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(each_key_is_asked_for_once),
		TEST(nothing_is_asked_for_no_row_and_no_key),
		TEST(only_rows_of_the_reply_count),
		TEST(keys_may_be_any_text),
		TEST(rows_nest_in_maps),
		TEST(rows_nest_in_flat_maps),
		TEST(rows_nest_in_json),
		TEST(rows_nest_in_tables),
		TEST(a_row_can_belong_to_several),
		TEST(what_nobody_asked_for_is_left_out),
		TEST(types_of_all_levels_are_asked_for),
		TEST(arrays_count_below_the_relation_that_they_are_in),
		TEST(rows_that_are_kept_find_their_places),
		TEST(what_is_kept_is_limited),
		TEST(what_is_said_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
