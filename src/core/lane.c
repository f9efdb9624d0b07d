/*
 * Lanes: of statements whose rows are known by their keys, those that want the
 * same row go one after another in the daemon, instead of all going to
 * PostgreSQL to wait there.  README has the rules, and why they are safe.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* Rows of one transaction that are remembered; others wait for the rest in
 * PostgreSQL. */
#define HOLDS_MAX	1000
/* Verbs of a unit whose rows are looked at; those of the others are locked
 * unforeseen. */
#define ROWS_MAX	64
/* Whose turn it has been for so long goes to PostgreSQL whoever has the row. */
#define AGED_US		(100 * LK_US_PER_MS)

/* ---- finding ---- */

struct lane_key {
	const struct lk_database *database;
	const char	*bytes;
	size_t		 n;
};

static bool
is_lane(const struct lk_hash_node *node, const void *arg)
{
	const struct lk_lane *lane = lk_container(node, struct lk_lane, node);
	const struct lane_key *key = arg;

	return lane->database == key->database && lane->n_key == key->n &&
	    memcmp(lane->key, key->bytes, key->n) == 0;
}

static struct lk_lane *
get_lane(struct lk_database *db, const char *key, size_t n)
{
	struct lk_core *core = db->core;
	struct lane_key wanted = { db, key, n };
	uint64_t hash = lk_hash_bytes((uint64_t)(db - core->databases), key,
	    n);
	struct lk_hash_node *node = lk_hash_find(&core->lanes, hash, is_lane,
	    &wanted);
	struct lk_lane *lane;

	if (node != NULL)
		return lk_container(node, struct lk_lane, node);
	lane = lk_xcalloc(1, sizeof(*lane) + n);
	lane->database = db;
	lk_list_init(&lane->changed_link);
	lk_list_init(&lane->holds);
	lk_list_init(&lane->pinned);
	lk_list_init(&lane->waiters);
	lane->n_key = n;
	memcpy(lane->key, key, n);
	lk_hash_insert(&core->lanes, &lane->node, hash);
	return lane;
}

static void
free_if_empty(struct lk_lane *lane)
{
	struct lk_core *core = lane->database->core;

	if (lane->n_waiters > 0 || !lk_list_is_empty(&lane->holds))
		return;
	lk_list_remove(&lane->changed_link);
	lk_hash_remove(&core->lanes, &lane->node);
	free(lane);
}

/* Not now: whoever changes it is amid of something. */
static void
note_changed(struct lk_lane *lane)
{
	if (lk_list_is_linked(&lane->changed_link))
		return;		/* lk_lane_serve() sees to it, or is at it */
	if (lane->n_waiters == 0)
		free_if_empty(lane);
	else
		lk_list_append(&lane->database->core->changed_lanes,
		    &lane->changed_link);
}

struct lk_hold *
lk_lane_hold_at(struct lk_list *link)
{
	return lk_container(link, struct lk_hold, link);
}

/* ---- who waits for whom ---- */

static bool
has_worker(const struct lk_request *req)
{
	return req->tx != NULL && req->tx->worker != NULL;
}

static bool
conflicts(const struct lk_hold *hold, const struct lk_hold *of)
{
	const struct lk_core *core = hold->lane->database->core;

	if (hold->tx != NULL && (hold->tx == of->tx ||
	    core->config->deadlock_mode != LK_DEADLOCK_RESOLVE))
		return false;
	return lk_strengths_conflict(hold->lock.strength, of->lock.strength);
}

bool
lk_lane_is_in_the_way(const struct lk_hold *hold, const struct lk_hold *of)
{
	if (!conflicts(hold, of))
		return false;
	return !has_worker(of->req) || hold->req == NULL || hold->is_granted;
}

static bool
is_blocked(const struct lk_hold *hold)
{
	struct lk_list *it;

	for (it = hold->lane->holds.next; it != &hold->lane->holds;
	    it = it->next) {
		if (lk_lane_is_in_the_way(lk_lane_hold_at(it), hold))
			return true;
	}
	return false;
}

