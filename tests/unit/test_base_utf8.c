#include "unit.h"

#include <string.h>

#include "base/utf8.h"

static void
a_character_has_one_to_four_bytes(void **state)
{
	static const struct {
		const char	*text;
		size_t		 len;
	} rows[] = {
		{ "a", 1 }, { "\x7f", 1 },
		{ "\xc2\x80", 2 }, { "\xdf\xbf", 2 },
		{ "\xe0\xa0\x80", 3 }, { "\xed\x9f\xbf", 3 },
		{ "\xee\x80\x80", 3 }, { "\xef\xbf\xbf", 3 },
		{ "\xf0\x90\x80\x80", 4 }, { "\xf4\x8f\xbf\xbf", 4 },
		{ "\x80", 0 }, { "\xc0\x80", 0 }, { "\xc1\xbf", 0 },
		{ "\xc3", 0 }, { "\xc3(", 0 }, { "\xe0\x9f\xbf", 0 },
		{ "\xed\xa0\x80", 0 }, { "\xe2\x82", 0 }, { "\xe2\x82(", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 }, { "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 }, { "\xff", 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(lk_utf8_len(rows[i].text,
		    strlen(rows[i].text)), rows[i].len);
		assert_int_equal(lk_utf8_is_text(rows[i].text,
		    strlen(rows[i].text)), rows[i].len > 0);
	}
	assert_int_equal(lk_utf8_len("\0", 1), 1);
	assert_int_equal(lk_utf8_len("", 0), 0);
	assert_true(lk_utf8_is_text("", 0));
	assert_false(lk_utf8_is_text("ab\xff", 3));
}

static void
it_is_shown_in_whole_characters(void **state)
{
	struct lk_buf out = LK_BUF_INIT;

	(void)state;
	lk_utf8_show(&out, "a\n\0b", 4, 4);
	lk_utf8_show(&out, "\xc3\xa9\xff", 3, 3);
	lk_utf8_show(&out, "a\xc3\xa9", 3, 2);
	lk_utf8_show(&out, "", 0, 0);
	assert_string_equal(lk_buf_cstr(&out),
	    "\"a??b\"\"\xc3\xa9?\"\"a...\"\"\"");
	lk_buf_fini(&out);
}

static void
bytes_that_are_no_text_are_escaped(void **state)
{
	struct lk_buf out = LK_BUF_INIT;

	(void)state;
	lk_utf8_escape(&out, "a\xe9\n\xc3\xa9\x7f\xc3", 7);
	assert_string_equal(lk_buf_cstr(&out), "a\\xe9\\x0a\xc3\xa9\\x7f\\xc3");
	lk_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_character_has_one_to_four_bytes),
		cmocka_unit_test(it_is_shown_in_whole_characters),
		cmocka_unit_test(bytes_that_are_no_text_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
