/*
 * The oracle: from the truth alone, who can never move again.
 *
 * It plays continuations.  An actor is a coroutine, a transaction, a request
 * that has no reply, or a session of another program.  Whatever is able to
 * take a step in the present situation is taken to do the best that it could
 * do for the others: it goes, with all that it holds.  So a statement that
 * runs ends, a coroutine that is free ends its transactions, a foreign session
 * that does not wait leaves, a slot that is free or comes free goes to any
 * request, and nobody begins anything new.  Who keeps whom is read off the lock
 * tables, the queues, the pool and the programs as they are (struct rule).
 * Someone who is there at the end of every continuation can never move without
 * an error, a time-out or somebody's giving up.
 *
 * Nothing that has gone ever keeps another from going: it only leaves locks,
 * slots, places in queues.  So whoever can go in one order can go in any, and
 * one continuation, played to its end, is as good as all; play() does that.
 * search() does not rely on it: it tries every order, for some of the
 * situations, and complains if it finds more.
 */
#include "sim.h"

#define TASK(i)		(1ULL << (i))
#define TX(i)		(1ULL << (MAX_TASKS + (i)))
#define REQ(i)		(1ULL << (MAX_TASKS + MAX_TXS + (i)))
#define FOREIGN(i)	(1ULL << (MAX_TASKS + MAX_TXS + MAX_REQS + (i)))
#define N_ACTORS	(MAX_TASKS + MAX_TXS + MAX_REQS + MAX_FOREIGN)

typedef uint64_t set;	/* of actors */

/* It can go at once; or when these have all gone, and one of those has. */
struct rule {
	bool	is_free;
	set	all, any;	/* any 0: it needs none */
};

/* Those that have no reply, to save time. */
static int asked[MAX_REQS];
static int n_asked;

static set
actors(void)
{
	set all = 0;
	int i;

	n_asked = 0;
	for (i = 0; i < sim.n_tasks; i++)
		all |= TASK(i);
	for (i = 0; i < MAX_TXS; i++)
		all |= sim.txs[i].is_used ? TX(i) : 0;
	for (i = 0; i < MAX_REQS; i++) {
		if (sim.reqs[i].phase == UNUSED)
			continue;
		all |= REQ(i);
		asked[n_asked++] = i;
	}
	for (i = 0; i < sim.n_foreign; i++)
		all |= FOREIGN(i);
	return all;
}

static bool
is_on_receipt(const struct req *req)
{
	return req->verb == AWAIT || req->verb == GIVE || req->verb == CANCEL;
}

/* ---- locks ---- */

static set
others_of(const struct worker *worker)
{
	set all = 0;
	int i, r;

	for (i = 0; i < worker->n_others; i++) {
		r = req_by_serial(worker->others[i]);
		if (r != NONE)
			all |= REQ(r);
	}
	return all;
}

/* Whose session it is; 0: nobody's. */
static set
user_of(int session)
{
	const struct worker *worker;

	if (session >= MAX_WORKERS)
		return FOREIGN(session - MAX_WORKERS);
	worker = &sim.workers[session];
	if (worker->tx != NONE)
		return TX(worker->tx);
	return (worker->req != NONE ? REQ(worker->req) : 0) |
	    others_of(worker);
}

/* What it holds is held by nobody; NONE: that is nobody's case. */
static int rolled_back = NONE;

static set
users_of(uint32_t sessions)
{
	set users = 0;
	int s;

	for (s = 0; s < MAX_SESSIONS; s++) {
		if ((sessions & 1u << s) && s != rolled_back)
			users |= user_of(s);
	}
	return users;
}

/* As judge() was asked. */
static bool is_in_full;

/* For whom it waits. */
static set
lock_needs(int session)
{
	const struct session *waiter = &sim.sessions[session];
	const struct row *row;

	if (waiter->wait_row == NONE)
		return 0;
	row = &sim.rows[waiter->wait_row];
	return users_of(pg_holders(row, session, waiter->wait_mode) |
	    (is_in_full ? pg_waiters_before(row, session) : 0));
}

/* ---- requests ---- */

static int
session_of(int r)
{
	int w;

	for (w = 0; w < MAX_WORKERS; w++) {
		if (sim.workers[w].is_started && (sim.workers[w].req == r ||
		    (others_of(&sim.workers[w]) & REQ(r))))
			return w;
	}
	return NONE;
}

