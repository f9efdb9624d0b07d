/* Asking a finished snapshot by name. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "base/list.h"
#include "base/utf8.h"
#include "orm/snapshot.h"

/* Of a name that is unknown: bytes that are shown and compared. */
#define MAX_ASKED	64
/* Names that are offered instead. */
#define MAX_NEAR	3
/* Of others: the error is one line. */
#define MAX_LISTED	60

struct name {
	const char	*at;
	size_t		 n;
};

size_t
lk_catalog_n_models(const struct lk_catalog *catalog)
{
	return catalog->n_models;
}

const struct lk_model *
lk_catalog_model_at(const struct lk_catalog *catalog, size_t i)
{
	return catalog->models[i];
}

static bool
is_named(const char *name, const char *text, size_t n)
{
	return strlen(name) == n && memcmp(name, text, n) == 0;
}

/* ---- models ---- */

static bool
has_name(const struct lk_hash_node *node, const void *arg)
{
	const struct name *name = arg;

	return is_named(lk_container(node, struct lk_model, by_name)->name,
	    name->at, name->n);
}

/* "schema.table" */
static bool
has_full_name(const struct lk_hash_node *node, const void *arg)
{
	const struct lk_model *model = lk_container(node, struct lk_model,
	    by_full_name);
	const struct name *name = arg;
	size_t n = strlen(model->schema);

	return name->n > n && memcmp(name->at, model->schema, n) == 0 &&
	    name->at[n] == '.' && is_named(model->table, name->at + n + 1,
	    name->n - n - 1);
}

static struct lk_hash_node *
look_up(const struct lk_hash *hash, const char *name, size_t n,
    lk_hash_match_fn match)
{
	struct name key = { name, n };

	return lk_hash_find(hash, lk_hash_bytes(0, name, n), match, &key);
}

static const struct lk_model *
find_model(const struct lk_catalog *catalog, const char *name, size_t n)
{
	struct lk_hash_node *node;

	node = look_up(&catalog->by_name, name, n, has_name);
	if (node != NULL)
		return lk_container(node, struct lk_model, by_name);
	node = look_up(&catalog->by_full_name, name, n, has_full_name);
	return node != NULL ?
	    lk_container(node, struct lk_model, by_full_name) : NULL;
}

static void
index_names(struct lk_catalog *catalog, struct lk_model *model)
{
	struct lk_buf full = LK_BUF_INIT;
	size_t n = strlen(model->name);

	/* A table "a.b" of the search path, and a table b of schema a. */
	if (look_up(&catalog->by_name, model->name, n, has_name) == NULL)
		lk_hash_insert(&catalog->by_name, &model->by_name,
		    lk_hash_bytes(0, model->name, n));
	lk_buf_printf(&full, "%s.%s", model->schema, model->table);
	lk_hash_insert(&catalog->by_full_name, &model->by_full_name,
	    lk_hash_bytes(0, lk_buf_cstr(&full), full.len));
	lk_buf_fini(&full);
}

void
lk_catalog_index_names(struct lk_catalog *catalog)
{
	size_t i;

	for (i = 0; i < catalog->n_models; i++)
		index_names(catalog, catalog->models[i]);
}

/* ---- names like one that is unknown ---- */

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t
least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Bytes to be put in, left out or changed to make one of the other; any number
 * above max where it is more. */
static size_t
distance(const char *a, size_t n_a, const char *b, size_t n_b, size_t max)
{
	size_t row[MAX_ASKED + 1], i, j, above, kept, nearest = 0;

	for (j = 0; j <= n_b; j++)
		row[j] = j;
	for (i = 1; i <= n_a && nearest <= max; i++) {
		kept = row[0];
		nearest = row[0] = i;
		for (j = 1; j <= n_b; j++) {
			above = row[j];
			row[j] = least(above + 1, row[j - 1] + 1, kept +
			    (lower(a[i - 1]) != lower(b[j - 1])));
			kept = above;
			if (row[j] < nearest)
				nearest = row[j];
		}
	}
	return nearest <= max ? row[n_b] : nearest;
}

/* SIZE_MAX: not near.  A table of that name in another schema is nearest. */
static size_t
distance_to_model(const struct lk_model *model, const char *name, size_t n)
{
	size_t n_model = strlen(model->name), max = 1 + n / 4, d;

	if (is_named(model->table, name, n))
		return 0;
	/* As many bytes are to be put in or left out, at least. */
	if (n > MAX_ASKED || n_model > n + max || n > n_model + max)
		return SIZE_MAX;
	d = distance(model->name, n_model, name, n, max);
	return d <= max ? d : SIZE_MAX;
}

