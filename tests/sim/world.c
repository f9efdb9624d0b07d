/*
 * What core's effects reach: worker threads with their sessions, watchers, and
 * the mail from them.  A result, a look and a cancel each happen at the server
 * first and are told of later, with anything in between.
 */
#include <stdlib.h>

#include "core/internal.h"
#include "orm/catalog.h"
#include "sim.h"

/* ---- mail to core ---- */

void
post(struct lk_msg *msg, enum lk_msg_kind kind, uint32_t thread,
    uint64_t delay_us)
{
	REQUIRE(sim.n_mail < MAX_MAIL);
	lk_list_init(&msg->link);
	msg->kind = kind;
	msg->thread = thread;
	sim.mail[sim.n_mail++] = (struct mail){ msg, thread,
	    sim.now_us + delay_us };
	if (thread < MAX_WORKERS)
		sim.workers[thread].n_mail++;
}

static void
post_note(int w, enum lk_note_kind kind, uint64_t delay_us)
{
	struct lk_note *note = calloc(1, sizeof(*note));

	REQUIRE(note != NULL);
	note->kind = kind;
	if (kind == LK_NOTE_UP) {
		note->backend_pid = sim.sessions[w].pid;
		snprintf(note->server_id, sizeof(note->server_id), "%d/x",
		    sim.sessions[w].server);
	}
	post(&note->msg, LK_MSG_NOTE, (uint32_t)w, delay_us);
}

/* The first of its thread. */
bool
mail_can_move(int at)
{
	int i;

	if (sim.mail[at].due_us > sim.now_us)
		return false;
	for (i = 0; i < at; i++) {
		if (sim.mail[i].thread == sim.mail[at].thread)
			return false;
	}
	return true;
}

/* Whether its unit has a claim to be begun again. */
static void
note_lost(struct req *req, const struct lk_item *item)
{
	if (req->verb == EXEC && item->outcome == LK_ITEM_FAILED &&
	    (item->error.kind != LK_ERR_PG || req->is_retried))
		req->n_lost++;
	req->is_retried = false;
}

/* Core has answered some of them before. */
static void
others_come_back(struct worker *worker)
{
	int i, r;

	for (i = 0; i < worker->n_others; i++) {
		r = req_by_serial(worker->others[i]);
		if (r == NONE || sim.reqs[r].phase != ON_ITS_WAY)
			continue;
		sim.reqs[r].is_ending = false;
		req_answered(&sim.reqs[r]);
	}
	worker->n_others = 0;
	worker->is_reading = false;
}

static void
job_comes_back(struct worker *worker, const struct lk_item *item)
{
	struct req *req;

	bool was_reading = worker->is_reading;

	others_come_back(worker);
	if (was_reading)
		return;
	if (worker->req == NONE) {
		/* The daemon's own ROLLBACK: of this nobody is told here. */
		if (worker->tx == NONE)
			return;
		sim.txs[worker->tx].is_failed = true;
		tx_left_worker(worker->tx);
		return;
	}
	req = &sim.reqs[worker->req];
	worker->req = NONE;
	note_lost(req, item);
	req->is_ending = false;
	if (item->outcome == LK_ITEM_FAILED && req->tx != NONE)
		sim.txs[req->tx].is_failed = true;
	/* If it was a victim and is one still, a ROLLBACK follows. */
	if (req->tx != NONE)
		sim.txs[req->tx].is_doomed = false;
	if (req->tx != NONE && sim.txs[req->tx].is_ending &&
	    (req->verb == COMMIT || req->verb == ROLLBACK))
		tx_left_worker(req->tx);
	req_answered(req);
}

static int
tx_of(const struct lk_tx *tx)
{
	int i;

	for (i = 0; i < MAX_TXS; i++) {
		if (tx != NULL && sim.txs[i].is_used &&
		    sim.txs[i].handle == tx->handle)
			return i;
	}
	return NONE;
}

/*
 * The one thing that is read out of core, since nothing else tells of it: who
 * is parked, behind which transaction of ours, and who is to be run again.
 */
