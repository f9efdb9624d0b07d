/* References: values that are columns of rows that other verbs reply. */
#include "unit.h"

#include <stdlib.h>

#include "orm/verb.h"
#include "orm_models.h"

static const struct lk_ref_scope dollar = { "$", 1, 4 };

struct place {
	const char	*text;
	uint32_t	 verb;		/* 0: it is a value */
	const char	*column;
};

static struct lk_arg
arg_of(const char *text)
{
	return (struct lk_arg){ text, text != NULL ? strlen(text) : 0 };
}

static void
assert_places(const struct lk_ref_scope *scope, const struct place *places,
    size_t n)
{
	struct lk_error error = { 0 };
	struct lk_row_ref ref;
	struct lk_arg arg;
	size_t i;

	for (i = 0; i < n; i++) {
		arg = arg_of(places[i].text);
		assert_int_equal(lk_row_ref_parse(scope, &arg, &ref, &error),
		    places[i].verb != 0);
		assert_false(error.is_set);
		if (places[i].verb == 0)
			continue;
		assert_int_equal(ref.verb, places[i].verb);
		assert_string_equal(ref.column.data, places[i].column);
		assert_int_equal(ref.column.len, strlen(places[i].column));
	}
}

static void
a_number_a_dot_and_a_column_stand_behind_the_marker(void **state)
{
	static const struct place places[] = {
		{ "$1.id", 1, "id" }, { "$3.a b.c", 3, "a b.c" },
		{ "$003.\"", 3, "\"" }, { "1.id", 0, "" }, { "", 0, "" },
		{ " $1.id", 0, "" }, { NULL, 0, "" },
	};
	static const struct place longer[] = {
		{ "ref:2.id", 2, "id" }, { "ref2.id", 0, "" }, { "re", 0, "" },
	};

	(void)state;
	assert_places(&dollar, places, sizeof(places) / sizeof(places[0]));
	assert_places(&(struct lk_ref_scope){ "ref:", 2, 3 }, longer,
	    sizeof(longer) / sizeof(longer[0]));
}

static void
without_a_marker_nothing_is_one(void **state)
{
	static const struct place places[] = { { "$1.id", 0, "" } };

	(void)state;
	assert_places(&(struct lk_ref_scope){ NULL, 1, 4 }, places, 1);
}

static void
assert_refused(const struct lk_ref_scope *scope, const char *text, size_t n,
    const char *part)
{
	struct lk_error error = { 0 };
	struct lk_arg arg = { text, n };
	struct lk_row_ref ref;

	assert_int_equal(lk_row_ref_parse(scope, &arg, &ref, &error),
	    -LK_E_INVAL);
	assert_int_equal(error.kind, LK_ERR_SYNTAX);
	assert_string_equal(error.sqlstate, "42601");
	if (strstr(error.message, part) == NULL)
		fail_msg("%s: not \"%s\"", error.message, part);
	lk_error_fini(&error);
}

