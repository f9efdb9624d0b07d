/*
 * The story that Lockkeeper exists for, played against a real PostgreSQL.
 *
 * Coroutine C1 opens a transaction, updates a row and awaits something.
 * Coroutine C2 updates the same row.  Only C1 can free the row, and whether it
 * ever gets to run again depends on how the database is called:
 *
 *   1. blocking libpq calls on the coroutines' own thread
 *   2. the same calls deferred to a pool of two threads
 *   3. requests to Lockkeeper, from an event loop
 *   4. requests to Lockkeeper, as blocking calls on the coroutines' own thread
 *
 * 1 and 2 stand still until a watchdog ends them.  3 and 4 do not.
 *
 * usage: essay CONNINFO SOCKET [part...]
 *
 * The exit status is 0 only when every part went as it should, the parts that
 * should stand still included.
 */
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "coro.h"
#include "wire.h"

#define UPDATE_ROW \
	"UPDATE essay_accounts SET balance = balance + 1 WHERE id = 1"
#define WATCHDOG_MS	3000	/* a part that should stand still gets this */
#define PATIENCE_MS	10000	/* and one that should finish this */

static const char *conninfo;
static const char *socket_path;

/* ---- libpq, as every program calls it ---- */

static PGconn *
connect_as(const char *application_name)
{
	const char *keys[] = { "dbname", "application_name", NULL };
	const char *values[] = { conninfo, application_name, NULL };
	PGconn *conn = PQconnectdbParams(keys, values, 1);

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	return conn;
}

/* One statement; blocks the calling thread until its result is there. */
static void
exec_blocking(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
	    PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

/* ---- part 1: blocking calls on the coroutines' own thread ---- */

static void
part1_c1(void)
{
	PGconn *conn = connect_as("essay C1");

	exec_blocking(conn, "BEGIN");
	exec_blocking(conn, UPDATE_ROW);
	say(me->name, "has begun and updated the row: it holds its lock");
	await_ms(100);
	exec_blocking(conn, "COMMIT");
	say(me->name, "has committed");
	PQfinish(conn);
}

static void
part1_c2(void)
{
	PGconn *conn = connect_as("essay C2");

	say(me->name, "updates the same row with a blocking call ...");
	exec_blocking(conn, UPDATE_ROW);
	say(me->name, "is done");
	PQfinish(conn);
}

static int
play_part1(void)
{
	spawn("C1", part1_c1);
	spawn("C2", part1_c2);
	run_loop(-1, NULL);
	return 0;
}

/* ---- part 2: the same calls, deferred to two threads ---- */

struct job {
	struct coro	*coro;		/* wake it when the call has returned */
	PGconn		*conn;
	const char	*sql;
	struct job	*next;
};

static struct {
	pthread_mutex_t	 mutex;
	pthread_cond_t	 filled;
	struct job	*head, **tail;
	int		 done[2];	/* a pipe that carries back each job */
} pool = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL,
	&pool.head, { -1, -1 } };

static void *
serve_pool(void *arg)
{
	(void)arg;
	for (;;) {
		struct job *job;

		pthread_mutex_lock(&pool.mutex);
		while (pool.head == NULL)
			pthread_cond_wait(&pool.filled, &pool.mutex);
		job = pool.head;
		pool.head = job->next;
		if (pool.head == NULL)
			pool.tail = &pool.head;
		pthread_mutex_unlock(&pool.mutex);
		say("pool", "runs %s's %.6s", job->coro->name, job->sql);
		exec_blocking(job->conn, job->sql);
		if (write(pool.done[1], &job, sizeof(job)) < 0)
			die("write: %s", strerror(errno));
	}
	return NULL;
}

/* The loop's side: a call has returned, its coroutine may go on. */
static void
on_pool_done(void)
{
	struct job *job;

	if (read(pool.done[0], &job, sizeof(job)) == sizeof(job))
		job->coro->is_ready = true;
}

