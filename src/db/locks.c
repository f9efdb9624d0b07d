#include "db/locks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"

/* Lock modes and, as bits by their place here, what each conflicts with:
 * PostgreSQL's table of table-level locks, which holds for all lock types. */
static const struct {
	const char	*name;
	unsigned	 conflicts;
} modes[] = {
	{ "AccessShareLock",		0x80 },
	{ "RowShareLock",		0xc0 },
	{ "RowExclusiveLock",		0xf0 },
	{ "ShareUpdateExclusiveLock",	0xf8 },
	{ "ShareLock",			0xec },
	{ "ShareRowExclusiveLock",	0xfc },
	{ "ExclusiveLock",		0xfe },
	{ "AccessExclusiveLock",	0xff },
};

#define N_MODES	(sizeof(modes) / sizeof(modes[0]))

/* Waits that end by themselves, soon. */
static const char *const short_waits[] = { "extend", "page", "spectoken" };

static int
mode_number(const char *name)
{
	size_t i;

	for (i = 0; i < N_MODES; i++) {
		if (strcmp(modes[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

/* A mode that is not known blocks nobody: unknown means alive. */
static bool
is_conflict(const struct lk_lock_row *a, const struct lk_lock_row *b)
{
	int first = mode_number(a->mode), second = mode_number(b->mode);

	return first >= 0 && second >= 0 &&
	    (modes[first].conflicts & (1u << second)) != 0;
}

bool
lk_lock_is_wait(const struct lk_lock_row *row)
{
	size_t i;

	lk_assert_worker();
	if (row->granted || row->pid == 0)
		return false;
	for (i = 0; i < sizeof(short_waits) / sizeof(short_waits[0]); i++) {
		if (strcmp(row->locktype, short_waits[i]) == 0)
			return false;
	}
	return true;
}

int
lk_locks_leader(const struct lk_locks *in, int pid)
{
	size_t i;

	lk_assert_worker();
	for (i = 0; i < in->n_members; i++) {
		if (in->members[i].pid == pid)
			return in->members[i].leader;
	}
	return pid;
}

void
lk_locks_fini(struct lk_locks *in)
{
	size_t i;

	lk_assert_worker();
	for (i = 0; i < in->n_prepared; i++)
		free(in->prepared[i].gid);
	for (i = 0; i < in->n_relations; i++)
		free(in->relations[i].name);
	free(in->rows);
	free(in->members);
	free(in->prepared);
	free(in->relations);
	memset(in, 0, sizeof(*in));
}

/* ---- lock objects ---- */

static int
compare_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int
compare_objects(const struct lk_lock_row *a, const struct lk_lock_row *b)
{
	const uint32_t of_a[] = { a->database, a->relation, a->page, a->tuple,
	    a->xid, a->classid, a->objid, a->objsubid };
	const uint32_t of_b[] = { b->database, b->relation, b->page, b->tuple,
	    b->xid, b->classid, b->objid, b->objsubid };
	int	rc = strcmp(a->locktype, b->locktype);
	size_t	i;

	for (i = 0; i < sizeof(of_a) / sizeof(of_a[0]) && rc == 0; i++)
		rc = compare_u32(of_a[i], of_b[i]);
	return rc != 0 ? rc : strcmp(a->virtualxid, b->virtualxid);
}

static int
compare_rows(const void *a, const void *b)
{
	return compare_objects(a, b);
}

/* ---- in words ---- */

static void
put_relation(struct lk_buf *out, const struct lk_locks *in, uint32_t database,
    uint32_t oid, bool with_kind)
{
	const char	*name;
	size_t		 i;

	for (i = 0; i < in->n_relations && database == in->database; i++) {
		if (in->relations[i].oid != oid)
			continue;
		name = in->relations[i].name;
		if (!with_kind && strncmp(name, "table ", 6) == 0)
			name += 6;
		lk_buf_puts(out, name);
		return;
	}
	lk_buf_printf(out, "relation %u", oid);
	if (database != in->database && database != 0)
		lk_buf_printf(out, " of database %u", database);
}

static void
put_row(struct lk_buf *out, const struct lk_locks *in,
    const struct lk_lock_row *row)
{
	lk_buf_printf(out, "row (%u,%u) of ", row->page, row->tuple);
	put_relation(out, in, row->database, row->relation, false);
}

/*
 * Who waits for a transaction to end may want a row that it has changed.  The
 * first in line says which: it holds the row's tuple lock meanwhile.
 */
static void
put_xid(struct lk_buf *out, const struct lk_locks *in,
    const struct lk_lock_row *wait)
{
	size_t i;

	for (i = 0; i < in->n_rows; i++) {
		const struct lk_lock_row *row = &in->rows[i];

		if (row->pid == wait->pid &&
		    strcmp(row->locktype, "tuple") == 0) {
			put_row(out, in, row);
			return;
		}
	}
	lk_buf_printf(out, "transaction %u", wait->xid);
}

/* One bigint key, or two integers, as the application named it. */
static void
put_advisory(struct lk_buf *out, const struct lk_lock_row *wait)
{
	if (wait->objsubid == 2)
		lk_buf_printf(out, "advisory lock (%d, %d)",
		    (int)wait->classid, (int)wait->objid);
	else
		lk_buf_printf(out, "advisory lock %lld", (long long)
		    (((uint64_t)wait->classid << 32) | wait->objid));
}

static char *
object_in_words(const struct lk_locks *in, const struct lk_lock_row *wait)
{
	struct lk_buf	 out = LK_BUF_INIT;
	const char	*type = wait->locktype;
	char		*words;

	if (strcmp(type, "transactionid") == 0)
		put_xid(&out, in, wait);
	else if (strcmp(type, "tuple") == 0)
		put_row(&out, in, wait);
	else if (strcmp(type, "relation") == 0)
		put_relation(&out, in, wait->database, wait->relation, true);
	else if (strcmp(type, "advisory") == 0)
		put_advisory(&out, wait);
	else if (strcmp(type, "virtualxid") == 0)
		lk_buf_printf(&out, "virtual transaction %s", wait->virtualxid);
	else if (strcmp(type, "object") == 0)
		lk_buf_printf(&out, "object %u of catalog %u", wait->objid,
		    wait->classid);
	else
		lk_buf_puts(&out, type);
	words = lk_xstrdup(lk_buf_cstr(&out));
	lk_buf_fini(&out);
	return words;
}

/* ---- who is in the way ---- */

/* The prepared transaction whose lock this is, or NULL.  All of its locks have
 * one vxid, and one of them is on its own xid. */
static const struct lk_lock_prepared *
prepared_of(const struct lk_locks *in, const struct lk_lock_row *lock)
{
	size_t i, j;

	for (i = 0; i < in->n_rows; i++) {
		const struct lk_lock_row *row = &in->rows[i];

		if (row->pid != 0 || row->xid == 0 || !row->granted ||
		    strcmp(row->vxid, lock->vxid) != 0)
			continue;
		for (j = 0; j < in->n_prepared; j++) {
			if (in->prepared[j].xid == row->xid)
				return &in->prepared[j];
		}
	}
	return NULL;
}

static bool
has_blocker(const struct lk_wait *wait, int pid, const char *gid)
{
	size_t i;

	for (i = 0; i < wait->n_blockers; i++) {
		const struct lk_blocker *blocker = &wait->blockers[i];

		if (blocker->pid == pid && (pid != 0 || gid == NULL ||
		    (blocker->gid != NULL && strcmp(blocker->gid, gid) == 0)))
			return true;
	}
	return false;
}

static LK_ON_WORKER void
add_blocker(const struct lk_locks *in, struct lk_wait *wait,
    const struct lk_lock_row *row, bool is_soft)
{
	int		 pid = lk_locks_leader(in, row->pid);
	const struct lk_lock_prepared *prepared = pid == 0 ?
	    prepared_of(in, row) : NULL;
	const char	*gid = prepared != NULL ? prepared->gid : NULL;

	if (pid == wait->pid || has_blocker(wait, pid, gid))
		return;
	wait->blockers = lk_xrealloc(wait->blockers,
	    (wait->n_blockers + 1) * sizeof(*wait->blockers));
	wait->blockers[wait->n_blockers++] = (struct lk_blocker){
		.pid = pid,
		.gid = gid != NULL ? lk_xstrdup(gid) : NULL,
		.age_us = prepared != NULL ? prepared->age_us : 0,
		.is_soft = is_soft,
	};
}

/*
 * Texts of one time zone with trailing zeros cut compare as their times do,
 * since '+' sorts before '.' and both before the digits.  Who has none yet has
 * just come.
 */
static bool
is_ahead(const struct lk_lock_row *row, const struct lk_lock_row *of)
{
	if (row->waitstart[0] == '\0')
		return false;
	return of->waitstart[0] == '\0' ||
	    strcmp(row->waitstart, of->waitstart) < 0;
}

/* Holders first: who holds the lock and waits for more of it is one. */
static LK_ON_WORKER void
find_blockers(const struct lk_locks *in, struct lk_wait *wait,
    const struct lk_lock_row *row)
{
	const struct lk_lock_row *first = row, *last = row, *other;

	while (first > in->rows && compare_objects(first - 1, row) == 0)
		first--;
	while (last + 1 < in->rows + in->n_rows &&
	    compare_objects(last + 1, row) == 0)
		last++;
	for (other = first; other <= last; other++) {
		if (other->granted && is_conflict(row, other))
			add_blocker(in, wait, other, false);
	}
	for (other = first; other <= last; other++) {
		if (!other->granted && other != row &&
		    is_conflict(row, other) && is_ahead(other, row))
			add_blocker(in, wait, other, true);
	}
}

static LK_ON_WORKER void
fill_wait(const struct lk_locks *in, struct lk_wait *wait,
    const struct lk_lock_row *row)
{
	wait->pid = lk_locks_leader(in, row->pid);
	memcpy(wait->waitstart, row->waitstart, sizeof(wait->waitstart));
	memcpy(wait->vxid, row->vxid, sizeof(wait->vxid));
	memcpy(wait->locktype, row->locktype, sizeof(wait->locktype));
	memcpy(wait->mode, row->mode, sizeof(wait->mode));
	wait->object = object_in_words(in, row);
	wait->waited_us = row->waited_us;
	find_blockers(in, wait, row);
}

static int
compare_waits(const void *a, const void *b)
{
	const struct lk_wait *first = a, *second = b;

	return first->pid < second->pid ? -1 : first->pid > second->pid;
}

void
lk_locks_join(struct lk_locks *in, struct lk_wait **waits_out,
    size_t *n_waits_out)
{
	struct lk_wait	*waits;
	size_t		 i, n = 0;

	lk_assert_worker();
	*waits_out = NULL;
	*n_waits_out = 0;
	for (i = 0; i < in->n_rows; i++)
		n += lk_lock_is_wait(&in->rows[i]);
	if (n == 0)
		return;
	qsort(in->rows, in->n_rows, sizeof(*in->rows), compare_rows);
	waits = lk_xcalloc(n, sizeof(*waits));
	for (i = 0; i < in->n_rows; i++) {
		if (lk_lock_is_wait(&in->rows[i]))
			fill_wait(in, &waits[(*n_waits_out)++], &in->rows[i]);
	}
	qsort(waits, n, sizeof(*waits), compare_waits);
	*waits_out = waits;
}

/* ---- soft blockers ---- */

static bool
is_asked(const struct lk_look *look, int pid)
{
	size_t i;

	for (i = 0; i < look->n_asked && (int)look->asked[i] != pid; i++)
		;
	return i < look->n_asked;
}

static bool
is_said(const struct lk_lock_blocking *said, size_t n_said, int pid,
    int blocker)
{
	size_t i;

	for (i = 0; i < n_said; i++) {
		if (said[i].pid == pid && said[i].blocker == blocker)
			return true;
	}
	return false;
}

void
lk_locks_confirm(struct lk_look *look, const struct lk_lock_blocking *said,
    size_t n_said)
{
	struct lk_blocker *blocker;
	struct lk_wait	  *wait;
	size_t		   i, j;

	lk_assert_worker();
	for (i = 0; i < look->n_waits; i++) {
		wait = &look->waits[i];
		wait->was_asked = is_asked(look, wait->pid);
		for (j = 0; j < wait->n_blockers && wait->was_asked; j++) {
			blocker = &wait->blockers[j];
			blocker->is_confirmed = blocker->is_soft &&
			    is_said(said, n_said, wait->pid, blocker->pid);
		}
	}
}

/* ---- names to ask for ---- */

static void
add_oid(uint32_t **oids, size_t *n, uint32_t oid)
{
	size_t i;

	for (i = 0; i < *n; i++) {
		if ((*oids)[i] == oid)
			return;
	}
	*oids = lk_xrealloc(*oids, (*n + 1) * sizeof(**oids));
	(*oids)[(*n)++] = oid;
}

/* A wait for a transaction is told by the row, whose lock the waiter has. */
static LK_ON_WORKER bool
is_named(const struct lk_locks *in, const struct lk_lock_row *row)
{
	size_t i;

	if (row->relation == 0 || row->database != in->database)
		return false;
	if (lk_lock_is_wait(row))
		return true;
	if (strcmp(row->locktype, "tuple") != 0)
		return false;
	for (i = 0; i < in->n_rows; i++) {
		if (in->rows[i].pid == row->pid &&
		    lk_lock_is_wait(&in->rows[i]))
			return true;
	}
	return false;
}

uint32_t *
lk_locks_relations(const struct lk_locks *in, size_t *n_out)
{
	uint32_t	*oids = NULL;
	size_t		 i;

	lk_assert_worker();
	*n_out = 0;
	for (i = 0; i < in->n_rows; i++) {
		if (is_named(in, &in->rows[i]))
			add_oid(&oids, n_out, in->rows[i].relation);
	}
	return oids;
}
