/*
 * Several requests as one statement (struct lk_together): send it, and give each
 * item the rows that are its own.
 */
#ifndef LK_DB_TOGETHER_H
#define LK_DB_TOGETHER_H

#include <stdbool.h>

#include "base/role.h"
#include "db/exec.h"

/*
 * Reads, under a Sync of their own.
 * True: all items are filled in, or the session is lost, or the statement was
 * cancelled.  False: the job has no such statement, or it has failed, and each
 * item is to be asked alone.
 */
bool	lk_together_run(struct lk_exec *exec) LK_ON_WORKER;

/*
 * A group's, whose BEGIN, COMMIT and Sync are the caller's, as are the errors, in
 * exec->together.  False: there is one already, and nothing was sent.  Once that
 * has been done: fill in the items.
 */
bool	lk_together_send(struct lk_exec *exec) LK_ON_WORKER;
void	lk_together_settle(struct lk_exec *exec) LK_ON_WORKER;
/* Free what was kept for either. */
void	lk_together_forget(struct lk_exec *exec) LK_ON_WORKER;

#endif
