#include "db/reader.h"

#include "base/die.h"
#include "base/heap.h"
#include "db/catalog.h"
#include "db/pgerror.h"
#include "db/session.h"

struct reader {
	struct lk_session session;
	const struct lk_db_args *args;
	struct lk_catalog_read *read;	/* in its hands, or NULL */
};

static void
on_mail(void *ctx, struct lk_list *mail)
{
	struct reader *reader = ctx;
	struct lk_list *it, *following;

	lk_assert_worker();
	LK_LIST_EACH(mail, it, following) {
		struct lk_msg *msg = lk_container(it, struct lk_msg, link);

		lk_list_remove(it);
		lk_assert(msg->kind == LK_MSG_CATALOG ||
		    msg->kind == LK_MSG_STOP);
		if (msg->kind == LK_MSG_STOP)
			reader->session.is_stopping = true;
		else
			reader->read = lk_container(msg,
			    struct lk_catalog_read, msg);
	}
}

static LK_ON_WORKER void
wait_for_mail(struct reader *reader)
{
	lk_session_wait(&reader->session, 0, LK_NEVER);
}

static LK_ON_WORKER void
read_now(struct reader *reader)
{
	struct lk_session *session = &reader->session;
	struct lk_error *error = &reader->read->error;

	if (lk_session_open(session, reader->args, "lockkeeper catalog",
	    error) == 0) {
		lk_catalog_read_wait(session, reader->read);
		lk_session_close(session);
	}
	if (reader->read->catalog == NULL && !reader->read->is_unchanged &&
	    !error->is_set)
		lk_pgerror_set_lost(error, "the daemon is stopping");
}

void
lk_reader_main(struct lk_thread *thread)
{
	struct reader reader = { .args = thread->arg };

	lk_assert_worker();
	lk_session_init(&reader.session, thread, on_mail, &reader);
	while (reader.read == NULL)
		wait_for_mail(&reader);
	read_now(&reader);
	lk_thread_post(thread, &reader.read->msg);
	while (!reader.session.is_stopping)
		wait_for_mail(&reader);
}
