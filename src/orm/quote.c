/*
 * The one place where names become SQL.  They are the snapshot's, which has
 * them from the server's catalog, and always in quotes: which words a server
 * keeps for itself changes from version to version.
 */
#include "orm/compile.h"

void
lk_quote(struct lk_buf *out, const char *name)
{
	lk_buf_putc(out, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			lk_buf_putc(out, '"');
		lk_buf_putc(out, *name);
	}
	lk_buf_putc(out, '"');
}

void
lk_quote_model(struct lk_buf *out, const struct lk_model *model)
{
	lk_quote(out, model->schema);
	lk_buf_putc(out, '.');
	lk_quote(out, model->table);
}

void
lk_quote_alias(struct lk_buf *out, size_t alias)
{
	if (alias == 0)
		lk_buf_putc(out, 't');
	else if (alias == LK_ALIAS_SOURCE)
		lk_buf_putc(out, 's');
	else if (alias == LK_ALIAS_THROUGH)
		lk_buf_putc(out, 'j');
	else
		lk_buf_printf(out, "t%zu", alias);
}

void
lk_quote_table(struct lk_buf *out, const struct lk_model *model, size_t alias)
{
	lk_quote_model(out, model);
	lk_buf_puts(out, " AS ");
	lk_quote_alias(out, alias);
}

void
lk_quote_column(struct lk_buf *out, size_t alias,
    const struct lk_column *column)
{
	lk_quote_alias(out, alias);
	lk_buf_putc(out, '.');
	lk_quote(out, column->name);
}

void
lk_quote_columns(struct lk_buf *out, const struct lk_model *model)
{
	size_t i;

	for (i = 0; i < model->n_columns; i++) {
		if (i > 0)
			lk_buf_puts(out, ", ");
		lk_quote_column(out, 0, &model->columns[i]);
	}
}

void
lk_quote_param(struct lk_buf *out, size_t number)
{
	lk_buf_printf(out, "$%zu", number);
}

/* Only outside of quotes is $1 a parameter. */
static size_t
skip_quoted(const char *sql, size_t at)
{
	char quote = sql[at++];

	while (sql[at] != '\0' && sql[at] != quote)
		at++;
	return sql[at] != '\0' ? at + 1 : at;
}

void
lk_quote_params_as(struct lk_buf *out, const char *sql, const char *before,
    const char *behind)
{
	size_t at = 0, from;

	while (sql[at] != '\0') {
		from = at;
		if (sql[at] == '"' || sql[at] == '\'') {
			at = skip_quoted(sql, at);
			lk_buf_append(out, sql + from, at - from);
		} else if (sql[at] == '$') {
			lk_buf_puts(out, before);
			while (sql[++at] >= '0' && sql[at] <= '9')
				lk_buf_putc(out, sql[at]);
			lk_buf_puts(out, behind);
		} else {
			lk_buf_putc(out, sql[at++]);
		}
	}
}
