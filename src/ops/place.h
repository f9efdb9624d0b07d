/*
 * A group of a config file and the struct that its keys fill: reading by the
 * rows of ops/config.def.  For ops' own files.
 */
#ifndef LK_OPS_PLACE_H
#define LK_OPS_PLACE_H

#include <libconfig.h>

#include "base/error.h"
#include "ops/key.h"

/* Of one file. */
struct lk_reader {
	const char	*path;
	struct lk_error	*error;
};

struct lk_place {
	const char	*group;		/* as in ops/config.def; "": the file */
	config_setting_t *setting;	/* NULL when the file leaves it out */
	unsigned	 line;
	enum lk_key_scope scope;
	void		*base;
};

/* -LK_E_INVAL, and error "FILE:LINE: group.key: what"; without a key where that
 * is "". */
int	lk_place_fail(const struct lk_reader *reader, unsigned line,
	    const char *group, const char *key, const char *what);
/* Whether all in it is known: 0 or -LK_E_INVAL, as of those that follow. */
int	lk_place_check(const struct lk_reader *reader,
	    const struct lk_place *place);
/* Fill the fields of its own keys. */
int	lk_place_read(const struct lk_reader *reader,
	    const struct lk_place *place);
/* The group inside it that is called name. */
struct lk_place lk_place_inside(const struct lk_place *outer, const char *name,
	    const char *group);
/* Where the key is, or else the group. */
unsigned lk_place_line(const struct lk_place *place, const char *key);
/*
 * A list of groups; *n_out is their number, 0 where the file leaves it out.
 * what: a list as it should be.
 */
int	lk_place_list(const struct lk_reader *reader, config_setting_t *list,
	    const char *group, const char *what, size_t *n_out);

#endif