/* Awaits the statement instead of blocking in it: the loop stays free. */
static void
exec_deferred(PGconn *conn, const char *sql)
{
	struct job job = { me, conn, sql, NULL };

	pthread_mutex_lock(&pool.mutex);
	*pool.tail = &job;
	pool.tail = &job.next;
	pthread_cond_signal(&pool.filled);
	pthread_mutex_unlock(&pool.mutex);
	yield();
}

static void
part2_waiter(void)
{
	PGconn *conn = connect_as("essay waiter");

	say(me->name, "hands its update of the same row to the pool");
	exec_deferred(conn, UPDATE_ROW);
	say(me->name, "is done");
	PQfinish(conn);
}

static void
part2_c1(void)
{
	PGconn *conn = connect_as("essay C1");

	exec_deferred(conn, "BEGIN");
	exec_deferred(conn, UPDATE_ROW);
	say(me->name, "has begun and updated the row: it holds its lock");
	spawn("C2", part2_waiter);
	spawn("C3", part2_waiter);
	spawn("C4", part2_waiter);
	spawn("C5", part2_waiter);
	await_ms(100);
	say(me->name, "hands its COMMIT to the pool, behind all of them");
	exec_deferred(conn, "COMMIT");
	say(me->name, "has committed");
	PQfinish(conn);
}

static int
play_part2(void)
{
	pthread_t thread;
	int i;

	if (pipe(pool.done) != 0)
		die("pipe: %s", strerror(errno));
	for (i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, serve_pool, NULL) != 0)
			die("cannot start a thread");
	spawn("C1", part2_c1);
	run_loop(pool.done[0], on_pool_done);
	return 0;
}

/* ---- part 3: Lockkeeper, from an event loop ---- */

static struct wire daemon_wire;		/* one connection for all coroutines */
static bool lockwait_named_c1;
static int n_good;			/* coroutines that got what they wanted */

/* The loop's side: replies go to whoever awaits that tag, pushes are told. */
static void
on_daemon_input(void)
{
	char *tag, *text, type;
	int i;

	wire_receive(&daemon_wire);
	while (wire_next(&daemon_wire, &type, &tag, &text)) {
		if (type == '>') {
			say("push", "%s", text);
			lockwait_named_c1 = lockwait_named_c1 ||
			    (strncmp(text, "[lockwait", 9) == 0 &&
			    strstr(text, "task: C1") != NULL);
			free(text);
		}
		for (i = 0; tag != NULL && i < n_coros; i++)
			if (strcmp(coros[i].tag, tag) == 0) {
				coros[i].answer = text;
				coros[i].is_ready = true;
			}
		free(tag);
	}
}

/*
 * One request of this coroutine: its tag, its name and, when it has one, its
 * transaction go before the verb.  The coroutine sleeps until the reply to
 * that tag is there; the others run meanwhile.  Heap.
 */
static char *
ask(const char *tx, const char *verb, const char *arg)
{
	static int n_asked;
	char task[16], handle[24];
	const char *words[6];
	int n = 0;

	snprintf(me->tag, sizeof(me->tag), "@%d", ++n_asked);
	snprintf(task, sizeof(task), "%%%s", me->name);
	words[n++] = me->tag;
	words[n++] = task;
	if (tx != NULL) {
		snprintf(handle, sizeof(handle), "#%s", tx);
		words[n++] = handle;
	}
	words[n++] = verb;
	words[n++] = arg;	/* may be NULL: then it is the end */
	words[n] = NULL;
	say(me->name, "> %s %s %s%s%s%s%s", me->tag, task, tx ? handle : "",
	    tx ? " " : "", verb, arg ? " " : "", arg ? arg : "");
	wire_send(&daemon_wire, words);
	memmove(me->tag, me->tag + 1, sizeof(me->tag) - 1);
	yield();
	say(me->name, "< %s", me->answer);
	return me->answer;
}

static void
part3_c2(void)
{
	char *answer = ask(NULL, "SQL", UPDATE_ROW);

	n_good += !is_error(answer);
	free(answer);
}

static void
part3_c1(void)
{
	char *tx, *answer;

	tx = ask(NULL, "BEGIN", NULL);
	expect_good(ask(tx, "SQL", UPDATE_ROW));
	spawn("C2", part3_c2);
	await_ms(1200);
	answer = ask(tx, "COMMIT", NULL);
	n_good += strcmp(answer, "COMMIT") == 0;
	free(answer);
	free(tx);
}

