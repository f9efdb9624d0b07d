/*
 * What programs do: coroutines that think, open transactions, update rows in
 * any order, await each other and end what they have begun; and sessions of
 * other programs.
 *
 * They are honest, as the protocol wants them: a coroutine that has asked, or
 * has said AWAIT, does nothing until it has its answer; one whose thread is in
 * a blocking call does nothing either.
 */
#include "sim.h"

static int
tx_of(int t, int nth)
{
	int i;

	for (i = 0; i < MAX_TXS; i++) {
		if (sim.txs[i].is_used && sim.txs[i].user == t && nth-- == 0)
			return i;
	}
	return NONE;
}

static int
n_txs_of(int t)
{
	int n = 0;

	while (tx_of(t, n) != NONE)
		n++;
	return n;
}

static int
free_tx(void)
{
	int i;

	for (i = 0; i < MAX_TXS && sim.txs[i].is_used; i++)
		;
	return i < MAX_TXS ? i : NONE;
}

/* Its place can be used again, once nobody refers to it. */
void
tidy_up(int t)
{
	struct req *req;
	int n = 0;

	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++)
		n += req->phase != UNUSED &&
		    (req->tx == t || req->what_tx == t);
	if (n == 0 && sim.txs[t].is_over && sim.txs[t].worker == NONE)
		sim.txs[t].is_used = false;
}

/* ---- sending ---- */

static struct req *
ask(enum verb verb, int t)
{
	struct task *task = &sim.tasks[t];
	struct req *req = new_req(verb, task->client, t);

	req->says_task = task->name[0] != '\0' && verb != AWAIT &&
	    verb != GIVE && verb != CANCEL;
	if (req->says_task || task->name[0] == '\0')
		task->n_out++;
	return req;
}

static void
begin(int t)
{
	struct task *task = &sim.tasks[t];
	bool is_blocking = sim.clients[task->client].is_blocking;
	int x = free_tx();
	struct req *req;

	if (x == NONE)
		return;
	req = ask(BEGIN, t);
	req->database = (int)below((uint32_t)sim.config.n_databases);
	req->what_tx = x;
	req->is_shared = !is_blocking && in_100(10);
	sim.txs[x] = (struct tx){ .is_used = true, .client = task->client,
	    .user = t, .owner = req->is_shared ? NONE : t, .worker = NONE,
	    .database = req->database, .is_here = is_blocking,
	    .is_shared = req->is_shared };
	/* Opened without its task: nobody knows whose it is. */
	if (!is_blocking && req->is_tagged && in_100(10)) {
		req->says_task = false;
		sim.txs[x].owner = NONE;
	}
	send_req(req);
}

static void
choose_rows(struct req *req)
{
	bool is_plain = in_100(sim.verbs_percent);
	int i, n = !is_plain && in_100(25) ? 2 : 1, row, tries;
	enum mode mode = !is_plain && in_100(35) ? SHARE : EXCLUSIVE;

	for (i = 0, tries = 0; i < n && tries < 20; tries++) {
		row = (int)below((uint32_t)sim.n_rows);
		if (sim.rows[row].database != req->database)
			continue;
		req->rows[i] = row;
		req->modes[i++] = mode;
	}
	req->n_rows = i;
}

/* Some at once, so that those of several tasks meet. */
static void
read_some(int t)
{
	int n = 1 + (int)below(3);
	struct req *req;

	for (; n > 0 && sim.n_reqs + 6 < MAX_REQS; n--) {
		req = ask(READ, t);
		req->rows[0] = (int)below((uint32_t)sim.n_rows);
		req->modes[0] = FREE;
		req->database = sim.rows[req->rows[0]].database;
		req->is_verb = true;
		req->is_bad = in_100(5);
		send_req(req);
	}
}

