/*
 * The ORM verbs: whatever their arguments are, they are refused with an error
 * or become a statement of nothing but the catalog's names, words that are
 * known here and placeholders.
 *
 * An input is a request: its verb in the first byte (as a letter from A on),
 * then its arguments, each ended by a line end; _ alone is SQL NULL.
 */
#include <string.h>

#include "../unit/orm_allowed.h"
#include "../unit/orm_models.h"
#include "base/die.h"
#include "fuzz.h"

#define MAX_ARGS	LK_FUZZ_MAX_BYTES

static size_t
split(const char *text, size_t n, struct lk_arg *args)
{
	size_t n_args = 0, n_line;
	const char *end;

	while (n > 0) {
		end = memchr(text, '\n', n);
		n_line = end != NULL ? (size_t)(end - text) : n;
		if (n_line == 1 && *text == '_')
			args[n_args++] = (struct lk_arg){ NULL, 0 };
		else
			args[n_args++] = (struct lk_arg){ text, n_line };
		n_line += end != NULL;
		text += n_line;
		n -= n_line;
	}
	return n_args;
}

static void
check_params(const struct lk_plan *plan, const char *text, size_t n)
{
	const struct lk_plan_param *param;
	size_t i;

	for (i = 0; i < plan->n_params; i++) {
		param = &plan->params[i];
		lk_assert(param->data == NULL || (param->data >= text &&
		    param->data + param->len <= text + n));
	}
}

static void
compile(const struct lk_catalog *catalog, const struct lk_verb_call *call,
    const char *text, size_t n)
{
	struct lk_error error = { 0 };
	struct lk_plan plan;
	int rc = lk_verb_compile(catalog, call, &plan, &error);

	lk_assert((rc == 0) != error.is_set);
	if (rc == 0) {
		lk_assert(orm_is_allowed(catalog, &plan));
		check_params(&plan, text, n);
		lk_plan_fini(&plan);
	} else {
		lk_assert(rc == -LK_E_INVAL || rc == -LK_E_NOENT);
		lk_assert(strchr(error.message, '\n') == NULL);
	}
	lk_error_fini(&error);
}

/* Also where values may be references. */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct lk_catalog *catalog;
	struct lk_arg args[MAX_ARGS];
	struct lk_verb_call call = { .args = args, .in_tx = true };
	const char *text = (const char *)bytes;

	if (n == 0 || n > LK_FUZZ_MAX_BYTES || bytes[0] < 'A' ||
	    bytes[0] >= 'A' + LK_ORM_N_VERBS)
		return 0;
	if (catalog == NULL)
		catalog = orm_catalog();
	call.verb = (enum lk_orm_verb)(bytes[0] - 'A');
	call.n_args = split(text + 1, n - 1, args);
	compile(catalog, &call, text, n);
	call.refs = (struct lk_ref_scope){ "$", 1, 3 };
	compile(catalog, &call, text, n);
	return 0;
}
