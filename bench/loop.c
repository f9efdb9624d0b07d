/*
 * What a request costs the daemon: the time that its event loop, and that its
 * other threads, are on a processor, by the kernel's account of each thread.
 * bench/README says how to read the numbers.
 *
 * usage: loop CONNINFO SOCKET [KIND COUNT]
 *
 * With KIND and COUNT so many requests of that kind are sent and nothing is
 * printed: for a daemon that is itself measured, as bench/run does.
 */
#include <sys/socket.h>

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "client/client.h"

#define N_ROWS		10000
#define N_LINKS		16
#define N_TASKS		1000	/* outstanding on each */
#define ROUNDS		5
#define PATIENCE_MS	60000	/* valgrind is slow */

struct kind {
	const char	*name;
	long		 n_requests;	/* in a round */
	size_t		 n_words;	/* behind tag and task */
	const char	*words[3];
	bool		 is_tagged, has_task;
	bool		 has_id;	/* the last word is any row's number */
};

static const struct kind kinds[] = {
	{ "ping", 500000, 1, { "PING" }, false, false, false },
	{ "ping-tagged", 500000, 1, { "PING" }, true, false, false },
	{ "use-in-task", 300000, 2, { "USE", "main" }, true, true, false },
	{ "get", 50000, 3, { "GET", "bench_accounts", "" }, true, true, true },
	{ "sql", 50000, 3, { "SQL",
	    "SELECT balance FROM bench_accounts WHERE id = $1::int4", "" },
	    true, true, true },
};

#define N_KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static const char *socket_path;
static struct bench_link links[N_LINKS];
static unsigned seed = 1;

/* ---- the requests ---- */

static struct lk_arg
word(const char *text)
{
	return (struct lk_arg){ text, strlen(text) };
}

/* xorshift: the same rows in every run. */
static unsigned
next_id(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return 1 + seed % N_ROWS;
}

/* The next request of the coroutine with this number. */
static void
put_request(struct bench_link *link, const struct kind *kind,
    const char *number, size_t n)
{
	char tag[16], task[16], id[16];
	struct lk_arg args[5];
	size_t n_args = 0, i;

	snprintf(tag, sizeof(tag), "@%.*s", (int)n, number);
	snprintf(task, sizeof(task), "%%%.*s", (int)n, number);
	if (kind->is_tagged)
		args[n_args++] = word(tag);
	if (kind->has_task)
		args[n_args++] = word(task);
	for (i = 0; i < kind->n_words; i++)
		args[n_args++] = word(kind->words[i]);
	if (kind->has_id) {
		snprintf(id, sizeof(id), "%u", next_id());
		args[n_args - 1] = word(id);
	}
	lk_client_encode(&link->out, args, n_args);
}

/* The value of a reply, and whose it is. */
static bool
next_reply(struct bench_link *link, const struct kind *kind,
    struct lk_value *reply)
{
	struct lk_error error = { 0 };
	const struct lk_value *value = reply;
	size_t used;

	if (lk_value_decode(link->in.data + link->n_decoded,
	    link->in.len - link->n_decoded, reply, &used, &error) != 0)
		return false;
	link->n_decoded += used;
	if (kind->is_tagged && reply->n_items == 3)
		value = &reply->items[2];
	if (value->type == LK_VALUE_ERROR)
		bench_die("%s", value->text);
	return true;
}

/* Take in replies, and put a request in the place of each while *n_left. */
static long
receive_some(struct bench_link *link, const struct kind *kind, long *n_left)
{
	struct lk_value reply;
	long n_replies = 0;

	bench_read_some(link);
	while (next_reply(link, kind, &reply)) {
		n_replies++;
		if (--*n_left >= 0 && kind->is_tagged)
			put_request(link, kind, reply.items[1].text,
			    reply.items[1].n_text);
		else if (*n_left >= 0)
			put_request(link, kind, "", 0);
		lk_value_fini(&reply);
	}
	return n_replies;
}

static long
begin(const struct kind *kind, long count)
{
	char number[16];
	long n = 0, i;

	for (i = 0; i < N_LINKS; i++)
		bench_open_link(&links[i], socket_path);
	for (i = 0; i < N_TASKS * N_LINKS && n < count; i++, n++) {
		snprintf(number, sizeof(number), "%ld", i / N_LINKS);
		put_request(&links[i % N_LINKS], kind, number, strlen(number));
	}
	return n;
}

