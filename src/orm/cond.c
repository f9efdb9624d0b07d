#include <string.h>

#include "orm/compile.h"

enum operand {
	AS_PATH,	/* the right side is of the left side's type */
	AS_TEXT,
};

static const struct operator {
	const char	*word;
	const char	*sql;
	enum operand	 operand;
	const char	*with_null;	/* what it is then; NULL: refused */
} operators[] = {
	{ "=", " = ", AS_PATH, " IS NULL" },
	{ "!=", " <> ", AS_PATH, " IS NOT NULL" },
	{ "<>", " <> ", AS_PATH, " IS NOT NULL" },
	{ "<", " < ", AS_PATH, NULL },
	{ "<=", " <= ", AS_PATH, NULL },
	{ ">", " > ", AS_PATH, NULL },
	{ ">=", " >= ", AS_PATH, NULL },
	{ "EQ", " = ", AS_PATH, " IS NULL" },
	{ "NE", " <> ", AS_PATH, " IS NOT NULL" },
	{ "LT", " < ", AS_PATH, NULL },
	{ "LE", " <= ", AS_PATH, NULL },
	{ "GT", " > ", AS_PATH, NULL },
	{ "GE", " >= ", AS_PATH, NULL },
	{ "LIKE", " LIKE ", AS_TEXT, NULL },
	{ "ILIKE", " ILIKE ", AS_TEXT, NULL },
	{ "@>", " @> ", AS_PATH, NULL },
	{ "<@", " <@ ", AS_PATH, NULL },
	{ "&&", " && ", AS_PATH, NULL },
	{ "?", " ? ", AS_TEXT, NULL },
};

/* What may have NOT before it. */
static const char *const negatable[] = { "IN", "BETWEEN", "LIKE", "ILIKE" };

static const struct operator *
find_operator(const struct lk_arg *arg)
{
	size_t i;

	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		if (lk_arg_is(arg, operators[i].word))
			return &operators[i];
	}
	return NULL;
}

static bool
is_negatable(const struct lk_arg *arg)
{
	size_t i;

	for (i = 0; i < sizeof(negatable) / sizeof(negatable[0]); i++) {
		if (lk_arg_is(arg, negatable[i]))
			return true;
	}
	return false;
}

/* The next argument is a value that may not be NULL. */
static int
take_operand(struct lk_compile *c, const struct lk_path *path,
    enum operand operand, struct lk_buf *out)
{
	struct lk_target target = path->target;
	const struct lk_arg *arg = lk_word_value(c);
	size_t number;
	int rc;

	if (operand == AS_TEXT)
		target.type = target.check = LK_OID_TEXT;
	if (arg != NULL && arg->data == NULL)
		return lk_refuse(c, "NULL is neither like this nor more or "
		    "less than anything: use IS NULL (argument %zu)",
		    c->at + 1);
	rc = lk_value_take(c, &target, &number);
	if (rc == 0)
		lk_quote_param(out, number);
	return rc;
}

/* A column of t itself, equal to a value. */
static bool
is_equal(const struct lk_compile *c, const struct lk_path *path,
    const struct operator *operator)
{
	return strcmp(operator->sql, " = ") == 0 && c->n_joins == 0 &&
	    path->keys.len == 0 && !path->is_text && !path->is_cast &&
	    c->n_equals < LK_COMPILE_MAX_EQUALS;
}

static int
take_binary(struct lk_compile *c, const struct lk_path *path,
    const struct operator *operator, struct lk_buf *out)
{
	const struct lk_arg *arg = lk_word_value(c);

	if (arg != NULL && arg->data == NULL && operator->with_null != NULL) {
		c->has_others = true;
		lk_buf_puts(out, operator->with_null);
		c->at++;
		return 0;
	}
	if (is_equal(c, path, operator))
		c->equals[c->n_equals++] =
		    (size_t)(path->target.column - c->model->columns);
	else
		c->has_others = true;
	lk_buf_puts(out, operator->sql);
	return take_operand(c, path, operator->operand, out);
}

