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

static bool
is_column(const struct lk_model *model, const struct lk_arg *arg)
{
	return arg != NULL && arg->data != NULL &&
	    lk_model_column(model, arg->data, arg->len) != NULL;
}

static bool
is_sign(const struct lk_arg *arg)
{
	return arg != NULL && arg->data != NULL && arg->len > 0 &&
	    strchr("=<>!", arg->data[0]) != NULL && arg->data[0] != '\0';
}

static bool
takes_key(enum lk_orm_verb verb)
{
	return verb == LK_ORM_GET || verb == LK_ORM_UPDATE ||
	    verb == LK_ORM_DELETE || verb == LK_ORM_LOAD;
}

/* "id = 1", "id=1" or "id 1" where a key's values belong; at: what was not
 * understood. */
static bool
explain_condition(struct lk_compile *c, const struct lk_model *model, size_t at)
{
	const struct lk_arg *second = lk_word_peek(c, 1);
	const char *verb = lk_orm_verb_word(c->verb);
	const char *all = c->verb == LK_ORM_UPDATE ? "UPDATEALL" :
	    c->verb == LK_ORM_DELETE ? "DELETEALL" : "FIND";

	if (!takes_key(c->verb) || lk_model_primary(model) == NULL)
		return false;
	if (!(is_column(model, second) && c->n_args > 2 &&
	    (at == 1 || is_sign(lk_word_peek(c, 2)))) &&
	    !lk_habit_is_glued(model, (struct lk_span){ second->data,
	    second->len }))
		return false;
	lk_refuse(c, "the key's value stands alone, as in %s %s 1; rows by a "
	    "condition are %s's: %s %s %sWHERE ...", verb, model->name, all,
	    all, model->name, c->verb == LK_ORM_UPDATE ? "SET ... " : "");
	return true;
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

static bool
begins_with(const struct lk_arg *arg, char first)
{
	return arg != NULL && arg->data != NULL && arg->len > 0 &&
	    arg->data[0] == first;
}

/* ---- what is written in more elements than here ---- */

static bool
is_same(const struct lk_arg *a, const struct lk_arg *b)
{
	return a->data != NULL && b->data != NULL && a->len == b->len &&
	    memcmp(a->data, b->data, a->len) == 0;
}

/* "n = n + 1", of whose five elements the fourth was not understood, or the
 * third. */
static bool
explain_sum(struct lk_compile *c)
{
	const struct lk_arg *column = lk_word_peek(c, 0);
	const struct lk_arg *sign = lk_word_peek(c, 3);
	const char *name = column->data;

	if (sign == NULL || !is_column(c->model, column) ||
	    !lk_arg_is(lk_word_peek(c, 1), "=") ||
	    !is_same(column, lk_word_peek(c, 2)) || sign->data == NULL)
		return false;
	if (lk_arg_is(sign, "+") || lk_arg_is(sign, "-") ||
	    lk_arg_is(sign, "||"))
		lk_refuse(c, "%.*s = %.*s %.*s ... is said as %.*s %.*s= ...",
		    (int)column->len, name, (int)column->len, name,
		    (int)sign->len, sign->data, (int)column->len, name,
		    (int)sign->len, sign->data);
	else if (lk_arg_is(sign, "*") || lk_arg_is(sign, "/"))
		lk_refuse(c, "to what is there a value can be added; what is "
		    "computed in other ways is SQL's: SQL \"UPDATE ...\"");
	else
		return false;
	return true;
}

/* "BETWEEN 1 AND 5" */
static bool
explain_between(struct lk_compile *c)
{
	if (!lk_arg_is(lk_word_peek(c, 0), "BETWEEN") ||
	    !lk_arg_is(lk_word_peek(c, 2), "AND"))
		return false;
	lk_refuse(c, "BETWEEN takes two values without AND: BETWEEN 1 5");
	return true;
}

static bool
ends_with(const struct lk_arg *arg, char last)
{
	return arg != NULL && arg->data != NULL && arg->len > 0 &&
	    arg->data[arg->len - 1] == last;
}

/* One more of a list. */
static bool
goes_on(const struct lk_model *model, const struct lk_arg *arg)
{
	struct lk_arg name;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return false;
	name = *arg;
	if (name.data[0] == '-') {
		name.data++;
		name.len--;
	}
	return is_column(model, &name) ||
	    lk_model_relation(model, name.data, name.len) != NULL;
}

/* A list, which is one element: "FIELDS a, b"; is_behind: what follows it was
 * not understood. */
static bool
explain_list(struct lk_compile *c, bool is_behind)
{
	static const char *const words[] = { "FIELDS", "ORDER", "WITH", "ON" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!lk_arg_is(lk_word_peek(c, 0), words[i]))
			continue;
		if (!(ends_with(lk_word_peek(c, 1), ',') &&
		    lk_word_peek(c, 2) != NULL) &&
		    !begins_with(lk_word_peek(c, 2), ',') &&
		    !(is_behind && goes_on(c->model, lk_word_peek(c, 2))))
			return false;
		lk_refuse(c, "a list has no blanks in it: %s a,b", words[i]);
		return true;
	}
	return false;
}

