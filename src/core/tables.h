/*
 * The tables that core is made from, printed: a line for each row, its columns
 * separated by tabs.  lockkeeperd(8) says what the columns are, the manual is
 * made from them.
 */
#ifndef LK_CORE_TABLES_H
#define LK_CORE_TABLES_H

#include "base/buf.h"

void	lk_tables_verbs(struct lk_buf *out);	/* verbs.def */
void	lk_tables_hello(struct lk_buf *out);	/* hello.def */
void	lk_tables_envelope(struct lk_buf *out);	/* envelope.def */
void	lk_tables_pushes(struct lk_buf *out);	/* pushes.def */
void	lk_tables_stats(struct lk_buf *out);	/* stats.def */
void	lk_tables_replies(struct lk_buf *out);	/* replies.def */
/* show.def, and behind it what stats and error show beside. */
void	lk_tables_show(struct lk_buf *out);

#endif
