/*
 * The same story in the same words everywhere: SHOW, pushes, errors, the log.
 * What a statement does is shown in full only to clients of the same user.
 */
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "orm/sqltext.h"

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

static void
put_statement(struct lk_buf *out, const struct lk_verb *verb,
    const struct lk_plan *plan, const struct lk_arg *args, size_t n_args,
    size_t max_bytes)
{
	lk_buf_puts(out, verb->name);
	if (plan != NULL) {
		lk_buf_printf(out, " %s: ", plan->model->name);
		lk_sql_redact(plan->sql, strlen(plan->sql), max_bytes, out);
		return;
	}
	if (n_args == 0 || args[0].data == NULL ||
	    strcmp(verb->name, "SQL") != 0)
		return;
	lk_buf_putc(out, ' ');
	lk_sql_redact(args[0].data, args[0].len, max_bytes, out);
}

/* All its verbs while there is room for them. */
void
lk_words_unit(struct lk_buf *out, const struct lk_unit *unit)
{
	const struct lk_unit_verb *verb;
	size_t i, end = out->len + LK_DOING_MAX;

	lk_buf_puts(out, "EXEC");
	for (i = 0; i < unit->n_verbs && out->len < end; i++) {
		verb = &unit->verbs[i];
		lk_buf_puts(out, i == 0 ? " " : "; ");
		put_statement(out, verb->verb, verb->catalog != NULL ?
		    &verb->plan : NULL, verb->args, verb->n_args,
		    end - (out->len < end ? out->len : end));
	}
	if (i < unit->n_verbs)
		lk_buf_printf(out, "; and %zu more", unit->n_verbs - i);
}

/* The verb, and the text without its literals. */
static void
put_request(struct lk_buf *out, const struct lk_request *req)
{
	if (req->control != NULL) {
		lk_buf_puts(out, req->control);
	} else if (req->cursor != 0) {
		lk_buf_puts(out, req->verb->name);
		lk_cursor_words(out, req);
	} else if (req->unit != NULL) {
		lk_words_unit(out, req->unit);
	} else {
		put_statement(out, req->verb, req->catalog != NULL ?
		    &req->plan : NULL, req->args, req->n_args,
		    LK_DOING_MAX);
	}
}

char *
lk_words_error(const struct lk_error *error)
{
	struct lk_buf words = LK_BUF_INIT;
	char *copy;

	lk_buf_printf(&words, "%s %s %s", lk_error_word(error->kind),
	    error->sqlstate, error->message);
	copy = lk_xstrdup(lk_buf_cstr(&words));
	lk_buf_fini(&words);
	return copy;
}

void
lk_words_doing(struct lk_buf *out, const struct lk_request *req,
    const struct lk_client *viewer)
{
	if (req->doing != NULL)
		put_doing(out, req->doing, req->client, viewer);
	else if (lk_words_may_see(viewer, req->client))
		put_request(out, req);
	else
		lk_buf_puts(out, req->verb->name);
}

void
lk_words_keep(struct lk_request *req)
{
	struct lk_buf text = LK_BUF_INIT;

	if (req->doing != NULL)
		return;
	put_request(&text, req);
	req->doing = lk_xstrdup(lk_buf_cstr(&text));
	lk_buf_fini(&text);
}

/* How long, in what wait, and what it is. */
static void
put_running(struct lk_buf *out, const struct lk_request *req,
    const struct lk_client *viewer)
{
	const struct lk_worker *worker = req->worker;
	const struct lk_wait *wait = worker != NULL && req->is_waiting &&
	    worker->server != NULL ? lk_look_find(worker->server->last,
	    worker->backend_pid) : NULL;

	lk_buf_printf(out, ", running for %llu ms",
	    (unsigned long long)ms_since(req->core, req->sent_us));
	if (wait != NULL)
		lk_buf_printf(out, ", waiting for %s", wait->object);
	lk_buf_puts(out, ": ");
	lk_words_doing(out, req, viewer);
}

