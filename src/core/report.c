/*
 * The story of a deadlock: in words, in SHOW deadlocks, to the clients of its
 * members, and how it ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

struct lk_client *
lk_ref_client(const struct lk_ref *ref)
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
		client = lk_ref_client(&core->refs[cycle->nodes[i]]);
		if (client == NULL)
			continue;
		for (k = 0; k < n && clients[k] != client; k++)
			;
		if (k == n)
			clients[n++] = client;
	}
	return n;
}

/* ---- in words ---- */

static void
put_member(struct lk_buf *out, const struct lk_ref *ref)
{
	struct lk_request *req;
	const struct lk_task *task;
	const struct lk_wait *wait;

	switch (ref->kind) {
	case LK_REF_REQUEST:
		req = ref->object;
		lk_words_task(out, req->task);
		lk_buf_puts(out, " runs ");
		lk_words_doing(out, req, NULL);
		wait = req->state == LK_REQUEST_PARKED ? lk_park_wait(req) :
		    lk_request_wait(req);
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

void
lk_report_members(struct lk_buf *out, const struct lk_server *server,
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
		put_member(out, ref);
	}
}

/* Why somebody is failed who only waits for a slot. */
static void
put_no_reserve(struct lk_buf *out, const struct lk_database *db)
{
	uint32_t reserve = db->config->workers_reserve;

	if (reserve == 0)
		lk_buf_puts(out, "there is no reserve to lend from "
		    "(workers.reserve is 0)");
	else if (db->n_workers >= db->config->workers_max + reserve)
		lk_buf_printf(out, "the reserve of %u (workers.reserve) is "
		    "used up", (unsigned)reserve);
	else
		lk_buf_printf(out, "no session could be opened for the "
		    "reserve%s%s", db->down_text != NULL ? ": " : "",
		    db->down_text != NULL ? db->down_text : "");
}

static void
put_slot_remedy(struct lk_buf *out, const struct lk_cycle *cycle)
{
	const struct lk_request *req = cycle->req;

	if (cycle->lends) {
		lk_buf_puts(out, "a worker of the reserve is lent to ");
		lk_words_task(out, req->task);
		lk_buf_puts(out, ", and nobody is failed: finish the open "
		    "transaction before asking for another slot, or raise "
		    "workers.max");
		return;
	}
	lk_buf_puts(out, "the request for a slot is failed, which loses no "
	    "work, as ");
	put_no_reserve(out, req->database);
	lk_buf_puts(out, ": finish the open transaction before asking for "
	    "another slot, or raise workers.reserve or workers.max");
}

static void
put_remedy(struct lk_buf *out, const struct lk_cycle *cycle)
{
	const struct lk_request *req = cycle->req;

	if (cycle->is_replay) {
		lk_words_task(out, req->task);
		lk_buf_puts(out, " has its statement stopped and run again "
		    "once what it waits for has ended: nobody loses anything");
	} else if (cycle->is_retry) {
		lk_buf_puts(out, "the unit of ");
		lk_words_task(out, req->task);
		lk_buf_printf(out, " is rolled back and begun again (for the "
		    "%u. time of at most %u): nobody loses anything",
		    req->unit->n_replays + 1, req->unit->n_replays_max);
	} else if (cycle->is_own_thread)
		lk_buf_printf(out, "that thread is blocked in this very "
		    "request, so the transaction could never end: commit it "
		    "first, or make the call from a coroutine that does not "
		    "block its thread (%s)", req->client->thread);
	else if (cycle->is_in_the_way)
		lk_buf_puts(out, "this request was failed, since others wait "
		    "only because it is before them in the queue for the "
		    "lock: give it a time to wait at most (?ms), and try it "
		    "again");
	else if (req->state == LK_REQUEST_QUEUED)
		put_slot_remedy(out, cycle);
	else
		lk_buf_printf(out, "the request of %s is failed, %s (%llu "
		    "rows): lock rows in the same order everywhere",
		    req->tx != NULL ? "this transaction" :
		    req->unit != NULL ? "this unit" : "this statement",
		    cycle->spares_elder ? "since another has lost so often "
		    "that it is spared" : "which loses the least work",
		    (unsigned long long)
		    (req->tx != NULL ? req->tx->n_rows : 0));
}

void
lk_report_text(struct lk_buf *out, const struct lk_cycle *cycle,
    struct lk_buf *members)
{
	lk_buf_printf(out, "deadlock: %s; ", lk_buf_cstr(members));
	if (cycle->req->core->config->deadlock_mode != LK_DEADLOCK_RESOLVE)
		lk_buf_puts(out, "nothing is done, since deadlock.mode is "
		    "\"report\"; otherwise: ");
	put_remedy(out, cycle);
}

/* ---- the records ---- */

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

/* ---- since when ---- */

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
request_since_us(const struct lk_request *req)
{
	if (req->state == LK_REQUEST_QUEUED)
		return req->queued_us;
	if (req->state == LK_REQUEST_PARKED)
		return req->parked_us;
	return req->is_waiting ? req->wait_since_us : req->arrived_us;
}

/* When the wait began for which this node is in a cycle; 0: not known of it. */
static uint64_t
node_since_us(const struct lk_look *look, const struct lk_ref *ref)
{
	const struct lk_tx *tx = ref->object;
	const struct lk_task *task = ref->object;
	const struct lk_wait *wait = ref->object;

	switch (ref->kind) {
	case LK_REF_REQUEST:
		return request_since_us(ref->object);
	case LK_REF_TX:
		return tx->state == LK_TX_IDLE ? tx->since_us : 0;
	case LK_REF_TASK:
		return lk_list_is_empty(&task->awaits) ? 0 : task->await_us;
	case LK_REF_FOREIGN:
		return look->asked_us > wait->waited_us ?
		    look->asked_us - wait->waited_us : 0;
	case LK_REF_NONE:
		break;
	}
	return 0;
}

/*
 * All who hold a slot of it are part of what closes a cycle that leads through
 * them, whichever of them it names.
 */
static uint64_t
holders_since_us(const struct lk_database *db)
{
	const struct lk_core *core = db->core;
	const struct lk_list *requests;
	const struct lk_tx *tx;
	uint64_t since_us = 0;
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		tx = core->workers[i] == NULL ||
		    core->workers[i]->database != db ? NULL :
		    core->workers[i]->tx;
		requests = tx == NULL || tx->owner == NULL ? NULL :
		    &tx->owner->requests;
		if (requests != NULL && !lk_list_is_empty(requests))
			since_us = later(since_us, request_since_us(
			    lk_container(requests->next, struct lk_request,
			    task_link)));
	}
	return since_us;
}