/* at: what was not understood is there, or was not at the end. */
static void
explain_elements(struct lk_compile *c, size_t at)
{
	for (c->at = at > 3 ? at - 3 : 1; c->at <= at && c->at < c->n_args;
	    c->at++) {
		if ((c->at + 2 <= at && explain_between(c)) ||
		    (c->at + 2 <= at && explain_sum(c)) ||
		    explain_list(c, c->at + 2 == at))
			return;
	}
}

void
lk_habit_explain(struct lk_compile *c)
{
	size_t at = c->at;
	const struct lk_model *model;

	c->at = 0;
	model = find_model(c, lk_word_peek(c, 0));
	/* A table may have such a name, and a key such a value. */
	if (model == NULL)
		explain_first(c);
	else if (c->n_args > 1 && at < 3 && explain_condition(c, model, at))
		return;
	else if (c->n_args > 2) {
		explain_key(c);
		explain_elements(c, at);
	}
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
	if (takes_key(c->verb))
		return "the key's values stand alone, without its columns' "
		    "names";
	if (lk_model_column(c->model, before->data, before->len) != NULL)
		return "a column that is called as a word is stands in quotes";
	return NULL;
}

static const char *
advise_parenthesis(const struct lk_compile *c)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);

	if (c->verb == LK_ORM_CREATE || (c->verb == LK_ORM_UPSERT &&
	    !lk_arg_is(&c->args[c->at - 1], "ON")))
		return "columns and values go in pairs: CREATE users name = "
		    "Ann age = 30";
	return arg->len > 1 ? "a parenthesis is an element of its own" : NULL;
}

/* By the word before it. */
static const char *
advise_behind(const struct lk_compile *c)
{
	const struct lk_arg *before = c->at > 0 ? &c->args[c->at - 1] : NULL;
	const struct lk_arg *arg = lk_word_peek(c, 0);

	if (lk_arg_is(before, "IN") && begins_with(arg, '('))
		return "a parenthesis is an element of its own, and IN takes "
		    "the number of its values: IN 2 a b";
	if (lk_arg_is(before, "IN"))
		return "IN takes the number of its values: IN 2 a b";
	if (lk_arg_is(before, "IS"))
		return "whether it is NULL is asked by IS, all else by =";
	if (lk_arg_is(before, "LIMIT") && arg->data != NULL &&
	    memchr(arg->data, ',', arg->len) != NULL)
		return "rows are left out by OFFSET: LIMIT 10 OFFSET 5";
	if (lk_arg_is(before, "ON") && lk_arg_is(arg, "CONFLICT"))
		return "ON is followed by the key's columns: ON a,b";
	return NULL;
}