static void
what_begins_like_one_and_is_none_is_refused(void **state)
{
	static const char *const texts[] = { "$", "$1", "$1.", "$.id", "$x.id",
	    "$$1.id", "$-1.id", "$1 .id", "$100" };
	struct lk_ref_scope none = { "$", 1, 1 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(&dollar, texts[i], strlen(texts[i]),
		    "begins with the marker of REF, and is no number");
	assert_refused(&dollar, "$1.a\0b", 6, "begins with the marker");
	assert_refused(&dollar, "$0.id", 5, "those are 1 to 3");
	assert_refused(&dollar, "$4.id", 5, "those are 1 to 3");
	assert_refused(&dollar, "$99999999999999999999.id", 24, "are 1 to 3");
	assert_refused(&none, "$1.id", 5, "no verb before this one has any");
}

/* ---- in verbs ---- */

static int
compile(const struct lk_catalog *catalog, enum lk_orm_verb verb,
    const char *const *words, size_t n, struct lk_plan *plan,
    struct lk_error *error)
{
	struct lk_arg args[16];
	struct lk_verb_call call = { .verb = verb, .args = args, .n_args = n,
	    .in_tx = true, .refs = dollar };
	size_t i;

	for (i = 0; i < n; i++)
		args[i] = arg_of(words[i]);
	return lk_verb_compile(catalog, &call, plan, error);
}

#define COMPILE(plan, error, verb, ...)					\
	compile(*state, LK_ORM_##verb,					\
	    (const char *const[]){ __VA_ARGS__ },			\
	    sizeof((const char *const[]){ __VA_ARGS__ }) /		\
	    sizeof(const char *), plan, error)

static void
assert_param(const struct lk_plan *plan, size_t i, uint32_t from,
    const char *data, uint32_t type)
{
	assert_true(i < plan->n_params);
	assert_int_equal(plan->params[i].from, from);
	assert_int_equal(plan->params[i].type, type);
	assert_int_equal(plan->params[i].len, strlen(data));
	assert_memory_equal(plan->params[i].data, data, strlen(data));
}

static void
values_of_all_kinds_can_be_references(void **state)
{
	struct lk_error error = { 0 };
	struct lk_plan plan;

	assert_int_equal(COMPILE(&plan, &error, GET, "users", "$2.id"), 0);
	assert_param(&plan, 0, 2, "id", 23);
	lk_plan_fini(&plan);
	assert_int_equal(COMPILE(&plan, &error, UPDATE, "users", "$1.a b",
	    "SET", "age", "+=", "$3.age", "name", "=", "Ann", "IF", "email",
	    "LIKE", "$1.email"), 0);
	assert_param(&plan, 0, 1, "a b", 23);
	assert_param(&plan, 1, 3, "age", 21);
	assert_param(&plan, 2, 0, "Ann", 25);
	assert_param(&plan, 3, 1, "email", 25);
	lk_plan_fini(&plan);
	assert_int_equal(COMPILE(&plan, &error, CREATEMANY, "tags", "1",
	    "word", "$1.x"), 0);
	assert_param(&plan, 0, 1, "x", 25);
	lk_plan_fini(&plan);
	assert_int_equal(COMPILE(&plan, &error, FIND, "users", "WHERE", "id",
	    "IN", "2", "$1.id", "7", "AFTER", "$2.id"), 0);
	assert_param(&plan, 0, 1, "id", 23);
	assert_param(&plan, 2, 2, "id", 23);
	lk_plan_fini(&plan);
}

static void
names_and_words_are_none(void **state)
{
	struct lk_error error = { 0 };
	struct lk_plan plan;

	assert_int_equal(COMPILE(&plan, &error, GET, "$1.model", "1"),
	    -LK_E_NOENT);
	assert_int_equal(COMPILE(&plan, &error, FIND, "users", "WHERE",
	    "$1.name", "=", "1"), -LK_E_NOENT);
	assert_int_equal(COMPILE(&plan, &error, FIND, "users", "LIMIT",
	    "$1.n"), -LK_E_INVAL);
	/* A key into JSON is part of a path. */
	assert_int_equal(COMPILE(&plan, &error, FIND, "users", "WHERE", "meta",
	    "->", "$1.key", "=", "1"), 0);
	assert_int_equal(plan.params[0].from, 0);
	lk_plan_fini(&plan);
	lk_error_fini(&error);
}

static void
a_bad_one_says_which_argument_it_is(void **state)
{
	struct lk_error error = { 0 };
	struct lk_plan plan;

	assert_int_equal(COMPILE(&plan, &error, UPDATE, "users", "1", "SET",
	    "age", "=", "$9.id"), -LK_E_INVAL);
	assert_non_null(strstr(error.message,
	    "UPDATE: argument 6: \"$9.id\" refers to no verb"));
	lk_error_fini(&error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_number_a_dot_and_a_column_stand_behind_the_marker),
		cmocka_unit_test(without_a_marker_nothing_is_one),
		cmocka_unit_test(what_begins_like_one_and_is_none_is_refused),
		cmocka_unit_test(values_of_all_kinds_can_be_references),
		cmocka_unit_test(names_and_words_are_none),
		cmocka_unit_test(a_bad_one_says_which_argument_it_is),
	};

	return cmocka_run_group_tests(tests, make_catalog, free_catalog);
}
