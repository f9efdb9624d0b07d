/*
 * The log's writer: one thread that empties base/log.h's ring to where the
 * config's group log says.
 */
#ifndef LK_OPS_LOGSINK_H
#define LK_OPS_LOGSINK_H

#include "base/config.h"
#include "base/error.h"

/* 0; or -LK_E_IO and the error, when the target cannot be opened or there is
 * no thread: then records go on straight to stderr. */
int	lk_logsink_start(const struct lk_config *config,
	    struct lk_error *error);
/*
 * From now on as this config says; a file is opened anew in any case, which is
 * how it is rotated.  Does not wait for the disk: the writer opens it, and when
 * it cannot, goes on where it wrote before and says so there.  Copies what it
 * needs of config.
 */
void	lk_logsink_apply(const struct lk_config *config);
/*
 * Write what is left and end the thread; does nothing when there is none.
 * Waits two seconds at most: when the target takes nothing, the rest is lost.
 */
void	lk_logsink_stop(void);

#endif
