#include "resp/request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/die.h"
#include "resp/wire.h"

/* Kept from one request to the next; what a large one needed is given back. */
#define KEEP_ARGS	256
#define KEEP_BYTES	4096
#define FIRST_ARGS	16

/* Sizes of more digits are read with care. */
#define QUICK_DIGITS	7

bool
lk_arg_is(const struct lk_arg *arg, const char *word)
{
	return arg != NULL && arg->data != NULL && arg->len == strlen(word) &&
	    strncasecmp(arg->data, word, arg->len) == 0;
}

enum step {
	STEP_FIRST,	/* nothing known yet */
	STEP_INLINE,	/* an inline line, its end not seen */
	STEP_COUNT,	/* an array, its count not read */
	STEP_ELEMENT,	/* pos is where the next element begins */
	STEP_BODY,	/* pos is the first byte of a bulk string */
	STEP_OVER,	/* a result was given: the next call starts anew */
};

/* An element by offset, since the caller may move its bytes between calls. */
struct mark {
	size_t	start;		/* in the bytes or, when inline, in text */
	size_t	len;
};

#define NO_BYTES	SIZE_MAX	/* start of an SQL NULL */

struct lk_request_decoder {
	size_t		 max_bytes;
	enum step	 step;
	size_t		 pos;		/* all before it is understood */
	size_t		 scanned;	/* no line end between pos and here */
	size_t		 n_wanted;	/* elements announced */
	size_t		 n_body;	/* STEP_BODY: bytes of the string */
	bool		 is_inline;
	struct lk_buf	 text;		/* an inline line, unquoted */
	struct mark	*marks;		/* elements found so far */
	size_t		 n_marks;
	size_t		 cap_marks;
	struct lk_arg	*args;		/* the result, made from marks */
	size_t		 cap_args;
};

/* What one call was given. */
struct input {
	const char	*bytes;
	size_t		 n;
	struct lk_error	*error;
};

struct lk_request_decoder *
lk_request_decoder_new(size_t max_bytes)
{
	struct lk_request_decoder *d = lk_xcalloc(1, sizeof(*d));

	d->max_bytes = max_bytes;
	lk_buf_init(&d->text);
	return d;
}

void
lk_request_decoder_set_max(struct lk_request_decoder *d, size_t max_bytes)
{
	lk_assert(d->step == STEP_OVER || d->step == STEP_FIRST);
	d->max_bytes = max_bytes;
}

void
lk_request_decoder_free(struct lk_request_decoder **decoder)
{
	struct lk_request_decoder *d = *decoder;

	if (d == NULL)
		return;
	lk_buf_fini(&d->text);
	free(d->marks);
	free(d->args);
	free(d);
	*decoder = NULL;
}

static void
start_anew(struct lk_request_decoder *d)
{
	d->step = STEP_FIRST;
	d->pos = d->scanned = 0;
	d->n_wanted = d->n_marks = 0;
	d->is_inline = false;
	if (d->text.cap > KEEP_BYTES || d->text.broken)
		lk_buf_fini(&d->text);
	lk_buf_truncate(&d->text, 0);
	if (d->cap_marks > KEEP_ARGS) {
		free(d->marks);
		free(d->args);
		d->marks = NULL;
		d->args = NULL;
		d->cap_marks = d->cap_args = 0;
	}
}

static int
fail_memory(struct lk_error *error)
{
	lk_error_set(error, LK_ERR_OVERLOAD, "no memory for the request");
	return -LK_E_NOMEM;
}

static int
fail_limit(const struct lk_request_decoder *d, struct lk_error *error)
{
	lk_error_set(error, LK_ERR_PROTO, "request larger than "
	    "limits.request, %zu bytes", d->max_bytes);
	return -LK_E_LIMIT;
}

/* Room grows with elements that came, never with a count announced. */
static int
add_mark(struct lk_request_decoder *d, size_t start, size_t len,
    struct lk_error *error)
{
	size_t		 cap;
	struct mark	*marks;

	if (d->n_marks == d->cap_marks) {
		cap = d->cap_marks > 0 ? 2 * d->cap_marks : FIRST_ARGS;
		marks = realloc(d->marks, cap * sizeof(*marks));
		if (marks == NULL)
			return fail_memory(error);
		d->marks = marks;
		d->cap_marks = cap;
	}
	d->marks[d->n_marks++] = (struct mark){ start, len };
	return 0;
}

/* ---- inline ---- */

