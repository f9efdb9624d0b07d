#include "unit.h"

#include <pthread.h>

#include "base/log.h"
#include "base/mutex.h"

static const struct lk_log_form text_form = { LK_LOG_TEXT, false };
static const struct lk_log_form json_form = { LK_LOG_JSON, false };
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
	while (lk_log_wait())
		lk_log_take(&text_form, &taken, &n_dropped);
	lk_buf_fini(&taken);
	return 0;
}

/* What there is now; returns how many were dropped. */
static uint64_t
take(const struct lk_log_form *form)
{
	uint64_t n_dropped = 99;

	assert_true(lk_log_wait());
	lk_log_take(form, &taken, &n_dropped);
	return n_dropped;
}

/* What one record becomes, without its time. */
static const char *
taken_line(const struct lk_log_form *form)
{
	const char *end = form->format == LK_LOG_JSON ? "Z\"," : "Z ";
	const char *line, *found;

	lk_buf_truncate(&taken, 0);
	assert_int_equal(take(form), 0);
	line = lk_buf_cstr(&taken);
	found = strstr(line, end);
	return found == NULL ? line : found + strlen(end);
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
	const char *line;
	int year, end = 0;
	char level[16];

	(void)state;
	lk_log(LK_LOG_WARNING, "a %s\nb\r\033\x7f%d", "text", 7);
	assert_int_equal(take(&text_form), 0);
	assert_int_equal(count_lines(&taken), 1);
	line = lk_buf_cstr(&taken);
	assert_int_equal(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ "
	    "%15[a-z]: %n", &year, level, &end), 2);
	assert_true(year >= 2024);
	assert_string_equal(level, "warning");
	assert_string_equal(line + end, "a text b   7\n");
}

static void
levels_above_the_threshold_are_not_written(void **state)
{
	(void)state;
	assert_true(lk_log_is_on(LK_LOG_ERROR));
	assert_true(lk_log_is_on(LK_LOG_INFO));
	assert_false(lk_log_is_on(LK_LOG_DEBUG));
	lk_log(LK_LOG_DEBUG, "unseen");
	lk_log(LK_LOG_INFO, "seen");
	lk_log_set_level(LK_LOG_DEBUG);
	lk_log(LK_LOG_DEBUG, "seen too");
	take(&text_form);
	assert_null(strstr(lk_buf_cstr(&taken), "unseen"));
	assert_non_null(strstr(lk_buf_cstr(&taken), "debug: seen too"));
	assert_int_equal(count_lines(&taken), 2);
}

static void
full_ring_drops_and_counts(void **state)
{
	uint64_t n_dropped, n_written;
	int i;

	(void)state;
	for (i = 0; i < 5000; i++)
		lk_log(LK_LOG_INFO, "%0100d", i);
	n_dropped = take(&text_form);
	assert_true(taken.len <= LK_LOG_RING_BYTES);
	n_written = count_lines(&taken);
	assert_true(n_written > 1000);
	assert_true(n_dropped > 0);
	assert_int_equal(n_written + n_dropped, 5000);

	/* Emptied, it takes records again, and the count began anew. */
	lk_buf_truncate(&taken, 0);
	lk_log(LK_LOG_INFO, "after");
	assert_int_equal(take(&text_form), 0);
	assert_int_equal(count_lines(&taken), 1);
}

/* The writer hears of a drop even when nothing else is in the ring. */
static void
record_larger_than_the_ring_is_a_drop(void **state)
{
	(void)state;
	lk_log(LK_LOG_INFO, "%0*d", LK_LOG_RING_BYTES, 1);
	assert_int_equal(take(&text_form), 1);
	assert_int_equal(taken.len, 0);
}

static void
take_appends_to_what_the_writer_has(void **state)
{
	(void)state;
	lk_buf_puts(&taken, "kept\n");
	lk_log(LK_LOG_INFO, "new");
	take(&text_form);
	assert_memory_equal(taken.data, "kept\n", 5);
	assert_int_equal(count_lines(&taken), 2);
}

static void
detached_ring_is_emptied_and_then_ends(void **state)
{
	(void)state;
	lk_log(LK_LOG_INFO, "last words");
	lk_log_detach();
	take(&text_form);
	assert_non_null(strstr(lk_buf_cstr(&taken), "last words"));
	assert_false(lk_log_wait());
}

static void
woken_writer_finds_nothing_to_take(void **state)
{
	(void)state;
	lk_log_wake();
	assert_int_equal(take(&text_form), 0);
	assert_int_equal(taken.len, 0);
}

/* ---- what a record is about ---- */

static void
text_says_what_a_record_is_about(void **state)
{
	const struct lk_log_form journal = { LK_LOG_TEXT, true };
	struct lk_log_about about = { .client = 12, .tx = 913241, .pid = 4711 };

	(void)state;
	lk_log_about(&about, LK_LOG_INFO, "of %s", "all");
	assert_string_equal(taken_line(&text_form),
	    "info: client 12 tx 913241 pid 4711: of all\n");
	about.tx = 0;
	lk_log_about(&about, LK_LOG_INFO, "of two");
	assert_string_equal(taken_line(&text_form),
	    "info: client 12 pid 4711: of two\n");
	lk_log(LK_LOG_INFO, "of none");
	assert_string_equal(taken_line(&text_form), "info: of none\n");
	lk_log_about(&about, LK_LOG_ERROR, "for the journal");
	assert_string_equal(taken_line(&journal),
	    "<3>error: client 12 pid 4711: for the journal\n");
}

