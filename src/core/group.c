/*
 * Group commit: statements of autocommit that wait for the same row are sent
 * together, as one transaction with one COMMIT, and each has its reply when that
 * is through.  Those of one shape (orm/keyed.h) are one statement there, which
 * writes the row once.  If it does not come through nothing has been done, and each
 * is sent once more, alone.
 */
#include <stdlib.h>

#include "base/die.h"
#include "core/internal.h"

/* One statement for all costs PostgreSQL as much as some ten of them do. */
#define FOLD_MIN	16
/* Of values in one statement, which are copied for it. */
#define FOLD_MAX_BYTES	((size_t)256 * 1024)
/* How long nobody shares a transaction in a lane whose last group has failed. */
#define SINGLY_US	(500 * LK_US_PER_MS)

/*
 * In a group it must not matter that the others' locks are kept until its end:
 * what is simple takes none but the row's, which all of them want.
 */
static bool
may_share(const struct lk_request *req)
{
	switch (req->core->config->group_commit) {
	case LK_GROUP_SAFE:
		return req->plan.row.is_simple;
	case LK_GROUP_ALWAYS:
		return req->plan.is_write;
	case LK_GROUP_OFF:
		break;
	}
	return false;
}

static bool
may_go(const struct lk_request *req)
{
	return req->tx == NULL && may_share(req) && !req->is_alone &&
	    !req->keeps_slot && !req->is_sentinel &&
	    req->core->now_us >= req->hold->lane->singly_until_us &&
	    !lk_request_is_held_back(req);
}

static size_t
value_bytes(const struct lk_plan *plan)
{
	size_t i, total = 0;

	for (i = 0; i < plan->n_params; i++)
		total += plan->params[i].len;
	return total;
}

/* They mean the same row: they have gone one after the other to one lane. */
static bool
may_be_one(struct lk_request **reqs, size_t n)
{
	const struct lk_key_shape *shape = reqs[0]->shape;
	size_t i, total = 0;

	if (n < FOLD_MIN || shape == NULL)
		return false;
	for (i = 0; i < n && total <= FOLD_MAX_BYTES; i++) {
		if (reqs[i]->shape != shape)
			return false;
		total += value_bytes(&reqs[i]->plan);
	}
	return total <= FOLD_MAX_BYTES;
}

static struct lk_job *
make_job(struct lk_request **reqs, size_t n)
{
	struct lk_job *job = lk_job_new(n + 1);
	size_t i;

	job->is_unit = job->is_group = true;
	job->begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
	for (i = 0; i < n; i++)
		lk_worker_fill(&job->items[i], reqs[i]);
	job->items[n].kind = LK_ITEM_CONTROL;
	job->items[n].sql = "COMMIT";
	if (may_be_one(reqs, n))
		lk_shape_put_together(reqs[0]->shape, job);
	return job;
}

void
lk_group_submit(struct lk_worker *worker, struct lk_request *req)
{
	struct lk_core *core = req->core;
	struct lk_request **reqs;
	size_t n;

	if (req->hold == NULL || req->hold->lane->n_waiters == 0 ||
	    !may_go(req)) {
		lk_worker_submit(worker, req);
		return;
	}
	reqs = lk_xcalloc(core->config->batch_max, sizeof(*reqs));
	n = lk_lane_gather(req, may_go, reqs, core->config->batch_max);
	if (n == 1) {
		lk_worker_submit(worker, req);
	} else {
		core->stats.groups++;
		core->stats.grouped += n;
		lk_worker_submit_batch(worker, reqs, n, make_job(reqs, n));
	}
	free(reqs);
}

void
lk_group_failed(const struct lk_request *first)
{
	if (first != NULL && first->hold != NULL)
		first->hold->lane->singly_until_us = first->core->now_us +
		    SINGLY_US;
}
