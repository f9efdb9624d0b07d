/*
 * core under random schedules: whatever clients, sessions, cancels, looks and
 * timers do and in whatever order, every request gets exactly one reply, no
 * task and no transaction has two statements out, no session is given work
 * behind its fence (core_world.h asserts that), each read by key gets its own
 * row, whatever batches it was in, and nothing is left.
 * LK_SEED=n begins with schedule n.
 */
#include "core_world.h"
#include "orm_models.h"

#include "resp/value.h"

#define N_SCHEDULES	2000
#define N_STEPS		120
#define N_CLIENTS	3
#define N_HANDLES	4
#define MAX_SETTLING	20000

static uint64_t seed;		/* of the schedule under way */
static uint64_t rng;

struct player {
	struct fake_conn conn;
	unsigned	 serial;	/* in its tasks' names */
	size_t		 n_sent, n_got;
	char		 handles[N_HANDLES][32];	/* "" or "#n" */
};

static struct player players[N_CLIENTS];
static unsigned n_arrived;
static unsigned last_key;	/* of reads: each has a tag and a key of its own */

static uint32_t
below(uint32_t n)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ (z >> 31)) % n);
}

static bool
in_100(uint32_t percent)
{
	return below(100) < percent;
}

/* ---- clients ---- */

/* As a subscriber is told it: a kind and what follows. */
static bool
is_said(const struct lk_value *value, const char *kind)
{
	return (value->type == LK_VALUE_PUSH || value->type == LK_VALUE_ARRAY) &&
	    value->n_items >= 3 && value->items[0].type == LK_VALUE_BULK &&
	    strcmp(value->items[0].text, kind) == 0;
}

/* A confirmation is the reply when the request had no tag: as to channels whose
 * names begin with u. */
static bool
is_reply(const struct lk_value *value)
{
	if (is_said(value, "subscribe") || is_said(value, "unsubscribe"))
		return value->items[1].text[0] == 'u';
	return value->type != LK_VALUE_PUSH && !is_said(value, "message") &&
	    !is_said(value, "pmessage");
}

/* Of a read with that tag: an error, or what belongs to its key. */
static void
check_read(const struct lk_value *tag, const struct lk_value *body)
{
	if (tag->type != LK_VALUE_BULK || tag->text[0] != 'g' ||
	    body->type == LK_VALUE_ERROR)
		return;
	assert_int_equal(body->type, LK_VALUE_SIMPLE);
	if (strcmp(body->text, "QUEUED") != 0)
		assert_string_equal(body->text, tag->text + 1);
}

static void
count_reply(struct player *player, const struct lk_value *value)
{
	const struct lk_value *body = value;

	if (!is_reply(value))
		return;
	player->n_got++;
	if (value->type == LK_VALUE_ARRAY && value->n_items == 3 &&
	    value->items[0].type == LK_VALUE_SIMPLE) {
		body = &value->items[2];
		check_read(&value->items[1], body);
	}
	if (body->type == LK_VALUE_INT && body->integer > 1)
		snprintf(player->handles[below(N_HANDLES)], 32, "#%lld",
		    (long long)body->integer);
}

static void
read_replies(struct player *player)
{
	struct lk_buf *got = &player->conn.got;
	struct lk_value value;
	struct lk_error error;
	size_t used;

	lk_error_init(&error);
	while (got->len > 0) {
		assert_int_equal(lk_value_decode(got->data, got->len, &value,
		    &used, &error), 0);
		count_reply(player, &value);
		lk_value_fini(&value);
		lk_buf_consume(got, used);
	}
	lk_error_fini(&error);
	assert_true(player->n_got <= player->n_sent);
}

struct words {
	struct lk_arg	args[12];
	char		texts[12][64];
	size_t		n;
};

static void
put(struct words *words, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct words *words, const char *fmt, ...)
{
	char *text = words->texts[words->n];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, 64, fmt, ap);
	va_end(ap);
	words->args[words->n++] = (struct lk_arg){ text, strlen(text) };
}

static bool
has_tag(const struct words *words)
{
	return words->n > 0 && words->texts[0][0] == '@';
}

/* The statement's text names its task, so that the invariant can be seen. */
static void
put_envelope(struct words *words, struct player *player, bool is_read,
    char task_out[16])
{
	const char *handle = player->handles[below(N_HANDLES)];

	strcpy(task_out, "?");
	if (is_read)
		put(words, "@g%u", ++last_key);
	else if (in_100(40))
		put(words, "@t%u", below(4));
	if (in_100(60)) {
		snprintf(task_out, 16, "%u%c", player->serial,
		    (char)('a' + below(3)));
		put(words, "%%%s", task_out);
	}
	if (handle[0] != '\0' && in_100(is_read ? 10 : 50))
		put(words, "%s", handle);
	if (in_100(10))
		put(words, "~%u", below(300));
	if (in_100(10))
		put(words, "?%u", below(100));
}

