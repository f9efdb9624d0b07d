#include "db/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/utf8.h"
#include "db/locks.h"
#include "db/pgerror.h"
#include "db/pipe.h"
#include "orm/sqltext.h"

/* A server that takes longer than this for one question is as good as gone. */
#define ANSWER_US	(5 * LK_US_PER_S)
/* What is told of another session's query, in bytes. */
#define MAX_QUERY	200

/*
 * A query is in the encoding of its own database, and left() of one that is not
 * in ours is an error in all of the answer.
 *
 * Locks of pg_locks but for fast-path ones, which are not of the same instant,
 * and predicate locks, which nobody waits for.
 */
static const struct {
	const char	*name;
	const char	*sql;
} questions[] = {
	{ "anybody",
	    "SELECT 1 FROM pg_catalog.pg_stat_activity "
	    "WHERE wait_event_type = 'Lock' LIMIT 1" },
	{ "locks",
	    "SELECT locktype, database, relation, page, tuple, transactionid, "
	    "classid, objid, objsubid, virtualxid, virtualtransaction, pid, "
	    "mode, granted, waitstart, (extract(epoch FROM "
	    "clock_timestamp() - waitstart) * 1000000)::int8 "
	    "FROM pg_catalog.pg_locks "
	    "WHERE NOT fastpath AND mode <> 'SIReadLock'" },
	{ "backends",
	    "SELECT pid, leader_pid, application_name, usename, datname, "
	    "state, query, (extract(epoch FROM "
	    "clock_timestamp() - state_change) * 1000000)::int8, "
	    "(extract(epoch FROM clock_timestamp() - xact_start) "
	    "* 1000000)::int8 FROM pg_catalog.pg_stat_activity ORDER BY pid" },
	{ "prepared",
	    "SELECT transaction, gid, (extract(epoch FROM "
	    "clock_timestamp() - prepared) * 1000000)::int8 "
	    "FROM pg_catalog.pg_prepared_xacts" },
	{ "database",
	    "SELECT oid FROM pg_catalog.pg_database "
	    "WHERE datname = current_database()" },
	{ "relations",
	    "SELECT oid, CASE relkind WHEN 'i' THEN 'index ' WHEN 'I' THEN "
	    "'index ' WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' "
	    "WHEN 'm' THEN 'materialized view ' ELSE 'table ' END "
	    "|| oid::regclass::text FROM pg_catalog.pg_class "
	    "WHERE oid = ANY ($1::oid[])" },
	{ "blocking",
	    "SELECT pid, blocker FROM unnest($1::int4[]) pid, "
	    "unnest(pg_catalog.pg_blocking_pids(pid)) blocker" },
	{ "cancel", "SELECT pg_cancel_backend($1)" },
	{ "terminate", "SELECT pg_terminate_backend($1)" },
	/* (waitstart, vxid) is the wait, of the session or of one of its
	 * parallel workers. */
	{ "cancel_waiting",
	    "SELECT pg_cancel_backend($1) FROM pg_catalog.pg_locks l "
	    "WHERE NOT granted AND waitstart = $2::timestamptz "
	    "AND virtualtransaction = $3 AND (pid = $1 OR EXISTS ("
	    "SELECT 1 FROM pg_catalog.pg_stat_activity a "
	    "WHERE a.pid = l.pid AND a.leader_pid = $1)) LIMIT 1" },
	{ "terminate_waiting",
	    "SELECT pg_terminate_backend($1) FROM pg_catalog.pg_locks l "
	    "WHERE NOT granted AND waitstart = $2::timestamptz "
	    "AND virtualtransaction = $3 AND (pid = $1 OR EXISTS ("
	    "SELECT 1 FROM pg_catalog.pg_stat_activity a "
	    "WHERE a.pid = l.pid AND a.leader_pid = $1)) LIMIT 1" },
};

#define N_QUESTIONS	(sizeof(questions) / sizeof(questions[0]))

static LK_ON_WORKER int
ask(struct lk_session *session, const char *name, int n_params,
    const char *const *values, PGresult **res_out, struct lk_error *error)
{
	struct lk_pipe	pipe;
	int		rc;

	lk_pipe_init(&pipe, session, lk_clock_us() + ANSWER_US);
	pipe.ends_on_stop = true;
	rc = lk_pipe_query_prepared(&pipe, name, n_params, values, res_out,
	    error);
	lk_pipe_fini(&pipe);
	return rc;
}

