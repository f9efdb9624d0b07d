#include "db/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "db/pgerror.h"

/* Each is described once unless its type is said, and libpq takes no
 * description of more than 30,000 bytes: four for each, and six. */
#define MAX_PARAMS	7498

/* ---- what has become wrong ---- */

/* It is not on the server: known by its name in the message. */
static LK_ON_WORKER bool
is_gone(const struct lk_run *run, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	return strcmp(lk_pgerror_sqlstate(res), "26000") == 0 &&
	    message != NULL && strstr(message, run->name) != NULL;
}

/*
 * Its columns are others now, which the function that says so tells apart from
 * the client's own 0A000; or it refers to a type that was dropped, which
 * PostgreSQL has no SQLSTATE for: "cache lookup failed".
 */
static LK_ON_WORKER bool
is_stale(const PGresult *res)
{
	const char *sqlstate = lk_pgerror_sqlstate(res);
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	if (strcmp(sqlstate, "0A000") == 0)
		return function != NULL &&
		    strcmp(function, "RevalidateCachedQuery") == 0;
	return strncmp(sqlstate, "XX", 2) == 0;
}

/* A value that does not fit its parameter, or a parameter its place. */
static LK_ON_WORKER bool
may_be_stale(const PGresult *res)
{
	const char *sqlstate = lk_pgerror_sqlstate(res);

	return strncmp(sqlstate, "22", 2) == 0 ||
	    strncmp(sqlstate, "42", 2) == 0;
}

/* What has made one of an item's stale may have done so to others of them, and
 * it is run again but once. */
static LK_ON_WORKER void
forget_all(struct lk_run *whole)
{
	struct lk_stmts *stmts = &whole->exec->session->stmts;
	const struct lk_with *with = &whole->item->with;
	size_t i;

	lk_stmts_forget(stmts, whole->item->sql, true);
	for (i = 0; i < with->n_loads; i++)
		lk_stmts_forget(stmts, with->loads[i].sql, true);
}

/* Nothing but BEGIN was done before it, or nothing at all. */
static LK_ON_WORKER bool
may_run_again(const struct lk_run *run)
{
	return !run->was_retried &&
	    (lk_run_has_begin(run) || !lk_run_is_inside(run->exec->job));
}

/*
 * Most errors are the client's own, and those must not run twice: what may be
 * stale is prepared anew, and run only if its types are others then.
 */
void
lk_prepare_judge(struct lk_run *run, const PGresult *res)
{
	struct lk_stmts		*stmts = &run->exec->session->stmts;
	const char		*sql = run->item->sql;
	struct lk_stmt		*stmt;
	enum lk_run_again	 again = LK_RUN_AGAIN;

	lk_assert_worker();
	if (!run->was_cached)
		return;
	stmt = lk_stmts_find(stmts, sql);
	if (is_gone(run, res)) {
		lk_stmts_doubt(stmts);
	} else if (is_stale(res)) {
		forget_all(run->whole);
	} else if (may_be_stale(res) && stmt != NULL && stmt->types.n > 0 &&
	    run->item->n_params > 0 && !lk_item_is_typed(run->item)) {
		lk_param_types_move(&run->types_before, &stmt->types);
		lk_stmts_forget(stmts, sql, true);
		again = LK_RUN_AGAIN_IF_RETYPED;
	} else {
		return;
	}
	if (may_run_again(run->whole))
		run->whole->again = again;
}

/* ---- binding ---- */

/* Which parameter cannot be sent as text, counted from 1; 0: none. */
static LK_ON_WORKER size_t
find_nul(const struct lk_run *run, const struct lk_param_types *types)
{
	size_t i;

	for (i = 0; i < run->item->n_params; i++) {
		const struct lk_param *param = &lk_run_params(run)[i];

		if (param->data != NULL && !lk_param_types_is_bytea(types, i) &&
		    memchr(param->data, '\0', param->len) != NULL)
			return i + 1;
	}
	return 0;
}

