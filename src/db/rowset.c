#include "db/rowset.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/hash.h"
#include "base/list.h"
#include "db/array.h"

struct kept_row {
	size_t		 at;		/* in bytes */
	size_t		 next;		/* row of its group */
};

void
lk_rowset_fini(struct lk_rowset *set)
{
	lk_assert_worker();
	lk_head_fini(&set->head);
	lk_buf_fini(&set->top);
	lk_buf_fini(&set->bytes);
	lk_buf_fini(&set->rows);
	free(set->cells);
	free(set->group_of);
	free(set->groups);
}

void
lk_rowset_start(struct lk_rowset *set, const PGresult *res)
{
	lk_assert_worker();
	lk_head_read(&set->head, res, set->n_shown);
	set->n_cells = (size_t)PQnfields(res);
	set->cells = lk_xcalloc(set->n_cells + 1, sizeof(*set->cells));
}

static struct kept_row *
row_at(const struct lk_rowset *set, size_t row)
{
	return (struct kept_row *)(void *)set->rows.data + row;
}

size_t
lk_rowset_next(const struct lk_rowset *set, size_t row)
{
	lk_assert_worker();
	return row_at(set, row)->next;
}

/* ---- rows ---- */

void
lk_rowset_take(struct lk_rowset *set, const PGresult *res, int row)
{
	bool	is_null;
	size_t	i;

	lk_assert_worker();
	for (i = 0; i < set->n_cells; i++) {
		is_null = PQgetisnull(res, row, (int)i);
		set->cells[i] = (struct lk_cell){
			is_null ? NULL : PQgetvalue(res, row, (int)i),
			(size_t)PQgetlength(res, row, (int)i),
		};
	}
}

/* The group of the row at hand; 0: none of those that were asked for. */
static size_t
find_group(const struct lk_rowset *set)
{
	size_t	at = set->load->n_columns, group;

	if (at >= set->n_cells)
		return 0;
	group = lk_cell_number(&set->cells[at]);
	return group < set->n_groups ? group : 0;
}

static void
join_group(struct lk_rowset *set, size_t number)
{
	struct lk_group *group = &set->groups[number];

	if (group->n++ == 0)
		group->first = set->n_rows;
	else
		row_at(set, group->last)->next = set->n_rows;
	group->last = set->n_rows;
}

size_t
lk_rowset_keep(struct lk_rowset *set)
{
	struct kept_row row = { set->bytes.len, 0 };
	size_t	group = set->load != NULL ? find_group(set) : 0, i;

	lk_assert_worker();
	if (set->load != NULL && group == 0)
		return 0;
	for (i = 0; i < set->n_cells; i++) {
		const struct lk_cell *cell = &set->cells[i];
		uint32_t n = cell->data == NULL ? UINT32_MAX :
		    (uint32_t)cell->n;

		lk_buf_append(&set->bytes, &n, sizeof(n));
		lk_buf_append(&set->bytes, cell->data, cell->n);
	}
	lk_buf_append(&set->rows, &row, sizeof(row));
	if (set->bytes.broken || set->rows.broken)
		return 0;
	if (group > 0)
		join_group(set, group);
	set->n_rows++;
	return set->bytes.len - row.at + sizeof(row);
}

void
lk_rowset_get(struct lk_rowset *set, size_t row)
{
	const char *at = set->bytes.data + row_at(set, row)->at;
	size_t i;

	lk_assert_worker();
	for (i = 0; i < set->n_cells; i++) {
		struct lk_cell *cell = &set->cells[i];
		uint32_t n;

		memcpy(&n, at, sizeof(n));
		at += sizeof(n);
		cell->data = n == UINT32_MAX ? NULL : at;
		cell->n = n == UINT32_MAX ? 0 : n;
		at += cell->n;
	}
}

/* ---- keys ---- */

/* Keys that differ, by their bytes: those that PostgreSQL takes to be equal are
 * asked for twice, and get the same rows. */
struct keys {
	struct lk_hash	 by_bytes;
	struct key	*list;		/* heap; room for one a row */
	size_t		 n;
	struct lk_buf	 bytes;		/* of those in list, and behind them of
					   the one that is looked for */
};

