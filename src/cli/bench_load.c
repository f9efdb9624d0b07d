#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/cli.h"

#define NS_PER_MS	1000000ULL
#define PROBE_NS	(10 * NS_PER_MS)	/* from one to the next */
#define WARM_NS		(500 * NS_PER_MS)	/* at most; uncounted */
#define QUIET_NS	(1000 * NS_PER_MS)	/* likewise */
#define END_NS		(60000 * NS_PER_MS)	/* for what is outstanding */
#define READ_BYTES	(256 * 1024)
#define N_EVENTS	256
#define OTHER_FDS	64

enum probe_kind { PROBE_PING, PROBE_ROW, N_PROBES };

struct link {
	int		 fd;		/* does not block; -1: none */
	struct lk_buf	 in, out;
	bool		 is_full;	/* the daemon does not read */
	struct probe	*probe;		/* whose it is; NULL: the tasks' */
};

/* One that asks the same every 10 ms, if it has had the answer. */
struct probe {
	struct link	 link;
	struct lk_bench_task task;
	void		(*ask)(struct lk_bench_scene *scene,
			    struct lk_bench_task *task);
	struct lk_hist	*hist;		/* NULL: what it takes is not counted */
	uint64_t	 next_ns;
	bool		 is_out;
};

struct load {
	const struct lk_bench_options *options;
	struct lk_bench_scene *scene;
	struct lk_bench_result *result;
	int		 epoll_fd;
	struct link	*links;
	struct lk_bench_task *tasks;
	struct probe	 probes[N_PROBES];
	size_t		 n_busy;	/* tasks that wait for replies */
	bool		 is_counting;
	bool		 is_ending;
	bool		 has_failed;	/* and said why */
};

static volatile sig_atomic_t was_stopped;

static void
stop(int number)
{
	was_stopped = number;
}

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct load *load, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (load->has_failed)
		return;
	load->has_failed = true;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0) {
		lk_cli_say("%s", text);
		free(text);
	}
	va_end(ap);
}

/* ---- connections ---- */

static int
connect_fd(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Who asked for the table has used the same path, so it is no longer. */
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
	    sizeof(address)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* In version 2 nothing comes that was not asked for. */
static void
put_hello(struct load *load, struct link *link)
{
	const char *database = load->options->database;
	struct lk_bench_word args[] = {
		{ "@0", 2 }, { "HELLO", 5 }, { "2", 1 }, { "NAME", 4 },
		{ "lockkeeper-bench", 16 }, { "DATABASE", 8 },
		{ database, database != NULL ? strlen(database) : 0 },
	};

	lk_bench_encode(&link->out, args, database != NULL ? 7 : 5);
}

static int
say_hello(struct load *load, struct link *link)
{
	struct lk_bench_reply reply;
	ptrdiff_t used = 0;
	ssize_t n;

	put_hello(load, link);
	n = send(link->fd, link->out.data, link->out.len, MSG_NOSIGNAL);
	lk_buf_truncate(&link->out, 0);
	while (n > 0 && used == 0) {
		n = recv(link->fd, lk_buf_reserve(&link->in, READ_BYTES),
		    READ_BYTES, 0);
		link->in.len += n > 0 ? (size_t)n : 0;
		used = lk_bench_scan(link->in.data, link->in.len, &reply);
	}
	if (used > 0 && reply.type != '-') {
		lk_buf_consume(&link->in, (size_t)used);
		return 0;
	}
	/* Of its own errors it speaks before it closes. */
	n = (ssize_t)link->in.len;
	while (n > 0 && strchr("\r\n", link->in.data[n - 1]) != NULL)
		n--;
	fail(load, "the daemon refused a connection: %.*s", (int)n,
	    n > 0 ? link->in.data : "");
	return -1;
}

static int
open_link(struct load *load, struct link *link)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };

	link->fd = connect_fd(load->options->socket);
	if (link->fd < 0) {
		fail(load, "%s: %s", load->options->socket, strerror(errno));
		return -1;
	}
	if (say_hello(load, link) < 0)
		return -1;
	fcntl(link->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, link->fd, &event);
	return 0;
}

static void
close_link(struct link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	lk_buf_fini(&link->in);
	lk_buf_fini(&link->out);
}

static void
send_some(struct load *load, struct link *link)
{
	struct epoll_event event = { .data.ptr = link };
	ssize_t n;
	bool is_full;

	n = link->out.len == 0 ? 0 :
	    send(link->fd, link->out.data, link->out.len, MSG_NOSIGNAL);
	if (n > 0)
		lk_buf_consume(&link->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		fail(load, "sending to the daemon: %s", strerror(errno));
	is_full = link->out.len > 0;
	if (is_full == link->is_full)
		return;
	link->is_full = is_full;
	event.events = is_full ? EPOLLIN | EPOLLOUT : EPOLLIN;
	epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, link->fd, &event);
}

