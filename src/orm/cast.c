#include "orm/compile.h"

/* Words that may stand behind ::, and no others: what a client sends is never
 * part of the statement. */
static const struct cast {
	const char	*word;
	uint32_t	 type;
	const char	*sql;
} casts[] = {
	{ "bool", LK_OID_BOOL, "bool" },
	{ "boolean", LK_OID_BOOL, "bool" },
	{ "int2", LK_OID_INT2, "int2" },
	{ "smallint", LK_OID_INT2, "int2" },
	{ "int4", LK_OID_INT4, "int4" },
	{ "int", LK_OID_INT4, "int4" },
	{ "integer", LK_OID_INT4, "int4" },
	{ "int8", LK_OID_INT8, "int8" },
	{ "bigint", LK_OID_INT8, "int8" },
	{ "float4", LK_OID_FLOAT4, "float4" },
	{ "real", LK_OID_FLOAT4, "float4" },
	{ "float8", LK_OID_FLOAT8, "float8" },
	{ "float", LK_OID_FLOAT8, "float8" },
	{ "double precision", LK_OID_FLOAT8, "float8" },
	{ "numeric", LK_OID_NUMERIC, "numeric" },
	{ "decimal", LK_OID_NUMERIC, "numeric" },
	{ "text", LK_OID_TEXT, "text" },
	{ "varchar", LK_OID_VARCHAR, "varchar" },
	{ "date", LK_OID_DATE, "date" },
	{ "time", LK_OID_TIME, "time" },
	{ "timetz", LK_OID_TIMETZ, "timetz" },
	{ "timestamp", LK_OID_TIMESTAMP, "timestamp" },
	{ "timestamptz", LK_OID_TIMESTAMPTZ, "timestamptz" },
	{ "interval", LK_OID_INTERVAL, "interval" },
	{ "uuid", LK_OID_UUID, "uuid" },
	{ "json", LK_OID_JSON, "json" },
	{ "jsonb", LK_OID_JSONB, "jsonb" },
};

#define N_CASTS	(sizeof(casts) / sizeof(casts[0]))

uint32_t
lk_cast_find(struct lk_span word)
{
	size_t i;

	for (i = 0; i < N_CASTS; i++) {
		if (lk_span_is(word, casts[i].word))
			return casts[i].type;
	}
	return 0;
}

const char *
lk_cast_sql(uint32_t type)
{
	size_t i;

	for (i = 0; casts[i].type != type; i++)
		continue;
	return casts[i].sql;
}
