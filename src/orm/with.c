/*
 * WITH: the relations that a reply nests, as a tree.  Each becomes a statement
 * that asks for what belongs to all rows of its parent at once, by arrays of
 * their keys.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "orm/compile.h"

/* ---- columns of the verb's own rows ---- */

void
lk_fields_fini(struct lk_fields *fields)
{
	free(fields->columns);
}

void
lk_fields_add(struct lk_fields *fields, size_t column)
{
	if (fields->n == fields->cap) {
		fields->cap = fields->cap == 0 ? 16 : 2 * fields->cap;
		fields->columns = lk_xrealloc(fields->columns,
		    fields->cap * sizeof(*fields->columns));
	}
	fields->columns[fields->n++] = column;
}

size_t
lk_fields_find(struct lk_fields *fields, size_t column)
{
	size_t i;

	for (i = 0; i < fields->n; i++) {
		if (fields->columns[i] == column)
			return i;
	}
	lk_fields_add(fields, column);
	return i;
}

/* ---- the list: "posts:10:-created_at,title,posts.author,profile" ---- */

static int
add_node(struct lk_compile *c, size_t parent,
    const struct lk_relation *relation, struct lk_node **node_out)
{
	size_t i;

	if (c->nodes == NULL)
		c->nodes = lk_xcalloc(LK_COMPILE_MAX_LOADS, sizeof(*c->nodes));
	for (i = 0; i < c->n_nodes; i++) {
		if (c->nodes[i].parent == parent &&
		    c->nodes[i].relation == relation)
			break;
	}
	if (i == LK_COMPILE_MAX_LOADS)
		return lk_refuse(c, "WITH more than %d relations",
		    LK_COMPILE_MAX_LOADS);
	if (i == c->n_nodes)
		c->nodes[c->n_nodes++] = (struct lk_node){ .relation = relation,
		    .parent = parent, .limit = -1 };
	*node_out = &c->nodes[i];
	return 0;
}

/* "posts.author"; what is on the way is loaded, too. */
static int
take_path(struct lk_compile *c, struct lk_span path, struct lk_node **node_out)
{
	const struct lk_model *model = c->model;
	const struct lk_relation *relation;
	struct lk_span name;
	struct lk_node *node = NULL;
	size_t parent = 0;
	int rc = 0;

	while (rc == 0 && lk_span_cut(&path, '.', &name)) {
		rc = lk_path_relation(c, model, name, &relation);
		if (rc == 0)
			rc = add_node(c, parent, relation, &node);
		if (rc == 0) {
			parent = (size_t)(node - c->nodes) + 1;
			model = relation->to;
		}
	}
	if (rc == 0 && node->is_said)
		rc = lk_refuse(c, "WITH has %s.%s twice (argument %zu)",
		    node->relation->from->name, node->relation->name,
		    c->at + 1);
	if (rc != 0)
		return rc;
	node->is_said = true;
	*node_out = node;
	return 0;
}

static int
take_limit(struct lk_compile *c, struct lk_node *node, struct lk_span text)
{
	int64_t limit = 0, digit;
	size_t i;

	for (i = 0; i < text.n; i++) {
		digit = text.at[i] - '0';
		if (digit < 0 || digit > 9 || limit > (INT64_MAX - digit) / 10)
			break;
		limit = limit * 10 + digit;
	}
	if (i < text.n || i == 0)
		return lk_expected(c, "a number of rows behind the colon, as "
		    "in posts:10 or posts:10:-id");
	node->limit = limit;
	return 0;
}

/* A column by which the rows of one of the parent's are in order. */
static int
take_order(struct lk_compile *c, struct lk_node *node, struct lk_span part)
{
	bool is_descending = part.n > 0 && part.at[0] == '-';
	const struct lk_model *model = node->relation->to;
	const struct lk_column *column;
	struct lk_buf name = LK_BUF_INIT;
	int rc;

	if (is_descending) {
		part.at++;
		part.n--;
	}
	if (!lk_span_name(part, &name)) {
		rc = lk_expected(c, "columns behind the second colon, as in "
		    "posts:10:day,-id");
		goto out;
	}
	column = lk_model_column(model, name.data, name.len);
	if (column != NULL) {
		rc = lk_page_add(c, &node->page, model, column, is_descending);
	} else {
		lk_model_no_column(model, name.data, name.len, c->error);
		rc = -LK_E_NOENT;
	}
out:
	lk_buf_fini(&name);
	return rc;
}

static int
refuse_part(struct lk_compile *c, const struct lk_node *node)
{
	return lk_refuse(c, "%s.%s leads to one row: it has no order and no "
	    "number of rows (argument %zu)", node->relation->from->name,
	    node->relation->name, c->at + 1);
}

