/*
 * Connections: requests as words, sockets that core has not read yet, replies,
 * and whether a reply is one that may come.
 */
#include <stdlib.h>

#include "sim.h"

const char *
verb_word(enum verb verb)
{
	static const char *const words[] = {
		[BEGIN] = "BEGIN", [SQL] = "SQL", [COMMIT] = "COMMIT",
		[ROLLBACK] = "ROLLBACK", [SAVEPOINT] = "SAVEPOINT",
		[ROLLBACK_TO] = "ROLLBACK TO", [AWAIT] = "AWAIT",
		[GIVE] = "GIVE", [CANCEL] = "CANCEL", [EXEC] = "EXEC",
		[READ] = "GET",
	};

	return words[verb];
}

bool
locks_rows(const struct req *req)
{
	return req->verb == SQL || req->verb == EXEC;
}

bool
is_statement(const struct req *req)
{
	return locks_rows(req) || req->verb == READ;
}

/* ---- words ---- */

struct words {
	struct lk_arg	args[24];
	char		texts[24][32];
	size_t		n;
};

static void put(struct words *words, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct words *words, const char *fmt, ...)
{
	char *text = words->texts[words->n];
	va_list ap;
	int n;

	REQUIRE(words->n < 24);
	va_start(ap, fmt);
	n = vsnprintf(text, 32, fmt, ap);
	va_end(ap);
	words->args[words->n++] = (struct lk_arg){ text, (size_t)n };
}

static void
put_envelope(struct words *words, const struct req *req)
{
	if (req->is_tagged)
		put(words, "@q%u", req->serial);
	if (req->says_task)
		put(words, "%%%s", sim.tasks[req->task].name);
	if (req->tx != NONE && !sim.txs[req->tx].is_here)
		put(words, "#%llu", sim.txs[req->tx].handle);
	if (req->verb == BEGIN || req->verb == READ ||
	    (req->verb == SQL && req->tx == NONE))
		put(words, "/db%d", req->database);
	if (req->deadline_ms != LK_NEVER)
		put(words, "~%u", (unsigned)req->deadline_ms);
	if (req->lock_ms != LK_NEVER)
		put(words, "?%u", (unsigned)req->lock_ms);
}

static void
put_await(struct words *words, const struct req *req)
{
	int i;

	put(words, "%s", sim.tasks[req->task].name);
	if (req->others != 0)
		put(words, "%s", req->is_any ? "ANY" : "ALL");
	for (i = 0; i < MAX_TASKS; i++) {
		if (req->others & 1u << i)
			put(words, "%s", sim.tasks[i].name);
	}
}

static void
put_update(struct words *words, const struct req *req, int row)
{
	put(words, "UPDATE");
	put(words, "r");
	put(words, "%d", row);
	put(words, "SET");
	put(words, "v");
	put(words, "=");
	put(words, "%u", req->serial);
}

static void
put_sql(struct words *words, const struct req *req)
{
	put(words, "SQL");
	put(words, "%s q%u", req->is_select ? "SELECT" : "UPDATE",
	    req->serial);
}

static void
put_arguments(struct words *words, const struct req *req)
{
	switch (req->verb) {
	case BEGIN:
		if (req->is_shared)
			put(words, "SHARED");
		break;
	case SQL:
		words->n--;
		if (req->is_verb)
			put_update(words, req, req->rows[0]);
		else
			put_sql(words, req);
		break;
	case SAVEPOINT:
		put(words, "s");
		break;
	case ROLLBACK_TO:
		words->n--;
		put(words, "ROLLBACK");
		put(words, "TO");
		put(words, "s");
		break;
	case AWAIT:
		put_await(words, req);
		break;
	case GIVE:
		put(words, "%llu", sim.txs[req->what_tx].handle);
		put(words, "%s", sim.tasks[__builtin_ctz(req->others)].name);
		break;
	case CANCEL:
		put(words, "q%u", req->what_serial);
		break;
	case READ:
		put(words, "r");
		put(words, "%d", req->rows[0] + (req->is_bad ? BAD_KEY : 0));
		break;
	case COMMIT:
	case ROLLBACK:
	case EXEC:
		break;
	}
}

/* ---- units ---- */

/* One of the requests before EXEC, with a tag of its own. */
static void
begin_words(struct words *words, const struct req *req, int i)
{
	words->n = 0;
	if (req->is_tagged)
		put(words, "@u%u.%d", req->serial, i);
	if (req->says_task)
		put(words, "%%%s", sim.tasks[req->task].name);
}

