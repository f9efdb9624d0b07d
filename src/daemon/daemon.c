#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/role.h"
#include "core/core.h"
#include "daemon/threads.h"
#include "db/watcher.h"
#include "db/worker.h"
#include "net/listener.h"
#include "ops/logsink.h"

#define FILES_WANTED	65536

struct lk_daemon {
	const struct lk_config *config;
	struct lk_db_args *db_args;	/* by database */
	struct event_base *base;
	struct lk_core	*core;
	struct lk_listener *listener;	/* NULL once ending */
	struct lk_threads workers;
	struct lk_threads watchers;
	struct lk_mailbox mailbox;	/* what all threads post to */
	int		 timer_fd;
	uint64_t	 timer_us;	/* what it is set to, or LK_NEVER */
	struct event	*on_mail;
	struct event	*on_timer;
	struct event	*on_term;
	struct event	*on_int;
	bool		 has_mailbox;
	bool		 is_ending;
};

/* ---- core's effects ---- */

static struct lk_db_args *
args_of(const struct lk_daemon *daemon,
    const struct lk_config_database *database)
{
	return &daemon->db_args[database - daemon->config->databases];
}

static int
start_worker(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	return lk_threads_start(&daemon->workers, index,
	    args_of(daemon, database));
}

static void
submit(void *ctx, uint32_t worker, struct lk_job **job)
{
	struct lk_daemon *daemon = ctx;
	struct lk_msg *msg = &(*job)->msg;

	lk_assert_loop();
	*job = NULL;
	lk_threads_post(&daemon->workers, worker, msg);
}

static void
stop_worker(void *ctx, uint32_t worker)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	lk_threads_stop(&daemon->workers, worker);
}

static int
start_watcher(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	return lk_threads_start(&daemon->watchers, index,
	    args_of(daemon, database));
}

static void
look(void *ctx, uint32_t watcher, struct lk_look **asked)
{
	struct lk_daemon *daemon = ctx;
	struct lk_msg *msg = &(*asked)->msg;

	lk_assert_loop();
	*asked = NULL;
	lk_threads_post(&daemon->watchers, watcher, msg);
}

static void
post_cancel(struct lk_threads *threads, uint32_t index,
    struct lk_cancel **cancel)
{
	struct lk_msg *msg = &(*cancel)->msg;

	lk_assert_loop();
	*cancel = NULL;
	lk_threads_post(threads, index, msg);
}

static void
cancel_by_watcher(void *ctx, uint32_t watcher, struct lk_cancel **cancel)
{
	struct lk_daemon *daemon = ctx;

	post_cancel(&daemon->watchers, watcher, cancel);
}

static void
cancel_by_worker(void *ctx, uint32_t worker, struct lk_cancel **cancel)
{
	struct lk_daemon *daemon = ctx;

	post_cancel(&daemon->workers, worker, cancel);
}

static void
stop_watcher(void *ctx, uint32_t watcher)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	lk_threads_stop(&daemon->watchers, watcher);
}

static const struct lk_effects effects = {
	.reply = lk_conn_reply,
	.close = lk_conn_close,
	.drain = lk_conn_drain,
	.worker_start = start_worker,
	.submit = submit,
	.worker_stop = stop_worker,
	.watcher_start = start_watcher,
	.look = look,
	.cancel = cancel_by_watcher,
	.cancel_directly = cancel_by_worker,
	.watcher_stop = stop_watcher,
};

/* ---- turns of the loop ---- */

/*
 * Core's next timer changes with nearly every request, mostly to later; so it
 * is set only to earlier, and when it fires for nothing, set anew.
 */
static void
set_timer(struct lk_daemon *daemon)
{
	struct itimerspec spec = { 0 };
	uint64_t due_us;

	lk_assert_loop();
	due_us = lk_core_next_due_us(daemon->core);
	if (due_us >= daemon->timer_us)
		return;
	daemon->timer_us = due_us;
	spec.it_value.tv_sec = (time_t)(due_us / LK_US_PER_S);
	/* All zero would unset it. */
	spec.it_value.tv_nsec = (long)(due_us % LK_US_PER_S) * 1000 + 1;
	lk_assert(timerfd_settime(daemon->timer_fd, TFD_TIMER_ABSTIME, &spec,
	    NULL) == 0);
}

