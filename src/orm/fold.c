/*
 * UPDATEs of the same row, as one: it locks the row, takes it from each to the
 * next by the expressions that they have alone, writes it once, and gives each
 * the row as it was behind its own.  That is the same as one by one only where
 * nobody else would have seen the rows between.  The snapshot says so, and it may
 * be old; so the statement looks itself, and fails where it is not so any more.
 */
#include "orm/compile.h"

/* Of these a cast is what storing does, and none has a collation. */
static bool
is_plain_type(uint32_t type)
{
	static const uint32_t types[] = { LK_OID_BOOL, LK_OID_INT2,
	    LK_OID_INT4, LK_OID_INT8, LK_OID_OID, LK_OID_FLOAT4,
	    LK_OID_FLOAT8, LK_OID_NUMERIC, LK_OID_DATE, LK_OID_TIME,
	    LK_OID_TIMETZ, LK_OID_TIMESTAMP, LK_OID_TIMESTAMPTZ,
	    LK_OID_INTERVAL, LK_OID_UUID, LK_OID_JSON, LK_OID_JSONB };
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i] == type)
			return true;
	}
	return false;
}

/* Whether nothing but the replies would know of the rows between. */
static bool
sees_only_last(const struct lk_model *model)
{
	size_t i;

	for (i = 0; i < model->n_columns; i++) {
		if (model->columns[i].is_generated)
			return false;
	}
	return model->is_alone && !model->has_triggers && !model->has_checks;
}

/* A NULL between could be one too many, a domain has checks, and what is added to
 * a date has the type that its value looks like. */
static bool
is_plain(const struct lk_model *model, const struct lk_assign *assign)
{
	uint32_t type = model->columns[assign->column].type;

	switch (assign->op) {
	case LK_ASSIGN_SET:
		return is_plain_type(type);
	case LK_ASSIGN_ADD:
	case LK_ASSIGN_SUBTRACT:
	case LK_ASSIGN_APPEND:
		return is_plain_type(type) && type != LK_OID_DATE;
	case LK_ASSIGN_NULL:
	case LK_ASSIGN_DEFAULT:
		break;
	}
	return false;
}

static bool
are_plain(const struct lk_model *model, const struct lk_assigns *assigns)
{
	size_t i;

	for (i = 0; i < assigns->n; i++) {
		if (!is_plain(model, &assigns->list[i]))
			return false;
	}
	return true;
}

/* ---- parts ---- */

static const struct lk_assign *
find_assign(const struct lk_assigns *assigns, size_t column)
{
	size_t i;

	for (i = 0; i < assigns->n; i++) {
		if (assigns->list[i].column == column)
			return &assigns->list[i];
	}
	return NULL;
}

/* "o1, o2 …", one for each column, behind `before`. */
static void
put_columns(struct lk_buf *out, const struct lk_model *model,
    const char *before)
{
	size_t i;

	for (i = 1; i <= model->n_columns; i++)
		lk_buf_printf(out, i == 1 ? "%so%zu" : ", %so%zu", before, i);
}

/* The key's are the same in all. */
static void
put_key(struct lk_buf *out, struct lk_buf *key)
{
	lk_quote_params_as(out, lk_buf_cstr(key), "($", ")[1]");
}

static void
put_attnums(struct lk_buf *out, const struct lk_model *model,
    const struct lk_assigns *assigns)
{
	size_t i;

	for (i = 0; i < assigns->n; i++)
		lk_buf_printf(out, i == 0 ? "'{%d" : ",%d",
		    model->columns[assigns->list[i].column].attnum);
	lk_buf_puts(out, "}'::int2[]");
}

/*
 * What sees_only_last() and lk_row_lock.is_simple say, by the catalog as it is:
 * what changes that waits for the lock on the table, and so it cannot change until
 * the end.  Another type of a column's shows in s.
 */
static void
put_is_so(struct lk_buf *out, const struct lk_model *model,
    const struct lk_assigns *assigns)
{
	unsigned oid = model->oid;

	lk_buf_printf(out, "EXISTS (SELECT FROM pg_catalog.pg_class "
	    "WHERE oid = %u AND relchecks = 0 AND NOT (relhasrules "
	    "OR relrowsecurity OR relhassubclass OR relispartition)) "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger "
	    "WHERE tgrelid = %u AND NOT tgisinternal) "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute "
	    "WHERE attrelid = %u AND attgenerated <> '') "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint "
	    "WHERE conrelid = %u AND contype = 'f' AND conkey && ",
	    oid, oid, oid, oid);
	put_attnums(out, model, assigns);
	lk_buf_printf(out, ") AND NOT EXISTS (SELECT FROM pg_catalog.pg_index "
	    "WHERE indrelid = %u AND (indexprs IS NOT NULL OR indpred IS NOT "
	    "NULL OR indkey::int2[] && ", oid);
	put_attnums(out, model, assigns);
	lk_buf_puts(out, "))");
}

/* b: the row as it is before all of them, locked.  Who has IF might not wait for
 * it, so where somebody has the row they go one by one. */
