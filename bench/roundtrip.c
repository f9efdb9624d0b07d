/*
 * What a statement costs through the daemon, beside libpq's own blocking calls
 * on the same server.  bench/README says how to read the numbers.
 *
 * usage: roundtrip CONNINFO SOCKET
 */
#include <sys/utsname.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "bench.h"
#include "client/client.h"

#define N_ROWS		10000
#define LATENCY_ROUNDS	10	/* of each side in turn */
#define LATENCY_CALLS	500	/* in a round */
#define FLOW_ROUNDS	5
#define FLOW_MS		1000	/* a round lasts */
#define N_TASKS		1000	/* tagged requests outstanding */
#define N_THREADS	16	/* of direct libpq, a session each */
#define MAX_LINKS	16

static const char *const select_sql =
    "SELECT balance FROM bench_accounts WHERE id = $1::int4";
static const char *const update_sql =
    "UPDATE bench_accounts SET balance = balance + 1 WHERE id = $1::int4";

static const char *conninfo, *socket_path;

/* xorshift: the same rows in every run, and no lock as in random(). */
static void
next_id(unsigned *seed, char *out, size_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	snprintf(out, n, "%u", 1 + *seed % N_ROWS);
}

/* ---- direct ---- */

static PGconn *
open_direct(void)
{
	PGconn *conn = bench_connect(conninfo);
	PGresult *result;

	result = PQprepare(conn, "select", select_sql, 0, NULL);
	PQclear(result);
	result = PQprepare(conn, "update", update_sql, 0, NULL);
	PQclear(result);
	return conn;
}

static void
call_direct(PGconn *conn, const char *name, const char *id)
{
	PGresult *result = PQexecPrepared(conn, name, 1, &id, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
	    PQresultStatus(result) != PGRES_TUPLES_OK)
		bench_die("%s", PQerrorMessage(conn));
	PQclear(result);
}

/* ---- one client's round trip ---- */

static void
call_daemon(struct lk_client *client, const char *sql, const char *id)
{
	struct lk_arg args[] = {
		{ "SQL", 3 }, { sql, strlen(sql) }, { id, strlen(id) },
	};
	struct lk_value reply;
	struct lk_error error = { 0 };

	if (lk_client_call_wait(client, args, 3, &reply, &error) < 0)
		bench_die("%s", error.message);
	if (reply.type == LK_VALUE_ERROR)
		bench_die("%s", reply.text);
	lk_value_fini(&reply);
}

static void
print_ratio(const char *what, double direct, double daemon)
{
	printf("  %-34s%10.1f%14.1f%9.2f\n", what, direct, daemon,
	    daemon / direct);
}

static void
measure_latency(struct lk_client *client, PGconn *conn, const char *name,
    const char *sql)
{
	static double us[2][LATENCY_ROUNDS * LATENCY_CALLS];
	int n[2] = { 0, 0 }, round, side, i, n_all = LATENCY_ROUNDS *
	    LATENCY_CALLS;
	char id[16], label[64];
	unsigned seed = 1;
	double start;

	for (i = 0; i < 100; i++) {	/* plans and caches, uncounted */
		call_direct(conn, name, "1");
		call_daemon(client, sql, "1");
	}
	for (round = 0; round < 2 * LATENCY_ROUNDS; round++) {
		side = round % 2;
		for (i = 0; i < LATENCY_CALLS; i++) {
			next_id(&seed, id, sizeof(id));
			start = bench_now_us();
			if (side == 0)
				call_direct(conn, name, id);
			else
				call_daemon(client, sql, id);
			us[side][n[side]++] = bench_now_us() - start;
		}
	}
	for (side = 0; side < 2; side++)
		qsort(us[side], (size_t)n_all, sizeof(double), bench_compare);
	snprintf(label, sizeof(label), "%s by key, p50", name);
	print_ratio(label, us[0][n_all / 2], us[1][n_all / 2]);
	snprintf(label, sizeof(label), "%s by key, p99", name);
	print_ratio(label, us[0][n_all * 99 / 100], us[1][n_all * 99 / 100]);
}

