/*
 * Who waits for a transaction of somebody else's.  Nobody tells us of its end,
 * so one statement of ours goes on waiting for it on the server, the sentinel,
 * while all others that may be run again are parked.  And after each look, who
 * is to be parked, behind such a transaction or one of ours.
 */
#include "base/die.h"
#include "core/internal.h"

/* Of those parked one is sent this often: the lock that it wants may be another
 * than the sentinel's. */
#define PROBE_US	LK_US_PER_S

struct lk_request *
lk_sentinel_of(const struct lk_park *park)
{
	return lk_idtab_get(&park->core->request_ids, park->sentinel);
}

static void
clear_sentinel(struct lk_park *park)
{
	struct lk_request *req = lk_sentinel_of(park);

	if (req == NULL)
		return;
	park->sentinel = LK_ID_NONE;
	req->is_sentinel = false;
	req->park = NULL;
}

void
lk_sentinel_resign(struct lk_request *req)
{
	struct lk_park *park = req->park;

	clear_sentinel(park);
	lk_park_free_if_empty(park);
}

static void
set_sentinel(struct lk_park *park, struct lk_request *req)
{
	clear_sentinel(park);
	park->sentinel = req->id;
	req->is_sentinel = true;
	req->park = park;
}

/* False: it cannot be sent, since its client reads no replies. */
static bool
send_to_wait(struct lk_park *park, struct lk_request *req)
{
	req->is_alone = true;	/* in a batch its wait would be that one's */
	lk_park_requeue(req);
	if (req->state != LK_REQUEST_QUEUED)
		return false;
	if (lk_sentinel_of(park) == NULL)
		set_sentinel(park, req);
	lk_database_serve(req->database);
	return true;
}

void
lk_sentinel_gone(struct lk_request *req, bool has_waited)
{
	struct lk_park *park = req->park;

	clear_sentinel(park);
	if (has_waited) {
		lk_park_release_all(park);
		return;
	}
	while (!lk_list_is_empty(&park->requests)) {
		if (send_to_wait(park, lk_park_at(park->requests.next)))
			return;
	}
	lk_park_free_if_empty(park);
}

void
lk_sentinel_probe_later(struct lk_park *park)
{
	if (park->probe_timer.due_us == LK_NEVER)
		lk_timer_set(&park->core->timers, &park->probe_timer,
		    park->core->now_us + PROBE_US);
}

/* One after the other, since each may want another row. */
void
lk_sentinel_probe(struct lk_timer *timer)
{
	struct lk_park *park = lk_container(timer, struct lk_park,
	    probe_timer);
	struct lk_core *core = park->core;
	struct lk_list *it = park->requests.next;
	struct lk_request *req;

	if (lk_list_is_empty(&park->requests))
		return;
	lk_timer_set(&core->timers, timer, core->now_us + PROBE_US);
	while (it != &park->requests && lk_park_at(it)->number <= park->probed)
		it = it->next;
	req = lk_park_at(it != &park->requests ? it : park->requests.next);
	park->probed = req->number;
	park->probe = req->id;
	req->keeps_slot = true;
	if (!send_to_wait(park, req))
		lk_park_free_if_empty(park);
}

void
lk_sentinel_probe_through(const struct lk_request *req)
{
	struct lk_list *it, *next;
	struct lk_park *park;

	LK_LIST_EACH(&req->core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (lk_idtab_get(&req->core->request_ids, park->probe) == req) {
			lk_park_release_all(park);
			return;
		}
	}
}

/* ---- after a look ---- */

/* Whether this look shows that it no longer waits for the holder. */
static bool
is_sentinel_through(const struct lk_park *park)
{
	const struct lk_server *server = park->server;
	const struct lk_request *req = lk_sentinel_of(park);
	const struct lk_wait *wait;
	struct lk_park_holder holder;

	if (req == NULL || req->state != LK_REQUEST_RUNNING ||
	    req->seq > server->last->seq || req->why.is_set ||
	    (req->is_waiting && req->waitstart[0] == '\0'))
		return false;
	wait = lk_park_wait_of(req);
	return wait == NULL || !lk_park_find_holder(server, wait, &holder) ||
	    !lk_park_is_of(park, server, &holder);
}

