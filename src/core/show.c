/*
 * SHOW: each list is a table of columns in core/show.def and one function that
 * prints an object's cells in that order.
 */
#include <string.h>

#include "core/internal.h"
#include "core/row.h"
#include "orm/catalog.h"

/* ---- cells ---- */

static void
put_ms(struct lk_row *row, uint64_t since_us)
{
	lk_row_int(row, (row->core->now_us - since_us) / LK_US_PER_MS);
}

static void
put_client(struct lk_row *row, const struct lk_client *client)
{
	if (client != NULL)
		lk_row_int(row, client->id);
	else
		lk_row_null(row);
}

static void
put_tx(struct lk_row *row, const struct lk_tx *tx)
{
	if (tx != NULL)
		lk_row_int(row, tx->handle);
	else
		lk_row_null(row);
}

static void
put_pid(struct lk_row *row, const struct lk_worker *worker)
{
	if (worker != NULL && worker->backend_pid != 0)
		lk_row_int(row, (uint64_t)worker->backend_pid);
	else
		lk_row_null(row);
}

static void
put_doing(struct lk_row *row, const struct lk_request *req)
{
	struct lk_buf words = LK_BUF_INIT;

	if (req == NULL) {
		lk_row_null(row);
		return;
	}
	lk_words_doing(&words, req, row->viewer);
	lk_row_words(row, &words);
}

static size_t
count(const struct lk_list *list)
{
	const struct lk_list *it;
	size_t n = 0;

	for (it = list->next; it != list; it = it->next)
		n++;
	return n;
}

/* ---- rows ---- */

static void
show_client(struct lk_row *row, const struct lk_client *client)
{
	uint64_t stalled_us;

	lk_row_begin(row, "clients");
	lk_row_int(row, client->id);
	lk_row_text(row, client->name);
	lk_row_int(row, (uint64_t)client->peer.pid);
	lk_row_int(row, client->peer.uid);
	lk_row_text(row, client->is_blocking ? "blocking" : "async");
	lk_row_text(row, client->thread);
	lk_row_text(row, client->database->config->name);
	lk_row_int(row, client->format.proto);
	lk_row_int(row, client->n_requests);
	lk_row_int(row, count(&client->requests));
	lk_row_int(row, count(&client->txs));
	lk_row_int(row, client->n_subscriptions);
	put_ms(row, client->since_us);
	stalled_us = row->core->effects->stalled_us(client->conn);
	if (stalled_us > 0)
		lk_row_int(row, stalled_us / LK_US_PER_MS);
	else
		lk_row_null(row);
}

static void
put_handles(struct lk_row *row, const struct lk_list *txs)
{
	const struct lk_list *it;

	lk_row_key(row);
	lk_enc_array(row->out, count(txs));
	for (it = txs->next; it != txs; it = it->next)
		lk_enc_int(row->out, (int64_t)lk_container(it, struct lk_tx,
		    owner_link)->handle);
}

static void
put_awaits(struct lk_row *row, const struct lk_task *task)
{
	const struct lk_list *it;

	lk_row_key(row);
	lk_enc_array(row->out, count(&task->awaits));
	for (it = task->awaits.next; it != &task->awaits; it = it->next)
		lk_enc_text(row->out, lk_container(it, struct lk_await,
		    from_link)->to->name);
}

static const struct lk_request *
first_request(const struct lk_task *task)
{
	const struct lk_list *list = lk_list_is_empty(&task->requests) ?
	    &task->held : &task->requests;

	return lk_list_is_empty(list) ? NULL :
	    lk_container(list->next, struct lk_request, task_link);
}

static void
show_task(struct lk_row *row, const struct lk_task *task)
{
	const struct lk_request *req = first_request(task);

	lk_row_begin(row, "tasks");
	lk_row_text(row, task->name);
	put_client(row, task->client);
	lk_row_text(row, req != NULL ? lk_request_state_word(req->state) :
	    "idle");
	lk_row_int(row, count(&task->requests) + count(&task->held));
	put_handles(row, &task->txs);
	put_awaits(row, task);
	put_doing(row, req);
}

