/*
 * ORDER, and AFTER, which goes on behind a row of that order.  Every order is
 * made whole by the key's columns, so that no row is twice on two pages or on
 * none.  NULLs are last where a column ascends and first where it descends, as
 * PostgreSQL has them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "orm/compile.h"

void
lk_page_fini(struct lk_page *page)
{
	size_t i;

	for (i = 0; i < page->n_terms; i++)
		lk_path_fini(&page->terms[i]);
	free(page->terms);
	free(page->is_descending);
	lk_buf_fini(&page->after);
}

/* A term more; in 0 terms there is one direction for all. */
static struct lk_path *
add_term(struct lk_page *page, bool is_descending)
{
	size_t n = page->n_terms + 1;

	page->terms = lk_xrealloc(page->terms, n * sizeof(page->terms[0]));
	page->is_descending = lk_xrealloc(page->is_descending,
	    n * sizeof(page->is_descending[0]));
	page->terms[n - 1] = (struct lk_path){ 0 };
	page->is_descending[n - 1] = is_descending;
	page->n_terms = n;
	return &page->terms[n - 1];
}

static int
check_room(struct lk_compile *c, const struct lk_page *page)
{
	if (page->n_terms == LK_PAGE_MAX_TERMS)
		return lk_refuse(c, "an order of more than %d columns",
		    LK_PAGE_MAX_TERMS);
	return 0;
}

static int
order_by(struct lk_compile *c, struct lk_page *page, struct lk_span part)
{
	bool is_descending = part.n > 0 && part.at[0] == '-';
	int rc;

	if (is_descending) {
		part.at++;
		part.n--;
	}
	if (part.n == 0)
		return lk_expected(c, "columns behind ORDER, as a,-b");
	rc = check_room(c, page);
	if (rc != 0)
		return rc;
	return lk_path_parse(c, part, add_term(page, is_descending));
}

int
lk_page_order(struct lk_compile *c, struct lk_page *page)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	struct lk_span rest, part;
	int rc = 0;

	if (page->is_tied)
		return lk_refuse(c, "ORDER stands before AFTER, since it says "
		    "which values AFTER takes");
	if (arg == NULL || arg->data == NULL)
		return lk_expected(c, "columns behind ORDER, as a,-b");
	rest = (struct lk_span){ arg->data, arg->len };
	while (rc == 0 && lk_span_cut(&rest, ',', &part))
		rc = order_by(c, page, part);
	if (rc == 0)
		c->at++;
	return rc;
}

/* Whether the model's column itself is one of the terms. */
static bool
is_term(const struct lk_page *page, const struct lk_buf *sql)
{
	size_t i;

	for (i = 0; i < page->n_terms; i++) {
		if (page->terms[i].sql.len == sql->len &&
		    memcmp(page->terms[i].sql.data, sql->data, sql->len) == 0)
			return true;
	}
	return false;
}

static void
add_column(struct lk_page *page, const struct lk_model *model,
    const struct lk_column *column, bool is_descending)
{
	struct lk_path *term = add_term(page, is_descending);

	lk_target_compare(&term->target, model, column);
	lk_quote_column(&term->sql, 0, column);
}

int
lk_page_add(struct lk_compile *c, struct lk_page *page,
    const struct lk_model *model, const struct lk_column *column,
    bool is_descending)
{
	int rc = check_room(c, page);

	if (rc == 0)
		add_column(page, model, column, is_descending);
	return rc;
}

void
lk_page_tie(struct lk_page *page, const struct lk_model *model)
{
	const struct lk_key_columns *key = lk_model_primary(model);
	/* As the last one goes, so that an index may serve for both. */
	bool is_descending = page->n_terms > 0 &&
	    page->is_descending[page->n_terms - 1];
	const struct lk_column *column;
	struct lk_buf sql = LK_BUF_INIT;
	size_t i;

	for (i = 0; !page->is_tied && key != NULL && i < key->n; i++) {
		column = &model->columns[key->columns[i]];
		lk_buf_truncate(&sql, 0);
		lk_quote_column(&sql, 0, column);
		if (!is_term(page, &sql))
			add_column(page, model, column, is_descending);
	}
	lk_buf_fini(&sql);
	page->is_tied = true;
}

static void
put_list(const struct lk_page *page, struct lk_buf *out, const char *between,
    bool has_directions)
{
	size_t i;

	for (i = 0; i < page->n_terms; i++) {
		if (i > 0)
			lk_buf_puts(out, between);
		lk_buf_append(out, page->terms[i].sql.data,
		    page->terms[i].sql.len);
		out->broken |= page->terms[i].sql.broken;
		if (has_directions && page->is_descending[i])
			lk_buf_puts(out, " DESC");
	}
}

void
lk_page_put_order(const struct lk_page *page, struct lk_buf *out)
{
	if (page->n_terms > 0)
		lk_buf_puts(out, " ORDER BY ");
	put_list(page, out, ", ", true);
}

/* ---- AFTER ---- */

/* numbers[i]: the parameter of the i-th term's value, or 0 for NULL. */

/*
 * What ORDER BY takes for NULL.  IS NULL is also true of a composite value all
 * of whose fields are NULL; of anything else the server makes the same.
 */
