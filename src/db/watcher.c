#include "db/watcher.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "base/log.h"
#include "db/look.h"
#include "db/pgerror.h"
#include "db/session.h"

/* Without a session, one is tried for at most so often. */
#define RETRY_US	LK_US_PER_S

struct watcher {
	struct lk_session session;
	struct lk_thread *thread;
	const struct lk_db_args *args;
	struct lk_list	 mail;		/* not answered yet */
	uint64_t	 tried_us;	/* when connecting was begun last; 0: never */
	struct lk_error	 error;		/* why there is no session */
};

/* ---- answers without a session ---- */

static LK_ON_WORKER void
refuse(struct watcher *watcher, struct lk_msg *msg)
{
	struct lk_look *look;

	if (msg->kind == LK_MSG_LOOK) {
		look = lk_container(msg, struct lk_look, msg);
		look->failed = true;
		lk_pgerror_set_lost(&look->error, watcher->error.is_set ?
		    watcher->error.message : "it is ending");
	} else {
		lk_container(msg, struct lk_cancel, msg)->failed = true;
	}
	lk_thread_post(watcher->thread, msg);
}

static LK_ON_WORKER void
refuse_all(struct watcher *watcher)
{
	struct lk_list *it, *following;

	LK_LIST_EACH(&watcher->mail, it, following) {
		lk_list_remove(it);
		refuse(watcher, lk_container(it, struct lk_msg, link));
	}
}

/* Cancels first: they are few, quick, and somebody waits for them. */
static void
on_mail(void *ctx, struct lk_list *mail)
{
	struct watcher *watcher = ctx;
	struct lk_list *it, *following;

	lk_assert_worker();
	LK_LIST_EACH(mail, it, following) {
		struct lk_msg *msg = lk_container(it, struct lk_msg, link);

		lk_list_remove(it);
		lk_assert(msg->kind == LK_MSG_LOOK ||
		    msg->kind == LK_MSG_CANCEL || msg->kind == LK_MSG_STOP);
		if (msg->kind == LK_MSG_STOP)
			watcher->session.is_stopping = true;
		else if (msg->kind == LK_MSG_CANCEL)
			lk_list_prepend(&watcher->mail, it);
		else
			lk_list_append(&watcher->mail, it);
	}
}

/* ---- the session ---- */

static LK_ON_WORKER bool
is_open(const struct watcher *watcher)
{
	return watcher->session.conn != NULL;
}

static LK_ON_WORKER void
say_open(const struct lk_session *session)
{
	struct lk_log_about about = { .pid = PQbackendPID(session->conn) };

	lk_log_about(&about, LK_LOG_DEBUG, "the lock watcher has a session");
}

static LK_ON_WORKER void
connect_now(struct watcher *watcher)
{
	struct lk_session *session = &watcher->session;
	uint64_t now_us = lk_clock_us();
	int rc;

	if (watcher->tried_us != 0 && now_us < watcher->tried_us + RETRY_US)
		return;
	watcher->tried_us = now_us;
	rc = lk_session_open(session, watcher->args, "lockkeeper watcher",
	    &watcher->error);
	if (rc == 0) {
		lk_error_fini(&watcher->error);
		rc = lk_look_prepare(session, &watcher->error);
		if (rc < 0)
			lk_session_close(session);
	}
	if (rc == 0)
		say_open(session);
	else if (!session->is_stopping)
		lk_log(LK_LOG_WARNING, "the lock watcher has no session: %s",
		    watcher->error.message);
}

static LK_ON_WORKER void
lose(struct watcher *watcher, const char *words)
{
	lk_pgerror_set_lost(&watcher->error, words);
	lk_session_close(&watcher->session);
}

static LK_ON_WORKER void
answer(struct watcher *watcher, struct lk_msg *msg)
{
	struct lk_look *look;
	int rc;

	if (!is_open(watcher)) {
		refuse(watcher, msg);
		return;
	}
	if (msg->kind == LK_MSG_LOOK) {
		look = lk_container(msg, struct lk_look, msg);
		rc = lk_look_take(&watcher->session, look);
	} else {
		rc = lk_look_cancel(&watcher->session,
		    lk_container(msg, struct lk_cancel, msg));
	}
	if (rc < 0)
		lose(watcher, PQerrorMessage(watcher->session.conn));
	lk_thread_post(watcher->thread, msg);
}

static LK_ON_WORKER void
wait_for_mail(struct watcher *watcher)
{
	struct lk_session *session = &watcher->session;
	unsigned came = lk_session_wait(session,
	    is_open(watcher) ? LK_WAIT_READABLE : 0, LK_NEVER);

	if ((came & LK_WAIT_READABLE) && !lk_session_read(session))
		lose(watcher, lk_session_words(session));
}

void
lk_watcher_main(struct lk_thread *thread)
{
	struct watcher watcher = { .thread = thread, .args = thread->arg };
	struct lk_list *first;

	lk_assert_worker();
	lk_list_init(&watcher.mail);
	lk_session_init(&watcher.session, thread, on_mail, &watcher);
	/* Before it is asked: the first verdict would have to wait for it. */
	connect_now(&watcher);
	while (!watcher.session.is_stopping) {
		if (lk_list_is_empty(&watcher.mail)) {
			wait_for_mail(&watcher);
			continue;
		}
		if (!is_open(&watcher))
			connect_now(&watcher);
		/* Connecting may have taken it, and a stop may have come. */
		if (lk_list_is_empty(&watcher.mail) ||
		    watcher.session.is_stopping)
			continue;
		first = watcher.mail.next;
		lk_list_remove(first);
		answer(&watcher, lk_container(first, struct lk_msg, link));
	}
	refuse_all(&watcher);
	if (is_open(&watcher))
		lk_session_close(&watcher.session);
	lk_error_fini(&watcher.error);
}
