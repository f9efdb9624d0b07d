/*
 * Intrusive doubly linked list.  A head and its members are the same struct;
 * a member that is in no list points at itself, so removing it twice is safe
 * and lk_list_is_linked() can be asked.
 */
#ifndef LK_BASE_LIST_H
#define LK_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct lk_list {
	struct lk_list	*next;
	struct lk_list	*prev;
};

#define lk_container(ptr, type, member)					\
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Safe against removal of the member at hand, and of no other. */
#define LK_LIST_EACH(head, it, following)				\
	for ((it) = (head)->next; (it) != (head) &&			\
	    ((following) = (it)->next, true); (it) = (following))

static inline void
lk_list_init(struct lk_list *list)
{
	list->next = list->prev = list;
}

static inline bool
lk_list_is_empty(const struct lk_list *head)
{
	return head->next == head;
}

static inline bool
lk_list_is_linked(const struct lk_list *member)
{
	return member->next != member;
}

/* Put member before `where`; before the head is the end of the list. */
static inline void
lk_list_insert(struct lk_list *where, struct lk_list *member)
{
	member->next = where;
	member->prev = where->prev;
	where->prev->next = member;
	where->prev = member;
}

static inline void
lk_list_append(struct lk_list *head, struct lk_list *member)
{
	lk_list_insert(head, member);
}

static inline void
lk_list_prepend(struct lk_list *head, struct lk_list *member)
{
	lk_list_insert(head->next, member);
}

static inline void
lk_list_remove(struct lk_list *member)
{
	member->prev->next = member->next;
	member->next->prev = member->prev;
	lk_list_init(member);
}

/* Move all members of src to the end of dst. */
static inline void
lk_list_splice(struct lk_list *dst, struct lk_list *src)
{
	if (lk_list_is_empty(src))
		return;
	src->next->prev = dst->prev;
	dst->prev->next = src->next;
	src->prev->next = dst;
	dst->prev = src->prev;
	lk_list_init(src);
}

#endif