static LK_ON_WORKER void
send_params(struct lk_run *run, const struct lk_param_types *types)
{
	const struct lk_param *params = lk_run_params(run);
	size_t		 n = run->item->n_params, i;
	/* One block, for libpq wants three arrays. */
	const char	**values = lk_xmalloc((n + 1) * (sizeof(*values) +
	    2 * sizeof(int)));
	int		*lengths = (int *)(values + n + 1);
	int		*formats = lengths + n + 1;

	for (i = 0; i < n; i++) {
		values[i] = params[i].data;
		lengths[i] = (int)params[i].len;
		/* Another statement's value is as the server wrote it. */
		formats[i] = params[i].from == 0 &&
		    lk_param_types_is_bytea(types, i);
	}
	if (run->is_whole)
		lk_pipe_prepared_whole(&run->exec->pipe, run->name, (int)n,
		    values, lengths, formats, lk_run_on_result, run);
	else
		lk_pipe_prepared(&run->exec->pipe, run->name, (int)n, values,
		    lengths, formats, lk_run_on_result, run);
	run->was_executed = true;
	free(values);
}

static LK_ON_WORKER void
send_bound(struct lk_run *run, const struct lk_param_types *types)
{
	size_t bad = find_nul(run, types);

	if (bad > 0)
		lk_error_set(&run->item->error, LK_ERR_SYNTAX, "parameter $%zu "
		    "holds a NUL byte, which only bytea can", bad);
	else
		send_params(run, types);
}

/* ---- describing ---- */

/*
 * Bytes for bytea go in binary, and would be kept as PostgreSQL writes them,
 * \x…, in a column that is a text since: such a statement is prepared and
 * described each time.  The text remembers that, until it is so no more.
 */
static LK_ON_WORKER void
keep_types(struct lk_run *run, struct lk_param_types *types)
{
	struct lk_stmts	*stmts = &run->exec->session->stmts;
	struct lk_stmt	*stmt = lk_stmts_find(stmts, run->item->sql);
	bool		 has_bytea = false;
	size_t		 i;

	for (i = 0; i < types->n; i++)
		has_bytea |= lk_param_types_is_bytea(types, i);
	if (stmt == NULL)
		return;
	if (has_bytea)
		lk_stmts_give_up(stmts, stmt);
	else if (stmt->number == 0)
		lk_stmts_forget(stmts, run->item->sql, false);
	else
		lk_param_types_move(&stmt->types, types);
}

/* The error that it had is its own, and leaves a transaction failed. */
static LK_ON_WORKER void
let_error_stand(struct lk_run *run)
{
	if (lk_run_has_begin(run))
		lk_pipe_sql(&run->exec->pipe, "ROLLBACK TO SAVEPOINT "
		    "\"none: the statement before has failed\"", lk_run_ignore,
		    run);
}

static void
on_describe(void *ctx, PGresult **res)
{
	struct lk_run *run = ctx;
	struct lk_param_types types = { false, NULL, 0 };

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_COMMAND_OK)
		lk_param_types_set(&types, *res);
	else if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		lk_run_take_error(run, *res);
	if (types.is_known && lk_param_types_equal(&types,
	    &run->types_before)) {
		let_error_stand(run);
		keep_types(run, &types);
	} else if (types.is_known) {
		lk_error_fini(&run->item->error);
		send_bound(run, &types);
		keep_types(run, &types);
	}
	lk_param_types_fini(&types);
	lk_exec_described(run);
}

static LK_ON_WORKER void
describe(struct lk_run *run)
{
	run->exec->describing = run;
	lk_pipe_describe(&run->exec->pipe, run->name, on_describe, run);
}

/* ---- preparing ---- */

static void
on_prepare(void *ctx, PGresult **res)
{
	struct lk_run *run = ctx;

	lk_assert_worker();
	if (PQresultStatus(*res) == PGRES_COMMAND_OK)
		return;
	if (run->name[0] != '\0')
		lk_stmts_forget(&run->exec->session->stmts, run->item->sql,
		    false);
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR)
		lk_run_take_error(run, *res);
}

/* One that can be used as it is.  The column that a NUL byte is for may have
 * become bytea. */
static LK_ON_WORKER struct lk_stmt *
find_usable(struct lk_run *run, uint64_t now_us)
{
	struct lk_stmts	*stmts = &run->exec->session->stmts;
	struct lk_stmt	*stmt = lk_stmts_find(stmts, run->item->sql);

	if (stmt == NULL || stmt->number == 0 ||
	    (!lk_stmts_is_old(stmts, stmt, now_us) &&
	    find_nul(run, &stmt->types) == 0))
		return stmt;
	lk_stmts_forget(stmts, run->item->sql, true);
	return NULL;
}

