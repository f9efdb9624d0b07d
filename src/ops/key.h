/*
 * A key of lockkeeper.conf as a row of ops/config.def, and its values as text.
 */
#ifndef LK_OPS_KEY_H
#define LK_OPS_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum lk_key_scope {
	LK_KEY_ONCE,		/* field is in struct lk_config */
	LK_KEY_DATABASE,	/* field is in struct lk_config_database */
};

struct lk_key_type;

struct lk_key {
	enum lk_key_scope scope;
	const char	*group;		/* "listen", "databases.workers" */
	const char	*key;
	const struct lk_key_type *type;
	size_t		 offset;	/* of the field */
	const char	*initial;	/* the default; NULL: must be given */
	const char	*min;		/* NULL: not a matter of range */
	const char	*max;
	const char	*help;
};

extern const struct lk_key lk_keys[];
extern const size_t lk_n_keys;

/* Whether the file has the value as a bare integer, not as a string. */
bool	lk_key_is_integer(const struct lk_key *key);
const char *lk_key_type_name(const struct lk_key *key);

/*
 * Set the key's field of base (the struct its scope says) from text.  0, or
 * -LK_E_INVAL with what is wrong with the text appended to why, and nothing
 * set.
 */
int	lk_key_set(const struct lk_key *key, void *base, const char *text,
	    struct lk_buf *why);
/* Free what the field holds, if it holds memory. */
void	lk_key_clear(const struct lk_key *key, void *base);
/* The field's value as text that lk_key_set() takes; secrets masked. */
void	lk_key_print(const struct lk_key *key, const void *base,
	    struct lk_buf *out);
/* What lk_key_set() accepts, in words. */
void	lk_key_describe(const struct lk_key *key, struct lk_buf *out);

#endif
