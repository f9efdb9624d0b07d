/*
 * What the benchmarks share.  What fails ends the program with its reason.
 */
#ifndef LK_BENCH_H
#define LK_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "resp/value.h"

void	bench_die(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));
double	bench_now_us(void);
/* For qsort() of doubles. */
int	bench_compare(const void *a, const void *b);

/* ---- direct ---- */

PGconn	*bench_connect(const char *conninfo);
void	bench_exec(PGconn *conn, const char *sql);

/* ---- a connection to the daemon on which all requests have tags ---- */

struct bench_link {
	int		 fd;		/* does not block */
	struct lk_buf	 in, out;
	size_t		 n_decoded;	/* bytes at the start of in */
};

void	bench_open_link(struct bench_link *link, const char *path);
void	bench_close_link(struct bench_link *link);
/* Send what is in link->out, as much as goes. */
void	bench_send_some(struct bench_link *link);
/* Take in what is there. */
void	bench_read_some(struct bench_link *link);
/*
 * The next whole reply of those taken in: [reply, tag, value].  The caller ends
 * it with lk_value_fini().
 */
bool	bench_next_reply(struct bench_link *link, struct lk_value *reply_out);

#endif
