#include "db/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/pgerror.h"

enum step_kind {
	STEP_STATEMENT,		/* a tag, with rows before it or without */
	STEP_BY_ROW,		/* the same, each row a result of its own */
	STEP_PREPARE,		/* also a description: no rows */
	STEP_SYNC,
};

static const char out_of_step[] =
    "the server's answer is not one to what it was asked";

struct lk_pipe_step {
	lk_pipe_fn	 fn;
	void		*ctx;
	enum step_kind	 kind;
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

bool
lk_pipe_cancel_wait(struct lk_pipe *pipe)
{
	int rc = lk_session_cancel_wait(pipe->session);

	lk_assert_worker();
	if (rc == -LK_E_AGAIN)
		lk_pipe_lose(pipe, "the server hangs: it did not take in a "
		    "cancel");
	return rc == 0;
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
	    values, NULL, NULL, 0), (struct lk_pipe_step){ fn, ctx,
	    STEP_STATEMENT });
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
	    NULL, NULL, 0), (struct lk_pipe_step){ fn, ctx, STEP_BY_ROW });
}

void
lk_pipe_prepare(struct lk_pipe *pipe, const char *name, const char *sql,
    int n_types, const Oid *types, lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQsendPrepare(pipe->session->conn, name, sql, n_types,
	    types), (struct lk_pipe_step){ fn, ctx, STEP_PREPARE });
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
	    (struct lk_pipe_step){ fn, ctx, STEP_PREPARE });
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
	    (struct lk_pipe_step){ fn, ctx, STEP_BY_ROW });
}

void
lk_pipe_prepared_whole(struct lk_pipe *pipe, const char *name, int n_params,
    const char *const *values, const int *lengths, const int *formats,
    lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	send_prepared(pipe, name, n_params, values, lengths, formats,
	    (struct lk_pipe_step){ fn, ctx, STEP_STATEMENT });
}

void
lk_pipe_sync(struct lk_pipe *pipe, lk_pipe_fn fn, void *ctx)
{
	lk_assert_worker();
	if (pipe->is_lost)
		return;
	push(pipe, PQpipelineSync(pipe->session->conn),
	    (struct lk_pipe_step){ fn, ctx, STEP_SYNC });
}

void
lk_pipe_flush(struct lk_pipe *pipe)
{
	lk_assert_worker();
	if (!pipe->is_lost && PQsendFlushRequest(pipe->session->conn) != 1)
		lk_pipe_lose(pipe, lk_session_words(pipe->session));
}

void
lk_pipe_start(struct lk_pipe *pipe)
{
	lk_assert_worker();
	lk_pipe_flush(pipe);
	/* If the line is dead, reading finds out why. */
	if (!pipe->is_lost)
		(void)PQflush(pipe->session->conn);
}

/* ---- reading ---- */

static void
pop(struct lk_pipe *pipe)
{
	pipe->first++;
	pipe->n--;
	pipe->is_row_mode = false;
	pipe->has_result = false;
}

/* Whether a server that keeps to the protocol can answer such a step so. */
static bool
fits(enum step_kind kind, ExecStatusType status)
{
	switch (status) {
	case PGRES_FATAL_ERROR:
		return true;
	case PGRES_PIPELINE_SYNC:
		return kind == STEP_SYNC;
	case PGRES_PIPELINE_ABORTED:
		return kind != STEP_SYNC;
	case PGRES_COMMAND_OK:
		return kind != STEP_SYNC;
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
		return kind == STEP_STATEMENT || kind == STEP_BY_ROW;
	case PGRES_SINGLE_TUPLE:
		return kind == STEP_BY_ROW;
	default:
		return false;
	}
}

/*
 * An error without SQLSTATE is one that libpq made: the line is dead, or it has
 * lost its place in what the server says.  Who speaks like PostgreSQL gives
 * each error one.
 */
static LK_ON_WORKER bool
is_end(struct lk_pipe *pipe, const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
	    status == PGRES_COPY_BOTH)
		lk_pipe_lose(pipe, "COPY was begun, which has no end here");
	else if (status == PGRES_FATAL_ERROR &&
	    *lk_pgerror_sqlstate(res) == '\0')
		lk_pipe_lose(pipe, PQresultErrorMessage(res));
	else if (!fits(pipe->steps[pipe->first].kind, status))
		lk_pipe_lose(pipe, out_of_step);
	return pipe->is_lost;
}

/*
 * libpq's NULL: behind each command's result, and behind an error at a Sync,
 * which is still to be answered then.  What came before the end of the line may
 * all lie there to be read.
 */
static LK_ON_WORKER void
read_end(struct lk_pipe *pipe)
{
	bool is_sync = pipe->steps[pipe->first].kind == STEP_SYNC;

	if (pipe->has_result && !is_sync)
		pop(pipe);
	else if (PQstatus(pipe->session->conn) == CONNECTION_BAD)
		lk_pipe_lose(pipe, lk_session_words(pipe->session));
	else if (!pipe->has_result)
		lk_pipe_lose(pipe, out_of_step);
	else
		pipe->has_result = false;
}

static LK_ON_WORKER void
read_result(struct lk_pipe *pipe)
{
	struct lk_pipe_step	 step = pipe->steps[pipe->first];
	PGresult		*res = PQgetResult(pipe->session->conn);

	if (res == NULL) {
		read_end(pipe);
		return;
	}
	if (!is_end(pipe, res)) {
		pipe->has_result = true;
		if (lk_pgerror_severity(res) != LK_SEVERITY_ERROR)
			lk_pgerror_set(&pipe->error, res);
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC)
			pop(pipe);
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
	/* Notices are no answer. */
	if (pipe->due_us <= lk_clock_us())
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
		if (pipe->steps[pipe->first].kind == STEP_BY_ROW &&
		    !pipe->is_row_mode) {
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
	    (struct lk_pipe_step){ keep_result, &answer, STEP_STATEMENT });
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
	lk_pipe_prepare(pipe, name, sql, 0, NULL, keep_result, &answer);
	rc = wait_for_answer(pipe, &answer, &res, error);
	PQclear(res);
	return rc;
}
