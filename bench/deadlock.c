/*
 * How long a deadlock lasts: from the moment that it closes to the victim's
 * reply, or the first reply when there is no victim, through the daemon and
 * with PostgreSQL alone.  bench/README says how to read the numbers.
 *
 * usage: deadlock CONNINFO SOCKET [ROUNDS]
 *
 * The daemon has the databases "main" with 64 slots, "two" with 2 and a
 * reserve, and "four" with 4 and none, which are all the one of CONNINFO.  Its
 * sessions end when idle for some seconds: the server does not take twice 64.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "client/client.h"

#define ROUNDS		40
#define ROUNDS_ALONE	3	/* of PostgreSQL alone: they take their time */
#define MAX_ROUNDS	1000
#define APART_MS	500	/* between the beginnings of two rounds */
#define LATE_MS		300	/* into its statement a late wait begins */
#define PATIENCE_MS	3000	/* for what PostgreSQL does not end */
#define STUCK_MS	20000	/* for what the daemon should have ended */
#define IDLE_MS		6000	/* after which the daemon has ended sessions */
#define MAX_RING	64
#define HOLD		"UPDATE bench_deadlock SET v = v + 1 WHERE id = %d"
#define HOLD_LATE	"UPDATE bench_deadlock SET v = v + 1 " \
			"FROM pg_sleep(0.3) WHERE id = %d"

static const char *conninfo, *socket_path;

/* Who of the members asks for a slot while holding one. */
enum slots {
	SLOTS_NOBODY,		/* all ask for the next one's row: a ring */
	SLOTS_LAST,		/* the last, whose row the first waits for */
	SLOTS_ALL,
};

static struct scenario {
	const char	*label;
	const char	*database;
	int		 n;		/* transactions; 0: the essay's case */
	enum slots	 slots;
	bool		 is_late;	/* the closing wait begins late */
	/* Milliseconds, and what there are of them. */
	double		 ms[MAX_ROUNDS], alone_ms[ROUNDS_ALONE];
	int		 n_lent;	/* ended without a victim */
	bool		 has_no_end;
} scenarios[] = {
	{ .label = "ring of 2", .database = "main", .n = 2 },
	{ .label = "ring of 8", .database = "main", .n = 8 },
	{ .label = "ring of 64", .database = "main", .n = 64 },
	{ .label = "ring of 2, closed late", .database = "main", .n = 2,
	  .is_late = true },
	{ .label = "2 slots, a reserve to lend", .database = "two", .n = 2,
	  .slots = SLOTS_LAST },
	{ .label = "4 slots, no reserve", .database = "four", .n = 4,
	  .slots = SLOTS_ALL },
	{ .label = "the essay's", .database = "main", .n = 0 },
};

#define N_SCENARIOS	((int)(sizeof(scenarios) / sizeof(scenarios[0])))

static double
now_ms(void)
{
	return bench_now_us() / 1e3;
}

static void
sleep_until(double ms)
{
	double left = ms - now_ms();
	struct timespec ts = { .tv_sec = (time_t)(left / 1e3),
	    .tv_nsec = (long)(left * 1e6) % 1000000000L };

	if (left > 0)
		nanosleep(&ts, NULL);
}

/* The others wait for some time before the last one closes the cycle. */
static void
let_wait(void)
{
	sleep_until(now_ms() + 50 + random() % 250);
}

static bool
asks_slot(const struct scenario *sc, int i)
{
	return sc->slots == SLOTS_ALL ||
	    (sc->slots == SLOTS_LAST && i == sc->n - 1);
}

/* The statement of member i that waits. */
static void
put_wait(const struct scenario *sc, int i, char *sql, size_t size)
{
	snprintf(sql, size, sc->is_late && i == sc->n - 1 ? HOLD_LATE : HOLD,
	    asks_slot(sc, i) ? MAX_RING + i : (i + 1) % sc->n);
}

/* ---- through the daemon ---- */

static struct bench_link conn;
static char handles[MAX_RING][32];

