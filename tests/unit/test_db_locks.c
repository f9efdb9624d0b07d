#include "unit.h"

#include <stdlib.h>

#include "base/role.h"
#include "db/locks.h"

#define DATABASE	5

/* Rows are written as pg_locks prints them: what it is, who, which mode. */
static struct lk_lock_row	rows[64];
static struct lk_locks		locks;
static struct lk_wait		*waits;
static size_t			 n_waits;

static int
begin(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_WORKER);
	memset(rows, 0, sizeof(rows));
	memset(&locks, 0, sizeof(locks));
	locks.rows = rows;
	locks.database = DATABASE;
	waits = NULL;
	n_waits = 0;
	return 0;
}

static int
end(void **state)
{
	struct lk_look *look = lk_look_new();

	(void)state;
	look->waits = waits;
	look->n_waits = n_waits;
	lk_look_free(&look);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

static struct lk_lock_row *
add(const char *locktype, int pid, const char *mode, bool granted)
{
	struct lk_lock_row *row = &rows[locks.n_rows++];

	snprintf(row->locktype, sizeof(row->locktype), "%s", locktype);
	snprintf(row->mode, sizeof(row->mode), "%s", mode);
	snprintf(row->vxid, sizeof(row->vxid), "%d/1", pid);
	row->pid = pid;
	row->granted = granted;
	return row;
}

static struct lk_lock_row *
add_relation(uint32_t oid, int pid, const char *mode, bool granted)
{
	struct lk_lock_row *row = add("relation", pid, mode, granted);

	row->database = DATABASE;
	row->relation = oid;
	return row;
}

static struct lk_lock_row *
add_tuple(uint32_t oid, int pid, bool granted)
{
	struct lk_lock_row *row = add_relation(oid, pid, "ExclusiveLock",
	    granted);

	snprintf(row->locktype, sizeof(row->locktype), "tuple");
	row->page = 3;
	row->tuple = 14;
	return row;
}

static struct lk_lock_row *
add_xid(uint32_t xid, int pid, bool granted)
{
	struct lk_lock_row *row = add("transactionid", pid,
	    granted ? "ExclusiveLock" : "ShareLock", granted);

	row->xid = xid;
	return row;
}

static void
start(struct lk_lock_row *row, const char *seconds)
{
	snprintf(row->waitstart, sizeof(row->waitstart),
	    "2024-05-06 07:08:%s+00", seconds);
}

static void
join(void)
{
	lk_assert_worker();
	lk_locks_join(&locks, &waits, &n_waits);
}

/* "pid" of each blocker, soft ones with a ? or, confirmed, a !; by pid. */
static void
expect_blockers(size_t wait, const char *expected)
{
	char text[256] = "";
	size_t n = 0;
	int pid;
	size_t i;

	assert_true(wait < n_waits);
	for (pid = 0; pid < 1000; pid++) {
		for (i = 0; i < waits[wait].n_blockers; i++) {
			const struct lk_blocker *b = &waits[wait].blockers[i];

			if (b->pid == pid)
				n += (size_t)snprintf(text + n,
				    sizeof(text) - n, "%s%d%s",
				    n > 0 ? " " : "", pid,
				    b->is_confirmed ? "!" :
				    b->is_soft ? "?" : "");
		}
	}
	assert_string_equal(text, expected);
}

static void
quiet_locks_are_no_waits(void **state)
{
	(void)state;
	add_relation(10, 100, "AccessShareLock", true);
	add_xid(7, 100, true);
	join();
	assert_int_equal(n_waits, 0);
	assert_null(waits);
}

static void
a_row_wait_is_for_its_holder(void **state)
{
	struct lk_lock_relation name = { 10, (char *)"table accounts" };

	(void)state;
	locks.relations = &name;
	locks.n_relations = 1;
	add_xid(7, 100, true);
	add_xid(8, 200, true);
	add_tuple(10, 200, true);
	start(add_xid(7, 200, false), "09");
	join();
	assert_int_equal(n_waits, 1);
	assert_int_equal(waits[0].pid, 200);
	assert_string_equal(waits[0].object, "row (3,14) of accounts");
	assert_string_equal(waits[0].locktype, "transactionid");
	assert_string_equal(waits[0].mode, "ShareLock");
	assert_string_equal(waits[0].vxid, "200/1");
	expect_blockers(0, "100");
}

static void
later_row_waiters_wait_for_the_first_in_line(void **state)
{
	(void)state;
	add_xid(7, 100, true);
	add_tuple(10, 200, true);
	start(add_xid(7, 200, false), "01");
	start(add_tuple(10, 300, false), "02");
	start(add_tuple(10, 400, false), "03");
	join();
	assert_int_equal(n_waits, 3);
	expect_blockers(0, "100");
	expect_blockers(1, "200");
	expect_blockers(2, "200 300?");
	assert_string_equal(waits[2].object, "row (3,14) of relation 10");
}

static void
a_bare_transaction_wait_says_so(void **state)
{
	(void)state;
	add_xid(7, 100, true);
	add_xid(7, 200, false);
	join();
	assert_string_equal(waits[0].object, "transaction 7");
}

static void
only_conflicting_modes_block(void **state)
{
	static const char *const modes[] = {
		"AccessShareLock", "RowShareLock", "RowExclusiveLock",
		"ShareUpdateExclusiveLock", "ShareLock",
		"ShareRowExclusiveLock", "ExclusiveLock",
		"AccessExclusiveLock",
	};
	/* As the manual prints the table: row wants, column holds. */
	static const char *const conflicts[] = {
		".......x",
		"......xx",
		"....xxxx",
		"...xxxxx",
		"..xx.xxx",
		"..xxxxxx",
		".xxxxxxx",
		"xxxxxxxx",
	};
	size_t want, hold;

	for (want = 0; want < 8; want++) {
		for (hold = 0; hold < 8; hold++) {
			begin(state);
			add_relation(10, 100, modes[hold], true);
			add_relation(10, 200, modes[want], false);
			join();
			assert_int_equal(waits[0].n_blockers,
			    conflicts[want][hold] == 'x');
			if (want < 7 || hold < 7)
				end(state);
		}
	}
}

static void
other_objects_do_not_block(void **state)
{
	struct lk_lock_row *elsewhere;

	(void)state;
	add_relation(11, 100, "AccessExclusiveLock", true);
	elsewhere = add_relation(10, 101, "AccessExclusiveLock", true);
	elsewhere->database = DATABASE + 1;
	add_tuple(10, 102, true);
	add_relation(10, 103, "AccessExclusiveLock", true);
	add_relation(10, 200, "AccessShareLock", false);
	join();
	expect_blockers(0, "103");
}

static void
who_came_before_and_conflicts_is_soft(void **state)
{
	(void)state;
	add_relation(10, 100, "AccessShareLock", true);
	start(add_relation(10, 200, "AccessExclusiveLock", false), "10.5");
	start(add_relation(10, 300, "AccessShareLock", false), "10.25");
	start(add_relation(10, 400, "AccessShareLock", false), "10.75");
	start(add_relation(10, 500, "RowExclusiveLock", false), "11");
	add_relation(10, 600, "AccessShareLock", false);
	join();
	expect_blockers(0, "100 300?");
	expect_blockers(1, "");
	expect_blockers(2, "200?");
	expect_blockers(3, "200?");
	expect_blockers(4, "200?");	/* no start yet: just came */
}

/* Of those asked about, and of their soft blockers only. */
static void
what_pg_blocking_pids_says_confirms_soft_blockers(void **state)
{
	const struct lk_lock_blocking said[] = { { 200, 100 }, { 300, 200 },
	    { 400, 200 } };
	uint32_t asked[] = { 200, 300, 500 };
	struct lk_look look = { .asked = asked, .n_asked = 3 };

	(void)state;
	lk_assert_worker();
	add_relation(10, 100, "AccessShareLock", true);
	start(add_relation(10, 200, "AccessExclusiveLock", false), "10.1");
	start(add_relation(10, 300, "AccessShareLock", false), "10.2");
	start(add_relation(10, 400, "AccessShareLock", false), "10.3");
	start(add_relation(10, 500, "AccessShareLock", false), "10.4");
	join();
	look.waits = waits;
	look.n_waits = n_waits;
	lk_locks_confirm(&look, said, 3);
	expect_blockers(0, "100");
	expect_blockers(1, "200!");
	expect_blockers(2, "200?");
	expect_blockers(3, "200?");
	assert_true(waits[0].was_asked && waits[1].was_asked);
	assert_false(waits[2].was_asked);
	assert_true(waits[3].was_asked);
}

static void
times_compare_though_zeros_are_cut(void **state)
{
	(void)state;
	start(add_relation(10, 200, "ExclusiveLock", false), "10");
	start(add_relation(10, 300, "ExclusiveLock", false), "10.1");
	start(add_relation(10, 400, "ExclusiveLock", false), "10.12");
	start(add_relation(10, 500, "ExclusiveLock", false), "10.123456");
	join();
	expect_blockers(0, "");
	expect_blockers(1, "200?");
	expect_blockers(2, "200? 300?");
	expect_blockers(3, "200? 300? 400?");
}

static void
a_holder_that_wants_more_blocks_once(void **state)
{
	(void)state;
	add_relation(10, 100, "ShareLock", true);
	add_relation(10, 200, "ShareLock", true);
	start(add_relation(10, 100, "ExclusiveLock", false), "01");
	start(add_relation(10, 200, "ExclusiveLock", false), "02");
	join();
	assert_int_equal(n_waits, 2);
	expect_blockers(0, "200");
	expect_blockers(1, "100");
}

static void
a_parallel_group_is_its_leader(void **state)
{
	struct lk_lock_member members[] = { { 101, 100 }, { 102, 100 } };

	(void)state;
	locks.members = members;
	locks.n_members = 2;
	add_relation(10, 100, "AccessShareLock", true);
	add_relation(10, 102, "AccessExclusiveLock", true);
	add_relation(10, 101, "AccessExclusiveLock", false);
	add_relation(10, 200, "AccessExclusiveLock", false);
	join();
	assert_int_equal(n_waits, 2);
	assert_int_equal(waits[0].pid, 100);
	assert_string_equal(waits[0].vxid, "101/1");
	expect_blockers(0, "");		/* its own group's locks do not count */
	expect_blockers(1, "100");
}

static void
prepared_transactions_have_their_names(void **state)
{
	struct lk_lock_prepared prepared[] = {
		{ 70, (char *)"other", 5 }, { 71, (char *)"mine", 3 },
	};
	struct lk_lock_row *row;

	(void)state;
	locks.prepared = prepared;
	locks.n_prepared = 2;
	row = add_xid(71, 0, true);
	snprintf(row->vxid, sizeof(row->vxid), "9/9");
	row = add_relation(10, 0, "RowExclusiveLock", true);
	snprintf(row->vxid, sizeof(row->vxid), "9/9");
	row = add_xid(70, 0, true);
	snprintf(row->vxid, sizeof(row->vxid), "8/8");
	add_relation(10, 200, "AccessExclusiveLock", false);
	add_xid(70, 300, false);
	join();
	assert_int_equal(n_waits, 2);
	assert_int_equal(waits[0].blockers[0].pid, 0);
	assert_string_equal(waits[0].blockers[0].gid, "mine");
	assert_string_equal(waits[1].blockers[0].gid, "other");
	assert_int_equal(waits[0].blockers[0].age_us, 3);
	assert_int_equal(waits[1].blockers[0].age_us, 5);
}

static void
waits_that_never_last_are_left_out(void **state)
{
	(void)state;
	add("extend", 200, "ExclusiveLock", false);
	add("page", 201, "ExclusiveLock", false);
	add("spectoken", 202, "ShareLock", false);
	join();
	assert_int_equal(n_waits, 0);
}

static void
waits_are_sorted_by_pid(void **state)
{
	(void)state;
	add_relation(10, 300, "ExclusiveLock", false);
	add_relation(11, 100, "ExclusiveLock", false);
	add_relation(12, 200, "ExclusiveLock", false);
	join();
	assert_int_equal(n_waits, 3);
	assert_int_equal(waits[0].pid, 100);
	assert_int_equal(waits[1].pid, 200);
	assert_int_equal(waits[2].pid, 300);
}

static void
objects_are_in_words(void **state)
{
	struct lk_lock_relation name = { 10, (char *)"index accounts_pkey" };
	struct lk_lock_row *row;

	(void)state;
	locks.relations = &name;
	locks.n_relations = 1;
	add_relation(10, 1, "ExclusiveLock", false);
	row = add_relation(10, 2, "ExclusiveLock", false);
	row->database = DATABASE + 1;
	row = add("advisory", 3, "ExclusiveLock", false);
	row->objid = 7;
	row->objsubid = 1;
	row = add("advisory", 4, "ExclusiveLock", false);
	row->classid = UINT32_MAX;
	row->objid = UINT32_MAX;
	row->objsubid = 1;
	row = add("advisory", 5, "ExclusiveLock", false);
	row->classid = 1;
	row->objid = (uint32_t)-2;
	row->objsubid = 2;
	row = add("virtualxid", 6, "ShareLock", false);
	snprintf(row->virtualxid, sizeof(row->virtualxid), "4/5");
	row = add("object", 7, "AccessShareLock", false);
	row->classid = 1262;
	row->objid = 5;
	add("frozenid", 8, "ExclusiveLock", false);
	join();
	assert_string_equal(waits[0].object, "index accounts_pkey");
	assert_string_equal(waits[1].object, "relation 10 of database 6");
	assert_string_equal(waits[2].object, "advisory lock 7");
	assert_string_equal(waits[3].object, "advisory lock -1");
	assert_string_equal(waits[4].object, "advisory lock (1, -2)");
	assert_string_equal(waits[5].object, "virtual transaction 4/5");
	assert_string_equal(waits[6].object, "object 5 of catalog 1262");
	assert_string_equal(waits[7].object, "frozenid");
}

static void
names_are_asked_for_what_is_waited_for(void **state)
{
	uint32_t *oids;
	size_t n;

	(void)state;
	lk_assert_worker();
	add_relation(10, 100, "AccessShareLock", true);
	assert_null(lk_locks_relations(&locks, &n));
	add_relation(11, 200, "AccessShareLock", false);
	add_relation(11, 201, "AccessShareLock", false);
	add_tuple(12, 300, true);
	add_xid(7, 300, false);
	add_tuple(13, 400, true);		/* waits for nothing */
	add_relation(14, 500, "AccessShareLock", false)->database = 99;
	oids = lk_locks_relations(&locks, &n);
	assert_int_equal(n, 2);
	assert_int_equal(oids[0], 11);
	assert_int_equal(oids[1], 12);
	free(oids);
}

int
main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(quiet_locks_are_no_waits),
		TEST(a_row_wait_is_for_its_holder),
		TEST(later_row_waiters_wait_for_the_first_in_line),
		TEST(a_bare_transaction_wait_says_so),
		TEST(only_conflicting_modes_block),
		TEST(other_objects_do_not_block),
		TEST(who_came_before_and_conflicts_is_soft),
		TEST(what_pg_blocking_pids_says_confirms_soft_blockers),
		TEST(times_compare_though_zeros_are_cut),
		TEST(a_holder_that_wants_more_blocks_once),
		TEST(a_parallel_group_is_its_leader),
		TEST(prepared_transactions_have_their_names),
		TEST(waits_that_never_last_are_left_out),
		TEST(waits_are_sorted_by_pid),
		TEST(objects_are_in_words),
		TEST(names_are_asked_for_what_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
