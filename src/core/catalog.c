/*
 * The snapshot of each database's catalog: when it is read, and who waits for
 * that.  One reader at a time, and at most one reading a second, whatever asks
 * for it: the daemon's start, a reload, a name that is not in the snapshot in
 * force, the server's word that something is not as that has it, a statement of
 * a client's that has changed the schema, or the age of one that is in use.
 *
 * A snapshot in force is held by its database; whoever keeps a pointer into it
 * beyond the turn of the loop takes a hold of his own (lk_catalog_hold()), on
 * the loop, and lets go of it there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/log.h"
#include "core/internal.h"
#include "orm/catalog.h"

/* Between the askings of two readings, at least. */
#define APART_US	LK_US_PER_S
/* The same while they fail and nobody waits for one: doubled until here. */
#define REST_US		(64 * LK_US_PER_S)
/* Likewise: that many times what the last one took. */
#define REST_FACTOR	20
/* What nobody tells of, such as one more column, is learnt after so long. */
#define OLD_US		(10 * LK_US_PER_S)
/* What is younger is as good as new to who only wants to see it. */
#define RECENT_US	LK_US_PER_S
/* So many models and types of old ones are freed at a time, in some 0.1 ms, and
 * the next of them after so long. */
#define FREE_AT_A_TIME	100
#define FREE_AGAIN_US	LK_US_PER_MS

/* ---- when it is read ---- */

static bool
is_wanted(const struct lk_database *db)
{
	return db->catalog == NULL || db->catalog_seq < db->doubt_seq ||
	    !lk_list_is_empty(&db->catalog_waiters);
}

static uint64_t
rest_us(const struct lk_database *db)
{
	uint64_t rest = APART_US;
	unsigned i;

	if (db->is_reload || !lk_list_is_empty(&db->catalog_waiters))
		return rest;
	if (db->reading_cost_us * REST_FACTOR > rest)
		rest = db->reading_cost_us * REST_FACTOR;
	for (i = 0; i < db->n_unread && rest < REST_US; i++)
		rest *= 2;
	return rest;
}

static void
plan(struct lk_database *db)
{
	struct lk_core *core = db->core;
	uint64_t due_us = core->now_us;

	if (db->is_reading || core->is_stopping || !is_wanted(db))
		return;
	if (db->reading_seq != 0 && due_us < db->reading_us + rest_us(db))
		due_us = db->reading_us + rest_us(db);
	lk_timer_set(&core->timers, &db->catalog_timer, due_us);
}

/* Said once, however often it is tried. */
static void
note_failure(struct lk_database *db, const char *why)
{
	if (db->n_unread == 0)
		lk_log(LK_LOG_WARNING, "%s: the catalog could not be read: %s",
		    db->config->name, why);
	db->n_unread++;
	db->core->stats.catalogs_failed++;
	free(db->unread_text);
	db->unread_text = lk_xstrdup(why);
}

static void
read_now(struct lk_timer *timer)
{
	struct lk_database *db = lk_container(timer, struct lk_database,
	    catalog_timer);
	struct lk_core *core = db->core;
	struct lk_catalog_read *read = lk_catalog_read_new(db->config->name,
	    core->config->models);

	if (db->catalog_models == core->config->models)
		read->known = db->catalog_hash;
	db->is_reload = false;
	db->reading_us = core->now_us;
	db->reading_seq = ++core->seq;
	core->stats.catalogs++;
	if (core->effects->catalog_read(core->ctx,
	    (uint32_t)(db - core->databases), db->config, &read) == 0) {
		db->is_reading = true;
		return;
	}
	lk_catalog_read_free(&read);
	note_failure(db, "no thread for a reader");
	plan(db);
}

/* ---- old ones ---- */

static void
free_some(struct lk_timer *timer)
{
	struct lk_database *db = lk_container(timer, struct lk_database,
	    dead_timer);

	lk_catalog_free_some(&db->dead_catalogs, FREE_AT_A_TIME);
	if (db->dead_catalogs != NULL)
		lk_timer_set(&db->core->timers, &db->dead_timer,
		    db->core->now_us + FREE_AGAIN_US);
}

