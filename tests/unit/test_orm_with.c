/* WITH: the tree that its list makes, and the statements, word for word. */
#include "orm_compile.h"

#include "orm/compile.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

#define USERS								\
	"t.'id', t.'name', t.'email', t.'age', t.'meta', t.'boss_id'"
#define POSTS								\
	"t.'id', t.'author_id', t.'title', t.'tags', t.'day', t.'at', "	\
	"t.'score', t.'is_public', t.'picture'"
#define K1	", k.n FROM unnest($1) WITH ORDINALITY AS k(c1, n) "	\
		"CROSS JOIN LATERAL (SELECT "

/* What is to be loaded, as "name parent [many] keys types limit". */
struct good {
	const char	*request;
	const char	*tree;
};

static void
put_list(struct lk_buf *out, const struct lk_load *load)
{
	size_t i;

	for (i = 0; i < load->n_keys; i++)
		lk_buf_printf(out, "%s%zu:%u", i > 0 ? "," : " ",
		    load->keys[i], load->types[i]);
}

static void
put_tree(struct lk_buf *out, const struct lk_with *with)
{
	const struct lk_load *load;
	size_t i;

	for (i = 0; i < with->n_loads; i++) {
		load = &with->loads[i];
		lk_buf_printf(out, "%s%zu %s%s", i > 0 ? "; " : "",
		    load->parent, load->name, load->is_many ? "*" : "");
		put_list(out, load);
		if (load->limit >= 0)
			lk_buf_printf(out, " %lld", (long long)load->limit);
	}
}

static void
assert_sql(const char *got, const char *wanted)
{
	char *quoted = strdup(wanted), *c;

	for (c = quoted; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	assert_string_equal(got, quoted);
	free(quoted);
}

static void
relations_become_a_tree(void **state)
{
	static const struct good cases[] = {
		{ "FIND posts WITH author", "0 author 1:1007" },
		{ "GET users 1 with posts", "0 posts* 0:1007" },
		{ "GET users 1 WITH profiles", "0 profiles 0:1007" },
		{ "FIND users WITH boss,users",
		    "0 boss 5:1007; 0 users* 0:1007" },
		{ "FIND users WITH posts.tags_by_tag_id",
		    "0 posts* 0:1007; 1 tags_by_tag_id* 0:1016" },
		{ "FIND posts WITH author.boss,author.profiles",
		    "0 author 1:1007; 1 boss 5:1007; 1 profiles 0:1007" },
		/* The same one at several places. */
		{ "FIND posts WITH author.boss.boss",
		    "0 author 1:1007; 1 boss 5:1007; 2 boss 5:1007" },
		{ "FIND parcels WITH items_by_order_no_item_no",
		    "0 items_by_order_no_item_no 1:1028,2:1007" },
		{ "GET items 1 2 WITH parcels",
		    "0 parcels* 0:1028,1:1007" },
		{ "LOAD users 1 posts WITH author", "0 author 1:1007" },
		{ "ONE posts WITH \"author\".\"boss\"",
		    "0 author 1:1007; 1 boss 5:1007" },
		{ "FIRST tags WITH posts", "0 posts* 0:1007" },
		/* Named on the way, and then itself. */
		{ "FIND users WITH posts.author,posts:3",
		    "0 posts* 0:1007 3; 1 author 1:1007" },
		/* Behind a comma: a column of the order, or else a relation. */
		{ "FIND users WITH posts:10:-at,title,boss",
		    "0 posts* 0:1007 10; 0 boss 5:1007" },
		{ "FIND users WITH posts:10,boss",
		    "0 posts* 0:1007 10; 0 boss 5:1007" },
		{ "FIND users WITH posts::-at,\"title\",posts.author",
		    "0 posts* 0:1007; 1 author 1:1007" },
		{ "FIND users WITH posts:0,users:9223372036854775807",
		    "0 posts* 0:1007 0; 0 users* 0:1007 9223372036854775807" },
		/* FIELDS: the key is there, or comes on top. */
		{ "GET posts 1 FIELDS title,author_id WITH author",
		    "0 author 1:1007" },
		{ "GET posts 1 WITH author FIELDS title",
		    "0 author 1:1007" },
		{ "FIND users FIELDS name,name WITH posts,boss",
		    "0 posts* 2:1007; 0 boss 3:1007" },
	};
	struct lk_buf tree = LK_BUF_INIT;
	struct typed typed;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		if (compile(*state, cases[i].request, false, &typed) != 0)
			fail_msg("%s: %s", cases[i].request,
			    typed.error.message);
		put_tree(&tree, &typed.plan.with);
		assert_string_equal(lk_buf_cstr(&tree), cases[i].tree);
		lk_buf_fini(&tree);
		forget(&typed);
	}
}