static bool
is_passed_in(const struct lk_hold *hold)
{
	struct lk_list *it;

	for (it = hold->lane->holds.next; it != &hold->lane->holds;
	    it = it->next) {
		if (lk_lane_hold_at(it)->state == LK_HOLD_TAKEN &&
		    conflicts(lk_lane_hold_at(it), hold))
			return true;
	}
	return false;
}

/* Its place is no good any more: others, with workers, have passed it. */
static bool
is_passed(const struct lk_request *req)
{
	const struct lk_hold *hold;

	for (hold = req->hold; hold != NULL; hold = hold->next) {
		if (is_passed_in(hold))
			return true;
	}
	return false;
}

/* ---- a hold from state to state ---- */

static void
put_into(struct lk_hold *hold, enum lk_hold_state state, struct lk_list *at)
{
	struct lk_lane *lane = hold->lane;

	if (lk_list_is_linked(&hold->link)) {
		lane->n_waiters -= hold->state == LK_HOLD_WAITING;
		lk_list_remove(&hold->link);
	}
	hold->state = state;
	hold->seq = ++lane->database->core->seq;
	lane->n_waiters += state == LK_HOLD_WAITING;
	lk_list_insert(at, &hold->link);
}

static void
take(struct lk_request *req)
{
	struct lk_hold *hold;

	for (hold = req->hold; hold != NULL; hold = hold->next)
		put_into(hold, LK_HOLD_TAKEN, &hold->lane->holds);
}

static struct lk_hold *
own_hold(const struct lk_hold *hold)
{
	struct lk_list *it;

	for (it = hold->lane->holds.next; it != &hold->lane->holds;
	    it = it->next) {
		if (hold->tx != NULL && lk_lane_hold_at(it) != hold &&
		    lk_lane_hold_at(it)->tx == hold->tx)
			return lk_lane_hold_at(it);
	}
	return NULL;
}

/* By arrival; who has the row already, less strongly, goes first. */
static struct lk_list *
place_of(const struct lk_hold *hold)
{
	struct lk_list *list = has_worker(hold->req) ? &hold->lane->pinned :
	    &hold->lane->waiters;
	struct lk_list *at = list;

	if (own_hold(hold) != NULL)
		return list->next;
	while (at->prev != list &&
	    lk_lane_hold_at(at->prev)->req->number > hold->req->number)
		at = at->prev;
	return at;
}

/* A transaction between two statements, or a unit that waits itself. */
static bool
stands_still(const struct lk_hold *hold)
{
	return hold->tx != NULL || hold->req->state == LK_REQUEST_PARKED;
}

/* What it waits for may wait for it, or come to. */
static bool
may_be_in_ring(const struct lk_hold *of)
{
	struct lk_list *it;

	for (it = of->lane->holds.next; it != &of->lane->holds;
	    it = it->next) {
		if (stands_still(lk_lane_hold_at(it)) &&
		    lk_lane_is_in_the_way(lk_lane_hold_at(it), of))
			return of->req->database->server != NULL;
	}
	return false;
}

static void
begin_waiting(struct lk_hold *hold)
{
	struct lk_request *req = hold->req;
	struct lk_core *core = req->core;

	put_into(hold, LK_HOLD_WAITING, place_of(hold));
	if (req->state == LK_REQUEST_QUEUED)
		lk_database_dequeue(req);
	lk_request_set_state(req, LK_REQUEST_PARKED);
	if (req->tx != NULL && req->tx->state != LK_TX_QUEUED)
		lk_tx_set_state(req->tx, LK_TX_QUEUED);
	req->parked_us = core->now_us;
	lk_list_append(&core->laned, &req->park_link);
	core->stats.laned++;
	lk_park_set_timer(req);
	if (may_be_in_ring(hold))
		lk_watch_laned(req->database->server);
}

