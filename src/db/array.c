#include "db/array.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

/* PostgreSQL's own limit is 6; what is deeper did not come from it. */
#define MAX_DIMS	6

struct reader {
	const char	*p;
	const char	*end;
	char		 delim;
	const struct lk_array_sink *sink;
	struct lk_buf	*scratch;
};

/* Past the bounds, where there are any. */
static const char *
skip_bounds(const char *text, size_t n)
{
	const char *equals;

	if (n == 0 || text[0] != '[')
		return text;
	equals = memchr(text, '=', n);
	return equals != NULL ? equals + 1 : text;
}

/* The quote that ends the string whose text begins at p, or NULL. */
static const char *
end_of_quoted(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '"')
			return p;
		if (*p == '\\')
			p++;
	}
	return NULL;
}

/* How many elements until the brace that closes this level. */
static size_t
count_elements(const struct reader *r)
{
	const char	*p;
	size_t		 n = 1;
	unsigned	 depth = 0;

	if (r->p < r->end && *r->p == '}')
		return 0;
	for (p = r->p; p < r->end; p++) {
		if (*p == '"') {
			p = end_of_quoted(p + 1, r->end);
			if (p == NULL)
				break;
		} else if (*p == '\\') {
			p++;
		} else if (*p == '{') {
			depth++;
		} else if (*p == '}') {
			if (depth-- == 0)
				break;
		} else if (*p == r->delim && depth == 0) {
			n++;
		}
	}
	return n;
}

static void
tell_unescaped(const struct reader *r, const char *from, const char *to)
{
	lk_buf_truncate(r->scratch, 0);
	for (; from < to; from++) {
		if (*from == '\\' && from + 1 < to)
			from++;
		lk_buf_putc(r->scratch, *from);
	}
	/* Never NULL: that would be a NULL and not an empty string. */
	r->sink->element(r->sink->ctx, lk_buf_cstr(r->scratch),
	    r->scratch->len);
}

static void
tell(const struct reader *r, const char *from, const char *to)
{
	if (memchr(from, '\\', (size_t)(to - from)) != NULL)
		tell_unescaped(r, from, to);
	else
		r->sink->element(r->sink->ctx, from, (size_t)(to - from));
}

static int
read_quoted(struct reader *r)
{
	const char *close = end_of_quoted(r->p + 1, r->end);

	if (close == NULL)
		return -LK_E_INVAL;
	tell(r, r->p + 1, close);
	r->p = close + 1;
	return 0;
}

static int
read_bare(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p != r->delim && *r->p != '}') {
		if (*r->p == '{' || *r->p == '"')
			return -LK_E_INVAL;
		r->p += *r->p == '\\' && r->p + 1 < r->end ? 2 : 1;
	}
	if (r->p == from)
		return -LK_E_INVAL;
	if (r->p - from == 4 && strncasecmp(from, "NULL", 4) == 0)
		r->sink->element(r->sink->ctx, NULL, 0);
	else
		tell(r, from, r->p);
	return 0;
}

static int	read_level(struct reader *r, unsigned depth) LK_ON_WORKER;

static int
read_element(struct reader *r, unsigned depth)
{
	lk_assert_worker();
	if (r->p >= r->end)
		return -LK_E_INVAL;
	if (*r->p == '{')
		return read_level(r, depth + 1);
	return *r->p == '"' ? read_quoted(r) : read_bare(r);
}

static int
read_level(struct reader *r, unsigned depth)
{
	size_t	n, i;
	int	rc;

	if (depth > MAX_DIMS || r->p >= r->end || *r->p != '{')
		return -LK_E_INVAL;
	r->p++;
	n = count_elements(r);
	r->sink->open(r->sink->ctx, n);
	for (i = 0; i < n; i++) {
		if (i > 0) {
			if (r->p >= r->end || *r->p != r->delim)
				return -LK_E_INVAL;
			r->p++;
		}
		rc = read_element(r, depth);
		if (rc < 0)
			return rc;
	}
	if (r->p >= r->end || *r->p != '}')
		return -LK_E_INVAL;
	r->p++;
	r->sink->close(r->sink->ctx);
	return 0;
}

int
lk_array_walk(const char *text, size_t n, char delim,
    const struct lk_array_sink *sink, struct lk_buf *scratch)
{
	struct reader r = { skip_bounds(text, n), text + n, delim, sink,
	    scratch };
	int rc;

	lk_assert_worker();
	rc = read_level(&r, 1);
	return rc == 0 && r.p != r.end ? -LK_E_INVAL : rc;
}

unsigned
lk_array_dims(const char *text, size_t n)
{
	const char	*p = skip_bounds(text, n);
	unsigned	 dims = 0;

	lk_assert_worker();
	while (p < text + n && *p == '{') {
		dims++;
		p++;
	}
	return dims;
}

void
lk_array_put(struct lk_buf *array, const char *data, size_t n)
{
	size_t i;

	lk_assert_worker();
	lk_buf_puts(array, array->len == 0 ? "{\"" : ",\"");
	for (i = 0; i < n; i++) {
		if (data[i] == '"' || data[i] == '\\')
			lk_buf_putc(array, '\\');
		lk_buf_putc(array, data[i]);
	}
	lk_buf_putc(array, '"');
}
