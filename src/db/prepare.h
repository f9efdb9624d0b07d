/*
 * A client's statement on its way to the server: prepared under a name when it
 * is worth that, its parameters described where they must be, bound and sent.
 * And what follows when the name or the types have become wrong meanwhile: it
 * is run once more at most, and only where nothing was done before it.
 */
#ifndef LK_DB_PREPARE_H
#define LK_DB_PREPARE_H

#include <libpq-fe.h>

#include "base/role.h"
#include "db/run.h"

/*
 * Send it.  When exec->describing is set then, the rest follows as soon as the
 * server has described it, and lk_exec_described() is called.
 */
void	lk_prepare_send(struct lk_run *run) LK_ON_WORKER;

/*
 * The server's ERROR for it: whether that may be because it was prepared in
 * other times.  Sets run->again, for when its Sync has been answered.
 */
void	lk_prepare_judge(struct lk_run *run, const PGresult *res) LK_ON_WORKER;

/*
 * After LK_RUN_AGAIN_IF_RETYPED, where what was done before it is gone: prepare
 * it anew, and set run->was_retyped as soon as the server has described it.
 */
void	lk_prepare_compare(struct lk_run *run) LK_ON_WORKER;

#endif