void
look_at_parked(void)
{
	const struct lk_request *its;
	struct req *req;

	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++) {
		if ((req->phase != ANSWERED && req->phase != PARKED &&
		    req->phase != RESTING) || !is_statement(req))
			continue;
		its = lk_idtab_get(&sim.core->request_ids, req->id);
		if (its == NULL || its->state == LK_REQUEST_HELD ||
		    its->state == LK_REQUEST_ENDING) {
			req->phase = ANSWERED;
		} else if (lk_lane_has_waiter(its)) {
			TELL("  q%u waits in a lane", req->serial);
			req->phase = IN_CORE;
		} else if (its->state == LK_REQUEST_PARKED) {
			sim.counts.parked += req->phase != PARKED;
			if (req->phase != PARKED)
				TELL("  q%u is parked", req->serial);
			req->phase = PARKED;
			req->is_victim = false;
			req->parked_behind = tx_of(its->park->tx);
		} else if (its->state == LK_REQUEST_RETRYING) {
			sim.counts.retries += req->phase != RESTING;
			if (req->phase != RESTING)
				TELL("  q%u is to be tried again",
				    req->serial);
			req->phase = RESTING;
			req->is_victim = req->is_detected = false;
		} else {
			TELL("  q%u is to be run again", req->serial);
			req->phase = IN_CORE;
		}
	}
}

struct lk_request *
request_of(const struct req *req)
{
	char tag[16];
	int n;

	if (!req->is_tagged || req->client == NONE ||
	    sim.clients[req->client].client == NULL)
		return NULL;
	n = snprintf(tag, sizeof(tag), "q%u", req->serial);
	return lk_request_by_tag(sim.clients[req->client].client, tag,
	    (size_t)n);
}

/* Those it waits for in that lane. */
static void
add_blockers(const struct lk_hold *of, uint32_t *reqs_out, uint32_t *txs_out)
{
	const struct lk_hold *hold;
	int i;

	for (hold = lk_lane_blocker(of, NULL); hold != NULL;
	    hold = lk_lane_blocker(of, hold)) {
		if (hold->tx != NULL) {
			if (tx_of(hold->tx) != NONE)
				*txs_out |= 1u << tx_of(hold->tx);
			continue;
		}
		for (i = 0; i < MAX_REQS; i++) {
			if (sim.reqs[i].phase != UNUSED &&
			    request_of(&sim.reqs[i]) == hold->req)
				*reqs_out |= 1u << i;
		}
	}
}

bool
is_laned(const struct req *req, uint32_t *reqs_out, uint32_t *txs_out)
{
	const struct lk_request *its = req->is_verb ? request_of(req) : NULL;
	const struct lk_hold *hold;

	*reqs_out = *txs_out = 0;
	if (its == NULL || !lk_lane_has_waiter(its))
		return false;
	for (hold = its->hold; hold != NULL; hold = hold->next) {
		if (hold->state == LK_HOLD_WAITING)
			add_blockers(hold, reqs_out, txs_out);
	}
	return true;
}

/* Core hears of it: who was to be the victim of that wait is none any more. */
static void
cancel_comes_back(const struct lk_cancel *cancel)
{
	int r = sim.workers[cancel->worker].req;

	if (!cancel->sent && r != NONE && !sim.reqs[r].is_detected)
		sim.reqs[r].is_victim = false;
}

void
deliver_mail(int at)
{
	struct mail mail = sim.mail[at];
	struct lk_job *job;

	lk_assert_loop();
	sim.n_mail--;
	memmove(sim.mail + at, sim.mail + at + 1,
	    (size_t)(sim.n_mail - at) * sizeof(mail));
	if (mail.thread < MAX_WORKERS)
		sim.workers[mail.thread].n_mail--;
	if (mail.msg->kind == LK_MSG_JOB) {
		job = lk_container(mail.msg, struct lk_job, msg);
		job_comes_back(&sim.workers[mail.thread],
		    lk_job_answer(job));
	} else if (mail.msg->kind == LK_MSG_CANCEL) {
		cancel_comes_back(lk_container(mail.msg, struct lk_cancel,
		    msg));
	} else if (mail.msg->kind == LK_MSG_EXITED &&
	    mail.thread < MAX_WORKERS) {
		sim.workers[mail.thread].is_started = false;
		sim.workers[mail.thread].is_stopping = false;
	}
	lk_core_deliver(sim.core, mail.msg);
}

