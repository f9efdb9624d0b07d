/*
 * From core's state and the servers' last looks to the wait graph at one
 * instant, that of one of these looks.  What came to be after it was asked for,
 * and all that is unknown, can move.
 */
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

struct build {
	struct lk_core		*core;
	const struct lk_look	*at;	/* NULL: no instant in particular */
};

static uint32_t
add_node(struct build *b, enum lk_node_type type, enum lk_ref_kind kind,
    void *object)
{
	struct lk_core *core = b->core;
	uint32_t node = lk_graph_add_node(&core->graph, type);

	if (node >= core->cap_refs) {
		core->cap_refs = core->cap_refs ? 2 * core->cap_refs : 64;
		core->refs = lk_xrealloc(core->refs,
		    core->cap_refs * sizeof(*core->refs));
	}
	core->refs[node] = (struct lk_ref){ kind, object };
	return node;
}

static void
add_edge(struct build *b, uint32_t from, uint32_t to)
{
	lk_graph_add_edge(&b->core->graph, from, to, false);
}

static bool
is_new(const struct build *b, uint64_t seq)
{
	return b->at != NULL && seq > b->at->seq;
}

/*
 * Whether the wait was in force at the instant.  A look has seen its own waits
 * then.  Another server's wait was if it was seen before that look was asked
 * for, and once more by one that was asked for after its answer.
 */
static bool
is_in_force(const struct build *b, const struct lk_look *look,
    const struct lk_wait *wait)
{
	return b->at == NULL || look == b->at ||
	    (wait->seen_seq < b->at->seq && look->seq > b->at->answered_seq);
}

static const struct lk_wait *
find_wait(const struct build *b, const struct lk_server *server, int pid)
{
	const struct lk_look *look = server->is_blind ? NULL : server->last;
	const struct lk_wait *wait = lk_look_find(look, pid);

	return wait != NULL && is_in_force(b, look, wait) ? wait : NULL;
}

/* ---- nodes ---- */

static void
add_request_nodes(struct build *b, struct lk_list *requests)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	LK_LIST_EACH(requests, it, next) {
		req = lk_container(it, struct lk_request, task_link);
		req->node_number = add_node(b, LK_NODE_AND, LK_REF_REQUEST,
		    req);
	}
}

static void
add_task_nodes(struct build *b)
{
	struct lk_list *it, *next;
	struct lk_task *task;

	LK_LIST_EACH(&b->core->tasks, it, next) {
		task = lk_container(it, struct lk_task, link);
		task->node_number = add_node(b, LK_NODE_AND, LK_REF_TASK, task);
		add_request_nodes(b, &task->requests);
		add_request_nodes(b, &task->held);
	}
}

static void
add_tx_nodes(struct build *b)
{
	struct lk_list *it, *next;
	struct lk_tx *tx;

	LK_LIST_EACH(&b->core->txs, it, next) {
		tx = lk_container(it, struct lk_tx, link);
		tx->node_number = add_node(b, LK_NODE_AND, LK_REF_TX, tx);
	}
}

/*
 * The reply's node: an untagged one leaves only after those sent before it on
 * its connection, whoever sent them.  Requests that wait in nobody's queue
 * (PING, SHOW) have none; the one before them stands in.
 */
static void
add_reply_nodes(struct build *b, struct lk_client *client)
{
	struct lk_list *it, *next;
	struct lk_request *req;
	uint32_t before = 0;
	bool has_before = false;

	LK_LIST_EACH(&client->order, it, next) {
		req = lk_container(it, struct lk_request, order_link);
		if (req->task == NULL)
			continue;
		req->reply_number = add_node(b, LK_NODE_AND, LK_REF_NONE, NULL);
		add_edge(b, req->reply_number, req->node_number);
		if (is_new(b, req->seq))
			lk_graph_set_alive(&b->core->graph, req->reply_number);
		if (has_before)
			add_edge(b, req->reply_number, before);
		before = req->reply_number;
		has_before = true;
	}
}

/* Whose deadline has passed is being ended, too. */
static bool
is_being_ended(const struct lk_request *req)
{
	return req->why.is_set || req->want_look;
}

/* With one of those whose job it is all may be; the others are sent again. */
static bool
is_job_being_ended(const struct lk_worker *worker)
{
	const struct lk_list *it;

	for (it = worker->requests.next; it != &worker->requests;
	    it = it->next) {
		if (is_being_ended(lk_worker_request_at(it)))
			return true;
	}
	return worker->is_breaking;
}

/* Its slot is free when all that its job carries is done. */
static void
add_job_edges(struct build *b, const struct lk_worker *worker)
{
	bool is_ending = is_job_being_ended(worker);
	const struct lk_list *it;
	uint32_t node;

	for (it = worker->requests.next; it != &worker->requests;
	    it = it->next) {
		node = lk_worker_request_at(it)->node_number;
		add_edge(b, worker->node_number, node);
		if (is_ending)
			lk_graph_set_alive(&b->core->graph, node);
	}
}