static struct req *
update(int t, int x)
{
	struct req *req = ask(SQL, t);

	req->tx = x;
	req->database = x != NONE ? sim.txs[x].database :
	    (int)below((uint32_t)sim.config.n_databases);
	choose_rows(req);
	req->run_us = some_us(3000);
	req->is_select = in_100(30);
	req->is_verb = req->is_tagged && req->says_task && req->n_rows == 1 &&
	    req->modes[0] == EXCLUSIVE && in_100(sim.verbs_percent);
	if (in_100(4))
		req->deadline_ms = 1 + below(600);
	if (in_100(4))
		req->lock_ms = below(400);
	send_req(req);
	return req;
}

/* Some of a database's, in one order or the other. */
static int
choose_unit_rows(int database, int rows[MAX_STATEMENT])
{
	bool is_forward = in_100(50);
	int i, row, n = 0;

	for (i = 0; i < sim.n_rows && n < MAX_STATEMENT; i++) {
		row = is_forward ? i : sim.n_rows - 1 - i;
		if (sim.rows[row].database == database && in_100(70))
			rows[n++] = row;
	}
	return n;
}

/* A statement for each row. */
static void
unit(int t)
{
	int database = (int)below((uint32_t)sim.config.n_databases);
	int i, rows[MAX_STATEMENT], n = choose_unit_rows(database, rows);
	struct req *req;

	if (n == 0) {
		update(t, NONE);
		return;
	}
	req = ask(EXEC, t);
	req->database = database;
	req->n_retries = below(4);
	req->n_rows = n;
	req->is_verb = req->is_tagged && req->says_task &&
	    in_100(sim.verbs_percent);
	for (i = 0; i < n; i++) {
		req->rows[i] = rows[i];
		req->modes[i] = !req->is_verb && in_100(25) ? SHARE :
		    EXCLUSIVE;
	}
	req->run_us = some_us(3000);
	req->is_select = in_100(30);
	if (in_100(4))
		req->deadline_ms = 1 + below(600);
	if (in_100(4))
		req->lock_ms = below(400);
	send_req(req);
}

static void
control(enum verb verb, int t, int x)
{
	struct req *req = ask(verb, t);
	struct tx *tx = &sim.txs[x];

	req->tx = x;
	if (verb == COMMIT || verb == ROLLBACK)
		tx->is_ending = true;
	else
		tx->has_savepoint = true;
	send_req(req);
}

static void
say_await(int t, unsigned others, bool is_any)
{
	struct req *req = ask(AWAIT, t);
	struct task *task = &sim.tasks[t];

	req->others = others;
	req->is_any = is_any;
	task->awaits = others != 0;
	task->await_any = is_any;
	task->others = others;
	task->n_awaiting++;
	send_req(req);
}

/*
 * Only those after it, so that tasks which do nothing but await each other,
 * without any request, are no ring.  That would be nobody's to end.
 */
static void
await_others(int t)
{
	unsigned others = 0;
	int i;

	for (i = t + 1; i < sim.n_tasks; i++) {
		if (sim.tasks[i].name[0] != '\0' &&
		    sim.clients[sim.tasks[i].client].pid ==
		    sim.clients[sim.tasks[t].client].pid && in_100(50))
			others |= 1u << i;
	}
	if (others != 0)
		say_await(t, others, in_100(40));
}

static void
give(int t, int x)
{
	struct task *task = &sim.tasks[t];
	int u = (int)below((uint32_t)sim.n_tasks);
	struct req *req;

	if (u == t || sim.tasks[u].client != task->client ||
	    sim.tasks[u].is_finished || sim.tasks[u].name[0] == '\0' ||
	    n_txs_of(u) >= 2)
		return;
	req = ask(GIVE, t);
	req->what_tx = x;
	req->others = 1u << u;
	sim.txs[x].n_giving++;
	sim.txs[x].user = u;
	send_req(req);
}

/* ---- acting ---- */

bool
thread_is_blocked(const struct client *mine)
{
	const struct req *req;
	const struct client *client;

	if (mine->thread == NONE)
		return false;
	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++) {
		if (req->phase == UNUSED || req->client == NONE)
			continue;
		client = &sim.clients[req->client];
		if (client->is_blocking && client->thread == mine->thread &&
		    client->pid == mine->pid)
			return true;
	}
	return false;
}

