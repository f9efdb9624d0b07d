#include "db/session.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "db/pgerror.h"
#include "db/pipe.h"

/*
 * As startup options, so that RESET ALL restores them; behind those of the
 * conninfo, so that they rule.
 */
static const char startup_options[] =
    "-c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 "
    "-c lock_timeout=0 -c statement_timeout=0 "
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC "
    "-c extra_float_digits=1 -c bytea_output=hex";

/* A server that takes longer to take in a cancel hangs. */
#define CANCEL_S	1

/* conninfo's own, and ours: options, client_encoding, application name. */
#define N_OURS	3

void
lk_session_init(struct lk_session *session, struct lk_thread *thread,
    void (*on_mail)(void *ctx, struct lk_list *mail), void *ctx)
{
	lk_assert_worker();
	memset(session, 0, sizeof(*session));
	session->thread = thread;
	session->on_mail = on_mail;
	session->ctx = ctx;
}

/* ---- waiting ---- */

static int
timeout_ms(uint64_t due_us)
{
	uint64_t now_us;

	if (due_us == LK_NEVER)
		return -1;
	now_us = lk_clock_us();
	if (due_us <= now_us)
		return 0;
	if (due_us - now_us > 3600 * LK_US_PER_S)
		return 3600 * 1000;
	return (int)((due_us - now_us + LK_US_PER_MS - 1) / LK_US_PER_MS);
}

static LK_ON_WORKER void
take_mail(struct lk_session *session)
{
	struct lk_list mail;

	lk_list_init(&mail);
	lk_mailbox_take(&session->thread->inbox, &mail);
	session->on_mail(session->ctx, &mail);
	lk_assert(lk_list_is_empty(&mail));
}

unsigned
lk_session_wait(struct lk_session *session, unsigned events, uint64_t due_us)
{
	struct pollfd	fds[2];
	unsigned	came = 0;

	lk_assert_worker();
	fds[0] = (struct pollfd){
		.fd = lk_mailbox_fd(&session->thread->inbox),
		.events = POLLIN,
	};
	fds[1] = (struct pollfd){
		.fd = events != 0 ? PQsocket(session->conn) : -1,
		.events = (short)((events & LK_WAIT_READABLE ? POLLIN : 0) |
		    (events & LK_WAIT_WRITABLE ? POLLOUT : 0)),
	};
	if (poll(fds, 2, timeout_ms(due_us)) <= 0)
		return 0;
	if (fds[1].revents & (POLLIN | POLLERR | POLLHUP | POLLNVAL))
		came |= LK_WAIT_READABLE;
	if (fds[1].revents & POLLOUT)
		came |= LK_WAIT_WRITABLE;
	if (fds[0].revents != 0) {
		take_mail(session);
		came |= LK_WAIT_MAIL;
	}
	return came;
}

bool
lk_session_read(struct lk_session *session)
{
	PGnotify *notify;

	lk_assert_worker();
	if (PQconsumeInput(session->conn) == 0)
		return false;
	/* libpq keeps them until asked, also those that nobody is to hear. */
	while ((notify = PQnotifies(session->conn)) != NULL) {
		if (session->on_notify != NULL)
			session->on_notify(session->ctx, notify);
		PQfreemem(notify);
	}
	/* A FATAL that answers nothing comes before the end of the stream. */
	return PQstatus(session->conn) != CONNECTION_BAD &&
	    session->last_words.len == 0;
}

const char *
lk_session_words(struct lk_session *session)
{
	lk_assert_worker();
	/* What the server said last may be in libpq's buffer still. */
	(void)PQisBusy(session->conn);
	if (session->last_words.len > 0)
		return lk_buf_cstr(&session->last_words);
	return PQerrorMessage(session->conn);
}

/* ---- cancelling ---- */

/* Says whether it was sent: NULL or not. */
static void *
send_cancel(void *arg)
{
	static char	 was_sent;
	PGcancel	*cancel = arg;
	char		 text[256];
	int		 rc = PQcancel(cancel, text, sizeof(text));

	PQfreeCancel(cancel);
	return rc == 1 ? &was_sent : NULL;
}

/*
 * PQcancel() waits until the server has closed its connection, and one that
 * hangs never does.  It is left alone with that then.
 */
int
lk_session_cancel_wait(struct lk_session *session)
{
	PGcancel	*cancel = PQgetCancel(session->conn);
	struct timespec	 due;
	pthread_t	 thread;
	void		*was_sent;

	lk_assert_worker();
	if (cancel == NULL)
		return -LK_E_IO;
	if (pthread_create(&thread, NULL, send_cancel, cancel) != 0) {
		PQfreeCancel(cancel);
		return -LK_E_IO;
	}
	clock_gettime(CLOCK_REALTIME, &due);
	due.tv_sec += CANCEL_S;
	if (pthread_timedjoin_np(thread, &was_sent, &due) != 0) {
		pthread_detach(thread);
		return -LK_E_AGAIN;
	}
	return was_sent != NULL ? 0 : -LK_E_IO;
}

