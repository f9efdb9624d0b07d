/* Values of replies, and errors taken apart. */
#include "unit.h"

#include <locale.h>
#include <stdlib.h>

#include <lockkeeper.h>

#include "base/error.h"

/* The reply that these bytes are. */
static struct lk_reply *
reply_of(const char *bytes, size_t n)
{
	struct lk_mux *mux = lk_mux_new();
	struct lk_reply *reply;
	void *arg;

	assert_int_equal(lk_mux_feed(mux, bytes, n), 0);
	assert_int_not_equal(lk_mux_next(mux, &reply, &arg), LK_MUX_NOTHING);
	lk_mux_free(&mux);
	return reply;
}

#define REPLY(bytes)	reply_of(bytes, sizeof(bytes) - 1)

static void
each_type_says_what_it_is(void **state)
{
	struct lk_reply *all = REPLY("*9\r\n_\r\n#t\r\n:-5\r\n,1.5\r\n"
	    "$3\r\na\0b\r\n+OK\r\n-PG 22012 zero\r\n*0\r\n%1\r\n+k\r\n:1\r\n");
	static const enum lk_reply_type types[] = {
		LK_REPLY_NULL, LK_REPLY_BOOL, LK_REPLY_INT, LK_REPLY_DOUBLE,
		LK_REPLY_TEXT, LK_REPLY_WORD, LK_REPLY_ERROR, LK_REPLY_ARRAY,
		LK_REPLY_MAP,
	};
	size_t i, n;

	(void)state;
	assert_int_equal(lk_reply_type(all), LK_REPLY_ARRAY);
	assert_int_equal(lk_reply_count(all), 9);
	for (i = 0; i < 9; i++)
		assert_int_equal(lk_reply_type(lk_reply_at(all, i)), types[i]);
	assert_null(lk_reply_at(all, 9));
	assert_int_equal(lk_reply_int(lk_reply_at(all, 1)), 1);
	assert_int_equal(lk_reply_int(lk_reply_at(all, 2)), -5);
	assert_true(lk_reply_double(lk_reply_at(all, 3)) == 1.5);
	assert_memory_equal(lk_reply_text(lk_reply_at(all, 4), &n), "a\0b", 4);
	assert_int_equal(n, 3);
	assert_true(lk_reply_is_error(lk_reply_at(all, 6)));
	assert_int_equal(lk_reply_kind(lk_reply_at(all, 6)), LK_KIND_PG);
	assert_string_equal(lk_reply_text(lk_reply_key(lk_reply_at(all, 8), 0),
	    NULL), "k");
	lk_reply_free(&all);
}

static void
what_is_not_there_is_null_and_harmless(void **state)
{
	struct lk_reply *map = REPLY("%1\r\n+k\r\n:1\r\n"), *none = NULL;

	(void)state;
	assert_null(lk_reply_get(map, "ka"));
	assert_null(lk_reply_get(lk_reply_get(map, "k"), "x"));
	assert_null(lk_reply_key(map, 1));
	assert_true(lk_reply_is_null(NULL));
	assert_int_equal(lk_reply_int(NULL), 0);
	assert_int_equal(lk_reply_count(NULL), 0);
	assert_string_equal(lk_reply_text(NULL, NULL), "");
	assert_null(lk_reply_field(map, "detail"));
	assert_int_equal(lk_reply_again(map), LK_AGAIN_NO);
	lk_reply_free(&map);
	lk_reply_free(&none);
}

static void
texts_read_as_numbers_in_every_locale(void **state)
{
	struct lk_reply *all = REPLY("*5\r\n$2\r\n42\r\n$4\r\n1.25\r\n"
	    "$3\r\nNaN\r\n$2\r\n4x\r\n$0\r\n\r\n");

	(void)state;
	setlocale(LC_ALL, "de_DE.UTF-8");	/* where there is one */
	assert_int_equal(lk_reply_int(lk_reply_at(all, 0)), 42);
	assert_int_equal(lk_reply_int(lk_reply_at(all, 1)), 0);
	assert_true(lk_reply_double(lk_reply_at(all, 0)) == 42);
	assert_true(lk_reply_double(lk_reply_at(all, 1)) == 1.25);
	assert_true(lk_reply_double(lk_reply_at(all, 2)) !=
	    lk_reply_double(lk_reply_at(all, 2)));
	assert_true(lk_reply_double(lk_reply_at(all, 3)) == 0);
	assert_true(lk_reply_double(lk_reply_at(all, 4)) == 0);
	lk_reply_free(&all);
	setlocale(LC_ALL, "C");
}

