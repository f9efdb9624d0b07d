/*
 * One job on one session: its items go out in a pipeline, each under its own
 * Sync, and come back with their outcomes.  offload/cross.h says what those
 * mean.
 */
#ifndef LK_DB_EXEC_H
#define LK_DB_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/role.h"
#include "db/clean.h"
#include "db/pipe.h"
#include "db/session.h"
#include "offload/cross.h"

struct lk_run;

/* Items that are asked together, each by its values; those with the same values
 * share a place in the arrays. */
struct lk_places {
	size_t		*of_item;	/* heap */
	size_t		*item;		/* heap; the first with these values */
	size_t		 n;
};

struct lk_exec {
	struct lk_session *session;
	struct lk_job	*job;		/* NULL once it has been posted */
	struct lk_pipe	 pipe;
	struct lk_clean	 clean;
	bool		 is_clean_sent;
	struct lk_run	*runs;		/* one an item, and one for all of them when
					   they are asked together */
	size_t		 n_runs;
	size_t		 n_left;	/* items whose outcome is not certain yet */
	size_t		 n_in_flight;	/* items sent and not answered */
	/* A statement whose parameters are being described: until that is
	 * there nothing may be sent behind it. */
	struct lk_run	*describing;
	bool		 has_begin_failed;
	size_t		 n_answered_bytes;	/* of replies that are complete */
	struct lk_item	 together;	/* the job's, whose run is the last of
					   runs */
	struct lk_places places;
	/* Of a unit. */
	size_t		 n_unread;	/* 0 once what it waits for has come */
	size_t		 n_reply_bytes;	/* so far */
};

/* For rolling back and cleaning, which nobody can cancel, and which giving the
 * session up does as well. */
#define LK_EXEC_GIVE_UP_US	(5 * LK_US_PER_S)

void	lk_exec_init(struct lk_exec *exec, struct lk_session *session,
	    struct lk_job *job) LK_ON_WORKER;
void	lk_exec_fini(struct lk_exec *exec) LK_ON_WORKER;

/*
 * Run it until all of the job is filled in; after that the job is the
 * caller's to post.  When job->after is LK_XACT_GONE the session is lost and
 * exec->pipe.error says why.
 */
void	lk_exec_run(struct lk_exec *exec) LK_ON_WORKER;
/* The cleaning behind it.  0; -LK_E_IO: the session is lost. */
int	lk_exec_finish(struct lk_exec *exec) LK_ON_WORKER;

/* Whether that request's item is in the job, and the job not posted yet. */
bool	lk_exec_has(const struct lk_exec *exec, struct lk_id request)
	    LK_ON_WORKER;
/* Whether that request's statement has been sent and not answered. */
bool	lk_exec_is_running(const struct lk_exec *exec, struct lk_id request)
	    LK_ON_WORKER;

#endif
