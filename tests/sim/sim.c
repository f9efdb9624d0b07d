/*
 * Random schedules of clients, sessions, looks, cancels and time against core,
 * each replayed by its seed and number; README says what is checked.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "core/state.h"
#include "sim.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_SCHEDULES	20000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define N_SCHEDULES	20000
#endif
#endif
#ifndef N_SCHEDULES
#define N_SCHEDULES	100000
#endif

/* What stands still for reasons that nobody knows ends when a client dies, which
 * is rare, and looks at it are moves. */
#define MAX_MOVES	200000
/* A deadlock that nothing changes is found within this; promised is less. */
#define BOUND_US	LK_US_PER_S
/* Until core looks again after a look that has failed. */
#define BLIND_US	LK_US_PER_S

struct sim sim;

/* ---- chance ---- */

uint32_t
below(uint32_t n)
{
	uint64_t z = sim.rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ (z >> 31)) % n);
}

bool
in_100(uint32_t percent)
{
	return below(100) < percent;
}

uint64_t
some_us(uint64_t max)
{
	uint64_t us = 1 + below((uint32_t)max);

	return in_100(4) ? 100 * us : us;
}

/* ---- telling ---- */

void
tell(const char *fmt, ...)
{
	va_list ap;

	printf("%9.3f ms  ", (double)sim.now_us / LK_US_PER_MS);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void
say_how_to_replay(void)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "replay with tests/sim/sim "
	    "--seed %llu --one %llu -v\n", (unsigned long long)sim.seed,
	    (unsigned long long)sim.index);

	if (write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(1);
}

static void play_schedule(uint64_t index);

/* Once more in a child that tells of it, up to the same end. */
static void
tell_story(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		sim.is_verbose = true;
		play_schedule(sim.index);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

void
complain(const char *fmt, ...)
{
	va_list ap;

	if (!sim.is_verbose)
		tell_story();
	printf("schedule %llu: ", (unsigned long long)sim.index);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	say_how_to_replay();
	if (!sim.is_verbose)
		printf("%llu passed, 1 failed\n",
		    (unsigned long long)sim.index);
	fflush(stdout);
	_exit(1);
}

static void
tell_and_abort(int signo)
{
	say_how_to_replay();
	signal(signo, SIG_DFL);
	raise(signo);
}

/* ---- what core must have seen by now ---- */

static bool
somebody_waits(void)
{
	int i;

	for (i = 0; i < MAX_SESSIONS; i++) {
		if (sim.sessions[i].pid != 0 &&
		    sim.sessions[i].wait_row != NONE)
			return true;
	}
	for (i = 0; i < MAX_REQS; i++) {
		if (sim.reqs[i].phase == IN_CORE && is_statement(&sim.reqs[i]))
			return true;
	}
	return false;
}

static void
check_completeness(bool has_changed)
{
	static struct judgement truth;
	struct req *req;
	int r;

	if (has_changed && somebody_waits())
		judge(&truth, false);
	else if (has_changed)
		truth = (struct judgement){ 0 };
	for (r = 0; r < MAX_REQS; r++) {
		req = &sim.reqs[r];
		if (req->phase == UNUSED || !(truth.in_cycle & 1u << r)) {
			req->doomed_us = 0;
		} else if (req->doomed_us == 0) {
			req->doomed_us = sim.now_us > sim.bound_from_us ?
			    sim.now_us : sim.bound_from_us;
			sim.counts.doomed++;
		} else if (sim.now_us > req->doomed_us + BOUND_US) {
			complain("q%u can never move, and core has not seen it "
			    "for %llu ms", req->serial, (unsigned long long)
			    ((sim.now_us - req->doomed_us) / LK_US_PER_MS));
		}
	}
}

/* Something has changed: all is to be found within the bound from then on. */
static void
begin_bound_again(uint64_t from_us)
{
	int r;

	if (from_us > sim.bound_from_us)
		sim.bound_from_us = from_us;
	for (r = 0; r < MAX_REQS; r++)
		sim.reqs[r].doomed_us = 0;
}

/* ---- what core pronounces ---- */

/* "task t1 of client 5: UPDATE ...": the first that it has out. */
static struct req *
first_of_task(const char *words)
{
	struct req *req, *first = NULL;
	unsigned t;

	if (sscanf(words, "task t%u of ", &t) != 1)
		complain("a verdict about nobody: %s", words);
	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++) {
		if (req->phase != UNUSED && req->phase != IN_SOCKET &&
		    req->task == (int)t && req->is_verb &&
		    (first == NULL || req->serial < first->serial))
			first = req;
	}
	REQUIRE(first != NULL);
	return first;
}

