#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/text.h"

static bool
is_rows(const struct lk_value *value)
{
	const struct lk_value *first, *row;
	size_t i, k;

	if (value->type != LK_VALUE_ARRAY || value->n_items == 0)
		return false;
	first = &value->items[0];
	for (i = 0; i < value->n_items; i++) {
		row = &value->items[i];
		if (row->type != LK_VALUE_MAP || row->n_items == 0 ||
		    row->n_items != first->n_items)
			return false;
		for (k = 0; k < row->n_items; k += 2) {
			if (row->items[k].text == NULL ||
			    row->items[k].n_text != first->items[k].n_text ||
			    memcmp(row->items[k].text, first->items[k].text,
			    row->items[k].n_text) != 0)
				return false;
		}
	}
	return true;
}

static void
print_cell(struct lk_buf *out, const struct lk_value *value)
{
	switch (value->type) {
	case LK_VALUE_NULL:
		lk_buf_puts(out, "NULL");
		break;
	case LK_VALUE_BULK:
	case LK_VALUE_SIMPLE:
	case LK_VALUE_ERROR:
		lk_text_escape(out, value->text, value->n_text);
		break;
	default:
		lk_print_json(out, value);
		break;
	}
}

static void
add_cell(struct lk_table *table, const struct lk_value *value)
{
	struct lk_buf text = LK_BUF_INIT;

	print_cell(&text, value);
	lk_table_add(table, &text);
}

static void
print_rows(struct lk_buf *out, const struct lk_value *rows, size_t max_width)
{
	size_t n_columns = rows->items[0].n_items / 2, i, k;
	struct lk_table table;

	lk_table_init(&table, n_columns);
	for (k = 0; k < n_columns; k++)
		add_cell(&table, &rows->items[0].items[2 * k]);
	for (i = 0; i < rows->n_items; i++) {
		for (k = 0; k < n_columns; k++)
			add_cell(&table, &rows->items[i].items[2 * k + 1]);
	}
	if (max_width > 0 && lk_table_width(&table) > max_width)
		lk_table_print_blocks(&table, out);
	else
		lk_table_print(&table, out);
	lk_table_fini(&table);
	lk_buf_printf(out, "(%zu row%s)\n", rows->n_items,
	    rows->n_items == 1 ? "" : "s");
}

static void
print_map(struct lk_buf *out, const struct lk_value *map)
{
	struct lk_table table;
	size_t i;

	lk_table_init(&table, map->n_items / 2);
	for (i = 0; i < map->n_items; i += 2)
		add_cell(&table, &map->items[i]);
	for (i = 0; i < map->n_items; i += 2)
		add_cell(&table, &map->items[i + 1]);
	lk_table_print_pairs(&table, out);
	lk_table_fini(&table);
}

static void
print_scalar(struct lk_buf *out, const struct lk_value *value)
{
	switch (value->type) {
	case LK_VALUE_NULL:
		lk_buf_puts(out, "(null)");
		break;
	case LK_VALUE_BOOL:
		lk_buf_puts(out, value->integer ? "(true)" : "(false)");
		break;
	case LK_VALUE_INT:
		lk_buf_printf(out, "(integer) %lld",
		    (long long)value->integer);
		break;
	case LK_VALUE_DOUBLE:
		lk_buf_puts(out, "(double) ");
		lk_text_escape(out, value->text, value->n_text);
		break;
	case LK_VALUE_BULK:
		lk_text_quote(out, value->text, value->n_text);
		break;
	case LK_VALUE_ERROR:
		lk_buf_puts(out, "(error) ");
		lk_text_escape(out, value->text, value->n_text);
		break;
	case LK_VALUE_SIMPLE:
		lk_text_escape(out, value->text, value->n_text);
		break;
	default:
		lk_print_json(out, value);
		break;
	}
}

static bool
is_tagged(const struct lk_value *value)
{
	return value->type == LK_VALUE_ARRAY && value->n_items == 3 &&
	    value->items[0].type == LK_VALUE_SIMPLE &&
	    strcmp(value->items[0].text, "reply") == 0;
}

void
lk_print_human(struct lk_buf *out, const struct lk_value *value,
    size_t max_width)
{
	size_t i;

	if (is_tagged(value)) {
		lk_buf_putc(out, '@');
		print_cell(out, &value->items[1]);
		lk_buf_puts(out, ":\n");
		value = &value->items[2];
	}
	if (value->type == LK_VALUE_PUSH) {
		lk_print_push(out, value);
		lk_buf_putc(out, '\n');
	} else if (is_rows(value)) {
		print_rows(out, value, max_width);
	} else if (value->type == LK_VALUE_MAP && value->n_items > 0) {
		print_map(out, value);
	} else if (value->type == LK_VALUE_ARRAY) {
		for (i = 0; i < value->n_items; i++) {
			lk_buf_printf(out, "%zu) ", i + 1);
			print_scalar(out, &value->items[i]);
			lk_buf_putc(out, '\n');
		}
		if (value->n_items == 0)
			lk_buf_puts(out, "(0 rows)\n");
	} else {
		print_scalar(out, value);
		lk_buf_putc(out, '\n');
	}
}
