/*
 * What a statement costs through the daemon, beside libpq's own blocking calls
 * on the same server.  bench/README says how to read the numbers.
 *
 * usage: roundtrip CONNINFO SOCKET
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "client/client.h"
#include "resp/value.h"

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

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("roundtrip: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* xorshift: the same rows in every run, and no lock as in random(). */
static void
next_id(unsigned *seed, char *out, size_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	snprintf(out, n, "%u", 1 + *seed % N_ROWS);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* ---- direct ---- */

static void
exec(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
	    PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

static PGconn *
open_direct(void)
{
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *result;

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	exec(conn, "SET client_min_messages = warning");
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
		die("%s", PQerrorMessage(conn));
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
		die("%s", error.message);
	if (reply.type == LK_VALUE_ERROR)
		die("%s", reply.text);
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
			start = now_us();
			if (side == 0)
				call_direct(conn, name, id);
			else
				call_daemon(client, sql, id);
			us[side][n[side]++] = now_us() - start;
		}
	}
	for (side = 0; side < 2; side++)
		qsort(us[side], (size_t)n_all, sizeof(double), compare);
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

	while (now_us() < stop_us) {
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

	stop_us = now_us() + FLOW_MS * 1e3;
	for (i = 0; i < N_THREADS; i++) {
		directs[i].n_done = 0;
		directs[i].seed = (unsigned)i + 1;
		if (pthread_create(&directs[i].thread, NULL, run_thread,
		    &directs[i]) != 0)
			die("cannot start a thread");
	}
	for (i = 0; i < N_THREADS; i++) {
		pthread_join(directs[i].thread, NULL);
		n += directs[i].n_done;
	}
	return (double)n * 1e3 / FLOW_MS;
}

/* ---- many at once, through the daemon: tagged requests ---- */

struct link {
	int		 fd;
	struct lk_buf	 in, out;
};

static void
open_link(struct link *link)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	link->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (link->fd < 0 ||
	    connect(link->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		die("%s: %s", socket_path, strerror(errno));
	fcntl(link->fd, F_SETFL, O_NONBLOCK);
	lk_buf_init(&link->in);
	lk_buf_init(&link->out);
}

static void
close_link(struct link *link)
{
	close(link->fd);
	lk_buf_fini(&link->in);
	lk_buf_fini(&link->out);
}

/* The next request of the coroutine that `name` stands for. */
static void
put_request(struct link *link, const char *name, size_t n_name, unsigned *seed)
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

static void
send_some(struct link *link)
{
	ssize_t n = write(link->fd, link->out.data, link->out.len);

	if (n > 0)
		lk_buf_consume(&link->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN)
		die("write: %s", strerror(errno));
}

/* Take in replies; answer each with its coroutine's next request, or not. */
static long
receive_some(struct link *link, bool is_over, unsigned *seed)
{
	size_t room = 64 * 1024, used, done = 0;
	struct lk_error error = { 0 };
	struct lk_value reply;
	long n_replies = 0;
	ssize_t n = read(link->fd, lk_buf_reserve(&link->in, room), room);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the daemon closed the connection");
	link->in.len += n > 0 ? (size_t)n : 0;
	while (lk_value_decode(link->in.data + done, link->in.len - done,
	    &reply, &used, &error) == 0) {
		if (reply.n_items != 3 ||
		    reply.items[2].type == LK_VALUE_ERROR)
			die("%s", reply.n_items == 3 ? reply.items[2].text :
			    "a reply without a tag");
		n_replies++;
		if (!is_over)
			put_request(link, reply.items[1].text,
			    reply.items[1].n_text, seed);
		done += used;
		lk_value_fini(&reply);
	}
	lk_buf_consume(&link->in, done);
	return n_replies;
}

static double
flow_daemon(int n_links)
{
	struct link links[MAX_LINKS];
	struct pollfd pfds[MAX_LINKS];
	nfds_t n_fds = n_links < MAX_LINKS ? (nfds_t)n_links : MAX_LINKS;
	long n_done = 0, n_left = N_TASKS, n;
	unsigned seed = 1;
	char name[16];
	int i;

	for (i = 0; i < n_links; i++)
		open_link(&links[i]);
	for (i = 0; i < N_TASKS; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		put_request(&links[i % n_links], name, strlen(name), &seed);
	}
	stop_us = now_us() + FLOW_MS * 1e3;
	while (n_left > 0) {
		bool is_over = now_us() >= stop_us;

		for (i = 0; i < n_links; i++)
			pfds[i] = (struct pollfd){ .fd = links[i].fd,
			    .events = (short)(POLLIN |
			    (links[i].out.len > 0 ? POLLOUT : 0)) };
		if (poll(pfds, n_fds, 10000) == 0)
			die("no reply for 10 seconds");
		for (i = 0; i < n_links; i++) {
			n = pfds[i].revents & (POLLIN | POLLHUP) ?
			    receive_some(&links[i], is_over, &seed) : 0;
			n_done += is_over ? 0 : n;
			n_left -= is_over ? n : 0;
			if (links[i].out.len > 0)
				send_some(&links[i]);
		}
	}
	for (i = 0; i < n_links; i++)
		close_link(&links[i]);
	return (double)n_done * 1e3 / FLOW_MS;
}

static double
print_flow(const char *what, double *per_s, double direct)
{
	double median;

	qsort(per_s, FLOW_ROUNDS, sizeof(double), compare);
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
		die("%s", error.message);
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
	conn = PQconnectdb(conninfo);
	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	exec(conn, "SET client_min_messages = warning;"
	    "DROP TABLE IF EXISTS bench_accounts;"
	    "CREATE TABLE bench_accounts (id int PRIMARY KEY, balance int);"
	    "INSERT INTO bench_accounts SELECT i, 0"
	    "  FROM generate_series(1, 10000) i");
	exec(conn, "VACUUM ANALYZE bench_accounts");
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
	exec(conn, "DROP TABLE bench_accounts");
	PQfinish(conn);
	return 0;
}