/* The youngest of its waits. */
static uint64_t
closed_us(const struct lk_server *server, const struct lk_cycle *cycle)
{
	const struct lk_ref *ref;
	const struct lk_request *req;
	uint64_t since_us = 0;
	size_t i;

	for (i = 0; i < cycle->n; i++) {
		ref = &server->core->refs[cycle->nodes[i]];
		since_us = later(since_us, node_since_us(server->last, ref));
		req = ref->kind == LK_REF_REQUEST ? ref->object : NULL;
		if (req != NULL && req->state == LK_REQUEST_QUEUED)
			since_us = later(since_us,
			    holders_since_us(req->database));
	}
	return since_us;
}

/* ---- records ---- */

static char *
victim_words(const struct lk_cycle *cycle)
{
	struct lk_buf words = LK_BUF_INIT;
	char *victim;

	if (cycle->lends)
		return NULL;
	lk_words_task(&words, cycle->req->task);
	lk_buf_puts(&words, ": ");
	lk_words_doing(&words, cycle->req, NULL);
	victim = lk_xstrdup(lk_buf_cstr(&words));
	lk_buf_fini(&words);
	return victim;
}

struct lk_deadlock *
lk_report_record(struct lk_server *server, const struct lk_cycle *cycle,
    const char *text, const char *members, const char *action)
{
	struct lk_core *core = server->core;
	struct lk_request *req = cycle->req;
	struct lk_deadlock *entry = &core->deadlocks[core->n_deadlocks++ %
	    LK_DEADLOCKS_KEPT];

	lk_deadlock_fini(entry);
	entry->number = core->n_deadlocks;
	entry->wall_ms = lk_core_wall_ms(core, core->now_us);
	entry->text = lk_xstrdup(text);
	entry->members = lk_xstrdup(members);
	entry->victim = victim_words(cycle);
	entry->action = action;
	entry->request = req->id;
	entry->closed_us = closed_us(server, cycle);
	entry->verdict_us = core->now_us - entry->closed_us;
	note_members(core, cycle, entry);
	core->stats.deadlocks++;
	lk_record_verdict(req, entry);
	return entry;
}

void
lk_report_tell(struct lk_core *core, const struct lk_deadlock *entry)
{
	struct lk_client *client;
	size_t i;

	for (i = 0; i < entry->n_clients; i++) {
		client = lk_client_by_id(core, entry->client_ids[i]);
		if (client != NULL)
			lk_push_deadlock(client, entry->text, entry->members);
	}
}

/* The record of the deadlock that the request is to end; NULL: overwritten. */
static struct lk_deadlock *
find_open(struct lk_core *core, const struct lk_request *req)
{
	struct lk_deadlock *entry;
	size_t i;

	for (i = 0; i < LK_DEADLOCKS_KEPT; i++) {
		entry = &core->deadlocks[i];
		if (entry->number != 0 && entry->end_us == 0 &&
		    entry->request.index == req->id.index &&
		    entry->request.generation == req->id.generation)
			return entry;
	}
	return NULL;
}

static void
close_record(const struct lk_request *req, struct lk_deadlock *entry,
    const char *action)
{
	entry->end_us = req->core->now_us - entry->closed_us;
	entry->action = action;
	lk_record_deadlock_end(req, entry);
}

void
lk_deadlock_ended(struct lk_request *req, enum lk_deadlock_end end)
{
	static const char *const actions[] = {
		[LK_DEADLOCK_FAILED] = "failed",
		[LK_DEADLOCK_DISSOLVED] = "dissolved",
		[LK_DEADLOCK_REPLAYED] = "replayed",
	};
	struct lk_core *core = req->core;
	struct lk_deadlock *entry;

	if (!req->is_victim)
		return;
	req->is_victim = false;
	entry = find_open(core, req);
	if (entry == NULL)
		return;
	close_record(req, entry, actions[end]);
	if (end == LK_DEADLOCK_FAILED) {
		core->stats.deadlock_victims++;
		lk_report_tell(core, entry);
	}
}

void
lk_deadlock_lent(struct lk_request *req, const char *action)
{
	struct lk_deadlock *entry = find_open(req->core, req);

	if (entry != NULL)
		close_record(req, entry, action);
}
