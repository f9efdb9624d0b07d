/* Which row a verb locks, and how: its name, its strength, what is sure of it. */
#include "orm_compile.h"

#include "orm/key.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

static struct lk_catalog *catalog;

static int
set_up(void **state)
{
	(void)state;
	catalog = orm_catalog();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	lk_catalog_free(&catalog);
	return 0;
}

/* ---- strengths ---- */

static void
strengths_conflict_as_postgresql_has_it(void **state)
{
	static const char *const table[] = {
		/* key share, share, no key update, update */
		"...x", "..xx", ".xxx", "xxxx",
	};
	int a, b;

	(void)state;
	for (a = 0; a < 4; a++) {
		for (b = 0; b < 4; b++)
			assert_int_equal(lk_strengths_conflict(
			    (enum lk_strength)(a + 1),
			    (enum lk_strength)(b + 1)), table[a][b] == 'x');
		assert_false(lk_strengths_conflict(LK_STRENGTH_NONE,
		    (enum lk_strength)(a + 1)));
	}
	assert_string_equal(lk_strength_word(LK_STRENGTH_NO_KEY_UPDATE),
	    "no key update");
}

struct lock {
	const char	*request;
	enum lk_strength strength, sure;
	const char	*marks;	/* conditional, impatient, plain, simple */
};

static void
assert_lock(const struct lock *wanted)
{
	struct typed typed;
	char marks[8];

	if (compile(catalog, wanted->request, true, &typed) != 0)
		fail_msg("%s: %s", wanted->request, typed.error.message);
	snprintf(marks, sizeof(marks), "%s%s%s%s",
	    typed.plan.row.is_conditional ? "c" : "",
	    typed.plan.row.is_impatient ? "i" : "",
	    typed.plan.row.is_plain ? "p" : "",
	    typed.plan.row.is_simple ? "s" : "");
	if (typed.plan.row.strength != wanted->strength ||
	    typed.plan.row.sure != wanted->sure ||
	    strcmp(marks, wanted->marks) != 0)
		fail_msg("%s: %d %d %s", wanted->request,
		    typed.plan.row.strength, typed.plan.row.sure, marks);
	forget(&typed);
}

#define NO		LK_STRENGTH_NONE
#define KEY_SHARE	LK_STRENGTH_KEY_SHARE
#define SHARE		LK_STRENGTH_SHARE
#define NO_KEY		LK_STRENGTH_NO_KEY_UPDATE
#define UPDATE		LK_STRENGTH_UPDATE

