/*
 * Leaf mutex.  Whoever holds one takes no other, logs nothing and calls nobody
 * who might: lk_mutex_lock() asserts that the thread holds none, so there is
 * no lock order to document.
 */
#ifndef LK_BASE_MUTEX_H
#define LK_BASE_MUTEX_H

#include <pthread.h>

#include "base/role.h"

struct LK_TSA(capability("mutex")) lk_mutex {
	pthread_mutex_t	handle;
};

#define LK_GUARDED_BY(mutex)	LK_TSA(guarded_by(mutex))

void	lk_mutex_init(struct lk_mutex *mutex);
void	lk_mutex_fini(struct lk_mutex *mutex);
void	lk_mutex_lock(struct lk_mutex *mutex) LK_TSA(acquire_capability(*mutex));
void	lk_mutex_unlock(struct lk_mutex *mutex)
	    LK_TSA(release_capability(*mutex));
/* Wait for cond; the mutex is released meanwhile and held again after. */
void	lk_mutex_wait(struct lk_mutex *mutex, pthread_cond_t *cond)
	    LK_TSA(requires_capability(*mutex));

#endif
