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
	if (!has_worker(of->req))
		return hold->state != LK_HOLD_RESERVED ||
		    hold->req->number < of->req->number;
	return hold->req == NULL || hold->is_granted;
}

const struct lk_hold *
lk_lane_blocker(const struct lk_hold *of, const struct lk_hold *last)
{
	const struct lk_list *holds = &of->lane->holds;
	const struct lk_list *it = last != NULL ? last->link.next : holds->next;
	const struct lk_hold *hold;

	for (; it != holds; it = it->next) {
		hold = lk_container(it, struct lk_hold, link);
		if (lk_lane_is_in_the_way(hold, of))
			return hold;
	}
	return NULL;
}

static bool
is_blocked(const struct lk_hold *hold)
{
	return lk_lane_blocker(hold, NULL) != NULL;
}

static bool
waits_for_tx(const struct lk_hold *of)
{
	const struct lk_hold *hold;

	if (of->lane->n_tx_holds == 0)
		return false;
	for (hold = lk_lane_blocker(of, NULL); hold != NULL;
	    hold = lk_lane_blocker(of, hold)) {
		if (hold->tx != NULL)
			return true;
	}
	return false;
}

/* The first of its rows of which that is true, or NULL. */
static struct lk_hold *
find_row(const struct lk_request *req,
    bool (*test)(const struct lk_hold *hold))
{
	struct lk_hold *hold = req->hold;

	while (hold != NULL && !test(hold))
		hold = hold->next;
	return hold;
}

/* Its place is no good any more: others, with workers, have passed it. */
static bool
is_passed(const struct lk_hold *hold)
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

static bool
waits(const struct lk_hold *hold)
{
	return hold->state == LK_HOLD_WAITING;
}

const struct lk_hold *
lk_lane_waits_for(const struct lk_request *req)
{
	return find_row(req, waits);
}

bool
lk_lane_has_waiter(const struct lk_request *req)
{
	return lk_lane_waits_for(req) != NULL;
}

/* ---- a hold from state to state ---- */

static void
count(const struct lk_hold *hold, int n)
{
	struct lk_lane *lane = hold->lane;

	if (hold->state == LK_HOLD_WAITING)
		lane->n_waiters += n;
	else if (hold->state == LK_HOLD_RESERVED)
		lane->n_reserved += n;
	else if (hold->tx != NULL)
		lane->n_tx_holds += n;
}

static void
take_out(struct lk_hold *hold)
{
	if (!lk_list_is_linked(&hold->link))
		return;
	count(hold, -1);
	lk_list_remove(&hold->link);
}

static void
put_into(struct lk_hold *hold, enum lk_hold_state state, struct lk_list *at)
{
	struct lk_lane *lane = hold->lane;

	take_out(hold);
	hold->state = state;
	hold->seq = ++lane->database->core->seq;
	count(hold, 1);
	lk_list_insert(at, &hold->link);
}

static void
drop(struct lk_hold *hold)
{
	struct lk_lane *lane = hold->lane;

	take_out(hold);
	if (lk_list_is_linked(&hold->tx_link)) {
		lk_list_remove(&hold->tx_link);
		hold->tx->n_holds--;
	}
	lane->database->core->seq++;
	free(hold);
	note_changed(lane);
}

static void
drop_all(struct lk_request *req)
{
	struct lk_hold *hold;

	while ((hold = req->hold) != NULL) {
		req->hold = hold->next;
		drop(hold);
	}
}