/* A request as a line. */
static void __attribute__((format(printf, 1, 2)))
say(const char *fmt, ...)
{
	char line[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	lk_buf_puts(&conn.out, line);
	lk_buf_puts(&conn.out, "\r\n");
}

/* The next reply, sending what is to be sent; returns whose it is. */
static int
next_reply(struct lk_value *reply)
{
	struct pollfd pfd = { .fd = conn.fd };

	while (!bench_next_reply(&conn, reply)) {
		if (conn.out.len > 0)
			bench_send_some(&conn);
		pfd.events = (short)(POLLIN |
		    (conn.out.len > 0 ? POLLOUT : 0));
		if (poll(&pfd, 1, STUCK_MS) == 0)
			bench_die("a deadlock did not end");
		if (pfd.revents & (POLLIN | POLLHUP))
			bench_read_some(&conn);
	}
	return atoi(reply->items[1].text + 1);
}

/* The replies to what all members have said, which do not fail. */
static void
expect_all(int n, bool is_begin)
{
	struct lk_value reply;
	const struct lk_value *value;
	int i, whose;

	for (i = 0; i < n; i++) {
		whose = next_reply(&reply);
		value = &reply.items[2];
		if (value->type == LK_VALUE_ERROR)
			bench_die("%s", value->text);
		if (is_begin)
			snprintf(handles[whose], sizeof(handles[0]), "%lld",
			    (long long)value->integer);
		lk_value_fini(&reply);
	}
}

static void
say_wait(const struct scenario *sc, int i)
{
	char sql[200];

	put_wait(sc, i, sql, sizeof(sql));
	if (asks_slot(sc, i))
		say("@w%d %%t%d /%s SQL \"%s\"", i, i, sc->database, sql);
	else
		say("@w%d %%t%d #%s SQL \"%s\"", i, i, handles[i], sql);
}

/*
 * Everybody ends as soon as its wait has.  Returns when the victim's reply
 * came, which is not the first: its transaction ends before it is told.
 */
static double
read_ends(struct scenario *sc)
{
	int n_left = 2 * sc->n, n_victims = 0, whose;
	const struct lk_value *value;
	struct lk_value reply;
	double end_ms = 0;

	for (; n_left > 0; n_left--) {
		whose = next_reply(&reply);
		value = &reply.items[2];
		if (value->type == LK_VALUE_ERROR &&
		    strncmp(value->text, "DEADLOCK ", 9) != 0)
			bench_die("%s", value->text);
		n_victims += value->type == LK_VALUE_ERROR;
		if (end_ms == 0 ||
		    (value->type == LK_VALUE_ERROR && n_victims == 1))
			end_ms = now_ms();
		if (reply.items[1].text[0] == 'w')
			say("@e%d %%t%d #%s ROLLBACK", whose, whose,
			    handles[whose]);
		lk_value_fini(&reply);
	}
	sc->n_lent += n_victims == 0;
	return end_ms;
}

static double
play(struct scenario *sc)
{
	double start_ms;
	int i;

	for (i = 0; i < sc->n; i++)
		say("@b%d %%t%d /%s BEGIN", i, i, sc->database);
	expect_all(sc->n, true);
	for (i = 0; i < sc->n; i++)
		say("@h%d %%t%d #%s SQL \"" HOLD "\"", i, i, handles[i], i);
	expect_all(sc->n, false);
	for (i = 0; i < sc->n - 1; i++)
		say_wait(sc, i);
	bench_send_some(&conn);
	let_wait();
	start_ms = now_ms() + (sc->is_late ? LATE_MS : 0);
	say_wait(sc, i);
	return read_ends(sc) - start_ms;
}

/* ---- the essay's case ---- */

static struct lk_client *
open_blocking(void)
{
	struct lk_arg args[] = { { "HELLO", 5 }, { "3", 1 }, { "MODE", 4 },
	    { "blocking", 8 }, { "THREAD", 6 }, { "t", 1 } };
	struct lk_error error = { 0 };
	struct lk_client *client;
	struct lk_value hello;

	if (lk_client_connect_wait(socket_path, &client, &error) < 0 ||
	    lk_client_call_wait(client, args, 6, &hello, &error) < 0)
		bench_die("%s", error.message);
	lk_value_fini(&hello);
	return client;
}

static void
call(struct lk_client *client, const char *verb, const char *sql,
    const char *expected)
{
	struct lk_arg args[2] = { { verb, strlen(verb) },
	    { sql, sql != NULL ? strlen(sql) : 0 } };
	struct lk_error error = { 0 };
	struct lk_value reply;

	if (lk_client_call_wait(client, args, sql != NULL ? 2 : 1, &reply,
	    &error) < 0)
		bench_die("%s", error.message);
	if (expected != NULL &&
	    strncmp(reply.text, expected, strlen(expected)) != 0)
		bench_die("%s", reply.text);
	lk_value_fini(&reply);
}

/* Two coroutines on one thread, which stands still in the second's call. */
static double
play_essay(void)
{
	struct lk_client *c1 = open_blocking(), *c2 = open_blocking();
	double start_ms, took_ms;
	char sql[200];

	snprintf(sql, sizeof(sql), HOLD, 0);
	call(c1, "BEGIN", NULL, NULL);
	call(c1, "SQL", sql, "UPDATE 1");
	let_wait();
	start_ms = now_ms();
	call(c2, "SQL", sql, "DEADLOCK ");
	took_ms = now_ms() - start_ms;
	call(c1, "COMMIT", NULL, "COMMIT");
	lk_client_free(&c1);
	lk_client_free(&c2);
	return took_ms;
}

/* ---- PostgreSQL alone ---- */

static PGconn *sessions[MAX_RING];

static void
hold(int i)
{
	char sql[200];

	snprintf(sql, sizeof(sql), HOLD, i);
	bench_exec(sessions[i], "BEGIN");
	bench_exec(sessions[i], sql);
}

static void
send_wait(const struct scenario *sc, int i)
{
	char sql[200];

	put_wait(sc, i, sql, sizeof(sql));
	if (PQsendQuery(sessions[i], sql) != 1)
		bench_die("%s", PQerrorMessage(sessions[i]));
}

/* Whose result comes first; -1 when none has come in that time. */
static int
first_result(int n, const bool *is_out, int ms)
{
	struct pollfd pfds[MAX_RING];
	int i;

	for (i = 0; i < n; i++)
		pfds[i] = (struct pollfd){ .events = POLLIN,
		    .fd = is_out[i] ? PQsocket(sessions[i]) : -1 };
	if (poll(pfds, (nfds_t)n, ms) == 0)
		return -1;
	for (i = 0; i < n - 1 && pfds[i].revents == 0; i++)
		;
	return i;
}

static void
end_alone(int i)
{
	PGresult *result;

	while ((result = PQgetResult(sessions[i])) != NULL)
		PQclear(result);
	bench_exec(sessions[i], "ROLLBACK");
}

static double
play_ring_alone(const struct scenario *sc)
{
	bool is_out[MAX_RING];
	double start_ms = 0, first_ms = 0;
	int i, n_left;

	for (i = 0; i < sc->n; i++)
		hold(i);
	for (i = 0; i < sc->n; i++) {
		if (i == sc->n - 1)
			let_wait();
		start_ms = now_ms() + (sc->is_late ? LATE_MS : 0);
		send_wait(sc, i);
		is_out[i] = true;
	}
	for (n_left = sc->n; n_left > 0; n_left--) {
		i = first_result(sc->n, is_out, STUCK_MS);
		if (i < 0)
			bench_die("PostgreSQL did not see a ring");
		if (first_ms == 0)
			first_ms = now_ms();
		is_out[i] = false;
		end_alone(i);
	}
	return first_ms - start_ms;
}

/* What the server sees of the others: a wait for an idle session. */
static double
play_idle_holder_alone(struct scenario *sc)
{
	static const bool is_out[2] = { true, false };
	struct scenario ring = { .n = 2 };
	double start_ms;

	hold(1);
	start_ms = now_ms();
	send_wait(&ring, 0);
	sc->has_no_end = first_result(2, is_out, PATIENCE_MS) < 0;
	bench_exec(sessions[1], "ROLLBACK");
	end_alone(0);
	return now_ms() - start_ms;
}

static void
measure_alone(void)
{
	struct scenario *sc;
	int i, round;

	sleep_until(now_ms() + IDLE_MS);
	for (i = 0; i < MAX_RING; i++)
		sessions[i] = bench_connect(conninfo);
	for (sc = scenarios; sc < scenarios + N_SCENARIOS; sc++) {
		for (round = 0; round < ROUNDS_ALONE; round++) {
			if (sc->slots == SLOTS_ALL)
				continue;	/* it is asked nothing */
			if (sc->n == 0 || sc->slots == SLOTS_LAST)
				sc->alone_ms[round] =
				    play_idle_holder_alone(sc);
			else
				sc->alone_ms[round] = play_ring_alone(sc);
			if (sc->has_no_end)
				break;
		}
	}
	for (i = 0; i < MAX_RING; i++)
		PQfinish(sessions[i]);
}

/* ---- all of it ---- */

static void
measure_daemon(int n_rounds)
{
	struct scenario *sc;
	double start_ms;
	int round;

	bench_open_link(&conn, socket_path);
	for (round = -1; round < n_rounds; round++) {
		for (sc = scenarios; sc < scenarios + N_SCENARIOS; sc++) {
			start_ms = now_ms();
			/* The first opens the sessions, and is not counted. */
			sc->ms[round < 0 ? 0 : round] = sc->n == 0 ?
			    play_essay() : play(sc);
			if (round < 0)
				sc->n_lent = 0;
			sleep_until(start_ms + APART_MS);
		}
	}
	bench_close_link(&conn);
}

static void
print(struct scenario *sc, int n_rounds)
{
	qsort(sc->ms, (size_t)n_rounds, sizeof(double), bench_compare);
	qsort(sc->alone_ms, ROUNDS_ALONE, sizeof(double), bench_compare);
	printf("  %-30s%8.1f%8.1f%8.1f", sc->label, sc->ms[n_rounds / 2],
	    sc->ms[n_rounds * 99 / 100], sc->ms[n_rounds - 1]);
	if (sc->slots == SLOTS_ALL)
		printf("%20s", "is not asked");
	else if (sc->has_no_end)
		printf("%20s", "no end");
	else
		printf("%20.1f", sc->alone_ms[ROUNDS_ALONE / 2]);
	if (sc->n_lent > 0)
		printf("  %d without a victim", sc->n_lent);
	putchar('\n');
}

static void
prepare(void)
{
	PGconn *direct = bench_connect(conninfo);

	bench_exec(direct, "DROP TABLE IF EXISTS bench_deadlock;"
	    "CREATE TABLE bench_deadlock (id int PRIMARY KEY, v int);"
	    "INSERT INTO bench_deadlock SELECT i, 0"
	    "  FROM generate_series(0, 199) i");
	PQfinish(direct);
}

int
main(int argc, char **argv)
{
	int i, n_rounds = argc > 3 ? atoi(argv[3]) : ROUNDS;

	if (argc < 3 || n_rounds < 1 || n_rounds > MAX_ROUNDS) {
		fputs("usage: deadlock CONNINFO SOCKET [ROUNDS]\n", stderr);
		return 2;
	}
	conninfo = argv[1];
	socket_path = argv[2];
	prepare();
	measure_daemon(n_rounds);
	measure_alone();
	printf("\nfrom the closing of a deadlock to the reply that opens it, "
	    "milliseconds, %d rounds\n  %-30s%8s%8s%8s%20s\n", n_rounds, "",
	    "p50", "p99", "highest", "PostgreSQL alone");
	for (i = 0; i < N_SCENARIOS; i++)
		print(&scenarios[i], n_rounds);
	printf("  (\"no end\": PostgreSQL alone had not ended it after %d s)\n",
	    PATIENCE_MS / 1000);
	return 0;
}
