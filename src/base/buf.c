#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"

#define MIN_CAP	64

void
lk_buf_init(struct lk_buf *buf)
{
	*buf = (struct lk_buf)LK_BUF_INIT;
}

void
lk_buf_fini(struct lk_buf *buf)
{
	free(buf->data);
	lk_buf_init(buf);
}

char *
lk_buf_grow(struct lk_buf *buf, size_t n)
{
	size_t	 cap;
	char	*data;

	if (buf->broken)
		return NULL;
	if (buf->data != NULL && n <= buf->cap - buf->len)
		return buf->data + buf->len;
	if (n > SIZE_MAX / 2 - buf->len) {
		buf->broken = true;
		return NULL;
	}
	cap = buf->cap < MIN_CAP ? MIN_CAP : buf->cap;
	while (cap < buf->len + n)
		cap *= 2;
	data = realloc(buf->data, cap);
	if (data == NULL) {
		buf->broken = true;
		return NULL;
	}
	buf->data = data;
	buf->cap = cap;
	return data + buf->len;
}

void
lk_buf_append(struct lk_buf *buf, const void *bytes, size_t n)
{
	char *to;

	if (n == 0)
		return;
	to = lk_buf_reserve(buf, n);
	if (to == NULL)
		return;
	memcpy(to, bytes, n);
	buf->len += n;
}

void
lk_buf_puts(struct lk_buf *buf, const char *text)
{
	lk_buf_append(buf, text, strlen(text));
}

void
lk_buf_vprintf(struct lk_buf *buf, const char *fmt, va_list ap)
{
	va_list	 again;
	char	*to;
	int	 n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	lk_assert(n >= 0);
	to = lk_buf_reserve(buf, (size_t)n + 1);
	if (to != NULL) {
		vsnprintf(to, (size_t)n + 1, fmt, again);
		buf->len += (size_t)n;
	}
	va_end(again);
}

void
lk_buf_printf(struct lk_buf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lk_buf_vprintf(buf, fmt, ap);
	va_end(ap);
}

void
lk_buf_consume(struct lk_buf *buf, size_t n)
{
	lk_assert(n <= buf->len);
	if (n == 0)
		return;
	buf->len -= n;
	memmove(buf->data, buf->data + n, buf->len);
}

void
lk_buf_truncate(struct lk_buf *buf, size_t len)
{
	lk_assert(len <= buf->len);
	buf->len = len;
}

void
lk_buf_move(struct lk_buf *dst, struct lk_buf *src)
{
	bool was_broken = dst->broken;

	lk_assert(dst->len == 0);
	free(dst->data);
	*dst = *src;
	dst->broken |= was_broken;
	lk_buf_init(src);
}

const char *
lk_buf_cstr(struct lk_buf *buf)
{
	char *end = lk_buf_reserve(buf, 1);

	if (end == NULL)
		return "";
	*end = '\0';
	return buf->data;
}
