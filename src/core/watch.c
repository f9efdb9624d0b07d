/*
 * When pg_locks is read, and what one reading sets in motion.  A look follows
 * a cause: a statement out for first_look, a queue for slots none of which can
 * move, a wait to be told of, a deadline, a transaction that may be idle only
 * while nobody waits for it.  With nothing of ours out there are none else.  A
 * token bucket bounds them.  What a proof lacks is read again at once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

#define LOOKS_PER_S	10.0
#define LOOKS_BURST	10.0
/* While a statement that was looked at is still out. */
#define REPEAT_US	(250 * LK_US_PER_MS)
/* ?ms waits are looked at no more often than this. */
#define LOCK_REPEAT_US	(15 * LK_US_PER_MS)
/* A statement needs this long to arrive at its backend and to block. */
#define ARRIVAL_US	(2 * LK_US_PER_MS)
#define BLIND_US	LK_US_PER_S

static bool
is_off(const struct lk_core *core)
{
	return core->config->deadlock_mode == LK_DEADLOCK_OFF;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * When this running statement wants to be looked at.  A look that came sooner
 * than first_look after it was sent does not count: it may have come before the
 * wait.  *is_own_out: by its own ?ms or ~ms, which no bucket delays.
 */
static uint64_t
statement_due(const struct lk_server *server, const struct lk_request *req,
    bool *is_own_out)
{
	const struct lk_config *config = req->core->config;
	uint64_t first = config->deadlock_first_look_us;
	uint64_t due = LK_NEVER, notify;

	*is_own_out = true;
	if (req->want_look)
		return server->core->now_us;
	if (!is_off(req->core)) {
		due = server->looked_us >= req->sent_us + first ?
		    server->looked_us + REPEAT_US :
		    later(req->sent_us, server->looked_us) + first;
		if (req->is_waiting && !req->was_notified) {
			notify = config->deadlock_notify_us;
			due = sooner(due, server->looked_us +
			    (notify > req->waited_us ?
			    notify - req->waited_us : 0));
		}
	}
	if (req->lock_due_us <= due)
		return req->lock_due_us;
	*is_own_out = false;
	return due;
}

/* When the first and the last of the list began to wait for a slot. */
static void
note_queue(const struct lk_list *ready, uint64_t *first_us, uint64_t *last_us)
{
	if (lk_list_is_empty(ready))
		return;
	*first_us = sooner(*first_us, lk_container(ready->next,
	    struct lk_request, ready_link)->queued_us);
	*last_us = later(*last_us, lk_container(ready->prev,
	    struct lk_request, ready_link)->queued_us);
}

/* Whether nothing that is known keeps it from serving somebody else. */
static bool
can_move(const struct lk_worker *worker)
{
	const struct lk_request *req;

	if (worker->state == LK_WORKER_BUSY) {
		req = lk_worker_request(worker);
		return req == NULL || !req->is_waiting;
	}
	return worker->state != LK_WORKER_PINNED &&
	    worker->state != LK_WORKER_STOPPING;
}

/* Since when none of its workers can move; LK_NEVER: one can. */
static uint64_t
still_since(const struct lk_database *db)
{
	const struct lk_core *core = db->core;
	const struct lk_worker *worker;
	uint64_t since_us = 0;
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL || worker->database != db)
			continue;
		if (can_move(worker))
			return LK_NEVER;
		since_us = later(since_us, worker->since_us);
	}
	return since_us;
}

/*
 * Slots may be held by those who wait for one.  While a worker can move there
 * is nothing to prove; how its statement fares, looks of its own will tell.
 */
static uint64_t
queue_due(const struct lk_server *server, const struct lk_database *db)
{
	uint64_t first_us = LK_NEVER, last_us = 0, still_us;

	note_queue(&db->ready_tx, &first_us, &last_us);
	note_queue(&db->ready_autocommit, &first_us, &last_us);
	note_queue(&db->ready_reads, &first_us, &last_us);
	if (first_us == LK_NEVER)
		return LK_NEVER;
	still_us = still_since(db);
	if (still_us == LK_NEVER)
		return LK_NEVER;
	if (server->looked_us > later(last_us, still_us))
		return server->looked_us + REPEAT_US;
	return later(server->looked_us, later(first_us, still_us)) +
	    server->core->config->deadlock_first_look_us;
}

