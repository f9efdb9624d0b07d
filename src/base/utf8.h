/* Whether bytes are text: UTF-8 as PostgreSQL takes it. */
#ifndef LK_BASE_UTF8_H
#define LK_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Bytes of the character that text begins with; 0: it begins with none. */
size_t	lk_utf8_len(const char *text, size_t n);
bool	lk_utf8_is_text(const char *text, size_t n);
/*
 * Somebody's text for an error's: in quotes, with ? for control bytes and for
 * what is none, and cut behind the last character within max_bytes.
 */
void	lk_utf8_show(struct lk_buf *out, const char *text, size_t n,
	    size_t max_bytes);
/* Somebody's text whole: control bytes and what is none as "\xe9". */
void	lk_utf8_escape(struct lk_buf *out, const char *text, size_t n);

#endif
