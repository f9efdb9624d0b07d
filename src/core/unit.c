/*
 * Units, from MULTI to EXEC.  A task's verbs are not carried out meanwhile but
 * kept (queue.c), and no session and no lock is held.  One that is wrong breaks
 * the unit: EXEC answers EXECABORT then.  So does one that was refused before its
 * turn came, when by the order of the task's requests it stands behind a MULTI.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

#define DEFAULT_REPLAYS	3
#define MAX_REPLAYS	1000

/* ---- MULTI's and UNIT's options ---- */

static int
take_replays(struct lk_unit *unit, const struct lk_arg *arg)
{
	uint64_t number;

	if (lk_parse_handle(arg, &number) < 0 || number > MAX_REPLAYS)
		return -LK_E_INVAL;
	unit->n_replays_max = (unsigned)number;
	return 0;
}

static int
take_marker(struct lk_unit *unit, const struct lk_arg *arg)
{
	if (!lk_is_printable(arg) || arg->len > LK_REF_MAX_MARKER)
		return -LK_E_INVAL;
	free(unit->marker);
	unit->marker = lk_xcalloc(1, arg->len + 1);
	memcpy(unit->marker, arg->data, arg->len);
	return 0;
}

/* 0: these are no such words. */
static size_t
take_option(struct lk_unit *unit, const struct lk_arg *args, size_t n)
{
	size_t n_words = lk_isolation_take(args, n, &unit->begin);

	if (n_words > 0)
		return n_words;
	if (n >= 2 && lk_arg_is(&args[0], "RETRY"))
		return take_replays(unit, &args[1]) == 0 ? 2 : 0;
	if (n >= 2 && lk_arg_is(&args[0], "REF"))
		return take_marker(unit, &args[1]) == 0 ? 2 : 0;
	return 0;
}

int
lk_unit_take_options(struct lk_unit *unit, const struct lk_request *req,
    struct lk_error *error)
{
	size_t i, n;

	for (i = 0; i < req->n_args; i += n) {
		n = take_option(unit, req->args + i, req->n_args - i);
		if (n > 0)
			continue;
		lk_error_set(error, LK_ERR_SYNTAX, "%s takes other words: %s "
		    "(n up to %d, a marker of up to %d printable bytes)",
		    req->verb->name, req->verb->syntax, MAX_REPLAYS,
		    LK_REF_MAX_MARKER);
		return -LK_E_INVAL;
	}
	return 0;
}

/* ---- from MULTI to its end ---- */

static struct lk_unit *
new_unit(struct lk_request *req)
{
	struct lk_unit *unit = lk_xcalloc(1, sizeof(*unit));

	unit->core = req->core;
	unit->client = req->client;
	unit->task = req->task;
	unit->database = req->database;
	unit->begin = "BEGIN";
	unit->n_replays_max = DEFAULT_REPLAYS;
	lk_list_append(&req->client->units, &unit->client_link);
	req->task->unit = unit;
	return unit;
}

void
lk_unit_take_out(struct lk_unit *unit)
{
	lk_list_remove(&unit->client_link);
	unit->core->n_unit_verbs -= unit->n_verbs;
	unit->task->unit = NULL;
	unit->task = NULL;
	unit->client = NULL;
}

void
lk_unit_forget_verbs(struct lk_unit *unit)
{
	size_t i;

	for (i = 0; unit->verbs != NULL && i < unit->n_verbs; i++) {
		lk_plan_fini(&unit->verbs[i].plan);
		lk_catalog_let_go(unit->database, &unit->verbs[i].catalog);
		free(unit->verbs[i].args);
	}
	free(unit->verbs);
	unit->verbs = NULL;
}

void
lk_unit_free(struct lk_unit **unitp)
{
	struct lk_unit *unit = *unitp;
	unsigned i;

	if (unit == NULL)
		return;
	lk_unit_forget_verbs(unit);
	for (i = 0; i < unit->n_reasons; i++)
		free(unit->reasons[i]);
	free(unit->marker);
	free(unit->broken);
	free(unit->ended);
	free(unit);
	*unitp = NULL;
}

static void
drop(struct lk_unit *unit)
{
	struct lk_task *task = unit->task;

	lk_unit_take_out(unit);
	lk_unit_free(&unit);
	lk_task_forget(task);
}

void
lk_unit_drop_all(struct lk_client *client)
{
	while (!lk_list_is_empty(&client->units))
		drop(lk_container(client->units.next, struct lk_unit,
		    client_link));
}