/* The caller changes the request's state. */
static void
end_waiting(struct lk_hold *hold)
{
	struct lk_request *req = hold->req;
	uint64_t waited_us = req->core->now_us - req->parked_us;

	req->spent_us += waited_us;
	req->locked_us += waited_us;
	lk_list_remove(&req->park_link);
	lk_timer_clear(&req->core->timers, &req->queue_timer);
	lk_park_forget_wait(req);
	if (req->tx != NULL && req->tx->state == LK_TX_QUEUED)
		lk_tx_set_state(req->tx, LK_TX_IDLE);
}

static void
drop(struct lk_hold *hold)
{
	struct lk_lane *lane = hold->lane;

	lane->n_waiters -= hold->state == LK_HOLD_WAITING;
	lk_list_remove(&hold->link);
	if (lk_list_is_linked(&hold->tx_link)) {
		lk_list_remove(&hold->tx_link);
		hold->tx->n_holds--;
	}
	if (hold->req != NULL)
		hold->req->hold = hold->next;
	lane->database->core->seq++;
	free(hold);
	note_changed(lane);
}

static void
drop_all(struct lk_request *req)
{
	while (req->hold != NULL)
		drop(req->hold);
}

/* ---- which rows ---- */

/* A row's name, and how it is to be locked. */
struct wanted {
	char		 key[LK_KEY_MAX + 1];
	size_t		 n_key;
	struct lk_row_lock lock;
};

static bool
knows_row(const struct lk_plan *plan, struct wanted *wanted)
{
	struct lk_buf key = { wanted->key, 0, sizeof(wanted->key), false };

	if (!lk_key_of(plan, &key))
		return false;
	wanted->n_key = key.len;
	wanted->lock = plan->row;
	return true;
}

static int
compare(const struct wanted *wanted, const char *key, size_t n)
{
	int order = memcmp(wanted->key, key, wanted->n_key < n ?
	    wanted->n_key : n);

	return order != 0 ? order : (wanted->n_key > n) - (wanted->n_key < n);
}

static bool
is_behind(const struct wanted *wanted, const struct lk_hold *last)
{
	return last == NULL || compare(wanted, last->lane->key,
	    last->lane->n_key) > 0;
}

/* A unit's next row, in an order that is the same for all units. */
static bool
next_of_unit(const struct lk_unit *unit, const struct lk_hold *last,
    struct wanted *next)
{
	const struct lk_plan *plan;
	struct wanted one;
	bool is_found = false;
	int order;
	size_t i;

	for (i = 0; i < unit->n_verbs && i < ROWS_MAX; i++) {
		plan = &unit->verbs[i].plan;
		if (plan->row.is_impatient || !knows_row(plan, &one) ||
		    !is_behind(&one, last))
			continue;
		order = is_found ? compare(&one, next->key, next->n_key) : -1;
		if (order < 0 || (order == 0 &&
		    one.lock.strength > next->lock.strength))
			*next = one;
		is_found = true;
	}
	return is_found;
}

/* The first, or the one behind that which it has got last. */
static bool
next_row(const struct lk_request *req, struct wanted *next)
{
	if (req->unit != NULL)
		return next_of_unit(req->unit, req->hold, next);
	return req->hold == NULL && knows_row(&req->plan, next);
}

/* ---- in ---- */

static bool
never_waits(const struct lk_request *req)
{
	return req->keeps_slot || req->is_sentinel || req->lock_us == 0 ||
	    req->plan.row.is_impatient;
}

static struct lk_hold *
add_hold(struct lk_request *req, const struct wanted *wanted)
{
	struct lk_hold *hold = lk_xcalloc(1, sizeof(*hold));

	lk_list_init(&hold->link);
	lk_list_init(&hold->tx_link);
	hold->lane = get_lane(req->database, wanted->key, wanted->n_key);
	hold->req = req;
	hold->tx = req->tx;
	hold->lock = wanted->lock;
	hold->next = req->hold;
	req->hold = hold;
	return hold;
}

