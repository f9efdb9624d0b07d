#include "db/worker.h"

#include <string.h>

#include "base/die.h"
#include "base/heap.h"
#include "db/backoff.h"
#include "db/exec.h"
#include "db/pgerror.h"
#include "db/session.h"

struct worker {
	struct lk_session session;
	struct lk_thread *thread;
	const struct lk_db_args *args;
	bool		 is_up;		/* LK_NOTE_UP was posted, DOWN was not */
	struct lk_job	*job;		/* arrived, not begun */
	struct lk_exec	*exec;		/* at work, cleaning included; or NULL */
	bool		 was_used;	/* the session has got a statement */
	struct lk_backoff backoff;
	struct lk_error	 error;		/* why there is no session */
};

/* ---- what it says ---- */

static LK_ON_WORKER void
post_note(struct worker *worker, enum lk_note_kind kind)
{
	struct lk_note *note = lk_note_new(kind);

	if (kind == LK_NOTE_UP) {
		note->backend_pid = worker->session.backend_pid;
		memcpy(note->server_id, worker->session.server_id,
		    sizeof(note->server_id));
	}
	if (kind == LK_NOTE_DOWN)
		lk_pgerror_set_lost(&note->error, worker->error.is_set ?
		    worker->error.message : "the session is being opened");
	lk_thread_post(worker->thread, &note->msg);
}

/* Back as it came: its session is gone, or was never there. */
static LK_ON_WORKER void
return_job(struct worker *worker, struct lk_job *job)
{
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		job->items[i].outcome = LK_ITEM_UNSENT;
		lk_pgerror_set_lost(&job->items[i].error,
		    worker->error.is_set ? worker->error.message :
		    "there is no session");
	}
	job->after = LK_XACT_GONE;
	lk_thread_post(worker->thread, &job->msg);
}

/* ---- mail ---- */

/* From here there is no other way to end a session than to leave it. */
static LK_ON_WORKER void
end_statement(struct lk_exec *exec, struct lk_cancel *cancel)
{
	if (cancel->terminate && lk_exec_has(exec, cancel->request)) {
		lk_pipe_lose(&exec->pipe, "the daemon gave the session up: the "
		    "server did not end the statement in time");
		cancel->sent = true;
	} else if (lk_exec_is_running(exec, cancel->request)) {
		cancel->sent = lk_pipe_cancel_wait(&exec->pipe);
		cancel->failed = !cancel->sent;
	}
}

/*
 * The fence of a cancel that names a backend: it is sent only while the
 * statement that it is meant for has no answer, and by the thread that would
 * send the next one.
 */
static LK_ON_WORKER void
cancel_statement(struct worker *worker, struct lk_cancel *cancel)
{
	struct lk_session *session = &worker->session;

	if (worker->exec != NULL && session->conn != NULL &&
	    session->backend_pid == cancel->backend_pid)
		end_statement(worker->exec, cancel);
	lk_thread_post(worker->thread, &cancel->msg);
}

static LK_ON_WORKER void
take_job(struct worker *worker, struct lk_job *job)
{
	lk_assert(worker->job == NULL && worker->exec == NULL);
	if (worker->is_up && !worker->session.is_stopping) {
		worker->job = job;
		return;
	}
	/* It crossed with the news that the session is gone. */
	return_job(worker, job);
	if (!worker->session.is_stopping)
		post_note(worker, LK_NOTE_DOWN);
}

static void
on_mail(void *ctx, struct lk_list *mail)
{
	struct worker *worker = ctx;
	struct lk_list *it, *following;

	lk_assert_worker();
	LK_LIST_EACH(mail, it, following) {
		struct lk_msg *msg = lk_container(it, struct lk_msg, link);

		lk_list_remove(it);
		lk_assert(msg->kind == LK_MSG_JOB ||
		    msg->kind == LK_MSG_CANCEL || msg->kind == LK_MSG_STOP);
		if (msg->kind == LK_MSG_JOB)
			take_job(worker, lk_container(msg, struct lk_job, msg));
		else if (msg->kind == LK_MSG_CANCEL)
			cancel_statement(worker, lk_container(msg,
			    struct lk_cancel, msg));
		else
			worker->session.is_stopping = true;
	}
}

/* ---- jobs ---- */

/* Returns -LK_E_IO when the session is lost. */
static LK_ON_WORKER int
serve_job(struct worker *worker)
{
	struct lk_job	*job = worker->job;
	bool		 has_cleaning = job->clean;
	struct lk_exec	 exec;
	int		 rc;

	worker->job = NULL;
	worker->exec = &exec;
	lk_exec_init(&exec, &worker->session, job);
	lk_exec_run(&exec);
	if (lk_job_answer(job)->outcome != LK_ITEM_UNSENT) {
		worker->was_used = true;
		lk_backoff_reset(&worker->backoff);
	}
	/* From here on it is the loop's: without cleaning the next one may
	 * come at once. */
	if (!has_cleaning)
		worker->exec = NULL;
	lk_thread_post(worker->thread, &job->msg);
	rc = lk_exec_finish(&exec);
	worker->exec = NULL;
	if (rc < 0)
		lk_error_move(&worker->error, &exec.pipe.error);
	else if (has_cleaning)
		post_note(worker, LK_NOTE_READY);
	lk_exec_fini(&exec);
	return rc;
}

static LK_ON_WORKER void
wait_for_job(struct worker *worker)
{
	struct lk_session *session = &worker->session;
	unsigned came = lk_session_wait(session, LK_WAIT_READABLE, LK_NEVER);

	/* A job that came with the end of its session is not even begun. */
	if ((came & LK_WAIT_READABLE) && !lk_session_read(session))
		lk_pgerror_set_lost(&worker->error, lk_session_words(session));
}

/* Until the session is lost or it is told to stop. */
static LK_ON_WORKER void
serve(struct worker *worker)
{
	while (!worker->error.is_set) {
		if (worker->job != NULL) {
			if (serve_job(worker) < 0)
				break;
		} else if (worker->session.is_stopping) {
			break;
		} else {
			wait_for_job(worker);
		}
	}
	worker->is_up = false;
	if (worker->job != NULL)
		return_job(worker, worker->job);
	worker->job = NULL;
	lk_session_close(&worker->session);
}

/* ---- the session ---- */

static LK_ON_WORKER int
open_session(struct worker *worker)
{
	struct lk_error	error;
	int		rc;

	lk_error_init(&error);
	worker->was_used = false;
	rc = lk_session_open(&worker->session, worker->args, "lockkeeper",
	    &error);
	/* Until now the last reason was good for jobs that came meanwhile. */
	lk_error_move(&worker->error, &error);
	if (rc < 0)
		return rc;
	worker->is_up = true;
	post_note(worker, LK_NOTE_UP);
	return 0;
}

void
lk_worker_main(struct lk_thread *thread)
{
	struct worker worker = {
		.thread = thread,
		.args = thread->arg,
	};

	lk_assert_worker();
	lk_session_init(&worker.session, thread, on_mail, &worker);
	lk_backoff_init(&worker.backoff, thread->index);
	while (!worker.session.is_stopping) {
		if (open_session(&worker) == 0)
			serve(&worker);
		if (worker.session.is_stopping)
			break;
		post_note(&worker, LK_NOTE_DOWN);
		/* One that is lost as soon as it is open is as good as none. */
		if (!worker.was_used)
			lk_backoff_wait(&worker.backoff, &worker.session);
	}
	lk_error_fini(&worker.error);
}
