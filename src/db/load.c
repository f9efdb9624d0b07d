#include "db/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "db/prepare.h"

/* pg_type.dat gives it this for ever. */
#define INT8_OID	20

enum state {
	WAITING,
	SENT,
	COMPLETE,		/* all its rows are there */
};

struct lk_load_run {
	enum state	 state;
	struct lk_run	 run;
	struct lk_item	 item;		/* the statement; its outcome is not used */
};

bool
lk_load_is_due(const struct lk_run *run)
{
	lk_assert_worker();
	return run->state == LK_RUN_SENT && run->item->with.n_loads > 0;
}

void
lk_load_forget(struct lk_run *run)
{
	lk_assert_worker();
	free(run->loads);
	run->loads = NULL;
}

static void
make_runs(struct lk_run *whole)
{
	const struct lk_with *with = &whole->item->with;
	struct lk_load_run *load;
	size_t i;

	whole->loads = lk_xcalloc(with->n_loads, sizeof(*whole->loads));
	for (i = 0; i < with->n_loads; i++) {
		load = &whole->loads[i];
		load->item.kind = LK_ITEM_SQL;
		load->item.sql = with->loads[i].sql;
		load->run.exec = whole->exec;
		load->run.item = &load->item;
		load->run.whole = whole;
		load->run.whose = i + 1;
		load->run.sql_class = LK_SQL_PLAIN;
	}
}

/* With these parameters, which need not stay. */
static LK_ON_WORKER void
send_with(struct lk_load_run *load, const struct lk_load *of,
    struct lk_buf *arrays)
{
	struct lk_param params[LK_LOAD_MAX_KEYS + 1];
	char	limit[24];
	size_t	i;

	for (i = 0; i < of->n_keys; i++)
		params[i] = (struct lk_param){
		    .data = lk_buf_cstr(&arrays[i]), .len = arrays[i].len,
		    .type = of->types[i] };
	if (of->limit >= 0) {
		snprintf(limit, sizeof(limit), "%lld", (long long)of->limit);
		params[i++] = (struct lk_param){ .data = limit,
		    .len = strlen(limit), .type = INT8_OID };
	}
	load->item.params = params;
	load->item.n_params = i;
	lk_prepare_send(&load->run);
	load->item.params = NULL;
	load->item.n_params = 0;
}

/* Whether there was anything to be asked. */
static LK_ON_WORKER bool
send_load(struct lk_run *whole, size_t i)
{
	const struct lk_load *of = &whole->item->with.loads[i];
	struct lk_load_run *load = &whole->loads[i];
	struct lk_buf arrays[LK_LOAD_MAX_KEYS] = { LK_BUF_INIT };
	size_t k;

	load->state = COMPLETE;
	if (lk_rows_ask(whole->rows, i + 1, arrays) > 0) {
		load->state = SENT;
		send_with(load, of, arrays);
		whole->item->n_loaded++;
	}
	for (k = 0; k < of->n_keys; k++)
		lk_buf_fini(&arrays[k]);
	return load->state == SENT;
}

static bool
can_ask(const struct lk_run *whole, size_t i)
{
	size_t parent = whole->item->with.loads[i].parent;

	return whole->loads[i].state == WAITING && (parent == 0 ||
	    whole->loads[parent - 1].state == COMPLETE);
}

bool
lk_load_send(struct lk_run *run)
{
	size_t	n = run->item->with.n_loads, i;
	bool	was_sent = false;

	lk_assert_worker();
	if (n == 0 || run->rows == NULL || run->item->error.is_set)
		return false;
	if (run->loads == NULL)
		make_runs(run);
	for (i = 0; i < n; i++) {
		if (run->loads[i].state == SENT)
			run->loads[i].state = COMPLETE;
	}
	for (i = 0; i < n; i++) {
		if (can_ask(run, i))
			was_sent |= send_load(run, i);
	}
	/* What came before was but a part of the answer. */
	if (was_sent)
		run->has_answer = false;
	return was_sent;
}
