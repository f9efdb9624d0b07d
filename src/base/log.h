/*
 * Log front: what every layer writes to.  A record is formatted by its thread
 * into a bounded ring; one writer thread (ops/logsink.h) empties it, so that
 * no other thread ever waits for a disk or a terminal.  When the ring is full
 * the record is dropped and counted, and the writer says how many were.
 * Until a writer is attached, and in tools without one, records go straight to
 * stderr.
 */
#ifndef LK_BASE_LOG_H
#define LK_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum lk_log_level {
	LK_LOG_ERROR,
	LK_LOG_WARNING,
	LK_LOG_INFO,
	LK_LOG_DEBUG,
};

/* Bytes the ring holds at most; past that records are dropped. */
#define LK_LOG_RING_BYTES	(256 * 1024)

/* Records of a higher level than this are not even formatted. */
void	lk_log_set_level(enum lk_log_level level);
bool	lk_log_is_on(enum lk_log_level level);

/* One line, without its end.  Any thread; not while holding an lk_mutex. */
void	lk_log(enum lk_log_level level, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* For the writer thread. */
void	lk_log_attach(void);	/* from now on records go into the ring */
/*
 * Wait for records and move them into out, one finished line each; with
 * n_dropped_out the number dropped since the last call.  False once detached
 * and empty.
 */
bool	lk_log_take(struct lk_buf *out, uint64_t *n_dropped_out);
void	lk_log_detach(void);	/* wakes the writer, which then ends */

#endif
