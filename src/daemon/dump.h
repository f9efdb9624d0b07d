/*
 * --dump: the tables that the daemon is made from, as text.  The manual's
 * tables come from it (man/tables), and what the lints compare.
 */
#ifndef LK_DAEMON_DUMP_H
#define LK_DAEMON_DUMP_H

#include "base/buf.h"
#include "base/error.h"

/*
 * Append the table's rows, a line each, separated by tabs.  0, or -LK_E_INVAL
 * and error, which names the tables that there are.
 */
int	lk_dump(const char *table, struct lk_buf *out, struct lk_error *error);
/* The names of all tables, a blank before each. */
void	lk_dump_names(struct lk_buf *out);

#endif
