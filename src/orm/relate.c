/*
 * From foreign keys to relations, both ways and through join tables, and their
 * names.  A relation has the first of the names it could have that is no
 * column's, no other relation's, and wished for by no other of its kind; so
 * which it is does not depend on the order in which anything was read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "orm/snapshot.h"

/* "author"; "users_by_author_id"; "app_users_by_author_id" */
#define N_FORMS	3

struct wish {
	struct lk_model	*from;
	struct lk_relation *relation;	/* NULL: it has its name */
	char		*forms[N_FORMS];
	size_t		 number;	/* in the order of the keys */
	bool		 is_granted;	/* of this form */
};

/* All relations of one kind. */
struct wishes {
	struct wish	*list;		/* heap */
	size_t		 n, cap;
};

/* ---- wishing ---- */

static size_t *
copy_columns(const size_t *columns, size_t n)
{
	size_t *copy = lk_xcalloc(n, sizeof(*copy));

	memcpy(copy, columns, n * sizeof(*copy));
	return copy;
}

static char *
take_text(struct lk_buf *text)
{
	char *copy = lk_xstrdup(lk_buf_cstr(text));

	lk_buf_fini(text);
	return copy;
}

/* In the names of relations to it. */
static const char *
short_name(const struct lk_model *model)
{
	return model->is_renamed ? model->name : model->table;
}

/* "[schema_]<table>_by_<column>[_<column>…]" */
static char *
by_form(const struct lk_model *named, bool has_schema,
    const struct lk_model *model, const size_t *columns, size_t n)
{
	struct lk_buf text = LK_BUF_INIT;
	size_t i;

	if (has_schema)
		lk_buf_printf(&text, "%s_", named->schema);
	lk_buf_printf(&text, "%s_by", short_name(named));
	for (i = 0; i < n; i++)
		lk_buf_printf(&text, "_%s", model->columns[columns[i]].name);
	return take_text(&text);
}

/* The name that the relation to `named` has by these columns of key->child. */
static struct lk_relation *
wish(struct wishes *wishes, struct lk_model *from, struct lk_model *named,
    const struct lk_foreign_key *by, char *short_form)
{
	struct lk_relation *relation = lk_xcalloc(1, sizeof(*relation));
	struct wish *made;

	if (wishes->n == wishes->cap) {
		wishes->cap = wishes->cap == 0 ? 64 : 2 * wishes->cap;
		wishes->list = lk_xrealloc(wishes->list,
		    wishes->cap * sizeof(*wishes->list));
	}
	made = &wishes->list[wishes->n];
	*made = (struct wish){ from, relation, { short_form,
	    by_form(named, false, by->child, by->child_columns, by->n),
	    by_form(named, true, by->child, by->child_columns, by->n) },
	    wishes->n, false };
	wishes->n++;
	relation->from = from;
	relation->to = named;
	return relation;
}

/* "author_id" is author; else there is no short form. */
static char *
without_id(const struct lk_foreign_key *key)
{
	const char *column = key->child->columns[key->child_columns[0]].name;
	size_t n = strlen(column);
	struct lk_buf text = LK_BUF_INIT;

	if (key->n != 1 || n <= 3 || strcmp(column + n - 3, "_id") != 0)
		return NULL;
	lk_buf_append(&text, column, n - 3);
	return take_text(&text);
}

static void
wish_for_parent(struct wishes *wishes, const struct lk_foreign_key *key)
{
	struct lk_relation *relation = wish(wishes, key->child, key->parent,
	    key, without_id(key));

	relation->kind = LK_RELATION_ONE;
	relation->n_columns = key->n;
	relation->from_columns = copy_columns(key->child_columns, key->n);
	relation->to_columns = copy_columns(key->parent_columns, key->n);
}

bool
lk_is_same_columns(const size_t *a, size_t n_a, const size_t *b, size_t n_b)
{
	size_t i, j, n_same = 0;

	for (i = 0; i < n_a; i++) {
		for (j = 0; j < n_b; j++)
			n_same += a[i] == b[j];
	}
	return n_a == n_b && n_same == n_a;
}

static bool
is_unique(const struct lk_foreign_key *key)
{
	size_t i;

	for (i = 0; i < key->child->n_keys; i++) {
		if (lk_is_same_columns(key->child->keys[i].columns,
		    key->child->keys[i].n, key->child_columns, key->n))
			return true;
	}
	return false;
}

static void
wish_for_children(struct wishes *wishes, const struct lk_foreign_key *key)
{
	struct lk_relation *relation = wish(wishes, key->parent, key->child,
	    key, lk_xstrdup(short_name(key->child)));

	relation->kind = LK_RELATION_MANY;
	relation->n_columns = key->n;
	relation->from_columns = copy_columns(key->parent_columns, key->n);
	relation->to_columns = copy_columns(key->child_columns, key->n);
	relation->is_unique = is_unique(key);
}