struct cursor {
	const char	*at;
	const char	*end;
};

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The escape behind a backslash in double quotes; leaves `at` behind it. */
static char
unescape(struct cursor *in)
{
	char c = *in->at++;

	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	case 'x':
		if (in->end - in->at >= 2 && hex_digit(in->at[0]) >= 0 &&
		    hex_digit(in->at[1]) >= 0) {
			c = (char)(hex_digit(in->at[0]) << 4 |
			    hex_digit(in->at[1]));
			in->at += 2;
		}
		return c;
	default:
		return c;
	}
}

/* From behind an opening quote to behind the closing one; false without. */
static bool
read_quoted(struct cursor *in, char quote, struct lk_buf *out)
{
	char c;

	while (in->at < in->end) {
		c = *in->at++;
		if (c == quote)
			return in->at == in->end || is_blank(*in->at);
		if (c == '\\' && in->at < in->end) {
			if (quote == '"')
				c = unescape(in);
			else if (*in->at == '\'')
				c = *in->at++;
		}
		lk_buf_putc(out, c);
	}
	return false;
}

/* As Redis splits its lines: a token ends at a blank or a closing quote. */
static bool
read_token(struct cursor *in, struct lk_buf *out)
{
	char c;

	while (in->at < in->end) {
		c = *in->at;
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			return true;
		in->at++;
		if (c == '"' || c == '\'')
			return read_quoted(in, c, out);
		lk_buf_putc(out, c);
	}
	return true;
}

static int
split_line(struct lk_request_decoder *d, struct cursor line,
    struct lk_error *error)
{
	size_t	start;
	int	rc = 0;

	/* All at once, so that even empty elements have an address. */
	if (lk_buf_reserve(&d->text, (size_t)(line.end - line.at) + 1) == NULL)
		return fail_memory(error);
	while (rc == 0) {
		while (line.at < line.end && is_blank(*line.at))
			line.at++;
		if (line.at == line.end)
			return 0;
		start = d->text.len;
		if (!read_token(&line, &d->text)) {
			lk_error_set(error, LK_ERR_PROTO,
			    "unbalanced quotes in an inline request");
			return -LK_E_INVAL;
		}
		rc = add_mark(d, start, d->text.len - start, error);
	}
	return rc;
}

static int
decode_inline(struct lk_request_decoder *d, const struct input *in)
{
	size_t		 end = LK_REQUEST_MAX_INLINE;
	size_t		 to;
	const char	*lf;

	if (d->max_bytes < end)
		end = d->max_bytes;
	to = in->n < end ? in->n : end;
	lf = memchr(in->bytes + d->scanned, '\n', to - d->scanned);
	if (lf == NULL) {
		d->scanned = to;
		if (in->n < end)
			return -LK_E_AGAIN;
		if (end == d->max_bytes)
			return fail_limit(d, in->error);
		lk_error_set(in->error, LK_ERR_PROTO, "inline request longer "
		    "than %d bytes", LK_REQUEST_MAX_INLINE);
		return -LK_E_INVAL;
	}
	to = (size_t)(lf - in->bytes);
	if (memchr(in->bytes, '\0', to) != NULL) {
		lk_error_set(in->error, LK_ERR_PROTO,
		    "byte 0x00 in an inline request");
		return -LK_E_INVAL;
	}
	d->pos = to + 1;
	d->step = STEP_OVER;
	return split_line(d, (struct cursor){ in->bytes, lf }, in->error);
}

/* ---- arrays ---- */

/* The line at pos; on success pos is behind it. */
static int
read_line(struct lk_request_decoder *d, const struct input *in,
    size_t max_line, const char **text_out, size_t *len_out)
{
	size_t	end = d->max_bytes;
	bool	is_bound = end - d->pos <= max_line + 2;
	int	rc;

	if (!is_bound)
		end = d->pos + max_line + 2;
	rc = lk_wire_find_line(in->bytes, in->n, d->pos, end, &d->scanned,
	    len_out, in->error);
	if (rc == -LK_E_LIMIT && is_bound)
		return fail_limit(d, in->error);
	if (rc == -LK_E_LIMIT) {
		lk_error_set(in->error, LK_ERR_PROTO, "line longer than %zu "
		    "bytes in a request", max_line);
		return -LK_E_INVAL;
	}
	if (rc != 0)
		return rc;
	*text_out = in->bytes + d->pos;
	d->pos += *len_out + 2;
	return 0;
}

/* Where no byte that may be looked at is any more. */
static const char *
end_of(const struct lk_request_decoder *d, const struct input *in)
{
	return in->bytes + (in->n < d->max_bytes ? in->n : d->max_bytes);
}

/*
 * The size in a line "*3" or "$5" that is here as a whole, of few digits; at is
 * its type.  Returns where the line behind it begins; NULL: it takes a closer
 * look, which says what is wrong with it, if anything is.
 */
