/*
 * OPEN, FETCH, CLOSE: cursors, each a statement of its transaction that is made
 * here.  Core knows which are open, so that a request for one that is not fails
 * alone: PostgreSQL would fail the transaction with it.  PostgreSQL closes the
 * cursors that are younger than a savepoint when it rolls back to that, so
 * savepoints are kept, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "orm/sqltext.h"

/* Of one transaction, open at a time. */
#define MAX_CURSORS	1000
/* Of one FETCH: the server has them all before it sends the first. */
#define MAX_ROWS	1000000

/* ---- those of a transaction ---- */

static struct lk_cursor *
cursor_at(struct lk_list *link)
{
	return lk_container(link, struct lk_cursor, link);
}

static struct lk_savepoint *
savepoint_at(struct lk_list *link)
{
	return lk_container(link, struct lk_savepoint, link);
}

static struct lk_cursor *
find_cursor(struct lk_tx *tx, uint64_t number)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&tx->cursors, it, next) {
		if (cursor_at(it)->number == number)
			return cursor_at(it);
	}
	return NULL;
}

static void
add_cursor(struct lk_tx *tx, const struct lk_request *req)
{
	struct lk_cursor *cursor = lk_xcalloc(1, sizeof(*cursor));

	cursor->number = tx->last_cursor = req->cursor;
	cursor->what = lk_xstrdup(req->doing + strlen("OPEN "));
	lk_with_copy(&cursor->with, &req->plan.with);
	lk_list_append(&tx->cursors, &cursor->link);
	tx->n_cursors++;
}

static void
forget_cursor(struct lk_tx *tx, struct lk_cursor *cursor)
{
	lk_list_remove(&cursor->link);
	tx->n_cursors--;
	free(cursor->what);
	lk_with_fini(&cursor->with);
	free(cursor);
}

/* Those with higher numbers than last. */
static void
forget_younger(struct lk_tx *tx, uint64_t last)
{
	while (!lk_list_is_empty(&tx->cursors) &&
	    cursor_at(tx->cursors.prev)->number > last)
		forget_cursor(tx, cursor_at(tx->cursors.prev));
}

/* The server keeps far more for each. */
static void
add_savepoint(struct lk_tx *tx, const struct lk_arg *name)
{
	struct lk_savepoint *savepoint = lk_xcalloc(1,
	    sizeof(*savepoint) + name->len);

	savepoint->last_cursor = tx->last_cursor;
	savepoint->last_statement = tx->n_statements;
	savepoint->n = name->len;
	memcpy(savepoint->name, name->data, name->len);
	lk_list_append(&tx->savepoints, &savepoint->link);
}

/* The youngest of that name; NULL: there is none. */
static struct lk_savepoint *
find_savepoint(struct lk_tx *tx, const struct lk_arg *name)
{
	struct lk_savepoint *savepoint;
	struct lk_list *it;

	for (it = tx->savepoints.prev; it != &tx->savepoints; it = it->prev) {
		savepoint = savepoint_at(it);
		if (savepoint->n == name->len &&
		    memcmp(savepoint->name, name->data, name->len) == 0)
			return savepoint;
	}
	return NULL;
}

static void
forget_savepoint(struct lk_savepoint *savepoint)
{
	lk_list_remove(&savepoint->link);
	free(savepoint);
}

/* Those behind link in tx->savepoints. */
static void
forget_savepoints(struct lk_tx *tx, const struct lk_list *link)
{
	while (tx->savepoints.prev != link)
		forget_savepoint(savepoint_at(tx->savepoints.prev));
}

void
lk_cursor_init(struct lk_tx *tx)
{
	lk_list_init(&tx->cursors);
	lk_list_init(&tx->savepoints);
}

void
lk_cursor_fini(struct lk_tx *tx)
{
	forget_younger(tx, 0);
	forget_savepoints(tx, &tx->savepoints);
}

/* ---- OPEN ---- */

