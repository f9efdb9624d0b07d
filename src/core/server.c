/*
 * PostgreSQL servers as they are known by their looks: which they are, what the
 * last look of each has seen, and which of our sessions have ended since.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

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
		lk_holder_forget(server);
		return server;
	}
	server = lk_xcalloc(1, sizeof(*server));
	server->core = core;
	server->index = core->n_servers;
	strcpy(server->id, id);
	lk_watch_init(server);
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
	lk_holder_forget(server);
	free(server->gone);
	free(server);
	*serverp = NULL;
}

void
lk_server_note_gone(struct lk_server *server, int pid)
{
	if (server->n_gone == server->cap_gone) {
		server->cap_gone = server->cap_gone > 0 ?
		    2 * server->cap_gone : 8;
		server->gone = lk_xrealloc(server->gone,
		    server->cap_gone * sizeof(*server->gone));
	}
	server->gone[server->n_gone++] = (struct lk_gone){
		pid, ++server->core->seq };
}

bool
lk_server_is_gone(const struct lk_server *server, int pid)
{
	size_t i;

	for (i = 0; i < server->n_gone; i++) {
		if (server->gone[i].pid == pid)
			return true;
	}
	return false;
}

void
lk_server_forget_gone(struct lk_server *server, const struct lk_look *look)
{
	size_t i, n = 0;

	for (i = 0; i < server->n_gone; i++) {
		if (server->gone[i].seq > look->seq)
			server->gone[n++] = server->gone[i];
	}
	server->n_gone = n;
}

bool
lk_server_is_watched(const struct lk_server *server)
{
	return server != NULL && server->has_watcher && !server->is_blind;
}

/* ---- what a look has seen ---- */

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

const struct lk_request *
lk_wait_request(const struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_worker *worker;

	if (wait->pid == 0)
		return lk_container(wait, struct lk_request, parked);
	worker = lk_worker_by_pid(server, wait->pid);
	return worker != NULL ? lk_worker_request(worker) : NULL;
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

const struct lk_wait *
lk_request_wait(const struct lk_request *req)
{
	return req->worker == NULL || req->worker->server == NULL ? NULL :
	    lk_look_find(req->worker->server->last, req->worker->backend_pid);
}