/* ---- what comes ---- */

static void
begin_task(struct load *load, struct lk_bench_task *task, uint64_t at_ns)
{
	task->began_ns = at_ns;
	load->options->work->begin(load->scene, task);
}

static void
fail_reply(struct load *load, const struct lk_bench_reply *reply)
{
	if (reply->type == '-')
		fail(load, "%s: %.*s", load->options->work->name,
		    (int)reply->n_line, reply->line);
	else
		fail(load, "%s: %s has no row for each id from 0 to %u",
		    load->options->work->name, load->scene->table,
		    load->scene->n_rows);
}

static void
take_task_reply(struct load *load, const struct lk_bench_reply *reply,
    uint64_t at_ns)
{
	struct lk_bench_task *task =
	    &load->tasks[reply->tag >> LK_BENCH_STEP_BITS];

	switch (load->options->work->go_on(load->scene, task, reply)) {
	case LK_BENCH_ASKED:
		return;
	case LK_BENCH_FAILED:
		fail_reply(load, reply);
		return;
	case LK_BENCH_DONE:
		break;
	}
	if (load->is_counting) {
		load->result->n_done++;
		lk_hist_add(&load->result->latency, at_ns - task->began_ns);
	}
	if (load->is_ending)
		load->n_busy--;
	else
		begin_task(load, task, at_ns);
}

static void
take_probe_reply(struct load *load, struct probe *probe,
    const struct lk_bench_reply *reply, uint64_t at_ns)
{
	if (reply->type == '-' || reply->line[0] == '-')
		fail_reply(load, reply);
	probe->is_out = false;
	if (probe->hist != NULL)
		lk_hist_add(probe->hist, at_ns - probe->task.began_ns);
	load->scene->added += probe->ask == lk_bench_touch;
}

static void
take_replies(struct load *load, struct link *link, uint64_t at_ns)
{
	struct lk_bench_reply reply;
	size_t done = 0;
	ptrdiff_t used = 1;

	while (!load->has_failed && used > 0) {
		used = lk_bench_scan(link->in.data + done,
		    link->in.len - done, &reply);
		if (used < 0 || (used > 0 && link->probe == NULL &&
		    reply.tag >> LK_BENCH_STEP_BITS >=
		    load->options->n_clients)) {
			fail(load, "the daemon's reply has not our tag: %.*s",
			    60, link->in.data + done);
		} else if (used > 0) {
			if (link->probe != NULL)
				take_probe_reply(load, link->probe, &reply,
				    at_ns);
			else
				take_task_reply(load, &reply, at_ns);
			done += (size_t)used;
		}
	}
	lk_buf_consume(&link->in, done);
}

static void
receive(struct load *load, struct link *link)
{
	char *to = lk_buf_reserve(&link->in, READ_BYTES);
	ssize_t n = to == NULL ? -1 : recv(link->fd, to, READ_BYTES, 0);

	if (n < 0 && to != NULL && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(load, n < 0 ? "no reading from the daemon: %s" :
		    "the daemon closed a connection", strerror(errno));
		return;
	}
	link->in.len += (size_t)n;
	take_replies(load, link, now_ns(CLOCK_MONOTONIC));
}

/* ---- the loop ---- */

/* Returns when the next is due. */
static uint64_t
ask_probes(struct load *load, uint64_t at_ns)
{
	uint64_t next_ns = UINT64_MAX;
	size_t i;

	for (i = 0; i < N_PROBES; i++) {
		struct probe *probe = &load->probes[i];

		if (probe->link.fd < 0 || load->is_ending)
			continue;
		if (probe->next_ns <= at_ns) {
			probe->next_ns = at_ns + PROBE_NS;
			if (!probe->is_out) {
				probe->is_out = true;
				probe->task.began_ns = at_ns;
				probe->ask(load->scene, &probe->task);
				send_some(load, &probe->link);
			}
		}
		if (probe->next_ns < next_ns)
			next_ns = probe->next_ns;
	}
	return next_ns;
}

static void
take_turn(struct load *load, uint64_t end_ns)
{
	struct epoll_event events[N_EVENTS];
	uint64_t at_ns = now_ns(CLOCK_MONOTONIC);
	uint64_t next_ns = ask_probes(load, at_ns);
	int n, i;

	if (next_ns > end_ns)
		next_ns = end_ns;
	n = epoll_wait(load->epoll_fd, events, N_EVENTS, next_ns <= at_ns ? 0 :
	    (int)((next_ns - at_ns + NS_PER_MS - 1) / NS_PER_MS));
	for (i = 0; i < n && !load->has_failed; i++) {
		struct link *link = events[i].data.ptr;

		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			receive(load, link);
		send_some(load, link);
	}
}

