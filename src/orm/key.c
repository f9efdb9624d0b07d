#include "orm/key.h"

#include <string.h>

#include "orm/compile.h"
#include "orm/verb.h"

#define BIT(symbol)	(1u << LK_STRENGTH_##symbol)

/* PostgreSQL's table. */
static const unsigned conflicts[LK_STRENGTH__N] = {
	[LK_STRENGTH_KEY_SHARE] = BIT(UPDATE),
	[LK_STRENGTH_SHARE] = BIT(NO_KEY_UPDATE) | BIT(UPDATE),
	[LK_STRENGTH_NO_KEY_UPDATE] = BIT(SHARE) | BIT(NO_KEY_UPDATE) |
	    BIT(UPDATE),
	[LK_STRENGTH_UPDATE] = BIT(KEY_SHARE) | BIT(SHARE) |
	    BIT(NO_KEY_UPDATE) | BIT(UPDATE),
};

bool
lk_strengths_conflict(enum lk_strength a, enum lk_strength b)
{
	return (conflicts[a] & (1u << b)) != 0;
}

const char *
lk_strength_word(enum lk_strength strength)
{
	static const char *const words[LK_STRENGTH__N] = {
#define LK_STRENGTH(symbol, word) [LK_STRENGTH_##symbol] = word,
		LK_STRENGTHS(LK_STRENGTH)
#undef LK_STRENGTH
	};

	return words[strength];
}

/* ---- one text for each value ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static struct lk_span
trim(struct lk_span text)
{
	while (text.n > 0 && (text.at[0] == ' ' ||
	    (text.at[0] >= '\t' && text.at[0] <= '\r'))) {
		text.at++;
		text.n--;
	}
	while (text.n > 0 && (text.at[text.n - 1] == ' ' ||
	    (text.at[text.n - 1] >= '\t' && text.at[text.n - 1] <= '\r')))
		text.n--;
	return text;
}

/* The sign that counts, and the number without leading zeros. */
static struct lk_span
take_sign(struct lk_span text, bool *is_negative_out)
{
	*is_negative_out = text.n > 0 && text.at[0] == '-';
	if (text.n > 0 && (text.at[0] == '-' || text.at[0] == '+')) {
		text.at++;
		text.n--;
	}
	while (text.n > 1 && text.at[0] == '0' && is_digit(text.at[1])) {
		text.at++;
		text.n--;
	}
	return text;
}

static bool
put_integer(struct lk_span text, struct lk_buf *out)
{
	bool is_negative;
	struct lk_span digits = take_sign(trim(text), &is_negative);

	if (is_negative && !(digits.n == 1 && digits.at[0] == '0'))
		lk_buf_putc(out, '-');
	lk_buf_append(out, digits.at, digits.n);
	return true;
}

/* Only digits and one point; what has an exponent is another name of its row. */
static bool
put_numeric(struct lk_span text, struct lk_buf *out)
{
	bool is_negative;
	struct lk_span digits = take_sign(trim(text), &is_negative);
	const char *point = digits.n > 0 ? memchr(digits.at, '.', digits.n) :
	    NULL;
	size_t i;

	for (i = 0; i < digits.n; i++) {
		if (!is_digit(digits.at[i]) && digits.at + i != point) {
			lk_buf_append(out, text.at, text.n);
			return true;
		}
	}
	while (point != NULL && digits.n > 0 &&
	    digits.at[digits.n - 1] == '0')
		digits.n--;
	if (digits.n > 0 && digits.at[digits.n - 1] == '.')
		digits.n--;
	while (digits.n > 0 && digits.at[0] == '0') {
		digits.at++;
		digits.n--;
	}
	if (is_negative && digits.n > 0)
		lk_buf_putc(out, '-');
	lk_buf_append(out, digits.at, digits.n);
	return true;
}

static bool
put_bool(struct lk_span text, struct lk_buf *out)
{
	struct lk_span word = trim(text);
	char first = word.n > 0 ? lower(word.at[0]) : '\0';
	char second = word.n > 1 ? lower(word.at[1]) : '\0';

	lk_buf_putc(out, first == 't' || first == 'y' || first == '1' ||
	    (first == 'o' && second == 'n') ? 't' : 'f');
	return true;
}

static bool
put_uuid(struct lk_span text, struct lk_buf *out)
{
	size_t i;

	for (i = 0; i < text.n; i++) {
		if (text.at[i] != '-' && text.at[i] != '{' && text.at[i] != '}')
			lk_buf_putc(out, lower(text.at[i]));
	}
	return true;
}

