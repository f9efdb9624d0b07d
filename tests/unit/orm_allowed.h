/*
 * What a statement of the verbs may be made of, by a reader that knows nothing
 * of how they are compiled: for tests/unit and tests/fuzz.
 */
#ifndef LK_TESTS_ORM_ALLOWED_H
#define LK_TESTS_ORM_ALLOWED_H

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "orm/verb.h"

static const char *const orm_words[] = {
	"SELECT", "FROM", "AS", "WHERE", "AND", "OR", "NOT", "ORDER", "BY",
	"DESC", "LIMIT", "OFFSET", "FOR", "UPDATE", "NO", "KEY", "SHARE", "OF",
	"NOWAIT", "SKIP", "LOCKED", "LEFT", "JOIN", "ON", "IS", "NULL", "IN",
	"DISTINCT", "BETWEEN", "LIKE", "ILIKE", "ARRAY", "EXISTS", "count",
	"INSERT", "INTO", "VALUES", "DEFAULT", "RETURNING", "CONFLICT", "DO",
	"SET", "EXCLUDED", "DELETE", "true", "false", "t", "s", "j", "bool",
	"int2", "int4", "int8", "float4", "float8", "numeric", "text",
	"varchar", "date", "time", "timetz", "timestamp", "timestamptz",
	"interval", "uuid", "json", "jsonb", "unnest", "WITH", "ORDINALITY",
	"CROSS", "LATERAL", "k", "n",
};

static const char *const orm_signs[] = {
	"(", ")", ",", ".", "=", "<>", "<", "<=", ">", ">=", "@>", "<@", "&&",
	"?", "#>", "#>>", "[", "]", "::", "+", "-", "||", "*",
};

static inline bool
orm_is_word(const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < sizeof(orm_words) / sizeof(orm_words[0]); i++) {
		if (strlen(orm_words[i]) == n &&
		    memcmp(orm_words[i], text, n) == 0)
			return true;
	}
	/* The aliases t1, c1 and so on, and the 1 or 2 of LIMIT. */
	if (n == 1)
		return text[0] == '1' || text[0] == '2';
	if ((text[0] != 't' && text[0] != 'c') || n > 3)
		return false;
	return isdigit((unsigned char)text[1]) &&
	    (n == 2 || isdigit((unsigned char)text[2]));
}

static inline bool
orm_is_sign(const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < sizeof(orm_signs) / sizeof(orm_signs[0]); i++) {
		if (strlen(orm_signs[i]) == n &&
		    memcmp(orm_signs[i], text, n) == 0)
			return true;
	}
	return false;
}

static inline bool
orm_is_name(const struct lk_catalog *catalog, const char *name)
{
	const struct lk_model *model;
	size_t i;

	for (i = 0; i < lk_catalog_n_models(catalog); i++) {
		model = lk_catalog_model_at(catalog, i);
		if (strcmp(model->schema, name) == 0 ||
		    strcmp(model->table, name) == 0 ||
		    lk_model_column(model, name, strlen(name)) != NULL)
			return true;
	}
	return false;
}

/* From behind a quote; NULL where the name is none of the catalog's. */
static inline const char *
orm_skip_name(const struct lk_catalog *catalog, const char *sql)
{
	char name[64];
	size_t n = 0;

	for (; *sql != '\0' && n < sizeof(name) - 1; sql++) {
		if (*sql == '"' && *++sql != '"') {
			name[n] = '\0';
			return orm_is_name(catalog, name) ? sql : NULL;
		}
		name[n++] = *sql;
	}
	return NULL;
}

static inline size_t
orm_token_len(const char *sql)
{
	size_t n = 0;

	if (isalnum((unsigned char)*sql)) {
		while (isalnum((unsigned char)sql[n]) || sql[n] == '_')
			n++;
		return n;
	}
	if (strchr("(),.[]", *sql) != NULL)
		return 1;
	n = strspn(sql, "=<>@&?#:+-|*");
	return n > 0 ? n : 1;
}

/* Each word, sign, name and placeholder of it, apart by blanks or signs. */
static inline bool
orm_is_allowed_sql(const struct lk_catalog *catalog, const char *sql,
    size_t n_params)
{
	unsigned long number;
	char *end;
	size_t n;

	while (sql != NULL && *sql != '\0') {
		if (*sql == ' ') {
			sql++;
		} else if (*sql == '"') {
			sql = orm_skip_name(catalog, sql + 1);
		} else if (*sql == '$') {
			number = strtoul(sql + 1, &end, 10);
			if (number < 1 || number > n_params)
				return false;
			sql = end;
		} else {
			n = orm_token_len(sql);
			if (!orm_is_word(sql, n) && !orm_is_sign(sql, n))
				return false;
			sql += n;
		}
	}
	return sql != NULL;
}

/* The same of all its statements. */
static inline bool
orm_is_allowed(const struct lk_catalog *catalog, const struct lk_plan *plan)
{
	const struct lk_load *load;
	size_t i;

	for (i = 0; i < plan->with.n_loads; i++) {
		load = &plan->with.loads[i];
		if (load->parent > i || !orm_is_allowed_sql(catalog, load->sql,
		    load->n_keys + (load->limit >= 0)))
			return false;
	}
	return orm_is_allowed_sql(catalog, plan->sql, plan->n_params);
}

#endif