struct key {
	struct lk_hash_node node;
	const struct keys *keys;
	size_t		 at, n_bytes;
};

static bool
is_same_key(const struct lk_hash_node *node, const void *wanted)
{
	const struct key *a = lk_container(node, const struct key, node);
	const struct key *b = wanted;

	return a->n_bytes == b->n_bytes &&
	    memcmp(a->keys->bytes.data + a->at, b->keys->bytes.data + b->at,
	    a->n_bytes) == 0;
}

/* NULL: the row at hand has none, or not all of it. */
static const struct lk_cell *
key_cell(const struct lk_rowset *parent, const struct lk_load *load, size_t i)
{
	size_t at = load->keys[i];

	return at < parent->n_cells && parent->cells[at].data != NULL ?
	    &parent->cells[at] : NULL;
}

/* The bytes of the key of the row at hand.  False: a column of it is NULL, and
 * NULL is equal to nothing. */
static bool
put_key(struct keys *keys, const struct lk_rowset *parent,
    const struct lk_load *load, struct key *key)
{
	const struct lk_cell *cell;
	size_t i;

	key->keys = keys;
	key->at = keys->bytes.len;
	for (i = 0; i < load->n_keys; i++) {
		cell = key_cell(parent, load, i);
		if (cell == NULL)
			return false;
		lk_buf_append(&keys->bytes, &cell->n, sizeof(cell->n));
		lk_buf_append(&keys->bytes, cell->data, cell->n);
	}
	key->n_bytes = keys->bytes.len - key->at;
	return !keys->bytes.broken;
}

static void
add_key(struct keys *keys, const struct key *key, uint64_t hash)
{
	struct key *added = &keys->list[keys->n++];

	*added = *key;
	lk_hash_insert(&keys->by_bytes, &added->node, hash);
}

/* The number of the key of the row at hand, from 1; 0: it has none. */
static LK_ON_WORKER size_t
number_key(struct keys *keys, const struct lk_rowset *parent,
    const struct lk_load *load, struct lk_buf *arrays)
{
	struct lk_hash_node *node;
	struct key	key;
	uint64_t	hash;
	size_t		i;

	if (!put_key(keys, parent, load, &key)) {
		lk_buf_truncate(&keys->bytes, key.at);
		return 0;
	}
	hash = lk_hash_bytes(0, keys->bytes.data + key.at, key.n_bytes);
	node = lk_hash_find(&keys->by_bytes, hash, is_same_key, &key);
	if (node != NULL) {
		lk_buf_truncate(&keys->bytes, key.at);
		return (size_t)(lk_container(node, struct key, node) -
		    keys->list) + 1;
	}
	add_key(keys, &key, hash);
	for (i = 0; i < load->n_keys; i++) {
		const struct lk_cell *cell = key_cell(parent, load, i);

		lk_array_put(&arrays[i], cell->data, cell->n);
	}
	return keys->n;
}

size_t
lk_rowset_ask(struct lk_rowset *set, struct lk_rowset *parent,
    struct lk_buf *arrays)
{
	const struct lk_load *load = set->load;
	struct keys keys = { .n = 0 };
	size_t i;

	lk_assert_worker();
	lk_hash_init(&keys.by_bytes);
	keys.list = lk_xcalloc(parent->n_rows + 1, sizeof(*keys.list));
	set->group_of = lk_xcalloc(parent->n_rows + 1, sizeof(*set->group_of));
	for (i = 0; i < parent->n_rows; i++) {
		lk_rowset_get(parent, i);
		set->group_of[i] = number_key(&keys, parent, load, arrays);
	}
	for (i = 0; i < load->n_keys; i++)
		lk_buf_putc(&arrays[i], '}');
	set->n_groups = keys.n + 1;
	set->groups = lk_xcalloc(set->n_groups, sizeof(*set->groups));
	lk_hash_fini(&keys.by_bytes);
	lk_buf_fini(&keys.bytes);
	free(keys.list);
	return keys.n;
}
