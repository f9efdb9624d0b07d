/*
 * No text of a client's becomes SQL: whatever is asked for, the statement is
 * made of the catalog's names in quotes, of words known here and of
 * placeholders, each of which has its parameter.
 */
#include "orm_compile.h"

#include "orm_allowed.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))
#define N_ROUNDS	50000

/* What requests are made of: words where they may stand, and odd things. */
static const char *const pieces[] = {
	"users", "posts", "tags", "items", "recent", "Odd \"one\"",
	"\"Odd \"\"one\"\"\"", "id", "name", "email", "age", "meta", "title",
	"author.name", "boss.boss.age", "meta->a", "meta->>b::int4", "->",
	"->>", "::text", "WHERE", "ORDER", "AFTER", "LIMIT", "OFFSET",
	"FIELDS", "FOR", "UPDATE", "SKIP", "LOCKED", "NOWAIT", "SET", "IF",
	"ON", "TO", "NULL", "DEFAULT", "ALL", "AND", "OR", "NOT", "(", ")",
	"[", "]", "=", "!=", "<", ">=", "+=", "-=", "||=", "EQ", "LIKE", "IN",
	"BETWEEN", "IS", "@>", "?", "0", "1", "2", "-1", "5,6", "id,-name",
	"name,id", "author", "boss", "posts_by_author",
	"; DROP TABLE users; --", "'", "\"", "\\", "$1", "$$", "/*", "*/",
	"--", "x' OR '1'='1", "\"; DELETE FROM users; --", "id\"; --",
	"meta->>'x'; --", "meta->x'; --", "id::text; --", "users; --",
	"users\" AS t; --", "-id; --", "id DESC; --", "name) VALUES (1); --",
	"1; --", "1 OR 1=1", "E'\\''", "U&\"\\0061\"", "", " ", "\n",
	"WITH", "author.boss,author", "posts.author", "posts::-id,title",
	"posts:2", "posts:1; --", "posts:1:id; --", "posts:1:-id\" DESC; --",
	"boss; --", "boss,\"users\"\"; --\"", "posts:$1", "posts:k.n",
	"\xc3\xa9", "\xff", "a.b", "limit", "\"-x,\"\"y\"", "not",
};

static uint64_t seed = 20;

static size_t
draw(size_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(seed >> 33) % n;
}

/* Requests that are whole, into which odd things are put. */
static const char *const whole[] = {
	"GET users 1 FIELDS id,name FOR UPDATE",
	"FIND posts WHERE author.name = Ann AND ( id IN 2 1 2 OR day IS NULL )",
	"FIND posts ORDER title,-day AFTER a 2020-01-01 5 LIMIT 5 FIELDS id",
	"FIND users WHERE meta -> a ->> b ::int4 = 5 AND meta->x->>y = z",
	"ONE users WHERE name LIKE a% OR NOT name BETWEEN a b",
	"FIRST posts ORDER -author.name,id WHERE tags @> {a}",
	"COUNT users WHERE boss.age > 5",
	"EXISTS users WHERE id != 5",
	"CREATE users name = Ann email TO NULL age TO DEFAULT",
	"CREATEMANY users 2 name email a b c d",
	"UPDATE users 5 SET name ||= x age += 1 IF boss.name = Bob",
	"UPSERT users email = x name = y age += 1 ON email",
	"DELETE users 5 IF name = x",
	"UPDATEALL users SET name = x WHERE boss.boss.name = y",
	"DELETEALL users WHERE id NOT IN 2 1 2",
	"LOAD tags 5 posts WHERE author.name = x ORDER -day LIMIT 5",
	"GET users 1 FIELDS name WITH posts:3:-day,title,posts.author,boss",
	"FIND posts WITH tags_by_tag_id:2,author.users::-name FIELDS id,title",
	"LOAD users 1 posts WITH author.boss,post_tags.tag",
};

static struct lk_arg
random_arg(void)
{
	const char *piece = pieces[draw(N(pieces))];

	if (draw(20) == 0)
		return (struct lk_arg){ NULL, 0 };
	return (struct lk_arg){ piece, strlen(piece) };
}

