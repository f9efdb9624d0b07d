/*
 * Units being carried out.  EXEC is one request: it waits for a slot once, as a
 * statement of autocommit does, and is one job.  When that comes back as the
 * loser of a deadlock or of a serialization failure, or without its session and
 * before COMMIT was sent, nothing of the unit has been done, and it is begun
 * again from the start, up to RETRY times, before its client hears of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/*
 * Between two tries, doubled each time.  Units that have met would meet again if
 * they came back together, so each waits for some part of this that is its own;
 * and for no longer than a statement or two take, since who has won is through
 * by then.
 */
#define REST_MIN_US	(4 * LK_US_PER_MS)
#define REST_MAX_US	(128 * LK_US_PER_MS)

/* How long after a deadlock the task's next unit counts as another try. */
#define TRY_AGAIN_US	(5 * LK_US_PER_S)

/* ---- to a worker ---- */

static bool
has_statements(const struct lk_unit *unit)
{
	return unit->n_verbs > (unit->has_options ? 1 : 0);
}

/* What has no statement needs no session. */
static void
reply_at_once(struct lk_request *req)
{
	struct lk_buf value = LK_BUF_INIT;
	size_t i;

	lk_enc_array(&value, req->unit->n_verbs);
	for (i = 0; i < req->unit->n_verbs; i++)
		lk_enc_simple(&value, "OK");
	req->unit->ended = lk_xstrdup("committed");
	lk_request_reply(req, &value);
	lk_buf_fini(&value);
}

static void
name_verb(const struct lk_unit *unit, size_t i, struct lk_error *error)
{
	const struct lk_unit_verb *verb = &unit->verbs[i];
	const struct lk_model *model = verb->plan.model;
	char index[24];

	lk_error_prefix(error, "verb %zu (%s%s%s%s): ", i + 1,
	    verb->is_must ? "MUST " : "", verb->verb->name,
	    model != NULL ? " " : "", model != NULL ? model->name : "");
	snprintf(index, sizeof(index), "%zu", i + 1);
	lk_error_set_field(error, LK_FIELD_INDEX, index);
}

/* Against another snapshot than the one in force; or it nests rows, and the
 * form of these is EXEC's. */
static bool
is_outdated(const struct lk_unit *unit, const struct lk_unit_verb *verb)
{
	return verb->verb->run == lk_run_orm &&
	    (verb->catalog != unit->database->catalog ||
	    (verb->plan.with.n_loads > 0 && !verb->rows_said));
}

static int
compile(struct lk_request *req, struct lk_error *error)
{
	struct lk_unit *unit = req->unit;
	size_t i;
	int rc = 0;

	for (i = 0; i < unit->n_verbs && rc == 0; i++) {
		if (!is_outdated(unit, &unit->verbs[i]))
			continue;
		rc = lk_unit_compile(unit, i, lk_unit_format(req, i),
		    req->client->null_text, error);
		if (rc < 0)
			name_verb(unit, i, error);
	}
	return rc;
}

static void
begin(struct lk_request *req)
{
	struct lk_error error;
	int rc;

	if (req->was_recompiled && lk_catalog_await(req))
		return;
	lk_error_init(&error);
	rc = compile(req, &error);
	if (rc == 0)
		lk_run_statement(req);
	else if (!lk_orm_awaits_newer(req, rc))
		lk_request_fail(req, &error);
	lk_error_fini(&error);
}

/* Whether there is none, or none for this EXEC; then it has failed. */
static bool
has_no_unit(struct lk_request *req)
{
	const struct lk_unit *unit = req->task->unit;
	struct lk_error error;

	lk_error_init(&error);
	if (unit == NULL) {
		lk_error_set(&error, LK_ERR_SYNTAX, "EXEC without MULTI");
		lk_error_set_sqlstate(&error, "25P01");
	} else if (unit->client != req->client) {
		lk_error_set(&error, LK_ERR_SYNTAX, "another connection has "
		    "opened the unit of this task");
	} else if (req->database_said && req->database != unit->database) {
		lk_error_set(&error, LK_ERR_SYNTAX, "the unit is one of %s",
		    unit->database->config->name);
	} else {
		return false;
	}
	lk_request_fail(req, &error);
	return true;
}

/* The task's last unit, if that lost a deadlock, was a try of this one. */
static void
inherit_rounds(struct lk_unit *unit, struct lk_task *task)
{
	unit->rounds = lk_task_take_rounds(task);
	unit->age = unit->rounds.n_lost > 0 ? unit->rounds.age :
	    task->core->next_handle++;
}