static void
each_level_has_its_priority(void **state)
{
	const struct lk_log_form journal = { LK_LOG_TEXT, true };

	(void)state;
	lk_log_set_level(LK_LOG_DEBUG);
	lk_log(LK_LOG_ERROR, "a");
	lk_log(LK_LOG_WARNING, "b");
	lk_log(LK_LOG_INFO, "c");
	lk_log(LK_LOG_DEBUG, "d");
	assert_string_equal(taken_line(&journal), "<3>error: a\n"
	    "<4>warning: b\n<6>info: c\n<7>debug: d\n");
}

static void
json_has_a_key_for_each_and_null_for_none(void **state)
{
	const struct lk_log_form journal = { LK_LOG_JSON, true };
	struct lk_log_about about = { .client = 12, .tx = 913241, .pid = 4711 };
	int end = 0;

	(void)state;
	lk_log_about(&about, LK_LOG_WARNING, "of all");
	assert_string_equal(taken_line(&json_form), "\"level\":\"warning\","
	    "\"client\":12,\"tx\":913241,\"pid\":4711,"
	    "\"text\":\"of all\"}\n");
	lk_log(LK_LOG_INFO, "of none");
	assert_string_equal(taken_line(&json_form), "\"level\":\"info\","
	    "\"client\":null,\"tx\":null,\"pid\":null,"
	    "\"text\":\"of none\"}\n");
	lk_log(LK_LOG_INFO, "x");
	taken_line(&journal);
	sscanf(lk_buf_cstr(&taken), "<6>{\"time\":\"%*4d-%*2d-%*2dT%*2d:%*2d:"
	    "%*2d.%*3dZ\",\"level%n", &end);
	assert_true(end > 0);
}

static void
json_ends_with_the_records_own_keys(void **state)
{
	const struct lk_log_field fields[] = {
		{ .key = "total_ms", .is_number = true, .number = 0 },
		{ .key = "task", .text = NULL },
		{ .key = "doing", .text = "SELECT \"v\"" },
	};
	struct lk_log_about about = { .fields = fields, .n_fields = 3 };
	const char *line;

	(void)state;
	lk_log_about(&about, LK_LOG_INFO, "slow");
	line = taken_line(&json_form);
	assert_string_equal(strstr(line, ",\"text\""), ",\"text\":\"slow\","
	    "\"total_ms\":0,\"task\":null,\"doing\":\"SELECT \\\"v\\\"\"}\n");
	lk_log_about(&about, LK_LOG_INFO, "slow");
	assert_string_equal(taken_line(&text_form), "info: slow\n");
}

static const struct {
	const char	*text;		/* what was logged */
	const char	*json;		/* what stands in the quotes */
} strings[] = {
	{ "", "" },
	{ "\"quoted\\", "\\\"quoted\\\\" },
	{ "a\nb\tc\001\177", "a\\u000ab\\u0009c\\u0001\\u007f" },
	/* two, three and four bytes, first and last of their length */
	{ "\xc2\x80 \xdf\xbf", "\xc2\x80 \xdf\xbf" },
	{ "\xe0\xa0\x80 \xef\xbf\xbf", "\xe0\xa0\x80 \xef\xbf\xbf" },
	{ "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf",
	    "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf" },
	/* no first byte; cut short, at the end and before it */
	{ "a\x80z\xffz", "a\\ufffdz\\ufffdz" },
	{ "\xe2\x82", "\\ufffd\\ufffd" },
	{ "\xe2\x82\"", "\\ufffd\\ufffd\\\"" },
	{ "\xc3", "\\ufffd" },
	/* longer than needed; half of a pair; beyond the last */
	{ "\xc0\xaf", "\\ufffd\\ufffd" },
	{ "\xe0\x9f\xbf", "\\ufffd\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" },
	{ "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xf5\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
};

static void
json_is_valid_whatever_the_bytes(void **state)
{
	char wanted[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		lk_log(LK_LOG_INFO, "%s", strings[i].text);
		snprintf(wanted, sizeof(wanted), "\"text\":\"%s\"}\n",
		    strings[i].json);
		assert_string_equal(strstr(taken_line(&json_form),
		    "\"text\""), wanted);
	}
}

/* ---- threads ---- */

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

	while (lk_log_wait()) {
		lk_log_take(&text_form, all, &n_dropped);
		n_lost += n_dropped;
	}
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
		LOG_TEST(woken_writer_finds_nothing_to_take),
		LOG_TEST(text_says_what_a_record_is_about),
		LOG_TEST(each_level_has_its_priority),
		LOG_TEST(json_has_a_key_for_each_and_null_for_none),
		LOG_TEST(json_ends_with_the_records_own_keys),
		LOG_TEST(json_is_valid_whatever_the_bytes),
		LOG_TEST(sleeping_reader_gets_each_threads_records_in_order),
		LOG_TEST(without_a_writer_records_go_to_stderr),
		LOG_TEST(logging_while_holding_a_mutex_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
