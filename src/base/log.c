#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/logline.h"
#include "base/mutex.h"

/*
 * The ring: records as they are in memory, each a struct lk_logline and its
 * bytes, and how many did not fit.
 */
static struct lk_mutex ring_mutex = { PTHREAD_MUTEX_INITIALIZER };
static pthread_cond_t ring_filled = PTHREAD_COND_INITIALIZER;
static struct lk_buf ring LK_GUARDED_BY(ring_mutex);
static uint64_t ring_dropped LK_GUARDED_BY(ring_mutex);
static bool ring_woken LK_GUARDED_BY(ring_mutex);

static atomic_bool is_attached;
static _Atomic enum lk_log_level threshold = LK_LOG_INFO;

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

/* ---- records ---- */

static void
put_record(struct lk_buf *out, const struct lk_log_about *about,
    enum lk_log_level level, const char *fmt, va_list ap)
{
	struct lk_logline line = {
		.level = level,
		.client = about->client,
		.tx = about->tx,
		.pid = about->pid,
	};

	clock_gettime(CLOCK_REALTIME, &line.at);
	lk_buf_append(out, &line, sizeof(line));
	lk_buf_vprintf(out, fmt, ap);
	line.n_text = out->len - sizeof(line);
	lk_logline_put_fields(out, about->fields, about->n_fields);
	line.n_members = out->len - sizeof(line) - line.n_text;
	if (!out->broken)
		memcpy(out->data, &line, sizeof(line));
}

static void
put_lines(struct lk_buf *out, const struct lk_log_form *form,
    const struct lk_buf *records)
{
	struct lk_logline line;
	const char *bytes;
	size_t at = 0;

	while (at < records->len) {
		memcpy(&line, records->data + at, sizeof(line));
		bytes = records->data + at + sizeof(line);
		lk_logline_put(out, form, &line, bytes);
		at += sizeof(line) + line.n_text + line.n_members;
	}
}

/* ---- the ring ---- */

static bool
is_ring_empty(void) LK_TSA(requires_capability(ring_mutex))
{
	return ring.len == 0 && ring_dropped == 0;
}

/*
 * False when there is no writer.  It may have gone since the caller looked;
 * under the mutex nobody goes, and no record is left behind in the ring.
 */
static bool
put_in_ring(const struct lk_buf *record)
{
	bool has_writer;

	lk_mutex_lock(&ring_mutex);
	has_writer = is_attached;
	if (has_writer && is_ring_empty())
		pthread_cond_signal(&ring_filled);
	if (!has_writer)
		;	/* the caller writes it */
	else if (record->len > LK_LOG_RING_BYTES - ring.len)
		ring_dropped++;
	else
		lk_buf_append(&ring, record->data, record->len);
	if (ring.broken) {
		ring.broken = false;	/* what it held is still whole */
		ring_dropped++;
	}
	lk_mutex_unlock(&ring_mutex);
	return has_writer;
}

static void
write_plainly(const struct lk_buf *record)
{
	const struct lk_log_form plain = { LK_LOG_TEXT, false };
	struct lk_buf lines = LK_BUF_INIT;

	put_lines(&lines, &plain, record);
	if (!lines.broken)
		fwrite(lines.data, 1, lines.len, stderr);
	lk_buf_fini(&lines);
}

static void
log_record(const struct lk_log_about *about, enum lk_log_level level,
    const char *fmt, va_list ap)
{
	struct lk_buf record = LK_BUF_INIT;

	put_record(&record, about, level, fmt, ap);
	if (record.broken)
		;	/* no memory for a record: nothing better to do */
	else if (!is_attached || !put_in_ring(&record))
		write_plainly(&record);
	lk_buf_fini(&record);
}

void
lk_log_about(const struct lk_log_about *about, enum lk_log_level level,
    const char *fmt, ...)
{
	va_list ap;

	if (!lk_log_is_on(level))
		return;
	va_start(ap, fmt);
	log_record(about, level, fmt, ap);
	va_end(ap);
}

void
lk_log(enum lk_log_level level, const char *fmt, ...)
{
	const struct lk_log_about nothing = { 0 };
	va_list ap;

	if (!lk_log_is_on(level))
		return;
	va_start(ap, fmt);
	log_record(&nothing, level, fmt, ap);
	va_end(ap);
}

/* ---- the writer ---- */

void
lk_log_attach(void)
{
	is_attached = true;
}

bool
lk_log_wait(void)
{
	bool has_work;

	lk_mutex_lock(&ring_mutex);
	while (is_ring_empty() && !ring_woken && is_attached)
		lk_mutex_wait(&ring_mutex, &ring_filled);
	has_work = !is_ring_empty() || ring_woken;
	ring_woken = false;
	lk_mutex_unlock(&ring_mutex);
	return has_work;
}

void
lk_log_take(const struct lk_log_form *form, struct lk_buf *out,
    uint64_t *n_dropped_out)
{
	struct lk_buf records = LK_BUF_INIT;

	lk_mutex_lock(&ring_mutex);
	lk_buf_move(&records, &ring);
	*n_dropped_out = ring_dropped;
	ring_dropped = 0;
	lk_mutex_unlock(&ring_mutex);
	put_lines(out, form, &records);
	lk_buf_fini(&records);
}

void
lk_log_wake(void)
{
	lk_mutex_lock(&ring_mutex);
	ring_woken = true;
	pthread_cond_signal(&ring_filled);
	lk_mutex_unlock(&ring_mutex);
}

void
lk_log_detach(void)
{
	lk_mutex_lock(&ring_mutex);
	is_attached = false;
	pthread_cond_signal(&ring_filled);
	lk_mutex_unlock(&ring_mutex);
}
