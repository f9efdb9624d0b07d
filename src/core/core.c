#include "core/core.h"

#include <stdlib.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

/* What is said of catalogs in one turn of the loop, and a reply more. */
#define TURN_BYTES	(64 * 1024)

/* Handles count from here, in microseconds: 2024-01-01. */
#define HANDLE_EPOCH_US	1704067200000000ULL

/* lk_core_run_timers() goes on with what there is to do. */
static void
begin_turn(struct lk_timer *timer)
{
	lk_container(timer, struct lk_core, turn_timer)->n_told_bytes = 0;
}

struct lk_core *
lk_core_new(const struct lk_config *config, const struct lk_effects *effects,
    void *ctx, uint64_t now_us, uint64_t wall_us)
{
	struct lk_core *core = lk_xcalloc(1, sizeof(*core));
	size_t i;

	core->config = config;
	core->effects = effects;
	core->ctx = ctx;
	core->start_us = core->now_us = now_us;
	core->wall_offset_us = (int64_t)(wall_us - now_us);
	/*
	 * A handle is never given twice, not even by the next daemon on this
	 * socket: they count up from the time of the start, and nobody opens a
	 * million transactions a second.  Below 2^53 until the year 2309.
	 */
	core->next_handle = wall_us > HANDLE_EPOCH_US ?
	    wall_us - HANDLE_EPOCH_US : 1;
	core->next_number = 1;
	core->seq = 1;
	lk_heap_init(&core->timers);
	lk_list_init(&core->clients);
	lk_list_init(&core->tasks);
	lk_list_init(&core->txs);
	lk_hash_init(&core->tasks_by_name);
	lk_hash_init(&core->txs_by_handle);
	lk_hash_init(&core->tags);
	lk_hash_init(&core->groups);
	lk_hash_init(&core->subscriptions);
	lk_idtab_init(&core->request_ids);
	lk_pool_init(&core->request_pool, sizeof(struct lk_request));
	lk_pool_init(&core->task_pool, sizeof(struct lk_task));
	lk_hash_init(&core->parked);
	lk_hash_init(&core->lanes);
	lk_list_init(&core->laned);
	lk_list_init(&core->changed_lanes);
	lk_list_init(&core->todo);
	lk_timer_init(&core->turn_timer, begin_turn);
	lk_list_init(&core->parks);
	lk_graph_init(&core->graph);
	lk_drain_init(core);
	core->n_databases = config->n_databases;
	core->databases = lk_xcalloc(core->n_databases,
	    sizeof(*core->databases));
	for (i = 0; i < core->n_databases; i++)
		lk_database_init(&core->databases[i], core,
		    &config->databases[i]);
	return core;
}

void
lk_core_free(struct lk_core **corep)
{
	struct lk_core *core = *corep;
	size_t i;

	if (core == NULL)
		return;
	lk_assert(lk_list_is_empty(&core->clients));
	for (i = 0; i < core->n_servers; i++)
		lk_server_free(&core->servers[i]);
	for (i = 0; i < core->n_databases; i++)
		lk_database_fini(&core->databases[i]);
	for (i = 0; i < LK_DEADLOCKS_KEPT; i++)
		lk_deadlock_fini(&core->deadlocks[i]);
	lk_assert(lk_list_is_empty(&core->txs));
	lk_assert(lk_list_is_empty(&core->tasks));
	lk_hash_fini(&core->tasks_by_name);
	lk_hash_fini(&core->txs_by_handle);
	lk_hash_fini(&core->tags);
	lk_hash_fini(&core->groups);
	lk_hash_fini(&core->subscriptions);
	lk_hash_fini(&core->parked);
	lk_assert(core->lanes.n_nodes == 0);
	lk_hash_fini(&core->lanes);
	lk_idtab_fini(&core->request_ids);
	lk_pool_fini(&core->request_pool);
	lk_pool_fini(&core->task_pool);
	lk_graph_fini(&core->graph);
	lk_heap_fini(&core->timers);
	free(core->refs);
	free(core->databases);
	free(core->workers);
	free(core->servers);
	free(core);
	*corep = NULL;
}

void
lk_core_start(struct lk_core *core)
{
	struct lk_database *db;
	size_t i;
	uint32_t k;

	for (i = 0; i < core->n_databases; i++) {
		db = &core->databases[i];
		for (k = 0; k < db->config->workers_min; k++)
			lk_worker_start(db);
		lk_catalog_start(db);
	}
}

static void
stop_watchers(struct lk_core *core)
{
	struct lk_server *server;
	uint32_t i;

	for (i = 0; i < core->n_servers; i++) {
		server = core->servers[i];
		if (!server->has_watcher)
			continue;
		server->has_watcher = false;
		lk_timer_clear(&core->timers, &server->timer);
		core->effects->watcher_stop(core->ctx, i);
	}
}

static bool
has_workers(const struct lk_core *core)
{
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL)
			return true;
	}
	return false;
}

static bool
has_readers(const struct lk_core *core)
{
	size_t i;

	for (i = 0; i < core->n_databases; i++) {
		if (core->databases[i].is_reading)
			return true;
	}
	return false;
}