/* Notices are nobody's; but a FATAL between statements comes as one. */
static void
receive_notice(void *arg, const PGresult *res)
{
	struct lk_session	*session = arg;
	const char		*text = PQresultErrorField(res,
	    PG_DIAG_MESSAGE_PRIMARY);

	lk_assert_worker();
	if (lk_pgerror_severity(res) == LK_SEVERITY_ERROR || text == NULL)
		return;
	lk_buf_truncate(&session->last_words, 0);
	lk_buf_puts(&session->last_words, text);
}

/* ---- connecting ---- */

struct params {
	const char	**keys;
	const char	**values;
	size_t		  n;
	struct lk_buf	  options;
};

static void
add_param(struct params *params, const char *key, const char *value)
{
	params->keys[params->n] = key;
	params->values[params->n] = value;
	params->n++;
}

/* The values stay those of `parsed`. */
static void
merge_params(struct params *params, const PQconninfoOption *parsed,
    const char *application)
{
	const PQconninfoOption	*option;
	size_t			 n = 0;
	bool			 has_name = false;

	for (option = parsed; option->keyword != NULL; option++)
		n++;
	params->keys = lk_xcalloc(n + N_OURS + 1, sizeof(char *));
	params->values = lk_xcalloc(n + N_OURS + 1, sizeof(char *));
	for (option = parsed; option->keyword != NULL; option++) {
		if (option->val == NULL ||
		    strcmp(option->keyword, "client_encoding") == 0)
			continue;
		if (strcmp(option->keyword, "options") == 0) {
			lk_buf_printf(&params->options, "%s ", option->val);
			continue;
		}
		if (strcmp(option->keyword, "fallback_application_name") == 0)
			has_name = true;
		add_param(params, option->keyword, option->val);
	}
	lk_buf_puts(&params->options, startup_options);
	add_param(params, "options", lk_buf_cstr(&params->options));
	add_param(params, "client_encoding", "UTF8");
	if (!has_name)
		add_param(params, "fallback_application_name", application);
}

static LK_ON_WORKER int
start_connecting(struct lk_session *session, const char *conninfo,
    const char *application, struct lk_error *error)
{
	struct params	 params = { NULL, NULL, 0, LK_BUF_INIT };
	char		*text = NULL;
	PQconninfoOption *parsed = PQconninfoParse(conninfo, &text);

	if (parsed == NULL) {
		lk_pgerror_set_lost(error, text != NULL ? text :
		    "out of memory");
		PQfreemem(text);
		return -LK_E_IO;
	}
	merge_params(&params, parsed, application);
	session->conn = PQconnectStartParams(params.keys, params.values, 0);
	lk_assert(session->conn != NULL);
	PQsetNoticeReceiver(session->conn, receive_notice, session);
	lk_buf_fini(&params.options);
	free(params.keys);
	free(params.values);
	PQconninfoFree(parsed);
	return 0;
}

/* connect_timeout as libpq has it from conninfo, service or environment. */
static uint64_t
own_timeout_us(const PGconn *conn)
{
	PQconninfoOption	*options = PQconninfo((PGconn *)conn), *option;
	uint64_t		 seconds = 0;

	for (option = options; option != NULL && option->keyword != NULL;
	    option++) {
		if (strcmp(option->keyword, "connect_timeout") == 0 &&
		    option->val != NULL && atoi(option->val) > 0)
			seconds = (uint64_t)atoi(option->val);
	}
	PQconninfoFree(options);
	return seconds * LK_US_PER_S;
}

static LK_ON_WORKER void
set_connect_error(struct lk_session *session, struct lk_error *error)
{
	const char *words = PQerrorMessage(session->conn);

	/* An older server refuses our options before it says its version. */
	if (strstr(words, "idle_session_timeout") != NULL)
		words = "the server is older than PostgreSQL 14";
	lk_pgerror_set_lost(error, words);
}

static LK_ON_WORKER int
connect_until(struct lk_session *session, uint64_t due_us,
    struct lk_error *error)
{
	PostgresPollingStatusType want = PGRES_POLLING_WRITING;

	while (PQstatus(session->conn) != CONNECTION_BAD) {
		if (want == PGRES_POLLING_OK)
			return 0;
		if (want == PGRES_POLLING_FAILED)
			break;
		if (session->is_stopping)
			return -LK_E_AGAIN;
		if (due_us <= lk_clock_us()) {
			lk_pgerror_set_lost(error, "the server did not answer "
			    "in time");
			return -LK_E_IO;
		}
		if (lk_session_wait(session, want == PGRES_POLLING_WRITING ?
		    LK_WAIT_WRITABLE : LK_WAIT_READABLE, due_us) &
		    ~(unsigned)LK_WAIT_MAIL)
			want = PQconnectPoll(session->conn);
	}
	set_connect_error(session, error);
	return -LK_E_IO;
}

