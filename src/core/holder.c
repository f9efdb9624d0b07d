/*
 * Who holds up others, as each look finds them: a list that is made anew with
 * every look and keeps of the one before what was said already.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* A look may miss waits: those who wait are not seen to while they look for
 * deadlocks themselves, which all of a queue do at once. */
#define REMEMBER_US	(10 * LK_US_PER_S)

/* A list of holders that grows. */
struct found {
	struct lk_holder	*holders;
	size_t			 n, cap;
};

/* ---- who they are ---- */

/* Ours, and since before the look: the pid may be another transaction's now. */
static struct lk_tx *
tx_of(const struct lk_server *server, const struct lk_blocker *blocker)
{
	const struct lk_worker *worker = blocker->pid != 0 ?
	    lk_worker_by_pid(server, blocker->pid) : NULL;

	return worker != NULL && worker->tx != NULL &&
	    worker->tx->pinned_seq <= server->last->seq ? worker->tx : NULL;
}

/* With the pid it tells one holder from another: see struct lk_holder. */
static uint64_t
number_of(const struct lk_server *server, const struct lk_blocker *blocker)
{
	const struct lk_tx *tx = tx_of(server, blocker);

	if (blocker->pid == 0 && blocker->gid != NULL)
		return lk_hash_bytes(0, blocker->gid, strlen(blocker->gid));
	return tx != NULL ? tx->handle : 0;
}

static struct lk_holder *
find(struct lk_holder *holders, size_t n, int pid, uint64_t number)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (holders[i].pid == pid && holders[i].number == number)
			return &holders[i];
	}
	return NULL;
}

static struct lk_holder *
add(struct found *found, int pid, uint64_t number)
{
	if (found->n == found->cap) {
		found->cap = found->cap != 0 ? 2 * found->cap : 8;
		found->holders = lk_xrealloc(found->holders,
		    found->cap * sizeof(*found->holders));
	}
	found->holders[found->n] = (struct lk_holder){
		.pid = pid,
		.number = number,
	};
	return &found->holders[found->n++];
}

/* n wait so; this one has waited longest. */
static void
count(struct lk_holder *holder, const struct lk_wait *wait, size_t n)
{
	if (holder->counted == wait)
		return;		/* it blocks it in more than one way */
	holder->counted = wait;
	holder->n_waiters += n;
	if (holder->longest == NULL ||
	    wait->waited_us > holder->longest->waited_us)
		holder->longest = wait;
}

/* One of ours that is being ended waits no more, as far as others care. */
static bool
still_waits(const struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_worker *worker = lk_worker_by_pid(server, wait->pid);
	const struct lk_request *req;

	if (worker == NULL)
		return true;
	req = lk_worker_request(worker);
	return req != NULL && req->is_waiting && !req->why.is_set;
}

static void
add_one(struct found *found, const struct lk_server *server, int pid,
    uint64_t number, const struct lk_blocker *root, const struct lk_wait *wait,
    size_t n)
{
	struct lk_holder *holder = find(found->holders, found->n, pid, number);

	if (holder == NULL)
		holder = add(found, pid, number);
	holder->root = root;
	holder->seen_us = server->core->now_us;
	holder->is_ours |= lk_worker_by_pid(server, pid) != NULL ||
	    lk_wait_request(server, wait) != NULL;
	count(holder, wait, n);
}

/* Those who hold what these n wait for; in a queue, who holds it all up. */
static void
add_holders(struct found *found, const struct lk_server *server,
    const struct lk_wait *wait, size_t n)
{
	const struct lk_blocker *root;
	size_t i, n_holders = lk_words_n_holders(wait);

	for (i = 0; i < n_holders; i++) {
		root = lk_words_root_of(server, &wait->blockers[i]);
		if (root != NULL)
			add_one(found, server, root->pid,
			    number_of(server, root), root, wait, n);
	}
}

static void
add_cycle(struct found *found, const struct lk_server *server,
    const struct lk_wait *wait)
{
	const struct lk_wait *cycle = lk_suspect_cycle(server, wait);

	if (cycle != NULL)
		add_one(found, server, cycle->pid, 0, NULL, wait, 1);
}

