#include <string.h>

#include "orm/compile.h"

void
lk_path_fini(struct lk_path *path)
{
	lk_buf_fini(&path->sql);
	lk_buf_fini(&path->keys);
}

/* ---- rows to which one leads ---- */

bool
lk_relation_is_one(const struct lk_relation *relation)
{
	return relation->kind == LK_RELATION_ONE ||
	    (relation->kind == LK_RELATION_MANY && relation->is_unique);
}

/* The alias of the row to which the relation leads from the one of parent. */
static int
find_join(struct lk_compile *c, size_t parent,
    const struct lk_relation *relation, size_t *alias_out)
{
	size_t i;

	for (i = 0; i < c->n_joins; i++) {
		if (c->joins[i].parent == parent &&
		    c->joins[i].relation == relation)
			break;
	}
	if (i == LK_COMPILE_MAX_JOINS)
		return lk_refuse(c, "goes along more than %d relations",
		    LK_COMPILE_MAX_JOINS);
	if (i == c->n_joins)
		c->joins[c->n_joins++] = (struct lk_join){ relation, parent };
	*alias_out = i + 1;
	return 0;
}

void
lk_path_put_equal(struct lk_buf *out, const struct lk_end *left,
    const struct lk_end *right, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			lk_buf_puts(out, " AND ");
		lk_quote_column(out, left->alias,
		    &left->model->columns[left->columns[i]]);
		lk_buf_puts(out, " = ");
		lk_quote_column(out, right->alias,
		    &right->model->columns[right->columns[i]]);
	}
}

struct lk_end
lk_path_put_through(const struct lk_relation *relation, struct lk_buf *out)
{
	struct lk_end t = { relation->to, 0, relation->to_columns };
	struct lk_end near = { relation->through, LK_ALIAS_THROUGH,
	    relation->near };
	struct lk_end far = { relation->through, LK_ALIAS_THROUGH,
	    relation->far };

	if (relation->kind != LK_RELATION_THROUGH)
		return t;
	lk_buf_puts(out, " JOIN ");
	lk_quote_table(out, relation->through, LK_ALIAS_THROUGH);
	lk_buf_puts(out, " ON ");
	lk_path_put_equal(out, &far, &t, relation->n_far);
	return near;
}

/* "table AS t1 ON t1.a = t.b", or with another word than ON. */
static void
put_join(const struct lk_compile *c, size_t alias, const char *word,
    struct lk_buf *out)
{
	const struct lk_join *join = &c->joins[alias - 1];
	struct lk_end to = { join->relation->to, alias,
	    join->relation->to_columns };
	struct lk_end from = { join->relation->from, join->parent,
	    join->relation->from_columns };

	lk_quote_table(out, to.model, alias);
	lk_buf_printf(out, " %s ", word);
	lk_path_put_equal(out, &to, &from, join->relation->n_columns);
}

void
lk_path_put_joins(const struct lk_compile *c, struct lk_buf *out)
{
	size_t i;

	for (i = 1; c->can_join && i <= c->n_joins; i++) {
		lk_buf_puts(out, " LEFT JOIN ");
		put_join(c, i, "ON", out);
	}
}

/* Where there is no FROM to join to, a column is looked up by a SELECT in the
 * SELECT for the row that leads there. */
static void
put_column(const struct lk_compile *c, size_t alias,
    const struct lk_column *column, struct lk_buf *out)
{
	size_t i;

	for (i = alias; !c->can_join && i > 0; i = c->joins[i - 1].parent)
		lk_buf_puts(out, "(SELECT ");
	lk_quote_column(out, alias, column);
	for (i = alias; !c->can_join && i > 0; i = c->joins[i - 1].parent) {
		lk_buf_puts(out, " FROM ");
		put_join(c, i, "WHERE", out);
		lk_buf_putc(out, ')');
	}
}

/* ---- names ---- */