/* ---- workers ---- */

static int
start_worker(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	struct worker *worker = &sim.workers[index];
	int i, n = 0, d = (int)(database - sim.databases);

	(void)ctx;
	REQUIRE(index < MAX_WORKERS && !worker->is_started);
	*worker = (struct worker){ .is_started = true, .database = d,
	    .req = NONE, .tx = NONE, .due_us = sim.now_us + some_us(2000) };
	for (i = 0; i < MAX_WORKERS; i++)
		n += sim.workers[i].is_started && !sim.workers[i].is_stopping &&
		    sim.workers[i].database == d;
	REQUIRE(n <= (int)(database->workers_max + database->workers_reserve));
	return 0;
}

static void
stop_worker(void *ctx, uint32_t index)
{
	(void)ctx;
	REQUIRE(sim.workers[index].is_started);
	REQUIRE(!sim.workers[index].is_stopping);
	sim.workers[index].is_stopping = true;
}

/* A cancel that could still come, or whose answer core does not have. */
static bool
has_cancel_out(uint32_t w)
{
	int i;

	for (i = 0; i < sim.n_cancels; i++) {
		if (sim.cancels[i]->worker == w)
			return true;
	}
	for (i = 0; i < sim.n_mail; i++) {
		if (sim.mail[i].msg->kind == LK_MSG_CANCEL &&
		    lk_container(sim.mail[i].msg, struct lk_cancel,
		    msg)->worker == w)
			return true;
	}
	return false;
}

/* The serial is what it sets the column to. */
static bool
is_by_key(const struct lk_item *item)
{
	return item->kind == LK_ITEM_SQL && item->n_params == 2;
}

/* The client's request that this job is of. */
static int
req_of_job(const struct worker *worker, const struct lk_item *item)
{
	int i, best = NONE;

	if (lk_id_is_none(item->request))
		return NONE;
	if (is_by_key(item))
		return req_by_serial((unsigned)strtoul(item->params[1].data,
		    NULL, 10));
	if (item->kind == LK_ITEM_SQL)
		return req_by_serial((unsigned)strtoul(strchr(item->sql, 'q') +
		    1, NULL, 10));
	for (i = 0; i < MAX_REQS; i++) {
		if (sim.reqs[i].phase != IN_CORE ||
		    sim.reqs[i].tx != worker->tx ||
		    strncmp(item->sql, verb_word(sim.reqs[i].verb),
		    strlen(verb_word(sim.reqs[i].verb))) != 0)
			continue;
		if (best == NONE || sim.reqs[i].serial < sim.reqs[best].serial)
			best = i;
	}
	REQUIRE(best != NONE);
	return best;
}

static void
pin(int w, struct lk_job *job, struct req *req)
{
	struct worker *worker = &sim.workers[w];

	if (job->begin != NULL && !job->is_unit) {
		REQUIRE(req != NULL && req->tx != NONE && worker->tx == NONE);
		REQUIRE(sim.txs[req->tx].worker == NONE);
		worker->tx = req->tx;
		sim.txs[req->tx].worker = w;
	}
	if (req != NULL) {
		REQUIRE(worker->tx == req->tx);
	} else {
		REQUIRE(worker->tx != NONE);
		sim.txs[worker->tx].is_doomed = true;
	}
}

static bool
is_read(const struct lk_item *item)
{
	return item->kind == LK_ITEM_SQL && item->n_params == 1;
}

/* What its task has asked for before, core has answered. */
static void
check_turn(const struct req *req)
{
	const struct req *other;

	for (other = sim.reqs; other < sim.reqs + MAX_REQS; other++) {
		if (other->phase != UNUSED && other->task == req->task &&
		    is_statement(other) && other->serial < req->serial &&
		    request_of(other) != NULL)
			complain("q%u is read before q%u has been answered",
			    req->serial, other->serial);
	}
}

