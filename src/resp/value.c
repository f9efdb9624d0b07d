#include "resp/value.h"

#include <stdlib.h>
#include <string.h>

#include "resp/wire.h"

/* A text at most; PostgreSQL's own values end at 1 GiB. */
#define MAX_TEXT	((size_t)1 << 30)
/* Elements or pairs of one array or map at most. */
#define MAX_ITEMS	((int64_t)1 << 30)

/*
 * Every value is read twice.  First only counted, which allocates nothing
 * however often a reply is not yet whole, and then built in one block of just
 * that size: the values below the root, and behind them the texts of all.
 * out is NULL for what is skipped; while counting, all write to one.
 */
struct reader {
	const char	*bytes;
	size_t		 n;
	size_t		 pos;
	struct lk_error	*error;
	bool		 is_building;
	size_t		 n_values;	/* counted */
	size_t		 n_text;	/* counted, bytes */
	struct lk_value	*values;	/* where the next ones go */
	char		*text;		/* likewise */
};

static int	read_value(struct reader *r, unsigned depth,
		    struct lk_value *out);

/* The line at pos behind its type; on success pos is behind the line. */
static int
read_line(struct reader *r, size_t max_line, const char **text_out,
    size_t *len_out)
{
	size_t	scanned = 0;
	int	rc;

	rc = lk_wire_find_line(r->bytes, r->n, r->pos, r->pos + max_line + 2,
	    &scanned, len_out, r->error);
	if (rc == -LK_E_LIMIT) {
		lk_error_set(r->error, LK_ERR_PROTO, "line longer than %zu "
		    "bytes in a reply", max_line);
		return -LK_E_INVAL;
	}
	if (rc != 0)
		return rc;
	*text_out = r->bytes + r->pos + 1;
	r->pos += *len_out + 2;
	*len_out -= 1;
	return 0;
}

static int
set_text(struct reader *r, enum lk_value_type type, const char *text, size_t n,
    struct lk_value *out)
{
	if (out == NULL)
		return 0;
	r->n_text += n + 1;
	if (!r->is_building)
		return 0;
	out->text = r->text;
	r->text += n + 1;
	memcpy(out->text, text, n);
	out->text[n] = '\0';
	out->n_text = n;
	out->type = type;
	return 0;
}

/* The count or length behind `type`; -1 is null and only in RESP2's types. */
static int
read_length(struct reader *r, char type, int64_t max, int64_t *n_out)
{
	const char	*text;
	size_t		 len;
	int		 rc;

	rc = read_line(r, LK_WIRE_MAX_INT, &text, &len);
	if (rc != 0)
		return rc;
	if (!lk_wire_parse_int(text, len, n_out) || *n_out > max ||
	    *n_out < (type == '$' || type == '*' ? -1 : 0)) {
		lk_error_set(r->error, LK_ERR_PROTO,
		    "invalid length behind '%c' in a reply", type);
		return -LK_E_INVAL;
	}
	return 0;
}

/* $ ! = */
static int
read_blob(struct reader *r, char type, struct lk_value *out)
{
	const char	*text;
	size_t		 len;
	int64_t		 n;
	int		 rc;

	rc = read_length(r, type, MAX_TEXT, &n);
	if (rc != 0 || n < 0)
		return rc;
	len = (size_t)n;
	if (r->n - r->pos < len + 2)
		return -LK_E_AGAIN;
	text = r->bytes + r->pos;
	if (text[len] != '\r' || text[len + 1] != '\n') {
		lk_error_set(r->error, LK_ERR_PROTO,
		    "no CRLF behind a string of %zu bytes", len);
		return -LK_E_INVAL;
	}
	r->pos += len + 2;
	if (type != '=')
		return set_text(r, type == '!' ? LK_VALUE_ERROR :
		    LK_VALUE_BULK, text, len, out);
	if (len < 4 || text[3] != ':') {
		lk_error_set(r->error, LK_ERR_PROTO,
		    "verbatim string without a format");
		return -LK_E_INVAL;
	}
	return set_text(r, LK_VALUE_BULK, text + 4, len - 4, out);
}

static int
read_items(struct reader *r, unsigned depth, size_t n, struct lk_value *out)
{
	size_t	i;
	int	rc = 0;

	if (depth >= LK_VALUE_MAX_DEPTH) {
		lk_error_set(r->error, LK_ERR_PROTO, "reply nested more than "
		    "%d deep", LK_VALUE_MAX_DEPTH);
		return -LK_E_INVAL;
	}
	if (out != NULL && r->is_building && n > 0) {
		out->items = r->values;
		out->n_items = n;
		r->values += n;
	}
	for (i = 0; i < n && rc == 0; i++)
		rc = read_value(r, depth + 1, out != NULL && r->is_building ?
		    &out->items[i] : out);
	if (out != NULL)
		r->n_values += n;
	return rc;
}

/* * ~ > % and |, whose items are skipped. */
static int
read_aggregate(struct reader *r, char type, unsigned depth,
    struct lk_value *out)
{
	int64_t	n;
	int	rc;

