#include "db/bind.h"

#include <string.h>

#include "base/die.h"

void
lk_bind_keep_rows(struct lk_exec *exec)
{
	const struct lk_item *item;
	size_t i, k;

	lk_assert_worker();
	for (i = 0; i < exec->n_runs; i++) {
		item = exec->runs[i].item;
		for (k = 0; k < item->n_params; k++) {
			if (item->params[k].from > 0)
				exec->runs[item->params[k].from - 1].keeps_row =
				    true;
		}
	}
}

bool
lk_bind_waits(const struct lk_run *run, size_t n)
{
	const struct lk_item *item = run->item;
	size_t i;

	lk_assert_worker();
	for (i = 0; i < item->n_params; i++) {
		if (item->params[i].from > n)
			return true;
	}
	return false;
}

static LK_ON_WORKER bool
bind_column(struct lk_run *run, struct lk_param *param)
{
	const struct lk_run *from = &run->exec->runs[param->from - 1];
	int column;

	if (from->row == NULL) {
		lk_error_set(&run->item->error, LK_ERR_UNMET, "column %s of "
		    "verb %u is to be a value, and that verb gave no row",
		    param->data, (unsigned)param->from);
		return false;
	}
	column = lk_rows_column(from->rows, param->data);
	if (column < 0) {
		lk_error_set(&run->item->error, LK_ERR_SYNTAX, "column %s of "
		    "verb %u is to be a value, and that verb's row has no such "
		    "column", param->data, (unsigned)param->from);
		return false;
	}
	param->data = PQgetisnull(from->row, 0, column) ? NULL :
	    PQgetvalue(from->row, 0, column);
	param->len = (size_t)PQgetlength(from->row, 0, column);
	return true;
}

bool
lk_bind_columns(struct lk_run *run)
{
	struct lk_item *item = run->item;
	size_t i;

	lk_assert_worker();
	for (i = 0; i < item->n_params; i++) {
		if (item->params[i].from == 0)
			continue;
		if (run->params == NULL) {
			run->params = lk_xcalloc(item->n_params,
			    sizeof(*run->params));
			memcpy(run->params, item->params,
			    item->n_params * sizeof(*run->params));
		}
		if (!bind_column(run, &run->params[i]))
			return false;
	}
	return true;
}