static struct req *
victim_of(const struct lk_deadlock *deadlock)
{
	const struct lk_request *lent = lk_idtab_get(&sim.core->request_ids,
	    deadlock->request);
	const char *text = NULL;
	int r = NONE;

	if (lent != NULL && lent->n_tag > 0)
		text = lent->tag;
	else if (deadlock->victim != NULL &&
	    (strstr(deadlock->victim, ": UPDATE r: ") != NULL ||
	    strstr(deadlock->victim, ": EXEC UPDATE r: ") != NULL ||
	    strstr(deadlock->victim, ": GET r: ") != NULL))
		return first_of_task(deadlock->victim);
	else if (deadlock->victim != NULL)
		text = strstr(deadlock->victim, "SQL ");
	else if (lent != NULL && lent->unit != NULL)
		text = lent->unit->verbs[0].args[0].data;
	else if (lent != NULL)
		text = lent->args[0].data;
	if (text != NULL && (text = strchr(text, 'q')) != NULL)
		r = req_by_serial((unsigned)strtoul(text + 1, NULL, 10));
	if (r == NONE)
		complain("a verdict about nobody: %s", deadlock->text);
	return &sim.reqs[r];
}

static void
count_verdict(const struct lk_deadlock *deadlock, const struct req *req)
{
	bool dbs[MAX_DATABASES] = { false };
	int i;

	for (i = 0; i < MAX_REQS; i++) {
		if (sim.reqs[i].doomed_us != 0)
			dbs[sim.reqs[i].database] = true;
	}
	sim.counts.verdicts++;
	sim.counts.slots += req->phase == IN_CORE;
	sim.counts.own_threads +=
	    strstr(deadlock->text, "that thread is blocked") != NULL;
	sim.counts.crossing += dbs[0] && dbs[1];
	sim.counts.far += dbs[0] && dbs[1] &&
	    sim.server_of[0] != sim.server_of[1];
	sim.counts.in_the_way +=
	    strstr(deadlock->text, "before them in the queue") != NULL;
}

/*
 * What the looks saw was a deadlock, which PostgreSQL, or somebody else at
 * another program, has ended by giving up.
 */
static bool
was_given_up(const struct req *req)
{
	return sim.given_up_us != 0 &&
	    sim.now_us < sim.given_up_us + LK_US_PER_S / 2 && was_stuck(req);
}

/*
 * A verdict was pronounced while core took in one look; truth is what was so
 * just before.
 */
static void
check_soundness(const struct judgement *truth)
{
	const struct lk_deadlock *deadlock;
	struct req *req;
	int r;

	if (sim.core->n_deadlocks == sim.n_verdicts)
		return;
	sim.n_verdicts++;
	deadlock = &sim.core->deadlocks[(sim.n_verdicts - 1) %
	    LK_DEADLOCKS_KEPT];
	req = victim_of(deadlock);
	r = (int)(req - sim.reqs);
	TELL("  VERDICT on q%u: %s", req->serial, deadlock->text);
	if (was_given_up(req))
		TELL("  which is over by now");
	else if (!(truth->stuck & 1u << r))
		complain("q%u is failed though it could have moved: %s",
		    req->serial, deadlock->text);
	else if (!(truth->in_cycle & 1u << r))
		complain("q%u is failed though it waits for others only: %s",
		    req->serial, deadlock->text);
	count_verdict(deadlock, req);
	begin_bound_again(sim.now_us);
	sim.counts.unit_verdicts += req->verb == EXEC;
	if (strcmp(deadlock->action, "replaying") == 0) {
		sim.counts.replays++;
		req->is_retried = strstr(deadlock->text,
		    "is rolled back and begun again") != NULL;
		return;
	}
	if (strcmp(deadlock->action, "lending") == 0) {
		sim.counts.lent++;
		return;
	}
	if ((truth->helped & 1u << r) && req->n_lost < req->n_retries &&
	    !was_given_up(req))
		complain("q%u is failed though it could be begun again: %s",
		    req->serial, deadlock->text);
	req->is_victim = true;
	/* Who waits for a slot has its answer at once, sent or held. */
	if (req->phase == IN_CORE)
		req->phase = ANSWERED;
	else if (req->tx != NONE)
		sim.txs[req->tx].is_doomed = true;
}