static bool
wants_slot(const struct req *req)
{
	if (req->phase != IN_CORE && req->phase != IN_SOCKET)
		return false;
	if (!is_statement(req) && req->verb != SAVEPOINT &&
	    req->verb != ROLLBACK_TO)
		return false;
	return req->tx == NONE || (sim.txs[req->tx].worker == NONE &&
	    !sim.txs[req->tx].is_doomed && !sim.txs[req->tx].is_over);
}

/* Who has a slot of it; *is_free: somebody may have one at once. */
static set
slot_users(int database, bool *is_free)
{
	const struct worker *worker;
	uint32_t n = 0;
	set users = 0, user;
	int w;

	*is_free = false;
	for (w = 0; w < MAX_WORKERS; w++) {
		worker = &sim.workers[w];
		if (!worker->is_started || worker->is_stopping ||
		    worker->database != database)
			continue;
		n++;
		user = w != rolled_back ? user_of(w) : 0;
		users |= user;
		if (user == 0)
			*is_free = true;
	}
	if (n < sim.databases[database].workers_max)
		*is_free = true;
	return users;
}

static set
earlier(const struct req *req)
{
	const struct req *other;
	set all = 0;
	int i;

	for (i = 0; i < n_asked; i++) {
		other = &sim.reqs[asked[i]];
		if (other->serial >= req->serial || is_on_receipt(other))
			continue;
		if ((req->task != NONE && other->task == req->task) ||
		    (req->tx != NONE && other->tx == req->tx))
			all |= REQ(asked[i]);
	}
	return all;
}

/* A cancel that is out may come too late: it is as if there were none. */
static bool is_without_cancels;

/*
 * Its deadline has passed; or a CANCEL of it, or its client's end, lies in the
 * socket, if core does not have it already.
 */
static bool
is_being_ended(const struct req *req)
{
	if (req->deadline_ms != LK_NEVER && req->phase != IN_SOCKET &&
	    sim.now_us >= req->read_us + req->deadline_ms * LK_US_PER_MS)
		return true;
	return (req->is_ending && !is_without_cancels) ||
	    req->was_cancelled || req->client == NONE ||
	    sim.clients[req->client].is_dying;
}

/*
 * What it would wait for if it were sent.  Core knows of it the transaction that
 * it was parked behind, and not who else has come to hold that row.
 */
static set
parked_needs(const struct req *req)
{
	set needs = 0;
	int i;

	for (i = 0; i < req->n_rows && needs == 0; i++)
		needs = users_of(pg_holders(&sim.rows[req->rows[i]],
		    MAX_SESSIONS, req->modes[i]));
	if (!is_in_full)
		needs &= req->parked_behind != NONE ? TX(req->parked_behind) :
		    0;
	return needs;
}

static set
laned_needs(uint32_t reqs, uint32_t txs)
{
	return (set)txs << MAX_TASKS | (set)reqs << (MAX_TASKS + MAX_TXS);
}

static void
set_req_rule(int r, struct rule *rule)
{
	const struct req *req = &sim.reqs[r];
	uint32_t reqs, txs;

	if (is_on_receipt(req) || is_being_ended(req) ||
	    req->phase == ON_ITS_WAY || req->phase == ANSWERED ||
	    req->phase == RESTING ||
	    (req->phase == AT_SERVER && req->verb == READ))
		rule->is_free = true;
	else if (req->phase == PARKED)
		rule->all = parked_needs(req);
	else if (req->phase == AT_SERVER)
		rule->all = lock_needs(session_of(r));
	else if (req->phase == IN_CORE && is_laned(req, &reqs, &txs))
		rule->all = laned_needs(reqs, txs);
	else if ((rule->all = earlier(req)) == 0 && wants_slot(req))
		rule->any = slot_users(req->database, &rule->is_free);
}

/* Its reply, which untagged waits for those before it. */
static set
reply_needs(int r)
{
	const struct req *req = &sim.reqs[r], *other;
	set needs = REQ(r);
	int i;

	for (i = 0; i < n_asked && !req->is_tagged; i++) {
		other = &sim.reqs[asked[i]];
		if (other->client == req->client && !other->is_tagged &&
		    other->serial < req->serial && !is_on_receipt(other))
			needs |= REQ(asked[i]);
	}
	return needs;
}

