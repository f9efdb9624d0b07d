#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/mutex.h"

/* The ring: finished lines, and how many did not fit. */
static struct lk_mutex ring_mutex = { PTHREAD_MUTEX_INITIALIZER };
static pthread_cond_t ring_filled = PTHREAD_COND_INITIALIZER;
static struct lk_buf ring_lines LK_GUARDED_BY(ring_mutex);
static uint64_t ring_dropped LK_GUARDED_BY(ring_mutex);

static atomic_bool is_attached;
static _Atomic enum lk_log_level threshold = LK_LOG_INFO;

static const char *const level_words[] = {
	[LK_LOG_ERROR] = "error",
	[LK_LOG_WARNING] = "warning",
	[LK_LOG_INFO] = "info",
	[LK_LOG_DEBUG] = "debug",
};

void
lk_log_set_level(enum lk_log_level level)
{
	threshold = level;
}

bool
lk_log_is_on(enum lk_log_level level)
{
	return level <= threshold;
}

static void
append_time(struct lk_buf *line)
{
	struct timespec ts;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	lk_buf_printf(line, "%s.%03ldZ", text, ts.tv_nsec / 1000000);
}

static bool
is_ring_empty(void) LK_TSA(requires_capability(ring_mutex))
{
	return ring_lines.len == 0 && ring_dropped == 0;
}

/*
 * False when there is no writer.  It may have gone since the caller looked;
 * under the mutex nobody goes, and no record is left behind in the ring.
 */
static bool
put_in_ring(const struct lk_buf *line)
{
	bool has_writer;

	lk_mutex_lock(&ring_mutex);
	has_writer = is_attached;
	if (has_writer && is_ring_empty())
		pthread_cond_signal(&ring_filled);
	if (!has_writer)
		;	/* the caller writes it */
	else if (line->len > LK_LOG_RING_BYTES - ring_lines.len)
		ring_dropped++;
	else
		lk_buf_append(&ring_lines, line->data, line->len);
	if (ring_lines.broken) {
		ring_lines.broken = false;	/* what it held is still whole */
		ring_dropped++;
	}
	lk_mutex_unlock(&ring_mutex);
	return has_writer;
}

void
lk_log(enum lk_log_level level, const char *fmt, ...)
{
	struct lk_buf line = LK_BUF_INIT;
	va_list ap;
	size_t start, i;

	if (!lk_log_is_on(level))
		return;
	append_time(&line);
	lk_buf_printf(&line, " %s: ", level_words[level]);
	start = line.len;
	va_start(ap, fmt);
	lk_buf_vprintf(&line, fmt, ap);
	va_end(ap);
	for (i = start; i < line.len; i++) {
		if (line.data[i] == '\n' || line.data[i] == '\r')
			line.data[i] = ' ';
	}
	lk_buf_putc(&line, '\n');
	if (line.broken)
		;	/* no memory for a log line: nothing better to do */
	else if (!is_attached || !put_in_ring(&line))
		fwrite(line.data, 1, line.len, stderr);
	lk_buf_fini(&line);
}

void
lk_log_attach(void)
{
	is_attached = true;
}

bool
lk_log_take(struct lk_buf *out, uint64_t *n_dropped_out)
{
	bool found;

	lk_mutex_lock(&ring_mutex);
	while (is_ring_empty() && is_attached)
		lk_mutex_wait(&ring_mutex, &ring_filled);
	found = !is_ring_empty();
	lk_buf_append(out, ring_lines.data, ring_lines.len);
	lk_buf_truncate(&ring_lines, 0);
	*n_dropped_out = ring_dropped;
	ring_dropped = 0;
	lk_mutex_unlock(&ring_mutex);
	return found;
}

void
lk_log_detach(void)
{
	lk_mutex_lock(&ring_mutex);
	is_attached = false;
	pthread_cond_signal(&ring_filled);
	lk_mutex_unlock(&ring_mutex);
}
