#include "db/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "db/form.h"
#include "resp/encode.h"

/* One of several replies. */
struct place {
	struct lk_buf	 out;		/* its rows */
	uint64_t	 n_rows;
	bool		 is_over;	/* it was larger than limit_each */
};

struct lk_rows {
	enum lk_shape	 shape;
	struct place	*places;	/* heap; NULL: there is but one reply */
	size_t		 n_places;
	size_t		 limit_each;
	size_t		 n_divided_bytes;	/* in all of them */
	size_t		 largest;	/* of the rows in them */
	bool		 is_kept;	/* all that comes, until it is finished:
					   types are unknown, or there are loads */
	bool		 is_over;
	size_t		 n_kept_bytes;
	uint64_t	 n_rows;	/* of the statement's own */
	size_t		 count_at;	/* in the reply: the header "*1\r\n" of the
					   rows */
	struct lk_form	 form;
};

static bool
is_one_cell(const struct lk_rows *rows)
{
	return rows->shape == LK_SHAPE_INT || rows->shape == LK_SHAPE_BOOL;
}

static bool
has_one_row(const struct lk_rows *rows)
{
	return is_one_cell(rows) || rows->shape == LK_SHAPE_ROW ||
	    rows->shape == LK_SHAPE_ONE;
}

/* One row, which stands alone; in a table it has its columns beside it. */
static bool
is_bare(const struct lk_rows *rows)
{
	return is_one_cell(rows) || (has_one_row(rows) &&
	    rows->form.format.rows != LK_ROWS_TABLE);
}

static void
init_set(struct lk_rows *rows, size_t at, const struct lk_with *with,
    const struct lk_types *types)
{
	enum lk_rows_form form = (enum lk_rows_form)rows->form.format.rows;
	struct lk_rowset *set = &rows->form.sets[at];

	set->head.format = rows->form.format;
	set->head.types = types;
	if (at == 0) {
		set->n_shown = with->n_loads > 0 ? with->n_columns : SIZE_MAX;
		set->depth = rows->form.format.depth +
		    lk_rows_levels(form, !is_bare(rows));
		return;
	}
	set->load = &with->loads[at - 1];
	set->n_shown = set->load->n_columns;
	set->depth = rows->form.sets[set->load->parent].depth +
	    lk_rows_levels(form, set->load->is_many);
}

struct lk_rows *
lk_rows_new(struct lk_format format, enum lk_shape shape,
    const struct lk_with *with, const struct lk_types *types, size_t limit)
{
	struct lk_rows *rows = lk_xcalloc(1, sizeof(*rows));
	size_t i;

	lk_assert_worker();
	rows->shape = shape;
	rows->is_kept = with->n_loads > 0;
	rows->form.format = format;
	/* Rows that are counted are fewer than 2^53. */
	if (is_one_cell(rows))
		rows->form.format.int8_text = false;
	rows->form.limit = limit;
	rows->form.n_sets = with->n_loads + 1;
	rows->form.sets = lk_xcalloc(rows->form.n_sets,
	    sizeof(*rows->form.sets));
	for (i = 0; i < rows->form.n_sets; i++)
		init_set(rows, i, with, types);
	return rows;
}

void
lk_rows_set_places(struct lk_rows *rows, size_t n_places, size_t limit_each)
{
	lk_assert_worker();
	rows->n_places = n_places;
	rows->limit_each = limit_each;
	rows->places = lk_xcalloc(n_places, sizeof(*rows->places));
}

void
lk_rows_free(struct lk_rows **rows_ptr)
{
	struct lk_rows *rows = *rows_ptr;
	size_t i;

	lk_assert_worker();
	if (rows == NULL)
		return;
	for (i = 0; i < rows->form.n_sets; i++)
		lk_rowset_fini(&rows->form.sets[i]);
	free(rows->form.sets);
	for (i = 0; i < rows->n_places; i++)
		lk_buf_fini(&rows->places[i].out);
	free(rows->places);
	lk_form_fini(&rows->form);
	free(rows);
	*rows_ptr = NULL;
}

/* ---- what goes before the rows ---- */

/*
 * The number of rows is not known yet: leave room for one digit, and make
 * more at the end where it is needed.
 */
static LK_ON_WORKER void
put_head(struct lk_rows *rows)
{
	if (is_bare(rows) || rows->n_places > 0)
		return;
	if (rows->form.format.rows == LK_ROWS_TABLE)
		lk_form_put_top(&rows->form, 0);
	rows->count_at = rows->form.out.len;
	lk_enc_array(&rows->form.out, 1);
}

static LK_ON_WORKER void
put_count(struct lk_rows *rows)
{
	struct lk_buf	*out = &rows->form.out, head = LK_BUF_INIT;
	size_t		 guessed = strlen("*1\r\n"), tail;
	char		*at;

	lk_enc_array(&head, rows->n_rows);
	if (lk_buf_reserve(out, head.len) != NULL && !head.broken) {
		at = out->data + rows->count_at;
		tail = out->len - rows->count_at - guessed;
		memmove(at + head.len, at + guessed, tail);
		memcpy(at, head.data, head.len);
		out->len += head.len - guessed;
	}
	lk_buf_fini(&head);
}