/* So many requests in all, with up to N_TASKS outstanding on each link. */
static void
run(const struct kind *kind, long count)
{
	struct pollfd pfds[N_LINKS];
	long n_done = 0, n_left;
	int i;

	n_left = count - begin(kind, count);
	while (n_done < count) {
		for (i = 0; i < N_LINKS; i++)
			pfds[i] = (struct pollfd){ .fd = links[i].fd,
			    .events = (short)(POLLIN |
			    (links[i].out.len > 0 ? POLLOUT : 0)) };
		if (poll(pfds, N_LINKS, PATIENCE_MS) <= 0)
			bench_die("no reply for a minute");
		for (i = 0; i < N_LINKS; i++) {
			if (pfds[i].revents & (POLLIN | POLLHUP))
				n_done += receive_some(&links[i], kind,
				    &n_left);
			if (links[i].out.len > 0)
				bench_send_some(&links[i]);
		}
	}
	for (i = 0; i < N_LINKS; i++)
		bench_close_link(&links[i]);
}

/* ---- what the daemon's threads had ---- */

struct spent {
	double	loop_us, others_us;
};

static pid_t
find_daemon(void)
{
	struct bench_link link;
	struct ucred peer;
	socklen_t n = sizeof(peer);

	bench_open_link(&link, socket_path);
	if (getsockopt(link.fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
		bench_die("cannot tell who listens on %s", socket_path);
	bench_close_link(&link);
	return peer.pid;
}

/* The loop is the first of the daemon's threads, whose number is its own. */
static void
add_thread(struct spent *spent, pid_t daemon, const char *thread)
{
	char path[300];
	unsigned long long ns;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)daemon,
	    thread);
	file = fopen(path, "r");
	if (file == NULL)
		return;		/* it has ended */
	if (fscanf(file, "%llu", &ns) != 1)
		bench_die("%s says nothing", path);
	fclose(file);
	if (atol(thread) == (long)daemon)
		spent->loop_us += (double)ns / 1e3;
	else
		spent->others_us += (double)ns / 1e3;
}

static struct spent
look_at(pid_t daemon)
{
	struct spent spent = { 0, 0 };
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)daemon);
	dir = opendir(path);
	if (dir == NULL)
		bench_die("cannot read %s", path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			add_thread(&spent, daemon, entry->d_name);
	}
	closedir(dir);
	return spent;
}

static void
measure(const struct kind *kind, pid_t daemon)
{
	double per_s[ROUNDS], loop_us[ROUNDS], others_us[ROUNDS], start_us;
	double n = (double)kind->n_requests;
	struct spent before, after;
	int round;

	run(kind, kind->n_requests / 10);
	for (round = 0; round < ROUNDS; round++) {
		before = look_at(daemon);
		start_us = bench_now_us();
		run(kind, kind->n_requests);
		per_s[round] = n * 1e6 / (bench_now_us() - start_us);
		after = look_at(daemon);
		loop_us[round] = (after.loop_us - before.loop_us) / n;
		others_us[round] = (after.others_us - before.others_us) / n;
	}
	qsort(per_s, ROUNDS, sizeof(double), bench_compare);
	qsort(loop_us, ROUNDS, sizeof(double), bench_compare);
	qsort(others_us, ROUNDS, sizeof(double), bench_compare);
	printf("  %-14s%12.0f%14.2f%8.2f -%6.2f%14.2f\n", kind->name,
	    per_s[ROUNDS / 2], loop_us[ROUNDS / 2], loop_us[0],
	    loop_us[ROUNDS - 1], others_us[ROUNDS / 2]);
	fflush(stdout);
}

/* ---- all of it ---- */

static void
make_table(const char *conninfo)
{
	PGconn *conn = bench_connect(conninfo);

	bench_exec(conn, "CREATE TABLE IF NOT EXISTS bench_accounts"
	    " (id int PRIMARY KEY, owner text, balance int);"
	    "INSERT INTO bench_accounts SELECT i, 'owner ' || i, 0"
	    "  FROM generate_series(1, 10000) i ON CONFLICT DO NOTHING");
	bench_exec(conn, "VACUUM ANALYZE bench_accounts");
	PQfinish(conn);
}

static void
drop_table(const char *conninfo)
{
	PGconn *conn = bench_connect(conninfo);

	bench_exec(conn, "DROP TABLE bench_accounts");
	PQfinish(conn);
}

static const struct kind *
find_kind(const char *name)
{
	size_t i;

	for (i = 0; i < N_KINDS; i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	bench_die("no kind %s", name);
}

int
main(int argc, char **argv)
{
	pid_t daemon;
	size_t i;

	if (argc != 3 && argc != 5) {
		fputs("usage: loop CONNINFO SOCKET [KIND COUNT]\n", stderr);
		return 2;
	}
	socket_path = argv[2];
	make_table(argv[1]);
	if (argc == 5) {
		run(find_kind(argv[3]), atol(argv[4]));
		return 0;
	}
	daemon = find_daemon();
	printf("\nwhat a request costs, %d connections with %d outstanding, "
	    "microseconds\n  %-14s%12s%14s%16s%14s\n", N_LINKS, N_TASKS, "",
	    "a second", "of the loop", "lowest - highest", "of workers");
	for (i = 0; i < N_KINDS; i++)
		measure(&kinds[i], daemon);
	drop_table(argv[1]);
	return 0;
}