static void
put_begin(struct words *words)
{
	put(words, "BEGIN");
	if (in_100(20))
		put(words, "SHARED");
	if (in_100(20))
		put(words, "HERE");
}

static void
put_savepoint(struct words *words)
{
	static const char *const verbs[] = { "SAVEPOINT", "RELEASE",
	    "ROLLBACK TO" };
	uint32_t which = below(3);

	if (which == 2) {
		put(words, "ROLLBACK");
		put(words, "TO");
	} else {
		put(words, "%s", verbs[which]);
	}
	put(words, "s");
}

static void
put_await(struct words *words, struct player *player)
{
	uint32_t i, n = below(3);

	put(words, "AWAIT");
	put(words, "%u%c", player->serial, (char)('a' + below(3)));
	if (n > 0)
		put(words, "%s", in_100(50) ? "ANY" : "ALL");
	for (i = 0; i < n; i++)
		put(words, "%u%c", player->serial, (char)('a' + below(3)));
}

static void
put_give(struct words *words, struct player *player)
{
	const char *handle = player->handles[below(N_HANDLES)];

	put(words, "GIVE");
	put(words, "%s", handle[0] != '\0' ? handle + 1 : "1");
	put(words, "%u%c", player->serial, (char)('a' + below(3)));
}

static void
put_show(struct words *words)
{
	static const char *const what[] = { "clients", "tasks",
	    "transactions", "workers", "waits", "deadlocks", "stats",
	    "error", "config", "unit" };

	put(words, "SHOW");
	put(words, "%s", what[below(10)]);
}

/* Mostly what a task sends between MULTI and EXEC, and in that order. */
static void
put_unit(struct words *words, const char *task)
{
	uint32_t dice = below(100);

	if (dice < 25) {
		put(words, "MULTI");
		put(words, "RETRY");
		put(words, "%u", below(3));
	} else if (dice < 30) {
		put(words, "UNIT");
	} else if (dice < 55) {
		put(words, "MUST");
		put(words, "SQL");
		put(words, "select %s", task);
	} else if (dice < 95) {
		put(words, "EXEC");
	} else {
		put(words, "DISCARD");
	}
}

/* What RELOAD is to find: another pool, other timeouts; or a wrong file. */
static void
write_config(void)
{
	static struct lk_config_database databases[1];
	static struct lk_config config;

	world.next_config = NULL;
	if (in_100(2))
		return;
	databases[0] = world.databases[0];
	databases[0].workers_min = below(3);
	databases[0].workers_max = 1 + databases[0].workers_min + below(2);
	databases[0].workers_reserve = below(3);
	config = world.config;
	config.databases = databases;
	config.timeout_idle_tx_us = in_100(30) ? 50 * LK_US_PER_MS : 0;
	config.timeout_idle_holder_us = in_100(30) ? 30 * LK_US_PER_MS : 0;
	/* Not for ever: what holds the last slot may be nobody's to end. */
	config.timeout_queue_us = (in_100(30) ? 40 : 30000) * LK_US_PER_MS;
	world.next_config = &config;
}

static void
put_subscribe(struct words *words)
{
	put(words, "%s", in_100(60) ? "SUBSCRIBE" : "UNSUBSCRIBE");
	put(words, "%c%u", has_tag(words) ? 't' : 'u', below(3));
}

static void
put_admin(struct words *words, struct player *player)
{
	const char *handle = player->handles[below(N_HANDLES)];

	if (in_100(50)) {
		put(words, "KILL");
		put(words, "%s", handle[0] != '\0' ? handle + 1 : "1");
		return;
	}
	write_config();
	put(words, "RELOAD");
}

static void
put_hello(struct words *words)
{
	put(words, "HELLO");
	put(words, "%u", 2 + below(2));
	put(words, "MODE");
	put(words, "%s", in_100(50) ? "blocking" : "async");
	put(words, "THREAD");
	put(words, "t%u", below(2));
}

/* Of one of three shapes. */
static void
put_read(struct words *words)
{
	uint32_t dice = below(3);

	put(words, "%s", dice == 0 ? "FIRST" : "GET");
	put(words, "users");
	if (dice == 0) {
		put(words, "WHERE");
		put(words, "id");
		put(words, "=");
	}
	put(words, "%u", last_key);
	if (dice == 1) {
		put(words, "FIELDS");
		put(words, "id");
	}
}

