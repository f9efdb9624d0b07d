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

void
lk_param_formats_set(struct lk_param_formats *params, const PGresult *res)
{
	size_t i;

	lk_assert_worker();
	lk_param_formats_fini(params);
	params->n = (size_t)PQnparams(res);
	params->formats = lk_xcalloc(params->n + 1, sizeof(int));
	for (i = 0; i < params->n; i++)
		params->formats[i] = PQparamtype(res, (int)i) == BYTEA_OID;
	params->is_known = true;
}

void
lk_param_formats_fini(struct lk_param_formats *params)
{
	lk_assert_worker();
	free(params->formats);
	memset(params, 0, sizeof(*params));
}

static LK_ON_WORKER void
drop(struct lk_stmts *stmts, struct lk_stmt *stmt)
{
	lk_hash_remove(&stmts->by_sql, &stmt->node);
	lk_list_remove(&stmt->lru);
	lk_param_formats_fini(&stmt->params);
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

/* Names are lk_<n>: the number is enough to deallocate it by. */
static LK_ON_WORKER void
bury(struct lk_stmts *stmts, struct lk_stmt *stmt)
{
	stmts->dead[stmts->n_dead++] = strtoull(stmt->name + strlen("lk_"),
	    NULL, 10);
	drop(stmts, stmt);
}

struct lk_stmt *
lk_stmts_add(struct lk_stmts *stmts, const char *sql)
{
	size_t		 n = strlen(sql);
	struct lk_stmt	*stmt;

	lk_assert_worker();
	if (n > LK_STMTS_MAX_TEXT)
		return NULL;
	if (stmts->by_sql.n_nodes == LK_STMTS_MAX) {
		if (stmts->n_dead == LK_STMTS_MAX)
			return NULL;
		bury(stmts, lk_container(stmts->lru.prev, struct lk_stmt,
		    lru));
	}
	stmt = lk_xcalloc(1, sizeof(*stmt) + n + 1);
	memcpy(stmt->sql, sql, n + 1);
	snprintf(stmt->name, sizeof(stmt->name), "lk_%" PRIu64,
	    ++stmts->next_number);
	lk_hash_insert(&stmts->by_sql, &stmt->node, lk_hash_bytes(0, sql, n));
	lk_list_prepend(&stmts->lru, &stmt->lru);
	return stmt;
}

void
lk_stmts_forget(struct lk_stmts *stmts, const char *sql, bool is_there)
{
	struct lk_stmt *stmt = find(stmts, sql);

	lk_assert_worker();
	if (stmt == NULL)
		return;
	if (!is_there)
		drop(stmts, stmt);
	else if (stmts->n_dead < LK_STMTS_MAX)
		bury(stmts, stmt);
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
