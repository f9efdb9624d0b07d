/* Each verb and clause: its statement, word for word, and its parameters. */
#include "orm_compile.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

#define USERS								\
	"t.'id', t.'name', t.'email', t.'age', t.'meta', t.'boss_id'"
#define POSTS								\
	"t.'id', t.'author_id', t.'title', t.'tags', t.'day', t.'at', "	\
	"t.'score', t.'is_public', t.'picture'"

struct good {
	enum lk_shape	 shape;
	const char	*request;
	const char	*sql;
	const char	*params;	/* "oid:value ..." */
};

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
assert_params(const struct lk_plan *plan, const char *wanted)
{
	struct lk_buf text = LK_BUF_INIT;
	size_t i;

	for (i = 0; i < plan->n_params; i++)
		lk_buf_printf(&text, "%s%u:%.*s", i > 0 ? " " : "",
		    plan->params[i].type, plan->params[i].data != NULL ?
		    (int)plan->params[i].len : 4, plan->params[i].data != NULL ?
		    plan->params[i].data : "NULL");
	assert_string_equal(lk_buf_cstr(&text), wanted);
	lk_buf_fini(&text);
}

static void
assert_all(void **state, const struct good *cases, size_t n)
{
	struct typed typed;
	size_t i;

	for (i = 0; i < n; i++) {
		if (compile(*state, cases[i].request, true, &typed) != 0)
			fail_msg("%s: %s", cases[i].request,
			    typed.error.message);
		assert_sql(typed.plan.sql, cases[i].sql);
		assert_params(&typed.plan, cases[i].params);
		assert_int_equal(typed.plan.shape, cases[i].shape);
		assert_int_equal(typed.plan.is_write,
		    strncmp(typed.plan.sql, "SELECT", 6) != 0);
		assert_false(typed.error.is_set);
		forget(&typed);
	}
}

static void
rows_are_read_by_key_and_counted(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROW, "GET users 5",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id' = $1",
		    "23:5" },
		{ LK_SHAPE_ROW, 
		    "GET users 5 FIELDS name,id FOR UPDATE",
		    "SELECT t.'name', t.'id' FROM 'public'.'users' AS t "
		    "WHERE t.'id' = $1 FOR UPDATE OF t",
		    "23:5" },
		{ LK_SHAPE_ROW, 
		    "GET users 5 for no key update skip locked",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id' = $1 FOR NO "
		    "KEY UPDATE OF t SKIP LOCKED",
		    "23:5" },
		{ LK_SHAPE_ROW, "GET users 5 FOR KEY SHARE NOWAIT",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id' = $1 FOR KEY "
		    "SHARE OF t NOWAIT",
		    "23:5" },
		{ LK_SHAPE_ROW, 
		    "GET items 4294967295 -2 fields \"item~no\"",
		    "SELECT t.'item no' FROM 'public'.'items' AS t WHERE "
		    "t.'order_no' = $1 AND t.'item no' = $2",
		    "26:4294967295 23:-2" },
		{ LK_SHAPE_ROW, "GET users -2147483648",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id' = $1",
		    "23:-2147483648" },
		{ LK_SHAPE_ONE, "ONE users WHERE name = Ann",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'name' = $1 LIMIT "
		    "2",
		    "25:Ann" },
		{ LK_SHAPE_ONE, 
		    "ONE users WHERE name = Ann ORDER id OFFSET 1",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'name' = $1 ORDER "
		    "BY t.'id' LIMIT 2 OFFSET $2",
		    "25:Ann 20:1" },
		{ LK_SHAPE_ROW, "FIRST users",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t ORDER BY t.'id' LIMIT 1",
		    "" },
		{ LK_SHAPE_ROW, 
		    "FIRST users ORDER -name WHERE id > 3 FIELDS id",
		    "SELECT t.'id' FROM 'public'.'users' AS t WHERE t.'id' "
		    "> $1 ORDER BY t.'name' DESC, t.'id' DESC LIMIT 1",
		    "23:3" },
		{ LK_SHAPE_INT, "COUNT users",
		    "SELECT count(*) FROM 'public'.'users' AS t",
		    "" },
		{ LK_SHAPE_INT, 
		    "COUNT posts WHERE author.name = Ann",
		    "SELECT count(*) FROM 'public'.'posts' AS t LEFT JOIN "
		    "'public'.'users' AS t1 ON t1.'id' = t.'author_id' "
		    "WHERE t1.'name' = $1",
		    "25:Ann" },
		{ LK_SHAPE_BOOL, "EXISTS users WHERE name = Ann",
		    "SELECT EXISTS (SELECT FROM 'public'.'users' AS t WHERE"
		    " t.'name' = $1)",
		    "25:Ann" },
	};

	assert_all(state, cases, N(cases));
}

