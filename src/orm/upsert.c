/*
 * UPSERT: a row that is inserted or, where its key is there already, updated.
 */
#include <stdlib.h>

#include "base/die.h"
#include "orm/compile.h"

static bool
is_key(const struct lk_key_columns *key, const bool *is_on, size_t n_on)
{
	size_t i;

	for (i = 0; i < key->n; i++) {
		if (!is_on[key->columns[i]])
			return false;
	}
	return key->n == n_on;
}

static void
put_keys(const struct lk_model *model, struct lk_buf *out)
{
	const struct lk_key_columns *key;
	size_t i, j;

	for (i = 0; i < model->n_keys; i++) {
		key = &model->keys[i];
		for (j = 0; j < key->n; j++)
			lk_buf_printf(out, "%s%s", j > 0 ? "," :
			    i > 0 ? " or " : "",
			    model->columns[key->columns[j]].name);
	}
	if (model->n_keys == 0)
		lk_buf_puts(out, "none");
}

/* The key that ON names, by the list that is the next argument. */
static int
take_on(struct lk_compile *c, const struct lk_key_columns **key_out)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	bool *is_on = lk_xcalloc(c->model->n_columns, sizeof(*is_on));
	const struct lk_column *column;
	struct lk_buf keys = LK_BUF_INIT;
	struct lk_span rest, part;
	size_t i, n_on = 0;
	int rc = 0;

	if (arg == NULL || arg->data == NULL)
		rc = lk_expected(c, "a key's columns behind ON, as a,b");
	else
		rest = (struct lk_span){ arg->data, arg->len };
	while (rc == 0 && lk_span_cut(&rest, ',', &part)) {
		rc = lk_path_column(c, part, &column);
		if (rc == 0 && is_on[column - c->model->columns])
			rc = lk_refuse(c, "%s stands there twice (argument "
			    "%zu)", column->name, c->at + 1);
		else if (rc == 0)
			is_on[column - c->model->columns] = true;
		n_on++;
	}
	*key_out = NULL;
	for (i = 0; rc == 0 && i < c->model->n_keys; i++) {
		if (is_key(&c->model->keys[i], is_on, n_on))
			*key_out = &c->model->keys[i];
	}
	if (rc == 0 && *key_out == NULL) {
		put_keys(c->model, &keys);
		lk_refuse(c, "ON names no unique key of %s; there is %s "
		    "(argument %zu)", c->model->name, lk_buf_cstr(&keys),
		    c->at + 1);
		rc = -LK_E_NOENT;
	}
	if (rc == 0)
		c->at++;
	lk_buf_fini(&keys);
	free(is_on);
	return rc;
}

static int
find_upsert_key(struct lk_compile *c, const struct lk_assigns *assigns,
    const struct lk_key_columns **key_out)
{
	const struct lk_key_columns *key;
	size_t i;
	int rc = 0;

	*key_out = lk_model_primary(c->model);
	if (lk_word_take(c, "ON"))
		rc = take_on(c, key_out);
	else if (*key_out == NULL) {
		lk_refuse(c, "%s has no primary key: ON names another that is "
		    "unique", c->model->name);
		rc = -LK_E_NOENT;
	}
	key = *key_out;
	for (i = 0; rc == 0 && i < key->n; i++) {
		if (assigns->is_assigned == NULL ||
		    !assigns->is_assigned[key->columns[i]])
			rc = lk_refuse(c, "no value for %s, by which the row "
			    "is found; ON names another key",
			    c->model->columns[key->columns[i]].name);
	}
	return rc;
}

static bool
is_in(const struct lk_key_columns *key, size_t column)
{
	size_t i;

	for (i = 0; i < key->n; i++) {
		if (key->columns[i] == column)
			return true;
	}
	return false;
}

/*
 * By the primary key the row is known.  Without another column the key itself is
 * written, though it stays as it was.
 */
static void
note_row(struct lk_compile *c, const struct lk_assigns *assigns,
    const struct lk_key_columns *key)
{
	size_t i;

	if (key != lk_model_primary(c->model))
		return;
	c->row = (struct lk_row_lock){ .strength = LK_STRENGTH_NO_KEY_UPDATE,
	    .sure = LK_STRENGTH_NO_KEY_UPDATE, .may_make = true };
	for (i = 0; i < assigns->n; i++) {
		if (assigns->n == key->n || !is_in(key,
		    assigns->list[i].column))
			lk_write_note_set(&c->row, c->model,
			    &assigns->list[i]);
	}
}

/* What a row that is there already gets; sign: NULL, or of += and its like. */
static void
put_found(struct lk_compile *c, size_t i, const char *sign, bool is_first)
{
	const struct lk_column *column = &c->model->columns[i];

	if (!is_first)
		lk_buf_puts(&c->sql, ", ");
	lk_quote(&c->sql, column->name);
	lk_buf_puts(&c->sql, " = ");
	if (sign != NULL) {
		lk_quote_column(&c->sql, 0, column);
		lk_buf_puts(&c->sql, sign);
	}
	lk_buf_puts(&c->sql, "EXCLUDED.");
	lk_quote(&c->sql, column->name);
}

static void
put_conflict(struct lk_compile *c, const struct lk_assigns *assigns,
    const struct lk_key_columns *key)
{
	size_t i, n = 0;

	for (i = 0; i < key->n; i++) {
		lk_buf_puts(&c->sql, i == 0 ? " ON CONFLICT (" : ", ");
		lk_quote(&c->sql, c->model->columns[key->columns[i]].name);
	}
	lk_buf_puts(&c->sql, ") DO UPDATE SET ");
	for (i = 0; i < assigns->n; i++) {
		if (!is_in(key, assigns->list[i].column))
			put_found(c, assigns->list[i].column,
			    lk_assign_sign(&assigns->list[i]), n++ == 0);
	}
	/* Only a row that is updated is returned; here, to what it is. */
	if (n == 0)
		put_found(c, key->columns[0], NULL, true);
}

int
lk_compile_upsert(struct lk_compile *c)
{
	struct lk_assigns assigns = { 0 };
	const struct lk_key_columns *key;
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = lk_assigns_take(c, &assigns, "ON");
	if (rc == 0)
		rc = find_upsert_key(c, &assigns, &key);
	if (rc == 0 && c->at < c->n_args)
		rc = lk_expected(c, "the end");
	if (rc == 0) {
		lk_write_put_insert(c);
		note_row(c, &assigns, key);
		lk_write_put_assigned(c, &assigns);
		put_conflict(c, &assigns, key);
		lk_write_put_returning(c);
	}
	c->shape = LK_SHAPE_ROW;
	lk_assigns_fini(&assigns);
	return rc;
}
