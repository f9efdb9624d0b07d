/* Requests that are refused, and what somebody who typed them is told. */
#include "orm_compile.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

struct bad {
	int		 rc;
	const char	*sqlstate;
	const char	*request;
	const char	*message;	/* ends with ; where the syntax follows;
					   NULL: the catalog's */
};

static void
assert_message(const struct typed *typed, const char *wanted)
{
	struct lk_buf text = LK_BUF_INIT;
	size_t n = strlen(wanted);

	lk_buf_puts(&text, wanted);
	if (wanted[n - 1] == ';')
		lk_buf_printf(&text, " syntax: %s",
		    lk_orm_verb_syntax(typed->verb));
	assert_string_equal(typed->error.message, lk_buf_cstr(&text));
	lk_buf_fini(&text);
}

static void
assert_all(void **state, const struct bad *cases, size_t n)
{
	struct typed typed;
	size_t i;

	for (i = 0; i < n; i++) {
		if (compile(*state, cases[i].request, true, &typed) !=
		    cases[i].rc)
			fail_msg("%s: %s", cases[i].request,
			    typed.error.message);
		if (cases[i].message != NULL)
			assert_message(&typed, cases[i].message);
		assert_string_equal(typed.error.sqlstate, cases[i].sqlstate);
		assert_null(typed.plan.sql);
		forget(&typed);
	}
}

static void
keys_and_relations_are_asked_for(void **state)
{
	static const struct bad cases[] = {
		{ -LK_E_INVAL, "42601", "GET users",
		    "GET: the key of users is id: 1 value, not 0;" },
		{ -LK_E_INVAL, "42601", "GET users _",
		    "GET: users.id: a key is never NULL (argument 2);" },
		{ -LK_E_INVAL, "42601", "GET items 1",
		    "GET: the key of items is order_no, item no: 2 values, "
		    "not 1;" },
		{ -LK_E_INVAL, "42601", "GET users 1 2",
		    "GET: expected FIELDS, WITH, FOR or the end, not \"2\" "
		    "(argument 3);" },
		{ -LK_E_INVAL, "42601", "GET users 1 =",
		    "GET: expected FIELDS, WITH, FOR or the end, not \"=\" "
		    "(argument 3); the key's values stand alone, without "
		    "its columns' names;" },
		{ -LK_E_INVAL, "42601", 
		    "GET users WHERE id = 1",
		    "GET: the key of one row stands behind the model; rows "
		    "by a condition are FIND's: FIND model WHERE ...;" },
		{ -LK_E_NOENT, "42601", "GET recent 1",
		    "GET: recent has no primary key; FIND, UPDATEALL and "
		    "DELETEALL go by a condition;" },
		{ -LK_E_NOENT, "42P01", "GET nobody 1",
		    NULL },
		{ -LK_E_INVAL, "42601", "GET",
		    "GET: expected a model, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "LOAD posts 5 tags ORDER word AFTER x 3",
		    "LOAD: posts.tags is a column, not a relation "
		    "(argument 3);" },
		{ -LK_E_NOENT, "42703", 
		    "LOAD users 5 users_by_boss_id WHERE boss.name = x",
		    NULL },
		{ -LK_E_NOENT, "42703", 
		    "LOAD users 5 nothing",
		    NULL },
		{ -LK_E_INVAL, "42601", 
		    "LOAD users 5 name",
		    "LOAD: users.name is a column, not a relation "
		    "(argument 3);" },
		{ -LK_E_INVAL, "42601", "LOAD users 5",
		    "LOAD: expected a relation behind the key, not the end;" },
	};

	assert_all(state, cases, N(cases));
}

