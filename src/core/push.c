/* Pushes of RESP3: >2, the kind and one map. */
#include <string.h>

#include "core/internal.h"

static bool
takes_pushes(const struct lk_client *client)
{
	return client != NULL && client->conn != NULL &&
	    client->format.proto == 3 && !client->is_closing;
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
	const struct lk_request *req = worker->request;
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

	lk_enc_map(out, 3, 7);
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
	struct lk_buf out = LK_BUF_INIT;
	const struct lk_blocker *root;
	size_t i;

	if (!takes_pushes(client))
		return;
	req->core->stats.lockwaits++;
	lk_enc_push(&out, 3, 2);
	lk_enc_text(&out, "lockwait");
	lk_enc_map(&out, 3, 6);
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
	root = lk_words_root(req->worker->server, wait);
	if (root != NULL && root != &wait->blockers[0]) {
		lk_enc_array(&out, 1);
		put_blocker(&out, req->worker->server, root, client);
	} else {
		lk_enc_array(&out, wait->n_blockers);
		for (i = 0; i < wait->n_blockers; i++)
			put_blocker(&out, req->worker->server,
			    &wait->blockers[i], client);
	}
	send_push(client, &out);
}

void
lk_push_txexpired(const struct lk_tx *tx)
{
	struct lk_buf out = LK_BUF_INIT;

	if (!takes_pushes(tx->client))
		return;
	lk_enc_push(&out, 3, 2);
	lk_enc_text(&out, "txexpired");
	lk_enc_map(&out, 3, 2);
	put_handle(&out, tx);
	put_text(&out, "text", tx->expired.message);
	send_push(tx->client, &out);
}

void
lk_push_deadlock(struct lk_client *client, const char *text,
    const char *members)
{
	struct lk_buf out = LK_BUF_INIT;

	if (!takes_pushes(client))
		return;
	lk_enc_push(&out, 3, 2);
	lk_enc_text(&out, "deadlock");
	lk_enc_map(&out, 3, 2);
	put_text(&out, "text", text);
	put_text(&out, "members", members);
	send_push(client, &out);
}
