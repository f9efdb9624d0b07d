/*
 * Ending: no new work is begun, open work may finish for a while, and what is
 * left then is ended.
 */
#include "base/log.h"
#include "core/internal.h"

/* Each is told why and what it was, whether a request of its is out or not. */
static void
end_txs(struct lk_core *core, const char *why)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&core->txs, it, next) {
		struct lk_tx *tx = lk_container(it, struct lk_tx, link);
		struct lk_buf text = LK_BUF_INIT;

		if (tx->state == LK_TX_ABORTED || tx->state == LK_TX_ENDING)
			continue;
		lk_buf_printf(&text, "%s, such as ", why);
		lk_words_tx(&text, tx, tx->client);
		lk_tx_expire(tx, LK_ERR_CLOSING, lk_buf_cstr(&text));
		lk_buf_fini(&text);
	}
}

static void
end_requests(struct lk_core *core, const char *why)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&core->clients, it, next)
		lk_client_end_requests(lk_container(it, struct lk_client,
		    link), NULL, LK_ERR_CLOSING, why);
}

static void
end_all(struct lk_timer *timer)
{
	struct lk_core *core = lk_container(timer, struct lk_core,
	    drain_timer);
	struct lk_buf why = LK_BUF_INIT;

	lk_buf_printf(&why, "the daemon is shutting down and waited %llu ms "
	    "for what was open", (unsigned long long)
	    ((core->now_us - core->drain_since_us) / LK_US_PER_MS));
	/* Those that wait for a lock first, lest they get it from the rest. */
	end_requests(core, lk_buf_cstr(&why));
	end_txs(core, lk_buf_cstr(&why));
	lk_buf_fini(&why);
}

void
lk_drain_init(struct lk_core *core)
{
	lk_timer_init(&core->drain_timer, end_all);
}

static size_t
count_open(const struct lk_core *core)
{
	const struct lk_list *it;
	size_t n = 0;

	for (it = core->txs.next; it != &core->txs; it = it->next)
		n += lk_container(it, struct lk_tx, link)->state !=
		    LK_TX_ABORTED;
	return n;
}

static void
tell_clients(struct lk_core *core, uint64_t patience_us)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&core->clients, it, next)
		lk_push_closing(lk_container(it, struct lk_client, link),
		    patience_us);
}

void
lk_core_drain(struct lk_core *core, uint64_t patience_us)
{
	if (!core->is_draining) {
		core->is_draining = true;
		core->drain_since_us = core->now_us;
		lk_log(LK_LOG_INFO, "draining: %zu transactions and %u "
		    "requests are open", count_open(core),
		    (unsigned)core->n_requests);
		tell_clients(core, patience_us);
	}
	if (patience_us == 0) {
		lk_timer_clear(&core->timers, &core->drain_timer);
		end_all(&core->drain_timer);
	} else {
		lk_timer_set(&core->timers, &core->drain_timer,
		    patience_us == LK_NEVER ? LK_NEVER :
		    core->now_us + patience_us);
	}
	lk_core_pump(core);
}

bool
lk_core_is_draining(const struct lk_core *core)
{
	return core->is_draining;
}

bool
lk_core_is_drained(const struct lk_core *core)
{
	return core->is_draining && core->n_requests == 0 &&
	    count_open(core) == 0;
}

/* What came before goes on, though its turn comes only now. */
bool
lk_drain_refuses(struct lk_request *req)
{
	if (req->tx != NULL || !req->is_late)
		return false;
	lk_request_failf(req, LK_ERR_CLOSING, "the daemon is shutting down: "
	    "nothing new is begun; connect again and send it again");
	return true;
}
