/*
 * A PostgreSQL that has nothing but locks, which it never breaks up: rows with
 * their holders and the queue before each, and pg_locks as a look shows it.
 */
#include <stdlib.h>

#include "sim.h"

static uint32_t
bit(int session)
{
	return 1u << session;
}

static uint32_t
sharers(const struct row *row)
{
	return row->share[0] | row->share[1];
}

static uint32_t
owners(const struct row *row)
{
	return row->excl[0] | row->excl[1];
}

uint32_t
pg_holders(const struct row *row, int session, enum mode mode)
{
	return (owners(row) | (mode == EXCLUSIVE ? sharers(row) : 0)) &
	    ~bit(session);
}

static bool
conflicts(enum mode a, enum mode b)
{
	return a == EXCLUSIVE || b == EXCLUSIVE;
}

uint32_t
pg_waiters_before(const struct row *row, int session)
{
	uint32_t before = 0;
	int i;

	for (i = 0; i < row->n_queue && row->queue[i] != session; i++) {
		if (conflicts(sim.sessions[row->queue[i]].wait_mode,
		    sim.sessions[session].wait_mode))
			before |= bit(row->queue[i]);
	}
	return before;
}

int
pg_first_waiter(const struct row *row, int session)
{
	uint32_t before = pg_waiters_before(row, session);
	int i;

	for (i = 0; i < row->n_queue; i++) {
		if (row->is_tuple && (before & bit(row->queue[i])))
			return row->queue[i];
	}
	return NONE;
}

static void
take(struct row *row, int session, enum mode mode)
{
	int level = sim.sessions[session].has_savepoint;

	if (mode == EXCLUSIVE)
		row->excl[level] |= bit(session);
	else
		row->share[level] |= bit(session);
}

static void
leave_queue(struct row *row, int at)
{
	row->n_queue--;
	memmove(row->queue + at, row->queue + at + 1,
	    (size_t)(row->n_queue - at) * sizeof(row->queue[0]));
}

/* Whoever can have it by now, in the order of the queue. */
static void
grant(struct row *row)
{
	struct session *session;
	int i = 0, s;

	while (i < row->n_queue) {
		s = row->queue[i];
		session = &sim.sessions[s];
		if (pg_holders(row, s, session->wait_mode) != 0 ||
		    pg_waiters_before(row, s) != 0) {
			i++;
			continue;
		}
		take(row, s, session->wait_mode);
		session->wait_row = NONE;
		leave_queue(row, i);
		TELL("  pid %d gets row %d", session->pid,
		    (int)(row - sim.rows));
	}
}

/*
 * Who holds a share already goes before those who wait for it, or would wait
 * for them.  A share of a tuple is had past a queue, if no holder is against.
 */
void
pg_lock(int s, int row_index, enum mode mode)
{
	struct row *row = &sim.rows[row_index];
	struct session *session = &sim.sessions[s];
	uint32_t held = owners(row) | (mode == SHARE ? sharers(row) : 0);
	bool is_upgrade = (sharers(row) & bit(s)) != 0;

	if (held & bit(s))
		return;
	session->wait_mode = mode;
	session->wait_row = row_index;
	session->wait_serial++;
	session->was_detected = false;
	session->wait_since_us = sim.now_us;
	if (is_upgrade || (row->is_tuple && mode == SHARE &&
	    pg_holders(row, s, mode) == 0)) {
		memmove(row->queue + 1, row->queue,
		    (size_t)row->n_queue * sizeof(row->queue[0]));
		row->queue[0] = s;
	} else {
		row->queue[row->n_queue] = s;
	}
	row->n_queue++;
	grant(row);
	if (session->wait_row != NONE)
		TELL("  pid %d waits for row %d%s", session->pid, row_index,
		    mode == SHARE ? " (share)" : "");
}