/* "posts", "posts:10", "posts:10:-id", "posts::-id" */
static int
take_relation(struct lk_compile *c, struct lk_span part,
    struct lk_node **node_out)
{
	struct lk_node *node;
	struct lk_span path, limit;
	int rc;

	lk_span_cut(&part, ':', &path);
	rc = take_path(c, path, &node);
	if (rc == 0 && part.at != NULL && lk_relation_is_one(node->relation))
		rc = refuse_part(c, node);
	if (rc != 0)
		return rc;
	if (lk_span_cut(&part, ':', &limit) &&
	    (limit.n > 0 || part.at == NULL))
		rc = take_limit(c, node, limit);
	if (rc == 0 && part.at != NULL)
		rc = take_order(c, node, part);
	*node_out = node;
	return rc;
}

/* Where an order has begun, a name that can be a column in it is one. */
static bool
goes_on(const struct lk_node *node, struct lk_span part)
{
	struct lk_buf name = LK_BUF_INIT;
	bool is_column;

	if (node == NULL || node->page.n_terms == 0)
		return false;
	is_column = (part.n > 0 && part.at[0] == '-') ||
	    (lk_span_name(part, &name) && lk_model_column(node->relation->to,
	    name.data, name.len) != NULL);
	lk_buf_fini(&name);
	return is_column;
}

int
lk_with_take(struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	struct lk_node *node = NULL;
	struct lk_span rest, part;
	int rc = 0;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, "relations behind WITH, as in "
		    "author,comments.author");
	rest = (struct lk_span){ arg->data, arg->len };
	while (rc == 0 && lk_span_cut(&rest, ',', &part)) {
		if (goes_on(node, part))
			rc = take_order(c, node, part);
		else
			rc = take_relation(c, part, &node);
	}
	if (rc == 0)
		c->at++;
	return rc;
}

void
lk_with_forget(struct lk_compile *c)
{
	size_t i;

	for (i = 0; i < c->n_nodes; i++)
		lk_page_fini(&c->nodes[i].page);
	free(c->nodes);
	lk_with_fini(&c->with);
}

/* ---- statements ---- */

/* "t.a = k.c1 AND …" */
static void
put_keys(struct lk_buf *out, const struct lk_end *end, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			lk_buf_puts(out, " AND ");
		lk_quote_column(out, end->alias,
		    &end->model->columns[end->columns[i]]);
		lk_buf_printf(out, " = k.c%zu", i + 1);
	}
}

/* The keys: k.c1, k.c2 and so on, and their place k.n. */
static void
put_arrays(struct lk_buf *out, size_t n)
{
	size_t i;

	lk_buf_puts(out, " FROM unnest(");
	for (i = 1; i <= n; i++) {
		lk_quote_param(out, i);
		lk_buf_puts(out, i < n ? ", " : ") WITH ORDINALITY AS k(");
	}
	for (i = 1; i <= n; i++)
		lk_buf_printf(out, "c%zu, ", i);
	lk_buf_puts(out, "n)");
}

/* The rows of one key. */
static void
put_rows(struct lk_buf *out, const struct lk_node *node)
{
	const struct lk_relation *relation = node->relation;
	struct lk_end end;

	lk_buf_puts(out, "SELECT ");
	lk_quote_columns(out, relation->to);
	lk_buf_puts(out, " FROM ");
	lk_quote_table(out, relation->to, 0);
	end = lk_path_put_through(relation, out);
	lk_buf_puts(out, " WHERE ");
	put_keys(out, &end, relation->n_columns);
	if (node->limit < 0)
		return;
	lk_page_put_order(&node->page, out);
	lk_buf_puts(out, " LIMIT ");
	lk_quote_param(out, relation->n_columns + 1);
}

static void
put_load(struct lk_buf *out, struct lk_node *node)
{
	if (node->limit >= 0 || node->page.n_terms > 0)
		lk_page_tie(&node->page, node->relation->to);
	lk_buf_puts(out, "SELECT ");
	lk_quote_columns(out, node->relation->to);
	lk_buf_puts(out, ", k.n");
	put_arrays(out, node->relation->n_columns);
	lk_buf_puts(out, " CROSS JOIN LATERAL (");
	put_rows(out, node);
	lk_buf_puts(out, ") AS t");
	lk_page_put_order(&node->page, out);
}

/* ---- the plan's part ---- */

/* The parameter that lists its values.  unnest() would take rows apart, and
 * there are no arrays of arrays. */
