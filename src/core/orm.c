/*
 * The verbs about models: compiled here, against the snapshot of the catalog
 * that is in force, and then run as any statement is.  What the snapshot does
 * not know, and what the server says is no longer as the snapshot has it, asks
 * for a newer one; outside a transaction the request is then compiled anew,
 * once, before its client hears of it.  What only reads and has lost its session
 * is sent once more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "orm/verb.h"

/* ---- compiling ---- */

void
lk_orm_forget(struct lk_request *req)
{
	req->cursor = 0;
	if (req->shape != NULL)
		lk_keyed_forget_plan(&req->plan);
	lk_shape_leave(req);
	lk_plan_fini(&req->plan);
	lk_catalog_let_go(req->database, &req->catalog);
}

static int
compile(struct lk_request *req, enum lk_orm_verb verb, size_t first,
    struct lk_error *error)
{
	struct lk_verb_call call = {
		.verb = verb,
		.args = req->args + first,
		.n_args = req->n_args - first,
		.in_tx = req->tx != NULL,
		.format = req->format,
		.null_text = req->client->null_text,
	};
	struct lk_catalog *catalog = lk_catalog_use(req->database);
	int rc;

	lk_orm_forget(req);
	/* OPEN's are its cursor's. */
	if (first == 0 && lk_shape_find(req, &call)) {
		lk_keyed_plan(req->shape->keyed, call.args, req->few_params,
		    &req->plan);
		req->catalog = lk_catalog_hold(catalog);
		return 0;
	}
	rc = lk_verb_compile(catalog, &call, &req->plan, error);
	if (rc != 0)
		return rc;
	req->catalog = lk_catalog_hold(catalog);
	if (first == 0)
		lk_shape_remember(req, &call);
	return 0;
}

/*
 * Whether what was refused waits for a newer snapshot.  A name may be one that
 * was made a moment ago; a value that is none of its column's type, or one too
 * many for a key, is seldom right after a change, and mostly never.
 */
bool
lk_orm_awaits_newer(struct lk_request *req, int rc)
{
	if (rc == -LK_E_NOENT)
		return lk_catalog_await(req);
	return rc == -LK_E_INVAL && lk_catalog_await_recent(req);
}

bool
lk_orm_compile(struct lk_request *req, enum lk_orm_verb verb, size_t first)
{
	struct lk_error error;
	int rc;

	if ((req->database->catalog == NULL || req->was_recompiled) &&
	    lk_catalog_await(req))
		return false;
	lk_error_init(&error);
	rc = compile(req, verb, first, &error);
	if (rc != 0 && !lk_orm_awaits_newer(req, rc))
		lk_request_fail(req, &error);
	lk_error_fini(&error);
	return rc == 0;
}

void
lk_run_orm(struct lk_request *req)
{
	if (!lk_tx_refuses(req) && lk_orm_compile(req, req->verb->orm, 0))
		lk_run_statement(req);
}

/* ---- handing over ---- */

/* A part of an argument: what follows it is no NUL. */
static bool
is_cut(const struct lk_plan_param *param)
{
	return param->data != NULL && param->data[param->len] != '\0';
}

static size_t
text_bytes(const struct lk_plan *plan)
{
	size_t i, total = strlen(plan->sql) + 1;

	for (i = 0; i < plan->n_params; i++) {
		if (is_cut(&plan->params[i]))
			total += plan->params[i].len + 1;
	}
	return total;
}

/* With a NUL behind it, and the place after that. */
static char *
put_text(char *at, const char *data, size_t n)
{
	memcpy(at, data, n);
	at[n] = '\0';
	return at + n + 1;
}

/* The shape is there until the job is back, and none of the parameters is cut. */
static void
fill_from_shape(struct lk_item *item, const struct lk_plan *plan)
{
	struct lk_param *params;
	size_t i;

	item->sql = plan->sql;
	item->shape = plan->shape;
	lk_with_copy(&item->with, &plan->with);
	params = lk_item_new_params(item, plan->n_params);
	for (i = 0; i < plan->n_params; i++)
		params[i] = (struct lk_param){
		    .data = plan->params[i].data, .len = plan->params[i].len,
		    .type = plan->params[i].type };
}