static void
put_tx_cells(struct lk_row *row, const struct lk_tx *tx)
{
	const struct lk_request *req = tx->worker != NULL ?
	    lk_worker_request(tx->worker) : NULL;

	lk_row_int(row, tx->handle);
	lk_row_text(row, lk_tx_state_word(tx->state));
	lk_row_text(row, tx->owner != NULL ? tx->owner->name : NULL);
	put_client(row, tx->client);
	lk_row_text(row, tx->database->config->name);
	put_pid(row, tx->worker);
	put_ms(row, tx->begun_us);
	put_ms(row, tx->since_us);
	lk_row_int(row, tx->n_statements);
	lk_row_int(row, tx->n_rows);
	lk_row_int(row, tx->rounds.n_lost);
	if (req != NULL)
		put_doing(row, req);
	else
		lk_row_text(row, lk_words_may_see(row->viewer, tx->client) ?
		    tx->doing : NULL);
}

static void
show_tx(struct lk_row *row, const struct lk_tx *tx)
{
	lk_row_begin(row, "transactions");
	put_tx_cells(row, tx);
}

static void
show_cursor(struct lk_row *row, const struct lk_cursor *cursor, bool may_see)
{
	lk_row_begin(row, "tx.cursors");
	lk_row_int(row, cursor->number);
	lk_row_text(row, may_see ? cursor->what : NULL);
	lk_row_int(row, cursor->n_fetched);
}

static void
put_cursors(struct lk_row *row, const struct lk_tx *tx)
{
	bool may_see = lk_words_may_see(row->viewer, tx->client);
	const struct lk_list *it;
	struct lk_row inner;

	lk_row_key(row);
	inner = *row;
	lk_enc_array(row->out, tx->n_cursors);
	for (it = tx->cursors.next; it != &tx->cursors; it = it->next)
		show_cursor(&inner, lk_container(it, struct lk_cursor, link),
		    may_see);
	lk_row_end(&inner);
}

static void
show_worker(struct lk_row *row, const struct lk_worker *worker)
{
	lk_row_begin(row, "workers");
	lk_row_int(row, worker->index);
	lk_row_text(row, worker->database->config->name);
	lk_row_text(row, lk_worker_state_word(worker->state));
	put_pid(row, worker);
	put_tx(row, worker->tx);
	put_ms(row, worker->since_us);
	put_doing(row, lk_worker_request(worker));
}

static void
show_database(struct lk_row *row, const struct lk_database *db)
{
	lk_row_begin(row, "databases");
	lk_row_text(row, db->config->name);
	lk_row_int(row, db->n_workers);
	lk_row_int(row, db->n_workers > db->config->workers_max ?
	    db->n_workers - db->config->workers_max : 0);
	lk_row_int(row, count(&db->idle));
	lk_row_int(row, db->n_ready);
	lk_row_int(row, db->config->workers_min);
	lk_row_int(row, db->config->workers_max);
	lk_row_int(row, db->config->workers_reserve);
	lk_row_text(row, db->server != NULL ? db->server->id : NULL);
	if (db->down_since_us != 0)
		put_ms(row, db->down_since_us);
	else
		lk_row_null(row);
	lk_row_text(row, db->down_text);
	if (db->catalog != NULL) {
		lk_row_int(row, lk_catalog_n_models(db->catalog));
		put_ms(row, db->catalog_us);
	} else {
		lk_row_null(row);
		lk_row_null(row);
	}
	lk_row_int(row, db->channels.n_wanted);
	lk_row_text(row, lk_listener_state_word(db->channels.state));
	if (db->channels.backend_pid != 0)
		lk_row_int(row, (uint64_t)db->channels.backend_pid);
	else
		lk_row_null(row);
}

/* Nothing is null. */
static void
put_words_or_null(struct lk_row *row, struct lk_buf *words)
{
	if (words->len > 0) {
		lk_row_words(row, words);
		return;
	}
	lk_row_null(row);
	lk_buf_fini(words);
}

static void
put_waiter(struct lk_row *row, const struct lk_request *req)
{
	lk_row_begin(row, "waits");
	lk_row_text(row, req->task->name);
	put_client(row, req->client);
	put_tx(row, req->tx);
	lk_row_key(row);
	if (req->n_tag > 0)
		lk_enc_bulk(row->out, req->tag, req->n_tag);
	else
		lk_enc_null(row->out, row->proto);
	put_pid(row, req->worker);
}

