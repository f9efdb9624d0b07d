/*
 * A job that is a unit (offload/cross.h), on its session: one transaction, under
 * one Sync.  What does not depend on what comes before it goes out at once, and
 * COMMIT with it where nothing behind it could still fail the unit.  An answer
 * is waited for where
 *
 * - a value is another item's column: that one's row;
 * - an item is_must: its reply, before anything behind it is sent;
 * - a reply could turn out not to be one: too large, or ONE's without its row.
 *   Not so a single row's: that takes the place of an error in the unit's reply.
 *
 * A group's items may be one statement (db/together.h), which is sent as a whole.
 *
 * After an error the server skips the rest, COMMIT included, and ROLLBACK
 * follows.  A unit that failed because something was prepared in other times is
 * run once more.
 */
#ifndef LK_DB_UNIT_H
#define LK_DB_UNIT_H

#include "base/role.h"
#include "db/exec.h"

/* Until all items are filled in and the session has no transaction open. */
void	lk_exec_run_unit(struct lk_exec *exec) LK_ON_WORKER;

#endif