/* Blanks at its end do not count. */
static bool
put_padded(struct lk_span text, struct lk_buf *out)
{
	while (text.n > 0 && text.at[text.n - 1] == ' ')
		text.n--;
	lk_buf_append(out, text.at, text.n);
	return true;
}

static bool
put_as_it_is(struct lk_span text, struct lk_buf *out)
{
	lk_buf_append(out, text.at, text.n);
	return true;
}

/* "now" is another value each time. */
static bool
put_time(struct lk_span text, struct lk_buf *out)
{
	return text.n > 0 && is_digit(text.at[0]) && put_as_it_is(text, out);
}

static const struct {
	uint32_t	 type;
	bool		 (*put)(struct lk_span text, struct lk_buf *out);
} types[] = {
	{ LK_OID_INT2, put_integer },
	{ LK_OID_INT4, put_integer },
	{ LK_OID_INT8, put_integer },
	{ LK_OID_OID, put_integer },
	{ LK_OID_NUMERIC, put_numeric },
	{ LK_OID_BOOL, put_bool },
	{ LK_OID_UUID, put_uuid },
	{ LK_OID_BPCHAR, put_padded },
	{ LK_OID_TEXT, put_as_it_is },
	{ LK_OID_VARCHAR, put_as_it_is },
	{ LK_OID_NAME, put_as_it_is },
	{ LK_OID_BYTEA, put_as_it_is },
	{ LK_OID_DATE, put_time },
	{ LK_OID_TIME, put_time },
	{ LK_OID_TIMETZ, put_time },
	{ LK_OID_TIMESTAMP, put_time },
	{ LK_OID_TIMESTAMPTZ, put_time },
};

/* An enum's values have one text each; of other types nothing is known. */
static bool
put_value(const struct lk_plan_param *param, struct lk_buf *out)
{
	struct lk_span text = { param->data, param->len };
	size_t i;

	if (param->data == NULL || param->from != 0 || param->column == NULL)
		return false;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].type == param->column->base_type)
			return types[i].put(text, out);
	}
	return param->column->kind == LK_TYPE_ENUM && put_as_it_is(text, out);
}

/* ---- the key ---- */

/* The first: what a key's columns are to become follows. */
static const struct lk_plan_param *
value_of(const struct lk_plan *plan, size_t column)
{
	size_t i;

	for (i = 0; i < plan->n_params; i++) {
		if (plan->params[i].column == &plan->model->columns[column])
			return &plan->params[i];
	}
	return NULL;
}

/* Behind its length, so that "a", "bc" is not "ab", "c". */
static bool
put_part(const struct lk_plan_param *param, struct lk_buf *out)
{
	size_t at = out->len;
	unsigned char length;

	if (param == NULL || param->len > LK_KEY_MAX)
		return false;
	lk_buf_putc(out, '\0');
	if (!put_value(param, out) || out->broken)
		return false;
	length = (unsigned char)(out->len - at - 1);
	memcpy(out->data + at, &length, 1);
	return true;
}

bool
lk_key_of(const struct lk_plan *plan, struct lk_buf *key_out)
{
	const struct lk_key_columns *key;
	size_t i, before = key_out->len;

	if (plan->row.strength == LK_STRENGTH_NONE || plan->model == NULL ||
	    (key = lk_model_primary(plan->model)) == NULL)
		return false;
	lk_buf_append(key_out, &plan->model->oid, sizeof(plan->model->oid));
	for (i = 0; i < key->n; i++) {
		if (!put_part(value_of(plan, key->columns[i]), key_out) ||
		    key_out->len - before > LK_KEY_MAX) {
			lk_buf_truncate(key_out, before);
			return false;
		}
	}
	return true;
}

uint32_t
lk_key_table(const char *key)
{
	uint32_t oid;

	memcpy(&oid, key, sizeof(oid));
	return oid;
}

void
lk_key_words(const char *key, size_t n, struct lk_buf *out)
{
	size_t i, at, left;

	for (at = sizeof(uint32_t); at < n; at += 1 + left) {
		if (at > sizeof(uint32_t))
			lk_buf_puts(out, ", ");
		left = (unsigned char)key[at];
		for (i = at + 1; i <= at + left; i++)
			lk_buf_putc(out, (unsigned char)key[i] < ' ' ? '?' :
			    key[i]);
	}
}
