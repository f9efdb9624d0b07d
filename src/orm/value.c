#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "orm/compile.h"

/*
 * Values that most often go wrong are looked at here rather than by the server,
 * which does not know for which column they are.  The rest is the server's.
 */

void
lk_target_compare(struct lk_target *target, const struct lk_model *model,
    const struct lk_column *column)
{
	*target = (struct lk_target){ model, column, column->base_type,
	    column->base_type, LK_USE_COMPARED };
}

void
lk_target_store(struct lk_target *target, const struct lk_model *model,
    const struct lk_column *column)
{
	lk_target_compare(target, model, column);
	target->use = LK_USE_STORED;
	/* A bytea goes as binary, by its oid; a domain would be text. */
	if (column->base_type != LK_OID_BYTEA)
		target->type = column->type;
}

static int
add_param(struct lk_compile *c, const struct lk_target *target,
    const struct lk_arg *arg, uint32_t from, size_t *number_out)
{
	struct lk_plan_param param = { arg->data, arg->len, target->type,
	    target->model, target->column, from, target->use };

	if (c->n_params == LK_PLAN_MAX_PARAMS) {
		lk_refuse(c, "more than %d values, which is what PostgreSQL "
		    "takes in one statement: send several requests",
		    LK_PLAN_MAX_PARAMS);
		lk_error_set_sqlstate(c->error, "54000");
		return -LK_E_INVAL;
	}
	lk_buf_append(&c->params, &param, sizeof(param));
	*number_out = ++c->n_params;
	return 0;
}

int
lk_param_add(struct lk_compile *c, const struct lk_target *target,
    const struct lk_arg *arg, size_t *number_out)
{
	return add_param(c, target, arg, 0, number_out);
}

/* ---- what a type's text may be ---- */

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct lk_span
trim(const struct lk_arg *arg)
{
	struct lk_span span = { arg->data, arg->len };

	while (span.n > 0 && is_blank(span.at[0])) {
		span.at++;
		span.n--;
	}
	while (span.n > 0 && is_blank(span.at[span.n - 1]))
		span.n--;
	return span;
}

enum verdict { FITS, NONE, OUT_OF_RANGE };

/* max is the largest magnitude of a negative one, max - 1 of the others. */
static enum verdict
check_integer(struct lk_span text, bool can_be_negative, uint64_t max)
{
	bool is_negative = text.n > 0 && text.at[0] == '-';
	uint64_t number = 0, digit;
	bool is_too_large = false;
	size_t i = is_negative || (text.n > 0 && text.at[0] == '+') ? 1 : 0;

	if (i == text.n)
		return NONE;
	if (!is_negative)
		max--;
	for (; i < text.n; i++) {
		if (!is_digit(text.at[i]))
			return NONE;
		digit = (uint64_t)(text.at[i] - '0');
		is_too_large |= number > (max - digit) / 10;
		number = is_too_large ? 0 : number * 10 + digit;
	}
	if (is_negative && !can_be_negative && number > 0)
		is_too_large = true;
	return is_too_large ? OUT_OF_RANGE : FITS;
}

static size_t
count_digits(struct lk_span text, size_t from)
{
	size_t i = from;

	while (i < text.n && is_digit(text.at[i]))
		i++;
	return i - from;
}

static bool
is_decimal(struct lk_span text)
{
	size_t i = text.n > 0 && (text.at[0] == '-' || text.at[0] == '+');
	size_t n_digits = count_digits(text, i);

	i += n_digits;
	if (i < text.n && text.at[i] == '.') {
		i++;
		n_digits += count_digits(text, i);
		i += count_digits(text, i);
	}
	if (n_digits == 0)
		return false;
	if (i < text.n && (text.at[i] == 'e' || text.at[i] == 'E')) {
		i++;
		if (i < text.n && (text.at[i] == '-' || text.at[i] == '+'))
			i++;
		n_digits = count_digits(text, i);
		if (n_digits == 0)
			return false;
		i += n_digits;
	}
	return i == text.n;
}

static bool
is_no_finite_number(struct lk_span text)
{
	if (text.n > 0 && (text.at[0] == '-' || text.at[0] == '+')) {
		text.at++;
		text.n--;
	}
	return lk_span_is(text, "nan") || lk_span_is(text, "inf") ||
	    lk_span_is(text, "infinity");
}

static enum verdict
check_numeric(struct lk_span text)
{
	return is_decimal(text) || is_no_finite_number(text) ? FITS : NONE;
}

static enum verdict
check_float(struct lk_span text, bool is_real)
{
	char copy[64];

	if (check_numeric(text) == NONE)
		return NONE;
	if (is_no_finite_number(text) || text.n >= sizeof(copy))
		return FITS;	/* if too large, the server will say */
	memcpy(copy, text.at, text.n);
	copy[text.n] = '\0';
	/* Rounded to its own type: the largest real is less than its text. */
	return isinf(is_real ? strtof(copy, NULL) : strtod(copy, NULL)) ?
	    OUT_OF_RANGE : FITS;
}

/* As the server: any beginning of these words, but o, which is both. */
static enum verdict
check_bool(struct lk_span text)
{
	static const char *const words[] = {
		"true", "false", "yes", "no", "on", "off", "1", "0" };
	size_t i;
	char beginning[8];

	if (text.n == 0 || lk_span_is(text, "o"))
		return NONE;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (text.n > strlen(words[i]))
			continue;
		memcpy(beginning, words[i], text.n);
		beginning[text.n] = '\0';
		if (lk_span_is(text, beginning))
			return FITS;
	}
	return NONE;
}