static void
start(struct lk_request *req)
{
	struct lk_unit *unit = req->unit;

	if (unit->broken != NULL) {
		lk_request_failf(req, LK_ERR_EXECABORT, "nothing was done, for "
		    "an error while queueing: %s", unit->broken);
	} else if (!has_statements(unit)) {
		reply_at_once(req);
	} else if (!lk_drain_refuses(req)) {
		inherit_rounds(unit, req->task);
		req->core->stats.units++;
		begin(req);
	}
}

void
lk_run_exec(struct lk_request *req)
{
	if (req->unit != NULL) {
		begin(req);	/* it waited for the catalog */
		return;
	}
	if (has_no_unit(req))
		return;
	req->unit = req->task->unit;
	req->database = req->unit->database;
	lk_unit_take_out(req->unit);
	start(req);
}

/* ---- once more ---- */

void
lk_exec_note_try(struct lk_request *req, const struct lk_error *why)
{
	struct lk_unit *unit = req->unit;

	if (unit->n_reasons == LK_REASONS_KEPT) {
		unit->n_reasons--;
		free(unit->reasons[0]);
		memmove(unit->reasons, unit->reasons + 1,
		    unit->n_reasons * sizeof(*unit->reasons));
	}
	unit->reasons[unit->n_reasons++] = lk_words_error(why);
}

bool
lk_exec_may_replay(const struct lk_request *req)
{
	const struct lk_unit *unit = req->unit;

	return unit != NULL && unit->n_replays < unit->n_replays_max &&
	    !unit->is_hopeless && req->client != NULL &&
	    !req->core->is_stopping;
}

/* Half of it and any part of the other half. */
static uint64_t
rest_us(const struct lk_request *req)
{
	unsigned n = req->unit != NULL ? req->unit->n_replays : 1, i;
	uint64_t key[] = { req->core->start_us, req->number, n };
	uint64_t rest = REST_MIN_US;

	for (i = 1; i < n && rest < REST_MAX_US; i++)
		rest *= 2;
	return rest / 2 + lk_hash_bytes(0, key, sizeof(key)) % (rest / 2);
}

static void
lose_round(struct lk_request *req)
{
	struct lk_unit *unit = req->unit;

	unit->rounds.n_lost++;
	unit->rounds.age = unit->age;
	unit->rounds.until_us = req->core->now_us + TRY_AGAIN_US;
}

/* Nothing of the try that was remains, as if the request had just come. */
static void
forget_try(struct lk_request *req)
{
	lk_error_fini(&req->why);
	req->why_is_wait = req->was_reported = req->keeps_slot = false;
	if (req->want_look)	/* its deadline has passed: now it can end */
		lk_timer_set(&req->core->timers, &req->deadline_timer,
		    req->core->now_us);
	req->want_look = false;
	req->cancel_since_us = 0;
	req->waitstart[0] = '\0';
	req->spent_us = req->locked_us;
	req->worker = NULL;
	lk_timer_clear(&req->core->timers, &req->cancel_timer);
}

void
lk_exec_rest(struct lk_request *req)
{
	forget_try(req);
	lk_request_set_state(req, LK_REQUEST_RETRYING);
	lk_timer_set(&req->core->timers, &req->queue_timer,
	    req->core->now_us + rest_us(req));
}

static void
replay(struct lk_request *req, const struct lk_error *why)
{
	struct lk_core *core = req->core;

	req->unit->n_replays++;
	core->stats.unit_replays++;
	lk_exec_note_try(req, why);
	if (why->kind == LK_ERR_DEADLOCK)
		lose_round(req);
	lk_deadlock_ended(req, LK_DEADLOCK_REPLAYED);
	lk_exec_rest(req);
}

void
lk_exec_try_again(struct lk_request *req)
{
	struct lk_error error;

	lk_error_init(&error);
	if (req->unit != NULL && compile(req, &error) < 0) {
		lk_request_fail(req, &error);
		lk_error_fini(&error);
		return;
	}
	lk_database_enqueue_again(req->database, req);
	lk_request_put_back(req);	/* its client may be paused by now */
	lk_database_serve(req->database);
}

/* ---- how it ends ---- */

static bool
is_of_verb(const struct lk_unit *unit, const struct lk_job *job,
    const struct lk_item *item, size_t *i_out)
{
	*i_out = (size_t)(item - job->items);
	return *i_out < unit->n_verbs;
}

/*
 * One of its verbs says that the catalog is not as the snapshot has it: the unit
 * is compiled anew, once.
 */
