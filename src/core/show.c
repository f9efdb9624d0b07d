/*
 * SHOW: each list is a table of columns in core/show.def and one function that
 * prints an object's cells in that order; a row that prints too few or too
 * many is a broken invariant.
 */
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* ---- columns ---- */

struct column {
	const char	*list, *name;
};

static const struct column columns[] = {
#define LK_SHOW(list, column, help) { #list, #column },
#include "core/show.def"
#undef LK_SHOW
};

#define N_COLUMNS	(sizeof(columns) / sizeof(columns[0]))

struct row {
	struct lk_buf		*out;
	int			 proto;
	const struct column	*next;		/* of the cells to come */
	size_t			 n_left;
	const struct lk_client	*viewer;
	struct lk_core		*core;
};

static void
begin_row(struct row *row, const char *list)
{
	size_t i = 0;

	while (strcmp(columns[i].list, list) != 0)
		i++;
	row->next = &columns[i];
	while (i < N_COLUMNS && strcmp(columns[i].list, list) == 0)
		i++;
	row->n_left = (size_t)(&columns[i] - row->next);
	lk_enc_map(row->out, row->proto, row->n_left);
}

static void
begin_cell(struct row *row)
{
	lk_assert(row->n_left > 0);
	lk_enc_text(row->out, row->next->name);
	row->next++;
	row->n_left--;
}

static void
put_int(struct row *row, uint64_t value)
{
	begin_cell(row);
	lk_enc_int(row->out, (int64_t)value);
}

static void
put_null(struct row *row)
{
	begin_cell(row);
	lk_enc_null(row->out, row->proto);
}

static void
put_text(struct row *row, const char *text)
{
	if (text == NULL) {
		put_null(row);
		return;
	}
	begin_cell(row);
	lk_enc_text(row->out, text);
}

static void
put_words(struct row *row, struct lk_buf *words)
{
	begin_cell(row);
	lk_enc_bulk(row->out, words->data, words->len);
	lk_buf_fini(words);
}

static void
put_ms(struct row *row, uint64_t since_us)
{
	put_int(row, (row->core->now_us - since_us) / LK_US_PER_MS);
}

static void
put_client(struct row *row, const struct lk_client *client)
{
	if (client != NULL)
		put_int(row, client->id);
	else
		put_null(row);
}

static void
put_tx(struct row *row, const struct lk_tx *tx)
{
	if (tx != NULL)
		put_int(row, tx->handle);
	else
		put_null(row);
}

static void
put_pid(struct row *row, const struct lk_worker *worker)
{
	if (worker != NULL && worker->backend_pid != 0)
		put_int(row, (uint64_t)worker->backend_pid);
	else
		put_null(row);
}