/* ---- tasks and transactions ---- */

/*
 * Its own answers, and those of the calls that the thread of its client stands
 * still in.  NONE: somebody of that client's, who has asked for nothing.
 */
static set
answers_needed(int t, int c)
{
	const struct client *mine = &sim.clients[c], *client;
	const struct req *req;
	set needs = 0;
	int i;

	for (i = 0; i < n_asked; i++) {
		req = &sim.reqs[asked[i]];
		if (req->client == NONE || is_on_receipt(req))
			continue;
		client = &sim.clients[req->client];
		if ((t != NONE && req->task == t) || (client->is_blocking &&
		    mine->thread != NONE && client->thread == mine->thread &&
		    client->pid == mine->pid))
			needs |= reply_needs(asked[i]);
	}
	return needs;
}

/* Whether core has something of it that it has not ended. */
static bool
has_open(int t)
{
	const struct tx *tx;
	int i;

	for (i = 0; i < n_asked; i++) {
		if (sim.reqs[asked[i]].task == t &&
		    sim.reqs[asked[i]].phase != IN_SOCKET)
			return true;
	}
	for (tx = sim.txs; tx < sim.txs + MAX_TXS; tx++) {
		if (tx->is_used && !tx->is_over && tx->owner == t)
			return true;
	}
	return sim.tasks[t].said_others != 0;
}

static void
set_task_rule(int t, struct rule *rule)
{
	const struct task *task = &sim.tasks[t];

	rule->is_free = task->is_finished ||
	    sim.clients[task->client].is_dying || (!is_in_full && !has_open(t));
	rule->all = answers_needed(t, task->client);
	/* Until core reads the AWAIT it might as well not have been said. */
	if (!task->awaits || task->n_awaiting > 0)
		return;
	if (task->await_any)
		rule->any = task->others;
	else
		rule->all |= task->others;
}

static set
tx_needs(int x)
{
	const struct tx *tx = &sim.txs[x];
	const struct req *req;
	set needs = 0;
	int i;

	for (i = 0; i < n_asked; i++) {
		req = &sim.reqs[asked[i]];
		if (req->phase != ANSWERED && req->tx == x)
			needs |= REQ(asked[i]);
	}
	/* Whose statement has come so far may end as well. */
	if (needs != 0 || tx->is_ending || tx->is_shared)
		return needs;
	if (tx->owner != NONE)
		return TASK(tx->owner);
	return tx->client != NONE ? answers_needed(NONE, tx->client) : 0;
}

static void
set_tx_rule(int x, struct rule *rule)
{
	const struct tx *tx = &sim.txs[x];

	rule->is_free = tx->is_over || tx->n_giving > 0 ||
	    (tx->is_doomed && !is_without_cancels);
	rule->all = tx_needs(x);
}

/* ---- continuations ---- */

static struct rule rules[N_ACTORS];

static void
set_rule(int actor)
{
	struct rule *rule = &rules[actor];

	*rule = (struct rule){ 0 };
	if (actor < MAX_TASKS)
		set_task_rule(actor, rule);
	else if (actor < MAX_TASKS + MAX_TXS)
		set_tx_rule(actor - MAX_TASKS, rule);
	else if (actor < MAX_TASKS + MAX_TXS + MAX_REQS)
		set_req_rule(actor - MAX_TASKS - MAX_TXS, rule);
	else
		rule->all = lock_needs(MAX_WORKERS + actor - MAX_TASKS -
		    MAX_TXS - MAX_REQS);
}

static bool
can_go(int actor, set gone)
{
	const struct rule *rule = &rules[actor];

	return rule->is_free || ((rule->all & ~gone) == 0 &&
	    (rule->any == 0 || (rule->any & gone) != 0));
}

/* One continuation to its end; all have gone that are not in `all`. */
static set
play(set all, set gone)
{
	set before, left;
	int actor;

	do {
		before = gone;
		for (left = all & ~gone; left != 0; left &= left - 1) {
			actor = __builtin_ctzll(left);
			if (can_go(actor, gone))
				gone |= 1ULL << actor;
		}
	} while (gone != before);
	return gone;
}

