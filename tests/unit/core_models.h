/*
 * core in a world that is made up, whose one database has the models of
 * orm_models.h; with a worker, a second where one is wanted, and two connections:
 * ann's and bob's.
 */
#ifndef LK_TESTS_CORE_MODELS_H
#define LK_TESTS_CORE_MODELS_H

#include "core_world.h"
#include "orm_models.h"

static struct fake_conn ann, bob;

static inline int
begin_models(void **state)
{
	(void)state;
	lk_assert_loop();
	begin_unread_world(1, 1, 2);
	lk_core_run_timers(world.core);
	answer_catalog(0, orm_catalog());
	connect_as(&ann, 11);
	connect_as(&bob, 12);
	return 0;
}

static inline int
end_models(void **state)
{
	(void)state;
	vanish(&ann);
	vanish(&bob);
	end_world();
	return 0;
}

#endif
