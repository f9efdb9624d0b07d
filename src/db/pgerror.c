#include "db/pgerror.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

static const struct {
	char			sqlstate[6];
	enum lk_error_kind	kind;
} kinds[] = {
	{ "40P01", LK_ERR_DEADLOCK },
	{ "40001", LK_ERR_SERIALIZE },
	{ "55P03", LK_ERR_LOCKTIMEOUT },
	{ "25P02", LK_ERR_TXABORTED },
};

static const struct {
	int			code;
	enum lk_error_field	field;
} fields[] = {
	{ PG_DIAG_MESSAGE_DETAIL, LK_FIELD_DETAIL },
	{ PG_DIAG_MESSAGE_HINT, LK_FIELD_HINT },
	{ PG_DIAG_TABLE_NAME, LK_FIELD_TABLE },
	{ PG_DIAG_COLUMN_NAME, LK_FIELD_COLUMN },
	{ PG_DIAG_CONSTRAINT_NAME, LK_FIELD_CONSTRAINT },
	{ PG_DIAG_STATEMENT_POSITION, LK_FIELD_POSITION },
};

const char *
lk_pgerror_sqlstate(const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	lk_assert_worker();
	return sqlstate != NULL ? sqlstate : "";
}

enum lk_severity
lk_pgerror_severity(const PGresult *res)
{
	const char *severity = PQresultErrorField(res,
	    PG_DIAG_SEVERITY_NONLOCALIZED);

	lk_assert_worker();
	if (severity == NULL)
		return LK_SEVERITY_ERROR;
	if (strcmp(severity, "PANIC") == 0)
		return LK_SEVERITY_PANIC;
	return strcmp(severity, "FATAL") == 0 ? LK_SEVERITY_FATAL :
	    LK_SEVERITY_ERROR;
}

/*
 * The server's way to say that a text holds more than one statement: only the
 * parser of statements to be prepared itself raises this SQLSTATE there.
 */
static LK_ON_WORKER bool
is_several(const PGresult *res)
{
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return strcmp(lk_pgerror_sqlstate(res), "42601") == 0 &&
	    function != NULL && strcmp(function, "exec_parse_message") == 0;
}

static LK_ON_WORKER enum lk_error_kind
kind_of(const PGresult *res)
{
	size_t i;

	if (lk_pgerror_severity(res) != LK_SEVERITY_ERROR)
		return LK_ERR_CONNLOST;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].sqlstate, lk_pgerror_sqlstate(res)) == 0)
			return kinds[i].kind;
	}
	return LK_ERR_PG;
}

/*
 * With log_parameter_max_length_on_error the value stands behind the number, as
 * in $2 = 'it''s', and holds what it likes.  Returns the bytes before it.
 */
static size_t
len_without_value(const char *context)
{
	size_t n = strlen(context), i, n_quotes;

	if (n == 0 || context[n - 1] != '\'')
		return n;
	for (i = n - 1; i > 0; i -= n_quotes > 0 ? n_quotes : 1) {
		for (n_quotes = 0; n_quotes < i &&
		    context[i - 1 - n_quotes] == '\''; n_quotes++)
			;
		/* Those of its own are in pairs. */
		if (n_quotes % 2 == 1)
			return i - n_quotes;
	}
	return n;
}

/*
 * A value that could not be taken: "unnamed portal parameter $2".  That is the
 * last line, which is of the outermost that was under way.  In one language a
 * word is behind the number.  While a statement runs, all its parameters may be
 * listed there: "…: $1 = '5', $2 = NULL".
 */
static size_t
find_param(const char *context)
{
	size_t n = len_without_value(context), number = 0, i;

	while (n > 0 && context[n - 1] != '$' && context[n - 1] != '\n')
		n--;
	if (n < 3 || context[n - 1] != '$' || context[n - 2] != ' ' ||
	    context[n - 3] == ':' || context[n - 3] == ',')
		return 0;
	for (i = n; i < n + 5 && context[i] >= '0' && context[i] <= '9'; i++)
		number = number * 10 + (size_t)(context[i] - '0');
	return context[i] == '\0' || context[i] == ' ' ? number : 0;
}

/* Of the statement's own, unless something stands before it. */
static bool
is_list_of_params(const char *context)
{
	const char *list = strstr(context, ": $1 = ");

	return list != NULL && memchr(context, '\n',
	    (size_t)(list - context)) == NULL;
}

void
lk_pgerror_locate(struct lk_error *error, const char *context)
{
	error->param = context != NULL ? find_param(context) : 0;
	error->is_inner = context != NULL && error->param == 0 &&
	    !is_list_of_params(context);
}

void
lk_pgerror_set(struct lk_error *error, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	size_t i;

	lk_assert_worker();
	if (is_several(res)) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "SQL takes exactly one statement");
		return;
	}
	lk_error_set(error, kind_of(res), "%s",
	    message != NULL ? message : "the server gave no message");
	if (*lk_pgerror_sqlstate(res) != '\0')
		lk_error_set_sqlstate(error, lk_pgerror_sqlstate(res));
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		lk_error_set_field(error, fields[i].field,
		    PQresultErrorField(res, fields[i].code));
	lk_pgerror_locate(error, PQresultErrorField(res, PG_DIAG_CONTEXT));
}

void
lk_pgerror_set_lost(struct lk_error *error, const char *words)
{
	size_t n = strlen(words);

	lk_assert_worker();
	while (n > 0 && words[n - 1] == '\n')
		n--;
	if (n == 0)
		lk_error_set(error, LK_ERR_CONNLOST,
		    "the server gave no reason");
	else
		lk_error_set(error, LK_ERR_CONNLOST, "%.*s", (int)n, words);
	lk_error_set_field(error, LK_FIELD_DETAIL, error->message);
}
