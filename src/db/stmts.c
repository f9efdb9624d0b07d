#include "db/stmts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/die.h"

#define BYTEA_OID	17

void
lk_stmts_init(struct lk_stmts *stmts)
{
	lk_assert_worker();
	memset(stmts, 0, sizeof(*stmts));
	lk_hash_init(&stmts->by_sql);
	lk_list_init(&stmts->lru);
}

static LK_ON_WORKER void
drop(struct lk_stmts *stmts, struct lk_stmt *stmt)
{
	lk_hash_remove(&stmts->by_sql, &stmt->node);
	lk_list_remove(&stmt->lru);
	lk_param_types_fini(&stmt->types);
	free(stmt);
}

static LK_ON_WORKER void
drop_all(struct lk_stmts *stmts)
{
	while (!lk_list_is_empty(&stmts->lru))
		drop(stmts, lk_container(stmts->lru.next, struct lk_stmt, lru));
	stmts->n_dead = 0;
}

void
lk_stmts_fini(struct lk_stmts *stmts)
{
	lk_assert_worker();
	drop_all(stmts);
	lk_hash_fini(&stmts->by_sql);
}

static bool
match_sql(const struct lk_hash_node *node, const void *key)
{
	return strcmp(lk_container(node, const struct lk_stmt, node)->sql,
	    key) == 0;
}

static struct lk_stmt *
find(const struct lk_stmts *stmts, const char *sql)
{
	struct lk_hash_node *node;

	node = lk_hash_find(&stmts->by_sql, lk_hash_bytes(0, sql, strlen(sql)),
	    match_sql, sql);
	return node == NULL ? NULL : lk_container(node, struct lk_stmt, node);
}

struct lk_stmt *
lk_stmts_find(struct lk_stmts *stmts, const char *sql)
{
	struct lk_stmt *stmt = find(stmts, sql);

	lk_assert_worker();
	if (stmt != NULL) {
		lk_list_remove(&stmt->lru);
		lk_list_prepend(&stmts->lru, &stmt->lru);
	}
	return stmt;
}

/* To be deallocated.  False: there are too many. */
static LK_ON_WORKER bool
bury(struct lk_stmts *stmts, struct lk_stmt *stmt)
{
	if (stmt->number != 0 && stmts->n_dead == LK_STMTS_MAX)
		return false;
	if (stmt->number != 0)
		stmts->dead[stmts->n_dead++] = stmt->number;
	stmt->number = 0;
	return true;
}

struct lk_stmt *
lk_stmts_add(struct lk_stmts *stmts, const char *sql, uint64_t now_us)
{
	size_t		 n = strlen(sql);
	struct lk_stmt	*stmt;

	lk_assert_worker();
	if (n > LK_STMTS_MAX_TEXT || stmts->is_doubtful)
		return NULL;
	if (stmts->by_sql.n_nodes == LK_STMTS_MAX) {
		stmt = lk_container(stmts->lru.prev, struct lk_stmt, lru);
		if (!bury(stmts, stmt))
			return NULL;
		drop(stmts, stmt);
	}
	stmt = lk_xcalloc(1, sizeof(*stmt) + n + 1);
	memcpy(stmt->sql, sql, n + 1);
	stmt->number = ++stmts->last_number;
	snprintf(stmt->name, sizeof(stmt->name), "lk_%" PRIu64, stmt->number);
	stmt->prepared_us = now_us;
	lk_hash_insert(&stmts->by_sql, &stmt->node, lk_hash_bytes(0, sql, n));
	lk_list_prepend(&stmts->lru, &stmt->lru);
	return stmt;
}

bool
lk_stmts_is_old(const struct lk_stmts *stmts, const struct lk_stmt *stmt,
    uint64_t now_us)
{
	lk_assert_worker();
	return stmt->number <= stmts->last_old ||
	    now_us - stmt->prepared_us > LK_STMTS_MAX_AGE_US;
}

void
lk_stmts_age(struct lk_stmts *stmts)
{
	lk_assert_worker();
	stmts->last_old = stmts->last_number;
}

void
lk_stmts_give_up(struct lk_stmts *stmts, struct lk_stmt *stmt)
{
	lk_assert_worker();
	if (!bury(stmts, stmt))
		lk_stmts_doubt(stmts);
}

void
lk_stmts_forget(struct lk_stmts *stmts, const char *sql, bool is_there)
{
	struct lk_stmt *stmt = find(stmts, sql);

	lk_assert_worker();
	if (stmt == NULL)
		return;
	if (!is_there || bury(stmts, stmt))
		drop(stmts, stmt);
	else
		lk_stmts_doubt(stmts);
}

void
lk_stmts_doubt(struct lk_stmts *stmts)
{
	lk_assert_worker();
	drop_all(stmts);
	stmts->is_doubtful = true;
}

void
lk_stmts_reset(struct lk_stmts *stmts)
{
	lk_assert_worker();
	drop_all(stmts);
	stmts->is_doubtful = false;
}

/* ---- types of parameters ---- */

void
lk_param_types_set(struct lk_param_types *types, const PGresult *res)
{
	size_t i;

	lk_assert_worker();
	lk_param_types_fini(types);
	types->n = (size_t)PQnparams(res);
	types->oids = lk_xcalloc(types->n + 1, sizeof(*types->oids));
	for (i = 0; i < types->n; i++)
		types->oids[i] = PQparamtype(res, (int)i);
	types->is_known = true;
}

void
lk_param_types_move(struct lk_param_types *to, struct lk_param_types *from)
{
	lk_assert_worker();
	lk_param_types_fini(to);
	*to = *from;
	memset(from, 0, sizeof(*from));
}

void
lk_param_types_fini(struct lk_param_types *types)
{
	lk_assert_worker();
	free(types->oids);
	memset(types, 0, sizeof(*types));
}

bool
lk_param_types_equal(const struct lk_param_types *a,
    const struct lk_param_types *b)
{
	lk_assert_worker();
	return a->is_known && b->is_known && a->n == b->n &&
	    memcmp(a->oids, b->oids, a->n * sizeof(*a->oids)) == 0;
}

bool
lk_param_types_is_bytea(const struct lk_param_types *types, size_t i)
{
	lk_assert_worker();
	return i < types->n && types->oids[i] == BYTEA_OID;
}
