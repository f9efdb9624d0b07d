#include "cli/text.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

void
lk_text_init(void)
{
	setlocale(LC_CTYPE, "");
	if (MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* Bytes of the character at text, or 0 when it is no UTF-8. */
static size_t
read_rune(const char *text, size_t n, uint32_t *rune_out)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)text[0];
	size_t size, i;
	uint32_t rune;

	size = first < 0x80 ? 1 : (first & 0xe0) == 0xc0 ? 2 :
	    (first & 0xf0) == 0xe0 ? 3 : (first & 0xf8) == 0xf0 ? 4 : 0;
	if (size == 0 || size > n)
		return 0;
	rune = size == 1 ? first : first & (0x7fU >> size);
	for (i = 1; i < size; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		rune = rune << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (rune < smallest[size] || rune > 0x10ffff ||
	    (rune >= 0xd800 && rune <= 0xdfff))
		return 0;
	*rune_out = rune;
	return size;
}

size_t
lk_text_width(const char *text, size_t n)
{
	size_t width = 0, size;
	uint32_t rune;
	int columns;

	while (n > 0) {
		size = read_rune(text, n, &rune);
		columns = size == 0 ? 1 : wcwidth((wchar_t)rune);
		width += columns < 0 ? 1 : (size_t)columns;
		text += size == 0 ? 1 : size;
		n -= size == 0 ? 1 : size;
	}
	return width;
}

static void
escape_byte(struct lk_buf *out, unsigned char byte)
{
	static const char letters[] = "abtnvfr";	/* 7 to 13 */

	if (byte >= 7 && byte <= 13)
		lk_buf_printf(out, "\\%c", letters[byte - 7]);
	else
		lk_buf_printf(out, "\\x%02x", byte);
}

static void
escape_text(struct lk_buf *out, const char *text, size_t n, bool is_quoted)
{
	size_t size, i;
	uint32_t rune;

	while (n > 0) {
		size = read_rune(text, n, &rune);
		if (is_quoted && (*text == '"' || *text == '\\'))
			lk_buf_putc(out, '\\');
		if (size > 0 && wcwidth((wchar_t)rune) >= 0 && rune != 0) {
			lk_buf_append(out, text, size);
		} else {
			size = size == 0 ? 1 : size;
			for (i = 0; i < size; i++)
				escape_byte(out, (unsigned char)text[i]);
		}
		text += size;
		n -= size;
	}
}

void
lk_text_escape(struct lk_buf *out, const char *text, size_t n)
{
	escape_text(out, text, n, false);
}

void
lk_text_quote(struct lk_buf *out, const char *text, size_t n)
{
	lk_buf_putc(out, '"');
	escape_text(out, text, n, true);
	lk_buf_putc(out, '"');
}

void
lk_text_json(struct lk_buf *out, const char *text, size_t n)
{
	size_t size;
	uint32_t rune;

	lk_buf_putc(out, '"');
	while (n > 0) {
		size = read_rune(text, n, &rune);
		if (size == 0)
			lk_buf_puts(out, "\\ufffd");
		else if (rune == '"' || rune == '\\')
			lk_buf_printf(out, "\\%c", (char)rune);
		else if (rune == '\n')
			lk_buf_puts(out, "\\n");
		else if (rune < 0x20 || rune == 0x7f)
			lk_buf_printf(out, "\\u%04x", (unsigned)rune);
		else
			lk_buf_append(out, text, size);
		size = size == 0 ? 1 : size;
		text += size;
		n -= size;
	}
	lk_buf_putc(out, '"');
}
