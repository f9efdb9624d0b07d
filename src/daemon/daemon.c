#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/role.h"
#include "daemon/internal.h"
#include "db/listen.h"
#include "db/reader.h"
#include "db/watcher.h"
#include "ops/config.h"
#include "ops/files.h"
#include "ops/logsink.h"
#include "ops/systemd.h"

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

/* Going from serving to draining to ending, wherever it was asked for. */
static void
follow_drain(struct lk_daemon *daemon)
{
	lk_assert_loop();
	if (daemon->is_ending) {
		if (lk_core_is_stopped(daemon->core))
			event_base_loopbreak(daemon->base);
		return;
	}
	if (lk_core_is_draining(daemon->core) && !daemon->is_draining) {
		daemon->is_draining = true;
		lk_systemd_notify("STOPPING=1\nSTATUS=draining: waiting for "
		    "open transactions");
	}
	/* In an event of its own: connections are not freed under those who
	 * are at work with them. */
	if (lk_core_is_drained(daemon->core))
		event_active(daemon->on_drained, EV_TIMEOUT, 0);
}

static void
after_input(void *ctx)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	lk_config_free(&daemon->retired);
	follow_drain(daemon);
	set_timer(daemon);
}

/* What follows mail and timers, as it does input inside the listener. */
static void
end_turn(struct lk_daemon *daemon)
{
	lk_assert_loop();
	lk_core_run_timers(daemon->core);
	if (daemon->listener != NULL)
		lk_listener_flush(daemon->listener);
	after_input(daemon);
}

static struct lk_threads *
threads_of(struct lk_daemon *daemon, const struct lk_msg *msg)
{
	if (msg->thread & LK_WATCHER_MARK)
		return &daemon->watchers;
	if (msg->thread & LK_LISTENER_MARK)
		return &daemon->channel_listeners;
	return msg->thread & LK_READER_MARK ? &daemon->readers :
	    &daemon->workers;
}

/* Core only counts an end; the thread is joined before, and its index is free
 * when core starts another. */
