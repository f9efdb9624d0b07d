#include "offload/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/die.h"
#include "base/error.h"

int
lk_mailbox_init(struct lk_mailbox *box)
{
	box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (box->fd < 0)
		return -LK_E_IO;
	lk_mutex_init(&box->mutex);
	lk_list_init(&box->mail);
	return 0;
}

void
lk_mailbox_fini(struct lk_mailbox *box)
{
	lk_assert(lk_list_is_empty(&box->mail));
	close(box->fd);
	lk_mutex_fini(&box->mutex);
}

/*
 * The write cannot fail: the counter would have to reach 2^64 - 1, and it is
 * read before the box is emptied.
 */
static void
ring(struct lk_mailbox *box)
{
	uint64_t one = 1;
	ssize_t n;

	do {
		n = write(box->fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	lk_assert(n == (ssize_t)sizeof(one));
}

void
lk_mailbox_post(struct lk_mailbox *box, struct lk_msg *msg)
{
	bool was_empty;

	lk_mutex_lock(&box->mutex);
	was_empty = lk_list_is_empty(&box->mail);
	lk_list_append(&box->mail, &msg->link);
	if (was_empty)
		ring(box);	/* inside: the receiver may free the box after */
	lk_mutex_unlock(&box->mutex);
}

/*
 * The counter is cleared first: mail posted between the two steps is either
 * taken here or rings again, never forgotten.
 */
void
lk_mailbox_take(struct lk_mailbox *box, struct lk_list *out)
{
	uint64_t n;

	while (read(box->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	lk_mutex_lock(&box->mutex);
	lk_list_splice(out, &box->mail);
	lk_mutex_unlock(&box->mutex);
}

int
lk_mailbox_fd(const struct lk_mailbox *box)
{
	return box->fd;
}
