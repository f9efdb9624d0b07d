#include "base/heap.h"

#include <stdlib.h>

#include "base/die.h"

void
lk_heap_init(struct lk_heap *heap)
{
	size_t i;

	*heap = (struct lk_heap){ .n = 0 };
	for (i = 0; i < LK_HEAP_QUEUES; i++)
		lk_list_init(&heap->queues[i]);
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
	lk_list_init(&timer->link);
	timer->fire = fire;
}

static struct lk_timer *
timer_of(struct lk_list *link)
{
	return lk_container(link, struct lk_timer, link);
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
	lk_list_remove(&timer->link);
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

/* Behind the last of the first queue that it is not too early for. */
static bool
put_in_queue(struct lk_heap *heap, struct lk_timer *timer)
{
	struct lk_list *queue;
	size_t i;

	for (i = 0; i < LK_HEAP_QUEUES; i++) {
		queue = &heap->queues[i];
		if (lk_list_is_empty(queue) ||
		    timer_of(queue->prev)->due_us <= timer->due_us) {
			lk_list_append(queue, &timer->link);
			return true;
		}
	}
	return false;
}

void
lk_timer_set(struct lk_heap *heap, struct lk_timer *timer, uint64_t due_us)
{
	lk_timer_clear(heap, timer);
	if (due_us == LK_NEVER)
		return;
	timer->due_us = due_us;
	if (put_in_queue(heap, timer))
		return;
	if (heap->n == heap->cap) {
		heap->cap = heap->cap ? 2 * heap->cap : 16;
		heap->timers = lk_xrealloc(heap->timers,
		    heap->cap * sizeof(struct lk_timer *));
	}
	heap->n++;
	sift_up(heap, heap->n - 1, timer);
}

/* NULL: none is set. */
static struct lk_timer *
find_first(const struct lk_heap *heap)
{
	struct lk_timer *first = heap->n > 0 ? heap->timers[0] : NULL, *timer;
	size_t i;

	for (i = 0; i < LK_HEAP_QUEUES; i++) {
		if (lk_list_is_empty(&heap->queues[i]))
			continue;
		timer = timer_of(heap->queues[i].next);
		if (first == NULL || timer->due_us < first->due_us)
			first = timer;
	}
	return first;
}

uint64_t
lk_heap_due(const struct lk_heap *heap)
{
	const struct lk_timer *first = find_first(heap);

	return first != NULL ? first->due_us : LK_NEVER;
}

void
lk_heap_run(struct lk_heap *heap, uint64_t now_us)
{
	struct lk_timer *timer;

	while ((timer = find_first(heap)) != NULL && timer->due_us <= now_us) {
		lk_timer_clear(heap, timer);
		timer->fire(timer);
	}
}
