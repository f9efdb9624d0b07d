#include "db/clean.h"

#include <inttypes.h>
#include <string.h>

/* So many are worth a cleaning, before there are too many to prepare more. */
#define MANY_DEAD	(LK_STMTS_MAX / 4)

/* Any query may call a function, or fire a trigger, that prepares some. */
#define NAMES	0

const char *const lk_clean_statements[] = {
	[NAMES] = "SELECT name FROM pg_catalog.pg_prepared_statements "
	    "WHERE from_sql",
	"CLOSE ALL",
	"SET SESSION AUTHORIZATION DEFAULT",
	"RESET ALL",
	"UNLISTEN *",
	"SELECT pg_catalog.pg_advisory_unlock_all()",
	"DISCARD TEMP",
	"DISCARD SEQUENCES",
	NULL,
};

void
lk_clean_init(struct lk_clean *clean, struct lk_pipe *pipe)
{
	lk_assert_worker();
	memset(clean, 0, sizeof(*clean));
	clean->pipe = pipe;
}

void
lk_clean_fini(struct lk_clean *clean)
{
	lk_assert_worker();
	lk_buf_fini(&clean->names);
}

static void
on_result(void *ctx, PGresult **res)
{
	struct lk_clean *clean = ctx;

	if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		clean->has_failed = true;
}

static void
on_names(void *ctx, PGresult **res)
{
	struct lk_clean *clean = ctx;
	int row;

	on_result(ctx, res);
	for (row = 0; row < PQntuples(*res) && PQnfields(*res) == 1; row++)
		lk_buf_append(&clean->names, PQgetvalue(*res, row, 0),
		    (size_t)PQgetlength(*res, row, 0) + 1);
}

static void
on_sync(void *ctx, PGresult **res)
{
	struct lk_clean *clean = ctx;

	on_result(ctx, res);
	if (PQresultStatus(*res) == PGRES_PIPELINE_SYNC)
		clean->n_left--;
	/* Another was sent behind something that had to be run again. */
	if (clean->n_left > 0)
		clean->has_failed = false;
}

static LK_ON_WORKER void
send_sync(struct lk_clean *clean)
{
	clean->n_left++;
	lk_pipe_sync(clean->pipe, on_sync, clean);
}

/*
 * When the client's SQL may have deallocated ours, none is known to be there:
 * DEALLOCATE of one that is not would fail, and all of the cleaning with it.
 */
static LK_ON_WORKER void
send_deallocate(struct lk_clean *clean)
{
	struct lk_stmts	*stmts = &clean->pipe->session->stmts;
	struct lk_buf	 text = LK_BUF_INIT;
	size_t		 i;

	if (stmts->is_doubtful) {
		lk_pipe_sql(clean->pipe, "DEALLOCATE ALL", on_result, clean);
		lk_stmts_reset(stmts);
	}
	for (i = 0; i < stmts->n_dead; i++) {
		lk_buf_truncate(&text, 0);
		lk_buf_printf(&text, "DEALLOCATE lk_%" PRIu64, stmts->dead[i]);
		lk_pipe_sql(clean->pipe, lk_buf_cstr(&text), on_result, clean);
	}
	stmts->n_dead = 0;
	lk_buf_fini(&text);
}

bool
lk_clean_is_due(const struct lk_clean *clean)
{
	const struct lk_stmts *stmts = &clean->pipe->session->stmts;

	lk_assert_worker();
	return stmts->is_doubtful || stmts->n_dead >= MANY_DEAD;
}

void
lk_clean_send(struct lk_clean *clean)
{
	size_t i;

	lk_assert_worker();
	send_deallocate(clean);
	for (i = 0; lk_clean_statements[i] != NULL; i++)
		lk_pipe_sql(clean->pipe, lk_clean_statements[i],
		    i == NAMES ? on_names : on_result, clean);
	send_sync(clean);
}

static LK_ON_WORKER void
deallocate_names(struct lk_clean *clean)
{
	struct lk_buf	 text = LK_BUF_INIT;
	size_t		 at;
	char		*quoted;

	for (at = 0; at < clean->names.len;
	    at += strlen(clean->names.data + at) + 1) {
		const char *name = clean->names.data + at;

		quoted = PQescapeIdentifier(clean->pipe->session->conn, name,
		    strlen(name));
		if (quoted == NULL)
			continue;
		lk_buf_truncate(&text, 0);
		lk_buf_printf(&text, "DEALLOCATE %s", quoted);
		PQfreemem(quoted);
		lk_pipe_sql(clean->pipe, lk_buf_cstr(&text), on_result, clean);
	}
	lk_buf_fini(&text);
	send_sync(clean);
	(void)lk_pipe_run(clean->pipe, &clean->n_left);
}

static LK_ON_WORKER void
do_again(struct lk_clean *clean)
{
	clean->has_failed = false;
	lk_buf_truncate(&clean->names, 0);
	lk_stmts_doubt(&clean->pipe->session->stmts);
	lk_clean_send(clean);
	(void)lk_pipe_run(clean->pipe, &clean->n_left);
}

int
lk_clean_finish(struct lk_clean *clean)
{
	struct lk_pipe *pipe = clean->pipe;

	lk_assert_worker();
	(void)lk_pipe_run(pipe, &clean->n_left);
	if (!pipe->is_lost && !clean->has_failed && clean->names.len > 0)
		deallocate_names(clean);
	if (!pipe->is_lost && clean->has_failed)
		do_again(clean);
	if (pipe->is_lost)
		return -LK_E_IO;
	if (clean->has_failed ||
	    PQtransactionStatus(pipe->session->conn) != PQTRANS_IDLE) {
		lk_pipe_lose(pipe, "the session could not be cleaned");
		return -LK_E_IO;
	}
	pipe->session->changed_schema = false;
	return 0;
}