static void
an_error_is_its_parts(void **state)
{
	struct lk_reply *error = REPLY("!90\r\nPG 23505 duplicate key value\n"
	    "retry: no\ndetail: Key (id)=(1): it's there\nconstraint: t_pkey"
	    "\r\n");

	(void)state;
	assert_string_equal(lk_reply_kind_word(error), "PG");
	assert_string_equal(lk_reply_sqlstate(error), "23505");
	assert_string_equal(lk_reply_text(error, NULL), "duplicate key value");
	assert_string_equal(lk_reply_field(error, "detail"),
	    "Key (id)=(1): it's there");
	assert_string_equal(lk_reply_field(error, "constraint"), "t_pkey");
	assert_null(lk_reply_field(error, "const"));
	assert_null(lk_reply_field(error, "hint"));
	assert_int_equal(lk_reply_again(error), LK_AGAIN_NO);
	assert_false(lk_reply_is_local(error));
	lk_reply_free(&error);
}

static void
an_error_on_one_line_has_its_kinds_retry(void **state)
{
	struct lk_reply *error = REPLY("-DEADLOCK 40P01 a, b\r\n");

	(void)state;
	assert_int_equal(lk_reply_kind(error), LK_KIND_DEADLOCK);
	assert_int_equal(lk_reply_again(error), LK_AGAIN_TRANSACTION);
	assert_string_equal(lk_reply_text(error, NULL), "a, b");
	lk_reply_free(&error);
}

static void
errors_of_other_servers_are_texts(void **state)
{
	static const char *const lines[] = {
		"-ERR unknown\r\n", "-X\r\n", "-\r\n", "-A B\r\n",
		"-ONE 12345\r\n",
	};
	struct lk_reply *error;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		error = reply_of(lines[i], strlen(lines[i]));
		assert_true(lk_reply_is_error(error));
		assert_int_equal(lk_reply_kind(error), LK_KIND_OTHER);
		assert_string_equal(lk_reply_sqlstate(error), "");
		assert_int_equal(strlen(lk_reply_text(error, NULL)),
		    strlen(lines[i]) - 3);
		lk_reply_free(&error);
	}
}

static void
every_kind_has_its_number(void **state)
{
	char line[64];
	struct lk_reply *error;
	bool is_seen[LK_ERR__N + 1] = { false };
	int kind;

	(void)state;
	for (kind = 0; kind < LK_ERR__N; kind++) {
		snprintf(line, sizeof(line), "-%s %s x\r\n",
		    lk_error_word(kind), lk_error_sqlstate(kind));
		error = reply_of(line, strlen(line));
		assert_in_range(lk_reply_kind(error), 1, LK_ERR__N);
		assert_false(is_seen[lk_reply_kind(error)]);
		is_seen[lk_reply_kind(error)] = true;
		lk_reply_free(&error);
	}
}

static void
lines_are_words(void **state)
{
	static const char text[] = "SQL \"SELECT \\x41\" 'it\\'s' \"\"";
	const char *const *words;
	const size_t *lens;
	struct lk_line *line = lk_line_parse(text, strlen(text));

	(void)state;
	assert_non_null(line);
	assert_int_equal(lk_line_words(line, &words, &lens), 4);
	assert_string_equal(words[1], "SELECT A");
	assert_string_equal(words[2], "it's");
	assert_int_equal(lens[3], 0);
	lk_line_free(&line);
	assert_null(line);
	assert_null(lk_line_parse("\"open", 5));
	assert_null(lk_line_parse("*1\r\n$4\r\nPING\r\n", 14));
	line = lk_line_parse("\n", 1);
	assert_int_equal(lk_line_words(line, &words, &lens), 0);
	lk_line_free(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_says_what_it_is),
		cmocka_unit_test(what_is_not_there_is_null_and_harmless),
		cmocka_unit_test(texts_read_as_numbers_in_every_locale),
		cmocka_unit_test(an_error_is_its_parts),
		cmocka_unit_test(an_error_on_one_line_has_its_kinds_retry),
		cmocka_unit_test(errors_of_other_servers_are_texts),
		cmocka_unit_test(every_kind_has_its_number),
		cmocka_unit_test(lines_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
