#include "unit.h"

#include <stdlib.h>

#include "base/heap.h"
#include "base/list.h"

#define N_ALARMS	300

struct alarm {
	struct lk_timer	timer;
	int		n_fired;
};

static struct lk_heap heap;
static struct alarm alarms[N_ALARMS];
static struct alarm *fired[N_ALARMS];
static size_t n_fired;

static struct alarm *
to_alarm(struct lk_timer *timer)
{
	return lk_container(timer, struct alarm, timer);
}

static void
note_fired(struct lk_timer *timer)
{
	struct alarm *alarm = to_alarm(timer);

	assert_int_equal(timer->due_us, LK_NEVER);
	assert_int_equal(timer->slot, 0);
	assert_false(lk_list_is_linked(&timer->link));
	alarm->n_fired++;
	assert_true(n_fired < N_ALARMS);
	fired[n_fired++] = alarm;
}

static int
make_alarms(void **state)
{
	size_t i;

	(void)state;
	lk_heap_init(&heap);
	n_fired = 0;
	for (i = 0; i < N_ALARMS; i++) {
		lk_timer_init(&alarms[i].timer, note_fired);
		alarms[i].n_fired = 0;
	}
	return 0;
}

static int
drop_alarms(void **state)
{
	(void)state;
	lk_heap_fini(&heap);
	return 0;
}

static void
empty_heap_is_never_due(void **state)
{
	(void)state;
	assert_int_equal(lk_heap_due(&heap), LK_NEVER);
	lk_heap_run(&heap, LK_NEVER - 1);
	lk_timer_clear(&heap, &alarms[0].timer);
	assert_int_equal(n_fired, 0);
}

static void
fires_only_what_is_due(void **state)
{
	(void)state;
	lk_timer_set(&heap, &alarms[0].timer, 30);
	lk_timer_set(&heap, &alarms[1].timer, 10);
	lk_timer_set(&heap, &alarms[2].timer, 20);
	assert_int_equal(lk_heap_due(&heap), 10);
	lk_heap_run(&heap, 9);
	assert_int_equal(n_fired, 0);
	lk_heap_run(&heap, 20);
	assert_int_equal(n_fired, 2);
	assert_ptr_equal(fired[0], &alarms[1]);
	assert_ptr_equal(fired[1], &alarms[2]);
	assert_int_equal(lk_heap_due(&heap), 30);
}

static void
setting_again_moves(void **state)
{
	(void)state;
	lk_timer_set(&heap, &alarms[0].timer, 10);
	lk_timer_set(&heap, &alarms[1].timer, 20);
	lk_timer_set(&heap, &alarms[0].timer, 30);
	assert_int_equal(lk_heap_due(&heap), 20);
	lk_timer_set(&heap, &alarms[0].timer, 5);
	assert_int_equal(lk_heap_due(&heap), 5);
	lk_timer_set(&heap, &alarms[0].timer, LK_NEVER);
	assert_int_equal(lk_heap_due(&heap), 20);
	lk_timer_clear(&heap, &alarms[1].timer);
	lk_timer_clear(&heap, &alarms[1].timer);
	assert_int_equal(lk_heap_due(&heap), LK_NEVER);
}

/* What random sets and clears leave, found the slow way. */
static struct alarm *
earliest_alarm(void)
{
	struct alarm *first = NULL;
	size_t i;

	for (i = 0; i < N_ALARMS; i++) {
		if (alarms[i].timer.due_us != LK_NEVER && (first == NULL ||
		    alarms[i].timer.due_us < first->timer.due_us))
			first = &alarms[i];
	}
	return first;
}

static size_t
count_queued(void)
{
	struct lk_list *it, *next;
	size_t n = 0, i;

	for (i = 0; i < LK_HEAP_QUEUES; i++) {
		LK_LIST_EACH(&heap.queues[i], it, next)
			n++;
	}
	return n;
}

static void
assert_heap_holds(void)
{
	size_t i, n = 0, n_queued = 0;
	bool is_queued;

	for (i = 0; i < N_ALARMS; i++) {
		is_queued = lk_list_is_linked(&alarms[i].timer.link);
		n_queued += is_queued;
		assert_int_equal(alarms[i].timer.slot != 0,
		    alarms[i].timer.due_us != LK_NEVER && !is_queued);
		if (alarms[i].timer.slot == 0)
			continue;
		n++;
		assert_ptr_equal(heap.timers[alarms[i].timer.slot - 1],
		    &alarms[i].timer);
	}
	assert_int_equal(heap.n, n);
	assert_int_equal(count_queued(), n_queued);
}

