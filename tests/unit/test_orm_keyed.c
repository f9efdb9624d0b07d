/* Reads by key of one shape, and UPDATEs of a row: which are, and what does many of
 * them. */
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
		/* IS NULL, which with another value it is not. */
		"LOAD users 1 posts WHERE title = _",
		"LOAD users 1 posts WHERE title = NIL",
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

/* ---- UPDATEs ---- */

static struct lk_column *
add_column(struct lk_model *model, const char *name, int attnum, uint32_t type,
    const char *type_name)
{
	struct lk_column *column = lk_model_add_column(model, name, attnum);

	column->type = column->base_type = type;
	column->type_name = strdup(type_name);
	return column;
}

/* k is in an index. */
static struct lk_catalog *
counters(struct lk_model **model)
{
	static const int key[] = { 1, 2 }, index = 6;
	struct lk_catalog *catalog = lk_catalog_new();

	orm_add_types(catalog);
	*model = lk_catalog_add_model(catalog, 4711, "public", "counters",
	    true);
	(*model)->is_alone = true;
	add_column(*model, "id", 1, 23, "integer");
	add_column(*model, "$1", 2, 20, "bigint");
	add_column(*model, "n", 3, 23, "integer");
	add_column(*model, "m", 4, 20, "bigint");
	add_column(*model, "x", 5, 25, "text");
	add_column(*model, "k", 6, 23, "integer");
	lk_model_add_key(*model, key, 2, true);
	lk_model_note_index(*model, key, 2, 2);
	lk_model_note_index(*model, &index, 1, 0);
	lk_catalog_finish(catalog);
	return catalog;
}

static void
one_statement_updates_for_many(void **state)
{
	struct lk_model *model;
	struct lk_catalog *catalog = counters(&model);
	struct lk_keyed *keyed = shape_of(catalog,
	    "UPDATE counters 1 2 SET m += 3 n = 4 IF n > 5 OR k IS NULL");

	(void)state;
	assert_string_equal(keyed->sql, "WITH RECURSIVE b AS (SELECT "
	    "t.\"id\", t.\"$1\", t.\"n\", t.\"m\", t.\"x\", t.\"k\" "
	    "FROM \"public\".\"counters\" AS t "
	    "WHERE t.\"id\" = ($1)[1] AND t.\"$1\" = ($2)[1] "
	    "AND CASE WHEN "
	    "EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = 4711 "
	    "AND relchecks = 0 AND NOT (relhasrules OR relrowsecurity "
	    "OR relhassubclass OR relispartition)) "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger "
	    "WHERE tgrelid = 4711 AND NOT tgisinternal) "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute "
	    "WHERE attrelid = 4711 AND attgenerated <> '') "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint "
	    "WHERE conrelid = 4711 AND contype = 'f' "
	    "AND conkey && '{4,3}'::int2[]) "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_index "
	    "WHERE indrelid = 4711 AND (indexprs IS NOT NULL "
	    "OR indpred IS NOT NULL OR indkey::int2[] && '{4,3}'::int2[])) "
	    "THEN true ELSE (SELECT 'Lockkeeper: the table is not what it was, "
	    "and its updates go one by one')::bool END "
	    "FOR NO KEY UPDATE NOWAIT), "
	    "s(n, d, o1, o2, o3, o4, o5, o6) AS (SELECT 0, false, b.* FROM b "
	    "UNION ALL SELECT s.n + 1, "
	    "(t.\"n\" > ($5)[s.n + 1] OR t.\"k\" IS NULL), s.o1, s.o2, "
	    "CASE WHEN (t.\"n\" > ($5)[s.n + 1] OR t.\"k\" IS NULL) "
	    "THEN (($4)[s.n + 1])::integer ELSE s.o3 END, "
	    "CASE WHEN (t.\"n\" > ($5)[s.n + 1] OR t.\"k\" IS NULL) "
	    "THEN (t.\"m\" + ($3)[s.n + 1])::bigint ELSE s.o4 END, "
	    "s.o5, s.o6 FROM s CROSS JOIN LATERAL ("
	    "SELECT s.o1, s.o2, s.o3, s.o4, s.o5, s.o6) "
	    "AS t(\"id\", \"$1\", \"n\", \"m\", \"x\", \"k\") "
	    "WHERE s.n < array_length($1, 1)), "
	    "u AS (UPDATE \"public\".\"counters\" AS t "
	    "SET \"m\" = s.o4, \"n\" = s.o3 FROM s "
	    "WHERE t.\"id\" = ($1)[1] AND t.\"$1\" = ($2)[1] "
	    "AND s.n = array_length($1, 1) AND EXISTS (SELECT FROM s "
	    "WHERE s.d)) SELECT s.o1 AS \"id\", s.o2 AS \"$1\", "
	    "s.o3 AS \"n\", s.o4 AS \"m\", s.o5 AS \"x\", s.o6 AS \"k\", "
	    "s.n FROM s WHERE s.d");
	assert_int_equal(keyed->types[0], 1007);
	assert_int_equal(keyed->types[1], 1016);
	assert_int_equal(keyed->types[2], 1016);
	assert_int_equal(keyed->types[3], 1007);
	assert_null(keyed->plan.fold);
	assert_true(keyed->plan.is_write && keyed->plan.row.is_simple);
	assert_true(fits(catalog, keyed,
	    "UPDATE counters 7 8 SET m += -9 n = 0 IF n > 1 OR k IS NULL"));
	assert_false(fits(catalog, keyed,
	    "UPDATE counters 7 8 SET m += 9 n += 1 IF n > 1 OR k IS NULL"));
	assert_false(fits(catalog, keyed, "UPDATE counters 7 8 SET m += 9 "
	    "n = 2147483648 IF n > 1 OR k IS NULL"));
	assert_false(fits(catalog, keyed,
	    "UPDATE counters 7 8 SET m += 9 n = 1"));
	lk_keyed_free(&keyed);
	lk_catalog_free(&catalog);
}

