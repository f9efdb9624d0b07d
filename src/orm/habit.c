/*
 * People know SQL.  Where what they type is SQL's rather than a verb's, the
 * error says how it is said here.
 */
#include <string.h>

#include "orm/compile.h"

/* Of a column or a relation, in bytes: a client's text may be millions. */
#define MAX_NAME	256

/* Things that SQL creates, updates nothing of and deletes from nowhere. */
static const char *const created[] = { "TABLE", "TEMP", "TEMPORARY", "UNLOGGED",
	"INDEX", "UNIQUE", "VIEW", "MATERIALIZED", "SCHEMA", "SEQUENCE", "TYPE",
	"DOMAIN", "FUNCTION", "PROCEDURE", "TRIGGER", "EXTENSION", "ROLE",
	"USER", "DATABASE", "OR" };

static bool
is_created(const struct lk_arg *arg)
{
	size_t i;

	for (i = 0; i < sizeof(created) / sizeof(created[0]); i++) {
		if (lk_arg_is(arg, created[i]))
			return true;
	}
	return false;
}

/* The model that is named, without a word about it when there is none. */
static const struct lk_model *
find_model(const struct lk_compile *c, const struct lk_arg *arg)
{
	return arg == NULL || arg->data == NULL ? NULL :
	    lk_catalog_find(c->catalog, arg->data, arg->len, NULL);
}

static bool
is_read(enum lk_orm_verb verb)
{
	return verb <= LK_ORM_EXISTS || verb == LK_ORM_LOAD;
}

/* "CREATE TABLE …" and its like; "CREATE user name = Ann" means a model. */
static bool
is_ddl(const struct lk_compile *c, const struct lk_arg *first)
{
	const struct lk_arg *third = lk_word_peek(c, 2);

	return c->verb == LK_ORM_CREATE && is_created(first) &&
	    !lk_arg_is(third, "=") && !lk_arg_is(third, "TO");
}

/* Behind the verb stands no model but a word of SQL's. */
static void
explain_first(struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	const char *verb = lk_orm_verb_word(c->verb);
	struct lk_shown shown;

	if (is_ddl(c, arg))
		lk_refuse(c, "makes a row, and %s is no model: send "
		    "SQL \"CREATE %.*s ...\"",
		    lk_word_show(&shown, arg->data, arg->len), (int)arg->len,
		    arg->data);
	else if (lk_arg_is(arg, "INTO"))
		lk_refuse(c, "no INTO: the model stands behind the verb");
	else if (!lk_arg_is(arg, "*") && !lk_arg_is(arg, "FROM"))
		return;
	else if (is_read(c->verb))
		lk_refuse(c, "no * and no FROM: the model stands behind the "
		    "verb, as in %s users", verb);
	else
		lk_refuse(c, "no FROM: one row goes by its key, as in "
		    "DELETE users 1; more go by DELETEALL users WHERE ...; or "
		    "send SQL \"DELETE FROM ...\"");
}

/* WHERE or SET stands at once where a verb has no key to find one row by. */
static void
explain_key(struct lk_compile *c)
{
	const struct lk_arg *second = lk_word_peek(c, 1);
	const struct lk_arg *third = lk_word_peek(c, 2);

	if (c->verb == LK_ORM_UPDATE && lk_arg_is(second, "SET") &&
	    !lk_arg_is(third, "SET"))
		lk_refuse(c, "the key of one row stands before SET; "
		    "rows by a condition are UPDATEALL's: UPDATEALL model SET "
		    "... WHERE ...");
	if (c->verb == LK_ORM_DELETE && lk_arg_is(second, "WHERE") &&
	    !lk_arg_is(third, "IF"))
		lk_refuse(c, "the key of one row stands behind the "
		    "model; rows by a condition are DELETEALL's: DELETEALL "
		    "model WHERE ...");
	if (c->verb == LK_ORM_GET && lk_arg_is(second, "WHERE") &&
	    !lk_arg_is(third, "FIELDS") && !lk_arg_is(third, "FOR"))
		lk_refuse(c, "the key of one row stands behind the "
		    "model; rows by a condition are FIND's: FIND model WHERE "
		    "...");
}

