/*
 * Reads by key, and UPDATEs of a row that can be one, which differ in their values
 * alone.  What was compiled for one of them serves all: a plan each, without
 * compiling, and one statement that does all of them at once.
 *
 * Pure.
 */
#ifndef LK_ORM_KEYED_H
#define LK_ORM_KEYED_H

#include "orm/verb.h"

/*
 * A shape: the words of a request, its model's snapshot, and the form of its
 * reply.  It must not outlive the snapshot that its plan was made with.
 */
struct lk_keyed {
	enum lk_orm_verb verb;
	struct lk_format format;
	struct lk_arg	*args;		/* heap; data NULL: any value */
	size_t		 n_args;
	char		*text;		/* heap; what args point into */
	struct lk_plan	 plan;		/* its parameters without values */
	size_t		*arg_of;	/* heap; which of the arguments each of the
					   plan's parameters is */
	/*
	 * Does n of them at once.  Its parameters are as many as the plan's,
	 * each an array of n, and the last column of its rows is the place in
	 * the arrays, from 1.  UPDATEs are to mean the same row.  NULL: some
	 * type has no arrays that could be sent.
	 */
	char		*sql;		/* heap */
	uint32_t	*types;		/* heap; of the arrays: oids */
};

/*
 * The plan is what the call was compiled to.  NULL: it is none of those, or it is
 * too long to be worth remembering.
 */
struct lk_keyed *lk_keyed_new(const struct lk_catalog *catalog,
	    const struct lk_verb_call *call, const struct lk_plan *plan);
void	lk_keyed_free(struct lk_keyed **keyed);

/* Equal for all calls of one shape. */
uint64_t lk_keyed_hash(const struct lk_verb_call *call);
/* Whether the call is of that shape, and its values are ones that the compiler
 * would take. */
bool	lk_keyed_fits(const struct lk_keyed *keyed,
	    const struct lk_verb_call *call);
/*
 * What such a call would be compiled to; *plan_out must hold nothing.  Its
 * parameters are in few, where that is enough, and all else is the shape's: for
 * lk_keyed_forget_plan(), before these are gone.
 */
#define LK_KEYED_FEW	2
void	lk_keyed_plan(const struct lk_keyed *keyed, const struct lk_arg *args,
	    struct lk_plan_param few[LK_KEYED_FEW], struct lk_plan *plan_out);
void	lk_keyed_forget_plan(struct lk_plan *plan);

#endif