static void
expect_no_shape(const struct lk_catalog *catalog, const char *line)
{
	struct lk_keyed *keyed = shape_of(catalog, line);

	if (keyed != NULL)
		fail_msg("%s", line);
}

static void
what_others_might_see_is_done_alone(void **state)
{
	static const char *const lines[] = {
		"UPDATE counters 1 2 SET k += 1", "UPDATE counters 1 2 SET x = 1",
		"UPDATE counters 1 2 SET id += 1",
		"UPDATE counters 1 2 SET n += 1 x ||= a",
		"UPDATE counters 1 2 SET n += 1 m TO DEFAULT",
		"UPDATE counters 1 2 SET n TO NULL",
		"UPDATE counters 1 2 SET n += 1 IF m = _",
		"UPDATEALL counters SET n += 1 WHERE id = 1",
	};
	static const char add[] = "UPDATE counters 1 2 SET n += 1";
	struct lk_model *model;
	struct lk_catalog *catalog = counters(&model);
	struct lk_keyed *keyed;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect_no_shape(catalog, lines[i]);
	model->has_checks = true;
	expect_no_shape(catalog, add);
	model->has_checks = false;
	model->has_triggers = true;
	expect_no_shape(catalog, add);
	model->has_triggers = false;
	model->is_alone = false;
	expect_no_shape(catalog, add);
	model->is_alone = true;
	model->columns[4].is_generated = true;
	expect_no_shape(catalog, add);
	model->columns[4].is_generated = false;
	model->columns[2].type = 9999;		/* a domain */
	expect_no_shape(catalog, add);
	/* 1 is days, and "1 day" an interval. */
	model->columns[2].type = model->columns[2].base_type = 1082;
	expect_no_shape(catalog, add);
	model->columns[2].type = model->columns[2].base_type = 23;
	keyed = shape_of(catalog, add);
	assert_non_null(keyed);
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
		cmocka_unit_test(one_statement_updates_for_many),
		cmocka_unit_test(what_others_might_see_is_done_alone),
		cmocka_unit_test(what_is_clean_is_known_in_full),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