static void
send_something(struct player *player)
{
	struct words words = { .n = 0 };
	uint32_t dice = below(100);
	bool is_read = in_100(30);
	char task[16];

	lk_assert_loop();
	put_envelope(&words, player, is_read, task);
	if (is_read) {
		put_read(&words);
	} else if (dice < 4) {
		put_subscribe(&words);
	} else if (dice < 15) {
		put_unit(&words, task);
	} else if (dice < 45) {
		put(&words, "SQL");
		put(&words, "select %s", task);
	} else if (dice < 58) {
		put_begin(&words);
	} else if (dice < 70) {
		put(&words, in_100(70) ? "COMMIT" : "ROLLBACK");
	} else if (dice < 75) {
		put_savepoint(&words);
	} else if (dice < 82) {
		put(&words, "CANCEL");
		put(&words, "t%u", below(4));
	} else if (dice < 88) {
		put_await(&words, player);
	} else if (dice < 91) {
		put_give(&words, player);
	} else if (dice < 93) {
		put_admin(&words, player);
	} else if (dice < 96) {
		put_show(&words);
	} else if (dice < 97) {
		put(&words, "RESET");
		/* It leaves the group: the old names are other tasks'. */
		player->serial = ++n_arrived;
	} else {
		put_hello(&words);
	}
	player->n_sent++;
	lk_core_request(player->conn.client, words.args, words.n);
}

/* A group at once or never: it changes what names of tasks mean. */
static void
arrive(struct player *player)
{
	struct words words = { .n = 0 };

	lk_assert_loop();
	*player = (struct player){ .serial = ++n_arrived };
	world.uid = in_100(30) ? 0 : 1;
	connect_as(&player->conn, (pid_t)(10 + below(2)));
	if (in_100(70))
		return;
	put_hello(&words);
	put(&words, "GROUP");
	put(&words, "g");
	player->n_sent++;
	lk_core_request(player->conn.client, words.args, words.n);
}

/* What a socket still held when core asked. */
static bool
drain_randomly(struct fake_conn *conn)
{
	struct player *player = lk_container(conn, struct player, conn);

	if (in_100(30))
		return false;
	if (in_100(30))
		send_something(player);
	if (in_100(10))
		vanish(conn);
	return true;
}

/* ---- threads ---- */

static bool
is_read(const struct lk_item *item)
{
	return item->sql != NULL && strstr(item->sql, "\"users\"") != NULL;
}

static void
put_row(struct lk_item *item)
{
	if (is_read(item))
		lk_buf_printf(&item->reply, "+%.*s\r\n",
		    (int)item->params[0].len, item->params[0].data);
	else
		lk_buf_puts(&item->reply, "+done\r\n");
}

/* Each as it likes; or all have been cancelled. */
static void
end_reads(uint32_t w)
{
	struct lk_job *job = world.workers[w].job;
	bool are_cancelled = in_100(10);
	struct lk_item *item;
	uint32_t dice;
	size_t i;

	for (i = 0; i < job->n_items; i++) {
		item = &job->items[i];
		dice = are_cancelled ? 0 : below(100);
		item->outcome = dice < 10 ? LK_ITEM_FAILED : dice < 15 ?
		    LK_ITEM_UNSENT : LK_ITEM_DONE;
		if (item->outcome == LK_ITEM_DONE)
			put_row(item);
		if (item->outcome != LK_ITEM_FAILED)
			continue;
		lk_error_set(&item->error, LK_ERR_PG, "no");
		lk_error_set_sqlstate(&item->error, dice < 5 ? "57014" :
		    dice < 8 ? "22003" : "42703");
	}
	job->after = LK_XACT_IDLE;
	job->was_together = job->together.sql != NULL && in_100(80);
	post_job(w);
}

static void
end_job(uint32_t w)
{
	uint32_t dice = below(100);
	struct lk_job *job = world.workers[w].job;
	struct lk_item *item = &job->items[below((uint32_t)job->n_items)];
	size_t i;

	if (dice < 8) {
		lose(w, dice < 4 ? LK_ITEM_LOST : LK_ITEM_UNSENT);
		return;
	}
	if (is_read(&job->items[0]) && !job->in_tx && !job->is_unit) {
		end_reads(w);
		return;
	}
	job->after = job->in_tx ? LK_XACT_OPEN : LK_XACT_IDLE;
	if (dice < 30 && (item->sql == NULL ||
	    strcmp(item->sql, "ROLLBACK") != 0)) {
		item->outcome = LK_ITEM_FAILED;
		lk_error_set(&item->error, dice < 14 ? LK_ERR_DEADLOCK :
		    LK_ERR_PG, "no");
		lk_error_set_sqlstate(&item->error, dice < 14 ? "40P01" :
		    dice < 24 ? "57014" : "23505");
		job->after = job->in_tx ? LK_XACT_ERROR : LK_XACT_IDLE;
	} else {
		item = &job->items[job->n_items - 1];
		for (i = 0; i < job->n_items; i++)
			job->items[i].outcome = LK_ITEM_DONE;
		snprintf(item->tag, sizeof(item->tag), "%s",
		    dice < 40 && strcmp(item->sql, "COMMIT") == 0 ?
		    "ROLLBACK" : item->sql);
		put_row(item);
	}
	post_job(w);
}