static uint64_t
queues_due(const struct lk_server *server)
{
	const struct lk_core *core = server->core;
	uint64_t first = LK_NEVER;
	size_t i;

	for (i = 0; i < core->n_databases && !is_off(core); i++) {
		if (core->databases[i].server == server)
			first = sooner(first,
			    queue_due(server, &core->databases[i]));
	}
	return first;
}

/* When the first of a job's requests wants to be looked at. */
static uint64_t
job_due(const struct lk_server *server, const struct lk_worker *worker,
    bool *is_own_out)
{
	const struct lk_list *it;
	uint64_t due, first = LK_NEVER;
	bool is_own;

	*is_own_out = false;
	for (it = worker->requests.next; it != &worker->requests;
	    it = it->next) {
		due = statement_due(server, lk_worker_request_at(it), &is_own);
		first = sooner(first, due);
		*is_own_out |= is_own && due <= server->core->now_us;
	}
	return first;
}

static uint64_t
next_due(const struct lk_server *server, bool *is_own_out)
{
	struct lk_core *core = server->core;
	struct lk_worker *worker;
	uint64_t first = queues_due(server);
	bool is_own;
	uint32_t i;

	*is_own_out = false;
	if (lk_park_is_used(server) && !is_off(core))
		first = sooner(first, server->looked_us + REPEAT_US);
	if (server->wants_look)
		first = sooner(first, server->looked_us +
		    core->config->deadlock_first_look_us);
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL || worker->server != server)
			continue;
		first = sooner(first, lk_holder_due(server, worker->tx));
		first = sooner(first, job_due(server, worker, &is_own));
		*is_own_out |= is_own;
	}
	if (first != LK_NEVER && server->is_blind)
		first = later(first, server->looked_us + BLIND_US);
	return first;
}

/* asked: see struct lk_look. */
static void
ask(struct lk_server *server, uint32_t *asked, size_t n_asked)
{
	struct lk_core *core = server->core;
	struct lk_look *look = lk_look_new();

	look->seq = ++core->seq;
	look->asked_us = core->now_us;
	look->asked = asked;
	look->n_asked = n_asked;
	look->expects_waits = server->last != NULL && server->last->n_waits > 0;
	server->look_is_out = true;
	core->stats.looks++;
	core->effects->look(core->ctx, server->index, &look);
}

static void
refill(struct lk_server *server)
{
	uint64_t now = server->core->now_us;

	server->tokens += (double)(now - server->tokens_us) / LK_US_PER_S *
	    LOOKS_PER_S;
	if (server->tokens > LOOKS_BURST)
		server->tokens = LOOKS_BURST;
	server->tokens_us = now;
}

/* Ask when a look is due and allowed, else set the timer for when it will be. */
static void
consider(struct lk_server *server)
{
	struct lk_core *core = server->core;
	bool is_own;
	uint64_t due;

	if (server->look_is_out || !server->has_watcher)
		return;		/* its coming back considers again */
	due = next_due(server, &is_own);
	if (due > core->now_us) {
		lk_timer_set(&core->timers, &server->timer, due);
		return;
	}
	refill(server);
	if (!is_own && server->tokens < 1.0) {
		lk_timer_set(&core->timers, &server->timer, core->now_us +
		    (uint64_t)((1.0 - server->tokens) / LOOKS_PER_S *
		    LK_US_PER_S) + 1);
		return;
	}
	if (!is_own)
		server->tokens -= 1.0;
	server->was_confirming = server->wants_look = false;
	server->looked_us = core->now_us;
	ask(server, NULL, 0);
}

