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
	LK_KEY_MODEL,		/* … in struct lk_config_model */
	LK_KEY_RELATION,	/* … in struct lk_config_relation */
};

/* How the file has a value. */
enum lk_key_form {
	LK_KEY_STRING,
	LK_KEY_INTEGER,
	LK_KEY_BOOLEAN,
	LK_KEY_NAMES,		/* ["a", "b"]; as text, a line each */
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
	bool		 reloads;	/* RELOAD applies a change of it */
	const char	*help;
};

extern const struct lk_key lk_keys[];
extern const size_t lk_n_keys;

enum lk_key_form lk_key_form(const struct lk_key *key);
/* The name of its type; where it takes one of several words, "these|words". */
void	lk_key_put_type(const struct lk_key *key, struct lk_buf *out);

/*
 * Set the key's field of base (the struct its scope says) from text.  0, or
 * -LK_E_INVAL with what is wrong with the text appended to why, and nothing
 * set.
 */
int	lk_key_set(const struct lk_key *key, void *base, const char *text,
	    struct lk_buf *why);
/* Whether the field is the same in both structs. */
bool	lk_key_is_same(const struct lk_key *key, const void *a, const void *b);
/* Give the field of `to` the value that `from` has. */
void	lk_key_copy(const struct lk_key *key, void *to, const void *from);
/* Free what the field holds, if it holds memory. */
void	lk_key_clear(const struct lk_key *key, void *base);
/* The field's value as text that lk_key_set() takes; secrets masked. */
void	lk_key_print(const struct lk_key *key, const void *base,
	    struct lk_buf *out);
/* What lk_key_set() accepts, in words. */
void	lk_key_describe(const struct lk_key *key, struct lk_buf *out);

#endif
