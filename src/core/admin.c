/*
 * What only administrators may ask for: root, and the user that the daemon
 * runs as.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/internal.h"

/* SHUTDOWN's argument at most, and more than anybody waits. */
#define MAX_SHUTDOWN_MS	(24ULL * 3600 * 1000)

static bool
is_denied(struct lk_request *req)
{
	const struct lk_client *client = req->client;

	if (client->peer.uid == 0 || client->peer.uid == geteuid())
		return false;
	lk_request_failf(req, LK_ERR_DENIED, "%s is for the daemon's own user "
	    "and for root", req->verb->name);
	return true;
}

void
lk_run_kill(struct lk_request *req)
{
	struct lk_buf text = LK_BUF_INIT;
	struct lk_tx *tx = NULL;
	uint64_t handle = 0;

	if (is_denied(req))
		return;
	if (lk_parse_handle(&req->args[0], &handle) == 0)
		tx = lk_tx_by_handle(req->core, handle);
	if (tx == NULL) {
		lk_request_failf(req, LK_ERR_NOTX, "no such transaction: "
		    "SHOW transactions lists them");
		return;
	}
	lk_buf_puts(&text, "ended by KILL of ");
	lk_words_client(&text, req->client);
	lk_tx_expire(tx, LK_ERR_TXEXPIRED, lk_buf_cstr(&text));
	lk_buf_fini(&text);
	lk_request_simple(req, "OK");
}

/* ---- RELOAD ---- */

static void
take_config(struct lk_core *core, const struct lk_config *config)
{
	struct lk_list *it, *next;
	uint32_t i;

	core->config = config;
	for (i = 0; i < core->n_databases; i++)
		core->databases[i].config = &config->databases[i];
	for (i = 0; i < core->n_databases; i++) {
		lk_database_resize(&core->databases[i]);
		lk_catalog_reload(&core->databases[i]);
	}
	LK_LIST_EACH(&core->txs, it, next)
		lk_tx_set_idle_timer(lk_container(it, struct lk_tx, link));
	for (i = 0; i < core->n_servers; i++)
		lk_watch_now(core->servers[i]);
}

int
lk_core_reload(struct lk_core *core, struct lk_error *error)
{
	const struct lk_config *config;
	int rc = core->effects->reload(core->ctx, &config, error);

	if (rc < 0) {
		lk_log(LK_LOG_ERROR, "not reloaded: %s", error->message);
		return rc;
	}
	take_config(core, config);
	lk_lane_reconsider(core);
	lk_core_pump(core);
	lk_log(LK_LOG_INFO, "reloaded");
	return 0;
}

void
lk_run_reload(struct lk_request *req)
{
	struct lk_error error;

	lk_assert_loop();
	if (is_denied(req))
		return;
	lk_error_init(&error);
	if (lk_core_reload(req->core, &error) < 0)
		lk_request_fail(req, &error);
	else
		lk_request_simple(req, "OK");
}

/* ---- SHUTDOWN ---- */

uint64_t
lk_core_drain_us(const struct lk_core *core)
{
	uint64_t patience_us = core->config->timeout_drain_us;

	return patience_us == 0 ? LK_NEVER : patience_us;
}

void
lk_run_shutdown(struct lk_request *req)
{
	struct lk_core *core = req->core;
	uint64_t patience_us, ms;

	lk_assert_loop();
	if (is_denied(req))
		return;
	patience_us = lk_core_drain_us(core);
	if (req->n_args == 1) {
		if (lk_parse_handle(&req->args[0], &ms) < 0 ||
		    ms > MAX_SHUTDOWN_MS) {
			lk_request_failf(req, LK_ERR_SYNTAX, "SHUTDOWN takes "
			    "a number of milliseconds up to 86400000: %s",
			    req->verb->syntax);
			return;
		}
		patience_us = ms * LK_US_PER_MS;
	}
	lk_request_simple(req, "OK");
	lk_core_drain(core, patience_us);
}
