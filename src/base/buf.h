/*
 * Byte buffer.  Appends never fail visibly: a failed allocation sets `broken`,
 * which stays, and whoever sends or commits the bytes asks for it once.
 * Not thread-safe; has one owner, which may hand it over.
 */
#ifndef LK_BASE_BUF_H
#define LK_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct lk_buf {
	char	*data;		/* heap, or NULL while nothing was appended */
	size_t	 len;		/* bytes in use */
	size_t	 cap;		/* bytes allocated */
	bool	 broken;	/* an allocation failed: contents are not whole */
};

#define LK_BUF_INIT	{ NULL, 0, 0, false }

void	lk_buf_init(struct lk_buf *buf);
void	lk_buf_fini(struct lk_buf *buf);	/* frees; usable again after */

/* What lk_buf_reserve() does where there is no room yet. */
char	*lk_buf_grow(struct lk_buf *buf, size_t n);

/* Make room for n more bytes and return where they go; NULL when broken. */
static inline char *
lk_buf_reserve(struct lk_buf *buf, size_t n)
{
	return n < buf->cap - buf->len && !buf->broken ?
	    buf->data + buf->len : lk_buf_grow(buf, n);
}

static inline void
lk_buf_putc(struct lk_buf *buf, char c)
{
	char *to = lk_buf_reserve(buf, 1);

	if (to == NULL)
		return;
	*to = c;
	buf->len++;
}

void	lk_buf_append(struct lk_buf *buf, const void *bytes, size_t n);
void	lk_buf_puts(struct lk_buf *buf, const char *text);
void	lk_buf_printf(struct lk_buf *buf, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	lk_buf_vprintf(struct lk_buf *buf, const char *fmt, va_list ap)
	    __attribute__((format(printf, 2, 0)));

/* Drop the first n bytes. */
void	lk_buf_consume(struct lk_buf *buf, size_t n);
/* Cut to len bytes, which may not be more than there are. */
void	lk_buf_truncate(struct lk_buf *buf, size_t len);
/* Give the contents of src to dst, which must hold none; src is empty after. */
void	lk_buf_move(struct lk_buf *dst, struct lk_buf *src);
/* The contents as a NUL-terminated string, owned by buf; "" when broken. */
const char *lk_buf_cstr(struct lk_buf *buf);

#endif
