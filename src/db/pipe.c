#include "db/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/pgerror.h"

struct lk_pipe_step {
	lk_pipe_fn	 fn;
	void		*ctx;
	bool		 is_sync;
	bool		 by_row;
};

void
lk_pipe_init(struct lk_pipe *pipe, struct lk_session *session,
    uint64_t due_us)
{
	lk_assert_worker();
	memset(pipe, 0, sizeof(*pipe));
	pipe->session = session;
	pipe->due_us = due_us;
}

void
lk_pipe_fini(struct lk_pipe *pipe)
{
	lk_assert_worker();
	free(pipe->steps);
	lk_error_fini(&pipe->error);
}

void
lk_pipe_lose(struct lk_pipe *pipe, const char *words)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	pipe->is_lost = true;
	/* A FATAL that was read before says more than that the line is dead. */
	if (!pipe->error.is_set)
		lk_pgerror_set_lost(&pipe->error, words);
}

/* ---- sending ---- */

static void
make_room(struct lk_pipe *pipe)
{
	if (pipe->n == 0)
		pipe->first = 0;
	if (pipe->first + pipe->n < pipe->cap)
		return;
	if (pipe->first > 0) {
		memmove(pipe->steps, pipe->steps + pipe->first,
		    pipe->n * sizeof(*pipe->steps));
		pipe->first = 0;
		return;
	}
	pipe->cap = pipe->cap == 0 ? 16 : 2 * pipe->cap;
	pipe->steps = lk_xrealloc(pipe->steps,
	    pipe->cap * sizeof(*pipe->steps));
}

static LK_ON_WORKER void
push(struct lk_pipe *pipe, int was_sent, struct lk_pipe_step step)
{
	if (was_sent != 1) {
		lk_pipe_lose(pipe, lk_session_words(pipe->session));
		return;
	}
	make_room(pipe);
	pipe->steps[pipe->first + pipe->n] = step;
	pipe->n++;
}

void
lk_pipe_params(struct lk_pipe *pipe, const char *sql, int n_params,
    const char *const *values, lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQsendQueryParams(pipe->session->conn, sql, n_params, NULL,
	    values, NULL, NULL, 0), (struct lk_pipe_step){ fn, ctx, false,
	    false });
}

void
lk_pipe_sql(struct lk_pipe *pipe, const char *sql, lk_pipe_fn fn, void *ctx)
{
	lk_pipe_params(pipe, sql, 0, NULL, fn, ctx);
}

void
lk_pipe_rows(struct lk_pipe *pipe, const char *sql, lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQsendQueryParams(pipe->session->conn, sql, 0, NULL, NULL,
	    NULL, NULL, 0), (struct lk_pipe_step){ fn, ctx, false, true });
}

void
lk_pipe_prepare(struct lk_pipe *pipe, const char *name, const char *sql,
    lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQsendPrepare(pipe->session->conn, name, sql, 0, NULL),
	    (struct lk_pipe_step){ fn, ctx, false, false });
}

void
lk_pipe_describe(struct lk_pipe *pipe, const char *name, lk_pipe_fn fn,
    void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQsendDescribePrepared(pipe->session->conn, name) == 1 &&
	    PQsendFlushRequest(pipe->session->conn) == 1,
	    (struct lk_pipe_step){ fn, ctx, false, false });
}

static LK_ON_WORKER void
send_prepared(struct lk_pipe *pipe, const char *name, int n_params,
    const char *const *values, const int *lengths, const int *formats,
    struct lk_pipe_step step)
{
	if (pipe->is_lost)
		return;
	push(pipe, PQsendQueryPrepared(pipe->session->conn, name, n_params,
	    values, lengths, formats, 0), step);
}

void
lk_pipe_prepared(struct lk_pipe *pipe, const char *name, int n_params,
    const char *const *values, const int *lengths, const int *formats,
    lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	send_prepared(pipe, name, n_params, values, lengths, formats,
	    (struct lk_pipe_step){ fn, ctx, false, true });
}

void
lk_pipe_sync(struct lk_pipe *pipe, lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQpipelineSync(pipe->session->conn),
	    (struct lk_pipe_step){ fn, ctx, true, false });
}

/* ---- reading ---- */

static void
pop(struct lk_pipe *pipe)
{
	pipe->first++;
	pipe->n--;
	pipe->is_row_mode = false;
}

/*
 * An error that libpq made itself has no SQLSTATE.  It means that the line is
 * dead, or that libpq has lost its place in what the server says.
 */
static LK_ON_WORKER bool
is_end(struct lk_pipe *pipe, const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
	    status == PGRES_COPY_BOTH) {
		lk_pipe_lose(pipe, "COPY was begun, which has no end here");
		return true;
	}
	if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE)
		return false;
	if (*lk_pgerror_sqlstate(res) == '\0') {
		lk_pipe_lose(pipe, PQresultErrorMessage(res));
		return true;
	}
	if (lk_pgerror_severity(res) != LK_SEVERITY_ERROR)
		lk_pgerror_set(&pipe->error, res);
	return false;
}

