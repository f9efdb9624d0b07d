/*
 * What a client has to know of the verbs by itself: which join a transaction,
 * and what may have become of one whose reply never came.  Pure.
 */
#ifndef LK_CLIENT_VERB_H
#define LK_CLIENT_VERB_H

#include <stdbool.h>
#include <stddef.h>

enum lk_verb_part {
	LK_VERB_OTHER,
	LK_VERB_BEGINS,		/* a transaction */
	LK_VERB_COMMITS,	/* ends it, for good or bad */
	LK_VERB_ROLLS_BACK,	/* all of it */
};

struct lk_verb_traits {
	enum lk_verb_part part;
	bool	joins;		/* # may stand before it */
	bool	is_lasting;	/* outside a transaction: may leave something */
	bool	is_confirmed;	/* by pushes in place of a reply, without a tag */
};

/* Of the request's words, without its envelope. */
struct lk_verb_traits lk_verb_traits(size_t n_words,
	    const char *const *words, const size_t *lens);

#endif
