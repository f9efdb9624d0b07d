#include "ops/logsink.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define STOP_WAIT_S	2

static pthread_t writer;
static bool is_running;

static void
write_all(const char *bytes, size_t n)
{
	ssize_t done;

	while (n > 0) {
		done = write(STDERR_FILENO, bytes, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;		/* nobody is left to be told */
		bytes += done;
		n -= (size_t)done;
	}
}

static void *
run(void *arg)
{
	struct lk_buf lines = LK_BUF_INIT;
	uint64_t n_dropped;

	(void)arg;
	while (lk_log_take(&lines, &n_dropped)) {
		if (!lines.broken)
			write_all(lines.data, lines.len);
		lk_buf_fini(&lines);
		if (n_dropped > 0)
			lk_log(LK_LOG_WARNING, "%" PRIu64 " lines lost: stderr "
			    "is slower than the log", n_dropped);
	}
	lk_buf_fini(&lines);
	return NULL;
}

int
lk_logsink_start(void)
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
		return -LK_E_IO;
	}
	pthread_setname_np(writer, "log");
	is_running = true;
	return 0;
}

void
lk_logsink_stop(void)
{
	struct timespec until;

	if (!is_running)
		return;
	is_running = false;
	lk_log_detach();
	/* A reader of stderr that stands still may not keep us from ending. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_S;
	pthread_timedjoin_np(writer, NULL, &until);
}