static void
conditions_and_clauses_are_asked_for(void **state)
{
	static const struct bad cases[] = {
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE age > _",
		    "FIND: NULL is neither like this nor more or less than "
		    "anything: use IS NULL (argument 5);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id IN 2 1",
		    "FIND: IN says 2 values, and 1 arguments follow;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id IN (1,2)",
		    "FIND: expected the number of values behind IN, not "
		    "\"(1,2)\" (argument 5); a parenthesis is an element of"
		    " its own, and IN takes the number of its values: IN 2 "
		    "a b;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id IN 99999999999999999999 1",
		    "FIND: the number of values behind IN is too large: at "
		    "most 65599 (argument 5);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id IS 5",
		    "FIND: expected NULL or NOT NULL behind IS, not \"5\" "
		    "(argument 5); whether it is NULL is asked by IS, all "
		    "else by =;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id::regclass = 1",
		    "FIND: no type \"regclass\" to cast to: there are bool,"
		    " int2, int4, int8, float4, float8, numeric, text, "
		    "varchar, date, time, timetz, timestamp, timestamptz, "
		    "interval, uuid, json and jsonb (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE name->a = 1",
		    "FIND: users.name is text: -> goes into json and jsonb "
		    "(argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE meta->\"a\" = 1",
		    "FIND: a key that is quoted, or holds what ends it, is "
		    "an element of its own behind -> (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE meta->>a->b = 1",
		    "FIND: expected no -> behind a ->> or a ::, not "
		    "\"meta->>a->b\" (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts WHERE author = 3",
		    "FIND: posts.author is a relation, not a column: name a"
		    " column of its row behind a dot, or say author_id "
		    "(argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE posts.title = x",
		    "FIND: users.posts leads to many rows; only to one can "
		    "a dot lead (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE posts = x",
		    "FIND: users.posts is a relation, not a column "
		    "(argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts WHERE author. = 3",
		    "FIND: expected a column, or its name in whole quotes, "
		    "not \"author.\" (argument 3);" },
		{ -LK_E_NOENT, "42703", 
		    "FIND posts WHERE nothing.name = 3",
		    NULL },
		{ -LK_E_NOENT, "42703", 
		    "FIND posts WHERE autor_id = 3",
		    NULL },
		{ -LK_E_INVAL, "42601", 
		    "FIND users id = 1",
		    "FIND: expected WHERE before a condition, not \"id\" "
		    "(argument 2);" },
		{ -LK_E_NOENT, "42601", 
		    "FIND users WHERE id=1",
		    "FIND: \"id=1\" is one element: the column, the "
		    "operator and the value are three (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id",
		    "FIND: expected = != < <= > >= LIKE ILIKE IN BETWEEN IS"
		    " @> <@ && ? or a word for one behind the column, not "
		    "the end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id = 1 ORDER name DESC",
		    "FIND: expected AND, OR, AFTER, LIMIT, OFFSET, FIELDS, "
		    "WITH, FOR or the end, not \"DESC\" (argument 8); what "
		    "descends has a minus: ORDER -column;" },
		{ -LK_E_NOENT, "42601", 
		    "FIND users ORDER BY name",
		    "FIND: expected a column, not \"BY\" (argument 3); "
		    "ORDER is a word without BY: ORDER a,-b;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users ORDER name,",
		    "FIND: expected columns behind ORDER, as a,-b, not "
		    "\"name,\" (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts AFTER 5 ORDER title",
		    "FIND: ORDER stands before AFTER, since it says which "
		    "values AFTER takes;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts ORDER title AFTER x",
		    "FIND: AFTER takes 2 values (title, id), and 1 follow;" },
		{ -LK_E_NOENT, "42601", 
		    "FIND recent AFTER 1",
		    "FIND: AFTER wants a primary key, by which no two rows "
		    "are in the same place, and recent has none;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts LIMIT -1",
		    "FIND: expected a number of rows behind LIMIT, not "
		    "\"-1\" (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts LIMIT 99999999999999999999",
		    "FIND: a number of rows behind LIMIT is too large: at "
		    "most 9223372036854775807 (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts LIMIT",
		    "FIND: expected a number of rows behind LIMIT, not the "
		    "end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts LIMIT 5 LIMIT 6",
		    "FIND: LIMIT stands there twice (argument 4);" },
		{ -LK_E_NOENT, "42601", 
		    "FIND Odd~\"one\" WHERE not = t",
		    "FIND: expected a column, not \"=\" (argument 4); a "
		    "column that is called as a word is stands in quotes;" },
		{ -LK_E_NOENT, "42601", 
		    "FIND * FROM users",
		    "FIND: no * and no FROM: the model stands behind the "
		    "verb, as in FIND users;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE name = x GROUP BY name",
		    "FIND: expected AND, OR, ORDER, AFTER, LIMIT, OFFSET, "
		    "FIELDS, WITH, FOR or the end, not \"GROUP\" (argument 6); "
		    "what a verb cannot say, SQL can: SQL \"SELECT ...\";" },
		{ -LK_E_INVAL, "42601", 
		    "ONE users LIMIT 1",
		    "ONE: expected WHERE, ORDER, AFTER, OFFSET, FIELDS, "
		    "WITH, FOR or the end, not \"LIMIT\" (argument 2);" },
		{ -LK_E_INVAL, "42601", 
		    "COUNT users ORDER id",
		    "COUNT: expected WHERE or the end, not \"ORDER\" "
		    "(argument 2);" },
		{ -LK_E_NOENT, "42601", 
		    "COUNT FROM users",
		    "COUNT: no * and no FROM: the model stands behind the "
		    "verb, as in COUNT users;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts FOR",
		    "FIND: expected UPDATE, NO KEY UPDATE, SHARE or KEY "
		    "SHARE behind FOR, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts FOR NO SHARE",
		    "FIND: expected UPDATE, NO KEY UPDATE, SHARE or KEY "
		    "SHARE behind FOR, not \"SHARE\" (argument 4);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND posts FOR UPDATE SKIP",
		    "FIND: expected LOCKED behind SKIP, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE ( id = 1",
		    "FIND: expected AND, OR or ), not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE [ id = 1 )",
		    "FIND: expected AND, OR or ], not \")\" (argument 7);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE",
		    "FIND: expected a column, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id = 1 AND",
		    "FIND: expected a column, not the end;" },
		{ -LK_E_NOENT, "42703", 
		    "FIND users WHERE nmae = x",
		    NULL },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id ->",
		    "FIND: expected a key behind the ->, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE meta ->> b -> c = 1",
		    "FIND: expected no -> behind a ->> or a ::, not \"->\" "
		    "(argument 6);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id::int::int = 1",
		    "FIND: no type \"int::int\" to cast to: there are bool,"
		    " int2, int4, int8, float4, float8, numeric, text, "
		    "varchar, date, time, timetz, timestamp, timestamptz, "
		    "interval, uuid, json and jsonb (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE \"na = x",
		    "FIND: expected a column, or its name in whole quotes, "
		    "not \"\"na\" (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id BETWEEN 1 _",
		    "FIND: NULL is neither like this nor more or less than "
		    "anything: use IS NULL (argument 6);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users WHERE id IN 2 1 _",
		    "FIND: NULL is neither like this nor more or less than "
		    "anything: use IS NULL (argument 7);" },
		{ -LK_E_INVAL, "42601", 
		    "FIND users FIELDS",
		    "FIND: expected columns behind FIELDS, as a,b, not the "
		    "end;" },
		{ -LK_E_NOENT, "42703", 
		    "FIND users FIELDS nmae",
		    NULL },
		{ -LK_E_NOENT, "42703", 
		    "FIND users FIELDS boss.name",
		    NULL },
		{ -LK_E_NOENT, "42601", 
		    "COUNT * FROM users",
		    "COUNT: no * and no FROM: the model stands behind the "
		    "verb, as in COUNT users;" },
	};

	assert_all(state, cases, N(cases));
}

