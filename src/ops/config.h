/*
 * Reads lockkeeper.conf (libconfig syntax, units in the values) into a
 * struct lk_config.  Keys are rows of ops/config.def, from which reading,
 * --show-config and --dump config come.
 */
#ifndef LK_OPS_CONFIG_H
#define LK_OPS_CONFIG_H

#include "base/buf.h"
#include "base/config.h"
#include "base/error.h"

/*
 * 0 and *config_out, to be freed by lk_config_free(); or -LK_E_INVAL and error
 * "FILE:LINE: key: what is wrong; what is accepted" (no key where the syntax is
 * wrong); or -LK_E_IO or -LK_E_LIMIT and error "FILE: why".
 */
int	lk_config_load(const char *path, struct lk_config **config_out,
	    struct lk_error *error);
void	lk_config_free(struct lk_config **config);
/*
 * Read the file again while `running` is in force.  As lk_config_load(); but
 * what only a start can change keeps its running value, and the keys that the
 * file would have otherwise are named in ignored, separated by ", ".
 */
int	lk_config_reload(const char *path, const struct lk_config *running,
	    struct lk_config **config_out, struct lk_buf *ignored,
	    struct lk_error *error);
/* config->rows anew from its fields. */
void	lk_config_fill_rows(struct lk_config *config);
/* Take these (heap, or NULL and 0) and free those before. */
void	lk_config_set_databases(struct lk_config *config,
	    struct lk_config_database *databases, size_t n);
void	lk_config_set_rows(struct lk_config *config,
	    struct lk_config_row *rows, size_t n);
/* The effective values as a config file; passwords in conninfo are masked. */
void	lk_config_show(const struct lk_config *config, struct lk_buf *out);
/*
 * The rows of ops/config.def, a line each, separated by tabs: group, key,
 * type (or its words, separated by "|"), default ("-" when the key must be
 * given), min, max ("-" when there is none), whether reloading applies it (yes
 * or no), help.
 */
void	lk_config_dump(struct lk_buf *out);

#endif
