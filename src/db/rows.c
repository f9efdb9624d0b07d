#include "db/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "db/array.h"
#include "resp/encode.h"

struct cell {
	const char	*data;		/* NULL: a NULL */
	size_t		 n;
};

struct column {
	char		*name;		/* unique in the row */
	Oid		 oid;
	const struct lk_type *type;	/* NULL: not known */
	enum lk_cell_class cls;		/* an array's elements' */
	bool		 is_array;
	size_t		 key_at, key_len; /* in keys: what goes before a value */
};

struct lk_rows {
	struct lk_format format;
	const struct lk_types *types;
	size_t		 limit;
	bool		 has_columns;
	bool		 is_kept;	/* as text in kept: types are unknown */
	bool		 is_over;
	struct column	*columns;
	size_t		 n_columns;
	struct cell	*cells;		/* the row at hand */
	uint64_t	 n_rows;
	struct lk_buf	 keys;
	struct lk_buf	 out;
	size_t		 count_at;	/* in out: the header "*1\r\n" of the rows */
	struct lk_buf	 kept;		/* length (UINT32_MAX: NULL) and bytes of
					   each cell */
	struct lk_buf	 json;		/* scratch: one row */
	struct lk_buf	 scratch;	/* of lk_array_walk() */
	struct lk_error	 error;
};

struct lk_rows *
lk_rows_new(struct lk_format format, const struct lk_types *types,
    size_t limit)
{
	struct lk_rows *rows = lk_xcalloc(1, sizeof(*rows));

	lk_assert_worker();
	rows->format = format;
	rows->types = types;
	rows->limit = limit;
	return rows;
}

void
lk_rows_free(struct lk_rows **rows_ptr)
{
	struct lk_rows *rows = *rows_ptr;
	size_t i;

	lk_assert_worker();
	if (rows == NULL)
		return;
	for (i = 0; i < rows->n_columns; i++)
		free(rows->columns[i].name);
	free(rows->columns);
	free(rows->cells);
	lk_buf_fini(&rows->keys);
	lk_buf_fini(&rows->out);
	lk_buf_fini(&rows->kept);
	lk_buf_fini(&rows->json);
	lk_buf_fini(&rows->scratch);
	lk_error_fini(&rows->error);
	free(rows);
	*rows_ptr = NULL;
}

/* ---- columns ---- */

static bool
is_taken(const PGresult *res, const struct lk_rows *rows, size_t column,
    const char *name)
{
	size_t i;

	for (i = 0; i < rows->n_columns; i++) {
		const char *other = i < column ? rows->columns[i].name :
		    PQfname(res, (int)i);

		if (i != column && strcmp(other, name) == 0)
			return true;
	}
	return false;
}

static bool
is_first_of_name(const PGresult *res, const struct lk_rows *rows,
    size_t column)
{
	size_t i;

	for (i = 0; i < column; i++) {
		if (strcmp(rows->columns[i].name,
		    PQfname(res, (int)column)) == 0)
			return false;
	}
	return true;
}

static char *
unique_name(const PGresult *res, const struct lk_rows *rows, size_t column)
{
	const char	*name = PQfname(res, (int)column);
	struct lk_buf	 text = LK_BUF_INIT;
	unsigned	 number = 2;
	char		*copy;

	if (is_first_of_name(res, rows, column))
		return lk_xstrdup(name);
	do {
		lk_buf_truncate(&text, 0);
		lk_buf_printf(&text, "%s_%u", name, number++);
	} while (is_taken(res, rows, column, lk_buf_cstr(&text)));
	copy = lk_xstrdup(lk_buf_cstr(&text));
	lk_buf_fini(&text);
	return copy;
}

/* pg_type.dat gives it this for ever. */
#define INT8_OID	20

static LK_ON_WORKER enum lk_cell_class
cell_class(const struct lk_rows *rows, Oid oid)
{
	return oid == INT8_OID && rows->format.int8_text ? LK_CELL_TEXT :
	    lk_type_cell(oid);
}