static enum verdict
check_text(const struct lk_arg *arg, uint32_t type)
{
	struct lk_span text = trim(arg);

	switch (type) {
	case LK_OID_INT2:
		return check_integer(text, true, (uint64_t)INT16_MAX + 1);
	case LK_OID_INT4:
		return check_integer(text, true, (uint64_t)INT32_MAX + 1);
	case LK_OID_INT8:
		return check_integer(text, true, (uint64_t)INT64_MAX + 1);
	case LK_OID_OID:
		return check_integer(text, false, (uint64_t)UINT32_MAX + 1);
	case LK_OID_FLOAT4:
		return check_float(text, true);
	case LK_OID_FLOAT8:
		return check_float(text, false);
	case LK_OID_NUMERIC:
		return check_numeric(text);
	case LK_OID_BOOL:
		return check_bool(text);
	}
	return FITS;
}

/* ---- a value ---- */

static const char *
word_of_type(uint32_t type)
{
	switch (type) {
	case LK_OID_BOOL:
		return "boolean";
	case LK_OID_INT2:
		return "smallint";
	case LK_OID_INT4:
		return "integer";
	case LK_OID_INT8:
		return "bigint";
	case LK_OID_OID:
		return "oid";
	case LK_OID_FLOAT4:
		return "real";
	case LK_OID_NUMERIC:
		return "numeric";
	}
	return "double precision";
}

/* why: behind the value; of what it is for, the words are ours. */
static int
refuse_value(struct lk_compile *c, const struct lk_target *target,
    const char *sqlstate, const char *why)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	const char *advice = lk_habit_advise_value(arg, target);
	struct lk_buf whose = LK_BUF_INIT;
	struct lk_shown shown;

	if (target->column != NULL)
		lk_buf_printf(&whose, "%s.%s: ", target->model->name,
		    target->column->name);
	lk_error_set(c->error, LK_ERR_SYNTAX, "%s: %s%s%s (argument %zu)%s%s",
	    lk_orm_verb_word(c->verb), lk_buf_cstr(&whose),
	    lk_word_show(&shown, arg->data, arg->len), why, c->at + 1,
	    advice != NULL ? "; " : "", advice != NULL ? advice : "");
	lk_error_set_sqlstate(c->error, sqlstate);
	if (target->column != NULL) {
		lk_error_set_field(c->error, LK_FIELD_TABLE,
		    target->model->name);
		lk_error_set_field(c->error, LK_FIELD_COLUMN,
		    target->column->name);
	}
	lk_buf_fini(&whose);
	return -LK_E_INVAL;
}

static int
check_value(struct lk_compile *c, const struct lk_target *target,
    const struct lk_arg *arg)
{
	enum verdict verdict = check_text(arg, target->check);
	struct lk_buf why = LK_BUF_INIT;
	int rc;

	if (target->check == LK_OID_BYTEA)
		return 0;
	if (arg->len > 0 && memchr(arg->data, '\0', arg->len) != NULL)
		return refuse_value(c, target, "22021",
		    " holds a NUL byte, which only a bytea may");
	if (!lk_utf8_is_text(arg->data, arg->len))
		return refuse_value(c, target, "22021", " is no UTF-8");
	if (verdict == FITS)
		return 0;
	lk_buf_printf(&why, verdict == NONE ? " is no %s" :
	    " is out of range for %s", word_of_type(target->check));
	rc = refuse_value(c, target, verdict == NONE ? "22P02" : "22003",
	    lk_buf_cstr(&why));
	lk_buf_fini(&why);
	return rc;
}

bool
lk_value_fits(uint32_t type, const struct lk_arg *arg)
{
	return type == LK_OID_BYTEA || (check_text(arg, type) == FITS &&
	    (arg->len == 0 || memchr(arg->data, '\0', arg->len) == NULL) &&
	    lk_utf8_is_text(arg->data, arg->len));
}

int
lk_value_add(struct lk_compile *c, const struct lk_target *target,
    const struct lk_arg *arg, size_t *number_out)
{
	int rc = arg->data == NULL ? 0 : check_value(c, target, arg);

	return rc != 0 ? rc : lk_param_add(c, target, arg, number_out);
}

/* What it refers to is not known yet, and so not looked at. */
static int
add_value_or_ref(struct lk_compile *c, const struct lk_target *target,
    const struct lk_arg *arg, size_t *number_out)
{
	struct lk_row_ref ref;
	int rc = lk_row_ref_parse(c->refs, arg, &ref, c->error);

	if (rc < 0)
		lk_error_prefix(c->error, "%s: argument %zu: ",
		    lk_orm_verb_word(c->verb), c->at + 1);
	if (rc != 1)
		return rc < 0 ? rc : lk_value_add(c, target, arg, number_out);
	return add_param(c, target, &ref.column, ref.verb, number_out);
}

int
lk_value_take(struct lk_compile *c, const struct lk_target *target,
    size_t *number_out)
{
	const struct lk_arg *arg = lk_word_value(c);
	struct lk_buf what = LK_BUF_INIT;
	int rc;

	if (arg == NULL) {
		lk_buf_puts(&what, "a value");
		if (target->column != NULL)
			lk_buf_printf(&what, " for %s", target->column->name);
		rc = lk_expected(c, lk_buf_cstr(&what));
		lk_buf_fini(&what);
		return rc;
	}
	rc = add_value_or_ref(c, target, arg, number_out);
	if (rc == 0)
		c->at++;
	return rc;
}