void
lk_catalog_let_go(struct lk_database *db, struct lk_catalog **catalog)
{
	if (*catalog == NULL)
		return;
	lk_catalog_drop(catalog, &db->dead_catalogs);
	if (db->dead_catalogs != NULL && db->dead_timer.due_us == LK_NEVER)
		lk_timer_set(&db->core->timers, &db->dead_timer,
		    db->core->now_us);
}

void
lk_catalog_init(struct lk_database *db)
{
	lk_list_init(&db->catalog_waiters);
	lk_timer_init(&db->catalog_timer, read_now);
	lk_timer_init(&db->dead_timer, free_some);
}

void
lk_catalog_fini(struct lk_database *db)
{
	lk_assert(!db->is_reading && lk_list_is_empty(&db->catalog_waiters));
	lk_catalog_free(&db->catalog);
	lk_catalog_free_some(&db->dead_catalogs, SIZE_MAX);
	lk_config_models_free(&db->catalog_models);
	free(db->unread_text);
	free(db->catalog_said);
}

void
lk_catalog_start(struct lk_database *db)
{
	plan(db);
}

void
lk_catalog_doubt(struct lk_database *db)
{
	db->doubt_seq = ++db->core->seq;
	plan(db);
}

void
lk_catalog_reload(struct lk_database *db)
{
	db->is_reload = true;
	lk_catalog_doubt(db);
}

struct lk_catalog *
lk_catalog_use(struct lk_database *db)
{
	if (db->catalog != NULL && db->catalog_seq > db->doubt_seq &&
	    db->core->now_us > db->catalog_asked_us + OLD_US)
		lk_catalog_doubt(db);
	return db->catalog;
}

static void
stop_reader(struct lk_database *db)
{
	struct lk_core *core = db->core;

	if (db->is_reader_stopped)
		return;
	db->is_reader_stopped = true;
	core->effects->reader_stop(core->ctx,
	    (uint32_t)(db - core->databases));
}

void
lk_catalog_stop(struct lk_database *db)
{
	lk_timer_clear(&db->core->timers, &db->catalog_timer);
	if (db->is_reading)
		stop_reader(db);
}

/* ---- who waits for it ---- */

static void
wake_all(struct lk_database *db)
{
	struct lk_list *it, *next;

	LK_LIST_EACH(&db->catalog_waiters, it, next) {
		struct lk_request *req = lk_container(it, struct lk_request,
		    catalog_link);

		lk_list_remove(it);
		lk_timer_clear(&db->core->timers, &req->queue_timer);
		lk_request_todo(req);
	}
}

/* What the configuration has wrong of models, a line each; again only when it
 * is something else. */
static void
note_said(struct lk_database *db, struct lk_buf *said)
{
	char *copy, *line, *rest;

	if (db->catalog_said != NULL &&
	    strcmp(db->catalog_said, lk_buf_cstr(said)) == 0)
		return;
	free(db->catalog_said);
	db->catalog_said = lk_xstrdup(lk_buf_cstr(said));
	rest = copy = lk_xstrdup(db->catalog_said);
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (*line != '\0')
			lk_log(LK_LOG_WARNING, "%s: %s", db->config->name,
			    line);
	}
	free(copy);
}

static void
replace(struct lk_database *db, struct lk_catalog_read *read)
{
	lk_shapes_forget(db);
	lk_catalog_let_go(db, &db->catalog);
	db->catalog = read->catalog;
	read->catalog = NULL;
	db->catalog_hash = read->hash;
	lk_config_models_free(&db->catalog_models);
	db->catalog_models = lk_config_models_hold(read->models);
	note_said(db, &read->said);
}

/* What is in force was true when that reading was asked for. */
static void
renew(struct lk_database *db, struct lk_catalog_read *read)
{
	bool is_news = db->catalog == NULL || db->n_unread > 0;

	if (!read->is_unchanged)
		replace(db, read);
	db->catalog_seq = db->reading_seq;
	db->catalog_asked_us = db->reading_us;
	db->catalog_us = db->core->now_us;
	db->n_unread = 0;
	free(db->unread_text);
	db->unread_text = NULL;
	lk_log(is_news ? LK_LOG_INFO : LK_LOG_DEBUG, "%s: catalog read: "
	    "%zu models%s", db->config->name,
	    lk_catalog_n_models(db->catalog),
	    read->is_unchanged ? ", unchanged" : "");
	wake_all(db);
}