static void
show_wait(struct lk_row *row, const struct lk_request *req,
    const struct lk_wait *wait)
{
	struct lk_buf words = LK_BUF_INIT;

	put_waiter(row, req);
	lk_row_int(row, req->state == LK_REQUEST_PARKED ?
	    wait->waited_us / LK_US_PER_MS :
	    (row->core->now_us - req->wait_since_us) / LK_US_PER_MS);
	lk_row_text(row, wait->object);
	lk_row_text(row, wait->mode);
	lk_words_blockers(&words, lk_request_server(req), wait, row->viewer);
	lk_row_words(row, &words);
	lk_suspect_wait(&words, lk_request_server(req), wait, row->viewer);
	put_words_or_null(row, &words);
	put_doing(row, req);
}

/* Its holders are the same for all who wait: who, and whether they look bad. */
static void
show_slot_wait(struct lk_row *row, const struct lk_request *req,
    const struct lk_buf *who, const struct lk_buf *suspect)
{
	struct lk_buf words = LK_BUF_INIT;

	put_waiter(row, req);
	put_ms(row, req->queued_us);
	lk_buf_printf(&words, "slot of %s", req->database->config->name);
	lk_row_words(row, &words);
	lk_row_null(row);
	lk_row_key(row);
	lk_enc_bulk(row->out, who->data, who->len);
	if (suspect->len > 0) {
		lk_row_key(row);
		lk_enc_bulk(row->out, suspect->data, suspect->len);
	} else {
		lk_row_null(row);
	}
	put_doing(row, req);
}

static void
show_deadlock(struct lk_row *row, const struct lk_deadlock *deadlock)
{
	lk_row_begin(row, "deadlocks");
	lk_row_int(row, deadlock->number);
	lk_row_int(row, deadlock->wall_ms);
	lk_row_text(row, deadlock->text);
	lk_row_text(row, deadlock->members);
	lk_row_text(row, deadlock->victim);
	lk_row_text(row, deadlock->action);
	lk_row_int(row, deadlock->verdict_us);
	lk_row_int(row, deadlock->end_us);
}

/* ---- lists ---- */

static void
show_clients(struct lk_row *row)
{
	struct lk_list *it, *next;

	lk_enc_array(row->out, count(&row->core->clients));
	LK_LIST_EACH(&row->core->clients, it, next)
		show_client(row, lk_container(it, struct lk_client, link));
}

static void
show_tasks(struct lk_row *row)
{
	struct lk_list *it, *next;

	lk_enc_array(row->out, count(&row->core->tasks));
	LK_LIST_EACH(&row->core->tasks, it, next)
		show_task(row, lk_container(it, struct lk_task, link));
}

static void
show_transactions(struct lk_row *row)
{
	struct lk_list *it, *next;

	lk_enc_array(row->out, count(&row->core->txs));
	LK_LIST_EACH(&row->core->txs, it, next)
		show_tx(row, lk_container(it, struct lk_tx, link));
}

static void
show_databases(struct lk_row *row)
{
	struct lk_core *core = row->core;
	size_t i;

	lk_enc_array(row->out, core->n_databases);
	for (i = 0; i < core->n_databases; i++)
		show_database(row, &core->databases[i]);
}

static void
show_workers(struct lk_row *row)
{
	struct lk_core *core = row->core;
	uint32_t i, n = 0;

	for (i = 0; i < core->n_workers; i++)
		n += core->workers[i] != NULL;
	lk_enc_array(row->out, n);
	for (i = 0; i < core->n_workers; i++) {
		if (core->workers[i] != NULL)
			show_worker(row, core->workers[i]);
	}
}

/* As the last look saw it, less what has ended since. */
static const struct lk_wait *
current_wait(const struct lk_worker *worker)
{
	const struct lk_request *req = worker != NULL ?
	    lk_worker_request(worker) : NULL;

	if (req == NULL || worker->server == NULL || !req->is_waiting)
		return NULL;
	return lk_look_find(worker->server->last, worker->backend_pid);
}

/* In a busy pool everybody waits for a moment. */
static bool
is_queued_long(const struct lk_request *req)
{
	return req->core->now_us - req->queued_us >=
	    req->core->config->deadlock_notify_us;
}