void
lk_orm_fill_item(struct lk_item *item, const struct lk_request *req)
{
	if (req->shape != NULL)
		fill_from_shape(item, &req->plan);
	else
		lk_orm_fill(item, &req->plan);
}

void
lk_orm_fill(struct lk_item *item, const struct lk_plan *plan)
{
	const struct lk_plan_param *from;
	char *at;
	size_t i;

	/* One block: parameters, the text, and what is cut out of arguments. */
	item->params = lk_xmalloc(plan->n_params * sizeof(*item->params) +
	    text_bytes(plan));
	item->sql = at = (char *)(item->params + plan->n_params);
	item->shape = plan->shape;
	lk_with_copy(&item->with, &plan->with);
	item->n_params = plan->n_params;
	at = put_text(at, plan->sql, strlen(plan->sql));
	for (i = 0; i < plan->n_params; i++) {
		from = &plan->params[i];
		item->params[i] = (struct lk_param){ .data = from->data,
		    .len = from->len, .type = from->type,
		    .from = from->from };
		if (!is_cut(from))
			continue;
		item->params[i].data = at;
		at = put_text(at, from->data, from->len);
	}
}

/* ---- coming back ---- */

/* What the snapshot says of names and types is not so: of those that the
 * statement names, or of those that its triggers do. */
static bool
is_about_names(const char *sqlstate)
{
	static const char *const states[] = {
		"42P01",	/* undefined_table */
		"42703",	/* undefined_column */
		"42704",	/* undefined_object: a type */
		"42804",	/* datatype_mismatch */
		"42809",	/* wrong_object_type */
		"42883",	/* undefined_function: an operator of those types */
		"42P10",	/* invalid_column_reference: ON CONFLICT's key */
		"3F000",	/* invalid_schema_name */
		"428C9",	/* generated_always */
		"XX000",	/* "cache lookup failed": a type was dropped */
	};
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	}
	return false;
}

/* Without a word to its client. */
static bool
may_run_again(const struct lk_request *req)
{
	/* want_look: its deadline has passed while it ran. */
	return req->tx == NULL && req->client != NULL && !req->why.is_set &&
	    !req->want_look && !req->core->is_stopping;
}

bool
lk_orm_may_go_back(const struct lk_request *req)
{
	return may_run_again(req) && !req->was_recompiled;
}

bool
lk_orm_only_reads(const struct lk_request *req)
{
	return req->catalog != NULL && req->tx == NULL &&
	    !req->plan.is_write && req->plan.has_no_trace;
}

/* Its session is lost: what nothing can have come of runs again, once. */
static bool
reads_again(struct lk_request *req)
{
	if (!lk_orm_only_reads(req) || req->was_lost || !may_run_again(req))
		return false;
	req->was_lost = true;
	req->worker = NULL;
	lk_exec_rest(req);
	return true;
}

bool
lk_orm_explain(struct lk_database *db, const struct lk_plan *plan,
    struct lk_error *error)
{
	lk_plan_blame(plan, error);
	if (!is_about_names(error->sqlstate))
		return false;
	lk_catalog_doubt(db);
	return true;
}

bool
lk_orm_goes_back(struct lk_request *req, struct lk_item *item)
{
	if (req->catalog == NULL || !item->error.is_set)
		return false;
	if (item->error.kind == LK_ERR_CONNLOST)
		return reads_again(req);
	if (item->error.kind == LK_ERR_UNMET)
		lk_error_prefix(&item->error, "%s %s: ", req->verb->name,
		    req->plan.model->name);
	if (!lk_orm_explain(req->database, &req->plan, &item->error) ||
	    !lk_orm_may_go_back(req))
		return false;
	req->was_recompiled = true;
	req->worker = NULL;
	lk_request_set_state(req, LK_REQUEST_WAITING);
	lk_request_todo(req);
	return true;
}
