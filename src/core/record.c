/*
 * What core says to the log: whom a record is about, and the records that have
 * more to say than a line of text.  What a client sent is shown as in `doing`,
 * without its literals; a server's words about it may hold them, and are for
 * level debug.
 */
#include <string.h>

#include "core/internal.h"

/* ---- whom a record is about ---- */

/* Also while the loss of its session is news. */
static int
pid_of(const struct lk_worker *worker)
{
	return worker->backend_pid != 0 ? worker->backend_pid :
	    worker->lost.pid;
}

struct lk_log_about
lk_about_client(const struct lk_client *client)
{
	return (struct lk_log_about){
		.client = client != NULL ? client->id : 0,
	};
}

struct lk_log_about
lk_about_tx(const struct lk_tx *tx)
{
	struct lk_log_about about = lk_about_client(tx->client);

	about.tx = tx->handle;
	about.pid = tx->worker != NULL ? pid_of(tx->worker) : 0;
	return about;
}

struct lk_log_about
lk_about_request(const struct lk_request *req)
{
	struct lk_log_about about = { 0 };

	if (req->tx != NULL)
		about = lk_about_tx(req->tx);
	if (req->client != NULL)
		about.client = req->client->id;
	if (req->worker != NULL)
		about.pid = pid_of(req->worker);
	return about;
}

struct lk_log_about
lk_about_worker(const struct lk_worker *worker)
{
	struct lk_log_about about = { 0 };

	const struct lk_request *req = lk_worker_request(worker);

	if (req != NULL)
		about = lk_about_request(req);
	else if (worker->tx != NULL)
		about = lk_about_tx(worker->tx);
	about.pid = pid_of(worker);
	return about;
}

/* ---- what took how long ---- */

/* They add up to total_ms. */
struct times {
	uint64_t	 total_ms, queue_ms, lock_ms, run_ms;
};

static struct times
times_of(const struct lk_request *req)
{
	uint64_t now_us = req->core->now_us;
	uint64_t out_us = lk_list_is_linked(&req->job_link) ?
	    now_us - req->sent_us : req->out_us;
	uint64_t lock_us = req->locked_us;
	struct times times;

	if (req->is_waiting)
		lock_us += now_us - req->wait_since_us;
	/* By its worker's measure it is out for less than by ours. */
	if (lock_us > out_us)
		lock_us = out_us;
	times.total_ms = (now_us - req->arrived_us) / LK_US_PER_MS;
	times.lock_ms = lock_us / LK_US_PER_MS;
	times.run_ms = (out_us - lock_us) / LK_US_PER_MS;
	times.queue_ms = times.total_ms - times.lock_ms - times.run_ms;
	return times;
}

void
lk_record_answered(struct lk_request *req, uint64_t run_us)
{
	uint64_t now_us = req->core->now_us;

	/* Its mail may have come in after this turn of the loop began. */
	req->out_us = run_us < now_us - req->sent_us ? run_us :
	    now_us - req->sent_us;
	if (req->is_waiting)
		req->locked_us += now_us - req->wait_since_us;
	req->is_waiting = false;
}

/* ---- records with all that is known of a request ---- */

struct record {
	struct lk_log_about about;
	struct lk_log_field fields[10];
	struct lk_buf	 doing;
	struct times	 times;
};

static void
add_number(struct record *record, const char *key, uint64_t number)
{
	record->fields[record->about.n_fields++] =
	    (struct lk_log_field){ .key = key, .is_number = true,
	    .number = number };
}

static void
add_words(struct record *record, const char *key, const char *text)
{
	record->fields[record->about.n_fields++] =
	    (struct lk_log_field){ .key = key, .text = text };
}

static void
begin_record(struct record *record, const struct lk_request *req)
{
	record->about = lk_about_request(req);
	record->about.fields = record->fields;
	record->times = times_of(req);
	lk_buf_init(&record->doing);
	lk_words_doing(&record->doing, req, NULL);
	add_number(record, "total_ms", record->times.total_ms);
	add_number(record, "queue_ms", record->times.queue_ms);
	add_number(record, "lock_ms", record->times.lock_ms);
	add_number(record, "run_ms", record->times.run_ms);
	add_words(record, "database", req->database->config->name);
	add_words(record, "task", req->task->name);
	add_words(record, "doing", lk_buf_cstr(&record->doing));
}