struct near {
	const struct lk_model *models[MAX_NEAR];
	size_t		 distances[MAX_NEAR];
	size_t		 n;
};

static void
offer(struct near *near, const struct lk_model *model, size_t d)
{
	size_t at = near->n;

	while (at > 0 && near->distances[at - 1] > d)
		at--;
	if (d == SIZE_MAX || at == MAX_NEAR)
		return;
	if (near->n < MAX_NEAR)
		near->n++;
	memmove(near->models + at + 1, near->models + at,
	    (near->n - at - 1) * sizeof(near->models[0]));
	memmove(near->distances + at + 1, near->distances + at,
	    (near->n - at - 1) * sizeof(near->distances[0]));
	near->models[at] = model;
	near->distances[at] = d;
}

static void
set_no_model(const struct lk_catalog *catalog, const char *name, size_t n,
    struct lk_error *error)
{
	struct near near = { .n = 0 };
	struct lk_buf text = LK_BUF_INIT;
	size_t i;

	for (i = 0; i < catalog->n_models; i++)
		offer(&near, catalog->models[i],
		    distance_to_model(catalog->models[i], name, n));
	lk_buf_puts(&text, "no model ");
	lk_utf8_show(&text, name, n, MAX_ASKED);
	for (i = 0; i < near.n; i++)
		lk_buf_printf(&text, "%s%s", i == 0 ? "; there is " :
		    i + 1 == near.n ? " and " : ", ", near.models[i]->name);
	if (near.n == 0)
		lk_buf_puts(&text, "; MODELS lists those that there are");
	lk_error_set(error, LK_ERR_NOMODEL, "%s", lk_buf_cstr(&text));
	lk_buf_fini(&text);
}

const struct lk_model *
lk_catalog_find(const struct lk_catalog *catalog, const char *name, size_t n,
    struct lk_error *error)
{
	const struct lk_model *model = find_model(catalog, name, n);

	if (model == NULL && error != NULL)
		set_no_model(catalog, name, n, error);
	return model;
}

/* ---- columns, keys and relations ---- */

const struct lk_column *
lk_model_column(const struct lk_model *model, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < model->n_columns; i++) {
		if (is_named(model->columns[i].name, name, n))
			return &model->columns[i];
	}
	return NULL;
}

const struct lk_relation *
lk_model_relation(const struct lk_model *model, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < model->n_relations; i++) {
		if (is_named(model->relations[i]->name, name, n))
			return model->relations[i];
	}
	return NULL;
}

/* Those that would have this name if they were alone. */
static void
put_candidates(struct lk_buf *out, const struct lk_model *model,
    const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < model->n_relations; i++) {
		if (model->relations[i]->wanted != NULL &&
		    is_named(model->relations[i]->wanted, name, n))
			lk_buf_printf(out, "%s%s", out->len > 0 ? " or " :
			    "say ", model->relations[i]->name);
	}
}

static void
put_all(struct lk_buf *out, const struct lk_model *model)
{
	size_t i, n = model->n_columns + model->n_relations;

	if (n == 0)
		lk_buf_puts(out, "none");
	for (i = 0; i < n && i < MAX_LISTED; i++)
		lk_buf_printf(out, "%s%s", i > 0 ? ", " : "",
		    i < model->n_columns ? model->columns[i].name :
		    model->relations[i - model->n_columns]->name);
	if (n > MAX_LISTED)
		lk_buf_printf(out, " and %zu more", n - MAX_LISTED);
}

void
lk_model_no_column(const struct lk_model *model, const char *name, size_t n,
    struct lk_error *error)
{
	struct lk_buf text = LK_BUF_INIT, shown = LK_BUF_INIT;

	put_candidates(&text, model, name, n);
	if (text.len == 0) {
		lk_buf_puts(&text, "it has ");
		put_all(&text, model);
	}
	lk_utf8_show(&shown, name, n, MAX_ASKED);
	lk_error_set(error, LK_ERR_NOCOLUMN,
	    "%s has no column or relation %s; %s", model->name,
	    lk_buf_cstr(&shown), lk_buf_cstr(&text));
	lk_buf_fini(&text);
	lk_buf_fini(&shown);
}

const struct lk_key_columns *
lk_model_primary(const struct lk_model *model)
{
	return model->n_keys > 0 && model->keys[0].is_primary ?
	    &model->keys[0] : NULL;
}