/* A join table: its primary key is just two foreign keys. */
static bool
is_joining(const struct lk_foreign_key *near, const struct lk_foreign_key *far)
{
	const struct lk_key_columns *key = lk_model_primary(near->child);
	size_t both[32], n = near->n + far->n;

	if (near == far || key == NULL || n != key->n ||
	    n > sizeof(both) / sizeof(both[0]))
		return false;
	memcpy(both, near->child_columns, near->n * sizeof(both[0]));
	memcpy(both + near->n, far->child_columns, far->n * sizeof(both[0]));
	return lk_is_same_columns(both, n, key->columns, key->n);
}

static void
wish_for_far(struct wishes *wishes, const struct lk_foreign_key *near,
    const struct lk_foreign_key *far)
{
	struct lk_relation *relation;

	if (!is_joining(near, far))
		return;
	relation = wish(wishes, near->parent, far->parent, far,
	    lk_xstrdup(short_name(far->parent)));
	relation->kind = LK_RELATION_THROUGH;
	relation->through = near->child;
	relation->n_columns = relation->n_near = near->n;
	relation->n_far = far->n;
	relation->from_columns = copy_columns(near->parent_columns, near->n);
	relation->near = copy_columns(near->child_columns, near->n);
	relation->far = copy_columns(far->child_columns, far->n);
	relation->to_columns = copy_columns(far->parent_columns, far->n);
}

/* ---- granting ---- */

/* Of one model: what has its name, and what is wished for; sorted. */
struct names {
	const char	**list;		/* heap */
	size_t		 n;
};

static int
compare_names(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

static struct names
collect_names(const struct wish *list, size_t n, size_t form)
{
	const struct lk_model *model = list->from;
	struct names names = { lk_xcalloc(model->n_columns +
	    model->n_relations + n, sizeof(*names.list)), 0 };
	size_t i;

	for (i = 0; i < model->n_columns; i++)
		names.list[names.n++] = model->columns[i].name;
	for (i = 0; i < model->n_relations; i++)
		names.list[names.n++] = model->relations[i]->name;
	for (i = 0; i < n; i++) {
		if (list[i].relation != NULL && list[i].forms[form] != NULL)
			names.list[names.n++] = list[i].forms[form];
	}
	qsort(names.list, names.n, sizeof(*names.list), compare_names);
	return names;
}

/* Whether a name that is among them is there once. */
static bool
is_there_once(const struct names *names, const char *name)
{
	const char **end = names->list + names->n;
	const char **found = bsearch(&name, names->list, names->n,
	    sizeof(*names->list), compare_names);

	return (found == names->list || strcmp(found[-1], name) != 0) &&
	    (found + 1 == end || strcmp(found[1], name) != 0);
}

void
lk_relation_name(struct lk_model *from, struct lk_relation *relation,
    const char *name)
{
	relation->name = lk_xstrdup(name);
	from->relations = lk_xrealloc(from->relations,
	    (from->n_relations + 1) * sizeof(relation));
	from->relations[from->n_relations++] = relation;
}

static void
give_name(struct wish *wish, size_t form)
{
	if (form > 0 && wish->forms[0] != NULL)
		wish->relation->wanted = lk_xstrdup(wish->forms[0]);
	lk_relation_name(wish->from, wish->relation, wish->forms[form]);
	wish->relation = NULL;
}

static bool
is_same_list(const size_t *a, size_t n_a, const size_t *b, size_t n_b)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof(*a)) == 0);
}

static bool
is_same_relation(const struct lk_relation *a, const struct lk_relation *b)
{
	bool is_joined = a->through != NULL;

	return a->to == b->to && a->through == b->through &&
	    is_same_list(a->from_columns, a->n_columns, b->from_columns,
	    b->n_columns) && is_same_list(a->near, a->n_near, b->near,
	    b->n_near) && is_same_list(a->far, a->n_far, b->far, b->n_far) &&
	    is_same_list(a->to_columns, is_joined ? a->n_far : a->n_columns,
	    b->to_columns, is_joined ? b->n_far : b->n_columns);
}

/* By the configuration, with a name of its choice. */
static bool
is_given(const struct wish *wish)
{
	size_t i;

	for (i = 0; i < wish->from->n_relations; i++) {
		if (wish->from->relations[i]->is_given &&
		    is_same_relation(wish->from->relations[i], wish->relation))
			return true;
	}
	return false;
}

/* The wishes of one model. */
static void
grant(struct wish *list, size_t n)
{
	struct names names;
	size_t form, i;

	for (i = 0; i < n; i++) {
		if (is_given(&list[i]))
			lk_relation_free(&list[i].relation);
	}
	for (form = 0; form < N_FORMS; form++) {
		names = collect_names(list, n, form);
		for (i = 0; i < n; i++)
			list[i].is_granted = list[i].relation != NULL &&
			    list[i].forms[form] != NULL &&
			    is_there_once(&names, list[i].forms[form]);
		free(names.list);
		for (i = 0; i < n; i++) {
			if (list[i].is_granted)
				give_name(&list[i], form);
		}
	}
}

