/*
 * The verbs that write: CREATE, CREATEMANY, UPDATE, DELETE, UPDATEALL,
 * DELETEALL; UPSERT has a file of its own.
 */
#include "orm/compile.h"

void
lk_write_put_returning(struct lk_compile *c)
{
	lk_buf_puts(&c->sql, " RETURNING ");
	lk_quote_columns(&c->sql, c->model);
}

/* ---- new rows ---- */

void
lk_write_put_insert(struct lk_compile *c)
{
	lk_buf_puts(&c->sql, "INSERT INTO ");
	lk_quote_table(&c->sql, c->model, 0);
}

void
lk_write_put_assigned(struct lk_compile *c, const struct lk_assigns *assigns)
{
	size_t i;

	if (assigns->n == 0) {
		lk_buf_puts(&c->sql, " DEFAULT VALUES");
		return;
	}
	for (i = 0; i < assigns->n; i++) {
		lk_buf_puts(&c->sql, i == 0 ? " (" : ", ");
		lk_quote(&c->sql,
		    c->model->columns[assigns->list[i].column].name);
	}
	for (i = 0; i < assigns->n; i++) {
		lk_buf_puts(&c->sql, i == 0 ? ") VALUES (" : ", ");
		lk_assign_put_value(&assigns->list[i], &c->sql);
	}
	lk_buf_putc(&c->sql, ')');
}

int
lk_compile_create(struct lk_compile *c)
{
	struct lk_assigns assigns = { 0 };
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = lk_assigns_take(c, &assigns, NULL);
	if (rc == 0 && c->model->n_columns == 0)
		rc = lk_refuse(c, "%s has no columns: a row of it is made by "
		    "SQL \"INSERT ...\"", c->model->name);
	if (rc == 0) {
		lk_write_put_insert(c);
		lk_write_put_assigned(c, &assigns);
		lk_write_put_returning(c);
	}
	c->shape = LK_SHAPE_ROW;
	lk_assigns_fini(&assigns);
	return rc;
}

static int
take_columns(struct lk_compile *c, struct lk_assigns *columns)
{
	uint64_t n;
	int rc = lk_word_number(c, "the number of columns",
	    LK_PLAN_MAX_PARAMS, &n);

	if (rc == 0 && n == 0)
		return lk_refuse(c, "no columns");
	while (rc == 0 && columns->n < n) {
		size_t column;

		rc = lk_assign_column(c, columns, &column);
		if (rc == 0)
			columns->list[columns->n++].column = column;
	}
	return rc;
}

static int
check_rows(struct lk_compile *c, size_t n_columns)
{
	size_t n = c->n_args - c->at;

	if (n == 0)
		return lk_expected(c, "values behind the columns");
	if (n % n_columns != 0)
		return lk_refuse(c, "%zu values are no whole rows of %zu "
		    "columns", n, n_columns);
	return 0;
}

static int
put_rows(struct lk_compile *c, const struct lk_assigns *columns)
{
	struct lk_target target;
	size_t i, number;
	int rc = 0;

	for (i = 0; rc == 0 && c->at < c->n_args; i++) {
		lk_target_store(&target, c->model,
		    &c->model->columns[columns->list[i % columns->n].column]);
		rc = lk_value_take(c, &target, &number);
		if (rc != 0)
			break;
		if (i % columns->n != 0)
			lk_buf_puts(&c->sql, ", ");
		else
			lk_buf_puts(&c->sql, i == 0 ? "(" : "), (");
		lk_quote_param(&c->sql, number);
	}
	lk_buf_putc(&c->sql, ')');
	return rc;
}

int
lk_compile_createmany(struct lk_compile *c)
{
	struct lk_assigns columns = { 0 };
	int rc = lk_word_model(c, &c->model);
	size_t i;

	if (rc == 0)
		rc = take_columns(c, &columns);
	if (rc == 0)
		rc = check_rows(c, columns.n);
	if (rc == 0) {
		lk_write_put_insert(c);
		for (i = 0; i < columns.n; i++) {
			lk_buf_puts(&c->sql, i == 0 ? " (" : ", ");
			lk_quote(&c->sql, c->model->columns[
			    columns.list[i].column].name);
		}
		lk_buf_puts(&c->sql, ") VALUES ");
		rc = put_rows(c, &columns);
	}
	c->shape = LK_SHAPE_COUNT;
	lk_assigns_fini(&columns);
	return rc;
}

/* ---- rows that are there ---- */

/*
 * As PostgreSQL has it, a row's key is the columns of each unique index that a
 * foreign key could refer to.
 */
void
lk_write_note_set(struct lk_row_lock *row, const struct lk_model *model,
    const struct lk_assign *assign)
{
	const struct lk_column *column = &model->columns[assign->column];

	if (row->strength != LK_STRENGTH_NONE &&
	    (column->is_key || model->has_generated_key))
		row->strength = LK_STRENGTH_UPDATE;
	/* A default may be a sequence's next. */
	if (column->is_indexed || column->is_referencing ||
	    model->has_generated_index || assign->op == LK_ASSIGN_DEFAULT)
		row->is_simple = false;
}

