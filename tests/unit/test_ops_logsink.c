/* The log's writer: where lines go, and how that is changed. */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "ops/logsink.h"

#define PATIENCE_MS	20000

static char directory[] = "/tmp/lksinkXXXXXX";
static char path[64], moved[64], nowhere[64];
static struct lk_config config;

static int
make_directory(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/log", directory);
	snprintf(moved, sizeof(moved), "%s/log.1", directory);
	snprintf(nowhere, sizeof(nowhere), "%s/none/log", directory);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int
set_up(void **state)
{
	(void)state;
	config = (struct lk_config){
		.log_level = LK_LOG_INFO,
		.log_target = path,
	};
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	lk_logsink_stop();
	unlink(path);
	unlink(moved);
	return 0;
}

static void
start(void)
{
	struct lk_error error = { 0 };

	assert_int_equal(lk_logsink_start(&config, &error), 0);
	assert_false(error.is_set);
}

/* What the file holds; "" when there is none. */
static const char *
text_of(const char *name)
{
	static char text[4096];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* The writer takes its time; its file tells when it is done. */
static void
wait_for(const char *name, const char *words)
{
	int i;

	for (i = 0; strstr(text_of(name), words) == NULL; i++) {
		assert_true(i < PATIENCE_MS);
		poll(NULL, 0, 1);
	}
}

/* ---- files ---- */

static void
file_is_made_and_appended_to(void **state)
{
	const char *text;
	mode_t before = umask(0);
	struct stat st;

	(void)state;
	start();
	umask(before);
	lk_log(LK_LOG_INFO, "one");
	lk_logsink_stop();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	start();
	lk_log(LK_LOG_INFO, "two");
	lk_logsink_stop();
	text = text_of(path);
	assert_non_null(strstr(text, "info: one\n"));
	assert_non_null(strstr(text, "info: two\n"));
}

static void
unopenable_target_is_an_error_with_its_name(void **state)
{
	struct lk_error error = { 0 };

	(void)state;
	config.log_target = nowhere;
	assert_int_equal(lk_logsink_start(&config, &error), -LK_E_IO);
	assert_non_null(strstr(error.message, "log.target: "));
	assert_non_null(strstr(error.message, nowhere));
	assert_non_null(strstr(error.message, "No such file or directory"));
	lk_error_fini(&error);
	config.log_target = directory;
	assert_int_equal(lk_logsink_start(&config, &error), -LK_E_IO);
	assert_non_null(strstr(error.message, "Is a directory"));
	lk_error_fini(&error);
}

static void
unread_fifo_is_an_error_and_no_wait(void **state)
{
	struct lk_error error = { 0 };

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(lk_logsink_start(&config, &error), -LK_E_IO);
	assert_non_null(strstr(error.message, path));
	lk_error_fini(&error);
}

/* ---- new settings ---- */

static void
moved_file_is_left_for_a_new_one(void **state)
{
	(void)state;
	start();
	lk_log(LK_LOG_INFO, "before");
	wait_for(path, "before");
	assert_int_equal(rename(path, moved), 0);
	lk_log(LK_LOG_INFO, "between");
	wait_for(moved, "between");
	lk_logsink_apply(&config);
	lk_log(LK_LOG_INFO, "after");
	lk_logsink_stop();
	assert_null(strstr(text_of(moved), "after"));
	assert_non_null(strstr(text_of(path), "info: after\n"));
	assert_null(strstr(text_of(path), "between"));
}

static void
level_target_and_format_change(void **state)
{
	(void)state;
	start();
	lk_log(LK_LOG_DEBUG, "unseen");
	lk_log(LK_LOG_INFO, "first");
	wait_for(path, "first");
	config.log_level = LK_LOG_DEBUG;
	config.log_target = moved;
	config.log_format = LK_LOG_JSON;
	lk_logsink_apply(&config);
	lk_log(LK_LOG_DEBUG, "second");
	lk_logsink_stop();
	assert_null(strstr(text_of(path), "unseen"));
	assert_null(strstr(text_of(path), "second"));
	assert_non_null(strstr(text_of(moved), "\"text\":\"second\"}\n"));
}

static void
unopenable_new_target_is_said_and_changes_nothing(void **state)
{
	(void)state;
	start();
	config.log_target = nowhere;
	lk_logsink_apply(&config);
	lk_log(LK_LOG_INFO, "goes on");
	wait_for(path, "info: goes on\n");
	wait_for(path, "error: log.target: ");
	assert_non_null(strstr(text_of(path), nowhere));
}

static void
last_of_several_changes_wins(void **state)
{
	(void)state;
	start();
	config.log_target = nowhere;
	lk_logsink_apply(&config);
	config.log_target = moved;
	lk_logsink_apply(&config);
	lk_log(LK_LOG_INFO, "here");
	lk_logsink_stop();
	assert_non_null(strstr(text_of(moved), "here"));
}

/* ---- stderr ---- */

static void
log_one_line(void *arg)
{
	struct lk_error error = { 0 };

	if (arg != NULL)
		setenv("JOURNAL_STREAM", arg, 1);
	config.log_target = (char *)"stderr";
	if (lk_logsink_start(&config, &error) < 0)
		_exit(1);
	lk_log(LK_LOG_WARNING, "a line");
	lk_logsink_stop();
}

static const char *
line_on_stderr(bool is_journal)
{
	static char text[200];
	char stream[64];
	struct stat st;
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fstat(ends[1], &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino + (is_journal ? 0 : 1));
	assert_int_equal(unit_run_in_child(log_one_line, stream, ends[1]), 0);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	assert_true(n > 0);
	text[n] = '\0';
	return text;
}

static void
journal_gets_priorities_and_no_time(void **state)
{
	(void)state;
	assert_string_equal(line_on_stderr(true), "<4>warning: a line\n");
	config.log_format = LK_LOG_JSON;
	assert_int_equal(strncmp(line_on_stderr(true), "<4>{\"time\":\"", 12),
	    0);
}

/* The variable is inherited: it may mean a stream of who started us. */
static void
other_stream_than_the_journals_gets_times(void **state)
{
	const char *line;

	(void)state;
	line = line_on_stderr(false);
	assert_int_equal(line[0], '2');
	assert_non_null(strstr(line, "Z warning: a line\n"));
}

/* As a terminal's other programs may leave it. */
static void
non_blocking_stderr_loses_nothing(void **state)
{
	char text[65536];
	int ends[2], i, n_lines = 0;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct lk_error error = { 0 };

		dup2(ends[1], STDERR_FILENO);
		config.log_target = (char *)"stderr";
		if (lk_logsink_start(&config, &error) < 0)
			_exit(1);
		for (i = 0; i < 2000; i++)
			lk_log(LK_LOG_INFO, "%064d", i);
		lk_logsink_stop();
		_exit(0);
	}
	close(ends[1]);
	/* It has more to say than the pipe holds. */
	assert_int_equal(poll(&(struct pollfd){ ends[0], POLLIN, 0 }, 1,
	    PATIENCE_MS), 1);
	while ((n = read(ends[0], text, sizeof(text))) > 0) {
		for (i = 0; i < n; i++)
			n_lines += text[i] == '\n';
	}
	close(ends[0]);
	assert_int_equal(waitpid(pid, &i, 0), pid);
	assert_int_equal(i, 0);
	assert_int_equal(n_lines, 2000);
}

#define SINK_TEST(test)	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SINK_TEST(file_is_made_and_appended_to),
		SINK_TEST(unopenable_target_is_an_error_with_its_name),
		SINK_TEST(unread_fifo_is_an_error_and_no_wait),
		SINK_TEST(moved_file_is_left_for_a_new_one),
		SINK_TEST(level_target_and_format_change),
		SINK_TEST(unopenable_new_target_is_said_and_changes_nothing),
		SINK_TEST(last_of_several_changes_wins),
		SINK_TEST(journal_gets_priorities_and_no_time),
		SINK_TEST(other_stream_than_the_journals_gets_times),
		SINK_TEST(non_blocking_stderr_loses_nothing),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