static size_t
length(const struct lk_list *list)
{
	const struct lk_list *it;
	size_t n = 0;

	for (it = list->next; it != list; it = it->next)
		n++;
	return n;
}

/*
 * Those who wait without a session are in no look.  There may be very many,
 * which all wait for the same, the first for longest.
 */
static void
add_parked(struct found *found, const struct lk_server *server)
{
	struct lk_list *it, *next;
	struct lk_park *park;

	LK_LIST_EACH(&server->core->parks, it, next) {
		park = lk_container(it, struct lk_park, link);
		if (park->server != server || lk_list_is_empty(&park->requests))
			continue;
		add_holders(found, server, lk_park_wait(lk_container(
		    park->requests.next, struct lk_request, park_link)),
		    length(&park->requests));
	}
}

/* Those of a lane wait for the same, too. */
static void
add_laned(struct found *found, const struct lk_server *server)
{
	struct lk_list *it, *next;
	struct lk_request *req;
	const struct lk_hold *hold;

	LK_LIST_EACH(&server->core->laned, it, next) {
		req = lk_container(it, struct lk_request, park_link);
		hold = lk_lane_waits_for(req);
		if (req->database->server != server)
			continue;
		if (hold->link.prev == &hold->lane->waiters)
			add_holders(found, server, lk_park_wait(req),
			    length(&hold->lane->waiters));
		else if (hold->link.prev == &hold->lane->pinned)
			add_holders(found, server, lk_park_wait(req),
			    length(&hold->lane->pinned));
	}
}

static bool
is_remembered(const struct lk_server *server, const struct lk_holder *holder)
{
	return (holder->told_us != 0 || holder->logged_us != 0) &&
	    server->core->now_us - holder->seen_us < REMEMBER_US;
}

/* What was said of them, and of those who hold up nobody just now. */
static void
keep_said(const struct lk_server *server, struct found *found)
{
	const struct lk_holder *before;
	struct lk_holder *holder;
	size_t i;

	for (i = 0; i < server->n_holders; i++) {
		before = &server->holders[i];
		holder = find(found->holders, found->n, before->pid,
		    before->number);
		if (holder == NULL && is_remembered(server, before)) {
			holder = add(found, before->pid, before->number);
			holder->seen_us = before->seen_us;
		}
		if (holder == NULL)
			continue;
		holder->told_us = before->told_us;
		holder->logged_us = before->logged_us;
	}
}

void
lk_holder_forget(struct lk_server *server)
{
	free(server->holders);
	server->holders = NULL;
	server->n_holders = 0;
}

static void
find_holders(struct lk_server *server)
{
	struct found found = { NULL, 0, 0 };
	const struct lk_look *look = server->last;
	size_t i;

	for (i = 0; i < look->n_waits; i++) {
		if (!still_waits(server, &look->waits[i]))
			continue;
		add_holders(&found, server, &look->waits[i], 1);
		add_cycle(&found, server, &look->waits[i]);
	}
	add_parked(&found, server);
	add_laned(&found, server);
	keep_said(server, &found);
	lk_holder_forget(server);
	server->holders = found.holders;
	server->n_holders = found.n;
}

/* ---- saying it ---- */

static bool
is_due(const struct lk_server *server, const struct lk_holder *holder)
{
	return holder->n_waiters > 0 && holder->longest->waited_us >=
	    server->core->config->deadlock_notify_us;
}

/* Once, however many come to wait, until none is left of those who did then. */
static void
tell(struct lk_server *server, struct lk_holder *holder)
{
	const struct lk_tx *tx = lk_tx_by_handle(server->core, holder->number);

	if (holder->pid == 0 || tx == NULL || !is_due(server, holder) ||
	    server->last->asked_us <=
	    holder->told_us + holder->longest->waited_us)
		return;
	holder->told_us = server->core->now_us;
	lk_push_blocking(tx, server, holder);
}

/* Another program's session may hold up others for one thing after another. */
static bool
is_logged(const struct lk_server *server, const struct lk_holder *holder)
{
	const struct lk_backend *backend = holder->number != 0 ? NULL :
	    lk_look_backend(server->last, holder->pid);

	return holder->logged_us != 0 && (backend == NULL ||
	    server->last->asked_us <= holder->logged_us + backend->state_us);
}

