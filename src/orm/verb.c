#include "orm/verb.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "orm/compile.h"

static const struct {
	const char	*word;
	const char	*syntax;
	bool		 is_write;
	int		 (*compile)(struct lk_compile *c);
} verbs[LK_ORM_N_VERBS] = {
#define LK_ORM_VERB(symbol, word, is_write, compile, syntax, summary)	\
	[LK_ORM_##symbol] = { word, syntax, is_write, compile },
#include "orm/verb.def"
#undef LK_ORM_VERB
};

const char *
lk_orm_verb_word(enum lk_orm_verb verb)
{
	return verbs[verb].word;
}

const char *
lk_orm_verb_syntax(enum lk_orm_verb verb)
{
	return verbs[verb].syntax;
}

static bool
is_plain(const struct lk_model *model)
{
	return !model->is_view && !model->has_triggers;
}

static bool
has_known_types(const struct lk_model *model)
{
	return !model->has_own_types;
}

/* Whether all that the statement names are so. */
static bool
are_all(const struct lk_compile *c, bool (*is_so)(const struct lk_model *))
{
	const struct lk_relation *relation;
	size_t i;

	if (!is_so(c->model) || (c->source != NULL && !is_so(c->source)) ||
	    (c->through != NULL && !is_so(c->through)))
		return false;
	for (i = 0; i < c->n_joins; i++) {
		if (!is_so(c->joins[i].relation->to))
			return false;
	}
	for (i = 0; i < c->n_nodes; i++) {
		relation = c->nodes[i].relation;
		if (!is_so(relation->to) || (relation->through != NULL &&
		    !is_so(relation->through)))
			return false;
	}
	return true;
}

/*
 * A view may call what it likes, and so may a trigger, a rule, or a policy of
 * row security.
 */
static bool
has_no_trace(const struct lk_compile *c)
{
	return are_all(c, is_plain);
}

/* What writes may call more: defaults, checks, expressions of an index. */
static bool
is_clean(const struct lk_compile *c)
{
	return !verbs[c->verb].is_write && are_all(c, is_plain) &&
	    are_all(c, has_known_types);
}

/* The statement and its parameters go from c to the plan. */
static int
give_plan(struct lk_compile *c, struct lk_plan *plan)
{
	lk_buf_putc(&c->sql, '\0');
	if (c->fold.len > 0)
		lk_buf_putc(&c->fold, '\0');
	if (c->sql.broken || c->params.broken || c->fold.broken) {
		lk_error_set(c->error, LK_ERR_OVERLOAD,
		    "no memory for the statement of %s",
		    lk_orm_verb_word(c->verb));
		return -LK_E_NOMEM;
	}
	plan->sql = c->sql.data;
	plan->params = (struct lk_plan_param *)(void *)c->params.data;
	plan->n_params = c->n_params;
	plan->shape = c->shape;
	plan->is_write = verbs[c->verb].is_write;
	plan->has_no_trace = has_no_trace(c);
	plan->fold = c->fold.data;
	plan->is_by_key = c->is_by_key || plan->fold != NULL;
	plan->model = c->model;
	plan->row = c->row;
	plan->row.is_plain = c->model->is_alone && !c->model->has_triggers;
	plan->row.is_simple &= plan->row.is_plain;
	plan->is_clean = plan->row.is_simple || is_clean(c);
	plan->with = c->with;
	c->with = (struct lk_with){ 0 };
	lk_buf_init(&c->sql);
	lk_buf_init(&c->fold);
	lk_buf_init(&c->params);
	return 0;
}

int
lk_verb_compile(const struct lk_catalog *catalog,
    const struct lk_verb_call *call, struct lk_plan *plan_out,
    struct lk_error *error)
{
	struct lk_compile c = { 0 };
	int rc;

	c.catalog = catalog;
	c.verb = call->verb;
	c.args = call->args;
	c.n_args = call->n_args;
	c.in_tx = call->in_tx;
	c.format = call->format;
	c.null_text = call->null_text;
	c.refs = &call->refs;
	c.can_join = !verbs[c.verb].is_write;
	c.error = error;
	rc = verbs[c.verb].compile(&c);
	if (rc != 0)
		lk_habit_explain(&c);
	else
		rc = give_plan(&c, plan_out);
	lk_buf_fini(&c.sql);
	lk_buf_fini(&c.fold);
	lk_buf_fini(&c.params);
	lk_with_forget(&c);
	return rc;
}

void
lk_plan_fini(struct lk_plan *plan)
{
	free(plan->sql);
	free(plan->fold);
	free(plan->params);
	lk_with_fini(&plan->with);
	memset(plan, 0, sizeof(*plan));
}
