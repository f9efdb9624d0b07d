#include "db/types.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/list.h"

enum {
	BOOL_OID = 16, BYTEA_OID = 17, INT8_OID = 20, INT2_OID = 21,
	INT4_OID = 23, OID_OID = 26, JSON_OID = 114, FLOAT4_OID = 700,
	FLOAT8_OID = 701, NUMERIC_OID = 1700, JSONB_OID = 3802,
};

static const struct lk_type builtin[] = {
#define LK_TYPE(oid, array, delim, name)				\
	{ oid, 0, delim, name }, { array, oid, delim, name "[]" },
#include "db/types.def"
#undef LK_TYPE
};

#define N_BUILTIN	(sizeof(builtin) / sizeof(builtin[0]))

struct looked_up {
	struct lk_hash_node	node;
	struct lk_type		type;
	char			name[];
};

/* Of the rows that lk_types_sql asks for. */
#define N_COLUMNS	4

/*
 * Everything with its schema: the session's search_path is the client's, and
 * what is learnt here stays.
 */
const char *const lk_types_sql =
    "SELECT t.oid, CASE WHEN t.typsubscript OPERATOR(pg_catalog.=) "
    "'pg_catalog.array_subscript_handler'::pg_catalog.regproc THEN "
    "(WITH RECURSIVE e AS (SELECT p.oid, p.typtype, p.typbasetype "
    "FROM pg_catalog.pg_type p "
    "WHERE p.oid OPERATOR(pg_catalog.=) t.typelem UNION ALL "
    "SELECT b.oid, b.typtype, b.typbasetype FROM pg_catalog.pg_type b "
    "JOIN e ON b.oid OPERATOR(pg_catalog.=) e.typbasetype) "
    "SELECT e.oid FROM e WHERE e.typtype OPERATOR(pg_catalog.<>) 'd') "
    "ELSE 0 END, t.typdelim, pg_catalog.format_type(t.oid, NULL) "
    "FROM pg_catalog.pg_type t "
    "WHERE t.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])";

void
lk_types_init(struct lk_types *types)
{
	lk_assert_worker();
	lk_hash_init(&types->by_oid);
	types->since_us = 0;
	types->is_old = false;
}

void
lk_types_fini(struct lk_types *types)
{
	size_t i;

	lk_assert_worker();
	for (i = 0; i < types->by_oid.n_buckets; i++) {
		struct lk_hash_node *node = types->by_oid.buckets[i];

		while (node != NULL) {
			struct looked_up *entry = lk_container(node,
			    struct looked_up, node);

			node = node->next;
			free(entry);
		}
	}
	lk_hash_fini(&types->by_oid);
}

void
lk_types_refresh(struct lk_types *types, uint64_t now_us)
{
	lk_assert_worker();
	if (!types->is_old &&
	    now_us - types->since_us <= LK_TYPES_MAX_AGE_US)
		return;
	lk_types_fini(types);
	lk_types_init(types);
	types->since_us = now_us;
}

void
lk_types_age(struct lk_types *types)
{
	lk_assert_worker();
	types->is_old = true;
}

static bool
match_oid(const struct lk_hash_node *node, const void *key)
{
	return lk_container(node, const struct looked_up, node)->type.oid ==
	    *(const Oid *)key;
}

const struct lk_type *
lk_types_find(const struct lk_types *types, Oid oid)
{
	struct lk_hash_node	*node;
	size_t			 i;

	lk_assert_worker();
	for (i = 0; i < N_BUILTIN; i++) {
		if (builtin[i].oid == oid)
			return &builtin[i];
	}
	node = lk_hash_find(&types->by_oid, lk_hash_bytes(0, &oid, sizeof(oid)),
	    match_oid, &oid);
	return node == NULL ? NULL :
	    &lk_container(node, struct looked_up, node)->type;
}

static void
add_one(struct lk_types *types, const PGresult *res, int row)
{
	const char		*name = PQgetvalue(res, row, 3);
	size_t			 size = strlen(name) + 1;
	struct looked_up	*entry = lk_xmalloc(sizeof(*entry) + size);

	memcpy(entry->name, name, size);
	entry->type = (struct lk_type){
		.oid = (Oid)strtoul(PQgetvalue(res, row, 0), NULL, 10),
		.elem = (Oid)strtoul(PQgetvalue(res, row, 1), NULL, 10),
		.delim = PQgetvalue(res, row, 2)[0],
		.name = entry->name,
	};
	lk_hash_insert(&types->by_oid, &entry->node, lk_hash_bytes(0,
	    &entry->type.oid, sizeof(entry->type.oid)));
}

void
lk_types_add(struct lk_types *types, const PGresult *res)
{
	int row;

	lk_assert_worker();
	if (PQnfields(res) != N_COLUMNS)
		return;
	for (row = 0; row < PQntuples(res); row++) {
		Oid oid = (Oid)strtoul(PQgetvalue(res, row, 0), NULL, 10);

		if (lk_types_find(types, oid) == NULL)
			add_one(types, res, row);
	}
}

enum lk_cell_class
lk_type_cell(Oid oid)
{
	lk_assert_worker();
	switch (oid) {
	case BOOL_OID:
		return LK_CELL_BOOL;
	case INT2_OID:
	case INT4_OID:
	case INT8_OID:
	case OID_OID:
		return LK_CELL_INT;
	case FLOAT4_OID:
	case FLOAT8_OID:
		return LK_CELL_DOUBLE;
	case NUMERIC_OID:
		return LK_CELL_NUMERIC;
	case JSON_OID:
	case JSONB_OID:
		return LK_CELL_JSON;
	case BYTEA_OID:
		return LK_CELL_BYTEA;
	default:
		return LK_CELL_TEXT;
	}
}
