#include "base/with.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"

void
lk_with_copy(struct lk_with *to, const struct lk_with *from)
{
	size_t i;

	*to = *from;
	if (from->n_loads == 0)
		return;
	to->loads = lk_xcalloc(from->n_loads, sizeof(*to->loads));
	for (i = 0; i < from->n_loads; i++) {
		to->loads[i] = from->loads[i];
		to->loads[i].name = lk_xstrdup(from->loads[i].name);
		to->loads[i].sql = lk_xstrdup(from->loads[i].sql);
	}
}

void
lk_with_fini(struct lk_with *with)
{
	size_t i;

	for (i = 0; i < with->n_loads; i++) {
		free(with->loads[i].name);
		free(with->loads[i].sql);
	}
	free(with->loads);
	memset(with, 0, sizeof(*with));
}
