/*
 * Cleaning: what one client's SQL left in a session is gone before the next
 * one's runs there.  Goes out behind the last statement, under a Sync of its
 * own, so that it costs nobody a round trip.  DISCARD ALL would do the same
 * and drop our prepared statements too.
 */
#ifndef LK_DB_CLEAN_H
#define LK_DB_CLEAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/role.h"
#include "db/pipe.h"

struct lk_clean {
	struct lk_pipe	*pipe;
	size_t		 n_left;	/* sent and not answered */
	bool		 has_failed;	/* the last of them */
	struct lk_buf	 names;		/* of statements that SQL prepared, each
					   with its NUL */
};

/* What cleaning sends; NULL behind the last.  For bench/cleaning.c. */
extern const char *const lk_clean_statements[];

void	lk_clean_init(struct lk_clean *clean, struct lk_pipe *pipe)
	    LK_ON_WORKER;
void	lk_clean_fini(struct lk_clean *clean) LK_ON_WORKER;

/* Whether it is time for it though nothing was left behind: statements of ours
 * are to be given up. */
bool	lk_clean_is_due(const struct lk_clean *clean) LK_ON_WORKER;
/* Outside a transaction, behind everything sent before. */
void	lk_clean_send(struct lk_clean *clean) LK_ON_WORKER;
/*
 * Wait for what was sent; what failed (a cancel that came late can hit it) is
 * done once more.  0: clean and idle; -LK_E_IO: the session is lost.
 */
int	lk_clean_finish(struct lk_clean *clean) LK_ON_WORKER;

#endif