static void
what_is_written_is_asked_for(void **state)
{
	static const struct bad cases[] = {
		{ -LK_E_INVAL, "42601", 
		    "CREATE users name += x",
		    "CREATE: expected = or TO behind the column, not \"+=\""
		    " (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "CREATE users name = Ann name = Bob",
		    "CREATE: name stands there twice (argument 5);" },
		{ -LK_E_INVAL, "42601", 
		    "CREATE users name",
		    "CREATE: expected = or TO behind the column, not the "
		    "end;" },
		{ -LK_E_INVAL, "42601", 
		    "CREATE users name =",
		    "CREATE: expected a value for name, not the end;" },
		{ -LK_E_NOENT, "42703", 
		    "CREATE users nmae = Ann",
		    NULL },
		{ -LK_E_NOENT, "42601", 
		    "CREATE users name=Ann",
		    "CREATE: \"name=Ann\" is one element: the column, the "
		    "operator and the value are three (argument 2);" },
		{ -LK_E_NOENT, "42601", 
		    "CREATE users (name) VALUES (Ann)",
		    "CREATE: expected a column, not \"(name)\" (argument "
		    "2); columns and values go in pairs: CREATE users name "
		    "= Ann age = 30;" },
		{ -LK_E_NOENT, "42601", 
		    "CREATE TABLE users",
		    "CREATE: makes a row, and \"TABLE\" is no model: send "
		    "SQL \"CREATE TABLE ...\";" },
		{ -LK_E_NOENT, "42P01", "CREATE user name = Ann", NULL },
		{ -LK_E_NOENT, "42P01", "UPDATE user SET name = Ann", NULL },
		{ -LK_E_INVAL, "22P02", "UPDATE words SET SET n = x",
		    "UPDATE: words.n: \"x\" is no integer (argument 6)" },
		{ -LK_E_INVAL, "22P02", "DELETE words WHERE IF n = x",
		    "DELETE: words.n: \"x\" is no integer (argument 6)" },
		{ -LK_E_INVAL, "42601", "UPDATE words SET n = 1",
		    "UPDATE: the key of one row stands before SET; rows by "
		    "a condition are UPDATEALL's: UPDATEALL model SET ... "
		    "WHERE ...;" },
		{ -LK_E_NOENT, "42601", 
		    "CREATE INTO users",
		    "CREATE: no INTO: the model stands behind the verb;" },
		{ -LK_E_INVAL, "42601", 
		    "CREATEMANY users 2 id name 1 Ann 2",
		    "CREATEMANY: 3 values are no whole rows of 2 columns;" },
		{ -LK_E_INVAL, "42601", 
		    "CREATEMANY users 0",
		    "CREATEMANY: no columns;" },
		{ -LK_E_INVAL, "42601", 
		    "CREATEMANY users 1 name",
		    "CREATEMANY: expected values behind the columns, not "
		    "the end;" },
		{ -LK_E_INVAL, "42601", 
		    "CREATEMANY users 2 name name a b",
		    "CREATEMANY: name stands there twice (argument 4);" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users 5 SET meta -= key meta ||= {}",
		    "UPDATE: meta stands there twice (argument 7);" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users 5 SET age += _",
		    "UPDATE: age: what is changed by NULL is NULL: use TO "
		    "NULL (argument 6);" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users 5 SET",
		    "UPDATE: expected a column behind SET, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users 5 name = Ann",
		    "UPDATE: expected SET, not \"name\" (argument 3);" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users SET name = Ann WHERE id = 5",
		    "UPDATE: the key of one row stands before SET; rows by "
		    "a condition are UPDATEALL's: UPDATEALL model SET ... "
		    "WHERE ...;" },
		{ -LK_E_NOENT, "42601", 
		    "UPDATE users 5 SET name = Ann WHERE age < 18",
		    "UPDATE: expected a column, not \"WHERE\" (argument 7);"
		    " one row's condition stands behind IF; UPDATEALL and "
		    "DELETEALL have WHERE;" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users 5 SET name TO x",
		    "UPDATE: expected NULL or DEFAULT behind TO, not \"x\" "
		    "(argument 6);" },
		{ -LK_E_INVAL, "42601", 
		    "UPSERT users name = Ann",
		    "UPSERT: no value for id, by which the row is found; ON"
		    " names another key;" },
		{ -LK_E_INVAL, "42601", 
		    "UPSERT users id = 5 age -= 1",
		    "UPSERT: expected = += ||= or TO behind the column, not"
		    " \"-=\" (argument 6);" },
		{ -LK_E_INVAL, "42601", 
		    "UPSERT users id = 5 ON id,id",
		    "UPSERT: id stands there twice (argument 6);" },
		{ -LK_E_NOENT, "42601", 
		    "UPSERT users id = 5 ON name",
		    "UPSERT: ON names no unique key of users; there is id "
		    "or email (argument 6);" },
		{ -LK_E_NOENT, "42601", 
		    "UPSERT recent id = 5",
		    "UPSERT: recent has no primary key: ON names another "
		    "that is unique;" },
		{ -LK_E_INVAL, "42601", 
		    "DELETE users WHERE id = 5",
		    "DELETE: the key of one row stands behind the model; "
		    "rows by a condition are DELETEALL's: DELETEALL model "
		    "WHERE ...;" },
		{ -LK_E_NOENT, "42601", 
		    "DELETE FROM users WHERE id = 5",
		    "DELETE: no FROM: one row goes by its key, as in DELETE"
		    " users 1; more go by DELETEALL users WHERE ...; or "
		    "send SQL \"DELETE FROM ...\";" },
		{ -LK_E_INVAL, "42601", 
		    "DELETE users 5 WHERE id = 5",
		    "DELETE: expected IF or the end, not \"WHERE\" "
		    "(argument 3); one row's condition stands behind IF; "
		    "UPDATEALL and DELETEALL have WHERE;" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATEALL users SET age += 1",
		    "UPDATEALL: expected WHERE and a condition, or WHERE "
		    "ALL for every row, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATEALL users WHERE ALL",
		    "UPDATEALL: expected SET, not \"WHERE\" (argument 2);" },
		{ -LK_E_INVAL, "42601", 
		    "DELETEALL users",
		    "DELETEALL: expected WHERE and a condition, or WHERE "
		    "ALL for every row, not the end;" },
		{ -LK_E_INVAL, "42601", 
		    "DELETEALL users WHERE",
		    "DELETEALL: expected a column, not the end;" },
		{ -LK_E_NOENT, "42601", 
		    "UPSERT users id = 5 ON name = x",
		    "UPSERT: ON names no unique key of users; there is id "
		    "or email (argument 6);" },
		{ -LK_E_INVAL, "42601", 
		    "UPSERT users id = 5 ON id x",
		    "UPSERT: expected the end, not \"x\" (argument 7);" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATE users 5 SET name += x IF",
		    "UPDATE: expected a column, not the end;" },
		{ -LK_E_NOENT, "42601", 
		    "UPDATE users 5 SET name = x RETURNING id",
		    "UPDATE: expected a column, not \"RETURNING\" (argument"
		    " 7); the whole row comes back by itself;" },
		{ -LK_E_INVAL, "42601", 
		    "UPDATEALL users SET name = x WHERE id = 1 LIMIT 5",
		    "UPDATEALL: expected AND, OR or the end, not \"LIMIT\" "
		    "(argument 10);" },
		{ -LK_E_INVAL, "42601", "DELETE users",
		    "DELETE: the key of users is id: 1 value, not 0;" },
	};

	assert_all(state, cases, N(cases));
}