static void
take_reads(int w, struct lk_job *job)
{
	struct worker *worker = &sim.workers[w];
	const struct lk_request *its;
	struct req *req;
	size_t i;
	int r;

	REQUIRE(worker->tx == NONE && job->n_items <= MAX_REQS);
	worker->req = NONE;
	worker->is_reading = true;
	worker->n_others = (int)job->n_items;
	for (i = 0; i < job->n_items; i++) {
		its = lk_idtab_get(&sim.core->request_ids,
		    job->items[i].request);
		REQUIRE(its != NULL && its->n_tag > 1);
		r = req_by_serial((unsigned)strtoul(its->tag + 1, NULL, 10));
		REQUIRE(r != NONE && sim.reqs[r].phase == IN_CORE);
		req = &sim.reqs[r];
		check_turn(req);
		req->phase = AT_SERVER;
		req->id = job->items[i].request;
		worker->others[i] = req->serial;
		TELL("  core gives worker %d (pid %d) GET q%u, with %d others",
		    w, sim.sessions[w].pid, req->serial, worker->n_others - 1);
	}
	sim.counts.reads += job->n_items;
	sim.counts.batches += job->n_items > 1;
	sim.counts.batched += job->n_items > 1 ? job->n_items : 0;
}

/* The first of the group is the worker's; the others share its fate. */
static void
take_others(int w, struct lk_job *job)
{
	struct worker *worker = &sim.workers[w];
	struct req *req;
	size_t i;
	int r;

	for (i = 1; i + 1 < job->n_items; i++) {
		r = req_of_job(worker, &job->items[i]);
		REQUIRE(r != NONE);
		req = &sim.reqs[r];
		REQUIRE(req->phase == IN_CORE || req->id.generation != 0);
		REQUIRE(req->rows[0] == sim.reqs[worker->req].rows[0]);
		req->phase = AT_SERVER;
		req->id = job->items[i].request;
		req->is_ending = req->is_victim = false;
		worker->others[worker->n_others++] = req->serial;
		TELL("  and q%u with it", req->serial);
	}
	sim.counts.groups++;
	sim.counts.grouped += job->n_items - 1;
}

/* The fence: no session is given work that it is not ready for. */
static void
take_job(void *ctx, uint32_t w, struct lk_job **jobp)
{
	struct worker *worker = &sim.workers[w];
	struct lk_job *job = *jobp;
	struct req *req = NULL;

	(void)ctx;
	*jobp = NULL;
	REQUIRE(worker->is_started && sim.sessions[w].pid != 0);
	REQUIRE(!worker->is_stopping && worker->job == NULL);
	REQUIRE(worker->n_mail == 0 && !has_cancel_out(w));
	worker->job = job;
	worker->n_locked = 0;
	worker->is_cancelled = false;
	worker->due_us = sim.now_us + below(300);
	if (is_read(&job->items[0])) {
		worker->due_us = sim.now_us + some_us(3000);
		take_reads((int)w, job);
		return;
	}
	worker->req = req_of_job(worker, &job->items[0]);
	if (worker->req != NONE) {
		req = &sim.reqs[worker->req];
		REQUIRE(req->phase == IN_CORE || req->id.generation != 0);
		req->phase = AT_SERVER;
		req->id = job->items[0].request;
		req->is_ending = req->is_victim = false;
	}
	pin((int)w, job, req);
	if (job->is_group)
		take_others((int)w, job);
	TELL("  core gives worker %d (pid %d) %s", (int)w,
	    sim.sessions[w].pid, job->items[0].sql);
}

bool
worker_can_move(int w)
{
	const struct worker *worker = &sim.workers[w];

	if (!worker->is_started)
		return false;
	if (worker->job == NULL)
		return worker->n_mail == 0 && (worker->is_stopping ||
		    (sim.sessions[w].pid == 0 && worker->due_us <= sim.now_us));
	if (worker->is_cancelled)
		return true;
	return sim.sessions[w].wait_row == NONE &&
	    worker->due_us <= sim.now_us;
}