void
lk_catalog_answered(struct lk_database *db, struct lk_catalog_read *read)
{
	db->reading_cost_us = db->core->now_us - db->reading_us;
	if (read->catalog != NULL || read->is_unchanged)
		renew(db, read);
	else if (!db->core->is_stopping)
		note_failure(db, read->error.message);
	lk_catalog_read_free(&read);
	stop_reader(db);
}

void
lk_catalog_reader_exited(struct lk_database *db)
{
	db->is_reading = db->is_reader_stopped = false;
	plan(db);
}

/* When waiting for it ends; LK_NEVER: it does not. */
static uint64_t
patience_ends_us(const struct lk_request *req)
{
	uint64_t patience_us = req->core->config->timeout_queue_us;

	if (lk_database_is_given_up(req->database))
		return req->core->now_us;
	return patience_us > 0 ? req->catalog_us + patience_us : LK_NEVER;
}

static void
set_queue_timer(struct lk_request *req)
{
	lk_timer_set(&req->core->timers, &req->queue_timer,
	    patience_ends_us(req));
}

void
lk_catalog_reachable(struct lk_database *db)
{
	struct lk_list *it, *next;

	db->n_unread = db->n_unread > 0;
	plan(db);
	/* They may have come when it was given up. */
	LK_LIST_EACH(&db->catalog_waiters, it, next)
		set_queue_timer(lk_container(it, struct lk_request,
		    catalog_link));
}

/*
 * What was so when the request came is to be seen, and what its task has done
 * since, be it that a statement of its has found the snapshot to be wrong.
 */
static bool
is_new_enough(const struct lk_database *db, const struct lk_request *req)
{
	return db->catalog != NULL && db->catalog_seq > req->came_seq &&
	    db->catalog_seq > req->task->ran_seq;
}

bool
lk_catalog_await(struct lk_request *req)
{
	struct lk_database *db = req->database;

	if (is_new_enough(db, req))
		return false;
	if (req->catalog_us == 0)
		req->catalog_us = req->core->now_us;
	if (!lk_list_is_linked(&req->catalog_link)) {
		lk_list_append(&db->catalog_waiters, &req->catalog_link);
		set_queue_timer(req);
	}
	plan(db);
	return true;
}

bool
lk_catalog_await_recent(struct lk_request *req)
{
	const struct lk_database *db = req->database;

	if (db->catalog != NULL && db->catalog_seq > db->doubt_seq &&
	    db->catalog_asked_us + RECENT_US > req->core->now_us)
		return false;
	return lk_catalog_await(req);
}

void
lk_catalog_leave(struct lk_request *req)
{
	if (lk_list_is_linked(&req->catalog_link))
		lk_timer_clear(&req->core->timers, &req->queue_timer);
	lk_list_remove(&req->catalog_link);
	req->catalog_us = 0;
}

static void
give_up(struct lk_request *req)
{
	const struct lk_database *db = req->database;
	struct lk_error why;

	lk_error_init(&why);
	if (db->down_since_us != 0)
		lk_database_say_down(db, &why);
	else
		lk_error_set(&why, LK_ERR_CONNLOST,
		    "the catalog of %s was not read within %llu ms: %s",
		    db->config->name, (unsigned long long)
		    ((req->core->now_us - req->catalog_us) / LK_US_PER_MS),
		    db->unread_text != NULL ? db->unread_text :
		    "the server has not answered yet");
	lk_cancel_request(req, &why, NULL);
	lk_error_fini(&why);
}

void
lk_catalog_give_up(struct lk_database *db)
{
	while (!lk_list_is_empty(&db->catalog_waiters))
		give_up(lk_container(db->catalog_waiters.next,
		    struct lk_request, catalog_link));
}

void
lk_catalog_time_out(struct lk_request *req)
{
	/* Patience is what the configuration says by now. */
	if (patience_ends_us(req) > req->core->now_us)
		set_queue_timer(req);
	else
		give_up(req);
}