/* ---- many at once, direct: threads ---- */

static double stop_us;		/* the round's end */

struct direct {
	pthread_t	 thread;
	PGconn		*conn;
	unsigned	 seed;
	long		 n_done;
};

static struct direct directs[N_THREADS];

static void *
run_thread(void *arg)
{
	struct direct *direct = arg;
	char id[16];

	while (bench_now_us() < stop_us) {
		next_id(&direct->seed, id, sizeof(id));
		call_direct(direct->conn, "select", id);
		direct->n_done++;
	}
	return NULL;
}

static double
flow_direct(void)
{
	long n = 0;
	int i;

	stop_us = bench_now_us() + FLOW_MS * 1e3;
	for (i = 0; i < N_THREADS; i++) {
		directs[i].n_done = 0;
		directs[i].seed = (unsigned)i + 1;
		if (pthread_create(&directs[i].thread, NULL, run_thread,
		    &directs[i]) != 0)
			bench_die("cannot start a thread");
	}
	for (i = 0; i < N_THREADS; i++) {
		pthread_join(directs[i].thread, NULL);
		n += directs[i].n_done;
	}
	return (double)n * 1e3 / FLOW_MS;
}

/* ---- many at once, through the daemon: tagged requests ---- */

/* The next request of the coroutine that `name` stands for. */
static void
put_request(struct bench_link *link, const char *name, size_t n_name,
    unsigned *seed)
{
	char tag[24], task[24], id[16];
	struct lk_arg args[5] = {
		{ tag, n_name + 1 }, { task, n_name + 1 }, { "SQL", 3 },
		{ select_sql, strlen(select_sql) }, { id, 0 },
	};

	snprintf(tag, sizeof(tag), "@%.*s", (int)n_name, name);
	snprintf(task, sizeof(task), "%%%.*s", (int)n_name, name);
	next_id(seed, id, sizeof(id));
	args[4].len = strlen(id);
	lk_client_encode(&link->out, args, 5);
}

/* Take in replies; answer each with its coroutine's next request, or not. */
static long
receive_some(struct bench_link *link, bool is_over, unsigned *seed)
{
	struct lk_value reply;
	long n_replies = 0;

	bench_read_some(link);
	while (bench_next_reply(link, &reply)) {
		if (reply.items[2].type == LK_VALUE_ERROR)
			bench_die("%s", reply.items[2].text);
		n_replies++;
		if (!is_over)
			put_request(link, reply.items[1].text,
			    reply.items[1].n_text, seed);
		lk_value_fini(&reply);
	}
	return n_replies;
}

static double
flow_daemon(int n_links)
{
	struct bench_link links[MAX_LINKS];
	struct pollfd pfds[MAX_LINKS];
	nfds_t n_fds = n_links < MAX_LINKS ? (nfds_t)n_links : MAX_LINKS;
	long n_done = 0, n_left = N_TASKS, n;
	unsigned seed = 1;
	char name[16];
	int i;

	for (i = 0; i < n_links; i++)
		bench_open_link(&links[i], socket_path);
	for (i = 0; i < N_TASKS; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		put_request(&links[i % n_links], name, strlen(name), &seed);
	}
	stop_us = bench_now_us() + FLOW_MS * 1e3;
	while (n_left > 0) {
		bool is_over = bench_now_us() >= stop_us;

		for (i = 0; i < n_links; i++)
			pfds[i] = (struct pollfd){ .fd = links[i].fd,
			    .events = (short)(POLLIN |
			    (links[i].out.len > 0 ? POLLOUT : 0)) };
		if (poll(pfds, n_fds, 10000) == 0)
			bench_die("no reply for 10 seconds");
		for (i = 0; i < n_links; i++) {
			n = pfds[i].revents & (POLLIN | POLLHUP) ?
			    receive_some(&links[i], is_over, &seed) : 0;
			n_done += is_over ? 0 : n;
			n_left -= is_over ? n : 0;
			if (links[i].out.len > 0)
				bench_send_some(&links[i]);
		}
	}
	for (i = 0; i < n_links; i++)
		bench_close_link(&links[i]);
	return (double)n_done * 1e3 / FLOW_MS;
}

