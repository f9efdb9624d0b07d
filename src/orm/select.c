/*
 * The verbs that read: GET, FIND, ONE, FIRST, COUNT, EXISTS, LOAD.
 */
#include <string.h>

#include "orm/compile.h"
#include "orm/snapshot.h"

/* As PostgreSQL's lists. */
#define MAX_FIELDS	1664

struct query {
	struct lk_fields fields;	/* none: all of them */
	struct lk_buf	 from;		/* LOAD: from which rows, beside t */
	struct lk_buf	 key;		/* conditions that the verb makes */
	struct lk_cond	 where;
	struct lk_page	 page;
	struct lk_buf	 limit;		/* LIMIT and OFFSET */
	struct lk_buf	 lock;
	struct lk_row_lock row;		/* what lock says */
	unsigned	 seen;		/* clauses, as bits */
};

static void
fini_query(struct query *query)
{
	lk_fields_fini(&query->fields);
	lk_buf_fini(&query->from);
	lk_buf_fini(&query->key);
	lk_cond_fini(&query->where);
	lk_page_fini(&query->page);
	lk_buf_fini(&query->limit);
	lk_buf_fini(&query->lock);
}

/* ---- clauses ---- */

static int
take_where(struct lk_compile *c, struct query *query)
{
	return lk_cond_take(c, &query->where);
}

static int
take_order(struct lk_compile *c, struct query *query)
{
	return lk_page_order(c, &query->page);
}

static int
take_after(struct lk_compile *c, struct query *query)
{
	return lk_page_after(c, &query->page);
}

static int
take_number(struct lk_compile *c, const char *word, struct lk_buf *out)
{
	static const struct lk_target count = { NULL, NULL, LK_OID_INT8,
	    LK_OID_INT8, LK_USE_COMPARED };
	const struct lk_arg *arg = lk_word_peek(c, 0);
	struct lk_buf what = LK_BUF_INIT;
	uint64_t number;
	size_t param;
	int rc;

	lk_buf_printf(&what, "a number of rows behind %s", word);
	rc = lk_word_number(c, lk_buf_cstr(&what), INT64_MAX, &number);
	lk_buf_fini(&what);
	if (rc == 0)
		rc = lk_param_add(c, &count, arg, &param);
	if (rc != 0)
		return rc;
	lk_buf_printf(out, " %s ", word);
	lk_quote_param(out, param);
	return 0;
}

static int
take_limit(struct lk_compile *c, struct query *query)
{
	return take_number(c, "LIMIT", &query->limit);
}

static int
take_offset(struct lk_compile *c, struct query *query)
{
	return take_number(c, "OFFSET", &query->limit);
}

static int
take_fields(struct lk_compile *c, struct query *query)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	const struct lk_column *column;
	struct lk_span rest, part;
	size_t n = 0;
	int rc = 0;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, "columns behind FIELDS, as a,b");
	rest = (struct lk_span){ arg->data, arg->len };
	while (rc == 0 && lk_span_cut(&rest, ',', &part)) {
		if (++n > MAX_FIELDS)
			return lk_refuse(c, "FIELDS of more than %d columns",
			    MAX_FIELDS);
		rc = lk_path_column(c, part, &column);
		if (rc == 0)
			lk_fields_add(&query->fields,
			    (size_t)(column - c->model->columns));
	}
	if (rc == 0)
		c->at++;
	return rc;
}

static int
take_with(struct lk_compile *c, struct query *query)
{
	(void)query;
	return lk_with_take(c);
}