/* To the log, once and not for each who waits. */
static void
report(struct lk_server *server, struct lk_holder *holder)
{
	struct lk_buf who = LK_BUF_INIT, why = LK_BUF_INIT;
	const struct lk_request *req = lk_wait_request(server,
	    holder->longest);
	struct lk_log_about about = { 0 };
	bool is_suspect = true;

	if (holder->root == NULL)
		lk_suspect_put_cycle(&why, server,
		    lk_suspect_cycle(server, holder->longest));
	else
		is_suspect = lk_suspect_root(&why, server, holder->root,
		    req != NULL ? req->client : NULL, NULL);
	if (is_suspect) {
		holder->logged_us = server->core->now_us;
		server->core->stats.suspects++;
		if (req != NULL)
			about = lk_about_request(req);
		lk_words_waiter(&who, server, holder->longest, NULL);
		lk_log_about(&about, LK_LOG_WARNING, "suspect: %s; %zu in all "
		    "wait for this: %s", lk_buf_cstr(&who), holder->n_waiters,
		    lk_buf_cstr(&why));
	}
	lk_buf_fini(&who);
	lk_buf_fini(&why);
}

/* ---- timeouts.idle_holder ---- */

static bool
is_idle_for_long(const struct lk_server *server, const struct lk_tx *tx)
{
	uint64_t patience = tx->core->config->timeout_idle_holder_us;

	return patience > 0 && tx->state == LK_TX_IDLE && tx->worker != NULL &&
	    tx->seq <= server->last->seq &&
	    tx->core->now_us >= tx->since_us + patience;
}

static struct lk_tx *
find_idle(const struct lk_server *server, const struct lk_holder **holder_out)
{
	const struct lk_holder *holder;
	struct lk_tx *tx;
	size_t i;

	for (i = 0; i < server->n_holders; i++) {
		holder = *holder_out = &server->holders[i];
		tx = holder->n_waiters == 0 || holder->pid == 0 ? NULL :
		    lk_tx_by_handle(server->core, holder->number);
		if (tx != NULL && is_idle_for_long(server, tx))
			return tx;
	}
	return NULL;
}

static void
end_idle(struct lk_server *server, struct lk_tx *tx,
    const struct lk_holder *holder)
{
	struct lk_core *core = server->core;
	uint64_t handle = tx->handle;
	struct lk_buf who = LK_BUF_INIT;

	lk_buf_puts(&who, " while ");
	lk_words_waiter(&who, server, holder->longest, tx->client);
	if (holder->n_waiters > 1)
		lk_buf_printf(&who, ", and %zu more", holder->n_waiters - 1);
	/* Its next statement, or its end, may have come by now. */
	if (tx->client != NULL)
		core->effects->drain(tx->client->conn);
	tx = lk_tx_by_handle(core, handle);
	if (tx != NULL && is_idle_for_long(server, tx))
		lk_tx_expire_idle(tx, "timeouts.idle_holder",
		    core->config->timeout_idle_holder_us, lk_buf_cstr(&who));
	lk_buf_fini(&who);
}

uint64_t
lk_holder_due(const struct lk_server *server, const struct lk_tx *tx)
{
	const struct lk_config *config = server->core->config;
	uint64_t patience = config->timeout_idle_holder_us, end, from;

	if (patience == 0 || config->deadlock_mode == LK_DEADLOCK_OFF ||
	    tx == NULL || tx->state != LK_TX_IDLE)
		return LK_NEVER;
	end = tx->since_us + patience;
	from = server->looked_us > tx->since_us ? server->looked_us :
	    tx->since_us;
	return from < end && end < from + patience / 2 ? end :
	    from + patience / 2;
}

void
lk_holder_look(struct lk_server *server)
{
	const struct lk_holder *idle;
	struct lk_holder *holder;
	struct lk_tx *tx;
	size_t i;

	find_holders(server);
	for (i = 0; i < server->n_holders; i++) {
		holder = &server->holders[i];
		tell(server, holder);
		if (is_due(server, holder) && holder->is_ours &&
		    !is_logged(server, holder))
			report(server, holder);
	}
	/* Reading a socket may end transactions, and who waits for them. */
	while ((tx = find_idle(server, &idle)) != NULL) {
		end_idle(server, tx, idle);
		find_holders(server);
	}
}
