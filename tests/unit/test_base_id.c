#include "unit.h"

#include "base/id.h"

static int objects[1000];

static void
none_names_nothing(void **state)
{
	struct lk_idtab tab;

	(void)state;
	lk_idtab_init(&tab);
	assert_true(lk_id_is_none(LK_ID_NONE));
	assert_null(lk_idtab_get(&tab, LK_ID_NONE));
	assert_false(lk_id_is_none(lk_idtab_add(&tab, &objects[0])));
	assert_null(lk_idtab_get(&tab, LK_ID_NONE));
	lk_idtab_fini(&tab);
}

static void
names_stay_while_the_table_grows(void **state)
{
	struct lk_idtab tab;
	struct lk_id ids[1000];
	int i;

	(void)state;
	lk_idtab_init(&tab);
	for (i = 0; i < 1000; i++)
		ids[i] = lk_idtab_add(&tab, &objects[i]);
	for (i = 0; i < 1000; i++)
		assert_ptr_equal(lk_idtab_get(&tab, ids[i]), &objects[i]);
	lk_idtab_fini(&tab);
}

static void
old_name_does_not_find_the_new_tenant(void **state)
{
	struct lk_idtab tab;
	struct lk_id old, new;

	(void)state;
	lk_idtab_init(&tab);
	old = lk_idtab_add(&tab, &objects[0]);
	lk_idtab_remove(&tab, old);
	assert_null(lk_idtab_get(&tab, old));
	new = lk_idtab_add(&tab, &objects[1]);
	assert_int_equal(new.index, old.index);
	assert_int_not_equal(new.generation, old.generation);
	assert_null(lk_idtab_get(&tab, old));
	assert_ptr_equal(lk_idtab_get(&tab, new), &objects[1]);
	lk_idtab_fini(&tab);
}

static void
wrong_names_find_nothing(void **state)
{
	struct lk_idtab tab;
	struct lk_id id;

	(void)state;
	lk_idtab_init(&tab);
	id = lk_idtab_add(&tab, &objects[0]);
	assert_null(lk_idtab_get(&tab,
	    (struct lk_id){ UINT32_MAX, id.generation }));
	assert_null(lk_idtab_get(&tab,
	    (struct lk_id){ tab.n_slots, id.generation }));
	/* Places that were never taken have a generation already. */
	assert_null(lk_idtab_get(&tab,
	    (struct lk_id){ id.index + 1, id.generation }));
	assert_null(lk_idtab_get(&tab,
	    (struct lk_id){ id.index, id.generation + 1 }));
	lk_idtab_fini(&tab);
}

static void
generation_wraps_past_none(void **state)
{
	struct lk_idtab tab;
	struct lk_id id;

	(void)state;
	lk_idtab_init(&tab);
	id = lk_idtab_add(&tab, &objects[0]);
	tab.slots[id.index].generation = id.generation = UINT32_MAX;
	lk_idtab_remove(&tab, id);
	id = lk_idtab_add(&tab, &objects[0]);
	assert_int_equal(id.generation, 1);
	assert_ptr_equal(lk_idtab_get(&tab, id), &objects[0]);
	lk_idtab_fini(&tab);
}

static void
freed_places_are_taken_before_the_table_grows(void **state)
{
	struct lk_idtab tab;
	struct lk_id ids[16];
	int i, round;

	(void)state;
	lk_idtab_init(&tab);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 16; i++)
			ids[i] = lk_idtab_add(&tab, &objects[i]);
		for (i = 0; i < 16; i++)
			assert_ptr_equal(lk_idtab_get(&tab, ids[i]),
			    &objects[i]);
		for (i = 0; i < 16; i++)
			lk_idtab_remove(&tab, ids[(i * 7 + round) % 16]);
	}
	assert_int_equal(tab.n_slots, 16);
	lk_idtab_fini(&tab);
}

static void
remove_again(void *arg)
{
	lk_idtab_remove(arg, (struct lk_id){ 0, 1 });
}

static void
add_nothing(void *arg)
{
	lk_idtab_add(arg, NULL);
}

static void
misuse_aborts(void **state)
{
	struct lk_idtab tab;

	(void)state;
	lk_idtab_init(&tab);
	assert_true(unit_aborts(remove_again, &tab));
	lk_idtab_remove(&tab, lk_idtab_add(&tab, &objects[0]));
	assert_true(unit_aborts(remove_again, &tab));
	assert_true(unit_aborts(add_nothing, &tab));
	lk_idtab_fini(&tab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_names_nothing),
		cmocka_unit_test(names_stay_while_the_table_grows),
		cmocka_unit_test(old_name_does_not_find_the_new_tenant),
		cmocka_unit_test(wrong_names_find_nothing),
		cmocka_unit_test(generation_wraps_past_none),
		cmocka_unit_test(freed_places_are_taken_before_the_table_grows),
		cmocka_unit_test(misuse_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