static void
conditions_become_where(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROWS, "FIND users",
		    "SELECT " USERS " FROM 'public'.'users' AS t",
		    "" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE name = _ OR email != _",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'name' IS NULL OR "
		    "t.'email' IS NOT NULL",
		    "" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE age GE 18 AND [ name LIKE A% OR NOT "
		    "name NOT ILIKE b% ]",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'age' >= $1 AND "
		    "(t.'name' LIKE $2 OR NOT t.'name' NOT ILIKE $3)",
		    "21:18 25:A% 25:b%" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE ( name NE x ) AND id IN 3 1 2 3",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE (t.'name' <> $1) AND"
		    " t.'id' IN ($2, $3, $4)",
		    "25:x 23:1 23:2 23:3" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE id NOT IN 0 OR id IN 0",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE true OR false",
		    "" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE id BETWEEN 1 5 AND email IS NULL OR "
		    "email IS NOT NULL",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id' BETWEEN $1 "
		    "AND $2 AND t.'email' IS NULL OR t.'email' IS NOT NULL",
		    "23:1 23:5" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE id NOT BETWEEN 1 5 AND age > 1",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id' NOT BETWEEN "
		    "$1 AND $2 AND t.'age' > $3",
		    "23:1 23:5 21:1" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE meta @> {} AND meta ? key",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'meta' @> $1 AND "
		    "t.'meta' ? $2",
		    "3802:{} 25:key" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts WHERE tags @> {a} AND tags && {b} AND tags "
		    "<@ {c}",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE t.'tags' @> $1 AND "
		    "t.'tags' && $2 AND t.'tags' <@ $3",
		    "1009:{a} 1009:{b} 1009:{c}" },
		{ LK_SHAPE_ROWS, "FIND posts FOR SHARE",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t FOR SHARE OF t",
		    "" },
	};

	assert_all(state, cases, N(cases));
}

static void
paths_lead_to_other_rows_and_into_json(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROWS, "FIND \"users\" WHERE name = NULL",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'name' = $1",
		    "25:NULL" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE meta->a->>b = x AND meta -> a ->> "
		    "b::int ::int4 = 5",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE (t.'meta' #>> "
		    "ARRAY[$1, $2]) = $3 AND (t.'meta' #>> ARRAY[$4, "
		    "$5])::int4 = $6",
		    "25:a 25:b 25:x 25:a 25:b::int 23:5" },
		{ LK_SHAPE_ROWS, 
		    "FIND users WHERE meta -> a ->> b ::int4 = 5 AND "
		    "meta->0->>1 = 7",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE (t.'meta' #>> "
		    "ARRAY[$1, $2])::int4 = $3 AND (t.'meta' #>> ARRAY[$4, "
		    "$5]) = $6",
		    "25:a 25:b 23:5 25:0 25:1 25:7" },
		{ LK_SHAPE_ROWS, "FIND users WHERE id::text LIKE 1%",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t WHERE t.'id'::text LIKE $1",
		    "25:1%" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts WHERE author.name = Ann AND "
		    "author.boss.name = Bob OR author.profiles.motto IS "
		    "NULL",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t LEFT JOIN 'public'.'users'"
		    " AS t1 ON t1.'id' = t.'author_id' LEFT JOIN "
		    "'public'.'users' AS t2 ON t2.'id' = t1.'boss_id' LEFT "
		    "JOIN 'public'.'profiles' AS t3 ON t3.'user_id' = "
		    "t1.'id' WHERE t1.'name' = $1 AND t2.'name' = $2 OR "
		    "t3.'motto' IS NULL",
		    "25:Ann 25:Bob" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts WHERE is_public EQ true AND score LT nan "
		    "AND score NE -1.5e-3",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE t.'is_public' = $1 "
		    "AND t.'score' < $2 AND t.'score' <> $3",
		    "16:true 701:nan 701:-1.5e-3" },
		/* As the server prints the largest real. */
		{ LK_SHAPE_ROWS,
		    "FIND items WHERE price BETWEEN -3.4028235e+38 inf",
		    "SELECT t.'order_no', t.'item no', t.'price' FROM "
		    "'public'.'items' AS t WHERE t.'price' BETWEEN $1 AND $2",
		    "700:-3.4028235e+38 700:inf" },
	};

	assert_all(state, cases, N(cases));
}