static void
put_doing(struct row *row, const struct lk_request *req)
{
	struct lk_buf words = LK_BUF_INIT;

	if (req == NULL) {
		put_null(row);
		return;
	}
	lk_words_doing(&words, req, row->viewer);
	put_words(row, &words);
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
show_client(struct row *row, const struct lk_client *client)
{
	begin_row(row, "clients");
	put_int(row, client->id);
	put_text(row, client->name);
	put_int(row, (uint64_t)client->peer.pid);
	put_int(row, client->peer.uid);
	put_text(row, client->is_blocking ? "blocking" : "async");
	put_text(row, client->thread);
	put_text(row, client->database->config->name);
	put_int(row, client->format.proto);
	put_int(row, client->n_requests);
	put_int(row, count(&client->requests));
	put_int(row, count(&client->txs));
	put_ms(row, client->since_us);
}

static void
put_handles(struct row *row, const struct lk_list *txs)
{
	const struct lk_list *it;

	begin_cell(row);
	lk_enc_array(row->out, count(txs));
	for (it = txs->next; it != txs; it = it->next)
		lk_enc_int(row->out, (int64_t)lk_container(it, struct lk_tx,
		    owner_link)->handle);
}

static void
put_awaits(struct row *row, const struct lk_task *task)
{
	const struct lk_list *it;

	begin_cell(row);
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
show_task(struct row *row, const struct lk_task *task)
{
	const struct lk_request *req = first_request(task);

	begin_row(row, "tasks");
	put_text(row, task->name);
	put_client(row, task->client);
	put_text(row, req != NULL ? lk_request_state_word(req->state) : "idle");
	put_int(row, count(&task->requests) + count(&task->held));
	put_handles(row, &task->txs);
	put_awaits(row, task);
	put_doing(row, req);
}

static void
show_tx(struct row *row, const struct lk_tx *tx)
{
	const struct lk_request *req = tx->worker != NULL ?
	    tx->worker->request : NULL;

	begin_row(row, "transactions");
	put_int(row, tx->handle);
	put_text(row, lk_tx_state_word(tx->state));
	put_text(row, tx->owner != NULL ? tx->owner->name : NULL);
	put_client(row, tx->client);
	put_text(row, tx->database->config->name);
	put_pid(row, tx->worker);
	put_ms(row, tx->begun_us);
	put_ms(row, tx->since_us);
	put_int(row, tx->n_statements);
	put_int(row, tx->n_rows);
	if (req != NULL)
		put_doing(row, req);
	else
		put_text(row, lk_words_may_see(row->viewer, tx->client) ?
		    tx->doing : NULL);
}

static void
show_worker(struct row *row, const struct lk_worker *worker)
{
	begin_row(row, "workers");
	put_int(row, worker->index);
	put_text(row, worker->database->config->name);
	put_text(row, lk_worker_state_word(worker->state));
	put_pid(row, worker);
	put_tx(row, worker->tx);
	put_ms(row, worker->since_us);
	put_doing(row, worker->request);
}

static void
show_database(struct row *row, const struct lk_database *db)
{
	begin_row(row, "databases");
	put_text(row, db->config->name);
	put_int(row, db->n_workers);
	put_int(row, count(&db->idle));
	put_int(row, db->n_ready);
	put_int(row, db->config->workers_min);
	put_int(row, db->config->workers_max);
	put_text(row, db->server != NULL ? db->server->id : NULL);
	if (db->down_since_us != 0)
		put_ms(row, db->down_since_us);
	else
		put_null(row);
	put_text(row, db->down_text);
}

static void
show_wait(struct row *row, const struct lk_request *req,
    const struct lk_wait *wait)
{
	struct lk_buf words = LK_BUF_INIT;

	begin_row(row, "waits");
	put_text(row, req->task->name);
	put_client(row, req->client);
	put_tx(row, req->tx);
	begin_cell(row);
	if (req->n_tag > 0)
		lk_enc_bulk(row->out, req->tag, req->n_tag);
	else
		lk_enc_null(row->out, row->proto);
	put_pid(row, req->worker);
	put_ms(row, req->wait_since_us);
	put_text(row, wait->object);
	put_text(row, wait->mode);
	lk_words_blockers(&words, req->worker->server, wait, row->viewer);
	put_words(row, &words);
	put_doing(row, req);
}

static void
show_deadlock(struct row *row, const struct lk_deadlock *deadlock)
{
	begin_row(row, "deadlocks");
	put_int(row, deadlock->number);
	put_int(row, deadlock->wall_ms);
	put_text(row, deadlock->text);
	put_text(row, deadlock->members);
	put_text(row, deadlock->victim);
	put_text(row, deadlock->action);
	put_int(row, deadlock->verdict_us);
	put_int(row, deadlock->end_us);
}

/* ---- lists ---- */

static void
show_clients(struct row *row)
{
	struct lk_list *it, *next;

	lk_enc_array(row->out, count(&row->core->clients));
	LK_LIST_EACH(&row->core->clients, it, next)
		show_client(row, lk_container(it, struct lk_client, link));
}

static void
show_tasks(struct row *row)
{
	struct lk_list *it, *next;

	lk_enc_array(row->out, count(&row->core->tasks));
	LK_LIST_EACH(&row->core->tasks, it, next)
		show_task(row, lk_container(it, struct lk_task, link));
}

static void
show_transactions(struct row *row)
{
	struct lk_list *it, *next;

	lk_enc_array(row->out, count(&row->core->txs));
	LK_LIST_EACH(&row->core->txs, it, next)
		show_tx(row, lk_container(it, struct lk_tx, link));
}

static void
show_databases(struct row *row)
{
	struct lk_core *core = row->core;
	size_t i;

	lk_enc_array(row->out, core->n_databases);
	for (i = 0; i < core->n_databases; i++)
		show_database(row, &core->databases[i]);
}

static void
show_workers(struct row *row)
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
	if (worker == NULL || worker->request == NULL ||
	    worker->server == NULL || !worker->request->is_waiting)
		return NULL;
	return lk_look_find(worker->server->last, worker->backend_pid);
}

static void
show_waits(struct row *row)
{
	struct lk_core *core = row->core;
	const struct lk_wait *wait;
	uint32_t i, n = 0;

	for (i = 0; i < core->n_workers; i++)
		n += current_wait(core->workers[i]) != NULL;
	lk_enc_array(row->out, n);
	for (i = 0; i < core->n_workers; i++) {
		wait = current_wait(core->workers[i]);
		if (wait != NULL)
			show_wait(row, core->workers[i]->request, wait);
	}
}

static void
show_deadlocks(struct row *row)
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
show_stats(struct row *row)
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

	lk_enc_map(row->out, row->proto, n + 1);
	lk_enc_text(row->out, "uptime_ms");
	lk_enc_int(row->out, (int64_t)((row->core->now_us -
	    row->core->start_us) / LK_US_PER_MS));
	for (i = 0; i < n; i++) {
		memcpy(&value, (const char *)&row->core->stats +
		    stats[i].offset, sizeof(value));
		lk_enc_text(row->out, stats[i].name);
		lk_enc_int(row->out, (int64_t)value);
	}
}

