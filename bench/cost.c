/*
 * What looking for deadlocks costs work that has none: the same updates of rows
 * of their own with deadlock.mode "resolve" and "off", in short slices in
 * turns.  bench/README says how to read the numbers.
 *
 * usage: cost CONNINFO SOCKET CONFIG [BLOCKS]
 *
 * CONFIG is the file that the daemon at SOCKET has read.  It names no mode; a
 * line that does is put behind it, and taken away again.
 */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "client/client.h"

#define N_BLOCKS	16	/* of four slices, unless BLOCKS says otherwise */
#define MAX_BLOCKS	1000
#define SLICE_MS	500
#define SETTLE_MS	50	/* after a change of mode, uncounted */
#define MAX_TASKS	1000
#define N_LINKS		4
#define MAX_PROCESSES	64
#define ALLOWED		0.98	/* of the throughput without */

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

static struct {
	long	n_done;		/* how often coroutines have done their work */
	int	n_begun;	/* coroutines that are at it */
	bool	is_ending;	/* none begins again */
} load;

static void
receive_some(struct bench_link *link)
{
	struct lk_value reply;

	bench_read_some(link);
	while (bench_next_reply(link, &reply)) {
		if (go_on(&reply)) {
			load.n_done++;
			if (load.is_ending)
				load.n_begun--;
			else
				begin(atoi(reply.items[1].text + 1));
		}
		lk_value_fini(&reply);
	}
}

static void
take_turn(int timeout_ms)
{
	struct pollfd pfds[N_LINKS];
	int i;

	for (i = 0; i < N_LINKS; i++) {
		if (links[i].out.len > 0)
			bench_send_some(&links[i]);
		pfds[i] = (struct pollfd){ .fd = links[i].fd,
		    .events = (short)(POLLIN |
		    (links[i].out.len > 0 ? POLLOUT : 0)) };
	}
	if (poll(pfds, N_LINKS, timeout_ms) == 0 && timeout_ms == 10000)
		bench_die("no reply for 10 seconds");
	for (i = 0; i < N_LINKS; i++) {
		if (pfds[i].revents & (POLLIN | POLLHUP))
			receive_some(&links[i]);
	}
}

static void
work_for(int ms)
{
	double end_us = bench_now_us() + ms * 1e3;
	double left_us;

	while ((left_us = end_us - bench_now_us()) > 0)
		take_turn((int)(left_us / 1e3) + 1);
}

static void
begin_all(int n_tasks)
{
	int i;

	load.is_ending = false;
	load.n_begun = n_tasks;
	for (i = 0; i < n_tasks; i++)
		begin(i);
}

static void
end_all(void)
{
	load.is_ending = true;
	while (load.n_begun > 0)
		take_turn(10000);
}

/* ---- the processes that do it, and the time they have had on a core ---- */

enum part { DAEMON, WATCHER, SESSIONS, N_PARTS };

static const char *const part_names[N_PARTS] = {
	"daemon", "its session that reads pg_locks", "its other sessions"
};

static struct {
	pid_t		pid;
	enum part	part;
} processes[MAX_PROCESSES];
static int n_processes;

static void
add_process(pid_t pid, enum part part)
{
	if (n_processes == MAX_PROCESSES)
		bench_die("more than %d sessions", MAX_PROCESSES);
	processes[n_processes].pid = pid;
	processes[n_processes++].part = part;
}

