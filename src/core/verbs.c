#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "orm/sqltext.h"

/* PostgreSQL cuts longer names; two that differ behind the cut would be one. */
#define MAX_SAVEPOINT	63

/* ---- PING, QUIT ---- */

static void
run_ping(struct lk_request *req)
{
	static const struct lk_arg empty = { "", 0 };
	const struct lk_arg *message = req->n_args > 0 ? &req->args[0] : &empty;
	struct lk_buf value = LK_BUF_INIT;

	if (lk_subscribe_is_mode(req->client)) {
		lk_enc_array(&value, 2);
		lk_enc_text(&value, "pong");
		lk_enc_bulk(&value, message->data, message->len);
	} else if (req->n_args == 0) {
		lk_enc_simple(&value, "PONG");
	} else {
		lk_enc_bulk(&value, message->data, message->len);
	}
	lk_request_reply(req, &value);
	lk_buf_fini(&value);
}

static void
run_quit(struct lk_request *req)
{
	req->client->is_closing = true;
	lk_request_simple(req, "OK");	/* closes, if it was the last */
}

/* ---- statements ---- */

void
lk_run_statement(struct lk_request *req)
{
	struct lk_tx *tx = req->tx;

	if (lk_drain_refuses(req))
		return;
	if (lk_park_join(req))
		return;
	if (tx == NULL || tx->worker == NULL)
		lk_database_enqueue(req->database, req);
	else if (lk_lane_enter(req))
		lk_worker_submit(tx->worker, req);
	else
		lk_deadlock_refuse(req);
}

static void
run_sql(struct lk_request *req)
{
	struct lk_error error;

	if (lk_tx_refuses(req))
		return;
	lk_error_init(&error);
	if (req->args[0].data == NULL)
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "SQL takes a statement, not NULL");
	else if (lk_sql_check(req->args[0].data, req->args[0].len,
	    req->n_args - 1, req->tx != NULL, &error) < 0)
		lk_request_fail(req, &error);
	else
		lk_run_statement(req);
}

/* ---- transactions ---- */

struct begin {
	int	isolation;	/* index into the texts below */
	bool	read_only, deferrable, is_shared, is_here;
};

static const char *const begin_texts[4][2][2] = {
#define TEXTS(isolation) {						\
	{ "BEGIN" isolation, "BEGIN" isolation " DEFERRABLE" },		\
	{ "BEGIN" isolation " READ ONLY",				\
	  "BEGIN" isolation " READ ONLY DEFERRABLE" } }
	TEXTS(""),
	TEXTS(" ISOLATION LEVEL READ COMMITTED"),
	TEXTS(" ISOLATION LEVEL REPEATABLE READ"),
	TEXTS(" ISOLATION LEVEL SERIALIZABLE"),
#undef TEXTS
};

static size_t
take_isolation(const struct lk_arg *args, size_t n, int *isolation_out)
{
	const struct lk_arg *next = n > 1 ? &args[1] : NULL;

	if (lk_arg_is(args, "READ") && lk_arg_is(next, "COMMITTED"))
		return *isolation_out = 1, 2;
	if (lk_arg_is(args, "REPEATABLE") && lk_arg_is(next, "READ"))
		return *isolation_out = 2, 2;
	if (lk_arg_is(args, "SERIALIZABLE"))
		return *isolation_out = 3, 1;
	return 0;
}

size_t
lk_isolation_take(const struct lk_arg *args, size_t n, const char **begin_out)
{
	int isolation;
	size_t n_words = take_isolation(args, n, &isolation);

	if (n_words > 0)
		*begin_out = begin_texts[isolation][0][0];
	return n_words;
}

static size_t
take_begin_word(struct begin *begin, const struct lk_arg *args, size_t n)
{
	const struct lk_arg *next = n > 1 ? &args[1] : NULL;
	size_t n_words = take_isolation(args, n, &begin->isolation);

	if (n_words > 0)
		return n_words;
	if (lk_arg_is(args, "READ") && next && lk_arg_is(next, "ONLY"))
		return begin->read_only = true, 2;
	if (lk_arg_is(args, "DEFERRABLE"))
		return begin->deferrable = true, 1;
	if (lk_arg_is(args, "SHARED"))
		return begin->is_shared = true, 1;
	if (lk_arg_is(args, "HERE"))
		return begin->is_here = true, 1;
	return 0;
}

static int
parse_begin(struct lk_request *req, struct begin *begin)
{
	size_t i, n;

	for (i = 0; i < req->n_args; i += n) {
		n = take_begin_word(begin, req->args + i, req->n_args - i);
		if (n == 0)
			return -LK_E_INVAL;
	}
	return 0;
}

static void
fail_nested(struct lk_request *req)
{
	struct lk_error error;

	lk_error_init(&error);
	lk_error_set(&error, LK_ERR_SYNTAX, "this connection is in #%llu "
	    "already: COMMIT or ROLLBACK that first",
	    (unsigned long long)req->client->current->handle);
	lk_error_set_sqlstate(&error, "25001");
	lk_request_fail(req, &error);
}

