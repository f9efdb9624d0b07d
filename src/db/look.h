/*
 * What a watcher's session asks the server: who waits for locks, and to cancel
 * one.  Each answers from one instant; see db/locks.h for the join.
 */
#ifndef LK_DB_LOOK_H
#define LK_DB_LOOK_H

#include <stdint.h>

#include "base/error.h"
#include "base/role.h"
#include "db/session.h"
#include "offload/cross.h"

/* Prepare a session for both, once.  0; -LK_E_IO with error: close it. */
int	lk_look_prepare(struct lk_session *session, struct lk_error *error)
	    LK_ON_WORKER;

/*
 * Fill look in.  0, also when the server refused (look->failed says so); or
 * -LK_E_IO: the session is lost, look->error says why.
 */
int	lk_look_take(struct lk_session *session, struct lk_look *look)
	    LK_ON_WORKER;

/* The same for a cancel, which fails without words. */
int	lk_look_cancel(struct lk_session *session, struct lk_cancel *cancel)
	    LK_ON_WORKER;

#endif