bool
lk_lane_enter(struct lk_request *req)
{
	struct wanted wanted;
	struct lk_hold *hold;

	while (next_row(req, &wanted)) {
		hold = add_hold(req, &wanted);
		if (!never_waits(req) && is_blocked(hold)) {
			begin_waiting(hold);
			return false;
		}
		put_into(hold, has_worker(req) ? LK_HOLD_TAKEN :
		    LK_HOLD_CALLED, &hold->lane->holds);
	}
	if (req->turn_us == 0)
		req->turn_us = req->core->now_us;
	return true;
}

bool
lk_lane_take(struct lk_request *req)
{
	if (!never_waits(req) && is_passed(req) &&
	    req->core->now_us < req->turn_us + AGED_US) {
		drop_all(req);
		if (!lk_lane_enter(req))
			return false;
	}
	take(req);
	return true;
}

size_t
lk_lane_gather(struct lk_request *first,
    bool (*may_go)(const struct lk_request *req), struct lk_request **reqs,
    size_t max)
{
	struct lk_lane *lane = first->hold->lane;
	struct lk_hold *hold;
	size_t n = 0;

	reqs[n++] = first;
	/* Others have it, too, or may not want it so strongly. */
	if (lane->holds.next->next != &lane->holds)
		return n;
	while (n < max && !lk_list_is_empty(&lane->waiters)) {
		hold = lk_lane_hold_at(lane->waiters.next);
		if (!may_go(hold->req))
			break;
		reqs[n++] = hold->req;
		end_waiting(hold);
		take(hold->req);
	}
	return n;
}

/* ---- on ---- */

static void
call(struct lk_hold *hold)
{
	struct lk_request *req = hold->req;

	end_waiting(hold);
	put_into(hold, LK_HOLD_CALLED, &hold->lane->holds);
	lk_database_enqueue_again(req->database, req);
	req->database->wants_serve = true;
	lk_request_put_back(req);	/* its client may be paused by now */
}

/* It is tried again, and sent unless somebody has ended its transaction. */
static void
grant(struct lk_hold *hold)
{
	struct lk_request *req = hold->req;

	end_waiting(hold);
	hold->is_granted = true;
	take(req);
	lk_request_set_state(req, LK_REQUEST_WAITING);
	lk_request_todo(req);
}

static struct lk_hold *
find_free(const struct lk_list *waiters)
{
	bool is_known[LK_STRENGTH__N] = { false };
	struct lk_list *it;
	struct lk_hold *hold;

	for (it = waiters->next; it != waiters; it = it->next) {
		hold = lk_lane_hold_at(it);
		/* What keeps one of no transaction keeps all of its kind. */
		if (hold->tx == NULL && is_known[hold->lock.strength])
			continue;
		if (!is_blocked(hold))
			return hold;
		is_known[hold->lock.strength] |= hold->tx == NULL;
	}
	return NULL;
}

static void
go_on(struct lk_lane *lane)
{
	struct lk_hold *hold;

	while ((hold = find_free(&lane->pinned)) != NULL)
		grant(hold);
	while ((hold = find_free(&lane->waiters)) != NULL)
		call(hold);
}

static void
serve_databases(struct lk_core *core)
{
	size_t i;

	for (i = 0; i < core->n_databases; i++) {
		if (!core->databases[i].wants_serve)
			continue;
		core->databases[i].wants_serve = false;
		lk_database_serve(&core->databases[i]);
	}
}

void
lk_lane_serve(struct lk_core *core)
{
	struct lk_lane *lane;

	while (!lk_list_is_empty(&core->changed_lanes)) {
		lane = lk_container(core->changed_lanes.next, struct lk_lane,
		    changed_link);
		/* Linked until then: who is called may leave it at once. */
		go_on(lane);
		lk_list_remove(&lane->changed_link);
		free_if_empty(lane);
		if (lk_list_is_empty(&core->changed_lanes))
			serve_databases(core);
	}
}