/* Rows of t only: those that paths lead to may be none. */
static int
take_lock(struct lk_compile *c, struct query *query)
{
	static const char *const words[LK_STRENGTH__N] = {
		[LK_STRENGTH_KEY_SHARE] = "KEY SHARE",
		[LK_STRENGTH_SHARE] = "SHARE",
		[LK_STRENGTH_NO_KEY_UPDATE] = "NO KEY UPDATE",
		[LK_STRENGTH_UPDATE] = "UPDATE",
	};
	enum lk_strength strength = LK_STRENGTH_NONE;

	if (lk_word_take(c, "UPDATE"))
		strength = LK_STRENGTH_UPDATE;
	else if (lk_word_take(c, "SHARE"))
		strength = LK_STRENGTH_SHARE;
	else if (lk_word_take(c, "KEY"))
		strength = lk_word_take(c, "SHARE") ? LK_STRENGTH_KEY_SHARE :
		    LK_STRENGTH_NONE;
	else if (lk_word_take(c, "NO") && lk_word_take(c, "KEY"))
		strength = lk_word_take(c, "UPDATE") ?
		    LK_STRENGTH_NO_KEY_UPDATE : LK_STRENGTH_NONE;
	if (strength == LK_STRENGTH_NONE)
		return lk_expected(c, "UPDATE, NO KEY UPDATE, SHARE or "
		    "KEY SHARE behind FOR");
	if (!c->in_tx)
		return lk_refuse(c, "FOR %s locks rows until a transaction "
		    "ends, and this request is in none: BEGIN one",
		    words[strength]);
	query->row = (struct lk_row_lock){ .strength = strength,
	    .sure = strength };
	lk_buf_printf(&query->lock, " FOR %s OF t", words[strength]);
	if (lk_word_take(c, "NOWAIT")) {
		query->row.is_impatient = true;
		lk_buf_puts(&query->lock, " NOWAIT");
	} else if (lk_word_take(c, "SKIP")) {
		query->row.is_impatient = true;
		if (!lk_word_take(c, "LOCKED"))
			return lk_expected(c, "LOCKED behind SKIP");
		lk_buf_puts(&query->lock, " SKIP LOCKED");
	}
	return 0;
}

enum {
	WHERE = 1 << 0,
	ORDER = 1 << 1,
	AFTER = 1 << 2,
	LIMIT = 1 << 3,
	OFFSET = 1 << 4,
	FIELDS = 1 << 5,
	WITH = 1 << 6,
	FOR = 1 << 7,
};

static const struct clause {
	const char	*word;
	unsigned	 bit;
	int		 (*take)(struct lk_compile *c, struct query *query);
} clauses[] = {
	{ "WHERE", WHERE, take_where },
	{ "ORDER", ORDER, take_order },
	{ "AFTER", AFTER, take_after },
	{ "LIMIT", LIMIT, take_limit },
	{ "OFFSET", OFFSET, take_offset },
	{ "FIELDS", FIELDS, take_fields },
	{ "WITH", WITH, take_with },
	{ "FOR", FOR, take_lock },
};

#define N_CLAUSES	(sizeof(clauses) / sizeof(clauses[0]))

static const struct clause *
find_clause(const struct lk_arg *arg, unsigned allowed)
{
	size_t i;

	for (i = 0; i < N_CLAUSES; i++) {
		if ((clauses[i].bit & allowed) != 0 &&
		    lk_arg_is(arg, clauses[i].word))
			return &clauses[i];
	}
	return NULL;
}

/* What may stand next: words, or the end. */
static int
expect_clause(struct lk_compile *c, const struct query *query,
    unsigned allowed)
{
	struct lk_buf what = LK_BUF_INIT;
	size_t i;
	int rc;

	if ((allowed & ~query->seen & WHERE) != 0 && lk_habit_is_path(c))
		return lk_expected(c, "WHERE before a condition");
	if ((query->seen & WHERE) != 0)
		lk_buf_puts(&what, "AND, OR, ");
	for (i = 0; i < N_CLAUSES; i++) {
		if ((clauses[i].bit & allowed & ~query->seen) != 0)
			lk_buf_printf(&what, "%s, ", clauses[i].word);
	}
	if (what.len > 0) {
		lk_buf_truncate(&what, what.len - 2);
		lk_buf_puts(&what, " or ");
	}
	lk_buf_puts(&what, "the end");
	rc = lk_expected(c, lk_buf_cstr(&what));
	lk_buf_fini(&what);
	return rc;
}

