/* Errors of the server's about a value, and for which column it was. */
#include "orm_compile.h"

/* The columns that have such types: users.age a domain, posts.title and .note
 * of few characters, scores of few digits. */
static struct lk_catalog *
make_models(void)
{
	struct lk_catalog *catalog = orm_catalog();
	struct lk_model *posts = orm_model(catalog, "posts");
	struct lk_model *users = orm_model(catalog, "users");
	static const struct {
		size_t		 column;
		const char	*type_name;
		enum lk_type_kind kind;
	} types[] = {
		{ 2, "character varying(5)", LK_TYPE_BASE },
		{ 3, "character varying(5)[]", LK_TYPE_ARRAY },
		{ 6, "numeric(5,2)", LK_TYPE_BASE },
		{ 8, "character(3)", LK_TYPE_BASE },
		{ 4, "character varying(5)", LK_TYPE_BASE },
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct lk_column *column = &posts->columns[types[i].column];

		free(column->type_name);
		column->type_name = lk_xstrdup(types[i].type_name);
		column->kind = types[i].kind;
		column->type = column->base_type = 25;
	}
	free(users->columns[3].type_name);
	users->columns[3].type_name = lk_xstrdup("years");
	users->columns[3].kind = LK_TYPE_DOMAIN;
	return catalog;
}

static int
begin(void **state)
{
	*state = make_models();
	return 0;
}

/* What the error says, once the request's plan has been asked. */
static void
expect_of(void **state, const char *request, size_t number,
    struct lk_error *error, const char *column)
{
	struct lk_buf wanted = LK_BUF_INIT;
	struct typed typed;

	if (column != NULL)
		lk_buf_printf(&wanted, "%s: ", column);
	lk_buf_puts(&wanted, error->message);
	if (compile(*state, request, true, &typed) != 0)
		fail_msg("%s: %s", request, typed.error.message);
	error->param = number;
	lk_plan_blame(&typed.plan, error);
	if (strcmp(error->message, lk_buf_cstr(&wanted)) != 0)
		fail_msg("%s: %s", request, error->message);
	if (column != NULL) {
		lk_buf_truncate(&wanted, 0);
		lk_buf_printf(&wanted, "%s.%s", error->fields[LK_FIELD_TABLE],
		    error->fields[LK_FIELD_COLUMN]);
		assert_string_equal(lk_buf_cstr(&wanted), column);
	}
	lk_buf_fini(&wanted);
	lk_error_fini(error);
	forget(&typed);
}

static void
expect(void **state, const char *request, const char *sqlstate,
    const char *message, const char *column)
{
	struct lk_error error = { 0 };

	lk_error_set(&error, LK_ERR_PG, "%s", message);
	lk_error_set_sqlstate(&error, sqlstate);
	expect_of(state, request, 0, &error, column);
}

static void
a_parameters_number_is_its_column(void **state)
{
	static const struct {
		const char *request;
		size_t number;
		const char *column;
	} cases[] = {
		{ "FIND posts WHERE day = x AND at = x", 1, "posts.day" },
		{ "FIND posts WHERE day = x AND at = x", 2, "posts.at" },
		{ "FIND posts WHERE author.meta @> {", 1, "users.meta" },
		{ "FIND posts WHERE day IN 3 x y z LIMIT 1", 3, "posts.day" },
		{ "CREATEMANY posts 2 day at 1 2 3 4", 4, "posts.at" },
		{ "UPDATE posts 5 SET day = x IF at = y", 3, "posts.at" },
		/* Of no column. */
		{ "FIND posts WHERE day IN 3 x y z LIMIT 1", 4, NULL },
		{ "FIND users WHERE meta->a = 1", 1, NULL },
		{ "FIND posts WHERE day = x", 2, NULL },
	};
	struct lk_error error = { 0 };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lk_error_set(&error, LK_ERR_PG, "invalid input syntax");
		expect_of(state, cases[i].request, cases[i].number, &error,
		    cases[i].column);
	}
}

