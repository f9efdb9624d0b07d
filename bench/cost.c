/*
 * What looking for deadlocks costs work that has none: the same updates of rows
 * of their own with deadlock.mode "resolve" and "off", in short slices in
 * turns.  bench/README says how to read the numbers.
 *
 * usage: cost CONNINFO SOCKET CONFIG
 *
 * CONFIG is the file that the daemon at SOCKET has read.  It names no mode; a
 * line that does is put behind it, and taken away again.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "client/client.h"

#define N_PAIRS		100	/* of slices, one of each mode */
#define SLICE_MS	100
#define MAX_TASKS	1000
#define N_LINKS		4

static const char *const update_sql =
    "UPDATE bench_cost SET v = v + 1 WHERE id = $1::int4";
static const char *const modes[] = { "off", "resolve" };

static const char *conninfo, *socket_path, *config_path;

/* ---- the mode ---- */

static off_t config_size;

static void
change_mode(struct lk_client *admin, const char *mode)
{
	struct lk_arg args[] = { { "RELOAD", 6 } };
	struct lk_error error = { 0 };
	struct lk_value reply;
	FILE *file;

	if (truncate(config_path, config_size) != 0 ||
	    (file = fopen(config_path, "a")) == NULL)
		bench_die("cannot write %s", config_path);
	if (mode != NULL)
		fprintf(file, "deadlock = { mode = \"%s\"; };\n", mode);
	fclose(file);
	if (lk_client_call_wait(admin, args, 1, &reply, &error) < 0)
		bench_die("%s", error.message);
	if (reply.type == LK_VALUE_ERROR)
		bench_die("%s", reply.text);
	lk_value_fini(&reply);
}

/* ---- the work: each coroutine has a row of its own ---- */

static struct bench_link links[N_LINKS];
static bool uses_tx;

static void
put_request(int task, const char *prefix, const char *handle,
    const char *verb)
{
	char tag[24], name[24], tx[32], id[16];
	struct lk_arg args[6];
	size_t n = 0;

	snprintf(tag, sizeof(tag), "@%s%d", prefix, task);
	args[n++] = (struct lk_arg){ tag, strlen(tag) };
	snprintf(name, sizeof(name), "%%%d", task);
	args[n++] = (struct lk_arg){ name, strlen(name) };
	if (handle != NULL) {
		snprintf(tx, sizeof(tx), "#%s", handle);
		args[n++] = (struct lk_arg){ tx, strlen(tx) };
	}
	args[n++] = (struct lk_arg){ verb, strlen(verb) };
	if (strcmp(verb, "SQL") == 0) {
		snprintf(id, sizeof(id), "%d", task);
		args[n++] = (struct lk_arg){ update_sql, strlen(update_sql) };
		args[n++] = (struct lk_arg){ id, strlen(id) };
	}
	lk_client_encode(&links[task % N_LINKS].out, args, n);
}

static void
begin(int task)
{
	if (uses_tx)
		put_request(task, "b", NULL, "BEGIN");
	else
		put_request(task, "d", NULL, "SQL");
}

/* What comes of a reply; 1 when its coroutine has done its work once. */
static int
go_on(const struct lk_value *reply)
{
	const char *tag = reply->items[1].text;
	int task = atoi(tag + 1);
	char handle[32];

	if (reply->items[2].type == LK_VALUE_ERROR)
		bench_die("%s", reply->items[2].text);
	if (tag[0] == 'b') {
		snprintf(handle, sizeof(handle), "%lld",
		    (long long)reply->items[2].integer);
		put_request(task, "u", handle, "SQL");
		put_request(task, "d", handle, "COMMIT");
	}
	return tag[0] == 'd';
}

static int
receive_some(struct bench_link *link, bool is_over)
{
	struct lk_value reply;
	int n = 0;

	bench_read_some(link);
	while (bench_next_reply(link, &reply)) {
		if (go_on(&reply)) {
			n++;
			if (!is_over)
				begin(atoi(reply.items[1].text + 1));
		}
		lk_value_fini(&reply);
	}
	return n;
}