static int
take_clauses(struct lk_compile *c, struct query *query, unsigned allowed)
{
	const struct clause *clause;
	int rc = 0;

	while (rc == 0 && c->at < c->n_args) {
		clause = find_clause(lk_word_peek(c, 0), allowed);
		if (clause == NULL)
			return expect_clause(c, query, allowed);
		if ((query->seen & clause->bit) != 0)
			return lk_refuse(c, "%s stands there twice "
			    "(argument %zu)", clause->word, c->at + 1);
		query->seen |= clause->bit;
		c->at++;
		rc = clause->take(c, query);
	}
	return rc;
}

/* ---- statements ---- */

static void
put_part(struct lk_buf *out, const struct lk_buf *part)
{
	lk_buf_append(out, part->data, part->len);
	out->broken |= part->broken;
}

static void
put_from(const struct lk_compile *c, const struct query *query,
    struct lk_buf *out)
{
	const struct lk_buf *after = &query->page.after;
	const struct lk_buf *own = &query->key;
	bool is_part = own->len > 0 || after->len > 0;
	const char *word = " WHERE ";

	lk_buf_puts(out, " FROM ");
	lk_quote_table(out, c->model, 0);
	put_part(out, &query->from);
	lk_path_put_joins(c, out);
	if (own->len > 0) {
		lk_buf_puts(out, word);
		put_part(out, own);
		word = " AND ";
	}
	if (query->where.sql.len > 0) {
		lk_buf_puts(out, word);
		lk_cond_put(&query->where, is_part, out);
		word = " AND ";
	}
	if (after->len > 0) {
		lk_buf_puts(out, word);
		put_part(out, after);
	}
}

static void
put_fields(struct lk_compile *c, const struct lk_fields *fields)
{
	size_t i;

	lk_buf_puts(&c->sql, "SELECT");
	for (i = 0; i < fields->n; i++) {
		lk_buf_puts(&c->sql, i == 0 ? " " : ", ");
		lk_quote_column(&c->sql, 0,
		    &c->model->columns[fields->columns[i]]);
	}
}

/* Once the shape is known. */
static int
put_select(struct lk_compile *c, struct query *query)
{
	size_t i;
	int rc;

	for (i = 0; (query->seen & FIELDS) == 0 && i < c->model->n_columns; i++)
		lk_fields_add(&query->fields, i);
	rc = lk_with_finish(c, &query->fields);
	if (rc != 0)
		return rc;
	put_fields(c, &query->fields);
	put_from(c, query, &c->sql);
	lk_page_put_order(&query->page, &c->sql);
	put_part(&c->sql, &query->limit);
	put_part(&c->sql, &query->lock);
	return 0;
}

/* Some of the rows: which of them is always the same. */
static int
put_page(struct lk_compile *c, struct query *query, bool is_first)
{
	if ((query->seen & (ORDER | AFTER | LIMIT | OFFSET)) != 0 || is_first)
		lk_page_tie(&query->page, c->model);
	return put_select(c, query);
}

/* What locks is no mere reading, and AFTER's values may be NULL. */
static bool
is_plain_read(const struct query *query)
{
	return (query->seen & (AFTER | FOR)) == 0;
}

/* Whether the condition is that its columns have these values. */
static bool
says_key(const struct lk_compile *c, const struct lk_key_columns *key)
{
	return !c->has_others && c->n_joins == 0 && key != NULL &&
	    lk_is_same_columns(key->columns, key->n, c->equals, c->n_equals);
}

static bool
says_some_key(const struct lk_compile *c)
{
	size_t i;

	for (i = 0; i < c->model->n_keys; i++) {
		if (says_key(c, &c->model->keys[i]))
			return true;
	}
	return false;
}

