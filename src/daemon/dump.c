#include "daemon/dump.h"

#include <string.h>

#include "core/tables.h"
#include "ops/config.h"

static void
dump_errors(struct lk_buf *out)
{
	int kind;

	for (kind = 0; kind < LK_ERR__N; kind++) {
		struct lk_error error = { 0 };

		lk_error_set(&error, kind, "-");
		lk_buf_printf(out, "%s\t%s\t%s\t%s\n", lk_error_word(kind),
		    lk_error_sqlstate(kind), lk_retry_word(error.retry),
		    lk_error_when(kind));
		lk_error_fini(&error);
	}
}

static const struct {
	const char	*name;
	void		(*print)(struct lk_buf *out);
} tables[] = {
	{ "verbs", lk_tables_verbs },
	{ "hello", lk_tables_hello },
	{ "envelope", lk_tables_envelope },
	{ "errors", dump_errors },
	{ "pushes", lk_tables_pushes },
	{ "replies", lk_tables_replies },
	{ "show", lk_tables_show },
	{ "stats", lk_tables_stats },
	{ "config", lk_config_dump },
};

#define N_TABLES	(sizeof(tables) / sizeof(tables[0]))

void
lk_dump_names(struct lk_buf *out)
{
	size_t i;

	for (i = 0; i < N_TABLES; i++)
		lk_buf_printf(out, " %s", tables[i].name);
}

int
lk_dump(const char *table, struct lk_buf *out, struct lk_error *error)
{
	struct lk_buf names = LK_BUF_INIT;
	size_t i;

	for (i = 0; i < N_TABLES; i++) {
		if (strcmp(tables[i].name, table) == 0) {
			tables[i].print(out);
			return 0;
		}
	}
	lk_dump_names(&names);
	lk_error_set(error, LK_ERR_SYNTAX, "no table '%.40s' to dump; there "
	    "are:%s", table, lk_buf_cstr(&names));
	lk_buf_fini(&names);
	return -LK_E_INVAL;
}
