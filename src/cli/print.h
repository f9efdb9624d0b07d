/* Replies as text for people, or as JSON for programs.  Pure. */
#ifndef LK_CLI_PRINT_H
#define LK_CLI_PRINT_H

#include <lockkeeper.h>

#include "base/buf.h"

/*
 * Whole lines.  An array of maps with the same keys is a table, or, where that
 * would be wider than max_width (0: no limit), one block of lines for each
 * row.  Scalars look as redis-cli prints them; a push is a line.
 */
void	lk_print_human(struct lk_buf *out, const struct lk_reply *value,
	    size_t max_width);
/* "KIND SQLSTATE message", control characters shown. */
void	lk_print_error(struct lk_buf *out, const struct lk_reply *error);
/* One line, without its end; doubles that JSON lacks are strings. */
void	lk_print_json(struct lk_buf *out, const struct lk_reply *value);
/* Whether it is the reply to a request with a tag, which has three elements. */
bool	lk_print_is_tagged(const struct lk_reply *value);
/* A push as one line, without its end. */
void	lk_print_push(struct lk_buf *out, const struct lk_reply *push);

#endif
