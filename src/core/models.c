/*
 * The verbs that print a database's catalog: MODELS, DESCRIBE, TYPES.  What
 * they say was true when they came, or less than a second before: a program may
 * ask about one model after another without a reading for each.
 */
#include "core/internal.h"
#include "core/row.h"
#include "orm/catalog.h"

static void
put_texts(struct lk_buf *out, char *const *texts, size_t n)
{
	size_t i;

	lk_enc_array(out, n);
	for (i = 0; i < n; i++)
		lk_enc_text(out, texts[i]);
}

static void
put_columns(struct lk_buf *out, const struct lk_model *model,
    const size_t *columns, size_t n)
{
	size_t i;

	lk_enc_array(out, n);
	for (i = 0; i < n; i++)
		lk_enc_text(out, model->columns[columns[i]].name);
}

static void
put_key(struct lk_row *row, const struct lk_model *model)
{
	const struct lk_key_columns *key = lk_model_primary(model);

	lk_row_key(row);
	if (key != NULL)
		put_columns(row->out, model, key->columns, key->n);
	else
		lk_enc_array(row->out, 0);
}

static struct lk_row
row_of(const struct lk_request *req, struct lk_buf *out)
{
	return (struct lk_row){ .out = out, .proto = req->format.proto };
}

/* The others of a map that is begun in another. */
static struct lk_row
row_in(const struct lk_row *row)
{
	return (struct lk_row){ .out = row->out, .proto = row->proto };
}

static void
reply(struct lk_request *req, struct lk_buf *out)
{
	uint64_t limit = req->core->config->limit_result_bytes;

	if (out->broken || out->len > limit)
		lk_request_failf(req, LK_ERR_OVERLOAD, "the reply of %zu bytes "
		    "is larger than limits.result (%llu bytes)", out->len,
		    (unsigned long long)limit);
	else
		lk_request_reply(req, out);
	lk_buf_fini(out);
}

/* ---- MODELS ---- */

static void
put_model(struct lk_row *row, const struct lk_model *model)
{
	size_t i;

	lk_row_begin(row, "MODELS");
	lk_row_text(row, model->name);
	lk_row_text(row, model->schema);
	lk_row_text(row, model->table);
	lk_row_text(row, model->kind);
	lk_row_int(row, model->n_columns);
	put_key(row, model);
	lk_row_key(row);
	lk_enc_array(row->out, model->n_relations);
	for (i = 0; i < model->n_relations; i++)
		lk_enc_text(row->out, model->relations[i]->name);
	lk_row_end(row);
}

void
lk_run_models(struct lk_request *req)
{
	struct lk_buf out = LK_BUF_INIT;
	struct lk_row row = row_of(req, &out);
	const struct lk_catalog *catalog;
	size_t i;

	if (lk_drain_refuses(req) || lk_catalog_await_recent(req))
		return;
	catalog = req->database->catalog;
	lk_enc_array(&out, lk_catalog_n_models(catalog));
	for (i = 0; i < lk_catalog_n_models(catalog); i++)
		put_model(&row, lk_catalog_model_at(catalog, i));
	reply(req, &out);
}

/* ---- DESCRIBE ---- */

static void
put_column(struct lk_row *row, const struct lk_column *column)
{
	lk_row_begin(row, "DESCRIBE.columns");
	lk_row_text(row, column->name);
	lk_row_text(row, column->type_name);
	lk_row_int(row, column->type);
	lk_row_bool(row, column->is_not_null);
	lk_row_text(row, column->default_text);
	lk_row_bool(row, column->is_generated);
	lk_row_text(row, !column->is_identity ? NULL :
	    column->is_identity_always ? "always" : "default");
	lk_row_end(row);
}

static void
put_relation(struct lk_row *row, const struct lk_relation *relation)
{
	bool is_one = relation->kind == LK_RELATION_ONE ||
	    (relation->kind == LK_RELATION_MANY && relation->is_unique);
	size_t n_to = relation->kind == LK_RELATION_THROUGH ?
	    relation->n_far : relation->n_columns;

	lk_row_begin(row, "DESCRIBE.relations");
	lk_row_text(row, relation->name);
	lk_row_text(row, is_one ? "one" : "many");
	lk_row_text(row, relation->to->name);
	lk_row_key(row);
	put_columns(row->out, relation->from, relation->from_columns,
	    relation->n_columns);
	lk_row_key(row);
	put_columns(row->out, relation->to, relation->to_columns, n_to);
	lk_row_text(row, relation->through != NULL ?
	    relation->through->name : NULL);
	lk_row_end(row);
}

static void
put_unique(struct lk_buf *out, const struct lk_model *model)
{
	size_t i, first = lk_model_primary(model) != NULL;

	lk_enc_array(out, model->n_keys - first);
	for (i = first; i < model->n_keys; i++)
		put_columns(out, model, model->keys[i].columns,
		    model->keys[i].n);
}