/* n_before: where the path begins in out. */
static int
take_in(struct lk_compile *c, const struct lk_path *path, bool is_not,
    size_t n_before, struct lk_buf *out)
{
	uint64_t n, i;
	int rc = lk_word_number(c, "the number of values behind IN",
	    LK_REQUEST_MAX_ARGS, &n);

	if (rc != 0)
		return rc;
	if (n > c->n_args - c->at)
		return lk_refuse(c, "IN says %llu values, and %zu arguments "
		    "follow", (unsigned long long)n, c->n_args - c->at);
	if (n == 0) {
		/* An empty list is no SQL; nothing is in it, not even NULL. */
		lk_buf_truncate(out, n_before);
		lk_buf_puts(out, is_not ? "true" : "false");
		return 0;
	}
	lk_buf_puts(out, is_not ? " NOT IN (" : " IN (");
	for (i = 0; rc == 0 && i < n; i++) {
		if (i > 0)
			lk_buf_puts(out, ", ");
		rc = take_operand(c, path, AS_PATH, out);
	}
	lk_buf_putc(out, ')');
	return rc;
}

static int
take_between(struct lk_compile *c, const struct lk_path *path, bool is_not,
    struct lk_buf *out)
{
	int rc;

	lk_buf_puts(out, is_not ? " NOT BETWEEN " : " BETWEEN ");
	rc = take_operand(c, path, AS_PATH, out);
	lk_buf_puts(out, " AND ");
	return rc != 0 ? rc : take_operand(c, path, AS_PATH, out);
}

static int
take_is(struct lk_compile *c, struct lk_buf *out)
{
	lk_buf_puts(out, lk_word_take(c, "NOT") ? " IS NOT NULL" : " IS NULL");
	return lk_word_take(c, "NULL") ? 0 :
	    lk_expected(c, "NULL or NOT NULL behind IS");
}

static int
take_rest_of_test(struct lk_compile *c, const struct lk_path *path,
    size_t n_before, struct lk_buf *out)
{
	const struct operator *operator;
	bool is_not = lk_arg_is(lk_word_peek(c, 0), "NOT") &&
	    is_negatable(lk_word_peek(c, 1));
	bool had_others = c->has_others;

	c->has_others = true;
	if (is_not)
		c->at++;
	if (lk_word_take(c, "IN"))
		return take_in(c, path, is_not, n_before, out);
	if (lk_word_take(c, "BETWEEN"))
		return take_between(c, path, is_not, out);
	if (lk_word_take(c, "IS"))
		return take_is(c, out);
	c->has_others = had_others || is_not;
	operator = find_operator(lk_word_peek(c, 0));
	if (operator == NULL)
		return lk_expected(c, "= != < <= > >= LIKE ILIKE IN BETWEEN IS "
		    "@> <@ && ? or a word for one behind the column");
	c->at++;
	if (is_not)
		lk_buf_puts(out, " NOT");
	return take_binary(c, path, operator, out);
}

static int
take_test(struct lk_compile *c, struct lk_buf *out)
{
	struct lk_path path = { 0 };
	size_t n_before = out->len;
	int rc = lk_path_take(c, &path);

	if (rc == 0) {
		lk_buf_append(out, path.sql.data, path.sql.len);
		out->broken |= path.sql.broken;
		rc = take_rest_of_test(c, &path, n_before, out);
	}
	lk_path_fini(&path);
	return rc;
}

static int take_or(struct lk_compile *c, unsigned depth, struct lk_buf *out,
    bool *is_or_out);

/* ( or [ is done with; the other one closes. */
static int
take_rest_of_group(struct lk_compile *c, const char *close, unsigned depth,
    struct lk_buf *out)
{
	bool is_or;
	int rc;

	lk_buf_putc(out, '(');
	rc = take_or(c, depth, out, &is_or);
	lk_buf_putc(out, ')');
	if (rc != 0)
		return rc;
	if (lk_word_take(c, close))
		return 0;
	return lk_expected(c, close[0] == ')' ? "AND, OR or )" :
	    "AND, OR or ]");
}