/* Hand the job back, and clean behind it. */
static void
finish(int w)
{
	struct worker *worker = &sim.workers[w];
	struct lk_job *job = worker->job;
	uint64_t delay = in_100(90) ? below(100) : below(20000);
	int i, r;

	worker->job = NULL;
	job->after = !sim.sessions[w].in_tx ? LK_XACT_IDLE :
	    sim.sessions[w].is_failed ? LK_XACT_ERROR : LK_XACT_OPEN;
	REQUIRE(job->in_tx == sim.sessions[w].in_tx);
	if (worker->req != NONE)
		sim.reqs[worker->req].phase = ON_ITS_WAY;
	for (i = 0; i < worker->n_others; i++) {
		r = req_by_serial(worker->others[i]);
		if (r != NONE && sim.reqs[r].phase == AT_SERVER)
			sim.reqs[r].phase = ON_ITS_WAY;
	}
	post(&job->msg, LK_MSG_JOB, (uint32_t)w, delay);
	if (job->clean)
		post_note(w, LK_NOTE_READY, delay + below(200));
}

/* A unit has a row for each item, and COMMIT behind them. */
static struct lk_item *
item_at_hand(int w)
{
	const struct worker *worker = &sim.workers[w];
	struct lk_job *job = worker->job;

	if (!job->is_unit || worker->n_locked == 0)
		return &job->items[0];
	return &job->items[worker->n_locked - 1];
}

static void
fail(int w, enum lk_error_kind kind, const char *sqlstate)
{
	struct lk_item *item = item_at_hand(w);

	pg_stop_waiting(w);
	item->outcome = LK_ITEM_FAILED;
	lk_error_set(&item->error, kind, "the server's words");
	lk_error_set_sqlstate(&item->error, sqlstate);
	if (sim.sessions[w].in_tx)
		sim.sessions[w].is_failed = true;
	else
		pg_end_tx(w);
	finish(w);
}

static void
succeed(int w, const char *tag)
{
	struct lk_job *job = sim.workers[w].job;
	struct lk_item *item = &job->items[job->n_items - 1];
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		job->items[i].outcome = LK_ITEM_DONE;
		if (is_by_key(&job->items[i]))
			lk_buf_printf(&job->items[i].reply, "+done %s\r\n",
			    (const char *)job->items[i].params[1].data);
	}
	item->n_rows = (uint64_t)sim.workers[w].n_locked;
	strcpy(item->tag, tag);
	if (item->reply.len == 0)
		lk_buf_puts(&item->reply, "+done\r\n");
	if (!sim.sessions[w].in_tx) {
		pg_commit(w);
		pg_end_tx(w);
	}
	finish(w);
}

/* One statement for all, or one each. */
static void
run_reads(int w)
{
	struct worker *worker = &sim.workers[w];
	struct lk_item *item;
	size_t i;
	int row;

	for (i = 0; i < worker->job->n_items; i++) {
		item = &worker->job->items[i];
		row = atoi(item->params[0].data);
		item->outcome = LK_ITEM_FAILED;
		lk_error_set(&item->error, LK_ERR_PG, "the server's words");
		if (worker->is_cancelled) {
			lk_error_set_sqlstate(&item->error, "57014");
		} else if (row >= BAD_KEY) {
			lk_error_set_sqlstate(&item->error, "22012");
		} else {
			lk_error_fini(&item->error);
			item->outcome = LK_ITEM_DONE;
			lk_buf_printf(&item->reply, "+row %d: %u\r\n", row,
			    sim.rows[row].n_commits);
		}
	}
	finish(w);
}

/* A cancel comes to nothing when the transaction ends anyway. */
static bool
ends_tx(const struct lk_item *item)
{
	return item->kind == LK_ITEM_CONTROL &&
	    (strcmp(item->sql, "COMMIT") == 0 ||
	    strcmp(item->sql, "ROLLBACK") == 0);
}

