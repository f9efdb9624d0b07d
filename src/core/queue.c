/*
 * A unit's verbs: what a request leaves there when its turn comes between MULTI
 * and EXEC, compiled so far that what is wrong is said at once, and what of it
 * goes into the unit's job.
 */
#include <stdlib.h>

#include "base/die.h"
#include "core/internal.h"
#include "orm/sqltext.h"

/* ---- from a request ---- */

bool
lk_unit_takes(const struct lk_request *req)
{
	if (req->is_must)
		return true;
	return req->task->unit != NULL && !req->tx_said &&
	    !(req->verb->flags & LK_VERB_PAST_UNIT);
}

static int
refuse(struct lk_error *error, const char *text, const char *what)
{
	lk_error_set(error, LK_ERR_SYNTAX, text, what);
	return -LK_E_INVAL;
}

/* By where it stands, and by its envelope. */
static int
check_place(const struct lk_request *req, struct lk_error *error)
{
	const struct lk_unit *unit = req->task->unit;
	const char *name = req->verb->name;

	if (unit == NULL || req->tx_said)
		return refuse(error, "MUST %s stands between MULTI and EXEC",
		    name);
	if (unit->client != req->client)
		return refuse(error, "%s is not queued: another connection has "
		    "opened the unit of this task", name);
	if (!(req->verb->flags & LK_VERB_UNIT))
		return refuse(error, "%s does not stand between MULTI and "
		    "EXEC: SQL, PUBLISH and the verbs about models do", name);
	if (req->verb->run == lk_run_unit && unit->n_verbs > 0)
		return refuse(error, "%s is the first verb of a unit or none",
		    name);
	if (req->time_said)
		return refuse(error, "how long %s may take is not said for one "
		    "verb of a unit: put ~ and ? in front of EXEC", name);
	if (req->database_said && req->database != unit->database)
		return refuse(error, "the unit is one of %s: put / in front of "
		    "MULTI", unit->database->config->name);
	return 0;
}

static size_t
count_bytes(const struct lk_request *req)
{
	size_t i, n = 0;

	for (i = 0; i < req->n_args; i++)
		n += req->args[i].len + sizeof(req->args[i]);
	return n;
}

static int
check_size(const struct lk_request *req, struct lk_error *error)
{
	const struct lk_config *config = req->core->config;
	const struct lk_unit *unit = req->task->unit;

	if (req->core->n_waiting + req->core->n_unit_verbs >
	    config->limit_queue) {
		lk_error_set(error, LK_ERR_OVERLOAD, "limits.queue (%u) "
		    "requests wait for their turn or their EXEC: try again "
		    "later", (unsigned)config->limit_queue);
		return -LK_E_LIMIT;
	}
	if (unit->n_bytes + count_bytes(req) > config->limit_request_bytes) {
		lk_error_set(error, LK_ERR_OVERLOAD, "the verbs of a unit are "
		    "one request, and together larger than limits.request "
		    "(%zu bytes)", (size_t)config->limit_request_bytes);
		return -LK_E_LIMIT;
	}
	return 0;
}

/* What the values of the i-th verb may refer to. */
static struct lk_ref_scope
refs_of(const struct lk_unit *unit, size_t i)
{
	return (struct lk_ref_scope){
		.marker = unit->marker,
		.first = unit->has_options ? 2 : 1,
		.end = (uint32_t)i + 1,
	};
}

static int
check_sql(const struct lk_unit *unit, const struct lk_request *req,
    struct lk_error *error)
{
	struct lk_ref_scope refs = refs_of(unit, unit->n_verbs);
	struct lk_row_ref ref;
	size_t i;

	if (req->args[0].data == NULL)
		return refuse(error, "SQL takes a statement, not %s", "NULL");
	for (i = 1; i < req->n_args; i++) {
		if (lk_row_ref_parse(&refs, &req->args[i], &ref, error) < 0) {
			lk_error_prefix(error, "SQL: parameter $%zu: ", i);
			return -LK_E_INVAL;
		}
	}
	return lk_sql_check(req->args[0].data, req->args[0].len,
	    req->n_args - 1, true, error);
}

