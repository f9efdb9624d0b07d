/* Which parameter an error is about, by where the server says it arose. */
#include "unit.h"

#include "db/pgerror.h"

static size_t
param_of(const char *context)
{
	struct lk_error error = { 0 };

	lk_pgerror_locate(&error, context);
	assert_true(error.param == 0 || !error.is_inner);
	return error.param;
}

static bool
is_inner(const char *context)
{
	struct lk_error error = { 0 };

	lk_pgerror_locate(&error, context);
	return error.is_inner;
}

static void
the_last_line_has_the_number(void **state)
{
	(void)state;
	assert_int_equal(param_of("unnamed portal parameter $1"), 1);
	assert_int_equal(param_of("unnamed portal parameter $65535"),
	    65535);
	assert_int_equal(param_of("JSON data, line 1: {\"a\": $7\n"
	    "unnamed portal parameter $2"), 2);
}

static void
it_is_understood_in_other_languages(void **state)
{
	(void)state;
	assert_int_equal(param_of("unbenanntes Portal Parameter $12"),
	    12);
	assert_int_equal(param_of("이름없는 포탈 $3 매개 변수"), 3);
	assert_int_equal(param_of("이름없는 포탈 $3 매개 변수 = 'a $4'"),
	    3);
}

/* With log_parameter_max_length_on_error. */
static void
the_value_behind_it_holds_what_it_likes(void **state)
{
	static const char *const values[] = { "''", "'x'", "'$2'", "'it''s'",
	    "'''$2 '", "' $2\n $2'", "'a'' $2'", "' = '' $2 = '''", "''''",
	    "' $2...'", "'\n $2\n'", "''' $2'''" };
	char text[80];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(text, sizeof(text), "unnamed portal parameter $1 = %s",
		    values[i]);
		if (param_of(text) != 1)
			fail_msg("%s: %zu", text, param_of(text));
	}
}

static void
what_arose_elsewhere_has_none(void **state)
{
	static const char *const contexts[] = { "", "'", "''", "$", "$1", " $",
	    "SQL statement \"SELECT $1\"",
	    "SQL statement \"SELECT $1\"\nPL/pgSQL function f() line 3 at RAISE",
	    "PL/pgSQL function f$1(integer) line 3 at SQL statement",
	    "PL/pgSQL function \"f $1\"(integer) line 3 at SQL statement",
	    "SQL function \"f $1\" statement 1", "a $x", "a $123456 b",
	    "unnamed portal parameter $1\nSQL function \"f\" statement 1" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(contexts) / sizeof(contexts[0]); i++) {
		if (param_of(contexts[i]) != 0)
			fail_msg("%s", contexts[i]);
	}
}

/* With that setting, all parameters are told of while a statement runs. */
static void
it_may_have_arisen_in_the_statement_itself(void **state)
{
	static const char *const own[] = { NULL,
	    "unnamed portal with parameters: $1 = '5', $2 = 'x'",
	    "unnamed portal with parameters: $1 = '5', $2 = NULL",
	    "unnamed portal with parameters: $1 = '5'",
	    "unnamed portal with parameters: $1 = 'a\n $1 = '",
	    "unbenanntes Portal mit Parametern: $1 = '5'" };
	static const char *const inner[] = {
	    "PL/pgSQL function f() line 3 at RAISE",
	    "PL/pgSQL function f() line 3 at RAISE\n"
	    "unnamed portal with parameters: $1 = '5', $2 = 'x'" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (param_of(own[i]) != 0 || is_inner(own[i]))
			fail_msg("%s", own[i]);
	}
	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		if (param_of(inner[i]) != 0 || !is_inner(inner[i]))
			fail_msg("%s", inner[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_line_has_the_number),
		cmocka_unit_test(it_is_understood_in_other_languages),
		cmocka_unit_test(the_value_behind_it_holds_what_it_likes),
		cmocka_unit_test(what_arose_elsewhere_has_none),
		cmocka_unit_test(it_may_have_arisen_in_the_statement_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