static void
add_worker_nodes(struct build *b)
{
	struct lk_core *core = b->core;
	struct lk_worker *worker;
	uint32_t i;

	for (i = 0; i < core->n_databases; i++)
		core->databases[i].node_number = add_node(b, LK_NODE_OR,
		    LK_REF_NONE, NULL);
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL)
			continue;
		worker->node_number = add_node(b, LK_NODE_AND, LK_REF_NONE,
		    NULL);
		if (worker->tx != NULL)
			add_edge(b, worker->node_number,
			    worker->tx->node_number);
		else
			add_job_edges(b, worker);
	}
}

static void
add_foreign_nodes(struct build *b, struct lk_server *server)
{
	size_t i;

	server->first_foreign = b->core->graph.n_nodes;
	for (i = 0; server->last != NULL && i < server->last->n_waits; i++)
		add_node(b, LK_NODE_AND, LK_REF_FOREIGN,
		    &server->last->waits[i]);
}

/* ---- edges ---- */

/* A backend is one of our sessions, or somebody's who waits, or alive. */
static bool
backend_node(struct build *b, const struct lk_server *server, int pid,
    uint32_t *node_out)
{
	const struct lk_worker *worker;
	const struct lk_wait *wait;

	if (pid == 0)
		return false;	/* a prepared transaction: its owner is anybody */
	worker = lk_worker_by_pid(server, pid);
	if (worker != NULL) {
		*node_out = worker->node_number;
		return true;
	}
	wait = find_wait(b, server, pid);
	if (wait == NULL || lk_server_is_gone(server, pid))
		return false;
	*node_out = server->first_foreign +
	    (uint32_t)(wait - server->last->waits);
	return true;
}

/*
 * Whether a soft edge is to be reckoned with.  pg_blocking_pids proves it, when
 * asked after one look had seen the wait and before the next saw it still.
 */
static bool
may_be_soft(const struct build *b, const struct lk_look *look,
    const struct lk_wait *wait, const struct lk_blocker *blocker)
{
	if (b->at == NULL && !wait->was_asked)
		return true;
	return blocker->is_confirmed && wait->seen_seq < look->seq;
}

static void
add_edges_to(struct build *b, const struct lk_server *server, uint32_t from,
    const struct lk_wait *wait)
{
	const struct lk_blocker *blocker;
	size_t i;
	uint32_t to;

	for (i = 0; i < wait->n_blockers; i++) {
		blocker = &wait->blockers[i];
		if (blocker->is_soft &&
		    !may_be_soft(b, server->last, wait, blocker))
			continue;
		/* One that can move adds nothing to an AND node. */
		if (backend_node(b, server, blocker->pid, &to))
			lk_graph_add_edge(&b->core->graph, from, to,
			    blocker->is_soft);
	}
}

/*
 * Who waits for a row's tuple lock wants the row, and so waits for those, too,
 * for whom the one that has this lock waits: also without that one.
 */
static void
add_wait_edges(struct build *b, const struct lk_server *server, uint32_t from,
    const struct lk_wait *wait)
{
	const struct lk_wait *first;
	size_t i;

	add_edges_to(b, server, from, wait);
	if (strcmp(wait->locktype, "tuple") != 0)
		return;
	for (i = 0; i < wait->n_blockers; i++) {
		first = wait->blockers[i].is_soft ? NULL :
		    find_wait(b, server, wait->blockers[i].pid);
		if (first != NULL &&
		    strcmp(first->locktype, "transactionid") == 0)
			add_edges_to(b, server, from, first);
	}
}

static struct lk_request *
before_in_task(const struct lk_request *req)
{
	struct lk_list *before = req->task_link.prev;

	return before == &req->task->requests ? NULL :
	    lk_container(before, struct lk_request, task_link);
}

static struct lk_request *
before_in_tx(const struct lk_request *req)
{
	struct lk_list *before = req->tx_link.prev;

	return req->tx == NULL || before == &req->tx->requests ? NULL :
	    lk_container(before, struct lk_request, tx_link);
}

/* A wait that was seen before the request was sent is not its wait. */
static void
add_statement_edges(struct build *b, const struct lk_request *req)
{
	const struct lk_server *server = req->worker->server;
	const struct lk_wait *wait;

	if (server == NULL)
		return;
	wait = find_wait(b, server, req->worker->backend_pid);
	if (wait != NULL && req->seq <= server->last->seq)
		add_wait_edges(b, server, req->node_number, wait);
}

