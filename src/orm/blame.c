/*
 * PostgreSQL says what is wrong with a value, and of what type it should be; for
 * which column it was only the plan knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orm/verb.h"

/* ---- by its type, where a value is refused only once it is to be stored ---- */

static bool
is_in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* Whether text has those n bytes, and not as a part of a longer word. */
static bool
has_word(const char *text, const char *word, size_t n)
{
	const char *at;

	for (at = strchr(text, word[0]); at != NULL;
	    at = strchr(at + 1, word[0])) {
		if (strncmp(at, word, n) == 0 &&
		    (at == text || !is_in_word(at[-1])) &&
		    (!is_in_word(word[n - 1]) || !is_in_word(at[n])))
			return true;
	}
	return false;
}

/* "A field with precision 5, scale 2 must …": of a numeric(5,2). */
static bool
is_field_of(const char *detail, const char *type_name)
{
	long numbers[2];
	char name[64], *end;
	size_t i;

	for (i = 0; i < 2; i++) {
		detail += strcspn(detail, "0123456789");
		numbers[i] = strtol(detail, &end, 10);
		detail = end;
	}
	snprintf(name, sizeof(name), "numeric(%ld,%ld)", numbers[0],
	    numbers[1]);
	return strncmp(type_name, name, strlen(name)) == 0;
}

/* An error about an element names its type: "character(3)", not "…[]". */
static size_t
element_len(const char *type_name)
{
	size_t n = strlen(type_name);

	return n > 2 && strcmp(type_name + n - 2, "[]") == 0 ? n - 2 : n;
}

static bool
names_type(const struct lk_error *error, const char *type_name)
{
	const char *detail = error->fields[LK_FIELD_DETAIL];

	return has_word(error->message, type_name, element_len(type_name)) ||
	    (strcmp(error->sqlstate, "22003") == 0 && detail != NULL &&
	    is_field_of(detail, type_name));
}

/* Characters, without the blanks at its end, which PostgreSQL cuts off. */
static size_t
count_characters(const char *text, size_t n_bytes)
{
	size_t i, n = 0;

	while (n_bytes > 0 && text[n_bytes - 1] == ' ')
		n_bytes--;
	for (i = 0; i < n_bytes; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* False: what is stored is this value and no other, and that one fits. */
static bool
may_not_fit(const struct lk_plan_param *param)
{
	const char *type_name = param->column->type_name;
	const char *size = strchr(type_name, '(');

	if (param->use == LK_USE_ADDED || param->from != 0 ||
	    param->column->kind == LK_TYPE_DOMAIN)
		return true;
	if (size == NULL)
		return false;
	if (strncmp(type_name, "character", strlen("character")) != 0 ||
	    param->column->kind == LK_TYPE_ARRAY)
		return true;
	return count_characters(param->data, param->len) >
	    strtoul(size + 1, NULL, 10);
}

/* Codes of what is found out when a value is stored, about its type alone. */
static bool
is_of_storing(const struct lk_error *error)
{
	static const char *const states[] = {
		"22001",	/* string_data_right_truncation: too long */
		"22003",	/* numeric_value_out_of_range */
		"22026",	/* string_data_length_mismatch: bit(n) */
		"23502",	/* not_null_violation, of a domain */
		"23514",	/* check_violation, likewise */
	};
	size_t i;

	if (error->fields[LK_FIELD_TABLE] != NULL)
		return false;	/* a table's constraint, which says so itself */
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(error->sqlstate, states[i]) == 0)
			return true;
	}
	return false;
}

/* NULL: none, or values for more than one column may be it. */
static const struct lk_plan_param *
find_by_type(const struct lk_plan *plan, const struct lk_error *error)
{
	const struct lk_plan_param *found = NULL, *param;
	size_t i;

	for (i = 0; i < plan->n_params; i++) {
		param = &plan->params[i];
		if (param->use == LK_USE_COMPARED || param->data == NULL ||
		    (found != NULL && found->column == param->column) ||
		    !names_type(error, param->column->type_name) ||
		    !may_not_fit(param))
			continue;
		if (found != NULL)
			return NULL;
		found = param;
	}
	return found;
}

void
lk_plan_blame(const struct lk_plan *plan, struct lk_error *error)
{
	const struct lk_plan_param *culprit = NULL;

	if (error->param > 0 && error->param <= plan->n_params)
		culprit = &plan->params[error->param - 1];
	else if (error->param == 0 && !error->is_inner && is_of_storing(error))
		culprit = find_by_type(plan, error);
	if (culprit == NULL || culprit->column == NULL)
		return;
	lk_error_prefix(error, "%s.%s: ", culprit->model->name,
	    culprit->column->name);
	lk_error_set_field(error, LK_FIELD_TABLE, culprit->model->name);
	lk_error_set_field(error, LK_FIELD_COLUMN, culprit->column->name);
}