#define MAX_SEEN	4096

static set seen[2 * MAX_SEEN];
static int n_seen;

static bool
is_seen(set gone)
{
	uint32_t at = (uint32_t)(gone * 0x9e3779b97f4a7c15ULL >> 51);

	while (seen[at] != 0 && seen[at] != gone + 1)
		at = (at + 1) % (2 * MAX_SEEN);
	if (seen[at] != 0)
		return true;
	seen[at] = gone + 1;
	n_seen++;
	return false;
}

/* All continuations: who goes in any of them.  False: they are too many. */
static bool
search_from(set all, set gone, set *ever)
{
	set left;
	int actor;

	if (is_seen(gone))
		return true;
	if (n_seen >= MAX_SEEN)
		return false;
	*ever |= gone;
	for (left = all & ~gone; left != 0; left &= left - 1) {
		actor = __builtin_ctzll(left);
		if (can_go(actor, gone) &&
		    !search_from(all, gone | 1ULL << actor, ever))
			return false;
	}
	return true;
}

static bool
search(set all, set gone, set *ever)
{
	memset(seen, 0, sizeof(seen));
	n_seen = 0;
	*ever = 0;
	return search_from(all, gone, ever);
}

/* ---- who waits for itself ---- */

static bool
waits_for_itself(int actor, set stuck)
{
	set reached = (rules[actor].all | rules[actor].any) & stuck;
	set from = reached, next;
	const struct rule *rule;

	while (from != 0 && !(reached & 1ULL << actor)) {
		rule = &rules[__builtin_ctzll(from)];
		next = (rule->all | rule->any) & stuck & ~reached;
		from = (from & (from - 1)) | next;
		reached |= next;
	}
	return (reached & 1ULL << actor) != 0;
}

/* What a verdict may be about: it waits for a lock, or for a slot. */
static bool
can_be_failed(int r)
{
	const struct req *req = &sim.reqs[r];
	uint32_t reqs, txs;

	if (req->phase == AT_SERVER ||
	    (req->phase == IN_CORE && is_laned(req, &reqs, &txs)))
		return locks_rows(req);
	return req->phase == IN_CORE && wants_slot(req) && earlier(req) == 0;
}

void
judge(struct judgement *judgement, bool in_full)
{
	set all = actors(), stuck, ever, left;
	int actor, r;

	*judgement = (struct judgement){ 0 };
	is_in_full = in_full;
	sim.counts.checks++;
	for (left = all; left != 0; left &= left - 1)
		set_rule(__builtin_ctzll(left));
	stuck = all & ~play(all, 0);
	if (in_100(stuck != 0 ? 10 : 1) && search(all, 0, &ever)) {
		sim.counts.searches++;
		REQUIRE((all & ~ever) == stuck);
	}
	if (stuck == 0)
		return;
	for (r = 0; r < MAX_REQS; r++) {
		actor = MAX_TASKS + MAX_TXS + r;
		if (!(stuck & 1ULL << actor) || !can_be_failed(r))
			continue;
		judgement->stuck |= 1u << r;
		if (waits_for_itself(actor, stuck))
			judgement->in_cycle |= 1u << r;
	}
}

void
judge_units(struct judgement *judgement)
{
	struct judgement without;
	int r;

	for (r = 0; r < MAX_REQS; r++) {
		if (!(judgement->in_cycle & 1u << r) ||
		    sim.reqs[r].verb != EXEC ||
		    sim.reqs[r].phase != AT_SERVER)
			continue;
		rolled_back = session_of(r);
		judge(&without, true);
		rolled_back = NONE;
		if (!(without.stuck & 1u << r))
			judgement->helped |= 1u << r;
	}
}

void
note_instant(int server)
{
	struct judgement truth;
	int r;

	is_without_cancels = true;
	judge(&truth, true);
	is_without_cancels = false;
	for (r = 0; r < MAX_REQS; r++)
		sim.watchers[server].stuck[r] = truth.in_cycle & 1u << r ?
		    sim.reqs[r].serial : 0;
}

bool
was_stuck(const struct req *req)
{
	int i, r = (int)(req - sim.reqs);

	for (i = 0; i < sim.n_servers; i++) {
		if (sim.watchers[i].stuck[r] == req->serial)
			return true;
	}
	return false;
}