static void
send_unit(struct lk_client *client, struct req *req)
{
	struct words words;
	int i;

	lk_assert_loop();
	begin_words(&words, req, 0);
	put(&words, "/db%d", req->database);
	put(&words, "MULTI");
	put(&words, "RETRY");
	put(&words, "%u", req->n_retries);
	lk_core_request(client, words.args, words.n);
	for (i = 0; i < req->n_rows; i++) {
		begin_words(&words, req, i + 1);
		if (req->is_verb)
			put_update(&words, req, req->rows[i]);
		else
			put_sql(&words, req);
		lk_core_request(client, words.args, words.n);
	}
	req->n_before = req->is_tagged ? 0 : req->n_rows + 1;
	sim.counts.units++;
}

/* ---- sending ---- */

struct req *
new_req(enum verb verb, int client, int task)
{
	struct req *req = sim.reqs;

	while (req->phase != UNUSED)
		req++;
	REQUIRE(req < sim.reqs + MAX_REQS);
	*req = (struct req){ .phase = IN_SOCKET, .verb = verb,
	    .client = client, .task = task, .tx = NONE, .what_tx = NONE,
	    .serial = sim.serial++, .is_tagged = sim.clients[client].tags,
	    .deadline_ms = LK_NEVER, .lock_ms = LK_NEVER };
	sim.n_reqs++;
	sim.counts.requests++;
	return req;
}

void
send_req(struct req *req)
{
	struct client *client = &sim.clients[req->client];

	REQUIRE(client->n_socket < MAX_SOCKET);
	client->socket[client->n_socket++] = (int)(req - sim.reqs);
	TELL("client %d, task %d sends q%u: %s%s #%d (tasks %x, rows %d %d)",
	    req->client, req->task, req->serial, verb_word(req->verb),
	    req->is_any ? " ANY" : "",
	    req->what_tx != NONE ? req->what_tx : req->tx, req->others,
	    req->n_rows > 0 ? req->rows[0] : NONE,
	    req->n_rows > 1 ? req->rows[1] : NONE);
}

int
req_by_serial(unsigned serial)
{
	int i;

	for (i = 0; i < MAX_REQS; i++) {
		if (sim.reqs[i].phase != UNUSED &&
		    sim.reqs[i].serial == serial)
			return i;
	}
	return NONE;
}

static void
free_req(struct req *req)
{
	req->phase = UNUSED;
	sim.n_reqs--;
	if (req->tx != NONE)
		tidy_up(req->tx);
	if (req->what_tx != NONE)
		tidy_up(req->what_tx);
}

/* ---- core reads ---- */

/* What a request that core has read changes at once. */
static void
note_read(struct req *req)
{
	struct task *task = req->task == NONE ? NULL : &sim.tasks[req->task];

	req->phase = IN_CORE;
	req->read_us = sim.now_us;
	if (req->verb == READ)
		req->n_commits = sim.rows[req->rows[0]].n_commits;
	if (req->verb == AWAIT) {
		task->n_awaiting--;
		task->said_others = req->others;
	} else if (req->verb == GIVE) {
		sim.txs[req->what_tx].n_giving--;
		sim.txs[req->what_tx].owner = __builtin_ctz(req->others);
		sim.txs[req->what_tx].is_shared = false;
	}
}

static void
client_is_gone(int c)
{
	struct client *client = &sim.clients[c];
	struct req *req;
	int i;

	lk_assert_loop();
	TELL("client %d is gone", c);
	for (i = 0; i < MAX_TASKS; i++) {
		if (i >= sim.n_tasks || sim.tasks[i].client != c)
			continue;
		sim.tasks[i].is_finished = true;
		sim.tasks[i].said_others = 0;
	}
	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++) {
		if (req->phase == UNUSED || req->client != c)
			continue;
		req->client = NONE;
		if (req->phase != AT_SERVER && req->phase != ON_ITS_WAY)
			free_req(req);
	}
	for (i = 0; i < MAX_TXS; i++) {
		if (!sim.txs[i].is_used || sim.txs[i].client != c)
			continue;
		sim.txs[i].client = NONE;
		sim.txs[i].is_over = sim.txs[i].is_doomed = true;
		tidy_up(i);
	}
	lk_buf_fini(&client->got);
	lk_core_client_gone(&client->client);
}