static void
put_description(struct lk_row *row, const struct lk_model *model)
{
	struct lk_row inner = row_in(row);
	size_t i;

	lk_row_begin(row, "DESCRIBE");
	lk_row_text(row, model->name);
	lk_row_text(row, model->schema);
	lk_row_text(row, model->table);
	lk_row_text(row, model->kind);
	lk_row_int(row, model->oid);
	lk_row_key(row);
	lk_enc_array(row->out, model->n_columns);
	for (i = 0; i < model->n_columns; i++)
		put_column(&inner, &model->columns[i]);
	put_key(row, model);
	lk_row_key(row);
	put_unique(row->out, model);
	lk_row_key(row);
	lk_enc_array(row->out, model->n_relations);
	for (i = 0; i < model->n_relations; i++)
		put_relation(&inner, model->relations[i]);
	lk_row_key(row);
	put_texts(row->out, model->triggers, model->n_triggers);
	lk_row_end(row);
}

void
lk_run_describe(struct lk_request *req)
{
	const struct lk_arg *name = &req->args[0];
	struct lk_buf out = LK_BUF_INIT;
	struct lk_row row = row_of(req, &out);
	const struct lk_model *model;
	struct lk_error error;

	if (name->data == NULL) {
		lk_request_failf(req, LK_ERR_SYNTAX, "DESCRIBE takes a "
		    "model's name, not NULL");
		return;
	}
	if (lk_drain_refuses(req) || lk_catalog_await_recent(req))
		return;
	lk_error_init(&error);
	model = lk_catalog_find(req->database->catalog, name->data, name->len,
	    &error);
	if (model != NULL) {
		put_description(&row, model);
		reply(req, &out);
	} else if (!lk_catalog_await(req)) {
		lk_request_fail(req, &error);
	}
	lk_error_fini(&error);
}

/* ---- TYPES ---- */

static void
put_field(struct lk_row *row, const char *name, const char *type_name,
    uint32_t type)
{
	lk_row_begin(row, "TYPES.columns");
	lk_row_text(row, name);
	lk_row_text(row, type_name);
	lk_row_int(row, type);
	lk_row_end(row);
}

/* A table's row type has the table's columns. */
static void
put_fields(struct lk_row *row, const struct lk_catalog *catalog,
    const struct lk_catalog_type *type)
{
	const struct lk_model *model = lk_catalog_model(catalog,
	    type->relation);
	struct lk_row inner = row_in(row);
	size_t i, n = model != NULL ? model->n_columns : type->n_fields;

	lk_row_key(row);
	lk_enc_array(row->out, n);
	for (i = 0; i < n; i++) {
		if (model != NULL)
			put_field(&inner, model->columns[i].name,
			    model->columns[i].type_name,
			    model->columns[i].type);
		else
			put_field(&inner, type->fields[i].name,
			    type->fields[i].type_name, type->fields[i].type);
	}
}

static void
put_type(struct lk_row *row, const struct lk_catalog *catalog,
    const struct lk_catalog_type *type)
{
	if (type == NULL) {
		lk_enc_null(row->out, row->proto);
		return;
	}
	lk_row_begin(row, "TYPES");
	lk_row_int(row, type->oid);
	lk_row_text(row, type->name);
	lk_row_text(row, lk_type_kind_word(type->kind));
	if (type->of != 0)
		lk_row_int(row, type->of);
	else
		lk_row_null(row);
	if (type->kind == LK_TYPE_ENUM) {
		lk_row_key(row);
		put_texts(row->out, type->labels, type->n_labels);
	} else {
		lk_row_null(row);
	}
	if (type->kind == LK_TYPE_COMPOSITE)
		put_fields(row, catalog, type);
	else
		lk_row_null(row);
	lk_row_end(row);
}

static int
parse_oid(const struct lk_arg *arg, uint32_t *oid_out)
{
	uint64_t number;

	if (lk_parse_handle(arg, &number) < 0 || number > UINT32_MAX)
		return -LK_E_INVAL;
	*oid_out = (uint32_t)number;
	return 0;
}

/* SYNTAX, and the request is over. */
static bool
has_no_oid(struct lk_request *req)
{
	uint32_t oid;
	size_t i;

	for (i = 0; i < req->n_args; i++) {
		if (parse_oid(&req->args[i], &oid) == 0)
			continue;
		lk_request_failf(req, LK_ERR_SYNTAX, "TYPES takes oids, "
		    "numbers up to 4294967295: %s", req->verb->syntax);
		return true;
	}
	return false;
}

/* NULL: it does not know it. */
static const struct lk_catalog_type *
type_of(const struct lk_catalog *catalog, const struct lk_arg *arg)
{
	uint32_t oid = 0;

	(void)parse_oid(arg, &oid);
	return lk_catalog_type(catalog, oid);
}

static bool
knows_all(const struct lk_request *req)
{
	size_t i;

	for (i = 0; i < req->n_args; i++) {
		if (type_of(req->database->catalog, &req->args[i]) == NULL)
			return false;
	}
	return true;
}

void
lk_run_types(struct lk_request *req)
{
	const struct lk_catalog *catalog;
	struct lk_buf out = LK_BUF_INIT;
	struct lk_row row = row_of(req, &out);
	size_t i;

	if (has_no_oid(req) || lk_drain_refuses(req) ||
	    lk_catalog_await_recent(req))
		return;
	if (!knows_all(req) && lk_catalog_await(req))
		return;
	catalog = req->database->catalog;
	lk_enc_array(&out, req->n_args);
	for (i = 0; i < req->n_args; i++)
		put_type(&row, catalog, type_of(catalog, &req->args[i]));
	reply(req, &out);
}