/*
 * Who owns it: the %task that was said; HERE, the task that sends (the
 * connection's); else a task of its own, of which nothing more is known.
 */
static struct lk_task *
begin_owner(struct lk_request *req, const struct begin *begin)
{
	if (begin->is_shared)
		return NULL;
	if (req->task->name != NULL)
		return req->task;
	if (begin->is_here)
		return lk_client_task(req->client);
	return lk_task_new(req->core, req->client);
}

static void
run_begin(struct lk_request *req)
{
	struct lk_client *client = req->client;
	struct begin begin = { 0 };
	struct lk_tx *tx;

	if (parse_begin(req, &begin) < 0) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "BEGIN takes other words: %s", req->verb->syntax);
		return;
	}
	if (client->is_blocking && req->n_tag == 0 && !begin.is_shared)
		begin.is_here = true;
	if (begin.is_here && begin.is_shared) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "SHARED and HERE exclude each other");
		return;
	}
	if (begin.is_here && client->current != NULL) {
		fail_nested(req);
		return;
	}
	if (lk_drain_refuses(req))
		return;
	tx = lk_tx_new(client, begin_owner(req, &begin), req->database,
	    begin_texts[begin.isolation][begin.read_only][begin.deferrable]);
	tx->is_named = tx->owner != NULL && tx->owner->name != NULL;
	if (begin.is_here)
		client->current = tx;
	lk_request_int(req, (int64_t)tx->handle);
}

static void
finish(struct lk_request *req, bool commits)
{
	struct lk_tx *tx = req->tx;
	const char *tag = commits ? "COMMIT" : "ROLLBACK";

	if (tx->state == LK_TX_ABORTED || tx->worker == NULL) {
		if (!commits || !lk_tx_refuses(req))
			lk_request_simple(req, tag);
		if (commits)
			tx->core->stats.commits += tx->why.is_set ? 0 : 1;
		else
			tx->core->stats.rollbacks++;
		lk_tx_done(tx);
		return;
	}
	req->control = lk_xstrdup(tag);
	req->is_commit = commits;
	lk_tx_set_state(tx, LK_TX_ENDING);
	lk_worker_submit(tx->worker, req);
}

static void
run_commit(struct lk_request *req)
{
	if (!lk_tx_is_missing(req))
		finish(req, true);
}

static void
savepoint_statement(struct lk_request *req, const char *words,
    const struct lk_arg *name)
{
	struct lk_buf text = LK_BUF_INIT;
	size_t i;

	if (lk_tx_is_missing(req) || lk_tx_refuses(req))
		return;
	if (name->data == NULL || name->len == 0 || name->len > MAX_SAVEPOINT ||
	    memchr(name->data, '\0', name->len) != NULL) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "a savepoint's name has 1 to %d bytes", MAX_SAVEPOINT);
		return;
	}
	lk_buf_printf(&text, "%s \"", words);
	for (i = 0; i < name->len; i++) {
		if (name->data[i] == '"')
			lk_buf_putc(&text, '"');
		lk_buf_putc(&text, name->data[i]);
	}
	lk_buf_putc(&text, '"');
	req->control = lk_xstrdup(lk_buf_cstr(&text));
	lk_buf_fini(&text);
	lk_run_statement(req);
}

static void
run_rollback(struct lk_request *req)
{
	if (req->n_args == 2 && lk_arg_is(&req->args[0], "TO")) {
		savepoint_statement(req, "ROLLBACK TO SAVEPOINT",
		    &req->args[1]);
	} else if (req->n_args != 0) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "ROLLBACK takes other words: %s", req->verb->syntax);
	} else if (!lk_tx_is_missing(req)) {
		finish(req, false);
	}
}

static void
run_savepoint(struct lk_request *req)
{
	savepoint_statement(req, "SAVEPOINT", &req->args[0]);
}

static void
run_release(struct lk_request *req)
{
	savepoint_statement(req, "RELEASE SAVEPOINT", &req->args[0]);
}

/* ---- tasks ---- */

static bool
is_task_name(const struct lk_arg *arg)
{
	return arg->data != NULL && arg->len >= 1 && arg->len <= 255 &&
	    memchr(arg->data, '\0', arg->len) == NULL;
}

static void
run_await(struct lk_request *req)
{
	struct lk_client *client = req->client;
	size_t first = 1, i, n;
	struct lk_task *task, **others;
	bool any = false;

	if (req->n_args > 1 && (lk_arg_is(&req->args[1], "ALL") ||
	    (any = lk_arg_is(&req->args[1], "ANY"))))
		first = 2;
	for (i = 0; i < req->n_args; i++) {
		if ((i == 0 || i >= first) && !is_task_name(&req->args[i]))
			break;
	}
	if (i < req->n_args || (first == 2 && req->n_args == 2)) {
		lk_request_failf(req, LK_ERR_SYNTAX, "AWAIT takes names of "
		    "tasks: %s", req->verb->syntax);
		return;
	}
	n = req->n_args - first;
	others = lk_xcalloc(n, sizeof(struct lk_task *));
	task = lk_task_named(client, req->args[0].data, req->args[0].len);
	lk_task_set_client(task, client);
	for (i = 0; i < n; i++)
		others[i] = lk_task_named(client, req->args[first + i].data,
		    req->args[first + i].len);
	lk_task_await(task, any, others, n);
	free(others);
	lk_task_forget(task);
	lk_watch_all_soon(req->core);
	lk_request_simple(req, "OK");
}