static void
the_statement_has_the_keys_behind_its_fields(void **state)
{
	static const struct {
		const char	*request;
		const char	*sql;
		size_t		 n_columns;
	} cases[] = {
		{ "GET posts 1 WITH author FIELDS title",
		    "SELECT t.'title', t.'author_id' FROM 'public'.'posts' "
		    "AS t WHERE t.'id' = $1", 1 },
		{ "FIND users FIELDS id,name,id WITH posts,boss FOR SHARE",
		    "SELECT t.'id', t.'name', t.'id', t.'boss_id' FROM "
		    "'public'.'users' AS t FOR SHARE OF t", 3 },
		{ "FIRST users WITH posts",
		    "SELECT " USERS " FROM 'public'.'users' AS t ORDER BY "
		    "t.'id' LIMIT 1", 6 },
	};
	struct typed typed;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		assert_int_equal(compile(*state, cases[i].request, true,
		    &typed), 0);
		assert_sql(typed.plan.sql, cases[i].sql);
		assert_int_equal(typed.plan.with.n_columns,
		    cases[i].n_columns);
		forget(&typed);
	}
}

static void
each_relation_is_one_statement(void **state)
{
	static const struct {
		const char	*request;
		const char	*sql;
		size_t		 n_columns;
	} cases[] = {
		{ "FIND posts WITH author",
		    "SELECT " USERS K1 USERS " FROM 'public'.'users' AS t "
		    "WHERE t.'id' = k.c1) AS t", 6 },
		{ "FIND users WITH users",
		    "SELECT " USERS K1 USERS " FROM 'public'.'users' AS t "
		    "WHERE t.'boss_id' = k.c1) AS t", 6 },
		{ "FIND tags WITH posts",
		    "SELECT " POSTS K1 POSTS " FROM 'public'.'posts' AS t "
		    "JOIN 'public'.'post_tags' AS j ON j.'post_id' = t.'id' "
		    "WHERE j.'tag_id' = k.c1) AS t", 9 },
		{ "FIND items WITH parcels",
		    "SELECT t.'id', t.'order_no', t.'item_no', k.n "
		    "FROM unnest($1, $2) WITH ORDINALITY AS k(c1, c2, n) "
		    "CROSS JOIN LATERAL (SELECT t.'id', t.'order_no', "
		    "t.'item_no' FROM 'public'.'parcels' AS t WHERE "
		    "t.'order_no' = k.c1 AND t.'item_no' = k.c2) AS t", 3 },
		{ "FIND items WITH parcels:5",
		    "SELECT t.'id', t.'order_no', t.'item_no', k.n "
		    "FROM unnest($1, $2) WITH ORDINALITY AS k(c1, c2, n) "
		    "CROSS JOIN LATERAL (SELECT t.'id', t.'order_no', "
		    "t.'item_no' FROM 'public'.'parcels' AS t WHERE "
		    "t.'order_no' = k.c1 AND t.'item_no' = k.c2 ORDER BY "
		    "t.'id' LIMIT $3) AS t ORDER BY t.'id'", 3 },
		{ "FIND users WITH posts:10:-at,title",
		    "SELECT " POSTS K1 POSTS " FROM 'public'.'posts' AS t "
		    "WHERE t.'author_id' = k.c1 ORDER BY t.'at' DESC, "
		    "t.'title', t.'id' LIMIT $2) AS t ORDER BY t.'at' DESC, "
		    "t.'title', t.'id'", 9 },
		{ "FIND users WITH posts::id",
		    "SELECT " POSTS K1 POSTS " FROM 'public'.'posts' AS t "
		    "WHERE t.'author_id' = k.c1) AS t ORDER BY t.'id'", 9 },
		{ "FIND tags WITH posts:1:-id",
		    "SELECT " POSTS K1 POSTS " FROM 'public'.'posts' AS t "
		    "JOIN 'public'.'post_tags' AS j ON j.'post_id' = t.'id' "
		    "WHERE j.'tag_id' = k.c1 ORDER BY t.'id' DESC LIMIT $2) "
		    "AS t ORDER BY t.'id' DESC", 9 },
	};
	struct typed typed;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		assert_int_equal(compile(*state, cases[i].request, false,
		    &typed), 0);
		assert_int_equal(typed.plan.with.n_loads, 1);
		assert_sql(typed.plan.with.loads[0].sql, cases[i].sql);
		assert_int_equal(typed.plan.with.loads[0].n_columns,
		    cases[i].n_columns);
		forget(&typed);
	}
}