void
pg_stop_waiting(int s)
{
	struct session *session = &sim.sessions[s];
	struct row *row;
	int i;

	if (session->wait_row == NONE)
		return;
	row = &sim.rows[session->wait_row];
	session->wait_row = NONE;
	for (i = 0; row->queue[i] != s; i++)
		;
	leave_queue(row, i);
	grant(row);
}

static void
release(int s, int from_level)
{
	int i, level;

	for (i = 0; i < sim.n_rows; i++) {
		for (level = from_level; level < 2; level++) {
			sim.rows[i].share[level] &= ~bit(s);
			sim.rows[i].excl[level] &= ~bit(s);
		}
		grant(&sim.rows[i]);
	}
}

/* One of the same name: what the last one covered is the outer's now. */
void
pg_savepoint(int s)
{
	struct row *row;

	sim.sessions[s].has_savepoint = true;
	for (row = sim.rows; row < sim.rows + sim.n_rows; row++) {
		row->share[0] |= row->share[1] & bit(s);
		row->excl[0] |= row->excl[1] & bit(s);
		row->share[1] &= ~bit(s);
		row->excl[1] &= ~bit(s);
	}
}

void
pg_rollback_to(int s)
{
	sim.sessions[s].is_failed = false;
	release(s, 1);
}

void
pg_commit(int s)
{
	int i;

	for (i = 0; i < sim.n_rows; i++)
		sim.rows[i].n_commits += (owners(&sim.rows[i]) & bit(s)) != 0;
}

void
pg_end_tx(int s)
{
	struct session *session = &sim.sessions[s];

	session->in_tx = session->is_failed = session->has_savepoint = false;
	release(s, 0);
}

void
pg_close(int s)
{
	pg_stop_waiting(s);
	pg_end_tx(s);
	sim.sessions[s].pid = 0;
}

bool
pg_holds_any(int s)
{
	int i;

	for (i = 0; i < sim.n_rows; i++) {
		if ((sharers(&sim.rows[i]) | owners(&sim.rows[i])) & bit(s))
			return true;
	}
	return false;
}

int
pg_session_of_pid(int pid)
{
	int s;

	for (s = 0; s < MAX_SESSIONS; s++) {
		if (sim.sessions[s].pid == pid)
			return s;
	}
	return NONE;
}

/* ---- pg_locks ---- */

static void
add_blockers(struct lk_wait *wait, uint32_t who, bool is_soft)
{
	int s;

	for (s = 0; s < MAX_SESSIONS; s++) {
		if (who & bit(s))
			wait->blockers[wait->n_blockers++] =
			    (struct lk_blocker){ .pid = sim.sessions[s].pid,
			    .is_soft = is_soft };
	}
}

uint32_t
pg_blocking(int s)
{
	const struct session *session = &sim.sessions[s];
	const struct row *row = &sim.rows[session->wait_row];
	uint32_t before = pg_waiters_before(row, s);

	return pg_first_waiter(row, s) != NONE ? before :
	    pg_holders(row, s, session->wait_mode) | before;
}

/* Those that are before it if the queue is in the order of waitstart. */
static uint32_t
guess_waiters_before(const struct row *row, int s)
{
	const struct session *session = &sim.sessions[s], *other;
	uint32_t before = 0;
	int i;

	for (i = 0; i < row->n_queue; i++) {
		other = &sim.sessions[row->queue[i]];
		if (row->queue[i] != s &&
		    other->wait_since_us <= session->wait_since_us &&
		    conflicts(other->wait_mode, session->wait_mode))
			before |= bit(row->queue[i]);
	}
	return before;
}

static void
confirm(struct lk_wait *wait, int s, const struct lk_look *look,
    const struct watcher *watcher)
{
	struct lk_blocker *blocker;
	size_t i;

	for (i = 0; i < look->n_asked; i++)
		wait->was_asked |= (int)look->asked[i] == wait->pid;
	for (i = 0; i < wait->n_blockers && wait->was_asked; i++) {
		blocker = &wait->blockers[i];
		blocker->is_confirmed = blocker->is_soft &&
		    (watcher->blocking[s] &
		    bit(pg_session_of_pid(blocker->pid)));
	}
}

