/*
 * Log front: what every layer writes to.  A record is put into words by its
 * thread and goes into a bounded ring; one writer thread (ops/logsink.h) makes
 * lines of the ring's records, so that no other thread ever waits for a disk
 * or a terminal.  When the ring is full the record is dropped and counted, and
 * the writer says how many were.  Until a writer is attached, and in tools
 * without one, records go straight to stderr, as text.
 *
 * Words of a client's (parameters, literals, a server's error about them) may
 * stand in records of level debug only.
 */
#ifndef LK_BASE_LOG_H
#define LK_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum lk_log_level {
	LK_LOG_ERROR,
	LK_LOG_WARNING,
	LK_LOG_INFO,
	LK_LOG_DEBUG,
};

enum lk_log_format {
	LK_LOG_TEXT,
	LK_LOG_JSON,
};

/* How records become lines; lockkeeperd(8) has the words. */
struct lk_log_form {
	enum lk_log_format format;
	bool		 has_priority;	/* "<6>" first, and in text no time: the
					   journal reads it, and has its own */
};

/* What the text says in words, as a key of its own; in JSON only. */
struct lk_log_field {
	const char	*key;
	bool		 is_number;
	uint64_t	 number;
	const char	*text;		/* NULL: null, unless is_number */
};

/* What a record is about.  Numbers: 0 where there is none, or it is unknown. */
struct lk_log_about {
	uint64_t	 client;	/* number of the connection */
	uint64_t	 tx;		/* handle of the transaction */
	int		 pid;		/* of the session, in PostgreSQL */
	const struct lk_log_field *fields;
	size_t		 n_fields;
};

/* Bytes the ring holds at most; past that records are dropped. */
#define LK_LOG_RING_BYTES	(256 * 1024)

/* Records of a higher level than this are not even formatted. */
void	lk_log_set_level(enum lk_log_level level);
bool	lk_log_is_on(enum lk_log_level level);

/*
 * One record, without a line end, about the connection, transaction or session
 * that it concerns, or about none of them.  Any thread; not while holding an
 * lk_mutex.
 */
void	lk_log_about(const struct lk_log_about *about,
	    enum lk_log_level level, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
void	lk_log(enum lk_log_level level, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* For the writer thread. */
void	lk_log_attach(void);	/* from now on records go into the ring */
/*
 * Wait for something to take, or for lk_log_wake().  False once detached and
 * empty.
 */
bool	lk_log_wait(void);
/*
 * Move the records there are into out, one finished line each; with
 * n_dropped_out the number dropped since the last call.
 */
void	lk_log_take(const struct lk_log_form *form, struct lk_buf *out,
	    uint64_t *n_dropped_out);
void	lk_log_wake(void);	/* any thread: lk_log_wait() returns true */
void	lk_log_detach(void);	/* wakes the writer, which then ends */

#endif
