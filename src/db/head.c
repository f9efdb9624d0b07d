#include "db/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/list.h"
#include "resp/encode.h"

void
lk_head_fini(struct lk_head *head)
{
	size_t i;

	lk_assert_worker();
	for (i = 0; i < head->n_columns; i++)
		free(head->columns[i].name);
	free(head->columns);
	lk_buf_fini(&head->keys);
}

/* ---- names ---- */

static bool
match_name(const struct lk_hash_node *node, const void *key)
{
	return strcmp(lk_container(node, const struct lk_head_column,
	    node)->name, key) == 0;
}

static struct lk_head_column *
find_name(const struct lk_hash *names, const char *name)
{
	struct lk_hash_node *node = lk_hash_find(names, lk_hash_bytes(0, name,
	    strlen(name)), match_name, name);

	return node == NULL ? NULL :
	    lk_container(node, struct lk_head_column, node);
}

static void
set_name(struct lk_hash *names, struct lk_head_column *column,
    const char *name)
{
	column->name = lk_xstrdup(name);
	column->n_same = 1;
	lk_hash_insert(names, &column->node, lk_hash_bytes(0, name,
	    strlen(name)));
}

/* name_2, name_3 …, but not what another column is called. */
static void
number_name(struct lk_hash *names, struct lk_head_column *column,
    const char *name)
{
	struct lk_head_column *first = find_name(names, name);
	struct lk_buf	 text = LK_BUF_INIT;

	do {
		lk_buf_truncate(&text, 0);
		lk_buf_printf(&text, "%s_%u", name, ++first->n_same);
	} while (find_name(names, lk_buf_cstr(&text)) != NULL);
	set_name(names, column, lk_buf_cstr(&text));
	lk_buf_fini(&text);
}

/* The first column of a name keeps it. */
static void
name_columns(struct lk_head *head, const PGresult *res)
{
	struct lk_hash	names;
	size_t		i;

	lk_hash_init(&names);
	for (i = 0; i < head->n_columns; i++) {
		if (find_name(&names, PQfname(res, (int)i)) == NULL)
			set_name(&names, &head->columns[i],
			    PQfname(res, (int)i));
	}
	for (i = 0; i < head->n_columns; i++) {
		if (head->columns[i].name == NULL)
			number_name(&names, &head->columns[i],
			    PQfname(res, (int)i));
	}
	lk_hash_fini(&names);
}

/* ---- types ---- */

/* pg_type.dat gives it this for ever. */
#define INT8_OID	20

static LK_ON_WORKER enum lk_cell_class
cell_class(const struct lk_head *head, Oid oid)
{
	return oid == INT8_OID && head->format.int8_text ? LK_CELL_TEXT :
	    lk_type_cell(oid);
}

void
lk_head_find_types(struct lk_head *head)
{
	struct lk_head_column *column;
	size_t i;

	lk_assert_worker();
	for (i = 0; i < head->n_columns; i++) {
		column = &head->columns[i];
		column->type = lk_types_find(head->types, column->oid);
		column->is_array = column->type != NULL &&
		    column->type->elem != 0;
		column->cls = cell_class(head, column->is_array ?
		    column->type->elem : column->oid);
	}
}

bool
lk_head_has_unknown(const struct lk_head *head)
{
	size_t i;

	lk_assert_worker();
	for (i = 0; i < head->n_columns; i++) {
		if (head->columns[i].type == NULL)
			return true;
	}
	return false;
}

/* ---- in the reply ---- */

void
lk_head_put_key(struct lk_buf *out, enum lk_rows_form form, const char *name)
{
	lk_assert_worker();
	if (form == LK_ROWS_JSON) {
		lk_cell_json_string(out, name, strlen(name));
		lk_buf_putc(out, ':');
	} else {
		lk_enc_text(out, name);
	}
}

void
lk_head_put_type(struct lk_buf *out, const struct lk_head_column *column)
{
	char text[16];

	lk_assert_worker();
	if (column->type != NULL) {
		lk_enc_text(out, column->type->name);
		return;
	}
	/* Gone since: say what is known of it. */
	snprintf(text, sizeof(text), "%u", column->oid);
	lk_enc_text(out, text);
}

void
lk_head_read(struct lk_head *head, const PGresult *res, size_t n)
{
	struct lk_head_column *column;
	size_t i;

	lk_assert_worker();
	head->n_columns = (size_t)PQnfields(res);
	if (head->n_columns > n)
		head->n_columns = n;
	head->columns = lk_xcalloc(head->n_columns + 1,
	    sizeof(*head->columns));
	name_columns(head, res);
	for (i = 0; i < head->n_columns; i++) {
		column = &head->columns[i];
		column->oid = PQftype(res, (int)i);
		column->key_at = head->keys.len;
		lk_head_put_key(&head->keys,
		    (enum lk_rows_form)head->format.rows, column->name);
		column->key_len = head->keys.len - column->key_at;
	}
	lk_head_find_types(head);
}
