/*
 * When pg_locks is read, and what one reading sets in motion.  A look follows
 * a cause: a statement out for first_look, a wait to be told of, a deadline.
 * With nothing of ours out there are none.  A token bucket bounds them.
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
 * When this running statement wants to be looked at.  *is_own_out: by its own
 * ?ms or ~ms, which no bucket delays.
 */
static uint64_t
statement_due(const struct lk_server *server, const struct lk_request *req,
    bool *is_own_out)
{
	const struct lk_config *config = req->core->config;
	uint64_t due = LK_NEVER, notify;

	*is_own_out = true;
	if (req->want_look)
		return server->core->now_us;
	if (!is_off(req->core)) {
		due = server->looked_us > req->sent_us ?
		    server->looked_us + REPEAT_US :
		    req->sent_us + config->deadlock_first_look_us;
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

static struct lk_request *
first_queued(const struct lk_database *db)
{
	const struct lk_list *list = !lk_list_is_empty(&db->ready_tx) ?
	    &db->ready_tx : &db->ready_autocommit;

	return lk_list_is_empty(list) ? NULL :
	    lk_container(list->next, struct lk_request, ready_link);
}

/* Slots may be held by those who wait for one. */
static uint64_t
queues_due(const struct lk_server *server)
{
	const struct lk_core *core = server->core;
	const struct lk_request *req;
	uint64_t first = LK_NEVER;
	size_t i;

	for (i = 0; i < core->n_databases && !is_off(core); i++) {
		if (core->databases[i].server != server)
			continue;
		req = first_queued(&core->databases[i]);
		if (req == NULL)
			continue;
		first = sooner(first, server->looked_us > req->queued_us ?
		    server->looked_us + REPEAT_US : req->queued_us +
		    core->config->deadlock_first_look_us);
	}
	return first;
}

static uint64_t
next_due(const struct lk_server *server, bool *is_own_out)
{
	struct lk_core *core = server->core;
	struct lk_worker *worker;
	uint64_t due, first = queues_due(server);
	bool is_own;
	uint32_t i;

	*is_own_out = false;
	if (server->wants_look)
		first = sooner(first, server->looked_us +
		    core->config->deadlock_first_look_us);
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL || worker->server != server ||
		    worker->request == NULL)
			continue;
		due = statement_due(server, worker->request, &is_own);
		if (due < first)
			first = due;
		if (due <= core->now_us && is_own)
			*is_own_out = true;
	}
	if (first != LK_NEVER && server->is_blind)
		first = later(first, server->looked_us + BLIND_US);
	return first;
}

static void
ask(struct lk_server *server)
{
	struct lk_core *core = server->core;
	struct lk_look *look = lk_look_new();

	look->seq = core->seq;
	look->asked_us = core->now_us;
	server->look_is_out = true;
	server->wants_look = false;
	server->looked_us = core->now_us;
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
	ask(server);
}

static void
due_now(struct lk_timer *timer)
{
	consider(lk_container(timer, struct lk_server, timer));
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
	    req->sent_us + later(req->lock_us, ARRIVAL_US);
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

static bool
has_queue(const struct lk_server *server)
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
		if (server->last == NULL || server->last->n_waits == 0)
			continue;
		/* As if it had not looked: statement_due() does the rest. */
		server->looked_us = 0;
		lk_watch_soon(server, core->now_us +
		    core->config->deadlock_first_look_us);
	}
}

/* ---- servers ---- */

struct lk_server *
lk_server_get(struct lk_core *core, const char *id,
    struct lk_database *database)
{
	struct lk_server *server;
	uint32_t i;

	for (i = 0; i < core->n_servers; i++) {
		if (strcmp(core->servers[i]->id, id) == 0)
			return core->servers[i];
	}
	/*
	 * A cluster that was started again is another server: its pids mean
	 * other backends.  The watcher of the one before finds its way to it
	 * by itself, so it and its place are taken over.
	 */
	server = database->server;
	if (server != NULL) {
		strcpy(server->id, id);
		lk_look_free(&server->last);
		return server;
	}
	server = lk_xcalloc(1, sizeof(*server));
	server->core = core;
	server->index = core->n_servers;
	strcpy(server->id, id);
	server->tokens = LOOKS_BURST;
	server->tokens_us = core->now_us;
	lk_timer_init(&server->timer, due_now);
	core->servers = lk_xrealloc(core->servers,
	    (core->n_servers + 1) * sizeof(struct lk_server *));
	core->servers[core->n_servers++] = server;
	if (core->effects->watcher_start(core->ctx, server->index,
	    database->config) < 0) {
		lk_log(LK_LOG_ERROR, "no thread for the watcher of %s: lock "
		    "waits will not be seen", database->config->name);
		return server;
	}
	server->has_watcher = true;
	core->n_watchers++;
	return server;
}

void
lk_server_free(struct lk_server **serverp)
{
	struct lk_server *server = *serverp;

	lk_look_free(&server->last);
	free(server);
	*serverp = NULL;
}