/* ---- rings that are refused ---- */

/* What a transaction has asked for first of all that has no reply. */
static const struct req *
first_of_tx(int x)
{
	const struct req *req, *first = NULL;

	for (req = sim.reqs; req < sim.reqs + MAX_REQS; req++) {
		if (req->phase != UNUSED && req->phase != IN_SOCKET &&
		    req->phase != ANSWERED && req->tx == x &&
		    (first == NULL || req->serial < first->serial))
			first = req;
	}
	return first;
}

/*
 * Whether the wait for this row leads over those who hold it, and the rows that
 * they wait for, to that transaction: as the lock tables have it.
 */
static bool
leads_to(const struct req *req, int target, uint32_t *seen)
{
	uint32_t holders = pg_holders(&sim.rows[req->rows[0]], MAX_SESSIONS,
	    req->modes[0]);
	const struct req *next;
	int w, x;

	for (w = 0; w < MAX_WORKERS; w++) {
		x = sim.workers[w].tx;
		if (!(holders & 1u << w) || x == NONE || x == req->tx)
			continue;
		if (x == target)
			return true;
		next = first_of_tx(x);
		if ((*seen & 1u << x) || next == NULL || !next->is_verb)
			continue;
		*seen |= 1u << x;
		if (leads_to(next, target, seen))
			return true;
	}
	return false;
}

static void
check_refusal(const struct lk_deadlock *deadlock)
{
	struct req *req = victim_of(deadlock);
	uint32_t seen = 0;

	TELL("  REFUSED is q%u: %s", req->serial, deadlock->text);
	if (req->tx == NONE || !req->is_verb ||
	    !leads_to(req, req->tx, &seen))
		complain("q%u is refused, and is in no ring: %s", req->serial,
		    deadlock->text);
	sim.counts.refused++;
	req->is_victim = true;
	sim.txs[req->tx].is_doomed = true;
	begin_bound_again(sim.now_us);
}

void
check_refusals(void)
{
	while (sim.n_refused < sim.core->stats.deadlocks_refused) {
		sim.n_refused++;
		REQUIRE(sim.core->n_deadlocks > sim.n_verdicts);
		check_refusal(&sim.core->deadlocks[sim.n_verdicts++ %
		    LK_DEADLOCKS_KEPT]);
	}
}

static void
deliver_look(int i)
{
	const struct lk_look *look = lk_container(sim.mail[i].msg,
	    struct lk_look, msg);
	struct judgement truth = { 0 };

	if (look->failed)
		begin_bound_again(sim.now_us + BLIND_US);
	else
		judge(&truth, true);
	judge_units(&truth);
	deliver_mail(i);
	if (sim.core->n_deadlocks - sim.n_verdicts >
	    sim.core->stats.deadlocks_refused - sim.n_refused)
		check_soundness(&truth);
	check_refusals();
}

/* ---- moves ---- */

enum move_kind {
	LET_ACT, LET_READ, LET_WORK, LET_MAIL, LET_LOOK, LET_CANCEL,
	LET_FOREIGN, LET_GIVE_UP, LET_DETECT, SEND_CANCEL, SEND_TIDY_UP,
	LET_DIE, LET_TIME,
};

struct move {
	enum move_kind	kind;
	int		which;
};

struct moves {
	struct move	all[128];
	uint32_t	n;
};

static void
may(struct moves *moves, enum move_kind kind, int which)
{
	REQUIRE(moves->n < 128);
	moves->all[moves->n++] = (struct move){ kind, which };
}