/* ---- rows ---- */

static LK_ON_WORKER int
check_size(struct lk_rows *rows, const struct lk_rowset *set)
{
	if (!lk_form_is_over(&rows->form) && !set->bytes.broken &&
	    !set->rows.broken && !rows->is_over &&
	    rows->n_kept_bytes + rows->n_divided_bytes <= rows->form.limit)
		return 0;
	rows->is_over = true;
	lk_buf_fini(&rows->form.out);
	return -LK_E_LIMIT;
}

/* The one that the row at hand belongs to, or NULL. */
static LK_ON_WORKER struct place *
place_of(const struct lk_rows *rows)
{
	const struct lk_rowset *set = &rows->form.sets[0];
	size_t i = lk_cell_number(&set->cells[set->n_cells - 1]);

	return i == 0 || i > rows->n_places ? NULL : &rows->places[i - 1];
}

static LK_ON_WORKER void
put_in_place(struct lk_rows *rows, size_t row)
{
	struct place	*place = place_of(rows);
	struct lk_buf	*out = &rows->form.out;

	if (place == NULL || (++place->n_rows > 1 && has_one_row(rows)))
		return;
	lk_form_put_row(&rows->form, row);
	if (out->len > rows->largest)
		rows->largest = out->len;
	place->is_over |= place->out.len + out->len > rows->limit_each;
	if (!place->is_over) {
		lk_buf_append(&place->out, out->data, out->len);
		rows->n_divided_bytes += out->len;
	}
	rows->is_over |= out->broken || place->out.broken;
	lk_buf_truncate(out, 0);
}

/* The row at hand. */
static LK_ON_WORKER int
put_row(struct lk_rows *rows, size_t row)
{
	if (rows->n_places > 0)
		put_in_place(rows, row);
	else if (is_one_cell(rows))
		lk_form_put_cell(&rows->form, 0);
	else
		lk_form_put_row(&rows->form, row);
	return check_size(rows, &rows->form.sets[0]);
}

static LK_ON_WORKER int
add_row(struct lk_rows *rows, size_t whose, const PGresult *res, int row)
{
	struct lk_rowset *set = &rows->form.sets[whose];

	if (whose == 0 && ++rows->n_rows > 1 && has_one_row(rows) &&
	    rows->n_places == 0)
		return 0;
	lk_rowset_take(set, res, row);
	if (!rows->is_kept)
		return put_row(rows, 0);
	rows->n_kept_bytes += lk_rowset_keep(set);
	return check_size(rows, set);
}

static LK_ON_WORKER void
start(struct lk_rows *rows, struct lk_rowset *set, const PGresult *res)
{
	if (rows->n_places > 0 && rows->form.n_sets == 1)
		set->n_shown = (size_t)PQnfields(res) - 1;
	lk_rowset_start(set, res);
	if (lk_head_has_unknown(&set->head))
		rows->is_kept = true;
	if (!rows->is_kept)
		put_head(rows);
}

int
lk_rows_add(struct lk_rows *rows, size_t whose, const PGresult *res)
{
	struct lk_rowset *set = &rows->form.sets[whose];
	int row, rc;

	lk_assert_worker();
	if (set->head.columns == NULL)
		start(rows, set, res);
	for (row = 0; row < PQntuples(res) && !rows->is_over; row++) {
		rc = add_row(rows, whose, res, row);
		if (rc < 0)
			return rc;
	}
	return rows->is_over ? -LK_E_LIMIT : 0;
}

size_t
lk_rows_ask(struct lk_rows *rows, size_t whose, struct lk_buf *arrays)
{
	struct lk_rowset *set = &rows->form.sets[whose];
	struct lk_rowset *parent = &rows->form.sets[set->load->parent];
	size_t i, n;

	lk_assert_worker();
	/* It will be refused, whatever belongs to the row that is kept. */
	if (rows->shape == LK_SHAPE_ONE && rows->n_rows > 1 &&
	    rows->n_places == 0)
		return 0;
	n = lk_rowset_ask(set, parent, arrays);
	for (i = 0; i < set->load->n_keys; i++)
		rows->is_over |= arrays[i].broken;
	return rows->is_over ? 0 : n;
}

/* ---- the reply ---- */

/* Behind the n that are listed already; returns how many there are then. */
static size_t
list_unknown(const struct lk_head *head, Oid *oids, size_t max, size_t n)
{
	size_t i;

	for (i = 0; i < head->n_columns; i++) {
		if (head->columns[i].type != NULL)
			continue;
		if (n < max)
			oids[n] = head->columns[i].oid;
		n++;
	}
	return n;
}

