/*
 * The text of a config file, read and looked over before libconfig sees it:
 * libconfig takes integers modulo 2^32 without a word, ends quietly at a NUL
 * or inside a comment, and would read other files for @include.
 */
#ifndef LK_OPS_CONFTEXT_H
#define LK_OPS_CONFTEXT_H

#include "base/buf.h"
#include "base/error.h"

#define LK_CONFTEXT_MAX_BYTES	(1024 * 1024)

/*
 * Append the file's text.  0; -LK_E_IO when it cannot be read and -LK_E_LIMIT
 * when it is too large, with error "FILE: …"; -LK_E_INVAL when it holds what
 * is said above, with error "FILE:LINE: …".
 */
int	lk_conftext_read(const char *path, struct lk_buf *text,
	    struct lk_error *error);

#endif