static void
list_client_moves(struct moves *moves)
{
	const struct client *client;
	int i;

	for (i = 0; i < sim.n_tasks; i++) {
		if (task_can_act(i))
			may(moves, LET_ACT, i);
	}
	for (i = 0; i < sim.n_clients; i++) {
		client = &sim.clients[i];
		if (client->client != NULL &&
		    (client->n_socket > 0 || client->is_dying))
			may(moves, LET_READ, i);
	}
	for (i = 0; i < sim.n_foreign; i++) {
		if (foreign_can_act(i))
			may(moves, LET_FOREIGN, i);
	}
}

static void
list_world_moves(struct moves *moves)
{
	int i;

	for (i = 0; i < MAX_WORKERS; i++) {
		if (worker_can_move(i))
			may(moves, LET_WORK, i);
	}
	for (i = 0; i < sim.n_mail; i++) {
		if (mail_can_move(i))
			may(moves, LET_MAIL, i);
	}
	for (i = 0; i < sim.n_servers; i++) {
		if (sim.watchers[i].look != NULL)
			may(moves, LET_LOOK, i);
	}
	for (i = 0; i < sim.n_cancels; i++)
		may(moves, LET_CANCEL, i);
	for (i = 0; i < MAX_SESSIONS; i++) {
		if (pg_can_detect(i))
			may(moves, LET_DETECT, i);
	}
}

static bool
is_idle(int x)
{
	int r;

	for (r = 0; r < MAX_REQS; r++) {
		if (sim.reqs[r].phase != UNUSED &&
		    sim.reqs[r].phase != ANSWERED &&
		    (sim.reqs[r].tx == x || sim.reqs[r].what_tx == x))
			return false;
	}
	return true;
}

/* What a client as such does, whatever its coroutines wait for. */
static void
list_rare_moves(struct moves *moves)
{
	const struct req *req;
	const struct client *client;
	int i;

	for (i = 0; i < MAX_REQS && sim.n_reqs + 4 < MAX_REQS; i++) {
		req = &sim.reqs[i];
		if (req->phase == UNUSED || !is_statement(req) ||
		    req->client == NONE || !req->is_tagged ||
		    req->was_cancelled)
			continue;
		client = &sim.clients[req->client];
		if (client->is_dying || client->n_socket + 2 >= MAX_SOCKET)
			continue;
		if (below(10) == 0)
			may(moves, SEND_CANCEL, i);
	}
	for (i = 0; i < sim.n_foreign; i++) {
		if (sim.sessions[MAX_WORKERS + i].pid != 0 && below(3) == 0)
			may(moves, LET_GIVE_UP, i);
	}
	if (below(30) == 0)
		may(moves, LET_DIE, (int)below((uint32_t)sim.n_clients));
}

/*
 * A transaction that nobody owns may be ended by anybody of its client's;
 * somebody does when it has been idle for long.
 */
static void
list_tidy_up(struct moves *moves)
{
	const struct tx *tx;
	int i;

	for (i = 0; i < MAX_TXS; i++) {
		tx = &sim.txs[i];
		if (!tx->is_used || tx->owner != NONE || tx->is_over ||
		    tx->is_ending || tx->client == NONE || tx->handle == 0 ||
		    sim.clients[tx->client].is_dying ||
		    sim.now_us < tx->idle_us + TIDY_UP_US ||
		    sim.clients[tx->client].n_socket + 2 >= MAX_SOCKET ||
		    sim.n_reqs + 2 >= MAX_REQS || !is_idle(i))
			continue;
		/* A shared one may be another thread's as well. */
		if (!tx->is_shared &&
		    thread_is_blocked(&sim.clients[tx->client]))
			continue;
		may(moves, SEND_TIDY_UP, i);
	}
}

static void
send_cancel(int r)
{
	struct req *req = new_req(CANCEL, sim.reqs[r].client, NONE);

	sim.reqs[r].was_cancelled = true;
	req->what_serial = sim.reqs[r].serial;
	send_req(req);
}

static void
send_tidy_up(int x)
{
	struct req *req = new_req(COMMIT, sim.txs[x].client, NONE);

	req->is_tagged = true;
	req->tx = x;
	sim.txs[x].is_ending = true;
	send_req(req);
}

