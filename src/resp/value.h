/*
 * Reply decoder: any RESP2 or RESP3 value as a tree, for clients and tests.
 * Pure and incremental like resp/request.h.
 */
#ifndef LK_RESP_VALUE_H
#define LK_RESP_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum lk_value_type {
	LK_VALUE_NULL,
	LK_VALUE_BOOL,
	LK_VALUE_INT,
	LK_VALUE_DOUBLE,	/* text and n hold it as sent */
	LK_VALUE_BULK,
	LK_VALUE_SIMPLE,
	LK_VALUE_ERROR,		/* text is the line or blob, without its sign */
	LK_VALUE_ARRAY,
	LK_VALUE_MAP,		/* items: key, value, key, value … */
	LK_VALUE_PUSH,
};

struct lk_value {
	enum lk_value_type type;
	int64_t		 integer;	/* INT, and BOOL as 0 or 1 */
	char		*text;		/* NUL-terminated; text types */
	size_t		 n_text;
	struct lk_value	*items;		/* ARRAY, MAP, PUSH */
	size_t		 n_items;	/* elements: twice the pairs of a map */
};

/* Nesting at most: our replies nest 7 deep, and tags and pushes add two. */
#define LK_VALUE_MAX_DEPTH	16

/*
 * Decode the value that begins at bytes[0] into *value_out, which
 * lk_value_fini() frees.  0, -LK_E_AGAIN, -LK_E_INVAL, -LK_E_NOMEM as in
 * lk_request_decode().
 */
int	lk_value_decode(const char *bytes, size_t n, struct lk_value *value_out,
	    size_t *used_out, struct lk_error *error);
/*
 * The one block of the heap that holds all below the root, values and texts;
 * NULL when there is nothing.  For who keeps a part of the tree and frees the
 * block itself.
 */
void	*lk_value_block(const struct lk_value *root);
void	lk_value_fini(struct lk_value *root);

#endif