static void
a_verb_with_a_key_locks_as_strongly_as_what_it_writes(void **state)
{
	static const struct lock locks[] = {
		{ "UPDATE users 1 SET name = x", NO_KEY, NO_KEY, "ps" },
		{ "UPDATE users 1 SET age += 1 IF age < 3", NO_KEY, NO_KEY,
		    "cps" },
		/* a unique index's column, which a foreign key could refer to */
		{ "UPDATE users 1 SET email = x", UPDATE, NO_KEY, "p" },
		{ "UPDATE users 1 SET id = 2", UPDATE, NO_KEY, "p" },
		/* a foreign key's own */
		{ "UPDATE users 1 SET boss_id = 2", NO_KEY, NO_KEY, "p" },
		{ "UPDATE users 1 SET age TO DEFAULT", NO_KEY, NO_KEY, "p" },
		{ "UPDATE post_tags 1 2 SET tag_id = 2", UPDATE, NO_KEY, "p" },
		{ "DELETE users 1", UPDATE, UPDATE, "p" },
		{ "DELETE users 1 IF age = 3", UPDATE, UPDATE, "cp" },
		{ "GET users 1 FOR UPDATE", UPDATE, UPDATE, "p" },
		{ "GET users 1 FOR NO KEY UPDATE", NO_KEY, NO_KEY, "p" },
		{ "GET users 1 FOR SHARE NOWAIT", SHARE, SHARE, "ip" },
		{ "GET users 1 FOR KEY SHARE SKIP LOCKED", KEY_SHARE,
		    KEY_SHARE, "ip" },
		{ "GET users 1", NO, NO, "p" },
		{ "CREATE users name = x", NO, NO, "p" },
		{ "FIND users WHERE id = 1 FOR UPDATE", UPDATE, UPDATE, "p" },
		{ "ONE post_tags WHERE tag_id = 2 AND post_id = 1 FOR SHARE",
		    SHARE, SHARE, "p" },
		{ "FIND users WHERE id = 1 AND age > 2 FOR UPDATE", NO, NO,
		    "p" },
		{ "FIND users WHERE id > 1 FOR UPDATE", NO, NO, "p" },
		{ "FIND users WHERE email = x FOR UPDATE", NO, NO, "p" },
		{ "UPSERT users id = 1 age = 2", NO_KEY, NO_KEY, "p" },
		{ "UPSERT users id = 1 email = x", UPDATE, NO_KEY, "p" },
		{ "UPSERT users id = 1", UPDATE, NO_KEY, "p" },
		{ "UPSERT users id = 1 email = x ON email", NO, NO, "p" },
		{ "UPDATEALL users SET id = 1 WHERE id = 1", NO, NO, "p" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(locks); i++)
		assert_lock(&locks[i]);
}

static void
what_else_a_table_does_makes_its_locks_unsure(void **state)
{
	struct lk_model *users = orm_model(catalog, "users");
	int expression = 0;

	(void)state;
	users->has_triggers = true;
	assert_lock(&(struct lock){ "UPDATE users 1 SET name = x", NO_KEY,
	    NO_KEY, "" });
	users->has_triggers = users->is_alone = false;
	assert_lock(&(struct lock){ "UPDATE users 1 SET name = x", NO_KEY,
	    NO_KEY, "" });
	users->is_alone = true;
	/* An index over an expression may be over any column. */
	lk_model_note_index(users, &expression, 1, 0);
	assert_lock(&(struct lock){ "UPDATE users 1 SET name = x", NO_KEY,
	    NO_KEY, "p" });
}

static void
a_generated_column_in_an_index_may_change_with_any_other(void **state)
{
	struct lk_model *tags = orm_model(catalog, "tags");
	int word = 2;

	(void)state;
	lk_model_add_column(tags, "n", 3);
	tags->columns[2].type = tags->columns[2].base_type = 23;
	tags->columns[2].type_name = lk_xstrdup("integer");
	assert_lock(&(struct lock){ "UPDATE tags 1 SET n = 1", NO_KEY, NO_KEY,
	    "ps" });
	tags->columns[1].is_generated = true;
	lk_model_note_index(tags, &word, 1, 0);
	assert_lock(&(struct lock){ "UPDATE tags 1 SET n = 1", NO_KEY, NO_KEY,
	    "p" });
	lk_model_note_index(tags, &word, 1, 1);
	assert_lock(&(struct lock){ "UPDATE tags 1 SET n = 1", UPDATE, NO_KEY,
	    "p" });
}

/* ---- keys ---- */

/* Whether it has one. */
static bool
key_of(const char *request, struct lk_buf *key)
{
	struct typed typed;
	bool has_key;

	if (compile(catalog, request, true, &typed) != 0)
		fail_msg("%s: %s", request, typed.error.message);
	lk_buf_truncate(key, 0);
	has_key = lk_key_of(&typed.plan, key);
	forget(&typed);
	return has_key;
}

static bool
is_same_row(const char *a, const char *b)
{
	struct lk_buf left = LK_BUF_INIT, right = LK_BUF_INIT;
	bool is_same = key_of(a, &left) && key_of(b, &right) &&
	    left.len == right.len &&
	    memcmp(left.data, right.data, left.len) == 0;

	lk_buf_fini(&left);
	lk_buf_fini(&right);
	return is_same;
}

/* Of a key of that type: the texts of the first are one value, the others are
 * others. */
static void
assert_values(uint32_t type, const char *const *same, size_t n_same,
    const char *const *others, size_t n_others)
{
	struct lk_column *column = &orm_model(catalog, "words")->columns[0];
	char a[128], b[128];
	size_t i;

	column->type = column->base_type = type;
	snprintf(a, sizeof(a), "DELETE words %s", same[0]);
	for (i = 0; i < n_same; i++) {
		snprintf(b, sizeof(b), "UPDATE words %s SET n = 1", same[i]);
		if (!is_same_row(a, b))
			fail_msg("%s is not %s", same[i], same[0]);
	}
	for (i = 0; i < n_others; i++) {
		snprintf(b, sizeof(b), "DELETE words %s", others[i]);
		if (is_same_row(a, b))
			fail_msg("%s is %s", others[i], same[0]);
	}
}

#define ASSERT_VALUES(type, same, others)				\
	assert_values(type, same, N(same), others, N(others))

static void
one_value_is_one_key_however_it_is_written(void **state)
{
	static const char *const ints[] = { "1", "01", "+1", "~1", "1~",
	    "0001" }, *const no_ints[] = { "-1", "10", "11", "0" };
	static const char *const zeros[] = { "0", "00", "-0", "+0" },
	    *const no_zeros[] = { "1", "10" };
	static const char *const bools[] = { "t", "true", "TRUE", "yes", "on",
	    "1", "y" }, *const no_bools[] = { "f", "no", "off", "of", "0" };
	static const char *const uuids[] = {
	    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
	    "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
	    "a0eebc999c0b4ef8bb6d6bb9bd380a11" },
	    *const no_uuids[] = { "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" };
	static const char *const numerics[] = { "1.5", "1.50", "01.5", "+1.5",
	    "001.5000" }, *const no_numerics[] = { "15", "-1.5", "1.05" };
	static const char *const wholes[] = { "10", "10.0", "10." },
	    *const no_wholes[] = { "1", "100", "0.1" };
	static const char *const texts[] = { "ab" },
	    *const no_texts[] = { "AB", "ab~", "~ab", "abc" };
	static const char *const padded[] = { "ab", "ab~~" },
	    *const no_padded[] = { "~ab", "abc" };
	static const char *const days[] = { "2026-01-02" },
	    *const no_days[] = { "2026-01-03" };

	(void)state;
	ASSERT_VALUES(23, ints, no_ints);
	ASSERT_VALUES(20, ints, no_ints);
	ASSERT_VALUES(21, zeros, no_zeros);
	ASSERT_VALUES(16, bools, no_bools);
	ASSERT_VALUES(2950, uuids, no_uuids);
	ASSERT_VALUES(1700, numerics, no_numerics);
	ASSERT_VALUES(1700, wholes, no_wholes);
	ASSERT_VALUES(1700, zeros, no_zeros);
	ASSERT_VALUES(25, texts, no_texts);
	ASSERT_VALUES(1042, padded, no_padded);
	ASSERT_VALUES(1082, days, no_days);
}

static void
columns_and_tables_are_kept_apart(void **state)
{
	struct lk_model *items = orm_model(catalog, "items");

	(void)state;
	assert_true(is_same_row("DELETE items 1 23",
	    "GET items 01 23 FOR SHARE"));
	assert_false(is_same_row("DELETE items 1 23", "DELETE items 12 3"));
	assert_false(is_same_row("DELETE tags 1", "DELETE users 1"));
	items->columns[0].base_type = items->columns[1].base_type = 25;
	items->columns[0].type = items->columns[1].type = 25;
	assert_false(is_same_row("DELETE items a bc", "DELETE items ab c"));
}

static void
a_key_is_known_wherever_its_values_stand(void **state)
{
	(void)state;
	assert_true(is_same_row("DELETE users 1", "UPSERT users age = 2 id = 1"));
	assert_true(is_same_row("DELETE post_tags 1 2",
	    "ONE post_tags WHERE tag_id = 2 AND post_id = 1 FOR UPDATE"));
	assert_true(is_same_row("DELETE users 1",
	    "UPDATE users 1 SET id = 2"));
	assert_false(is_same_row("DELETE users 2",
	    "UPDATE users 1 SET id = 2"));
}

static void
what_may_be_any_row_has_no_key(void **state)
{
	struct lk_column *column = &orm_model(catalog, "words")->columns[0];
	struct lk_buf key = LK_BUF_INIT;
	char request[512] = "DELETE words ";

	(void)state;
	assert_false(key_of("GET users 1", &key));
	assert_false(key_of("CREATE users name = x", &key));
	/* "now" is another value each time, and of geometry nothing is known. */
	column->type = column->base_type = 1184;
	assert_false(key_of("DELETE words now", &key));
	assert_true(key_of("DELETE words 2026-01-02~00:00Z", &key));
	column->type = column->base_type = 600;
	assert_false(key_of("DELETE words (1,2)", &key));
	column->type = column->base_type = 25;
	memset(request + strlen(request), 'x', LK_KEY_MAX + 1);
	assert_false(key_of(request, &key));
	assert_int_equal(key.len, 0);
	lk_buf_fini(&key);
}

static void
people_see_the_values(void **state)
{
	struct lk_buf key = LK_BUF_INIT, words = LK_BUF_INIT;

	(void)state;
	assert_true(key_of("DELETE items 01 23", &key));
	lk_key_words(key.data, key.len, &words);
	assert_string_equal(lk_buf_cstr(&words), "1, 23");
	assert_int_equal(lk_key_table(key.data),
	    orm_model(catalog, "items")->oid);
	lk_buf_fini(&key);
	lk_buf_fini(&words);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(strengths_conflict_as_postgresql_has_it),
		TEST(a_verb_with_a_key_locks_as_strongly_as_what_it_writes),
		TEST(what_else_a_table_does_makes_its_locks_unsure),
		TEST(a_generated_column_in_an_index_may_change_with_any_other),
		TEST(one_value_is_one_key_however_it_is_written),
		TEST(columns_and_tables_are_kept_apart),
		TEST(a_key_is_known_wherever_its_values_stand),
		TEST(what_may_be_any_row_has_no_key),
		TEST(people_see_the_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