static size_t
count_queued_long(const struct lk_list *ready)
{
	const struct lk_list *it;
	size_t n = 0;

	for (it = ready->next; it != ready; it = it->next)
		n += is_queued_long(lk_container(it, struct lk_request,
		    ready_link));
	return n;
}

static void
show_queue(struct lk_row *row, const struct lk_list *ready,
    const struct lk_buf *who, const struct lk_buf *suspect)
{
	const struct lk_list *it;
	const struct lk_request *req;

	for (it = ready->next; it != ready; it = it->next) {
		req = lk_container(it, struct lk_request, ready_link);
		if (is_queued_long(req))
			show_slot_wait(row, req, who, suspect);
	}
}

static void
show_slot_waits(struct lk_row *row, const struct lk_database *db)
{
	struct lk_buf who = LK_BUF_INIT, suspect = LK_BUF_INIT;

	if (db->n_ready == 0)
		return;
	lk_words_slots(&who, db, row->viewer);
	lk_suspect_slots(&suspect, db);
	show_queue(row, &db->ready_autocommit, &who, &suspect);
	show_queue(row, &db->ready_reads, &who, &suspect);
	show_queue(row, &db->ready_tx, &who, &suspect);
	lk_buf_fini(&who);
	lk_buf_fini(&suspect);
}

static size_t
count_waits(const struct lk_core *core)
{
	const struct lk_list *it;
	size_t i, n = 0;

	for (i = 0; i < core->n_workers; i++)
		n += current_wait(core->workers[i]) != NULL;
	for (it = core->parks.next; it != &core->parks; it = it->next)
		n += count(&lk_container(it, struct lk_park, link)->requests);
	n += count(&core->laned);
	for (i = 0; i < core->n_databases; i++)
		n += count_queued_long(&core->databases[i].ready_autocommit) +
		    count_queued_long(&core->databases[i].ready_reads) +
		    count_queued_long(&core->databases[i].ready_tx);
	return n;
}

static void
show_parked(struct lk_row *row, struct lk_list *requests)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	LK_LIST_EACH(requests, it, next) {
		req = lk_container(it, struct lk_request, park_link);
		show_wait(row, req, lk_park_wait(req));
	}
}

static void
show_waits(struct lk_row *row)
{
	struct lk_core *core = row->core;
	const struct lk_wait *wait;
	struct lk_list *it, *next;
	size_t i;

	lk_enc_array(row->out, count_waits(core));
	for (i = 0; i < core->n_workers; i++) {
		wait = current_wait(core->workers[i]);
		if (wait != NULL)
			show_wait(row, lk_worker_request(core->workers[i]), wait);
	}
	LK_LIST_EACH(&core->parks, it, next)
		show_parked(row, &lk_container(it, struct lk_park,
		    link)->requests);
	show_parked(row, &core->laned);
	for (i = 0; i < core->n_databases; i++)
		show_slot_waits(row, &core->databases[i]);
}

static void
show_deadlocks(struct lk_row *row)
{
	struct lk_core *core = row->core;
	uint64_t n = core->n_deadlocks, i;

	if (n > LK_DEADLOCKS_KEPT)
		n = LK_DEADLOCKS_KEPT;
	lk_enc_array(row->out, n);
	for (i = core->n_deadlocks - n; i < core->n_deadlocks; i++)
		show_deadlock(row, &core->deadlocks[i % LK_DEADLOCKS_KEPT]);
}

static void
show_config(struct lk_row *row)
{
	const struct lk_config *config = row->core->config;
	const struct lk_config_row *it;

	lk_enc_array(row->out, config->n_rows);
	for (it = config->rows; it < config->rows + config->n_rows; it++) {
		lk_row_begin(row, "config");
		lk_row_text(row, it->key);
		lk_row_text(row, it->value);
		lk_row_text(row, it->initial);
		lk_row_key(row);
		lk_enc_bool(row->out, row->proto, it->reloads);
	}
}

static void
show_stats(struct lk_row *row)
{
	static const struct {
		const char	*name;
		size_t		 offset;
	} stats[] = {
#define LK_STAT(name, help) { #name, offsetof(struct lk_stats, name) },
#include "core/stats.def"
#undef LK_STAT
	};
	size_t i, n = sizeof(stats) / sizeof(stats[0]);
	uint64_t value;

	lk_enc_map(row->out, row->proto, lk_row_expect(row, "stats") + n);
	put_ms(row, row->core->start_us);
	for (i = 0; i < n; i++) {
		memcpy(&value, (const char *)&row->core->stats +
		    stats[i].offset, sizeof(value));
		lk_enc_text(row->out, stats[i].name);
		lk_enc_int(row->out, (int64_t)value);
	}
}