void
read_socket(int c, int n)
{
	struct client *client = &sim.clients[c];
	struct req *req;
	struct words words;
	uint32_t reqs, txs;

	lk_assert_loop();
	for (; n > 0 && client->n_socket > 0; n--) {
		req = &sim.reqs[client->socket[0]];
		client->n_socket--;
		memmove(client->socket, client->socket + 1,
		    (size_t)client->n_socket * sizeof(client->socket[0]));
		TELL("  core reads q%u of client %d", req->serial, c);
		if (req->verb == EXEC)
			send_unit(client->client, req);
		words.n = 0;
		put_envelope(&words, req);
		put(&words, "%s", verb_word(req->verb));
		put_arguments(&words, req);
		note_read(req);
		lk_core_request(client->client, words.args, words.n);
		sim.counts.laned_units += req->verb == EXEC &&
		    is_laned(req, &reqs, &txs);
		check_refusals();
	}
	if (n > 0 && client->n_socket == 0 && client->is_dying &&
	    client->client != NULL)
		client_is_gone(c);
}

/* ---- replies ---- */

void
tx_left_worker(int t)
{
	struct tx *tx = &sim.txs[t];

	if (tx->worker == NONE)
		return;
	sim.workers[tx->worker].tx = NONE;
	tx->worker = NONE;
	tidy_up(t);
}

/* Its result is core's.  Without a client there is no reply to wait for. */
void
req_answered(struct req *req)
{
	req->phase = ANSWERED;
	if (req->client == NONE)
		free_req(req);
}

/* Its tries are used up; or its end is asked for, so that it gets no other. */
static bool
may_lose(const struct req *req)
{
	return req->n_lost > req->n_retries || req->was_cancelled ||
	    req->deadline_ms != LK_NEVER || req->lock_ms != LK_NEVER;
}

static bool
may_fail_so(const struct req *req, const char *kind)
{
	const struct tx *tx = req->tx == NONE ? NULL : &sim.txs[req->tx];

	/* Of a victim's end the server may know another reason, and sooner. */
	if (strcmp(kind, "SERIALIZE") == 0)
		return req->verb == EXEC && (req->is_victim || may_lose(req));
	if (req->verb == EXEC && strcmp(kind, "DEADLOCK") == 0)
		return req->is_victim || (req->is_detected && may_lose(req));
	if (strcmp(kind, "DEADLOCK") == 0)
		return req->is_victim || req->is_detected;
	if (strcmp(kind, "TIMEOUT") == 0) {
		sim.counts.timeouts++;
		return req->deadline_ms != LK_NEVER && sim.now_us >=
		    req->read_us + req->deadline_ms * LK_US_PER_MS;
	}
	if (strcmp(kind, "LOCKTIMEOUT") == 0) {
		sim.counts.lock_timeouts++;
		return req->lock_ms != LK_NEVER;
	}
	if (strcmp(kind, "CANCELED") == 0) {
		sim.counts.cancels++;
		return req->was_cancelled;
	}
	if (strcmp(kind, "PG") == 0)
		return req->verb == READ && req->is_bad;
	if (strcmp(kind, "TXABORTED") == 0)
		return tx != NULL && tx->is_failed;
	/* Its tx was ended by somebody who may, or by what came before it. */
	if (strcmp(kind, "NOTX") == 0)
		return (tx != NULL && tx->is_ending) || req->verb == GIVE;
	return false;
}

/* Its own row, as it was when core had read the request, or later. */
static void
check_row(const struct req *req, const char *line)
{
	unsigned n_commits;
	int row;

	if (sscanf(line, "row %d: %u", &row, &n_commits) != 2 ||
	    row != req->rows[0] || n_commits < req->n_commits || req->is_bad)
		complain("q%u gets %s and not row %d, committed %u times",
		    req->serial, line, req->rows[0], req->n_commits);
}