static void
run_control(int w, const char *sql)
{
	struct session *session = &sim.sessions[w];
	bool was_failed = session->is_failed;

	if (ends_tx(&sim.workers[w].job->items[0])) {
		if (!was_failed && strcmp(sql, "COMMIT") == 0)
			pg_commit(w);
		pg_end_tx(w);
		succeed(w, was_failed ? "ROLLBACK" : sql);
	} else if (strncmp(sql, "ROLLBACK TO ", 12) == 0) {
		pg_rollback_to(w);
		succeed(w, "ROLLBACK");
	} else if (was_failed) {
		fail(w, LK_ERR_TXABORTED, "25P02");
	} else {
		pg_savepoint(w);
		succeed(w, "SAVEPOINT");
	}
}

static void
run_job(int w)
{
	struct worker *worker = &sim.workers[w];
	struct lk_item *item = &worker->job->items[0];
	struct req *req = worker->req == NONE ? NULL : &sim.reqs[worker->req];
	int n = worker->n_locked;

	if (worker->is_reading) {
		run_reads(w);
		return;
	}
	if (worker->job->begin != NULL && !worker->job->is_unit)
		sim.sessions[w].in_tx = true;
	if (worker->is_cancelled && !ends_tx(item)) {
		fail(w, LK_ERR_PG, "57014");
	} else if (item->kind == LK_ITEM_CONTROL) {
		run_control(w, item->sql);
	} else if (sim.sessions[w].is_failed) {
		fail(w, LK_ERR_TXABORTED, "25P02");
	} else if (n < req->n_rows) {
		worker->n_locked++;
		pg_lock(w, req->rows[n], req->modes[n]);
		worker->due_us = sim.now_us + (n + 1 < req->n_rows ?
		    below(300) : req->run_us);
	} else if (worker->job->is_unit && in_100(5)) {
		sim.counts.serializations++;
		fail(w, LK_ERR_SERIALIZE, "40001");
	} else {
		succeed(w, "UPDATE 1");
	}
}

void
move_worker(int w)
{
	struct worker *worker = &sim.workers[w];

	if (worker->job != NULL) {
		run_job(w);
	} else if (worker->is_stopping) {
		pg_close(w);
		post(&sim.exited[w], LK_MSG_EXITED, (uint32_t)w, 0);
	} else {
		sim.sessions[w].pid = sim.next_pid++;
		sim.sessions[w].server = sim.server_of[worker->database];
		sim.sessions[w].wait_row = NONE;
		post_note(w, LK_NOTE_UP, below(200));
	}
}

/* ---- watchers ---- */

static int
start_watcher(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	(void)ctx;
	REQUIRE((int)index < sim.n_servers &&
	    !sim.watchers[index].is_started);
	sim.watchers[index] = (struct watcher){ .is_started = true,
	    .server = sim.server_of[database - sim.databases] };
	return 0;
}

static void
take_look(void *ctx, uint32_t index, struct lk_look **look)
{
	(void)ctx;
	REQUIRE(sim.watchers[index].is_started &&
	    sim.watchers[index].look == NULL);
	sim.watchers[index].look = *look;
	*look = NULL;
}

void
move_look(int index)
{
	struct watcher *watcher = &sim.watchers[index];
	struct lk_look *look = watcher->look;
	int s;

	if (look->n_asked > 0 && !watcher->has_confirmed) {
		TELL("pg_blocking_pids is asked");
		for (s = 0; s < MAX_SESSIONS; s++)
			watcher->blocking[s] = sim.sessions[s].pid != 0 &&
			    sim.sessions[s].wait_row != NONE ?
			    pg_blocking(s) : 0;
		watcher->has_confirmed = true;
		return;
	}
	watcher->has_confirmed = false;
	watcher->look = NULL;
	if (in_100(1)) {
		look->failed = true;
		TELL("a look fails");
	} else {
		pg_fill_look(look, watcher);
		note_instant(index);
		TELL("a look sees %d waits", (int)look->n_waits);
	}
	post(&look->msg, LK_MSG_LOOK, WATCHER_BIT | (uint32_t)index,
	    below(1000) * (in_100(60) ? 1 : in_100(80) ? 30 : 150));
}