static bool
has_most(struct lk_request *req)
{
	if (req->tx->n_cursors < MAX_CURSORS)
		return false;
	lk_request_failf(req, LK_ERR_OVERLOAD, "#%llu has %d cursors open, "
	    "which is the most: CLOSE one", (unsigned long long)req->tx->handle,
	    MAX_CURSORS);
	return true;
}

/* What the server is to run: the query with this before it. */
static void
put_opening(struct lk_buf *out, uint64_t number)
{
	lk_buf_printf(out, "DECLARE lk_cursor_%llu NO SCROLL CURSOR FOR ",
	    (unsigned long long)number);
}

/* False: it has failed. */
static bool
plan_open(struct lk_request *req, const char *query)
{
	struct lk_buf sql = LK_BUF_INIT;

	put_opening(&sql, req->tx->last_cursor + 1);
	lk_buf_puts(&sql, query);
	lk_buf_putc(&sql, '\0');
	if (sql.broken) {
		lk_buf_fini(&sql);
		lk_request_failf(req, LK_ERR_OVERLOAD,
		    "no memory for a statement of this size");
		return false;
	}
	free(req->plan.sql);
	req->plan.sql = sql.data;
	req->cursor = req->tx->last_cursor + 1;
	return true;
}

static void
plan_params(struct lk_request *req, const struct lk_arg *args, size_t n)
{
	struct lk_plan *plan = &req->plan;
	size_t i;

	plan->n_params = n;
	plan->params = lk_xcalloc(n + 1, sizeof(*plan->params));
	for (i = 0; i < n; i++) {
		if (!lk_client_says_null(req->client, &args[i]))
			plan->params[i] = (struct lk_plan_param){
				.data = args[i].data, .len = args[i].len };
	}
}

static int
check_query(const struct lk_request *req, const struct lk_arg *text,
    struct lk_error *error)
{
	if (text->data == NULL) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "OPEN SQL takes a query, not NULL: %s", req->verb->syntax);
		return -LK_E_INVAL;
	}
	if (lk_sql_check(text->data, text->len, req->n_args - 2, true,
	    error) < 0)
		return -LK_E_INVAL;
	if (lk_sql_is_query(text->data, text->len))
		return 0;
	lk_error_set(error, LK_ERR_SYNTAX, "OPEN SQL takes a query, which "
	    "begins with SELECT, VALUES, TABLE or WITH: send anything else as "
	    "SQL, without OPEN");
	return -LK_E_INVAL;
}

static bool
plan_open_sql(struct lk_request *req)
{
	const struct lk_arg *text = &req->args[1];
	struct lk_error error;
	bool is_query;

	lk_error_init(&error);
	is_query = check_query(req, text, &error) == 0;
	if (is_query)
		plan_params(req, text + 1, req->n_args - 2);
	else
		lk_request_fail(req, &error);
	lk_error_fini(&error);
	return is_query && plan_open(req, text->data);
}

void
lk_run_open(struct lk_request *req)
{
	bool has_plan = false;

	if (lk_tx_is_missing(req) || lk_tx_refuses(req) || has_most(req))
		return;
	lk_orm_forget(req);	/* that of an earlier try */
	if (lk_arg_is(&req->args[0], "FIND"))
		has_plan = lk_orm_compile(req, LK_ORM_FIND, 1) &&
		    plan_open(req, req->plan.sql);
	else if (lk_arg_is(&req->args[0], "SQL"))
		has_plan = plan_open_sql(req);
	else
		lk_request_failf(req, LK_ERR_SYNTAX, "OPEN takes FIND or SQL, "
		    "and what follows that: %s", req->verb->syntax);
	if (has_plan)
		lk_run_statement(req);
}

/* ---- FETCH, CLOSE ---- */

