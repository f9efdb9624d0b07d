/* The limit of open files, of which every connection takes one. */
#ifndef LK_OPS_FILES_H
#define LK_OPS_FILES_H

#include "base/config.h"
#include "base/error.h"

/*
 * Raise it to what the config's clients and sessions need.  0; or -LK_E_LIMIT
 * when that is more than is allowed, with what would help in error.
 */
int	lk_files_allow(const struct lk_config *config, struct lk_error *error);

#endif