static void
values_that_do_not_fit_name_their_column(void **state)
{
	static const struct bad cases[] = {
		{ -LK_E_INVAL, "22P02", "GET users abc",
		    "GET: users.id: \"abc\" is no integer (argument 2)" },
		{ -LK_E_INVAL, "22003", 
		    "GET users 99999999999",
		    "GET: users.id: \"99999999999\" is out of range for "
		    "integer (argument 2)" },
		{ -LK_E_INVAL, "22003", 
		    "CREATE users age = 40000",
		    "CREATE: users.age: \"40000\" is out of range for "
		    "smallint (argument 4)" },
		{ -LK_E_INVAL, "22003", 
		    "CREATE posts picture = raw tags = {a} score = 1e400",
		    "CREATE: posts.score: \"1e400\" is out of range for "
		    "double precision (argument 10)" },
		{ -LK_E_INVAL, "22003", 
		    "FIND items WHERE price = -3.4028236e38",
		    "FIND: items.price: \"-3.4028236e38\" is out of range "
		    "for real (argument 5)" },
		{ -LK_E_INVAL, "22P02", 
		    "FIND posts WHERE score::numeric > many",
		    "FIND: posts.score: \"many\" is no numeric (argument "
		    "5)" },
		{ -LK_E_INVAL, "22P02", 
		    "CREATE posts is_public = maybe",
		    "CREATE: posts.is_public: \"maybe\" is no boolean "
		    "(argument 4)" },
		{ -LK_E_INVAL, "22P02", 
		    "FIND posts WHERE score = 1.e",
		    "FIND: posts.score: \"1.e\" is no double precision "
		    "(argument 5)" },
		{ -LK_E_INVAL, "22P02", 
		    "FIND posts WHERE is_public = o",
		    "FIND: posts.is_public: \"o\" is no boolean (argument "
		    "5)" },
	};

	assert_all(state, cases, N(cases));
}

