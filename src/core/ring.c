/*
 * Rings of transactions that wait for each other's rows, seen as they close: of
 * rows that were locked for certain, and of statements that would wait for them
 * in PostgreSQL as well, so that no look at pg_locks is needed.
 */
#include <string.h>

#include "core/internal.h"

/* As far as the isolation of its transaction goes: a snapshot from before may
 * not have the row that is locked. */
static bool
sees_all(const struct lk_tx *tx)
{
	const struct lk_catalog *catalog = tx->database->catalog;

	if (strstr(tx->begin, "ISOLATION LEVEL") != NULL)
		return strstr(tx->begin, "READ COMMITTED") != NULL;
	return catalog != NULL && lk_catalog_is_read_committed(catalog);
}

/* Whether it would wait in PostgreSQL, too, for whoever has the row. */
static bool
is_sure(const struct lk_request *req)
{
	return lk_lane_has_waiter(req) && req->tx != NULL &&
	    !req->hold->lock.is_conditional && sees_all(req->tx);
}

struct search {
	const struct lk_tx *target;
	uint64_t	 mark;
	struct lk_request **members;
	size_t		 n;
};

static bool
leads_to_target(struct search *search, struct lk_request *req)
{
	struct lk_hold *of = req->hold, *hold;
	struct lk_list *it;

	if (search->n == LK_RING_MAX)
		return false;
	search->members[search->n++] = req;
	for (it = of->lane->holds.next; it != &of->lane->holds;
	    it = it->next) {
		hold = lk_lane_hold_at(it);
		if (!hold->is_confirmed || hold->tx == of->tx ||
		    !lk_strengths_conflict(hold->lock.sure, of->lock.sure))
			continue;
		if (hold->tx == search->target)
			return true;
		if (hold->tx->lane_mark == search->mark ||
		    lk_list_is_empty(&hold->tx->requests))
			continue;
		hold->tx->lane_mark = search->mark;
		req = lk_container(hold->tx->requests.next, struct lk_request,
		    tx_link);
		if (is_sure(req) && leads_to_target(search, req))
			return true;
	}
	search->n--;
	return false;
}

size_t
lk_ring_find(struct lk_request *req, struct lk_request **members)
{
	struct search search = { req->tx, ++req->core->lane_marks, members, 0 };

	return is_sure(req) && leads_to_target(&search, req) ? search.n : 0;
}
