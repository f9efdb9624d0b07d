#include "unit.h"

#include "base/mutex.h"

static struct lk_mutex first, second;

static int
make_mutexes(void **state)
{
	(void)state;
	lk_mutex_init(&first);
	lk_mutex_init(&second);
	return 0;
}

static int
drop_mutexes(void **state)
{
	(void)state;
	lk_mutex_fini(&first);
	lk_mutex_fini(&second);
	return 0;
}

static void
lock_two(void *arg) LK_TSA(no_thread_safety_analysis)
{
	(void)arg;
	lk_mutex_lock(&first);
	lk_mutex_lock(&second);
}

static void
lock_one_twice(void *arg) LK_TSA(no_thread_safety_analysis)
{
	(void)arg;
	lk_mutex_lock(&first);
	lk_mutex_lock(&first);
}

static void
unlock_unlocked(void *arg) LK_TSA(no_thread_safety_analysis)
{
	(void)arg;
	lk_mutex_unlock(&first);
}

static void
holding_one_and_taking_another_aborts(void **state)
{
	(void)state;
	assert_true(unit_aborts(lock_two, NULL));
	assert_true(unit_aborts(lock_one_twice, NULL));
	assert_true(unit_aborts(unlock_unlocked, NULL));
}

static void
lock_one_after_the_other(void *arg)
{
	(void)arg;
	lk_mutex_lock(&first);
	lk_mutex_unlock(&first);
	lk_mutex_lock(&second);
	lk_mutex_unlock(&second);
}

static void
one_after_the_other_is_fine(void **state)
{
	(void)state;
	assert_int_equal(unit_run_in_child(lock_one_after_the_other, NULL, -1),
	    0);
}

static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static bool is_turned LK_GUARDED_BY(first);

static void *
turn(void *arg)
{
	(void)arg;
	lk_mutex_lock(&first);	/* to be had: the waiter let it go */
	is_turned = true;
	pthread_cond_signal(&turned);
	lk_mutex_unlock(&first);
	return NULL;
}

static void
waiting_lets_go_and_takes_again(void **state)
{
	pthread_t thread;

	(void)state;
	lk_mutex_lock(&first);
	is_turned = false;
	pthread_create(&thread, NULL, turn, NULL);
	while (!is_turned)
		lk_mutex_wait(&first, &turned);
	lk_mutex_unlock(&first);
	pthread_join(thread, NULL);
}

#define MUTEX_TEST(test)						\
	cmocka_unit_test_setup_teardown(test, make_mutexes, drop_mutexes)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MUTEX_TEST(holding_one_and_taking_another_aborts),
		MUTEX_TEST(one_after_the_other_is_fine),
		MUTEX_TEST(waiting_lets_go_and_takes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