static void
rows_are_locked_in_transactions_only(void **state)
{
	struct typed typed;

	assert_int_equal(compile(*state, "GET users 5 FOR UPDATE", false,
	    &typed), -LK_E_INVAL);
	assert_message(&typed, "GET: FOR UPDATE locks rows until a transaction "
	    "ends, and this request is in none: BEGIN one;");
	forget(&typed);
}

static void
the_column_is_a_field_too(void **state)
{
	struct typed typed;

	compile(*state, "GET users abc", false, &typed);
	assert_string_equal(typed.error.fields[LK_FIELD_TABLE], "users");
	assert_string_equal(typed.error.fields[LK_FIELD_COLUMN], "id");
	forget(&typed);
}

static void
assert_refused_text(void **state, const char *bytes, size_t n, const char *why)
{
	struct lk_arg args[] = { { "users", 5 }, { "name", 4 }, { "=", 1 },
	    { bytes, n } };
	struct lk_error error = { 0 };
	struct lk_plan plan;

	assert_int_equal(compile_call(*state, LK_ORM_CREATE, args, 4, false,
	    &plan, &error), -LK_E_INVAL);
	assert_string_equal(error.message, why);
	assert_string_equal(error.sqlstate, "22021");
	lk_error_fini(&error);
}

static void
text_is_utf8_without_nul(void **state)
{
	static const struct {
		const char	*bytes, *shown;
	} bad[] = {
		{ "\xff", "?" },
		{ "\xc0\x80", "??" },
		{ "a\xc3", "a?" },
		{ "\xe0\x80\x80", "???" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xe2\x82", "??" },
		{ "\xc3\xa9\xc3", "\xc3\xa9?" },
	};
	struct lk_buf why = LK_BUF_INIT;
	size_t i;

	assert_refused_text(state, "a\0b", 3, "CREATE: "
	    "users.name: \"a?b\" holds a NUL byte, which only a bytea may "
	    "(argument 4)");
	for (i = 0; i < N(bad); i++) {
		lk_buf_truncate(&why, 0);
		lk_buf_printf(&why, "CREATE: users.name: \"%s\" is no UTF-8 "
		    "(argument 4)", bad[i].shown);
		assert_refused_text(state, bad[i].bytes, strlen(bad[i].bytes),
		    lk_buf_cstr(&why));
	}
	lk_buf_fini(&why);
}

/* What is quoted in an error is short, of whole characters, on one line. */
static void
errors_show_the_beginning_of_what_was_sent(void **state)
{
	struct lk_arg args[] = { { "users", 5 }, { NULL, 0 } };
	struct lk_error error = { 0 };
	struct lk_plan plan;

	args[1] = (struct lk_arg){ "\n\x1b" "4567890123456789012345678901234567"
	    "8901\xc3\xa9 and so on", 51 };
	assert_int_equal(compile_call(*state, LK_ORM_GET, args, 2, false,
	    &plan, &error), -LK_E_INVAL);
	assert_string_equal(error.message, "GET: users.id: \"??4567890123456789"
	    "0123456789012345678901...\" is no integer (argument 2)");
	lk_error_fini(&error);
}

static void
more_than_65535_values_are_too_many(void **state)
{
	size_t n = 3 + 65536, i;
	struct lk_arg *args = calloc(n, sizeof(*args));
	struct lk_error error = { 0 };
	struct lk_plan plan;

	assert_non_null(args);
	args[0] = (struct lk_arg){ "tags", 4 };
	args[1] = (struct lk_arg){ "1", 1 };
	args[2] = (struct lk_arg){ "word", 4 };
	for (i = 3; i < n; i++)
		args[i] = (struct lk_arg){ "x", 1 };
	assert_int_equal(compile_call(*state, LK_ORM_CREATEMANY, args, n,
	    false, &plan, &error), -LK_E_INVAL);
	assert_string_equal(error.sqlstate, "54000");
	assert_non_null(strstr(error.message, "more than 65535 values, which "
	    "is what PostgreSQL takes in one statement"));
	lk_error_fini(&error);
	assert_int_equal(compile_call(*state, LK_ORM_CREATEMANY, args, n - 1,
	    false, &plan, &error), 0);
	assert_int_equal(plan.n_params, 65535);
	lk_plan_fini(&plan);
	free(args);
}

static void
fields_are_as_many_as_the_server_takes_and_no_more(void **state)
{
	struct lk_buf list = LK_BUF_INIT;
	struct lk_arg args[] = { { "users", 5 }, { "FIELDS", 6 }, { NULL, 0 } };
	struct lk_verb_call call = { .verb = LK_ORM_FIND, .args = args,
	    .n_args = 3 };
	struct lk_error error = { 0 };
	struct lk_plan plan;
	size_t i;

	for (i = 0; i < 1664; i++)
		lk_buf_puts(&list, i > 0 ? ",id" : "id");
	args[2] = (struct lk_arg){ list.data, list.len };
	assert_int_equal(lk_verb_compile(*state, &call, &plan, &error), 0);
	lk_plan_fini(&plan);
	lk_buf_puts(&list, ",id");
	args[2] = (struct lk_arg){ list.data, list.len };
	assert_int_equal(lk_verb_compile(*state, &call, &plan, &error),
	    -LK_E_INVAL);
	assert_non_null(strstr(error.message, "more than 1664 columns"));
	lk_error_fini(&error);
	lk_buf_fini(&list);
}

static int
compile_nested(void **state, const char *word, size_t depth,
    struct lk_error *error)
{
	struct lk_arg *args = calloc(depth + 5, sizeof(*args));
	struct lk_plan plan = { 0 };
	size_t i;
	int rc;

	assert_non_null(args);
	args[0] = (struct lk_arg){ "users", 5 };
	args[1] = (struct lk_arg){ "WHERE", 5 };
	for (i = 0; i < depth; i++)
		args[i + 2] = (struct lk_arg){ word, strlen(word) };
	args[depth + 2] = (struct lk_arg){ "id", 2 };
	args[depth + 3] = (struct lk_arg){ "=", 1 };
	args[depth + 4] = (struct lk_arg){ "1", 1 };
	rc = compile_call(*state, LK_ORM_FIND, args, depth + 5, false, &plan,
	    error);
	lk_plan_fini(&plan);
	free(args);
	return rc;
}

static void
conditions_nest_so_deep_and_no_deeper(void **state)
{
	struct lk_error error = { 0 };

	assert_int_equal(compile_nested(state, "NOT", 100, &error), 0);
	assert_int_equal(compile_nested(state, "NOT", 60000, &error),
	    -LK_E_INVAL);
	assert_non_null(strstr(error.message, "nests more than 100 deep"));
	assert_int_equal(compile_nested(state, "(", 60000, &error),
	    -LK_E_INVAL);
	assert_non_null(strstr(error.message, "nests more than 100 deep"));
	lk_error_fini(&error);
}

/* "boss.boss. … .id" */
static int
compile_way(void **state, size_t n, struct lk_error *error)
{
	struct lk_buf path = LK_BUF_INIT;
	struct lk_arg args[] = { { "users", 5 }, { "WHERE", 5 }, { NULL, 0 },
	    { "=", 1 }, { "1", 1 } };
	struct lk_plan plan = { 0 };
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		lk_buf_puts(&path, "boss.");
	lk_buf_puts(&path, "id");
	args[2] = (struct lk_arg){ path.data, path.len };
	rc = compile_call(*state, LK_ORM_FIND, args, 5, false, &plan, error);
	lk_plan_fini(&plan);
	lk_buf_fini(&path);
	return rc;
}

static void
paths_go_so_far_and_no_farther(void **state)
{
	struct lk_error error = { 0 };

	assert_int_equal(compile_way(state, 32, &error), 0);
	assert_int_equal(compile_way(state, 33, &error), -LK_E_INVAL);
	assert_non_null(strstr(error.message, "more than 32 relations"));
	lk_error_fini(&error);
}

/* SQL's ways, and other languages'. */
static void
what_is_typed_from_habit_is_answered(void **state)
{
	static const struct {
		const char *request, *advice;
	} cases[] = {
		{ "GET users id = 1", "the key's value stands alone, as in GET "
		    "users 1; rows by a condition are FIND's: FIND users WHERE "
		    "..." },
		{ "GET users id=1", "as in GET users 1;" },
		{ "GET words word = x", "as in GET words 1;" },
		{ "DELETE users id = 1", "as in DELETE users 1; rows by a "
		    "condition are DELETEALL's: DELETEALL users WHERE ..." },
		{ "UPDATE users id = 1 SET name = x", "as in UPDATE users 1; "
		    "rows by a condition are UPDATEALL's: UPDATEALL users SET "
		    "... WHERE ..." },
		{ "UPDATE words word = x SET n = 1", "as in UPDATE words 1;" },
		{ "LOAD users id = 1 posts", "as in LOAD users 1;" },
		{ "FIND users 7", "one row by its key is GET's" },
		{ "EXISTS users 7", "one row by its key is GET's" },
		{ "UPDATE users 1 SET age = age + 1",
		    "age = age + ... is said as age += ...;" },
		{ "UPDATE users 1 SET name = name || x",
		    "name = name || ... is said as name ||= ...;" },
		{ "UPDATEALL users SET boss_id = boss_id - 1 WHERE ALL",
		    "boss_id = boss_id - ... is said as boss_id -= ...;" },
		{ "UPDATE users 1 SET age = age * 2", "SQL \"UPDATE ...\"" },
		{ "FIND users FIELDS id name", "a list has no blanks in it: "
		    "FIELDS a,b;" },
		{ "FIND users FIELDS id, name", "FIELDS a,b;" },
		{ "FIND users FIELDS id ,name", "FIELDS a,b;" },
		{ "FIND users ORDER name -id", "ORDER a,b;" },
		{ "FIND users ORDER name, id LIMIT 5", "ORDER a,b;" },
		{ "FIND users WITH boss posts", "WITH a,b;" },
		{ "FIND users WITH boss, posts", "WITH a,b;" },
		{ "LOAD users 1 posts FIELDS id title", "FIELDS a,b;" },
		{ "UPSERT users id = 1 ON id, email", "ON a,b;" },
		{ "FIND users WHERE age BETWEEN 1 AND 5",
		    "BETWEEN takes two values without AND: BETWEEN 1 5;" },
		{ "FIND users WHERE name BETWEEN a AND b LIMIT 5",
		    "BETWEEN takes two values without AND: BETWEEN 1 5;" },
		{ "FIND users WHERE id == 1", "what is equal has one =;" },
		{ "FIND users WHERE id = 1 && age = 2", "and is the word AND" },
		{ "FIND users WHERE id = 1 || age = 2", "or is the word OR" },
		{ "FIND users WHERE ! age = 2", "not is the word NOT" },
		{ "FIND users WHERE name ~ x", "LIKE" },
		{ "FIND users WHERE id = 1 , age = 2",
		    "conditions are joined by AND or OR" },
		{ "FIND users WHERE id = 1;", "a request has no ; at its end" },
		{ "FIND users ;", "a request has no ; at its end" },
		{ "FIND users WHERE age = NULL", "IS NULL" },
		{ "UPDATE users 1 SET age = null", "TO NULL" },
		{ "CREATE users id = DEFAULT", "TO DEFAULT" },
		{ "UPDATE users 1 SET age = 5, name = x",
		    "assignments have no comma between them" },
		{ "FIND users WHERE age = 5, name = x",
		    "conditions are joined by AND or OR" },
		{ "GET users id 1", "the key's value stands alone" },
		{ "CREATE users SET name = x", "go in pairs" },
		{ "CREATE users VALUES 1 x", "go in pairs" },
		{ "CREATE users {\"name\":\"x\"}", "go in pairs" },
		{ "UPSERT users (id) VALUES (1)", "go in pairs" },
		{ "UPSERT users id = 1 ON (id)",
		    "a parenthesis is an element of its own;" },
		{ "UPSERT users id = 1 ON CONFLICT DO NOTHING",
		    "ON is followed by the key's columns" },
		{ "UPDATE users 1 SET meta->a = 5",
		    "a column is set as a whole" },
		{ "FIND users WHERE meta.a = 5", "a column, not a relation: -> "
		    "goes into it (argument 3);" },
		{ "FIND users WHERE age >5", "two elements" },
		{ "FIND users WHERE age NOT NULL", "IS NOT NULL" },
		{ "FIND users WHERE age IS TRUE", "all else by =" },
		{ "FIND users WHERE (age = 5)",
		    "a parenthesis is an element of its own;" },
		{ "FIND users WHERE id IN 1,2", "IN takes the number of its "
		    "values: IN 2 a b;" },
		{ "FIND users WHERE name IN a b", "IN takes the number" },
		{ "FIND users LIMIT 5,10", "LIMIT 10 OFFSET 5;" },
		{ "CREATE posts author = 1", "posts.author is a relation, not "
		    "a column: say author_id (argument 2);" },
		{ "FIND posts WHERE author = 1", "posts.author is a relation, "
		    "not a column: name a column of its row behind a dot, or "
		    "say author_id (argument 3);" },
		{ "CREATE parcels items_by_order_no_item_no = 1", "say order_no and item_no" },
		{ "CREATE users posts = 1", "users.posts is a relation, not a "
		    "column (argument 2);" },
	};
	struct typed typed;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		if (compile(*state, cases[i].request, true, &typed) == 0)
			fail_msg("%s", cases[i].request);
		if (strstr(typed.error.message, cases[i].advice) == NULL)
			fail_msg("%s: %s", cases[i].request,
			    typed.error.message);
		forget(&typed);
	}
}