int
lk_look_prepare(struct lk_session *session, struct lk_error *error)
{
	struct lk_pipe	 pipe;
	PGresult	*res = NULL;
	size_t		 i;
	int		 rc;

	lk_assert_worker();
	lk_pipe_init(&pipe, session, lk_clock_us() + ANSWER_US);
	pipe.ends_on_stop = true;
	/* Names come from the catalog, which somebody may have locked. */
	rc = lk_pipe_query(&pipe, "SET lock_timeout = '100ms'", 0, NULL, &res,
	    error);
	PQclear(res);
	/* Whose texts these are, and in which encoding, nobody knows. */
	res = NULL;
	if (rc == 0)
		rc = lk_pipe_query(&pipe, LK_SESSION_TAKES_BYTES, 0, NULL,
		    &res, error);
	PQclear(res);
	for (i = 0; i < N_QUESTIONS && rc == 0; i++)
		rc = lk_pipe_prepare_now(&pipe, questions[i].name,
		    questions[i].sql, error);
	lk_pipe_fini(&pipe);
	return rc == 0 ? 0 : -LK_E_IO;
}

/* ---- cells ---- */

/* "" for NULL, and for a cell that the server left out. */
static const char *
text_at(const PGresult *res, int row, int column)
{
	const char *text = PQgetvalue(res, row, column);

	return text != NULL ? text : "";
}

static char *
take(struct lk_buf *text)
{
	char *copy = lk_xstrdup(lk_buf_cstr(text));

	lk_buf_fini(text);
	return copy;
}

/* On the heap; of any bytes UTF-8. */
static char *
copy_at(const PGresult *res, int row, int column)
{
	const char *text = text_at(res, row, column);
	struct lk_buf copy = LK_BUF_INIT;

	lk_utf8_escape(&copy, text, strlen(text));
	return take(&copy);
}

static uint32_t
u32_at(const PGresult *res, int row, int column)
{
	return (uint32_t)strtoul(text_at(res, row, column), NULL, 10);
}

/* 0 for NULL, and for an age that the clock has made negative. */
static uint64_t
us_at(const PGresult *res, int row, int column)
{
	long long us = strtoll(text_at(res, row, column), NULL, 10);

	return us > 0 ? (uint64_t)us : 0;
}

static void
copy_text(char *to, size_t size, const PGresult *res, int row, int column)
{
	snprintf(to, size, "%s", text_at(res, row, column));
}

/* ---- the parts of a look ---- */

static void
read_lock(struct lk_lock_row *lock, const PGresult *res, int row)
{
	copy_text(lock->locktype, sizeof(lock->locktype), res, row, 0);
	lock->database = u32_at(res, row, 1);
	lock->relation = u32_at(res, row, 2);
	lock->page = u32_at(res, row, 3);
	lock->tuple = u32_at(res, row, 4);
	lock->xid = u32_at(res, row, 5);
	lock->classid = u32_at(res, row, 6);
	lock->objid = u32_at(res, row, 7);
	lock->objsubid = u32_at(res, row, 8);
	copy_text(lock->virtualxid, sizeof(lock->virtualxid), res, row, 9);
	copy_text(lock->vxid, sizeof(lock->vxid), res, row, 10);
	lock->pid = atoi(text_at(res, row, 11));
	copy_text(lock->mode, sizeof(lock->mode), res, row, 12);
	lock->granted = text_at(res, row, 13)[0] == 't';
	copy_text(lock->waitstart, sizeof(lock->waitstart), res, row, 14);
	lock->waited_us = us_at(res, row, 15);
}

static LK_ON_WORKER int
read_locks(struct lk_session *session, struct lk_locks *locks,
    bool *has_wait_out, struct lk_error *error)
{
	PGresult	*res = NULL;
	int		 rc = ask(session, "locks", 0, NULL, &res, error), row;

	*has_wait_out = false;
	if (rc < 0)
		return rc;
	locks->n_rows = (size_t)PQntuples(res);
	locks->rows = lk_xcalloc(locks->n_rows + 1, sizeof(*locks->rows));
	for (row = 0; row < PQntuples(res); row++) {
		read_lock(&locks->rows[row], res, row);
		*has_wait_out |= lk_lock_is_wait(&locks->rows[row]);
	}
	PQclear(res);
	return 0;
}

