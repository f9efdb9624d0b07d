#include "resp/wire.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

int
lk_wire_find_line(const char *bytes, size_t n, size_t pos, size_t end,
    size_t *scanned, size_t *len_out, struct lk_error *error)
{
	size_t		 from = *scanned > pos ? *scanned : pos;
	size_t		 to = n < end ? n : end;
	const char	*lf = NULL;

	if (from < to)
		lf = memchr(bytes + from, '\n', to - from);
	if (lf == NULL) {
		*scanned = from > to ? from : to;
		return n < end ? -LK_E_AGAIN : -LK_E_LIMIT;
	}
	if (lf == bytes + pos || lf[-1] != '\r') {
		lk_error_set(error, LK_ERR_PROTO, "line ends with LF alone, "
		    "expected CRLF");
		return -LK_E_INVAL;
	}
	*scanned = (size_t)(lf - bytes) + 1;
	*len_out = (size_t)(lf - bytes) - 1 - pos;
	return 0;
}

bool
lk_wire_parse_int(const char *text, size_t n, int64_t *value_out)
{
	bool		 is_negative = n > 0 && text[0] == '-';
	size_t		 i = is_negative ? 1 : 0;
	uint64_t	 max = (uint64_t)INT64_MAX + (is_negative ? 1 : 0);
	uint64_t	 value = 0;
	unsigned	 digit;

	if (i == n || (text[i] == '0' && n > 1))
		return false;
	for (; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		digit = (unsigned)(text[i] - '0');
		if (value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	/* Negated as unsigned: -INT64_MIN is no int64_t. */
	*value_out = (int64_t)(is_negative ? 0 - value : value);
	return true;
}

static size_t
skip_digits(const char *text, size_t n, size_t i)
{
	while (i < n && text[i] >= '0' && text[i] <= '9')
		i++;
	return i;
}

static bool
is_word(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && strncasecmp(text, word, n) == 0;
}

bool
lk_wire_is_double(const char *text, size_t n)
{
	size_t i = n > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
	size_t n_digits, from;

	if (is_word(text + i, n - i, "inf") || is_word(text + i, n - i, "nan"))
		return true;
	from = i;
	i = skip_digits(text, n, i);
	n_digits = i - from;
	if (i < n && text[i] == '.') {
		from = ++i;
		i = skip_digits(text, n, i);
		n_digits += i - from;
	}
	if (n_digits == 0)
		return false;
	if (i < n && (text[i] == 'e' || text[i] == 'E')) {
		i++;
		if (i < n && (text[i] == '-' || text[i] == '+'))
			i++;
		from = i;
		i = skip_digits(text, n, i);
		if (i == from)
			return false;
	}
	return i == n;
}

const char *
lk_wire_show_byte(char c, char shown[LK_WIRE_SHOWN_BYTES])
{
	if (c >= 0x20 && c < 0x7f)
		snprintf(shown, LK_WIRE_SHOWN_BYTES, "'%c'", c);
	else
		snprintf(shown, LK_WIRE_SHOWN_BYTES, "byte 0x%02x",
		    (unsigned char)c);
	return shown;
}
