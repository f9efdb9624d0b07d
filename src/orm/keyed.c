#include "orm/keyed.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/hash.h"
#include "orm/compile.h"

/* Longer requests are seldom sent twice. */
#define MAX_ARGS	32
#define MAX_TEXT	1024

/* ---- the statement for many ---- */

static void
put_all(struct lk_buf *out, const struct lk_plan *plan)
{
	size_t i, n = plan->n_params;

	lk_buf_puts(out, "SELECT t.*, k.n FROM unnest(");
	for (i = 1; i <= n; i++) {
		lk_quote_param(out, i);
		lk_buf_puts(out, i < n ? ", " : ") WITH ORDINALITY AS k(");
	}
	for (i = 1; i <= n; i++)
		lk_buf_printf(out, "c%zu, ", i);
	lk_buf_puts(out, "n) CROSS JOIN LATERAL (");
	/* Each value is one of the row k's. */
	lk_quote_params_as(out, plan->sql, "k.c", "");
	lk_buf_puts(out, ") AS t");
}

/* unnest() would take rows apart, there are no arrays of arrays, and in an
 * array a bytea is no longer its bytes. */
static uint32_t
array_of(const struct lk_catalog *catalog, uint32_t oid)
{
	const struct lk_catalog_type *type = lk_catalog_type(catalog, oid);

	return type == NULL || type->kind == LK_TYPE_COMPOSITE ||
	    oid == LK_OID_BYTEA ? 0 : type->array;
}

static void
make_statement(struct lk_keyed *keyed, const struct lk_catalog *catalog,
    const char *fold)
{
	const struct lk_plan *plan = &keyed->plan;
	struct lk_buf sql = LK_BUF_INIT;
	size_t i;

	keyed->types = lk_xcalloc(plan->n_params, sizeof(*keyed->types));
	for (i = 0; i < plan->n_params; i++) {
		keyed->types[i] = array_of(catalog, plan->params[i].type);
		if (keyed->types[i] == 0)
			return;
	}
	if (fold != NULL)
		lk_buf_puts(&sql, fold);
	else
		put_all(&sql, plan);
	keyed->sql = lk_xstrdup(lk_buf_cstr(&sql));
	lk_buf_fini(&sql);
}

/* ---- a shape ---- */

/* The argument that is a parameter's value; n_args: it is none as a whole. */
static size_t
find_arg(const struct lk_verb_call *call, const struct lk_plan_param *param)
{
	size_t i;

	for (i = 0; i < call->n_args; i++) {
		if (param->data != NULL && param->from == 0 &&
		    param->data == call->args[i].data &&
		    param->len == call->args[i].len)
			break;
	}
	return i;
}

static bool
is_null(const struct lk_verb_call *call, const struct lk_arg *arg)
{
	return arg->data == NULL || (call->null_text != NULL &&
	    arg->len == strlen(call->null_text) &&
	    memcmp(arg->data, call->null_text, arg->len) == 0);
}

/* NULL is a word and no value: with it the statement is another. */
static bool
has_null(const struct lk_verb_call *call)
{
	size_t i;

	for (i = 0; i < call->n_args; i++) {
		if (is_null(call, &call->args[i]))
			return true;
	}
	return false;
}

static bool
is_small(const struct lk_verb_call *call)
{
	size_t i, total = 0;

	for (i = 0; i < call->n_args && total <= MAX_TEXT; i++)
		total += call->args[i].len;
	return call->n_args <= MAX_ARGS && total <= MAX_TEXT;
}

static void
copy_args(struct lk_keyed *keyed, const struct lk_verb_call *call)
{
	size_t i, total = 0;
	char *at;

	for (i = 0; i < call->n_args; i++)
		total += call->args[i].len + 1;
	keyed->n_args = call->n_args;
	keyed->args = lk_xcalloc(call->n_args, sizeof(*keyed->args));
	keyed->text = at = lk_xcalloc(1, total + 1);
	for (i = 0; i < call->n_args; i++) {
		memcpy(at, call->args[i].data, call->args[i].len);
		keyed->args[i] = (struct lk_arg){ at, call->args[i].len };
		at += call->args[i].len + 1;
	}
}

static void
copy_plan(struct lk_plan *to, const struct lk_plan *from)
{
	*to = *from;
	to->sql = lk_xstrdup(from->sql);
	to->fold = NULL;
	to->params = lk_xcalloc(from->n_params, sizeof(*to->params));
	memcpy(to->params, from->params,
	    from->n_params * sizeof(*to->params));
	to->with = (struct lk_with){ 0 };
	lk_with_copy(&to->with, &from->with);
}

