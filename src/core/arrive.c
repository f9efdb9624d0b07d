/*
 * A request's arrival: its envelope, its limits, its arguments, and its place
 * in the queues of task, transaction and connection.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

static int
count_args(const struct lk_verb *verb, size_t n, struct lk_error *error)
{
	if (n >= verb->min_args && n <= verb->max_args)
		return 0;
	lk_error_set(error, LK_ERR_SYNTAX, "%s takes %s arguments: %s",
	    verb->name, n < verb->min_args ? "more" : "fewer", verb->syntax);
	return -LK_E_INVAL;
}

/* The request itself is counted already; a limit is inclusive. */
static int
check_load(const struct lk_request *req, struct lk_error *error)
{
	const struct lk_config *config = req->core->config;

	if (req->verb->flags & LK_VERB_ALWAYS)
		return 0;
	if (req->client->n_outstanding > config->limit_in_flight) {
		lk_error_set(error, LK_ERR_OVERLOAD, "limits.in_flight (%u) "
		    "requests of this connection have no reply yet: read some "
		    "first", (unsigned)config->limit_in_flight);
		return -LK_E_LIMIT;
	}
	if (req->core->n_waiting + req->core->n_unit_verbs >
	    config->limit_queue) {
		lk_error_set(error, LK_ERR_OVERLOAD, "limits.queue (%u) "
		    "requests wait for their turn: try again later",
		    (unsigned)config->limit_queue);
		return -LK_E_LIMIT;
	}
	return 0;
}

bool
lk_client_says_null(const struct lk_client *client, const struct lk_arg *arg)
{
	const char *text = client->null_text;

	return arg->data == NULL || (text != NULL &&
	    arg->len == strlen(text) && memcmp(arg->data, text, arg->len) == 0);
}

/* Keep the arguments, and what they point into, each with a NUL behind it. */
static int
keep_args(struct lk_request *req, const struct lk_arg *args, size_t n,
    struct lk_error *error)
{
	bool has_params = req->verb->flags & LK_VERB_PARAMS;
	size_t i, total = n * sizeof(*req->args);
	char *p;

	for (i = 0; i < n; i++)
		total += args[i].len + 1;
	req->args = malloc(total + 1);
	if (req->args == NULL) {
		lk_error_set(error, LK_ERR_OVERLOAD,
		    "no memory for a request of %zu bytes", total);
		return -LK_E_NOMEM;
	}
	req->n_args = n;
	p = (char *)(req->args + n);
	for (i = 0; i < n; i++) {
		req->args[i] = (struct lk_arg){
		    args[i].data != NULL ? p : NULL, args[i].len };
		if (args[i].len > 0)
			memcpy(p, args[i].data, args[i].len);
		if (i > 0 && has_params &&
		    lk_client_says_null(req->client, &args[i]))
			req->args[i] = (struct lk_arg){ NULL, 0 };
		p += args[i].len;
		*p++ = '\0';
	}
	return 0;
}

/* timeouts.statement: not for what ends a transaction, which must go through. */
static void
set_default_deadline(struct lk_request *req)
{
	uint64_t after_us = req->core->config->timeout_statement_us;

	if (req->deadline_us != LK_NEVER || after_us == 0 ||
	    (req->verb->flags & LK_VERB_NO_DEADLINE))
		return;
	req->deadline_us = req->arrived_us + after_us;
	req->deadline_ms = after_us / LK_US_PER_MS;
}

/* What acts on receipt stands in no task's queue; but its task awaits the reply,
 * if that is held, like any other. */
static void
run_on_receipt(struct lk_request *req, const struct lk_arg *args,
    size_t n_args)
{
	struct lk_core *core = req->core;
	struct lk_id id = req->id;

	lk_request_run(req);
	req = lk_idtab_get(&core->request_ids, id);
	if (req == NULL || req->state != LK_REQUEST_HELD)
		return;
	req->task = lk_envelope_task(req, args, n_args);
	if (req->task != NULL)
		lk_list_append(&req->task->held, &req->task_link);
}

static void
accept_request(struct lk_request *req, const struct lk_arg *args,
    size_t n_args)
{
	struct lk_client *client = req->client;

	if (req->verb->flags & LK_VERB_ON_RECEIPT) {
		if (req->n_tag > 0 || !lk_request_is_held_back(req)) {
			run_on_receipt(req, args, n_args);
			return;
		}
		/* So that nothing waits behind it meanwhile. */
		req->task = lk_task_new(req->core, client);
	}
	if (req->task == NULL && req->tx != NULL)
		req->task = req->tx->owner;
	if (req->task == NULL)
		req->task = req->n_tag > 0 ?
		    lk_task_new(req->core, client) : lk_client_task(client);
	lk_list_append(&req->task->requests, &req->task_link);
	if (req->tx != NULL)
		lk_request_join(req, req->tx);
	set_default_deadline(req);
	if (req->deadline_us != LK_NEVER)
		lk_timer_set(&req->core->timers, &req->deadline_timer,
		    req->deadline_us);
	lk_request_todo(req);
}

/* Before it stood in any queue but the connection's.  Its task awaits the reply,
 * which may be held, like any other. */
static void
refuse_request(struct lk_request *req, const struct lk_arg *args,
    size_t n_args, struct lk_error *error)
{
	struct lk_task *task = lk_envelope_task(req, args, n_args);

	if (req->task != NULL && req->task != task)
		lk_task_forget(req->task);
	req->task = task;
	if (task != NULL)
		lk_list_append(&task->requests, &req->task_link);
	req->tx = NULL;
	if (req->verb == NULL)	/* what SHOW says that it does */
		req->doing = lk_xstrdup("(refused)");
	lk_request_fail(req, error);
}

void
lk_core_request(struct lk_client *client, const struct lk_arg *args,
    size_t n_args)
{
	struct lk_core *core = client->core;
	struct lk_request *req;
	struct lk_error error;
	size_t n_used;
	int rc;

	if (client->is_closing || n_args == 0)
		return;
	core->stats.requests++;
	client->n_requests++;
	req = lk_request_new(client);
	lk_error_init(&error);
	rc = lk_envelope_parse(req, args, n_args, &n_used, &error);
	if (rc == 0)
		rc = count_args(req->verb, n_args - n_used, &error);
	if (rc == 0)
		rc = check_load(req, &error);
	if (rc == 0)
		rc = keep_args(req, args + n_used, n_args - n_used, &error);
	if (req->n_tag > 0)
		lk_request_take_tag(req);
	else
		lk_list_append(&client->order, &req->order_link);
	if (rc == 0) {
		lk_record_received(req);
		accept_request(req, args, n_args);
	} else {
		refuse_request(req, args, n_args, &error);
	}
	lk_error_fini(&error);
	lk_core_pump(core);
}

void
lk_core_bad_request(struct lk_client *client, const struct lk_error *error)
{
	struct lk_request *req;
	struct lk_error copy;

	if (client->is_closing)
		return;
	req = lk_request_new(client);
	lk_list_append(&client->order, &req->order_link);
	client->is_closing = true;
	lk_error_init(&copy);
	lk_error_set(&copy, error->kind, "%s", error->message);
	lk_request_fail(req, &copy);
	lk_core_pump(client->core);
}
