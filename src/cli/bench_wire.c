#include <string.h>

#include "cli/bench.h"

#define MAX_DIGITS	18

/* "*12\r\n" and the like. */
static void
put_head(struct lk_buf *buf, char sign, size_t n)
{
	char text[24], *p = text + sizeof(text);

	*--p = '\n';
	*--p = '\r';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	*--p = sign;
	lk_buf_append(buf, p, (size_t)(text + sizeof(text) - p));
}

void
lk_bench_encode(struct lk_buf *buf, const struct lk_bench_word *words,
    size_t n_words)
{
	size_t i;

	put_head(buf, '*', n_words);
	for (i = 0; i < n_words; i++) {
		put_head(buf, '$', words[i].len);
		lk_buf_append(buf, words[i].data, words[i].len);
		lk_buf_append(buf, "\r\n", 2);
	}
}

struct cursor {
	const char	*at;
	const char	*end;
};

/*
 * The next line, without its sign and its end; false when it is not whole.
 */
static bool
take_line(struct cursor *cursor, char *sign_out, const char **line_out,
    size_t *n_out)
{
	const char *lf = NULL;

	if (cursor->at < cursor->end)
		lf = memchr(cursor->at, '\n',
		    (size_t)(cursor->end - cursor->at));
	if (lf == NULL)
		return false;
	*sign_out = *cursor->at;
	*line_out = cursor->at + 1;
	*n_out = lf - cursor->at < 2 ? 0 : (size_t)(lf - cursor->at) - 2;
	cursor->at = lf + 1;
	return true;
}

/* The number in a line; -1 when it is none, or less than 0. */
static int64_t
number_in(const char *line, size_t n)
{
	int64_t number = 0;
	size_t i;

	if (n == 0 || n > MAX_DIGITS)
		return -1;
	for (i = 0; i < n; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -1;
		number = 10 * number + (line[i] - '0');
	}
	return number;
}

/* Past a string whose head said n_text; null has none. */
static bool
skip_text(struct cursor *cursor, int64_t n_text)
{
	if (n_text < 0)
		return true;
	if (cursor->end - cursor->at < n_text + 2)
		return false;
	cursor->at += n_text + 2;
	return true;
}

/* Past one value: 1, 0 when it is not whole, -1 when it is no RESP. */
static int
skip_value(struct cursor *cursor)
{
	int64_t n_left = 1;
	const char *line;
	size_t n_line;
	char sign;

	while (n_left-- > 0) {
		if (!take_line(cursor, &sign, &line, &n_line))
			return 0;
		if (strchr("$!=", sign) != NULL) {
			if (!skip_text(cursor, number_in(line, n_line)))
				return 0;
		} else if (strchr("*~>%", sign) != NULL) {
			int64_t n = number_in(line, n_line);

			n_left += n < 0 ? 0 : sign == '%' ? 2 * n : n;
		} else if (strchr("+-:,#_(", sign) == NULL) {
			return -1;
		}
	}
	return 1;
}

/* [reply, tag, …: 1, 0 and -1 as above. */
static int
take_tag(struct cursor *cursor, uint64_t *tag_out)
{
	static const char head[] = "*3\r\n+reply\r\n";
	size_t n = (size_t)(cursor->end - cursor->at);
	const char *line;
	int64_t n_tag, tag;
	size_t n_line;
	char sign;

	if (memcmp(cursor->at, head, n < sizeof(head) - 1 ? n :
	    sizeof(head) - 1) != 0)
		return -1;
	if (n < sizeof(head) - 1)
		return 0;
	cursor->at += sizeof(head) - 1;
	if (!take_line(cursor, &sign, &line, &n_line))
		return 0;
	n_tag = sign == '$' ? number_in(line, n_line) : -1;
	if (n_tag < 0)
		return -1;
	line = cursor->at;
	if (!skip_text(cursor, n_tag))
		return 0;
	tag = number_in(line, (size_t)n_tag);
	*tag_out = (uint64_t)tag;
	return tag < 0 ? -1 : 1;
}

ptrdiff_t
lk_bench_scan(const char *bytes, size_t n, struct lk_bench_reply *reply_out)
{
	struct cursor cursor = { bytes, bytes + n }, ahead;
	int rc;

	if (n == 0)
		return 0;
	rc = take_tag(&cursor, &reply_out->tag);
	if (rc <= 0)
		return rc;
	ahead = cursor;
	if (!take_line(&ahead, &reply_out->type, &reply_out->line,
	    &reply_out->n_line))
		return 0;
	rc = skip_value(&cursor);
	return rc <= 0 ? rc : cursor.at - bytes;
}