/* What looks like one of these, and is wrong for another reason. */
static void
what_only_looks_like_a_habit_is_answered_as_it_is(void **state)
{
	static const struct bad cases[] = {
		{ -LK_E_NOENT, "42703", "FIND words WHERE word BETWEEN a AND "
		    "AND m = 1", NULL },
		{ -LK_E_NOENT, "42601", "GET recent id = 1",
		    "GET: recent has no primary key; FIND, UPDATEALL and "
		    "DELETEALL go by a condition;" },
		{ -LK_E_NOENT, "42703", "FIND words WHERE word = BETWEEN AND "
		    "m = AND", NULL },
		{ -LK_E_INVAL, "42601", "COUNT users ORDER id",
		    "COUNT: expected WHERE or the end, not \"ORDER\" "
		    "(argument 2);" },
		{ -LK_E_INVAL, "22P02", "GET users id",
		    "GET: users.id: \"id\" is no integer (argument 2)" },
	};

	assert_all(state, cases, N(cases));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_relations_are_asked_for),
		cmocka_unit_test(conditions_and_clauses_are_asked_for),
		cmocka_unit_test(what_is_written_is_asked_for),
		cmocka_unit_test(values_that_do_not_fit_name_their_column),
		cmocka_unit_test(rows_are_locked_in_transactions_only),
		cmocka_unit_test(the_column_is_a_field_too),
		cmocka_unit_test(text_is_utf8_without_nul),
		cmocka_unit_test(errors_show_the_beginning_of_what_was_sent),
		cmocka_unit_test(more_than_65535_values_are_too_many),
		cmocka_unit_test(
		    fields_are_as_many_as_the_server_takes_and_no_more),
		cmocka_unit_test(conditions_nest_so_deep_and_no_deeper),
		cmocka_unit_test(paths_go_so_far_and_no_farther),
		cmocka_unit_test(what_is_typed_from_habit_is_answered),
		cmocka_unit_test(
		    what_only_looks_like_a_habit_is_answered_as_it_is),
	};

	return cmocka_run_group_tests(tests, make_catalog, free_catalog);
}