/* A reply of core's, without its tag: the line after the sign. */
static void
take_value(struct req *req, char sign, const char *line)
{
	char kind[16] = "";

	if (req->n_before > 0) {
		REQUIRE(strcmp(line, "OK") == 0 || strcmp(line, "QUEUED") == 0);
		req->n_before--;
		return;
	}
	TELL("  q%u has its reply: %c%s", req->serial, sign, line);
	if (sign == '-') {
		snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(line, " "),
		    line);
		if (!may_fail_so(req, kind))
			complain("q%u (%s) fails: %s", req->serial,
			    verb_word(req->verb), line);
	} else {
		REQUIRE(sign == (req->verb == BEGIN || req->verb == CANCEL ?
		    ':' : '+'));
		if (req->verb == READ)
			check_row(req, line);
		else if (req->verb == SQL && req->is_verb &&
		    atoi(line + strlen("done ")) != (int)req->serial)
			complain("q%u has the reply of another", req->serial);
	}
	/* Rolled back first: others may wait for it. */
	if (strcmp(kind, "DEADLOCK") == 0 && req->tx != NONE)
		REQUIRE(sim.txs[req->tx].worker == NONE);
	req->phase = ANSWERED;
	task_hears(req, sign == '-' ? kind : NULL,
	    strtoull(line, NULL, 10));
	free_req(req);
}

/* An untagged reply is the one to the first that has none. */
static struct req *
first_in_order(int c)
{
	struct req *req, *first = NULL;

	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++) {
		if (req->phase != UNUSED && req->phase != IN_SOCKET &&
		    req->client == c && !req->is_tagged &&
		    (first == NULL || req->serial < first->serial))
			first = req;
	}
	return first;
}

/* Behind a tag of send_unit(), which no request here has. */
static bool
is_before_exec(const char *text)
{
	int n = 0;

	if (sscanf(text, "*3\r\n+reply\r\n$%*d\r\nu%*u.%*d\r\n%n", &n) != 0 ||
	    n == 0)
		return false;
	text += n;
	REQUIRE(strncmp(text, "+OK\r\n", 5) == 0 ||
	    strncmp(text, "+QUEUED\r\n", 9) == 0);
	return true;
}

static struct req *
whose_reply(int c, char **text)
{
	unsigned serial;
	int n = 0, r;

	if (**text != '*')
		return first_in_order(c);
	if (sscanf(*text, "*3\r\n+reply\r\n$%*d\r\nq%u\r\n%n", &serial,
	    &n) != 1 || n == 0)
		complain("a reply that is none: %s", *text);
	*text += n;
	r = req_by_serial(serial);
	if (r == NONE || sim.reqs[r].client != c)
		complain("a reply to q%u, which has one", serial);
	return &sim.reqs[r];
}

static void
read_replies_of(int c)
{
	struct lk_buf *got = &sim.clients[c].got;
	char *text, *end;
	struct req *req;

	if (got->len == 0)
		return;
	for (text = (char *)(uintptr_t)lk_buf_cstr(got); *text != '\0';
	    text = end + 2) {
		if (is_before_exec(text)) {
			end = strchr(text, '+');
			end = strchr(end + 1, '+');
			end = strstr(end, "\r\n");
			continue;
		}
		req = whose_reply(c, &text);
		if (req == NULL)
			complain("a reply to nothing: %s", text);
		end = strstr(text, "\r\n");
		REQUIRE(end != NULL);
		*end = '\0';
		take_value(req, text[0], text + 1);
	}
	lk_buf_truncate(got, 0);
}

void
read_replies(void)
{
	int c;

	for (c = 0; c < sim.n_clients; c++) {
		if (sim.clients[c].client != NULL)
			read_replies_of(c);
	}
}

/* ---- connecting ---- */

void
connect_client(int c)
{
	struct client *client = &sim.clients[c];
	struct lk_peer peer = { .pid = client->pid, .uid = 1, .gid = 1 };
	struct words words = { .n = 0 };

	lk_assert_loop();
	client->got = (struct lk_buf)LK_BUF_INIT;
	client->client = lk_core_client_new(sim.core, client, &peer);
	put(&words, "HELLO");
	put(&words, "2");
	put(&words, "MODE");
	put(&words, "%s", client->is_blocking ? "blocking" : "async");
	if (client->thread != NONE) {
		put(&words, "THREAD");
		put(&words, "t%d", client->thread);
	}
	put(&words, "GROUP");
	put(&words, "g");
	lk_core_request(client->client, words.args, words.n);
	lk_buf_truncate(&client->got, 0);
	TELL("client %d: pid %d%s%s, thread %d", c, (int)client->pid,
	    client->is_blocking ? ", blocking" : "",
	    client->tags ? ", tags" : "", client->thread);
}