static int
play_part3(void)
{
	wire_open(&daemon_wire, socket_path);
	expect_good(CALL(&daemon_wire, "HELLO", "3", "NAME", "essay"));
	spawn("C1", part3_c1);
	run_loop(daemon_wire.fd, on_daemon_input);
	say("loop", "%d of 2 coroutines finished; no turn of the loop took "
	    "longer than %.1f ms", n_good, longest_turn_us / 1000.0);
	if (!lockwait_named_c1)
		say("loop", "but no lockwait push named C1");
	return n_good == 2 && lockwait_named_c1 ? 0 : 1;
}

/* ---- part 4: Lockkeeper, as blocking calls on one thread ---- */

static struct wire wire_a, wire_b;
static bool c2_had_deadlock;

/*
 * What tells the daemon that two connections are the same thread: any text
 * unique on this host.  A process and thread id come back some day; together
 * with the process's start time (field 22 of its stat file) they do not.  The
 * main thread's id is the process's.
 */
static void
name_thread(char *out, size_t n)
{
	char stat[1024] = "", *p;
	FILE *file = fopen("/proc/self/stat", "r");
	int field;

	if (file == NULL || fgets(stat, sizeof(stat), file) == NULL)
		die("/proc/self/stat: %s", strerror(errno));
	fclose(file);
	/* The second field, the command's name, may hold blanks. */
	p = strrchr(stat, ')');
	for (field = 2; field < 22 && p != NULL; field++)
		p = strchr(p + 1, ' ');
	snprintf(out, n, "%ld-%ld-%llu", (long)getpid(), (long)getpid(),
	    p ? strtoull(p, NULL, 10) : 0);
}

static void
open_blocking(struct wire *wire, const char *name)
{
	char thread[64];

	wire_open(wire, socket_path);
	name_thread(thread, sizeof(thread));
	expect_good(CALL(wire, "HELLO", "3", "NAME", name,
	    "MODE", "blocking", "THREAD", thread));
}

static void
part4_c1(void)
{
	char *answer;

	expect_good(CALL(&wire_a, "BEGIN"));
	answer = CALL(&wire_a, "SQL", UPDATE_ROW);
	say(me->name, "has begun and updated the row: %s", answer);
	free(answer);
	await_ms(100);
	answer = CALL(&wire_a, "COMMIT");
	say(me->name, "commits: %s", answer);
	n_good += strcmp(answer, "COMMIT") == 0;
	free(answer);
}

static void
part4_c2(void)
{
	char *answer;

	for (;;) {
		long long sent_us = now_us();

		say(me->name, "updates the same row with a blocking call ...");
		answer = CALL(&wire_b, "SQL", UPDATE_ROW);
		say(me->name, "has its answer after %.1f ms: %s",
		    (now_us() - sent_us) / 1000.0, answer);
		if (strncmp(answer, "-DEADLOCK", 9) != 0 || c2_had_deadlock)
			break;
		c2_had_deadlock = true;
		free(answer);
		await_ms(200);	/* lets C1 run, then tries again */
	}
	n_good += !is_error(answer);
	free(answer);
}

static int
play_part4(void)
{
	open_blocking(&wire_a, "essay-C1");
	open_blocking(&wire_b, "essay-C2");
	spawn("C1", part4_c1);
	spawn("C2", part4_c2);
	run_loop(-1, NULL);
	say("loop", "%d of 2 coroutines finished", n_good);
	return n_good == 2 && c2_had_deadlock ? 0 : 1;
}

/* ---- the stage: each part in a process of its own, and a watchdog ---- */

static const struct part {
	const char	*title;
	int		(*play)(void);	/* 0: went as it should */
	bool		 stands_still;
	const char	*outcome;	/* when it went so */
} parts[] = {
	{ "blocking libpq calls on one thread", play_part1, true,
	    "stood still, as it must" },
	{ "calls deferred to a pool of two threads", play_part2, true,
	    "stood still, as it must" },
	{ "Lockkeeper, from an event loop", play_part3, false,
	    "both finished, and the loop was free all the time" },
	{ "Lockkeeper, as blocking calls on one thread", play_part4, false,
	    "C2 was told at once, and then both finished" },
};