static bool
has_what_it_awaits(const struct task *task)
{
	unsigned finished = 0;
	int i;

	for (i = 0; i < sim.n_tasks; i++) {
		if (sim.tasks[i].is_finished)
			finished |= 1u << i;
	}
	return task->await_any ? (task->others & finished) != 0 :
	    (task->others & ~finished) == 0;
}

bool
task_can_act(int t)
{
	const struct task *task = &sim.tasks[t];
	const struct client *client = &sim.clients[task->client];

	return !task->is_finished && task->n_out == 0 &&
	    task->ready_us <= sim.now_us && client->client != NULL &&
	    !client->is_dying && client->n_socket + 3 < MAX_SOCKET &&
	    sim.n_reqs + 8 < MAX_REQS && !thread_is_blocked(client) &&
	    (!task->awaits || has_what_it_awaits(task));
}

static void
end_one(int t, int x)
{
	control(!sim.txs[x].is_failed && in_100(85) ? COMMIT : ROLLBACK, t, x);
}

/* A statement of it has failed. */
static void
recover(int t, int x)
{
	if (sim.txs[x].has_savepoint && !sim.txs[x].is_doomed && in_100(60)) {
		sim.txs[x].is_failed = false;
		control(ROLLBACK_TO, t, x);
	} else {
		control(in_100(80) ? ROLLBACK : COMMIT, t, x);
	}
}

static void
work_in(int t, int x)
{
	struct tx *tx = &sim.txs[x];
	uint32_t dice = below(100);
	bool is_named = sim.tasks[t].name[0] != '\0';

	if (tx->is_failed) {
		recover(t, x);
	} else if (dice < 10 && tx->worker != NONE) {
		control(tx->has_savepoint && in_100(60) ? ROLLBACK_TO :
		    SAVEPOINT, t, x);
	} else if (dice < 14 && is_named) {
		give(t, x);
	} else if (dice < 30) {
		end_one(t, x);
	} else {
		update(t, x);
		/* Without waiting for the answer. */
		if (in_100(10))
			control(COMMIT, t, x);
	}
}

static void
work(int t)
{
	struct task *task = &sim.tasks[t];
	int n_txs = n_txs_of(t), x;
	uint32_t dice = below(100);

	task->n_steps--;
	x = n_txs > 0 ? tx_of(t, (int)below((uint32_t)n_txs)) : NONE;
	if (x != NONE && sim.txs[x].n_giving > 0)
		x = NONE;
	if (dice < 10 && task->name[0] != '\0')
		await_others(t);
	else if (n_txs < (sim.clients[task->client].is_blocking ? 1 : 2) &&
	    dice < (n_txs == 0 ? 65 : 25))
		begin(t);
	else if (x != NONE && dice < 90)
		work_in(t, x);
	else if (in_100(sim.reads_percent) && task->name[0] != '\0' &&
	    sim.clients[task->client].tags)
		read_some(t);
	else if (in_100(50) && (n_txs == 0 || task->name[0] != '\0'))
		unit(t);
	else
		update(t, sim.clients[task->client].is_blocking ? x : NONE);
}

void
task_acts(int t)
{
	struct task *task = &sim.tasks[t];
	int x = tx_of(t, 0);

	if (task->awaits)
		say_await(t, 0, false);
	if (task->n_steps > 0) {
		work(t);
	} else if (x == NONE) {
		TELL("task %d has finished", t);
		task->is_finished = true;
	} else if (sim.txs[x].n_giving == 0) {
		end_one(t, x);
	}
	if (in_100(70) && task->ready_us <= sim.now_us)
		task->ready_us = sim.now_us + some_us(5000);
}

/* A statement in a transaction that is over says so: then it is no more. */
static void
note_end(struct tx *tx, bool failed, const char *error)
{
	if (failed && strcmp(error, "TXABORTED") != 0 &&
	    strcmp(error, "NOTX") != 0)
		return;
	tx->is_over = true;
	tx->user = NONE;
}