static double
print_flow(const char *what, double *per_s, double direct)
{
	double median;

	qsort(per_s, FLOW_ROUNDS, sizeof(double), bench_compare);
	median = per_s[FLOW_ROUNDS / 2];
	printf("  %-34s%10.0f%10.0f -%8.0f", what, median, per_s[0],
	    per_s[FLOW_ROUNDS - 1]);
	if (direct > 0)
		printf("%9.2f", median / direct);
	putchar('\n');
	return median;
}

static void
measure_flow(void)
{
	double per_s[3][FLOW_ROUNDS], direct;
	int round, i;

	for (i = 0; i < N_THREADS; i++)
		directs[i].conn = open_direct();
	flow_daemon(1);		/* opens the daemon's sessions, uncounted */
	for (round = 0; round < FLOW_ROUNDS; round++) {
		per_s[0][round] = flow_direct();
		per_s[1][round] = flow_daemon(1);
		per_s[2][round] = flow_daemon(MAX_LINKS);
	}
	for (i = 0; i < N_THREADS; i++)
		PQfinish(directs[i].conn);
	printf("\nselect by key, a second, %d rounds of %d ms\n"
	    "  %-34s%10s%20s%9s\n", FLOW_ROUNDS, FLOW_MS, "", "median",
	    "lowest -  highest", "ratio");
	direct = print_flow("direct, 16 threads and sessions", per_s[0], 0);
	print_flow("daemon, 1,000 tasks, 1 connection", per_s[1], direct);
	print_flow("daemon, 1,000 tasks, 16 connections", per_s[2], direct);
}

/* ---- all of it ---- */

static struct lk_client *
open_daemon(char *version, size_t n)
{
	struct lk_arg args[] = { { "HELLO", 5 }, { "3", 1 } };
	struct lk_error error = { 0 };
	struct lk_client *client;
	struct lk_value hello;

	if (lk_client_connect_wait(socket_path, &client, &error) < 0 ||
	    lk_client_call_wait(client, args, 2, &hello, &error) < 0)
		bench_die("%s", error.message);
	snprintf(version, n, "%s", lk_client_map_text(&hello, "version"));
	lk_value_fini(&hello);
	return client;
}

int
main(int argc, char **argv)
{
	struct lk_client *client;
	struct utsname uts;
	char version[32];
	PGconn *conn;
	int libpq = PQlibVersion();

	if (argc != 3) {
		fputs("usage: roundtrip CONNINFO SOCKET\n", stderr);
		return 2;
	}
	conninfo = argv[1];
	socket_path = argv[2];
	conn = bench_connect(conninfo);
	bench_exec(conn, "DROP TABLE IF EXISTS bench_accounts;"
	    "CREATE TABLE bench_accounts (id int PRIMARY KEY, balance int);"
	    "INSERT INTO bench_accounts SELECT i, 0"
	    "  FROM generate_series(1, 10000) i");
	bench_exec(conn, "VACUUM ANALYZE bench_accounts");
	PQfinish(conn);

	conn = open_direct();
	client = open_daemon(version, sizeof(version));
	uname(&uts);
	printf("Lockkeeper %s, PostgreSQL %s, libpq %d.%d, %ld cores, %s %s\n",
	    version, PQparameterStatus(conn, "server_version"),
	    libpq / 10000, libpq % 10000, sysconf(_SC_NPROCESSORS_ONLN),
	    uts.sysname, uts.release);
	printf("\none client's round trip, microseconds, %d calls a side\n"
	    "  %-34s%10s%14s%9s\n", LATENCY_ROUNDS * LATENCY_CALLS, "",
	    "direct", "daemon", "ratio");
	measure_latency(client, conn, "select", select_sql);
	measure_latency(client, conn, "update", update_sql);
	fflush(stdout);
	measure_flow();

	lk_client_free(&client);
	bench_exec(conn, "DROP TABLE bench_accounts");
	PQfinish(conn);
	return 0;
}