static void
let_die(int c)
{
	if (sim.clients[c].client == NULL || sim.clients[c].is_dying)
		return;
	TELL("client %d dies", c);
	sim.clients[c].is_dying = true;
	sim.counts.deaths++;
}

/* ---- time ---- */

static void
sooner(uint64_t *due, uint64_t other)
{
	if (other > sim.now_us && other < *due)
		*due = other;
}

/* When something becomes possible that is not yet. */
static uint64_t
next_due(void)
{
	uint64_t due;
	int i;

	lk_assert_loop();
	due = lk_core_next_due_us(sim.core);
	if (due <= sim.now_us)
		return sim.now_us;
	for (i = 0; i < sim.n_tasks; i++) {
		if (!sim.tasks[i].is_finished)
			sooner(&due, sim.tasks[i].ready_us);
	}
	for (i = 0; i < MAX_WORKERS; i++) {
		if (sim.workers[i].is_started)
			sooner(&due, sim.workers[i].due_us);
	}
	for (i = 0; i < sim.n_mail; i++)
		sooner(&due, sim.mail[i].due_us);
	for (i = 0; i < sim.n_foreign; i++)
		sooner(&due, sim.foreigns[i].ready_us);
	for (i = 0; i < MAX_SESSIONS; i++) {
		if (sim.sessions[i].pid != 0 &&
		    sim.sessions[i].wait_row != NONE)
			sooner(&due, sim.sessions[i].wait_since_us +
			    LK_US_PER_S);
	}
	for (i = 0; i < MAX_TXS; i++) {
		if (sim.txs[i].is_used && sim.txs[i].owner == NONE)
			sooner(&due, sim.txs[i].idle_us + TIDY_UP_US);
	}
	return due;
}

/* A little, or when nothing else can happen, until something can. */
static void
let_time_pass(bool is_idle)
{
	uint64_t due = next_due(), soon = sim.now_us + 1 + below(3000);

	lk_assert_loop();
	if (!is_idle && due > soon)
		due = soon;
	if (due > sim.now_us)
		sim.now_us = due;
	lk_core_set_now(sim.core, sim.now_us);
	lk_core_run_timers(sim.core);
}

/* ---- a schedule ---- */

static void
make_move(struct move move)
{
	lk_assert_loop();
	switch (move.kind) {
	case LET_ACT:
		task_acts(move.which);
		break;
	case LET_READ:
		read_socket(move.which, 1 + (int)below(4));
		break;
	case LET_WORK:
		move_worker(move.which);
		break;
	case LET_MAIL:
		if (sim.mail[move.which].msg->kind == LK_MSG_LOOK)
			deliver_look(move.which);
		else
			deliver_mail(move.which);
		break;
	case LET_LOOK:
		move_look(move.which);
		break;
	case LET_CANCEL:
		move_cancel(move.which);
		break;
	case LET_FOREIGN:
		foreign_acts(move.which);
		break;
	case LET_GIVE_UP:
		foreign_gives_up(move.which);
		break;
	case LET_DETECT:
		move_detector(move.which);
		break;
	case SEND_CANCEL:
		send_cancel(move.which);
		break;
	case SEND_TIDY_UP:
		send_tidy_up(move.which);
		break;
	case LET_DIE:
		let_die(move.which);
		break;
	case LET_TIME:
		let_time_pass(move.which);
		break;
	}
	check_refusals();
	look_at_parked();
	read_replies();
	if (sim.core->n_deadlocks != sim.n_verdicts)
		complain("a verdict without a look");
}

static bool
all_is_done(void)
{
	int i;

	for (i = 0; i < sim.n_tasks; i++) {
		if (!sim.tasks[i].is_finished)
			return false;
	}
	for (i = 0; i < sim.n_foreign; i++) {
		if (sim.sessions[MAX_WORKERS + i].pid != 0)
			return false;
	}
	return sim.n_reqs == 0;
}

