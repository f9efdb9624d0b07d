/*
 * What ready Redis clients send when they connect, answered in Redis's shapes
 * so that they go on.  None of it authenticates or changes anything but the
 * connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/die.h"
#include "base/version.h"
#include "core/internal.h"

/* The Redis release whose shapes these are; clients compare it. */
#define REDIS_VERSION	"7.0.0"

static void
put_lower(struct lk_buf *out, const char *word)
{
	char text[32];
	size_t i, n = strlen(word);

	lk_assert(n < sizeof(text));
	for (i = 0; i < n; i++)
		text[i] = (char)(word[i] >= 'A' && word[i] <= 'Z' ?
		    word[i] + ('a' - 'A') : word[i]);
	lk_enc_bulk(out, text, n);
}

/* ---- COMMAND ---- */

/* Redis counts the command's own word; negative is "at least". */
static int64_t
arity(const struct lk_verb *verb)
{
	return verb->min_args == verb->max_args ? (int64_t)verb->min_args + 1 :
	    -((int64_t)verb->min_args + 1);
}

static void
put_info(struct lk_buf *out, const struct lk_verb *verb)
{
	int i;

	lk_enc_array(out, 10);
	put_lower(out, verb->name);
	lk_enc_int(out, arity(verb));
	lk_enc_array(out, 0);		/* flags */
	for (i = 0; i < 3; i++)
		lk_enc_int(out, 0);	/* first key, last key, step */
	for (i = 0; i < 4; i++)
		lk_enc_array(out, 0);	/* categories, tips, key specs,
					   subcommands */
}

static void
put_docs(struct lk_buf *out, int proto, const struct lk_verb *verb)
{
	const char *rest = strchr(verb->syntax, ' ');

	put_lower(out, verb->name);
	lk_enc_map(out, proto, rest != NULL ? 4 : 3);
	lk_enc_text(out, "summary");
	lk_enc_text(out, verb->summary);
	lk_enc_text(out, "since");
	lk_enc_text(out, "0.1.0");
	lk_enc_text(out, "group");
	lk_enc_text(out, "lockkeeper");
	if (rest == NULL)
		return;
	/* Our syntax as one argument: its name is what clients print. */
	lk_enc_text(out, "arguments");
	lk_enc_array(out, 1);
	lk_enc_map(out, proto, 2);
	lk_enc_text(out, "name");
	lk_enc_text(out, rest + 1);
	lk_enc_text(out, "type");
	lk_enc_text(out, "string");
}

/* The verbs named from args[1] on, or all; unknown ones are left out. */
static size_t
list_verbs(const struct lk_request *req, const struct lk_verb **list)
{
	const struct lk_verb *verb;
	size_t i, n = 0;

	for (i = 0; req->n_args <= 1 && (verb = lk_verb_at(i)) != NULL; i++)
		list[n++] = verb;
	for (i = 1; i < req->n_args; i++) {
		verb = req->args[i].data == NULL ? NULL :
		    lk_verb_find(req->args[i].data, req->args[i].len);
		if (verb != NULL)
			list[n++] = verb;
	}
	return n;
}

static void
put_command_docs(struct lk_buf *out, const struct lk_request *req)
{
	const struct lk_verb **list = lk_xcalloc(lk_verb_count() + req->n_args,
	    sizeof(struct lk_verb *));
	size_t i, n = list_verbs(req, list);

	lk_enc_map(out, req->format.proto, n);
	for (i = 0; i < n; i++)
		put_docs(out, req->format.proto, list[i]);
	free(list);
}

static void
put_command_info(struct lk_buf *out, const struct lk_request *req)
{
	const struct lk_verb *verb;
	size_t i;

	if (req->n_args <= 1) {
		lk_enc_array(out, lk_verb_count());
		for (i = 0; i < lk_verb_count(); i++)
			put_info(out, lk_verb_at(i));
		return;
	}
	lk_enc_array(out, req->n_args - 1);
	for (i = 1; i < req->n_args; i++) {
		verb = req->args[i].data == NULL ? NULL :
		    lk_verb_find(req->args[i].data, req->args[i].len);
		if (verb != NULL)
			put_info(out, verb);
		else if (req->format.proto == 2)
			lk_buf_puts(out, "*-1\r\n");	/* as Redis does */
		else
			lk_enc_null(out, 3);
	}
}

static void
put_command_list(struct lk_buf *out)
{
	size_t i;

	lk_enc_array(out, lk_verb_count());
	for (i = 0; i < lk_verb_count(); i++)
		put_lower(out, lk_verb_at(i)->name);
}