static void
move_worker(uint32_t w)
{
	struct fake_worker *fake = &world.workers[w];

	if (!fake->is_started)
		return;
	if (fake->job != NULL)
		end_job(w);
	else if (fake->is_stopping)
		end_worker(w);
	else if (fake->pid == 0 && in_100(80))
		come_up(w);
	else if (fake->pid == 0)
		go_down(w);
	else if (fake->is_cleaning && in_100(90))
		post_ready(w);
	else if (in_100(10))
		go_down(w);
}

static void
answer_listener(void)
{
	struct fake_listener *fake = &world.listeners[0];
	struct lk_listen *asked = fake->asked;
	size_t i;

	for (i = 0; i < asked->n_items; i++) {
		if (in_100(10))
			lk_error_set(&asked->items[i].error, LK_ERR_PG, "no");
	}
	fake->asked = NULL;
	deliver(&asked->msg, LK_MSG_LISTEN, LISTENER_BIT);
}

static void
move_listener(void)
{
	struct fake_listener *fake = &world.listeners[0];
	char name[] = "t0";

	if (!fake->is_started)
		return;
	name[0] = in_100(50) ? 't' : 'u';
	name[1] = (char)('0' + below(3));
	if (fake->is_stopping)
		end_listener(0);
	else if (!fake->is_up && in_100(80))
		listener_up(0);
	else if (!fake->is_up || in_100(10))
		listener_down(0);
	else if (fake->asked != NULL && in_100(70))
		answer_listener();
	else
		hear(0, name, "hello");
}

static void
answer_one_cancel(void)
{
	struct lk_cancel *cancel;
	uint32_t at;

	if (world.n_cancels == 0)
		return;
	at = below((uint32_t)world.n_cancels);
	cancel = world.cancels[at];
	world.cancels[at] = world.cancels[--world.n_cancels];
	cancel->sent = in_100(70);
	cancel->failed = !cancel->sent && in_100(30);
	deliver(&cancel->msg, LK_MSG_CANCEL, WATCHER_BIT);
}

/* Waits of some sessions for others, ours and somebody else's. */
static void
answer_look_randomly(void)
{
	uint32_t w, other;

	if (world.look == NULL)
		return;
	if (in_100(10)) {
		world.look->failed = true;
		answer_look();
		return;
	}
	for (w = 0; w < MAX_WORKERS; w++) {
		other = below(MAX_WORKERS + 1);
		if (world.workers[w].job != NULL && in_100(60))
			add_wait(world.workers[w].pid, other < MAX_WORKERS &&
			    world.workers[other].pid != 0 ?
			    world.workers[other].pid : 77,
			    below(1000) * LK_US_PER_MS);
	}
	answer_look();
}

static void
read_catalogs(void)
{
	if (world.readers[0].read == NULL)
		return;
	if (in_100(90))
		answer_catalog(0, orm_catalog());
	else
		fail_catalog(0, "no");
}

static void
let_time_pass(uint32_t ms)
{
	lk_assert_loop();
	set_now(world.now_us + ms * LK_US_PER_MS);
	lk_core_run_timers(world.core);
}

/* ---- a schedule ---- */

/* No two statements that are out belong to one task. */
static void
check_tasks(void)
{
	const char *a, *b;
	uint32_t i, k;

	for (i = 0; i < MAX_WORKERS; i++) {
		for (k = 0; k < i; k++) {
			if (world.workers[i].job == NULL ||
			    world.workers[k].job == NULL)
				continue;
			a = world.workers[i].job->items[0].sql;
			b = world.workers[k].job->items[0].sql;
			assert_false(a != NULL && b != NULL &&
			    strncmp(a, "select ", 7) == 0 &&
			    a[7] != '?' && strcmp(a, b) == 0);
		}
	}
}