static void
pages_follow_in_a_whole_order(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROWS, 
		    "FIND posts WHERE author.name = Ann ORDER "
		    "author.name,-day FOR UPDATE",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t LEFT JOIN 'public'.'users'"
		    " AS t1 ON t1.'id' = t.'author_id' WHERE t1.'name' = $1"
		    " ORDER BY t1.'name', t.'day' DESC, t.'id' DESC FOR "
		    "UPDATE OF t",
		    "25:Ann" },
		{ LK_SHAPE_ROWS, "FIND posts ORDER day,-score",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t ORDER BY t.'day', "
		    "t.'score' DESC, t.'id' DESC",
		    "" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts ORDER -day AFTER 2020-01-01 5 LIMIT 10",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE (t.'day' < $1 OR "
		    "t.'day' = $1 AND (t.'id' < $2)) ORDER BY t.'day' DESC,"
		    " t.'id' DESC LIMIT $3",
		    "1082:2020-01-01 20:5 20:10" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts ORDER day,-score AFTER 2020-01-01 1.5 5 "
		    "LIMIT 10 OFFSET 3",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE (t.'day' > $1 OR "
		    "t.'day' IS NOT DISTINCT FROM NULL OR t.'day' = $1 AND "
		    "(t.'score' < $2 OR"
		    " t.'score' = $2 AND (t.'id' < $3))) ORDER BY t.'day', "
		    "t.'score' DESC, t.'id' DESC LIMIT $4 OFFSET $5",
		    "1082:2020-01-01 701:1.5 20:5 20:10 20:3" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts ORDER day,-score AFTER _ 1.5 5",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE (t.'day' IS NOT "
		    "DISTINCT FROM NULL AND"
		    " (t.'score' < $1 OR t.'score' = $1 AND (t.'id' < $2)))"
		    " ORDER BY t.'day', t.'score' DESC, t.'id' DESC",
		    "701:1.5 20:5" },
		{ LK_SHAPE_ROWS, "FIND posts ORDER -day AFTER _ 5",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE (t.'day' IS DISTINCT "
		    "FROM NULL OR t.'day' IS NOT DISTINCT FROM NULL AND "
		    "(t.'id' < $1)) ORDER BY "
		    "t.'day' DESC, t.'id' DESC",
		    "20:5" },
		{ LK_SHAPE_ROWS, "FIND posts ORDER title AFTER x 5",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE (t.'title', t.'id') "
		    "> ($1, $2) ORDER BY t.'title', t.'id'",
		    "25:x 20:5" },
		{ LK_SHAPE_ROWS, "FIND posts ORDER -id AFTER 5",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE t.'id' < $1 ORDER BY"
		    " t.'id' DESC",
		    "20:5" },
		{ LK_SHAPE_ROWS, "FIND posts AFTER 5 LIMIT 10",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE t.'id' > $1 ORDER BY"
		    " t.'id' LIMIT $2",
		    "20:5 20:10" },
		{ LK_SHAPE_ROWS, "FIND items AFTER 1 2",
		    "SELECT t.'order_no', t.'item no', t.'price' FROM "
		    "'public'.'items' AS t WHERE (t.'order_no', t.'item "
		    "no') > ($1, $2) ORDER BY t.'order_no', t.'item no'",
		    "26:1 23:2" },
		{ LK_SHAPE_ROWS, 
		    "FIND posts WHERE title = x OR title = y AFTER 5",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t WHERE (t.'title' = $1 OR "
		    "t.'title' = $2) AND t.'id' > $3 ORDER BY t.'id'",
		    "25:x 25:y 20:5" },
		{ LK_SHAPE_ROWS, "FIND recent ORDER title LIMIT 5",
		    "SELECT t.'id', t.'title' FROM 'public'.'recent' AS t "
		    "ORDER BY t.'title' LIMIT $1",
		    "20:5" },
		{ LK_SHAPE_ROWS, 
		    "FIND \"Odd~\"\"one\"\"\" WHERE a.b = x AND \"limit\" ="
		    " y AND \"not\" = t ORDER \"-x,\"\"y\" FIELDS "
		    "\"-x,\"\"y\",a.b,limit",
		    "SELECT t.'-x,''y', t.'a.b', t.'limit' FROM "
		    "'public'.'Odd ''one''' AS t WHERE t.'a.b' = $1 AND "
		    "t.'limit' = $2 AND t.'not' = $3 ORDER BY t.'-x,''y', "
		    "t.'id'",
		    "25:x 25:y 16:t" },
	};

	assert_all(state, cases, N(cases));
}

static void
rows_are_made(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROW, 
		    "CREATE users name = Ann email TO NULL id TO DEFAULT "
		    "age = 5 meta = _",
		    "INSERT INTO 'public'.'users' AS t ('name', 'email', "
		    "'id', 'age', 'meta') VALUES ($1, NULL, DEFAULT, $2, "
		    "$3) RETURNING " USERS,
		    "25:Ann 16400:5 3802:NULL" },
		{ LK_SHAPE_ROW, "CREATE users",
		    "INSERT INTO 'public'.'users' AS t DEFAULT VALUES "
		    "RETURNING " USERS,
		    "" },
		{ LK_SHAPE_COUNT, 
		    "CREATEMANY users 2 id name 1 Ann 2 Bob",
		    "INSERT INTO 'public'.'users' AS t ('id', 'name') "
		    "VALUES ($1, $2), ($3, $4)",
		    "23:1 25:Ann 23:2 25:Bob" },
		{ LK_SHAPE_ROW, 
		    "UPSERT users id = 5 name = Ann age += 1 email ||= x",
		    "INSERT INTO 'public'.'users' AS t ('id', 'name', "
		    "'age', 'email') VALUES ($1, $2, $3, $4) ON CONFLICT "
		    "('id') DO UPDATE SET 'name' = EXCLUDED.'name', 'age' ="
		    " t.'age' + EXCLUDED.'age', 'email' = t.'email' || "
		    "EXCLUDED.'email' RETURNING " USERS,
		    "23:5 25:Ann 21:1 1043:x" },
		{ LK_SHAPE_ROW, 
		    "UPSERT users email = x name = Ann ON email",
		    "INSERT INTO 'public'.'users' AS t ('email', 'name') "
		    "VALUES ($1, $2) ON CONFLICT ('email') DO UPDATE SET "
		    "'name' = EXCLUDED.'name' RETURNING " USERS,
		    "1043:x 25:Ann" },
		{ LK_SHAPE_ROW, "UPSERT users id = 5",
		    "INSERT INTO 'public'.'users' AS t ('id') VALUES ($1) "
		    "ON CONFLICT ('id') DO UPDATE SET 'id' = EXCLUDED.'id' "
		    "RETURNING " USERS,
		    "23:5" },
		{ LK_SHAPE_ROW, "UPSERT users id += 5",
		    "INSERT INTO 'public'.'users' AS t ('id') VALUES ($1) "
		    "ON CONFLICT ('id') DO UPDATE SET 'id' = EXCLUDED.'id' "
		    "RETURNING " USERS,
		    "23:5" },
		{ LK_SHAPE_ROW, 
		    "UPSERT post_tags post_id = 1 tag_id = 2",
		    "INSERT INTO 'public'.'post_tags' AS t ('post_id', "
		    "'tag_id') VALUES ($1, $2) ON CONFLICT ('post_id', "
		    "'tag_id') DO UPDATE SET 'post_id' = EXCLUDED.'post_id'"
		    " RETURNING t.'post_id', t.'tag_id'",
		    "20:1 23:2" },
	};

	assert_all(state, cases, N(cases));
}

