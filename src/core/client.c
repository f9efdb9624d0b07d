#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"

/* Connections that share task names: HELLO GROUP, peer pid and uid. */
struct group {
	struct lk_hash_node node;
	uint64_t	 scope;
	size_t		 n_members;
	struct lk_peer	 peer;
	size_t		 n_name;
	char		*name;
};

static bool
is_same_group(const struct lk_hash_node *node, const void *key)
{
	const struct group *a = lk_container(node, struct group, node);
	const struct group *b = key;

	return a->peer.pid == b->peer.pid && a->peer.uid == b->peer.uid &&
	    a->n_name == b->n_name && memcmp(a->name, b->name, a->n_name) == 0;
}

static bool
is_scope(const struct lk_hash_node *node, const void *key)
{
	const uint64_t *scope = key;

	return lk_container(node, struct group, node)->scope == *scope;
}

/* Groups are few: one pass over all of them to leave one is cheap enough. */
static void
leave_group(struct lk_client *client)
{
	struct lk_hash *groups = &client->core->groups;
	struct lk_hash_node *node;
	struct group *group;
	size_t i;

	for (i = 0; i < groups->n_buckets; i++) {
		node = groups->buckets[i];
		while (node != NULL && !is_scope(node, &client->scope))
			node = node->next;
		if (node == NULL)
			continue;
		group = lk_container(node, struct group, node);
		if (--group->n_members == 0) {
			lk_hash_remove(groups, &group->node);
			free(group->name);
			free(group);
		}
		return;
	}
}

void
lk_client_join_group(struct lk_client *client, const char *name, size_t n)
{
	struct lk_core *core = client->core;
	struct group key, *group;
	struct lk_hash_node *node;
	uint64_t h;

	key = (struct group){ .peer = client->peer, .n_name = n,
	    .name = (char *)(uintptr_t)name };
	h = lk_hash_bytes((uint64_t)client->peer.pid << 32 ^ client->peer.uid,
	    name, n);
	node = lk_hash_find(&core->groups, h, is_same_group, &key);
	if (node != NULL) {
		group = lk_container(node, struct group, node);
	} else {
		group = lk_xcalloc(1, sizeof(*group));
		*group = key;
		group->name = lk_xmalloc(n);
		memcpy(group->name, name, n);
		group->scope = core->next_number++;
		lk_hash_insert(&core->groups, &group->node, h);
	}
	group->n_members++;
	leave_group(client);
	client->scope = group->scope;
}

int
lk_core_admit(struct lk_core *core, struct lk_error *error)
{
	uint32_t limit = core->config->limit_clients;

	if (!core->is_draining && core->n_clients < limit)
		return 0;
	core->stats.clients_refused++;
	if (core->is_draining)
		lk_error_set(error, LK_ERR_CLOSING, "the daemon is shutting "
		    "down: connect again when it is back");
	else
		lk_error_set(error, LK_ERR_OVERLOAD, "limits.clients (%u) "
		    "connections are open: close some, or raise it",
		    (unsigned)limit);
	return -LK_E_LIMIT;
}

struct lk_client *
lk_core_client_new(struct lk_core *core, void *conn, const struct lk_peer *peer)
{
	struct lk_client *client = lk_xcalloc(1, sizeof(*client));
	struct lk_log_about about;

	client->core = core;
	client->conn = conn;
	client->id = core->next_number++;
	client->peer = *peer;
	client->format.proto = 2;
	client->format.rows = LK_ROWS_MAPS;
	client->scope = client->id;
	client->database = &core->databases[0];
	client->since_us = core->now_us;
	lk_list_append(&core->clients, &client->link);
	core->n_clients++;
	lk_list_init(&client->requests);
	lk_list_init(&client->order);
	lk_list_init(&client->tasks);
	lk_list_init(&client->txs);
	lk_list_init(&client->subscriptions);
	lk_list_init(&client->units);
	core->stats.clients_accepted++;
	about = lk_about_client(client);
	lk_log_about(&about, LK_LOG_DEBUG, "connected: process %d of user %d",
	    (int)peer->pid, (int)peer->uid);
	return client;
}

uint64_t
lk_core_client_id(const struct lk_client *client)
{
	return client->id;
}

/* Most connections never have one: made when first needed. */
struct lk_task *
lk_client_task(struct lk_client *client)
{
	if (client->task == NULL)
		client->task = lk_task_new(client->core, client);
	return client->task;
}

bool
lk_client_same_thread(const struct lk_client *a, const struct lk_client *b)
{
	return a->thread != NULL && b->thread != NULL && a->peer.pid != 0 &&
	    a->peer.pid == b->peer.pid && strcmp(a->thread, b->thread) == 0;
}

static void
abandon_txs(struct lk_client *client)
{
	struct lk_tx *tx;

	client->current = NULL;
	while (!lk_list_is_empty(&client->txs)) {
		tx = lk_container(client->txs.next, struct lk_tx, client_link);
		lk_list_remove(&tx->client_link);
		tx->client = NULL;
		lk_tx_abandon(tx);
	}
}