static void
step(void)
{
	struct moves moves;
	struct move move;

	moves.n = 0;
	list_client_moves(&moves);
	list_world_moves(&moves);
	if (below(50) == 0)
		list_rare_moves(&moves);
	list_tidy_up(&moves);
	if (moves.n == 0 && next_due() == LK_NEVER)
		complain("nothing will ever happen, and not all is done");
	if (moves.n == 0 || below(4) == 0)
		may(&moves, LET_TIME, moves.n == 0);
	move = moves.all[below(moves.n)];
	make_move(move);
	/* Time, and being looked at, keep nobody from anything. */
	check_completeness(move.kind != LET_TIME && move.kind != LET_LOOK);
	sim.counts.moves++;
}

static void
begin_config(void)
{
	size_t i, n = in_100(40) ? 2 : 1;
	static const char *const names[] = { "db0", "db1" };

	sim.n_servers = 1;
	for (i = 0; i < n; i++) {
		sim.databases[i] = (struct lk_config_database){
			.name = (char *)(uintptr_t)names[i],
			.conninfo = (char *)(uintptr_t)"",
			.workers_min = below(2),
			.workers_max = 1 + below(3),
			.workers_reserve = in_100(40) ?
			    1 + below(2) : 0,
			.workers_idle_us = in_100(50) ? 20 * LK_US_PER_MS : 0,
		};
		sim.server_of[i] = 0;
		if (i > 0 && in_100(50))
			sim.server_of[i] = sim.n_servers++;
	}
	sim.config = (struct lk_config){
		.databases = sim.databases,
		.n_databases = n,
		.timeout_connect_us = 5 * LK_US_PER_S,
		.deadlock_first_look_us = 15 * LK_US_PER_MS,
		.deadlock_notify_us = 500 * LK_US_PER_MS,
		.limit_result_bytes = 1 << 20,
		.limit_clients = 100,
		.limit_in_flight = 1000,
		.limit_queue = 1000,
		.limit_request_bytes = 1 << 20,
		.limit_output_bytes = 1 << 20,
		.batch_max = 1 + below(8),
		.batch_readers = 1 + below(3),
		.group_commit = in_100(50) ? LK_GROUP_ALWAYS : LK_GROUP_OFF,
		.replay = in_100(70) ? LK_REPLAY_DML : LK_REPLAY_OFF,
	};
}

static void
begin_servers(void)
{
	int i;

	sim.n_rows = 2 + (int)below(4);
	for (i = 0; i < sim.n_rows; i++)
		sim.rows[i] = (struct row){ .is_tuple = in_100(60),
		    .database = (int)below((uint32_t)sim.config.n_databases) };
	sim.next_pid = 1000;
	for (i = 0; i < MAX_SESSIONS; i++)
		sim.sessions[i].wait_row = NONE;
	sim.n_foreign = in_100(45) ? 1 + (int)below(MAX_FOREIGN) : 0;
	for (i = 0; i < sim.n_foreign; i++) {
		sim.sessions[MAX_WORKERS + i].pid = sim.next_pid++;
		sim.sessions[MAX_WORKERS + i].server =
		    (int)below((uint32_t)sim.n_servers);
		sim.foreigns[i] = (struct foreign){
		    .ready_us = sim.now_us + some_us(20000) };
	}
}

static void
begin_schedule(uint64_t index)
{
	struct counts counts = sim.counts;
	uint64_t seed = sim.seed;
	bool is_verbose = sim.is_verbose;
	int c;

	lk_assert_loop();
	memset(&sim, 0, sizeof(sim));
	sim.counts = counts;
	sim.seed = seed;
	sim.index = index;
	sim.is_verbose = is_verbose;
	sim.rng = seed * 0x9e3779b97f4a7c15ULL + index * 0xd1342543de82ef95ULL;
	sim.serial = 1;
	sim.now_us = LK_US_PER_S;
	begin_config();
	begin_servers();
	plan_tasks();
	sim.core = lk_core_new(&sim.config, &sim_effects, NULL, sim.now_us,
	    1800000000ULL * LK_US_PER_S);
	lk_core_start(sim.core);
	for (c = 0; c < sim.n_clients; c++)
		connect_client(c);
}

