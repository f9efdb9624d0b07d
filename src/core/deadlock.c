/*
 * Verdicts.  A residue of the wait graph is acted on only when it is proven:
 * the look saw all its lock waits at one instant, every daemon edge in it is
 * older than the asking (waits.c marks younger ones as able to move), and the
 * sockets of all its clients, read once more, bring nothing that changes it.
 *
 * Who is failed to end it is victim.c's to say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

static struct lk_client *
client_of(const struct lk_ref *ref)
{
	const struct lk_task *task;
	const struct lk_request *req;
	const struct lk_tx *tx;

	switch (ref->kind) {
	case LK_REF_TASK:
		task = ref->object;
		return task->client;
	case LK_REF_REQUEST:
		req = ref->object;
		return req->client;
	case LK_REF_TX:
		tx = ref->object;
		return tx->client;
	case LK_REF_FOREIGN:
	case LK_REF_NONE:
		break;
	}
	return NULL;
}

/* Each client once; the cycle names some of them more than once. */
static size_t
member_clients(const struct lk_core *core, const struct lk_cycle *cycle,
    struct lk_client **clients)
{
	struct lk_client *client;
	size_t i, k, n = 0;

	for (i = 0; i < cycle->n; i++) {
		client = client_of(&core->refs[cycle->nodes[i]]);
		if (client == NULL)
			continue;
		for (k = 0; k < n && clients[k] != client; k++)
			;
		if (k == n)
			clients[n++] = client;
	}
	return n;
}

static struct lk_client *
find_client(const struct lk_core *core, uint64_t id)
{
	struct lk_client *client;
	struct lk_list *it;

	for (it = core->clients.next; it != &core->clients; it = it->next) {
		client = lk_container(it, struct lk_client, link);
		if (client->id == id)
			return client;
	}
	return NULL;
}

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
		    client_of(&core->refs[node]) : NULL;
		if (client != NULL)
			ids[n++] = client->id;
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (i = 0; i < n && is_whole; i++) {
		if (i > 0 && ids[i] == ids[i - 1])
			continue;
		client = find_client(core, ids[i]);
		is_whole = client != NULL &&
		    core->effects->drain(client->conn);
	}
	free(ids);
	return is_whole;
}

/* ---- telling ---- */

static void
put_member(struct lk_buf *out, const struct lk_server *server,
    const struct lk_ref *ref)
{
	const struct lk_request *req;
	const struct lk_task *task;
	const struct lk_wait *wait;

	switch (ref->kind) {
	case LK_REF_REQUEST:
		req = ref->object;
		lk_words_task(out, req->task);
		lk_buf_puts(out, " runs ");
		lk_words_doing(out, req, NULL);
		wait = req->worker == NULL ? NULL : lk_look_find(server->last,
		    req->worker->backend_pid);
		if (wait != NULL)
			lk_buf_printf(out, ", which waits %llu ms for %s",
			    (unsigned long long)(wait->waited_us /
			    LK_US_PER_MS), wait->object);
		else if (req->state == LK_REQUEST_QUEUED)
			lk_buf_printf(out, ", which waits for one of the %u "
			    "slots of %s", (unsigned)req->database->n_workers,
			    req->database->config->name);
		break;
	case LK_REF_TX:
		lk_buf_puts(out, "held by transaction ");
		lk_words_tx(out, ref->object, NULL);
		break;
	case LK_REF_TASK:
		task = ref->object;
		lk_words_task(out, task);
		if (task->client != NULL && task->client->thread != NULL)
			lk_buf_printf(out, " is on thread %s",
			    task->client->thread);
		break;
	case LK_REF_FOREIGN:
		wait = ref->object;
		lk_buf_printf(out, "backend %d of another program, which waits "
		    "%llu ms for %s", wait->pid, (unsigned long long)
		    (wait->waited_us / LK_US_PER_MS), wait->object);
		break;
	case LK_REF_NONE:
		break;
	}
}

static void
put_members(struct lk_buf *out, const struct lk_server *server,
    const struct lk_cycle *cycle)
{
	const struct lk_ref *ref;
	bool is_first = true;
	size_t i;

	for (i = 0; i < cycle->n; i++) {
		ref = &server->core->refs[cycle->nodes[i]];
		if (ref->kind == LK_REF_NONE)
			continue;
		if (!is_first)
			lk_buf_puts(out, "; ");
		is_first = false;
		put_member(out, server, ref);
	}
}

static void
put_text(struct lk_buf *out, const struct lk_cycle *cycle,
    struct lk_buf *members)
{
	const struct lk_request *req = cycle->req;

	lk_buf_printf(out, "deadlock: %s; ", lk_buf_cstr(members));
	if (cycle->is_own_thread)
		lk_buf_printf(out, "that thread is blocked in this very "
		    "request, so the transaction could never end: commit it "
		    "first, or make the call from a coroutine that does not "
		    "block its thread (%s)", req->client->thread);
	else if (req->state == LK_REQUEST_QUEUED)
		lk_buf_puts(out, "the request for a slot was failed, which "
		    "loses no work: finish the open transaction before asking "
		    "for another slot, or raise workers.max");
	else
		lk_buf_printf(out, "the request of %s was failed, which loses "
		    "the least work (%llu rows): lock rows in the same order "
		    "everywhere", req->tx != NULL ? "this transaction" :
		    "this statement", (unsigned long long)
		    (req->tx != NULL ? req->tx->n_rows : 0));
}

