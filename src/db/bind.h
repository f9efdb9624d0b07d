/*
 * Values of a unit's items that are columns of other items' rows (struct
 * lk_param, from): which rows are to be kept for them, when they can be had, and
 * what they are.
 */
#ifndef LK_DB_BIND_H
#define LK_DB_BIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/role.h"
#include "db/run.h"

/* Let each run keep its row that another's value is to come from. */
void	lk_bind_keep_rows(struct lk_exec *exec) LK_ON_WORKER;
/* Whether one of its values is of a run behind the first n, whose replies are
 * known. */
bool	lk_bind_waits(const struct lk_run *run, size_t n) LK_ON_WORKER;
/* run->params, where any are such.  False: one is not to be had, and the item's
 * error says why. */
bool	lk_bind_columns(struct lk_run *run) LK_ON_WORKER;

#endif
