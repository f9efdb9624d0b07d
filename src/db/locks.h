/*
 * Who waits for whom, from the rows of pg_locks.  Pure: plain rows in, waits
 * out; the join is here and not in SQL, where it takes seconds when there are
 * thousands of locks.
 */
#ifndef LK_DB_LOCKS_H
#define LK_DB_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/role.h"
#include "offload/cross.h"

/* One row of pg_locks; 0 and "" where it has NULL. */
struct lk_lock_row {
	char		 locktype[24];
	uint32_t	 database;
	uint32_t	 relation;
	uint32_t	 page;
	uint32_t	 tuple;
	uint32_t	 xid;		/* transactionid */
	uint32_t	 classid;
	uint32_t	 objid;
	uint32_t	 objsubid;
	char		 virtualxid[32];
	char		 vxid[32];	/* virtualtransaction: whose it is */
	int		 pid;		/* 0: of a prepared transaction */
	char		 mode[32];
	bool		 granted;
	char		 waitstart[40];
	uint64_t	 waited_us;
};

/* A member of a parallel group. */
struct lk_lock_member {
	int		 pid;
	int		 leader;
};

struct lk_lock_prepared {
	uint32_t	 xid;
	char		*gid;
	uint64_t	 age_us;	/* since it was prepared */
};

struct lk_lock_relation {
	uint32_t	 oid;
	char		*name;		/* with its kind: "table accounts" */
};

/* A pair of what pg_blocking_pids said. */
struct lk_lock_blocking {
	int		 pid;
	int		 blocker;
};

struct lk_locks {
	struct lk_lock_row	*rows;
	size_t			 n_rows;
	struct lk_lock_member	*members;
	size_t			 n_members;
	struct lk_lock_prepared	*prepared;
	size_t			 n_prepared;
	struct lk_lock_relation	*relations;	/* that are known by name */
	size_t			 n_relations;
	uint32_t		 database;	/* that relations are of */
};

/* Whether this row is a wait that can last. */
bool	lk_lock_is_wait(const struct lk_lock_row *row) LK_ON_WORKER;

/*
 * Oids of relations of in->database that waits are about, each once; heap.
 * NULL: none.
 */
uint32_t *lk_locks_relations(const struct lk_locks *in, size_t *n_out)
	    LK_ON_WORKER;

/* Waits sorted by pid, as struct lk_look has them.  Sorts in->rows. */
void	lk_locks_join(struct lk_locks *in, struct lk_wait **waits_out,
	    size_t *n_waits_out) LK_ON_WORKER;

/* Which of the soft blockers that look->asked is about have been named. */
void	lk_locks_confirm(struct lk_look *look,
	    const struct lk_lock_blocking *said, size_t n_said) LK_ON_WORKER;

/* The group leader of pid, or pid itself. */
int	lk_locks_leader(const struct lk_locks *in, int pid) LK_ON_WORKER;

void	lk_locks_fini(struct lk_locks *in) LK_ON_WORKER;

#endif