/* Those of a group move together, so that an edge to one of them is enough. */
static void
add_lane_edges(struct build *b, const struct lk_request *req,
    const struct lk_hold *of)
{
	const struct lk_hold *hold;
	const struct lk_worker *worker, *last = NULL;

	for (hold = lk_lane_blocker(of, NULL); hold != NULL;
	    hold = lk_lane_blocker(of, hold)) {
		worker = hold->req != NULL ? hold->req->worker : NULL;
		if (worker != NULL && worker == last)
			continue;
		last = worker;
		if (is_new(b, hold->seq))
			lk_graph_set_alive(&b->core->graph, req->node_number);
		add_edge(b, req->node_number, hold->tx != NULL ?
		    hold->tx->node_number : hold->req->node_number);
	}
}

static void
add_lanes_edges(struct build *b, const struct lk_request *req)
{
	const struct lk_hold *hold;

	for (hold = req->hold; hold != NULL; hold = hold->next) {
		if (hold->state == LK_HOLD_WAITING)
			add_lane_edges(b, req, hold);
	}
}

static void
add_request_edges(struct build *b, struct lk_request *req)
{
	const struct lk_request *before;
	uint32_t holder;

	if (is_new(b, req->seq) || is_being_ended(req)) {
		lk_graph_set_alive(&b->core->graph, req->node_number);
		return;
	}
	switch (req->state) {
	case LK_REQUEST_WAITING:
		before = before_in_task(req);
		if (before != NULL)
			add_edge(b, req->node_number, before->node_number);
		before = before_in_tx(req);
		if (before != NULL)
			add_edge(b, req->node_number, before->node_number);
		break;
	case LK_REQUEST_QUEUED:
		add_edge(b, req->node_number, req->database->node_number);
		break;
	case LK_REQUEST_PARKED:
		if (lk_lane_has_waiter(req))
			add_lanes_edges(b, req);
		else if (req->park->tx != NULL)
			add_edge(b, req->node_number,
			    req->park->tx->node_number);
		else if (backend_node(b, req->park->server, req->park->pid,
		    &holder))
			add_edge(b, req->node_number, holder);
		break;
	case LK_REQUEST_RUNNING:
		add_statement_edges(b, req);
		break;
	case LK_REQUEST_LISTENING:
	case LK_REQUEST_RETRYING:
	case LK_REQUEST_ENDING:
	case LK_REQUEST_HELD:
	case LK_REQUEST_DONE:
	case LK_REQUEST__N:
		break;
	}
}

static uint32_t
reply_node(const struct lk_request *req)
{
	return req->n_tag > 0 || req->client == NULL ? req->node_number :
	    req->reply_number;
}

static void
add_await_edges(struct build *b, struct lk_task *task)
{
	struct lk_list *it, *next;
	uint32_t from = task->node_number;

	if (is_new(b, task->await_seq)) {
		lk_graph_set_alive(&b->core->graph, from);
		return;
	}
	if (task->await_any && !lk_list_is_empty(&task->awaits)) {
		from = add_node(b, LK_NODE_OR, LK_REF_NONE, NULL);
		add_edge(b, task->node_number, from);
	}
	LK_LIST_EACH(&task->awaits, it, next)
		add_edge(b, from, lk_container(it, struct lk_await,
		    from_link)->to->node_number);
}

/* Of one that has nothing open only its program knows whether it is over. */
static bool
is_under_way(const struct lk_task *task)
{
	return task->is_placed && (!lk_list_is_empty(&task->requests) ||
	    !lk_list_is_empty(&task->held) || !lk_list_is_empty(&task->txs) ||
	    !lk_list_is_empty(&task->awaits));
}

/* The thread stands still in a blocking call, and all its coroutines with it. */
static void
add_thread_edges(struct build *b, struct lk_client *blocking)
{
	struct lk_list *it, *next, *jt, *jnext;
	struct lk_task *task;
	struct lk_request *req;

	LK_LIST_EACH(&b->core->tasks, it, next) {
		task = lk_container(it, struct lk_task, link);
		if (!is_under_way(task) ||
		    !lk_client_same_thread(task->client, blocking))
			continue;
		LK_LIST_EACH(&blocking->requests, jt, jnext) {
			req = lk_container(jt, struct lk_request, client_link);
			if (req->task != NULL && req->task != task)
				add_edge(b, task->node_number,
				    reply_node(req));
		}
	}
}

static void
add_outstanding_edges(struct build *b, const struct lk_task *task,
    struct lk_list *requests)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	LK_LIST_EACH(requests, it, next) {
		req = lk_container(it, struct lk_request, task_link);
		add_request_edges(b, req);
		add_edge(b, task->node_number, reply_node(req));
	}
}

static void
add_task_edges(struct build *b)
{
	struct lk_list *it, *next;
	struct lk_task *task;

	LK_LIST_EACH(&b->core->tasks, it, next) {
		task = lk_container(it, struct lk_task, link);
		add_await_edges(b, task);
		add_outstanding_edges(b, task, &task->requests);
		add_outstanding_edges(b, task, &task->held);
	}
}

