#include "unit.h"

#include "base/error.h"

static void
set_brings_the_kinds_sqlstate_and_retry(void **state)
{
	struct lk_error error = { 0 };

	(void)state;
	lk_error_set(&error, LK_ERR_DEADLOCK, "tasks %d and %s", 1, "b");
	assert_true(error.is_set);
	assert_int_equal(error.kind, LK_ERR_DEADLOCK);
	assert_string_equal(error.message, "tasks 1 and b");
	assert_string_equal(error.sqlstate, "40P01");
	assert_int_equal(error.retry, LK_RETRY_TRANSACTION);
	lk_error_fini(&error);
	assert_false(error.is_set);
	assert_null(error.message);
}

static void
message_is_one_line(void **state)
{
	struct lk_error error;

	(void)state;
	lk_error_init(&error);
	lk_error_set(&error, LK_ERR_PG, "%s", "a\nb\r\nc");
	assert_string_equal(error.message, "a b  c");
	lk_error_fini(&error);
}

static void
setting_again_replaces_all(void **state)
{
	struct lk_error error = { 0 };

	(void)state;
	lk_error_set(&error, LK_ERR_PG, "first");
	lk_error_set_sqlstate(&error, "23505");
	lk_error_set_field(&error, LK_FIELD_DETAIL, "detail");
	/* The old message may be part of the new one. */
	lk_error_set(&error, LK_ERR_NOTX, "second after %s", error.message);
	assert_string_equal(error.message, "second after first");
	assert_string_equal(error.sqlstate, "25P01");
	assert_null(error.fields[LK_FIELD_DETAIL]);
	lk_error_fini(&error);
}

static void
sqlstate_is_cut_at_five(void **state)
{
	struct lk_error error = { 0 };

	(void)state;
	lk_error_set(&error, LK_ERR_PG, "x");
	lk_error_set_sqlstate(&error, "123456789");
	assert_string_equal(error.sqlstate, "12345");
	lk_error_set_sqlstate(&error, "99");
	assert_string_equal(error.sqlstate, "99");
	lk_error_fini(&error);
}

static void
fields_are_copied_and_cleared(void **state)
{
	struct lk_error error = { 0 };
	char text[] = "accounts";

	(void)state;
	lk_error_set(&error, LK_ERR_PG, "of a table");
	lk_error_set_field(&error, LK_FIELD_TABLE, text);
	text[0] = 'X';
	assert_string_equal(error.fields[LK_FIELD_TABLE], "accounts");
	lk_error_set_field(&error, LK_FIELD_TABLE,
	    error.fields[LK_FIELD_TABLE]);
	assert_string_equal(error.fields[LK_FIELD_TABLE], "accounts");
	lk_error_set_field(&error, LK_FIELD_TABLE, NULL);
	assert_null(error.fields[LK_FIELD_TABLE]);
	lk_error_fini(&error);
}

static void
move_leaves_nothing_behind(void **state)
{
	struct lk_error from = { 0 }, to = { 0 };

	(void)state;
	lk_error_set(&to, LK_ERR_PG, "old");
	lk_error_set(&from, LK_ERR_CLOSING, "new");
	lk_error_set_field(&from, LK_FIELD_HINT, "hint");
	lk_error_move(&to, &from);
	assert_false(from.is_set);
	assert_null(from.message);
	assert_int_equal(to.kind, LK_ERR_CLOSING);
	assert_string_equal(to.message, "new");
	assert_string_equal(to.fields[LK_FIELD_HINT], "hint");
	lk_error_fini(&from);
	lk_error_fini(&to);
}

static bool
is_made_of(const char *text, const char *letters)
{
	return strspn(text, letters) == strlen(text);
}

#define CAPITALS	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* A client tells kinds apart by these words, as Redis's clients do. */
static void
every_row_of_the_table_can_travel(void **state)
{
	int kind, other;

	(void)state;
	for (kind = 0; kind < LK_ERR__N; kind++) {
		assert_true(is_made_of(lk_error_word(kind), CAPITALS));
		assert_true(strlen(lk_error_word(kind)) > 1);
		assert_int_equal(strlen(lk_error_sqlstate(kind)), 5);
		assert_true(is_made_of(lk_error_sqlstate(kind),
		    CAPITALS "0123456789"));
		assert_true(strlen(lk_error_when(kind)) > 0);
		for (other = 0; other < kind; other++)
			assert_string_not_equal(lk_error_word(kind),
			    lk_error_word(other));
	}
}

static void
every_field_and_retry_has_a_word(void **state)
{
	int field;

	(void)state;
	for (field = 0; field < LK_FIELD__N; field++)
		assert_non_null(lk_error_field_name(field));
	assert_string_equal(lk_retry_word(LK_RETRY_NO), "no");
	assert_string_equal(lk_retry_word(LK_RETRY_STATEMENT), "statement");
	assert_string_equal(lk_retry_word(LK_RETRY_TRANSACTION),
	    "transaction");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_brings_the_kinds_sqlstate_and_retry),
		cmocka_unit_test(message_is_one_line),
		cmocka_unit_test(setting_again_replaces_all),
		cmocka_unit_test(sqlstate_is_cut_at_five),
		cmocka_unit_test(fields_are_copied_and_cleared),
		cmocka_unit_test(move_leaves_nothing_behind),
		cmocka_unit_test(every_row_of_the_table_can_travel),
		cmocka_unit_test(every_field_and_retry_has_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