static int
take_not(struct lk_compile *c, unsigned depth, struct lk_buf *out)
{
	while (lk_word_take(c, "NOT")) {
		c->has_others = true;
		lk_buf_puts(out, "NOT ");
		if (++depth > LK_COMPILE_MAX_DEPTH)
			break;
	}
	if (depth > LK_COMPILE_MAX_DEPTH)
		return lk_refuse(c, "the condition nests more than %d deep",
		    LK_COMPILE_MAX_DEPTH);
	if (lk_word_take(c, "("))
		return take_rest_of_group(c, ")", depth + 1, out);
	if (lk_word_take(c, "["))
		return take_rest_of_group(c, "]", depth + 1, out);
	return take_test(c, out);
}

static int
take_or(struct lk_compile *c, unsigned depth, struct lk_buf *out,
    bool *is_or_out)
{
	int rc;

	*is_or_out = false;
	for (;;) {
		rc = take_not(c, depth, out);
		if (rc != 0)
			return rc;
		if (lk_word_take(c, "AND")) {
			lk_buf_puts(out, " AND ");
		} else if (lk_word_take(c, "OR")) {
			lk_buf_puts(out, " OR ");
			*is_or_out = c->has_others = true;
		} else {
			return 0;
		}
	}
}

int
lk_cond_take(struct lk_compile *c, struct lk_cond *cond)
{
	return take_or(c, 0, &cond->sql, &cond->is_or);
}

void
lk_cond_fini(struct lk_cond *cond)
{
	lk_buf_fini(&cond->sql);
}

void
lk_cond_put(const struct lk_cond *cond, bool is_part, struct lk_buf *out)
{
	is_part = is_part && cond->is_or;
	if (is_part)
		lk_buf_putc(out, '(');
	lk_buf_append(out, cond->sql.data, cond->sql.len);
	if (is_part)
		lk_buf_putc(out, ')');
	out->broken |= cond->sql.broken;
}

/* ---- keys ---- */

static int
refuse_key(struct lk_compile *c, const struct lk_model *model,
    const struct lk_key_columns *key, size_t n_given)
{
	struct lk_buf names = LK_BUF_INIT;
	size_t i;
	int rc;

	for (i = 0; i < key->n; i++)
		lk_buf_printf(&names, "%s%s", i > 0 ? ", " : "",
		    model->columns[key->columns[i]].name);
	rc = lk_refuse(c, "the key of %s is %s: %zu value%s, not %zu",
	    model->name, lk_buf_cstr(&names), key->n, key->n == 1 ? "" : "s",
	    n_given);
	lk_buf_fini(&names);
	return rc;
}

int
lk_key_take(struct lk_compile *c, const struct lk_model *model, size_t alias,
    struct lk_buf *out)
{
	const struct lk_key_columns *key = lk_model_primary(model);
	const struct lk_column *column;
	struct lk_target target;
	size_t i, number;
	int rc;

	if (key == NULL) {
		lk_refuse(c, "%s has no primary key; FIND, UPDATEALL and "
		    "DELETEALL go by a condition", model->name);
		return -LK_E_NOENT;
	}
	for (i = 0; i < key->n; i++) {
		column = &model->columns[key->columns[i]];
		if (c->at == c->n_args)
			return refuse_key(c, model, key, i);
		if (lk_word_value(c)->data == NULL)
			return lk_refuse(c, "%s.%s: a key is never NULL "
			    "(argument %zu)", model->name, column->name,
			    c->at + 1);
		lk_target_compare(&target, model, column);
		rc = lk_value_take(c, &target, &number);
		if (rc != 0)
			return rc;
		if (i > 0)
			lk_buf_puts(out, " AND ");
		lk_quote_column(out, alias, column);
		lk_buf_puts(out, " = ");
		lk_quote_param(out, number);
	}
	return 0;
}