static void
fail_state(struct lk_request *req, const char *sqlstate, const char *text)
{
	struct lk_error error;

	lk_error_init(&error);
	lk_error_set(&error, LK_ERR_SYNTAX, "%s", text);
	lk_error_set_sqlstate(&error, sqlstate);
	lk_request_fail(req, &error);
}

static void
break_unit(struct lk_unit *unit, const struct lk_error *error)
{
	if (unit->broken == NULL)
		unit->broken = lk_words_error(error);
}

static void
fail_nested(struct lk_request *req)
{
	struct lk_error error;

	lk_error_init(&error);
	lk_error_set(&error, LK_ERR_SYNTAX, "MULTI does not nest: the unit of "
	    "this task waits for its EXEC or DISCARD");
	lk_error_set_sqlstate(&error, "25001");
	if (req->breaks_unit)
		break_unit(req->task->unit, &error);
	lk_request_fail(req, &error);
}

/* It would be in the connection's transaction, were it a statement. */
static bool
is_in_current(const struct lk_request *req)
{
	const struct lk_tx *current = req->client->current;

	return current != NULL && req->n_tag == 0 &&
	    req->task == current->owner;
}

void
lk_run_multi(struct lk_request *req)
{
	struct lk_unit *unit;
	struct lk_error error;

	if (req->task->unit != NULL) {
		fail_nested(req);
		return;
	}
	if (is_in_current(req)) {
		fail_state(req, "25001", "this connection is in a transaction "
		    "already, and a unit is one of its own: COMMIT or "
		    "ROLLBACK that first");
		return;
	}
	if (req->task->name == NULL && req->task != req->client->task) {
		lk_request_failf(req, LK_ERR_SYNTAX, "a tagged MULTI needs a "
		    "task to whom what follows belongs: name it with %%");
		return;
	}
	lk_error_init(&error);
	unit = new_unit(req);
	if (lk_unit_take_options(unit, req, &error) < 0) {
		lk_unit_take_out(unit);
		lk_unit_free(&unit);
		lk_request_fail(req, &error);
		return;
	}
	if (req->breaks_unit) {
		lk_error_set(&error, LK_ERR_SYNTAX,
		    "a verb of it was refused before its turn came");
		break_unit(unit, &error);
		lk_error_fini(&error);
	}
	lk_request_simple(req, "OK");
}

/* Where it may stand lk_unit_queue() has it. */
void
lk_run_unit(struct lk_request *req)
{
	lk_request_failf(req, LK_ERR_SYNTAX, "UNIT stands behind MULTI, as the "
	    "first verb of a unit");
}

void
lk_run_discard(struct lk_request *req)
{
	if (req->task->unit == NULL) {
		fail_state(req, "25P01", "DISCARD without MULTI");
		return;
	}
	drop(req->task->unit);
	lk_request_simple(req, "OK");
}

/* ---- what is wrong with it ---- */

/* The unit that is open once those up to this one have passed is dropped. */
static void
end_behind(struct lk_task *task, struct lk_list *last)
{
	if (last != &task->requests)
		lk_container(last, struct lk_request, task_link)->ends_unit =
		    true;
	else if (task->unit != NULL)
		drop(task->unit);
}

void
lk_unit_passed(struct lk_request *req)
{
	if (req->ends_unit)
		end_behind(req->task, req->task_link.prev);
	req->ends_unit = false;
}

static bool
is_end(const struct lk_request *req)
{
	return !req->is_must && (req->verb->run == lk_run_exec ||
	    req->verb->run == lk_run_discard);
}

/* Only who has opened it may. */
static bool
was_to_end(const struct lk_request *req, const struct lk_task *task)
{
	return req->verb != NULL && is_end(req) &&
	    (task->unit == NULL || task->unit->client == req->client);
}

void
lk_unit_note_failure(const struct lk_request *req, struct lk_task *task,
    const struct lk_error *error)
{
	struct lk_list *at = req->task_link.prev;
	struct lk_request *before;

	if (req->tx_said)
		return;
	if (was_to_end(req, task)) {
		end_behind(task, at);
		return;
	}
	if (req->verb != NULL && !req->is_must &&
	    (req->verb->flags & (LK_VERB_ON_RECEIPT | LK_VERB_PAST_UNIT)))
		return;
	for (; at != &task->requests; at = at->prev) {
		before = lk_container(at, struct lk_request, task_link);
		if (before->verb->run == lk_run_multi) {
			before->breaks_unit = true;
			return;
		}
		if (is_end(before))
			return;
	}
	if (task->unit != NULL)
		break_unit(task->unit, error);
}