static int
compare_wishes(const void *a, const void *b)
{
	const struct wish *left = a, *right = b;

	if (left->from->oid != right->from->oid)
		return left->from->oid < right->from->oid ? -1 : 1;
	return left->number < right->number ? -1 : 1;
}

static void
end_wish(struct wish *wish)
{
	size_t form;

	/* As good as the same as another: nothing tells them apart. */
	lk_relation_free(&wish->relation);
	for (form = 0; form < N_FORMS; form++)
		free(wish->forms[form]);
}

/* Those of one model stand together then. */
static void
grant_all(struct wishes *wishes)
{
	size_t i, first = 0;

	if (wishes->n > 0)
		qsort(wishes->list, wishes->n, sizeof(*wishes->list),
		    compare_wishes);
	for (i = 1; i <= wishes->n; i++) {
		if (i < wishes->n &&
		    wishes->list[i].from == wishes->list[first].from)
			continue;
		grant(wishes->list + first, i - first);
		first = i;
	}
	for (i = 0; i < wishes->n; i++)
		end_wish(&wishes->list[i]);
	free(wishes->list);
	memset(wishes, 0, sizeof(*wishes));
}

/* ---- all of it ---- */

static int
compare_keys(const void *a, const void *b)
{
	const struct lk_foreign_key *left = a, *right = b;

	if (left->child->oid != right->child->oid)
		return left->child->oid < right->child->oid ? -1 : 1;
	return left->number < right->number ? -1 : 1;
}

static bool
is_same_key(const struct lk_foreign_key *a, const struct lk_foreign_key *b)
{
	return a->child == b->child && a->parent == b->parent && a->n == b->n &&
	    memcmp(a->child_columns, b->child_columns,
	    a->n * sizeof(*a->child_columns)) == 0 &&
	    memcmp(a->parent_columns, b->parent_columns,
	    a->n * sizeof(*a->parent_columns)) == 0;
}

/* Whether one of the same child says the same before it. */
static bool
is_repeated(const struct lk_catalog *catalog, size_t at)
{
	size_t i;

	for (i = at; i > 0 && catalog->keys[i - 1].child ==
	    catalog->keys[at].child; i--) {
		if (is_same_key(&catalog->keys[i - 1], &catalog->keys[at]))
			return true;
	}
	return false;
}

static bool
is_left_out(const struct lk_catalog *catalog, size_t at)
{
	return catalog->keys[at].child->is_hidden ||
	    catalog->keys[at].parent->is_hidden || is_repeated(catalog, at);
}

/* Those of one child stand together then, and none twice. */
static void
sort_keys(struct lk_catalog *catalog)
{
	size_t i, n = 0;

	if (catalog->n_keys == 0)
		return;
	qsort(catalog->keys, catalog->n_keys, sizeof(*catalog->keys),
	    compare_keys);
	for (i = 0; i < catalog->n_keys; i++)
		catalog->keys[i].is_left_out = is_left_out(catalog, i);
	for (i = 0; i < catalog->n_keys; i++) {
		if (catalog->keys[i].is_left_out)
			lk_foreign_key_fini(&catalog->keys[i]);
		else
			catalog->keys[n++] = catalog->keys[i];
	}
	catalog->n_keys = n;
}

static void
wish_through(struct wishes *wishes, const struct lk_catalog *catalog)
{
	const struct lk_foreign_key *keys = catalog->keys;
	size_t i, j, first = 0;

	for (i = 0; i < catalog->n_keys; i++) {
		if (keys[i].child != keys[first].child)
			first = i;
		for (j = first; j < catalog->n_keys &&
		    keys[j].child == keys[i].child; j++)
			wish_for_far(wishes, &keys[i], &keys[j]);
	}
}

static int
compare_relations(const void *a, const void *b)
{
	const struct lk_relation *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

void
lk_catalog_relate(struct lk_catalog *catalog)
{
	struct wishes wishes = { NULL, 0, 0 };
	size_t i;

	sort_keys(catalog);
	for (i = 0; i < catalog->n_keys; i++)
		wish_for_parent(&wishes, &catalog->keys[i]);
	grant_all(&wishes);
	for (i = 0; i < catalog->n_keys; i++)
		wish_for_children(&wishes, &catalog->keys[i]);
	grant_all(&wishes);
	wish_through(&wishes, catalog);
	grant_all(&wishes);
	for (i = 0; i < catalog->n_models; i++) {
		if (catalog->models[i]->n_relations > 0)
			qsort(catalog->models[i]->relations,
			    catalog->models[i]->n_relations,
			    sizeof(struct lk_relation *), compare_relations);
	}
}
