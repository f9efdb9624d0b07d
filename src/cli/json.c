/* The JSON side of print.h. */
#include <string.h>

#include "cli/print.h"
#include "cli/text.h"

static void
print_pairs(struct lk_buf *out, const struct lk_value *map)
{
	size_t i;

	lk_buf_putc(out, '{');
	for (i = 0; i + 1 < map->n_items; i += 2) {
		if (i > 0)
			lk_buf_putc(out, ',');
		if (map->items[i].text != NULL) {
			lk_text_json(out, map->items[i].text,
			    map->items[i].n_text);
		} else {
			/* JSON's keys are strings. */
			struct lk_buf key = LK_BUF_INIT;

			lk_print_json(&key, &map->items[i]);
			lk_text_json(out, key.data, key.len);
			lk_buf_fini(&key);
		}
		lk_buf_putc(out, ':');
		lk_print_json(out, &map->items[i + 1]);
	}
	lk_buf_putc(out, '}');
}

static void
print_elements(struct lk_buf *out, const struct lk_value *array)
{
	size_t i;

	lk_buf_putc(out, '[');
	for (i = 0; i < array->n_items; i++) {
		if (i > 0)
			lk_buf_putc(out, ',');
		lk_print_json(out, &array->items[i]);
	}
	lk_buf_putc(out, ']');
}

/* PostgreSQL's numbers are JSON's, but for NaN and infinities. */
static void
print_double(struct lk_buf *out, const struct lk_value *value)
{
	if (value->n_text > 0 &&
	    strspn(value->text, "0123456789+-.eE") == value->n_text)
		lk_buf_append(out, value->text, value->n_text);
	else
		lk_text_json(out, value->text, value->n_text);
}

static void
print_error(struct lk_buf *out, const struct lk_value *value)
{
	lk_buf_puts(out, "{\"error\":");
	lk_text_json(out, value->text, value->n_text);
	lk_buf_putc(out, '}');
}

void
lk_print_json(struct lk_buf *out, const struct lk_value *value)
{
	switch (value->type) {
	case LK_VALUE_NULL:
		lk_buf_puts(out, "null");
		break;
	case LK_VALUE_BOOL:
		lk_buf_puts(out, value->integer ? "true" : "false");
		break;
	case LK_VALUE_INT:
		lk_buf_printf(out, "%lld", (long long)value->integer);
		break;
	case LK_VALUE_DOUBLE:
		print_double(out, value);
		break;
	case LK_VALUE_BULK:
	case LK_VALUE_SIMPLE:
		lk_text_json(out, value->text, value->n_text);
		break;
	case LK_VALUE_ERROR:
		print_error(out, value);
		break;
	case LK_VALUE_MAP:
		print_pairs(out, value);
		break;
	case LK_VALUE_ARRAY:
	case LK_VALUE_PUSH:
		print_elements(out, value);
		break;
	}
}