static void
lists_that_are_wrong_are_refused(void **state)
{
	static const struct {
		const char	*list;
		const char	*message;
	} cases[] = {
		{ "name", "users.name is a column, not a relation" },
		{ "posts.title", "posts.title is a column, not a relation" },
		{ "posts,", "expected a relation, or its name in whole quotes,"
		    " not \"posts,\"" },
		{ "posts..author", "expected a relation, or its name in whole "
		    "quotes, not \"posts..author\"" },
		{ "\"posts", "expected a relation, or its name in whole "
		    "quotes, not \"\"posts\"" },
		{ "boss,boss", "WITH has users.boss twice" },
		{ "posts.author,posts,posts", "WITH has users.posts twice" },
		{ "boss:1", "users.boss leads to one row: it has no order and "
		    "no number of rows" },
		{ "profiles::motto", "users.profiles leads to one row: it has "
		    "no order and no number of rows" },
		{ "posts:", "expected a number of rows behind the colon, as in"
		    " posts:10 or posts:10:-id, not \"posts:\"" },
		{ "posts:-1", "expected a number of rows behind the colon, as "
		    "in posts:10 or posts:10:-id, not \"posts:-1\"" },
		{ "posts:9223372036854775808", "expected a number of rows "
		    "behind the colon, as in posts:10 or posts:10:-id, not "
		    "\"posts:9223372036854775808\"" },
		{ "posts:1:", "expected columns behind the second colon, as in"
		    " posts:10:day,-id, not \"posts:1:\"" },
		{ "posts:1:id,-", "expected columns behind the second colon, "
		    "as in posts:10:day,-id, not \"posts:1:id,-\"" },
	};
	struct lk_buf line = LK_BUF_INIT, wanted = LK_BUF_INIT;
	struct typed typed;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		lk_buf_printf(&line, "FIND users WITH %s", cases[i].list);
		lk_buf_printf(&wanted, "FIND: %s (argument 3); syntax: %s",
		    cases[i].message, lk_orm_verb_syntax(LK_ORM_FIND));
		assert_int_equal(compile(*state, lk_buf_cstr(&line), false,
		    &typed), -LK_E_INVAL);
		assert_string_equal(typed.error.message, lk_buf_cstr(&wanted));
		assert_string_equal(typed.error.sqlstate, "42601");
		forget(&typed);
		lk_buf_fini(&line);
		lk_buf_fini(&wanted);
	}
}

static void
what_the_snapshot_does_not_know_may_be_new(void **state)
{
	static const char *const lists[] = { "nothing", "posts.nothing",
		"posts:1:nothing", "posts:1:-nothing", "posts:1:id,nothing" };
	struct lk_buf line = LK_BUF_INIT;
	struct typed typed;
	size_t i;

	for (i = 0; i < N(lists); i++) {
		lk_buf_printf(&line, "FIND users WITH %s", lists[i]);
		assert_int_equal(compile(*state, lk_buf_cstr(&line), false,
		    &typed), -LK_E_NOENT);
		assert_int_equal(typed.error.kind, LK_ERR_NOCOLUMN);
		forget(&typed);
		lk_buf_fini(&line);
	}
}

/* ---- how deep, how many ---- */

static int
compile_as(const struct lk_catalog *catalog, enum lk_rows_form form,
    const char *line, struct typed *typed)
{
	struct lk_verb_call call = { .format.rows = (uint8_t)form };

	/* For its arguments. */
	compile(catalog, line, false, typed);
	lk_plan_fini(&typed->plan);
	lk_error_fini(&typed->error);
	call.verb = typed->verb;
	call.args = typed->args;
	call.n_args = typed->n;
	return lk_verb_compile(catalog, &call, &typed->plan, &typed->error);
}