size_t
lk_rows_unknown(const struct lk_rows *rows, Oid *oids_out, size_t max)
{
	size_t i, n = 0;

	lk_assert_worker();
	for (i = 0; i < rows->form.n_sets && rows->is_kept; i++)
		n = list_unknown(&rows->form.sets[i].head, oids_out, max, n);
	return n;
}

size_t
lk_rows_bytes(const struct lk_rows *rows)
{
	lk_assert_worker();
	return rows->form.out.len + rows->n_kept_bytes;
}

int
lk_rows_column(const struct lk_rows *rows, const char *name)
{
	const struct lk_head *head = &rows->form.sets[0].head;
	size_t i;

	lk_assert_worker();
	for (i = 0; i < head->n_columns; i++) {
		if (strcmp(head->columns[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static LK_ON_WORKER int
encode_kept(struct lk_rows *rows)
{
	struct lk_rowset *own = &rows->form.sets[0];
	size_t		i;
	int		rc = 0;

	for (i = 0; i < rows->form.n_sets; i++)
		lk_head_find_types(&rows->form.sets[i].head);
	put_head(rows);
	for (i = 0; i < own->n_rows && rc == 0; i++) {
		lk_rowset_get(own, i);
		rc = put_row(rows, i);
	}
	return rc;
}

/* How many there were decides what the reply is. */
static LK_ON_WORKER void
finish_one(struct lk_rows *rows)
{
	struct lk_buf *out = &rows->form.out;

	if (rows->n_rows == 0) {
		lk_buf_truncate(out, 0);
		lk_enc_null(out, rows->form.format.proto);
	} else if (!is_bare(rows)) {
		rows->n_rows = 1;
		put_count(rows);
	}
}

static LK_ON_WORKER int
check_met(const struct lk_rows *rows, uint64_t n_rows, struct lk_error *error)
{
	if (rows->shape != LK_SHAPE_ONE || n_rows == 1)
		return 0;
	lk_error_set(error, LK_ERR_UNMET, n_rows == 0 ?
	    "there is no such row" : "there is more than one such row");
	return -LK_E_INVAL;
}

int
lk_rows_finish(struct lk_rows *rows, struct lk_buf *out,
    struct lk_error *error)
{
	lk_assert_worker();
	if (rows->is_over)
		return -LK_E_LIMIT;
	if (check_met(rows, rows->n_rows, error) < 0)
		return -LK_E_INVAL;
	if (rows->is_kept && encode_kept(rows) < 0)
		return -LK_E_LIMIT;
	if (rows->form.error.is_set) {
		lk_error_move(error, &rows->form.error);
		return -LK_E_INVAL;
	}
	if (has_one_row(rows))
		finish_one(rows);
	else
		put_count(rows);
	if (lk_form_is_over(&rows->form))
		return -LK_E_LIMIT;
	lk_buf_move(out, &rows->form.out);
	return 0;
}

/* ---- several replies ---- */

/* What goes before the rows of each, at most. */
static LK_ON_WORKER size_t
head_bytes(const struct lk_rows *rows)
{
	return rows->form.sets[0].top.len + 32;
}

int
lk_rows_divide(struct lk_rows *rows, struct lk_error *error)
{
	lk_assert_worker();
	if (rows->is_over || (rows->is_kept && encode_kept(rows) < 0))
		return -LK_E_LIMIT;
	if (rows->form.error.is_set) {
		lk_error_move(error, &rows->form.error);
		return -LK_E_INVAL;
	}
	return rows->n_divided_bytes + rows->n_places * head_bytes(rows) <=
	    rows->form.limit ? 0 : -LK_E_LIMIT;
}

size_t
lk_rows_largest(const struct lk_rows *rows)
{
	lk_assert_worker();
	return rows->largest;
}

static LK_ON_WORKER void
put_rows_of(struct lk_rows *rows, struct place *place, struct lk_buf *out)
{
	struct lk_buf *top = &rows->form.out;

	if (rows->form.format.rows == LK_ROWS_TABLE)
		lk_form_put_top(&rows->form, 0);
	lk_buf_move(out, top);
	lk_enc_array(out, has_one_row(rows) ? 1 : place->n_rows);
	lk_buf_append(out, place->out.data, place->out.len);
}

int
lk_rows_finish_place(struct lk_rows *rows, size_t i, struct lk_buf *out,
    struct lk_error *error)
{
	struct place *place = &rows->places[i];

	lk_assert_worker();
	if (place->is_over)
		return -LK_E_LIMIT;
	if (check_met(rows, place->n_rows, error) < 0)
		return -LK_E_INVAL;
	if (has_one_row(rows) && place->n_rows == 0)
		lk_enc_null(out, rows->form.format.proto);
	else if (is_bare(rows))
		lk_buf_move(out, &place->out);
	else
		put_rows_of(rows, place, out);
	return out->broken || out->len > rows->limit_each ? -LK_E_LIMIT : 0;
}
