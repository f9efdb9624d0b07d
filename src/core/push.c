/* Pushes of RESP3: >2, the kind and one map. */
#include <string.h>

#include "core/internal.h"

/* The kind of each row of core/pushes.def. */
static const char *const kinds[] = {
#define LK_PUSH(kind, key, help) kind,
#include "core/pushes.def"
#undef LK_PUSH
};

static bool
takes_pushes(const struct lk_client *client)
{
	return client != NULL && client->conn != NULL &&
	    client->format.proto == 3 && !client->is_closing;
}

/* A map with as many keys as the kind has rows. */
static void
begin_map(struct lk_buf *out, const char *kind)
{
	size_t i, n = 0;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		n += strcmp(kinds[i], kind) == 0;
	lk_enc_map(out, 3, n);
}

static void
begin_push(struct lk_buf *out, const char *kind)
{
	lk_enc_push(out, 3, 2);
	lk_enc_text(out, kind);
	begin_map(out, kind);
}

static void
send_push(struct lk_client *client, struct lk_buf *push)
{
	client->core->effects->reply(client->conn, push);
	lk_buf_fini(push);
}

static void
put_text(struct lk_buf *out, const char *key, const char *text)
{
	lk_enc_text(out, key);
	if (text != NULL)
		lk_enc_text(out, text);
	else
		lk_enc_null(out, 3);
}

static void
put_int(struct lk_buf *out, const char *key, uint64_t value)
{
	lk_enc_text(out, key);
	lk_enc_int(out, (int64_t)value);
}

static void
put_handle(struct lk_buf *out, const struct lk_tx *tx)
{
	lk_enc_text(out, "tx");
	if (tx != NULL)
		lk_enc_int(out, (int64_t)tx->handle);
	else
		lk_enc_null(out, 3);
}

static void
put_words(struct lk_buf *out, const char *key, struct lk_buf *words)
{
	lk_enc_text(out, key);
	lk_enc_bulk(out, words->data, words->len);
	lk_buf_fini(words);
}

static void
put_foreign_blocker(struct lk_buf *out, const struct lk_server *server,
    const struct lk_blocker *blocker, const struct lk_client *viewer)
{
	const struct lk_backend *backend = lk_look_backend(server->last,
	    blocker->pid);

	put_text(out, "task", NULL);
	put_text(out, "client", blocker->pid == 0 ? blocker->gid :
	    backend != NULL ? backend->application : NULL);
	put_text(out, "state", blocker->pid == 0 ? "prepared" :
	    backend != NULL ? backend->state : NULL);
	put_int(out, "idle_ms", backend != NULL ?
	    backend->state_us / LK_US_PER_MS : 0);
	put_text(out, "doing", backend != NULL && viewer->peer.uid == 0 ?
	    backend->query : NULL);
}

static void
put_our_blocker(struct lk_buf *out, const struct lk_worker *worker,
    const struct lk_client *viewer)
{
	const struct lk_tx *tx = worker->tx;
	const struct lk_request *req = lk_worker_request(worker);
	const struct lk_task *task = tx != NULL ? tx->owner :
	    req != NULL ? req->task : NULL;
	const struct lk_client *client = tx != NULL ? tx->client :
	    req != NULL ? req->client : NULL;
	struct lk_buf words = LK_BUF_INIT;

	put_text(out, "task", task != NULL ? task->name : NULL);
	lk_words_client(&words, client);
	put_words(out, "client", &words);
	put_text(out, "state", tx != NULL ? lk_tx_state_word(tx->state) :
	    lk_worker_state_word(worker->state));
	put_int(out, "idle_ms", tx != NULL && tx->state == LK_TX_IDLE ?
	    (tx->core->now_us - tx->since_us) / LK_US_PER_MS : 0);
	if (req != NULL)
		lk_words_doing(&words, req, viewer);
	else if (tx != NULL && tx->doing != NULL &&
	    lk_words_may_see(viewer, client))
		lk_buf_puts(&words, tx->doing);
	put_words(out, "doing", &words);
}

static void
put_blocker(struct lk_buf *out, const struct lk_server *server,
    const struct lk_blocker *blocker, const struct lk_client *viewer)
{
	const struct lk_worker *worker = blocker->pid != 0 ?
	    lk_worker_by_pid(server, blocker->pid) : NULL;

	begin_map(out, "lockwait.blockers");
	put_int(out, "pid", (uint64_t)blocker->pid);
	put_handle(out, worker != NULL ? worker->tx : NULL);
	if (worker != NULL)
		put_our_blocker(out, worker, viewer);
	else
		put_foreign_blocker(out, server, blocker, viewer);
}

