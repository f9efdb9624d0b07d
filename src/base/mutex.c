#include "base/mutex.h"

#include <stdbool.h>

#include "base/die.h"

static _Thread_local bool holds_one;

void
lk_mutex_init(struct lk_mutex *mutex)
{
	lk_assert(pthread_mutex_init(&mutex->handle, NULL) == 0);
}

void
lk_mutex_fini(struct lk_mutex *mutex)
{
	pthread_mutex_destroy(&mutex->handle);
}

void
lk_mutex_lock(struct lk_mutex *mutex) LK_TSA(no_thread_safety_analysis)
{
	lk_assert(!holds_one);
	pthread_mutex_lock(&mutex->handle);
	holds_one = true;
}

void
lk_mutex_unlock(struct lk_mutex *mutex) LK_TSA(no_thread_safety_analysis)
{
	lk_assert(holds_one);
	holds_one = false;
	pthread_mutex_unlock(&mutex->handle);
}

void
lk_mutex_wait(struct lk_mutex *mutex, pthread_cond_t *cond)
{
	holds_one = false;
	pthread_cond_wait(cond, &mutex->handle);
	holds_one = true;
}