static void
rows_are_changed_and_deleted(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROW, 
		    "UPDATE users 5 SET name = Ann age += 1 email ||= x "
		    "boss_id TO NULL",
		    "UPDATE 'public'.'users' AS t SET 'name' = $2, 'age' = "
		    "t.'age' + $3, 'email' = t.'email' || $4, 'boss_id' = "
		    "NULL WHERE t.'id' = $1 RETURNING " USERS,
		    "23:5 25:Ann 21:1 25:x" },
		{ LK_SHAPE_ROW, 
		    "UPDATE users 5 SET name = Ann IF age < 18 OR boss.name"
		    " = Bob",
		    "UPDATE 'public'.'users' AS t SET 'name' = $2 WHERE "
		    "t.'id' = $1 AND (t.'age' < $3 OR (SELECT t1.'name' "
		    "FROM 'public'.'users' AS t1 WHERE t1.'id' = "
		    "t.'boss_id') = $4) RETURNING " USERS,
		    "23:5 25:Ann 21:18 25:Bob" },
		{ LK_SHAPE_ROW, 
		    "UPDATE posts 5 SET day += 7 at -= 1~day tags ||= {x} "
		    "author_id TO DEFAULT",
		    "UPDATE 'public'.'posts' AS t SET 'day' = t.'day' + $2,"
		    " 'at' = t.'at' - $3, 'tags' = t.'tags' || $4, "
		    "'author_id' = DEFAULT WHERE t.'id' = $1 RETURNING " POSTS,
		    "20:5 23:7 1186:1 day 1009:{x}" },
		{ LK_SHAPE_ROW, "UPDATE posts 5 SET day += 1~month",
		    "UPDATE 'public'.'posts' AS t SET 'day' = t.'day' + $2 "
		    "WHERE t.'id' = $1 RETURNING " POSTS,
		    "20:5 1186:1 month" },
		{ LK_SHAPE_ROW, "UPDATE users 5 SET meta -= key",
		    "UPDATE 'public'.'users' AS t SET 'meta' = t.'meta' - "
		    "$2 WHERE t.'id' = $1 RETURNING " USERS,
		    "23:5 25:key" },
		{ LK_SHAPE_COUNT, "DELETE users 5",
		    "DELETE FROM 'public'.'users' AS t WHERE t.'id' = $1",
		    "23:5" },
		{ LK_SHAPE_COUNT, 
		    "DELETE users 5 IF age IS NULL OR boss.boss.name = x",
		    "DELETE FROM 'public'.'users' AS t WHERE t.'id' = $1 "
		    "AND (t.'age' IS NULL OR (SELECT (SELECT t2.'name' FROM"
		    " 'public'.'users' AS t2 WHERE t2.'id' = t1.'boss_id') "
		    "FROM 'public'.'users' AS t1 WHERE t1.'id' = "
		    "t.'boss_id') = $2)",
		    "23:5 25:x" },
		{ LK_SHAPE_COUNT, 
		    "UPDATEALL users SET age += 1 WHERE age < 18 OR age IS "
		    "NULL",
		    "UPDATE 'public'.'users' AS t SET 'age' = t.'age' + $1 "
		    "WHERE t.'age' < $2 OR t.'age' IS NULL",
		    "21:1 21:18" },
		{ LK_SHAPE_COUNT, 
		    "UPDATEALL users SET age += 1 WHERE ALL",
		    "UPDATE 'public'.'users' AS t SET 'age' = t.'age' + $1",
		    "21:1" },
		{ LK_SHAPE_COUNT, "DELETEALL users WHERE ALL",
		    "DELETE FROM 'public'.'users' AS t",
		    "" },
		{ LK_SHAPE_COUNT, 
		    "DELETEALL posts WHERE author.name = Ann",
		    "DELETE FROM 'public'.'posts' AS t WHERE (SELECT "
		    "t1.'name' FROM 'public'.'users' AS t1 WHERE t1.'id' = "
		    "t.'author_id') = $1",
		    "25:Ann" },
	};

	assert_all(state, cases, N(cases));
}