/* Bytes up to what ends a name: . or -> or ::, in no quotes. */
static size_t
name_len(struct lk_span text)
{
	bool is_quoted = false;
	size_t i;

	for (i = 0; i < text.n; i++) {
		if (text.at[i] == '"')
			is_quoted = !is_quoted;
		if (is_quoted)
			continue;
		if (text.at[i] == '.' || (i + 1 < text.n &&
		    ((text.at[i] == '-' && text.at[i + 1] == '>') ||
		    (text.at[i] == ':' && text.at[i + 1] == ':'))))
			break;
	}
	return i;
}

static void
skip(struct lk_span *text, size_t n)
{
	text->at += n;
	text->n -= n;
}

/* What is meant may be its key, or the row's that it leads to. */
static int
refuse_relation(struct lk_compile *c, const struct lk_relation *relation,
    bool is_path)
{
	const struct lk_model *model = relation->from;
	struct lk_buf advice = LK_BUF_INIT;
	size_t i;
	int rc;

	if (is_path && lk_relation_is_one(relation))
		lk_buf_puts(&advice, "name a column of its row behind a dot");
	for (i = 0; relation->kind == LK_RELATION_ONE &&
	    i < relation->n_columns; i++)
		lk_buf_printf(&advice, "%s%s", i > 0 ? " and " :
		    advice.len > 0 ? ", or say " : "say ",
		    model->columns[relation->from_columns[i]].name);
	rc = lk_refuse(c, "%s.%s is a relation, not a column%s%s (argument "
	    "%zu)", model->name, relation->name, advice.len > 0 ? ": " : "",
	    lk_buf_cstr(&advice), c->at + 1);
	lk_buf_fini(&advice);
	return rc;
}

/* is_path: of a row to which it leads there could be more. */
static int
refuse_name(struct lk_compile *c, const struct lk_model *model,
    struct lk_span text, const struct lk_buf *name, bool is_path)
{
	const struct lk_relation *relation =
	    lk_model_relation(model, name->data, name->len);
	struct lk_shown shown;

	if (relation != NULL)
		return refuse_relation(c, relation, is_path);
	if (lk_habit_is_glued(model, text))
		lk_refuse(c, "%s is one element: the column, the "
		    "operator and the value are three (argument %zu)",
		    lk_word_show(&shown, text.at, text.n), c->at + 1);
	else if (lk_habit_advise(c) != NULL)
		lk_expected(c, "a column");
	else
		lk_model_no_column(model, name->data, name->len, c->error);
	return -LK_E_NOENT;
}

static int
find_column(struct lk_compile *c, const struct lk_model *model,
    struct lk_span text, bool is_path, const struct lk_column **column_out)
{
	struct lk_buf name = LK_BUF_INIT;
	int rc;

	if (!lk_span_name(text, &name))
		rc = lk_expected(c, "a column, or its name in whole quotes");
	else {
		*column_out = lk_model_column(model, name.data, name.len);
		rc = *column_out != NULL ? 0 :
		    refuse_name(c, model, text, &name, is_path);
	}
	lk_buf_fini(&name);
	return rc;
}

int
lk_path_column(struct lk_compile *c, struct lk_span text,
    const struct lk_column **column_out)
{
	return find_column(c, c->model, text, false, column_out);
}

int
lk_path_relation(struct lk_compile *c, const struct lk_model *model,
    struct lk_span text, const struct lk_relation **relation_out)
{
	const struct lk_column *column;
	struct lk_buf name = LK_BUF_INIT;
	int rc = 0;

	if (!lk_span_name(text, &name)) {
		rc = lk_expected(c, "a relation, or its name in whole quotes");
		goto out;
	}
	*relation_out = lk_model_relation(model, name.data, name.len);
	if (*relation_out != NULL)
		goto out;
	column = lk_model_column(model, name.data, name.len);
	if (column != NULL) {
		rc = lk_refuse(c, "%s.%s is a column, not a relation%s "
		    "(argument %zu)", model->name, column->name,
		    column->base_type == LK_OID_JSON ||
		    column->base_type == LK_OID_JSONB ?
		    ": -> goes into it" : "", c->at + 1);
	} else {
		lk_model_no_column(model, name.data, name.len, c->error);
		rc = -LK_E_NOENT;
	}
out:
	lk_buf_fini(&name);
	return rc;
}