static void
run_for(struct load *load, uint64_t ns)
{
	uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + ns;

	while (!load->has_failed && !was_stopped &&
	    now_ns(CLOCK_MONOTONIC) < end_ns)
		take_turn(load, end_ns);
}

static void
begin_all(struct load *load)
{
	size_t i;

	load->n_busy = load->options->n_clients;
	for (i = 0; i < load->options->n_clients; i++)
		begin_task(load, &load->tasks[i], now_ns(CLOCK_MONOTONIC));
	for (i = 0; i < load->options->n_connections; i++)
		send_some(load, &load->links[i]);
}

/* What is acknowledged after the time is not counted, but must add up. */
static void
end_all(struct load *load)
{
	uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + END_NS;

	load->is_ending = true;
	while (!load->has_failed && (load->n_busy > 0 ||
	    load->probes[PROBE_PING].is_out ||
	    load->probes[PROBE_ROW].is_out)) {
		if (now_ns(CLOCK_MONOTONIC) > end_ns)
			fail(load, "%zu clients had no reply for a minute",
			    load->n_busy);
		take_turn(load, end_ns);
	}
}

static void
measure(struct load *load)
{
	const struct lk_bench_options *options = load->options;
	uint64_t part_ns = options->duration_ns / 4;
	uint64_t began_ns, cpu_ns;

	if (options->work->watches_row) {
		load->probes[PROBE_ROW].hist = &load->result->quiet;
		run_for(load, part_ns < QUIET_NS ? part_ns : QUIET_NS);
		load->probes[PROBE_ROW].hist = NULL;
	}
	begin_all(load);
	run_for(load, part_ns < WARM_NS ? part_ns : WARM_NS);
	load->is_counting = true;
	load->probes[PROBE_ROW].hist = &load->result->meanwhile;
	load->probes[PROBE_PING].hist = &load->result->ping;
	began_ns = now_ns(CLOCK_MONOTONIC);
	cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	run_for(load, options->duration_ns);
	load->is_counting = false;
	load->result->took_ns = now_ns(CLOCK_MONOTONIC) - began_ns;
	load->result->cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	load->result->was_stopped = was_stopped != 0;
	end_all(load);
}

/* ---- setting up ---- */

static void
init_probes(struct load *load)
{
	size_t i;

	load->probes[PROBE_PING].ask = lk_bench_ping;
	load->probes[PROBE_ROW].ask = lk_bench_touch;
	for (i = 0; i < N_PROBES; i++) {
		load->probes[i].link.fd = -1;
		load->probes[i].link.probe = &load->probes[i];
		load->probes[i].task.out = &load->probes[i].link.out;
	}
}

static void
allow_descriptors(size_t n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= n + OTHER_FDS)
		return;
	limit.rlim_cur = n + OTHER_FDS;
	if (limit.rlim_max < limit.rlim_cur)
		limit.rlim_max = limit.rlim_cur;
	setrlimit(RLIMIT_NOFILE, &limit);	/* else opening one says it */
}

static int
open_all(struct load *load)
{
	size_t n = load->options->n_connections, i;

	allow_descriptors(n);
	for (i = 0; i < n; i++) {
		if (open_link(load, &load->links[i]) < 0)
			return -1;
	}
	for (i = 0; i < load->options->n_clients; i++) {
		load->tasks[i].number = (unsigned)i;
		load->tasks[i].out = &load->links[i % n].out;
	}
	if (load->options->work->watches_row &&
	    open_link(load, &load->probes[PROBE_ROW].link) < 0)
		return -1;
	return open_link(load, &load->probes[PROBE_PING].link);
}

static void
fini_load(struct load *load)
{
	size_t i;

	for (i = 0; i < load->options->n_connections; i++)
		close_link(&load->links[i]);
	for (i = 0; i < N_PROBES; i++)
		close_link(&load->probes[i].link);
	close(load->epoll_fd);
	free(load->links);
	free(load->tasks);
}

int
lk_bench_run(const struct lk_bench_options *options,
    struct lk_bench_scene *scene, struct lk_bench_result *result_out)
{
	struct load load = {
		.options = options, .scene = scene, .result = result_out,
	};
	struct sigaction action = { .sa_handler = stop };
	size_t i;

	memset(result_out, 0, sizeof(*result_out));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	load.links = lk_xcalloc(options->n_connections, sizeof(*load.links));
	load.tasks = lk_xcalloc(options->n_clients, sizeof(*load.tasks));
	for (i = 0; i < options->n_connections; i++)
		load.links[i].fd = -1;
	init_probes(&load);
	if (open_all(&load) == 0)
		measure(&load);
	fini_load(&load);
	return load.has_failed ? -1 : 0;
}
