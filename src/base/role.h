/*
 * Thread roles.  A function says in its prototype on which thread it may run;
 * clang checks the calls (-Wthread-safety), gcc sees empty macros, and the
 * assertions check at run time what no compiler sees: callbacks handed to
 * libevent or pthread, which therefore open with one.
 */
#ifndef LK_BASE_ROLE_H
#define LK_BASE_ROLE_H

#include <stdbool.h>

#if defined(__clang__)
#define LK_TSA(x)	__attribute__((x))
#else
#define LK_TSA(x)
#endif

struct LK_TSA(capability("role")) lk_role {
	char	name;	/* never read: the capability is the object itself */
};

extern struct lk_role lk_role_loop;
extern struct lk_role lk_role_worker;

/* Only on the event loop's thread, which owns all state. */
#define LK_ON_LOOP	LK_TSA(requires_capability(lk_role_loop))
/* Only on a thread that owns a PostgreSQL session: a worker or a watcher. */
#define LK_ON_WORKER	LK_TSA(requires_capability(lk_role_worker))
/* Safe on every thread at every time. */
#define LK_ANY_THREAD
/* A field that only the loop touches. */
#define LK_LOOP_OWNED	LK_TSA(guarded_by(lk_role_loop))

enum lk_role_kind {
	LK_ROLE_NONE,
	LK_ROLE_LOOP,
	LK_ROLE_WORKER,
};

/* Say once, at its start, what the calling thread is. */
void	lk_role_enter(enum lk_role_kind kind) LK_ANY_THREAD;
enum lk_role_kind lk_role_current(void) LK_ANY_THREAD;

/* Abort unless the calling thread has that role. */
void	lk_assert_loop(void) LK_TSA(assert_capability(lk_role_loop));
void	lk_assert_worker(void) LK_TSA(assert_capability(lk_role_worker));

#endif
