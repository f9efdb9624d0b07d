#include "unit.h"

#include "base/buf.h"

static void
appends_in_order_and_grows(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;
	char expected[1000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(expected); i++) {
		expected[i] = (char)('a' + i % 26);
		lk_buf_putc(&buf, expected[i]);
	}
	assert_int_equal(buf.len, sizeof(expected));
	assert_true(buf.cap >= buf.len);
	assert_memory_equal(buf.data, expected, sizeof(expected));
	lk_buf_fini(&buf);
	assert_null(buf.data);
	lk_buf_puts(&buf, "usable again");
	assert_string_equal(lk_buf_cstr(&buf), "usable again");
	lk_buf_fini(&buf);
}

static void
keeps_nul_bytes(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_append(&buf, "a\0b", 3);
	lk_buf_append(&buf, NULL, 0);
	assert_int_equal(buf.len, 3);
	assert_memory_equal(buf.data, "a\0b", 3);
	lk_buf_fini(&buf);
}

static void
prints_past_its_capacity(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_puts(&buf, "x");
	lk_buf_printf(&buf, "%0200d|%s", 7, "end");
	assert_int_equal(buf.len, 1 + 200 + 4);
	assert_string_equal(lk_buf_cstr(&buf) + 200, "7|end");
	assert_int_equal(buf.data[0], 'x');
	lk_buf_fini(&buf);
}

static void
reserved_room_is_not_contents(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;
	char *room;

	(void)state;
	assert_non_null(lk_buf_reserve(&buf, 0));
	room = lk_buf_reserve(&buf, 500);
	assert_non_null(room);
	assert_int_equal(buf.len, 0);
	memset(room, 'z', 500);
	buf.len += 500;
	assert_ptr_equal(lk_buf_reserve(&buf, 0), buf.data + 500);
	assert_int_equal(buf.data[499], 'z');
	lk_buf_fini(&buf);
}

/* More than any address space: refused before the allocator sees it. */
#define HUGE_SIZE	(SIZE_MAX - 8)

static void
overflowing_size_breaks_and_stays_broken(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_puts(&buf, "before");
	assert_null(lk_buf_reserve(&buf, HUGE_SIZE));
	assert_true(buf.broken);
	assert_int_equal(buf.len, 6);
	lk_buf_puts(&buf, "after");
	lk_buf_printf(&buf, "%d", 1);
	assert_null(lk_buf_reserve(&buf, 0));
	assert_int_equal(buf.len, 6);
	assert_true(buf.broken);
	assert_string_equal(lk_buf_cstr(&buf), "");
	lk_buf_fini(&buf);
	assert_false(buf.broken);
}

static void
length_plus_size_may_not_wrap(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_puts(&buf, "0123456789");
	assert_null(lk_buf_reserve(&buf, SIZE_MAX - 4));
	assert_true(buf.broken);
	lk_buf_fini(&buf);
	assert_null(lk_buf_reserve(&buf, SIZE_MAX));
	assert_true(buf.broken);
	lk_buf_fini(&buf);
}

static void
consumes_from_the_front(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_consume(&buf, 0);
	lk_buf_puts(&buf, "hello world");
	lk_buf_consume(&buf, 6);
	assert_string_equal(lk_buf_cstr(&buf), "world");
	lk_buf_consume(&buf, 5);
	assert_int_equal(buf.len, 0);
	assert_string_equal(lk_buf_cstr(&buf), "");
	lk_buf_fini(&buf);
}

static void
truncates_at_the_end(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_truncate(&buf, 0);
	lk_buf_puts(&buf, "hello");
	lk_buf_truncate(&buf, 4);
	lk_buf_puts(&buf, "!");
	assert_string_equal(lk_buf_cstr(&buf), "hell!");
	lk_buf_fini(&buf);
}

static void
moves_contents_and_leaves_none(void **state)
{
	struct lk_buf from = LK_BUF_INIT;
	struct lk_buf to = LK_BUF_INIT;

	(void)state;
	lk_buf_reserve(&to, 10);	/* memory without contents goes */
	lk_buf_puts(&from, "cargo");
	lk_buf_move(&to, &from);
	assert_string_equal(lk_buf_cstr(&to), "cargo");
	assert_null(from.data);
	assert_int_equal(from.len, 0);
	lk_buf_fini(&to);
}

static void
moving_keeps_either_sides_break(void **state)
{
	struct lk_buf from = LK_BUF_INIT;
	struct lk_buf to = LK_BUF_INIT;

	(void)state;
	from.broken = true;
	lk_buf_move(&to, &from);
	assert_true(to.broken);
	assert_false(from.broken);
	lk_buf_puts(&from, "whole");
	lk_buf_move(&to, &from);
	assert_true(to.broken);
	lk_buf_fini(&to);
}

static void
consume_too_much(void *arg)
{
	lk_buf_consume(arg, 3);
}

static void
truncate_to_more(void *arg)
{
	lk_buf_truncate(arg, 3);
}

static void
move_onto_contents(void *arg)
{
	struct lk_buf other = LK_BUF_INIT;

	lk_buf_move(arg, &other);
}

static void
misuse_aborts(void **state)
{
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_buf_puts(&buf, "ab");
	assert_true(unit_aborts(consume_too_much, &buf));
	assert_true(unit_aborts(truncate_to_more, &buf));
	assert_true(unit_aborts(move_onto_contents, &buf));
	lk_buf_fini(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_in_order_and_grows),
		cmocka_unit_test(keeps_nul_bytes),
		cmocka_unit_test(prints_past_its_capacity),
		cmocka_unit_test(reserved_room_is_not_contents),
		cmocka_unit_test(overflowing_size_breaks_and_stays_broken),
		cmocka_unit_test(length_plus_size_may_not_wrap),
		cmocka_unit_test(consumes_from_the_front),
		cmocka_unit_test(truncates_at_the_end),
		cmocka_unit_test(moves_contents_and_leaves_none),
		cmocka_unit_test(moving_keeps_either_sides_break),
		cmocka_unit_test(misuse_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
