#include "orm/ref.h"

#include <string.h>

#include "orm/compile.h"

static int
refuse_form(const struct lk_ref_scope *scope, const struct lk_arg *arg,
    struct lk_error *error)
{
	struct lk_shown shown;

	lk_error_set(error, LK_ERR_SYNTAX, "%s begins with the marker of REF, "
	    "and is no number of a verb with a dot and a column behind it, as "
	    "%s1.id is", lk_word_show(&shown, arg->data, arg->len),
	    scope->marker);
	return -LK_E_INVAL;
}

static int
refuse_number(const struct lk_ref_scope *scope, const struct lk_arg *arg,
    struct lk_error *error)
{
	struct lk_shown shown;

	lk_word_show(&shown, arg->data, arg->len);
	if (scope->first == scope->end)
		lk_error_set(error, LK_ERR_SYNTAX, "%s refers to a row of the "
		    "unit, and no verb before this one has any", shown.text);
	else
		lk_error_set(error, LK_ERR_SYNTAX, "%s refers to no verb "
		    "before this one that has a row: those are %u to %u",
		    shown.text, (unsigned)scope->first,
		    (unsigned)scope->end - 1);
	return -LK_E_INVAL;
}

int
lk_row_ref_parse(const struct lk_ref_scope *scope, const struct lk_arg *arg,
    struct lk_row_ref *ref_out, struct lk_error *error)
{
	size_t n = scope->marker != NULL ? strlen(scope->marker) : 0, at = n;
	uint64_t verb = 0;

	if (n == 0 || arg->data == NULL || arg->len < n ||
	    memcmp(arg->data, scope->marker, n) != 0)
		return 0;
	while (at < arg->len && arg->data[at] >= '0' && arg->data[at] <= '9') {
		if (verb < UINT32_MAX)
			verb = 10 * verb + (uint64_t)(arg->data[at] - '0');
		at++;
	}
	if (at == n || at + 1 >= arg->len || arg->data[at] != '.' ||
	    memchr(arg->data, '\0', arg->len) != NULL)
		return refuse_form(scope, arg, error);
	if (verb < scope->first || verb >= scope->end)
		return refuse_number(scope, arg, error);
	*ref_out = (struct lk_row_ref){ (uint32_t)verb,
	    { arg->data + at + 1, arg->len - at - 1 } };
	return 1;
}