static LK_ON_WORKER void
find_type(struct lk_rows *rows, struct column *column)
{
	column->type = lk_types_find(rows->types, column->oid);
	column->is_array = column->type != NULL && column->type->elem != 0;
	column->cls = cell_class(rows, column->is_array ? column->type->elem :
	    column->oid);
}

static LK_ON_WORKER void
make_key(struct lk_rows *rows, struct column *column)
{
	column->key_at = rows->keys.len;
	if (rows->format.rows == LK_ROWS_JSON) {
		lk_cell_json_string(&rows->keys, column->name,
		    strlen(column->name));
		lk_buf_putc(&rows->keys, ':');
	} else {
		lk_enc_text(&rows->keys, column->name);
	}
	column->key_len = rows->keys.len - column->key_at;
}

static LK_ON_WORKER void
read_columns(struct lk_rows *rows, const PGresult *res)
{
	size_t i;

	rows->n_columns = (size_t)PQnfields(res);
	rows->columns = lk_xcalloc(rows->n_columns + 1,
	    sizeof(*rows->columns));
	rows->cells = lk_xcalloc(rows->n_columns + 1, sizeof(*rows->cells));
	for (i = 0; i < rows->n_columns; i++) {
		struct column *column = &rows->columns[i];

		column->name = unique_name(res, rows, i);
		column->oid = PQftype(res, (int)i);
		find_type(rows, column);
		make_key(rows, column);
		if (column->type == NULL)
			rows->is_kept = true;
	}
	rows->has_columns = true;
}

/* ---- what goes before the rows ---- */

static LK_ON_WORKER void
put_type_name(struct lk_rows *rows, const struct column *column)
{
	char text[16];

	if (column->type != NULL) {
		lk_enc_text(&rows->out, column->type->name);
		return;
	}
	/* Gone since: say what is known of it. */
	snprintf(text, sizeof(text), "%u", column->oid);
	lk_enc_text(&rows->out, text);
}

static LK_ON_WORKER void
put_table_head(struct lk_rows *rows)
{
	size_t i;

	lk_enc_map(&rows->out, rows->format.proto, 3);
	lk_enc_text(&rows->out, "columns");
	lk_enc_array(&rows->out, rows->n_columns);
	lk_buf_append(&rows->out, rows->keys.data, rows->keys.len);
	lk_enc_text(&rows->out, "types");
	lk_enc_array(&rows->out, rows->n_columns);
	for (i = 0; i < rows->n_columns; i++)
		put_type_name(rows, &rows->columns[i]);
	lk_enc_text(&rows->out, "rows");
}

/*
 * The number of rows is not known yet: leave room for one digit, and make
 * more at the end where it is needed.
 */
static LK_ON_WORKER void
put_head(struct lk_rows *rows)
{
	if (rows->format.rows == LK_ROWS_TABLE)
		put_table_head(rows);
	rows->count_at = rows->out.len;
	lk_enc_array(&rows->out, 1);
}

static LK_ON_WORKER void
put_count(struct lk_rows *rows)
{
	struct lk_buf	 head = LK_BUF_INIT;
	size_t		 guessed = strlen("*1\r\n"), tail;
	char		*at;

	lk_enc_array(&head, rows->n_rows);
	if (lk_buf_reserve(&rows->out, head.len) != NULL && !head.broken) {
		at = rows->out.data + rows->count_at;
		tail = rows->out.len - rows->count_at - guessed;
		memmove(at + head.len, at + guessed, tail);
		memcpy(at, head.data, head.len);
		rows->out.len += head.len - guessed;
	}
	lk_buf_fini(&head);
}

/* ---- cells ---- */

struct array_ctx {
	struct lk_rows	*rows;
	const struct column *column;
};