static const char *
read_size(const char *at, const char *end, size_t *size_out)
{
	const char	*first = at + 1, *p = first;
	size_t		 size = 0;

	while (p < end && p - first < QUICK_DIGITS && *p >= '0' && *p <= '9')
		size = size * 10 + (size_t)(*p++ - '0');
	if (p == first || end - p < 2 || p[0] != '\r' || p[1] != '\n' ||
	    (*first == '0' && p - first > 1))
		return NULL;
	*size_out = size;
	return p + 2;
}

static int
decode_count(struct lk_request_decoder *d, const struct input *in)
{
	const char	*line;
	size_t		 len;
	int64_t		 count;
	int		 rc;

	line = read_size(in->bytes, end_of(d, in), &d->n_wanted);
	if (line != NULL && d->n_wanted <= LK_REQUEST_MAX_ARGS) {
		d->pos = (size_t)(line - in->bytes);
		d->step = d->n_wanted > 0 ? STEP_ELEMENT : STEP_OVER;
		return 0;
	}
	rc = read_line(d, in, LK_WIRE_MAX_INT, &line, &len);
	if (rc != 0)
		return rc;
	if (!lk_wire_parse_int(line + 1, len - 1, &count) || count < 0 ||
	    count > LK_REQUEST_MAX_ARGS) {
		lk_error_set(in->error, LK_ERR_PROTO, "invalid number of "
		    "elements in a request, expected 0 to %d",
		    LK_REQUEST_MAX_ARGS);
		return -LK_E_INVAL;
	}
	d->n_wanted = (size_t)count;
	d->step = count > 0 ? STEP_ELEMENT : STEP_OVER;
	return 0;
}

static int
read_bulk_head(struct lk_request_decoder *d, const char *text, size_t len,
    struct lk_error *error)
{
	int64_t n;

	if (!lk_wire_parse_int(text, len, &n) || n < -1) {
		lk_error_set(error, LK_ERR_PROTO,
		    "invalid length of a bulk string");
		return -LK_E_INVAL;
	}
	if (n == -1)
		return add_mark(d, NO_BYTES, 0, error);
	if ((uint64_t)n > d->max_bytes - d->pos ||
	    d->max_bytes - d->pos - (size_t)n < 2)
		return fail_limit(d, error);
	d->n_body = (size_t)n;
	d->step = STEP_BODY;
	return 0;
}

static bool
is_scalar(char type, const char *text, size_t len)
{
	int64_t value;

	switch (type) {
	case ':':
		return lk_wire_parse_int(text, len, &value);
	case ',':
		return lk_wire_is_double(text, len);
	case '#':
		return len == 1 && (text[0] == 't' || text[0] == 'f');
	default:
		return len == 0;
	}
}

/* An element that is one line; text is the line behind its type. */
static int
read_scalar(struct lk_request_decoder *d, const struct input *in, char type,
    const char *text, size_t len)
{
	if (type == ':' && len > 1 && text[0] == '+' && text[1] != '-') {
		text++;
		len--;
	}
	if (!is_scalar(type, text, len)) {
		lk_error_set(in->error, LK_ERR_PROTO,
		    "invalid value behind '%c' in a request", type);
		return -LK_E_INVAL;
	}
	if (type == '_')
		return add_mark(d, NO_BYTES, 0, in->error);
	return add_mark(d, (size_t)(text - in->bytes), len, in->error);
}

static int
check_type(char type, struct lk_error *error)
{
	char shown[LK_WIRE_SHOWN_BYTES];

	if (type != '\0' && strchr("$:,#_", type) != NULL)
		return 0;
	if (type == '*')
		lk_error_set(error, LK_ERR_PROTO,
		    "expected '$' but got '*': a request holds no arrays");
	else
		lk_error_set(error, LK_ERR_PROTO, "expected '$' but got %s",
		    lk_wire_show_byte(type, shown));
	return -LK_E_INVAL;
}

/* An element that is a bulk string and here as a whole, as nearly all are. */
static bool
take_whole(struct lk_request_decoder *d, const struct input *in)
{
	const char	*at = in->bytes + d->pos, *end = end_of(d, in);
	size_t		 n;

	if (d->n_marks == d->n_wanted || d->n_marks == d->cap_marks ||
	    at == end || *at != '$')
		return false;
	at = read_size(at, end, &n);
	if (at == NULL || (size_t)(end - at) < n + 2 || at[n] != '\r' ||
	    at[n + 1] != '\n')
		return false;
	d->marks[d->n_marks++] = (struct mark){ (size_t)(at - in->bytes), n };
	d->pos = (size_t)(at - in->bytes) + n + 2;
	return true;
}

