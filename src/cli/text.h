/*
 * Text for a terminal: what comes from a database may hold anything, and
 * none of it may move the cursor or pass for something else.
 */
#ifndef LK_CLI_TEXT_H
#define LK_CLI_TEXT_H

#include <stddef.h>

#include "base/buf.h"

/* Once, before the others: widths need a locale that knows Unicode. */
void	lk_text_init(void);

/* Columns that n bytes take, which must come from the functions below. */
size_t	lk_text_width(const char *text, size_t n);
/* Control characters as \n, \t, \x1b …, bytes that are no UTF-8 as \xff. */
void	lk_text_escape(struct lk_buf *out, const char *text, size_t n);
/* The same within "…", with \" and \\. */
void	lk_text_quote(struct lk_buf *out, const char *text, size_t n);
/* A JSON string; bytes that are no UTF-8 become U+FFFD. */
void	lk_text_json(struct lk_buf *out, const char *text, size_t n);

#endif
