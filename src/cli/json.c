/* The JSON side of print.h. */
#include <string.h>

#include "cli/print.h"
#include "cli/text.h"

static void
print_text(struct lk_buf *out, const struct lk_reply *value)
{
	size_t n;
	const char *text = lk_reply_text(value, &n);

	lk_text_json(out, text, n);
}

/* JSON's keys are strings. */
static void
print_key(struct lk_buf *out, const struct lk_reply *key)
{
	struct lk_buf text = LK_BUF_INIT;

	if (lk_reply_type(key) == LK_REPLY_TEXT ||
	    lk_reply_type(key) == LK_REPLY_WORD) {
		print_text(out, key);
		return;
	}
	lk_print_json(&text, key);
	lk_text_json(out, text.data, text.len);
	lk_buf_fini(&text);
}

static void
print_pairs(struct lk_buf *out, const struct lk_reply *map)
{
	size_t i;

	lk_buf_putc(out, '{');
	for (i = 0; i < lk_reply_count(map); i++) {
		if (i > 0)
			lk_buf_putc(out, ',');
		print_key(out, lk_reply_key(map, i));
		lk_buf_putc(out, ':');
		lk_print_json(out, lk_reply_at(map, i));
	}
	lk_buf_putc(out, '}');
}

static void
print_elements(struct lk_buf *out, const struct lk_reply *array)
{
	size_t i;

	lk_buf_putc(out, '[');
	for (i = 0; i < lk_reply_count(array); i++) {
		if (i > 0)
			lk_buf_putc(out, ',');
		lk_print_json(out, lk_reply_at(array, i));
	}
	lk_buf_putc(out, ']');
}

/* PostgreSQL's numbers are JSON's, but for NaN and infinities. */
static void
print_double(struct lk_buf *out, const struct lk_reply *value)
{
	size_t n;
	const char *text = lk_reply_text(value, &n);

	if (n > 0 && strspn(text, "0123456789+-.eE") == n)
		lk_buf_append(out, text, n);
	else
		lk_text_json(out, text, n);
}

static void
print_error(struct lk_buf *out, const struct lk_reply *value)
{
	struct lk_buf line = LK_BUF_INIT;

	lk_print_error(&line, value);
	lk_buf_puts(out, "{\"error\":");
	lk_text_json(out, line.data, line.len);
	lk_buf_putc(out, '}');
	lk_buf_fini(&line);
}

void
lk_print_json(struct lk_buf *out, const struct lk_reply *value)
{
	switch (lk_reply_type(value)) {
	case LK_REPLY_NULL:
		lk_buf_puts(out, "null");
		break;
	case LK_REPLY_BOOL:
		lk_buf_puts(out, lk_reply_int(value) ? "true" : "false");
		break;
	case LK_REPLY_INT:
		lk_buf_printf(out, "%lld", (long long)lk_reply_int(value));
		break;
	case LK_REPLY_DOUBLE:
		print_double(out, value);
		break;
	case LK_REPLY_TEXT:
	case LK_REPLY_WORD:
		print_text(out, value);
		break;
	case LK_REPLY_ERROR:
		print_error(out, value);
		break;
	case LK_REPLY_MAP:
		print_pairs(out, value);
		break;
	case LK_REPLY_ARRAY:
	case LK_REPLY_PUSH:
		print_elements(out, value);
		break;
	}
}