static struct lk_park *
find_open(const struct lk_server *server)
{
	struct lk_list *it, *next;
	struct lk_park *park;

	LK_LIST_EACH(&server->core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (park->server == server && is_sentinel_through(park))
			return park;
	}
	return NULL;
}

static void
release_open(const struct lk_server *server)
{
	struct lk_park *park;

	while ((park = find_open(server)) != NULL) {
		clear_sentinel(park);
		lk_park_release_all(park);
	}
}

/* Who cannot be parked anyway, else who has waited longest. */
static bool
is_better_sentinel(const struct lk_request *req, const struct lk_request *than)
{
	bool can_rerun = lk_park_may_rerun(req);

	if (than == NULL)
		return true;
	if (than->state != LK_REQUEST_RUNNING || !than->is_waiting)
		return false;
	if (can_rerun != lk_park_may_rerun(than))
		return !can_rerun;
	return req->waited_us > than->waited_us;
}

static void
choose_sentinel(struct lk_server *server, struct lk_request *req)
{
	const struct lk_wait *wait = lk_park_wait_of(req);
	struct lk_park *park;
	struct lk_park_holder holder;

	if (wait == NULL || req->is_sentinel ||
	    !lk_park_find_holder(server, wait, &holder) || holder.tx != NULL)
		return;
	park = lk_park_get(server, &holder);
	if (is_better_sentinel(req, lk_sentinel_of(park)))
		set_sentinel(park, req);
}

/* Behind our own transaction only while there is work for the slot. */
static bool
park_waiter(struct lk_server *server, struct lk_request *req)
{
	const struct lk_wait *wait = lk_park_wait_of(req);
	struct lk_park_holder holder;

	if (wait == NULL || req->is_sentinel || !lk_park_may_rerun(req))
		return false;
	req->keeps_slot = false;	/* it was seen, and proves nothing */
	if (!lk_park_find_holder(server, wait, &holder) ||
	    (holder.tx != NULL && !lk_database_is_short(req->database)))
		return false;
	lk_park_behind(req, wait, &holder);
	return true;
}

static void
drop_stalled_in_lane(const struct lk_hold *of)
{
	const struct lk_hold *hold;

	for (hold = lk_lane_blocker(of, NULL); hold != NULL;
	    hold = lk_lane_blocker(of, hold)) {
		if (hold->tx != NULL)
			lk_watch_drop_stalled(hold->tx);
	}
}

static void
drop_stalled_holders(struct lk_server *server)
{
	struct lk_core *core = server->core;
	struct lk_list *it, *next;
	struct lk_park *park;

	LK_LIST_EACH(&core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (park->server == server && park->tx != NULL &&
		    !lk_list_is_empty(&park->requests) &&
		    lk_park_at(park->requests.next)->was_notified)
			lk_watch_drop_stalled(park->tx);
	}
	LK_LIST_EACH(&core->laned, it, next) {
		if (lk_park_at(it)->database->server == server &&
		    lk_park_at(it)->was_notified)
			drop_stalled_in_lane(lk_park_at(it)->hold);
	}
}

void
lk_sentinel_look(struct lk_server *server)
{
	struct lk_core *core = server->core;
	bool has_parked = false;
	uint32_t i;

	release_open(server);
	drop_stalled_holders(server);
	if (core->config->deadlock_mode != LK_DEADLOCK_RESOLVE)
		return;
	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL &&
		    core->workers[i]->server == server)
			choose_sentinel(server,
			    lk_worker_request(core->workers[i]));
	}
	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL &&
		    core->workers[i]->server == server)
			has_parked |= park_waiter(server,
			    lk_worker_request(core->workers[i]));
	}
	if (!has_parked)
		return;
	/* The slots go to others, which may have to wait as well. */
	server->tokens += 1.0;
	server->wants_look = true;
}
