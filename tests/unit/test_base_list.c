#include "unit.h"

#include "base/list.h"

struct bead {
	int		value;
	struct lk_list	link;
};

static struct lk_list head;
static struct bead beads[6];

static int
make_beads(void **state)
{
	int i;

	(void)state;
	lk_list_init(&head);
	for (i = 0; i < 6; i++) {
		beads[i].value = i;
		lk_list_init(&beads[i].link);
	}
	return 0;
}

/* The list's values, as digits, read forwards and backwards. */
static void
assert_holds(const struct lk_list *list, const char *digits)
{
	const struct lk_list *it = list;
	size_t i, n = strlen(digits);

	for (i = 0; i < n; i++) {
		it = it->next;
		assert_ptr_not_equal(it, list);
		assert_int_equal(lk_container(it, struct bead, link)->value,
		    digits[i] - '0');
	}
	assert_ptr_equal(it->next, list);
	for (it = list; n > 0; n--) {
		it = it->prev;
		assert_int_equal(lk_container(it, struct bead, link)->value,
		    digits[n - 1] - '0');
	}
	assert_ptr_equal(it->prev, list);
	assert_int_equal(lk_list_is_empty(list), digits[0] == '\0');
}

static void
appends_prepends_and_inserts(void **state)
{
	(void)state;
	assert_holds(&head, "");
	lk_list_append(&head, &beads[1].link);
	lk_list_append(&head, &beads[2].link);
	lk_list_prepend(&head, &beads[0].link);
	assert_holds(&head, "012");
	lk_list_insert(&beads[1].link, &beads[3].link);
	assert_holds(&head, "0312");
}

static void
removed_members_point_at_themselves(void **state)
{
	(void)state;
	assert_false(lk_list_is_linked(&beads[0].link));
	lk_list_append(&head, &beads[0].link);
	lk_list_append(&head, &beads[1].link);
	assert_true(lk_list_is_linked(&beads[0].link));
	lk_list_remove(&beads[0].link);
	assert_false(lk_list_is_linked(&beads[0].link));
	lk_list_remove(&beads[0].link);
	assert_holds(&head, "1");
	lk_list_append(&head, &beads[0].link);
	assert_holds(&head, "10");
}

static void
splices_to_the_end(void **state)
{
	struct lk_list other;

	(void)state;
	lk_list_init(&other);
	lk_list_splice(&head, &other);
	assert_holds(&head, "");
	lk_list_append(&other, &beads[2].link);
	lk_list_append(&other, &beads[3].link);
	lk_list_splice(&head, &other);
	assert_holds(&head, "23");
	assert_holds(&other, "");
	lk_list_append(&other, &beads[1].link);
	lk_list_splice(&head, &other);
	assert_holds(&head, "231");
	lk_list_splice(&head, &other);
	assert_holds(&head, "231");
}

static void
walk_survives_removal_of_the_member_at_hand(void **state)
{
	struct lk_list *it, *following;
	int i, seen = 0;

	(void)state;
	LK_LIST_EACH(&head, it, following)
		seen++;
	assert_int_equal(seen, 0);
	for (i = 0; i < 6; i++)
		lk_list_append(&head, &beads[i].link);
	LK_LIST_EACH(&head, it, following) {
		assert_int_equal(lk_container(it, struct bead, link)->value,
		    seen);
		if (seen++ % 2 == 0)
			lk_list_remove(it);
	}
	assert_int_equal(seen, 6);
	assert_holds(&head, "135");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(appends_prepends_and_inserts,
		    make_beads),
		cmocka_unit_test_setup(removed_members_point_at_themselves,
		    make_beads),
		cmocka_unit_test_setup(splices_to_the_end, make_beads),
		cmocka_unit_test_setup(
		    walk_survives_removal_of_the_member_at_hand, make_beads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
