/*
 * What tests against a real PostgreSQL, which LK_TEST_CONNINFO names, have in
 * common: a session beside those of the threads that are tested, as another
 * program has it, and the mail that these threads send.
 */
#ifndef LK_TESTS_DB_SIDE_H
#define LK_TESTS_DB_SIDE_H

#include "../unit/unit.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/worker.h"
#include "offload/cross.h"
#include "offload/thread.h"

#define PATIENCE_MS	20000

static struct lk_mailbox	 outbox;	/* the threads' */
static struct lk_list		 unread;
static struct lk_db_args	 args;
static char			 conninfo[1024];
static PGconn			*side;

/* ---- the other program ---- */

static inline PGresult *
side_query(const char *sql)
{
	PGresult *res = PQexec(side, sql);
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(side));
	return res;
}

static inline void
side_do(const char *sql)
{
	PQclear(side_query(sql));
}

static inline int
side_int(const char *sql)
{
	PGresult *res = side_query(sql);
	int value = atoi(PQgetvalue(res, 0, 0));

	PQclear(res);
	return value;
}

/* Wait until that query says 1. */
static inline void
side_await(const char *sql)
{
	int i;

	for (i = 0; i < PATIENCE_MS / 10; i++) {
		if (side_int(sql) == 1)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("never came true: %s", sql);
}

static inline void
kill_backend(int pid)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)::int",
	    pid);
	assert_int_equal(side_int(sql), 1);
}

static inline void
await_lock_wait(int pid)
{
	char sql[160];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_locks WHERE "
	    "NOT granted AND waitstart IS NOT NULL AND pid = %d", pid);
	side_await(sql);
}

/* ---- its schema, which the threads' sessions are in, too ---- */

static inline int
open_schema(const char *name)
{
	const char *given = getenv("LK_TEST_CONNINFO");
	char sql[80];

	if (given == NULL) {
		fprintf(stderr, "LK_TEST_CONNINFO is not set\n");
		return -1;
	}
	snprintf(conninfo, sizeof(conninfo), "%s options='-c search_path=%s'",
	    given, name);
	args.conninfo = conninfo;
	args.connect_timeout_us = 10 * LK_US_PER_S;
	lk_log_set_level(LK_LOG_ERROR);
	side = PQconnectdb(conninfo);
	if (PQstatus(side) != CONNECTION_OK) {
		fprintf(stderr, "%s", PQerrorMessage(side));
		return -1;
	}
	side_do("SET client_min_messages = error");
	/* A run that was broken off may have left it. */
	snprintf(sql, sizeof(sql), "DROP SCHEMA IF EXISTS %s CASCADE", name);
	side_do(sql);
	snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", name);
	side_do(sql);
	return 0;
}

static inline void
drop_schema(const char *name)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "DROP SCHEMA %s CASCADE", name);
	side_do(sql);
	PQfinish(side);
}

/* ---- mail ---- */

static inline bool
has_mail_within(int ms)
{
	struct pollfd fd = { .fd = lk_mailbox_fd(&outbox), .events = POLLIN };

	if (lk_list_is_empty(&unread) && poll(&fd, 1, ms) == 1)
		lk_mailbox_take(&outbox, &unread);
	return !lk_list_is_empty(&unread);
}

static inline struct lk_msg *
next_mail(void)
{
	struct lk_list *first;

	if (!has_mail_within(PATIENCE_MS))
		fail_msg("no mail");
	first = unread.next;
	lk_list_remove(first);
	return lk_container(first, struct lk_msg, link);
}

static inline struct lk_msg *
expect_mail(enum lk_msg_kind kind)
{
	struct lk_msg *msg = next_mail();

	assert_int_equal(msg->kind, kind);
	return msg;
}

static inline struct lk_note *
next_note(enum lk_note_kind kind)
{
	struct lk_note *note = lk_container(expect_mail(LK_MSG_NOTE),
	    struct lk_note, msg);

	assert_int_equal(note->kind, kind);
	return note;
}

static inline void
expect_note(enum lk_note_kind kind)
{
	struct lk_note *note = next_note(kind);

	lk_note_free(&note);
}

static inline void
expect_down(const char *words)
{
	struct lk_note *note = next_note(LK_NOTE_DOWN);

	assert_int_equal(note->error.kind, LK_ERR_CONNLOST);
	if (strstr(note->error.message, words) == NULL)
		fail_msg("%s: not \"%s\"", note->error.message, words);
	lk_note_free(&note);
}

/* The backend's pid. */
static inline int
expect_up(void)
{
	struct lk_note *note = next_note(LK_NOTE_UP);
	int pid = note->backend_pid;

	assert_true(pid > 0);
	assert_non_null(strchr(note->server_id, '/'));
	lk_note_free(&note);
	return pid;
}

#endif
