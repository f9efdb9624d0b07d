/*
 * The same story in the same words everywhere: SHOW, pushes, errors, the log.
 * What a statement does is shown in full only to clients of the same user.
 */
#include <string.h>

#include "core/internal.h"
#include "orm/sqltext.h"

/* What others see of a statement, in bytes. */
#define MAX_DOING	200

/* Holders of slots named in one error; the rest is counted. */
#define MAX_NAMED	5

bool
lk_words_may_see(const struct lk_client *viewer, const struct lk_client *client)
{
	return viewer == NULL || client == NULL || viewer->peer.uid == 0 ||
	    viewer->peer.uid == client->peer.uid;
}

static uint64_t
ms_since(const struct lk_core *core, uint64_t since_us)
{
	return (core->now_us - since_us) / LK_US_PER_MS;
}

void
lk_words_client(struct lk_buf *out, const struct lk_client *client)
{
	if (client == NULL) {
		lk_buf_puts(out, "a client that is gone");
		return;
	}
	if (client->name != NULL)
		lk_buf_printf(out, "client %s (pid %d)", client->name,
		    (int)client->peer.pid);
	else
		lk_buf_printf(out, "client %llu (pid %d)",
		    (unsigned long long)client->id, (int)client->peer.pid);
}

void
lk_words_task(struct lk_buf *out, const struct lk_task *task)
{
	if (task->name != NULL)
		lk_buf_printf(out, "task %s of ", task->name);
	lk_words_client(out, task->client);
}

static void
put_doing(struct lk_buf *out, const char *doing, const struct lk_client *whose,
    const struct lk_client *viewer)
{
	if (doing == NULL)
		lk_buf_puts(out, "nothing yet");
	else if (lk_words_may_see(viewer, whose))
		lk_buf_puts(out, doing);
	else
		lk_buf_append(out, doing, strcspn(doing, " "));
}

void
lk_words_statement(struct lk_buf *out, const struct lk_request *req)
{
	if (req->control != NULL) {
		lk_buf_puts(out, req->control);
		return;
	}
	lk_buf_puts(out, req->verb->name);
	if (req->n_args == 0 || req->args[0].data == NULL ||
	    strcmp(req->verb->name, "SQL") != 0)
		return;
	lk_buf_putc(out, ' ');
	lk_sql_redact(req->args[0].data, req->args[0].len, MAX_DOING, out);
}

void
lk_words_doing(struct lk_buf *out, const struct lk_request *req,
    const struct lk_client *viewer)
{
	if (req->doing != NULL)
		put_doing(out, req->doing, req->client, viewer);
	else if (lk_words_may_see(viewer, req->client))
		lk_words_statement(out, req);
	else
		lk_buf_puts(out, req->verb->name);
}

void
lk_words_tx(struct lk_buf *out, const struct lk_tx *tx,
    const struct lk_client *viewer)
{
	const struct lk_request *req;

	lk_buf_printf(out, "#%llu of ", (unsigned long long)tx->handle);
	if (tx->owner != NULL)
		lk_words_task(out, tx->owner);
	else
		lk_words_client(out, tx->client);
	if (tx->state == LK_TX_RUNNING && tx->worker->request != NULL) {
		req = tx->worker->request;
		lk_buf_printf(out, ", running for %llu ms: ",
		    (unsigned long long)ms_since(tx->core, req->sent_us));
		lk_words_doing(out, req, viewer);
		return;
	}
	lk_buf_printf(out, ", %s for %llu ms after ",
	    tx->state == LK_TX_IDLE ? "idle in transaction" :
	    lk_tx_state_word(tx->state),
	    (unsigned long long)ms_since(tx->core, tx->since_us));
	put_doing(out, tx->doing, tx->client, viewer);
}

static void
put_foreign(struct lk_buf *out, const struct lk_server *server, int pid,
    const struct lk_client *viewer)
{
	const struct lk_backend *backend = lk_look_backend(server->last, pid);

	lk_buf_printf(out, "backend %d of another program", pid);
	if (backend == NULL)
		return;
	lk_buf_printf(out, " (%s, user %s), %s for %llu ms",
	    backend->application[0] != '\0' ? backend->application :
	    "no application_name", backend->user, backend->state,
	    (unsigned long long)(backend->state_us / LK_US_PER_MS));
	if (viewer == NULL || viewer->peer.uid == 0)
		lk_buf_printf(out, ": %s", backend->query);
}