static void
relations_are_loaded(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROW, "LOAD posts 5 author",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t JOIN 'public'.'posts' AS s"
		    " ON s.'author_id' = t.'id' WHERE s.'id' = $1",
		    "20:5" },
		{ LK_SHAPE_ROWS, 
		    "LOAD users 5 posts WHERE title LIKE a% OR score > 1 "
		    "ORDER -id LIMIT 10",
		    "SELECT " POSTS
		    " FROM 'public'.'posts' AS t JOIN 'public'.'users' AS s"
		    " ON s.'id' = t.'author_id' WHERE s.'id' = $1 AND "
		    "(t.'title' LIKE $2 OR t.'score' > $3) ORDER BY t.'id' "
		    "DESC LIMIT $4",
		    "23:5 25:a% 701:1 20:10" },
		{ LK_SHAPE_ROWS, 
		    "LOAD tags 5 posts FIELDS id FOR SHARE",
		    "SELECT t.'id' FROM 'public'.'posts' AS t JOIN "
		    "'public'.'post_tags' AS j ON j.'post_id' = t.'id' JOIN"
		    " 'public'.'tags' AS s ON s.'id' = j.'tag_id' WHERE "
		    "s.'id' = $1 FOR SHARE OF t",
		    "23:5" },
		{ LK_SHAPE_ROW, "LOAD users 5 profiles",
		    "SELECT t.'user_id', t.'motto' FROM 'public'.'profiles'"
		    " AS t JOIN 'public'.'users' AS s ON s.'id' = "
		    "t.'user_id' WHERE s.'id' = $1",
		    "23:5" },
		{ LK_SHAPE_ROW, "LOAD users 5 boss FIELDS name",
		    "SELECT t.'name' FROM 'public'.'users' AS t JOIN "
		    "'public'.'users' AS s ON s.'boss_id' = t.'id' WHERE "
		    "s.'id' = $1",
		    "23:5" },
		{ LK_SHAPE_ROWS, 
		    "LOAD users 5 users WHERE boss.name = x",
		    "SELECT " USERS
		    " FROM 'public'.'users' AS t JOIN 'public'.'users' AS s"
		    " ON s.'id' = t.'boss_id' LEFT JOIN 'public'.'users' AS"
		    " t1 ON t1.'id' = t.'boss_id' WHERE s.'id' = $1 AND "
		    "t1.'name' = $2",
		    "23:5 25:x" },
		{ LK_SHAPE_ROWS, 
		    "LOAD posts 5 tags_by_tag_id ORDER word AFTER x 3",
		    "SELECT t.'id', t.'word' FROM 'public'.'tags' AS t JOIN"
		    " 'public'.'post_tags' AS j ON j.'tag_id' = t.'id' JOIN"
		    " 'public'.'posts' AS s ON s.'id' = j.'post_id' WHERE "
		    "s.'id' = $1 AND (t.'word', t.'id') > ($2, $3) ORDER BY"
		    " t.'word', t.'id'",
		    "20:5 25:x 23:3" },
	};

	assert_all(state, cases, N(cases));
}

