#include "db/listen.h"

#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/backoff.h"
#include "db/pgerror.h"
#include "db/pipe.h"
#include "db/session.h"

/* A server that takes longer than this for the LISTENs that were asked for at
 * once is as good as gone. */
#define ANSWER_US	(5 * LK_US_PER_S)
/* So much is read ahead of what the loop has taken. */
#define AHEAD_BYTES	(64 * 1024)

struct listener {
	struct lk_session session;
	struct lk_thread *thread;
	const struct lk_db_args *args;
	struct lk_backoff backoff;
	bool		 is_up;		/* LK_NOTE_UP was posted, DOWN was not */
	bool		 was_used;	/* the session has answered a LISTEN */
	struct lk_listen *asked;	/* not answered yet, or NULL */
	struct lk_heard	*heard;		/* not posted yet, or NULL */
	bool		 is_heard_out;	/* the loop has the one before */
	struct lk_error	 error;		/* why there is no session */
};

/* ---- what it says ---- */

static LK_ON_WORKER void
post_note(struct listener *listener, enum lk_note_kind kind)
{
	struct lk_note *note = lk_note_new(kind);

	if (kind == LK_NOTE_UP) {
		note->backend_pid = listener->session.backend_pid;
		memcpy(note->server_id, listener->session.server_id,
		    sizeof(note->server_id));
	} else {
		lk_pgerror_set_lost(&note->error, listener->error.message);
	}
	lk_thread_post(listener->thread, &note->msg);
}

static LK_ON_WORKER void
post_asked(struct listener *listener, bool was_lost)
{
	struct lk_listen *asked = listener->asked;

	if (asked == NULL)
		return;
	asked->was_lost = was_lost;
	listener->asked = NULL;
	lk_thread_post(listener->thread, &asked->msg);
}

static LK_ON_WORKER void
post_heard(struct listener *listener)
{
	struct lk_heard *heard = listener->heard;

	listener->heard = NULL;
	listener->is_heard_out = true;
	lk_thread_post(listener->thread, &heard->msg);
}

/* ---- what it is told ---- */

static LK_ON_WORKER void
take(struct listener *listener, struct lk_msg *msg)
{
	struct lk_heard *heard;

	switch (msg->kind) {
	case LK_MSG_LISTEN:
		lk_assert(listener->asked == NULL);
		listener->asked = lk_container(msg, struct lk_listen, msg);
		if (!listener->is_up)
			post_asked(listener, true);
		break;
	case LK_MSG_HEARD:
		heard = lk_container(msg, struct lk_heard, msg);
		lk_heard_free(&heard);
		listener->is_heard_out = false;
		break;
	default:
		lk_assert(msg->kind == LK_MSG_STOP);
		listener->session.is_stopping = true;
		break;
	}
}

static void
on_mail(void *ctx, struct lk_list *mail)
{
	struct lk_list *it, *following;

	lk_assert_worker();
	LK_LIST_EACH(mail, it, following) {
		lk_list_remove(it);
		take(ctx, lk_container(it, struct lk_msg, link));
	}
}

/* ---- the session's work ---- */

static void
on_notify(void *ctx, const PGnotify *notify)
{
	struct listener *listener = ctx;

	lk_assert_worker();
	if (listener->heard == NULL)
		listener->heard = lk_heard_new();
	lk_heard_add(listener->heard, notify->relname, notify->extra);
}

/* Of the statement, and of the Sync behind it. */
static void
on_answer(void *ctx, PGresult **res)
{
	struct lk_listen_item *item = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		lk_pgerror_set(&item->error, *res);
}

/* Each under its own Sync: one that is refused takes no other with it. */
static LK_ON_WORKER void
send_item(struct lk_pipe *pipe, struct lk_listen_item *item)
{
	PGconn *conn = pipe->session->conn;
	char *name = PQescapeIdentifier(conn, item->channel,
	    strlen(item->channel));
	struct lk_buf sql = LK_BUF_INIT;

	if (name == NULL) {
		lk_error_set(&item->error, LK_ERR_PG, "%s",
		    PQerrorMessage(conn));
		lk_error_set_sqlstate(&item->error, "22021");
		return;
	}
	lk_buf_printf(&sql, "%s %s", item->is_on ? "LISTEN" : "UNLISTEN", name);
	lk_pipe_sql(pipe, lk_buf_cstr(&sql), on_answer, item);
	lk_pipe_sync(pipe, on_answer, item);
	lk_buf_fini(&sql);
	PQfreemem(name);
}

static LK_ON_WORKER void
do_asked(struct listener *listener)
{
	struct lk_listen *asked = listener->asked;
	struct lk_session *session = &listener->session;
	const size_t n_left = 1;	/* until all is answered */
	struct lk_pipe pipe;
	size_t i;

	lk_pipe_init(&pipe, session, lk_clock_us() + ANSWER_US);
	pipe.ends_on_stop = true;
	for (i = 0; i < asked->n_items; i++)
		send_item(&pipe, &asked->items[i]);
	if (lk_pipe_run(&pipe, &n_left) < 0)
		lk_error_move(&listener->error, &pipe.error);
	lk_pipe_fini(&pipe);
	if (listener->error.is_set)
		return;
	listener->was_used = true;
	lk_backoff_reset(&listener->backoff);
	post_asked(listener, false);
	/* What came behind the answers was read with them. */
	if (!lk_session_read(session))
		lk_pgerror_set_lost(&listener->error,
		    lk_session_words(session));
}

static LK_ON_WORKER void
wait_for_something(struct listener *listener)
{
	struct lk_session *session = &listener->session;
	bool has_room = listener->heard == NULL ||
	    listener->heard->n_bytes < AHEAD_BYTES;
	unsigned came = lk_session_wait(session,
	    has_room ? LK_WAIT_READABLE : 0, LK_NEVER);

	if ((came & LK_WAIT_READABLE) && !lk_session_read(session))
		lk_pgerror_set_lost(&listener->error,
		    lk_session_words(session));
}

/* Until the session is lost or it is told to stop. */
static LK_ON_WORKER void
serve(struct listener *listener)
{
	while (!listener->error.is_set && !listener->session.is_stopping) {
		if (listener->heard != NULL && !listener->is_heard_out)
			post_heard(listener);
		else if (listener->asked != NULL)
			do_asked(listener);
		else
			wait_for_something(listener);
	}
	listener->is_up = false;
	lk_session_close(&listener->session);
}

static LK_ON_WORKER int
open_session(struct listener *listener)
{
	int rc;

	lk_error_fini(&listener->error);
	listener->was_used = false;
	rc = lk_session_open(&listener->session, listener->args,
	    "lockkeeper listener", &listener->error);
	if (rc < 0)
		return rc;
	listener->is_up = true;
	post_note(listener, LK_NOTE_UP);
	return 0;
}

void
lk_listen_main(struct lk_thread *thread)
{
	struct listener listener = { .thread = thread, .args = thread->arg };
	struct lk_session *session = &listener.session;

	lk_assert_worker();
	lk_session_init(session, thread, on_mail, &listener);
	session->on_notify = on_notify;
	lk_backoff_init(&listener.backoff, thread->index);
	while (!session->is_stopping) {
		if (open_session(&listener) == 0)
			serve(&listener);
		if (session->is_stopping)
			break;
		post_note(&listener, LK_NOTE_DOWN);
		post_asked(&listener, true);
		/* One that is lost as soon as it is open is as good as none. */
		if (!listener.was_used)
			lk_backoff_wait(&listener.backoff, session);
	}
	post_asked(&listener, true);
	lk_heard_free(&listener.heard);
	lk_error_fini(&listener.error);
}
