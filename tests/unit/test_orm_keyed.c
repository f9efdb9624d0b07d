/* Reads by key of one shape: which are, and what asks for many of them. */
#include "orm_compile.h"
#include "orm/keyed.h"

static int
begin_all(void **state)
{
	*state = orm_catalog();
	return 0;
}

static int
end_all(void **state)
{
	struct lk_catalog *catalog = *state;

	lk_catalog_free(&catalog);
	return 0;
}

static struct lk_verb_call
call_of(const struct typed *typed)
{
	return (struct lk_verb_call){ .verb = typed->verb, .args = typed->args,
	    .n_args = typed->n, .null_text = "NIL", .format = { .proto = 3 } };
}

/* NULL: it is none. */
static struct lk_keyed *
shape_of(const struct lk_catalog *catalog, const char *line)
{
	struct lk_verb_call call;
	struct lk_keyed *keyed;
	struct typed typed;

	if (compile(catalog, line, false, &typed) != 0)
		fail_msg("%s: %s", line, typed.error.message);
	call = call_of(&typed);
	keyed = lk_keyed_new(catalog, &call, &typed.plan);
	forget(&typed);
	return keyed;
}

static bool
fits(const struct lk_catalog *catalog, const struct lk_keyed *keyed,
    const char *line)
{
	struct lk_verb_call call;
	struct typed typed;
	bool does_fit;

	(void)compile(catalog, line, false, &typed);
	call = call_of(&typed);
	does_fit = lk_keyed_fits(keyed, &call);
	forget(&typed);
	return does_fit;
}

static void
what_says_a_whole_key_is_a_read_by_key(void **state)
{
	static const char *const lines[] = {
		"GET users 1", "GET items 1 2 FIELDS price",
		"GET users 1 WITH posts:2:-id", "LOAD users 1 posts",
		"LOAD posts 1 author", "LOAD users 1 posts ORDER -id LIMIT 3",
		"LOAD users 1 posts WHERE score > 3",
		"FIND users WHERE id = 1", "FIRST users WHERE email EQ a",
		"ONE items WHERE item~no = 1 AND order_no = 2",
	};
	struct lk_keyed *keyed;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		keyed = shape_of(*state, lines[i]);
		if (keyed == NULL)
			fail_msg("%s", lines[i]);
		lk_keyed_free(&keyed);
	}
}

static void
nothing_else_is(void **state)
{
	static const char *const lines[] = {
		"FIND users", "FIND users WHERE age = 1",
		"FIND users WHERE id > 1", "FIND users WHERE id = _",
		"FIND users WHERE NOT id = 1", "FIND users WHERE id IN 1 1",
		"FIND users WHERE id = 1 OR id = 2",
		"FIND users WHERE id = 1 AND age = 2",
		"FIND users WHERE ( id = 1 OR age = 2 )",
		"FIND users WHERE boss.id = 1", "ONE items WHERE order_no = 2",
		"COUNT users WHERE id = 1", "EXISTS users WHERE id = 1",
		"UPDATE users 1 SET age = 2", "DELETE users 1",
		"LOAD users 1 posts ORDER id AFTER 3",
	};
	struct lk_keyed *keyed;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		keyed = shape_of(*state, lines[i]);
		if (keyed != NULL)
			fail_msg("%s", lines[i]);
	}
}

static void
values_may_differ_and_nothing_else(void **state)
{
	struct lk_keyed *keyed = shape_of(*state, "GET users 1 FIELDS id");

	assert_true(fits(*state, keyed, "GET users 1 FIELDS id"));
	assert_true(fits(*state, keyed, "GET users ~07 FIELDS id"));
	assert_false(fits(*state, keyed, "GET users 1 FIELDS name"));
	assert_false(fits(*state, keyed, "GET posts 1 FIELDS id"));
	assert_false(fits(*state, keyed, "GET users 1"));
	assert_false(fits(*state, keyed, "GET users x FIELDS id"));
	assert_false(fits(*state, keyed, "GET users 2147483648 FIELDS id"));
	assert_false(fits(*state, keyed, "GET users NIL FIELDS id"));
	assert_false(fits(*state, keyed, "GET users _ FIELDS id"));
	lk_keyed_free(&keyed);
	keyed = shape_of(*state, "LOAD users 1 posts LIMIT 3");
	assert_true(fits(*state, keyed, "LOAD users 2 posts LIMIT 3"));
	assert_false(fits(*state, keyed, "LOAD users 1 posts LIMIT 2"));
	lk_keyed_free(&keyed);
}

static void
the_form_of_the_reply_and_the_transaction_count(void **state)
{
	struct lk_keyed *keyed = shape_of(*state, "GET users 1");
	struct lk_verb_call call, other;
	struct typed typed;

	assert_int_equal(compile(*state, "GET users 2", false, &typed), 0);
	call = call_of(&typed);
	assert_true(lk_keyed_fits(keyed, &call));
	other = call;
	other.format.proto = 2;
	assert_false(lk_keyed_fits(keyed, &other));
	other = call;
	other.format.rows = LK_ROWS_JSON;
	assert_false(lk_keyed_fits(keyed, &other));
	other = call;
	other.format.int8_text = true;
	assert_false(lk_keyed_fits(keyed, &other));
	other = call;
	other.in_tx = true;
	assert_false(lk_keyed_fits(keyed, &other));
	forget(&typed);
	lk_keyed_free(&keyed);
}