/* Of those that share the worker's transaction. */
static void
set_ending(uint32_t w, bool is_ending)
{
	int i, r;

	for (i = 0; i < sim.workers[w].n_others; i++) {
		r = req_by_serial(sim.workers[w].others[i]);
		if (r != NONE)
			sim.reqs[r].is_ending = is_ending;
	}
}

/*
 * What a verdict, a deadline, a time-out for locks or a CANCEL asks for.  The
 * request goes one way or the other from now on.
 */
static void
take_cancel(void *ctx, uint32_t thread, struct lk_cancel **cancel)
{
	int r;

	(void)ctx;
	(void)thread;
	REQUIRE(sim.n_cancels < MAX_CANCELS);
	REQUIRE(!(*cancel)->terminate);
	r = sim.workers[(*cancel)->worker].req;
	TELL("  core cancels pid %d%s%s", (*cancel)->backend_pid,
	    (*cancel)->waitstart[0] != '\0' ? " in wait " : "",
	    (*cancel)->waitstart);
	if (r != NONE) {
		REQUIRE(sim.reqs[r].verb != COMMIT);
		sim.reqs[r].is_ending = true;
	}
	set_ending((*cancel)->worker, true);
	sim.cancels[sim.n_cancels++] = *cancel;
	*cancel = NULL;
}

static bool
is_in_wait(const struct session *session, const char *waitstart)
{
	char text[40];

	snprintf(text, sizeof(text), "w%u", session->wait_serial);
	return session->wait_row != NONE && strcmp(text, waitstart) == 0;
}

/* That wait was over: it goes on as if nothing had been. */
static void
spare(int w)
{
	struct req *req;

	sim.counts.dissolved++;
	if (sim.workers[w].req == NONE)
		return;
	req = &sim.reqs[sim.workers[w].req];
	set_ending((uint32_t)w, false);
	if (req->is_detected)	/* its wait is over because it has failed */
		return;
	req->is_ending = req->is_retried = false;
	if (req->tx != NONE)
		sim.txs[req->tx].is_doomed = false;
}

/*
 * At the server: a signal to a backend, whatever that runs.  One that comes
 * before the backend has read its statement is lost.
 */
void
move_cancel(int i)
{
	struct lk_cancel *cancel = sim.cancels[i];
	int s = pg_session_of_pid(cancel->backend_pid);

	sim.cancels[i] = sim.cancels[--sim.n_cancels];
	cancel->sent = s != NONE && (cancel->waitstart[0] == '\0' ||
	    is_in_wait(&sim.sessions[s], cancel->waitstart));
	TELL("the cancel of pid %d comes%s", cancel->backend_pid,
	    cancel->sent ? "" : " too late");
	if (cancel->sent && sim.workers[s].job != NULL && in_100(90))
		sim.workers[s].is_cancelled = true;
	else if (s != NONE && !cancel->sent)
		spare(s);
	post(&cancel->msg, LK_MSG_CANCEL, WATCHER_BIT, some_us(200));
}

void
move_detector(int s)
{
	if (!pg_detect(s))
		return;
	TELL("PostgreSQL ends the wait of pid %d", sim.sessions[s].pid);
	sim.counts.detected++;
	sim.given_up_us = sim.now_us;
	if (s >= MAX_WORKERS) {
		pg_close(s);
	} else {
		if (sim.workers[s].req != NONE)
			sim.reqs[sim.workers[s].req].is_detected = true;
		fail(s, LK_ERR_DEADLOCK, "40P01");
	}
}

static void
stop_watcher(void *ctx, uint32_t index)
{
	(void)ctx;
	REQUIRE(sim.watchers[index].is_started);
	sim.watchers[index].is_stopping = true;
}

/* ---- catalogs: one table, r (id, v) ---- */

static struct lk_catalog *
make_catalog(void)
{
	static const char *const names[] = { "id", "v" };
	struct lk_catalog *catalog = lk_catalog_new();
	struct lk_model *model = lk_catalog_add_model(catalog, 16384, "public",
	    "r", true);
	struct lk_column *column;
	int i, key = 1;

	model->is_alone = true;
	for (i = 0; i < 2; i++) {
		column = lk_model_add_column(model, names[i], i + 1);
		column->type = column->base_type = 23;
		column->type_name = strdup("integer");
	}
	lk_model_add_key(model, &key, 1, true);
	lk_model_note_index(model, &key, 1, 1);
	lk_catalog_set_read_committed(catalog);
	lk_catalog_finish(catalog);
	return catalog;
}