/* The same where the types are said: those that it was prepared for. */
static LK_ON_WORKER struct lk_stmt *
find_typed(struct lk_run *run, const struct lk_param_types *said)
{
	struct lk_stmts	*stmts = &run->exec->session->stmts;
	struct lk_stmt	*stmt = lk_stmts_find(stmts, run->item->sql);

	if (stmt == NULL || stmt->number == 0 ||
	    lk_param_types_equal(&stmt->types, said))
		return stmt;
	lk_stmts_forget(stmts, run->item->sql, true);
	return NULL;
}

/* Under the name of an earlier run, or under one that it gets now, or none. */
static LK_ON_WORKER struct lk_stmt *
prepare(struct lk_run *run, const struct lk_param_types *said)
{
	struct lk_stmts	*stmts = &run->exec->session->stmts;
	const char	*sql = run->item->sql;
	uint64_t	 now_us = lk_clock_us();
	struct lk_stmt	*stmt = NULL;

	if (run->sql_class == LK_SQL_PLAIN)
		stmt = said->is_known ? find_typed(run, said) :
		    find_usable(run, now_us);
	run->was_cached = stmt != NULL && stmt->number != 0;
	if (run->sql_class == LK_SQL_PLAIN && stmt == NULL)
		stmt = lk_stmts_add(stmts, sql, now_us);
	run->name[0] = '\0';
	if (stmt != NULL && stmt->number != 0)
		memcpy(run->name, stmt->name, sizeof(run->name));
	if (!run->was_cached &&
	    (run->name[0] != '\0' || run->item->n_params > 0))
		lk_pipe_prepare(&run->exec->pipe, run->name, sql,
		    (int)said->n, said->oids, on_prepare, run);
	return stmt;
}

static LK_ON_WORKER void
read_types(struct lk_param_types *said, const struct lk_item *item)
{
	size_t i;

	said->is_known = true;
	said->n = item->n_params;
	said->oids = lk_xcalloc(said->n, sizeof(*said->oids));
	for (i = 0; i < said->n; i++)
		said->oids[i] = item->params[i].type;
}

static LK_ON_WORKER void
send_typed(struct lk_run *run)
{
	struct lk_param_types said;
	struct lk_stmt	*stmt;

	read_types(&said, run->item);
	stmt = prepare(run, &said);
	send_bound(run, &said);
	if (stmt != NULL && stmt->number != 0 && !stmt->types.is_known)
		lk_param_types_move(&stmt->types, &said);
	lk_param_types_fini(&said);
}

void
lk_prepare_send(struct lk_run *run)
{
	struct lk_item	*item = run->item;
	struct lk_param_types none = { true, NULL, 0 }, unsaid = { 0 };
	struct lk_stmt	*stmt;

	lk_assert_worker();
	if (lk_item_is_typed(item)) {
		send_typed(run);
		return;
	}
	if (item->n_params > MAX_PARAMS) {
		lk_error_set(&item->error, LK_ERR_SYNTAX, "%zu parameters are "
		    "more than %d: pass an array, as in = ANY ($1)",
		    item->n_params, MAX_PARAMS);
		return;
	}
	stmt = prepare(run, &unsaid);
	if (item->n_params == 0 && run->name[0] == '\0') {
		run->was_executed = true;
		lk_pipe_rows(&run->exec->pipe, item->sql, lk_run_on_result,
		    run);
	} else if (item->n_params == 0) {
		send_bound(run, &none);
	} else if (stmt != NULL && stmt->types.is_known) {
		send_bound(run, &stmt->types);
	} else {
		describe(run);
	}
}

/* ---- outside of a unit ---- */

static void
on_describe_again(void *ctx, PGresult **res)
{
	struct lk_run *run = ctx;
	struct lk_param_types types = { false, NULL, 0 };

	lk_assert_worker();
	if (PQresultStatus(*res) != PGRES_COMMAND_OK)
		return;
	lk_param_types_set(&types, *res);
	run->was_retyped = !lk_param_types_equal(&types, &run->types_before);
	keep_types(run, &types);
	lk_param_types_fini(&types);
}

void
lk_prepare_compare(struct lk_run *run)
{
	struct lk_param_types unsaid = { 0 };

	lk_assert_worker();
	prepare(run, &unsaid);
	lk_pipe_describe(&run->exec->pipe, run->name, on_describe_again, run);
}
