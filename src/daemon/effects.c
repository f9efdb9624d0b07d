/*
 * What core asks of the world: threads, messages to them, and another
 * configuration.  Connections are net's.
 */
#include "base/log.h"
#include "daemon/internal.h"
#include "ops/config.h"
#include "ops/files.h"
#include "ops/logsink.h"
#include "ops/systemd.h"

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

static int
start_listener(void *ctx, uint32_t index,
    const struct lk_config_database *database)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	return lk_threads_start(&daemon->channel_listeners, index,
	    args_of(daemon, database));
}

static void
post_to_listener(void *ctx, uint32_t listener, struct lk_msg *msg)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	lk_threads_post(&daemon->channel_listeners, listener, msg);
}

static void
listen_to(void *ctx, uint32_t listener, struct lk_listen **listen)
{
	struct lk_msg *msg = &(*listen)->msg;

	*listen = NULL;
	post_to_listener(ctx, listener, msg);
}

static void
give_heard_back(void *ctx, uint32_t listener, struct lk_heard **heard)
{
	struct lk_msg *msg = &(*heard)->msg;

	*heard = NULL;
	post_to_listener(ctx, listener, msg);
}

static void
stop_listener(void *ctx, uint32_t listener)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	lk_threads_stop(&daemon->channel_listeners, listener);
}

static int
read_catalog(void *ctx, uint32_t index,
    const struct lk_config_database *database, struct lk_catalog_read **read)
{
	struct lk_daemon *daemon = ctx;
	int rc;

	lk_assert_loop();
	rc = lk_threads_start(&daemon->readers, index,
	    args_of(daemon, database));
	if (rc < 0)
		return rc;
	lk_threads_post(&daemon->readers, index, &(*read)->msg);
	*read = NULL;
	return 0;
}

static void
stop_reader(void *ctx, uint32_t index)
{
	struct lk_daemon *daemon = ctx;

	lk_assert_loop();
	lk_threads_stop(&daemon->readers, index);
}

/* Core takes it itself; the one before must stay until it has. */
static void
put_in_force(struct lk_daemon *daemon, struct lk_config *config)
{
	size_t i;

	lk_assert_loop();
	lk_config_free(&daemon->retired);
	daemon->retired = daemon->config;
	daemon->config = config;
	for (i = 0; i < config->n_databases; i++)
		daemon->db_args[i].connect_timeout_us =
		    config->timeout_connect_us;
	lk_logsink_apply(config);
	if (daemon->listener != NULL)
		lk_listener_set_config(daemon->listener, config);
}

static int
reload(void *ctx, const struct lk_config **config_out, struct lk_error *error)
{
	struct lk_daemon *daemon = ctx;
	struct lk_buf ignored = LK_BUF_INIT;
	struct lk_config *config = NULL;
	int rc;

	lk_assert_loop();
	lk_systemd_notify_reloading();
	rc = lk_config_reload(daemon->config_path, daemon->config, &config,
	    &ignored, error);
	if (rc == 0)
		rc = lk_files_allow(config, error);
	if (rc == 0) {
		put_in_force(daemon, config);
		*config_out = config;
		if (ignored.len > 0)
			lk_log(LK_LOG_WARNING, "needs a new start to change: "
			    "%s", lk_buf_cstr(&ignored));
	} else {
		lk_config_free(&config);
	}
	lk_systemd_notify("READY=1");
	lk_buf_fini(&ignored);
	return rc;
}

const struct lk_effects lk_daemon_effects = {
	.reply = lk_conn_reply,
	.reply_head = lk_conn_reply_head,
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
	.listener_start = start_listener,
	.listen = listen_to,
	.heard = give_heard_back,
	.listener_stop = stop_listener,
	.catalog_read = read_catalog,
	.reader_stop = stop_reader,
	.stalled_us = lk_conn_stalled_us,
	.drop = lk_conn_drop,
	.reload = reload,
};
