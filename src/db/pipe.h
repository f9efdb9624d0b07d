/*
 * A conversation in pipeline mode: commands go out without waiting, and each
 * has a function that gets its results when they come, in order.  What makes
 * sense of the results is the caller's.
 */
#ifndef LK_DB_PIPE_H
#define LK_DB_PIPE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/role.h"
#include "db/session.h"

/*
 * One result of a command; PGRES_PIPELINE_ABORTED when an error before it made
 * the server skip it.  For a Sync: PGRES_PIPELINE_SYNC, or before that an
 * error, which then replaces the success of what the Sync ends.  May send more.
 * Who sets *res to NULL keeps the result.
 */
typedef void (*lk_pipe_fn)(void *ctx, PGresult **res);

struct lk_pipe_step;

struct lk_pipe {
	struct lk_session *session;
	struct lk_pipe_step *steps;	/* sent, not all of their results read */
	size_t		 first, n, cap;
	bool		 is_row_mode;	/* asked for the first step */
	bool		 has_result;	/* of the first step, since its start or
					   the NULL that libpq gave last */
	uint64_t	 due_us;	/* after this the session is given up */
	bool		 ends_on_stop;	/* and once the session's is_stopping */
	bool		 is_lost;	/* the session is of no more use */
	struct lk_error	 error;		/* why */
};

void	lk_pipe_init(struct lk_pipe *pipe, struct lk_session *session,
	    uint64_t due_us) LK_ON_WORKER;
void	lk_pipe_fini(struct lk_pipe *pipe) LK_ON_WORKER;

/*
 * Commands.  When libpq refuses one the session is lost: what it has sent of it
 * is not known.
 */
void	lk_pipe_sql(struct lk_pipe *pipe, const char *sql, lk_pipe_fn fn,
	    void *ctx) LK_ON_WORKER;
void	lk_pipe_params(struct lk_pipe *pipe, const char *sql, int n_params,
	    const char *const *values, lk_pipe_fn fn, void *ctx) LK_ON_WORKER;
/* types: of its parameters, or NULL: the server infers them. */
void	lk_pipe_prepare(struct lk_pipe *pipe, const char *name,
	    const char *sql, int n_types, const Oid *types, lk_pipe_fn fn,
	    void *ctx) LK_ON_WORKER;
/* With a request that the server answers now and not at the Sync. */
void	lk_pipe_describe(struct lk_pipe *pipe, const char *name, lk_pipe_fn fn,
	    void *ctx) LK_ON_WORKER;
/* These two: with a result for each row, then an empty one. */
void	lk_pipe_prepared(struct lk_pipe *pipe, const char *name, int n_params,
	    const char *const *values, const int *lengths, const int *formats,
	    lk_pipe_fn fn, void *ctx) LK_ON_WORKER;
void	lk_pipe_rows(struct lk_pipe *pipe, const char *sql, lk_pipe_fn fn,
	    void *ctx) LK_ON_WORKER;
/* With one result for all rows, which are few and small. */
void	lk_pipe_prepared_whole(struct lk_pipe *pipe, const char *name,
	    int n_params, const char *const *values, const int *lengths,
	    const int *formats, lk_pipe_fn fn, void *ctx) LK_ON_WORKER;
void	lk_pipe_sync(struct lk_pipe *pipe, lk_pipe_fn fn, void *ctx)
	    LK_ON_WORKER;
/* Have the server answer now what was sent before this. */
void	lk_pipe_flush(struct lk_pipe *pipe) LK_ON_WORKER;
/* The same, and have it begin with that while more is yet to be sent. */
void	lk_pipe_start(struct lk_pipe *pipe) LK_ON_WORKER;

/*
 * Send and read until *n_left is 0 or everything sent has been answered.
 * 0, or -LK_E_IO: the session is lost.
 */
int	lk_pipe_run(struct lk_pipe *pipe, const size_t *n_left) LK_ON_WORKER;

/*
 * Cancel what the backend is running, as lk_session_cancel_wait() does.  False:
 * the signal was not sent; a server that hangs loses the session.
 */
bool	lk_pipe_cancel_wait(struct lk_pipe *pipe) LK_ON_WORKER;

/* Give the session up, for that reason. */
void	lk_pipe_lose(struct lk_pipe *pipe, const char *words) LK_ON_WORKER;

/*
 * One statement under its own Sync, and wait for it.  0 and *res_out, to be
 * cleared; -LK_E_INVAL with the server's error; -LK_E_IO with error: lost.
 */
int	lk_pipe_query(struct lk_pipe *pipe, const char *sql, int n_params,
	    const char *const *values, PGresult **res_out,
	    struct lk_error *error) LK_ON_WORKER;
/* The same, to prepare one, and for one that is. */
int	lk_pipe_prepare_now(struct lk_pipe *pipe, const char *name,
	    const char *sql, struct lk_error *error) LK_ON_WORKER;
int	lk_pipe_query_prepared(struct lk_pipe *pipe, const char *name,
	    int n_params, const char *const *values, PGresult **res_out,
	    struct lk_error *error) LK_ON_WORKER;

#endif
