/*
 * Verdicts.  A residue of the wait graph is acted on only when it is proven:
 * all its lock waits were in force at the instant of one look, every daemon
 * edge in it is older than the asking (waits.c leaves out the waits that may
 * not have been, and marks younger edges as able to move), and the sockets of
 * all its clients, read once more, bring nothing that changes it.
 *
 * Who is failed to end it, or lent a worker, is victim.c's to say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/*
 * A verdict is about what a look saw no longer ago than this.  That a session
 * of another program was cancelled meanwhile, nobody tells the daemon.
 */
#define FRESH_US	(250 * LK_US_PER_MS)

static int
compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * Read what the sockets hold of all clients in the residue, not only of those
 * in the cycle: where that leads through "any slot", each of the others might
 * give one back.  Reading one may end any client, so they are known by number.
 */
static bool
drain_residue(struct lk_core *core)
{
	uint64_t *ids = lk_xcalloc(core->graph.n_nodes, sizeof(*ids));
	struct lk_client *client;
	uint32_t node;
	size_t i, n = 0;
	bool is_whole = true;

	for (node = 0; node < core->graph.n_nodes; node++) {
		client = lk_graph_is_stuck(&core->graph, node) ?
		    lk_ref_client(&core->refs[node]) : NULL;
		if (client != NULL)
			ids[n++] = client->id;
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (i = 0; i < n && is_whole; i++) {
		if (i > 0 && ids[i] == ids[i - 1])
			continue;
		client = lk_client_by_id(core, ids[i]);
		is_whole = client != NULL &&
		    core->effects->drain(client->conn);
	}
	free(ids);
	return is_whole;
}

static void
fail_victim(struct lk_request *req, const char *text, const char *members)
{
	bool is_running = req->state == LK_REQUEST_RUNNING;
	struct lk_error why;

	req->is_victim = true;
	if (!is_running)
		lk_deadlock_ended(req, LK_DEADLOCK_FAILED);	/* at once */
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_DEADLOCK, "%s", text);
	lk_error_set_field(&why, LK_FIELD_MEMBERS, members);
	lk_cancel_request(req, &why, is_running ? lk_request_wait(req) : NULL);
	lk_error_fini(&why);
}

/* The cycle stays: it is told of once, from whichever member it is found. */
static void
only_report(struct lk_core *core, const struct lk_cycle *cycle,
    const struct lk_deadlock *entry)
{
	const struct lk_ref *ref;
	struct lk_request *req;
	size_t i;

	for (i = 0; i < cycle->n; i++) {
		ref = &core->refs[cycle->nodes[i]];
		if (ref->kind != LK_REF_REQUEST)
			continue;
		req = ref->object;
		req->was_reported = true;
	}
	lk_report_tell(core, entry);
}

/* Nobody is told but those who look after the pool. */
static void
lend(struct lk_server *server, const struct lk_cycle *cycle, const char *text,
    const char *members)
{
	/* Else the next look finds the reserve shut, and a victim. */
	if (lk_database_lend(cycle->req))
		lk_report_record(server, cycle, text, members, "lending");
}

static void
fail(struct lk_server *server, const struct lk_cycle *cycle, const char *text,
    const char *members)
{
	lk_report_record(server, cycle, text, members, "failing");
	cycle->req->was_reported = true;
	if (cycle->req->unit != NULL)
		cycle->req->unit->is_hopeless = true;
	fail_victim(cycle->req, text, members);
}

/* Its being run again is no loss: nobody is told but the log. */
static void
replay(struct lk_server *server, const struct lk_cycle *cycle,
    const char *text, const char *members)
{
	struct lk_request *req = cycle->req;

	lk_report_record(server, cycle, text, members, "replaying");
	req->core->stats.deadlock_replays++;
	req->was_reported = req->is_victim = true;
	lk_park_begin(req);
}

/* The same of a unit, which the client hears nothing of either. */
static void
retry(struct lk_server *server, const struct lk_cycle *cycle, const char *text,
    const char *members)
{
	lk_report_record(server, cycle, text, members, "replaying");
	server->core->stats.deadlock_replays++;
	cycle->req->was_reported = true;
	fail_victim(cycle->req, text, members);
}

static void
end_it(struct lk_server *server, const struct lk_cycle *cycle,
    const char *text, const char *members)
{
	if (server->core->config->deadlock_mode != LK_DEADLOCK_RESOLVE)
		only_report(server->core, cycle, lk_report_record(server, cycle, text,
		    members, "reported"));
	else if (cycle->lends)
		lend(server, cycle, text, members);
	else if (cycle->is_replay)
		replay(server, cycle, text, members);
	else if (cycle->is_retry)
		retry(server, cycle, text, members);
	else
		fail(server, cycle, text, members);
}