void
lk_core_stop(struct lk_core *core)
{
	struct lk_worker *worker;
	uint32_t i;

	core->is_stopping = true;
	lk_timer_clear(&core->timers, &core->drain_timer);
	for (i = 0; i < core->n_databases; i++)
		lk_catalog_stop(&core->databases[i]);
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL || worker->state == LK_WORKER_STOPPING)
			continue;
		lk_worker_set_state(worker, LK_WORKER_STOPPING);
		core->effects->worker_stop(core->ctx, i);
	}
	/* Watchers go last: the workers' statements may need their cancels. */
	if (!has_workers(core))
		stop_watchers(core);
}

bool
lk_core_is_stopped(const struct lk_core *core)
{
	return core->is_stopping && !has_workers(core) &&
	    core->n_watchers == 0 && core->n_listeners == 0 &&
	    !has_readers(core);
}

void
lk_core_set_now(struct lk_core *core, uint64_t now_us)
{
	lk_assert(now_us >= core->now_us);
	core->now_us = now_us;
}

uint64_t
lk_core_wall_ms(const struct lk_core *core, uint64_t at_us)
{
	return (uint64_t)((int64_t)at_us + core->wall_offset_us) / 1000;
}

void
lk_core_run_timers(struct lk_core *core)
{
	lk_heap_run(&core->timers, core->now_us);
	lk_core_pump(core);
}

uint64_t
lk_core_next_due_us(const struct lk_core *core)
{
	return lk_heap_due(&core->timers);
}

static bool
has_todo(const struct lk_core *core)
{
	return !lk_list_is_empty(&core->todo) &&
	    core->n_told_bytes <= TURN_BYTES;
}

/*
 * Start whatever has become able to.  A loop and not recursion: finishing one
 * request frees the next, and a queue may be long.
 *
 * Most that is started here is done elsewhere.  What is answered at once and at
 * length waits for the next turn when much has been said: until then others are
 * served, and who does not read is noticed.
 */
void
lk_core_pump(struct lk_core *core)
{
	struct lk_request *req;

	if (core->is_pumping)
		return;
	core->is_pumping = true;
	do {
		while (has_todo(core)) {
			req = lk_container(core->todo.next, struct lk_request,
			    todo_link);
			lk_list_remove(&req->todo_link);
			lk_request_try(req);
		}
		lk_lane_serve(core);
	} while (has_todo(core));
	if (!lk_list_is_empty(&core->todo))
		lk_timer_set(&core->timers, &core->turn_timer, core->now_us);
	core->is_pumping = false;
}

static void
watcher_exited(struct lk_core *core)
{
	lk_assert(core->n_watchers > 0);
	core->n_watchers--;
}

static struct lk_worker *
worker_of(const struct lk_core *core, const struct lk_msg *msg)
{
	lk_assert(msg->thread < core->n_workers &&
	    core->workers[msg->thread] != NULL);
	return core->workers[msg->thread];
}

static struct lk_database *
database_of(const struct lk_core *core, const struct lk_msg *msg)
{
	return &core->databases[msg->thread & ~LK_READER_BIT];
}

static void
thread_exited(struct lk_core *core, const struct lk_msg *msg)
{
	if (msg->thread & LK_WATCHER_BIT)
		watcher_exited(core);
	else if (msg->thread & LK_READER_BIT)
		lk_catalog_reader_exited(database_of(core, msg));
	else
		lk_worker_exited(worker_of(core, msg));
	if (core->is_stopping && !has_workers(core))
		stop_watchers(core);
}

static void
deliver(struct lk_core *core, struct lk_msg *msg)
{
	switch (msg->kind) {
	case LK_MSG_JOB:
		lk_worker_job_done(worker_of(core, msg),
		    lk_container(msg, struct lk_job, msg));
		break;
	case LK_MSG_NOTE:
		lk_worker_note(worker_of(core, msg),
		    lk_container(msg, struct lk_note, msg));
		break;
	case LK_MSG_LOOK:
		lk_watch_look(core->servers[msg->thread & ~LK_WATCHER_BIT],
		    lk_container(msg, struct lk_look, msg));
		break;
	case LK_MSG_CANCEL:
		lk_cancel_answered(core,
		    lk_container(msg, struct lk_cancel, msg));
		break;
	case LK_MSG_CATALOG:
		lk_catalog_answered(database_of(core, msg),
		    lk_container(msg, struct lk_catalog_read, msg));
		break;
	case LK_MSG_EXITED:
		thread_exited(core, msg);
		break;
	case LK_MSG_LISTEN:
	case LK_MSG_HEARD:
	case LK_MSG_STOP:
		lk_assert(!"neither workers nor watchers post such a thing");
	}
}

void
lk_core_deliver(struct lk_core *core, struct lk_msg *msg)
{
	if (msg->thread & LK_LISTENER_BIT)
		lk_channels_deliver(&core->databases[msg->thread &
		    ~LK_LISTENER_BIT], msg);
	else
		deliver(core, msg);
	lk_core_pump(core);
}