bool
lk_server_is_watched(const struct lk_server *server)
{
	return server != NULL && server->has_watcher && !server->is_blind;
}

/* ---- what a look sets in motion ---- */

const struct lk_wait *
lk_look_find(const struct lk_look *look, int pid)
{
	size_t low = 0, high = look != NULL ? look->n_waits : 0, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (look->waits[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return look != NULL && low < look->n_waits &&
	    look->waits[low].pid == pid ? &look->waits[low] : NULL;
}

const struct lk_backend *
lk_look_backend(const struct lk_look *look, int pid)
{
	size_t i;

	for (i = 0; look != NULL && i < look->n_backends; i++) {
		if (look->backends[i].pid == pid)
			return &look->backends[i];
	}
	return NULL;
}

static void
lock_timed_out(struct lk_server *server, struct lk_request *req,
    const struct lk_wait *wait)
{
	struct lk_buf who = LK_BUF_INIT;
	struct lk_error why;

	lk_words_blockers(&who, server, wait, req->client);
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_LOCKTIMEOUT,
	    "%s was not to be had within %llu ms: %s", wait->object,
	    (unsigned long long)(req->lock_us / LK_US_PER_MS),
	    lk_buf_cstr(&who));
	lk_buf_fini(&who);
	lk_cancel_request(req, &why, wait);
	lk_error_fini(&why);
}

static void
deadline_timed_out(struct lk_server *server, struct lk_request *req,
    const struct lk_wait *wait)
{
	struct lk_buf who = LK_BUF_INIT;
	struct lk_error why;

	req->want_look = false;
	lk_error_init(&why);
	if (wait != NULL) {
		lk_words_blockers(&who, server, wait, req->client);
		lk_error_set(&why, LK_ERR_TIMEOUT, "the deadline of %llu ms "
		    "passed in phase lock, waiting %llu ms for %s: %s",
		    (unsigned long long)req->deadline_ms,
		    (unsigned long long)(wait->waited_us / LK_US_PER_MS),
		    wait->object, lk_buf_cstr(&who));
	} else {
		lk_error_set(&why, LK_ERR_TIMEOUT,
		    "the deadline of %llu ms passed in phase run",
		    (unsigned long long)req->deadline_ms);
	}
	lk_buf_fini(&who);
	/* By pid and not by this wait: the deadline holds for all of it. */
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}

static void
update_lock_due(struct lk_request *req, const struct lk_wait *wait)
{
	uint64_t now = req->core->now_us;

	if (req->lock_us == LK_NEVER || now < req->lock_due_us)
		return;
	if (wait != NULL && req->lock_us > wait->waited_us)
		req->lock_due_us = now + req->lock_us - wait->waited_us;
	else
		req->lock_due_us = now + later(req->lock_us, LOCK_REPEAT_US);
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
	if (req->want_look) {
		deadline_timed_out(server, req, wait);
		return;
	}
	update_lock_due(req, wait);
	req->is_waiting = wait != NULL;
	if (wait == NULL)
		return;
	req->waited_us = wait->waited_us;
	req->wait_since_us = look->asked_us > wait->waited_us ?
	    look->asked_us - wait->waited_us : 0;
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
	if (req->lock_us <= wait->waited_us) {
		lock_timed_out(server, req, wait);
		return;
	}
	if (!req->was_notified && !is_off(req->core) &&
	    wait->waited_us >= req->core->config->deadlock_notify_us) {
		req->was_notified = true;
		lk_push_lockwait(req, wait);
	}
}

/* Nothing can be seen: deadlines are kept all the same. */
static void
see_nothing(struct lk_server *server, const struct lk_look *look)
{
	struct lk_core *core = server->core;
	struct lk_request *req;
	uint32_t i;

	if (!server->is_blind)
		lk_log(LK_LOG_WARNING, "lock waits cannot be seen: %s",
		    look->error.is_set ? look->error.message : "no session");
	server->is_blind = true;
	core->stats.looks_failed++;
	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] == NULL ||
		    core->workers[i]->server != server)
			continue;
		req = core->workers[i]->request;
		if (req == NULL)
			continue;
		req->is_waiting = false;
		if (req->want_look)
			deadline_timed_out(server, req, NULL);
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
		if (worker != NULL && worker->server == server &&
		    worker->request != NULL)
			see_statement(server, worker->request);
	}
	if (!is_off(core) && (server->last->n_waits > 0 || has_queue(server)))
		lk_deadlock_search(server);
}

void
lk_watch_look(struct lk_server *server, struct lk_look *look)
{
	server->look_is_out = false;
	server->core->stats.looks_us += look->cost_us;
	if (look->failed) {
		see_nothing(server, look);
		lk_look_free(&look);
	} else {
		lk_look_free(&server->last);
		server->last = look;
		see(server);
	}
	lk_timer_clear(&server->core->timers, &server->timer);
	consider(server);
}