void
lk_lane_reconsider(struct lk_core *core)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&core->laned, it, next)
		note_changed(lk_park_at(it)->hold->lane);
}

void
lk_lane_let_through(struct lk_request *req)
{
	struct lk_hold *hold = req->hold;

	lk_assert(hold->state == LK_HOLD_WAITING);
	end_waiting(hold);
	if (has_worker(req)) {
		take(req);
		lk_worker_submit(req->tx->worker, req);
		return;
	}
	put_into(hold, LK_HOLD_CALLED, &hold->lane->holds);
	req->keeps_slot = true;
	lk_database_enqueue_again(req->database, req);
	lk_request_put_back(req);
	lk_database_serve(req->database);
}

/* ---- out ---- */

bool
lk_lane_has_waiter(const struct lk_request *req)
{
	return req->hold != NULL && req->hold->state == LK_HOLD_WAITING;
}

void
lk_lane_leave(struct lk_request *req)
{
	if (lk_lane_has_waiter(req))
		end_waiting(req->hold);
	drop_all(req);
	req->turn_us = 0;
}

/* Whether the row may be one that the transaction has made, which others do not
 * see, and so do not wait for. */
static bool
may_have_made(const struct lk_tx *tx, const struct lk_hold *hold)
{
	return tx->created_in == UINT32_MAX ||
	    tx->created_in == lk_key_table(hold->lane->key);
}

static void
keep(struct lk_tx *tx, struct lk_request *req)
{
	struct lk_hold *hold = req->hold, *own = own_hold(hold);

	if (tx->n_holds == HOLDS_MAX || (own != NULL &&
	    own->lock.strength >= hold->lock.strength)) {
		lk_lane_leave(req);
		return;
	}
	req->hold = NULL;
	hold->req = NULL;
	hold->is_confirmed = hold->lock.is_plain && !may_have_made(tx, hold);
	hold->statement = tx->n_statements;
	hold->seq = ++tx->core->seq;
	lk_list_append(&tx->holds, &hold->tx_link);
	tx->n_holds++;
}

static void
note_made(struct lk_tx *tx, const struct lk_request *req)
{
	uint32_t table;

	if (req->control != NULL)
		return;
	if (!req->plan.has_no_trace)
		table = UINT32_MAX;	/* SQL, triggers: anything */
	else if (req->plan.is_write && (req->plan.row.may_make ||
	    req->plan.row.strength == LK_STRENGTH_NONE))
		table = req->plan.model->oid;
	else
		return;
	tx->created_in = tx->created_in == 0 || tx->created_in == table ?
	    table : UINT32_MAX;
}

void
lk_lane_note(struct lk_tx *tx, struct lk_request *req,
    const struct lk_item *item)
{
	note_made(tx, req);
	if (req->hold != NULL && item->outcome == LK_ITEM_DONE &&
	    item->n_rows > 0)
		keep(tx, req);
	else
		lk_lane_leave(req);
}

void
lk_lane_rollback_to(struct lk_tx *tx, uint64_t statement)
{
	struct lk_hold *hold;

	while (!lk_list_is_empty(&tx->holds)) {
		hold = lk_container(tx->holds.prev, struct lk_hold, tx_link);
		if (hold->statement <= statement)
			break;
		drop(hold);
	}
}

void
lk_lane_abort(struct lk_tx *tx)
{
	struct lk_request *req;

	lk_lane_rollback_to(tx, 0);
	if (lk_list_is_empty(&tx->requests))
		return;
	req = lk_container(tx->requests.next, struct lk_request, tx_link);
	if (!lk_lane_has_waiter(req))
		return;
	lk_lane_leave(req);
	lk_request_set_state(req, LK_REQUEST_WAITING);
}
