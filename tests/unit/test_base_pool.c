#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

#define SIZE	1000
#define MANY	6000

static void
each_object_is_zeroed_and_ones_own(void **state)
{
	static const char zeros[SIZE];
	struct lk_pool pool;
	char *objects[MANY];
	size_t round, i;

	(void)state;
	lk_pool_init(&pool, SIZE);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < MANY; i++) {
			objects[i] = lk_pool_take(&pool);
			assert_memory_equal(objects[i], zeros, SIZE);
			memset(objects[i], (int)(i % 255) + 1, SIZE);
		}
		for (i = 0; i < MANY; i++) {
			assert_int_equal((unsigned char)objects[i][0],
			    i % 255 + 1);
			assert_int_equal((unsigned char)objects[i][SIZE - 1],
			    i % 255 + 1);
			lk_pool_give(&pool, objects[i]);
		}
	}
	lk_pool_fini(&pool);
}

static void
what_a_burst_needed_is_not_kept(void **state)
{
	struct lk_pool pool;
	void *objects[MANY];
	size_t i;

	(void)state;
	lk_pool_init(&pool, SIZE);
	for (i = 0; i < MANY; i++)
		objects[i] = lk_pool_take(&pool);
	for (i = 0; i < MANY; i++)
		lk_pool_give(&pool, objects[i]);
	assert_in_range(pool.n_kept * SIZE, 0, 4 * 1024 * 1024);
	lk_pool_fini(&pool);
	assert_int_equal(pool.n_kept, 0);
	assert_null(pool.kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_object_is_zeroed_and_ones_own),
		cmocka_unit_test(what_a_burst_needed_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