static void
deliver_exit(struct lk_daemon *daemon, struct lk_msg *msg)
{
	struct lk_threads *threads = threads_of(daemon, msg);
	struct lk_thread *thread;

	lk_assert_loop();
	thread = lk_threads_join(threads, msg->thread & ~threads->mark);
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
handle_drained(evutil_socket_t fd, short what, void *arg)
{
	struct lk_daemon *daemon = arg;

	(void)fd, (void)what;
	lk_assert_loop();
	if (daemon->is_ending)
		return;
	lk_log(LK_LOG_INFO, "ending: nothing is open");
	daemon->is_ending = true;
	lk_core_set_now(daemon->core, lk_clock_us());
	lk_listener_free(&daemon->listener);
	lk_core_stop(daemon->core);
	end_turn(daemon);
}

/* Nobody waits for anything any more. */
static void
die_of(int number)
{
	sigset_t this;

	lk_logsink_stop();
	sigemptyset(&this);
	sigaddset(&this, number);
	pthread_sigmask(SIG_UNBLOCK, &this, NULL);
	raise(number);
}

static void
end_for(struct lk_daemon *daemon, int number)
{
	const char *name = strsignal(number);

	lk_assert_loop();
	if (daemon->is_ending || daemon->is_hurried) {
		lk_log(LK_LOG_WARNING, "ending at once: %s again", name);
		die_of(number);
	}
	if (lk_core_is_draining(daemon->core)) {
		lk_log(LK_LOG_WARNING, "draining no longer: %s again", name);
		daemon->is_hurried = true;
		lk_core_drain(daemon->core, 0);
	} else {
		lk_log(LK_LOG_INFO, "shutting down: %s", name);
		lk_core_drain(daemon->core, lk_core_drain_us(daemon->core));
	}
}

static void
reload(struct lk_daemon *daemon)
{
	struct lk_error error;

	lk_assert_loop();
	lk_error_init(&error);
	(void)lk_core_reload(daemon->core, &error);	/* which logs it */
	lk_error_fini(&error);
}

static void
handle_signal(evutil_socket_t fd, short what, void *arg)
{
	struct lk_daemon *daemon = arg;
	struct signalfd_siginfo info;

	(void)what;
	lk_assert_loop();
	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	lk_core_set_now(daemon->core, lk_clock_us());
	if (info.ssi_signo == SIGHUP)
		reload(daemon);
	else
		end_for(daemon, (int)info.ssi_signo);
	end_turn(daemon);
}

/* ---- start and end ---- */

static int
fail(struct lk_error *error, const char *what)
{
	lk_error_set(error, LK_ERR_SYNTAX, "%s: %s", what, strerror(errno));
	return -LK_E_IO;
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

static struct event *
make_reader(struct lk_daemon *daemon, int fd, event_callback_fn handle)
{
	struct event *event = event_new(daemon->base, fd, EV_READ | EV_PERSIST,
	    handle, daemon);

	lk_assert(event != NULL && event_add(event, NULL) == 0);
	return event;
}

/*
 * The signals stay blocked and are read, so that no handler runs in the midst
 * of anything.  They count even where whoever started the daemon ignores them,
 * as nohup does.
 */
static int
open_signals(void)
{
	static const int taken[] = { SIGTERM, SIGINT, SIGHUP };
	size_t i, n = sizeof(taken) / sizeof(taken[0]);
	sigset_t all;

	sigemptyset(&all);
	for (i = 0; i < n; i++)
		sigaddset(&all, taken[i]);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (i = 0; i < n; i++)
		signal(taken[i], SIG_DFL);
	return signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int
make_sources(struct lk_daemon *daemon, struct lk_error *error)
{
	lk_assert_loop();
	daemon->timer_us = LK_NEVER;
	daemon->timer_fd = timerfd_create(CLOCK_MONOTONIC,
	    TFD_NONBLOCK | TFD_CLOEXEC);
	if (daemon->timer_fd < 0)
		return fail(error, "no timer");
	daemon->signal_fd = open_signals();
	if (daemon->signal_fd < 0)
		return fail(error, "no descriptor for signals");
	daemon->has_mailbox = lk_mailbox_init(&daemon->mailbox) == 0;
	if (!daemon->has_mailbox)
		return fail(error, "no mailbox");
	daemon->on_mail = make_reader(daemon, lk_mailbox_fd(&daemon->mailbox),
	    handle_mail);
	daemon->on_timer = make_reader(daemon, daemon->timer_fd, handle_timer);
	daemon->on_signal = make_reader(daemon, daemon->signal_fd,
	    handle_signal);
	daemon->on_drained = evtimer_new(daemon->base, handle_drained, daemon);
	lk_assert(daemon->on_drained != NULL);
	return 0;
}

static void
make_db_args(struct lk_daemon *daemon)
{
	const struct lk_config *config = daemon->config;
	size_t i;

	daemon->db_args = lk_xcalloc(config->n_databases,
	    sizeof(*daemon->db_args));
	for (i = 0; i < config->n_databases; i++) {
		/* Threads read it while configs come and go. */
		daemon->db_args[i].conninfo =
		    lk_xstrdup(config->databases[i].conninfo);
		daemon->db_args[i].connect_timeout_us =
		    config->timeout_connect_us;
	}
}

static struct lk_daemon *
make_daemon(const char *config_path, struct lk_config *config)
{
	struct lk_daemon *daemon = lk_xcalloc(1, sizeof(*daemon));

	daemon->config_path = config_path;
	daemon->config = config;
	daemon->timer_fd = -1;
	daemon->signal_fd = -1;
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
	daemon->channel_listeners = (struct lk_threads){
		.name = "listener",
		.mark = LK_LISTENER_MARK,
		.body = lk_listen_main,
		.outbox = &daemon->mailbox,
	};
	daemon->readers = (struct lk_threads){
		.name = "catalog",
		.mark = LK_READER_MARK,
		.body = lk_reader_main,
		.outbox = &daemon->mailbox,
	};
	make_db_args(daemon);
	return daemon;
}

static int
make_listener(struct lk_daemon *daemon, struct lk_error *error)
{
	int rc, inherited_fd;

	lk_assert_loop();
	rc = lk_systemd_socket(&inherited_fd, error);
	if (rc == 0)
		rc = lk_listener_new(daemon->base, daemon->config, inherited_fd,
		    daemon->core, after_input, daemon, &daemon->listener,
		    error);
	return rc;
}

int
lk_daemon_new(const char *config_path, struct lk_config **config,
    struct lk_daemon **daemon_out, struct lk_error *error)
{
	struct lk_daemon *daemon = make_daemon(config_path, *config);
	int rc;

	*config = NULL;
	lk_role_enter(LK_ROLE_LOOP);
	lk_assert_loop();
	signal(SIGPIPE, SIG_IGN);
	rc = lk_files_allow(daemon->config, error);
	if (rc == 0)
		rc = make_base(daemon, error);
	if (rc == 0)
		rc = make_sources(daemon, error);
	if (rc == 0) {
		daemon->core = lk_core_new(daemon->config,
		    &lk_daemon_effects, daemon,
		    lk_clock_us(), lk_wall_us());
		rc = make_listener(daemon, error);
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
	lk_systemd_notify("READY=1\nSTATUS=serving %s", lk_buf_cstr(&names));
	lk_buf_fini(&names);
}

void
lk_daemon_run(struct lk_daemon *daemon)
{
	lk_assert_loop();
	lk_core_set_now(daemon->core, lk_clock_us());
	lk_core_start(daemon->core);
	set_timer(daemon);
	say_ready(daemon->config);
	event_base_dispatch(daemon->base);
	lk_log(LK_LOG_INFO, "ended");
}

static void
free_event(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

static void
free_db_args(struct lk_daemon *daemon)
{
	size_t i;

	for (i = 0; i < daemon->config->n_databases; i++)
		free(daemon->db_args[i].conninfo);
	free(daemon->db_args);
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
	free_event(gone->on_signal);
	free_event(gone->on_drained);
	if (gone->base != NULL)
		event_base_free(gone->base);
	if (gone->timer_fd >= 0)
		close(gone->timer_fd);
	if (gone->signal_fd >= 0)
		close(gone->signal_fd);
	if (gone->has_mailbox)
		lk_mailbox_fini(&gone->mailbox);
	lk_threads_fini(&gone->workers);
	lk_threads_fini(&gone->watchers);
	lk_threads_fini(&gone->channel_listeners);
	lk_threads_fini(&gone->readers);
	free_db_args(gone);
	lk_config_free(&gone->retired);
	lk_config_free(&gone->config);
	free(gone);
}