static void
show_unit(struct lk_row *row)
{
	const struct lk_unit *unit = row->viewer->last_unit;
	unsigned i;

	if (unit == NULL) {
		lk_enc_null(row->out, row->proto);
		return;
	}
	lk_row_begin(row, "unit");
	lk_row_text(row, unit->database->config->name);
	lk_row_int(row, unit->n_verbs);
	lk_row_int(row, unit->n_replays_max);
	lk_row_int(row, unit->n_tries);
	lk_row_key(row);
	lk_enc_array(row->out, unit->n_reasons);
	for (i = 0; i < unit->n_reasons; i++)
		lk_enc_text(row->out, unit->reasons[i]);
	lk_row_int(row, unit->n_statements);
	lk_row_int(row, unit->n_round_trips);
	lk_row_int(row, unit->total_us / LK_US_PER_MS);
	lk_row_text(row, unit->ended);
}

static void
show_error(struct lk_row *row)
{
	const struct lk_error *error = row->viewer->last_error;
	size_t n = 0;
	int i;

	if (error == NULL) {
		lk_enc_null(row->out, row->proto);
		return;
	}
	for (i = 0; i < LK_FIELD__N; i++)
		n += error->fields[i] != NULL;
	lk_enc_map(row->out, row->proto, lk_row_expect(row, "error") + n);
	lk_row_text(row, lk_error_word(error->kind));
	lk_row_text(row, error->sqlstate);
	lk_row_text(row, error->message);
	lk_row_text(row, lk_retry_word(error->retry));
	for (i = 0; i < LK_FIELD__N; i++) {
		if (error->fields[i] == NULL)
			continue;
		lk_enc_text(row->out, lk_error_field_name(i));
		lk_enc_text(row->out, error->fields[i]);
	}
}

static const struct {
	const char	*name;
	void		(*show)(struct lk_row *row);
} lists[] = {
	{ "clients", show_clients },
	{ "tasks", show_tasks },
	{ "transactions", show_transactions },
	{ "databases", show_databases },
	{ "workers", show_workers },
	{ "waits", show_waits },
	{ "deadlocks", show_deadlocks },
	{ "lanes", lk_show_lanes },
	{ "stats", show_stats },
	{ "config", show_config },
	{ "error", show_error },
	{ "unit", show_unit },
};

static void
show_one_tx(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;
	struct lk_row row = { &out, req->format.proto, NULL, 0, req->client,
	    req->core };
	struct lk_tx *tx = NULL;
	uint64_t handle;
	size_t n;

	if (!lk_arg_is(&req->args[0], "tx") ||
	    lk_parse_handle(&req->args[1], &handle) < 0) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "SHOW knows other lists: %s", req->verb->syntax);
		return;
	}
	tx = lk_tx_by_handle(req->core, handle);
	if (tx == NULL) {
		lk_request_failf(req, LK_ERR_NOTX, "no such transaction: "
		    "SHOW transactions lists them");
		return;
	}
	n = lk_row_expect(&row, "tx");
	lk_enc_map(&out, row.proto, n + lk_row_expect(&row, "transactions"));
	put_tx_cells(&row, tx);
	lk_row_end(&row);
	lk_row_expect(&row, "tx");
	put_cursors(&row, tx);
	lk_row_end(&row);
	lk_request_reply(req, &out);
	lk_buf_fini(&out);
}

void
lk_show(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;
	struct lk_row row = { &out, req->format.proto, NULL, 0, req->client,
	    req->core };
	size_t i;

	if (req->n_args == 2) {
		show_one_tx(req);
		return;
	}
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (!lk_arg_is(&req->args[0], lists[i].name))
			continue;
		lists[i].show(&row);
		lk_row_end(&row);
		lk_request_reply(req, &out);
		lk_buf_fini(&out);
		return;
	}
	lk_request_failf(req, LK_ERR_SYNTAX, "SHOW knows other lists, and "
	    "MODELS lists the tables: %s", req->verb->syntax);
}
