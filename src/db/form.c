#include "db/form.h"

#include <string.h>

#include "db/array.h"
#include "resp/encode.h"

/* The type of a relation's column in a table: no type of PostgreSQL's. */
static const char rowset_type[] = "rowset";

void
lk_form_fini(struct lk_form *form)
{
	lk_assert_worker();
	lk_buf_fini(&form->out);
	lk_buf_fini(&form->json);
	lk_buf_fini(&form->scratch);
	lk_error_fini(&form->error);
}

bool
lk_form_is_over(const struct lk_form *form)
{
	lk_assert_worker();
	return form->out.broken || form->json.broken ||
	    form->out.len + form->json.len > form->limit;
}

/* ---- arrays ---- */

struct array_ctx {
	struct lk_form	*form;
	const struct lk_head_column *column;
};

static LK_ON_WORKER void
resp_open(void *ctx, size_t n)
{
	lk_enc_array(&((struct array_ctx *)ctx)->form->out, n);
}

static void
resp_close(void *ctx)
{
	(void)ctx;
}

static void
resp_element(void *ctx, const char *data, size_t n)
{
	struct array_ctx *array = ctx;

	lk_assert_worker();
	lk_cell_resp(&array->form->out, array->form->format.proto,
	    array->column->cls, data, n);
}

/* No value ends in a bracket that opens, or in the colon behind a key. */
static void
json_comma(struct lk_buf *json)
{
	char last = json->len > 0 ? json->data[json->len - 1] : '[';

	if (last != '[' && last != ':')
		lk_buf_putc(json, ',');
}

static void
json_open(void *ctx, size_t n)
{
	struct array_ctx *array = ctx;

	(void)n;
	json_comma(&array->form->json);
	lk_buf_putc(&array->form->json, '[');
}

static void
json_close(void *ctx)
{
	lk_buf_putc(&((struct array_ctx *)ctx)->form->json, ']');
}

static void
json_element(void *ctx, const char *data, size_t n)
{
	struct array_ctx *array = ctx;

	lk_assert_worker();
	json_comma(&array->form->json);
	lk_cell_json(&array->form->json, array->column->cls, data, n);
}

static LK_ON_WORKER bool
is_too_deep(struct lk_form *form, const struct lk_rowset *set,
    const struct lk_head_column *column, const struct lk_cell *cell)
{
	unsigned dims = lk_array_dims(cell->data, cell->n);

	if (set->depth + dims <= LK_ROWS_MAX_DEPTH)
		return false;
	if (!form->error.is_set)
		lk_error_set(&form->error, LK_ERR_OVERLOAD, "column \"%s\" has "
		    "an array of %u dimensions, and a reply may nest %d deep: "
		    "cast it to text, or ask for rows as json", column->name,
		    dims, LK_ROWS_MAX_DEPTH);
	return true;
}

static LK_ON_WORKER void
put_resp_array(struct lk_form *form, const struct lk_rowset *set,
    const struct lk_head_column *column, const struct lk_cell *cell)
{
	struct array_ctx array = { form, column };
	struct lk_array_sink sink = { resp_open, resp_close, resp_element,
	    &array };
	size_t start = form->out.len;

	if (is_too_deep(form, set, column, cell))
		return;
	if (lk_array_walk(cell->data, cell->n, column->type->delim, &sink,
	    &form->scratch) == 0)
		return;
	lk_buf_truncate(&form->out, start);
	lk_enc_bulk(&form->out, cell->data, cell->n);
}

static LK_ON_WORKER void
put_json_array(struct lk_form *form, const struct lk_head_column *column,
    const struct lk_cell *cell)
{
	struct array_ctx array = { form, column };
	struct lk_array_sink sink = { json_open, json_close, json_element,
	    &array };
	size_t start = form->json.len;

	if (lk_array_walk(cell->data, cell->n, column->type->delim, &sink,
	    &form->scratch) == 0)
		return;
	lk_buf_truncate(&form->json, start);
	lk_cell_json_string(&form->json, cell->data, cell->n);
}

/* ---- cells ---- */

static LK_ON_WORKER void
put_resp_cell(struct lk_form *form, const struct lk_rowset *set, size_t i)
{
	const struct lk_head_column *column = &set->head.columns[i];
	const struct lk_cell *cell = &set->cells[i];

	if (column->is_array && cell->data != NULL)
		put_resp_array(form, set, column, cell);
	else
		lk_cell_resp(&form->out, form->format.proto, column->cls,
		    cell->data, cell->n);
}

static LK_ON_WORKER void
put_json_cell(struct lk_form *form, const struct lk_rowset *set, size_t i)
{
	const struct lk_head_column *column = &set->head.columns[i];
	const struct lk_cell *cell = &set->cells[i];

	if (column->is_array && cell->data != NULL)
		put_json_array(form, column, cell);
	else
		lk_cell_json(&form->json, column->cls, cell->data, cell->n);
}

void
lk_form_put_cell(struct lk_form *form, size_t column)
{
	lk_assert_worker();
	put_resp_cell(form, &form->sets[0], column);
}

static void
put_key(struct lk_buf *out, const struct lk_head *head, size_t i)
{
	lk_buf_append(out, head->keys.data + head->columns[i].key_at,
	    head->columns[i].key_len);
}

/* ---- relations ---- */

/* The next load of that parent's behind i; n_sets: there is none. */
static size_t
next_child(const struct lk_form *form, size_t parent, size_t i)
{
	do {
		i++;
	} while (i < form->n_sets && form->sets[i].load->parent != parent);
	return i;
}