/* ---- the server at the other end ---- */

static bool
is_set(const PGconn *conn, const char *name, const char *value)
{
	const char *now = PQparameterStatus(conn, name);

	return now != NULL && strncmp(now, value, strlen(value)) == 0;
}

/* libpq itself sends PGTZ and PGDATESTYLE, behind our options. */
static LK_ON_WORKER int
check_parameters(struct lk_session *session, struct lk_error *error)
{
	PGconn *conn = session->conn;

	if (PQserverVersion(conn) < LK_SERVER_VERSION_MIN) {
		lk_pgerror_set_lost(error,
		    "the server is older than PostgreSQL 14");
		return -LK_E_IO;
	}
	if (!is_set(conn, "TimeZone", "UTC") ||
	    !is_set(conn, "DateStyle", "ISO") ||
	    !is_set(conn, "IntervalStyle", "postgres") ||
	    !is_set(conn, "client_encoding", "UTF8")) {
		lk_pgerror_set_lost(error, "TimeZone, DateStyle, IntervalStyle "
		    "or client_encoding could not be set: are PGTZ or "
		    "PGDATESTYLE in the environment?");
		return -LK_E_IO;
	}
	return 0;
}

static LK_ON_WORKER int
read_backend(struct lk_session *session, const PGresult *res,
    struct lk_error *error)
{
	int pid = PQbackendPID(session->conn);

	if (PQntuples(res) != 1 || PQnfields(res) != 3) {
		lk_pgerror_set_lost(error, "the server does not answer as "
		    "PostgreSQL does");
		return -LK_E_IO;
	}
	session->backend_pid = pid;
	if (pid <= 0 || atoi(PQgetvalue(res, 0, 0)) != pid) {
		lk_pgerror_set_lost(error, "a pooler lies between: "
		    "pg_backend_pid() is not the pid that the server said");
		return -LK_E_IO;
	}
	snprintf(session->server_id, sizeof(session->server_id), "%s/%s",
	    PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
	return 0;
}

static LK_ON_WORKER int
check_backend(struct lk_session *session, uint64_t due_us,
    struct lk_error *error)
{
	struct lk_pipe	 pipe;
	PGresult	*res = NULL;
	int		 rc;

	lk_pipe_init(&pipe, session, due_us);
	pipe.ends_on_stop = true;
	rc = lk_pipe_query(&pipe, "SELECT pg_catalog.pg_backend_pid(), "
	    "s.system_identifier, pg_catalog.pg_postmaster_start_time() "
	    "FROM pg_catalog.pg_control_system() s", 0, NULL, &res, error);
	lk_pipe_fini(&pipe);
	if (rc < 0)
		return rc;
	rc = read_backend(session, res, error);
	PQclear(res);
	return rc;
}

static LK_ON_WORKER int
open_until(struct lk_session *session, uint64_t due_us,
    struct lk_error *error)
{
	int rc = connect_until(session, due_us, error);

	if (rc == 0)
		rc = check_parameters(session, error);
	if (rc < 0)
		return rc;
	if (PQsetnonblocking(session->conn, 1) != 0 ||
	    PQenterPipelineMode(session->conn) != 1) {
		set_connect_error(session, error);
		return -LK_E_IO;
	}
	if (check_backend(session, due_us, error) == 0)
		return 0;
	return session->is_stopping ? -LK_E_AGAIN : -LK_E_IO;
}

int
lk_session_open(struct lk_session *session, const struct lk_db_args *args,
    const char *application, struct lk_error *error)
{
	uint64_t timeout_us = args->connect_timeout_us;
	uint64_t start_us = lk_clock_us();
	int rc;

	lk_assert_worker();
	lk_assert(session->conn == NULL);
	lk_types_init(&session->types);
	lk_stmts_init(&session->stmts);
	session->changed_schema = false;
	rc = start_connecting(session, args->conninfo, application, error);
	if (rc == 0) {
		if (timeout_us == 0)
			timeout_us = own_timeout_us(session->conn);
		rc = open_until(session, timeout_us == 0 ? LK_NEVER :
		    start_us + timeout_us, error);
	}
	if (rc < 0)
		lk_session_close(session);
	return rc;
}

void
lk_session_close(struct lk_session *session)
{
	lk_assert_worker();
	PQfinish(session->conn);
	session->conn = NULL;
	lk_types_fini(&session->types);
	lk_stmts_fini(&session->stmts);
	lk_buf_fini(&session->last_words);
}