static bool
has_digit(const struct lk_arg *arg)
{
	size_t i;

	for (i = 0; arg->data != NULL && i < arg->len && i < MAX_NAME; i++) {
		if (arg->data[i] >= '0' && arg->data[i] <= '9')
			return true;
	}
	return false;
}

static bool
is_write(enum lk_orm_verb verb)
{
	return verb == LK_ORM_CREATE || verb == LK_ORM_UPSERT ||
	    verb == LK_ORM_UPDATE || verb == LK_ORM_UPDATEALL;
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
	if (lk_arg_is(arg, "NOT") && lk_arg_is(lk_word_peek(c, 1), "NULL"))
		return "IS NOT NULL";
	if (c->at == 1 && c->n_args == 2 && is_read(c->verb) &&
	    !takes_key(c->verb) && has_digit(arg))
		return "one row by its key is GET's: GET users 1";
	if ((lk_arg_is(arg, "SET") || lk_arg_is(arg, "VALUES")) &&
	    (c->verb == LK_ORM_CREATE || c->verb == LK_ORM_UPSERT))
		return "columns and values go in pairs: CREATE users name = "
		    "Ann age = 30";
	if (arg->data != NULL && is_write(c->verb) &&
	    memmem(arg->data, arg->len, "->", 2) != NULL)
		return "a column is set as a whole, and what is in JSON by "
		    "column ||= {\"key\": value}";
	if (is_sign(arg) && arg->len > 1)
		return "the operator and the value are two elements";
	return begins_with(arg, '(') || begins_with(arg, '{') ?
	    advise_parenthesis(c) : NULL;
}

/* As other languages have it. */
static const struct {
	const char	*sign, *advice;
} signs[] = {
	{ "==", "what is equal has one =" },
	{ "===", "what is equal has one =" },
	{ "&&", "and is the word AND" },
	{ "&", "and is the word AND" },
	{ "||", "or is the word OR" },
	{ "|", "or is the word OR" },
	{ "!", "not is the word NOT" },
	{ "~", "what is alike is LIKE, or ILIKE: name LIKE A%" },
	{ "~*", "what is alike is LIKE, or ILIKE: name LIKE A%" },
	{ "=~", "what is alike is LIKE, or ILIKE: name LIKE A%" },
	{ ",", "conditions are joined by AND or OR, and assignments by "
	    "nothing" },
	{ ";", "a request has no ; at its end" },
};

static const char *
advise_sign(const struct lk_arg *arg)
{
	size_t i;

	for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (lk_arg_is(arg, signs[i].sign))
			return signs[i].advice;
	}
	return NULL;
}

const char *
lk_habit_advise_value(const struct lk_arg *arg, const struct lk_target *target)
{
	if (lk_arg_is(arg, "NULL") && target->use == LK_USE_COMPARED)
		return "a value is never a word: IS NULL";
	if (lk_arg_is(arg, "NULL"))
		return "a value is never a word: TO NULL";
	if (lk_arg_is(arg, "DEFAULT") && target->use == LK_USE_STORED)
		return "a value is never a word: TO DEFAULT";
	if (ends_with(arg, ',') && target->use == LK_USE_COMPARED)
		return "conditions are joined by AND or OR";
	if (ends_with(arg, ','))
		return "assignments have no comma between them";
	if (ends_with(arg, ';'))
		return "a request has no ; at its end";
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
	advice = advise_sign(arg);
	if (advice == NULL)
		advice = advise_behind(c);
	return advice != NULL ? advice : advise_condition(c);
}

bool
lk_habit_is_glued(const struct lk_model *model, struct lk_span name)
{
	size_t i;

	for (i = 1; i < name.n && i < MAX_NAME; i++) {
		if (strchr("=<>!+-|~", name.at[i]) == NULL ||
		    name.at[i] == '\0')
			continue;
		if (name.at[i] == '-' && i + 1 < name.n &&
		    name.at[i + 1] == '>')
			return false;
		return lk_model_column(model, name.at, i) != NULL;
	}
	return false;
}