/* As requests do, each of which has a time to wait and one to end at. */
static void
what_is_set_for_few_durations_needs_no_heap(void **state)
{
	uint64_t now_us;
	size_t i;

	(void)state;
	for (now_us = 0; now_us < 100 * N_ALARMS; now_us++) {
		i = (size_t)(now_us % N_ALARMS);
		lk_timer_set(&heap, &alarms[i].timer, now_us +
		    (i % 4 == 0 ? 30000 : i % 4 == 1 ? 1000 :
		    i % 4 == 2 ? 60000 : 10000));
		assert_int_equal(heap.n, 0);
	}
	assert_int_equal(count_queued(), N_ALARMS);
}

static void
agrees_with_a_sorted_list_after_random_changes(void **state)
{
	struct alarm *alarm, *first;
	int i;

	(void)state;
	srand(11);
	for (i = 0; i < 20000; i++) {
		alarm = &alarms[rand() % N_ALARMS];
		if (rand() % 3 == 0)
			lk_timer_clear(&heap, &alarm->timer);
		else
			lk_timer_set(&heap, &alarm->timer,
			    (uint64_t)(rand() % 1000));
		if (i % 20 != 0)
			continue;
		first = earliest_alarm();
		assert_int_equal(lk_heap_due(&heap),
		    first != NULL ? first->timer.due_us : LK_NEVER);
		assert_heap_holds();
	}
}

static void
fires_in_order_of_time(void **state)
{
	uint64_t due_us[N_ALARMS], last_us = 0;
	size_t i;

	(void)state;
	srand(13);
	for (i = 0; i < N_ALARMS; i++) {
		due_us[i] = (uint64_t)(rand() % 100);
		lk_timer_set(&heap, &alarms[i].timer, due_us[i]);
	}
	lk_heap_run(&heap, 1000);
	assert_int_equal(n_fired, N_ALARMS);
	for (i = 0; i < N_ALARMS; i++) {
		assert_int_equal(fired[i]->n_fired, 1);
		assert_true(due_us[fired[i] - alarms] >= last_us);
		last_us = due_us[fired[i] - alarms];
	}
}

static void
clear_the_second(struct lk_timer *timer)
{
	note_fired(timer);
	lk_timer_clear(&heap, &alarms[1].timer);
	lk_timer_set(&heap, timer, 200);
}

/* As a request's deadline does, whose firing ends other timers. */
static void
firing_may_clear_and_set(void **state)
{
	(void)state;
	lk_timer_init(&alarms[0].timer, clear_the_second);
	lk_timer_set(&heap, &alarms[0].timer, 10);
	lk_timer_set(&heap, &alarms[1].timer, 11);
	lk_timer_set(&heap, &alarms[2].timer, 12);
	lk_heap_run(&heap, 100);
	assert_int_equal(alarms[0].n_fired, 1);
	assert_int_equal(alarms[1].n_fired, 0);
	assert_int_equal(alarms[2].n_fired, 1);
	assert_int_equal(lk_heap_due(&heap), 200);
}

static void
free_alarm(struct lk_timer *timer)
{
	n_fired++;
	free(to_alarm(timer));
}

static void
firing_may_free_its_timer(void **state)
{
	struct alarm *alarm = malloc(sizeof(*alarm));

	(void)state;
	assert_non_null(alarm);
	lk_timer_init(&alarm->timer, free_alarm);
	lk_timer_set(&heap, &alarm->timer, 1);
	lk_timer_set(&heap, &alarms[0].timer, 2);
	lk_heap_run(&heap, 3);
	assert_int_equal(n_fired, 2);
}

#define ALARM_TEST(test)						\
	cmocka_unit_test_setup_teardown(test, make_alarms, drop_alarms)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALARM_TEST(empty_heap_is_never_due),
		ALARM_TEST(fires_only_what_is_due),
		ALARM_TEST(setting_again_moves),
		ALARM_TEST(agrees_with_a_sorted_list_after_random_changes),
		ALARM_TEST(what_is_set_for_few_durations_needs_no_heap),
		ALARM_TEST(fires_in_order_of_time),
		ALARM_TEST(firing_may_clear_and_set),
		ALARM_TEST(firing_may_free_its_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
