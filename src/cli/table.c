#include "cli/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "cli/text.h"

void
lk_table_init(struct lk_table *table, size_t n_columns)
{
	*table = (struct lk_table){ .n_columns = n_columns };
}

void
lk_table_fini(struct lk_table *table)
{
	size_t i;

	for (i = 0; i < table->n_cells; i++)
		lk_buf_fini(&table->cells[i]);
	free(table->cells);
	lk_table_init(table, 0);
}

void
lk_table_add(struct lk_table *table, struct lk_buf *cell)
{
	if (table->n_cells == table->cap_cells) {
		table->cap_cells = table->cap_cells ? 2 * table->cap_cells : 64;
		table->cells = lk_xrealloc(table->cells,
		    table->cap_cells * sizeof(*table->cells));
	}
	table->cells[table->n_cells++] = *cell;
	lk_buf_init(cell);
}

static size_t
n_rows(const struct lk_table *table)
{
	return table->n_cells / table->n_columns;
}

static const struct lk_buf *
cell_at(const struct lk_table *table, size_t row, size_t column)
{
	return &table->cells[row * table->n_columns + column];
}

static size_t
cell_width(const struct lk_buf *cell)
{
	return lk_text_width(cell->data, cell->len);
}

static size_t
column_width(const struct lk_table *table, size_t column)
{
	size_t widest = 0, width, row;

	for (row = 0; row < n_rows(table); row++) {
		width = cell_width(cell_at(table, row, column));
		if (width > widest)
			widest = width;
	}
	return widest;
}

static bool
is_number(const struct lk_buf *cell)
{
	size_t i;

	for (i = 0; i < cell->len; i++) {
		if (strchr("0123456789+-.eE", cell->data[i]) == NULL)
			return false;
	}
	return cell->len > 0 && (cell->data[cell->len - 1] >= '0' &&
	    cell->data[cell->len - 1] <= '9');
}

/* Dates are digits and signs too, but have more than one sign in them. */
static bool
is_number_column(const struct lk_table *table, size_t column)
{
	const struct lk_buf *cell;
	bool has_number = false;
	size_t row;

	for (row = 1; row < n_rows(table); row++) {
		cell = cell_at(table, row, column);
		if (cell->len == 4 && memcmp(cell->data, "NULL", 4) == 0)
			continue;
		if (!is_number(cell) ||
		    memchr(cell->data + 1, '-', cell->len - 1) != NULL)
			return false;
		has_number = true;
	}
	return has_number;
}

static void
pad(struct lk_buf *out, char with, size_t n)
{
	while (n-- > 0)
		lk_buf_putc(out, with);
}

static void
append_cell(struct lk_buf *out, const struct lk_buf *cell)
{
	lk_buf_append(out, cell->data, cell->len);
}

/* Blanks at the end of a line help nobody. */
static void
end_line(struct lk_buf *out)
{
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		lk_buf_truncate(out, out->len - 1);
	lk_buf_putc(out, '\n');
}

size_t
lk_table_width(const struct lk_table *table)
{
	size_t width = 0, column;

	for (column = 0; column < table->n_columns; column++)
		width += column_width(table, column) + 3;
	return width - 1;
}

static void
print_row(const struct lk_table *table, size_t row, const size_t *widths,
    const bool *to_right, struct lk_buf *out)
{
	const struct lk_buf *cell;
	size_t column, blanks;

	for (column = 0; column < table->n_columns; column++) {
		cell = cell_at(table, row, column);
		blanks = widths[column] - cell_width(cell);
		lk_buf_puts(out, column > 0 ? " | " : " ");
		if (to_right[column])
			pad(out, ' ', blanks);
		append_cell(out, cell);
		if (!to_right[column])
			pad(out, ' ', blanks);
	}
	end_line(out);
}

void
lk_table_print(const struct lk_table *table, struct lk_buf *out)
{
	size_t *widths = lk_xcalloc(table->n_columns, sizeof(*widths));
	bool *to_right = lk_xcalloc(table->n_columns, sizeof(*to_right));
	size_t column, row;

	for (column = 0; column < table->n_columns; column++) {
		widths[column] = column_width(table, column);
		to_right[column] = is_number_column(table, column);
	}
	print_row(table, 0, widths, to_right, out);
	for (column = 0; column < table->n_columns; column++) {
		lk_buf_puts(out, column > 0 ? "+" : "");
		pad(out, '-', widths[column] + 2);
	}
	lk_buf_putc(out, '\n');
	for (row = 1; row < n_rows(table); row++)
		print_row(table, row, widths, to_right, out);
	free(to_right);
	free(widths);
}

static void
print_pairs(const struct lk_table *table, size_t row, struct lk_buf *out)
{
	size_t widest = 0, width, column;

	for (column = 0; column < table->n_columns; column++) {
		width = cell_width(cell_at(table, 0, column));
		if (width > widest)
			widest = width;
	}
	for (column = 0; column < table->n_columns; column++) {
		append_cell(out, cell_at(table, 0, column));
		pad(out, ' ', widest + 2 -
		    cell_width(cell_at(table, 0, column)));
		append_cell(out, cell_at(table, row, column));
		end_line(out);
	}
}

void
lk_table_print_blocks(const struct lk_table *table, struct lk_buf *out)
{
	size_t row;

	for (row = 1; row < n_rows(table); row++) {
		lk_buf_printf(out, "-- %zu --\n", row);
		print_pairs(table, row, out);
	}
}

void
lk_table_print_pairs(const struct lk_table *table, struct lk_buf *out)
{
	print_pairs(table, 1, out);
}