static int
find_array(struct lk_compile *c, const struct lk_relation *relation,
    const struct lk_column *column, uint32_t *array_out)
{
	const struct lk_catalog_type *type = lk_catalog_type(c->catalog,
	    column->base_type);

	if (type != NULL && type->array != 0 &&
	    type->kind != LK_TYPE_COMPOSITE) {
		*array_out = type->array;
		return 0;
	}
	return lk_refuse(c, "%s.%s goes by %s, which is %s: WITH cannot take "
	    "many of those at once; LOAD %s row by row", relation->from->name,
	    relation->name, column->name, column->type_name, relation->name);
}

static int
set_keys(struct lk_compile *c, const struct lk_node *node,
    struct lk_fields *fields, struct lk_load *load)
{
	const struct lk_relation *relation = node->relation;
	const struct lk_column *column;
	size_t i;
	int rc;

	if (relation->n_columns > LK_LOAD_MAX_KEYS)
		return lk_refuse(c, "%s.%s goes by more than %d columns: LOAD "
		    "it row by row", relation->from->name, relation->name,
		    LK_LOAD_MAX_KEYS);
	load->n_keys = relation->n_columns;
	for (i = 0; i < load->n_keys; i++) {
		column = &relation->from->columns[relation->from_columns[i]];
		rc = find_array(c, relation, column, &load->types[i]);
		if (rc != 0)
			return rc;
		load->keys[i] = node->parent > 0 ? relation->from_columns[i] :
		    lk_fields_find(fields, relation->from_columns[i]);
	}
	return 0;
}

static int
set_load(struct lk_compile *c, struct lk_node *node, struct lk_fields *fields,
    struct lk_load *load)
{
	const struct lk_relation *relation = node->relation;
	struct lk_buf sql = LK_BUF_INIT;
	int rc;

	load->parent = node->parent;
	load->is_many = !lk_relation_is_one(relation);
	load->limit = node->limit;
	load->n_columns = relation->to->n_columns;
	rc = set_keys(c, node, fields, load);
	if (rc != 0)
		return rc;
	put_load(&sql, node);
	load->name = lk_xstrdup(relation->name);
	load->sql = lk_xstrdup(lk_buf_cstr(&sql));
	c->sql.broken |= sql.broken;
	lk_buf_fini(&sql);
	return 0;
}

int
lk_with_finish(struct lk_compile *c, struct lk_fields *fields)
{
	struct lk_buf why = LK_BUF_INIT;
	size_t i;
	int rc = 0;

	if (c->n_nodes == 0)
		return 0;
	c->with.n_columns = fields->n;
	c->with.n_loads = c->n_nodes;
	c->with.loads = lk_xcalloc(c->n_nodes, sizeof(*c->with.loads));
	for (i = 0; rc == 0 && i < c->n_nodes; i++)
		rc = set_load(c, &c->nodes[i], fields, &c->with.loads[i]);
	if (rc == 0 && lk_with_is_too_deep(&c->with, c->format,
	    c->shape == LK_SHAPE_ROWS, &why))
		rc = lk_refuse(c, "%s", lk_buf_cstr(&why));
	lk_buf_fini(&why);
	return rc;
}

/* ---- how deep ---- */

/* "posts.author", as it was asked for. */
static void
put_path(struct lk_buf *out, const struct lk_with *with, size_t i)
{
	if (with->loads[i].parent > 0) {
		put_path(out, with, with->loads[i].parent - 1);
		lk_buf_putc(out, '.');
	}
	lk_buf_puts(out, with->loads[i].name);
}

/* Levels of the reply above its rows' cells. */
static unsigned
depth_of(const struct lk_with *with, enum lk_rows_form form, bool is_list,
    size_t i)
{
	const struct lk_load *load = &with->loads[i];

	/* Each text of JSON is one row's. */
	return lk_rows_levels(form, load->is_many) + (load->parent > 0 ?
	    depth_of(with, form, is_list, load->parent - 1) :
	    lk_rows_levels(form, is_list && form != LK_ROWS_JSON));
}

bool
lk_with_is_too_deep(const struct lk_with *with, struct lk_format format,
    bool is_list, struct lk_buf *why_out)
{
	enum lk_rows_form form = (enum lk_rows_form)format.rows;
	bool is_json = form == LK_ROWS_JSON;
	unsigned max = is_json ? LK_JSON_MAX_DEPTH : LK_ROWS_MAX_DEPTH, depth;
	size_t i;

	for (i = 0; i < with->n_loads; i++) {
		depth = depth_of(with, form, is_list, i) +
		    (is_json ? 0 : format.depth);
		if (depth <= max)
			continue;
		lk_buf_puts(why_out, "WITH ");
		put_path(why_out, with, i);
		lk_buf_printf(why_out, ": rows would nest %u deep, and %u is "
		    "the most%s", depth, max, is_json ? "" : ": ask for them "
		    "as =json, or for fewer levels");
		return true;
	}
	return false;
}
