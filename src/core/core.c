#include "core/core.h"

#include <stdlib.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

/* Handles count from here, in microseconds: 2024-01-01. */
#define HANDLE_EPOCH_US	1704067200000000ULL

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
	lk_idtab_init(&core->request_ids);
	lk_list_init(&core->todo);
	lk_graph_init(&core->graph);
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
	lk_idtab_fini(&core->request_ids);
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

void
lk_core_stop(struct lk_core *core)
{
	struct lk_worker *worker;
	uint32_t i;

	core->is_stopping = true;
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
	return core->is_stopping && !has_workers(core) && core->n_watchers == 0;
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

/*
 * Start whatever has become able to.  A loop and not recursion: finishing one
 * request frees the next, and a queue may be long.
 */
void
lk_core_pump(struct lk_core *core)
{
	struct lk_request *req;

	if (core->is_pumping)
		return;
	core->is_pumping = true;
	while (!lk_list_is_empty(&core->todo)) {
		req = lk_container(core->todo.next, struct lk_request,
		    todo_link);
		lk_list_remove(&req->todo_link);
		lk_request_try(req);
	}
	core->is_pumping = false;
}

static void
watcher_exited(struct lk_core *core)
{
	lk_assert(core->n_watchers > 0);
	core->n_watchers--;
}

void
lk_core_deliver(struct lk_core *core, struct lk_msg *msg)
{
	struct lk_worker *worker = NULL;
	bool is_watcher = (msg->thread & LK_WATCHER_BIT) != 0;

	if (!is_watcher) {
		lk_assert(msg->thread < core->n_workers);
		worker = core->workers[msg->thread];
		lk_assert(worker != NULL);
	}
	switch (msg->kind) {
	case LK_MSG_JOB:
		lk_worker_job_done(worker,
		    lk_container(msg, struct lk_job, msg));
		break;
	case LK_MSG_NOTE:
		lk_worker_note(worker, lk_container(msg, struct lk_note, msg));
		break;
	case LK_MSG_LOOK:
		lk_watch_look(core->servers[msg->thread & ~LK_WATCHER_BIT],
		    lk_container(msg, struct lk_look, msg));
		break;
	case LK_MSG_CANCEL:
		lk_cancel_answered(core,
		    lk_container(msg, struct lk_cancel, msg));
		break;
	case LK_MSG_EXITED:
		if (is_watcher)
			watcher_exited(core);
		else
			lk_worker_exited(worker);
		if (core->is_stopping && !has_workers(core))
			stop_watchers(core);
		break;
	case LK_MSG_STOP:
		lk_assert(!"a stop is never posted to the loop");
	}
	lk_core_pump(core);
}
