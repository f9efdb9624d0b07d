/* What `lockkeeper call --help` adds: the verbs, as the daemon knows them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/session.h"

/* The daemon answers this at once. */
#define TIMEOUT_MS	2000

/* Its one argument is called as all that follows the verb. */
static const char *
syntax_of(const struct lk_reply *doc)
{
	const struct lk_reply *arguments = lk_reply_get(doc, "arguments");

	return lk_reply_text(lk_reply_get(lk_reply_at(arguments, 0), "name"),
	    NULL);
}

/* COMMAND DOCS says names in lower case, as Redis does. */
static void
print_verb(const char *name, const struct lk_reply *doc)
{
	fputs("  ", stdout);
	for (; *name != '\0'; name++)
		putchar(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' :
		    *name);
	printf(" %s\n      %s\n", syntax_of(doc),
	    lk_reply_text(lk_reply_get(doc, "summary"), NULL));
}

static void
print_docs(const struct lk_reply *docs)
{
	size_t i;

	printf("\nVerbs of the daemon that runs; lockkeeper-protocol(7) says more "
	    "of them:\n");
	for (i = 0; i < lk_reply_count(docs); i++)
		print_verb(lk_reply_text(lk_reply_key(docs, i), NULL),
		    lk_reply_at(docs, i));
}

void
lk_cli_print_verbs(const char *socket)
{
	struct lk_options options = LK_OPTIONS_INIT;
	struct lk_reply *reply = NULL;
	struct lk_conn *conn;
	char *path = socket != NULL ? lk_xstrdup(socket) :
	    lk_session_default_socket();

	options.socket = path;
	options.timeout_ms = TIMEOUT_MS;
	conn = lk_open(&options, NULL);
	if (conn == NULL)
		printf("\nWhile a daemon runs, its verbs follow here; "
		    "lockkeeper-protocol(7) has them all.\n");
	else
		reply = lk_ask(conn, "COMMAND", "DOCS", (char *)NULL);
	if (lk_reply_type(reply) == LK_REPLY_MAP)
		print_docs(reply);
	lk_reply_free(&reply);
	lk_conn_free(&conn);
	free(path);
}
