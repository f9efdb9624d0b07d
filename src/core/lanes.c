/*
 * What is to be seen of lanes: the waits in them, as if a look had seen them, and
 * SHOW lanes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"
#include "core/row.h"

/* Who keeps one waiting, at most; more are not named. */
#define NAMED_MAX	16

static int
pid_of(const struct lk_hold *hold)
{
	const struct lk_worker *worker = hold->tx != NULL ? hold->tx->worker :
	    hold->req->worker;

	return worker != NULL ? worker->backend_pid : 0;
}

/* In place: who has asked before may still point there. */
static void
name_holders(const struct lk_hold *of, struct lk_wait *wait)
{
	const struct lk_hold *hold;
	int pid;

	if (wait->blockers == NULL)
		wait->blockers = lk_xcalloc(NAMED_MAX,
		    sizeof(*wait->blockers));
	wait->n_blockers = 0;
	for (hold = lk_lane_blocker(of, NULL); hold != NULL &&
	    wait->n_blockers < NAMED_MAX; hold = lk_lane_blocker(of, hold)) {
		pid = pid_of(hold);
		if (pid != 0)
			wait->blockers[wait->n_blockers++] =
			    (struct lk_blocker){ .pid = pid };
	}
}

static void
put_model(const struct lk_lane *lane, struct lk_buf *out)
{
	const struct lk_catalog *catalog = lane->database->catalog;
	const struct lk_model *model = catalog != NULL ?
	    lk_catalog_model(catalog, lk_key_table(lane->key)) : NULL;

	lk_buf_puts(out, model != NULL ? model->name : "a table");
}

/* A unit may wait for another table's row by now than when it was asked last. */
static void
describe(const struct lk_hold *hold, struct lk_wait *wait)
{
	struct lk_buf object = LK_BUF_INIT;

	lk_buf_puts(&object, "row in ");
	put_model(hold->lane, &object);
	if (wait->object == NULL ||
	    strcmp(wait->object, lk_buf_cstr(&object)) != 0) {
		free(wait->object);
		wait->object = lk_xstrdup(lk_buf_cstr(&object));
	}
	lk_buf_fini(&object);
	snprintf(wait->locktype, sizeof(wait->locktype), "row");
	snprintf(wait->mode, sizeof(wait->mode), "%s",
	    lk_strength_word(hold->lock.strength));
}

const struct lk_wait *
lk_lane_wait(struct lk_request *req)
{
	const struct lk_hold *hold = lk_lane_waits_for(req);

	describe(hold, &req->parked);
	name_holders(hold, &req->parked);
	req->parked.waited_us = req->spent_us + req->core->now_us -
	    req->parked_us;
	return &req->parked;
}

/* ---- SHOW lanes ---- */

/* Whether it is the one of those waiting in its lane that stands for it. */
static bool
is_first(const struct lk_hold *hold)
{
	const struct lk_lane *lane = hold->lane;

	return hold->link.prev == &lane->pinned ||
	    (hold->link.prev == &lane->waiters &&
	    lk_list_is_empty(&lane->pinned));
}

static struct lk_hold *
strongest(const struct lk_lane *lane)
{
	struct lk_hold *best = NULL, *hold;
	struct lk_list *it, *next;

	LK_LIST_EACH(&lane->holds, it, next) {
		hold = lk_lane_hold_at(it);
		if (best == NULL || hold->lock.strength > best->lock.strength)
			best = hold;
	}
	return best;
}

static void
put_key(struct lk_row *row, const struct lk_lane *lane,
    const struct lk_client *client)
{
	struct lk_buf words = LK_BUF_INIT;

	if (!lk_words_may_see(row->viewer, client)) {
		lk_row_null(row);
		return;
	}
	lk_key_words(lane->key, lane->n_key, &words);
	lk_row_words(row, &words);
}

static void
put_holder(struct lk_row *row, const struct lk_hold *hold)
{
	struct lk_buf words = LK_BUF_INIT;

	if (hold == NULL) {
		lk_row_null(row);
		lk_row_null(row);
		return;
	}
	if (hold->tx != NULL) {
		lk_words_tx(&words, hold->tx, row->viewer);
	} else {
		lk_words_task(&words, hold->req->task);
		lk_buf_puts(&words, ": ");
		lk_words_doing(&words, hold->req, row->viewer);
	}
	lk_row_words(row, &words);
	lk_row_text(row, lk_strength_word(hold->lock.strength));
}

static void
show_lane(struct lk_row *row, const struct lk_hold *first)
{
	const struct lk_lane *lane = first->lane;
	struct lk_buf model = LK_BUF_INIT;

	lk_row_begin(row, "lanes");
	lk_row_text(row, lane->database->config->name);
	put_model(lane, &model);
	lk_row_words(row, &model);
	put_key(row, lane, first->req->client);
	put_holder(row, strongest(lane));
	lk_row_int(row, lane->n_waiters);
	lk_row_int(row, (row->core->now_us - first->req->parked_us) /
	    LK_US_PER_MS);
	lk_row_text(row, row->core->now_us < lane->singly_until_us ?
	    "one by one" : "in groups");
}

/* With a row to write to, a line of each lane that is this one's to show. */
static size_t
show_first(const struct lk_request *req, struct lk_row *row)
{
	const struct lk_hold *hold;
	size_t n = 0;

	for (hold = req->hold; hold != NULL; hold = hold->next) {
		if (!is_first(hold))
			continue;
		n++;
		if (row != NULL)
			show_lane(row, hold);
	}
	return n;
}

void
lk_show_lanes(struct lk_row *row)
{
	struct lk_list *it, *next;
	size_t n = 0;

	LK_LIST_EACH(&row->core->laned, it, next)
		n += show_first(lk_park_at(it), NULL);
	lk_enc_array(row->out, n);
	LK_LIST_EACH(&row->core->laned, it, next)
		show_first(lk_park_at(it), row);
}