/*
 * Of the servers whose waits are in the residue, the one that was looked at
 * longest ago; a single one when soft blockers are to be confirmed.  Each is
 * read again at most once for each look of its own, so waits that come and go
 * keep nobody reading.
 */
bool
lk_watch_confirm(struct lk_core *core)
{
	struct lk_server *server, *oldest = NULL;
	uint32_t i, n_involved = 0, *asked;
	size_t n_asked;

	for (i = 0; i < core->n_servers; i++) {
		server = core->servers[i];
		if (!lk_waits_are_stuck(server))
			continue;
		n_involved++;
		if (!server->was_confirming && (oldest == NULL ||
		    server->last->seq < oldest->last->seq))
			oldest = server;
	}
	if (oldest == NULL || oldest->look_is_out || !oldest->has_watcher)
		return false;
	asked = lk_waits_to_ask(oldest, &n_asked);
	if (n_involved < 2 && n_asked == 0)
		return false;
	oldest->was_confirming = true;
	ask(oldest, asked, n_asked);
	return true;
}

static void
due_now(struct lk_timer *timer)
{
	consider(lk_container(timer, struct lk_server, timer));
}

void
lk_watch_init(struct lk_server *server)
{
	server->tokens = LOOKS_BURST;
	server->tokens_us = server->core->now_us;
	lk_timer_init(&server->timer, due_now);
}

void
lk_watch_soon(struct lk_server *server, uint64_t due_us)
{
	if (due_us < server->timer.due_us)
		lk_timer_set(&server->core->timers, &server->timer, due_us);
}

void
lk_watch_now(struct lk_server *server)
{
	lk_timer_clear(&server->core->timers, &server->timer);
	consider(server);
}

void
lk_watch_statement(struct lk_request *req)
{
	struct lk_server *server = req->worker->server;
	bool is_own;

	req->is_waiting = req->was_notified = false;
	req->lock_due_us = req->lock_us == LK_NEVER ? LK_NEVER :
	    req->sent_us + later(lk_request_lock_left(req, 0), ARRIVAL_US);
	lk_watch_soon(server, statement_due(server, req, &is_own));
}

void
lk_watch_queue(struct lk_database *db)
{
	const struct lk_core *core = db->core;

	if (db->n_ready > 0 && db->server != NULL && !is_off(core))
		lk_watch_soon(db->server, core->now_us +
		    core->config->deadlock_first_look_us);
}

void
lk_watch_parked(struct lk_server *server)
{
	if (!is_off(server->core))
		lk_watch_soon(server, server->core->now_us + REPEAT_US);
}

void
lk_watch_laned(struct lk_server *server)
{
	if (is_off(server->core))
		return;
	server->wants_look = true;
	lk_watch_soon(server, server->core->now_us +
	    server->core->config->deadlock_first_look_us);
}

/* Whether somebody may wait in vain for a slot. */
static bool
has_still_queue(const struct lk_server *server)
{
	return queues_due(server) != LK_NEVER;
}

/*
 * An AWAIT or a blocking request may have closed a cycle over waits that were
 * looked at before: let them be looked at again.
 */
void
lk_watch_all_soon(struct lk_core *core)
{
	struct lk_server *server;
	uint32_t i;

	if (is_off(core))
		return;
	for (i = 0; i < core->n_servers; i++) {
		server = core->servers[i];
		if (server->last == NULL || (server->last->n_waits == 0 &&
		    !lk_park_is_used(server)))
			continue;
		/* As if it had not looked: statement_due() does the rest. */
		server->looked_us = 0;
		lk_watch_soon(server, core->now_us +
		    core->config->deadlock_first_look_us);
	}
}

/* ---- what a look sets in motion ---- */

static void
lock_timed_out(struct lk_server *server, struct lk_request *req,
    const struct lk_wait *wait)
{
	struct lk_error why;

	lk_error_init(&why);
	lk_words_lock_timeout(&why, req, server, wait);
	lk_cancel_request(req, &why, wait);
	lk_error_fini(&why);
}

