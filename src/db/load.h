/*
 * Related rows: the statements that an item's WITH adds.  They go out once what
 * they depend on has been answered, those of one level together.  What becomes
 * of them is the item's: its error, its size, its end.
 */
#ifndef LK_DB_LOAD_H
#define LK_DB_LOAD_H

#include <stdbool.h>

#include "base/role.h"
#include "db/run.h"

/* Whether some of its loads may be still to come. */
bool	lk_load_is_due(const struct lk_run *run) LK_ON_WORKER;
/*
 * All that was sent for it has been answered: send what can be asked now.
 * True: a Sync belongs behind it.
 */
bool	lk_load_send(struct lk_run *run) LK_ON_WORKER;
/* As if none had been sent. */
void	lk_load_forget(struct lk_run *run) LK_ON_WORKER;

#endif