/* One result, or the NULL that ends a command's. */
static LK_ON_WORKER void
read_result(struct lk_pipe *pipe)
{
	PGconn			*conn = pipe->session->conn;
	struct lk_pipe_step	 step = pipe->steps[pipe->first];
	PGresult		*res = PQgetResult(conn);

	if (res == NULL) {
		if (!step.is_sync)
			pop(pipe);
		else if (PQstatus(conn) == CONNECTION_BAD)
			lk_pipe_lose(pipe, lk_session_words(pipe->session));
		return;
	}
	if (!is_end(pipe, res)) {
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			lk_assert(step.is_sync);
			pop(pipe);
		}
		/* May send, and so move the steps. */
		step.fn(step.ctx, &res);
	}
	PQclear(res);
}

static LK_ON_WORKER void
wait_for_server(struct lk_pipe *pipe)
{
	struct lk_session	*session = pipe->session;
	int			 flushed = PQflush(session->conn);
	unsigned		 came;

	/*
	 * When the line is dead the server's reason may be there to be read
	 * still: reading finds both, and PQgetResult tells of them.
	 */
	if (flushed < 0) {
		if (!lk_session_read(session))
			return;
	}
	came = lk_session_wait(session, flushed > 0 ? LK_WAIT_READABLE |
	    LK_WAIT_WRITABLE : LK_WAIT_READABLE, pipe->due_us);
	if (came & LK_WAIT_READABLE)
		(void)lk_session_read(session);
	else if (pipe->due_us <= lk_clock_us())
		lk_pipe_lose(pipe, "the server did not answer in time");
	if (session->is_stopping && pipe->ends_on_stop)
		lk_pipe_lose(pipe, "stopped");
}

int
lk_pipe_run(struct lk_pipe *pipe, const size_t *n_left)
{
	PGconn *conn = pipe->session->conn;

	lk_assert_worker();
	while (!pipe->is_lost && *n_left > 0 && pipe->n > 0) {
		if (pipe->steps[pipe->first].by_row && !pipe->is_row_mode) {
			/* Refused where the server skips the command. */
			(void)PQsetSingleRowMode(conn);
			pipe->is_row_mode = true;
		}
		if (PQisBusy(conn))
			wait_for_server(pipe);
		else
			read_result(pipe);
	}
	return pipe->is_lost ? -LK_E_IO : 0;
}

/* ---- one statement ---- */

struct answer {
	PGresult	*res;		/* the last that says something */
	size_t		 n_left;
};

static void
keep_result(void *ctx, PGresult **res)
{
	struct answer	*answer = ctx;
	ExecStatusType	 status = PQresultStatus(*res);

	if (status == PGRES_PIPELINE_SYNC)
		answer->n_left = 0;
	if (status == PGRES_PIPELINE_SYNC || status == PGRES_PIPELINE_ABORTED)
		return;
	PQclear(answer->res);
	answer->res = *res;
	*res = NULL;
}

static LK_ON_WORKER int
wait_for_answer(struct lk_pipe *pipe, struct answer *answer,
    PGresult **res_out, struct lk_error *error)
{
	int rc;

	lk_pipe_sync(pipe, keep_result, answer);
	rc = lk_pipe_run(pipe, &answer->n_left);
	if (rc < 0) {
		lk_pgerror_set_lost(error, pipe->error.message);
	} else if (answer->res == NULL ||
	    PQresultStatus(answer->res) == PGRES_FATAL_ERROR) {
		lk_pgerror_set(error, answer->res);
		rc = -LK_E_INVAL;
	} else {
		*res_out = answer->res;
		return 0;
	}
	PQclear(answer->res);
	return rc;
}

int
lk_pipe_query(struct lk_pipe *pipe, const char *sql, int n_params,
    const char *const *values, PGresult **res_out, struct lk_error *error)
{
	struct answer answer = { NULL, 1 };

	lk_assert_worker();
	lk_pipe_params(pipe, sql, n_params, values, keep_result, &answer);
	return wait_for_answer(pipe, &answer, res_out, error);
}

int
lk_pipe_query_prepared(struct lk_pipe *pipe, const char *name, int n_params,
    const char *const *values, PGresult **res_out, struct lk_error *error)
{
	struct answer answer = { NULL, 1 };

	lk_assert_worker();
	send_prepared(pipe, name, n_params, values, NULL, NULL,
	    (struct lk_pipe_step){ keep_result, &answer, false, false });
	return wait_for_answer(pipe, &answer, res_out, error);
}

int
lk_pipe_prepare_now(struct lk_pipe *pipe, const char *name, const char *sql,
    struct lk_error *error)
{
	struct answer	 answer = { NULL, 1 };
	PGresult	*res = NULL;
	int		 rc;

	lk_assert_worker();
	lk_pipe_prepare(pipe, name, sql, keep_result, &answer);
	rc = wait_for_answer(pipe, &answer, &res, error);
	PQclear(res);
	return rc;
}
