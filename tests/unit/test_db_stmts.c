#include "unit.h"

#include "base/role.h"
#include "db/stmts.h"

static struct lk_stmts stmts;

static int
begin(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_WORKER);
	lk_assert_worker();
	lk_stmts_init(&stmts);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	lk_assert_worker();
	lk_stmts_fini(&stmts);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

static const char *
text(int i)
{
	static char sql[32];

	snprintf(sql, sizeof(sql), "SELECT %d", i);
	return sql;
}

static void
fill(int first, int n)
{
	int i;

	lk_assert_worker();
	for (i = first; i < first + n; i++)
		assert_non_null(lk_stmts_add(&stmts, text(i), 0));
}

static void
a_text_finds_its_name(void **state)
{
	struct lk_stmt *stmt;

	(void)state;
	lk_assert_worker();
	assert_null(lk_stmts_find(&stmts, "SELECT 1"));
	stmt = lk_stmts_add(&stmts, "SELECT 1", 0);
	assert_int_equal(stmt->number, 1);
	assert_int_equal(lk_stmts_add(&stmts, "SELECT 2", 0)->number, 2);
	assert_ptr_equal(lk_stmts_find(&stmts, "SELECT 1"), stmt);
	assert_null(lk_stmts_find(&stmts, "SELECT"));
	assert_null(lk_stmts_find(&stmts, "select 1"));
}

static void
the_least_recently_used_is_given_up(void **state)
{
	(void)state;
	lk_assert_worker();
	fill(0, LK_STMTS_MAX);
	assert_non_null(lk_stmts_find(&stmts, text(0)));
	fill(1000, 1);
	assert_non_null(lk_stmts_find(&stmts, text(0)));
	assert_null(lk_stmts_find(&stmts, text(1)));
	assert_int_equal(stmts.n_dead, 1);
	assert_int_equal(stmts.dead[0], 2);	/* lk_2 was SELECT 1 */
}

static void
the_server_never_has_more_than_twice_the_bound(void **state)
{
	(void)state;
	lk_assert_worker();
	fill(0, 2 * LK_STMTS_MAX);
	assert_int_equal(stmts.n_dead, LK_STMTS_MAX);
	assert_null(lk_stmts_add(&stmts, "SELECT", 0));
	assert_non_null(lk_stmts_find(&stmts, text(LK_STMTS_MAX)));
	stmts.n_dead = 0;			/* as cleaning does */
	assert_non_null(lk_stmts_add(&stmts, "SELECT", 0));
}

static void
long_texts_are_not_kept(void **state)
{
	static char sql[LK_STMTS_MAX_TEXT + 2];

	(void)state;
	lk_assert_worker();
	memset(sql, 'x', sizeof(sql) - 1);
	assert_null(lk_stmts_add(&stmts, sql, 0));
	sql[LK_STMTS_MAX_TEXT] = '\0';
	assert_non_null(lk_stmts_add(&stmts, sql, 0));
}

static void
forgotten_ones_are_deallocated_where_they_exist(void **state)
{
	(void)state;
	lk_assert_worker();
	fill(1, 3);
	lk_stmts_forget(&stmts, text(1), false);
	lk_stmts_forget(&stmts, text(2), true);
	lk_stmts_forget(&stmts, text(9), true);		/* never was */
	assert_null(lk_stmts_find(&stmts, text(1)));
	assert_null(lk_stmts_find(&stmts, text(2)));
	assert_non_null(lk_stmts_find(&stmts, text(3)));
	assert_int_equal(stmts.n_dead, 1);
	assert_int_equal(stmts.dead[0], 2);
	assert_false(stmts.is_doubtful);
}

static void
names_are_never_used_twice(void **state)
{
	(void)state;
	lk_assert_worker();
	fill(1, 3);
	lk_stmts_reset(&stmts);
	assert_null(lk_stmts_find(&stmts, text(1)));
	assert_string_equal(lk_stmts_add(&stmts, text(1), 0)->name, "lk_4");
}

/* The server may have any number of them until the session is cleaned. */
static void
in_doubt_none_is_added(void **state)
{
	(void)state;
	lk_assert_worker();
	fill(1, 3);
	lk_stmts_doubt(&stmts);
	assert_true(stmts.is_doubtful);
	assert_null(lk_stmts_find(&stmts, text(1)));
	assert_null(lk_stmts_add(&stmts, text(1), 0));
	lk_stmts_reset(&stmts);
	assert_false(stmts.is_doubtful);
	assert_non_null(lk_stmts_add(&stmts, text(1), 0));
}

static void
they_grow_old(void **state)
{
	struct lk_stmt *stmt;

	(void)state;
	lk_assert_worker();
	stmt = lk_stmts_add(&stmts, text(1), 1000);
	assert_false(lk_stmts_is_old(&stmts, stmt, 1000));
	assert_false(lk_stmts_is_old(&stmts, stmt,
	    1000 + LK_STMTS_MAX_AGE_US));
	assert_true(lk_stmts_is_old(&stmts, stmt,
	    1001 + LK_STMTS_MAX_AGE_US));
	lk_stmts_age(&stmts);
	assert_true(lk_stmts_is_old(&stmts, stmt, 1000));
	stmt = lk_stmts_add(&stmts, text(2), 1000);
	assert_false(lk_stmts_is_old(&stmts, stmt, 1000));
}

static void
a_text_that_is_not_worth_it_is_remembered(void **state)
{
	struct lk_stmt *stmt;

	(void)state;
	lk_assert_worker();
	fill(1, 1);
	stmt = lk_stmts_find(&stmts, text(1));
	lk_stmts_give_up(&stmts, stmt);
	assert_ptr_equal(lk_stmts_find(&stmts, text(1)), stmt);
	assert_int_equal(stmt->number, 0);
	assert_int_equal(stmts.n_dead, 1);
	assert_int_equal(stmts.dead[0], 1);
	lk_stmts_give_up(&stmts, stmt);
	lk_stmts_forget(&stmts, text(1), true);
	assert_int_equal(stmts.n_dead, 1);
}

static void
full_of_dead_ones_it_doubts_them_all(void **state)
{
	(void)state;
	lk_assert_worker();
	fill(0, 2 * LK_STMTS_MAX);
	lk_stmts_forget(&stmts, text(LK_STMTS_MAX), true);
	assert_true(stmts.is_doubtful);
	assert_int_equal(stmts.n_dead, 0);
}

int
main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_text_finds_its_name),
		TEST(the_least_recently_used_is_given_up),
		TEST(the_server_never_has_more_than_twice_the_bound),
		TEST(long_texts_are_not_kept),
		TEST(forgotten_ones_are_deallocated_where_they_exist),
		TEST(names_are_never_used_twice),
		TEST(in_doubt_none_is_added),
		TEST(they_grow_old),
		TEST(a_text_that_is_not_worth_it_is_remembered),
		TEST(full_of_dead_ones_it_doubts_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
