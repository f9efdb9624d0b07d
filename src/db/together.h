/*
 * Several requests' reads as one statement (struct lk_together): ask, and give
 * each item the rows that are its own.
 */
#ifndef LK_DB_TOGETHER_H
#define LK_DB_TOGETHER_H

#include <stdbool.h>

#include "base/role.h"
#include "db/exec.h"

/*
 * True: all items are filled in, or the session is lost, or the statement was
 * cancelled.  False: the job has no such statement, or it has failed, and each
 * item is to be asked alone.
 */
bool	lk_together_run(struct lk_exec *exec) LK_ON_WORKER;

#endif
