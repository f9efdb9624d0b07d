/*
 * A database's catalog as a snapshot: a few statements over all of it at once,
 * in one transaction, so that all they say was true at one instant.
 */
#ifndef LK_DB_CATALOG_H
#define LK_DB_CATALOG_H

#include "base/role.h"
#include "db/session.h"
#include "offload/cross.h"

/* Fills read.  Is_set of its error may also mean that the session is lost. */
void	lk_catalog_read_wait(struct lk_session *session,
	    struct lk_catalog_read *read) LK_ON_WORKER;

#endif
