/*
 * Timer heap: which of many timers is due first.  Holds pointers to timers
 * that their owners embed; knows no clock, the caller says what time it is.
 *
 * Most timers are set for the same few durations from now, and so in order of
 * their times: they stand in queues, where setting and clearing one costs the
 * same however many there are.  Only what comes out of order is in the heap.
 */
#ifndef LK_BASE_HEAP_H
#define LK_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define LK_NEVER	UINT64_MAX

/* As many durations as are common at once. */
#define LK_HEAP_QUEUES	4

struct lk_timer {
	uint64_t	 due_us;	/* LK_NEVER while not set */
	size_t		 slot;		/* place in the heap plus one; 0: it is not
					   there */
	struct lk_list	 link;		/* in a queue, when it is in one */
	void		(*fire)(struct lk_timer *timer);
};

struct lk_heap {
	struct lk_list	 queues[LK_HEAP_QUEUES];	/* each in order of time */
	struct lk_timer	**timers;
	size_t		  n;
	size_t		  cap;
};

void	lk_heap_init(struct lk_heap *heap);
void	lk_heap_fini(struct lk_heap *heap);	/* the timers stay the caller's */

void	lk_timer_init(struct lk_timer *timer, void (*fire)(struct lk_timer *));
/* Set or move; LK_NEVER clears. */
void	lk_timer_set(struct lk_heap *heap, struct lk_timer *timer,
	    uint64_t due_us);
void	lk_timer_clear(struct lk_heap *heap, struct lk_timer *timer);
/* When the first is due, or LK_NEVER. */
uint64_t lk_heap_due(const struct lk_heap *heap);
/*
 * Fire all that are due at now_us, each cleared first.  One that sets itself
 * again must do so for later than now_us.
 */
void	lk_heap_run(struct lk_heap *heap, uint64_t now_us);

#endif