/*
 * Behind the first waiter of a tuple it is that one's lock which is waited
 * for, and the holders are not yet.
 */
static void
fill_wait(struct lk_wait *wait, int s)
{
	const struct session *session = &sim.sessions[s];
	const struct row *row = &sim.rows[session->wait_row];
	uint32_t before = guess_waiters_before(row, s);
	int first = pg_first_waiter(row, s);

	*wait = (struct lk_wait){ .pid = session->pid };
	/* Unset for an instant after the wait has begun. */
	if (session->wait_since_us < sim.now_us || in_100(80))
		snprintf(wait->waitstart, sizeof(wait->waitstart), "w%u",
		    session->wait_serial);
	strcpy(wait->vxid, "3/14");
	strcpy(wait->locktype, "transactionid");
	strcpy(wait->mode, "ShareLock");
	wait->object = strdup("a row");
	wait->waited_us = sim.now_us - session->wait_since_us;
	wait->blockers = calloc(MAX_SESSIONS, sizeof(*wait->blockers));
	REQUIRE(wait->object != NULL && wait->blockers != NULL);
	if (first != NONE) {
		add_blockers(wait, bit(first), false);
		before &= ~bit(first);
	} else {
		add_blockers(wait, pg_holders(row, s, session->wait_mode),
		    false);
	}
	add_blockers(wait, before, true);
}

static int
compare_pids(const void *a, const void *b)
{
	const struct lk_wait *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void
pg_fill_look(struct lk_look *look, const struct watcher *watcher)
{
	struct lk_wait *wait;
	int s;

	for (s = 0; s < MAX_SESSIONS; s++) {
		if (sim.sessions[s].pid == 0 ||
		    sim.sessions[s].server != watcher->server ||
		    sim.sessions[s].wait_row == NONE)
			continue;
		if (look->waits == NULL)
			look->waits = calloc(MAX_SESSIONS,
			    sizeof(*look->waits));
		REQUIRE(look->waits != NULL);
		wait = &look->waits[look->n_waits++];
		fill_wait(wait, s);
		confirm(wait, s, look, watcher);
	}
	if (look->n_waits > 1)
		qsort(look->waits, look->n_waits, sizeof(*look->waits),
		    compare_pids);
}

/* ---- its own detector ---- */

#define DEADLOCK_TIMEOUT_US	LK_US_PER_S

bool
pg_can_detect(int s)
{
	const struct session *session = &sim.sessions[s];

	return session->pid != 0 && session->wait_row != NONE &&
	    !session->was_detected &&
	    session->wait_since_us + DEADLOCK_TIMEOUT_US <= sim.now_us;
}

/* Whether it waits for itself, over sessions that wait for locks alone. */
static bool
is_in_circle(int s)
{
	uint32_t reached = pg_blocking(s), before = 0;
	int i;

	while (reached != before) {
		before = reached;
		for (i = 0; i < MAX_SESSIONS; i++) {
			if ((reached & bit(i)) &&
			    sim.sessions[i].wait_row != NONE)
				reached |= pg_blocking(i);
		}
	}
	return (reached & bit(s)) != 0;
}

/* As PostgreSQL does where it can: let it pass, else let it fail. */
bool
pg_detect(int s)
{
	struct session *session = &sim.sessions[s];
	struct row *row = &sim.rows[session->wait_row];
	int i;

	session->was_detected = true;
	if (!is_in_circle(s))
		return false;
	if (pg_holders(row, s, session->wait_mode) != 0)
		return true;
	for (i = 0; row->queue[i] != s; i++)
		;
	memmove(row->queue + 1, row->queue, (size_t)i * sizeof(row->queue[0]));
	row->queue[0] = s;
	grant(row);
	return false;
}