static void
play_schedule(uint64_t index)
{
	int i;

	lk_assert_loop();
	begin_schedule(index);
	for (i = 0; !all_is_done(); i++) {
		if (i == MAX_MOVES)
			complain("it does not end");
		step();
	}
	sim.counts.laned += sim.core->stats.laned;
	for (i = 0; i < sim.n_clients; i++) {
		if (sim.clients[i].client == NULL)
			continue;
		REQUIRE(sim.clients[i].got.len == 0);
		lk_buf_fini(&sim.clients[i].got);
		lk_core_client_gone(&sim.clients[i].client);
	}
	stop_world();
}

/* ---- the run ---- */

/*
 * A generator that draws only easy schedules would prove nothing.  Of so many it
 * draws the rare ones often enough that it is never by chance that there are none.
 */
#define ENOUGH	100000

static void
check_counts(uint64_t n)
{
	const struct counts *counts = &sim.counts;

	printf("%lu requests, %lu moves, %lu TIMEOUT, %lu LOCKTIMEOUT, "
	    "%lu CANCELED, %lu deaths, %lu parked, %lu ended by PostgreSQL\n",
	    counts->requests, counts->moves, counts->timeouts,
	    counts->lock_timeouts, counts->cancels, counts->deaths,
	    counts->parked, counts->detected);
	printf("%lu verdicts: %lu on slots, %lu on a thread's own wait, "
	    "%lu over two databases, %lu over two servers, %lu on one in the "
	    "way, %lu replays, %lu lent, %lu dissolved\n", counts->verdicts,
	    counts->slots, counts->own_threads, counts->crossing, counts->far,
	    counts->in_the_way, counts->replays, counts->lent,
	    counts->dissolved);
	printf("%lu waited in lanes, %lu of them units, %lu rings refused as "
	    "they closed\n", counts->laned, counts->laned_units,
	    counts->refused);
	printf("%lu reads by key, %lu of them in %lu batches; %lu writes in %lu "
	    "groups\n", counts->reads, counts->batched, counts->batches,
	    counts->grouped, counts->groups);
	printf("%lu units: %lu tries after the first, %lu verdicts, %lu "
	    "serialization failures\n", counts->units, counts->retries,
	    counts->unit_verdicts, counts->serializations);
	printf("%lu deadlocks seen by the oracle in %lu checks, %lu of them by "
	    "trying all continuations\n", counts->doomed, counts->checks,
	    counts->searches);
	if (n < ENOUGH)
		return;
	REQUIRE(counts->verdicts > n / 20 && counts->slots > n / 100);
	REQUIRE(counts->own_threads > n / 1000);
	REQUIRE(counts->crossing > n / 2000 && counts->far > n / 5000);
	REQUIRE(counts->lent > n / 100 && counts->replays > n / 500);
	REQUIRE(counts->units > n / 20 && counts->retries > n / 200);
	REQUIRE(counts->unit_verdicts > n / 500);
	REQUIRE(counts->reads > n / 10 && counts->batches > n / 100);
	REQUIRE(counts->groups > n / 1000);
	REQUIRE(counts->in_the_way > 0 && counts->detected > 0);
	REQUIRE(counts->laned_units > n / 200);
	REQUIRE(counts->laned > n / 20 && counts->refused > n / 50000);
}

static void
usage(void)
{
	fprintf(stderr, "usage: sim [--seed S] [--one I | --count N] [-v]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "one", required_argument, NULL, 'o' },
		{ "count", required_argument, NULL, 'n' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t first = 0, n = N_SCHEDULES, i;
	int option;

	sim.seed = 1;
	while ((option = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		if (option == 's')
			sim.seed = strtoull(optarg, NULL, 10);
		else if (option == 'o')
			first = strtoull(optarg, NULL, 10), n = 1;
		else if (option == 'n')
			n = strtoull(optarg, NULL, 10);
		else if (option == 'v')
			sim.is_verbose = true;
		else
			usage();
	}
	signal(SIGABRT, tell_and_abort);
	signal(SIGSEGV, tell_and_abort);
	lk_log_set_level(LK_LOG_ERROR);
	lk_role_enter(LK_ROLE_LOOP);
	printf("seed %llu\n", (unsigned long long)sim.seed);
	for (i = first; i < first + n; i++)
		play_schedule(i);
	check_counts(n);
	printf("%llu passed, 0 failed\n", (unsigned long long)n);
	return 0;
}
