/*
 * Where a reply ends.  A tree of values cannot be decoded in part, and trying
 * again from its start at every read would cost the square of its size; this
 * walks over the headers once, whatever the pieces the bytes come in.
 * Pure; one owner.
 */
#ifndef LK_CLIENT_FRAME_H
#define LK_CLIENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct lk_frame {
	size_t	at;		/* where the next header begins */
	size_t	n_pending;	/* values still to come; 0: it is whole */
};

/* A reply begins at the first byte that is looked at next. */
void	lk_frame_init(struct lk_frame *frame);
/*
 * Whether bytes[0..n) hold the whole reply.  Call again with the same start
 * and more.  True as well for bytes that are no RESP: decoding says what is
 * wrong with them.
 */
bool	lk_frame_is_whole(struct lk_frame *frame, const char *bytes, size_t n);

#endif
