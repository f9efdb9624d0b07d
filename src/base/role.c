#include "base/role.h"

#include "base/die.h"

struct lk_role lk_role_loop;
struct lk_role lk_role_worker;

static _Thread_local enum lk_role_kind current;

void
lk_role_enter(enum lk_role_kind kind)
{
	current = kind;
}

enum lk_role_kind
lk_role_current(void)
{
	return current;
}

void
lk_assert_loop(void)
{
	lk_assert(current == LK_ROLE_LOOP);
}

void
lk_assert_worker(void)
{
	lk_assert(current == LK_ROLE_WORKER);
}
