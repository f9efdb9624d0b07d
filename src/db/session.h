/*
 * One PostgreSQL session: a connection in non-blocking pipeline mode, and what
 * is known of the backend behind it.  Waits only in lk_session_wait(), for its
 * socket and for mail at once.
 */
#ifndef LK_DB_SESSION_H
#define LK_DB_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "db/stmts.h"
#include "db/types.h"
#include "db/worker.h"
#include "offload/cross.h"
#include "offload/thread.h"

/* Older servers lack idle_session_timeout and pg_locks.waitstart. */
#define LK_SERVER_VERSION_MIN	140000

/*
 * From here on texts may be no UTF-8: where the server does not know what its
 * bytes mean it would refuse to send such a text, and all else with it.  One
 * statement, with a row of one column.
 */
#define LK_SESSION_TAKES_BYTES						\
	"SELECT pg_catalog.set_config('client_encoding', CASE "		\
	"WHEN pg_catalog.current_setting('server_encoding') "		\
	"OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, "	\
	"false)"

struct lk_session {
	PGconn		*conn;		/* NULL while there is none */
	struct lk_thread *thread;	/* whose inbox is watched */
	/*
	 * Called with all mail whenever some came during a wait.  Sets
	 * is_stopping when it holds LK_MSG_STOP.
	 */
	void		(*on_mail)(void *ctx, struct lk_list *mail);
	/* Called with each notification that is read; NULL: for nobody. */
	void		(*on_notify)(void *ctx, const PGnotify *notify);
	void		*ctx;
	bool		 is_stopping;
	int		 backend_pid;	/* when it was opened: libpq takes over a
					   new one whenever the server says it */
	char		 server_id[LK_SERVER_ID_MAX];
	struct lk_types	 types;
	struct lk_stmts	 stmts;
	/* DDL ran since the last cleaning, as far as its tags say. */
	bool		 changed_schema;
	struct lk_buf	 last_words;	/* a FATAL that answered no statement */
};

enum {
	LK_WAIT_READABLE = 1,
	LK_WAIT_WRITABLE = 2,
	LK_WAIT_MAIL = 4,	/* some came and on_mail has it */
};

void	lk_session_init(struct lk_session *session, struct lk_thread *thread,
	    void (*on_mail)(void *ctx, struct lk_list *mail), void *ctx)
	    LK_ON_WORKER;

/*
 * Connect, check the server, set everything up.  0; or -LK_E_IO with error in
 * the server's or libpq's words; or -LK_E_AGAIN: is_stopping came up first.
 */
int	lk_session_open(struct lk_session *session,
	    const struct lk_db_args *args, const char *application,
	    struct lk_error *error) LK_ON_WORKER;
/* Also when it is not open. */
void	lk_session_close(struct lk_session *session) LK_ON_WORKER;

/*
 * Wait for mail, and with events (LK_WAIT_READABLE, _WRITABLE) also for the
 * socket, until due_us (LK_NEVER: for ever).  Returns what came; 0: time is up.
 */
unsigned lk_session_wait(struct lk_session *session, unsigned events,
	    uint64_t due_us) LK_ON_WORKER;

/* Take in what the server has sent.  False: the connection is gone or going. */
bool	lk_session_read(struct lk_session *session) LK_ON_WORKER;
/* What ended the session, best known; valid until the session is closed. */
const char *lk_session_words(struct lk_session *session) LK_ON_WORKER;

/*
 * Cancel whatever the backend is running, with PQcancel: blocks for a
 * connection to the server, for a second at most.  0: the signal has been sent;
 * -LK_E_IO: it could not be; -LK_E_AGAIN: the server hangs, and the signal may
 * come at any time later, so that the session is of no more use.
 */
int	lk_session_cancel_wait(struct lk_session *session) LK_ON_WORKER;

#endif
