/*
 * Reads by key, many in one job.  They stand in a queue of their own while the
 * few sessions that read are at it, and whoever is free next takes all of one
 * shape at once; so the longer a queue is, the less each of it costs, and at low
 * load nothing waits for anything.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

/* Another session reads when a job has been out for so long. */
#define SLOW_US		(5 * LK_US_PER_MS)
/* Of different shapes, in one job: as many as its worker sends ahead. */
#define MIXED_MAX	16
/* Shapes that are remembered of a snapshot; with more all are forgotten. */
#define SHAPES_MAX	1024

/* ---- shapes ---- */

static void
let_go(struct lk_key_shape *shape)
{
	if (--shape->n_holds > 0)
		return;
	lk_assert(lk_list_is_empty(&shape->ready));
	lk_keyed_free(&shape->keyed);
	lk_catalog_let_go(shape->database, &shape->catalog);
	free(shape);
}

static bool
fits(const struct lk_hash_node *node, const void *call)
{
	return lk_keyed_fits(lk_container(node, const struct lk_key_shape,
	    node)->keyed, call);
}

static void
take_hold(struct lk_request *req, struct lk_key_shape *shape)
{
	shape->n_holds++;
	req->shape = shape;
}

bool
lk_shape_find(struct lk_request *req, const struct lk_verb_call *call)
{
	struct lk_database *db = req->database;
	struct lk_hash_node *node = lk_hash_find(&db->shapes,
	    lk_keyed_hash(call), fits, call);

	if (node == NULL)
		return false;
	take_hold(req, lk_container(node, struct lk_key_shape, node));
	return true;
}

/* Plain tables alone: who calls functions may do anything, and wait for it. */
void
lk_shape_remember(struct lk_request *req, const struct lk_verb_call *call)
{
	struct lk_database *db = req->database;
	struct lk_keyed *keyed = req->plan.has_no_trace && !call->in_tx ?
	    lk_keyed_new(req->catalog, call, &req->plan) : NULL;
	struct lk_key_shape *shape;

	if (keyed == NULL)
		return;
	if (db->n_shapes == SHAPES_MAX)
		lk_shapes_forget(db);
	shape = lk_xcalloc(1, sizeof(*shape));
	shape->database = db;
	shape->keyed = keyed;
	shape->catalog = lk_catalog_hold(req->catalog);
	shape->n_holds = 1;
	lk_list_init(&shape->ready);
	lk_list_append(&db->all_shapes, &shape->link);
	lk_hash_insert(&db->shapes, &shape->node, lk_keyed_hash(call));
	db->n_shapes++;
	take_hold(req, shape);
	lk_plan_fini(&req->plan);
	lk_keyed_plan(keyed, call->args, req->few_params, &req->plan);
}

void
lk_shape_let_go(struct lk_key_shape **shape)
{
	if (*shape == NULL)
		return;
	let_go(*shape);
	*shape = NULL;
}

void
lk_shape_leave(struct lk_request *req)
{
	lk_assert(!lk_list_is_linked(&req->shape_link));
	lk_shape_let_go(&req->shape);
}

void
lk_shapes_forget(struct lk_database *db)
{
	struct lk_list *it, *next;
	struct lk_key_shape *shape;

	LK_LIST_EACH(&db->all_shapes, it, next) {
		shape = lk_container(it, struct lk_key_shape, link);
		lk_list_remove(&shape->link);
		lk_hash_remove(&db->shapes, &shape->node);
		let_go(shape);
	}
	db->n_shapes = 0;
}

void
lk_shape_put_together(const struct lk_key_shape *shape, struct lk_job *job)
{
	const struct lk_keyed *keyed = shape->keyed;
	size_t n = keyed->plan.n_params;

	if (keyed->sql == NULL)
		return;
	job->together.sql = lk_xstrdup(keyed->sql);
	job->together.types = lk_xcalloc(n, sizeof(*keyed->types));
	memcpy(job->together.types, keyed->types, n * sizeof(*keyed->types));
}

/* ---- the queue ---- */

bool
lk_batch_takes(const struct lk_request *req)
{
	return req->shape != NULL && req->tx == NULL && !req->is_alone &&
	    !req->plan.is_write;
}

/* One that comes again stands where it stood, as in ready_reads. */
void
lk_batch_enter(struct lk_request *req)
{
	struct lk_list *ready = &req->shape->ready, *at = ready;

	while (at->prev != ready && lk_container(at->prev,
	    struct lk_request, shape_link)->number > req->number)
		at = at->prev;
	lk_list_insert(at, &req->shape_link);
	req->database->n_reads++;
}

void
lk_batch_leave(struct lk_request *req)
{
	if (!lk_list_is_linked(&req->shape_link))
		return;
	lk_list_remove(&req->shape_link);
	req->database->n_reads--;
}

static bool
may_read(const struct lk_database *db)
{
	return db->n_readers < db->core->config->batch_readers;
}

size_t
lk_batch_wants(const struct lk_database *db)
{
	uint32_t readers = db->core->config->batch_readers;
	size_t n = may_read(db) ? readers - db->n_readers : 0;

	return n < db->n_reads ? n : db->n_reads;
}