static int
read_catalog(void *ctx, uint32_t index,
    const struct lk_config_database *database, struct lk_catalog_read **read)
{
	(void)ctx;
	(void)database;
	(*read)->catalog = make_catalog();
	post(&(*read)->msg, LK_MSG_CATALOG, READER_BIT | index, some_us(200));
	*read = NULL;
	return 0;
}

static void
stop_reader(void *ctx, uint32_t index)
{
	(void)ctx;
	post(&sim.reader_exited[index], LK_MSG_EXITED, READER_BIT | index, 0);
}

/* ---- connections ---- */

static void
take_reply(void *conn, struct lk_buf *bytes)
{
	struct client *client = conn;

	REQUIRE(client->client != NULL);
	lk_buf_append(&client->got, bytes->data, bytes->len);
	lk_buf_fini(bytes);
}

static void
take_reply_head(void *conn, const void *bytes, size_t n)
{
	struct client *client = conn;

	REQUIRE(client->client != NULL);
	lk_buf_append(&client->got, bytes, n);
}

/* Now and then half a request is there. */
static bool
drain(void *conn)
{
	struct client *client = conn;

	if (in_100(5)) {
		TELL("  not all of client %d's socket can be read",
		    (int)(client - sim.clients));
		return false;
	}
	read_socket((int)(client - sim.clients), MAX_SOCKET + 1);
	return true;
}

static void
never_closes(void *conn)
{
	complain("core closes the connection of client %d",
	    (int)((struct client *)conn - sim.clients));
}

static uint64_t
stalled_us(void *conn)
{
	(void)conn;
	return 0;
}

static int
reload(void *ctx, const struct lk_config **config_out, struct lk_error *error)
{
	(void)ctx;
	(void)config_out;
	(void)error;
	complain("core reloads the configuration");
}

const struct lk_effects sim_effects = {
	.reply = take_reply,
	.reply_head = take_reply_head,
	.close = never_closes,
	.drain = drain,
	.worker_start = start_worker,
	.submit = take_job,
	.worker_stop = stop_worker,
	.watcher_start = start_watcher,
	.look = take_look,
	.cancel = take_cancel,
	.cancel_directly = take_cancel,
	.watcher_stop = stop_watcher,
	.catalog_read = read_catalog,
	.reader_stop = stop_reader,
	.stalled_us = stalled_us,
	.drop = never_closes,
	.reload = reload,
};

/* ---- its end ---- */

/* All clients have gone: end the threads, and see that nothing is left. */
void
stop_world(void)
{
	int i;

	lk_assert_loop();
	lk_core_stop(sim.core);
	while (!lk_core_is_stopped(sim.core)) {
		while (sim.n_cancels > 0)
			move_cancel(0);
		for (i = 0; i < MAX_WORKERS; i++) {
			if (worker_can_move(i))
				move_worker(i);
		}
		for (i = 0; i < sim.n_servers; i++) {
			if (sim.watchers[i].look != NULL)
				move_look(i);
			if (sim.watchers[i].is_stopping)
				post(&sim.watcher_exited[i], LK_MSG_EXITED,
				    WATCHER_BIT | (uint32_t)i, 0);
			sim.watchers[i].is_stopping = false;
		}
		sim.now_us += 10 * LK_US_PER_MS;
		lk_core_set_now(sim.core, sim.now_us);
		while (sim.n_mail > 0)
			deliver_mail(0);
		REQUIRE(sim.now_us < LK_US_PER_S * 10000);
	}
	for (i = 0; i < MAX_SESSIONS; i++)
		REQUIRE(!pg_holds_any(i) && (i >= MAX_WORKERS ||
		    sim.sessions[i].pid == 0));
	lk_core_free(&sim.core);
}