void
lk_habit_explain(struct lk_compile *c)
{
	c->at = 0;
	/* A table may have such a name, and a key such a value. */
	if (find_model(c, lk_word_peek(c, 0)) == NULL)
		explain_first(c);
	else if (lk_word_peek(c, 2) != NULL)
		explain_key(c);
}

/* ---- in the midst of it ---- */

bool
lk_habit_is_path(const struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	size_t n;

	if (arg == NULL || arg->data == NULL)
		return false;
	for (n = arg->len < MAX_NAME ? arg->len : MAX_NAME; n > 0; n--) {
		if ((n == arg->len || strchr(".-:=<>!", arg->data[n]) !=
		    NULL) && (lk_model_column(c->model, arg->data, n) != NULL ||
		    lk_model_relation(c->model, arg->data, n) != NULL))
			return true;
	}
	return false;
}

static bool
begins_with(const struct lk_arg *arg, char first)
{
	return arg != NULL && arg->data != NULL && arg->len > 0 &&
	    arg->data[0] == first;
}

/* ORDER, its list and what is behind. */
static const char *
advise_order(const struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);

	if (lk_arg_is(arg, "BY"))
		return "ORDER is a word without BY: ORDER a,-b";
	if (lk_arg_is(arg, "DESC"))
		return "what descends has a minus: ORDER -column";
	if (lk_arg_is(arg, "ASC"))
		return "what has no minus ascends";
	return NULL;
}

/* Two places where a column's name was taken for something else. */
static const char *
advise_equal(const struct lk_compile *c)
{
	const struct lk_arg *before = c->at > 0 ? &c->args[c->at - 1] : NULL;

	if (before == NULL || before->data == NULL || c->model == NULL)
		return NULL;
	if (c->verb == LK_ORM_GET || c->verb == LK_ORM_UPDATE ||
	    c->verb == LK_ORM_DELETE || c->verb == LK_ORM_LOAD)
		return "the key's values stand alone, without its columns' "
		    "names";
	if (lk_model_column(c->model, before->data, before->len) != NULL)
		return "a column that is called as a word is stands in quotes";
	return NULL;
}

static const char *
advise_condition(const struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);

	if (lk_arg_is(arg, "WHERE") &&
	    (c->verb == LK_ORM_UPDATE || c->verb == LK_ORM_DELETE))
		return "one row's condition stands behind IF; UPDATEALL and "
		    "DELETEALL have WHERE";
	if (lk_arg_is(arg, "IF"))
		return "IF is UPDATE's and DELETE's";
	if (begins_with(arg, '(') && c->verb == LK_ORM_CREATE)
		return "columns and values go in pairs: CREATE users name = "
		    "Ann age = 30";
	if (begins_with(arg, '(') && arg->len > 1)
		return "a parenthesis is an element of its own, and IN takes "
		    "the number of its values: IN 2 a b";
	return NULL;
}

const char *
lk_habit_advise(const struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	const char *advice = advise_order(c);

	if (advice != NULL || arg == NULL)
		return advice;
	if (lk_arg_is(arg, "GROUP") || lk_arg_is(arg, "HAVING") ||
	    lk_arg_is(arg, "JOIN"))
		return "what a verb cannot say, SQL can: SQL \"SELECT ...\"";
	if (lk_arg_is(arg, "RETURNING"))
		return "the whole row comes back by itself";
	if (lk_arg_is(arg, "="))
		return advise_equal(c);
	return advise_condition(c);
}

bool
lk_habit_is_glued(const struct lk_model *model, struct lk_span name)
{
	size_t i;

	for (i = 1; i < name.n && i < MAX_NAME; i++) {
		if (strchr("=<>!+-|~", name.at[i]) == NULL ||
		    name.at[i] == '\0')
			continue;
		return lk_model_column(model, name.at, i) != NULL;
	}
	return false;
}
