#include "net/outq.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/die.h"
#include "base/error.h"

/* Pieces up to this size are joined, into chunks up to that. */
#define SMALL_BYTES	4096
#define JOINED_BYTES	(32 * 1024)

/* Of one connection's turn, so that a fast reader does not hold the loop. */
#define SEND_BYTES	(256 * 1024)
#define SEND_CHUNKS	64

struct chunk {
	struct lk_list	link;
	struct lk_buf	buf;
	size_t		n_sent;
};

void
lk_outq_init(struct lk_outq *queue)
{
	lk_list_init(&queue->chunks);
	queue->n_bytes = 0;
}

static struct chunk *
chunk_of(struct lk_list *link)
{
	return lk_container(link, struct chunk, link);
}

static void
free_chunk(struct chunk *chunk)
{
	lk_list_remove(&chunk->link);
	lk_buf_fini(&chunk->buf);
	free(chunk);
}

void
lk_outq_fini(struct lk_outq *queue)
{
	while (!lk_list_is_empty(&queue->chunks))
		free_chunk(chunk_of(queue->chunks.next));
	queue->n_bytes = 0;
}

static struct chunk *
add_chunk(struct lk_outq *queue)
{
	struct chunk *chunk = lk_xcalloc(1, sizeof(*chunk));

	lk_list_append(&queue->chunks, &chunk->link);
	return chunk;
}

int
lk_outq_put(struct lk_outq *queue, const void *bytes, size_t n)
{
	struct chunk *last = chunk_of(queue->chunks.prev);

	if (lk_list_is_empty(&queue->chunks) ||
	    last->buf.len + n > JOINED_BYTES)
		last = add_chunk(queue);
	lk_buf_append(&last->buf, bytes, n);
	queue->n_bytes += n;
	return last->buf.broken ? -LK_E_NOMEM : 0;
}

int
lk_outq_append(struct lk_outq *queue, struct lk_buf *bytes)
{
	int rc = bytes->broken ? -LK_E_NOMEM : 0;

	if (rc == 0 && bytes->len > SMALL_BYTES) {
		queue->n_bytes += bytes->len;
		lk_buf_move(&add_chunk(queue)->buf, bytes);
	} else if (rc == 0) {
		rc = lk_outq_put(queue, bytes->data, bytes->len);
	}
	lk_buf_fini(bytes);
	return rc;
}

static size_t
gather(const struct lk_outq *queue, struct iovec *iov)
{
	struct lk_list *it;
	size_t n = 0, room = SEND_BYTES;

	for (it = queue->chunks.next; it != &queue->chunks &&
	    n < SEND_CHUNKS && room > 0; it = it->next, n++) {
		struct chunk *chunk = chunk_of(it);
		size_t left = chunk->buf.len - chunk->n_sent;

		iov[n].iov_base = chunk->buf.data + chunk->n_sent;
		iov[n].iov_len = left < room ? left : room;
		room -= iov[n].iov_len;
	}
	return n;
}

static void
retire(struct lk_outq *queue, size_t n_sent)
{
	struct chunk *first;
	size_t left;

	queue->n_bytes -= n_sent;
	while (n_sent > 0) {
		first = chunk_of(queue->chunks.next);
		left = first->buf.len - first->n_sent;
		if (n_sent < left) {
			first->n_sent += n_sent;
			return;
		}
		n_sent -= left;
		free_chunk(first);
	}
}

int
lk_outq_send(struct lk_outq *queue, int fd)
{
	struct iovec iov[SEND_CHUNKS];
	struct msghdr msg = { .msg_iov = iov };
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t n;

	if (queue->n_bytes == 0)
		return 0;
	msg.msg_iovlen = gather(queue, iov);
	do {
		/* Of several parts the kernel has more to look at. */
		n = msg.msg_iovlen == 1 ?
		    send(fd, iov[0].iov_base, iov[0].iov_len, flags) :
		    sendmsg(fd, &msg, flags);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		retire(queue, (size_t)n);
	else if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
		return -LK_E_IO;
	return 0;
}