static void
show_error(struct row *row)
{
	const struct lk_error *error = row->viewer->last_error;
	size_t n = 4;
	int i;

	if (error == NULL) {
		lk_enc_null(row->out, row->proto);
		return;
	}
	for (i = 0; i < LK_FIELD__N; i++)
		n += error->fields[i] != NULL;
	lk_enc_map(row->out, row->proto, n);
	lk_enc_text(row->out, "kind");
	lk_enc_text(row->out, lk_error_word(error->kind));
	lk_enc_text(row->out, "sqlstate");
	lk_enc_text(row->out, error->sqlstate);
	lk_enc_text(row->out, "message");
	lk_enc_text(row->out, error->message);
	lk_enc_text(row->out, "retry");
	lk_enc_text(row->out, lk_retry_word(error->retry));
	for (i = 0; i < LK_FIELD__N; i++) {
		if (error->fields[i] == NULL)
			continue;
		lk_enc_text(row->out, lk_error_field_name(i));
		lk_enc_text(row->out, error->fields[i]);
	}
}

static const struct {
	const char	*name;
	void		(*show)(struct row *row);
} lists[] = {
	{ "clients", show_clients },
	{ "tasks", show_tasks },
	{ "transactions", show_transactions },
	{ "databases", show_databases },
	{ "workers", show_workers },
	{ "waits", show_waits },
	{ "deadlocks", show_deadlocks },
	{ "stats", show_stats },
	{ "error", show_error },
};

static void
show_one_tx(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;
	struct row row = { &out, req->format.proto, NULL, 0, req->client,
	    req->core };
	struct lk_tx *tx = NULL;
	uint64_t handle;

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
	show_tx(&row, tx);
	lk_assert(row.n_left == 0);
	lk_request_reply(req, &out);
	lk_buf_fini(&out);
}

void
lk_show(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;
	struct row row = { &out, req->format.proto, NULL, 0, req->client,
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
		lk_assert(row.n_left == 0);
		lk_request_reply(req, &out);
		lk_buf_fini(&out);
		return;
	}
	lk_request_failf(req, LK_ERR_SYNTAX, "SHOW knows other lists: %s",
	    req->verb->syntax);
}