static size_t
count_children(const struct lk_form *form, size_t parent)
{
	size_t i, n = 0;

	for (i = next_child(form, parent, parent); i < form->n_sets;
	    i = next_child(form, parent, i))
		n++;
	return n;
}

static const struct lk_group *
group_of(const struct lk_rowset *set, size_t row)
{
	return &set->groups[set->group_of[row]];
}

/* ---- RESP ---- */

static LK_ON_WORKER void
make_top(struct lk_form *form, size_t at)
{
	struct lk_rowset *set = &form->sets[at];
	size_t n = set->head.n_columns + count_children(form, at), i;
	struct lk_buf *out = &set->top;

	lk_enc_map(out, form->format.proto, 3);
	lk_enc_text(out, "columns");
	lk_enc_array(out, n);
	lk_buf_append(out, set->head.keys.data, set->head.keys.len);
	for (i = next_child(form, at, at); i < form->n_sets;
	    i = next_child(form, at, i))
		lk_enc_text(out, form->sets[i].load->name);
	lk_enc_text(out, "types");
	lk_enc_array(out, n);
	for (i = 0; i < set->head.n_columns; i++)
		lk_head_put_type(out, &set->head.columns[i]);
	for (; i < n; i++)
		lk_enc_text(out, rowset_type);
	lk_enc_text(out, "rows");
}

void
lk_form_put_top(struct lk_form *form, size_t at)
{
	struct lk_rowset *set = &form->sets[at];

	lk_assert_worker();
	if (set->top.len == 0)
		make_top(form, at);
	lk_buf_append(&form->out, set->top.data, set->top.len);
	form->out.broken |= set->top.broken;
}

static void	put_resp_row(struct lk_form *form, size_t at, size_t row)
		    LK_ON_WORKER;

static LK_ON_WORKER void
put_resp_related(struct lk_form *form, size_t at, const struct lk_group *group)
{
	struct lk_rowset *set = &form->sets[at];
	bool	is_table = form->format.rows == LK_ROWS_TABLE;
	size_t	n = set->load->is_many ? group->n : 1, row = group->first;

	if (group->n < n) {
		lk_enc_null(&form->out, form->format.proto);
		return;
	}
	if (is_table)
		lk_form_put_top(form, at);
	if (is_table || set->load->is_many)
		lk_enc_array(&form->out, n);
	for (; n > 0 && !lk_form_is_over(form); n--) {
		lk_rowset_get(set, row);
		put_resp_row(form, at, row);
		row = lk_rowset_next(set, row);
	}
}

static void
put_resp_row(struct lk_form *form, size_t at, size_t row)
{
	const struct lk_rowset *set = &form->sets[at];
	bool	is_map = form->format.rows == LK_ROWS_MAPS;
	size_t	n = set->head.n_columns + count_children(form, at), i;

	lk_assert_worker();
	if (is_map)
		lk_enc_map(&form->out, form->format.proto, n);
	else
		lk_enc_array(&form->out, n);
	for (i = 0; i < set->head.n_columns; i++) {
		if (is_map)
			put_key(&form->out, &set->head, i);
		put_resp_cell(form, set, i);
	}
	for (i = next_child(form, at, at); i < form->n_sets;
	    i = next_child(form, at, i)) {
		if (is_map)
			lk_enc_text(&form->out, form->sets[i].load->name);
		put_resp_related(form, i, group_of(&form->sets[i], row));
	}
}

/* ---- JSON ---- */

static void	put_json_row(struct lk_form *form, size_t at, size_t row)
		    LK_ON_WORKER;

static LK_ON_WORKER void
put_json_related(struct lk_form *form, size_t at, const struct lk_group *group)
{
	struct lk_rowset *set = &form->sets[at];
	bool	is_many = set->load->is_many;
	size_t	n = is_many ? group->n : 1, row = group->first, i;

	if (group->n < n) {
		lk_buf_puts(&form->json, "null");
		return;
	}
	lk_buf_puts(&form->json, is_many ? "[" : "");
	for (i = 0; i < n && !lk_form_is_over(form); i++) {
		lk_buf_puts(&form->json, i > 0 ? "," : "");
		lk_rowset_get(set, row);
		put_json_row(form, at, row);
		row = lk_rowset_next(set, row);
	}
	lk_buf_puts(&form->json, is_many ? "]" : "");
}

static void
put_json_row(struct lk_form *form, size_t at, size_t row)
{
	const struct lk_rowset *set = &form->sets[at];
	size_t i;

	lk_assert_worker();
	for (i = 0; i < set->head.n_columns; i++) {
		lk_buf_putc(&form->json, i == 0 ? '{' : ',');
		put_key(&form->json, &set->head, i);
		put_json_cell(form, set, i);
	}
	for (i = next_child(form, at, at); i < form->n_sets;
	    i = next_child(form, at, i)) {
		lk_buf_putc(&form->json, ',');
		lk_head_put_key(&form->json, LK_ROWS_JSON,
		    form->sets[i].load->name);
		put_json_related(form, i, group_of(&form->sets[i], row));
	}
	lk_buf_puts(&form->json, set->head.n_columns == 0 ? "{}" : "}");
}

void
lk_form_put_row(struct lk_form *form, size_t row)
{
	lk_assert_worker();
	if (form->format.rows != LK_ROWS_JSON) {
		put_resp_row(form, 0, row);
		return;
	}
	put_json_row(form, 0, row);
	form->out.broken |= form->json.broken;
	lk_enc_bulk(&form->out, form->json.data, form->json.len);
	lk_buf_truncate(&form->json, 0);
}
