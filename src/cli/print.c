#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/text.h"

/* Whether both have texts as keys, and the same ones. */
static bool
has_same_keys(const struct lk_reply *a, const struct lk_reply *b)
{
	const char *key_a, *key_b;
	size_t i, n_a, n_b;

	if (lk_reply_type(a) != LK_REPLY_MAP || lk_reply_count(a) == 0 ||
	    lk_reply_count(a) != lk_reply_count(b))
		return false;
	for (i = 0; i < lk_reply_count(a); i++) {
		key_a = lk_reply_text(lk_reply_key(a, i), &n_a);
		key_b = lk_reply_text(lk_reply_key(b, i), &n_b);
		if (lk_reply_type(lk_reply_key(a, i)) == LK_REPLY_INT ||
		    n_a != n_b || memcmp(key_a, key_b, n_a) != 0)
			return false;
	}
	return true;
}

static bool
is_rows(const struct lk_reply *value)
{
	size_t i;

	if (lk_reply_type(value) != LK_REPLY_ARRAY ||
	    lk_reply_count(value) == 0)
		return false;
	for (i = 0; i < lk_reply_count(value); i++) {
		if (!has_same_keys(lk_reply_at(value, i),
		    lk_reply_at(value, 0)))
			return false;
	}
	return true;
}

void
lk_print_error(struct lk_buf *out, const struct lk_reply *error)
{
	const char *text;
	size_t n;

	if (lk_reply_kind_word(error)[0] != '\0')
		lk_buf_printf(out, "%s %s ", lk_reply_kind_word(error),
		    lk_reply_sqlstate(error));
	text = lk_reply_text(error, &n);
	lk_text_escape(out, text, n);
}

static void
print_text(struct lk_buf *out, const struct lk_reply *value)
{
	size_t n;
	const char *text = lk_reply_text(value, &n);

	lk_text_escape(out, text, n);
}

static void
print_cell(struct lk_buf *out, const struct lk_reply *value)
{
	switch (lk_reply_type(value)) {
	case LK_REPLY_NULL:
		lk_buf_puts(out, "NULL");
		break;
	case LK_REPLY_TEXT:
	case LK_REPLY_WORD:
		print_text(out, value);
		break;
	case LK_REPLY_ERROR:
		lk_print_error(out, value);
		break;
	default:
		lk_print_json(out, value);
		break;
	}
}

static void
add_cell(struct lk_table *table, const struct lk_reply *value)
{
	struct lk_buf text = LK_BUF_INIT;

	print_cell(&text, value);
	lk_table_add(table, &text);
}

static void
print_rows(struct lk_buf *out, const struct lk_reply *rows, size_t max_width)
{
	const struct lk_reply *first = lk_reply_at(rows, 0);
	size_t n_columns = lk_reply_count(first), n = lk_reply_count(rows);
	size_t i, k;
	struct lk_table table;

	lk_table_init(&table, n_columns);
	for (k = 0; k < n_columns; k++)
		add_cell(&table, lk_reply_key(first, k));
	for (i = 0; i < n; i++) {
		for (k = 0; k < n_columns; k++)
			add_cell(&table, lk_reply_at(lk_reply_at(rows, i), k));
	}
	if (max_width > 0 && lk_table_width(&table) > max_width)
		lk_table_print_blocks(&table, out);
	else
		lk_table_print(&table, out);
	lk_table_fini(&table);
	lk_buf_printf(out, "(%zu row%s)\n", n, n == 1 ? "" : "s");
}

static void
print_map(struct lk_buf *out, const struct lk_reply *map)
{
	struct lk_table table;
	size_t n = lk_reply_count(map), i;

	lk_table_init(&table, n);
	for (i = 0; i < n; i++)
		add_cell(&table, lk_reply_key(map, i));
	for (i = 0; i < n; i++)
		add_cell(&table, lk_reply_at(map, i));
	lk_table_print_pairs(&table, out);
	lk_table_fini(&table);
}

static void
print_scalar(struct lk_buf *out, const struct lk_reply *value)
{
	const char *text;
	size_t n;

	switch (lk_reply_type(value)) {
	case LK_REPLY_NULL:
		lk_buf_puts(out, "(null)");
		break;
	case LK_REPLY_BOOL:
		lk_buf_puts(out, lk_reply_int(value) ? "(true)" : "(false)");
		break;
	case LK_REPLY_INT:
		lk_buf_printf(out, "(integer) %lld",
		    (long long)lk_reply_int(value));
		break;
	case LK_REPLY_DOUBLE:
		lk_buf_puts(out, "(double) ");
		print_text(out, value);
		break;
	case LK_REPLY_TEXT:
		text = lk_reply_text(value, &n);
		lk_text_quote(out, text, n);
		break;
	case LK_REPLY_ERROR:
		lk_buf_puts(out, "(error) ");
		lk_print_error(out, value);
		break;
	case LK_REPLY_WORD:
		print_text(out, value);
		break;
	default:
		lk_print_json(out, value);
		break;
	}
}

bool
lk_print_is_tagged(const struct lk_reply *value)
{
	const struct lk_reply *first = lk_reply_at(value, 0);

	return lk_reply_type(value) == LK_REPLY_ARRAY &&
	    lk_reply_count(value) == 3 &&
	    lk_reply_type(first) == LK_REPLY_WORD &&
	    strcmp(lk_reply_text(first, NULL), "reply") == 0;
}

void
lk_print_human(struct lk_buf *out, const struct lk_reply *value,
    size_t max_width)
{
	enum lk_reply_type type;
	size_t n, i;

	if (lk_print_is_tagged(value)) {
		lk_buf_putc(out, '@');
		print_cell(out, lk_reply_at(value, 1));
		lk_buf_puts(out, ":\n");
		value = lk_reply_at(value, 2);
	}
	type = lk_reply_type(value);
	n = lk_reply_count(value);
	if (type == LK_REPLY_PUSH) {
		lk_print_push(out, value);
		lk_buf_putc(out, '\n');
	} else if (is_rows(value)) {
		print_rows(out, value, max_width);
	} else if (type == LK_REPLY_MAP && n > 0) {
		print_map(out, value);
	} else if (type == LK_REPLY_ARRAY) {
		for (i = 0; i < n; i++) {
			lk_buf_printf(out, "%zu) ", i + 1);
			print_scalar(out, lk_reply_at(value, i));
			lk_buf_putc(out, '\n');
		}
		if (n == 0)
			lk_buf_puts(out, "(0 rows)\n");
	} else {
		print_scalar(out, value);
		lk_buf_putc(out, '\n');
	}
}