static struct lk_hold *
own_hold(const struct lk_hold *hold)
{
	struct lk_list *it;

	if (hold->tx == NULL)
		return NULL;
	for (it = hold->lane->holds.next; it != &hold->lane->holds;
	    it = it->next) {
		if (lk_lane_hold_at(it) != hold &&
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

static void
put_back(struct lk_hold *hold)
{
	put_into(hold, LK_HOLD_WAITING, place_of(hold));
}

/* A transaction may have the row for long: until then its unit keeps nobody from
 * other rows. */
static void
want_only(struct lk_hold *hold)
{
	struct lk_request *req = hold->req;
	struct lk_hold *it, *next;

	if (req->hold == hold && hold->next == NULL)
		return;
	hold->wants_more = true;
	for (it = req->hold; it != NULL; it = next) {
		next = it->next;
		if (it != hold)
			drop(it);
	}
	req->hold = hold;
	hold->next = NULL;
}

/* The row is another's, or it is another's turn. */
static void
give_way(struct lk_hold *hold, const struct lk_hold *to)
{
	if (hold == to || !conflicts(to, hold))
		return;
	if (hold->state == LK_HOLD_RESERVED) {
		put_back(hold);
		note_changed(hold->lane);	/* who does not want it so strongly */
	}
	if (to->tx != NULL && hold->state == LK_HOLD_WAITING)
		want_only(hold);
}

static void
occupy(struct lk_hold *hold, enum lk_hold_state state)
{
	struct lk_lane *lane = hold->lane;
	struct lk_list *it, *next;

	put_into(hold, state, &lane->holds);
	if (lane->n_reserved > 0) {
		LK_LIST_EACH(&lane->holds, it, next)
			give_way(lk_lane_hold_at(it), hold);
	}
	if (hold->tx != NULL) {
		LK_LIST_EACH(&lane->waiters, it, next)
			give_way(lk_lane_hold_at(it), hold);
	}
}

static void
occupy_all(struct lk_request *req, enum lk_hold_state state)
{
	struct lk_hold *hold;

	for (hold = req->hold; hold != NULL; hold = hold->next)
		occupy(hold, state);
	if (req->turn_us == 0)
		req->turn_us = req->core->now_us;
}

static void
begin_waiting(struct lk_request *req)
{
	struct lk_core *core = req->core;
	struct lk_hold *hold;

	for (hold = req->hold; hold != NULL; hold = hold->next) {
		if (is_blocked(hold))
			put_back(hold);
		else
			occupy(hold, LK_HOLD_RESERVED);
	}
	if (req->state == LK_REQUEST_QUEUED)
		lk_database_dequeue(req);
	lk_request_set_state(req, LK_REQUEST_PARKED);
	if (req->tx != NULL && req->tx->state != LK_TX_QUEUED)
		lk_tx_set_state(req->tx, LK_TX_QUEUED);
	req->parked_us = core->now_us;
	lk_list_append(&core->laned, &req->park_link);
	core->stats.laned++;
	lk_park_set_timer(req);
	/* It may be part of a ring: who has the row may wait for it. */
	if (waits_for_tx(req->hold) && req->database->server != NULL)
		lk_watch_laned(req->database->server);
}

/* The caller changes the request's state. */
static void
end_waiting(struct lk_request *req)
{
	uint64_t waited_us = req->core->now_us - req->parked_us;

	req->spent_us += waited_us;
	req->locked_us += waited_us;
	lk_list_remove(&req->park_link);
	lk_timer_clear(&req->core->timers, &req->queue_timer);
	lk_park_forget_wait(req);
	if (req->tx != NULL && req->tx->state == LK_TX_QUEUED)
		lk_tx_set_state(req->tx, LK_TX_IDLE);
}

/* ---- which rows ---- */

static struct lk_hold *
find_hold(const struct lk_request *req, const struct lk_lane *lane)
{
	struct lk_hold *hold = req->hold;

	while (hold != NULL && hold->lane != lane)
		hold = hold->next;
	return hold;
}

static void
want_row(struct lk_request *req, const struct lk_plan *plan)
{
	char bytes[LK_KEY_MAX + 1];
	struct lk_buf key = { bytes, 0, sizeof(bytes), false };
	struct lk_lane *lane;
	struct lk_hold *hold;

	if (!lk_key_of(plan, &key))
		return;
	lane = get_lane(req->database, bytes, key.len);
	hold = find_hold(req, lane);
	if (hold != NULL) {
		if (plan->row.strength > hold->lock.strength)
			hold->lock = plan->row;
		return;
	}
	hold = lk_xcalloc(1, sizeof(*hold));
	lk_list_init(&hold->link);
	lk_list_init(&hold->tx_link);
	hold->lane = lane;
	hold->req = req;
	hold->tx = req->tx;
	hold->lock = plan->row;
	hold->next = req->hold;
	req->hold = hold;
}

static void
want_rows(struct lk_request *req)
{
	const struct lk_unit *unit = req->unit;
	size_t i;

	if (unit == NULL) {
		want_row(req, &req->plan);
		return;
	}
	for (i = 0; i < unit->n_verbs && i < ROWS_MAX; i++) {
		if (!unit->verbs[i].plan.row.is_impatient)
			want_row(req, &unit->verbs[i].plan);
	}
}

/* ---- in ---- */

static bool
is_aged(const struct lk_request *req)
{
	return req->turn_us != 0 && req->core->now_us >= req->turn_us + AGED_US;
}

static bool
never_waits(const struct lk_request *req)
{
	return req->keeps_slot || req->is_sentinel || req->lock_us == 0 ||
	    req->plan.row.is_impatient || is_aged(req);
}

bool
lk_lane_enter(struct lk_request *req)
{
	struct lk_hold *hold;

	if (req->hold != NULL)
		return true;	/* it has been called */
	want_rows(req);
	if (!never_waits(req) && find_row(req, is_blocked) != NULL) {
		hold = find_row(req, waits_for_tx);
		if (hold != NULL)
			want_only(hold);
		begin_waiting(req);
		return false;
	}
	occupy_all(req, has_worker(req) ? LK_HOLD_TAKEN : LK_HOLD_CALLED);
	return true;
}

bool
lk_lane_take(struct lk_request *req)
{
	if (!never_waits(req) && find_row(req, is_passed) != NULL) {
		drop_all(req);
		if (!lk_lane_enter(req))
			return false;
	}
	occupy_all(req, LK_HOLD_TAKEN);
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
		end_waiting(hold->req);
		occupy_all(hold->req, LK_HOLD_TAKEN);
	}
	return n;
}

/* ---- on ---- */

static void
call(struct lk_request *req)
{
	end_waiting(req);
	if (req->hold->wants_more)
		drop_all(req);		/* now it looks for all of them */
	else
		occupy_all(req, LK_HOLD_CALLED);
	lk_database_enqueue_again(req->database, req);
	req->database->wants_serve = true;
	lk_request_put_back(req);	/* its client may be paused by now */
}

/* It is tried again, and sent unless somebody has ended its transaction. */
static void
grant(struct lk_hold *hold)
{
	struct lk_request *req = hold->req;

	end_waiting(req);
	hold->is_granted = true;
	occupy_all(req, LK_HOLD_TAKEN);
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

/*
 * Transactions that have workers go before the others, for ever if there are
 * always more of them.  So who has been passed for long goes to PostgreSQL, one
 * at a time, and has its place in the queue there.
 */
static void
help_passed(struct lk_lane *lane, bool is_passed_now)
{
	struct lk_hold *hold;
	struct lk_list *it;

	if (lk_list_is_empty(&lane->waiters))
		return;
	hold = lk_lane_hold_at(lane->waiters.next);
	if (is_passed_now && hold->req->turn_us == 0)
		hold->req->turn_us = hold->req->core->now_us;
	if (!is_aged(hold->req))
		return;
	for (it = lane->holds.next; it != &lane->holds; it = it->next) {
		if (lk_lane_hold_at(it)->tx == NULL)
			return;
	}
	call(hold->req);
}

static void
go_on(struct lk_lane *lane)
{
	struct lk_hold *hold;
	bool is_passed_now = false;

	while ((hold = find_free(&lane->pinned)) != NULL) {
		grant(hold);
		is_passed_now = true;
	}
	while ((hold = find_free(&lane->waiters)) != NULL) {
		occupy(hold, LK_HOLD_RESERVED);
		if (!lk_lane_has_waiter(hold->req))
			call(hold->req);
	}
	help_passed(lane, is_passed_now);
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
	struct lk_hold *hold;

	LK_LIST_EACH(&core->laned, it, next) {
		for (hold = lk_park_at(it)->hold; hold != NULL;
		    hold = hold->next)
			note_changed(hold->lane);
	}
}

void
lk_lane_let_through(struct lk_request *req)
{
	lk_assert(lk_lane_has_waiter(req));
	end_waiting(req);
	if (has_worker(req)) {
		occupy_all(req, LK_HOLD_TAKEN);
		lk_worker_submit(req->tx->worker, req);
		return;
	}
	drop_all(req);
	req->keeps_slot = true;
	lk_database_enqueue_again(req->database, req);
	lk_request_put_back(req);
	lk_database_serve(req->database);
}

/* ---- out ---- */

void
lk_lane_leave(struct lk_request *req)
{
	if (lk_lane_has_waiter(req))
		end_waiting(req);
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