void
lk_deadlock_fini(struct lk_deadlock *deadlock)
{
	free(deadlock->text);
	free(deadlock->members);
	free(deadlock->victim);
	free(deadlock->client_ids);
	memset(deadlock, 0, sizeof(*deadlock));
}

static void
note_members(const struct lk_core *core, const struct lk_cycle *cycle,
    struct lk_deadlock *entry)
{
	struct lk_client *clients[LK_CYCLE_MAX];
	size_t i;

	entry->n_clients = member_clients(core, cycle, clients);
	entry->client_ids = lk_xcalloc(entry->n_clients,
	    sizeof(*entry->client_ids));
	for (i = 0; i < entry->n_clients; i++)
		entry->client_ids[i] = clients[i]->id;
}

static struct lk_deadlock *
record(struct lk_server *server, const struct lk_cycle *cycle, const char *text,
    const char *members, const char *action)
{
	struct lk_core *core = server->core;
	struct lk_request *req = cycle->req;
	struct lk_deadlock *entry = &core->deadlocks[core->n_deadlocks++ %
	    LK_DEADLOCKS_KEPT];
	struct lk_buf victim = LK_BUF_INIT;

	lk_deadlock_fini(entry);
	lk_words_task(&victim, req->task);
	lk_buf_puts(&victim, ": ");
	lk_words_doing(&victim, req, NULL);
	entry->number = core->n_deadlocks;
	entry->wall_ms = lk_core_wall_ms(core, core->now_us);
	entry->text = lk_xstrdup(text);
	entry->members = lk_xstrdup(members);
	entry->victim = lk_xstrdup(lk_buf_cstr(&victim));
	entry->action = action;
	entry->request = req->id;
	entry->closed_us = req->state == LK_REQUEST_QUEUED ?
	    req->queued_us : req->sent_us;
	entry->verdict_us = core->now_us - entry->closed_us;
	lk_buf_fini(&victim);
	note_members(core, cycle, entry);
	core->stats.deadlocks++;
	lk_log(LK_LOG_WARNING, "%s [%s]", text, action);
	return entry;
}

static void
tell_members(struct lk_core *core, const struct lk_deadlock *entry)
{
	struct lk_client *client;
	size_t i;

	for (i = 0; i < entry->n_clients; i++) {
		client = find_client(core, entry->client_ids[i]);
		if (client != NULL)
			lk_push_deadlock(client, entry->text, entry->members);
	}
}

void
lk_deadlock_ended(struct lk_request *req, bool failed)
{
	struct lk_core *core = req->core;
	struct lk_deadlock *entry;
	size_t i;

	if (!req->is_victim)
		return;
	req->is_victim = false;
	for (i = 0; i < LK_DEADLOCKS_KEPT; i++) {
		entry = &core->deadlocks[i];
		if (entry->number == 0 || entry->end_us != 0 ||
		    entry->request.index != req->id.index ||
		    entry->request.generation != req->id.generation)
			continue;
		entry->end_us = core->now_us - entry->closed_us;
		entry->action = failed ? "failed" : "dissolved";
		core->stats.deadlock_victims += failed;
		if (failed)
			tell_members(core, entry);
		lk_log(LK_LOG_WARNING, "deadlock %llu %s after %llu us",
		    (unsigned long long)entry->number, entry->action,
		    (unsigned long long)entry->end_us);
	}
}

static void
fail_victim(struct lk_server *server, struct lk_request *req, const char *text,
    const char *members)
{
	bool is_running = req->state == LK_REQUEST_RUNNING;
	struct lk_error why;

	req->is_victim = true;
	if (!is_running)
		lk_deadlock_ended(req, true);	/* nothing is to be awaited */
	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_DEADLOCK, "%s", text);
	lk_error_set_field(&why, LK_FIELD_MEMBERS, members);
	lk_cancel_request(req, &why, is_running ?
	    lk_look_find(server->last, req->worker->backend_pid) : NULL);
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
	tell_members(core, entry);
}

static void
pronounce(struct lk_server *server, const struct lk_cycle *cycle)
{
	struct lk_core *core = server->core;
	struct lk_request *req = cycle->req;
	struct lk_buf text = LK_BUF_INIT, members = LK_BUF_INIT;
	bool acts = core->config->deadlock_mode == LK_DEADLOCK_RESOLVE;
	struct lk_deadlock *entry;

	put_members(&members, server, cycle);
	put_text(&text, cycle, &members);
	entry = record(server, cycle, lk_buf_cstr(&text),
	    lk_buf_cstr(&members), acts ? "failing" : "reported");
	req->was_reported = true;
	if (acts)
		fail_victim(server, req, lk_buf_cstr(&text),
		    lk_buf_cstr(&members));
	else
		only_report(core, cycle, entry);
	lk_buf_fini(&text);
	lk_buf_fini(&members);
}

/*
 * One verdict a look: ending one deadlock may dissolve another, and the next
 * look, which comes soon and which a verdict pays for, will see.
 */
void
lk_deadlock_search(struct lk_server *server)
{
	struct lk_core *core = server->core;
	struct lk_cycle cycle;
	struct lk_id suspect;

	if (!lk_victim_find(server, &cycle))
		return;
	suspect = cycle.req->id;
	if (drain_residue(core) && lk_victim_find(server, &cycle) &&
	    cycle.req->id.index == suspect.index &&
	    cycle.req->id.generation == suspect.generation) {
		pronounce(server, &cycle);
		server->tokens += 1.0;
	}
	server->wants_look = true;
}
