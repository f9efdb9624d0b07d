#include "resp/encode.h"

#include <string.h>

#include "base/die.h"

/* A type byte, a sign, an integer of 20 digits and CRLF. */
#define HEAD_BYTES	24

/* Written by hand: a head goes before every cell of every row. */
static void
put_head(struct lk_buf *buf, char type, bool is_negative, uint64_t value)
{
	char	 head[HEAD_BYTES];
	char	*p = head + sizeof(head);

	*--p = '\n';
	*--p = '\r';
	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	if (is_negative)
		*--p = '-';
	*--p = type;
	lk_buf_append(buf, p, (size_t)(head + sizeof(head) - p));
}

static void
put_line(struct lk_buf *buf, char type, const char *text, size_t n)
{
	lk_buf_putc(buf, type);
	lk_buf_append(buf, text, n);
	lk_buf_append(buf, "\r\n", 2);
}

void
lk_enc_array(struct lk_buf *buf, size_t n)
{
	put_head(buf, '*', false, n);
}

void
lk_enc_map(struct lk_buf *buf, int proto, size_t n_pairs)
{
	if (proto >= 3)
		put_head(buf, '%', false, n_pairs);
	else
		put_head(buf, '*', false, 2 * (uint64_t)n_pairs);
}

void
lk_enc_push(struct lk_buf *buf, int proto, size_t n)
{
	put_head(buf, proto >= 3 ? '>' : '*', false, n);
}

void
lk_enc_null(struct lk_buf *buf, int proto)
{
	lk_buf_puts(buf, proto >= 3 ? "_\r\n" : "$-1\r\n");
}

void
lk_enc_bool(struct lk_buf *buf, int proto, bool value)
{
	if (proto >= 3)
		lk_buf_puts(buf, value ? "#t\r\n" : "#f\r\n");
	else
		lk_buf_puts(buf, value ? ":1\r\n" : ":0\r\n");
}

void
lk_enc_int(struct lk_buf *buf, int64_t value)
{
	bool is_negative = value < 0;

	put_head(buf, ':', is_negative,
	    is_negative ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Not NaN or an infinity: clients disagree about how RESP3 spells those. */
static bool
is_finite(const char *text, size_t n)
{
	size_t i = n > 0 && text[0] == '-' ? 1 : 0;

	return i < n && text[i] >= '0' && text[i] <= '9';
}

void
lk_enc_double(struct lk_buf *buf, int proto, const char *text, size_t n)
{
	if (proto >= 3 && is_finite(text, n))
		put_line(buf, ',', text, n);
	else
		lk_enc_bulk(buf, text, n);
}

void
lk_enc_bulk(struct lk_buf *buf, const void *bytes, size_t n)
{
	put_head(buf, '$', false, n);
	lk_buf_append(buf, bytes, n);
	lk_buf_append(buf, "\r\n", 2);
}

void
lk_enc_text(struct lk_buf *buf, const char *text)
{
	lk_enc_bulk(buf, text, strlen(text));
}

void
lk_enc_simple(struct lk_buf *buf, const char *text)
{
	lk_assert(strpbrk(text, "\r\n") == NULL);
	put_line(buf, '+', text, strlen(text));
}

/* Bytes of the UTF-8 character at p, or 0 where there is none. */
static size_t
char_len(const unsigned char *p)
{
	/* What the second byte may be, which bars overlong forms, surrogates
	 * and what lies beyond U+10FFFF. */
	unsigned char	low = 0x80, high = 0xbf;
	size_t		len, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (i = 2; i < len; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return len;
}

/*
 * Text on one line, in UTF-8 whatever was given: many clients decode an error
 * before they look at it, and a server that refuses a connection may speak in
 * another encoding.
 */
static void
put_clean(struct lk_buf *buf, const char *text)
{
	const unsigned char	*p = (const unsigned char *)text;
	size_t			 len;

	for (; *p != '\0'; p += len > 0 ? len : 1) {
		len = char_len(p);
		if (len == 0)
			lk_buf_putc(buf, '?');
		else if (*p == '\r' || *p == '\n')
			lk_buf_putc(buf, ' ');
		else
			lk_buf_append(buf, p, len);
	}
}

static void
put_error_line(struct lk_buf *buf, const struct lk_error *error)
{
	lk_buf_puts(buf, lk_error_word(error->kind));
	lk_buf_putc(buf, ' ');
	put_clean(buf, error->sqlstate);
	lk_buf_putc(buf, ' ');
	if (error->message != NULL)
		put_clean(buf, error->message);
}

void
lk_enc_error(struct lk_buf *buf, const struct lk_error *error)
{
	lk_buf_putc(buf, '-');
	put_error_line(buf, error);
	lk_buf_append(buf, "\r\n", 2);
}

void
lk_enc_error_blob(struct lk_buf *buf, const struct lk_error *error)
{
	struct lk_buf text = LK_BUF_INIT;
	int i;

	put_error_line(&text, error);
	lk_buf_printf(&text, "\nretry: %s", lk_retry_word(error->retry));
	for (i = 0; i < LK_FIELD__N; i++) {
		if (error->fields[i] == NULL)
			continue;
		lk_buf_printf(&text, "\n%s: ", lk_error_field_name(i));
		put_clean(&text, error->fields[i]);
	}
	lk_buf_printf(buf, "!%zu\r\n", text.len);
	lk_buf_append(buf, text.data, text.len);
	lk_buf_append(buf, "\r\n", 2);
	if (text.broken)
		buf->broken = true;
	lk_buf_fini(&text);
}