static void
add_client_edges(struct build *b)
{
	struct lk_list *it, *next;
	struct lk_client *client;

	LK_LIST_EACH(&b->core->clients, it, next) {
		client = lk_container(it, struct lk_client, link);
		if (client->is_blocking && client->thread != NULL &&
		    !lk_list_is_empty(&client->requests))
			add_thread_edges(b, client);
	}
}

static void
add_tx_edges(struct build *b)
{
	struct lk_list *it, *next;
	struct lk_tx *tx;

	LK_LIST_EACH(&b->core->txs, it, next) {
		tx = lk_container(it, struct lk_tx, link);
		if (is_new(b, tx->seq) || tx->state == LK_TX_ENDING ||
		    tx->state == LK_TX_ABORTED)
			lk_graph_set_alive(&b->core->graph, tx->node_number);
		else if (!lk_list_is_empty(&tx->requests))
			add_edge(b, tx->node_number,
			    lk_container(tx->requests.next, struct lk_request,
			    tx_link)->node_number);
		else if (tx->owner != NULL)
			add_edge(b, tx->node_number, tx->owner->node_number);
	}
}

static void
add_slot_edges(struct build *b)
{
	struct lk_core *core = b->core;
	struct lk_database *db;
	struct lk_worker *worker;
	uint32_t i;

	for (i = 0; i < core->n_databases; i++) {
		db = &core->databases[i];
		if (db->n_workers < db->config->workers_max)
			lk_graph_set_alive(&core->graph, db->node_number);
	}
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker != NULL && worker->state != LK_WORKER_STOPPING)
			add_edge(b, worker->database->node_number,
			    worker->node_number);
	}
}

static void
add_foreign_edges(struct build *b, const struct lk_server *server)
{
	const struct lk_wait *wait;
	size_t i;

	if (server->is_blind || server->last == NULL)
		return;
	for (i = 0; i < server->last->n_waits; i++) {
		wait = &server->last->waits[i];
		if (lk_worker_by_pid(server, wait->pid) == NULL &&
		    is_in_force(b, server->last, wait))
			add_wait_edges(b, server, server->first_foreign +
			    (uint32_t)i, wait);
	}
}

void
lk_waits_build(struct lk_core *core, const struct lk_look *at)
{
	struct build b = { core, at };
	struct lk_list *it, *next;
	uint32_t i;

	lk_graph_clear(&core->graph);
	add_task_nodes(&b);
	add_tx_nodes(&b);
	add_worker_nodes(&b);
	for (i = 0; i < core->n_servers; i++)
		add_foreign_nodes(&b, core->servers[i]);
	LK_LIST_EACH(&core->clients, it, next)
		add_reply_nodes(&b, lk_container(it, struct lk_client, link));
	add_task_edges(&b);
	add_client_edges(&b);
	add_tx_edges(&b);
	add_slot_edges(&b);
	for (i = 0; i < core->n_servers; i++)
		add_foreign_edges(&b, core->servers[i]);
}

/* The node of who is in this wait, one of the server's last look. */
static uint32_t
waiter_node(const struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_worker *worker = lk_worker_by_pid(server, wait->pid);
	const struct lk_request *req;

	if (worker == NULL)
		return server->first_foreign +
		    (uint32_t)(wait - server->last->waits);
	req = lk_worker_request(worker);
	return req != NULL ? req->node_number : worker->node_number;
}

static bool
is_stuck(const struct lk_server *server, const struct lk_wait *wait)
{
	return lk_graph_is_stuck(&server->core->graph,
	    waiter_node(server, wait));
}

bool
lk_waits_are_stuck(const struct lk_server *server)
{
	const struct lk_look *look = server->last;
	size_t i;

	for (i = 0; look != NULL && i < look->n_waits; i++) {
		if (is_stuck(server, &look->waits[i]))
			return true;
	}
	return false;
}

static bool
has_soft_blocker(const struct lk_wait *wait)
{
	size_t i;

	for (i = 0; i < wait->n_blockers; i++) {
		if (wait->blockers[i].is_soft)
			return true;
	}
	return false;
}

uint32_t *
lk_waits_to_ask(const struct lk_server *server, size_t *n_out)
{
	const struct lk_look *look = server->last;
	const struct lk_wait *wait;
	uint32_t *pids = NULL;
	size_t i;

	*n_out = 0;
	for (i = 0; look != NULL && i < look->n_waits; i++) {
		wait = &look->waits[i];
		if (wait->was_asked || !has_soft_blocker(wait) ||
		    !is_stuck(server, wait))
			continue;
		pids = lk_xrealloc(pids, (*n_out + 1) * sizeof(*pids));
		pids[(*n_out)++] = (uint32_t)wait->pid;
	}
	return pids;
}