static void
deadline_timed_out(struct lk_server *server, struct lk_request *req,
    const struct lk_wait *wait)
{
	struct lk_buf phase = LK_BUF_INIT;
	struct lk_error why;

	req->want_look = false;
	lk_error_init(&why);
	if (wait != NULL)
		lk_words_lock(&phase, server, wait, req->client);
	else
		lk_buf_puts(&phase, "run");
	lk_error_set(&why, LK_ERR_TIMEOUT,
	    "the deadline of %llu ms passed in phase %s",
	    (unsigned long long)req->deadline_ms, lk_buf_cstr(&phase));
	lk_buf_fini(&phase);
	/* By pid and not by this wait: the deadline holds for all of it. */
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}

static void
update_lock_due(struct lk_request *req, const struct lk_wait *wait)
{
	uint64_t now = req->core->now_us, left_us;

	if (req->lock_us == LK_NEVER || now < req->lock_due_us)
		return;
	left_us = lk_request_lock_left(req, wait != NULL ? wait->waited_us : 0);
	req->lock_due_us = now + (wait != NULL && left_us > 0 ? left_us :
	    later(left_us, LOCK_REPEAT_US));
}

/*
 * Nobody is to wait for a transaction whose client does not take its replies:
 * it will not send COMMIT either.  One that has only just begun to read slowly
 * is given as long as a wait is before it is told of.
 */
void
lk_watch_drop_stalled(struct lk_tx *tx)
{
	struct lk_core *core = tx->core;
	struct lk_client *client = tx->client;
	struct lk_log_about about;
	struct lk_buf who = LK_BUF_INIT;

	if (client == NULL || core->effects->stalled_us(client->conn) <
	    core->config->deadlock_notify_us)
		return;
	about = lk_about_tx(tx);
	lk_words_tx(&who, tx, NULL);
	lk_log_about(&about, LK_LOG_WARNING, "the connection ends: it reads no "
	    "replies, and somebody waits for its %s", lk_buf_cstr(&who));
	lk_buf_fini(&who);
	core->stats.clients_stalled++;
	core->effects->drop(client->conn);
}

static void
drop_stalled_holder(struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_blocker *root = lk_words_root(server, wait);
	const struct lk_worker *worker = root != NULL && root->pid != 0 ?
	    lk_worker_by_pid(server, root->pid) : NULL;

	if (worker != NULL && worker->tx != NULL)
		lk_watch_drop_stalled(worker->tx);
}

/*
 * Whether it waits, and since when.  A wait that is over has lasted until the
 * next began, or until this look: nobody saw when it ended.
 */
static void
note_wait(struct lk_request *req, const struct lk_look *look,
    const struct lk_wait *wait)
{
	uint64_t since_us = look->asked_us;

	if (wait != NULL)
		since_us -= wait->waited_us < since_us - req->sent_us ?
		    wait->waited_us : since_us - req->sent_us;
	if (req->is_waiting && since_us > req->wait_since_us &&
	    (wait == NULL || strcmp(req->waitstart, wait->waitstart) != 0))
		req->locked_us += since_us - req->wait_since_us;
	req->is_waiting = wait != NULL;
	if (wait == NULL)
		return;
	req->waited_us = wait->waited_us;
	req->wait_since_us = since_us;
}

/* One of our statements, as this look found it. */
static void
see_statement(struct lk_server *server, struct lk_request *req)
{
	struct lk_look *look = server->last;
	const struct lk_wait *wait;

	if (req->seq > look->seq)
		return;		/* sent after the look was asked for */
	wait = lk_look_find(look, req->worker->backend_pid);
	note_wait(req, look, wait);
	if (req->want_look) {
		deadline_timed_out(server, req, wait);
		return;
	}
	update_lock_due(req, wait);
	if (wait == NULL)
		return;
	if (strcmp(req->waitstart, wait->waitstart) != 0) {
		memcpy(req->waitstart, wait->waitstart,
		    sizeof(req->waitstart));
		req->was_notified = req->was_reported = false;
	}
	/* Without its start a wait has no name yet that a cancel could use. */
	if (wait->waitstart[0] == '\0') {
		if (req->lock_us != LK_NEVER)
			req->lock_due_us = req->core->now_us + ARRIVAL_US;
		return;
	}
	if (lk_request_lock_left(req, wait->waited_us) == 0) {
		lock_timed_out(server, req, wait);
		return;
	}
	if (is_off(req->core) ||
	    wait->waited_us < req->core->config->deadlock_notify_us)
		return;
	if (!req->was_notified) {
		req->was_notified = true;
		lk_push_lockwait(req, wait);
	}
	drop_stalled_holder(server, wait);
}

