/* Replies as text for people, or as JSON for programs.  Pure. */
#ifndef LK_CLI_PRINT_H
#define LK_CLI_PRINT_H

#include "client/client.h"

/*
 * Whole lines.  An array of maps with the same keys is a table, or, where that
 * would be wider than max_width (0: no limit), one block of lines for each
 * row.  Scalars look as redis-cli prints them; a push is a line.
 */
void	lk_print_human(struct lk_buf *out, const struct lk_value *value,
	    size_t max_width);
/* One line, without its end; doubles that JSON lacks are strings. */
void	lk_print_json(struct lk_buf *out, const struct lk_value *value);
/* A push as one line, without its end. */
void	lk_print_push(struct lk_buf *out, const struct lk_value *push);

#endif
