/* Passwords in libpq's connection strings, kept from other people's eyes. */
#ifndef LK_OPS_MASK_H
#define LK_OPS_MASK_H

#include "base/buf.h"

/*
 * Append conninfo, in either of libpq's forms, with each password replaced by
 * ********; in the same form, so that libpq still takes it.  Where the string
 * is malformed, rather too much is hidden than too little.
 */
void	lk_mask_conninfo(const char *conninfo, struct lk_buf *out);

#endif