static int
decode_element(struct lk_request_decoder *d, const struct input *in)
{
	const char	*line;
	size_t		 len;
	char		 type;
	int		 rc;

	while (take_whole(d, in))
		;
	if (d->n_marks == d->n_wanted) {
		d->step = STEP_OVER;
		return 0;
	}
	/* Never "more" to a caller that holds all it may. */
	if (d->pos == d->max_bytes)
		return fail_limit(d, in->error);
	if (d->pos == in->n)
		return -LK_E_AGAIN;
	type = in->bytes[d->pos];
	rc = check_type(type, in->error);
	if (rc != 0)
		return rc;
	rc = read_line(d, in, type == ',' ? LK_WIRE_MAX_DOUBLE :
	    LK_WIRE_MAX_INT, &line, &len);
	if (rc != 0)
		return rc;
	if (type == '$')
		return read_bulk_head(d, line + 1, len - 1, in->error);
	return read_scalar(d, in, type, line + 1, len - 1);
}

/* Looks at the two bytes behind the string only, however often it is called. */
static int
decode_body(struct lk_request_decoder *d, const struct input *in)
{
	size_t n_there = in->n - d->pos;

	if ((n_there > d->n_body && in->bytes[d->pos + d->n_body] != '\r') ||
	    (n_there > d->n_body + 1 &&
	    in->bytes[d->pos + d->n_body + 1] != '\n')) {
		lk_error_set(in->error, LK_ERR_PROTO, "no CRLF behind a bulk "
		    "string of %zu bytes", d->n_body);
		return -LK_E_INVAL;
	}
	if (n_there < d->n_body + 2)
		return -LK_E_AGAIN;
	d->step = STEP_ELEMENT;
	d->pos += d->n_body + 2;
	return add_mark(d, d->pos - d->n_body - 2, d->n_body, in->error);
}

/* ---- both ---- */

/*
 * What begins neither kind of request is said at once rather than when a line
 * ends, which for another protocol's binary greeting may be never.
 */
static int
decode_first(struct lk_request_decoder *d, const struct input *in)
{
	char		shown[LK_WIRE_SHOWN_BYTES];
	unsigned char	c;

	if (in->n == 0)
		return -LK_E_AGAIN;
	c = (unsigned char)in->bytes[0];
	if ((c < 0x20 && !is_blank((char)c)) || c == 0x7f) {
		lk_error_set(in->error, LK_ERR_PROTO, "expected a request but "
		    "got %s%s", lk_wire_show_byte((char)c, shown),
		    c == 0x16 ? ", as TLS begins" : "");
		return -LK_E_INVAL;
	}
	d->is_inline = c != '*';
	d->step = d->is_inline ? STEP_INLINE : STEP_COUNT;
	return 0;
}

static int
make_args(struct lk_request_decoder *d, const struct input *in)
{
	const char	*base = d->is_inline ? d->text.data : in->bytes;
	struct lk_arg	*args;
	size_t		 i;

	if (d->cap_args < d->n_marks) {
		args = realloc(d->args, d->cap_marks * sizeof(*args));
		if (args == NULL)
			return fail_memory(in->error);
		d->args = args;
		d->cap_args = d->cap_marks;
	}
	for (i = 0; i < d->n_marks; i++) {
		d->args[i].data = d->marks[i].start == NO_BYTES ? NULL :
		    base + d->marks[i].start;
		d->args[i].len = d->marks[i].len;
	}
	return 0;
}

int
lk_request_decode(struct lk_request_decoder *d, const char *bytes, size_t n,
    const struct lk_arg **args_out, size_t *n_args_out, size_t *used_out,
    struct lk_error *error)
{
	static int (*const steps[])(struct lk_request_decoder *,
	    const struct input *) = {
		[STEP_FIRST] = decode_first,
		[STEP_INLINE] = decode_inline,
		[STEP_COUNT] = decode_count,
		[STEP_ELEMENT] = decode_element,
		[STEP_BODY] = decode_body,
	};
	const struct input in = { bytes, n, error };
	int rc = 0;

	if (d->step == STEP_OVER)
		start_anew(d);
	lk_assert(n >= d->pos && n >= d->scanned);
	while (rc == 0 && d->step != STEP_OVER)
		rc = steps[d->step](d, &in);
	if (rc == 0)
		rc = make_args(d, &in);
	if (rc == -LK_E_AGAIN)
		return rc;
	d->step = STEP_OVER;
	if (rc != 0)
		return rc;
	*args_out = d->args;
	*n_args_out = d->n_marks;
	*used_out = d->pos;
	return 0;
}