static void
reply_with(struct lk_request *req, struct lk_buf *value)
{
	lk_request_reply(req, value);
	lk_buf_fini(value);
}

void
lk_run_command(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;

	if (req->n_args == 0 || lk_arg_is(&req->args[0], "INFO")) {
		put_command_info(&out, req);
	} else if (lk_arg_is(&req->args[0], "DOCS")) {
		put_command_docs(&out, req);
	} else if (lk_arg_is(&req->args[0], "COUNT")) {
		lk_enc_int(&out, (int64_t)lk_verb_count());
	} else if (lk_arg_is(&req->args[0], "LIST")) {
		put_command_list(&out);
	} else {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "COMMAND takes other words: %s", req->verb->syntax);
		return;
	}
	reply_with(req, &out);
}

/* ---- INFO, CLIENT, SELECT, AUTH ---- */

void
lk_run_info(struct lk_request *req)
{
	struct lk_core *core = req->core;
	struct lk_buf text = LK_BUF_INIT, out = LK_BUF_INIT;

	lk_buf_printf(&text, "# Server\r\n"
	    "lockkeeper_version:" LK_VERSION "\r\n"
	    "redis_version:" REDIS_VERSION "\r\n"
	    "redis_mode:standalone\r\n"
	    "process_id:%d\r\n"
	    "uptime_in_seconds:%llu\r\n"
	    "\r\n# Clients\r\nconnected_clients:%u\r\n"
	    "\r\n# Persistence\r\nloading:0\r\n"
	    "\r\n# Stats\r\ntotal_connections_received:%llu\r\n"
	    "total_commands_processed:%llu\r\n"
	    "\r\n# Replication\r\nrole:master\r\n",
	    (int)getpid(), (unsigned long long)
	    ((core->now_us - core->start_us) / LK_US_PER_S),
	    (unsigned)core->n_clients,
	    (unsigned long long)core->stats.clients_accepted,
	    (unsigned long long)core->stats.requests);
	lk_enc_bulk(&out, text.data, text.len);
	lk_buf_fini(&text);
	reply_with(req, &out);
}

static void
reply_name(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;

	if (req->client->name != NULL)
		lk_enc_text(&out, req->client->name);
	else
		lk_enc_null(&out, req->format.proto);
	reply_with(req, &out);
}

static void
set_name(struct lk_request *req, const struct lk_arg *name)
{
	if (name->len > 0 && !lk_is_printable(name)) {
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "a client's name has at most 255 printable bytes");
		return;
	}
	lk_client_set_name(req->client, name);
	lk_request_simple(req, "OK");
}

void
lk_run_client(struct lk_request *req)
{
	const struct lk_arg *word = &req->args[0];

	if (lk_arg_is(word, "ID") && req->n_args == 1)
		lk_request_int(req, (int64_t)req->client->id);
	else if (lk_arg_is(word, "GETNAME") && req->n_args == 1)
		reply_name(req);
	else if (lk_arg_is(word, "SETNAME") && req->n_args == 2)
		set_name(req, &req->args[1]);
	else if ((lk_arg_is(word, "SETINFO") && req->n_args == 3) ||
	    ((lk_arg_is(word, "NO-EVICT") || lk_arg_is(word, "NO-TOUCH")) &&
	    req->n_args == 2))
		lk_request_simple(req, "OK");
	else
		lk_request_failf(req, LK_ERR_SYNTAX,
		    "CLIENT takes other words: %s", req->verb->syntax);
}

void
lk_run_select(struct lk_request *req)
{
	if (req->n_args == 1 && lk_arg_is(&req->args[0], "0"))
		lk_request_simple(req, "OK");
	else
		lk_request_failf(req, LK_ERR_SYNTAX, "send a statement as SQL "
		    "\"SELECT ...\"; to change the database, USE one of those "
		    "that HELLO lists");
}

/* The socket's mode says who may connect; there is nothing to prove. */
void
lk_run_auth(struct lk_request *req)
{
	lk_request_simple(req, "OK");
}

/* ---- USE, RESET ---- */

void
lk_run_use(struct lk_request *req)
{
	struct lk_database *db;
	struct lk_error error;

	lk_error_init(&error);
	db = lk_database_named(req->core, &req->args[0], &error);
	if (db == NULL) {
		lk_request_fail(req, &error);
		return;
	}
	req->client->database = db;
	lk_request_simple(req, "OK");
}

/*
 * As new: what it said of itself is forgotten, its transactions are rolled
 * back, its other requests are cancelled without a reply of their own being
 * lost: each still gets its one.
 */
void
lk_run_reset(struct lk_request *req)
{
	lk_client_reset(req->client, req);
	lk_request_simple(req, "RESET");
}
