/*
 * Names for objects that outlive no pointer: an index into a table and the
 * generation of that place.  What comes back from another thread carries an
 * id, and lk_idtab_get() gives NULL when the object is gone meanwhile.
 */
#ifndef LK_BASE_ID_H
#define LK_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lk_id {
	uint32_t	index;
	uint32_t	generation;	/* never 0 in a valid id */
};

#define LK_ID_NONE	((struct lk_id){ 0, 0 })

struct lk_idtab_slot {
	void		*object;	/* NULL while free */
	uint32_t	 generation;
	uint32_t	 next_free;	/* index plus one; 0 ends the list */
};

struct lk_idtab {
	struct lk_idtab_slot	*slots;
	uint32_t		 n_slots;
	uint32_t		 first_free;	/* index plus one; 0: none */
};

void	lk_idtab_init(struct lk_idtab *tab);
void	lk_idtab_fini(struct lk_idtab *tab);	/* objects stay the caller's */
struct lk_id lk_idtab_add(struct lk_idtab *tab, void *object);
void	lk_idtab_remove(struct lk_idtab *tab, struct lk_id id);
void	*lk_idtab_get(const struct lk_idtab *tab, struct lk_id id);

static inline bool
lk_id_is_none(struct lk_id id)
{
	return id.generation == 0;
}

#endif
