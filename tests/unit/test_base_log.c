#include "unit.h"

#include <pthread.h>

#include "base/log.h"
#include "base/mutex.h"

static struct lk_buf taken;

static int
attach(void **state)
{
	(void)state;
	lk_log_set_level(LK_LOG_INFO);
	lk_log_attach();
	return 0;
}

static int
detach(void **state)
{
	uint64_t n_dropped;

	(void)state;
	lk_log_detach();
	lk_buf_fini(&taken);
	while (lk_log_take(&taken, &n_dropped))
		;
	lk_buf_fini(&taken);
	return 0;
}

static size_t
count_lines(const struct lk_buf *buf)
{
	size_t i, n = 0;

	for (i = 0; i < buf->len; i++)
		n += buf->data[i] == '\n';
	return n;
}

static void
record_is_one_line_with_time_and_level(void **state)
{
	uint64_t n_dropped = 99;
	const char *line;
	int year, end = 0;
	char level[16];

	(void)state;
	lk_log(LK_LOG_WARNING, "a %s\nb\r%d", "text", 7);
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_int_equal(n_dropped, 0);
	assert_int_equal(count_lines(&taken), 1);
	line = lk_buf_cstr(&taken);
	assert_int_equal(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ "
	    "%15[a-z]: %n", &year, level, &end), 2);
	assert_true(year >= 2024);
	assert_string_equal(level, "warning");
	assert_string_equal(line + end, "a text b 7\n");
}

static void
levels_above_the_threshold_are_not_written(void **state)
{
	uint64_t n_dropped;

	(void)state;
	assert_true(lk_log_is_on(LK_LOG_ERROR));
	assert_true(lk_log_is_on(LK_LOG_INFO));
	assert_false(lk_log_is_on(LK_LOG_DEBUG));
	lk_log(LK_LOG_DEBUG, "unseen");
	lk_log(LK_LOG_INFO, "seen");
	lk_log_set_level(LK_LOG_DEBUG);
	lk_log(LK_LOG_DEBUG, "seen too");
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_null(strstr(lk_buf_cstr(&taken), "unseen"));
	assert_non_null(strstr(lk_buf_cstr(&taken), "debug: seen too"));
	assert_int_equal(count_lines(&taken), 2);
}

static void
full_ring_drops_and_counts(void **state)
{
	uint64_t n_dropped, n_written = 0;
	int i;

	(void)state;
	for (i = 0; i < 5000; i++)
		lk_log(LK_LOG_INFO, "%0100d", i);
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_true(taken.len <= LK_LOG_RING_BYTES);
	n_written = count_lines(&taken);
	assert_true(n_written > 1000);
	assert_true(n_dropped > 0);
	assert_int_equal(n_written + n_dropped, 5000);

	/* Emptied, it takes records again, and the count began anew. */
	lk_buf_truncate(&taken, 0);
	lk_log(LK_LOG_INFO, "after");
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_int_equal(n_dropped, 0);
	assert_int_equal(count_lines(&taken), 1);
}

/* The writer hears of a drop even when nothing else is in the ring. */
static void
record_larger_than_the_ring_is_a_drop(void **state)
{
	uint64_t n_dropped;

	(void)state;
	lk_log(LK_LOG_INFO, "%0*d", LK_LOG_RING_BYTES, 1);
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_int_equal(n_dropped, 1);
	assert_int_equal(taken.len, 0);
}

static void
take_appends_to_what_the_writer_has(void **state)
{
	uint64_t n_dropped;

	(void)state;
	lk_buf_puts(&taken, "kept\n");
	lk_log(LK_LOG_INFO, "new");
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_memory_equal(taken.data, "kept\n", 5);
	assert_int_equal(count_lines(&taken), 2);
}

static void
detached_ring_is_emptied_and_then_ends(void **state)
{
	uint64_t n_dropped;

	(void)state;
	lk_log(LK_LOG_INFO, "last words");
	lk_log_detach();
	assert_true(lk_log_take(&taken, &n_dropped));
	assert_non_null(strstr(lk_buf_cstr(&taken), "last words"));
	assert_false(lk_log_take(&taken, &n_dropped));
}

#define N_WRITERS	4
#define N_RECORDS	300

static void *
write_records(void *arg)
{
	int i;

	for (i = 0; i < N_RECORDS; i++)
		lk_log(LK_LOG_INFO, "writer %d record %d", *(int *)arg, i);
	return NULL;
}

static void *
read_records(void *arg)
{
	struct lk_buf *all = arg;
	uint64_t n_dropped, n_lost = 0;

	while (lk_log_take(all, &n_dropped))
		n_lost += n_dropped;
	return n_lost > 0 ? all : NULL;
}

static void
assert_in_order(const char *text, int writer)
{
	char wanted[64];
	int i;

	for (i = 0; i < N_RECORDS; i++) {
		snprintf(wanted, sizeof(wanted), "writer %d record %d\n",
		    writer, i);
		text = strstr(text, wanted);
		assert_non_null(text);
	}
}

static void
sleeping_reader_gets_each_threads_records_in_order(void **state)
{
	pthread_t reader, writers[N_WRITERS];
	int ids[N_WRITERS], i;
	void *lost;

	(void)state;
	pthread_create(&reader, NULL, read_records, &taken);
	for (i = 0; i < N_WRITERS; i++) {
		ids[i] = i;
		pthread_create(&writers[i], NULL, write_records, &ids[i]);
	}
	for (i = 0; i < N_WRITERS; i++)
		pthread_join(writers[i], NULL);
	lk_log_detach();
	pthread_join(reader, &lost);
	assert_null(lost);
	assert_int_equal(count_lines(&taken), N_WRITERS * N_RECORDS);
	for (i = 0; i < N_WRITERS; i++)
		assert_in_order(lk_buf_cstr(&taken), i);
}

static void
log_plainly(void *arg)
{
	(void)arg;
	lk_log(LK_LOG_ERROR, "to stderr");
}

static void
without_a_writer_records_go_to_stderr(void **state)
{
	char text[200];
	int ends[2];
	ssize_t n;

	(void)state;
	lk_log_detach();
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(unit_run_in_child(log_plainly, NULL, ends[1]), 0);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, " error: to stderr\n"));
}

static void
log_under_mutex(void *arg) LK_TSA(no_thread_safety_analysis)
{
	struct lk_mutex mutex;

	(void)arg;
	lk_mutex_init(&mutex);
	lk_mutex_lock(&mutex);
	lk_log(LK_LOG_INFO, "never");
}

static void
logging_while_holding_a_mutex_aborts(void **state)
{
	(void)state;
	assert_true(unit_aborts(log_under_mutex, NULL));
}

#define LOG_TEST(test)	cmocka_unit_test_setup_teardown(test, attach, detach)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(record_is_one_line_with_time_and_level),
		LOG_TEST(levels_above_the_threshold_are_not_written),
		LOG_TEST(full_ring_drops_and_counts),
		LOG_TEST(record_larger_than_the_ring_is_a_drop),
		LOG_TEST(take_appends_to_what_the_writer_has),
		LOG_TEST(detached_ring_is_emptied_and_then_ends),
		LOG_TEST(sleeping_reader_gets_each_threads_records_in_order),
		LOG_TEST(without_a_writer_records_go_to_stderr),
		LOG_TEST(logging_while_holding_a_mutex_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