void
lk_client_set_name(struct lk_client *client, const struct lk_arg *name)
{
	free(client->name);
	client->name = NULL;
	if (name->len == 0)
		return;
	client->name = lk_xmalloc(name->len + 1);
	memcpy(client->name, name->data, name->len);
	client->name[name->len] = '\0';
}

/* Ending one may send, and so end, others: they are known by number here. */
void
lk_client_end_requests(struct lk_client *client, const struct lk_request *by,
    enum lk_error_kind kind, const char *text)
{
	struct lk_core *core = client->core;
	struct lk_list *it, *next;
	struct lk_request *req;
	struct lk_id *ids = NULL;
	struct lk_error why;
	size_t n = 0, i = 0;

	LK_LIST_EACH(&client->requests, it, next)
		n++;
	ids = lk_xcalloc(n, sizeof(*ids));
	LK_LIST_EACH(&client->requests, it, next)
		ids[i++] = lk_container(it, struct lk_request,
		    client_link)->id;
	for (i = 0; i < n; i++) {
		req = lk_idtab_get(&core->request_ids, ids[i]);
		if (req == NULL || req == by)
			continue;
		lk_error_init(&why);
		lk_error_set(&why, kind, "%s", text);
		lk_cancel_request(req, &why, NULL);
		lk_error_fini(&why);
	}
	free(ids);
}

/*
 * Its other requests end first, with the reply each is due, so that none is
 * left in a transaction that is then rolled back.
 */
void
lk_client_reset(struct lk_client *client, struct lk_request *by)
{
	lk_client_end_requests(client, by, LK_ERR_CANCELED, "ended by RESET");
	lk_unit_drop_all(client);
	abandon_txs(client);
	lk_subscribe_end(client);
	client->format = (struct lk_format){ .proto = 2, .rows = LK_ROWS_MAPS };
	client->is_blocking = client->tags_push = client->error_blobs = false;
	client->database = &client->core->databases[0];
	free(client->name);
	free(client->thread);
	free(client->null_text);
	client->name = client->thread = client->null_text = NULL;
	leave_group(client);
	client->scope = client->id;
	client->core->seq++;
}

void
lk_client_hold_back(struct lk_client *client)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&client->requests, it, next)
		lk_request_put_back(lk_container(it, struct lk_request,
		    client_link));
}

void
lk_client_go_on(struct lk_client *client)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	LK_LIST_EACH(&client->requests, it, next) {
		req = lk_container(it, struct lk_request, client_link);
		if (req->state == LK_REQUEST_WAITING)
			lk_request_todo(req);
	}
}

void
lk_core_client_pause(struct lk_client *client, bool is_paused)
{
	client->is_paused = is_paused;
	if (is_paused) {
		lk_client_hold_back(client);
	} else {
		lk_message_go_on(client);
		lk_client_go_on(client);
	}
	lk_core_pump(client->core);
}

void
lk_core_client_stalled(const struct lk_client *client)
{
	struct lk_log_about about = lk_about_client(client);
	struct lk_buf who = LK_BUF_INIT;

	client->core->stats.clients_stalled++;
	lk_words_client(&who, client);
	lk_log_about(&about, LK_LOG_WARNING, "the connection ends: %s has read "
	    "no reply for limits.stall (%llu ms)", lk_buf_cstr(&who),
	    (unsigned long long)
	    (client->core->config->limit_stall_us / LK_US_PER_MS));
	lk_buf_fini(&who);
}

static void
drop_requests(struct lk_client *client)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&client->requests, it, next)
		lk_request_drop(lk_container(it, struct lk_request,
		    client_link));
}

static void
leave_tasks(struct lk_client *client)
{
	struct lk_task *task;

	client->task = NULL;
	while (!lk_list_is_empty(&client->tasks)) {
		task = lk_container(client->tasks.next, struct lk_task,
		    client_link);
		lk_task_await(task, false, NULL, 0);
		lk_task_set_client(task, NULL);
	}
}

void
lk_core_client_gone(struct lk_client **clientp)
{
	struct lk_client *client = *clientp;
	struct lk_core *core = client->core;
	struct lk_log_about about = lk_about_client(client);

	*clientp = NULL;
	core->seq++;
	lk_log_about(&about, LK_LOG_DEBUG, "gone after %llu requests",
	    (unsigned long long)client->n_requests);
	client->conn = NULL;
	client->is_closing = true;
	drop_requests(client);
	lk_unit_drop_all(client);
	lk_unit_free(&client->last_unit);
	abandon_txs(client);
	lk_subscribe_end(client);
	leave_tasks(client);
	leave_group(client);
	lk_list_remove(&client->link);
	core->n_clients--;
	if (client->last_error != NULL)
		lk_error_fini(client->last_error);
	free(client->last_error);
	free(client->name);
	free(client->thread);
	free(client->null_text);
	free(client);
	lk_core_pump(core);
}

struct lk_client *
lk_client_by_id(const struct lk_core *core, uint64_t id)
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
