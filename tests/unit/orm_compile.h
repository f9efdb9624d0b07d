/*
 * A request typed as a line, compiled: words between blanks, where ~ stands for
 * a blank and _ alone for SQL NULL.  In a table's SQL ' stands for ", which is
 * nowhere in the compiler's own.
 */
#ifndef LK_TESTS_ORM_COMPILE_H
#define LK_TESTS_ORM_COMPILE_H

#include "unit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "orm/verb.h"
#include "orm_models.h"

#define MAX_ARGS	64

struct typed {
	char		*text;
	struct lk_arg	 args[MAX_ARGS];
	size_t		 n;
	enum lk_orm_verb verb;
	struct lk_plan	 plan;
	struct lk_error	 error;
};

static inline enum lk_orm_verb
verb_of(const char *word)
{
	enum lk_orm_verb verb = LK_ORM_GET;

	while (strcmp(lk_orm_verb_word(verb), word) != 0) {
		verb++;
		assert_true(verb < LK_ORM_N_VERBS);
	}
	return verb;
}

static inline int
compile(const struct lk_catalog *catalog, const char *line, bool in_tx,
    struct typed *typed)
{
	char *word, *rest;

	memset(typed, 0, sizeof(*typed));
	typed->text = strdup(line);
	typed->verb = verb_of(strtok_r(typed->text, " ", &rest));
	while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
		assert_true(typed->n < MAX_ARGS);
		if (strcmp(word, "_") != 0)
			typed->args[typed->n] = (struct lk_arg){ word,
			    strlen(word) };
		typed->n++;
		for (; *word != '\0'; word++)
			*word = *word == '~' ? ' ' : *word;
	}
	return compile_call(catalog, typed->verb, typed->args, typed->n,
	    in_tx, &typed->plan, &typed->error);
}

static inline void
forget(struct typed *typed)
{
	lk_plan_fini(&typed->plan);
	lk_error_fini(&typed->error);
	free(typed->text);
}

#endif