static void
what_is_too_long_is_known_by_its_type(void **state)
{
	static const char varying[] =
	    "value too long for type character varying(5)";
	static const char fixed[] = "value too long for type character(3)";

	expect(state, "CREATE posts title = abcdef author_id = 1", "22001",
	    varying, "posts.title");
	expect(state, "UPDATE posts 5 SET picture = abcd title = abcdef",
	    "22001", fixed, "posts.picture");
	/* Of two the one that is longer; blanks at the end do not count. */
	expect(state, "CREATE posts title = abcde day = abcdef", "22001",
	    varying, "posts.day");
	expect(state, "CREATE posts title = abcdef day = \xc3\xa4\xc3\xb6\xc3"
	    "\xbc~~~~", "22001", varying, "posts.title");
	expect(state, "CREATE posts title = abcdef day = abcdef", "22001",
	    varying, NULL);
	/* What is added to is longer than what is added. */
	expect(state, "UPDATE posts 5 SET title ||= abc", "22001", varying,
	    "posts.title");
	expect(state, "CREATE posts tags = {abcdef}", "22001", varying,
	    "posts.tags");
	/* A default may be what is too long, or another type. */
	expect(state, "CREATE posts title = abcde", "22001", varying, NULL);
	expect(state, "CREATE posts title = abcdef", "22001",
	    "value too long for type character varying(55)", NULL);
	/* What is only compared is cut by nobody. */
	expect(state, "UPDATE posts 5 SET author_id = 1 IF title = abcdef",
	    "22001", varying, NULL);
	expect(state, "CREATEMANY posts 2 title author_id a 1 abcdef 2",
	    "22001", varying, "posts.title");
}

static void
what_is_out_of_range_is_known_by_its_type(void **state)
{
	struct lk_error error = { 0 };

	lk_error_set(&error, LK_ERR_PG, "numeric field overflow");
	lk_error_set_sqlstate(&error, "22003");
	lk_error_set_field(&error, LK_FIELD_DETAIL, "A field with precision 5, "
	    "scale 2 must round to an absolute value less than 10^3.");
	expect_of(state, "CREATE posts score = 1000 title = x", 0, &error,
	    "posts.score");
	lk_error_set(&error, LK_ERR_PG, "numeric field overflow");
	lk_error_set_sqlstate(&error, "22003");
	lk_error_set_field(&error, LK_FIELD_DETAIL, "A field with precision 5, "
	    "scale 3 must round to an absolute value less than 10^2.");
	expect_of(state, "CREATE posts score = 1000", 0, &error, NULL);
	expect(state, "UPDATE users 2147483647 SET boss_id += 2147483647",
	    "22003", "integer out of range", "users.boss_id");
	/* What was cast, in the condition. */
	expect(state, "UPDATE users 1 SET boss_id = 1 IF meta->>a::int = 5",
	    "22003", "value \"9999999999\" is out of range for type integer",
	    NULL);
}

static void
a_domains_check_is_of_its_column(void **state)
{
	struct lk_error error = { 0 };

	expect(state, "UPDATE users 1 SET age += 200 name = years", "23514",
	    "value for domain years violates check constraint \"years_check\"",
	    "users.age");
	expect(state, "UPDATE users 1 SET age += 200", "23514",
	    "value for domain light_years violates check constraint \"c\"",
	    NULL);
	expect(state, "UPDATE users 1 SET age = _ name = x", "23502",
	    "domain years does not allow null values", NULL);
	lk_error_set(&error, LK_ERR_PG, "new row for relation \"users\" "
	    "violates check constraint \"years\"");
	lk_error_set_sqlstate(&error, "23514");
	lk_error_set_field(&error, LK_FIELD_TABLE, "users");
	expect_of(state, "UPDATE users 1 SET age += 200", 0, &error, NULL);
}

static void
other_errors_are_of_no_column(void **state)
{
	expect(state, "UPDATE users 1 SET age += 200", "22012",
	    "division by years", NULL);
	expect(state, "UPDATE users 1 SET age += 200", "23505",
	    "duplicate key value violates unique constraint \"years\"", NULL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, free_catalog)
	const struct CMUnitTest tests[] = {
		TEST(a_parameters_number_is_its_column),
		TEST(what_is_too_long_is_known_by_its_type),
		TEST(what_is_out_of_range_is_known_by_its_type),
		TEST(a_domains_check_is_of_its_column),
		TEST(other_errors_are_of_no_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