int
lk_unit_compile(struct lk_unit *unit, size_t i, struct lk_format format,
    const char *null_text, struct lk_error *error)
{
	struct lk_unit_verb *verb = &unit->verbs[i];
	struct lk_verb_call call = {
		.verb = verb->verb->orm,
		.args = verb->args,
		.n_args = verb->n_args,
		.in_tx = true,
		.format = format,
		.null_text = null_text,
		.refs = refs_of(unit, i),
	};
	struct lk_catalog *catalog = lk_catalog_use(unit->database);
	int rc;

	lk_plan_fini(&verb->plan);
	lk_catalog_let_go(unit->database, &verb->catalog);
	rc = lk_verb_compile(catalog, &call, &verb->plan, error);
	if (rc == 0)
		verb->catalog = lk_catalog_hold(catalog);
	return rc;
}

static struct lk_unit_verb *
add_verb(struct lk_unit *unit)
{
	if (unit->n_verbs == unit->cap_verbs) {
		unit->cap_verbs = unit->cap_verbs > 0 ?
		    2 * unit->cap_verbs : 8;
		unit->verbs = lk_xrealloc(unit->verbs,
		    unit->cap_verbs * sizeof(*unit->verbs));
	}
	return &unit->verbs[unit->n_verbs];
}

/* Its arguments become the unit's. */
static void
take_args(struct lk_unit_verb *verb, struct lk_request *req)
{
	*verb = (struct lk_unit_verb){
		.verb = req->verb,
		.args = req->args,
		.n_args = req->n_args,
		.rows_said = req->rows_said,
		.rows = req->format.rows,
		.is_must = req->is_must,
		.may_rerun = req->may_rerun,
	};
	req->args = NULL;
	req->n_args = 0;
}

static void
give_args_back(struct lk_unit_verb *verb, struct lk_request *req)
{
	req->args = verb->args;
	req->n_args = verb->n_args;
}

/* -LK_E_AGAIN: it waits for the catalog, and is tried again then. */
static int
compile(struct lk_unit *unit, struct lk_request *req, struct lk_error *error)
{
	struct lk_format format = req->format;
	int rc;

	/* Until EXEC says which it is, take the one that nests deepest. */
	if (!req->rows_said)
		format.rows = LK_ROWS_JSON;
	format.depth = 1;
	req->database = unit->database;
	if (unit->database->catalog == NULL && lk_catalog_await(req))
		return -LK_E_AGAIN;
	take_args(add_verb(unit), req);
	rc = lk_unit_compile(unit, unit->n_verbs, format,
	    req->client->null_text, error);
	if (rc == 0)
		return 0;
	give_args_back(&unit->verbs[unit->n_verbs], req);
	return lk_orm_awaits_newer(req, rc) ? -LK_E_AGAIN : rc;
}

/* -LK_E_AGAIN: it has had its error. */
static int
plan_publish(struct lk_unit *unit, struct lk_request *req,
    struct lk_error *error)
{
	struct lk_ref_scope refs = refs_of(unit, unit->n_verbs);
	struct lk_unit_verb *verb = add_verb(unit);
	struct lk_plan plan = { 0 };
	struct lk_row_ref ref;
	int rc = lk_row_ref_parse(&refs, &req->args[1], &ref, error);

	if (rc < 0) {
		lk_error_prefix(error, "PUBLISH: payload: ");
		return rc;
	}
	if (!lk_publish_plan(req, &plan))
		return -LK_E_AGAIN;
	if (rc == 1) {
		plan.params[1].data = ref.column.data;
		plan.params[1].len = ref.column.len;
		plan.params[1].from = ref.verb;
	}
	take_args(verb, req);
	verb->plan = plan;
	return 0;
}

/* It does not count yet. */
static int
add(struct lk_unit *unit, struct lk_request *req, struct lk_error *error)
{
	int rc;

	if (req->verb->run == lk_run_orm)
		return compile(unit, req, error);
	if (req->verb->run == lk_run_publish)
		return plan_publish(unit, req, error);
	if (req->verb->run == lk_run_unit) {
		rc = lk_unit_take_options(unit, req, error);
		unit->has_options = rc == 0;
	} else {
		rc = check_sql(unit, req, error);
	}
	if (rc == 0)
		take_args(add_verb(unit), req);
	return rc;
}