void
lk_words_blocker(struct lk_buf *out, const struct lk_server *server,
    const struct lk_blocker *blocker, const struct lk_client *viewer)
{
	const struct lk_worker *worker;

	if (blocker->pid == 0) {
		lk_buf_printf(out, "prepared transaction '%s'",
		    blocker->gid != NULL ? blocker->gid : "?");
		return;
	}
	worker = lk_worker_by_pid(server, blocker->pid);
	if (worker == NULL) {
		put_foreign(out, server, blocker->pid, viewer);
	} else if (worker->tx != NULL) {
		lk_words_tx(out, worker->tx, viewer);
	} else if (worker->request != NULL) {
		lk_words_task(out, worker->request->task);
		lk_buf_printf(out, ", running for %llu ms: ",
		    (unsigned long long)ms_since(server->core,
		    worker->request->sent_us));
		lk_words_doing(out, worker->request, viewer);
	} else {
		lk_buf_puts(out, "a session that is just finishing");
	}
}

/*
 * Who holds what the first in line waits for.  Later waiters wait for the one
 * before them, which is of no use to know; in a cycle there is no such holder.
 */
const struct lk_blocker *
lk_words_root(const struct lk_server *server, const struct lk_wait *wait)
{
	const struct lk_blocker *blocker = NULL;
	size_t n_steps;

	for (n_steps = 0; n_steps <= server->last->n_waits; n_steps++) {
		if (wait == NULL)
			return blocker;
		if (wait->n_blockers == 0)
			return NULL;
		blocker = &wait->blockers[0];
		wait = blocker->pid != 0 ?
		    lk_look_find(server->last, blocker->pid) : NULL;
	}
	return NULL;
}

void
lk_words_blockers(struct lk_buf *out, const struct lk_server *server,
    const struct lk_wait *wait, const struct lk_client *viewer)
{
	const struct lk_blocker *root = lk_words_root(server, wait);
	size_t i;

	if (root != NULL && root != &wait->blockers[0]) {
		lk_buf_puts(out, "behind others, all held up by ");
		lk_words_blocker(out, server, root, viewer);
		return;
	}

	if (wait->n_blockers == 0)
		lk_buf_puts(out, "its holder was gone when it was looked for");
	for (i = 0; i < wait->n_blockers && i < MAX_NAMED; i++) {
		lk_buf_puts(out, i > 0 ? "; " :
		    wait->blockers[0].is_soft ? "behind " : "held by ");
		lk_words_blocker(out, server, &wait->blockers[i], viewer);
	}
	if (wait->n_blockers > MAX_NAMED)
		lk_buf_printf(out, "; and %zu more",
		    wait->n_blockers - MAX_NAMED);
}

static void
put_slot(struct lk_buf *out, const struct lk_worker *worker,
    const struct lk_client *viewer)
{
	const struct lk_request *req = worker->request;

	if (worker->tx != NULL) {
		lk_words_tx(out, worker->tx, viewer);
	} else if (req != NULL) {
		lk_words_task(out, req->task);
		lk_buf_printf(out, ", running for %llu ms: ",
		    (unsigned long long)ms_since(req->core, req->sent_us));
		lk_words_doing(out, req, viewer);
	} else {
		lk_buf_puts(out, lk_worker_state_word(worker->state));
	}
}

void
lk_words_slots(struct lk_buf *out, const struct lk_database *db,
    const struct lk_client *viewer)
{
	struct lk_core *core = db->core;
	const struct lk_worker *worker;
	uint32_t i, n = 0;

	lk_buf_printf(out, "its %u slots: ", (unsigned)db->n_workers);
	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker == NULL || worker->database != db)
			continue;
		if (n++ >= MAX_NAMED)
			continue;
		if (n > 1)
			lk_buf_puts(out, "; ");
		put_slot(out, worker, viewer);
	}
	if (n > MAX_NAMED)
		lk_buf_printf(out, "; and %u more", (unsigned)(n - MAX_NAMED));
}