	rc = read_length(r, type, MAX_ITEMS, &n);
	if (rc != 0 || n < 0)
		return rc;
	if (type == '|')
		return read_items(r, depth, 2 * (size_t)n, NULL);
	if (out != NULL)
		out->type = type == '%' ? LK_VALUE_MAP :
		    type == '>' ? LK_VALUE_PUSH : LK_VALUE_ARRAY;
	return read_items(r, depth, type == '%' ? 2 * (size_t)n : (size_t)n,
	    out);
}

static bool
is_big_number(const char *text, size_t n)
{
	size_t i = n > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;

	if (i == n)
		return false;
	while (i < n && text[i] >= '0' && text[i] <= '9')
		i++;
	return i == n;
}

/* + - ( and , whose text is kept as it came. */
static int
read_text_line(struct reader *r, char type, struct lk_value *out)
{
	enum lk_value_type	 kind = LK_VALUE_SIMPLE;
	const char		*text;
	size_t			 len;
	int			 rc;

	rc = read_line(r, type == ',' ? LK_WIRE_MAX_DOUBLE : MAX_TEXT, &text,
	    &len);
	if (rc != 0)
		return rc;
	if ((type == ',' && !lk_wire_is_double(text, len)) ||
	    (type == '(' && !is_big_number(text, len))) {
		lk_error_set(r->error, LK_ERR_PROTO,
		    "invalid number behind '%c' in a reply", type);
		return -LK_E_INVAL;
	}
	if (type == ',')
		kind = LK_VALUE_DOUBLE;
	else if (type == '-')
		kind = LK_VALUE_ERROR;
	return set_text(r, kind, text, len, out);
}

/* : # and _ */
static int
read_scalar(struct reader *r, char type, struct lk_value *out)
{
	const char	*text;
	size_t		 len;
	int64_t		 value = 0;
	bool		 is_good;
	int		 rc;

	rc = read_line(r, LK_WIRE_MAX_INT, &text, &len);
	if (rc != 0)
		return rc;
	if (type == ':') {
		if (len > 1 && text[0] == '+' && text[1] != '-') {
			text++;
			len--;
		}
		is_good = lk_wire_parse_int(text, len, &value);
	} else if (type == '#') {
		is_good = len == 1 && (text[0] == 't' || text[0] == 'f');
		value = is_good && text[0] == 't';
	} else {
		is_good = len == 0;
	}
	if (!is_good) {
		lk_error_set(r->error, LK_ERR_PROTO,
		    "invalid value behind '%c' in a reply", type);
		return -LK_E_INVAL;
	}
	if (out != NULL && type != '_') {
		out->type = type == ':' ? LK_VALUE_INT : LK_VALUE_BOOL;
		out->integer = value;
	}
	return 0;
}

/* *out is zeroed, which is a null. */
static int
read_typed(struct reader *r, char type, unsigned depth, struct lk_value *out)
{
	char shown[LK_WIRE_SHOWN_BYTES];

	switch (type) {
	case '$':
	case '!':
	case '=':
		return read_blob(r, type, out);
	case '*':
	case '~':
	case '>':
	case '%':
	case '|':
		return read_aggregate(r, type, depth, out);
	case '+':
	case '-':
	case '(':
	case ',':
		return read_text_line(r, type, out);
	case ':':
	case '#':
	case '_':
		return read_scalar(r, type, out);
	default:
		lk_error_set(r->error, LK_ERR_PROTO,
		    "expected a reply but got %s",
		    lk_wire_show_byte(type, shown));
		return -LK_E_INVAL;
	}
}

/* One value, with the attributes that may stand before it. */
static int
read_value(struct reader *r, unsigned depth, struct lk_value *out)
{
	char	type;
	int	rc;

	do {
		if (r->pos == r->n)
			return -LK_E_AGAIN;
		type = r->bytes[r->pos];
		rc = read_typed(r, type, depth, out);
	} while (rc == 0 && type == '|');
	return rc;
}

/* Memory for what was counted; all of it is zeroed, which is nulls. */
static int
begin_building(struct reader *r)
{
	size_t	 bytes = r->n_values * sizeof(*r->values) + r->n_text;
	void	*block = NULL;

	if (bytes > 0) {
		block = calloc(1, bytes);
		if (block == NULL) {
			lk_error_set(r->error, LK_ERR_OVERLOAD,
			    "no memory for the reply");
			return -LK_E_NOMEM;
		}
		r->values = block;
		r->text = (char *)block + r->n_values * sizeof(*r->values);
	}
	r->pos = 0;
	r->is_building = true;
	return 0;
}

int
lk_value_decode(const char *bytes, size_t n, struct lk_value *value_out,
    size_t *used_out, struct lk_error *error)
{
	struct reader	r = { .bytes = bytes, .n = n, .error = error };
	int		rc;

	memset(value_out, 0, sizeof(*value_out));
	rc = read_value(&r, 0, value_out);
	memset(value_out, 0, sizeof(*value_out));
	if (rc == 0)
		rc = begin_building(&r);
	if (rc == 0)
		rc = read_value(&r, 0, value_out);
	*used_out = rc == 0 ? r.pos : 0;
	return rc;
}

void *
lk_value_block(const struct lk_value *root)
{
	return root->items != NULL ? (void *)root->items : root->text;
}

void
lk_value_fini(struct lk_value *root)
{
	free(lk_value_block(root));
	memset(root, 0, sizeof(*root));
}
