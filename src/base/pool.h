/*
 * Objects of one size that come and go with every request: a few that were
 * given back are kept for those who ask next.  Has one owner.
 */
#ifndef LK_BASE_POOL_H
#define LK_BASE_POOL_H

#include <stddef.h>

struct lk_pool_link {
	struct lk_pool_link	*next;
};

struct lk_pool {
	size_t			 size;	/* of each object, in bytes */
	struct lk_pool_link	*kept;	/* in what was given back */
	size_t			 n_kept;
};

/* size: at least that of a pointer. */
void	lk_pool_init(struct lk_pool *pool, size_t size);
/* What was not given back stays the caller's. */
void	lk_pool_fini(struct lk_pool *pool);

/* Zeroed; aborts when there is no memory. */
void	*lk_pool_take(struct lk_pool *pool);
void	lk_pool_give(struct lk_pool *pool, void *object);

#endif