static void
hear_in_tx(const struct req *req, const char *error)
{
	struct tx *tx = &sim.txs[req->tx];

	tx->idle_us = sim.now_us;
	if (req->verb == COMMIT || req->verb == ROLLBACK) {
		note_end(tx, error != NULL, error);
	} else if (error != NULL) {
		/* One that got no slot has done nothing to it. */
		if (tx->worker != NONE)
			tx->is_failed = true;
		if (strcmp(error, "NOTX") == 0)
			note_end(tx, true, error);
	}
}

void
task_hears(struct req *req, const char *error, unsigned long long number)
{
	struct task *task = req->task == NONE ? NULL : &sim.tasks[req->task];

	if (req->verb == BEGIN) {
		REQUIRE(error == NULL);
		sim.txs[req->what_tx].handle = number;
		sim.txs[req->what_tx].idle_us = sim.now_us;
	}
	if (req->tx != NONE)
		hear_in_tx(req, error);
	if (task == NULL || req->verb == AWAIT || req->verb == GIVE ||
	    req->verb == CANCEL)
		return;
	REQUIRE(task->n_out > 0);
	task->n_out--;
	task->ready_us = sim.now_us + some_us(5000);
}

/* ---- other programs ---- */

bool
foreign_can_act(int f)
{
	const struct session *session = &sim.sessions[MAX_WORKERS + f];

	return f < sim.n_foreign && session->pid != 0 &&
	    session->wait_row == NONE &&
	    sim.foreigns[f].ready_us <= sim.now_us;
}

/* Rows in their order, so that no two of these are ever a ring. */
void
foreign_acts(int f)
{
	struct foreign *foreign = &sim.foreigns[f];
	int s = MAX_WORKERS + f, row = foreign->next_row;

	foreign->ready_us = sim.now_us + some_us(20000);
	while (row < sim.n_rows && (sim.server_of[sim.rows[row].database] !=
	    sim.sessions[s].server || in_100(30)))
		row++;
	foreign->next_row = row + 1;
	if (row < sim.n_rows) {
		TELL("foreign session %d asks for row %d", f, row);
		pg_lock(s, row, EXCLUSIVE);
		return;
	}
	TELL("foreign session %d leaves", f);
	pg_close(s);
}

/* Whatever it waits for. */
void
foreign_gives_up(int f)
{
	TELL("foreign session %d gives up", f);
	pg_close(MAX_WORKERS + f);
	sim.given_up_us = sim.now_us;
}

/* ---- the plan ---- */

static void
plan_client(int c)
{
	struct client *client = &sim.clients[c];

	*client = (struct client){ .pid = in_100(80) ? 10 : 11,
	    .is_blocking = in_100(25 - sim.verbs_percent / 4),
	    .thread = NONE };
	if (client->is_blocking || in_100(50))
		client->thread = (int)below(2);
	client->tags = !client->is_blocking && in_100(70);
}

void
plan_tasks(void)
{
	struct task *task;
	int t, c;

	sim.verbs_percent = in_100(30) ? 95 : in_100(50) ? 20 : 0;
	sim.reads_percent = in_100(30) ? 60 : 0;
	sim.n_tasks = 2 + (int)below(4);
	sim.n_clients = 1 + (int)below(4);
	for (c = 0; c < sim.n_clients; c++)
		plan_client(c);
	for (t = 0; t < sim.n_tasks; t++) {
		task = &sim.tasks[t];
		*task = (struct task){ .n_steps = 2 + (int)below(5) };
		task->client = (int)below((uint32_t)sim.n_clients);
		if (t < sim.n_clients)
			task->client = t;
		if (!sim.clients[task->client].is_blocking)
			snprintf(task->name, sizeof(task->name), "t%d", t);
		else if (t >= sim.n_clients)
			task->is_finished = true;	/* the connection's is
							   another */
		task->ready_us = sim.now_us + some_us(5000);
	}
}