static void
fail_unknown(struct lk_request *req, uint64_t number)
{
	const struct lk_tx *tx = req->tx;
	unsigned long long handle = tx->handle;
	struct lk_error error;

	lk_error_init(&error);
	if (tx->is_failed) {
		lk_error_set(&error, LK_ERR_TXABORTED, "#%llu has failed: "
		    "ROLLBACK, or ROLLBACK TO a savepoint", handle);
	} else {
		lk_error_set(&error, LK_ERR_SYNTAX, "#%llu has no cursor %llu: "
		    "%s", handle, (unsigned long long)number,
		    number == 0 || number > tx->last_cursor ? "OPEN replies "
		    "the number" : "it was closed by CLOSE, by ROLLBACK TO a "
		    "savepoint from before its OPEN, or by a FETCH that "
		    "failed");
		lk_error_set_sqlstate(&error, "34000");
	}
	lk_request_fail(req, &error);
	lk_error_fini(&error);
}

/* The cursor that the request names; NULL: the request has failed, for there is
 * none. */
static const struct lk_cursor *
take_cursor(struct lk_request *req)
{
	const struct lk_cursor *cursor;
	uint64_t number;

	if (lk_tx_is_missing(req) || lk_tx_refuses(req))
		return NULL;
	if (lk_parse_handle(&req->args[0], &number) < 0) {
		lk_request_failf(req, LK_ERR_SYNTAX, "%s takes the number that "
		    "OPEN has replied: %s", req->verb->name, req->verb->syntax);
		return NULL;
	}
	cursor = find_cursor(req->tx, number);
	if (cursor == NULL)
		fail_unknown(req, number);
	return cursor;
}

/* The statement in sql, of that cursor. */
static void
run(struct lk_request *req, const struct lk_cursor *cursor, struct lk_buf *sql,
    enum lk_shape shape)
{
	lk_buf_printf(sql, "lk_cursor_%llu",
	    (unsigned long long)cursor->number);
	req->plan.sql = lk_xstrdup(lk_buf_cstr(sql));
	req->plan.shape = shape;
	req->cursor = cursor->number;
	lk_buf_fini(sql);
	lk_run_statement(req);
}

/* The form may be another than OPEN's. */
static bool
is_too_deep(struct lk_request *req, const struct lk_cursor *cursor)
{
	struct lk_buf why = LK_BUF_INIT;
	bool is_so = lk_with_is_too_deep(&cursor->with, req->format, true,
	    &why);

	if (is_so)
		lk_request_failf(req, LK_ERR_SYNTAX, "FETCH: %s",
		    lk_buf_cstr(&why));
	lk_buf_fini(&why);
	return is_so;
}

void
lk_run_fetch(struct lk_request *req)
{
	const struct lk_cursor *cursor = take_cursor(req);
	struct lk_buf sql = LK_BUF_INIT;
	uint64_t n_rows;

	if (cursor == NULL || is_too_deep(req, cursor))
		return;
	if (lk_parse_handle(&req->args[1], &n_rows) < 0 || n_rows < 1 ||
	    n_rows > MAX_ROWS) {
		lk_request_failf(req, LK_ERR_SYNTAX, "FETCH takes a number of "
		    "rows from 1 to %d: %s", MAX_ROWS, req->verb->syntax);
		return;
	}
	lk_buf_printf(&sql, "FETCH %llu FROM ", (unsigned long long)n_rows);
	lk_with_copy(&req->plan.with, &cursor->with);
	run(req, cursor, &sql, LK_SHAPE_FETCH);
}

void
lk_run_close(struct lk_request *req)
{
	const struct lk_cursor *cursor = take_cursor(req);
	struct lk_buf sql = LK_BUF_INIT;

	if (cursor == NULL)
		return;
	lk_buf_puts(&sql, "CLOSE ");
	run(req, cursor, &sql, LK_SHAPE_ANY);
}

/* ---- what a statement has changed ---- */

static bool
is_verb(const struct lk_request *req, const char *name)
{
	return strcmp(req->verb->name, name) == 0;
}