static void
words_ignore_case_and_names_do_not(void **state)
{
	struct typed upper, lower;

	assert_int_equal(compile(*state, "FIND posts WHERE NOT author.name "
	    "NOT ILIKE a ORDER day AFTER _ 1 LIMIT 5 FOR NO KEY UPDATE SKIP "
	    "LOCKED", true, &upper), 0);
	assert_int_equal(compile(*state, "FIND posts where not author.name "
	    "not ilike a order day after _ 1 limit 5 for no key update skip "
	    "locked", true, &lower), 0);
	assert_string_equal(upper.plan.sql, lower.plan.sql);
	forget(&upper);
	forget(&lower);
	assert_int_equal(compile(*state, "FIND Posts", true, &upper),
	    -LK_E_NOENT);
	forget(&upper);
	assert_int_equal(compile(*state, "FIND posts WHERE ID = 1", true,
	    &upper), -LK_E_NOENT);
	forget(&upper);
}

/* Also where they look like SQL that somebody types from habit. */
static void
keys_are_never_words(void **state)
{
	static const struct good cases[] = {
		{ LK_SHAPE_ROW, "GET words WHERE FIELDS n",
		    "SELECT t.'n' FROM 'public'.'words' AS t WHERE t.'word' = "
		    "$1", "25:WHERE" },
		{ LK_SHAPE_ROW, "GET words WHERE FOR SHARE",
		    "SELECT t.'word', t.'n' FROM 'public'.'words' AS t WHERE "
		    "t.'word' = $1 FOR SHARE OF t", "25:WHERE" },
		{ LK_SHAPE_ROW, "UPDATE words SET SET n = 1",
		    "UPDATE 'public'.'words' AS t SET 'n' = $2 WHERE t.'word' "
		    "= $1 RETURNING t.'word', t.'n'", "25:SET 23:1" },
		{ LK_SHAPE_COUNT, "DELETE words WHERE IF n = 1",
		    "DELETE FROM 'public'.'words' AS t WHERE t.'word' = $1 "
		    "AND t.'n' = $2", "25:WHERE 23:1" },
	};

	assert_all(state, cases, N(cases));
}

