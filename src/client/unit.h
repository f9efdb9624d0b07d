/* Units, encoded as far as they are the same for every sending.  Pure. */
#ifndef LK_CLIENT_UNIT_H
#define LK_CLIENT_UNIT_H

#include <lockkeeper.h>

#include "base/buf.h"

/* One request: elements of its own, which those of the sending precede. */
struct lk_unit_part {
	size_t	n_elements;
	size_t	end;		/* in bytes; it begins where the last one ends */
};

struct lk_unit {
	struct lk_buf	 bytes;
	struct lk_unit_part *parts;	/* heap; the first is MULTI */
	size_t		 n_parts;
	size_t		 cap_parts;
};

/*
 * Append words to buf as elements of a request; an element whose word is NULL
 * is a null.  lens NULL: all are strings.
 */
void	lk_unit_put_words(struct lk_buf *buf, size_t n_words,
	    const char *const *words, const size_t *lens);
/* One element: a sign and what stands behind it. */
void	lk_unit_put_signed(struct lk_buf *buf, char sign, const char *text);
/* Append the envelope's rows and flags as elements; how many. */
size_t	lk_unit_put_form(struct lk_buf *buf, const char *rows, unsigned flags);
/* The envelope as far as it goes, in a whole one; false when it is none. */
bool	lk_unit_read_envelope(struct lk_envelope *to,
	    const struct lk_envelope *envelope);

#endif
