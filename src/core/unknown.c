/*
 * Words that are no verb.  Who types SQL's, or Redis's, from habit is told which
 * verb does what he wants; who mistypes one, which it may be.
 */
#include <string.h>

#include "core/internal.h"

/* Of an unknown word, in an error. */
#define MAX_SHOWN	32

#define STATEMENT	NULL	/* SQL's, for which there is no verb */

static const struct {
	const char	*word;
	const char	*advice;
} habits[] = {
	/* SQL's */
	{ "INSERT", "CREATE model column = value ... makes a row; a statement "
	    "is SQL \"INSERT ...\"" },
	{ "WITH", STATEMENT },
	{ "VALUES", STATEMENT },
	{ "MERGE", STATEMENT },
	{ "ALTER", STATEMENT },
	{ "DROP", STATEMENT },
	{ "TRUNCATE", STATEMENT },
	{ "EXPLAIN", STATEMENT },
	{ "ANALYZE", STATEMENT },
	{ "VACUUM", STATEMENT },
	{ "GRANT", STATEMENT },
	{ "REVOKE", STATEMENT },
	{ "LOCK", STATEMENT },
	{ "CALL", STATEMENT },
	{ "DO", STATEMENT },
	{ "COPY", "CREATEMANY model n column ... value ... makes many rows" },
	{ "START", "BEGIN opens a transaction" },
	{ "END", "COMMIT ends a transaction" },
	{ "ABORT", "ROLLBACK takes a transaction back" },
	{ "LISTEN", "SUBSCRIBE channel ... hears what is published" },
	{ "UNLISTEN", "UNSUBSCRIBE channel ... hears no more of it" },
	{ "NOTIFY", "PUBLISH channel payload" },
	{ "HELP", "COMMAND DOCS describes the verbs" },
	{ "\\D", "MODELS lists the models, DESCRIBE model tells of one" },
	{ "\\DT", "MODELS lists the models" },
	{ "\\Q", "QUIT" },
	/* Redis's */
	{ "SET", "UPDATE model key SET column = value changes a row, UPSERT "
	    "model column = value ... makes or changes one; a statement is "
	    "SQL \"SET ...\"" },
	{ "SETNX", "CREATE model column = value ... makes a row, or fails" },
	{ "MSET", "CREATEMANY model n column ... value ... makes many rows" },
	{ "HSET", "UPDATE model key SET column = value ..." },
	{ "HMSET", "UPDATE model key SET column = value ..." },
	{ "APPEND", "UPDATE model key SET column ||= text" },
	{ "INCR", "UPDATE model key SET column += 1" },
	{ "INCRBY", "UPDATE model key SET column += number" },
	{ "HINCRBY", "UPDATE model key SET column += number" },
	{ "DECR", "UPDATE model key SET column -= 1" },
	{ "DECRBY", "UPDATE model key SET column -= number" },
	{ "HGETALL", "GET model key" },
	{ "HGET", "GET model key FIELDS column" },
	{ "HMGET", "GET model key FIELDS a,b" },
	{ "MGET", "FIND model WHERE column IN n value ..." },
	{ "DEL", "DELETE model key" },
	{ "UNLINK", "DELETE model key" },
	{ "HDEL", "UPDATE model key SET column TO NULL" },
	{ "HEXISTS", "EXISTS model WHERE condition" },
	{ "KEYS", "MODELS lists the models, FIND model their rows" },
	{ "SCAN", "FIND model ORDER column AFTER value LIMIT n gives rows page "
	    "by page" },
	{ "DBSIZE", "COUNT model counts its rows, MODELS lists the models" },
	{ "TYPE", "DESCRIBE model tells its columns' types" },
	{ "EXPIRE", "rows do not expire: keep the time in a column, and "
	    "DELETEALL model WHERE it has passed" },
	{ "TTL", "rows do not expire: keep the time in a column" },
	{ "FLUSHALL", "DELETEALL model WHERE ALL deletes all rows of one" },
	{ "FLUSHDB", "DELETEALL model WHERE ALL deletes all rows of one" },
	{ "WATCH", "UPDATE model key SET ... IF condition changes a row that is "
	    "still so, and MULTI begins a unit, which is done whole or not at "
	    "all" },
	{ "UNWATCH", "nothing is ever watched" },
	{ "EVAL", "MULTI begins a unit, which is done in one go" },
	{ "PSUBSCRIBE", "SUBSCRIBE takes the whole names of channels" },
	{ "CONFIG", "SHOW config" },
	{ "MONITOR", "SHOW tasks tells what is under way" },
};

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Whether one letter more, less or other, or two that have changed places, make
 * the verb of the word, which may be in small letters. */
static bool
is_slip(const char *a, const char *b)
{
	size_t n_a = strlen(a), n_b = strlen(b), i = 0;

	while (a[i] != '\0' && upper(a[i]) == b[i])
		i++;
	while (n_a > i && n_b > i && upper(a[n_a - 1]) == b[n_b - 1]) {
		n_a--;
		n_b--;
	}
	return (n_a <= i + 1 && n_b <= i + 1) || (n_a == i + 2 &&
	    n_b == i + 2 && upper(a[i]) == b[i + 1] && upper(a[i + 1]) == b[i]);
}

/* NULL: none is like it. */
static const struct lk_verb *
find_near(const char *word)
{
	size_t i;

	for (i = 0; i < lk_verb_count(); i++) {
		if (strlen(word) > 1 && is_slip(word, lk_verb_at(i)->name))
			return lk_verb_at(i);
	}
	return NULL;
}

static void
show(const struct lk_arg *word, char text[MAX_SHOWN + 1])
{
	size_t i, n = word->len < MAX_SHOWN ? word->len : MAX_SHOWN;

	for (i = 0; i < n; i++)
		text[i] = word->data[i] > ' ' && word->data[i] < 0x7f ?
		    word->data[i] : '.';
	text[n] = '\0';
}

void
lk_verb_unknown(const struct lk_arg *word, struct lk_error *error)
{
	char text[MAX_SHOWN + 1];
	const struct lk_verb *near;
	size_t i;

	show(word, text);
	for (i = 0; i < sizeof(habits) / sizeof(habits[0]); i++) {
		if (!lk_arg_is(word, habits[i].word))
			continue;
		if (habits[i].advice != STATEMENT)
			lk_error_set(error, LK_ERR_SYNTAX, "unknown verb '%s': "
			    "%s", text, habits[i].advice);
		else
			lk_error_set(error, LK_ERR_SYNTAX, "unknown verb '%s': "
			    "send a statement as SQL \"%s ...\"", text, text);
		return;
	}
	near = find_near(text);
	if (near != NULL)
		lk_error_set(error, LK_ERR_SYNTAX, "unknown verb '%s'; there "
		    "is %s: %s", text, near->name, near->syntax);
	else
		lk_error_set(error, LK_ERR_SYNTAX, "unknown verb '%s'; COMMAND "
		    "LIST names the verbs", text);
}
