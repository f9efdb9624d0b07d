#include "client/verb.h"

#include <string.h>
#include <strings.h>

#define JOINS	1
#define STAYS	2	/* leaves nothing behind outside a transaction */
#define CONFIRMED 4

/*
 * Verbs that are not here may leave something and do not join.  Those that do
 * are compared with the daemon's by tests/lint/verbs.
 */
static const struct {
	const char	*name;
	int		 flags;
	enum lk_verb_part part;
} verbs[] = {
	{ "SQL", JOINS, LK_VERB_OTHER },
	{ "COMMIT", JOINS, LK_VERB_COMMITS },
	{ "ROLLBACK", JOINS | STAYS, LK_VERB_ROLLS_BACK },
	{ "SAVEPOINT", JOINS | STAYS, LK_VERB_OTHER },
	{ "RELEASE", JOINS | STAYS, LK_VERB_OTHER },
	{ "OPEN", JOINS | STAYS, LK_VERB_OTHER },
	{ "FETCH", JOINS | STAYS, LK_VERB_OTHER },
	{ "CLOSE", JOINS | STAYS, LK_VERB_OTHER },
	{ "PUBLISH", JOINS, LK_VERB_OTHER },
	{ "GET", JOINS | STAYS, LK_VERB_OTHER },
	{ "FIND", JOINS | STAYS, LK_VERB_OTHER },
	{ "ONE", JOINS | STAYS, LK_VERB_OTHER },
	{ "FIRST", JOINS | STAYS, LK_VERB_OTHER },
	{ "COUNT", JOINS | STAYS, LK_VERB_OTHER },
	{ "EXISTS", JOINS | STAYS, LK_VERB_OTHER },
	{ "CREATE", JOINS, LK_VERB_OTHER },
	{ "CREATEMANY", JOINS, LK_VERB_OTHER },
	{ "UPDATE", JOINS, LK_VERB_OTHER },
	{ "UPSERT", JOINS, LK_VERB_OTHER },
	{ "DELETE", JOINS, LK_VERB_OTHER },
	{ "UPDATEALL", JOINS, LK_VERB_OTHER },
	{ "DELETEALL", JOINS, LK_VERB_OTHER },
	{ "LOAD", JOINS | STAYS, LK_VERB_OTHER },
	{ "BEGIN", STAYS, LK_VERB_BEGINS },
	{ "MULTI", STAYS, LK_VERB_OTHER },
	{ "DISCARD", STAYS, LK_VERB_OTHER },
	{ "AWAIT", STAYS, LK_VERB_OTHER },
	{ "GIVE", STAYS, LK_VERB_OTHER },
	{ "CANCEL", STAYS, LK_VERB_OTHER },
	{ "SUBSCRIBE", STAYS | CONFIRMED, LK_VERB_OTHER },
	{ "UNSUBSCRIBE", STAYS | CONFIRMED, LK_VERB_OTHER },
	{ "MODELS", STAYS, LK_VERB_OTHER },
	{ "DESCRIBE", STAYS, LK_VERB_OTHER },
	{ "TYPES", STAYS, LK_VERB_OTHER },
	{ "SHOW", STAYS, LK_VERB_OTHER },
	{ "PING", STAYS, LK_VERB_OTHER },
	{ "ECHO", STAYS, LK_VERB_OTHER },
	{ "HELLO", STAYS, LK_VERB_OTHER },
	{ "USE", STAYS, LK_VERB_OTHER },
	{ "COMMAND", STAYS, LK_VERB_OTHER },
	{ "INFO", STAYS, LK_VERB_OTHER },
	{ "CLIENT", STAYS, LK_VERB_OTHER },
	{ "RESET", STAYS, LK_VERB_OTHER },
	{ "QUIT", STAYS, LK_VERB_OTHER },
};

#define N_VERBS	(sizeof(verbs) / sizeof(verbs[0]))

struct lk_verb_traits
lk_verb_traits(size_t n_words, const char *const *words, const size_t *lens)
{
	struct lk_verb_traits traits = { LK_VERB_OTHER, false, true,
	    false };
	size_t n, i;

	if (n_words == 0 || words[0] == NULL)
		return traits;
	n = lens != NULL ? lens[0] : strlen(words[0]);
	for (i = 0; i < N_VERBS; i++) {
		if (strlen(verbs[i].name) != n ||
		    strncasecmp(verbs[i].name, words[0], n) != 0)
			continue;
		traits.joins = verbs[i].flags & JOINS;
		traits.is_lasting = !(verbs[i].flags & STAYS);
		traits.is_confirmed = verbs[i].flags & CONFIRMED;
		traits.part = verbs[i].part;
	}
	if (traits.part == LK_VERB_ROLLS_BACK && n_words > 1)
		traits.part = LK_VERB_OTHER;	/* TO a savepoint */
	return traits;
}