/* What follows mail and timers, as it does input inside the listener. */
static void
end_turn(struct lk_daemon *daemon)
{
	lk_assert_loop();
	lk_core_run_timers(daemon->core);
	if (daemon->listener != NULL)
		lk_listener_flush(daemon->listener);
	set_timer(daemon);
	if (daemon->is_ending && lk_core_is_stopped(daemon->core))
		event_base_loopbreak(daemon->base);
}

static void
after_input(void *ctx)
{
	set_timer(ctx);
}

/* Core only counts an end; the thread is joined before, and its index is free
 * when core starts another. */
static void
deliver_exit(struct lk_daemon *daemon, struct lk_msg *msg)
{
	struct lk_threads *threads = msg->thread & LK_WATCHER_MARK ?
	    &daemon->watchers : &daemon->workers;
	struct lk_thread *thread;

	lk_assert_loop();
	thread = lk_threads_join(threads, msg->thread & ~LK_WATCHER_MARK);
	lk_core_deliver(daemon->core, msg);
	free(thread);
}

static void
handle_mail(evutil_socket_t fd, short what, void *arg)
{
	struct lk_daemon *daemon = arg;
	struct lk_list mail, *link;
	struct lk_msg *msg;

	(void)fd, (void)what;
	lk_assert_loop();
	lk_core_set_now(daemon->core, lk_clock_us());
	lk_list_init(&mail);
	lk_mailbox_take(&daemon->mailbox, &mail);
	while (!lk_list_is_empty(&mail)) {
		link = mail.next;
		lk_list_remove(link);
		msg = lk_container(link, struct lk_msg, link);
		if (msg->kind == LK_MSG_EXITED)
			deliver_exit(daemon, msg);
		else
			lk_core_deliver(daemon->core, msg);
	}
	end_turn(daemon);
}

static void
handle_timer(evutil_socket_t fd, short what, void *arg)
{
	struct lk_daemon *daemon = arg;
	uint64_t n_fired;

	(void)what;
	lk_assert_loop();
	if (read(fd, &n_fired, sizeof(n_fired)) < 0)
		return;
	daemon->timer_us = LK_NEVER;
	lk_core_set_now(daemon->core, lk_clock_us());
	end_turn(daemon);
}

static void
handle_signal(evutil_socket_t signal_number, short what, void *arg)
{
	struct lk_daemon *daemon = arg;

	(void)what;
	lk_assert_loop();
	if (daemon->is_ending) {
		/* Nobody waits for anything any more: die of it. */
		lk_log(LK_LOG_WARNING, "ending at once: %s again",
		    strsignal(signal_number));
		lk_logsink_stop();
		signal((int)signal_number, SIG_DFL);
		raise((int)signal_number);
	}
	lk_log(LK_LOG_INFO, "ending: %s", strsignal(signal_number));
	daemon->is_ending = true;
	lk_core_set_now(daemon->core, lk_clock_us());
	lk_listener_free(&daemon->listener);
	lk_core_stop(daemon->core);
	end_turn(daemon);
}

/* ---- start and end ---- */

static int
fail(struct lk_error *error, const char *what)
{
	lk_error_set(error, LK_ERR_SYNTAX, "%s: %s", what, strerror(errno));
	return -LK_E_IO;
}

/* Each client needs a descriptor; the usual soft limit is for programs that
 * use select(). */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= FILES_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max :
	    FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		lk_log(LK_LOG_WARNING, "cannot raise the limit of open files: "
		    "%s", strerror(errno));
}

static int
make_base(struct lk_daemon *daemon, struct lk_error *error)
{
	struct event_config *wanted = event_config_new();

	lk_assert(wanted != NULL);
	event_config_set_flag(wanted, EVENT_BASE_FLAG_NOLOCK);
	event_config_require_features(wanted, EV_FEATURE_EARLY_CLOSE);
	daemon->base = event_base_new_with_config(wanted);
	event_config_free(wanted);
	return daemon->base != NULL ? 0 :
	    fail(error, "no event loop that sees closed connections");
}