/* SAVEPOINT name, RELEASE name, ROLLBACK TO name. */
static void
note_savepoint(struct lk_request *req)
{
	const struct lk_arg *name = &req->args[req->n_args - 1];
	struct lk_savepoint *savepoint;

	if (is_verb(req, "SAVEPOINT")) {
		add_savepoint(req->tx, name);
		return;
	}
	savepoint = find_savepoint(req->tx, name);
	if (savepoint == NULL)
		return;
	forget_savepoints(req->tx, &savepoint->link);
	if (is_verb(req, "RELEASE")) {
		forget_savepoint(savepoint);
		return;
	}
	forget_younger(req->tx, savepoint->last_cursor);
	lk_lane_rollback_to(req->tx, savepoint->last_statement);
}

uint64_t
lk_cursor_savepoint(const struct lk_tx *tx)
{
	return lk_list_is_empty(&tx->savepoints) ? 0 :
	    savepoint_at(tx->savepoints.prev)->last_statement;
}

static const char *
query_of(const struct lk_request *req)
{
	struct lk_buf opening = LK_BUF_INIT;
	const char *query;

	put_opening(&opening, req->cursor);
	query = req->plan.sql + opening.len;
	lk_buf_fini(&opening);
	return query;
}

/* Counted in what the client has sent. */
static void
correct_position(const struct lk_request *req, struct lk_error *error)
{
	const char *position = error->fields[LK_FIELD_POSITION];
	char text[24];

	if (position == NULL)
		return;
	snprintf(text, sizeof(text), "%ld",
	    atol(position) - (long)(query_of(req) - req->plan.sql));
	lk_error_set_field(error, LK_FIELD_POSITION, text);
}

static void
note_open(struct lk_request *req, struct lk_item *item)
{
	if (item->outcome != LK_ITEM_DONE) {
		correct_position(req, &item->error);
		return;
	}
	add_cursor(req->tx, req);
	lk_buf_truncate(&item->reply, 0);
	lk_enc_int(&item->reply, (int64_t)req->cursor);
}

/* Whether the statement has failed the transaction, which had not before:
 * PostgreSQL runs such a cursor no more, after ROLLBACK TO neither. */
static bool
has_broken(const struct lk_request *req, const struct lk_item *item)
{
	return item->outcome != LK_ITEM_DONE && req->tx->is_failed &&
	    item->error.kind != LK_ERR_TXABORTED;
}

static void
note_use(struct lk_request *req, struct lk_item *item)
{
	struct lk_cursor *cursor = find_cursor(req->tx, req->cursor);
	bool is_closed = is_verb(req, "CLOSE") &&
	    item->outcome == LK_ITEM_DONE;

	if (is_closed) {
		lk_buf_truncate(&item->reply, 0);
		lk_enc_simple(&item->reply, "OK");
	}
	if (is_closed || has_broken(req, item))
		forget_cursor(req->tx, cursor);
	else
		cursor->n_fetched += item->n_rows;
}

void
lk_cursor_note(struct lk_request *req, struct lk_item *item)
{
	if (req->control != NULL) {
		if (item->outcome == LK_ITEM_DONE)
			note_savepoint(req);
	} else if (req->cursor != 0 && is_verb(req, "OPEN")) {
		note_open(req, item);
	} else if (req->cursor != 0) {
		note_use(req, item);
	}
}

/* ---- in words ---- */

void
lk_cursor_words(struct lk_buf *out, const struct lk_request *req)
{
	const struct lk_cursor *cursor;
	const char *query;

	if (is_verb(req, "OPEN")) {
		query = query_of(req);
		lk_buf_puts(out, req->catalog != NULL ? " FIND " : " SQL ");
		lk_sql_redact(query, strlen(query), LK_DOING_MAX, out);
		return;
	}
	/* NULL: its session was lost, and it with that. */
	cursor = find_cursor(req->tx, req->cursor);
	if (is_verb(req, "FETCH"))
		lk_buf_printf(out, " %.*s", (int)req->args[1].len,
		    req->args[1].data);
	lk_buf_printf(out, " of cursor %llu: %s",
	    (unsigned long long)req->cursor,
	    cursor != NULL ? cursor->what : "it is gone");
}