/* Somebody who can be stopped and run again, and nobody loses. */
static void
choose_to_run_again(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_request *req = lk_victim_to_replay(server, cycle);

	cycle->is_replay = req != NULL;
	if (req == NULL) {
		req = lk_victim_to_retry(server, cycle);
		cycle->is_retry = req != NULL;
	}
	if (req != NULL)
		cycle->req = req;
}

static void
pronounce(struct lk_server *server, struct lk_cycle *cycle)
{
	struct lk_buf text = LK_BUF_INIT, members = LK_BUF_INIT;

	if (!cycle->lends)
		choose_to_run_again(server, cycle);
	lk_report_members(&members, server, cycle);
	lk_report_text(&text, cycle, &members);
	end_it(server, cycle, lk_buf_cstr(&text), lk_buf_cstr(&members));
	lk_buf_fini(&text);
	lk_buf_fini(&members);
}

/* ---- without a look ---- */

/* Each waits for the transaction of the next, and the last for the first's. */
static void
put_nodes(struct lk_request *const *members, size_t n, struct lk_cycle *cycle)
{
	size_t i;

	for (i = 0; i < n; i++) {
		cycle->nodes[cycle->n++] = members[i]->node_number;
		cycle->nodes[cycle->n++] =
		    members[(i + 1) % n]->tx->node_number;
	}
}

static void
refuse(struct lk_request *victim, const char *text, const char *members)
{
	struct lk_error why;

	victim->is_victim = victim->was_reported = true;
	lk_deadlock_ended(victim, LK_DEADLOCK_FAILED);
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_DEADLOCK, "%s", text);
	lk_error_set_field(&why, LK_FIELD_MEMBERS, members);
	lk_tx_lose(victim, &why);
	lk_error_fini(&why);
}

void
lk_deadlock_refuse(struct lk_request *req)
{
	struct lk_server *server = req->database->server;
	struct lk_buf text = LK_BUF_INIT, words = LK_BUF_INIT;
	struct lk_request *members[LK_RING_MAX];
	struct lk_cycle cycle = { 0 };
	size_t n = lk_ring_find(req, members);

	if (n == 0)
		return;
	lk_waits_build(server->core, NULL);	/* for the numbers of its nodes */
	put_nodes(members, n, &cycle);
	cycle.req = lk_victim_of(members, n, &cycle.spares_elder);
	lk_report_members(&words, server, &cycle);
	lk_report_text(&text, &cycle, &words);
	lk_report_record(server, &cycle, lk_buf_cstr(&text),
	    lk_buf_cstr(&words), "failing");
	server->core->stats.deadlocks_refused++;
	refuse(cycle.req, lk_buf_cstr(&text), lk_buf_cstr(&words));
	lk_buf_fini(&text);
	lk_buf_fini(&words);
}

/* ---- by looks ---- */

/* Whether there is a deadlock at that look, so that no other need be asked. */
static bool
judge(struct lk_server *server, const struct lk_look *at, bool with_soft)
{
	struct lk_core *core = server->core;
	struct lk_cycle cycle;
	struct lk_id suspect;

	if (!lk_victim_find(server, at, with_soft, &cycle))
		return false;
	suspect = cycle.req->id;
	if (drain_residue(core) &&
	    lk_victim_find(server, at, with_soft, &cycle) &&
	    cycle.req->id.index == suspect.index &&
	    cycle.req->id.generation == suspect.generation) {
		if (cycle.req->state == LK_REQUEST_PARKED)
			lk_park_prove(cycle.req);
		else
			pronounce(server, &cycle);
		if (!server->was_confirming)
			server->tokens += 1.0;
	}
	server->wants_look = true;
	return true;
}

static bool
is_fresh(const struct lk_server *server)
{
	return server->last != NULL && !server->is_blind &&
	    server->core->now_us - server->last->answered_us <= FRESH_US;
}

/* At the instant of any server's look. */
static bool
judge_all(struct lk_server *server, bool with_soft)
{
	struct lk_core *core = server->core;
	uint32_t i;

	for (i = 0; i < core->n_servers; i++) {
		if (is_fresh(core->servers[i]) &&
		    judge(server, core->servers[i]->last, with_soft))
			return true;
	}
	return false;
}

/*
 * The server's look has come: is there a proof at its instant, or, now that it
 * has been read once more, at another server's?  If not, but all that was seen
 * would make a deadlock, read on.
 *
 * One verdict a look: ending one deadlock may dissolve another, and the next
 * look, which comes soon and which a verdict pays for, will see.
 */
bool
lk_deadlock_search(struct lk_server *server)
{
	struct lk_core *core = server->core;
	struct lk_cycle cycle;

	if (!lk_victim_find(server, NULL, true, &cycle))
		return false;
	if (judge_all(server, false) || judge_all(server, true))
		return true;
	lk_victim_find(server, NULL, true, &cycle);
	return lk_watch_confirm(core);
}
