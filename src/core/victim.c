/*
 * Who is failed to end a deadlock, with the least harm.
 *
 * Nobody, when somebody in a cycle waits for a slot and the reserve has one.
 *
 * Else the essay's case: a request of a client in MODE blocking that waits,
 * over whatever others, for another transaction of its own thread.  The thread
 * stands still in that very request, so nobody else could end it.
 *
 * Otherwise nobody, when a statement or a unit can be stopped and run again
 * later, and that would help.
 *
 * Otherwise, of the requests in one cycle: one that waits for a slot, since it
 * loses nothing; else the one whose transaction has done least, rows affected
 * and one for each statement, of a unit one for each verb; else the youngest.  One that has lost often
 * enough is spared, whatever the others have done.  But where somebody waits
 * only for one that is before it in the queue for a lock, that one.  Sessions
 * of other programs and prepared transactions are never touched, and an idle
 * transaction's holder is left alone: of the two, the waiter has somebody who
 * listens.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

static struct lk_request *
request_at(const struct lk_core *core, uint32_t node)
{
	const struct lk_ref *ref = &core->refs[node];

	return ref->kind == LK_REF_REQUEST ? ref->object : NULL;
}

/* It waits for a lock that can be named to the server, or for a slot. */
static bool
can_fail(const struct lk_server *server, const struct lk_request *req)
{
	const struct lk_graph *graph = &server->core->graph;

	if (req->client == NULL || req->task == NULL || req->was_reported ||
	    req->is_commit || !lk_graph_is_stuck(graph, req->node_number))
		return false;
	if (req->state == LK_REQUEST_QUEUED || req->state == LK_REQUEST_PARKED)
		return true;
	return req->state == LK_REQUEST_RUNNING && req->is_waiting &&
	    req->waitstart[0] != '\0';
}

static bool
take_cycle(struct lk_core *core, struct lk_request *req,
    struct lk_cycle *cycle)
{
	const struct lk_request *member;
	size_t i;

	cycle->req = req;
	cycle->is_own_thread = cycle->is_in_the_way = false;
	cycle->is_replay = cycle->is_retry = cycle->lends = false;
	cycle->spares_elder = false;
	cycle->n = lk_graph_cycle(&core->graph, req->node_number, cycle->nodes,
	    LK_CYCLE_MAX);
	/* One that was reported with another cycle is no news. */
	for (i = 0; i < cycle->n; i++) {
		member = request_at(core, cycle->nodes[i]);
		if (member != NULL && member->was_reported)
			return false;
	}
	return cycle->n > 0;
}

/* ---- the reserve ---- */

/* The oldest of those that wait for a slot and whom others wait for. */
static bool
find_to_lend(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;
	struct lk_request *oldest = NULL, *req;
	uint32_t node;

	for (node = 0; node < core->graph.n_nodes; node++) {
		req = request_at(core, node);
		if (req != NULL && req->state == LK_REQUEST_QUEUED &&
		    can_fail(server, req) &&
		    lk_database_may_lend(req->database) &&
		    (oldest == NULL || req->number < oldest->number) &&
		    take_cycle(core, req, cycle))
			oldest = req;
	}
	if (oldest == NULL)
		return false;
	take_cycle(core, oldest, cycle);
	return cycle->lends = true;
}

/* ---- the essay's case ---- */