/* The same statement is prepared once, whatever its values. */
static void
values_do_not_change_the_statement(void **state)
{
	struct typed one, other;

	assert_int_equal(compile(*state, "FIND users WHERE name = x LIMIT 5",
	    false, &one), 0);
	assert_int_equal(compile(*state, "FIND users WHERE name = WHERE LIMIT "
	    "007", false, &other), 0);
	assert_string_equal(one.plan.sql, other.plan.sql);
	forget(&one);
	forget(&other);
}

static void
parameters_lie_in_the_arguments(void **state)
{
	struct typed typed;

	assert_int_equal(compile(*state, "UPDATE users 5 SET name = Ann", false,
	    &typed), 0);
	assert_ptr_equal(typed.plan.params[0].data, typed.args[1].data);
	assert_ptr_equal(typed.plan.params[1].data, typed.args[5].data);
	assert_string_equal(typed.plan.model->name, "users");
	forget(&typed);
}

/* bytea's bytes travel as they are, by its own oid even through a domain. */
static void
a_bytea_may_hold_anything(void **state)
{
	static const char bytes[] = "\0\xff\0";
	struct lk_arg args[] = { { "posts", 5 }, { "picture", 7 }, { "=", 1 },
	    { bytes, 3 } };
	struct lk_error error = { 0 };
	struct lk_plan plan;

	assert_int_equal(compile_call(*state, LK_ORM_CREATE, args, 4, false,
	    &plan, &error), 0);
	assert_int_equal(plan.params[0].type, 17);
	assert_ptr_equal(plan.params[0].data, bytes);
	assert_int_equal(plan.params[0].len, 3);
	lk_plan_fini(&plan);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read_by_key_and_counted),
		cmocka_unit_test(conditions_become_where),
		cmocka_unit_test(paths_lead_to_other_rows_and_into_json),
		cmocka_unit_test(pages_follow_in_a_whole_order),
		cmocka_unit_test(rows_are_made),
		cmocka_unit_test(rows_are_changed_and_deleted),
		cmocka_unit_test(relations_are_loaded),
		cmocka_unit_test(words_ignore_case_and_names_do_not),
		cmocka_unit_test(keys_are_never_words),
		cmocka_unit_test(values_do_not_change_the_statement),
		cmocka_unit_test(parameters_lie_in_the_arguments),
		cmocka_unit_test(a_bytea_may_hold_anything),
	};

	return cmocka_run_group_tests(tests, make_catalog, free_catalog);
}