/* To be asked while all sessions are there; others' that idle do no harm. */
static void
find_processes(void)
{
	PGconn *direct = bench_connect(conninfo);
	struct ucred peer;
	socklen_t size = sizeof(peer);
	PGresult *rows;
	int i;

	n_processes = 0;
	if (getsockopt(links[0].fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		bench_die("cannot tell which process the daemon is");
	add_process(peer.pid, DAEMON);
	rows = PQexec(direct, "SELECT pid, application_name ~ 'watcher'"
	    " FROM pg_stat_activity WHERE application_name ~ '^lockkeeper'");
	for (i = 0; i < PQntuples(rows); i++)
		add_process(atoi(PQgetvalue(rows, i, 0)),
		    PQgetvalue(rows, i, 1)[0] == 't' ? WATCHER : SESSIONS);
	PQclear(rows);
	PQfinish(direct);
}

/* All its threads' since its start; 0 when it has ended. */
static double
cpu_us(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &ts) != 0)
		return 0;
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
read_cpu(double part_us[N_PARTS])
{
	int i;

	memset(part_us, 0, N_PARTS * sizeof(*part_us));
	for (i = 0; i < n_processes; i++)
		part_us[processes[i].part] += cpu_us(processes[i].pid);
}

/* ---- slices and blocks ---- */

struct slice {
	double	n;		/* requests, or transactions */
	double	us;
	double	cpu_us[N_PARTS];
};

/* Work in this mode, and add what was done and used to slice. */
static void
work_slice(struct lk_client *admin, int mode, struct slice *slice)
{
	double before_us[N_PARTS], after_us[N_PARTS], start_us;
	long n_before;
	int i;

	change_mode(admin, modes[mode]);
	work_for(SETTLE_MS);
	read_cpu(before_us);
	n_before = load.n_done;
	start_us = bench_now_us();
	work_for(SLICE_MS);
	slice->n += (double)(load.n_done - n_before);
	slice->us += bench_now_us() - start_us;
	read_cpu(after_us);
	for (i = 0; i < N_PARTS; i++)
		slice->cpu_us[i] += after_us[i] - before_us[i];
}

static double
rate(const struct slice *slice)
{
	return slice->n * 1e6 / slice->us;
}

static double
cpu_each(const struct slice *slice)
{
	double sum_us = 0;
	int i;

	for (i = 0; i < N_PARTS; i++)
		sum_us += slice->cpu_us[i];
	return sum_us / slice->n;
}

struct estimate {
	double	median, low, high;	/* it lies between these, 95 in 100 */
};

/* Whatever the values' distribution is: by their ranks.  Sorts them. */
static struct estimate
estimate(double *values, int n)
{
	int rank = (int)floor((n - 1.96 * sqrt(n)) / 2);

	rank = rank < 1 ? 1 : rank;
	qsort(values, (size_t)n, sizeof(*values), bench_compare);
	return (struct estimate){ (values[n / 2] + values[(n - 1) / 2]) / 2,
	    values[rank - 1], values[n - rank] };
}

static void
print_line(const char *what, double off, double resolve, struct estimate ratio)
{
	printf("    %-32s%10.*f%10.*f%10.4f%10.4f -%7.4f\n", what,
	    off < 1000 ? 2 : 0, off, resolve < 1000 ? 2 : 0, resolve,
	    ratio.median, ratio.low, ratio.high);
}

static const char *
verdict(struct estimate per_s, struct estimate cpu)
{
	if (per_s.low >= ALLOWED)
		return "within 2 %";
	if (per_s.high < ALLOWED)
		return "NOT within 2 %";
	return cpu.high <= 1 / ALLOWED ?
	    "within 2 % of CPU; the throughput is too noisy to tell" :
	    "too noisy to tell 2 %";
}

static void
print_result(int n_tasks, struct slice sums[2], struct estimate per_s,
    struct estimate cpu)
{
	int i;

	printf("  %d coroutines, %s: %s\n", n_tasks, uses_tx ? "transactions" :
	    "autocommit", verdict(per_s, cpu));
	print_line("a second", rate(&sums[0]), rate(&sums[1]), per_s);
	print_line("CPU, us each", cpu_each(&sums[0]), cpu_each(&sums[1]),
	    cpu);
	for (i = 0; i < N_PARTS; i++)
		printf("      %-30s%10.2f%10.2f\n", part_names[i],
		    sums[0].cpu_us[i] / sums[0].n,
		    sums[1].cpu_us[i] / sums[1].n);
	fflush(stdout);
}

/*
 * A block is off, resolve, resolve, off, or the other way round: what gets
 * steadily slower or faster meanwhile meets both alike.
 */
static void
measure(struct lk_client *admin, int n_tasks, int n_blocks)
{
	static double per_s[MAX_BLOCKS], cpu[MAX_BLOCKS];
	struct slice sums[2] = { 0 };
	int block, turn, i;

	begin_all(n_tasks);
	work_for(SLICE_MS);		/* plans and caches, uncounted */
	find_processes();
	for (block = 0; block < n_blocks; block++) {
		struct slice slices[2] = { 0 };

		for (turn = 0; turn < 4; turn++)
			work_slice(admin, (block + (turn + 1) / 2) % 2,
			    &slices[(block + (turn + 1) / 2) % 2]);
		per_s[block] = rate(&slices[1]) / rate(&slices[0]);
		cpu[block] = cpu_each(&slices[1]) / cpu_each(&slices[0]);
		for (turn = 0; turn < 2; turn++) {
			sums[turn].n += slices[turn].n;
			sums[turn].us += slices[turn].us;
			for (i = 0; i < N_PARTS; i++)
				sums[turn].cpu_us[i] += slices[turn].cpu_us[i];
		}
	}
	end_all();
	print_result(n_tasks, sums, estimate(per_s, n_blocks),
	    estimate(cpu, n_blocks));
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
	int n_blocks = argc == 5 ? atoi(argv[4]) : N_BLOCKS, i;

	if (argc < 4 || argc > 5 || n_blocks < 1 || n_blocks > MAX_BLOCKS) {
		fputs("usage: cost CONNINFO SOCKET CONFIG [BLOCKS]\n", stderr);
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
	printf("\nupdates of rows of their own, %d blocks of four slices of "
	    "%d ms\n    %-32s%10s%10s%10s%18s\n", n_blocks, SLICE_MS, "",
	    "off", "resolve", "ratio", "95 %");
	for (i = 0; i < 4; i++) {
		uses_tx = i % 2 == 1;
		measure(admin, n_tasks[i / 2], n_blocks);
	}
	change_mode(admin, NULL);
	for (i = 0; i < N_LINKS; i++)
		bench_close_link(&links[i]);
	lk_client_free(&admin);
	return 0;
}