static bool
is_own_thread(const struct lk_core *core, const struct lk_request *req,
    uint32_t node)
{
	const struct lk_ref *ref = &core->refs[node];
	const struct lk_tx *tx = ref->object;

	/* Through its own one the cycle leads wherever it stands in one. */
	return ref->kind == LK_REF_TX && tx != req->tx && tx->client != NULL &&
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

/* So many tries of the same work were victims: now it is another's turn. */
#define ROUNDS_MAX	3

static bool
is_elder(const struct lk_request *req)
{
	if (req->unit != NULL)
		return req->unit->rounds.n_lost >= ROUNDS_MAX;
	return req->tx != NULL && req->tx->rounds.n_lost >= ROUNDS_MAX;
}

static uint64_t
cost(const struct lk_request *req)
{
	if (req->unit != NULL)
		return req->unit->n_verbs;
	return req->tx != NULL ? req->tx->n_rows + req->tx->n_statements : 0;
}

/* Transactions and units have one that is a handle's. */
static bool
has_age(const struct lk_request *req)
{
	return req->tx != NULL || req->unit != NULL;
}

static uint64_t
age(const struct lk_request *req)
{
	/* Handles and request numbers are never compared with each other. */
	if (req->unit != NULL)
		return req->unit->age;
	return req->tx != NULL ? req->tx->age : req->number;
}

static bool
is_better(const struct lk_request *a, const struct lk_request *b)
{
	bool a_queued = a->state == LK_REQUEST_QUEUED;
	bool b_queued = b->state == LK_REQUEST_QUEUED;

	if (a_queued != b_queued)
		return a_queued;
	if (is_elder(a) != is_elder(b))
		return is_elder(b);
	/* Of elders the first goes on, or they would lose in turns for ever. */
	if (!is_elder(a) && cost(a) != cost(b))
		return cost(a) < cost(b);
	if (has_age(a) != has_age(b))
		return !has_age(a);
	return age(a) > age(b);
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
	size_t i, n_elders = 0;

	for (i = 0; i < cycle->n; i++) {
		req = request_at(server->core, cycle->nodes[i]);
		if (req == NULL || !can_fail(server, req))
			continue;
		n_elders += is_elder(req);
		if (req->state == LK_REQUEST_PARKED ||
		    is_better(req, cycle->req))
			cycle->req = req;
		if (req->state == LK_REQUEST_PARKED)
			return;		/* it is to be proved first */
	}
	cycle->spares_elder = n_elders > is_elder(cycle->req);
	if (cycle->req->state == LK_REQUEST_QUEUED)
		choose_youngest_queued(server, cycle);
}

struct lk_request *
lk_victim_of(struct lk_request *const *members, size_t n,
    bool *spares_elder_out)
{
	struct lk_request *best = members[0];
	size_t i, n_elders = 0;

	for (i = 0; i < n; i++) {
		n_elders += is_elder(members[i]);
		if (is_better(members[i], best))
			best = members[i];
	}
	*spares_elder_out = n_elders > is_elder(best);
	return best;
}

/* ---- queues for one lock ---- */

/* The statement that this node of the cycle stands still in, if it is ours. */
static struct lk_request *
statement_from(const struct lk_core *core, const struct lk_cycle *cycle,
    size_t i)
{
	const struct lk_ref *ref;
	size_t n;

	for (n = 0; n < cycle->n; n++, i++) {
		ref = &core->refs[cycle->nodes[i % cycle->n]];
		if (ref->kind == LK_REF_REQUEST)
			return ref->object;
		if (ref->kind == LK_REF_FOREIGN || ref->kind == LK_REF_TASK)
			break;
	}
	return NULL;
}

/*
 * Who stands in a queue before others that the lock's holder would not keep
 * waiting: without it they go on.
 */
static void
choose_in_the_way(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;
	struct lk_request *req;
	size_t i;

	for (i = 0; i < cycle->n; i++) {
		if (!lk_graph_is_soft(&core->graph, cycle->nodes[i],
		    cycle->nodes[(i + 1) % cycle->n]))
			continue;
		req = statement_from(core, cycle, i + 1);
		if (req == NULL || !can_fail(server, req))
			continue;
		cycle->req = req;
		cycle->is_own_thread = false;
		cycle->is_in_the_way = true;
		return;
	}
}

/*
 * A circle of sessions that wait for locks PostgreSQL sees as well, and ends:
 * by letting one pass in the queue, if that is enough.  So whoever is in one
 * can move.
 */
static void
leave_to_postgresql(struct lk_core *core, const struct lk_look *at)
{
	struct lk_graph *graph = &core->graph;
	bool *is_seen = lk_xcalloc(graph->n_nodes, sizeof(*is_seen));
	const struct lk_request *req;
	uint32_t node;

	for (node = 0; node < graph->n_nodes; node++) {
		req = request_at(core, node);
		if (core->refs[node].kind == LK_REF_TASK ||
		    (req != NULL && req->state != LK_REQUEST_RUNNING))
			lk_graph_set_alive(graph, node);
	}
	lk_graph_reduce(graph, true);
	for (node = 0; node < graph->n_nodes; node++)
		is_seen[node] = lk_graph_is_stuck(graph, node);
	lk_waits_build(core, at);
	for (node = 0; node < graph->n_nodes; node++) {
		if (is_seen[node])
			lk_graph_set_alive(graph, node);
	}
	free(is_seen);
}

/*
 * What a parked request waits for may be over without its knowing.  If the
 * victim could move were one of them able to, one is to be proved first.
 */
static void
choose_unproven(struct lk_core *core, struct lk_cycle *cycle)
{
	struct lk_graph *graph = &core->graph;
	struct lk_request *req, *unproven = NULL;
	uint32_t node;

	for (node = 0; node < graph->n_nodes; node++) {
		req = request_at(core, node);
		if (req == NULL || req->state != LK_REQUEST_PARKED ||
		    !lk_graph_is_stuck(graph, node))
			continue;
		if (unproven == NULL)
			unproven = req;
		lk_graph_set_alive(graph, node);
	}
	if (unproven == NULL)
		return;
	lk_graph_reduce(graph, graph->counts_soft);
	cycle->n = lk_graph_cycle(graph, cycle->req->node_number,
	    cycle->nodes, LK_CYCLE_MAX);
	if (cycle->n == 0)
		cycle->req = unproven;
}

static bool
search(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;
	struct lk_request *req;
	uint32_t node;
	int pass;

	if (find_to_lend(server, cycle))
		return true;
	for (pass = 0; pass < 2; pass++) {
		for (node = 0; node < core->graph.n_nodes; node++) {
			req = request_at(core, node);
			if (req == NULL)
				continue;
			if (pass == 0 && is_essays(server, req, cycle)) {
				choose_in_the_way(server, cycle);
				return true;
			}
			if (pass == 1 && can_fail(server, req) &&
			    take_cycle(core, req, cycle)) {
				choose(server, cycle);
				choose_in_the_way(server, cycle);
				return true;
			}
		}
	}
	return false;
}

/*
 * Search the graph at that look (NULL: at none) for a deadlock that can be
 * ended; true with the cycle and the request to lend a worker to, to prove when
 * it is parked, or to fail.
 */
bool
lk_victim_find(struct lk_server *server, const struct lk_look *at,
    bool with_soft, struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;

	lk_waits_build(core, at);
	if (lk_graph_reduce(&core->graph, with_soft) == 0)
		return false;
	if (with_soft && at != NULL) {
		leave_to_postgresql(core, at);
		lk_graph_reduce(&core->graph, true);
	}
	if (!search(server, cycle))
		return false;
	if (at != NULL)
		choose_unproven(core, cycle);
	return true;
}

/*
 * A statement that may be run again holds locks and a slot meanwhile.  Without
 * these, and still waiting for what it waits for, everybody may be able to go
 * on: then it is cancelled, and nobody fails.  If its own waiting is part of
 * the deadlock, as in the essay's case, that does not help.
 */
struct lk_request *
lk_victim_to_replay(struct lk_server *server, const struct lk_cycle *cycle)
{
	struct lk_graph *graph = &server->core->graph;
	struct lk_request *req;
	uint32_t node, stuck = cycle->req->node_number;

	if (graph->counts_soft)
		return NULL;	/* who is in the way is to go */
	for (node = 0; node < graph->n_nodes; node++) {
		req = request_at(server->core, node);
		/* One that keeps its slot was parked in this very cycle. */
		if (req == NULL || req->keeps_slot || !lk_park_can(req))
			continue;
		lk_graph_reduce(graph, false);
		if (!can_fail(server, req))
			continue;
		lk_graph_reduce_without(graph, req->worker->node_number, false);
		if (!lk_graph_is_stuck(graph, stuck) &&
		    !lk_graph_is_stuck(graph, node))
			return req;
	}
	return NULL;
}

/* Without what it holds, and though it waits again for what it waits for. */
static bool
would_help(struct lk_server *server, const struct lk_request *req,
    uint32_t stuck)
{
	struct lk_graph *graph = &server->core->graph;
	bool with_soft = graph->counts_soft;

	if (!lk_exec_may_replay(req) || req->state != LK_REQUEST_RUNNING)
		return false;
	lk_graph_reduce(graph, with_soft);
	if (!can_fail(server, req))
		return false;
	lk_graph_reduce_without(graph, req->worker->node_number, with_soft);
	return !lk_graph_is_stuck(graph, stuck) &&
	    !lk_graph_is_stuck(graph, req->node_number);
}

/* Who queues in the way of others is to go, and nobody else. */
struct lk_request *
lk_victim_to_retry(struct lk_server *server, const struct lk_cycle *cycle)
{
	struct lk_graph *graph = &server->core->graph;
	struct lk_request *req, *youngest = NULL;
	uint32_t node, stuck = cycle->req->node_number;

	for (node = 0; node < graph->n_nodes && !graph->counts_soft; node++) {
		req = request_at(server->core, node);
		if (req != NULL && req->unit != NULL && !is_elder(req) &&
		    (youngest == NULL || age(req) > age(youngest)) &&
		    would_help(server, req, stuck))
			youngest = req;
	}
	if (youngest == NULL && would_help(server, cycle->req, stuck))
		return cycle->req;
	return youngest;
}
