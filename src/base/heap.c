#include "base/heap.h"

#include <stdlib.h>

#include "base/die.h"

void
lk_heap_init(struct lk_heap *heap)
{
	*heap = (struct lk_heap){ NULL, 0, 0 };
}

void
lk_heap_fini(struct lk_heap *heap)
{
	free(heap->timers);
	lk_heap_init(heap);
}

void
lk_timer_init(struct lk_timer *timer, void (*fire)(struct lk_timer *))
{
	timer->due_us = LK_NEVER;
	timer->slot = 0;
	timer->fire = fire;
}

static void
place(struct lk_heap *heap, size_t at, struct lk_timer *timer)
{
	heap->timers[at] = timer;
	timer->slot = at + 1;
}

static void
sift_up(struct lk_heap *heap, size_t at, struct lk_timer *timer)
{
	size_t parent;

	while (at > 0) {
		parent = (at - 1) / 2;
		if (heap->timers[parent]->due_us <= timer->due_us)
			break;
		place(heap, at, heap->timers[parent]);
		at = parent;
	}
	place(heap, at, timer);
}

static void
sift_down(struct lk_heap *heap, size_t at, struct lk_timer *timer)
{
	size_t child;

	while ((child = 2 * at + 1) < heap->n) {
		if (child + 1 < heap->n && heap->timers[child + 1]->due_us <
		    heap->timers[child]->due_us)
			child++;
		if (timer->due_us <= heap->timers[child]->due_us)
			break;
		place(heap, at, heap->timers[child]);
		at = child;
	}
	place(heap, at, timer);
}

void
lk_timer_clear(struct lk_heap *heap, struct lk_timer *timer)
{
	struct lk_timer *last;
	size_t at;

	timer->due_us = LK_NEVER;
	if (timer->slot == 0)
		return;
	at = timer->slot - 1;
	timer->slot = 0;
	last = heap->timers[--heap->n];
	if (last == timer)
		return;
	sift_up(heap, at, last);
	sift_down(heap, last->slot - 1, last);
}

void
lk_timer_set(struct lk_heap *heap, struct lk_timer *timer, uint64_t due_us)
{
	lk_timer_clear(heap, timer);
	if (due_us == LK_NEVER)
		return;
	if (heap->n == heap->cap) {
		heap->cap = heap->cap ? 2 * heap->cap : 16;
		heap->timers = lk_xrealloc(heap->timers,
		    heap->cap * sizeof(struct lk_timer *));
	}
	timer->due_us = due_us;
	heap->n++;
	sift_up(heap, heap->n - 1, timer);
}

uint64_t
lk_heap_due(const struct lk_heap *heap)
{
	return heap->n > 0 ? heap->timers[0]->due_us : LK_NEVER;
}

void
lk_heap_run(struct lk_heap *heap, uint64_t now_us)
{
	struct lk_timer *timer;

	while (heap->n > 0 && heap->timers[0]->due_us <= now_us) {
		timer = heap->timers[0];
		lk_timer_clear(heap, timer);
		timer->fire(timer);
	}
}