static int
find_relation(struct lk_compile *c, const struct lk_model *model,
    struct lk_span text, const struct lk_relation **relation_out)
{
	int rc = lk_path_relation(c, model, text, relation_out);

	if (rc == 0 && !lk_relation_is_one(*relation_out))
		rc = lk_refuse(c, "%s.%s leads to many rows; only to one can "
		    "a dot lead (argument %zu)", model->name,
		    (*relation_out)->name, c->at + 1);
	return rc;
}

/* ---- JSON and casts ---- */

static int
add_key(struct lk_compile *c, struct lk_path *path, bool is_last,
    const struct lk_arg *key)
{
	const struct lk_target target = { NULL, NULL, LK_OID_TEXT,
	    LK_OID_TEXT, LK_USE_COMPARED };
	size_t number;
	int rc;

	if (path->is_text || path->is_cast)
		return lk_expected(c, "no -> behind a ->> or a ::");
	if (path->target.type != LK_OID_JSON &&
	    path->target.type != LK_OID_JSONB)
		return lk_refuse(c, "%s.%s is %s: -> goes into json and jsonb "
		    "(argument %zu)", path->target.model->name,
		    path->target.column->name, path->target.column->type_name,
		    c->at + 1);
	rc = lk_value_add(c, &target, key, &number);
	if (rc != 0)
		return rc;
	if (path->keys.len > 0)
		lk_buf_puts(&path->keys, ", ");
	lk_quote_param(&path->keys, number);
	path->is_text = is_last;
	return 0;
}

/* A key in the path's own element goes on to the next -> or ::. */
static int
cut_key(struct lk_compile *c, struct lk_path *path, struct lk_span *text)
{
	bool is_last = text->n > 2 && text->at[2] == '>';
	struct lk_arg key;
	size_t i;

	skip(text, is_last ? 3 : 2);
	for (i = 0; i < text->n; i++) {
		if (i + 1 < text->n &&
		    ((text->at[i] == '-' && text->at[i + 1] == '>') ||
		    (text->at[i] == ':' && text->at[i + 1] == ':')))
			break;
	}
	if (i == 0)
		return lk_expected(c, "a key behind the ->");
	key = (struct lk_arg){ text->at, i };
	if (text->at[0] == '"')
		return lk_refuse(c, "a key that is quoted, or holds what ends "
		    "it, is an element of its own behind -> (argument %zu)",
		    c->at + 1);
	skip(text, i);
	return add_key(c, path, is_last, &key);
}

static int
add_cast(struct lk_compile *c, struct lk_path *path, struct lk_span word)
{
	uint32_t type = lk_cast_find(word);
	struct lk_shown shown;

	if (path->is_cast)
		return lk_expected(c, "one :: only");
	if (type == 0)
		return lk_refuse(c, "no type %s to cast to: there are bool, "
		    "int2, int4, int8, float4, float8, numeric, text, varchar, "
		    "date, time, timetz, timestamp, timestamptz, interval, "
		    "uuid, json and jsonb (argument %zu)",
		    lk_word_show(&shown, word.at, word.n), c->at + 1);
	path->is_cast = true;
	path->target.type = path->target.check = type;
	return 0;
}

