#include "base/utf8.h"

/* How many bytes of a character follow its first, and from where to where the
 * first of them goes, so that no character is written longer than it needs to
 * be, and none is half of a pair of UTF-16. */
static const struct row {
	unsigned char	first, last;	/* of first bytes */
	unsigned char	n_more, low, high;
} rows[] = {
	{ 0x00, 0x7f, 0, 0, 0 },
	{ 0xc2, 0xdf, 1, 0x80, 0xbf },
	{ 0xe0, 0xe0, 2, 0xa0, 0xbf },
	{ 0xe1, 0xec, 2, 0x80, 0xbf },
	{ 0xed, 0xed, 2, 0x80, 0x9f },
	{ 0xee, 0xef, 2, 0x80, 0xbf },
	{ 0xf0, 0xf0, 3, 0x90, 0xbf },
	{ 0xf1, 0xf3, 3, 0x80, 0xbf },
	{ 0xf4, 0xf4, 3, 0x80, 0x8f },
};

size_t
lk_utf8_len(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	const struct row *row = rows;
	size_t i;

	if (n == 0)
		return 0;
	while (*p < row->first || *p > row->last) {
		if (++row == rows + sizeof(rows) / sizeof(*row))
			return 0;
	}
	if (row->n_more >= n)
		return 0;
	if (row->n_more > 0 && (p[1] < row->low || p[1] > row->high))
		return 0;
	for (i = 2; i <= row->n_more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return (size_t)row->n_more + 1;
}

bool
lk_utf8_is_text(const char *text, size_t n)
{
	size_t i, len;

	for (i = 0; i < n; i += len) {
		len = lk_utf8_len(text + i, n - i);
		if (len == 0)
			return false;
	}
	return true;
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

void
lk_utf8_show(struct lk_buf *out, const char *text, size_t n, size_t max_bytes)
{
	size_t i, len;

	lk_buf_putc(out, '"');
	for (i = 0; i < n; i += len) {
		len = lk_utf8_len(text + i, n - i);
		if (i + (len > 0 ? len : 1) > max_bytes)
			break;
		if (len == 0 || is_control(text[i]))
			lk_buf_putc(out, '?');
		else
			lk_buf_append(out, text + i, len);
		len = len > 0 ? len : 1;
	}
	lk_buf_puts(out, i < n ? "...\"" : "\"");
}

void
lk_utf8_escape(struct lk_buf *out, const char *text, size_t n)
{
	size_t i, len;

	for (i = 0; i < n; i += len > 0 ? len : 1) {
		len = lk_utf8_len(text + i, n - i);
		if (len == 0 || is_control(text[i]))
			lk_buf_printf(out, "\\x%02x", (unsigned char)text[i]);
		else
			lk_buf_append(out, text + i, len);
	}
}
