#include "unit.h"

#include <pthread.h>

#include "base/role.h"

static void
claim_loop(void *arg)
{
	lk_role_enter(*(enum lk_role_kind *)arg);
	lk_assert_loop();
}

static void
claim_worker(void *arg)
{
	lk_role_enter(*(enum lk_role_kind *)arg);
	lk_assert_worker();
}

static void
only_the_right_role_passes(void **state)
{
	enum lk_role_kind none = LK_ROLE_NONE, loop = LK_ROLE_LOOP;
	enum lk_role_kind worker = LK_ROLE_WORKER;

	(void)state;
	assert_int_equal(unit_run_in_child(claim_loop, &loop, -1), 0);
	assert_int_equal(unit_run_in_child(claim_worker, &worker, -1), 0);
	assert_true(unit_aborts(claim_loop, &none));
	assert_true(unit_aborts(claim_loop, &worker));
	assert_true(unit_aborts(claim_worker, &none));
	assert_true(unit_aborts(claim_worker, &loop));
}

static void *
read_role(void *arg)
{
	*(enum lk_role_kind *)arg = lk_role_current();
	return NULL;
}

static void
a_role_is_its_threads_alone(void **state)
{
	enum lk_role_kind other = LK_ROLE_LOOP;
	pthread_t thread;

	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	pthread_create(&thread, NULL, read_role, &other);
	pthread_join(thread, NULL);
	assert_int_equal(other, LK_ROLE_NONE);
	assert_int_equal(lk_role_current(), LK_ROLE_LOOP);
	lk_role_enter(LK_ROLE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_right_role_passes),
		cmocka_unit_test(a_role_is_its_threads_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
