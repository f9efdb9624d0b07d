/*
 * References: in a unit that has given a marker with REF, a value that begins
 * with it is no value but a column of the row that a verb before has replied.
 * Behind the marker stand the verb's number in the unit, a dot, and the column:
 * with the marker $ as in $2.id.  Pure.
 */
#ifndef LK_ORM_REF_H
#define LK_ORM_REF_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "resp/request.h"

#define LK_REF_MAX_MARKER	16

/* What a verb's values may refer to. */
struct lk_ref_scope {
	const char	*marker;	/* NULL: to nothing */
	uint32_t	 first, end;	/* verbs with these numbers, but not end */
};

struct lk_row_ref {
	uint32_t	 verb;
	struct lk_arg	 column;	/* a part of the argument, up to its end */
};

/*
 * Returns
 *   0             arg is a value
 *   1             it is a reference, *ref_out
 *   -LK_E_INVAL   it begins like one: error (SYNTAX) says what is wrong
 */
int	lk_row_ref_parse(const struct lk_ref_scope *scope,
	    const struct lk_arg *arg, struct lk_row_ref *ref_out,
	    struct lk_error *error);

#endif
