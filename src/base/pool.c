#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"

/*
 * What a burst needed goes back to the allocator.  Nothing is kept where every
 * use after the end is to be seen.
 */
#if defined(__SANITIZE_ADDRESS__)
#define KEEP_BYTES	0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_BYTES	0
#endif
#endif
#ifndef KEEP_BYTES
#define KEEP_BYTES	((size_t)4 * 1024 * 1024)
#endif

void
lk_pool_init(struct lk_pool *pool, size_t size)
{
	lk_assert(size >= sizeof(struct lk_pool_link));
	*pool = (struct lk_pool){ .size = size };
}

void
lk_pool_fini(struct lk_pool *pool)
{
	struct lk_pool_link *link;

	while ((link = pool->kept) != NULL) {
		pool->kept = link->next;
		free(link);
	}
	pool->n_kept = 0;
}

void *
lk_pool_take(struct lk_pool *pool)
{
	struct lk_pool_link *link = pool->kept;

	if (link == NULL)
		return lk_xcalloc(1, pool->size);
	pool->kept = link->next;
	pool->n_kept--;
	memset(link, 0, pool->size);
	return link;
}

void
lk_pool_give(struct lk_pool *pool, void *object)
{
	struct lk_pool_link *link = object;

	if ((pool->n_kept + 1) * pool->size > KEEP_BYTES) {
		free(object);
		return;
	}
	link->next = pool->kept;
	pool->kept = link;
	pool->n_kept++;
}