static bool
goes_back(struct lk_request *req, struct lk_job *job, struct lk_item *item)
{
	struct lk_unit *unit = req->unit;
	struct lk_unit_verb *verb;
	size_t i;

	if (!is_of_verb(unit, job, item, &i) || unit->verbs[i].catalog == NULL)
		return false;
	verb = &unit->verbs[i];
	if (!lk_orm_explain(req->database, &verb->plan, &item->error) ||
	    !lk_orm_may_go_back(req))
		return false;
	lk_exec_note_try(req, &item->error);
	req->was_recompiled = true;
	req->worker = NULL;
	lk_request_set_state(req, LK_REQUEST_WAITING);
	lk_request_todo(req);
	return true;
}

/* Of the session's end, which is of no verb. */
static void
say_lost(struct lk_error *error)
{
	char *words = lk_xstrdup(error->message);

	lk_error_set(error, LK_ERR_CONNLOST, "the session was lost: nothing of "
	    "the unit was committed");
	lk_error_set_field(error, LK_FIELD_DETAIL, words);
	free(words);
}

static bool
is_lost(const struct lk_request *req, const struct lk_item *item)
{
	return item->error.kind == LK_ERR_CONNLOST &&
	    !lk_cancel_has_hit(req, item);
}

/* What it failed of, as if it had been run alone. */
static const struct lk_error *
reason_of(const struct lk_request *req, const struct lk_item *item)
{
	return lk_cancel_has_hit(req, item) ? &req->why : &item->error;
}

static bool
is_to_replay(const struct lk_request *req, const struct lk_error *why)
{
	/* Somebody has asked for its end, but the server was faster. */
	if (req->why.is_set && why != &req->why &&
	    req->why.kind != LK_ERR_DEADLOCK)
		return false;
	return lk_exec_may_replay(req) && (why->kind == LK_ERR_DEADLOCK ||
	    why->kind == LK_ERR_SERIALIZE || why->kind == LK_ERR_CONNLOST);
}

static void
fail(struct lk_request *req, struct lk_job *job, struct lk_item *item)
{
	struct lk_unit *unit = req->unit;
	struct lk_error *error = lk_cancel_reason(req, item);
	size_t i;

	if (error->kind == LK_ERR_DEADLOCK) {
		lose_round(req);
		lk_task_remember(req->task, &unit->rounds);
	}
	if (is_of_verb(unit, job, item, &i) && !is_lost(req, item))
		name_verb(unit, i, error);
	else if (!is_lost(req, item))
		lk_error_prefix(error, "COMMIT: ");
	if (unit->n_tries > 1)
		lk_error_prefix(error, "after %u tries: ", unit->n_tries);
	lk_request_fail(req, error);
}

static void
failed(struct lk_request *req, struct lk_job *job, struct lk_item *item)
{
	if (goes_back(req, job, item))
		return;
	if (is_lost(req, item))
		say_lost(&item->error);
	if (is_to_replay(req, reason_of(req, item)))
		replay(req, reason_of(req, item));
	else
		fail(req, job, item);
}

static void
fail_unknown(struct lk_request *req, const struct lk_item *item)
{
	struct lk_error why;

	lk_error_init(&why);
	lk_error_set(&why, LK_ERR_UNKNOWN, "the session was lost after COMMIT "
	    "of the unit was sent: whether it committed is not known");
	lk_error_set_field(&why, LK_FIELD_DETAIL, item->error.message);
	lk_request_fail(req, &why);
}

void
lk_exec_done(struct lk_request *req, struct lk_job *job)
{
	struct lk_item *item = lk_job_answer(job);

	switch (item->outcome) {
	case LK_ITEM_DONE:
		req->unit->ended = lk_xstrdup("committed");
		lk_request_reply(req, &item->reply);
		break;
	case LK_ITEM_FAILED:
		failed(req, job, item);
		break;
	case LK_ITEM_UNSENT:
		lk_request_failf(req, LK_ERR_CONNLOST,
		    "the session was lost before the unit was sent: %s",
		    item->error.is_set ? item->error.message : "");
		break;
	case LK_ITEM_LOST:
		fail_unknown(req, item);
		break;
	}
}

void
lk_exec_note_failure(struct lk_request *req, const struct lk_error *error)
{
	if (req->unit != NULL && req->unit->ended == NULL)
		req->unit->ended = lk_words_error(error);
}

void
lk_exec_end(struct lk_request *req)
{
	struct lk_unit *unit = req->unit;

	if (unit == NULL)
		return;
	req->unit = NULL;
	lk_unit_forget_verbs(unit);
	unit->total_us = req->core->now_us - req->arrived_us;
	if (req->client == NULL) {
		lk_unit_free(&unit);
		return;
	}
	lk_unit_free(&req->client->last_unit);
	req->client->last_unit = unit;
}
