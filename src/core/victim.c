/*
 * Who is failed to end a deadlock, with the least harm.
 *
 * First the essay's case: a request of a client in MODE blocking that waits,
 * over whatever others, for a transaction of its own thread.  The thread stands
 * still in that very request, so nobody else could end it.
 *
 * Otherwise, of the requests in one cycle: one that waits for a slot, since it
 * loses nothing; else the one whose transaction has done least, rows affected
 * and one for each statement; else the youngest.  Sessions of other programs
 * and prepared transactions are never touched, and an idle transaction's
 * holder is left alone: of the two, the waiter has somebody who listens.
 */
#include <string.h>

#include "core/internal.h"

/* It waits for a lock that can be named to the server, or for a slot. */
static bool
can_fail(const struct lk_server *server, const struct lk_request *req)
{
	const struct lk_graph *graph = &server->core->graph;

	if (req->client == NULL || req->task == NULL || req->was_reported ||
	    req->is_commit || !lk_graph_is_stuck(graph, req->node_number))
		return false;
	if (req->state == LK_REQUEST_QUEUED)
		return true;
	return req->state == LK_REQUEST_RUNNING &&
	    req->worker->server == server && req->is_waiting &&
	    req->waitstart[0] != '\0';
}

static bool
take_cycle(struct lk_core *core, struct lk_request *req,
    struct lk_cycle *cycle)
{
	cycle->req = req;
	cycle->is_own_thread = false;
	cycle->n = lk_graph_cycle(&core->graph, req->node_number, cycle->nodes,
	    LK_CYCLE_MAX);
	return cycle->n > 0;
}

/* ---- the essay's case ---- */

static bool
is_own_thread(const struct lk_core *core, const struct lk_request *req,
    uint32_t node)
{
	const struct lk_ref *ref = &core->refs[node];
	const struct lk_tx *tx = ref->object;

	return ref->kind == LK_REF_TX && tx->client != NULL &&
	    lk_client_same_thread(tx->client, req->client);
}

static bool
is_essays(struct lk_server *server, struct lk_request *req,
    struct lk_cycle *cycle)
{
	size_t i;

	if (!can_fail(server, req) || !req->client->is_blocking ||
	    req->state != LK_REQUEST_RUNNING ||
	    !take_cycle(server->core, req, cycle))
		return false;
	for (i = 0; i < cycle->n && !cycle->is_own_thread; i++)
		cycle->is_own_thread = is_own_thread(server->core, req,
		    cycle->nodes[i]);
	return cycle->is_own_thread;
}

/* ---- all others ---- */

static uint64_t
cost(const struct lk_request *req)
{
	return req->tx != NULL ? req->tx->n_rows + req->tx->n_statements : 0;
}

static uint64_t
age(const struct lk_request *req)
{
	/* Handles and request numbers are never compared with each other:
	 * at the same cost both have a transaction, or neither has. */
	return req->tx != NULL ? req->tx->handle : req->number;
}

static bool
is_better(const struct lk_request *a, const struct lk_request *b)
{
	bool a_queued = a->state == LK_REQUEST_QUEUED;
	bool b_queued = b->state == LK_REQUEST_QUEUED;

	if (a_queued != b_queued)
		return a_queued;
	if (cost(a) != cost(b))
		return cost(a) < cost(b);
	if ((a->tx != NULL) != (b->tx != NULL))
		return a->tx == NULL;
	return age(a) > age(b);
}

static struct lk_request *
request_at(const struct lk_core *core, uint32_t node)
{
	const struct lk_ref *ref = &core->refs[node];

	return ref->kind == LK_REF_REQUEST ? ref->object : NULL;
}

/*
 * All that wait for a slot of one database wait for the same thing: the
 * youngest of them gives way, whichever of their cycles was found.
 */
static void
choose_youngest_queued(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;
	struct lk_request *best = cycle->req, *req;
	uint32_t node;

	for (node = 0; node < core->graph.n_nodes; node++) {
		req = request_at(core, node);
		if (req != NULL && req->state == LK_REQUEST_QUEUED &&
		    req->database == best->database && can_fail(server, req) &&
		    req->number > best->number &&
		    take_cycle(core, req, cycle))
			best = req;
	}
	take_cycle(core, best, cycle);
}

/* Of this cycle's, the one to fail. */
static void
choose(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_request *req;
	size_t i;

	for (i = 0; i < cycle->n; i++) {
		req = request_at(server->core, cycle->nodes[i]);
		if (req != NULL && can_fail(server, req) &&
		    is_better(req, cycle->req))
			cycle->req = req;
	}
	if (cycle->req->state == LK_REQUEST_QUEUED)
		choose_youngest_queued(server, cycle);
}

/*
 * Search the graph of the server's last look for a deadlock that can be ended;
 * true with the cycle and the request to fail.
 */
bool
lk_victim_find(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;
	struct lk_request *req;
	uint32_t node;
	int pass;

	lk_waits_build(core, server);
	if (lk_graph_reduce(&core->graph, false) == 0)
		return false;
	for (pass = 0; pass < 2; pass++) {
		for (node = 0; node < core->graph.n_nodes; node++) {
			req = request_at(core, node);
			if (req == NULL)
				continue;
			if (pass == 0 && is_essays(server, req, cycle))
				return true;
			if (pass == 1 && can_fail(server, req) &&
			    take_cycle(core, req, cycle)) {
				choose(server, cycle);
				return true;
			}
		}
	}
	return false;
}