static void
put_before(struct lk_buf *out, const struct lk_model *model,
    const struct lk_assigns *assigns, struct lk_buf *key, bool may_wait)
{
	lk_buf_puts(out, "WITH RECURSIVE b AS (SELECT ");
	lk_quote_columns(out, model);
	lk_buf_puts(out, " FROM ");
	lk_quote_table(out, model, 0);
	lk_buf_puts(out, " WHERE ");
	put_key(out, key);
	lk_buf_puts(out, " AND CASE WHEN ");
	put_is_so(out, model, assigns);
	/* None, but an error that PostgreSQL's log shows. */
	lk_buf_puts(out, " THEN true ELSE (SELECT 'Lockkeeper: the table is not "
	    "what it was, and its updates go one by one')::bool END "
	    "FOR NO KEY UPDATE");
	lk_buf_puts(out, may_wait ? ")" : " NOWAIT)");
}

/* Of the one with the number s.n + 1. */
static void
put_change(struct lk_buf *out, const struct lk_model *model,
    const struct lk_assign *assign)
{
	struct lk_buf change = LK_BUF_INIT;

	lk_assign_put_change(assign, model, &change);
	lk_buf_putc(out, '(');
	lk_quote_params_as(out, lk_buf_cstr(&change), "($", ")[s.n + 1]");
	out->broken |= change.broken;
	lk_buf_printf(out, ")::%s", model->columns[assign->column].type_name);
	lk_buf_fini(&change);
}

/* s: behind the n-th of them the row is o1, o2 …; d: it has changed that. */
static void
put_steps(struct lk_buf *out, const struct lk_model *model,
    const struct lk_assigns *assigns, const char *condition)
{
	const struct lk_assign *assign;
	size_t i;

	lk_buf_puts(out, ", s(n, d, ");
	put_columns(out, model, "");
	lk_buf_printf(out, ") AS (SELECT 0, false, b.* FROM b UNION ALL "
	    "SELECT s.n + 1, %s", condition);
	for (i = 0; i < model->n_columns; i++) {
		assign = find_assign(assigns, i);
		lk_buf_puts(out, ", ");
		if (assign == NULL) {
			lk_buf_printf(out, "s.o%zu", i + 1);
			continue;
		}
		lk_buf_printf(out, "CASE WHEN %s THEN ", condition);
		put_change(out, model, assign);
		lk_buf_printf(out, " ELSE s.o%zu END", i + 1);
	}
	lk_buf_puts(out, " FROM s CROSS JOIN LATERAL (SELECT ");
	put_columns(out, model, "s.");
	lk_buf_puts(out, ") AS t(");
	for (i = 0; i < model->n_columns; i++) {
		if (i > 0)
			lk_buf_puts(out, ", ");
		lk_quote(out, model->columns[i].name);
	}
	lk_buf_puts(out, ") WHERE s.n < array_length($1, 1))");
}

static void
put_update(struct lk_buf *out, const struct lk_model *model,
    const struct lk_assigns *assigns, struct lk_buf *key)
{
	size_t i, column;

	lk_buf_puts(out, ", u AS (UPDATE ");
	lk_quote_table(out, model, 0);
	for (i = 0; i < assigns->n; i++) {
		column = assigns->list[i].column;
		lk_buf_puts(out, i == 0 ? " SET " : ", ");
		lk_quote(out, model->columns[column].name);
		lk_buf_printf(out, " = s.o%zu", column + 1);
	}
	lk_buf_puts(out, " FROM s WHERE ");
	put_key(out, key);
	lk_buf_puts(out, " AND s.n = array_length($1, 1) "
	    "AND EXISTS (SELECT FROM s WHERE s.d))");
}

static void
put_rows(struct lk_buf *out, const struct lk_model *model)
{
	size_t i;

	for (i = 0; i < model->n_columns; i++) {
		lk_buf_printf(out, i == 0 ? " SELECT s.o%zu AS " :
		    ", s.o%zu AS ", i + 1);
		lk_quote(out, model->columns[i].name);
	}
	lk_buf_puts(out, ", s.n FROM s WHERE s.d");
}

void
lk_fold_put(struct lk_compile *c, const struct lk_assigns *assigns,
    struct lk_buf *key, const struct lk_cond *condition)
{
	struct lk_buf own = LK_BUF_INIT, all = LK_BUF_INIT;

	if (c->in_tx || !c->row.is_simple || c->n_joins > 0 ||
	    !sees_only_last(c->model) || !are_plain(c->model, assigns))
		return;
	if (c->row.is_conditional)
		lk_cond_put(condition, true, &own);
	else
		lk_buf_puts(&own, "true");
	lk_quote_params_as(&all, lk_buf_cstr(&own), "($", ")[s.n + 1]");
	put_before(&c->fold, c->model, assigns, key, !c->row.is_conditional);
	put_steps(&c->fold, c->model, assigns, lk_buf_cstr(&all));
	put_update(&c->fold, c->model, assigns, key);
	put_rows(&c->fold, c->model);
	c->fold.broken |= own.broken | all.broken;
	lk_buf_fini(&own);
	lk_buf_fini(&all);
}