static void
a_shape_gives_the_plan_that_compiling_gives(void **state)
{
	struct lk_keyed *keyed = shape_of(*state,
	    "GET items 1 2 FIELDS price WITH parcels:1:-id");
	struct lk_plan_param few[LK_KEYED_FEW];
	struct typed typed;
	struct lk_plan plan;
	size_t i;

	assert_int_equal(compile(*state,
	    "GET items 3 ~4 FIELDS price WITH parcels:1:-id", false, &typed),
	    0);
	lk_keyed_plan(keyed, typed.args, few, &plan);
	assert_string_equal(plan.sql, typed.plan.sql);
	assert_int_equal(plan.n_params, typed.plan.n_params);
	for (i = 0; i < plan.n_params; i++) {
		assert_ptr_equal(plan.params[i].data,
		    typed.plan.params[i].data);
		assert_int_equal(plan.params[i].len,
		    typed.plan.params[i].len);
		assert_int_equal(plan.params[i].type,
		    typed.plan.params[i].type);
	}
	assert_int_equal(plan.with.n_loads, 1);
	assert_string_equal(plan.with.loads[0].sql,
	    typed.plan.with.loads[0].sql);
	lk_keyed_forget_plan(&plan);
	forget(&typed);
	lk_keyed_free(&keyed);
}

static void
one_statement_asks_for_many(void **state)
{
	struct lk_keyed *keyed = shape_of(*state,
	    "LOAD users 1 posts WHERE id > 5 ORDER -id LIMIT 3 FIELDS id");

	assert_string_equal(keyed->sql, "SELECT t.*, k.n FROM unnest($1, $2, "
	    "$3) WITH ORDINALITY AS k(c1, c2, c3, n) CROSS JOIN LATERAL ("
	    "SELECT t.\"id\" FROM \"public\".\"posts\" AS t JOIN "
	    "\"public\".\"users\" AS s ON s.\"id\" = t.\"author_id\" WHERE "
	    "s.\"id\" = k.c1 AND t.\"id\" > k.c2 ORDER BY t.\"id\" DESC LIMIT "
	    "k.c3) AS t");
	assert_int_equal(keyed->types[0], 1007);
	assert_int_equal(keyed->types[1], 1016);
	lk_keyed_free(&keyed);
}

static void
a_type_without_arrays_is_asked_for_alone(void **state)
{
	struct lk_keyed *keyed = shape_of(*state, "GET words a");

	assert_non_null(keyed);
	assert_null(keyed->sql);
	lk_keyed_free(&keyed);
}

static void
dollars_in_names_are_no_parameters(void **state)
{
	struct lk_catalog *catalog = lk_catalog_new();
	struct lk_model *model;
	struct lk_column *column;
	struct lk_keyed *keyed;
	int attnum = 1;

	(void)state;
	orm_add_types(catalog);
	model = lk_catalog_add_model(catalog, 1, "public", "x$1\"'", true);
	column = lk_model_add_column(model, "$1", 1);
	column->type = 23;
	column->type_name = strdup("integer");
	column->is_not_null = true;
	lk_model_add_key(model, &attnum, 1, true);
	lk_catalog_finish(catalog);
	keyed = shape_of(catalog, "GET x$1\"' 1");
	assert_string_equal(keyed->sql, "SELECT t.*, k.n FROM unnest($1) WITH "
	    "ORDINALITY AS k(c1, n) CROSS JOIN LATERAL (SELECT t.\"$1\" FROM "
	    "\"public\".\"x$1\"\"'\" AS t WHERE t.\"$1\" = k.c1) AS t");
	lk_keyed_free(&keyed);
	lk_catalog_free(&catalog);
}

static void
what_is_clean_is_known_in_full(void **state)
{
	static const struct {
		const char	*line;
		bool		 is_clean;
	} cases[] = {
		{ "GET tags 1", true }, { "COUNT items", true },
		{ "FIND items WHERE price = 1", true },
		{ "GET items 1 2 WITH parcels", true },
		{ "LOAD items 1 2 parcels", true },
		/* age is of a type that nothing is known of */
		{ "GET users 1", false }, { "GET tags 1 WITH posts", false },
		{ "FIND posts WHERE author.name = x", false },
		{ "UPDATE tags 1 SET id = 2", false },
		{ "CREATE tags word = x", false }, { "DELETE tags 1", false },
	};
	struct lk_model *items;
	struct typed typed;
	size_t i, j;

	items = orm_model(*state, "items");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (j = 0; j < 3; j++) {
			items->has_triggers = j == 1;
			items->has_own_types = j == 2;
			assert_int_equal(compile(*state, cases[i].line, false,
			    &typed), 0);
			assert_int_equal(typed.plan.is_clean,
			    cases[i].is_clean && (j == 0 ||
			    strstr(cases[i].line, "items") == NULL));
			forget(&typed);
		}
	}
	items->has_triggers = items->has_own_types = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_says_a_whole_key_is_a_read_by_key),
		cmocka_unit_test(nothing_else_is),
		cmocka_unit_test(values_may_differ_and_nothing_else),
		cmocka_unit_test(
		    the_form_of_the_reply_and_the_transaction_count),
		cmocka_unit_test(a_shape_gives_the_plan_that_compiling_gives),
		cmocka_unit_test(one_statement_asks_for_many),
		cmocka_unit_test(a_type_without_arrays_is_asked_for_alone),
		cmocka_unit_test(dollars_in_names_are_no_parameters),
		cmocka_unit_test(what_is_clean_is_known_in_full),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