/* What n_tasks get done in a slice, a second. */
static double
work(int n_tasks)
{
	struct pollfd pfds[N_LINKS];
	double start_us = bench_now_us();
	int i, n, n_done = 0, n_left = n_tasks;
	bool is_over = false;

	for (i = 0; i < n_tasks; i++)
		begin(i);
	while (n_left > 0) {
		is_over = is_over ||
		    bench_now_us() >= start_us + SLICE_MS * 1e3;
		for (i = 0; i < N_LINKS; i++) {
			if (links[i].out.len > 0)
				bench_send_some(&links[i]);
			pfds[i] = (struct pollfd){ .fd = links[i].fd,
			    .events = (short)(POLLIN |
			    (links[i].out.len > 0 ? POLLOUT : 0)) };
		}
		if (poll(pfds, N_LINKS, 10000) == 0)
			bench_die("no reply for 10 seconds");
		for (i = 0; i < N_LINKS; i++) {
			n = pfds[i].revents & (POLLIN | POLLHUP) ?
			    receive_some(&links[i], is_over) : 0;
			n_done += n;
			n_left -= is_over ? n : 0;
		}
	}
	return n_done * 1e6 / (bench_now_us() - start_us);
}

static double
median(double *values)
{
	qsort(values, N_PAIRS, sizeof(*values), bench_compare);
	return values[N_PAIRS / 2];
}

static void
measure(struct lk_client *admin, int n_tasks)
{
	static double per_s[2][N_PAIRS], ratio[N_PAIRS];
	double middle;
	int pair, turn, mode;

	work(n_tasks);		/* plans and caches, uncounted */
	for (pair = 0; pair < N_PAIRS; pair++) {
		for (turn = 0; turn < 2; turn++) {
			mode = (pair + turn) % 2;
			change_mode(admin, modes[mode]);
			per_s[mode][pair] = work(n_tasks);
		}
		ratio[pair] = per_s[1][pair] / per_s[0][pair];
	}
	middle = median(ratio);		/* sorts them, too */
	printf("  %5d coroutines, %-16s%10.0f%10.0f%10.3f%10.3f -%6.3f\n",
	    n_tasks, uses_tx ? "transactions" : "autocommit",
	    median(per_s[0]), median(per_s[1]), middle,
	    ratio[N_PAIRS / 4], ratio[N_PAIRS * 3 / 4]);
	fflush(stdout);
}

static void
prepare(void)
{
	PGconn *direct = bench_connect(conninfo);

	bench_exec(direct, "DROP TABLE IF EXISTS bench_cost;"
	    "CREATE TABLE bench_cost (id int PRIMARY KEY, v int)"
	    "  WITH (fillfactor = 10);"
	    "INSERT INTO bench_cost SELECT i, 0"
	    "  FROM generate_series(0, 999) i");
	PQfinish(direct);
}

int
main(int argc, char **argv)
{
	static const int n_tasks[] = { 16, MAX_TASKS };
	struct lk_error error = { 0 };
	struct lk_client *admin;
	FILE *file;
	int i;

	if (argc != 4) {
		fputs("usage: cost CONNINFO SOCKET CONFIG\n", stderr);
		return 2;
	}
	conninfo = argv[1];
	socket_path = argv[2];
	config_path = argv[3];
	file = fopen(config_path, "r");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		bench_die("cannot read %s", config_path);
	config_size = ftell(file);
	fclose(file);
	prepare();
	if (lk_client_connect_wait(socket_path, &admin, &error) < 0)
		bench_die("%s", error.message);
	for (i = 0; i < N_LINKS; i++)
		bench_open_link(&links[i], socket_path);
	printf("\nupdates of rows of their own, a second, %d slices of %d ms "
	    "each\n  %-34s%10s%10s%10s%18s\n", N_PAIRS, SLICE_MS, "",
	    "off", "resolve", "ratio", "middle half");
	for (i = 0; i < 4; i++) {
		uses_tx = i % 2 == 1;
		measure(admin, n_tasks[i / 2]);
	}
	change_mode(admin, NULL);
	for (i = 0; i < N_LINKS; i++)
		bench_close_link(&links[i]);
	lk_client_free(&admin);
	return 0;
}