void
lk_push_lockwait(struct lk_request *req, const struct lk_wait *wait)
{
	struct lk_client *client = req->client;
	const struct lk_server *server = lk_request_server(req);
	struct lk_buf out = LK_BUF_INIT;
	const struct lk_blocker *root;
	size_t i;

	if (!takes_pushes(client))
		return;
	req->core->stats.lockwaits++;
	begin_push(&out, "lockwait");
	lk_enc_text(&out, "tag");
	if (req->n_tag > 0)
		lk_enc_bulk(&out, req->tag, req->n_tag);
	else
		lk_enc_null(&out, 3);
	put_text(&out, "task", req->task->name);
	put_handle(&out, req->tx);
	put_int(&out, "waiting_ms", wait->waited_us / LK_US_PER_MS);
	put_text(&out, "object", wait->object);
	lk_enc_text(&out, "blockers");
	/* In a queue, who holds it all up rather than the one before. */
	root = lk_words_root(server, wait);
	if (root != NULL && root != &wait->blockers[0]) {
		lk_enc_array(&out, 1);
		put_blocker(&out, server, root, client);
	} else {
		lk_enc_array(&out, wait->n_blockers);
		for (i = 0; i < wait->n_blockers; i++)
			put_blocker(&out, server, &wait->blockers[i], client);
	}
	send_push(client, &out);
}

/* One of ours, or a session of another program's. */
static void
put_waiter(struct lk_buf *out, const struct lk_server *server,
    const struct lk_wait *wait, const struct lk_client *viewer)
{
	const struct lk_request *req = lk_wait_request(server, wait);
	const struct lk_backend *backend = lk_look_backend(server->last,
	    wait->pid);
	struct lk_buf words = LK_BUF_INIT;

	begin_map(out, "blocking.waiter");
	put_int(out, "pid", (uint64_t)wait->pid);
	put_handle(out, req != NULL ? req->tx : NULL);
	put_text(out, "task", req != NULL ? req->task->name : NULL);
	if (req == NULL) {
		put_text(out, "client", backend != NULL ?
		    backend->application : NULL);
		put_text(out, "doing", backend != NULL &&
		    viewer->peer.uid == 0 ? backend->query : NULL);
		return;
	}
	lk_words_client(&words, req->client);
	put_words(out, "client", &words);
	lk_words_doing(&words, req, viewer);
	put_words(out, "doing", &words);
}

void
lk_push_blocking(const struct lk_tx *tx, const struct lk_server *server,
    const struct lk_holder *holder)
{
	struct lk_buf out = LK_BUF_INIT;
	const struct lk_wait *wait = holder->longest;

	if (!takes_pushes(tx->client))
		return;
	tx->core->stats.blockings++;
	begin_push(&out, "blocking");
	put_handle(&out, tx);
	put_text(&out, "task", tx->owner != NULL ? tx->owner->name : NULL);
	put_int(&out, "waiting_ms", wait->waited_us / LK_US_PER_MS);
	put_text(&out, "object", wait->object);
	put_int(&out, "waiters", holder->n_waiters);
	lk_enc_text(&out, "waiter");
	put_waiter(&out, server, wait, tx->client);
	send_push(tx->client, &out);
}

void
lk_push_txexpired(const struct lk_tx *tx)
{
	struct lk_buf out = LK_BUF_INIT;

	if (!takes_pushes(tx->client))
		return;
	begin_push(&out, "txexpired");
	put_handle(&out, tx);
	put_text(&out, "text", tx->expired.message);
	send_push(tx->client, &out);
}

void
lk_push_closing(struct lk_client *client, uint64_t patience_us)
{
	struct lk_buf out = LK_BUF_INIT;

	if (!takes_pushes(client))
		return;
	lk_enc_push(&out, 3, 2);
	lk_enc_text(&out, "closing");
	lk_enc_map(&out, 3, 2);
	put_text(&out, "text", "the daemon is shutting down: open transactions "
	    "may end, nothing new is begun");
	lk_enc_text(&out, "within_ms");
	if (patience_us == LK_NEVER)
		lk_enc_null(&out, 3);
	else
		lk_enc_int(&out, (int64_t)(patience_us / LK_US_PER_MS));
	send_push(client, &out);
}

static bool
is_missed_in(const struct lk_subscription *sub, const struct lk_database *db)
{
	return sub->has_missed && sub->channel->database == db;
}

static size_t
count_missed(const struct lk_client *client, const struct lk_database *db)
{
	const struct lk_list *it;
	size_t n = 0;

	for (it = client->subscriptions.next; it != &client->subscriptions;
	    it = it->next)
		n += is_missed_in(lk_container(it, struct lk_subscription,
		    client_link), db);
	return n;
}

void
lk_push_missed(struct lk_client *client, const struct lk_database *db)
{
	size_t n = count_missed(client, db);
	const struct lk_subscription *sub;
	struct lk_buf out = LK_BUF_INIT;
	const struct lk_list *it;

	if (n == 0 || !takes_pushes(client))
		return;
	begin_push(&out, "missed");
	put_text(&out, "database", db->config->name);
	lk_enc_text(&out, "channels");
	lk_enc_array(&out, n);
	for (it = client->subscriptions.next; it != &client->subscriptions;
	    it = it->next) {
		sub = lk_container(it, struct lk_subscription, client_link);
		if (is_missed_in(sub, db))
			lk_enc_bulk(&out, sub->channel->name,
			    sub->channel->n_name);
	}
	put_text(&out, "text", client->missed);
	send_push(client, &out);
}

void
lk_push_deadlock(struct lk_client *client, const char *text,
    const char *members)
{
	struct lk_buf out = LK_BUF_INIT;

	if (!takes_pushes(client))
		return;
	begin_push(&out, "deadlock");
	put_text(&out, "text", text);
	put_text(&out, "members", members);
	send_push(client, &out);
}