void
lk_words_tx(struct lk_buf *out, const struct lk_tx *tx,
    const struct lk_client *viewer)
{
	const struct lk_request *req = NULL;

	lk_buf_printf(out, "#%llu of ", (unsigned long long)tx->handle);
	if (tx->owner != NULL)
		lk_words_task(out, tx->owner);
	else
		lk_words_client(out, tx->client);
	if (tx->state == LK_TX_RUNNING)
		req = lk_worker_request(tx->worker);
	if (req != NULL) {
		put_running(out, req, viewer);
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
	const struct lk_request *req;

	if (blocker->pid == 0) {
		lk_buf_printf(out, "prepared transaction '%s'",
		    blocker->gid != NULL ? blocker->gid : "?");
		if (blocker->age_us > 0)
			lk_buf_printf(out, ", prepared %llu ms ago",
			    (unsigned long long)
			    (blocker->age_us / LK_US_PER_MS));
		return;
	}
	worker = lk_worker_by_pid(server, blocker->pid);
	req = worker != NULL ? lk_worker_request(worker) : NULL;
	if (worker == NULL) {
		put_foreign(out, server, blocker->pid, viewer);
	} else if (worker->tx != NULL) {
		lk_words_tx(out, worker->tx, viewer);
	} else if (req != NULL) {
		lk_words_task(out, req->task);
		put_running(out, req, viewer);
	} else {
		lk_buf_puts(out, "a session that is just finishing");
	}
}

/*
 * Who holds what the first in line waits for.  Later waiters wait for the one
 * before them, which is of no use to know; in a cycle there is no such holder.
 */
const struct lk_blocker *
lk_words_root_of(const struct lk_server *server,
    const struct lk_blocker *blocker)
{
	const struct lk_wait *wait, *mark = NULL;
	size_t n_steps;

	for (n_steps = 1; ; n_steps++) {
		wait = blocker->pid != 0 ?
		    lk_look_find(server->last, blocker->pid) : NULL;
		if (wait == NULL)
			return blocker;
		if (wait->n_blockers == 0 || wait == mark)
			return NULL;
		/* Marks ever farther apart: one comes to lie in the cycle. */
		if ((n_steps & (n_steps - 1)) == 0)
			mark = wait;
		blocker = &wait->blockers[0];
	}
}

size_t
lk_words_n_holders(const struct lk_wait *wait)
{
	size_t n = wait->n_blockers > 0 ? 1 : 0;

	while (n < wait->n_blockers && !wait->blockers[n].is_soft)
		n++;
	return n;
}

const struct lk_blocker *
lk_words_root(const struct lk_server *server, const struct lk_wait *wait)
{
	return wait->n_blockers == 0 ? NULL :
	    lk_words_root_of(server, &wait->blockers[0]);
}

void
lk_words_waiter(struct lk_buf *out, const struct lk_server *server,
    const struct lk_wait *wait, const struct lk_client *viewer)
{
	const struct lk_blocker waiter = { .pid = wait->pid };
	const struct lk_request *req = lk_wait_request(server, wait);

	if (req != NULL)
		lk_words_task(out, req->task);
	else
		lk_words_blocker(out, server, &waiter, NULL);
	lk_buf_printf(out, " waited %llu ms for %s",
	    (unsigned long long)(wait->waited_us / LK_US_PER_MS),
	    wait->object);
	if (req != NULL) {
		lk_buf_puts(out, " with ");
		lk_words_doing(out, req, viewer);
	}
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
		lk_buf_puts(out, wait->pid == 0 ? "behind one that has no slot "
		    "yet" : "its holder was gone when it was looked for");
	for (i = 0; i < wait->n_blockers && i < MAX_NAMED; i++) {
		lk_buf_puts(out, i > 0 ? "; " :
		    wait->blockers[0].is_soft ? "behind " : "held by ");
		lk_words_blocker(out, server, &wait->blockers[i], viewer);
	}
	if (wait->n_blockers > MAX_NAMED)
		lk_buf_printf(out, "; and %zu more",
		    wait->n_blockers - MAX_NAMED);
}

void
lk_words_lock(struct lk_buf *out, const struct lk_server *server,
    const struct lk_wait *wait, const struct lk_client *viewer)
{
	lk_buf_printf(out, "lock, waiting %llu ms for %s: ",
	    (unsigned long long)(wait->waited_us / LK_US_PER_MS),
	    wait->object);
	lk_words_blockers(out, server, wait, viewer);
}

void
lk_words_lock_timeout(struct lk_error *why, const struct lk_request *req,
    const struct lk_server *server, const struct lk_wait *wait)
{
	struct lk_buf who = LK_BUF_INIT;

	lk_words_blockers(&who, server, wait, req->client);
	lk_error_set(why, LK_ERR_LOCKTIMEOUT,
	    "%s was not to be had within %llu ms: %s", wait->object,
	    (unsigned long long)(req->lock_us / LK_US_PER_MS),
	    lk_buf_cstr(&who));
	lk_buf_fini(&who);
}

/* The one before it: in its transaction, else in its task. */
static const struct lk_request *
ahead_of(const struct lk_request *req)
{
	if (req->tx != NULL && req->tx_link.prev != &req->tx->requests)
		return lk_container(req->tx_link.prev, struct lk_request,
		    tx_link);
	if (req->task != NULL && req->task_link.prev != &req->task->requests)
		return lk_container(req->task_link.prev, struct lk_request,
		    task_link);
	return NULL;
}

/* What its schema is known from is to be read. */
static void
put_catalog(struct lk_buf *out, const struct lk_database *db)
{
	lk_buf_printf(out, ", waiting for the catalog of %s to be read%s",
	    db->config->name, db->catalog != NULL ? " again" : "");
	if (db->unread_text != NULL)
		lk_buf_printf(out, "; the last reading failed: %s",
		    db->unread_text);
}

void
lk_words_queue(struct lk_buf *out, const struct lk_request *req)
{
	const struct lk_request *ahead = ahead_of(req);

	lk_buf_puts(out, "queue");
	if (req->client != NULL && req->client->is_paused) {
		lk_buf_puts(out, ", while its client reads no replies");
	} else if (lk_list_is_linked(&req->catalog_link)) {
		put_catalog(out, req->database);
	} else if (req->state == LK_REQUEST_QUEUED) {
		lk_buf_printf(out, ", no slot of %s being free; ",
		    req->database->config->name);
		lk_words_slots(out, req->database, req->client);
	} else if (req->state == LK_REQUEST_LISTENING) {
		lk_buf_printf(out, ", no session of %s listening yet",
		    req->database->config->name);
	} else if (req->state == LK_REQUEST_RETRYING) {
		if (req->unit != NULL)
			lk_buf_printf(out, ", between try %u of its unit and "
			    "the next", req->unit->n_tries);
		else
			lk_buf_puts(out, ", its session having been lost");
	} else if (ahead != NULL) {
		lk_buf_printf(out, ", behind the same %s's request %s: ",
		    ahead->tx == req->tx && req->tx != NULL ?
		    "transaction" : "task",
		    lk_request_state_word(ahead->state));
		lk_words_doing(out, ahead, req->client);
	}
}

static void
put_slot(struct lk_buf *out, const struct lk_worker *worker,
    const struct lk_client *viewer)
{
	const struct lk_request *req = lk_worker_request(worker);

	if (worker->tx != NULL) {
		lk_words_tx(out, worker->tx, viewer);
	} else if (req != NULL) {
		lk_words_task(out, req->task);
		put_running(out, req, viewer);
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