static void
replies_nest_no_deeper_than_clients_read(void **state)
{
	static const struct {
		enum lk_rows_form form;
		const char	*request;
		const char	*message;	/* NULL: it is not too deep */
	} cases[] = {
		{ LK_ROWS_MAPS, "FIND users WITH posts.author.posts", NULL },
		{ LK_ROWS_MAPS, "FIND users WITH posts.post_tags.tag.posts",
		    "FIND: WITH posts.post_tags.tag.posts: rows would nest 9 "
		    "deep, and 7 is the most: ask for them as =json, or for "
		    "fewer levels; syntax: " },
		{ LK_ROWS_MAPS, "FIND posts WITH "
		    "author.boss.boss.boss.boss", NULL },
		{ LK_ROWS_MAPS, "FIND posts WITH "
		    "author.boss.boss.boss.boss.boss",
		    "FIND: WITH author.boss.boss.boss.boss.boss: rows would "
		    "nest 8 deep, and 7 is the most" },
		/* A row alone leaves one level more. */
		{ LK_ROWS_MAPS, "GET posts 1 WITH "
		    "author.boss.boss.boss.boss.boss", NULL },
		{ LK_ROWS_MAPS, "LOAD users 1 boss WITH "
		    "boss.boss.boss.boss.boss.boss", NULL },
		{ LK_ROWS_TABLE, "FIND posts WITH author,post_tags", NULL },
		{ LK_ROWS_TABLE, "GET posts 1 WITH author.boss",
		    "GET: WITH author.boss: rows would nest 9 deep, and 7 is "
		    "the most" },
		{ LK_ROWS_JSON, "FIND posts WITH author.posts.author.posts."
		    "author.posts.author.posts.author.posts.author.posts."
		    "author.posts.author.posts.author.posts.author.posts."
		    "author", NULL },
		{ LK_ROWS_JSON, "GET posts 1 WITH author.posts.author.posts."
		    "author.posts.author.posts.author.posts.author.posts."
		    "author.posts.author.posts.author.posts.author.posts."
		    "author.posts",
		    ".author.posts: rows would nest 34 deep, and 32 is the "
		    "most; syntax: " },
	};
	struct typed typed;
	size_t i;
	int rc;

	for (i = 0; i < N(cases); i++) {
		rc = compile_as(*state, cases[i].form, cases[i].request,
		    &typed);
		assert_int_equal(rc, cases[i].message != NULL ? -LK_E_INVAL :
		    0);
		if (rc != 0) {
			assert_non_null(strstr(typed.error.message,
			    cases[i].message));
			assert_int_equal(typed.error.kind, LK_ERR_SYNTAX);
		}
		forget(&typed);
	}
}

static void
so_many_relations_and_no_more(void **state)
{
	struct lk_buf line = LK_BUF_INIT;
	struct typed typed;
	size_t i;

	lk_buf_puts(&line, "GET users 1 WITH posts,boss");
	for (i = 2; i < LK_COMPILE_MAX_LOADS; i++)
		lk_buf_puts(&line, ".boss");
	assert_int_equal(compile_as(*state, LK_ROWS_JSON, lk_buf_cstr(&line),
	    &typed), 0);
	assert_int_equal(typed.plan.with.n_loads, LK_COMPILE_MAX_LOADS);
	forget(&typed);
	lk_buf_puts(&line, ",users");
	assert_int_equal(compile_as(*state, LK_ROWS_JSON, lk_buf_cstr(&line),
	    &typed), -LK_E_INVAL);
	assert_non_null(strstr(typed.error.message,
	    "WITH more than 32 relations"));
	forget(&typed);
	lk_buf_fini(&line);
}

/* ---- what may be done again ---- */

static void
models_that_leave_traces_count(void **state)
{
	static const char *const leaving[] = { "users", "tags", "post_tags" };
	static const char *const request =
	    "FIND posts WITH author,tags_by_tag_id";
	struct typed typed;
	size_t i;

	assert_int_equal(compile(*state, request, false, &typed), 0);
	assert_true(typed.plan.has_no_trace);
	forget(&typed);
	for (i = 0; i < N(leaving); i++) {
		orm_model(*state, leaving[i])->has_triggers = true;
		assert_int_equal(compile(*state, request, false, &typed), 0);
		assert_false(typed.plan.has_no_trace);
		forget(&typed);
		orm_model(*state, leaving[i])->has_triggers = false;
	}
}

static void
keys_without_arrays_are_for_load(void **state)
{
	struct lk_catalog_type *type = lk_catalog_type(*state, 23);
	struct typed typed;

	type->array = 0;
	assert_int_equal(compile(*state, "GET users 1 WITH posts", false,
	    &typed), -LK_E_INVAL);
	assert_non_null(strstr(typed.error.message, "users.posts goes by id, "
	    "which is integer: WITH cannot take many of those at once; LOAD "
	    "posts row by row"));
	forget(&typed);
	type->array = 1007;
	type->kind = LK_TYPE_COMPOSITE;
	assert_int_equal(compile(*state, "GET users 1 WITH posts", false,
	    &typed), -LK_E_INVAL);
	forget(&typed);
	type->kind = LK_TYPE_BASE;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relations_become_a_tree),
		cmocka_unit_test(the_statement_has_the_keys_behind_its_fields),
		cmocka_unit_test(each_relation_is_one_statement),
		cmocka_unit_test(lists_that_are_wrong_are_refused),
		cmocka_unit_test(what_the_snapshot_does_not_know_may_be_new),
		cmocka_unit_test(replies_nest_no_deeper_than_clients_read),
		cmocka_unit_test(so_many_relations_and_no_more),
		cmocka_unit_test(models_that_leave_traces_count),
		cmocka_unit_test(keys_without_arrays_are_for_load),
	};

	return cmocka_run_group_tests(tests, make_catalog, free_catalog);
}
