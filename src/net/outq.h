/*
 * Bytes that wait to be sent on a connection: a queue of chunks.  Small pieces
 * are joined; large ones are kept as they came and never copied.
 */
#ifndef LK_NET_OUTQ_H
#define LK_NET_OUTQ_H

#include <stddef.h>

#include "base/buf.h"
#include "base/list.h"

struct lk_outq {
	struct lk_list	chunks;
	size_t		n_bytes;	/* not sent yet */
};

void	lk_outq_init(struct lk_outq *queue);
void	lk_outq_fini(struct lk_outq *queue);

/*
 * Take the contents of bytes, which is empty after.  0, or -LK_E_NOMEM when
 * they are not whole: then the stream cannot go on.
 */
int	lk_outq_append(struct lk_outq *queue, struct lk_buf *bytes);
/* Append a copy of a few bytes.  0, or -LK_E_NOMEM likewise. */
int	lk_outq_put(struct lk_outq *queue, const void *bytes, size_t n);
/*
 * Send once, without blocking, what fits and not too much of it at a time.  0
 * even when nothing could be sent; -LK_E_IO when the peer is gone.
 */
int	lk_outq_send(struct lk_outq *queue, int fd);

#endif