/* What PostgreSQL knows of the sessions that stand still. */
static void
tell_sessions(PGconn *conn)
{
	PGresult *rows = PQexec(conn,
	    "SELECT application_name, pid, state, query, pg_blocking_pids(pid)"
	    " FROM pg_stat_activity WHERE application_name LIKE 'essay _%'"
	    " AND state <> 'idle' ORDER BY application_name, pid");
	int i;

	for (i = 0; i < PQntuples(rows); i++)
		say("PostgreSQL", "%s (pid %s): %s, %.6s, waits for %s",
		    PQgetvalue(rows, i, 0) + strlen("essay "),
		    PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2),
		    PQgetvalue(rows, i, 3),
		    strcmp(PQgetvalue(rows, i, 4), "{}") == 0 ? "nobody"
		    : PQgetvalue(rows, i, 4));
	PQclear(rows);
	say("PostgreSQL", "sees no cycle, so it will never say: deadlock");
}

/* Leave nothing behind: wait until the ended process's sessions are gone. */
static void
await_sessions_gone(PGconn *conn)
{
	exec_blocking(conn, "DO $$ BEGIN"
	    "  WHILE EXISTS (SELECT FROM pg_stat_activity"
	    "    WHERE application_name LIKE 'essay _%') LOOP"
	    "    PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();"
	    "  END LOOP; END $$");
}

/* Play one part; true when it went as it should. */
static bool
play(const struct part *part, PGconn *conn)
{
	int limit_ms = part->stands_still ? WATCHDOG_MS : PATIENCE_MS;
	struct pollfd ended = { .events = POLLIN };
	int status, alive[2];
	bool stood_still;
	pid_t pid;

	printf("\nPart %d: %s\n", (int)(part - parts) + 1, part->title);
	exec_blocking(conn, "UPDATE essay_accounts SET balance = 0");
	fflush(stdout);
	if (pipe(alive) != 0)
		die("pipe: %s", strerror(errno));
	started_us = now_us();
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0) {
		alarm(60);	/* should the watchdog itself die */
		status = part->play();
		fflush(stdout);
		_exit(status);
	}
	/* The pipe's other end closes when the process ends, however it does. */
	close(alive[1]);
	ended.fd = alive[0];
	stood_still = poll(&ended, 1, limit_ms) == 0;
	if (stood_still) {
		say("watchdog", "nothing has moved for %d s",
		    limit_ms / 1000);
		tell_sessions(conn);
		say("watchdog", "ends the process");
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	close(alive[0]);
	await_sessions_gone(conn);
	if (part->stands_still)
		return stood_still;
	return !stood_still && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int
main(int argc, char **argv)
{
	int n_parts = sizeof(parts) / sizeof(parts[0]), n_bad = 0, i, k;
	PGconn *conn;

	if (argc < 3) {
		fputs("usage: essay CONNINFO SOCKET [part...]\n", stderr);
		return 2;
	}
	conninfo = argv[1];
	socket_path = argv[2];
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	conn = connect_as("essay");
	exec_blocking(conn, "SET client_min_messages = warning;"
	    "DROP TABLE IF EXISTS essay_accounts;"
	    "CREATE TABLE essay_accounts (id int PRIMARY KEY, balance int);"
	    "INSERT INTO essay_accounts VALUES (1, 0)");
	for (k = 0; k < n_parts; k++) {
		bool wanted = argc == 3, good;

		for (i = 3; i < argc; i++)
			wanted = wanted || atoi(argv[i]) == k + 1;
		if (!wanted)
			continue;
		good = play(&parts[k], conn);
		printf("  => %s\n", good ? parts[k].outcome :
		    "NOT what should have happened");
		n_bad += !good;
	}
	exec_blocking(conn, "DROP TABLE essay_accounts");
	PQfinish(conn);
	return n_bad == 0 ? 0 : 1;
}