static void
step(void)
{
	struct player *player = &players[below(N_CLIENTS)];
	uint32_t dice = below(100);

	lk_assert_loop();
	if (player->conn.client == NULL) {
		vanish(&player->conn);
		arrive(player);
	} else if (dice < 45) {
		send_something(player);
	} else if (dice < 48) {
		vanish(&player->conn);
	} else if (dice < 49) {
		lk_core_client_pause(player->conn.client, in_100(50));
	} else if (dice < 50) {
		player->conn.stalled_us = in_100(50) ? LK_US_PER_S : 0;
	} else if (dice < 53) {
		move_listener();
	} else if (dice < 78) {
		move_worker(below(MAX_WORKERS));
	} else if (dice < 86) {
		answer_one_cancel();
	} else if (dice < 92) {
		answer_look_randomly();
		read_catalogs();
	} else {
		let_time_pass(below(60));
	}
}

static void
check(void)
{
	size_t i;

	for (i = 0; i < N_CLIENTS; i++) {
		if (players[i].conn.client != NULL)
			read_replies(&players[i]);
	}
	check_tasks();
}

static bool
has_settled(void)
{
	size_t i;

	for (i = 0; i < N_CLIENTS; i++) {
		if (players[i].conn.client != NULL &&
		    players[i].n_got < players[i].n_sent)
			return false;
	}
	return n_running() == 0 && world.n_cancels == 0;
}

/* Nobody asks for more; all that is out comes back, and time goes on. */
static void
settle(void)
{
	uint32_t i, w;

	lk_assert_loop();
	world.drain = NULL;
	for (i = 0; i < N_CLIENTS; i++) {
		if (players[i].conn.client != NULL)
			lk_core_client_pause(players[i].conn.client, false);
	}
	for (i = 0; !has_settled(); i++) {
		assert_true(i < MAX_SETTLING);
		for (w = 0; w < MAX_WORKERS; w++)
			move_worker(w);
		move_listener();
		answer_one_cancel();
		answer_look();
		read_catalogs();
		let_time_pass(20);
		check();
	}
}

/* What is open goes on while the daemon drains, and then nothing is. */
static void
drain_all(void)
{
	uint32_t i, n = below(40);

	lk_assert_loop();
	lk_core_drain(world.core, 1 + below(100) * LK_US_PER_MS);
	for (i = 0; i < n; i++) {
		step();
		check();
	}
	lk_core_drain(world.core, 0);
	settle();
	assert_true(lk_core_is_drained(world.core));
}

static void
play(void)
{
	uint32_t n_max;
	size_t i;

	lk_assert_loop();
	rng = seed;
	n_arrived = 0;
	n_max = 1 + below(5);
	begin_unread_world(1, below(n_max < 3 ? n_max : 3), n_max);
	lk_core_run_timers(world.core);
	answer_catalog(0, orm_catalog());
	world.databases[0].workers_reserve = below(3);
	world.config.timeout_lock_us = 0;
	world.config.batch_max = 1 + below(6);
	world.config.batch_readers = 1 + below(3);
	if (in_100(50))
		world.config.limit_output_bytes = 20;
	if (in_100(50))
		world.config.timeout_idle_holder_us = 20 * LK_US_PER_MS;
	if (in_100(50))
		world.config.deadlock_notify_us = 10 * LK_US_PER_MS;
	world.drain = drain_randomly;
	for (i = 0; i < N_CLIENTS; i++)
		arrive(&players[i]);
	for (i = 0; i < N_STEPS; i++) {
		step();
		check();
	}
	if (in_100(30)) {
		drain_all();
	} else if (in_100(70)) {
		settle();
	}
	for (i = 0; i < N_CLIENTS; i++)
		vanish(&players[i].conn);
	if (in_100(70))
		settle();
	end_world();
}

static void
every_request_gets_one_reply_and_nothing_is_left(void **state)
{
	const char *text = getenv("LK_SEED");
	uint64_t end;

	(void)state;
	seed = text != NULL ? strtoull(text, NULL, 10) : 1;
	for (end = seed + N_SCHEDULES; seed != end; seed++)
		play();
	seed = 0;
}

/* ---- telling the seed, however it ends ---- */

const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "abort_on_error=1";
}

static void
tell_seed(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "replay with LK_SEED=%llu\n",
	    (unsigned long long)seed);

	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
}

static void
tell_and_abort(int signo)
{
	tell_seed();
	signal(signo, SIG_DFL);
	raise(signo);
}

static int
tell_when_failed(void **state)
{
	(void)state;
	if (seed != 0)
		tell_seed();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
		    every_request_gets_one_reply_and_nothing_is_left,
		    tell_when_failed),
	};

	signal(SIGABRT, tell_and_abort);
	lk_role_enter(LK_ROLE_LOOP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