/* Those that its job carries; some may leave it for what is seen. */
static void
see_job(struct lk_server *server, struct lk_worker *worker)
{
	const struct lk_wait *wait;
	struct lk_list *it, *next;

	LK_LIST_EACH(&worker->requests, it, next)
		see_statement(server, lk_worker_request_at(it));
	wait = lk_look_find(server->last, worker->backend_pid);
	if (worker->is_batch && !is_off(server->core) && wait != NULL && wait->waitstart[0] != '\0' &&
	    worker->seq <= server->last->seq)
		lk_cancel_batch(worker, wait);
}

static void
see_nothing_of(struct lk_server *server, struct lk_worker *worker)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	LK_LIST_EACH(&worker->requests, it, next) {
		req = lk_worker_request_at(it);
		req->is_waiting = false;
		if (req->want_look)
			deadline_timed_out(server, req, NULL);
	}
}

/* Nothing can be seen: deadlines are kept all the same. */
static void
see_nothing(struct lk_server *server, const struct lk_look *look)
{
	struct lk_core *core = server->core;
	uint32_t i;

	if (!server->is_blind)
		lk_log(LK_LOG_WARNING, "lock waits cannot be seen: %s",
		    look->error.is_set ? look->error.message : "no session");
	server->is_blind = true;
	core->stats.looks_failed++;
	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL &&
		    core->workers[i]->server == server)
			see_nothing_of(server, core->workers[i]);
	}
}

static void
see(struct lk_server *server)
{
	struct lk_core *core = server->core;
	struct lk_worker *worker;
	uint32_t i;

	server->is_blind = false;
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker != NULL && worker->server == server)
			see_job(server, worker);
	}
	if (is_off(core))
		return;
	/* Who is part of a deadlock is not to be parked. */
	if ((server->last->n_waits > 0 || has_still_queue(server) ||
	    lk_park_is_used(server)) && !lk_deadlock_search(server))
		lk_sentinel_look(server);
	lk_holder_look(server);
}

static bool
is_same_wait(const struct lk_wait *a, const struct lk_wait *b)
{
	return a->pid == b->pid && a->waitstart[0] != '\0' &&
	    strcmp(a->waitstart, b->waitstart) == 0;
}

/* Two looks that saw the same wait know that it was in force between them. */
static void
note_first_seen(struct lk_look *look, const struct lk_look *before)
{
	const struct lk_wait *seen;
	struct lk_wait *wait;
	size_t i;

	for (i = 0; i < look->n_waits; i++) {
		wait = &look->waits[i];
		seen = lk_look_find(before, wait->pid);
		wait->seen_seq = seen != NULL && is_same_wait(wait, seen) ?
		    seen->seen_seq : look->answered_seq;
	}
}

void
lk_watch_look(struct lk_server *server, struct lk_look *look)
{
	struct lk_core *core = server->core;

	server->look_is_out = false;
	core->stats.looks_us += look->cost_us;
	look->answered_seq = ++core->seq;
	look->answered_us = core->now_us;
	note_first_seen(look, server->last);
	if (look->failed) {
		see_nothing(server, look);
		lk_look_free(&look);
	} else {
		lk_look_free(&server->last);
		server->last = look;
		lk_server_forget_gone(server, look);
		see(server);
	}
	lk_timer_clear(&core->timers, &server->timer);
	consider(server);
}