/* Change one argument or a few, or leave some out. */
static void
disturb(struct lk_arg *args, size_t *n)
{
	size_t n_times = draw(4), at;

	while (n_times-- > 0 && *n > 0) {
		at = draw(*n);
		if (draw(4) > 0) {
			args[at] = random_arg();
		} else {
			(*n)--;
			memmove(args + at, args + at + 1,
			    (*n - at) * sizeof(*args));
		}
	}
}

/* Returns whether it compiled. */
static bool
check(const struct lk_catalog *catalog, enum lk_orm_verb verb,
    const struct lk_arg *args, size_t n)
{
	struct lk_error error = { 0 };
	struct lk_plan plan;
	int rc = compile_call(catalog, verb, args, n, draw(2) == 0, &plan,
	    &error);

	assert_true((rc == 0) != error.is_set);
	if (rc == 0) {
		if (!orm_is_allowed(catalog, &plan))
			fail_msg("%s", plan.sql);
		lk_plan_fini(&plan);
	} else {
		assert_true(rc == -LK_E_INVAL || rc == -LK_E_NOENT);
	}
	lk_error_fini(&error);
	return rc == 0;
}

static void
requests_with_odd_parts(void **state)
{
	const char *line;
	struct typed typed;
	size_t i, n_good = 0;

	for (i = 0; i < N_ROUNDS; i++) {
		line = whole[draw(N(whole))];
		compile(*state, line, true, &typed);
		disturb(typed.args, &typed.n);
		n_good += check(*state, typed.verb, typed.args, typed.n);
		forget(&typed);
	}
	/* Otherwise nothing was looked at. */
	assert_true(n_good > N_ROUNDS / 5);
}

static void
requests_of_odd_parts(void **state)
{
	struct lk_arg args[MAX_ARGS];
	size_t i, j, n;

	for (i = 0; i < N_ROUNDS; i++) {
		n = draw(12);
		for (j = 0; j < n; j++)
			args[j] = random_arg();
		check(*state, (enum lk_orm_verb)draw(LK_ORM_N_VERBS), args, n);
	}
}

/* The judge of the others does find what should not be there. */
static void
the_check_sees_what_is_not_allowed(void **state)
{
	static const char *const bad[] = {
		"SELECT t.\"id\" FROM \"public\".\"users\" AS t WHERE x = 1",
		"SELECT t.\"nmae\" FROM \"public\".\"users\" AS t",
		"SELECT t.\"id\" FROM \"public\".\"users\" AS t; ",
		"SELECT 'x'",
		"SELECT $2",
		"SELECT t.\"id",
		"SELECT 5",
		"SELECT t.\"id\" -- ",
		"SELECT /* t.\"id\" */",
	};
	struct lk_load load = { .n_keys = 1, .limit = -1 };
	struct lk_plan plan = { 0 };
	size_t i;

	plan.n_params = 1;
	for (i = 0; i < N(bad); i++) {
		plan.sql = strdup(bad[i]);
		assert_false(orm_is_allowed(*state, &plan));
		free(plan.sql);
	}
	plan.sql = strdup("SELECT t.\"id\" FROM \"public\".\"users\" AS t "
	    "WHERE t.\"id\" = $1");
	assert_true(orm_is_allowed(*state, &plan));
	/* Also in what is sent for WITH. */
	load.sql = strdup("SELECT k.n FROM unnest($1) AS k(c1, n) LIMIT $2");
	plan.with.loads = &load;
	plan.with.n_loads = 1;
	assert_false(orm_is_allowed(*state, &plan));
	load.limit = 5;
	assert_true(orm_is_allowed(*state, &plan));
	free(load.sql);
	free(plan.sql);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_with_odd_parts),
		cmocka_unit_test(requests_of_odd_parts),
		cmocka_unit_test(the_check_sees_what_is_not_allowed),
	};

	return cmocka_run_group_tests(tests, make_catalog, free_catalog);
}