void
lk_unit_queue(struct lk_request *req)
{
	struct lk_unit *unit = req->task->unit;
	struct lk_error error;
	size_t n_bytes = count_bytes(req);
	int rc;

	lk_error_init(&error);
	rc = check_place(req, &error);
	if (rc == 0)
		rc = check_size(req, &error);
	if (rc == 0)
		rc = add(unit, req, &error);
	if (rc == 0) {
		unit->n_verbs++;
		unit->n_bytes += n_bytes;
		req->core->n_unit_verbs++;
		lk_request_simple(req, "QUEUED");
	} else if (rc != -LK_E_AGAIN) {
		lk_request_fail(req, &error);
	}
	lk_error_fini(&error);
}

/* ---- into a job, and back ---- */

static void
fill_params(struct lk_item *item, const struct lk_unit *unit, size_t at)
{
	struct lk_ref_scope refs = refs_of(unit, at);
	const struct lk_arg *args = unit->verbs[at].args;
	struct lk_row_ref ref;
	struct lk_param *params;
	struct lk_error error;
	size_t i;

	lk_error_init(&error);
	params = lk_item_new_params(item, unit->verbs[at].n_args - 1);
	for (i = 0; i < item->n_params; i++) {
		params[i] = (struct lk_param){ .data = args[i + 1].data,
		    .len = args[i + 1].len };
		if (lk_row_ref_parse(&refs, &args[i + 1], &ref, &error) != 1)
			continue;
		params[i] = (struct lk_param){ .data = ref.column.data,
		    .len = ref.column.len, .from = ref.verb };
	}
	lk_error_fini(&error);
}

struct lk_format
lk_unit_format(const struct lk_request *req, size_t i)
{
	const struct lk_unit_verb *verb = &req->unit->verbs[i];
	struct lk_format format = req->format;

	format.depth = 1;
	if (verb->rows_said)
		format.rows = verb->rows;
	return format;
}

static void
fill_item(struct lk_item *item, const struct lk_request *req, size_t i)
{
	const struct lk_unit_verb *verb = &req->unit->verbs[i];

	item->request = req->id;
	item->format = lk_unit_format(req, i);
	item->is_must = verb->is_must;
	if (verb->verb->run == lk_run_unit) {
		item->kind = LK_ITEM_OK;
		return;
	}
	if (verb->plan.sql != NULL) {
		lk_orm_fill(item, &verb->plan);
	} else {
		item->sql = verb->args[0].data;
		fill_params(item, req->unit, i);
	}
	req->unit->may_rerun &= lk_park_may_rerun_verb(req->core, verb);
}

struct lk_job *
lk_unit_job(struct lk_request *req)
{
	struct lk_unit *unit = req->unit;
	struct lk_job *job = lk_job_new(unit->n_verbs + 1);
	struct lk_item *commit = &job->items[unit->n_verbs];
	size_t i;

	job->is_unit = true;
	job->begin = unit->begin;
	unit->may_rerun = true;
	for (i = 0; i < unit->n_verbs; i++)
		fill_item(&job->items[i], req, i);
	commit->kind = LK_ITEM_CONTROL;
	commit->request = req->id;
	commit->sql = "COMMIT";
	unit->n_tries++;
	return job;
}

bool
lk_unit_is_clean(const struct lk_unit *unit)
{
	const struct lk_unit_verb *verb;

	for (verb = unit->verbs; verb < unit->verbs + unit->n_verbs; verb++) {
		if (verb->verb->run != lk_run_unit && !verb->plan.is_clean)
			return false;
	}
	return true;
}

void
lk_unit_note_try(struct lk_request *req, struct lk_job *job)
{
	struct lk_unit *unit = req->unit;

	unit->n_statements = job->n_statements;
	unit->n_round_trips = job->n_round_trips;
	/* Of nothing that was sent there is nothing to tell. */
	if (lk_job_answer(job)->outcome == LK_ITEM_UNSENT)
		unit->n_tries--;
}