int
lk_compile_get(struct lk_compile *c)
{
	struct query query = { 0 };
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = lk_key_take(c, c->model, 0, &query.key);
	if (rc == 0)
		rc = take_clauses(c, &query, FIELDS | WITH | FOR);
	c->row = query.row;
	c->is_by_key = is_plain_read(&query);
	c->shape = LK_SHAPE_ROW;
	if (rc == 0)
		rc = put_select(c, &query);
	fini_query(&query);
	return rc;
}

int
lk_compile_find(struct lk_compile *c)
{
	struct query query = { 0 };
	unsigned allowed = WHERE | ORDER | AFTER | OFFSET | FIELDS | WITH | FOR;
	int rc = lk_word_model(c, &c->model);

	c->shape = LK_SHAPE_ROWS;
	if (c->verb == LK_ORM_FIND) {
		allowed |= LIMIT;
	} else if (c->verb == LK_ORM_ONE) {
		c->shape = LK_SHAPE_ONE;
		lk_buf_puts(&query.limit, " LIMIT 2");
	} else {
		c->shape = LK_SHAPE_ROW;
		lk_buf_puts(&query.limit, " LIMIT 1");
	}
	if (rc == 0)
		rc = take_clauses(c, &query, allowed);
	if (rc == 0) {
		c->is_by_key = is_plain_read(&query) && says_some_key(c);
		if (says_key(c, lk_model_primary(c->model)))
			c->row = query.row;
		rc = put_page(c, &query, c->verb == LK_ORM_FIRST);
	}
	fini_query(&query);
	return rc;
}

int
lk_compile_count(struct lk_compile *c)
{
	struct query query = { 0 };
	bool is_count = c->verb == LK_ORM_COUNT;
	int rc = lk_word_model(c, &c->model);

	if (rc == 0)
		rc = take_clauses(c, &query, WHERE);
	if (rc == 0) {
		lk_buf_puts(&c->sql, is_count ? "SELECT count(*)" :
		    "SELECT EXISTS (SELECT");
		put_from(c, &query, &c->sql);
		if (!is_count)
			lk_buf_putc(&c->sql, ')');
	}
	c->shape = is_count ? LK_SHAPE_INT : LK_SHAPE_BOOL;
	fini_query(&query);
	return rc;
}

/* ---- LOAD ---- */

static int
take_relation(struct lk_compile *c, const struct lk_model *model,
    const struct lk_relation **relation_out)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	int rc;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, "a relation behind the key");
	rc = lk_path_relation(c, model,
	    (struct lk_span){ arg->data, arg->len }, relation_out);
	if (rc == 0)
		c->at++;
	return rc;
}

/* From the row s to the rows t, by rows j of a join table where one is. */
static void
put_way(const struct lk_relation *relation, struct lk_buf *out)
{
	struct lk_end s = { relation->from, LK_ALIAS_SOURCE,
	    relation->from_columns };
	struct lk_end end = lk_path_put_through(relation, out);

	lk_buf_puts(out, " JOIN ");
	lk_quote_table(out, relation->from, LK_ALIAS_SOURCE);
	lk_buf_puts(out, " ON ");
	lk_path_put_equal(out, &s, &end, relation->n_columns);
}

int
lk_compile_load(struct lk_compile *c)
{
	const struct lk_relation *relation;
	const struct lk_model *source;
	struct query query = { 0 };
	int rc = lk_word_model(c, &source);

	c->model = c->source = source;
	if (rc == 0)
		rc = lk_key_take(c, source, LK_ALIAS_SOURCE, &query.key);
	if (rc == 0)
		rc = take_relation(c, source, &relation);
	if (rc == 0) {
		c->model = relation->to;
		c->through = relation->through;
		put_way(relation, &query.from);
		c->shape = lk_relation_is_one(relation) ? LK_SHAPE_ROW :
		    LK_SHAPE_ROWS;
		rc = take_clauses(c, &query, WHERE | ORDER | AFTER | LIMIT |
		    OFFSET | FIELDS | WITH | FOR);
	}
	c->is_by_key = is_plain_read(&query);
	if (rc == 0)
		rc = put_page(c, &query, false);
	fini_query(&query);
	return rc;
}