/* SET's list, which stop ends. */
static int
take_set(struct lk_compile *c, struct lk_assigns *assigns, const char *stop)
{
	int rc;

	if (!lk_word_take(c, "SET"))
		return lk_expected(c, "SET");
	rc = lk_assigns_take(c, assigns, stop);
	if (rc == 0 && assigns->n == 0)
		rc = lk_expected(c, "a column behind SET");
	return rc;
}

static void
put_set(struct lk_compile *c, const struct lk_assigns *assigns)
{
	const struct lk_assign *assign;
	size_t i;

	lk_buf_puts(&c->sql, "UPDATE ");
	lk_quote_table(&c->sql, c->model, 0);
	for (i = 0; i < assigns->n; i++) {
		assign = &assigns->list[i];
		lk_write_note_set(&c->row, c->model, assign);
		lk_buf_puts(&c->sql, i == 0 ? " SET " : ", ");
		lk_quote(&c->sql, c->model->columns[assign->column].name);
		lk_buf_puts(&c->sql, " = ");
		lk_assign_put_change(assign, c->model, &c->sql);
	}
}

static void
put_delete(struct lk_compile *c)
{
	lk_buf_puts(&c->sql, "DELETE FROM ");
	lk_quote_table(&c->sql, c->model, 0);
}

/* WHERE the key is this, and IF's condition, into the statement. */
static int
put_key_and_if(struct lk_compile *c, const struct lk_buf *key,
    struct lk_cond *cond)
{
	int rc = 0;

	lk_buf_puts(&c->sql, " WHERE ");
	lk_buf_append(&c->sql, key->data, key->len);
	c->sql.broken |= key->broken;
	if (lk_word_take(c, "IF")) {
		c->row.is_conditional = true;
		rc = lk_cond_take(c, cond);
		lk_buf_puts(&c->sql, " AND ");
		lk_cond_put(cond, true, &c->sql);
		if (rc == 0 && c->at < c->n_args)
			rc = lk_expected(c, "AND, OR or the end");
	} else if (c->at < c->n_args) {
		rc = lk_expected(c, "IF or the end");
	}
	return rc;
}

/* WHERE, without which nobody means all rows. */
static int
put_where(struct lk_compile *c)
{
	struct lk_cond cond = { 0 };
	int rc = 0;

	if (!lk_word_take(c, "WHERE"))
		return lk_expected(c, "WHERE and a condition, or WHERE ALL for "
		    "every row");
	if (c->at + 1 == c->n_args && lk_word_take(c, "ALL"))
		return 0;
	rc = lk_cond_take(c, &cond);
	if (rc == 0 && c->at < c->n_args)
		rc = lk_expected(c, "AND, OR or the end");
	lk_buf_puts(&c->sql, " WHERE ");
	lk_cond_put(&cond, false, &c->sql);
	lk_cond_fini(&cond);
	return rc;
}

int
lk_compile_update(struct lk_compile *c)
{
	struct lk_buf key = LK_BUF_INIT;
	struct lk_assigns assigns = { 0 };
	struct lk_cond cond = { 0 };
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = lk_key_take(c, c->model, 0, &key);
	c->row = (struct lk_row_lock){ .strength = LK_STRENGTH_NO_KEY_UPDATE,
	    .sure = LK_STRENGTH_NO_KEY_UPDATE, .is_simple = true };
	if (rc == 0)
		rc = take_set(c, &assigns, "IF");
	if (rc == 0) {
		put_set(c, &assigns);
		rc = put_key_and_if(c, &key, &cond);
	}
	if (rc == 0) {
		lk_write_put_returning(c);
		lk_fold_put(c, &assigns, &key, &cond);
	}
	c->shape = LK_SHAPE_ROW;
	lk_cond_fini(&cond);
	lk_assigns_fini(&assigns);
	lk_buf_fini(&key);
	return rc;
}

int
lk_compile_delete(struct lk_compile *c)
{
	struct lk_buf key = LK_BUF_INIT;
	struct lk_cond cond = { 0 };
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = lk_key_take(c, c->model, 0, &key);
	c->row = (struct lk_row_lock){ .strength = LK_STRENGTH_UPDATE,
	    .sure = LK_STRENGTH_UPDATE };
	if (rc == 0) {
		put_delete(c);
		rc = put_key_and_if(c, &key, &cond);
	}
	c->shape = LK_SHAPE_COUNT;
	lk_cond_fini(&cond);
	lk_buf_fini(&key);
	return rc;
}

int
lk_compile_updateall(struct lk_compile *c)
{
	struct lk_assigns assigns = { 0 };
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = take_set(c, &assigns, "WHERE");
	if (rc == 0) {
		put_set(c, &assigns);
		rc = put_where(c);
	}
	c->shape = LK_SHAPE_COUNT;
	lk_assigns_fini(&assigns);
	return rc;
}

int
lk_compile_deleteall(struct lk_compile *c)
{
	int rc = lk_word_model(c, &c->model);

	if (rc == 0) {
		put_delete(c);
		rc = put_where(c);
	}
	c->shape = LK_SHAPE_COUNT;
	return rc;
}
