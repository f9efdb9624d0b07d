/*
 * What merely looks bad: a wait for somebody who could end it at any time and
 * shows no sign of that.  It is said, with why it is no more than that, and
 * never acted on.
 */
#include <string.h>

#include "core/internal.h"

static uint64_t
ms(uint64_t us)
{
	return us / LK_US_PER_MS;
}

static bool
is_long(const struct lk_core *core, uint64_t us)
{
	return us >= core->config->deadlock_notify_us;
}

/* ---- our transactions ---- */

static bool
is_idle(const struct lk_tx *tx)
{
	return tx->state == LK_TX_IDLE &&
	    is_long(tx->core, tx->core->now_us - tx->since_us);
}

/* What is known of the thread that would have to end it. */
static void
put_thread(struct lk_buf *out, const struct lk_client *client,
    const struct lk_client *waiter)
{
	if (!client->is_blocking)
		lk_buf_puts(out, "its client is MODE async, so its thread is "
		    "free as far as is known");
	else if (client->thread == NULL)
		lk_buf_puts(out, "its client is MODE blocking without a "
		    "THREAD, so what stands still with it is not known");
	else if (client->peer.pid == 0)
		lk_buf_puts(out, "its client is in another pid namespace, so "
		    "what stands still with it is not known");
	else
		lk_buf_puts(out, "its thread is in no request");
	if (waiter != NULL && waiter != client && !client->is_blocking &&
	    waiter->peer.pid != 0 && waiter->peer.pid == client->peer.pid)
		lk_buf_puts(out, "; who waits is in the same process: if it "
		    "blocks that thread, HELLO MODE blocking and THREAD must "
		    "say so");
}

static void
put_task(struct lk_buf *out, const struct lk_task *task,
    const struct lk_client *waiter, const struct lk_client *viewer)
{
	if (!lk_list_is_empty(&task->requests)) {
		lk_buf_puts(out, "its task has another request under way: ");
		lk_words_doing(out, lk_container(task->requests.next,
		    struct lk_request, task_link), viewer);
	} else if (!lk_list_is_empty(&task->awaits)) {
		lk_buf_puts(out, "its task awaits others that can move");
	} else if (task->client != NULL) {
		put_thread(out, task->client, waiter);
	} else {
		lk_buf_puts(out, "the client of its task is gone");
	}
}

static bool
put_tx(struct lk_buf *out, const struct lk_tx *tx,
    const struct lk_client *waiter, const struct lk_client *viewer)
{
	uint64_t stalled_us;

	if (!is_idle(tx) || tx->client == NULL)
		return false;
	lk_buf_printf(out, "#%llu of ", (unsigned long long)tx->handle);
	if (tx->owner != NULL)
		lk_words_task(out, tx->owner);
	else
		lk_words_client(out, tx->client);
	lk_buf_printf(out, " is silent for %llu ms: ",
	    (unsigned long long)ms(tx->core->now_us - tx->since_us));
	stalled_us = tx->core->effects->stalled_us(tx->client->conn);
	if (stalled_us > 0)
		lk_buf_printf(out, "its client has read no replies for %llu ms",
		    (unsigned long long)ms(stalled_us));
	else if (tx->owner == NULL)
		lk_buf_puts(out, "it is SHARED, so any task of its client may "
		    "end it");
	else
		put_task(out, tx->owner, waiter, viewer);
	return true;
}

/* ---- others ---- */

static bool
put_backend(struct lk_buf *out, const struct lk_server *server,
    const struct lk_blocker *root, const struct lk_client *viewer)
{
	const struct lk_backend *backend = lk_look_backend(server->last,
	    root->pid);

	if (backend == NULL || strncmp(backend->state, "idle", 4) != 0 ||
	    !is_long(server->core, backend->state_us))
		return false;
	lk_words_blocker(out, server, root, viewer);
	lk_buf_puts(out, "; it may go on");
	return true;
}