static void
end_record(struct record *record)
{
	lk_buf_fini(&record->doing);
}

static bool
is_slow(const struct lk_request *req)
{
	uint64_t slow_us = req->core->config->log_slow_us;

	return slow_us != 0 &&
	    req->core->now_us - req->arrived_us > slow_us &&
	    lk_verb_is_statement(req->verb);
}

void
lk_record_slow(const struct lk_request *req)
{
	const char *task;
	struct record record;

	if (!is_slow(req) || !lk_log_is_on(LK_LOG_INFO))
		return;
	begin_record(&record, req);
	task = req->task->name;
	lk_log_about(&record.about, LK_LOG_INFO, "slow: %llu ms (queue %llu, "
	    "lock %llu, run %llu) in %s%s%s: %s",
	    (unsigned long long)record.times.total_ms,
	    (unsigned long long)record.times.queue_ms,
	    (unsigned long long)record.times.lock_ms,
	    (unsigned long long)record.times.run_ms,
	    req->database->config->name, task != NULL ? ", task " : "",
	    task != NULL ? task : "", lk_buf_cstr(&record.doing));
	end_record(&record);
}

/* Whoever looks after the database wants to know; the words are our own. */
void
lk_record_timeout(const struct lk_request *req, const struct lk_error *why)
{
	struct record record;

	if (why->kind != LK_ERR_TIMEOUT && why->kind != LK_ERR_LOCKTIMEOUT &&
	    why->kind != LK_ERR_POOLTIMEOUT)
		return;
	begin_record(&record, req);
	lk_log_about(&record.about, LK_LOG_INFO, "%s: %s: %s",
	    lk_error_word(why->kind), lk_buf_cstr(&record.doing),
	    why->message);
	end_record(&record);
}

void
lk_record_verdict(const struct lk_request *req,
    const struct lk_deadlock *deadlock)
{
	struct record record;

	begin_record(&record, req);
	add_number(&record, "deadlock", deadlock->number);
	add_words(&record, "action", deadlock->action);
	add_number(&record, "verdict_us", deadlock->verdict_us);
	lk_log_about(&record.about, LK_LOG_WARNING, "%s [%s, %llu us after the "
	    "last wait began]", deadlock->text, deadlock->action,
	    (unsigned long long)deadlock->verdict_us);
	end_record(&record);
}

void
lk_record_deadlock_end(const struct lk_request *req,
    const struct lk_deadlock *deadlock)
{
	struct record record;

	begin_record(&record, req);
	add_number(&record, "deadlock", deadlock->number);
	add_words(&record, "action", deadlock->action);
	add_number(&record, "end_us", deadlock->end_us);
	lk_log_about(&record.about, LK_LOG_WARNING,
	    "deadlock %llu %s after %llu us",
	    (unsigned long long)deadlock->number, deadlock->action,
	    (unsigned long long)deadlock->end_us);
	end_record(&record);
}

/* ---- requests ---- */

void
lk_record_received(const struct lk_request *req)
{
	struct lk_log_about about;
	struct lk_buf words = LK_BUF_INIT;

	if (!lk_log_is_on(LK_LOG_DEBUG))
		return;
	about = lk_about_request(req);
	if (req->n_tag > 0)
		lk_buf_printf(&words, "@%.*s ", (int)req->n_tag, req->tag);
	if (req->task != NULL && req->task->name != NULL)
		lk_buf_printf(&words, "%%%s ", req->task->name);
	lk_words_doing(&words, req, NULL);
	lk_log_about(&about, LK_LOG_DEBUG, "received: %s",
	    lk_buf_cstr(&words));
	lk_buf_fini(&words);
}

void
lk_record_failure(const struct lk_request *req, const struct lk_error *error)
{
	enum lk_log_level level = error->kind == LK_ERR_UNKNOWN ?
	    LK_LOG_WARNING : LK_LOG_DEBUG;
	struct lk_log_about about;
	struct lk_buf doing = LK_BUF_INIT;

	if (!lk_log_is_on(level))
		return;
	about = lk_about_request(req);
	if (req->verb != NULL)
		lk_words_doing(&doing, req, NULL);
	else
		lk_buf_puts(&doing, "no verb");
	lk_log_about(&about, level, "failed: %s: %s %s %s",
	    lk_buf_cstr(&doing), lk_error_word(error->kind), error->sqlstate,
	    error->message);
	lk_buf_fini(&doing);
}
