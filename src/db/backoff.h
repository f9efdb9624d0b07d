/*
 * How long to wait between attempts to connect: twice as long each time, up to
 * a limit, and a quarter more or less, so that threads which lost their server
 * together do not come back together.
 */
#ifndef LK_DB_BACKOFF_H
#define LK_DB_BACKOFF_H

#include <stdint.h>

#include "base/role.h"
#include "db/session.h"

struct lk_backoff {
	uint64_t	 next_us;
	unsigned	 seed;
};

void	lk_backoff_init(struct lk_backoff *backoff, unsigned seed)
	    LK_ON_WORKER;
/* The session that was got is of use: begin anew. */
void	lk_backoff_reset(struct lk_backoff *backoff) LK_ON_WORKER;
/* Block, for mail also, until the time is over or the session's is_stopping. */
void	lk_backoff_wait(struct lk_backoff *backoff, struct lk_session *session)
	    LK_ON_WORKER;

#endif