#define IS_NULL		" IS NOT DISTINCT FROM NULL"
#define IS_NOT_NULL	" IS DISTINCT FROM NULL"

/* Rows in one direction, and no NULL anywhere: an index can begin there. */
static bool
is_one_comparison(const struct lk_page *page, const size_t *numbers)
{
	size_t i;

	for (i = 0; i < page->n_terms; i++) {
		if (page->terms[i].is_nullable || numbers[i] == 0 ||
		    page->is_descending[i] != page->is_descending[0])
			return false;
	}
	return true;
}

static void
put_one_comparison(struct lk_page *page, const size_t *numbers)
{
	struct lk_buf *out = &page->after;
	bool is_row = page->n_terms > 1;
	size_t i;

	if (is_row)
		lk_buf_putc(out, '(');
	put_list(page, out, ", ", false);
	if (is_row)
		lk_buf_putc(out, ')');
	lk_buf_puts(out, page->is_descending[0] ? " < " : " > ");
	if (is_row)
		lk_buf_putc(out, '(');
	for (i = 0; i < page->n_terms; i++) {
		if (i > 0)
			lk_buf_puts(out, ", ");
		lk_quote_param(out, numbers[i]);
	}
	if (is_row)
		lk_buf_putc(out, ')');
}

static void
put_term(struct lk_page *page, size_t i)
{
	lk_buf_append(&page->after, page->terms[i].sql.data,
	    page->terms[i].sql.len);
	page->after.broken |= page->terms[i].sql.broken;
}

/* The i-th value comes behind that of AFTER. */
static void
put_behind(struct lk_page *page, const size_t *numbers, size_t i)
{
	struct lk_buf *out = &page->after;

	if (numbers[i] == 0 && !page->is_descending[i]) {
		lk_buf_puts(out, "false");
	} else if (numbers[i] == 0) {
		put_term(page, i);
		lk_buf_puts(out, IS_NOT_NULL);
	} else if (page->is_descending[i]) {
		put_term(page, i);
		lk_buf_puts(out, " < ");
		lk_quote_param(out, numbers[i]);
	} else {
		put_term(page, i);
		lk_buf_puts(out, " > ");
		lk_quote_param(out, numbers[i]);
		if (page->terms[i].is_nullable) {
			lk_buf_puts(out, " OR ");
			put_term(page, i);
			lk_buf_puts(out, IS_NULL);
		}
	}
}

static void
put_same(struct lk_page *page, const size_t *numbers, size_t i)
{
	put_term(page, i);
	if (numbers[i] == 0) {
		lk_buf_puts(&page->after, IS_NULL);
	} else {
		lk_buf_puts(&page->after, " = ");
		lk_quote_param(&page->after, numbers[i]);
	}
}

/* (a behind OR a same AND (b behind OR b same AND (c behind))) */
static void
put_comparisons(struct lk_page *page, const size_t *numbers)
{
	bool is_last;
	size_t i;

	for (i = 0; i < page->n_terms; i++) {
		is_last = i + 1 == page->n_terms;
		lk_buf_putc(&page->after, '(');
		/* Behind NULL in a column that ascends there is nothing. */
		if (numbers[i] != 0 || page->is_descending[i] || is_last) {
			put_behind(page, numbers, i);
			lk_buf_puts(&page->after, is_last ? "" : " OR ");
		}
		if (is_last)
			break;
		put_same(page, numbers, i);
		lk_buf_puts(&page->after, " AND ");
	}
	for (i = 0; i < page->n_terms; i++)
		lk_buf_putc(&page->after, ')');
}

static int
refuse_few(struct lk_compile *c, const struct lk_page *page)
{
	struct lk_buf names = LK_BUF_INIT;
	size_t i;
	int rc;

	for (i = 0; i < page->n_terms; i++)
		lk_buf_printf(&names, "%s%s", i > 0 ? ", " : "",
		    page->terms[i].target.column->name);
	rc = lk_refuse(c, "AFTER takes %zu values (%s), and %zu follow",
	    page->n_terms, lk_buf_cstr(&names), c->n_args - c->at);
	lk_buf_fini(&names);
	return rc;
}

int
lk_page_after(struct lk_compile *c, struct lk_page *page)
{
	size_t *numbers, i;
	int rc = 0;

	if (lk_model_primary(c->model) == NULL) {
		lk_refuse(c, "AFTER wants a primary key, by which no two rows "
		    "are in the same place, and %s has none", c->model->name);
		return -LK_E_NOENT;
	}
	lk_page_tie(page, c->model);
	if (page->n_terms > c->n_args - c->at)
		return refuse_few(c, page);
	numbers = lk_xcalloc(page->n_terms, sizeof(*numbers));
	for (i = 0; rc == 0 && i < page->n_terms; i++) {
		if (lk_word_value(c)->data == NULL)
			c->at++;
		else
			rc = lk_value_take(c, &page->terms[i].target,
			    &numbers[i]);
	}
	if (rc == 0 && is_one_comparison(page, numbers))
		put_one_comparison(page, numbers);
	else if (rc == 0)
		put_comparisons(page, numbers);
	free(numbers);
	return rc;
}
