/*
 * "column = value" and its like, of which the verbs that write make lists.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "orm/compile.h"

static const struct {
	const char	*word;
	enum lk_assign_op op;
} ops[] = {
	{ "=", LK_ASSIGN_SET },
	{ "+=", LK_ASSIGN_ADD },
	{ "-=", LK_ASSIGN_SUBTRACT },
	{ "||=", LK_ASSIGN_APPEND },
};

void
lk_assigns_fini(struct lk_assigns *assigns)
{
	free(assigns->list);
	free(assigns->is_assigned);
}

int
lk_assign_column(struct lk_compile *c, struct lk_assigns *assigns,
    size_t *column_out)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	const struct lk_column *column;
	int rc;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, "a column");
	rc = lk_path_column(c, (struct lk_span){ arg->data, arg->len },
	    &column);
	if (rc != 0)
		return rc;
	*column_out = (size_t)(column - c->model->columns);
	if (assigns->is_assigned == NULL) {
		/* No column is there twice, so this is enough. */
		assigns->is_assigned = lk_xcalloc(c->model->n_columns,
		    sizeof(assigns->is_assigned[0]));
		assigns->list = lk_xcalloc(c->model->n_columns,
		    sizeof(assigns->list[0]));
	}
	if (assigns->is_assigned[*column_out])
		return lk_refuse(c, "%s stands there twice (argument %zu)",
		    column->name, c->at + 1);
	assigns->is_assigned[*column_out] = true;
	c->at++;
	return 0;
}

static bool
is_integer(const struct lk_arg *arg)
{
	size_t i = arg->len > 0 && (arg->data[0] == '-' || arg->data[0] == '+');

	if (i == arg->len)
		return false;
	for (; i < arg->len; i++) {
		if (arg->data[i] < '0' || arg->data[i] > '9')
			return false;
	}
	return true;
}

/* Of the other side of + or -, for what is not a number. */
static uint32_t
difference_type(uint32_t type, enum lk_assign_op op, const struct lk_arg *arg)
{
	switch (type) {
	case LK_OID_DATE:
		/* Days, as in SQL; as an interval they would be seconds. */
		return is_integer(arg) ? LK_OID_INT4 : LK_OID_INTERVAL;
	case LK_OID_TIME:
	case LK_OID_TIMETZ:
	case LK_OID_TIMESTAMP:
	case LK_OID_TIMESTAMPTZ:
		return LK_OID_INTERVAL;
	case LK_OID_JSONB:
		/* - takes out a key. */
		return op == LK_ASSIGN_SUBTRACT ? LK_OID_TEXT : type;
	}
	return type;
}

static uint32_t
appended_type(uint32_t type)
{
	if (type == LK_OID_VARCHAR || type == LK_OID_BPCHAR ||
	    type == LK_OID_NAME)
		return LK_OID_TEXT;
	return type;
}

static int
take_value(struct lk_compile *c, struct lk_assign *assign)
{
	const struct lk_column *column = &c->model->columns[assign->column];
	const struct lk_arg *arg = lk_word_value(c);
	struct lk_target target;

	lk_target_store(&target, c->model, column);
	if (assign->op != LK_ASSIGN_SET && arg != NULL) {
		if (arg->data == NULL)
			return lk_refuse(c, "%s: what is changed by NULL is "
			    "NULL: use TO NULL (argument %zu)", column->name,
			    c->at + 1);
		lk_target_compare(&target, c->model, column);
		target.use = LK_USE_ADDED;
		/* UPSERT's is also to be what a new row has. */
		if (c->verb != LK_ORM_UPSERT)
			target.type = target.check =
			    assign->op == LK_ASSIGN_APPEND ?
			    appended_type(target.type) :
			    difference_type(target.type, assign->op, arg);
	}
	return lk_value_take(c, &target, &assign->param);
}

static int
take_to(struct lk_compile *c, struct lk_assign *assign)
{
	if (lk_word_take(c, "NULL"))
		assign->op = LK_ASSIGN_NULL;
	else if (lk_word_take(c, "DEFAULT"))
		assign->op = LK_ASSIGN_DEFAULT;
	else
		return lk_expected(c, "NULL or DEFAULT behind TO");
	return 0;
}

static int
take_op(struct lk_compile *c, struct lk_assign *assign, bool is_new,
    const char *words)
{
	size_t i;

	if (lk_word_take(c, "TO"))
		return take_to(c, assign);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!lk_arg_is(lk_word_peek(c, 0), ops[i].word) ||
		    (is_new && ops[i].op != LK_ASSIGN_SET) ||
		    (c->verb == LK_ORM_UPSERT &&
		    ops[i].op == LK_ASSIGN_SUBTRACT))
			continue;
		assign->op = ops[i].op;
		c->at++;
		return take_value(c, assign);
	}
	return lk_expected(c, words);
}

int
lk_assigns_take(struct lk_compile *c, struct lk_assigns *assigns,
    const char *stop)
{
	bool is_new = c->verb == LK_ORM_CREATE;
	const char *words = is_new ? "= or TO behind the column" :
	    c->verb == LK_ORM_UPSERT ? "= += ||= or TO behind the column" :
	    "= += -= ||= or TO behind the column";
	struct lk_assign assign;
	int rc = 0;

	while (rc == 0 && c->at < c->n_args &&
	    (stop == NULL || !lk_arg_is(lk_word_peek(c, 0), stop))) {
		rc = lk_assign_column(c, assigns, &assign.column);
		if (rc == 0)
			rc = take_op(c, &assign, is_new, words);
		if (rc == 0)
			assigns->list[assigns->n++] = assign;
	}
	return rc;
}

void
lk_assign_put_value(const struct lk_assign *assign, struct lk_buf *out)
{
	if (assign->op == LK_ASSIGN_NULL)
		lk_buf_puts(out, "NULL");
	else if (assign->op == LK_ASSIGN_DEFAULT)
		lk_buf_puts(out, "DEFAULT");
	else
		lk_quote_param(out, assign->param);
}

void
lk_assign_put_change(const struct lk_assign *assign,
    const struct lk_model *model, struct lk_buf *out)
{
	const char *sign = lk_assign_sign(assign);

	if (sign != NULL) {
		lk_quote_column(out, 0, &model->columns[assign->column]);
		lk_buf_puts(out, sign);
	}
	lk_assign_put_value(assign, out);
}

/* " + " where it is the old value and another; else NULL. */
const char *
lk_assign_sign(const struct lk_assign *assign)
{
	switch (assign->op) {
	case LK_ASSIGN_ADD:
		return " + ";
	case LK_ASSIGN_SUBTRACT:
		return " - ";
	case LK_ASSIGN_APPEND:
		return " || ";
	case LK_ASSIGN_SET:
	case LK_ASSIGN_NULL:
	case LK_ASSIGN_DEFAULT:
		break;
	}
	return NULL;
}
