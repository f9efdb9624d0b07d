#include "ops/logsink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/die.h"
#include "base/log.h"
#include "base/mutex.h"

#define STOP_WAIT_S	2
#define FILE_MODE	0640

/* Where lines go: the writer's own, once it runs. */
static struct {
	char		*target;
	int		 fd;
	struct lk_log_form form;
	bool		 is_failing;	/* the last write was */
} sink = { NULL, STDERR_FILENO, { LK_LOG_TEXT, false }, false };

/* Where they shall go: from lk_logsink_apply() to the writer. */
static struct lk_mutex wanted_mutex = { PTHREAD_MUTEX_INITIALIZER };
static struct wanted {
	char		*target;	/* heap; NULL: nothing new */
	enum lk_log_format format;
} wanted LK_GUARDED_BY(wanted_mutex);

static pthread_t writer;
static bool is_running;

/* ---- targets ---- */

/* The journal says in the environment which of a program's streams is its. */
static bool
is_journal(int fd)
{
	const char *said = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return said != NULL &&
	    sscanf(said, "%ju:%ju", &device, &inode) == 2 &&
	    fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* A descriptor, or -1 and errno. */
static int
open_target(const char *target)
{
	if (strcmp(target, "stderr") == 0)
		return STDERR_FILENO;
	/* Not even opening it may wait, as that of an unread FIFO would. */
	return open(target, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC, FILE_MODE);
}

static void
close_target(void)
{
	if (sink.fd != STDERR_FILENO)
		close(sink.fd);
	free(sink.target);
	sink.target = NULL;
	sink.fd = STDERR_FILENO;
}

/* 0, or -LK_E_IO with errno, and then the target stays as it was. */
static int
use(const char *target, enum lk_log_format format)
{
	int fd = open_target(target);

	sink.form.format = format;
	if (fd < 0)
		return -LK_E_IO;
	close_target();
	sink.fd = fd;
	sink.target = lk_xstrdup(target);
	sink.form.has_priority = fd == STDERR_FILENO && is_journal(fd);
	sink.is_failing = false;
	return 0;
}

/* ---- the writer ---- */

static void
take_wanted(void)
{
	struct wanted taken;

	lk_mutex_lock(&wanted_mutex);
	taken = wanted;
	wanted.target = NULL;
	lk_mutex_unlock(&wanted_mutex);
	if (taken.target != NULL && use(taken.target, taken.format) < 0)
		lk_log(LK_LOG_ERROR, "log.target: %s: %s; the log stays at %s",
		    taken.target, strerror(errno), sink.target);
	free(taken.target);
}

static int
write_all(const char *bytes, size_t n)
{
	struct pollfd space = { .fd = sink.fd, .events = POLLOUT };
	ssize_t done;

	while (n > 0) {
		done = write(sink.fd, bytes, n);
		if (done < 0 && errno == EAGAIN)
			poll(&space, 1, -1);
		else if (done < 0 && errno != EINTR)
			return -LK_E_IO;
		if (done < 0)
			continue;
		bytes += done;
		n -= (size_t)done;
	}
	return 0;
}

/* A full disk costs lines, and stderr hears of it once. */
static void
write_lines(const struct lk_buf *lines)
{
	bool was_failing = sink.is_failing;

	sink.is_failing = write_all(lines->data, lines->len) < 0;
	if (sink.is_failing && !was_failing && sink.fd != STDERR_FILENO)
		dprintf(STDERR_FILENO, "lockkeeperd: log.target: %s: %s; lines "
		    "are lost\n", sink.target, strerror(errno));
}

static void *
run(void *arg)
{
	struct lk_buf lines = LK_BUF_INIT;
	uint64_t n_dropped;

	(void)arg;
	while (lk_log_wait()) {
		take_wanted();
		lk_log_take(&sink.form, &lines, &n_dropped);
		if (!lines.broken)
			write_lines(&lines);
		lk_buf_fini(&lines);
		if (n_dropped > 0)
			lk_log(LK_LOG_WARNING, "%" PRIu64 " lines lost: %s "
			    "is slower than the log", n_dropped, sink.target);
	}
	return NULL;
}

static int
start_writer(void)
{
	sigset_t all, before;
	int rc;

	/* Before the writer asks, which would end it at once. */
	lk_log_attach();
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&writer, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		lk_log_detach();
		errno = rc;
		return -LK_E_IO;
	}
	pthread_setname_np(writer, "log");
	is_running = true;
	return 0;
}

/* ---- for the loop ---- */

int
lk_logsink_start(const struct lk_config *config, struct lk_error *error)
{
	lk_log_set_level(config->log_level);
	if (use(config->log_target, config->log_format) < 0) {
		lk_error_set(error, LK_ERR_SYNTAX, "log.target: %s: %s",
		    config->log_target, strerror(errno));
		return -LK_E_IO;
	}
	if (start_writer() < 0) {
		lk_error_set(error, LK_ERR_SYNTAX, "no thread for the log: %s",
		    strerror(errno));
		close_target();
		return -LK_E_IO;
	}
	return 0;
}

void
lk_logsink_apply(const struct lk_config *config)
{
	char *target = lk_xstrdup(config->log_target);

	lk_log_set_level(config->log_level);
	lk_mutex_lock(&wanted_mutex);
	free(wanted.target);
	wanted.target = target;
	wanted.format = config->log_format;
	lk_mutex_unlock(&wanted_mutex);
	lk_log_wake();
}

void
lk_logsink_stop(void)
{
	struct timespec until;

	if (!is_running)
		return;
	is_running = false;
	lk_log_detach();
	/* A reader that stands still may not keep us from ending. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_S;
	if (pthread_timedjoin_np(writer, NULL, &until) == 0)
		close_target();
}
