/* What `lockkeeper bench` makes of replies and of times. */
#include "unit.h"

#include "cli/bench.h"

/*
 * Of every piece of a reply that is not all of it, more is wanted; bytes that
 * follow belong to the next.
 */
static void
check_whole(const char *bytes, size_t n, uint64_t tag, char type,
    const char *line)
{
	struct lk_buf twice = LK_BUF_INIT;
	struct lk_bench_reply reply;
	size_t i;

	for (i = 0; i < n; i++)
		assert_int_equal(lk_bench_scan(bytes, i, &reply), 0);
	lk_buf_append(&twice, bytes, n);
	lk_buf_append(&twice, bytes, n);
	assert_int_equal(lk_bench_scan(twice.data, twice.len, &reply), n);
	assert_int_equal(reply.tag, tag);
	assert_int_equal(reply.type, type);
	assert_int_equal(reply.n_line, strlen(line));
	assert_memory_equal(reply.line, line, strlen(line));
	lk_buf_fini(&twice);
}

#define CHECK_WHOLE(bytes, tag, type, line)	\
	check_whole((bytes), sizeof(bytes) - 1, (tag), (type), (line))

#define HEAD(tag)	"*3\r\n+reply\r\n" tag "\r\n"

static void
a_reply_ends_where_its_value_does(void **state)
{
	(void)state;
	CHECK_WHOLE(HEAD("$1\r\n0") "+OK\r\n", 0, '+', "OK");
	CHECK_WHOLE(HEAD("$4\r\n8007") ":42\r\n", 8007, ':', "42");
	CHECK_WHOLE(HEAD("$1\r\n1") "$-1\r\n", 1, '$', "-1");
	CHECK_WHOLE(HEAD("$1\r\n1") "_\r\n", 1, '_', "");
	CHECK_WHOLE(HEAD("$1\r\n1") "$5\r\n\r\n+\r\n\r\n", 1, '$', "5");
	CHECK_WHOLE(HEAD("$1\r\n1") "*0\r\n", 1, '*', "0");
	CHECK_WHOLE(HEAD("$1\r\n1") "*2\r\n*2\r\n$2\r\nid\r\n:1\r\n*-1\r\n", 1,
	    '*', "2");
	CHECK_WHOLE(HEAD("$1\r\n1") "%1\r\n$2\r\nid\r\n*1\r\n#t\r\n", 1, '%',
	    "1");
	CHECK_WHOLE(HEAD("$1\r\n1") "-DEADLOCK 40P01 it was\r\n", 1, '-',
	    "DEADLOCK 40P01 it was");
}

static void
what_has_no_tag_of_ours_is_refused(void **state)
{
	static const char *const wrong[] = {
		"+OK\r\n", "-CLOSING 57P03 bye\r\n", ">2\r\n", "*3\r\n+rep+",
		HEAD("$1\r\nx") ":1\r\n", HEAD("$-1") ":1\r\n",
		HEAD("+1") ":1\r\n", HEAD("$1\r\n1") "?1\r\n",
	};
	struct lk_bench_reply reply;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lk_bench_scan(wrong[i], strlen(wrong[i]),
		    &reply), -1);
}

static struct lk_hist hist;

static void
percentiles_are_right_to_one_in_a_hundred(void **state)
{
	static const double percents[] = { 1, 50, 99, 99.9, 100 };
	uint64_t unit_ns, i;
	size_t k;

	(void)state;
	for (unit_ns = 1; unit_ns < 1000000000; unit_ns *= 7) {
		memset(&hist, 0, sizeof(hist));
		for (i = 10000; i > 0; i--)
			lk_hist_add(&hist, i * unit_ns);
		assert_int_equal(hist.n, 10000);
		assert_int_equal(hist.max_ns, 10000 * unit_ns);
		for (k = 0; k < sizeof(percents) / sizeof(percents[0]); k++) {
			double us = percents[k] * 100 * (double)unit_ns / 1e3;
			double said = lk_hist_percentile_us(&hist,
			    percents[k]);

			if (us * 1e3 < 1e12 && (said < us * 0.99 ||
			    said > us * 1.01))
				fail_msg("%g of %llu: %g, not %g", percents[k],
				    (unsigned long long)unit_ns, said, us);
		}
	}
}

static void
no_times_and_endless_ones_have_percentiles_too(void **state)
{
	(void)state;
	memset(&hist, 0, sizeof(hist));
	assert_true(lk_hist_percentile_us(&hist, 99) <= 0);
	lk_hist_add(&hist, 0);
	assert_true(lk_hist_percentile_us(&hist, 50) <= 0);
	lk_hist_add(&hist, UINT64_MAX);
	assert_int_equal(hist.max_ns, UINT64_MAX);
	assert_true(lk_hist_percentile_us(&hist, 100) > 1e9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_ends_where_its_value_does),
		cmocka_unit_test(what_has_no_tag_of_ours_is_refused),
		cmocka_unit_test(percentiles_are_right_to_one_in_a_hundred),
		cmocka_unit_test(no_times_and_endless_ones_have_percentiles_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
