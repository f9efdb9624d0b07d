/* core in a world that is made up, with two connections: alice's and bob's. */
#ifndef LK_TESTS_CORE_PAIR_H
#define LK_TESTS_CORE_PAIR_H

#include "core_world.h"

static struct fake_conn alice, bob;

static inline int
begin_pair(uint32_t n_min, uint32_t n_max)
{
	begin_world(n_min, n_max);
	connect_as(&alice, 10);
	connect_as(&bob, 20);
	return 0;
}

static inline void
end_pair(void)
{
	vanish(&alice);
	vanish(&bob);
	end_world();
}

/* With one worker, and with two. */
static inline int
set_up_1(void **state)
{
	(void)state;
	return begin_pair(1, 1);
}

static inline int
set_up_2(void **state)
{
	(void)state;
	return begin_pair(2, 2);
}

static inline int
tear_down(void **state)
{
	(void)state;
	end_pair();
	return 0;
}

#endif