bool
lk_suspect_root(struct lk_buf *out, const struct lk_server *server,
    const struct lk_blocker *root, const struct lk_client *waiter,
    const struct lk_client *viewer)
{
	const struct lk_worker *worker;

	if (root->pid == 0) {
		lk_words_blocker(out, server, root, viewer);
		lk_buf_puts(out, "; it ends by COMMIT PREPARED or ROLLBACK "
		    "PREPARED alone, which somebody may say");
		return true;
	}
	worker = lk_worker_by_pid(server, root->pid);
	if (worker == NULL)
		return put_backend(out, server, root, viewer);
	/* Who waits in a lane may do so before anybody has looked. */
	return worker->tx != NULL && server->last != NULL &&
	    worker->tx->seq <= server->last->seq &&
	    put_tx(out, worker->tx, waiter, viewer);
}

/* ---- cycles that are none of ours ---- */

static const struct lk_wait *
next_in_chain(const struct lk_server *server, const struct lk_wait *wait)
{
	return wait->n_blockers == 0 || wait->blockers[0].pid == 0 ? NULL :
	    lk_look_find(server->last, wait->blockers[0].pid);
}

/* One in the cycle that the chain from wait leads into; NULL: into none. */
static const struct lk_wait *
find_cycle(const struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_wait *mark = wait;
	size_t n_steps;

	for (n_steps = 1; ; n_steps++) {
		wait = next_in_chain(server, wait);
		if (wait == NULL || wait == mark)
			return wait;
		if ((n_steps & (n_steps - 1)) == 0)
			mark = wait;
	}
}

const struct lk_wait *
lk_suspect_cycle(const struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_wait *member = find_cycle(server, wait), *first, *it;

	first = it = member;
	while (it != NULL) {
		if (lk_worker_by_pid(server, it->pid) != NULL)
			return NULL;
		if (it->pid < first->pid)
			first = it;
		it = next_in_chain(server, it);
		if (it == member)
			break;
	}
	return first;
}

void
lk_suspect_put_cycle(struct lk_buf *out, const struct lk_server *server,
    const struct lk_wait *first)
{
	const struct lk_wait *it = first;

	lk_buf_puts(out, "sessions of other programs wait for each other (pid ");
	do {
		lk_buf_printf(out, "%s%d", it == first ? "" : ", ", it->pid);
		it = next_in_chain(server, it);
	} while (it != first);
	lk_buf_puts(out, "), which PostgreSQL ends after its deadlock_timeout");
}

/* ---- one wait ---- */

bool
lk_suspect_wait(struct lk_buf *out, const struct lk_server *server,
    const struct lk_wait *wait, const struct lk_client *viewer)
{
	const struct lk_request *req = lk_wait_request(server, wait);
	const struct lk_client *waiter = req != NULL ? req->client : NULL;
	const struct lk_blocker *root;
	const struct lk_wait *cycle;
	size_t i;

	for (i = 0; i < lk_words_n_holders(wait); i++) {
		root = lk_words_root_of(server, &wait->blockers[i]);
		if (root != NULL &&
		    lk_suspect_root(out, server, root, waiter, viewer))
			return true;
	}
	cycle = lk_suspect_cycle(server, wait);
	if (cycle != NULL)
		lk_suspect_put_cycle(out, server, cycle);
	return cycle != NULL;
}

/* All in the hands of transactions that are silent. */
bool
lk_suspect_slots(struct lk_buf *out, const struct lk_database *db)
{
	const struct lk_core *core = db->core;
	const struct lk_worker *worker;
	uint32_t i, n = 0;

	if (db->n_workers < db->config->workers_max)
		return false;
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL || worker->database != db)
			continue;
		if (worker->tx == NULL || !is_idle(worker->tx))
			return false;
		n++;
	}
	lk_buf_printf(out, "all %u slots are in transactions that are silent",
	    (unsigned)n);
	return true;
}