static LK_ON_WORKER void
resp_open(void *ctx, size_t n)
{
	lk_enc_array(&((struct array_ctx *)ctx)->rows->out, n);
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
	lk_cell_resp(&array->rows->out, array->rows->format.proto,
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
	json_comma(&array->rows->json);
	lk_buf_putc(&array->rows->json, '[');
}

static void
json_close(void *ctx)
{
	lk_buf_putc(&((struct array_ctx *)ctx)->rows->json, ']');
}

static void
json_element(void *ctx, const char *data, size_t n)
{
	struct array_ctx *array = ctx;

	lk_assert_worker();
	json_comma(&array->rows->json);
	lk_cell_json(&array->rows->json, array->column->cls, data, n);
}

/* Levels of the reply above a cell. */
static unsigned
depth_of_cells(const struct lk_rows *rows)
{
	return rows->format.rows == LK_ROWS_TABLE ? 3 : 2;
}

static LK_ON_WORKER bool
is_too_deep(struct lk_rows *rows, const struct column *column,
    const struct cell *cell)
{
	unsigned dims = lk_array_dims(cell->data, cell->n);

	if (depth_of_cells(rows) + dims <= LK_ROWS_MAX_DEPTH)
		return false;
	if (!rows->error.is_set)
		lk_error_set(&rows->error, LK_ERR_OVERLOAD, "column \"%s\" has "
		    "an array of %u dimensions, and a reply may nest %d deep: "
		    "cast it to text, or ask for rows as json", column->name,
		    dims, LK_ROWS_MAX_DEPTH);
	return true;
}

static LK_ON_WORKER void
put_resp_array(struct lk_rows *rows, const struct column *column,
    const struct cell *cell)
{
	struct array_ctx array = { rows, column };
	struct lk_array_sink sink = { resp_open, resp_close, resp_element,
	    &array };
	size_t start = rows->out.len;

	if (is_too_deep(rows, column, cell))
		return;
	if (lk_array_walk(cell->data, cell->n, column->type->delim, &sink,
	    &rows->scratch) == 0)
		return;
	lk_buf_truncate(&rows->out, start);
	lk_enc_bulk(&rows->out, cell->data, cell->n);
}

static LK_ON_WORKER void
put_resp_cell(struct lk_rows *rows, const struct column *column,
    const struct cell *cell)
{
	if (column->is_array && cell->data != NULL)
		put_resp_array(rows, column, cell);
	else
		lk_cell_resp(&rows->out, rows->format.proto, column->cls,
		    cell->data, cell->n);
}

static LK_ON_WORKER void
put_json_array(struct lk_rows *rows, const struct column *column,
    const struct cell *cell)
{
	struct array_ctx array = { rows, column };
	struct lk_array_sink sink = { json_open, json_close, json_element,
	    &array };
	size_t start = rows->json.len;

	if (lk_array_walk(cell->data, cell->n, column->type->delim, &sink,
	    &rows->scratch) == 0)
		return;
	lk_buf_truncate(&rows->json, start);
	lk_cell_json_string(&rows->json, cell->data, cell->n);
}

static LK_ON_WORKER void
put_json_row(struct lk_rows *rows)
{
	size_t i;

	lk_buf_truncate(&rows->json, 0);
	lk_buf_putc(&rows->json, '{');
	for (i = 0; i < rows->n_columns; i++) {
		const struct column *column = &rows->columns[i];
		const struct cell *cell = &rows->cells[i];

		if (i > 0)
			lk_buf_putc(&rows->json, ',');
		lk_buf_append(&rows->json, rows->keys.data + column->key_at,
		    column->key_len);
		if (column->is_array && cell->data != NULL)
			put_json_array(rows, column, cell);
		else
			lk_cell_json(&rows->json, column->cls, cell->data,
			    cell->n);
	}
	lk_buf_putc(&rows->json, '}');
	if (rows->json.broken)
		rows->out.broken = true;
	lk_enc_bulk(&rows->out, rows->json.data, rows->json.len);
}

static LK_ON_WORKER void
put_resp_row(struct lk_rows *rows)
{
	bool	is_map = rows->format.rows == LK_ROWS_MAPS;
	size_t	i;

	if (is_map)
		lk_enc_map(&rows->out, rows->format.proto, rows->n_columns);
	else
		lk_enc_array(&rows->out, rows->n_columns);
	for (i = 0; i < rows->n_columns; i++) {
		const struct column *column = &rows->columns[i];

		if (is_map)
			lk_buf_append(&rows->out, rows->keys.data +
			    column->key_at, column->key_len);
		put_resp_cell(rows, column, &rows->cells[i]);
	}
}

/* ---- rows ---- */

static void
keep_row(struct lk_rows *rows)
{
	size_t i;

	for (i = 0; i < rows->n_columns; i++) {
		const struct cell *cell = &rows->cells[i];
		uint32_t n = cell->data == NULL ? UINT32_MAX :
		    (uint32_t)cell->n;

		lk_buf_append(&rows->kept, &n, sizeof(n));
		lk_buf_append(&rows->kept, cell->data, cell->n);
	}
}

static size_t
read_kept(struct lk_rows *rows, size_t at)
{
	size_t i;

	for (i = 0; i < rows->n_columns; i++) {
		struct cell *cell = &rows->cells[i];
		uint32_t n;

		memcpy(&n, rows->kept.data + at, sizeof(n));
		at += sizeof(n);
		cell->data = n == UINT32_MAX ? NULL : rows->kept.data + at;
		cell->n = n == UINT32_MAX ? 0 : n;
		at += cell->n;
	}
	return at;
}

static int
check_size(struct lk_rows *rows)
{
	if (rows->out.len <= rows->limit && rows->kept.len <= rows->limit &&
	    !rows->out.broken && !rows->kept.broken)
		return 0;
	rows->is_over = true;
	lk_buf_fini(&rows->out);
	lk_buf_fini(&rows->kept);
	return -LK_E_LIMIT;
}

static LK_ON_WORKER int
put_row(struct lk_rows *rows)
{
	if (rows->format.rows == LK_ROWS_JSON)
		put_json_row(rows);
	else
		put_resp_row(rows);
	return check_size(rows);
}

static LK_ON_WORKER int
add_row(struct lk_rows *rows, const PGresult *res, int row)
{
	size_t i;

	for (i = 0; i < rows->n_columns; i++) {
		bool is_null = PQgetisnull(res, row, (int)i);

		rows->cells[i] = (struct cell){
			is_null ? NULL : PQgetvalue(res, row, (int)i),
			(size_t)PQgetlength(res, row, (int)i),
		};
	}
	rows->n_rows++;
	if (!rows->is_kept)
		return put_row(rows);
	keep_row(rows);
	return check_size(rows);
}

int
lk_rows_add(struct lk_rows *rows, const PGresult *res)
{
	int row, rc;

	lk_assert_worker();
	if (!rows->has_columns) {
		read_columns(rows, res);
		if (!rows->is_kept)
			put_head(rows);
	}
	for (row = 0; row < PQntuples(res) && !rows->is_over; row++) {
		rc = add_row(rows, res, row);
		if (rc < 0)
			return rc;
	}
	return rows->is_over ? -LK_E_LIMIT : 0;
}

size_t
lk_rows_unknown(const struct lk_rows *rows, Oid *oids_out, size_t max)
{
	size_t i, n = 0;

	lk_assert_worker();
	for (i = 0; i < rows->n_columns && rows->is_kept; i++) {
		if (rows->columns[i].type != NULL)
			continue;
		if (n < max)
			oids_out[n] = rows->columns[i].oid;
		n++;
	}
	return n;
}

static LK_ON_WORKER int
encode_kept(struct lk_rows *rows)
{
	size_t		at = 0, i;
	uint64_t	row;
	int		rc = 0;

	for (i = 0; i < rows->n_columns; i++)
		find_type(rows, &rows->columns[i]);
	put_head(rows);
	for (row = 0; row < rows->n_rows && rc == 0; row++) {
		at = read_kept(rows, at);
		rc = put_row(rows);
	}
	return rc;
}

int
lk_rows_finish(struct lk_rows *rows, struct lk_buf *out,
    struct lk_error *error)
{
	lk_assert_worker();
	if (rows->is_over || (rows->is_kept && encode_kept(rows) < 0))
		return -LK_E_LIMIT;
	if (rows->error.is_set) {
		lk_error_move(error, &rows->error);
		return -LK_E_INVAL;
	}
	put_count(rows);
	if (rows->out.len > rows->limit || rows->out.broken)
		return -LK_E_LIMIT;
	lk_buf_move(out, &rows->out);
	return 0;
}
