#include "db/cell.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "resp/encode.h"

/* int8 has so many at most. */
#define MAX_DIGITS	19

static const char *
skip_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static const char *
skip_one_of(const char *p, const char *end, const char *chars)
{
	return p < end && *p != '\0' && strchr(chars, *p) != NULL ? p + 1 : p;
}

/* A number as JSON has it, and RESP; NaN and the infinities are none. */
static bool
is_number(const char *data, size_t n)
{
	const char *end = data + n;
	const char *from = skip_one_of(data, end, "-");
	const char *p = skip_digits(from, end);

	if (p == from)
		return false;
	if (p < end && *p == '.')
		p = skip_digits(p + 1, end);
	if (p < end && *p == 'e') {
		from = skip_one_of(p + 1, end, "+-");
		p = skip_digits(from, end);
		if (p == from)
			return false;
	}
	return p == end;
}

static bool
is_int(const char *data, size_t n)
{
	const char *from = skip_one_of(data, data + n, "-");
	size_t n_digits = (size_t)(data + n - from);

	return n_digits > 0 && n_digits <= MAX_DIGITS &&
	    skip_digits(from, data + n) == data + n;
}

static int64_t
parse_int(const char *data, size_t n)
{
	uint64_t	value = 0;
	size_t		i = n > 0 && data[0] == '-' ? 1 : 0;
	bool		is_negative = i == 1;

	for (; i < n; i++)
		value = value * 10 + (uint64_t)(data[i] - '0');
	return (int64_t)(is_negative ? 0 - value : value);
}

static unsigned char
nibble(char c)
{
	return (unsigned char)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static void
decode_hex(struct lk_buf *bytes, const char *data, size_t n)
{
	size_t	 n_bytes = n / 2, i;
	char	*to = lk_buf_reserve(bytes, n_bytes);

	if (to == NULL)
		return;
	for (i = 0; i < n_bytes; i++)
		to[i] = (char)(nibble(data[2 * i]) << 4 |
		    nibble(data[2 * i + 1]));
	bytes->len += n_bytes;
}

static void
decode_escaped(struct lk_buf *bytes, const char *data)
{
	size_t		 n_bytes;
	unsigned char	*raw = PQunescapeBytea((const unsigned char *)data,
	    &n_bytes);

	if (raw == NULL) {
		bytes->broken = true;
		return;
	}
	lk_buf_append(bytes, raw, n_bytes);
	PQfreemem(raw);
}

/* The session has bytea_output = hex, unless the client's SQL has set it. */
static void
put_bytea(struct lk_buf *out, const char *data, size_t n)
{
	struct lk_buf	bytes = LK_BUF_INIT;
	struct lk_buf	text = LK_BUF_INIT;

	if (n >= 2 && data[0] == '\\' && data[1] == 'x') {
		decode_hex(&bytes, data + 2, n - 2);
	} else {
		lk_buf_append(&text, data, n);
		decode_escaped(&bytes, lk_buf_cstr(&text));
	}
	if (bytes.broken)
		out->broken = true;
	lk_enc_bulk(out, bytes.data, bytes.len);
	lk_buf_fini(&bytes);
	lk_buf_fini(&text);
}

void
lk_cell_resp(struct lk_buf *out, int proto, enum lk_cell_class cls,
    const char *data, size_t n)
{
	lk_assert_worker();
	if (data == NULL) {
		lk_enc_null(out, proto);
		return;
	}
	switch (cls) {
	case LK_CELL_BOOL:
		lk_enc_bool(out, proto, n > 0 && data[0] == 't');
		break;
	case LK_CELL_INT:
		if (is_int(data, n))
			lk_enc_int(out, parse_int(data, n));
		else
			lk_enc_bulk(out, data, n);
		break;
	case LK_CELL_DOUBLE:
		if (is_number(data, n))
			lk_enc_double(out, proto, data, n);
		else
			lk_enc_bulk(out, data, n);
		break;
	case LK_CELL_BYTEA:
		put_bytea(out, data, n);
		break;
	case LK_CELL_TEXT:
	case LK_CELL_NUMERIC:
	case LK_CELL_JSON:
		lk_enc_bulk(out, data, n);
		break;
	}
}

void
lk_cell_json_string(struct lk_buf *out, const char *data, size_t n)
{
	size_t from = 0, i;

	lk_assert_worker();
	lk_buf_putc(out, '"');
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		lk_buf_append(out, data + from, i - from);
		from = i + 1;
		if (c < 0x20)
			lk_buf_printf(out, "\\u%04x", c);
		else
			lk_buf_printf(out, "\\%c", c);
	}
	lk_buf_append(out, data + from, n - from);
	lk_buf_putc(out, '"');
}

void
lk_cell_json(struct lk_buf *out, enum lk_cell_class cls, const char *data,
    size_t n)
{
	lk_assert_worker();
	if (data == NULL)
		lk_buf_puts(out, "null");
	else if (cls == LK_CELL_BOOL)
		lk_buf_puts(out, n > 0 && data[0] == 't' ? "true" : "false");
	else if (cls == LK_CELL_JSON || ((cls == LK_CELL_INT ||
	    cls == LK_CELL_DOUBLE || cls == LK_CELL_NUMERIC) &&
	    is_number(data, n)))
		lk_buf_append(out, data, n);
	else
		lk_cell_json_string(out, data, n);
}

size_t
lk_cell_number(const struct lk_cell *cell)
{
	size_t i, number = 0;

	for (i = 0; cell->data != NULL && i < cell->n &&
	    cell->data[i] >= '0' && cell->data[i] <= '9'; i++)
		number = number * 10 + (size_t)(cell->data[i] - '0');
	return number;
}