static void
read_members(struct lk_locks *locks, const PGresult *res)
{
	int row, leader;

	locks->members = lk_xcalloc((size_t)PQntuples(res) + 1,
	    sizeof(*locks->members));
	for (row = 0; row < PQntuples(res); row++) {
		leader = atoi(text_at(res, row, 1));
		if (leader != 0)
			locks->members[locks->n_members++] =
			    (struct lk_lock_member){
				atoi(text_at(res, row, 0)), leader };
	}
}

static LK_ON_WORKER int
read_prepared(struct lk_session *session, struct lk_locks *locks,
    struct lk_error *error)
{
	PGresult	*res = NULL;
	size_t		 i;
	int		 rc, row;

	for (i = 0; i < locks->n_rows && locks->rows[i].pid != 0; i++)
		;
	if (i == locks->n_rows)
		return 0;
	rc = ask(session, "prepared", 0, NULL, &res, error);
	if (rc < 0)
		return rc;
	locks->n_prepared = (size_t)PQntuples(res);
	locks->prepared = lk_xcalloc(locks->n_prepared + 1,
	    sizeof(*locks->prepared));
	for (row = 0; row < PQntuples(res); row++) {
		locks->prepared[row].xid = u32_at(res, row, 0);
		locks->prepared[row].gid = copy_at(res, row, 1);
		locks->prepared[row].age_us = us_at(res, row, 2);
	}
	PQclear(res);
	return 0;
}

/* The question's parameter is an array of these numbers. */
static LK_ON_WORKER int
ask_about(struct lk_session *session, const char *name,
    const uint32_t *numbers, size_t n, PGresult **res_out,
    struct lk_error *error)
{
	struct lk_buf	 text = LK_BUF_INIT;
	const char	*value;
	size_t		 i;
	int		 rc;

	lk_buf_putc(&text, '{');
	for (i = 0; i < n; i++)
		lk_buf_printf(&text, "%s%" PRIu32, i == 0 ? "" : ",",
		    numbers[i]);
	lk_buf_putc(&text, '}');
	value = lk_buf_cstr(&text);
	rc = ask(session, name, 1, &value, res_out, error);
	lk_buf_fini(&text);
	return rc;
}

/* Names are a nicety: a look without them is a look. */
static LK_ON_WORKER int
read_relations(struct lk_session *session, struct lk_locks *locks,
    struct lk_error *error)
{
	PGresult	*res = NULL;
	uint32_t	*oids = NULL;
	size_t		 n;
	int		 rc, row;

	rc = ask(session, "database", 0, NULL, &res, error);
	if (rc == 0)
		locks->database = u32_at(res, 0, 0);
	PQclear(res);
	res = NULL;
	if (rc == 0)
		oids = lk_locks_relations(locks, &n);
	if (oids != NULL)
		rc = ask_about(session, "relations", oids, n, &res, error);
	free(oids);
	if (rc < 0 || res == NULL)
		return rc == -LK_E_IO ? rc : 0;
	locks->n_relations = (size_t)PQntuples(res);
	locks->relations = lk_xcalloc(locks->n_relations + 1,
	    sizeof(*locks->relations));
	for (row = 0; row < PQntuples(res); row++) {
		locks->relations[row].oid = u32_at(res, row, 0);
		locks->relations[row].name = copy_at(res, row, 1);
	}
	PQclear(res);
	return 0;
}

/* ---- who they are ---- */

static bool
is_in_look(const struct lk_look *look, int pid)
{
	size_t i, j;

	for (i = 0; i < look->n_waits; i++) {
		if (look->waits[i].pid == pid)
			return true;
		for (j = 0; j < look->waits[i].n_blockers; j++) {
			if (look->waits[i].blockers[j].pid == pid)
				return true;
		}
	}
	return false;
}

static char *
redact(const char *query)
{
	struct lk_buf	 text = LK_BUF_INIT, copy = LK_BUF_INIT;

	lk_sql_redact(query, strlen(query), MAX_QUERY, &text);
	lk_utf8_escape(&copy, text.data, text.len);
	lk_buf_fini(&text);
	return take(&copy);
}