/* A value is its column's; what else is a parameter, as LIMIT's number, is one
 * of the words. */
static bool
is_value(const struct lk_plan_param *param)
{
	return param->column != NULL;
}

/* False: a parameter is no argument of the request. */
static bool
find_args(struct lk_keyed *keyed, const struct lk_verb_call *call)
{
	struct lk_plan *plan = &keyed->plan;
	size_t i;

	keyed->arg_of = lk_xcalloc(plan->n_params, sizeof(*keyed->arg_of));
	for (i = 0; i < plan->n_params; i++) {
		keyed->arg_of[i] = find_arg(call, &plan->params[i]);
		if (keyed->arg_of[i] == call->n_args)
			return false;
		if (is_value(&plan->params[i]))
			keyed->args[keyed->arg_of[i]].data = NULL;
		plan->params[i].data = NULL;
		plan->params[i].len = 0;
	}
	return true;
}

struct lk_keyed *
lk_keyed_new(const struct lk_catalog *catalog,
    const struct lk_verb_call *call, const struct lk_plan *plan)
{
	struct lk_keyed *keyed;

	if (!plan->is_by_key || plan->n_params == 0 || !is_small(call) ||
	    has_null(call))
		return NULL;
	keyed = lk_xcalloc(1, sizeof(*keyed));
	keyed->verb = call->verb;
	keyed->format = call->format;
	copy_args(keyed, call);
	copy_plan(&keyed->plan, plan);
	if (find_args(keyed, call))
		make_statement(keyed, catalog, plan->fold);
	else
		lk_keyed_free(&keyed);
	return keyed;
}

void
lk_keyed_free(struct lk_keyed **keyedp)
{
	struct lk_keyed *keyed = *keyedp;

	if (keyed == NULL)
		return;
	lk_plan_fini(&keyed->plan);
	free(keyed->args);
	free(keyed->text);
	free(keyed->arg_of);
	free(keyed->sql);
	free(keyed->types);
	free(keyed);
	*keyedp = NULL;
}

/* ---- calls ---- */

uint64_t
lk_keyed_hash(const struct lk_verb_call *call)
{
	const struct lk_arg *model = &call->args[0];
	uint64_t seed = (uint64_t)call->verb << 32 | call->n_args;

	return call->n_args == 0 ? seed :
	    lk_hash_bytes(seed, model->data, model->len);
}

static bool
is_same_form(struct lk_format a, struct lk_format b)
{
	return a.proto == b.proto && a.rows == b.rows &&
	    a.int8_text == b.int8_text && a.depth == b.depth;
}

static bool
has_same_words(const struct lk_keyed *keyed, const struct lk_verb_call *call)
{
	const struct lk_arg *word, *arg;
	size_t i;

	for (i = 0; i < keyed->n_args; i++) {
		word = &keyed->args[i];
		arg = &call->args[i];
		if (word->data != NULL && (arg->data == NULL ||
		    arg->len != word->len ||
		    memcmp(arg->data, word->data, word->len) != 0))
			return false;
	}
	return true;
}

bool
lk_keyed_fits(const struct lk_keyed *keyed, const struct lk_verb_call *call)
{
	const struct lk_plan *plan = &keyed->plan;
	const struct lk_arg *arg;
	size_t i;

	if (keyed->verb != call->verb || keyed->n_args != call->n_args ||
	    call->in_tx || !is_same_form(keyed->format, call->format) ||
	    !has_same_words(keyed, call))
		return false;
	for (i = 0; i < plan->n_params; i++) {
		arg = &call->args[keyed->arg_of[i]];
		if (is_null(call, arg) ||
		    !lk_value_fits(plan->params[i].type, arg))
			return false;
	}
	return true;
}

void
lk_keyed_plan(const struct lk_keyed *keyed, const struct lk_arg *args,
    struct lk_plan_param few[LK_KEYED_FEW], struct lk_plan *plan_out)
{
	const struct lk_arg *arg;
	size_t n = keyed->plan.n_params, i;

	*plan_out = keyed->plan;
	plan_out->params = n <= LK_KEYED_FEW ? few :
	    lk_xcalloc(n, sizeof(*plan_out->params));
	for (i = 0; i < n; i++) {
		arg = &args[keyed->arg_of[i]];
		plan_out->params[i] = keyed->plan.params[i];
		plan_out->params[i].data = arg->data;
		plan_out->params[i].len = arg->len;
	}
}

void
lk_keyed_forget_plan(struct lk_plan *plan)
{
	if (plan->n_params > LK_KEYED_FEW)
		free(plan->params);
	memset(plan, 0, sizeof(*plan));
}
