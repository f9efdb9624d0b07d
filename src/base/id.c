#include "base/id.h"

#include <stdlib.h>

#include "base/die.h"

void
lk_idtab_init(struct lk_idtab *tab)
{
	*tab = (struct lk_idtab){ NULL, 0, 0 };
}

void
lk_idtab_fini(struct lk_idtab *tab)
{
	free(tab->slots);
	lk_idtab_init(tab);
}

static void
grow(struct lk_idtab *tab)
{
	uint32_t n = tab->n_slots ? 2 * tab->n_slots : 16;
	uint32_t i;

	lk_assert(n > tab->n_slots);
	tab->slots = lk_xrealloc(tab->slots, n * sizeof(*tab->slots));
	for (i = n; i-- > tab->n_slots; ) {
		tab->slots[i] = (struct lk_idtab_slot){ NULL, 1,
		    tab->first_free };
		tab->first_free = i + 1;
	}
	tab->n_slots = n;
}

struct lk_id
lk_idtab_add(struct lk_idtab *tab, void *object)
{
	struct lk_idtab_slot *slot;
	uint32_t index;

	lk_assert(object != NULL);
	if (tab->first_free == 0)
		grow(tab);
	index = tab->first_free - 1;
	slot = &tab->slots[index];
	tab->first_free = slot->next_free;
	slot->object = object;
	return (struct lk_id){ index, slot->generation };
}

void
lk_idtab_remove(struct lk_idtab *tab, struct lk_id id)
{
	struct lk_idtab_slot *slot;

	lk_assert(lk_idtab_get(tab, id) != NULL);
	slot = &tab->slots[id.index];
	slot->object = NULL;
	if (++slot->generation == 0)
		slot->generation = 1;
	slot->next_free = tab->first_free;
	tab->first_free = id.index + 1;
}

void *
lk_idtab_get(const struct lk_idtab *tab, struct lk_id id)
{
	if (id.index >= tab->n_slots ||
	    tab->slots[id.index].generation != id.generation)
		return NULL;
	return tab->slots[id.index].object;
}
