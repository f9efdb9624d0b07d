/*
 * The one row that a statement locks, where its values name it by the primary
 * key, and how: known before it is sent, so that who wants the same row can wait
 * in the daemon instead of in PostgreSQL.
 *
 * Pure.
 */
#ifndef LK_ORM_KEY_H
#define LK_ORM_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* PostgreSQL's row locks, the weakest first. */
#define LK_STRENGTHS(X)							\
	X(NONE, "none")							\
	X(KEY_SHARE, "key share")					\
	X(SHARE, "share")						\
	X(NO_KEY_UPDATE, "no key update")				\
	X(UPDATE, "update")

enum lk_strength {
#define LK_STRENGTH(symbol, word) LK_STRENGTH_##symbol,
	LK_STRENGTHS(LK_STRENGTH)
#undef LK_STRENGTH
	LK_STRENGTH__N,
};

/* Keys of more bytes than this are none: their rows are locked unforeseen. */
#define LK_KEY_MAX	200

struct lk_row_lock {
	enum lk_strength strength;	/* at most; NONE: which row it locks, if
					   any, is not known */
	enum lk_strength sure;		/* at least: an UPDATE that leaves a key's
					   column as it was does not lock the key */
	bool		 is_conditional; /* it may do without the row: IF */
	bool		 is_impatient;	/* likewise, and never waits for it: NOWAIT,
					   SKIP LOCKED */
	bool		 is_plain;	/* of an ordinary table: a row that came
					   back is locked */
	bool		 may_make;	/* the row, where there is none: UPSERT */
	bool		 is_simple;	/* UPDATE of columns that nothing else hangs
					   on: no index, foreign key or trigger */
};

struct lk_plan;

/* Whether both cannot be held at once. */
bool	lk_strengths_conflict(enum lk_strength a, enum lk_strength b);
const char *lk_strength_word(enum lk_strength strength);

/*
 * The row's name: two plans that give the same bytes mean the same row of the
 * same database.  The other way round does not hold: a row may go by several
 * names, where its key's type knows more than one text for a value.  False: it
 * has none, and nothing was appended.
 */
bool	lk_key_of(const struct lk_plan *plan, struct lk_buf *key_out);
/* What such a name says: the table's oid, and for people the values, "7" or
 * "7, red". */
uint32_t lk_key_table(const char *key);
void	lk_key_words(const char *key, size_t n, struct lk_buf *out);

#endif