static void
fill_backends(struct lk_look *look, const PGresult *res)
{
	int row, pid;

	look->backends = lk_xcalloc((size_t)PQntuples(res) + 1,
	    sizeof(*look->backends));
	for (row = 0; row < PQntuples(res); row++) {
		pid = atoi(text_at(res, row, 0));
		if (!is_in_look(look, pid))
			continue;
		look->backends[look->n_backends++] = (struct lk_backend){
			.pid = pid,
			.application = copy_at(res, row, 2),
			.user = copy_at(res, row, 3),
			.database = copy_at(res, row, 4),
			.state = copy_at(res, row, 5),
			.query = redact(text_at(res, row, 6)),
			.state_us = us_at(res, row, 7),
			.xact_us = us_at(res, row, 8),
		};
	}
}

/* ---- soft blockers ---- */

static LK_ON_WORKER int
ask_blocking(struct lk_session *session, struct lk_look *look,
    PGresult **res_out)
{
	return look->n_asked == 0 ? 0 : ask_about(session, "blocking",
	    look->asked, look->n_asked, res_out, &look->error);
}

static LK_ON_WORKER void
confirm(struct lk_look *look, const PGresult *res)
{
	int n = res != NULL ? PQntuples(res) : 0, row;
	struct lk_lock_blocking *said = lk_xcalloc((size_t)n + 1,
	    sizeof(*said));

	for (row = 0; row < n; row++)
		said[row] = (struct lk_lock_blocking){
			atoi(text_at(res, row, 0)), atoi(text_at(res, row, 1)) };
	lk_locks_confirm(look, said, (size_t)n);
	free(said);
}

/* ---- a look ---- */

static LK_ON_WORKER int
look_closely(struct lk_session *session, struct lk_look *look)
{
	struct lk_locks	 locks;
	PGresult	*backends = NULL, *blocking = NULL;
	bool		 has_wait;
	int		 rc;

	memset(&locks, 0, sizeof(locks));
	/* First: the waits that are here after it, and were before, were. */
	rc = ask_blocking(session, look, &blocking);
	if (rc < 0)
		goto out;
	rc = read_locks(session, &locks, &has_wait, &look->error);
	if (rc < 0 || !has_wait)
		goto out;
	rc = ask(session, "backends", 0, NULL, &backends, &look->error);
	if (rc == 0)
		rc = read_prepared(session, &locks, &look->error);
	if (rc == 0)
		rc = read_relations(session, &locks, &look->error);
	if (rc < 0)
		goto out;
	lk_error_fini(&look->error);
	read_members(&locks, backends);
	lk_locks_join(&locks, &look->waits, &look->n_waits);
	confirm(look, blocking);
	fill_backends(look, backends);
out:
	PQclear(blocking);
	PQclear(backends);
	lk_locks_fini(&locks);
	return rc;
}

int
lk_look_take(struct lk_session *session, struct lk_look *look)
{
	uint64_t	 start_us = lk_clock_us();
	PGresult	*res = NULL;
	int		 rc = 0;

	lk_assert_worker();
	if (!look->expects_waits)
		rc = ask(session, "anybody", 0, NULL, &res, &look->error);
	if (rc == 0 && (look->expects_waits || PQntuples(res) > 0))
		rc = look_closely(session, look);
	PQclear(res);
	look->failed = rc < 0;
	look->cost_us = lk_clock_us() - start_us;
	return rc == -LK_E_IO ? rc : 0;
}

/* ---- cancels ---- */

int
lk_look_cancel(struct lk_session *session, struct lk_cancel *cancel)
{
	bool		 is_conditional = cancel->waitstart[0] != '\0';
	const char	*verb = cancel->terminate ? "terminate" : "cancel";
	char		 pid[16], name[32];
	const char	*values[] = { pid, cancel->waitstart, cancel->vxid };
	struct lk_error	 error;
	PGresult	*res = NULL;
	int		 rc;

	lk_assert_worker();
	lk_error_init(&error);
	snprintf(pid, sizeof(pid), "%d", cancel->backend_pid);
	snprintf(name, sizeof(name), "%s%s", verb,
	    is_conditional ? "_waiting" : "");
	rc = ask(session, name, is_conditional ? 3 : 1, values, &res, &error);
	cancel->failed = rc < 0;
	cancel->sent = rc == 0 && PQntuples(res) > 0 &&
	    text_at(res, 0, 0)[0] == 't';
	PQclear(res);
	lk_error_fini(&error);
	return rc == -LK_E_IO ? rc : 0;
}
