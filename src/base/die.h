/*
 * Ends of the process.  A broken invariant or the failure of a small,
 * fixed-size allocation leaves nothing to go on with; both say what and where
 * on stderr and abort.  Sizes that a peer controls never come here: their
 * allocations fail with an error instead.
 */
#ifndef LK_BASE_DIE_H
#define LK_BASE_DIE_H

#include <stddef.h>

#define lk_assert(expr)							\
	((expr) ? (void)0 : lk_die_assert(#expr, __FILE__, __LINE__))

void	lk_die_assert(const char *expr, const char *file, int line)
	    __attribute__((noreturn));

/* malloc, calloc, realloc and strdup for our own objects: never NULL. */
void	*lk_xmalloc(size_t size);
void	*lk_xcalloc(size_t n, size_t size);
void	*lk_xrealloc(void *ptr, size_t size);
char	*lk_xstrdup(const char *text);

#endif