/* When the first of those at it counts no longer; LK_NEVER: none is. */
static uint64_t
next_slow_us(const struct lk_database *db)
{
	const struct lk_core *core = db->core;
	const struct lk_worker *worker;
	uint64_t first_us = LK_NEVER;
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker != NULL && worker->database == db &&
		    worker->is_reader && worker->since_us < first_us)
			first_us = worker->since_us;
	}
	return first_us == LK_NEVER ? LK_NEVER : first_us + SLOW_US;
}

/* Those that wait do so for a reader: see that one comes. */
static void
wait_for_slow(struct lk_database *db)
{
	if (db->read_timer.due_us == LK_NEVER)
		lk_timer_set(&db->core->timers, &db->read_timer,
		    next_slow_us(db));
}

struct lk_request *
lk_batch_next(struct lk_database *db)
{
	if (lk_list_is_empty(&db->ready_reads))
		return NULL;
	if (!may_read(db)) {
		wait_for_slow(db);
		return NULL;
	}
	return lk_container(db->ready_reads.next, struct lk_request,
	    ready_link);
}

void
lk_batch_reader_done(struct lk_worker *worker)
{
	if (!worker->is_reader)
		return;
	worker->is_reader = false;
	worker->database->n_readers--;
}

static void
some_are_slow(struct lk_timer *timer)
{
	struct lk_database *db = lk_container(timer, struct lk_database,
	    read_timer);
	struct lk_core *core = db->core;
	struct lk_worker *worker;
	uint32_t i;

	for (i = 0; i < core->n_workers; i++) {
		worker = core->workers[i];
		if (worker != NULL && worker->database == db &&
		    core->now_us >= worker->since_us + SLOW_US)
			lk_batch_reader_done(worker);
	}
	lk_database_dispatch(db);
}

void
lk_batch_init(struct lk_database *db)
{
	lk_list_init(&db->ready_reads);
	lk_list_init(&db->all_shapes);
	lk_hash_init(&db->shapes);
	lk_timer_init(&db->read_timer, some_are_slow);
}

void
lk_batch_fini(struct lk_database *db)
{
	lk_timer_clear(&db->core->timers, &db->read_timer);
	lk_shapes_forget(db);
	lk_hash_fini(&db->shapes);
}

/* ---- handing over ---- */

struct batch {
	struct lk_request **reqs;	/* out of the queue, in order */
	size_t		 n, max;
};

static void
take(struct batch *batch, struct lk_request *req)
{
	lk_database_dequeue(req);
	batch->reqs[batch->n++] = req;
}

static void
take_shape(struct batch *batch, struct lk_key_shape *shape)
{
	while (batch->n < batch->max && !lk_list_is_empty(&shape->ready))
		take(batch, lk_container(shape->ready.next, struct lk_request,
		    shape_link));
}

static bool
is_only_one(const struct lk_request *req)
{
	const struct lk_list *ready = &req->shape->ready;

	return ready->next == ready->prev;
}

/* Those that nothing could be saved for otherwise.  Where no look is made nobody
 * would see that one of them keeps the others waiting. */
static void
take_others(struct batch *batch, struct lk_database *db)
{
	struct lk_list *it, *next;
	struct lk_request *req;

	if (db->core->config->deadlock_mode == LK_DEADLOCK_OFF)
		return;
	LK_LIST_EACH(&db->ready_reads, it, next) {
		req = lk_container(it, struct lk_request, ready_link);
		if (batch->n == batch->max || batch->n == MIXED_MAX ||
		    !is_only_one(req))
			break;
		take(batch, req);
	}
}

static struct lk_job *
make_job(const struct batch *batch)
{
	const struct lk_key_shape *shape = batch->reqs[0]->shape;
	struct lk_job *job = lk_job_new(batch->n);
	size_t i;

	for (i = 0; i < batch->n; i++)
		lk_worker_fill(&job->items[i], batch->reqs[i]);
	/* Two of one shape: all are. */
	if (batch->reqs[1]->shape == shape)
		lk_shape_put_together(shape, job);
	return job;
}

void
lk_batch_hand_over(struct lk_worker *worker, struct lk_request *first)
{
	struct lk_database *db = worker->database;
	struct lk_core *core = db->core;
	struct batch batch = { .max = core->config->batch_max };
	bool is_single = is_only_one(first);

	if (batch.max > db->n_reads)
		batch.max = db->n_reads;
	worker->is_reader = true;
	db->n_readers++;
	batch.reqs = lk_xcalloc(batch.max, sizeof(*batch.reqs));
	take_shape(&batch, first->shape);
	if (is_single)
		take_others(&batch, db);
	if (batch.n == 1) {
		lk_worker_submit(worker, batch.reqs[0]);
	} else {
		core->stats.batches++;
		core->stats.batched += batch.n;
		lk_worker_submit_batch(worker, batch.reqs, batch.n,
		    make_job(&batch));
	}
	free(batch.reqs);
}