static int
make_sources(struct lk_daemon *daemon, struct lk_error *error)
{
	daemon->timer_us = LK_NEVER;
	daemon->timer_fd = timerfd_create(CLOCK_MONOTONIC,
	    TFD_NONBLOCK | TFD_CLOEXEC);
	if (daemon->timer_fd < 0)
		return fail(error, "no timer");
	daemon->has_mailbox = lk_mailbox_init(&daemon->mailbox) == 0;
	if (!daemon->has_mailbox)
		return fail(error, "no mailbox");
	daemon->on_mail = event_new(daemon->base,
	    lk_mailbox_fd(&daemon->mailbox), EV_READ | EV_PERSIST, handle_mail,
	    daemon);
	daemon->on_timer = event_new(daemon->base, daemon->timer_fd,
	    EV_READ | EV_PERSIST, handle_timer, daemon);
	daemon->on_term = evsignal_new(daemon->base, SIGTERM, handle_signal,
	    daemon);
	daemon->on_int = evsignal_new(daemon->base, SIGINT, handle_signal,
	    daemon);
	if (event_add(daemon->on_mail, NULL) < 0 ||
	    event_add(daemon->on_timer, NULL) < 0 ||
	    event_add(daemon->on_term, NULL) < 0 ||
	    event_add(daemon->on_int, NULL) < 0)
		return fail(error, "the event loop takes no events");
	return 0;
}

static void
make_db_args(struct lk_daemon *daemon)
{
	const struct lk_config *config = daemon->config;
	size_t i;

	daemon->db_args = lk_xcalloc(config->n_databases,
	    sizeof(*daemon->db_args));
	for (i = 0; i < config->n_databases; i++)
		daemon->db_args[i] = (struct lk_db_args){
			.conninfo = config->databases[i].conninfo,
			.connect_timeout_us = config->timeout_connect_us,
		};
}

static struct lk_daemon *
make_daemon(const struct lk_config *config)
{
	struct lk_daemon *daemon = lk_xcalloc(1, sizeof(*daemon));

	daemon->config = config;
	daemon->timer_fd = -1;
	daemon->workers = (struct lk_threads){
		.name = "worker",
		.body = lk_worker_main,
		.outbox = &daemon->mailbox,
	};
	daemon->watchers = (struct lk_threads){
		.name = "watcher",
		.mark = LK_WATCHER_MARK,
		.body = lk_watcher_main,
		.outbox = &daemon->mailbox,
	};
	make_db_args(daemon);
	return daemon;
}

int
lk_daemon_new(const struct lk_config *config, struct lk_daemon **daemon_out,
    struct lk_error *error)
{
	struct lk_daemon *daemon = make_daemon(config);
	int rc;

	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	rc = make_base(daemon, error);
	if (rc == 0)
		rc = make_sources(daemon, error);
	if (rc == 0) {
		daemon->core = lk_core_new(config, &effects, daemon,
		    lk_clock_us(), lk_wall_us());
		rc = lk_listener_new(daemon->base, config, daemon->core,
		    after_input, daemon, &daemon->listener, error);
	}
	if (rc < 0)
		lk_daemon_free(&daemon);
	else
		*daemon_out = daemon;
	return rc;
}

static void
say_ready(const struct lk_config *config)
{
	struct lk_buf names = LK_BUF_INIT;
	size_t i;

	for (i = 0; i < config->n_databases; i++)
		lk_buf_printf(&names, "%s%s", i > 0 ? ", " : "",
		    config->databases[i].name);
	lk_log(LK_LOG_INFO, "ready: listening on %s, databases %s",
	    config->listen_socket, lk_buf_cstr(&names));
	lk_buf_fini(&names);
}

void
lk_daemon_run(struct lk_daemon *daemon)
{
	lk_assert_loop();
	if (lk_logsink_start() < 0)
		lk_log(LK_LOG_WARNING,
		    "no thread for the log: writing it may delay clients");
	lk_core_set_now(daemon->core, lk_clock_us());
	lk_core_start(daemon->core);
	set_timer(daemon);
	say_ready(daemon->config);
	event_base_dispatch(daemon->base);
	lk_log(LK_LOG_INFO, "ended");
	lk_logsink_stop();
}

static void
free_event(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

void
lk_daemon_free(struct lk_daemon **daemon)
{
	struct lk_daemon *gone = *daemon;

	if (gone == NULL)
		return;
	*daemon = NULL;
	lk_assert_loop();
	lk_listener_free(&gone->listener);
	if (gone->core != NULL)
		lk_core_free(&gone->core);
	free_event(gone->on_mail);
	free_event(gone->on_timer);
	free_event(gone->on_term);
	free_event(gone->on_int);
	if (gone->base != NULL)
		event_base_free(gone->base);
	if (gone->timer_fd >= 0)
		close(gone->timer_fd);
	if (gone->has_mailbox)
		lk_mailbox_fini(&gone->mailbox);
	lk_threads_fini(&gone->workers);
	lk_threads_fini(&gone->watchers);
	free(gone->db_args);
	free(gone);
}
