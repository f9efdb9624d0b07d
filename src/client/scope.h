/*
 * The transaction that somebody's requests are in: a task's, or a blocking
 * connection's.  Nothing leaves it unsaid: when it is lost with its
 * connection, what was meant for it fails until its end is asked for.
 */
#ifndef LK_CLIENT_SCOPE_H
#define LK_CLIENT_SCOPE_H

#include <lockkeeper.h>

#include "client/verb.h"

struct lk_scope {
	int64_t		 tx;		/* 0: none */
	unsigned	 epoch;		/* of the connection that it is on */
};

/*
 * Before a request is sent: put it into the transaction when it joins one.
 * NULL, or the reply that it gets instead of being sent.
 */
struct lk_reply *lk_scope_enter(struct lk_scope *scope,
	    const struct lk_conn *conn, const struct lk_verb_traits *traits,
	    struct lk_envelope *envelope);
/* The same before a unit, which is a transaction of its own. */
struct lk_reply *lk_scope_enter_unit(const struct lk_scope *scope);
/*
 * When its reply has come.  task is the name of the owner, or NULL.  A
 * transaction whose COMMIT failed is rolled back.
 */
void	lk_scope_leave(struct lk_scope *scope, struct lk_conn *conn,
	    const struct lk_verb_traits *traits, const char *task,
	    const struct lk_reply *reply);
/* Nobody is left who could end it. */
void	lk_scope_abandon(struct lk_scope *scope, struct lk_conn *conn,
	    const char *task);

#endif