/* The keys and the cast, which are known only now, go around the column. */
static void
wrap(struct lk_path *path)
{
	struct lk_buf column = LK_BUF_INIT;
	bool has_keys = path->keys.len > 0;

	if (!has_keys && !path->is_cast)
		return;
	lk_buf_move(&column, &path->sql);
	if (has_keys) {
		lk_buf_printf(&path->sql, "(%s %s ARRAY[%s])",
		    lk_buf_cstr(&column), path->is_text ? "#>>" : "#>",
		    lk_buf_cstr(&path->keys));
		path->is_nullable = true;
		if (path->is_text && !path->is_cast)
			path->target.type = path->target.check = LK_OID_TEXT;
	} else {
		lk_buf_append(&path->sql, column.data, column.len);
	}
	if (path->is_cast)
		lk_buf_printf(&path->sql, "::%s",
		    lk_cast_sql(path->target.type));
	path->sql.broken |= column.broken || path->keys.broken;
	lk_buf_fini(&column);
}

/* ---- all of it ---- */

static int
parse_suffix(struct lk_compile *c, struct lk_span text, struct lk_path *path)
{
	int rc = 0;

	while (rc == 0 && text.n > 0) {
		if (text.at[0] == '-') {
			rc = cut_key(c, path, &text);
		} else {
			skip(&text, 2);
			rc = add_cast(c, path, text);
			text.n = 0;
		}
	}
	return rc;
}

static int
parse(struct lk_compile *c, struct lk_span text, struct lk_path *path)
{
	const struct lk_model *model = c->model;
	const struct lk_column *column =
	    lk_model_column(model, text.at, text.n);
	const struct lk_relation *relation = NULL;
	size_t alias = 0, n = column != NULL ? text.n : name_len(text);
	int rc = 0;

	while (rc == 0 && column == NULL && n < text.n && text.at[n] == '.') {
		rc = find_relation(c, model, (struct lk_span){ text.at, n },
		    &relation);
		if (rc == 0)
			rc = find_join(c, alias, relation, &alias);
		if (rc == 0) {
			model = relation->to;
			skip(&text, n + 1);
			n = name_len(text);
		}
	}
	if (rc == 0 && column == NULL)
		rc = find_column(c, model, (struct lk_span){ text.at, n },
		    true, &column);
	if (rc != 0)
		return rc;
	skip(&text, n);
	put_column(c, alias, column, &path->sql);
	lk_target_compare(&path->target, model, column);
	path->is_nullable = alias > 0 || !column->is_not_null;
	return parse_suffix(c, text, path);
}

int
lk_path_parse(struct lk_compile *c, struct lk_span text, struct lk_path *path)
{
	int rc = parse(c, text, path);

	if (rc == 0)
		wrap(path);
	return rc;
}

/* -> and ->> with a key of its own; false: something else is next. */
static bool
take_key(struct lk_compile *c, struct lk_path *path, int *rc_out)
{
	const struct lk_arg *key = lk_word_peek(c, 1);
	bool is_last = lk_arg_is(lk_word_peek(c, 0), "->>");

	if (!is_last && !lk_arg_is(lk_word_peek(c, 0), "->"))
		return false;
	if (key == NULL || key->data == NULL) {
		c->at++;
		*rc_out = lk_expected(c, "a key behind the ->");
		return true;
	}
	*rc_out = add_key(c, path, is_last, key);
	if (*rc_out == 0)
		c->at += 2;
	return true;
}

static bool
take_cast(struct lk_compile *c, struct lk_path *path, int *rc_out)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);

	if (arg == NULL || arg->data == NULL || arg->len < 2 ||
	    memcmp(arg->data, "::", 2) != 0)
		return false;
	*rc_out = add_cast(c, path,
	    (struct lk_span){ arg->data + 2, arg->len - 2 });
	if (*rc_out == 0)
		c->at++;
	return true;
}

int
lk_path_take(struct lk_compile *c, struct lk_path *path)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	int rc;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, "a column");
	rc = parse(c, (struct lk_span){ arg->data, arg->len }, path);
	if (rc == 0)
		c->at++;
	while (rc == 0 && (take_key(c, path, &rc) || take_cast(c, path, &rc)))
		continue;
	if (rc == 0)
		wrap(path);
	return rc;
}