int
lk_parse_handle(const struct lk_arg *arg, uint64_t *handle_out)
{
	char text[24];
	char *end;

	if (arg->data == NULL || arg->len == 0 || arg->len >= sizeof(text) ||
	    arg->data[0] < '0' || arg->data[0] > '9')
		return -LK_E_INVAL;
	memcpy(text, arg->data, arg->len);
	text[arg->len] = '\0';
	*handle_out = strtoull(text, &end, 10);
	return *end == '\0' ? 0 : -LK_E_INVAL;
}

static void
run_give(struct lk_request *req)
{
	struct lk_tx *tx = NULL;
	struct lk_task *task;
	uint64_t handle;

	if (lk_parse_handle(&req->args[0], &handle) < 0 ||
	    !is_task_name(&req->args[1])) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "GIVE takes a handle and a task: %s", req->verb->syntax);
		return;
	}
	tx = lk_tx_by_handle(req->core, handle);
	if (tx == NULL || tx->client != req->client) {
		lk_request_failf(req, LK_ERR_NOTX,
		    "#%llu is no transaction of this connection",
		    (unsigned long long)handle);
		return;
	}
	if (req->client->current == tx)
		req->client->current = NULL;	/* it is that task's now */
	task = lk_task_named(req->client, req->args[1].data,
	    req->args[1].len);
	if (!task->is_placed)	/* only this connection's can end it */
		lk_task_set_client(task, req->client);
	lk_tx_set_owner(tx, task);
	tx->is_named = true;
	lk_request_simple(req, "OK");
}

static void
run_cancel(struct lk_request *req)
{
	struct lk_request *other = NULL;
	struct lk_error why;
	int is_cancelled = 0;

	if (req->args[0].data != NULL)
		other = lk_request_by_tag(req->client, req->args[0].data,
		    req->args[0].len);
	if (other != NULL && other != req) {
		lk_error_init(&why);
		lk_error_set(&why, LK_ERR_CANCELED,
		    "ended by CANCEL of its client");
		lk_cancel_request(other, &why, NULL);
		lk_error_fini(&why);
		is_cancelled = 1;
	}
	lk_request_int(req, is_cancelled);
}

/* ---- the table ---- */

static const char hello_syntax[] = "HELLO [2|3]"
#define LK_HELLO_TEXT(word, value, help) " [" word " " value "]"
#define LK_HELLO_WORDS(word, words, help) " [" word " " words "]"
#include "core/hello.def"
#undef LK_HELLO_TEXT
#undef LK_HELLO_WORDS
    ;

static const struct lk_verb verbs[] = {
#define LK_VERB(name, min, max, flags, run, syntax, summary)		\
	{ name, min, max, flags, run, syntax, summary, 0 },
#include "core/verbs.def"
#undef LK_VERB
#define LK_ORM_VERB(symbol, word, is_write, compile, syntax, summary)	\
	{ word, 1, LK_REQUEST_MAX_ARGS, LK_VERB_TX | LK_VERB_UNIT,	\
	    lk_run_orm, syntax,						\
	    summary, LK_ORM_##symbol },
#include "orm/verb.def"
#undef LK_ORM_VERB
};

bool
lk_verb_is_statement(const struct lk_verb *verb)
{
	return (verb->flags & (LK_VERB_TX | LK_VERB_WORK)) != 0;
}

size_t
lk_verb_count(void)
{
	return sizeof(verbs) / sizeof(verbs[0]);
}

const struct lk_verb *
lk_verb_at(size_t i)
{
	return i < lk_verb_count() ? &verbs[i] : NULL;
}

/* Those that begin with the same letter, as places in the table plus 1; made
 * when first asked for, since each request asks. */
static unsigned char first_of[32], next_of[sizeof(verbs) / sizeof(verbs[0])];

static void
index_verbs(void)
{
	size_t i, letter;

	for (i = lk_verb_count(); i-- > 0; ) {
		letter = (unsigned char)verbs[i].name[0] % 32;
		next_of[i] = first_of[letter];
		first_of[letter] = (unsigned char)(i + 1);
	}
}

const struct lk_verb *
lk_verb_find(const char *name, size_t n)
{
	struct lk_arg word = { name, n };
	size_t i;

	if (n == 0)
		return NULL;
	if (first_of['P' % 32] == 0)
		index_verbs();
	for (i = first_of[(unsigned char)name[0] % 32]; i > 0;
	    i = next_of[i - 1]) {
		if (lk_arg_is(&word, verbs[i - 1].name))
			return &verbs[i - 1];
	}
	return NULL;
}
